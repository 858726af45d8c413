//! What tests do to groups and have their members say, and who is told of what changes.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

use compact_str::CompactString;
use whatsapp::binary::Node;
use whatsapp::group::request::{GroupSetting, MemberChange};
use whatsapp::group::{Description, Role};
use whatsapp::jid::{Jid, Server};
use whatsapp::time::Timestamp;

use super::command::Said;
use super::group::GroupChange;
use super::groups::invite;
use super::saying::{Words, answer_with};
use super::stanza::notification;
use super::{Answer, World};
use crate::crowd::{Job, SendInGroup};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

impl World {
    pub(super) fn change_group(&mut self, jid: &str, change: &GroupChange) -> Result<(), Refusal> {
        let name = self.group_name(jid)?;
        let by = self.groups.get(&name).map(|group| group.owner);
        let by = by.ok_or_else(|| Refusal::unknown("jid"))?;
        let themselves = [
            ("join", &change.join, MemberChange::Add),
            ("leave", &change.leave, MemberChange::Remove),
        ];
        let by_owner = [
            ("add", &change.add, MemberChange::Add),
            ("remove", &change.remove, MemberChange::Remove),
            ("promote", &change.promote, MemberChange::Promote),
            ("demote", &change.demote, MemberChange::Demote),
        ];
        let mut members = Vec::new();
        for (field, numbers, change) in themselves {
            let numbers = self.known_numbers(field, numbers)?;
            members.extend(numbers.into_iter().map(|who| (who, who, change)));
        }
        for (field, numbers, change) in by_owner {
            let numbers = self.known_numbers(field, numbers)?;
            members.extend(numbers.into_iter().map(|who| (by, who, change)));
        }
        let (ask, withdraw, reject) = (
            self.known_numbers("ask", &change.ask)?,
            self.known_numbers("withdraw", &change.withdraw)?,
            self.known_numbers("reject", &change.reject)?,
        );
        let names = |jids: &[String]| {
            jids.iter()
                .map(|jid| self.group_name(jid))
                .collect::<Result<Vec<_>, _>>()
        };
        let (link, unlink) = (names(&change.link)?, names(&change.unlink)?);
        let renumbered = match &change.renumber {
            Some(numbers) => {
                let of = |field, text: &String| self.known_numbers(field, std::slice::from_ref(text));
                let (from, to) = (
                    of("renumber.from", &numbers.from)?,
                    of("renumber.to", &numbers.to)?,
                );
                from.first().zip(to.first()).map(|(from, to)| [*from, *to])
            }
            None => None,
        };
        if let (Some(addressing), Some(group)) = (change.addressing, self.groups.get_mut(&name)) {
            group.addressing = addressing.into();
        }
        for (by, who, change) in members {
            self.change_member(&name, by, who, change);
        }
        self.change_requests(&name, by, [ask, withdraw, reject]);
        self.change_texts(&name, by, change);
        for setting in change.settings() {
            if let Some(group) = self.groups.get_mut(&name) {
                group.set(setting);
            }
            self.tell_group(&name, by, &setting.to_node(), &[]);
        }
        self.change_links(&name, by, [link, unlink]);
        if let Some([from, to]) = renumbered {
            self.renumber_member(&name, from, to);
        }
        if change.delete {
            self.delete_group(&name, by);
        }
        Ok(())
    }

    /// Groups become part of a community, and others are no more: the members of both are told.
    fn change_links(&mut self, name: &str, by: Number, [link, unlink]: [Vec<String>; 2]) {
        let changes = [(link, "link", "link_type"), (unlink, "unlink", "unlink_type")];
        for (groups, tag, kind) in changes {
            for other in groups {
                if let Some(group) = self.groups.get_mut(&other) {
                    group.community = (tag == "link").then(|| name.to_owned());
                }
                for (to, relation, of) in [(name, "sub_group", &*other), (&*other, "parent_group", name)] {
                    let subject = self.groups.get(of).map(|group| group.subject.clone());
                    let group = Node::new("group")
                        .attr("jid", Jid::new(of, Server::Group))
                        .attr("subject", subject.unwrap_or_default());
                    let told = Node::new(tag).attr(kind, relation).with_child(group);
                    self.tell_group(to, by, &told, &[]);
                }
            }
        }
    }

    /// A member has another number, by which it is in the group from now on.
    fn renumber_member(&mut self, name: &str, from: Number, to: Number) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let Some(role) = group.members.remove(&from) else {
            return;
        };
        group.members.insert(to, role);
        let addressing = group.addressing;
        let before = self.member(from, addressing, Role::Member).to_node();
        self.tell_group(name, to, &Node::new("modify").with_child(before), &[from]);
    }

    /// A group is no more: nobody is in it.
    fn delete_group(&mut self, name: &str, by: Number) {
        self.tell_group(name, by, &Node::new("delete"), &[]);
        if let Some(group) = self.groups.get_mut(name) {
            group.members.clear();
            group.applicants.clear();
            group.community = None;
        }
    }

    fn change_requests(&mut self, name: &str, by: Number, [ask, withdraw, reject]: [Vec<Number>; 3]) {
        let now = self.clock.unix_seconds();
        for who in ask {
            if let Some(group) = self.groups.get_mut(name) {
                group.applicants.insert(who, now);
            }
            self.tell_asks(name, who);
        }
        let gone = withdraw.into_iter().map(|who| (who, who));
        for (by, who) in gone.chain(reject.into_iter().map(|who| (by, who))) {
            let group = self.groups.get_mut(name);
            if group.is_some_and(|group| group.applicants.remove(&who).is_some()) {
                self.tell_asks_no_more(name, by, who);
            }
        }
    }

    fn change_texts(&mut self, name: &str, by: Number, change: &GroupChange) {
        let (now, code) = (self.clock.unix_seconds(), self.new_code());
        let owner = self.seed.jid(DeviceAddr::phone(by), Addressing::Pn);
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let mut told = Vec::new();
        if let Some(subject) = &change.subject {
            group.subject.clone_from(subject);
            told.push(
                Node::new("subject")
                    .attr("subject", subject.as_str())
                    .attr("s_t", now),
            );
        }
        if let Some(text) = &change.description {
            let id = format!("D{now}");
            let node = Node::new("description").attr("id", id.as_str());
            let body = Node::new("body").with_slice(text.as_bytes());
            let is_removed = text.is_empty();
            told.push(node.with_child(if is_removed { Node::new("delete") } else { body }));
            group.description = (!is_removed).then(|| Description {
                id,
                text: text.clone(),
                owner: Some(owner),
                timestamp: Some(Timestamp::from_secs(now)),
            });
        }
        if change.revoke_invite {
            group.code.clone_from(&code);
            told.push(invite(&code));
        }
        for child in told {
            self.tell_group(name, by, &child, &[]);
        }
        if let Some(has_one) = change.picture {
            self.give_picture(name, by, has_one);
        }
    }
}

/// What members say.
impl World {
    /// A member of a group says something in it.
    pub(super) fn say_in_group(
        &mut self,
        from: Number,
        group: &str,
        said: Said,
        answer: Answer<CompactString>,
    ) {
        let name = match self.group_name(group) {
            Ok(name) => name,
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        let known = self.groups.get(&name).filter(|group| group.lets_write(from));
        let Some(addressing) = known.map(|group| group.addressing) else {
            return drop(answer.send(Err(Refusal::bad(
                "to",
                "is a group that this one does not write in",
            ))));
        };
        let from = DeviceAddr::phone(from);
        let to = self.group_devices(&name);
        let (id_told, id) = tokio::sync::oneshot::channel();
        let author = match &said {
            Said::Deletion(_, Some(of)) => Some(self.seed.jid(DeviceAddr::phone(*of), addressing)),
            _ => None,
        };
        let words = Words::of(said, Some((&name, author.as_ref())));
        let send = SendInGroup {
            from,
            group: name.into(),
            to: to.into_iter().filter(|device| *device != from).collect(),
            addressing,
            text: words.text,
            message: words.message,
            vote: words.vote,
            answer: id_told,
        };
        self.crowd.give(from.number, Job::SendInGroup(Box::new(send)));
        answer_with(id, answer);
    }
}

/// Who is told of what.
impl World {
    /// Tells the linked devices of all members, and of these others, that somebody changed something.
    pub(super) fn tell_group(&mut self, name: &str, by: Number, child: &Node, others: &[Number]) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let told: Vec<Number> = group.members.keys().chain(others).copied().collect();
        self.tell_of_group(name, by, child, &told);
    }

    /// Tells the admins that somebody asks to be let in.
    pub(super) fn tell_asks(&mut self, name: &str, who: Number) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let mut asks = Node::new("requested_user");
        asks.attrs = self.member(who, group.addressing, Role::Member).to_node().attrs;
        let told = Node::new("created_membership_requests")
            .attr("request_method", "invite_link")
            .with_child(asks);
        self.tell_admins(name, who, &told);
    }

    /// Tells the admins that somebody asks no more, because of this one.
    pub(super) fn tell_asks_no_more(&mut self, name: &str, by: Number, who: Number) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let asks = self.member(who, group.addressing, Role::Member).to_node();
        let told = Node::new("revoked_membership_requests").with_child(asks);
        self.tell_admins(name, by, &told);
    }

    fn tell_admins(&mut self, name: &str, by: Number, child: &Node) {
        let members = self.groups.get(name).into_iter().flat_map(|group| &group.members);
        let admins = members.filter(|(_, role)| **role != Role::Member);
        let admins: Vec<Number> = admins.map(|(who, _)| *who).collect();
        self.tell_of_group(name, by, child, &admins);
    }

    fn tell_of_group(&mut self, name: &str, by: Number, child: &Node, told: &[Number]) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let actor = self.member(by, group.addressing, Role::Member);
        let mode = match group.addressing {
            Addressing::Pn => ("pn", "participant_lid"),
            Addressing::Lid => ("lid", "participant_pn"),
        };
        let mut devices: Vec<_> = told.iter().flat_map(|who| self.linked_devices(*who)).collect();
        devices.sort_unstable();
        devices.dedup();
        let from = Jid::new(name, Server::Group);
        for device in devices {
            let head = notification(&from, "w:gp2")
                .attr("participant", &actor.jid)
                .attr_opt(mode.1, actor.other.as_ref())
                .attr("addressing_mode", mode.0);
            self.notify(device, head, child.clone());
        }
    }

    /// The group gets another picture, or none; its members are told.
    pub(super) fn give_picture(&mut self, name: &str, by: Number, has_one: bool) -> Option<u64> {
        let now = self.clock.unix_seconds();
        let group = self.groups.get_mut(name)?;
        let next = group.picture.map_or(now, |before| now.max(before + 1));
        group.picture = has_one.then_some(next);
        let (picture, addressing) = (group.picture, group.addressing);
        let members: Vec<Number> = group.members.keys().copied().collect();
        let author = self.member(by, addressing, Role::Member).jid;
        let from = Jid::new(name, Server::Group);
        let child = match picture {
            Some(id) => Node::new("set").attr("jid", &from).attr("id", id),
            None => Node::new("delete").attr("jid", &from),
        };
        let child = child.attr("author", author);
        let devices: Vec<_> = members.iter().flat_map(|who| self.linked_devices(*who)).collect();
        for device in devices {
            self.notify(device, notification(&from, "picture"), child.clone());
        }
        picture
    }
}

impl GroupChange {
    /// How the group works from now on.
    fn settings(&self) -> Vec<GroupSetting> {
        let settings = [
            self.announce.map(GroupSetting::Announce),
            self.locked.map(GroupSetting::Locked),
            self.disappearing.map(GroupSetting::Disappearing),
            self.all_may_add.map(GroupSetting::AllMayAdd),
            self.asks_to_join.map(GroupSetting::AsksToJoin),
        ];
        settings.into_iter().flatten().collect()
    }
}
