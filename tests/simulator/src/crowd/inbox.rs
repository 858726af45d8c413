//! What a simulated device got and sent, as its owner would see it.
//!
//! A phone drops a message id that it has shown already; how often each came and was shown is what the audit is about.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;
use serde::Serialize;
use whatsapp::proto::Message;

use crate::number::{DeviceAddr, Number};

/// Most messages that one device keeps. What comes after is counted, not kept.
pub const MAX_INBOX: usize = 200_000;
/// Most sent messages that one device keeps; older ones can't be sent again.
pub const MAX_OUTBOX: usize = 256;
/// Up to this many messages looking through all is quicker than an index.
const INDEX_FROM: usize = 16;

/// A message that came.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// The account that sent it.
    pub from: String,
    /// The device that sent it.
    pub from_device: u16,
    /// The chat, if it is a copy of what another device of the own account sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The group that it was in, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Type of the stanza.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text, empty if it is something else or could not be read.
    pub text: String,
    /// The whole content as it was read, a protobuf in base64; empty if it could not be read.
    pub message: String,
    /// Unix seconds.
    pub t: u64,
    /// How often the owner saw it.
    pub times_shown: u32,
    /// How many copies came.
    pub times_received: u32,
    /// How often it could not be read.
    pub times_failed: u32,
}

/// A message that was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// The chat.
    pub to: String,
    /// What was said.
    pub text: String,
    /// The receipts that came for it.
    pub receipts: Vec<ReceiptSeen>,
}

/// A receipt that came for a sent message.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptSeen {
    /// Whose.
    pub from: String,
    /// Which of their devices.
    pub device: u16,
    /// Its type; `delivery` if it had none.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix seconds.
    pub t: u64,
}

/// A message in the inbox.
pub(super) struct Entry {
    pub(super) id: CompactString,
    pub(super) from: DeviceAddr,
    pub(super) own_chat: Option<Number>,
    pub(super) group: Option<CompactString>,
    pub(super) kind: CompactString,
    /// What was read, as the protobuf it came as.
    pub(super) message: Box<[u8]>,
    pub(super) t: u64,
    pub(super) shown: u32,
    pub(super) received: u32,
    pub(super) failed: u32,
    /// Whether a failure was counted as undecryptable.
    pub(super) counted_failed: bool,
}

/// A message in the outbox.
pub(super) struct Outgoing {
    pub(super) id: CompactString,
    pub(super) to: Number,
    pub(super) text: String,
    /// The message in place of the text, encoded.
    pub(super) message: Option<Bytes>,
    pub(super) receipts: Vec<ReceiptSeen>,
}

/// What a device got.
#[derive(Default)]
pub(super) struct Inbox {
    entries: Vec<Entry>,
    index: HashMap<(Number, CompactString), usize>,
}

impl Inbox {
    /// The message of this id from this account; a new one if it never came. `None` if the inbox is full.
    pub(super) fn entry(&mut self, from: DeviceAddr, id: &CompactString) -> Option<&mut Entry> {
        let at = match self.find(from.number, id) {
            Some(at) => at,
            None if self.entries.len() >= MAX_INBOX => return None,
            None => self.insert(from, id),
        };
        self.entries.get_mut(at)
    }

    /// The message of this id that was read first, whoever sent it.
    pub(super) fn found(&self, id: &str) -> Option<(DeviceAddr, &[u8])> {
        let mut read = self.entries.iter().filter(|entry| !entry.message.is_empty());
        let entry = read.find(|entry| entry.id == id)?;
        Some((entry.from, &entry.message))
    }

    pub(super) fn list(&self) -> Vec<Received> {
        self.entries.iter().map(Entry::to_received).collect()
    }

    fn find(&self, from: Number, id: &CompactString) -> Option<usize> {
        if self.entries.len() > INDEX_FROM {
            return self.index.get(&(from, id.clone())).copied();
        }
        self.entries
            .iter()
            .position(|entry| entry.from.number == from && entry.id == *id)
    }

    fn insert(&mut self, from: DeviceAddr, id: &CompactString) -> usize {
        let at = self.entries.len();
        self.entries.push(Entry {
            id: id.clone(),
            from,
            own_chat: None,
            group: None,
            kind: CompactString::default(),
            message: Box::default(),
            t: 0,
            shown: 0,
            received: 0,
            failed: 0,
            counted_failed: false,
        });
        if self.entries.len() == INDEX_FROM + 1 {
            let all = self.entries.iter().enumerate();
            self.index = all
                .map(|(at, entry)| ((entry.from.number, entry.id.clone()), at))
                .collect();
        } else if self.entries.len() > INDEX_FROM {
            self.index.insert((from.number, id.clone()), at);
        }
        at
    }
}

impl Entry {
    fn to_received(&self) -> Received {
        Received {
            id: self.id.to_string(),
            from: self.from.number.to_string(),
            from_device: self.from.device,
            to: self.own_chat.map(|chat| chat.to_string()),
            group: self.group.as_ref().map(|group| format!("{group}@g.us")),
            kind: self.kind.to_string(),
            text: Message::decode(&*self.message).map_or_else(|_| String::new(), |message| text_of(&message)),
            message: STANDARD.encode(&self.message),
            t: self.t,
            times_shown: self.shown,
            times_received: self.received,
            times_failed: self.failed,
        }
    }
}

/// What a device sent.
#[derive(Default)]
pub(super) struct Outbox(VecDeque<Outgoing>);

impl Outbox {
    pub(super) fn push(&mut self, message: Outgoing) {
        if self.0.len() >= MAX_OUTBOX {
            self.0.pop_front();
        }
        self.0.push_back(message);
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Outgoing> {
        self.0.iter_mut().rev().find(|message| message.id == id)
    }

    pub(super) fn list(&self) -> Vec<Sent> {
        self.0
            .iter()
            .map(|message| Sent {
                id: message.id.to_string(),
                to: message.to.to_string(),
                text: message.text.clone(),
                receipts: message.receipts.clone(),
            })
            .collect()
    }
}

/// What a phone would show of a message.
pub(super) fn text_of(message: &Message) -> String {
    if let Some(text) = &message.conversation {
        return text.clone();
    }
    let extended = message
        .extended_text_message
        .as_ref()
        .and_then(|extended| extended.text.clone());
    let caption = || {
        message
            .image_message
            .as_ref()
            .and_then(|image| image.caption.clone())
    };
    extended.or_else(caption).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_again_however_many_there_are() {
        let mut inbox = Inbox::default();
        let from = DeviceAddr::phone(Number::new(15_551_230_001).unwrap());
        for round in 1..=2 {
            for i in 0..40 {
                let id = compact_str::format_compact!("ID{i}");
                let entry = inbox.entry(from, &id).unwrap();
                entry.received += 1;
                assert_eq!(entry.received, round);
            }
        }
        assert_eq!(inbox.list().len(), 40);
    }
}
