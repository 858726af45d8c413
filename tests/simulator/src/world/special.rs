//! Stanzas that no device encrypted: what channels and statuses look like, messages without a copy for companions, copies
//! of own messages that can't be read, warnings of few prekeys. Sent to all linked devices of a phone when a test says so.
//!
//! Facts: docs/PROTOCOL.md, "Receipts", "Own copies" and "Unavailable messages".

use compact_str::CompactString;
use serde::Deserialize;
use whatsapp::binary::Node;
use whatsapp::jid::{Jid, Server};

use super::World;
use super::account::PendingKey;
use super::stanza::notification;
use crate::crowd::{Has, Job, Placeholder};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// A channel that everybody follows.
const CHANNEL: &str = "120363000000000001";
/// What no device can decrypt, in the form of a message.
const UNREADABLE: [u8; 60] = [0x33; 60];

/// Which stanza; `from` and `to` are contacts.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Special {
    /// A channel publishes something.
    Newsletter,
    /// A status that can't be decrypted.
    Status {
        /// Whose.
        from: String,
    },
    /// A status as a stanza of its own.
    StatusTag {
        /// Whose.
        from: String,
    },
    /// A message without a copy for companions.
    Unavailable {
        /// Who sent it.
        from: String,
        /// Why there is none.
        #[serde(default)]
        form: Form,
        /// What it says; the phone has it.
        #[serde(default)]
        text: Option<String>,
        /// What the phone answers when it is asked for it.
        #[serde(default)]
        answer: Has,
    },
    /// A message of the own phone that can't be read.
    OwnCopy {
        /// The chat.
        to: String,
    },
    /// The server says that few prekeys are left.
    Count {
        /// How many it says.
        value: u32,
    },
}

/// Why a message has no copy for companions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The sender did not know them, or sent from an advertisement.
    #[default]
    Plain,
    /// It may be seen once.
    ViewOnce,
    /// It is on a device that Meta hosts.
    Hosted,
    /// It is the answer of a bot.
    Bot,
    /// There is one all the same: in the sender's next message.
    WithEnc,
}

impl World {
    /// Sends one to all linked devices of a phone; answers its id.
    pub(super) fn send_special(&mut self, phone: Number, special: Special) -> Result<CompactString, Refusal> {
        let id = CompactString::from(self.next_id());
        let stanza = match special {
            Special::Count { value } => {
                let child = Node::new("count").attr("value", value);
                for who in self.linked_devices(phone).collect::<Vec<_>>() {
                    self.notify(who, notification(&Jid::SERVER, "encrypt"), child.clone());
                }
                return Ok(id);
            }
            Special::Newsletter => {
                let text = Node::new("plaintext").with_slice(&[0x0a, 2, b'h', b'i']);
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

/// Whether this message is a copy of what another device of the own account sent: only a receipt of type `sender` ends its
/// delivery.
pub(super) fn is_own_copy(stanza: &Node) -> bool {
    stanza.is("message") && stanza.value("recipient").is_some()
}

/// The end of a stream whose client did not say that it has a copy.
pub(super) fn ack_missing(stanza: &Node) -> Node {
    let ack = Node::new("ack")
        .attr("class", "message")
        .attr_opt("type", stanza.value("type"))
        .attr_opt("id", stanza.value("id"));
    Node::new("stream:error").with_child(ack)
}
