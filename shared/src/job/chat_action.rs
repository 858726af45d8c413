//! What is done to chats, messages, contacts and labels on all devices of an account: one job, whose `action` says which.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use super::action::check_fields;
use crate::body::{self, JobError, Moment};
use crate::clock::unix_millis;
use crate::id::StanzaId;
use crate::named::named;
use crate::recipient::{Number, NumberKind};

/// Most characters of a name in the address book, and of a label.
pub const CONTACT_NAME_MAX: usize = 100;
/// Most digits of a label's id.
pub const LABEL_ID_MAX: usize = 20;

named! {
    /// What is done to a chat, a message, a contact or a label.
    ChatAction {
        /// Put a chat into the archive; it is not pinned any more. Needs `chat`.
        Archive = "archive",
        /// Take a chat out of the archive. Needs `chat`.
        Unarchive = "unarchive",
        /// Pin a chat above the others. Needs `chat`.
        Pin = "pin",
        /// Pin a chat no more. Needs `chat`.
        Unpin = "unpin",
        /// Have a chat make no sound. Needs `chat`; `until` for a time, without it for good.
        Mute = "mute",
        /// Have a chat make a sound again. Needs `chat`.
        Unmute = "unmute",
        /// Mark a chat as read on the account's devices; those who wrote there are told nothing. Needs `chat`.
        Read = "read",
        /// Mark a chat as unread. Needs `chat`.
        Unread = "unread",
        /// Delete all messages of a chat from the account's devices, and keep the chat. Needs `chat`.
        Clear = "clear",
        /// Delete a chat from the account's devices. Needs `chat`.
        Delete = "delete",
        /// Delete a message from the account's devices; others keep it. Needs `chat` and `message`.
        DeleteMessage = "delete-message",
        /// Star a message. Needs `chat` and `message`.
        Star = "star",
        /// Star a message no more. Needs `chat` and `message`.
        Unstar = "unstar",
        /// Have somebody in the address book. Needs `chat`, a phone number, and `name`; `firstName` for what they are called in short.
        SaveContact = "save-contact",
        /// Take somebody out of the address book. Needs `chat`, a phone number.
        RemoveContact = "remove-contact",
        /// Make a label, or change it. Needs `label`, `name` and `color`.
        EditLabel = "edit-label",
        /// Delete a label. Needs `label`.
        DeleteLabel = "delete-label",
        /// Give a chat, or with `message` a message, a label. Needs `label` and `chat`.
        Label = "label",
        /// Take a label away. Needs `label` and `chat`; `message` for that of a message.
        Unlabel = "unlabel",
    }
}

/// A job on a chat, a message, a contact or a label: the action, and what it needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatActionJob {
    /// What to do.
    pub action: ChatAction,
    /// Which chat, or whom: a phone number or a jid, of a group too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Number>,
    /// Which message of the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageName>,
    /// Until when a chat makes no sound: a time with its offset, or milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// What somebody is called in the address book, or a label says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What somebody is called in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The id of a label: digits. One that is new makes a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The number of a label's colour, 0 to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<u8>,
}

/// A message of a chat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageName {
    /// Its id.
    pub id: StanzaId,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, of a message of somebody else in a group: a phone number or a jid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<Number>,
}

/// A moment in time: ISO 8601 with its offset, or milliseconds since 1970; written as the latter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Until(OffsetDateTime);

impl Until {
    /// The time.
    pub const fn time(self) -> OffsetDateTime {
        self.0
    }
}

impl Serialize for Until {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(unix_millis(self.0))
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment = Moment::deserialize(deserializer)?;
        moment.time().map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Until {
    fn schema_name() -> Cow<'static, str> {
        Moment::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Moment::json_schema(generator)
    }
}

impl ChatActionJob {
    /// A job on a chat that needs nothing else.
    pub const fn new(action: ChatAction, chat: Option<Number>) -> Self {
        Self {
            action,
            chat,
            message: None,
            until: None,
            name: None,
            first_name: None,
            label: None,
            color: None,
        }
    }

    /// Parses a body.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        let job: Self = body::parse(body)?;
        check_fields(job.action.as_str(), fields(job.action), &job.given())?;
        job.check_values()?;
        Ok(job)
    }

    fn given(&self) -> [(&'static str, bool); 7] {
        [
            ("chat", self.chat.is_some()),
            ("message", self.message.is_some()),
            ("until", self.until.is_some()),
            ("name", self.name.is_some()),
            ("firstName", self.first_name.is_some()),
            ("label", self.label.is_some()),
            ("color", self.color.is_some()),
        ]
    }

    fn check_values(&self) -> Result<(), JobError> {
        use ChatAction as A;
        let is_phone = |chat: &Number| chat.kind() == NumberKind::Phone;
        let is_of_contact = matches!(self.action, A::SaveContact | A::RemoveContact);
        if is_of_contact && !self.chat.as_ref().is_some_and(is_phone) {
            return Err(JobError::new("chat", "must be a phone number"));
        }
        for (field, text) in [("name", &self.name), ("firstName", &self.first_name)] {
            let is_bad = |text: &String| text.chars().count() > CONTACT_NAME_MAX || text.trim().is_empty();
            if text.as_ref().is_some_and(is_bad) {
                let problem = format!("must be 1 to {CONTACT_NAME_MAX} characters");
                return Err(JobError::new(field, problem));
            }
        }
        let is_id = |id: &String| {
            (1..=LABEL_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit())
        };
        if self.label.as_ref().is_some_and(|id| !is_id(id)) {
            let problem = format!("must be 1 to {LABEL_ID_MAX} digits");
            return Err(JobError::new("label", problem));
        }
        if self.color.is_some_and(|color| color > COLOR_MAX) {
            return Err(JobError::new("color", format!("must be 0 to {COLOR_MAX}")));
        }
        self.check_message()
    }

    /// In a group it must be said who wrote a message.
    fn check_message(&self) -> Result<(), JobError> {
        let Some(message) = &self.message else {
            return Ok(());
        };
        let in_group = self
            .chat
            .as_ref()
            .is_some_and(|chat| chat.kind() == NumberKind::Group);
        let is_needed = in_group && !message.from_me;
        let (field, is_there) = ("message.participant", message.participant.is_some());
        match (is_needed, is_there) {
            (true, false) => Err(JobError::new(
                field,
                "is needed for a message of somebody in a group",
            )),
            (false, true) => Err(JobError::new(
                field,
                "is only for a message of somebody else in a group",
            )),
            _ => Ok(()),
        }
    }
}

/// The highest number of a colour.
const COLOR_MAX: u8 = 19;

/// What an action needs, and what it may have.
const fn fields(action: ChatAction) -> [&'static [&'static str]; 2] {
    use ChatAction as A;
    match action {
        A::Archive | A::Unarchive | A::Pin | A::Unpin | A::Unmute => [&["chat"], &[]],
        A::Read | A::Unread | A::Clear | A::Delete | A::RemoveContact => [&["chat"], &[]],
        A::Mute => [&["chat"], &["until"]],
        A::DeleteMessage | A::Star | A::Unstar => [&["chat", "message"], &[]],
        A::SaveContact => [&["chat", "name"], &["firstName"]],
        A::EditLabel => [&["label", "name", "color"], &[]],
        A::DeleteLabel => [&["label"], &[]],
        A::Label | A::Unlabel => [&["label", "chat"], &["message"]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ChatActionJob, String> {
        ChatActionJob::parse(body.as_bytes()).map_err(|error| format!("{}: {}", error.field, error.problem))
    }

    #[test]
    fn each_action_takes_what_it_needs_and_nothing_else() {
        for body in [
            r#"{"action":"archive","chat":"5531900000001"}"#,
            r#"{"action":"mute","chat":"1203630001@g.us","until":"2026-12-24T09:00:00+01:00"}"#,
            r#"{"action":"mute","chat":"98765@lid","until":1790000000000}"#,
            r#"{"action":"star","chat":"5531900000001","message":{"id":"3EB0","fromMe":true}}"#,
            r#"{"action":"delete-message","chat":"1203630001@g.us","message":{"id":"3EB0","fromMe":false,"participant":"5531900000001"}}"#,
            r#"{"action":"save-contact","chat":"5531900000001","name":"Ana Silva","firstName":"Ana"}"#,
            r#"{"action":"edit-label","label":"7","name":"New","color":3}"#,
            r#"{"action":"label","label":"7","chat":"5531900000001"}"#,
        ] {
            let job = parse(body).unwrap();
            let again = body::to_vec(&job);
            assert_eq!(parse(std::str::from_utf8(&again).unwrap()), Ok(job), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (body, problem) in [
            (r#"{"action":"archive"}"#, "chat: is needed to archive"),
            (
                r#"{"action":"pin","chat":"5531900000001","until":1}"#,
                "until: is not a field of pin",
            ),
            (
                r#"{"action":"save-contact","chat":"1203630001@g.us","name":"Ana"}"#,
                "chat: must be a phone number",
            ),
            (
                r#"{"action":"save-contact","chat":"5531900000001","name":" "}"#,
                "name: must be 1 to 100 characters",
            ),
            (
                r#"{"action":"star","chat":"1203630001@g.us","message":{"id":"3EB0","fromMe":false}}"#,
                "message.participant: is needed for a message of somebody in a group",
            ),
            (
                r#"{"action":"delete-label","label":"new"}"#,
                "label: must be 1 to 20 digits",
            ),
            (
                r#"{"action":"edit-label","label":"1","name":"x","color":20}"#,
                "color: must be 0 to 19",
            ),
        ] {
            assert_eq!(parse(body), Err(problem.to_owned()));
        }
        for (body, field) in [
            (
                r#"{"action":"mute","chat":"5531900000001","until":"soon"}"#,
                "until",
            ),
            (r#"{"action":"dance"}"#, "action"),
        ] {
            assert!(parse(body).unwrap_err().starts_with(field), "{body}");
        }
    }
}
