//! Accounts that must prove themselves with a passkey before a device links: how the server and the phone play it, and
//! what they saw.

pub mod authenticator;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Longest time that options may give, in milliseconds: a day.
const MAX_TIMEOUT_MS: u64 = 86_400_000;
/// Longest nonce that a phone may send.
const MAX_NONCE_BYTES: usize = 64;

/// How linking goes with a phone whose account must prove itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Where the options are.
    pub options: OptionsAre,
    /// What the options give the browser, in milliseconds; not said if absent.
    pub timeout_ms: Option<u64>,
    /// What is made of the proof that a QR code was scanned.
    pub proof: ProofIs,
    /// The step that the server refuses with error 400.
    pub refuse: Option<Step>,
    /// How long the phone's nonce is; 32 is right.
    pub nonce_bytes: usize,
    /// The phone's half is changed on its way, so that the two codes differ.
    pub wrong_code: bool,
    /// A continuation comes before the request.
    pub stray_continuation: bool,
    /// Who the notifications say they are from, instead of the server.
    pub from: Option<String>,
    /// What comes before the request when a pairing code was typed.
    pub typed: Typed,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            options: OptionsAre::Inline,
            timeout_ms: Some(600_000),
            proof: ProofIs::Verified,
            refuse: None,
            nonce_bytes: 32,
            wrong_code: false,
            stray_continuation: false,
            from: None,
            typed: Typed::Finish,
        }
    }
}

impl Rules {
    /// Checks what the types can't.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.timeout_ms.is_some_and(|ms| ms > MAX_TIMEOUT_MS) {
            return Err(Refusal::bad(
                "timeout_ms",
                format!("must be 0 to {MAX_TIMEOUT_MS}"),
            ));
        }
        if self.nonce_bytes > MAX_NONCE_BYTES {
            return Err(Refusal::bad(
                "nonce_bytes",
                format!("must be 0 to {MAX_NONCE_BYTES}"),
            ));
        }
        Ok(())
    }
}

/// Where the options of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionsAre {
    /// In the request.
    Inline,
    /// In the answer to the question for them.
    Fetched,
    /// Nowhere.
    Missing,
}

/// What the server makes of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProofIs {
    /// It looks at none.
    Optional,
    /// One that comes must be right.
    Verified,
    /// One must come when a QR code was scanned, and be right.
    Required,
}

/// What a phone sends when a pairing code was typed into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Typed {
    /// Its half of the exchange; the request comes when the companion has answered.
    Finish,
    /// A message without its key, and the request at once.
    Keyless,
}

/// The companion's questions, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// For the options.
    Options,
    /// For a reference.
    Reference,
    /// What the passkey signed.
    Prologue,
    /// The companion's nonce.
    Nonce,
    /// The request for the phone.
    Request,
}

/// What server and phone saw of the last exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The last step that was taken.
    pub step: Option<Step>,
    /// The code that the phone shows.
    pub code: Option<String>,
    /// Whether the proof was right; absent without one.
    pub proof: Option<bool>,
    /// Why a step was refused.
    pub problem: Option<String>,
    /// Whether the phone has linked the companion.
    pub linked: bool,
}
