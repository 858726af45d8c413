//! Linking with a passkey, between the library's words and the product's.

use shared::event::Passkey;
use shared::job::PasskeyAnswerJob;
use whatsapp::event::{Comparison, PasskeyStep};
use whatsapp::pairing::passkey::webauthn::Assertion;
use whatsapp::time::Timestamp;

use super::names::wall;

/// What a browser is to sign. The library takes options only if they are JSON.
pub(crate) fn requested(options: &str, deadline: Timestamp) -> Passkey {
    Passkey::Requested {
        options: serde_json::from_str(options).unwrap_or_default(),
        expires_at: wall(deadline),
    }
}

/// The code that the phone shows.
pub(crate) fn code(code: String, comparison: Comparison, deadline: Timestamp) -> Passkey {
    Passkey::Code {
        code,
        comparison_needed: comparison == Comparison::Needed,
        expires_at: wall(deadline),
    }
}

/// What follows a step that was taken; nothing of its own follows giving up, which the connection's end tells.
pub(crate) fn taken(step: PasskeyStep) -> Option<Passkey> {
    match step {
        PasskeyStep::Answer => Some(Passkey::Answered),
        PasskeyStep::Confirmation => Some(Passkey::Confirmed),
        PasskeyStep::Cancellation => None,
    }
}

/// What a passkey signed.
pub(crate) fn assertion(answer: &PasskeyAnswerJob) -> Assertion {
    let response = &answer.response;
    Assertion {
        credential_id: answer.raw_id.to_bytes(),
        client_data: response.client_data_json.to_bytes(),
        authenticator_data: response.authenticator_data.to_bytes(),
        signature: response.signature.to_bytes(),
        user_handle: response.user_handle.as_ref().map(|user| user.to_bytes()),
    }
}
