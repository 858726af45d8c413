//! Stanzas that no device encrypted: what channels and statuses look like, messages without a copy for companions, copies
//! of own messages that can't be read, warnings of few prekeys. Sent to all linked devices of a phone when a test says so.
//!
//! Facts: docs/PROTOCOL.md, "Receipts", "Own copies" and "Unavailable messages".

use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;
use whatsapp::binary::Node;
use whatsapp::jid::{Jid, Server};
use whatsapp::proto::Message;

use super::World;
use super::account::PendingKey;
use super::command::{Form, Special};
use super::port::Outbound;
use super::stanza::notification;
use crate::crowd::{Has, Job, Placeholder};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// A channel that everybody follows.
const CHANNEL: &str = "120363000000000001";
/// What a frame holds at most, without its tag: its length has three bytes.
const MAX_RUBBISH_BYTES: usize = 0x00ff_ffff - 16;
/// What no device can decrypt, in the form of a message.
const UNREADABLE: [u8; 60] = [0x33; 60];

impl World {
    /// Sends one to all linked devices of a phone; answers its id.
    pub(super) fn send_special(&mut self, phone: Number, special: Special) -> Result<CompactString, Refusal> {
        let id = CompactString::from(self.next_id());
        let stanza = match special {
            Special::LoseUpload => {
                for who in self.linked_devices(phone).collect::<Vec<_>>() {
                    if let Some(device) = self.device_mut(who) {
                        device.loses_upload = true;
                    }
                }
                return Ok(id);
            }
            Special::Count { value } => {
                let child = Node::new("count").attr("value", value);
                for who in self.linked_devices(phone).collect::<Vec<_>>() {
                    self.notify(who, notification(&Jid::SERVER, "encrypt"), child.clone());
                }
                return Ok(id);
            }
            Special::Rubbish { bytes } => {
                self.send_rubbish(phone, bytes)?;
                return Ok(id);
            }
            Special::Newsletter { text } => {
                let message = Message {
                    conversation: Some(text.unwrap_or_else(|| "hi".to_owned())),
                    ..Message::default()
                };
                let text = Node::new("plaintext").with_slice(&message.encode_to_vec());
                self.special("message", &id, &Jid::new(CHANNEL, Server::Newsletter))
                    .with_child(text)
            }
            Special::Status { from } => self
                .status("message", &id, &from)?
                .with_child(unreadable("skmsg")),
            Special::StatusTag { from } => self.status("status", &id, &from)?,
            Special::OwnCopy { to } => {
                let chat = self.contact_jid("to", &to)?;
                let own = self.seed.jid(DeviceAddr::phone(phone), Addressing::Pn);
                let copy = self.special("message", &id, &own).attr("recipient", chat);
                copy.with_child(unreadable("msg"))
            }
            Special::Unavailable {
                from,
                form,
                text,
                answer,
            } => {
                let sender = self.contact_jid("from", &from)?;
                if form == Form::WithEnc {
                    let number = self.contact("from", &from)?;
                    self.beside.insert((number, phone));
                    return Ok(id);
                }
                self.keep_placeholder(phone, &id, (&from, text, answer))?;
                self.special("message", &id, &sender)
                    .with_children(form.children())
            }
        };
        for who in self.linked_devices(phone).collect::<Vec<_>>() {
            self.enqueue(who, PendingKey::message(&id), stanza.clone());
        }
        Ok(id)
    }

    /// Sends all connections of a phone's devices a frame that is no stanza.
    fn send_rubbish(&mut self, phone: Number, bytes: usize) -> Result<(), Refusal> {
        if !(1..=MAX_RUBBISH_BYTES).contains(&bytes) {
            return Err(Refusal::bad("bytes", format!("must be 1 to {MAX_RUBBISH_BYTES}")));
        }
        let mut rubbish = vec![0xff; bytes];
        // Not compressed.
        rubbish[0] = 0;
        let rubbish = Bytes::from(rubbish);
        for who in self.linked_devices(phone).collect::<Vec<_>>() {
            let conn = self.device_mut(who).and_then(|device| device.conn);
            if let Some(conn) = conn.and_then(|conn| self.conns.get(&conn)) {
                // One that is full is about to be closed.
                drop(conn.outbound.sender.try_send(Outbound::Stanza(rubbish.clone())));
            }
        }
        Ok(())
    }

    fn keep_placeholder(
        &mut self,
        phone: Number,
        id: &CompactString,
        (from, text, answer): (&str, Option<String>, Has),
    ) -> Result<(), Refusal> {
        let placeholder = Placeholder {
            phone,
            id: id.clone(),
            from: self.contact("from", from)?,
            text: text.unwrap_or_default(),
            answer,
        };
        self.crowd.give(phone, Job::Keep(Box::new(placeholder)));
        Ok(())
    }

    fn special(&self, tag: &'static str, id: &str, from: &Jid) -> Node {
        Node::new(tag)
            .attr("from", from)
            .attr("id", id)
            .attr("type", "text")
            .attr("t", self.clock.unix_seconds())
    }

    fn status(&self, tag: &'static str, id: &str, from: &str) -> Result<Node, Refusal> {
        let participant = self.contact_jid("from", from)?;
        let list = Jid::new("status", Server::Broadcast);
        Ok(self.special(tag, id, &list).attr("participant", participant))
    }

    fn contact_jid(&self, field: &'static str, text: &str) -> Result<Jid, Refusal> {
        let number = self.contact(field, text)?;
        Ok(self.seed.jid(DeviceAddr::phone(number), Addressing::Pn))
    }

    fn contact(&self, field: &'static str, text: &str) -> Result<Number, Refusal> {
        let number: Number = text
            .parse()
            .map_err(|error: crate::number::BadNumber| Refusal::bad(field, error.to_string()))?;
        if self.population.contains(number) {
            Ok(number)
        } else {
            Err(Refusal::bad(field, "is no contact"))
        }
    }
}

impl Form {
    fn children(self) -> Vec<Node> {
        let unavailable = Node::new("unavailable");
        match self {
            Self::Plain | Self::WithEnc => vec![unavailable],
            Self::ViewOnce => vec![unavailable.attr("type", "view_once")],
            Self::Hosted => vec![unavailable.attr("hosted", "true")],
            Self::Bot => vec![unavailable, Node::new("bot")],
        }
    }
}

fn unreadable(kind: &'static str) -> Node {
    Node::new("enc")
        .attr("v", "2")
        .attr("type", kind)
        .with_slice(&UNREADABLE)
}
