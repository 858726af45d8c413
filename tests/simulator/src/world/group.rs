//! A group as the server keeps it, and what tests make of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use whatsapp::group::request::GroupSetting;
use whatsapp::group::{Description, Role};

use crate::number::{Addressing, Number};

/// A group. Its name in the world is the user part of its address.
pub(super) struct Group {
    pub(super) subject: String,
    pub(super) created: u64,
    pub(super) owner: Number,
    pub(super) addressing: Addressing,
    pub(super) description: Option<Description>,
    pub(super) announce: bool,
    pub(super) locked: bool,
    pub(super) disappearing: u32,
    pub(super) all_may_add: bool,
    pub(super) asks_to_join: bool,
    pub(super) members: BTreeMap<Number, Role>,
    pub(super) applicants: BTreeMap<Number, u64>,
    pub(super) code: String,
    /// The id of its picture.
    pub(super) picture: Option<u64>,
    /// The community that it is in.
    pub(super) community: Option<String>,
    pub(super) kind: GroupKind,
}

impl Group {
    /// Whether somebody may write.
    pub(super) fn lets_write(&self, who: Number) -> bool {
        self.members
            .get(&who)
            .is_some_and(|role| !self.announce || *role != Role::Member)
    }
}

/// A group that a test makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// Its name.
    pub subject: String,
    /// Who is in it; the first made it and is its admin.
    pub members: Vec<String>,
    /// How its stanzas name people: `lid` (default) or `pn`.
    #[serde(default)]
    pub addressing: GroupAddressing,
    /// The community that it is in.
    #[serde(default)]
    pub community: Option<String>,
    /// What it is: `group` (default), `community`, or `announcements`, in which only admins write.
    #[serde(default)]
    pub kind: GroupKind,
}

/// What a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// A group, of a community or not.
    #[default]
    Group,
    /// A community.
    Community,
    /// The group of its community that everybody is in.
    Announcements,
}

/// How the stanzas of a group name people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupAddressing {
    /// By hidden id.
    #[default]
    Lid,
    /// By number.
    Pn,
}

impl From<GroupAddressing> for Addressing {
    fn from(addressing: GroupAddressing) -> Self {
        match addressing {
            GroupAddressing::Lid => Self::Lid,
            GroupAddressing::Pn => Self::Pn,
        }
    }
}

/// What a test does to a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// Who joins, each by themselves.
    #[serde(default)]
    pub join: Vec<String>,
    /// Who leaves, each by themselves.
    #[serde(default)]
    pub leave: Vec<String>,
    /// Whom its owner adds.
    #[serde(default)]
    pub add: Vec<String>,
    /// Whom its owner removes.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Who becomes an admin.
    #[serde(default)]
    pub promote: Vec<String>,
    /// Who is an admin no more.
    #[serde(default)]
    pub demote: Vec<String>,
    /// Who asks to be let in.
    #[serde(default)]
    pub ask: Vec<String>,
    /// Who asks no more.
    #[serde(default)]
    pub withdraw: Vec<String>,
    /// Whom its owner turns away.
    #[serde(default)]
    pub reject: Vec<String>,
    /// Another name.
    #[serde(default)]
    pub subject: Option<String>,
    /// What is said about it; empty for nothing.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether it has a picture from now on, another one.
    #[serde(default)]
    pub picture: Option<bool>,
    /// Whether only admins write.
    #[serde(default)]
    pub announce: Option<bool>,
    /// Whether only admins change it.
    #[serde(default)]
    pub locked: Option<bool>,
    /// After how many seconds messages disappear; 0 for never.
    #[serde(default)]
    pub disappearing: Option<u32>,
    /// Whether any member adds others.
    #[serde(default)]
    pub all_may_add: Option<bool>,
    /// Whether an admin has to let in who comes by the link.
    #[serde(default)]
    pub asks_to_join: Option<bool>,
    /// Its link gets another code.
    #[serde(default)]
    pub revoke_invite: bool,
    /// Groups that become part of this community.
    #[serde(default)]
    pub link: Vec<String>,
    /// Groups that are not part of it any more.
    #[serde(default)]
    pub unlink: Vec<String>,
    /// A member has another number.
    #[serde(default)]
    pub renumber: Option<Renumbering>,
    /// The group is no more, when all else is done.
    #[serde(default)]
    pub delete: bool,
    /// Another kind of name; nobody is told.
    #[serde(default)]
    pub addressing: Option<GroupAddressing>,
}

/// A member of a group has another number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renumbering {
    /// The one before.
    pub from: String,
    /// The one that they have now.
    pub to: String,
}

/// A group as `GET /groups/{jid}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct GroupShown {
    /// Its address.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// What is said about it.
    pub description: Option<String>,
    /// Only admins write.
    pub announce: bool,
    /// Only admins change it.
    pub locked: bool,
    /// After how many seconds messages disappear; 0 for never.
    pub disappearing: u32,
    /// The code of its link.
    pub code: String,
    /// Numbers of its members.
    pub members: Vec<String>,
    /// Those of them who are admins.
    pub admins: Vec<String>,
    /// Who asks to be let in.
    pub applicants: Vec<String>,
}

impl Group {
    /// Changes how it works.
    pub(super) fn set(&mut self, setting: GroupSetting) {
        match setting {
            GroupSetting::Announce(announce) => self.announce = announce,
            GroupSetting::Locked(locked) => self.locked = locked,
            GroupSetting::Disappearing(seconds) => self.disappearing = seconds,
            GroupSetting::AllMayAdd(all) => self.all_may_add = all,
            GroupSetting::AsksToJoin(asks) => self.asks_to_join = asks,
        }
    }
}
