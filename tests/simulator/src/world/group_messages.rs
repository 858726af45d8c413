//! Messages in groups: encrypted once for all, with the key beside it for devices that lack it; and their receipts.
//!
//! Facts: docs/PROTOCOL.md, "Groups" and "Sender keys".

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use tokio::time::Instant;
use whatsapp::binary::Node;
use whatsapp::jid::{Jid, Server};
use whatsapp::signal::session::{Ciphertext, CiphertextKind};

use super::World;
use super::account::PendingKey;
use super::fanout::{Enc, Fate};
use super::message::shared_parts;
use super::port::ConnId;
use super::saying::{STATUSES, list_jid};
use crate::audit::{Accepted, KeyUse};
use crate::crowd::{Delivery, Devices, GroupCopy, GroupMessageOut, Job, Proof, ReceiptOut, Tampering};
use crate::fault::Moment;
use crate::number::{Addressing, DeviceAddr, Number};

/// Errors of the server in acks.
mod nack {
    pub(super) const MALFORMED: u16 = 400;
    pub(super) const NOT_ALLOWED: u16 = 403;
    pub(super) const UNKNOWN: u16 = 404;
    pub(super) const STALE_ADDRESSING: u16 = 421;
}

/// A message on its way to the devices of a group.
struct InGroup {
    group: CompactString,
    addressing: Addressing,
    from: DeviceAddr,
    id: CompactString,
    t: u64,
    shared: Node,
    from_session: bool,
    proof: Proof,
    /// The key, by device; or the whole message, to a device that asked for it.
    keys: SmallVec<[Enc; 4]>,
    /// The ciphertext for all, and the attributes of its `enc` beyond type and version.
    message: Option<(Bytes, Node)>,
    to: Vec<DeviceAddr>,
    fate: Fate,
}

impl World {
    pub(super) fn on_group_message(&mut self, conn: ConnId, from: DeviceAddr, node: &Node, at: Instant) {
        let to = node.attr_jid("to");
        let name = CompactString::from(to.as_ref().map(Jid::user).unwrap_or_default());
        let id = CompactString::from(node.attr_str("id").unwrap_or_default().as_ref());
        let (keys, again) = self.group_copies(node);
        self.audit_keys(from, &keys);
        let message = node.child("enc").filter(|enc| enc.attr_is("type", "skmsg"));
        let message = message.and_then(|enc| Some((enc.bytes()?, rest(enc))));
        if let Some((bytes, _)) = &message {
            self.audit_sender_key(from, &name, bytes);
        }
        if let Some(code) = self.group_refusal(from, &name, node, &keys) {
            self.audit.count.group_messages_refused += 1;
            return self.nack(conn, node, code);
        }
        if self.is_lost(conn, node) {
            return;
        }
        if message.is_some() == again.is_some() {
            self.audit.count.violations += 1;
            return self.nack(conn, node, nack::MALFORMED);
        }
        let faults = self.faults.strike(Moment::Message, from.number, None);
        let Some(fate) = self.fate(conn, node, &faults) else {
            return;
        };
        let proof = self.proof(from, node, &keys);
        let Some(addressing) = self.groups.get(name.as_str()).map(|group| group.addressing) else {
            return;
        };
        let devices = self.group_devices(&name);
        let hash = self.hash_of_group(&name, addressing);
        let says_other = node.attr_str("phash").is_some_and(|said| said != hash);
        self.audit.count.group_hashes_disputed += u64::from(says_other);
        let to = match again {
            Some(device) => vec![device],
            None => devices.into_iter().filter(|device| *device != from).collect(),
        };
        if again.is_none() {
            self.note_in_group((from, &id), &to, at);
            self.audit.count.group_keys_handed += keys.len() as u64;
        }
        let ack = self
            .message_ack(node)
            .attr_opt("phash", says_other.then_some(hash));
        self.acknowledge(conn, ack, &fate);
        let cut = fate.cut;
        self.send_in_group(InGroup {
            group: name,
            addressing,
            from,
            id,
            t: self.clock.unix_seconds(),
            shared: shared_parts(node),
            from_session: true,
            proof,
            keys,
            message,
            to,
            fate,
        });
        if cut {
            self.close(conn);
        }
    }

    fn note_in_group(&mut self, (from, id): (DeviceAddr, &str), to: &[DeviceAddr], at: Instant) {
        let accepted = Accepted {
            from,
            to: from.number,
            id,
            is_for_contact: false,
        };
        if self.audit.accepted(&accepted, at) {
            let phones = to.iter().filter(|who| who.device == 0);
            let contacts = phones.filter(|who| self.population.contains(who.number)).count();
            self.audit.count.group_messages += 1;
            self.audit.count.group_copies_for_contacts += contacts as u64;
        }
    }

    /// The copies of the key, and the device that the whole goes to again, if it does.
    fn group_copies(&self, node: &Node) -> (SmallVec<[Enc; 4]>, Option<DeviceAddr>) {
        if let Some(device) = node.attr_jid("participant") {
            let Some((who, form)) = self.seed.resolve(&device) else {
                return (SmallVec::new(), None);
            };
            let alone = Node::new("message").with_children(node.child("enc").cloned());
            return (self.copies(&alone, who, form), Some(who));
        }
        let fanned_out = Node::new("message").with_children(node.child("participants").cloned());
        let nobody = DeviceAddr::phone(Number::LOWEST);
        (self.copies(&fanned_out, nobody, Addressing::Pn), None)
    }

    /// Why a message to a group is refused.
    fn group_refusal(&mut self, from: DeviceAddr, name: &str, node: &Node, keys: &[Enc]) -> Option<u16> {
        let Some(group) = self.groups.get(name) else {
            return Some(nack::UNKNOWN);
        };
        let mode = match group.addressing {
            Addressing::Pn => "pn",
            Addressing::Lid => "lid",
        };
        if !group.lets_write(from.number) {
            return Some(nack::NOT_ALLOWED);
        }
        if node.attr_str("addressing_mode").is_some_and(|said| said != mode) {
            return Some(nack::STALE_ADDRESSING);
        }
        let named = node.child("participants").map(Node::nodes).unwrap_or_default();
        let is_twice = node.child("participants").is_some() && named.len() != keys.len();
        let is_mixed = keys.iter().any(|key| key.form != group.addressing);
        let devices = self.group_devices(name);
        // Some clients hand the key to their own sending device as well.
        let is_stray = keys.iter().any(|key| !devices.contains(&key.to));
        if is_twice || is_mixed || is_stray {
            self.audit.count.violations += u64::from(is_twice || is_mixed);
            self.audit.count.misaddressed += 1;
            return Some(nack::MALFORMED);
        }
        None
    }

    fn audit_sender_key(&mut self, from: DeviceAddr, group: &str, ciphertext: &Bytes) {
        let Some((key, counter)) = chain_position(ciphertext) else {
            self.audit.count.violations += 1;
            return;
        };
        let name = format!("{group} {key}");
        self.audit.key_used(&KeyUse {
            from,
            to: from,
            ratchet: name.as_bytes(),
            counter,
            ciphertext,
        });
    }

    /// All devices of all members.
    pub(super) fn group_devices(&self, name: &str) -> Vec<DeviceAddr> {
        let members = self
            .groups
            .get(name)
            .into_iter()
            .flat_map(|group| group.members.keys());
        let devices = members.flat_map(|who| {
            let devices = self.devices_of(*who).unwrap_or_default();
            devices.into_iter().map(|device| DeviceAddr::new(*who, device))
        });
        devices.collect()
    }

    fn hash_of_group(&self, name: &str, form: Addressing) -> String {
        let members = self
            .groups
            .get(name)
            .into_iter()
            .flat_map(|group| group.members.keys());
        self.device_hash(&members.copied().collect::<Vec<_>>(), form)
    }

    fn send_in_group(&mut self, routed: InGroup) {
        match routed.fate.delay {
            Some(delay) => self.at(self.clock.now() + delay, move |world| {
                world.deliver_in_group(&routed)
            }),
            None => self.deliver_in_group(&routed),
        }
    }

    fn deliver_in_group(&mut self, routed: &InGroup) {
        for who in &routed.to {
            let key = routed.keys.iter().find(|key| key.to == *who);
            for _ in 0..routed.fate.times {
                if self.device_mut(*who).is_some() {
                    self.deliver_to_linked_member(routed, *who, key);
                } else {
                    self.deliver_to_simulated_member(routed, *who, key);
                }
            }
        }
    }

    fn deliver_to_linked_member(&mut self, routed: &InGroup, who: DeviceAddr, key: Option<&Enc>) {
        let (other, name, mode) = match routed.addressing {
            Addressing::Pn => (Addressing::Lid, "participant_lid", "pn"),
            Addressing::Lid => (Addressing::Pn, "participant_pn", "lid"),
        };
        let sender = self.seed.jid(routed.from, routed.addressing);
        let alternate = self.seed.jid(DeviceAddr::phone(routed.from.number), other);
        let mut stanza = routed.shared.clone();
        stanza.set_attr("from", list_jid(&routed.group));
        stanza.set_attr("participant", sender);
        stanza.set_attr(name, alternate);
        if routed.group != STATUSES {
            stanza.set_attr("addressing_mode", mode);
        }
        stanza.set_attr("id", &routed.id);
        stanza.set_attr("t", routed.t);
        if let Some(key) = key {
            let mut node = key.node.clone().with_bytes(key.ciphertext.clone());
            node.set_attr("v", "2");
            node.set_attr("type", &key.kind);
            stanza.push_child(node);
        }
        if let Some((bytes, rest)) = &routed.message {
            let mut node = rest.clone().with_bytes(bytes.clone());
            node.set_attr("v", "2");
            node.set_attr("type", "skmsg");
            stanza.push_child(node);
        }
        self.enqueue(who, PendingKey::message(&routed.id), stanza);
    }

    fn deliver_to_simulated_member(&mut self, routed: &InGroup, who: DeviceAddr, key: Option<&Enc>) {
        let is_known = self
            .devices_of(who.number)
            .is_some_and(|devices| devices.contains(&who.device));
        if !is_known {
            return;
        }
        let key = key.map(|key| Ciphertext {
            kind: match key.starts_session() {
                true => CiphertextKind::PreKey,
                false => CiphertextKind::Message,
            },
            bytes: key.ciphertext.clone(),
        });
        let message = routed.message.as_ref().map(|(bytes, _)| bytes.clone());
        let empty = Ciphertext {
            kind: CiphertextKind::Message,
            bytes: Bytes::new(),
        };
        let manners = self.population.manners(who.number).map(Arc::clone);
        let kind = routed.shared.attr_str("type");
        let delivery = Delivery {
            to: who,
            from: routed.from,
            own_chat: None,
            id: routed.id.clone(),
            kind: kind
                .map(|kind| CompactString::from(kind.as_ref()))
                .unwrap_or_default(),
            t: routed.t,
            ciphertext: key.clone().unwrap_or(empty),
            proof: routed.proof,
            from_session: routed.from_session,
            addressing: routed.addressing,
            tampering: Tampering {
                corrupted: false,
                force_retry: routed
                    .fate
                    .force_retry
                    .filter(|_| manners.is_some() && who.device == 0),
            },
            // Groups would never end if everybody answered.
            sender_devices: Devices::new(),
            manners,
            group: Some(GroupCopy {
                group: routed.group.clone(),
                key,
                message,
            }),
        };
        self.crowd.give(who.number, Job::Deliver(Box::new(delivery)));
    }
}

/// What simulated devices do.
impl World {
    /// A simulated device has encrypted a message to a group.
    pub(super) fn crowd_group_message(&mut self, message: GroupMessageOut) {
        let keys = message.copies.into_iter().map(|copy| Enc {
            to: copy.to,
            form: message.addressing,
            kind: copy.ciphertext.kind.as_str().into(),
            ciphertext: copy.ciphertext.bytes,
            node: Node::new("enc"),
        });
        let keys: SmallVec<[Enc; 4]> = keys.collect();
        let name = match self.accounts.get(&message.from.number) {
            Some(account) => account.name.clone(),
            None => format!("Contact {}", message.from.number.get() % 10_000),
        };
        let to = match message.group.as_str() {
            STATUSES => keys_of(&keys),
            group => self.group_devices(group),
        };
        self.deliver_in_group(&InGroup {
            group: message.group,
            addressing: message.addressing,
            from: message.from,
            id: message.id,
            t: self.clock.unix_seconds(),
            shared: Node::new("message").attr("type", "text").attr("notify", name),
            from_session: false,
            proof: Proof::Fine,
            keys,
            message: Some((message.message, Node::new("enc"))),
            to: to.into_iter().filter(|device| *device != message.from).collect(),
            fate: Fate {
                times: 1,
                ..Fate::default()
            },
        });
    }

    /// A simulated device says that it has a message of a group, or can't read it.
    pub(super) fn crowd_group_receipt(&mut self, group: &str, receipt: &ReceiptOut) {
        let from = match receipt.kind {
            Some("read") => DeviceAddr::phone(receipt.from.number),
            _ => receipt.from,
        };
        let stanza = Node::new("receipt")
            .attr("from", Jid::new(group, Server::Group))
            .attr("participant", self.seed.jid(from, receipt.addressing))
            .attr("id", &receipt.id)
            .attr("t", self.clock.unix_seconds())
            .attr_opt("type", receipt.kind);
        let retry = receipt.retry.as_ref();
        let children = retry.map(|retry| super::receipt::retry_children(&receipt.id, retry));
        let stanza = stanza.with_children(children.into_iter().flatten());
        let key = PendingKey::receipt(&receipt.id, from);
        for who in self.receivers(receipt.to, receipt.kind.unwrap_or_default()) {
            self.enqueue(who, key.clone(), stanza.clone());
        }
    }

    /// A linked device says that it has a message of a group, or can't read it: who sent it is told. Simulated devices
    /// hand the key out with every message, and answer no request.
    pub(super) fn on_group_receipt(&mut self, from: DeviceAddr, group: &Jid, kind: &str, node: &Node) {
        let to = node
            .attr_jid("participant")
            .and_then(|jid| self.seed.resolve(&jid));
        let Some((to, addressing)) = to.filter(|(to, _)| to.number != from.number || kind == "retry") else {
            return;
        };
        let shown_from = match kind {
            "read" | "played" => DeviceAddr::phone(from.number),
            _ => from,
        };
        let id = node.attr_str("id").unwrap_or_default().into_owned();
        let stanza = Node::new("receipt")
            .attr("from", group)
            .attr("participant", self.seed.jid(shown_from, addressing))
            .attr("id", id.as_str())
            .attr("t", self.clock.unix_seconds())
            .attr_opt("type", node.value("type"))
            .with_children(node.nodes().iter().cloned());
        let key = PendingKey::receipt(&id, shown_from);
        for who in self.receivers(to, kind) {
            self.enqueue(who, key.clone(), stanza.clone());
        }
        if kind != "retry" {
            let ids = vec![id.into()];
            self.tell_simulated(from, (to, addressing), kind.into(), ids, node);
        }
    }
}

/// The devices that get the key.
fn keys_of(keys: &[Enc]) -> Vec<DeviceAddr> {
    keys.iter().map(|key| key.to).collect()
}

/// The attributes of an `enc` beyond type and version.
fn rest(enc: &Node) -> Node {
    let mut rest = Node::new("enc");
    for name in ["mediatype", "decrypt-fail", "count"] {
        if let Some(value) = enc.value(name) {
            rest.set_attr(name, value);
        }
    }
    rest
}

/// Which sender key a group message uses, and where in its chain: the first two fields behind the version.
fn chain_position(message: &[u8]) -> Option<(u64, u32)> {
    let mut at = message.iter().skip(1).copied();
    let mut field = |tag: u8| {
        at.next().filter(|byte| *byte == tag)?;
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = at.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let key = field(0x08)?;
    Some((key, u32::try_from(field(0x10)?).ok()?))
}
