//! An event to come to.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use time::OffsetDateTime;

use super::kind::{Kind, Texts, check_some, check_text, object};
use super::location::Location;
use super::template::check_url;
use crate::body::{JobError, Moment};
use crate::clock::unix_millis;

/// Most bytes of an event's name.
const NAME_MAX_BYTES: usize = 256;
/// Most bytes of what it is about.
const DESCRIPTION_MAX_BYTES: usize = 4_096;

/// An event to come to.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventInvitation {
    /// What it is called, 1 to 256 bytes.
    pub name: String,
    /// What it is about, 1 to 4,096 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it starts, to the second: a time with its offset, or milliseconds since 1970.
    #[schemars(with = "Moment")]
    pub starts_at: Instant,
    /// When it ends, as `startsAt`.
    #[schemars(with = "Option<Moment>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Instant>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Where to call in: http or https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_link: Option<String>,
    /// Whether guests may bring others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extra_guests_allowed: bool,
    /// It does not take place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
}

/// A point in time, stored as milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Instant(OffsetDateTime);

impl Instant {
    /// Seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(unix_millis(self.0))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = Moment::deserialize(deserializer)?;
        moment.time().map(Self).map_err(de::Error::custom)
    }
}

impl Kind for EventInvitation {
    fn message_type(&self) -> &'static str {
        "eventMessage"
    }

    fn message(&self) -> Value {
        object([
            ("name", self.name.clone().into()),
            ("description", self.description.clone().into()),
            ("startTime", self.starts_at.unix_seconds().into()),
            ("endTime", self.ends_at.map(Instant::unix_seconds).into()),
            ("location", self.location.as_ref().map(Kind::message).into()),
            ("joinLink", self.join_link.clone().into()),
            ("extraGuestsAllowed", self.extra_guests_allowed.into()),
            ("isCanceled", self.canceled.into()),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        check_text("name", &self.name, NAME_MAX_BYTES)?;
        check_some("description", self.description.as_deref(), DESCRIPTION_MAX_BYTES)?;
        if self.ends_at.is_some_and(|end| end < self.starts_at) {
            return Err(JobError::new("endsAt", "must not be before startsAt"));
        }
        if let Some(place) = &self.location {
            place.check().map_err(|error| error.within("location"))?;
        }
        match &self.join_link {
            Some(link) => check_url("joinLink", link),
            None => Ok(()),
        }
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("name"), &mut self.name);
        texts.some(format_args!("description"), &mut self.description);
        if let Some(place) = &mut self.location {
            texts.within(format_args!("location"), |texts| place.texts(texts));
        }
        texts.some(format_args!("joinLink"), &mut self.join_link);
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"event","name":"Opening","description":"Come!","startsAt":1798099200000,"endsAt":1798106400000,"location":{"latitude":-23.5,"longitude":-46.5,"name":"Sé"},"joinLink":"https://example.com/call"}"#,
    fingerprint: "cbe819127307b672db2404a5f227757c9b975d03bc11ac4f072695c487a038a4",
    shown: r#"{"eventMessage":{"name":"Opening","description":"Come!","startTime":1798099200,"endTime":1798106400,"location":{"degreesLatitude":-23.5,"degreesLongitude":-46.5,"name":"Sé"},"joinLink":"https://example.com/call","extraGuestsAllowed":false,"isCanceled":false}}"#,
    refused: &[
        (
            r#"{"type":"event","name":"Opening"}"#,
            "message.startsAt: is required",
        ),
        (
            r#"{"type":"event","name":"Opening","startsAt":"tomorrow"}"#,
            "message.startsAt: must be a time with its offset, such as 2026-12-24T09:00:00+01:00, or milliseconds since 1970",
        ),
        (
            r#"{"type":"event","name":"Opening","startsAt":1000,"endsAt":0}"#,
            "message.endsAt: must not be before startsAt",
        ),
        (
            r#"{"type":"event","name":"Opening","startsAt":1000,"location":{"latitude":99,"longitude":0}}"#,
            "message.location.latitude: must be -90 to 90",
        ),
        (
            r#"{"type":"event","name":"Opening","startsAt":1000,"joinLink":"call me"}"#,
            "message.joinLink: must be an address that begins with http:// or https://",
        ),
    ],
};
