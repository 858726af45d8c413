//! Linking an account that must prove itself with a passkey: how far that is, as it is told and stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::id::Token;

/// The account that links must prove itself with a passkey; what is to be done now, or what came of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
pub struct SessionPasskey {
    /// The session's token.
    pub name: Token,
    /// How far that is.
    pub passkey: Passkey,
}

/// How far linking with a passkey is.
#[allow(rustdoc::bare_urls, reason = "the words are those of the schemas")]
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "stage", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Passkey {
    /// A browser at https://web.whatsapp.com is to sign `options`; its answer is posted.
    Requested {
        /// The `publicKey` of `navigator.credentials.get`, in its JSON form.
        options: Value,
        /// Until when an answer counts.
        #[serde(with = "time::serde::rfc3339")]
        #[schemars(with = "String")]
        expires_at: OffsetDateTime,
    },
    /// WhatsApp has taken what the passkey signed; the phone is to go on.
    Answered,
    /// The phone shows a code: to be confirmed, or cancelled if it is another one.
    Code {
        /// As the phone shows it: `XXXX-XXXX`.
        code: String,
        /// Whether somebody must compare it. If not, the phone has had another proof, and comparing still guards
        /// against WhatsApp itself.
        comparison_needed: bool,
        /// Until when a confirmation counts.
        #[serde(with = "time::serde::rfc3339")]
        #[schemars(with = "String")]
        expires_at: OffsetDateTime,
    },
    /// The phone has what it needs and is to link.
    Confirmed,
    /// It came to nothing. The next QR code begins anew.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl Passkey {
    /// Whether something is still to come.
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// Names the stage alone: options and codes are never logged.
impl std::fmt::Debug for Passkey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requested { .. } => "Requested(…)",
            Self::Answered => "Answered",
            Self::Code { .. } => "Code(…)",
            Self::Confirmed => "Confirmed",
            Self::Failed { .. } => "Failed(…)",
        })
    }
}
