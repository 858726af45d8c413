//! A group as the server describes it; below it, what is asked of the server about groups, and what it tells of them.
//!
//! Pure translation between stanzas and types, in both directions where a server needs the other one.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

pub mod news;
pub mod request;

use crate::binary::{Node, StanzaError};
use crate::jid::{Jid, Server};
use crate::time::Timestamp;

/// Most members that are read of one group; servers allow 1024.
pub const MAX_MEMBERS: usize = 2048;

/// Which of a person's two names the stanzas of a group use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressingMode {
    /// By phone number (`pn`).
    Phone,
    /// By hidden id (`lid`).
    Lid,
}

impl AddressingMode {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "pn",
            Self::Lid => "lid",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Phone, Self::Lid]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }

    /// Whose names are of this kind.
    pub const fn server(self) -> Server {
        match self {
            Self::Phone => Server::User,
            Self::Lid => Server::Lid,
        }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Write, unless only admins do.
    #[default]
    Member,
    /// Change the group and its members.
    Admin,
    /// The same, and it can't be taken away: who made the group.
    SuperAdmin,
}

impl Role {
    /// The value of the stanza's `type`, if there is one.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "admin" => Self::Admin,
            "superadmin" => Self::SuperAdmin,
            _ => Self::Member,
        }
    }
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the group's stanzas name them, without device.
    pub jid: Jid,
    /// The other name: the number beside a hidden id, the hidden id beside a number; if the server says it.
    pub other: Option<Jid>,
    /// What they may do.
    pub role: Role,
}

impl Member {
    /// Reads `<participant>`.
    ///
    /// # Errors
    /// If it does not say who it is.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        let jid = node.require_jid("jid")?.to_bare();
        let other = match jid.is_lid() {
            true => node.attr_jid("phone_number"),
            false => node.attr_jid("lid"),
        };
        Ok(Self {
            other: other.map(|other| other.to_bare()),
            role: node
                .attr_str("type")
                .map(|name| Role::from_name(&name))
                .unwrap_or_default(),
            jid,
        })
    }

    /// `<participant>`.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let other = match self.jid.is_lid() {
            true => "phone_number",
            false => "lid",
        };
        Node::new("participant")
            .attr("jid", &self.jid)
            .attr_opt(other, self.other.as_ref())
            .attr_opt("type", self.role.as_str())
    }

    /// The phone number, if it is known.
    pub fn phone(&self) -> Option<&Jid> {
        match self.jid.is_lid() {
            true => self.other.as_ref(),
            false => Some(&self.jid),
        }
    }

    /// The hidden id, if it is known.
    pub fn lid(&self) -> Option<&Jid> {
        match self.jid.is_lid() {
            true => Some(&self.jid),
            false => self.other.as_ref(),
        }
    }
}

/// What is said about a group below its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Names this text: who changes it says which one is there.
    pub id: String,
    /// The text.
    pub text: String,
    /// Who wrote it, by number where that is known.
    pub owner: Option<Jid>,
    /// When.
    pub timestamp: Option<Timestamp>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its address.
    pub jid: Jid,
    /// Its name.
    pub subject: String,
    /// When it got the name.
    pub subject_time: Option<Timestamp>,
    /// Who gave the name, by number where that is known.
    pub subject_owner: Option<Jid>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it, by number where that is known.
    pub owner: Option<Jid>,
    /// How its stanzas name people.
    pub addressing: AddressingMode,
    /// How many are in it, if the server says that.
    pub size: Option<u32>,
    /// What is said about it.
    pub description: Option<Description>,
    /// Only admins write.
    pub announce: bool,
    /// Only admins change name, picture and description.
    pub locked: bool,
    /// After how many seconds messages disappear.
    pub disappearing_seconds: Option<u32>,
    /// Any member adds others.
    pub all_may_add: bool,
    /// An admin has to let in who comes by a link.
    pub asks_to_join: bool,
    /// The community that it is in.
    pub community: Option<Jid>,
    /// It is a community itself.
    pub is_community: bool,
    /// It is the group of its community that everybody is in.
    pub is_announcement_group: bool,
    /// Who is in it; not all, where the server is asked by a link.
    pub members: Vec<Member>,
}

impl GroupInfo {
    /// Reads `<group>`.
    ///
    /// # Errors
    /// If it does not say which group, or has more than [`MAX_MEMBERS`] members.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        // Few, among hundreds of members.
        let others: Vec<&Node> = node
            .nodes()
            .iter()
            .filter(|node| !node.is("participant"))
            .collect();
        let child = |tag: &str| others.iter().find(|node| node.is(tag)).copied();
        let flag = |tag: &str| child(tag).is_some();
        let by_number = |phone: &str, jid: &str| node.attr_jid(phone).or_else(|| node.attr_jid(jid));
        let seconds = |key: &str| node.attr_u64(key).map(Timestamp::from_secs);
        if node.nodes_named("participant").nth(MAX_MEMBERS).is_some() {
            return Err(bad_content("group"));
        }
        let members: Vec<Member> = node
            .nodes_named("participant")
            .filter(|member| member.attr_u64("error").is_none_or(|code| code == 200))
            .map(Member::parse)
            .collect::<Result<_, _>>()?;
        let text = |tag: &str| child(tag).and_then(Node::text);
        let join = child("membership_approval_mode").and_then(|mode| mode.child("group_join"));
        Ok(Self {
            jid: group_id(node)?,
            subject: node
                .attr_str("subject")
                .map(|text| text.into_owned())
                .unwrap_or_default(),
            subject_time: seconds("s_t"),
            subject_owner: by_number("s_o_pn", "s_o"),
            created: seconds("creation"),
            owner: by_number("creator_pn", "creator"),
            addressing: addressing(node, &members),
            size: node.attr_u64("size").and_then(|size| u32::try_from(size).ok()),
            description: child("description").map(description),
            announce: flag("announcement"),
            locked: flag("locked"),
            disappearing_seconds: child("ephemeral")
                .and_then(|ephemeral| ephemeral.attr_u64("expiration"))
                .and_then(|seconds| u32::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
            all_may_add: text("member_add_mode").is_some_and(|mode| mode == "all_member_add"),
            asks_to_join: join.is_some_and(|join| join.attr_is("state", "on")),
            community: child("linked_parent").and_then(|parent| parent.attr_jid("jid")),
            is_community: flag("parent"),
            is_announcement_group: flag("default_sub_group"),
            members,
        })
    }

    /// `<group>`, as servers write it.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_secs);
        let flag = |set: bool, tag: &'static str| set.then(|| Node::new(tag));
        let join = Node::new("group_join").attr("state", if self.asks_to_join { "on" } else { "off" });
        let mode = if self.all_may_add {
            "all_member_add"
        } else {
            "admin_add"
        };
        let ephemeral = self
            .disappearing_seconds
            .map(|seconds| Node::new("ephemeral").attr("expiration", seconds));
        let community = self
            .community
            .as_ref()
            .map(|jid| Node::new("linked_parent").attr("jid", jid));
        Node::new("group")
            .attr("id", self.jid.user())
            .attr("subject", self.subject.as_str())
            .attr_opt("s_t", seconds(self.subject_time))
            .attr_opt("s_o_pn", self.subject_owner.as_ref())
            .attr_opt("creation", seconds(self.created))
            .attr_opt("creator_pn", self.owner.as_ref())
            .attr("addressing_mode", self.addressing.as_str())
            .attr_opt("size", self.size)
            .with_children(self.members.iter().map(Member::to_node))
            .with_children(self.description.as_ref().map(description_node))
            .with_children(flag(self.announce, "announcement"))
            .with_children(flag(self.locked, "locked"))
            .with_children(ephemeral)
            .with_child(Node::new("member_add_mode").with_slice(mode.as_bytes()))
            .with_child(Node::new("membership_approval_mode").with_child(join))
            .with_children(community)
            .with_children(flag(self.is_community, "parent"))
            .with_children(flag(self.is_announcement_group, "default_sub_group"))
    }
}

/// Which group: a bare id, or an address.
fn group_id(node: &Node) -> Result<Jid, StanzaError> {
    if let Some(jid) = node.attr_jid("jid").or_else(|| node.attr_jid("id"))
        && jid.is_group()
    {
        return Ok(jid.to_bare());
    }
    let id = node.require_str("id")?;
    let user = id.strip_suffix("@g.us").unwrap_or(&id);
    match user.parse::<Jid>() {
        // A bare id is no address.
        Err(_) if !user.is_empty() => Ok(Jid::new(user, Server::Group)),
        _ => Err(bad_content("group")),
    }
}

/// Older servers don't say it: then as the members are named.
fn addressing(node: &Node, members: &[Member]) -> AddressingMode {
    let said = node.attr_str("addressing_mode");
    said.and_then(|name| AddressingMode::from_name(&name))
        .unwrap_or_else(|| match members.first() {
            Some(member) if member.jid.is_lid() => AddressingMode::Lid,
            _ => AddressingMode::Phone,
        })
}

fn description(node: &Node) -> Description {
    let text = |value: Option<std::borrow::Cow<'_, str>>| value.map(|text| text.into_owned());
    Description {
        id: text(node.attr_str("id")).unwrap_or_default(),
        text: text(node.child("body").and_then(Node::text)).unwrap_or_default(),
        owner: node
            .attr_jid("participant_pn")
            .or_else(|| node.attr_jid("participant")),
        timestamp: node.attr_u64("t").map(Timestamp::from_secs),
    }
}

fn description_node(description: &Description) -> Node {
    Node::new("description")
        .attr("id", description.id.as_str())
        .attr_opt("participant_pn", description.owner.as_ref())
        .attr_opt("t", description.timestamp.map(Timestamp::as_secs))
        .with_child(Node::new("body").with_slice(description.text.as_bytes()))
}

/// The content of the node of this name is not valid.
fn bad_content(tag: &str) -> StanzaError {
    StanzaError::BadContent { tag: tag.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    fn group() -> GroupInfo {
        GroupInfo {
            jid: jid("120363000000000001@g.us"),
            subject: "Friends".into(),
            subject_time: Some(Timestamp::from_secs(5)),
            subject_owner: Some(jid("15550001@s.whatsapp.net")),
            created: Some(Timestamp::from_secs(4)),
            owner: Some(jid("15550001@s.whatsapp.net")),
            addressing: AddressingMode::Lid,
            size: Some(2),
            description: Some(Description {
                id: "3EB0".into(),
                text: "About us".into(),
                owner: Some(jid("15550001@s.whatsapp.net")),
                timestamp: Some(Timestamp::from_secs(6)),
            }),
            announce: true,
            locked: true,
            disappearing_seconds: Some(86_400),
            all_may_add: true,
            asks_to_join: true,
            community: Some(jid("120363000000000009@g.us")),
            is_community: false,
            is_announcement_group: true,
            members: vec![
                Member {
                    jid: jid("100@lid"),
                    other: Some(jid("15550001@s.whatsapp.net")),
                    role: Role::SuperAdmin,
                },
                Member {
                    jid: jid("101@lid"),
                    other: None,
                    role: Role::Member,
                },
            ],
        }
    }

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let group = group();
        let mut node = group.to_node();
        assert_eq!(GroupInfo::parse(&node).unwrap(), group);
        node.set_attr("id", "120363000000000001@g.us");
        assert_eq!(GroupInfo::parse(&node).unwrap(), group, "with the whole address");
    }

    #[test]
    fn whoever_could_not_be_added_is_no_member() {
        let node = group().to_node().with_child(
            Node::new("participant")
                .attr("jid", jid("102@lid"))
                .attr("error", "403"),
        );
        assert_eq!(GroupInfo::parse(&node).unwrap().members.len(), 2);
    }

    #[test]
    fn names_of_both_kinds_are_told_apart() {
        for (one, other) in [
            ("100@lid", "15550001@s.whatsapp.net"),
            ("15550001@s.whatsapp.net", "100@lid"),
        ] {
            let member = Member {
                jid: jid(one),
                other: Some(jid(other)),
                role: Role::Admin,
            };
            let read = Member::parse(&member.to_node()).unwrap();
            assert_eq!(read, member);
            assert_eq!(
                (read.phone(), read.lid()),
                (Some(&jid("15550001@s.whatsapp.net")), Some(&jid("100@lid")))
            );
        }
    }

    #[test]
    fn what_names_no_group_or_too_many_people_is_refused() {
        assert!(GroupInfo::parse(&Node::new("group")).is_err());
        let member = Node::new("participant").attr("jid", jid("100@lid"));
        let many = Node::new("group")
            .attr("id", "1-2")
            .with_children(std::iter::repeat_n(member, MAX_MEMBERS + 1));
        assert!(GroupInfo::parse(&many).is_err());
    }
}
