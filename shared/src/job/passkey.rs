//! What a passkey signed, as a browser's `PublicKeyCredential.toJSON()` gives it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::body::{self, JobError};

/// Longest part of an assertion, decoded. Those of real passkeys have some hundred bytes.
pub const PASSKEY_PART_MAX_BYTES: usize = 16 * 1024;

/// What a passkey signed. Members beside these, which browsers add, are left out of what WhatsApp gets.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyAnswerJob {
    /// Which passkey.
    pub id: Base64Url,
    /// The same.
    pub raw_id: Base64Url,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: CredentialKind,
    /// What it signed.
    pub response: AssertionResponse,
}

/// The kinds of credentials: there is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// A passkey.
    PublicKey,
}

/// The signed parts of an assertion.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssertionResponse {
    /// What the browser was asked, and on which page.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Base64Url,
    /// Whom it was signed for.
    pub authenticator_data: Base64Url,
    /// The signature.
    pub signature: Base64Url,
    /// Whose passkey it is, where the authenticator says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_handle: Option<Base64Url>,
}

impl PasskeyAnswerJob {
    /// Parses the JSON of an assertion.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        let job: Self = body::parse(body)?;
        if job.id != job.raw_id {
            return Err(JobError::new("rawId", "must be the same as id"));
        }
        Ok(job)
    }
}

/// Bytes, in JSON as base64url with or without padding. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Base64Url(Bytes);

impl Base64Url {
    /// The bytes.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Debug for Base64Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64Url({} bytes)", self.0.len())
    }
}

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a text is no bytes in base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Base64UrlError {
    /// It has other characters, or ends in the middle of a byte.
    #[error("must be base64url")]
    Alphabet,
    /// It holds too few bytes, or too many.
    #[error("must be 1 to {PASSKEY_PART_MAX_BYTES} bytes in base64url")]
    Size,
}

impl FromStr for Base64Url {
    type Err = Base64UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let bytes = bytes.map_err(|_| Base64UrlError::Alphabet)?;
        match (1..=PASSKEY_PART_MAX_BYTES).contains(&bytes.len()) {
            true => Ok(Self(bytes.into())),
            false => Err(Base64UrlError::Size),
        }
    }
}

impl JsonSchema for Base64Url {
    fn schema_name() -> Cow<'static, str> {
        "Base64Url".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes in base64url, with or without padding.",
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+={0,2}$",
        })
    }
}
