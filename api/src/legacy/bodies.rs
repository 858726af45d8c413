//! The bodies of the older API: what its clients send, as loosely as they may, and what they are answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::content::{Fallback, Form, SentForm};
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

/// A text with buttons that answer it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ButtonBody {
    /// The session that sends.
    pub token: Token,
    /// A phone number or a full jid, as text or number, or an array of them.
    pub number: Recipients,
    /// 1 to 10 buttons.
    pub button: Vec<ReplyBody>,
    /// The text, 1 to 4,096 bytes.
    pub message: String,
    /// A line below it.
    pub footer: Option<String>,
    /// How `image` is given: `url`. Without one it means nothing.
    pub r#type: Option<String>,
    /// The address of a picture above the text; none where it is null, empty or absent.
    pub image: Option<String>,
    /// In which form it goes out: `nativeFlow` (when absent) or `legacy`.
    pub form: Option<Form>,
    /// `text` sends a numbered text in its place; not beside `form`.
    pub fallback: Option<Fallback>,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    pub delay: Option<Delay>,
}

/// A button that answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplyBody {
    /// What it says.
    pub display_text: String,
    /// What the answer names it by; its place, from `0`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A text with buttons that lead somewhere.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TemplateBody {
    /// The session that sends.
    pub token: Token,
    /// A phone number or a full jid, as text or number, or an array of them.
    pub number: Recipients,
    /// 1 to 10 buttons, in any order.
    pub button: Vec<LeadBody>,
    /// The text, 1 to 4,096 bytes.
    pub text: String,
    /// A line below it.
    pub footer: Option<String>,
    /// The address of a picture above the text; none where it is null, empty or absent.
    pub image: Option<String>,
    /// In which form it goes out: `nativeFlow` (when absent) or `legacy`.
    pub form: Option<Form>,
    /// `text` sends a numbered text in its place; not beside `form`.
    pub fallback: Option<Fallback>,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    pub delay: Option<Delay>,
}

/// A button of a template: one of `url`, `phoneNumber` and `id` says what it does.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadBody {
    /// What it says.
    pub display_text: String,
    /// The page that it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The number that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// It answers: what the answer names it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A text with a list to choose from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBody {
    /// The session that sends.
    pub token: Token,
    /// A phone number or a full jid, as text or number, or an array of them.
    pub number: Recipients,
    /// 1 to 10 sections with 1 to 100 rows together.
    pub list: Vec<SectionBody>,
    /// The text, 1 to 4,096 bytes.
    pub text: String,
    /// A line above it.
    pub title: String,
    /// What the button that opens the list says.
    pub button_text: String,
    /// A line below the text.
    pub footer: Option<String>,
    /// A page that goes with it, as a button below the list.
    pub link: Option<String>,
    /// In which form it goes out: `nativeFlow` (when absent) or `legacy`.
    pub form: Option<Form>,
    /// `text` sends a numbered text in its place; not beside `form`.
    pub fallback: Option<Fallback>,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    pub delay: Option<Delay>,
}

/// Rows under a title.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SectionBody {
    /// What they have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The rows.
    pub rows: Vec<RowBody>,
}

/// A row to choose.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowBody {
    /// What it says.
    pub title: String,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the answer names it by.
    pub row_id: String,
}

/// A reaction to a message.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReactionBody {
    /// The session that reacts.
    pub token: Token,
    /// The chat of the message: a phone number or a full jid.
    pub number: Recipients,
    /// One emoji; empty takes the reaction back.
    pub text: String,
    /// The message.
    pub key: KeyBody,
}

/// A message to be deleted for everyone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeleteBody {
    /// The session that sent it.
    pub token: Token,
    /// The chat of the message: a phone number or a full jid.
    pub number: Recipients,
    /// The message.
    pub key: KeyBody,
}

/// The name of a message, as answers and events have it under `key`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody {
    /// Its chat.
    pub remote_jid: Option<String>,
    /// Whether the session sent it.
    pub from_me: bool,
    /// Its id.
    pub id: String,
    /// Who wrote it, in groups.
    pub participant: Option<String>,
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
    One(LooseRecipient),
    /// 1 to 100,000.
    Many(Vec<LooseRecipient>),
}

/// Who is sent to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "must be a phone number, or an object with `number`")]
pub enum LooseRecipient {
    /// A number.
    Number(LooseNumber),
    /// A number with what there is to say of it: `number`, `reference`, `variables`, as in `/v1`.
    Whole(Map<String, Value>),
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
    /// In which form buttons or a list go out: `nativeFlow`, `legacy` or `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub form: Option<SentForm>,
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
