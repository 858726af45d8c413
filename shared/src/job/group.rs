//! What is asked about groups and done with them: one job, whose `action` says which.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::action::check_fields;
use crate::body::{self, JobError};
use crate::named::named;
use crate::recipient::{Number, NumberKind};

/// Most people of one request.
pub const GROUP_PEOPLE_MAX: usize = 256;
/// Most characters of a group's name.
pub const GROUP_SUBJECT_MAX: usize = 100;
/// Most characters of what is said about a group.
pub const GROUP_TEXT_MAX: usize = 2048;
/// Most characters of the code of a link.
pub const GROUP_CODE_MAX: usize = 64;
/// After how many seconds messages may disappear; 0 is never.
pub const DISAPPEARING_SECONDS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];

named! {
    /// What is asked about a group, or done with it.
    GroupAction {
        /// All groups of the account. Needs nothing.
        List = "list",
        /// What a group is and who is in it. Needs `group`.
        Metadata = "metadata",
        /// Make a group. Needs `subject`; `participants` are added.
        Create = "create",
        /// Change the name. Needs `group` and `subject`.
        Subject = "subject",
        /// Change what is said about it; without `text` that is removed. Needs `group`.
        Description = "description",
        /// Add people. Needs `group` and `participants`.
        Add = "add",
        /// Remove people. Needs `group` and `participants`.
        Remove = "remove",
        /// Make people admins. Needs `group` and `participants`.
        Promote = "promote",
        /// Make admins members. Needs `group` and `participants`.
        Demote = "demote",
        /// The link. Needs `group`.
        Invite = "invite",
        /// Another link; the one before leads nowhere from then on. Needs `group`.
        RevokeInvite = "revoke-invite",
        /// What a link leads to. Needs `code`.
        InviteInfo = "invite-info",
        /// Join by a link. Needs `code`.
        Join = "join",
        /// Whether only admins write. Needs `group` and `on`.
        Announce = "announce",
        /// Whether only admins change name, picture and description. Needs `group` and `on`.
        Locked = "locked",
        /// Whether any member adds others. Needs `group` and `on`.
        AllMayAdd = "all-may-add",
        /// Whether an admin has to let in who comes by a link. Needs `group` and `on`.
        AsksToJoin = "asks-to-join",
        /// After how many seconds messages disappear. Needs `group` and `seconds`.
        Disappearing = "disappearing",
        /// Leave. Needs `group`.
        Leave = "leave",
        /// Who asks to be let in. Needs `group`.
        Requests = "requests",
        /// Let in. Needs `group` and `participants`.
        Approve = "approve",
        /// Turn away. Needs `group` and `participants`.
        Reject = "reject",
        /// The groups of a community. Needs `group`: the community.
        Linked = "linked",
    }
}

/// A job about a group: the action, and what it needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupJob {
    /// What to ask or do.
    pub action: GroupAction,
    /// Which group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// A name, of at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is said about the group, in at most 2048 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// People, at most 256: phone numbers, or jids (@s.whatsapp.net, @lid).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub participants: Vec<Person>,
    /// The code of a link, or the whole link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// Seconds: 0 (never), 86400, 604800 or 7776000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// A group (`…@g.us`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct GroupId(pub Number);

impl<'de> Deserialize<'de> for GroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        match number.kind() {
            NumberKind::Group => Ok(Self(number)),
            _ => Err(serde::de::Error::custom("must be a group (…@g.us)")),
        }
    }
}

/// Somebody: a phone number or a hidden id.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Person(pub Number);

impl<'de> Deserialize<'de> for Person {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        match number.kind() {
            NumberKind::Group => Err(serde::de::Error::custom("must be a person, not a group")),
            _ => Ok(Self(number)),
        }
    }
}

impl GroupJob {
    /// A job that needs nothing but a group.
    pub fn of(action: GroupAction, group: GroupId) -> Self {
        Self {
            group: Some(group),
            ..Self::new(action)
        }
    }

    /// A job that needs nothing.
    pub const fn new(action: GroupAction) -> Self {
        Self {
            action,
            group: None,
            subject: None,
            text: None,
            participants: Vec::new(),
            code: None,
            on: None,
            seconds: None,
        }
    }

    /// Parses a body.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        let mut job: Self = body::parse(body)?;
        check_fields(job.action.as_str(), fields(job.action), &job.given())?;
        job.check_texts()?;
        if let Some(code) = &mut job.code {
            let bare = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            *code = bare.to_owned();
        }
        Ok(job)
    }

    fn given(&self) -> [(&'static str, bool); 7] {
        [
            ("group", self.group.is_some()),
            ("subject", self.subject.is_some()),
            ("text", self.text.is_some()),
            ("participants", !self.participants.is_empty()),
            ("code", self.code.is_some()),
            ("on", self.on.is_some()),
            ("seconds", self.seconds.is_some()),
        ]
    }

    fn check_texts(&self) -> Result<(), JobError> {
        let texts = [
            ("subject", &self.subject, GROUP_SUBJECT_MAX),
            ("text", &self.text, GROUP_TEXT_MAX),
            ("code", &self.code, GROUP_CODE_MAX),
        ];
        for (field, text, max) in texts {
            let is_bad = |text: &String| text.trim().is_empty() || text.chars().count() > max;
            if text.as_ref().is_some_and(is_bad) {
                return Err(JobError::new(field, format!("must be 1 to {max} characters")));
            }
        }
        if self.participants.len() > GROUP_PEOPLE_MAX {
            let problem = format!("must name at most {GROUP_PEOPLE_MAX} people");
            return Err(JobError::new("participants", problem));
        }
        if self
            .seconds
            .is_some_and(|seconds| !DISAPPEARING_SECONDS.contains(&seconds))
        {
            return Err(JobError::new("seconds", "must be 0, 86400, 604800 or 7776000"));
        }
        Ok(())
    }
}

/// What an action needs, and what it may have.
const fn fields(action: GroupAction) -> [&'static [&'static str]; 2] {
    use GroupAction as A;
    match action {
        A::List => [&[], &[]],
        A::Metadata | A::Invite | A::RevokeInvite | A::Leave | A::Requests | A::Linked => [&["group"], &[]],
        A::Create => [&["subject"], &["participants"]],
        A::Subject => [&["group", "subject"], &[]],
        A::Description => [&["group"], &["text"]],
        A::Add | A::Remove | A::Promote | A::Demote | A::Approve | A::Reject => {
            [&["group", "participants"], &[]]
        }
        A::InviteInfo | A::Join => [&["code"], &[]],
        A::Announce | A::Locked | A::AllMayAdd | A::AsksToJoin => [&["group", "on"], &[]],
        A::Disappearing => [&["group", "seconds"], &[]],
    }
}

/// What came of a job about groups; what is not of its action is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupAnswer {
    /// The group, as it is (`metadata`, `create`, `invite-info`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupMetadata>,
    /// All groups (`list`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupMetadata>>,
    /// What became of each (`add`, `remove`, `promote`, `demote`, `approve`, `reject`); of `create`, who is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants: Option<Vec<ParticipantOutcome>>,
    /// The code of the link (`invite`, `revoke-invite`): `https://chat.whatsapp.com/<code>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The group that a link led to (`join`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// Of `join`: an admin has to let the account in first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Who asks to be let in (`requests`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<JoinRequest>>,
    /// The groups of a community (`linked`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<Vec<LinkedGroup>>,
}

/// A group of a community.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkedGroup {
    /// Its jid.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// It is the one that everybody of the community is in, and only admins write in.
    pub is_announcement_group: bool,
}

/// A group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMetadata {
    /// Its jid.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// When it was made, in unix seconds.
    pub creation: Option<u64>,
    /// Who made it, by number where that is known.
    pub owner: Option<String>,
    /// What is said about it.
    pub description: Option<String>,
    /// Only admins change name, picture and description.
    pub restrict: bool,
    /// Only admins write.
    pub announce: bool,
    /// Any member adds others.
    pub all_may_add: bool,
    /// An admin has to let in who comes by a link.
    pub asks_to_join: bool,
    /// After how many seconds messages disappear; null for never.
    pub disappearing_seconds: Option<u32>,
    /// The community that it is in.
    pub community: Option<String>,
    /// It is a community itself: its groups are told by `linked`.
    #[serde(default)]
    pub is_community: bool,
    /// It is the group of its community that everybody is in, and only admins write in.
    #[serde(default)]
    pub is_announcement_group: bool,
    /// Whether its messages name people by hidden id (`lid`) or by number (`pn`).
    pub addressing: String,
    /// How many are in it.
    pub size: u32,
    /// Who is in it; not all, where a link was asked for.
    pub participants: Vec<GroupParticipant>,
}

/// Somebody in a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupParticipant {
    /// Their jid, by number where that is known.
    pub id: String,
    /// Their hidden id, where it is known.
    pub lid: Option<String>,
    /// `admin`, `superadmin`, or null.
    pub admin: Option<String>,
}

/// What became of one of several people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantOutcome {
    /// Their jid, by number where that is known.
    pub id: String,
    /// Their hidden id, where it is known.
    pub lid: Option<String>,
    /// 200 if it is done; else WhatsApp's code: 401 they block the account, 403 they let nobody add them, 404 they are not
    /// on WhatsApp or not in the group, 408 they left a moment ago, 409 they are in it already, 419 it is full.
    pub status: u16,
    /// What WhatsApp hands out for somebody who lets nobody add them: it can be sent to them in place of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<PersonalInvite>,
}

/// An invitation for one person.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonalInvite {
    /// What shows that they were invited.
    pub code: String,
    /// Until when it counts, in unix seconds.
    pub expires: Option<u64>,
}

/// Somebody who asks to be let in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinRequest {
    /// Their jid, by number where that is known.
    pub id: String,
    /// Their hidden id, where it is known.
    pub lid: Option<String>,
    /// Since when, in unix seconds.
    pub since: Option<u64>,
    /// How they came: `invite_link`, `linked_group_join`, `non_admin_add`.
    pub method: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<GroupJob, String> {
        GroupJob::parse(body.as_bytes()).map_err(|error| format!("{}: {}", error.field, error.problem))
    }

    #[test]
    fn each_action_takes_what_it_needs_and_nothing_else() {
        for body in [
            r#"{"action":"list"}"#,
            r#"{"action":"metadata","group":"1203630001@g.us"}"#,
            r#"{"action":"create","subject":"Friends"}"#,
            r#"{"action":"description","group":"1203630001@g.us"}"#,
            r#"{"action":"add","group":"1203630001@g.us","participants":["5531900000001","98765@lid"]}"#,
            r#"{"action":"announce","group":"1203630001@g.us","on":true}"#,
            r#"{"action":"disappearing","group":"1203630001@g.us","seconds":86400}"#,
            r#"{"action":"join","code":"https://chat.whatsapp.com/AbCdEfGhIjKlMnOpQrStUv"}"#,
            r#"{"action":"linked","group":"1203630001@g.us"}"#,
        ] {
            let job = parse(body).unwrap();
            assert_eq!(
                parse(std::str::from_utf8(&body::to_vec(&job)).unwrap()),
                Ok(job),
                "{body}"
            );
        }
        assert_eq!(
            parse(r#"{"action":"join","code":"https://chat.whatsapp.com/AbC"}"#)
                .unwrap()
                .code
                .as_deref(),
            Some("AbC")
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (body, field) in [
            (r#"{"action":"metadata"}"#, "group"),
            (r#"{"action":"metadata","group":"5531900000001"}"#, "group"),
            (r#"{"action":"list","group":"1203630001@g.us"}"#, "group"),
            (r#"{"action":"create"}"#, "subject"),
            (r#"{"action":"create","subject":" "}"#, "subject"),
            (r#"{"action":"add","group":"1203630001@g.us"}"#, "participants"),
            (
                r#"{"action":"add","group":"1203630001@g.us","participants":["1-2@g.us"]}"#,
                "participants[0]",
            ),
            (r#"{"action":"locked","group":"1203630001@g.us"}"#, "on"),
            (
                r#"{"action":"disappearing","group":"1203630001@g.us","seconds":5}"#,
                "seconds",
            ),
            (r#"{"action":"join"}"#, "code"),
            (r#"{"action":"dance"}"#, "action"),
        ] {
            let error = GroupJob::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.field, field, "{body}");
        }
    }
}
