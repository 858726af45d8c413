//! What the server of the network does with groups.

use super::network::{Network, lid, phone};
use super::server::{refusal, with_identity};
use crate::binary::Node;
use crate::connection::tests::peer::result_of;
use crate::group::{AddressingMode, GroupInfo, Member, Role};
use crate::jid::Jid;
use crate::phash::devices_hash;
use crate::stanza::ack::MessageAck;

impl Network {
    /// A group of these users, whose people are named so.
    pub(super) fn group(&mut self, addressing: AddressingMode, users: &[u32]) -> Jid {
        let jid: Jid = "120363000000000001@g.us".parse().unwrap();
        let users = users.iter().copied().collect();
        self.groups.insert(jid.clone(), (addressing, users));
        jid
    }

    /// Somebody comes or goes: who is connected is told.
    pub(super) fn change_group(&mut self, group: &Jid, change: &'static str, user: u32) {
        let (_, users) = self.groups.get_mut(group).unwrap();
        match change {
            "add" => users.insert(user),
            "remove" => users.remove(&user),
            _ => false,
        };
        let member = Node::new("participant").attr("jid", lid(user));
        let told = Node::new("notification")
            .attr("id", "G")
            .attr("from", group)
            .attr("type", "w:gp2")
            .attr("participant", lid(user))
            .attr("t", self.now.as_secs())
            .with_child(Node::new(change).with_child(member));
        for at in 0..self.clients.len() {
            self.clients[at].peer.send(&told);
        }
        self.settle();
    }

    /// How often somebody asked who is in a group.
    pub(super) fn times_described(&self) -> usize {
        let asked = self.questions.iter().filter(|iq| iq.attr_is("xmlns", "w:g2"));
        asked.filter(|iq| iq.child("query").is_some()).count()
    }

    pub(super) fn group_question(&self, iq: &Node) -> Node {
        let group = iq.attr_jid("to").unwrap();
        let Some((addressing, users)) = self.groups.get(&group) else {
            return refusal(404);
        };
        let member = |user: &u32| {
            let (jid, other) = match addressing {
                AddressingMode::Lid => (lid(*user), phone(*user)),
                AddressingMode::Phone => (phone(*user), lid(*user)),
            };
            let other = Some(other);
            let role = match self.admins.contains(user) {
                true => Role::Admin,
                false => Role::Member,
            };
            Member { jid, other, role }
        };
        let empty = Node::new("group").attr("id", group.user());
        let info = GroupInfo {
            addressing: *addressing,
            members: users
                .iter()
                .map(member)
                .chain(self.of_crowd(*addressing))
                .collect(),
            ..GroupInfo::parse(&empty).unwrap()
        };
        result_of(iq).with_child(info.to_node())
    }

    /// Those of the crowd, with one device each.
    fn of_crowd(&self, addressing: AddressingMode) -> impl Iterator<Item = Member> {
        (0..self.crowd_members).map(move |n| Member {
            jid: Jid::new(format!("1777{n:010}"), addressing.server()),
            other: None,
            role: Role::Member,
        })
    }

    /// The devices of a group as its stanzas name them.
    fn group_devices(&self, group: &Jid) -> Vec<(usize, Jid)> {
        let (addressing, users) = &self.groups[group];
        let all = self.clients.iter().enumerate();
        let of_group = all.filter(|(_, client)| users.iter().any(|user| client.lid.same_user(&lid(*user))));
        let named = of_group.map(|(at, client)| match addressing {
            AddressingMode::Lid => (at, client.lid.clone()),
            AddressingMode::Phone => (at, client.jid.clone()),
        });
        named.collect()
    }

    pub(super) fn group_message(&mut self, at: usize, message: &Node, group: &Jid) {
        let devices = self.group_devices(group);
        let addressing = self.groups[group].0;
        let is_stale = !message.attr_is("addressing_mode", addressing.as_str());
        let is_member = devices.iter().any(|(device, _)| *device == at);
        let error = match (is_stale, is_member) {
            (true, _) => Some(421),
            (_, false) => Some(403),
            _ => self.nack,
        };
        let named = message.child("participants").map(Node::nodes).unwrap_or_default();
        let keys: Vec<(Jid, Node)> = named
            .iter()
            .map(|to| (to.attr_jid("jid").unwrap(), to.child("enc").unwrap().clone()))
            .collect();
        let crowd: Vec<Jid> = self.of_crowd(addressing).map(|member| member.jid).collect();
        let phash = devices_hash(devices.iter().map(|(_, jid)| jid).chain(&crowd));
        let is_known = message.attr_is("phash", &phash);
        if !self.silent {
            let ack = MessageAck {
                id: message.attr_str("id").unwrap().parse().unwrap(),
                from: group.clone(),
                timestamp: Some(self.now),
                error,
                phash: (!is_known).then_some(phash),
            };
            self.clients[at].peer.send(&ack.to_node());
        }
        if error.is_some() {
            return;
        }
        for (jid, _) in &keys {
            assert_eq!(jid.is_lid(), addressing == AddressingMode::Lid, "{jid}");
            assert!(
                crowd.contains(jid)
                    || devices
                        .iter()
                        .any(|(device, named)| named == jid && *device != at),
                "{jid}"
            );
        }
        let all = message.child("enc").unwrap().clone();
        for (target, jid) in devices.into_iter().filter(|(device, _)| *device != at) {
            let key = keys.iter().find(|(named, _)| *named == jid);
            let incoming = self
                .incoming_in_group(at, group, message, jid.is_lid())
                .with_children(key.map(|(_, enc)| enc.clone()))
                .with_child(all.clone());
            self.deliver(target, with_identity(incoming, message));
        }
    }

    pub(super) fn incoming_in_group(&self, from: usize, group: &Jid, message: &Node, by_lid: bool) -> Node {
        let client = &self.clients[from];
        let (one, other, name) = match by_lid {
            true => (&client.lid, &client.jid, "participant_pn"),
            false => (&client.jid, &client.lid, "participant_lid"),
        };
        Node::new("message")
            .attr("id", message.attr_str("id").unwrap())
            .attr("from", group)
            .attr("participant", one)
            .attr(name, other.to_bare())
            .attr("type", "text")
            .attr("t", self.now.as_secs())
    }

    /// Passes a receipt on to the device of the group that it is for.
    pub(super) fn group_receipt(&mut self, at: usize, receipt: &Node, group: &Jid) {
        let Some(to) = receipt.attr_jid("participant") else {
            return;
        };
        let Some(target) = self.client_at(&to) else { return };
        let client = &self.clients[at];
        let from = if to.is_lid() { &client.lid } else { &client.jid };
        let mut receipt = receipt.clone();
        receipt.set_attr("participant", from);
        receipt.attrs.remove("to");
        receipt.set_attr("from", group);
        receipt.set_attr("t", self.now.as_secs());
        self.deliver(target, receipt);
    }
}
