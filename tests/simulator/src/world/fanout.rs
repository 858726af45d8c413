//! Copies on their way: each rewritten for the device that gets it.
//!
//! Facts: docs/PROTOCOL.md, "Message stanzas".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use whatsapp::binary::Node;
use whatsapp::signal::session::{Ciphertext, CiphertextKind, PreKeyMessage};

use super::World;
use super::account::PendingKey;
use crate::crowd::{Delivery, Job, Proof, Tampering};
use crate::number::{Addressing, DeviceAddr};

/// Copies of a message that are on their way, with all that their stanzas need.
pub(super) struct Routed {
    pub(super) from: DeviceAddr,
    /// The chat.
    pub(super) to: DeviceAddr,
    pub(super) addressing: Addressing,
    pub(super) id: CompactString,
    pub(super) t: u64,
    /// Attributes and children that all copies carry.
    pub(super) shared: Node,
    pub(super) is_peer: bool,
    pub(super) from_session: bool,
    pub(super) proof: Proof,
    pub(super) copies: SmallVec<[Enc; 4]>,
    pub(super) fate: Fate,
}

/// One device's copy.
pub(super) struct Enc {
    pub(super) to: DeviceAddr,
    /// Which form of its address the device was called by.
    pub(super) form: Addressing,
    pub(super) kind: CompactString,
    pub(super) ciphertext: Bytes,
    /// Attributes beyond type and version.
    pub(super) node: Node,
}

impl Enc {
    pub(super) fn starts_session(&self) -> bool {
        self.kind == CiphertextKind::PreKey.as_str()
    }
}

/// What faults do to a message.
#[derive(Clone, Default)]
pub(super) struct Fate {
    pub(super) times: u32,
    pub(super) delay: Option<Duration>,
    pub(super) delay_ack: bool,
    pub(super) withhold_ack: bool,
    pub(super) cut: bool,
    pub(super) corrupt: bool,
    pub(super) force_retry: Option<bool>,
}

impl World {
    pub(super) fn deliver_copies(&mut self, routed: Routed) {
        for enc in &routed.copies {
            for _ in 0..routed.fate.times {
                if self.device_mut(enc.to).is_some() {
                    self.deliver_to_linked(&routed, enc);
                } else {
                    self.deliver_to_simulated(&routed, enc);
                }
            }
        }
    }

    fn deliver_to_linked(&mut self, routed: &Routed, enc: &Enc) {
        let own = enc.to.number == routed.from.number;
        let mut stanza = routed.shared.clone();
        let other = match routed.addressing {
            Addressing::Pn => Addressing::Lid,
            Addressing::Lid => Addressing::Pn,
        };
        let alternate = |user: DeviceAddr| self.seed.jid(DeviceAddr::phone(user.number), other);
        stanza.set_attr("from", self.seed.jid(routed.from, routed.addressing));
        stanza.set_attr("id", &routed.id);
        stanza.set_attr("t", routed.t);
        let by_lid = routed.addressing == Addressing::Lid;
        if !own {
            let name = if by_lid { "sender_pn" } else { "sender_lid" };
            stanza.set_attr(name, alternate(routed.from));
        } else if routed.is_peer {
            stanza.set_attr("category", "peer");
        } else {
            stanza.set_attr("recipient", self.seed.jid(routed.to, routed.addressing));
            let name = if by_lid {
                "peer_recipient_pn"
            } else {
                "peer_recipient_lid"
            };
            stanza.set_attr(name, alternate(routed.to));
        }
        let mut node = enc.node.clone().with_bytes(routed.ciphertext(enc));
        node.set_attr("v", "2");
        node.set_attr("type", &enc.kind);
        stanza.push_child(node);
        if self.beside.remove(&(routed.from.number, enc.to.number)) {
            stanza.push_child(Node::new("unavailable"));
        }
        let key = PendingKey::message(&routed.id);
        self.enqueue(enc.to, key, stanza);
    }

    fn deliver_to_simulated(&mut self, routed: &Routed, enc: &Enc) {
        let is_known = self
            .devices_of(enc.to.number)
            .is_some_and(|devices| devices.contains(&enc.to.device));
        if !is_known {
            // What simulated devices are still sending to a device that was unlinked is nobody's mistake.
            self.audit.count.unknown_devices += u64::from(routed.from_session);
            return;
        }
        let own = enc.to.number == routed.from.number;
        let manners = self.population.manners(enc.to.number).map(Arc::clone);
        let delivery = Delivery {
            to: enc.to,
            from: routed.from,
            own_chat: (own && !routed.is_peer).then_some(routed.to.number),
            id: routed.id.clone(),
            kind: routed
                .shared
                .attr_str("type")
                .map(|kind| CompactString::from(kind.as_ref()))
                .unwrap_or_default(),
            t: routed.t,
            ciphertext: Ciphertext {
                kind: if enc.starts_session() {
                    CiphertextKind::PreKey
                } else {
                    CiphertextKind::Message
                },
                bytes: routed.ciphertext(enc),
            },
            proof: routed.proof,
            from_session: routed.from_session,
            addressing: routed.addressing,
            tampering: Tampering {
                corrupted: routed.is_corrupted(enc),
                force_retry: routed
                    .fate
                    .force_retry
                    .filter(|_| manners.is_some() && enc.to.device == 0),
            },
            sender_devices: match &manners {
                // Contacts do not answer each other: that would never end.
                Some(manners)
                    if manners.reply.is_some() && self.accounts.contains_key(&routed.from.number) =>
                {
                    self.devices_of(routed.from.number).unwrap_or_default()
                }
                _ => SmallVec::new(),
            },
            manners,
            group: None,
        };
        self.crowd.give(enc.to.number, Job::Deliver(Box::new(delivery)));
    }
}

impl Routed {
    /// Faults corrupt what the other side gets, not what the own devices get.
    fn is_corrupted(&self, enc: &Enc) -> bool {
        self.fate.corrupt && enc.to.number == self.to.number
    }

    fn ciphertext(&self, enc: &Enc) -> Bytes {
        if self.is_corrupted(enc) {
            corrupted(enc)
        } else {
            enc.ciphertext.clone()
        }
    }
}

/// The same with the last byte of its MAC changed. A message that starts a session has another one inside, whose MAC it is,
/// and more behind that.
fn corrupted(enc: &Enc) -> Bytes {
    let mut bytes = enc.ciphertext.to_vec();
    let inner = match PreKeyMessage::parse(&enc.ciphertext) {
        Ok(message) if enc.starts_session() => message.message_bytes(),
        _ => &enc.ciphertext,
    };
    let starts_at = enc
        .ciphertext
        .windows(inner.len().max(1))
        .position(|part| part == inner);
    let mac_ends_at = starts_at.map(|start| start + inner.len());
    if let Some(last) = mac_ends_at.and_then(|end| bytes.get_mut(end - 1)) {
        *last ^= 1;
    }
    bytes.into()
}
