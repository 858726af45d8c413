//! Groups: who is in them, what they are asked, and who is told of what changes.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

use std::collections::BTreeMap;

use whatsapp::binary::Node;
use whatsapp::group::request::{GroupSetting, MemberChange, Outcome, PersonalInvite};
use whatsapp::group::{AddressingMode, Description, GroupInfo, Member, Role};
use whatsapp::jid::{Jid, Server};
use whatsapp::time::Timestamp;

use super::World;
use super::group::{Group, GroupKind, GroupShown, NewGroup};
use super::stanza::{error, iq_from_server};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// Most groups.
const MAX_GROUPS: usize = 10_000;
/// Most members of a group, as the real server has it.
const MAX_MEMBERS: usize = 1024;
/// Longest name.
const MAX_SUBJECT_CHARS: usize = 100;
/// How long an invitation for one person counts, in seconds.
const INVITE_SECONDS: u64 = 3 * 86_400;

/// What tests do.
impl World {
    pub(super) fn make_group(&mut self, new: &NewGroup) -> Result<String, Refusal> {
        let members = self.known_numbers("members", &new.members)?;
        let Some(owner) = members.first().copied() else {
            return Err(Refusal::bad("members", "must name somebody"));
        };
        if self.groups.len() >= MAX_GROUPS || members.len() > MAX_MEMBERS {
            return Err(Refusal::conflict("members", "are too many"));
        }
        let community = new
            .community
            .as_deref()
            .map(|jid| self.group_name(jid))
            .transpose()?;
        let others: Vec<Number> = members.into_iter().filter(|one| *one != owner).collect();
        let name = self.add_group(&new.subject, owner, &others);
        if let Some(group) = self.groups.get_mut(&name) {
            group.addressing = new.addressing.into();
            group.community = community;
            group.kind = new.kind;
            group.announce = new.kind == GroupKind::Announcements;
        }
        self.tell_created(&name, owner);
        Ok(Jid::new(name, Server::Group).to_string())
    }

    /// Whether this contact lets others add it to groups.
    pub(super) fn set_group_add(&mut self, number: Number, lets: bool) -> Result<(), Refusal> {
        if !self.population.contains(number) {
            return Err(Refusal::unknown("number"));
        }
        match lets {
            true => self.unaddable.remove(&number),
            false => self.unaddable.insert(number),
        };
        Ok(())
    }

    pub(super) fn show_group(&self, jid: &str) -> Result<GroupShown, Refusal> {
        let name = self.group_name(jid)?;
        let group = self.groups.get(&name).ok_or_else(|| Refusal::unknown("jid"))?;
        let texts = |numbers: &mut dyn Iterator<Item = &Number>| numbers.map(Number::to_string).collect();
        let mut admins = group.members.iter().filter(|(_, role)| **role != Role::Member);
        Ok(GroupShown {
            jid: Jid::new(name, Server::Group).to_string(),
            subject: group.subject.clone(),
            description: group.description.as_ref().map(|text| text.text.clone()),
            announce: group.announce,
            locked: group.locked,
            disappearing: group.disappearing,
            code: group.code.clone(),
            members: texts(&mut group.members.keys()),
            admins: texts(&mut admins.by_ref().map(|(who, _)| who)),
            applicants: texts(&mut group.applicants.keys()),
        })
    }

    /// The name of a group by its address.
    pub(super) fn group_name(&self, jid: &str) -> Result<String, Refusal> {
        let name = jid.strip_suffix("@g.us").unwrap_or(jid);
        match self.groups.contains_key(name) {
            true => Ok(name.to_owned()),
            false => Err(Refusal::unknown("jid")),
        }
    }

    pub(super) fn known_numbers(&self, field: &str, texts: &[String]) -> Result<Vec<Number>, Refusal> {
        let number = |text: &String| {
            let number: Option<Number> = text.parse().ok();
            let known = number.filter(|number| self.exists(*number));
            known.ok_or_else(|| Refusal::bad(field, format!("{text} is not on WhatsApp")))
        };
        texts.iter().map(number).collect()
    }
}

/// What clients ask.
impl World {
    /// The answer to a question about groups.
    pub(super) fn group_answer(&mut self, from: DeviceAddr, id: &str, iq: &Node) -> Node {
        match self.on_group_question(from.number, iq) {
            Ok(child) => iq_from_server("result", id).with_children(child),
            Err(code) => error(id, code, text_of(code)),
        }
    }

    fn on_group_question(&mut self, from: Number, iq: &Node) -> Result<Option<Node>, u16> {
        let to = iq.attr_jid("to").ok_or(BAD)?;
        let child = iq.nodes().first().ok_or(BAD)?;
        let is_set = iq.attr_is("type", "set");
        if to.user().is_empty() {
            return self.on_question_of_all(from, child, is_set);
        }
        let name = to.user().to_owned();
        let group = self.groups.get_mut(&name).ok_or(UNKNOWN)?;
        let role = *group.members.get(&from).ok_or(NO_MEMBER)?;
        let may_change = role != Role::Member || !group.locked;
        let admin = (role != Role::Member).then_some(()).ok_or(NO_ADMIN);
        match (child.tag(), is_set) {
            ("query", false) => Ok(self.describe(&name)),
            ("sub_groups", false) => Ok(Some(self.linked(&name))),
            ("invite", false) => admin.map(|()| Some(invite(&group.code))),
            ("invite", true) => {
                admin?;
                let code = self.new_code();
                if let Some(group) = self.groups.get_mut(&name) {
                    group.code.clone_from(&code);
                }
                self.tell_group(&name, from, &invite(&code), &[]);
                Ok(Some(invite(&code)))
            }
            ("membership_approval_requests", false) => admin.map(|()| Some(self.applicants(&name))),
            ("membership_requests_action", true) => admin.and_then(|()| self.decide(&name, from, child)),
            ("subject", true) => {
                may_change.then_some(()).ok_or(NO_ADMIN)?;
                let subject = child.text().ok_or(BAD)?.into_owned();
                if subject.is_empty() || subject.chars().count() > MAX_SUBJECT_CHARS {
                    return Err(NOT_ACCEPTABLE);
                }
                group.subject.clone_from(&subject);
                let told = Node::new("subject").attr("subject", subject);
                self.tell_group(&name, from, &told, &[]);
                Ok(None)
            }
            ("description", true) => {
                may_change.then_some(()).ok_or(NO_ADMIN)?;
                self.describe_anew(&name, from, child)
            }
            (tag, true) if MemberChange::from_name(tag).is_some() => {
                let change = MemberChange::from_name(tag).ok_or(BAD)?;
                if change != MemberChange::Add || !group.all_may_add {
                    admin?;
                }
                Ok(Some(self.change_members(&name, from, change, child)))
            }
            (_, true) => {
                admin?;
                let setting = GroupSetting::parse(child).ok_or(BAD)?;
                group.set(setting);
                self.tell_group(&name, from, child, &[]);
                Ok(None)
            }
            _ => Err(BAD),
        }
    }

    fn on_question_of_all(&mut self, from: Number, child: &Node, is_set: bool) -> Result<Option<Node>, u16> {
        let by_code = |world: &Self| {
            let code = child.attr_str("code").ok_or(BAD)?.into_owned();
            let found = world.groups.iter().find(|(_, group)| group.code == code);
            found.map(|(name, _)| name.clone()).ok_or(GONE)
        };
        match (child.tag(), is_set) {
            ("participating", false) => {
                let names: Vec<String> = self.groups_of(from).collect();
                let groups = names.iter().filter_map(|name| self.describe(name));
                Ok(Some(Node::new("groups").with_children(groups)))
            }
            ("invite", false) => Ok(self.describe(&by_code(self)?)),
            ("invite", true) => {
                let name = by_code(self)?;
                self.join(&name, from).map(Some)
            }
            ("create", true) => {
                let subject = child.attr_str("subject").unwrap_or_default().into_owned();
                if subject.is_empty() || subject.chars().count() > MAX_SUBJECT_CHARS {
                    return Err(NOT_ACCEPTABLE);
                }
                let name = self.add_group(&subject, from, &[]);
                let outcomes = self.try_to_add(&name, child);
                self.tell_created(&name, from);
                let refused = outcomes.into_iter().filter(|outcome| outcome.code != 200);
                let refused: Vec<Node> = refused.map(|outcome| outcome.to_node()).collect();
                Ok(self.describe(&name).map(|group| group.with_children(refused)))
            }
            ("leave", true) => {
                let left = child.child("group").ok_or(BAD)?;
                let name = left.attr_jid("id").ok_or(BAD)?.user().to_owned();
                let group = self.groups.get(&name).ok_or(UNKNOWN)?;
                group.members.get(&from).ok_or(UNKNOWN)?;
                self.change_member(&name, from, from, MemberChange::Remove);
                Ok(Some(Node::new("leave").with_child(left.clone())))
            }
            _ => Err(BAD),
        }
    }

    /// The groups of a community.
    fn linked(&self, community: &str) -> Node {
        let of = self.groups.iter();
        let of = of.filter(|(_, group)| group.community.as_deref() == Some(community));
        let groups = of.map(|(name, group)| {
            let is_default = group.kind == GroupKind::Announcements;
            Node::new("group")
                .attr("id", name.as_str())
                .attr("subject", group.subject.as_str())
                .attr("s_t", group.created)
                .with_children(is_default.then(|| Node::new("default_sub_group")))
        });
        Node::new("sub_groups").with_children(groups)
    }

    fn groups_of(&self, who: Number) -> impl Iterator<Item = String> + '_ {
        let of = self
            .groups
            .iter()
            .filter(move |(_, group)| group.members.contains_key(&who));
        of.map(|(name, _)| name.clone())
    }

    /// `<group>` as its members see it.
    fn describe(&self, name: &str) -> Option<Node> {
        let group = self.groups.get(name)?;
        let member = |(who, role): (&Number, &Role)| self.member(*who, group.addressing, *role);
        let owner = Some(self.seed.jid(DeviceAddr::phone(group.owner), Addressing::Pn));
        let info = GroupInfo {
            jid: Jid::new(name, Server::Group),
            subject: group.subject.clone(),
            subject_time: Some(Timestamp::from_secs(group.created)),
            subject_owner: owner.clone(),
            created: Some(Timestamp::from_secs(group.created)),
            owner,
            addressing: match group.addressing {
                Addressing::Pn => AddressingMode::Phone,
                Addressing::Lid => AddressingMode::Lid,
            },
            size: u32::try_from(group.members.len()).ok(),
            description: group.description.clone(),
            announce: group.announce,
            locked: group.locked,
            disappearing_seconds: Some(group.disappearing).filter(|seconds| *seconds > 0),
            all_may_add: group.all_may_add,
            asks_to_join: group.asks_to_join,
            community: group.community.as_ref().map(|name| Jid::new(name, Server::Group)),
            is_community: group.kind == GroupKind::Community,
            is_announcement_group: group.kind == GroupKind::Announcements,
            members: group.members.iter().map(member).collect(),
        };
        Some(info.to_node())
    }

    pub(super) fn member(&self, who: Number, addressing: Addressing, role: Role) -> Member {
        let jid = |form| self.seed.jid(DeviceAddr::phone(who), form);
        let other = match addressing {
            Addressing::Pn => Addressing::Lid,
            Addressing::Lid => Addressing::Pn,
        };
        Member {
            jid: jid(addressing),
            other: Some(jid(other)),
            role,
        }
    }

    fn add_group(&mut self, subject: &str, owner: Number, others: &[Number]) -> String {
        let name = format!("120363{:012}", self.groups.len() + 1);
        let others = others.iter().map(|other| (*other, Role::Member));
        let members = others.chain([(owner, Role::SuperAdmin)]).collect();
        let code = self.new_code();
        let group = Group {
            subject: subject.to_owned(),
            created: self.clock.unix_seconds(),
            owner,
            addressing: Addressing::Lid,
            description: None,
            announce: false,
            locked: false,
            disappearing: 0,
            all_may_add: false,
            asks_to_join: false,
            members,
            applicants: BTreeMap::new(),
            code,
            picture: None,
            community: None,
            kind: GroupKind::Group,
        };
        self.groups.insert(name.clone(), group);
        name
    }

    /// Twenty-two characters that no other group has.
    pub(super) fn new_code(&mut self) -> String {
        self.last_id += 1;
        format!("Sim{:019}", self.last_id)
    }

    fn describe_anew(&mut self, name: &str, from: Number, child: &Node) -> Result<Option<Node>, u16> {
        let owner = Some(self.seed.jid(DeviceAddr::phone(from), Addressing::Pn));
        let timestamp = Some(Timestamp::from_secs(self.clock.unix_seconds()));
        let group = self.groups.get_mut(name).ok_or(UNKNOWN)?;
        let before = group.description.as_ref().map(|text| text.id.as_str());
        if before != child.attr_str("prev").as_deref() {
            return Err(CONFLICT);
        }
        group.description = match child.child("body").and_then(Node::text) {
            Some(text) => Some(Description {
                id: child.attr_str("id").ok_or(BAD)?.into_owned(),
                text: text.into_owned(),
                owner,
                timestamp,
            }),
            None => None,
        };
        self.tell_group(name, from, child, &[]);
        Ok(None)
    }

    fn join(&mut self, name: &str, who: Number) -> Result<Node, u16> {
        let now = self.clock.unix_seconds();
        let group = self.groups.get_mut(name).ok_or(UNKNOWN)?;
        let jid = Jid::new(name, Server::Group);
        if group.members.contains_key(&who) {
            return Err(CONFLICT);
        }
        if group.members.len() >= MAX_MEMBERS {
            return Err(FULL);
        }
        if group.asks_to_join {
            group.applicants.insert(who, now);
            self.tell_asks(name, who);
            return Ok(Node::new("membership_approval_request").attr("jid", jid));
        }
        self.change_member(name, who, who, MemberChange::Add);
        Ok(Node::new("group").attr("jid", jid))
    }

    fn applicants(&self, name: &str) -> Node {
        let group = self.groups.get(name);
        let asks = group.into_iter().flat_map(|group| {
            group.applicants.iter().map(|(who, since)| {
                let mut node = self.member(*who, group.addressing, Role::Member).to_node();
                node.set_attr("request_method", "invite_link");
                node.set_attr("request_time", *since);
                let attrs = node.attrs.clone();
                let mut asks = Node::new("membership_approval_request");
                asks.attrs = attrs;
                asks
            })
        });
        Node::new("membership_approval_requests").with_children(asks)
    }

    fn decide(&mut self, name: &str, from: Number, action: &Node) -> Result<Option<Node>, u16> {
        let verdict = action.nodes().first().ok_or(BAD)?;
        let mut outcomes = Vec::new();
        for who in self.named_in(verdict) {
            let group = self.groups.get_mut(name).ok_or(UNKNOWN)?;
            let addressing = group.addressing;
            let asked = group.applicants.remove(&who).is_some();
            match (asked, verdict.is("approve")) {
                (true, true) => drop(self.change_member(name, from, who, MemberChange::Add)),
                (true, false) => self.tell_asks_no_more(name, from, who),
                (false, _) => {}
            }
            outcomes.push(Outcome {
                member: self.member(who, addressing, Role::Member),
                code: if asked { 200 } else { UNKNOWN },
                invite: None,
            });
        }
        let nodes = outcomes.iter().map(Outcome::to_node);
        let verdict = Node::new(if verdict.is("approve") {
            "approve"
        } else {
            "reject"
        });
        let verdict = verdict.with_children(nodes);
        Ok(Some(Node::new("membership_requests_action").with_child(verdict)))
    }

    fn change_members(&mut self, name: &str, from: Number, change: MemberChange, asked: &Node) -> Node {
        let outcomes = match change {
            MemberChange::Add => {
                let outcomes = self.try_to_add(name, asked);
                let added = outcomes.iter().filter(|outcome| outcome.code == 200);
                let added: Vec<Node> = added.map(|outcome| outcome.member.to_node()).collect();
                if !added.is_empty() {
                    self.tell_group(name, from, &Node::new("add").with_children(added), &[]);
                }
                outcomes
            }
            _ => {
                let mut outcomes = Vec::new();
                for who in self.named_in(asked) {
                    let addressing = self.groups.get(name).map(|group| group.addressing);
                    let done = self.change_member(name, from, who, change);
                    outcomes.push(Outcome {
                        member: self.member(who, addressing.unwrap_or_default(), Role::Member),
                        code: if done { 200 } else { UNKNOWN },
                        invite: None,
                    });
                }
                outcomes
            }
        };
        Node::new(change.as_str()).with_children(outcomes.iter().map(Outcome::to_node))
    }

    /// Adds those who let themselves be added; says what became of each.
    fn try_to_add(&mut self, name: &str, asked: &Node) -> Vec<Outcome> {
        let now = self.clock.unix_seconds();
        let mut outcomes = Vec::new();
        for who in self.named_in(asked) {
            let is_known = self.exists(who);
            let is_kept = self.unaddable.contains(&who);
            let Some(group) = self.groups.get_mut(name) else {
                break;
            };
            let code = match group.members.contains_key(&who) {
                _ if !is_known => UNKNOWN,
                true => CONFLICT,
                false if is_kept => NO_MEMBER,
                false if group.members.len() >= MAX_MEMBERS => FULL,
                false => 200,
            };
            if code == 200 {
                group.members.insert(who, Role::Member);
            }
            let invite = (code == NO_MEMBER).then(|| PersonalInvite {
                code: format!("inv{}", group.code),
                expires: Some(Timestamp::from_secs(now + INVITE_SECONDS)),
            });
            let addressing = group.addressing;
            outcomes.push(Outcome {
                member: self.member(who, addressing, Role::Member),
                code,
                invite,
            });
        }
        outcomes
    }

    /// Whether there was something to change. Everybody is told, and who is removed too.
    pub(super) fn change_member(
        &mut self,
        name: &str,
        by: Number,
        who: Number,
        change: MemberChange,
    ) -> bool {
        let Some(group) = self.groups.get_mut(name) else {
            return false;
        };
        let done = match change {
            MemberChange::Add => group.members.insert(who, Role::Member).is_none(),
            MemberChange::Remove => group.members.remove(&who).is_some(),
            MemberChange::Promote | MemberChange::Demote => match group.members.get_mut(&who) {
                Some(role) => {
                    *role = match change {
                        MemberChange::Promote => Role::Admin,
                        _ => Role::Member,
                    };
                    true
                }
                None => false,
            },
        };
        if done {
            let addressing = group.addressing;
            let member = self.member(who, addressing, Role::Member).to_node();
            let told = Node::new(change.as_str()).with_child(member);
            self.tell_group(name, by, &told, &[who]);
        }
        done
    }

    pub(super) fn tell_created(&mut self, name: &str, by: Number) {
        if let Some(group) = self.describe(name) {
            let created = Node::new("create").attr("type", "new").with_child(group);
            self.tell_group(name, by, &created, &[]);
        }
    }

    /// The people that a request names.
    fn named_in(&self, asked: &Node) -> Vec<Number> {
        let people = asked.nodes_named("participant");
        let people = people.filter_map(|node| self.seed.resolve(&node.attr_jid("jid")?));
        people.map(|(who, _)| who.number).collect()
    }
}

pub(super) fn invite(code: &str) -> Node {
    Node::new("invite").attr("code", code)
}

fn text_of(code: u16) -> &'static str {
    match code {
        NO_ADMIN => "not-authorized",
        NO_MEMBER => "forbidden",
        UNKNOWN => "item-not-found",
        NOT_ACCEPTABLE => "not-acceptable",
        CONFLICT => "conflict",
        GONE => "gone",
        FULL => "resource-limit",
        _ => "bad-request",
    }
}

const BAD: u16 = 400;
const NO_ADMIN: u16 = 401;
const NO_MEMBER: u16 = 403;
const UNKNOWN: u16 = 404;
const NOT_ACCEPTABLE: u16 = 406;
const CONFLICT: u16 = 409;
const GONE: u16 = 410;
const FULL: u16 = 419;
