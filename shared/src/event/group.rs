//! The `data` of events of groups; every field explained. People are told by number where that is known, and by hidden id.

use schemars::JsonSchema;
use serde::Serialize;

use crate::job::{GroupMetadata, LinkedGroup};
use crate::named::named;

/// The account is in a group: it was made, or the account was added to it or joined it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupJoined {
    /// Who did what, and when.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// The group, as it is.
    pub group: GroupMetadata,
    /// WhatsApp's word for how that came, such as `invite` by a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A group is otherwise than before. Of what may change, the one thing that did is there.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupUpdate {
    /// Who did what, and when.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is said about it; null if that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// What became of its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureChange>,
    /// The id of the new picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_id: Option<String>,
    /// Whether only admins write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<bool>,
    /// Whether only admins change name, picture and description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrict: Option<bool>,
    /// Whether any member adds others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_may_add: Option<bool>,
    /// Whether an admin has to let in who comes by a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks_to_join: Option<bool>,
    /// After how many seconds messages disappear; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disappearing_seconds: Option<u32>,
    /// The link was revoked; this is the code of the new one, `null` where WhatsApp does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<Option<String>>,
}

/// Something became of people in a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupParticipants {
    /// Who did what, and when.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// What.
    pub action: ParticipantsAction,
    /// Of whom.
    pub participants: Vec<GroupPerson>,
    /// WhatsApp's word for how that came, such as `invite` by a link, `linked_group_join` by a community.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something became of people who ask to be let into a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupJoinRequest {
    /// Who did what, and when.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// What.
    pub action: RequestAction,
    /// Of whom.
    pub participants: Vec<GroupPerson>,
    /// How they came: `invite_link`, `linked_group_join`, `non_admin_add`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// The account is not in a group any more, or the group is no more.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupGone {
    /// Who did what, and when.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// How.
    pub cause: GoneCause,
    /// WhatsApp's word for why, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Groups became part of a community, or are no more.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupLink {
    /// Who did what, and when; `id` is whose members are told.
    #[serde(flatten)]
    pub change: GroupChangeHeader,
    /// What.
    pub action: LinkAction,
    /// What `groups` are to this one.
    pub relation: LinkRelation,
    /// Which.
    pub groups: Vec<LinkedGroup>,
    /// WhatsApp's word for how that came, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which group, who did it, and when: what all events of groups begin with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupChangeHeader {
    /// The group's jid.
    pub id: String,
    /// WhatsApp's id of the change: the same if WhatsApp tells it again, which is another event.
    pub change_id: String,
    /// Who did it, where WhatsApp says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<GroupPerson>,
    /// The name that they go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_name: Option<String>,
    /// Whether the group names people by hidden id (`lid`) or by number (`pn`), where WhatsApp says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// Somebody, by all names that are known.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupPerson {
    /// Their jid, by number where that is known.
    pub id: String,
    /// Their hidden id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Their phone number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

named! {
    /// What became of a group's picture.
    PictureChange {
        /// There is another one.
        Changed = "changed",
        /// There is none.
        Removed = "removed",
    }
}

named! {
    /// What became of people in a group.
    ParticipantsAction {
        /// They came.
        Add = "add",
        /// Somebody removed them.
        Remove = "remove",
        /// They left.
        Leave = "leave",
        /// They are admins.
        Promote = "promote",
        /// They are admins no more.
        Demote = "demote",
        /// They have another number: `participants` names them by the one before, `author` by the new one.
        Modify = "modify",
    }
}

named! {
    /// How the account came to be in a group no more.
    GoneCause {
        /// The group was deleted.
        Deleted = "deleted",
        /// The account left, on any of its devices.
        Left = "left",
        /// Somebody removed it.
        Removed = "removed",
    }
}

named! {
    /// What became of the groups of a community.
    LinkAction {
        /// They are part of it.
        Linked = "linked",
        /// They are not any more.
        Unlinked = "unlinked",
    }
}

named! {
    /// What other groups are to the one that is told of.
    LinkRelation {
        /// Groups of this community.
        Group = "group",
        /// The community of this group.
        Community = "community",
        /// Other groups of the same community.
        Sibling = "sibling",
    }
}

named! {
    /// What became of people who ask to be let into a group.
    RequestAction {
        /// They ask.
        Created = "created",
        /// They ask no more.
        Revoked = "revoked",
        /// An admin turned them away.
        Rejected = "rejected",
    }
}

impl GroupUpdate {
    /// Of which nothing has changed yet.
    pub const fn new(change: GroupChangeHeader) -> Self {
        Self {
            change,
            subject: None,
            description: None,
            picture: None,
            picture_id: None,
            announce: None,
            restrict: None,
            all_may_add: None,
            asks_to_join: None,
            disappearing_seconds: None,
            invite_code: None,
        }
    }
}
