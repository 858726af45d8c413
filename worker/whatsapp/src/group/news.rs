//! What the server tells the members of a group of what has changed.
//!
//! Pure translation of notifications; one of them may tell several things.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

use std::fmt;

use super::request::{GroupSetting, LinkedGroup};
use super::{AddressingMode, GroupInfo, Member, Role};
use crate::binary::Node;
use crate::jid::Jid;
use crate::time::Timestamp;

/// Most people of one notification that are read; the rest are left out.
const MAX_PEOPLE: usize = super::MAX_MEMBERS;

/// Most groups of one notification that are read, as many as a community may have.
const MAX_LINKED: usize = 100;

/// One thing that has changed in a group.
///
/// [`fmt::Debug`] tells which group and what kind of thing, and nothing that is written in it.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupNews {
    /// Which group.
    pub group: Jid,
    /// The notification's id: the same if it is told again.
    pub id: String,
    /// When, as the server says.
    pub timestamp: Option<Timestamp>,
    /// Who did it, by both names where they are known; its role is not told.
    pub author: Option<Member>,
    /// The name that they go by.
    pub author_name: Option<String>,
    /// How the group's stanzas name people, where the server says so.
    pub addressing: Option<AddressingMode>,
    /// It waited while we were offline.
    pub offline: bool,
    /// What.
    pub change: GroupChange,
}

/// What has changed.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupChange {
    /// We are in the group: it was made, or we came in.
    Joined {
        /// As it is.
        group: Box<GroupInfo>,
        /// The server's word for how that came: `invite` by a link.
        reason: Option<String>,
    },
    /// Something became of members.
    Members {
        /// What.
        action: MemberNews,
        /// Of whom.
        members: Vec<Member>,
        /// The server's word for how that came: `invite`, `linked_group_join`.
        reason: Option<String>,
    },
    /// It has this name.
    Subject(String),
    /// This is said about it; `None` for nothing.
    Description(Option<String>),
    /// It works otherwise.
    Setting(GroupSetting),
    /// Its link has another code; the one before leads nowhere.
    Invite(Option<String>),
    /// It has another picture, of this id; `None` for none.
    Picture(Option<String>),
    /// It is no more.
    Deleted {
        /// The server's word for why.
        reason: Option<String>,
    },
    /// Groups became part of a community with it, or are no more.
    Links {
        /// Whether they are from now on.
        action: LinkNews,
        /// What they are to this one.
        relation: Relation,
        /// Which.
        groups: Vec<LinkedGroup>,
        /// The server's word for how that came.
        reason: Option<String>,
    },
    /// Something became of those who ask to be let in.
    Requests {
        /// What.
        action: RequestNews,
        /// Of whom.
        people: Vec<Member>,
        /// How they came: `invite_link`, `linked_group_join`, `non_admin_add`.
        method: Option<String>,
    },
}

/// What became of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberNews {
    /// They came.
    Add,
    /// Somebody else removed them.
    Remove,
    /// They left.
    Leave,
    /// They are admins.
    Promote,
    /// They are admins no more.
    Demote,
    /// They have another number: the author is them by the new name.
    Renumber,
}

/// What became of the groups of a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// They are part of it.
    Linked,
    /// They are not any more.
    Unlinked,
}

/// What another group is to the one that is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A group of this community.
    Group,
    /// The community of this group.
    Community,
    /// Another group of the same community.
    Sibling,
}

/// What became of those who ask to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestNews {
    /// They ask.
    Created,
    /// They ask no more.
    Revoked,
    /// An admin turned them away.
    Rejected,
}

impl fmt::Debug for GroupNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.change {
            GroupChange::Joined { .. } => "Joined",
            GroupChange::Members { .. } => "Members",
            GroupChange::Subject(_) => "Subject",
            GroupChange::Description(_) => "Description",
            GroupChange::Setting(_) => "Setting",
            GroupChange::Invite(_) => "Invite",
            GroupChange::Picture(_) => "Picture",
            GroupChange::Requests { .. } => "Requests",
            GroupChange::Deleted { .. } => "Deleted",
            GroupChange::Links { .. } => "Links",
        };
        write!(f, "GroupNews({}, {what})", self.group)
    }
}

impl GroupNews {
    /// All that a notification of a group (`w:gp2`, `picture`) tells; nothing if it is of somebody else, or of what is not
    /// known here.
    #[must_use]
    pub fn parse(stanza: &Node) -> Vec<Self> {
        let Some(group) = stanza.attr_jid("from").filter(Jid::is_group) else {
            return Vec::new();
        };
        let is_picture = stanza.attr_is("type", "picture");
        let children = stanza.nodes().iter();
        let told = children.filter_map(|child| {
            let author = match is_picture {
                true => child.attr_jid("author").map(|author| person(&author, None)),
                false => author(stanza),
            };
            let change = match is_picture {
                true => picture(child)?,
                false => change(child, author.as_ref())?,
            };
            Some(Self {
                group: group.clone(),
                id: text(stanza, "id").unwrap_or_default(),
                timestamp: stanza.attr_u64("t").map(Timestamp::from_secs),
                author,
                author_name: text(stanza, "notify"),
                addressing: addressing(stanza),
                offline: stanza.value("offline").is_some(),
                change,
            })
        });
        told.collect()
    }
}

fn text(node: &Node, name: &str) -> Option<String> {
    node.attr_str(name).map(|text| text.into_owned())
}

fn addressing(stanza: &Node) -> Option<AddressingMode> {
    AddressingMode::from_name(stanza.attr_str("addressing_mode")?.as_ref())
}

/// Who did it, by the other name too where the server tells it.
fn author(stanza: &Node) -> Option<Member> {
    let jid = stanza.attr_jid("participant")?;
    let other = match jid.is_lid() {
        true => "participant_pn",
        false => "participant_lid",
    };
    Some(person(&jid, stanza.attr_jid(other)))
}

fn person(jid: &Jid, other: Option<Jid>) -> Member {
    Member {
        jid: jid.to_bare(),
        other: other.map(|other| other.to_bare()),
        role: Role::Member,
    }
}

fn picture(child: &Node) -> Option<GroupChange> {
    match child.tag() {
        "set" => Some(GroupChange::Picture(text(child, "id"))).filter(|_| child.value("id").is_some()),
        "delete" => Some(GroupChange::Picture(None)),
        _ => None,
    }
}

fn change(child: &Node, author: Option<&Member>) -> Option<GroupChange> {
    let reason = || text(child, "reason");
    Some(match child.tag() {
        "create" => GroupChange::Joined {
            group: Box::new(GroupInfo::parse(child.child("group")?).ok()?),
            reason: reason(),
        },
        "delete" => GroupChange::Deleted { reason: reason() },
        "link" => links(child, LinkNews::Linked, "link_type")?,
        "unlink" => links(child, LinkNews::Unlinked, "unlink_type")?,
        "add" | "remove" | "promote" | "demote" | "modify" => {
            let members = people(child, "participant");
            let is_author = |member: &Member| author.is_some_and(|author| is_same(author, member));
            GroupChange::Members {
                action: match child.tag() {
                    "add" => MemberNews::Add,
                    "promote" => MemberNews::Promote,
                    "demote" => MemberNews::Demote,
                    "modify" => MemberNews::Renumber,
                    _ if members.iter().all(is_author) => MemberNews::Leave,
                    _ => MemberNews::Remove,
                },
                members,
                reason: reason(),
            }
        }
        "subject" => GroupChange::Subject(text(child, "subject")?),
        "description" => GroupChange::Description(
            child
                .child("body")
                .and_then(Node::text)
                .map(|text| text.into_owned()),
        ),
        "invite" => GroupChange::Invite(text(child, "code")),
        "created_membership_requests" => GroupChange::Requests {
            action: RequestNews::Created,
            people: people(child, "requested_user"),
            method: text(child, "request_method"),
        },
        "revoked_membership_requests" => {
            let people = people(child, "participant");
            let is_author = |member: &Member| author.is_some_and(|author| is_same(author, member));
            GroupChange::Requests {
                action: match people.iter().all(is_author) {
                    true => RequestNews::Revoked,
                    false => RequestNews::Rejected,
                },
                people,
                method: None,
            }
        }
        _ => GroupChange::Setting(GroupSetting::parse(child)?),
    })
}

fn links(child: &Node, action: LinkNews, kind: &str) -> Option<GroupChange> {
    let relation = match child.attr_str(kind)?.as_ref() {
        "sub_group" => Relation::Group,
        "parent_group" => Relation::Community,
        "sibling_group" => Relation::Sibling,
        _ => return None,
    };
    let groups = child.nodes_named("group").take(MAX_LINKED);
    Some(GroupChange::Links {
        action,
        relation,
        groups: groups.filter_map(|node| LinkedGroup::parse(node).ok()).collect(),
        reason: text(child, "unlink_reason").or_else(|| text(child, "reason")),
    })
}

fn people(child: &Node, tag: &str) -> Vec<Member> {
    let people = child.nodes_named(tag).take(MAX_PEOPLE);
    people.filter_map(|node| Member::parse(node).ok()).collect()
}

/// Whether these are one person, by any name that both are known by.
fn is_same(one: &Member, other: &Member) -> bool {
    let of_one = [Some(&one.jid), one.other.as_ref()].into_iter().flatten();
    let is_name = |name: &Jid| {
        let mut names = [Some(&other.jid), other.other.as_ref()].into_iter().flatten();
        names.any(|other| other.same_user(name))
    };
    of_one.into_iter().any(is_name)
}

#[cfg(test)]
mod tests;
