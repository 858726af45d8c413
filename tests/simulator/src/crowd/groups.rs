//! Simulated devices in groups: they take keys that are handed to them, read with them, and hand out their own.

use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;
use whatsapp::message_id::MessageId;
use whatsapp::proto::Message;
use whatsapp::proto::message::SenderKeyDistributionMessage;
use whatsapp::signal::padding;

use super::device::Unreadable;
use super::inbox::Outgoing;
use super::job::{Delivery, GroupCopy, SendInGroup};
use super::output::{Copy, GroupMessageOut, Output};
use super::receive::{Outcome, reason};
use super::shard::{PendingSend, Shard};

impl Shard {
    /// Takes the key, if there is one, and decrypts the message. What comes again whole has both in one.
    pub(super) fn open_in_group(&mut self, delivery: &Delivery, copy: &GroupCopy) -> Outcome {
        let jid = address(&copy.group);
        let seed = &self.seed;
        let Some(device) = self.devices.get_mut(&delivery.to) else {
            return Outcome::Unreadable(reason::UNKNOWN);
        };
        let mut said = None;
        if let Some(key) = &copy.key {
            let padded = match device.decrypt(seed, delivery.from, key) {
                Ok(padded) => Some(padded),
                // It came before; its key is known.
                Err(Unreadable::Duplicate) => None,
                Err(Unreadable::Because(error)) => return Outcome::Unreadable(error),
            };
            let Some(mut message) = padded.as_deref().map_or(Some(Message::default()), read) else {
                self.tally.malformed += 1;
                return Outcome::Unreadable(reason::INVALID_MESSAGE);
            };
            if let Some(handed) = message.sender_key_distribution_message.take() {
                let names_group = handed.group_id.as_deref() == Some(&jid);
                let key = handed.axolotl_sender_key_distribution_message.unwrap_or_default();
                if !names_group || !device.accept_group_key(&copy.group, delivery.from, &key) {
                    self.tally.malformed += 1;
                    return Outcome::Unreadable(reason::INVALID_MESSAGE);
                }
            }
            said = Some(message).filter(|message| message.encoded_len() > 0);
        }
        if let Some(ciphertext) = &copy.message {
            let padded = match device.decrypt_in_group(&copy.group, delivery.from, ciphertext) {
                Ok(padded) => padded,
                Err(Unreadable::Duplicate) => return Outcome::OldCopy,
                Err(Unreadable::Because(error)) => return Outcome::Unreadable(error),
            };
            said = read(&padded);
            if said.is_none() {
                self.tally.malformed += 1;
            }
        }
        match said {
            Some(message) => {
                let bytes = message.encode_to_vec().into();
                Outcome::Readable(Box::new(message), bytes)
            }
            None if copy.message.is_some() => Outcome::Unreadable(reason::INVALID_MESSAGE),
            None => Outcome::OldCopy,
        }
    }

    /// Says something in a group: the key goes to all with it, as some clients do each time.
    pub(super) fn send_in_group(&mut self, send: SendInGroup) {
        self.wake(send.from);
        let Ok(message) = self.written(send.from, send.addressing, send.message, send.vote) else {
            return;
        };
        let user = send.from.number.to_string();
        let id = MessageId::generate(self.clock.unix_seconds(), &user, &mut self.rng);
        let id = CompactString::from(id.as_str());
        let device = self.wake(send.from);
        device.outbox.push(Outgoing {
            id: id.clone(),
            to: send.from.number,
            text: send.text.clone(),
            message: None,
            receipts: Vec::new(),
        });
        // Whoever asked may have gone; the message is sent all the same.
        drop(send.answer.send(id.clone()));
        self.send_or_wait(PendingSend {
            from: send.from,
            to: send.from.number,
            addressing: send.addressing,
            id,
            text: send.text,
            message,
            targets: send.to,
            retry_count: 0,
            peer: None,
            group: Some(send.group),
        });
    }

    pub(super) fn encrypt_in_group(&mut self, send: &PendingSend, group: &CompactString) {
        let Some(device) = self.devices.get_mut(&send.from) else {
            return;
        };
        let distribution = SenderKeyDistributionMessage {
            group_id: Some(address(group)),
            axolotl_sender_key_distribution_message: device.own_group_key(group, &mut self.rng),
        };
        let handed = Message {
            sender_key_distribution_message: Some(Box::new(distribution)),
            ..Message::default()
        };
        let mut copies = Vec::with_capacity(send.targets.len());
        for target in &send.targets {
            let padded = padded(&handed, &mut self.rng);
            if let Some(ciphertext) = device.encrypt(*target, &padded, &mut self.rng) {
                copies.push(Copy {
                    to: *target,
                    ciphertext,
                });
            }
        }
        let said = send.message.as_ref();
        let said = said.and_then(|bytes| Message::decode(bytes.clone()).ok());
        let said = said.unwrap_or_else(|| Message {
            conversation: Some(send.text.clone()),
            ..Message::default()
        });
        let padded = padded(&said, &mut self.rng);
        let Some(message) = device.encrypt_in_group(group, &padded, &mut self.rng) else {
            return;
        };
        self.out.push(Output::GroupMessage(Box::new(GroupMessageOut {
            from: send.from,
            group: group.clone(),
            addressing: send.addressing,
            id: send.id.clone(),
            copies,
            message,
        })));
    }
}

/// The address of a group; statuses go as to one.
fn address(group: &str) -> String {
    match group {
        "status" => "status@broadcast".to_owned(),
        group => format!("{group}@g.us"),
    }
}

fn padded(message: &Message, rng: &mut rand::rngs::StdRng) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    padding::pad(&mut bytes, rng);
    bytes
}

fn read(padded: &[u8]) -> Option<Message> {
    let plain = padding::unpad(padded).ok()?;
    Message::decode(Bytes::copy_from_slice(plain)).ok()
}
