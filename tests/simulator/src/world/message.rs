//! Messages: from a linked device or a simulated one to all devices that have a copy of it.
//!
//! Facts: docs/PROTOCOL.md, "Message stanzas" and "Acks".

use std::time::Duration;

use compact_str::CompactString;
use prost::Message as _;
use smallvec::SmallVec;
use tokio::time::Instant;
use whatsapp::binary::Node;
use whatsapp::proto::AdvSignedDeviceIdentity;
use whatsapp::signal::session::{PreKeyMessage, SignalMessage};

use super::World;
use super::fanout::{Enc, Fate, Routed};
use super::forms::Label;
use super::port::ConnId;
use crate::audit::{Accepted, KeyUse};
use crate::crowd::{MessageOut, Proof};
use crate::fault::{Fault, Kind, Moment};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::persona::Persona;

/// Most copies of one message.
const MAX_COPIES: usize = 1024;

/// Errors of the server in acks.
mod nack {
    pub(super) const MALFORMED: u16 = 400;
    pub(super) const NOT_ALLOWED: u16 = 403;
    pub(super) const UNKNOWN_RECIPIENT: u16 = 404;
    pub(super) const BAD_SCHEMA: u16 = 479;
    pub(super) const SERVER_TROUBLE: u16 = 500;
}

/// Whether a message is between devices of one account, in no chat.
fn is_peer(node: &Node) -> bool {
    node.attr_is("category", "peer")
}

impl World {
    pub(super) fn on_message(&mut self, conn: ConnId, from: DeviceAddr, node: Node, at: Instant) {
        let Some(id) = node.attr_str("id").map(|id| CompactString::from(id.as_ref())) else {
            self.audit.count.violations += 1;
            return;
        };
        let Some(chat) = node.attr_jid("to") else {
            return self.nack(conn, &node, nack::MALFORMED);
        };
        let Some((to, addressing)) = self.seed.resolve(&chat) else {
            return self.nack(conn, &node, nack::NOT_ALLOWED);
        };
        let copies = self.copies(&node, to, addressing);
        self.note_form(from, &copies);
        self.audit_keys(from, &copies);
        if !self.exists(to.number) {
            return self.nack(conn, &node, nack::UNKNOWN_RECIPIENT);
        }
        if copies.is_empty() {
            self.audit.count.violations += 1;
            return self.nack(conn, &node, nack::MALFORMED);
        }
        if let Some(code) = self.refusal(from, (to, addressing), &node) {
            return self.nack(conn, &node, code);
        }
        if self.is_lost(conn, &node) {
            return;
        }
        let is_peer = is_peer(&node);
        let chat = self.chat_of(from, to, &node);
        let faults = if is_peer {
            Vec::new()
        } else {
            self.faults.strike(Moment::Message, from.number, Some(to.number))
        };
        let Some(fate) = self.fate(conn, &node, &faults) else {
            return;
        };
        let proof = self.proof(from, &node, &copies);
        if !is_peer {
            self.note_accepted(from, chat, &id, at);
        }
        // One device asks for it again where it names no participants.
        let hash = node
            .child("participants")
            .and_then(|_| self.hash_if_missed(from, to, addressing, &copies));
        let ack = self.accepting_ack(&node, to, hash);
        self.acknowledge(conn, ack, &fate);
        let cut = fate.cut;
        let routed = Routed {
            from,
            to: chat,
            addressing,
            id,
            t: self.clock.unix_seconds(),
            shared: shared_parts(&node),
            is_peer,
            from_session: true,
            proof,
            copies,
            fate,
        };
        self.send_out(routed);
        if cut {
            self.close(conn);
        }
    }

    /// Keeps account of a message of one account to another.
    fn note_accepted(&mut self, from: DeviceAddr, chat: DeviceAddr, id: &str, at: Instant) {
        let accepted = Accepted {
            from,
            to: chat.number,
            id,
            is_for_contact: self.population.contains(chat.number),
        };
        self.audit.accepted(&accepted, at);
        self.note_peers(from, chat);
        self.note_heard(from.number, chat.number);
    }

    /// Why the account may not send this message, or not so.
    fn refusal(
        &mut self,
        from: DeviceAddr,
        (to, addressing): (DeviceAddr, Addressing),
        node: &Node,
    ) -> Option<u16> {
        if self.blocks(from.number, to.number) {
            self.audit.count.sent_to_blocked += 1;
            return Some(nack::NOT_ALLOWED);
        }
        if let Some(code) = self.refuses(from, to.number, node) {
            return Some(code);
        }
        if let Some(code) = self.misaddressed(from, node, addressing) {
            return Some(code);
        }
        if let Some(code) = self.refusal_for_proof(from, to, node) {
            return Some(code);
        }
        let shows_token = node.child("tctoken").is_some() || node.child("cstoken").is_some();
        (is_peer(node) && shows_token).then_some(nack::BAD_SCHEMA)
    }

    /// Whether a message is acknowledged and goes nowhere, or is refused, for how it is labelled.
    pub(super) fn is_lost(&mut self, conn: ConnId, node: &Node) -> bool {
        match self.labels.judge(node) {
            Label::Fine => return false,
            Label::Refused(code) => self.nack(conn, node, code),
            Label::Lost => {
                self.audit.count.messages_dropped += 1;
                let ack = self.message_ack(node);
                self.write(conn, &ack);
            }
        }
        true
    }

    /// Whether an account blocks somebody.
    pub(super) fn blocks(&self, account: Number, other: Number) -> bool {
        let account = self.accounts.get(&account);
        account.is_some_and(|account| account.blocked.contains(&other))
    }

    pub(super) fn acknowledge(&mut self, conn: ConnId, ack: Node, fate: &Fate) {
        match fate.delay.filter(|_| fate.delay_ack) {
            _ if fate.withhold_ack => {}
            Some(delay) => self.at(self.clock.now() + delay, move |world| world.write(conn, &ack)),
            None => self.write(conn, &ack),
        }
    }

    /// The chat that a message belongs to. What goes to one of our own devices again says in `recipient` which it was.
    fn chat_of(&self, from: DeviceAddr, to: DeviceAddr, node: &Node) -> DeviceAddr {
        let named = node.attr_jid("recipient").filter(|_| to.number == from.number);
        let named = named.and_then(|jid| self.seed.resolve(&jid));
        DeviceAddr::phone(named.map_or(to.number, |(chat, _)| chat.number))
    }

    /// A simulated device has encrypted a message.
    pub(super) fn crowd_message(&mut self, message: MessageOut) {
        if self.blocks(message.to, message.from.number) {
            // Nobody hears of it.
            return;
        }
        self.note_heard(message.from.number, message.to);
        let copies = message
            .copies
            .into_iter()
            .map(|copy| Enc {
                to: copy.to,
                form: message.addressing,
                kind: copy.ciphertext.kind.as_str().into(),
                ciphertext: copy.ciphertext.bytes,
                node: Node::new("enc")
                    .attr_opt("count", (message.retry_count > 0).then_some(message.retry_count)),
            })
            .collect();
        let faults = if message.is_peer {
            Vec::new()
        } else {
            self.faults
                .strike(Moment::Message, message.from.number, Some(message.to))
        };
        let mut fate = Fate {
            times: 1,
            ..Fate::default()
        };
        for fault in &faults {
            if fault.kind == Kind::DropBefore {
                self.audit.count.messages_dropped += 1;
                return;
            }
            fate.apply(fault);
        }
        self.give_token_of(message.from.number, message.to, message.addressing);
        let name = self.push_name_of(message.from.number);
        let mut shared = Node::new("message").attr("type", "text").attr("notify", name);
        if message.from.device != 0 {
            let companion = Persona::new(&self.seed, message.from);
            shared.push_child(Node::new("device-identity").with_bytes(companion.device_identity(1)));
        }
        self.send_out(Routed {
            from: message.from,
            to: DeviceAddr::phone(message.to),
            addressing: message.addressing,
            id: message.id,
            t: self.clock.unix_seconds(),
            shared,
            is_peer: message.is_peer,
            from_session: false,
            proof: Proof::Fine,
            copies,
            fate,
        });
    }

    fn send_out(&mut self, routed: Routed) {
        match routed.fate.delay {
            Some(delay) => self.at(self.clock.now() + delay, move |world| {
                world.deliver_copies(routed)
            }),
            None => self.deliver_copies(routed),
        }
    }

    /// The copies of a message: those in `<participants>`, and a bare one for `to`. One per device.
    pub(super) fn copies(&self, node: &Node, to: DeviceAddr, form: Addressing) -> SmallVec<[Enc; 4]> {
        let mut copies: SmallVec<[Enc; 4]> = SmallVec::new();
        let fanned_out = node.child("participants").map(Node::nodes).unwrap_or_default();
        let fanned_out = fanned_out
            .iter()
            .filter(|child| child.is("to"))
            .filter_map(|child| {
                let (who, form) = self.seed.resolve(&child.attr_jid("jid")?)?;
                Some((who, form, child.child("enc")?))
            });
        let bare = node.child("enc").map(|enc| (to, form, enc));
        for (who, form, enc) in bare.into_iter().chain(fanned_out).take(MAX_COPIES) {
            let (Some(kind), Some(ciphertext)) = (enc.attr_str("type"), enc.bytes()) else {
                continue;
            };
            if copies.iter().any(|copy| copy.to == who) {
                continue;
            }
            let kind = CompactString::from(kind.as_ref());
            let mut rest = Node::new("enc");
            for name in ["mediatype", "decrypt-fail", "count"] {
                if let Some(value) = enc.value(name) {
                    rest.set_attr(name, value);
                }
            }
            copies.push(Enc {
                to: who,
                form,
                kind,
                ciphertext,
                node: rest,
            });
        }
        copies
    }

    pub(super) fn audit_keys(&mut self, from: DeviceAddr, copies: &[Enc]) {
        for enc in copies {
            let inner = match enc.kind.as_str() {
                "pkmsg" => PreKeyMessage::parse(&enc.ciphertext)
                    .ok()
                    .and_then(|message| message.message().ok()),
                _ => SignalMessage::parse(&enc.ciphertext).ok(),
            };
            let Some(inner) = inner else {
                self.audit.count.violations += 1;
                continue;
            };
            self.audit.key_used(&KeyUse {
                from,
                to: enc.to,
                ratchet: inner.ratchet_key().as_bytes(),
                counter: inner.counter(),
                ciphertext: &enc.ciphertext,
            });
        }
    }

    /// What faults make of a message; `None` if it ends here.
    pub(super) fn fate(&mut self, conn: ConnId, node: &Node, faults: &[Fault]) -> Option<Fate> {
        let mut fate = Fate {
            times: 1,
            ..Fate::default()
        };
        for fault in faults {
            match fault.kind {
                kind if kind.ends() => {
                    self.audit.count.messages_dropped += 1;
                    self.end_by_fault(conn, fault);
                    return None;
                }
                Kind::DropBefore => {
                    self.audit.count.messages_dropped += 1;
                    if fault.cuts() {
                        self.close(conn);
                    }
                    return None;
                }
                Kind::Nack => {
                    self.nack(conn, node, fault.code.unwrap_or(nack::SERVER_TROUBLE));
                    return None;
                }
                _ => fate.apply(fault),
            }
        }
        Some(fate)
    }

    /// Whether a message that starts sessions proves that its device belongs to its account. The own phone needs no proof
    /// of a device that it has signed itself.
    pub(super) fn proof(&mut self, from: DeviceAddr, node: &Node, copies: &[Enc]) -> Proof {
        if !copies.iter().any(|enc| enc.starts_session()) {
            return Proof::Fine;
        }
        let shown = node.child("device-identity").and_then(Node::bytes);
        let Some(device) = self.device_mut(from) else {
            return Proof::Bad;
        };
        let known = AdvSignedDeviceIdentity::decode(device.device_identity.as_ref());
        let identity = device.identity;
        let unneeded = node.attr_is("category", "peer") && shown.is_none();
        let shown = shown.and_then(|shown| AdvSignedDeviceIdentity::decode(shown.as_ref()).ok());
        let shown_fine = shown.zip(known.ok()).is_some_and(|(shown, known)| {
            shown.details == known.details
                && shown.account_signature == known.account_signature
                && shown.device_signature == known.device_signature
        });
        let of_device = copies.iter().filter(|enc| enc.starts_session()).all(|enc| {
            PreKeyMessage::parse(&enc.ciphertext).is_ok_and(|message| *message.identity() == identity)
        });
        if (unneeded || shown_fine) && of_device {
            Proof::Fine
        } else {
            self.audit.count.violations += 1;
            Proof::Bad
        }
    }

    pub(super) fn message_ack(&self, node: &Node) -> Node {
        Node::new("ack")
            .attr("class", "message")
            .attr_opt("id", node.value("id"))
            .attr_opt("from", node.value("to"))
            .attr("t", self.clock.unix_seconds())
    }

    fn accepting_ack(&self, node: &Node, to: DeviceAddr, hash: Option<String>) -> Node {
        let is_outdated = node
            .attr_jid("to")
            .is_some_and(|chat| self.is_outdated(&chat, to));
        self.message_ack(node)
            .attr_opt("phash", hash)
            .attr_opt("refresh_lid", is_outdated.then_some("true"))
    }

    /// The hash of the devices of both sides, if the client has missed some.
    fn hash_if_missed(
        &self,
        from: DeviceAddr,
        to: DeviceAddr,
        form: Addressing,
        copies: &[Enc],
    ) -> Option<String> {
        let mut all = [to.number, from.number].into_iter().flat_map(|number| {
            let devices = self.devices_of(number).unwrap_or_default();
            devices
                .into_iter()
                .map(move |device| DeviceAddr::new(number, device))
        });
        let missed = all.any(|who| who != from && !copies.iter().any(|enc| enc.to == who));
        missed.then(|| self.device_hash(&[to.number, from.number], form))
    }

    pub(super) fn nack(&mut self, conn: ConnId, node: &Node, code: u16) {
        self.audit.count.messages_nacked += 1;
        let ack = self.message_ack(node).attr("error", code);
        self.write(conn, &ack);
    }

    /// Remembers how a companion calls its phone.
    fn note_form(&mut self, from: DeviceAddr, copies: &[Enc]) {
        let phone = DeviceAddr::phone(from.number);
        if let Some(enc) = copies.iter().find(|enc| enc.to == phone)
            && let Some(account) = self.accounts.get_mut(&from.number)
        {
            account.phone_called = enc.form;
        }
    }

    /// Remembers who writes with whom, to tell them of changes of their devices.
    fn note_peers(&mut self, from: DeviceAddr, to: DeviceAddr) {
        if self.accounts.contains_key(&to.number) {
            for (one, other) in [(from.number, to.number), (to.number, from.number)] {
                if let Some(account) = self.accounts.get_mut(&one).filter(|_| one != other) {
                    account.peers.insert(other);
                }
            }
            return;
        }
        let contact = self.contacts.entry(to.number).or_default();
        if let Err(at) = contact.peers.binary_search(&from.number) {
            contact.peers.insert(at, from.number);
        }
    }
}

impl Fate {
    fn apply(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::DropAfter => {
                self.withhold_ack = true;
                self.cut |= fault.cuts();
            }
            Kind::WithholdAck => self.withhold_ack = true,
            Kind::Delay => {
                self.delay = Some(Duration::from_millis(fault.delay_ms.unwrap_or_default()));
                self.delay_ack |= fault.ack;
            }
            Kind::Duplicate => self.times = fault.copies.unwrap_or(2),
            Kind::CorruptMac => self.corrupt = true,
            Kind::ForceRetry => self.force_retry = Some(fault.keys),
            // These end what is done with it, or with its connection.
            _ => {}
        }
    }
}

/// The parts of a client's message that each recipient gets.
pub(super) fn shared_parts(node: &Node) -> Node {
    let mut shared = Node::new("message");
    for name in ["type", "edit"] {
        if let Some(value) = node.value(name) {
            shared.set_attr(name, value);
        }
    }
    let passed_on = ["device-identity", "meta", "biz", "bot", "verified_name"];
    let children = node
        .nodes()
        .iter()
        .filter(|child| passed_on.contains(&child.tag()));
    shared.with_children(children.cloned())
}
