//! What is asked of the server about groups, and what it answers.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

use std::fmt;

use super::{GroupInfo, Member, bad_content, group_id};
use crate::binary::{Node, StanzaError};
use crate::jid::Jid;
use crate::time::Timestamp;

/// Most people of one request that adds, removes or lets in.
pub const MAX_PEOPLE: usize = 1024;

/// One request of the owner.
///
/// [`fmt::Debug`] tells which group, and nothing that is written in it.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupRequest {
    /// What the group is and who is in it. Answered by [`GroupAnswer::Group`].
    Describe(Jid),
    /// All groups that the account is in. Answered by [`GroupAnswer::Groups`].
    List,
    /// Make a group. Answered by [`GroupAnswer::Created`].
    Create {
        /// Its name.
        subject: String,
        /// Who is in it besides us.
        members: Vec<Jid>,
    },
    /// Change the name. Answered by [`GroupAnswer::Done`], as is everything that says nothing else.
    SetSubject(Jid, String),
    /// Change or remove what is said about the group.
    SetDescription {
        /// Which group.
        group: Jid,
        /// The text, and its new id; `None` removes it.
        text: Option<(String, String)>,
        /// The id of the text that is there.
        before: Option<String>,
    },
    /// Add, remove, promote or demote. Answered by [`GroupAnswer::Members`].
    ChangeMembers(Jid, MemberChange, Vec<Jid>),
    /// The link's code. Answered by [`GroupAnswer::Invite`].
    Invite(Jid),
    /// Make another code; the one before leads nowhere from then on. Answered by [`GroupAnswer::Invite`].
    RevokeInvite(Jid),
    /// What a code leads to. Answered by [`GroupAnswer::Group`].
    DescribeInvite(String),
    /// Join by a code. Answered by [`GroupAnswer::Joined`].
    Join(String),
    /// Change how the group works.
    Set(Jid, GroupSetting),
    /// Leave.
    Leave(Jid),
    /// Who asks to be let in. Answered by [`GroupAnswer::Applicants`].
    Applicants(Jid),
    /// Let in or turn away. Answered by [`GroupAnswer::Members`].
    Decide(Jid, Verdict, Vec<Jid>),
    /// The groups of a community. Answered by [`GroupAnswer::Linked`].
    Linked(Jid),
}

/// What becomes of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// They are in the group.
    Add,
    /// They are out of it.
    Remove,
    /// They are admins.
    Promote,
    /// They are admins no more.
    Demote,
}

impl MemberChange {
    /// The tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }

    /// Reads the tag.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Add, Self::Remove, Self::Promote, Self::Demote]
            .into_iter()
            .find(|change| change.as_str() == name)
    }
}

/// What becomes of somebody who asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are in the group.
    Approve,
    /// They are not.
    Reject,
}

impl Verdict {
    /// The tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

/// How a group works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSetting {
    /// Whether only admins write.
    Announce(bool),
    /// Whether only admins change name, picture and description.
    Locked(bool),
    /// After how many seconds messages disappear; 0 for never.
    Disappearing(u32),
    /// Whether any member adds others.
    AllMayAdd(bool),
    /// Whether an admin has to let in who comes by a link.
    AsksToJoin(bool),
}

impl GroupSetting {
    /// The child of a request or of a notification.
    #[must_use]
    pub fn to_node(self) -> Node {
        match self {
            Self::Announce(true) => Node::new("announcement"),
            Self::Announce(false) => Node::new("not_announcement"),
            Self::Locked(true) => Node::new("locked"),
            Self::Locked(false) => Node::new("unlocked"),
            Self::Disappearing(0) => Node::new("not_ephemeral"),
            Self::Disappearing(seconds) => Node::new("ephemeral").attr("expiration", seconds),
            Self::AllMayAdd(all) => {
                let mode: &[u8] = if all { b"all_member_add" } else { b"admin_add" };
                Node::new("member_add_mode").with_slice(mode)
            }
            Self::AsksToJoin(asks) => {
                let state = if asks { "on" } else { "off" };
                Node::new("membership_approval_mode").with_child(Node::new("group_join").attr("state", state))
            }
        }
    }

    /// Reads the child of a request or of a notification; `None` if it is something else.
    pub fn parse(node: &Node) -> Option<Self> {
        let setting = match node.tag() {
            "announcement" => Self::Announce(true),
            "not_announcement" => Self::Announce(false),
            "locked" => Self::Locked(true),
            "unlocked" => Self::Locked(false),
            "not_ephemeral" => Self::Disappearing(0),
            "ephemeral" => Self::Disappearing(u32::try_from(node.attr_u64("expiration")?).ok()?),
            "member_add_mode" => Self::AllMayAdd(node.text()? == "all_member_add"),
            "membership_approval_mode" => Self::AsksToJoin(node.child("group_join")?.attr_is("state", "on")),
            _ => return None,
        };
        Some(setting)
    }
}

impl fmt::Debug for GroupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Describe(_) => "Describe",
            Self::List => "List",
            Self::Create { .. } => "Create",
            Self::SetSubject(..) => "SetSubject",
            Self::SetDescription { .. } => "SetDescription",
            Self::ChangeMembers(..) => "ChangeMembers",
            Self::Invite(_) => "Invite",
            Self::RevokeInvite(_) => "RevokeInvite",
            Self::DescribeInvite(_) => "DescribeInvite",
            Self::Join(_) => "Join",
            Self::Set(..) => "Set",
            Self::Leave(_) => "Leave",
            Self::Applicants(_) => "Applicants",
            Self::Decide(..) => "Decide",
            Self::Linked(_) => "Linked",
        })
    }
}

impl GroupRequest {
    /// The question, without id.
    #[must_use]
    pub fn to_node(&self) -> Node {
        match self {
            Self::Describe(group) => get(group).with_child(Node::new("query").attr("request", "interactive")),
            Self::List => {
                let all = Node::new("participating")
                    .with_child(Node::new("participants"))
                    .with_child(Node::new("description"));
                get(&ALL).with_child(all)
            }
            Self::Create { subject, members } => {
                let create = Node::new("create").attr("subject", subject.as_str());
                set(&ALL).with_child(create.with_children(people(members)))
            }
            Self::SetSubject(group, subject) => {
                set(group).with_child(Node::new("subject").with_slice(subject.as_bytes()))
            }
            Self::SetDescription { group, text, before } => {
                let node = Node::new("description").attr_opt("prev", before.as_deref());
                set(group).with_child(match text {
                    Some((text, id)) => node
                        .attr("id", id.as_str())
                        .with_child(Node::new("body").with_slice(text.as_bytes())),
                    None => node.attr("delete", "true"),
                })
            }
            Self::ChangeMembers(group, change, members) => {
                set(group).with_child(Node::new(change.as_str()).with_children(people(members)))
            }
            Self::Invite(group) => get(group).with_child(Node::new("invite")),
            Self::RevokeInvite(group) => set(group).with_child(Node::new("invite")),
            Self::DescribeInvite(code) => {
                get(&ALL).with_child(Node::new("invite").attr("code", code.as_str()))
            }
            Self::Join(code) => set(&ALL).with_child(Node::new("invite").attr("code", code.as_str())),
            Self::Set(group, setting) => set(group).with_child(setting.to_node()),
            Self::Leave(group) => {
                let left = Node::new("group").attr("id", group);
                set(&ALL).with_child(Node::new("leave").with_child(left))
            }
            Self::Applicants(group) => get(group).with_child(Node::new("membership_approval_requests")),
            Self::Linked(community) => get(community).with_child(Node::new("sub_groups")),
            Self::Decide(group, verdict, members) => {
                let verdict = Node::new(verdict.as_str()).with_children(people(members));
                set(group).with_child(Node::new("membership_requests_action").with_child(verdict))
            }
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// If it is not one to this request.
    pub fn read(&self, reply: &Node) -> Result<GroupAnswer, StanzaError> {
        let group = || GroupInfo::parse(reply.require_child("group")?).map(Box::new);
        Ok(match self {
            Self::Describe(_) | Self::DescribeInvite(_) => GroupAnswer::Group(group()?),
            Self::List => {
                let groups = reply.child("groups").map(Node::nodes).unwrap_or_default();
                let groups = groups.iter().filter(|node| node.is("group"));
                GroupAnswer::Groups(groups.map(GroupInfo::parse).collect::<Result<_, _>>()?)
            }
            Self::Create { .. } => {
                let refused = reply.require_child("group")?.nodes_named("participant");
                let outcomes = refused.map(Outcome::parse).collect::<Result<Vec<_>, _>>()?;
                let refused = outcomes.into_iter().filter(|outcome| outcome.code != DONE);
                GroupAnswer::Created(group()?, refused.collect())
            }
            Self::ChangeMembers(_, change, _) => outcomes(reply.child(change.as_str()))?,
            Self::Decide(_, verdict, _) => {
                outcomes(reply.child_at(&["membership_requests_action", verdict.as_str()]))?
            }
            Self::Invite(_) | Self::RevokeInvite(_) => {
                let code = reply.require_child("invite")?.require_str("code")?.into_owned();
                GroupAnswer::Invite(code)
            }
            Self::Join(_) => match (reply.child("group"), reply.child("membership_approval_request")) {
                (Some(group), _) => GroupAnswer::Joined(group.require_jid("jid")?, Entry::In),
                (None, Some(asked)) => GroupAnswer::Joined(asked.require_jid("jid")?, Entry::Asked),
                (None, None) => return Err(bad_content("iq")),
            },
            Self::Leave(_) => match left_with(reply) {
                Some(code) => GroupAnswer::Refused(code),
                None => GroupAnswer::Done,
            },
            Self::Applicants(_) => {
                let asked = reply.child("membership_approval_requests");
                let asked = asked.map(Node::nodes).unwrap_or_default().iter();
                let asked = asked.filter(|node| node.is("membership_approval_request"));
                GroupAnswer::Applicants(asked.map(Applicant::parse).collect::<Result<_, _>>()?)
            }
            Self::Linked(_) => {
                let linked = reply.require_child("sub_groups")?.nodes_named("group");
                GroupAnswer::Linked(linked.map(LinkedGroup::parse).collect::<Result<_, _>>()?)
            }
            Self::SetSubject(..) | Self::SetDescription { .. } | Self::Set(..) => GroupAnswer::Done,
        })
    }
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAnswer {
    /// It is done.
    Done,
    /// It is not done, by the server's code for this group.
    Refused(u16),
    /// One group.
    Group(Box<GroupInfo>),
    /// The groups of the account.
    Groups(Vec<GroupInfo>),
    /// The group is made, but these are not in it.
    Created(Box<GroupInfo>, Vec<Outcome>),
    /// What became of each, in the order asked.
    Members(Vec<Outcome>),
    /// The code of the link.
    Invite(String),
    /// Which group the code led to.
    Joined(Jid, Entry),
    /// Who asks to be let in.
    Applicants(Vec<Applicant>),
    /// The groups of a community.
    Linked(Vec<LinkedGroup>),
}

/// A group of a community, as the community tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedGroup {
    /// Its address.
    pub jid: Jid,
    /// Its name.
    pub subject: String,
    /// It is the one that everybody of the community is in.
    pub is_announcement_group: bool,
}

impl LinkedGroup {
    pub(super) fn parse(node: &Node) -> Result<Self, StanzaError> {
        Ok(Self {
            jid: group_id(node)?,
            subject: node
                .attr_str("subject")
                .map(|text| text.into_owned())
                .unwrap_or_default(),
            is_announcement_group: node.child("default_sub_group").is_some(),
        })
    }
}

/// How far a code led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Into the group.
    In,
    /// To its admins, who have to let us in.
    Asked,
}

/// What became of one of several people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who, by whatever names the server says.
    pub member: Member,
    /// 200 if it is done; else the server's code: 403 they let nobody add them, 404 they have no account, 408 they left
    /// a moment ago, 409 they are in already, 401 they block us, 419 the group is full.
    pub code: u16,
    /// What to send them instead, where they let nobody add them.
    pub invite: Option<PersonalInvite>,
}

/// An invitation for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalInvite {
    /// What shows that they were invited.
    pub code: String,
    /// Until when it counts.
    pub expires: Option<Timestamp>,
}

impl Outcome {
    /// Reads `<participant>` of an answer.
    ///
    /// # Errors
    /// If it does not say who it is.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        let invite = node.child("add_request").and_then(|request| {
            Some(PersonalInvite {
                code: request.attr_str("code")?.into_owned(),
                expires: request.attr_u64("expiration").map(Timestamp::from_secs),
            })
        });
        let code = node.attr_u64("error").and_then(|code| u16::try_from(code).ok());
        Ok(Self {
            member: Member::parse(node)?,
            code: code.unwrap_or(DONE),
            invite,
        })
    }

    /// `<participant>`, as servers answer.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let invite = self.invite.as_ref().map(|invite| {
            Node::new("add_request")
                .attr("code", invite.code.as_str())
                .attr_opt("expiration", invite.expires.map(Timestamp::as_secs))
        });
        let code = (self.code != DONE).then_some(self.code);
        self.member
            .to_node()
            .attr_opt("error", code)
            .with_children(invite)
    }
}

/// Somebody who asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// Who, by whatever names the server says.
    pub member: Member,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How they came: `invite_link`, `linked_group_join`, `non_admin_add`.
    pub method: Option<String>,
}

impl Applicant {
    fn parse(node: &Node) -> Result<Self, StanzaError> {
        Ok(Self {
            member: Member::parse(node)?,
            since: node.attr_u64("request_time").map(Timestamp::from_secs),
            method: node.attr_str("request_method").map(|method| method.into_owned()),
        })
    }
}

fn outcomes(list: Option<&Node>) -> Result<GroupAnswer, StanzaError> {
    let list = list.ok_or_else(|| bad_content("iq"))?;
    let outcomes = list.nodes_named("participant").map(Outcome::parse);
    outcomes.collect::<Result<_, _>>().map(GroupAnswer::Members)
}

fn left_with(reply: &Node) -> Option<u16> {
    let code = reply.child_at(&["leave", "group"])?.attr_u64("error")?;
    u16::try_from(code).ok().filter(|code| *code != DONE)
}

fn people(people: &[Jid]) -> impl Iterator<Item = Node> {
    people.iter().map(|jid| Node::new("participant").attr("jid", jid))
}

fn get(to: &Jid) -> Node {
    question(to, "get")
}

fn set(to: &Jid) -> Node {
    question(to, "set")
}

fn question(to: &Jid, kind: &'static str) -> Node {
    Node::new("iq")
        .attr("to", to)
        .attr("type", kind)
        .attr("xmlns", "w:g2")
}

const ALL: Jid = Jid::GROUPS;
const DONE: u16 = 200;

#[cfg(test)]
mod tests;
