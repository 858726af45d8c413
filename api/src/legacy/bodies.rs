//! The bodies of the older API: what its clients send, as loosely as they may, and what they are answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::Token;
use shared::job::Delay;
use utoipa::ToSchema;

/// A session.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenBody {
    /// The session.
    pub token: Token,
}

/// A text to one or many.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TextBody {
    /// The session that sends.
    pub token: Token,
    /// A phone number or a full jid (also of a group), as text or number, or an array of them.
    pub number: Recipients,
    /// 1 to 65,536 bytes.
    pub text: String,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    pub delay: Option<Delay>,
}

/// A file to one or many, fetched from a URL.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaBody {
    /// The session that sends.
    pub token: Token,
    /// A phone number or a full jid, as text or number, or an array of them. No groups yet.
    pub number: Recipients,
    /// `image`, `video`, `gif`, `audio`, `ptt` (a voice note), `sticker`; or a document: `document`, `pdf`, `xls`, `xlsx`, `doc`,
    /// `docx`, `zip`, `mp3`, or any type such as `text/csv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is fetched from.
    pub url: String,
    /// The text below it, up to 65,536 bytes; not for sounds and stickers.
    pub caption: Option<String>,
    /// What a document is called.
    pub file_name: Option<String>,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    pub delay: Option<Delay>,
}

/// A question about a number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NumberBody {
    /// The session that asks.
    pub token: Token,
    /// A phone number, as text or number.
    pub number: LooseNumber,
}

/// One recipient, or many as a queue.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "must be a text or an array of texts")]
pub enum Recipients {
    /// One.
    One(LooseNumber),
    /// 1 to 100,000.
    Many(Vec<LooseNumber>),
}

/// A phone number or a jid, as text or number: the original took what JavaScript took.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be a phone number")]
pub enum LooseNumber {
    /// As it is to be.
    Text(String),
    /// Digits without quotes.
    Digits(#[schemars(with = "u64")] serde_json::Number),
}

impl LooseNumber {
    /// The number as text.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Digits(digits) => digits.to_string(),
        }
    }
}

impl Serialize for LooseNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Digits(digits) => serializer.collect_str(digits),
        }
    }
}

/// The answer to what was done.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = LegacyAnswer)]
pub struct Answer {
    /// Whether it was done; false with a QR code that is to be scanned.
    pub status: bool,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// In words, or what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// The QR code to scan, as a data URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qrcode: Option<String>,
    /// The queue of a text to many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub queue: Option<Value>,
}

impl Answer {
    /// Done, told in words or by what was sent.
    pub fn done(message: impl Into<Value>) -> Self {
        Self {
            status: true,
            message: Some(message.into()),
            ..Self::default()
        }
    }

    /// Done, and this came of it.
    pub fn with_data(data: Value) -> Self {
        Self {
            status: true,
            data: Some(data),
            ..Self::default()
        }
    }
}
