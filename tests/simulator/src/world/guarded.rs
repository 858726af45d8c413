//! An account with a passkey, and an exchange that is open on a connection: what of both is kept.
//!
//! What becomes of them is in [`super::passkey`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::json;
use whatsapp::binary::Node;
use whatsapp::device::AdvSecret;
use whatsapp::pairing::passkey::HandoffKey;
use whatsapp::server::passkey::{Met, Primary};

use crate::number::Number;
use crate::passkey::authenticator::{Authenticator, RP_ID};
use crate::passkey::{Report, Rules};

/// What an account with a passkey has.
pub(super) struct Guarded {
    pub(super) rules: Rules,
    pub(super) authenticator: Authenticator,
    pub(super) report: Report,
}

/// An exchange that is open on a connection.
pub(super) struct Exchange {
    pub(super) number: Number,
    pub(super) rules: Rules,
    /// The secret of the QR code, if one was scanned.
    pub(super) scanned: Option<AdvSecret>,
    pub(super) challenge: [u8; 32],
    pub(super) primary: Primary,
    pub(super) reference: String,
    pub(super) payload: Option<Bytes>,
    pub(super) met: Option<Met>,
}

impl Exchange {
    /// What the browser is to sign.
    pub(super) fn options(&self) -> Node {
        let mut options = json!({
            "challenge": URL_SAFE_NO_PAD.encode(self.challenge),
            "rpId": RP_ID,
            "allowCredentials": [],
            "userVerification": "required",
            "extensions": { "uvm": true },
        });
        if let Some(timeout) = self.rules.timeout_ms {
            options["timeout"] = timeout.into();
        }
        Node::new("passkey_request_options").with_bytes(options.to_string().into_bytes())
    }

    /// Whether somebody proves this with the secret of the scanned code.
    pub(super) fn is_proof(&self, payload: &[u8], proof: &[u8]) -> bool {
        let scanned = self.scanned.as_ref();
        scanned.is_some_and(|secret| HandoffKey::new(secret).prove(payload)[..] == *proof)
    }
}
