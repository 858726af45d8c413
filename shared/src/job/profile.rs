//! What is asked about people and the own account beside messages, and changed of the latter: one job, whose `action` says
//! which.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::check_fields;
use crate::body::{self, JobError};
use crate::named::named;
use crate::recipient::{Number, NumberKind};

/// Most characters of what an account says about itself.
pub const ABOUT_MAX: usize = 139;
/// Most characters of an account's own name.
pub const NAME_MAX: usize = 25;
/// Most bytes of a picture that is set.
pub const PICTURE_MAX_BYTES: usize = 512 * 1024;

named! {
    /// What is asked about somebody or the own account, or changed of it.
    ProfileAction {
        /// Where a picture is. Needs `of`; `full` for the large one.
        Picture = "picture",
        /// What somebody says about themselves. Needs `of`.
        About = "about",
        /// What a business says about itself. Needs `of`.
        Business = "business",
        /// Whom the account blocks. Needs nothing.
        Blocked = "blocked",
        /// What the account lets others know. Needs nothing.
        Privacy = "privacy",
        /// Change such a setting. Needs `setting` and `value`.
        SetPrivacy = "set-privacy",
        /// Change what the account says about itself. Needs `text`.
        SetAbout = "set-about",
        /// Change the account's own name, which others see. Needs `text`.
        SetName = "set-name",
        /// Change the account's picture; with `of`, that of a group. Needs `picture`.
        SetPicture = "set-picture",
        /// Remove the account's picture; with `of`, that of a group. Needs nothing.
        RemovePicture = "remove-picture",
        /// Tell by `presence.update` when somebody is there and writes, until the connection ends. Needs `of`.
        Presence = "presence",
        /// Show in a chat that something is being written. Needs `of` and `typing`.
        Typing = "typing",
    }
}

named! {
    /// What an account lets others know, or do.
    PrivacySetting {
        /// Who sees when it was there last.
        Last = "last",
        /// Who sees that it is there.
        Online = "online",
        /// Who sees its picture.
        Profile = "profile",
        /// Who sees what it says about itself.
        Status = "status",
        /// Who adds it to groups.
        GroupAdd = "groupadd",
        /// Whether it tells what it has read.
        ReadReceipts = "readreceipts",
        /// Who calls it.
        CallAdd = "calladd",
    }
}

named! {
    /// Who it is for.
    PrivacyValue {
        /// Everybody.
        All = "all",
        /// Contacts.
        Contacts = "contacts",
        /// Contacts but for those that the phone names.
        ContactBlacklist = "contact_blacklist",
        /// Of `online`: as `last`.
        MatchLastSeen = "match_last_seen",
        /// Of `calladd`: those that the account knows.
        Known = "known",
        /// Nobody.
        None = "none",
    }
}

named! {
    /// What is being written.
    TypingState {
        /// A text.
        Composing = "composing",
        /// A voice note.
        Recording = "recording",
        /// Nothing any more.
        Paused = "paused",
    }
}

/// A job about somebody or the own account: the action, and what it needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileJob {
    /// What to ask or do.
    pub action: ProfileAction,
    /// Whose, or in which chat: a phone number or a jid; of `picture`, `presence` and `typing` also a group. Of `set-picture` and
    /// `remove-picture` a group, or nothing for the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Number>,
    /// Of `picture`: the large one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Which setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<PrivacySetting>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<PrivacyValue>,
    /// A text of at most 139 characters; of `set-name` 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A JPEG in base64, at most 512 KiB of it; square, of 640 × 640 at best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// What is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<TypingState>,
}

impl ProfileJob {
    /// A job about somebody, or that needs nothing.
    pub const fn new(action: ProfileAction, of: Option<Number>) -> Self {
        Self {
            action,
            of,
            full: None,
            setting: None,
            value: None,
            text: None,
            picture: None,
            typing: None,
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

    /// The picture that is to be set, if it is one.
    pub fn jpeg(&self) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(self.picture.as_ref()?).ok()?;
        let is_jpeg = bytes.starts_with(&[0xff, 0xd8, 0xff]);
        (is_jpeg && bytes.len() <= PICTURE_MAX_BYTES).then_some(bytes)
    }

    fn given(&self) -> [(&'static str, bool); 7] {
        [
            ("of", self.of.is_some()),
            ("full", self.full.is_some()),
            ("setting", self.setting.is_some()),
            ("value", self.value.is_some()),
            ("text", self.text.is_some()),
            ("picture", self.picture.is_some()),
            ("typing", self.typing.is_some()),
        ]
    }

    fn check_values(&self) -> Result<(), JobError> {
        let sets_picture = matches!(
            self.action,
            ProfileAction::SetPicture | ProfileAction::RemovePicture
        );
        let takes_groups = sets_picture
            || matches!(
                self.action,
                ProfileAction::Picture | ProfileAction::Presence | ProfileAction::Typing
            );
        let is_group = |of: &Number| of.kind() == NumberKind::Group;
        if sets_picture && self.of.as_ref().is_some_and(|of| !is_group(of)) {
            return Err(JobError::new("of", "must be a group (…@g.us)"));
        }
        if !takes_groups && self.of.as_ref().is_some_and(is_group) {
            return Err(JobError::new("of", "must be a person, not a group"));
        }
        let most = match self.action {
            ProfileAction::SetName => NAME_MAX,
            _ => ABOUT_MAX,
        };
        let is_bad = |text: &String| text.chars().count() > most || text.trim().is_empty();
        if self.text.as_ref().is_some_and(is_bad) {
            return Err(JobError::new("text", format!("must be 1 to {most} characters")));
        }
        if self.picture.is_some() && self.jpeg().is_none() {
            let problem = format!("must be a JPEG in base64, of at most {PICTURE_MAX_BYTES} bytes");
            return Err(JobError::new("picture", problem));
        }
        Ok(())
    }
}

/// What an action needs, and what it may have.
const fn fields(action: ProfileAction) -> [&'static [&'static str]; 2] {
    use ProfileAction as A;
    match action {
        A::Picture => [&["of"], &["full"]],
        A::About | A::Business | A::Presence => [&["of"], &[]],
        A::Blocked | A::Privacy => [&[], &[]],
        A::RemovePicture => [&[], &["of"]],
        A::SetPrivacy => [&["setting", "value"], &[]],
        A::SetAbout | A::SetName => [&["text"], &[]],
        A::SetPicture => [&["picture"], &["of"]],
        A::Typing => [&["of", "typing"], &[]],
    }
}

/// What came of a job about somebody or the own account; what is not there, or may not be seen, is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileAnswer {
    /// Where the picture is (`picture`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// What somebody says about themselves (`about`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// What a business says about itself (`business`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business: Option<Business>,
    /// The jids of those whom the account blocks (`blocked`): mostly hidden ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<String>>,
    /// The settings, by their names (`privacy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<BTreeMap<String, String>>,
}

/// Where a picture is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// Its id: another one is another picture.
    pub id: String,
    /// Where it is, for a while.
    pub url: String,
}

/// What somebody says about themselves.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// The text.
    pub text: String,
    /// Since when, in unix seconds.
    pub since: Option<u64>,
}

/// What a business says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Business {
    /// Where it is.
    pub address: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// How it is written to.
    pub email: Option<String>,
    /// Where it is on the web.
    pub websites: Vec<String>,
    /// What kinds of business it is.
    pub categories: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ProfileJob, String> {
        ProfileJob::parse(body.as_bytes()).map_err(|error| format!("{}: {}", error.field, error.problem))
    }

    #[test]
    fn each_action_takes_what_it_needs_and_nothing_else() {
        for body in [
            r#"{"action":"picture","of":"1203630001@g.us","full":true}"#,
            r#"{"action":"about","of":"5531900000001"}"#,
            r#"{"action":"privacy"}"#,
            r#"{"action":"set-privacy","setting":"last","value":"none"}"#,
            r#"{"action":"set-about","text":"Busy"}"#,
            r#"{"action":"set-name","text":"The shop at the corner"}"#,
            r#"{"action":"set-picture","picture":"/9j/4AAQ"}"#,
            r#"{"action":"typing","of":"98765@lid","typing":"recording"}"#,
        ] {
            let job = parse(body).unwrap();
            let again = body::to_vec(&job);
            assert_eq!(parse(std::str::from_utf8(&again).unwrap()), Ok(job), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let long = "x".repeat(ABOUT_MAX + 1);
        for (body, problem) in [
            (r#"{"action":"picture"}"#, "of: is needed to picture"),
            (
                r#"{"action":"privacy","text":"x"}"#,
                "text: is not a field of privacy",
            ),
            (
                r#"{"action":"about","of":"1203630001@g.us"}"#,
                "of: must be a person, not a group",
            ),
            (
                &format!(r#"{{"action":"set-about","text":"{long}"}}"#),
                "text: must be 1 to 139 characters",
            ),
            (
                r#"{"action":"set-name","text":"The shop at the corner and some"}"#,
                "text: must be 1 to 25 characters",
            ),
            (
                r#"{"action":"set-picture","picture":"aGVsbG8="}"#,
                "picture: must be a JPEG in base64, of at most 524288 bytes",
            ),
        ] {
            assert_eq!(parse(body), Err(problem.to_owned()));
        }
        for (body, field) in [
            (
                r#"{"action":"set-privacy","setting":"shoes","value":"none"}"#,
                "setting",
            ),
            (r#"{"action":"dance"}"#, "action"),
        ] {
            assert!(parse(body).unwrap_err().starts_with(field), "{body}");
        }
    }
}
