//! A simulated device sends a text, or sends one again because it was asked to.

use compact_str::CompactString;
use prost::Message as _;
use whatsapp::message_id::MessageId;
use whatsapp::proto::{Message, MessageKey, message::DeviceSentMessage};
use whatsapp::signal::{PreKeyBundle, padding};

use super::inbox::{Outgoing, ReceiptSeen};
use super::job::{Delivery, ReceiptIn, SendText, ToCompanion};
use super::output::{Copy, MessageOut, Output};
use super::placeholder::{self, Has};
use super::shard::{MAX_RETRIES, PendingSend, Shard};
use crate::number::{Addressing, DeviceAddr};

/// Most sends that wait for bundles; beyond, a send is given up.
/// A companion that no client is, and that answers in the place of its phone.
const ANOTHER_COMPANION: u16 = 99;
const MAX_PENDING_SENDS: usize = 10_000;

impl Shard {
    pub(super) fn send(&mut self, send: SendText) {
        self.wake(send.from);
        let Ok(message) = self.written(send.from, send.addressing, send.message, send.vote) else {
            return;
        };
        let id = MessageId::generate(
            self.clock.unix_seconds(),
            &send.from.number.to_string(),
            &mut self.rng,
        );
        let id = CompactString::from(id.as_str());
        let device = self.wake(send.from);
        let text = send.text.clone();
        device.outbox.push(Outgoing {
            id: id.clone(),
            to: send.to,
            text,
            message: message.clone(),
            receipts: Vec::new(),
        });
        if let Some(answer) = send.answer {
            // Whoever asked may have gone; the message is sent all the same.
            drop(answer.send(id.clone()));
        }
        let theirs = send
            .to_devices
            .iter()
            .map(|device| DeviceAddr::new(send.to, *device));
        let own = send
            .own_devices
            .iter()
            .map(|device| DeviceAddr::new(send.from.number, *device));
        let mut targets: Vec<DeviceAddr> = theirs.chain(own).filter(|target| *target != send.from).collect();
        targets.sort_unstable();
        targets.dedup();
        self.send_or_wait(PendingSend {
            from: send.from,
            to: send.to,
            addressing: send.addressing,
            id,
            text: send.text,
            message,
            targets,
            retry_count: 0,
            peer: None,
            group: None,
        });
    }

    /// A companion asks its phone for a message: the phone answers, if it is one that does.
    pub(super) fn asked_for_placeholder(&mut self, delivery: &Delivery, key: &MessageKey) {
        let phone = delivery.to.number;
        let id = CompactString::from(key.id.as_deref().unwrap_or_default());
        let kept = self.placeholders.get(&(phone, id));
        let kept = kept.map(|kept| {
            let chat = DeviceAddr::phone(kept.from);
            (kept, self.seed.jid(chat, Addressing::Pn))
        });
        let from = match kept.as_ref().map(|(kept, _)| kept.answer) {
            Some(Has::Companion) => DeviceAddr::new(phone, ANOTHER_COMPANION),
            _ => delivery.to,
        };
        let Some(answer) = placeholder::answer(&delivery.id, key, kept) else {
            return;
        };
        self.tell(ToCompanion {
            from,
            to: delivery.from,
            addressing: delivery.addressing,
            message: answer.encode_to_vec(),
        });
    }

    /// Says something to a companion that no chat shows.
    pub(super) fn tell(&mut self, tell: ToCompanion) {
        let user = tell.from.number.to_string();
        let id = MessageId::generate(self.clock.unix_seconds(), &user, &mut self.rng);
        self.wake(tell.from);
        self.send_or_wait(PendingSend {
            from: tell.from,
            to: tell.to.number,
            addressing: tell.addressing,
            id: id.as_str().into(),
            text: String::new(),
            message: None,
            targets: vec![tell.to],
            retry_count: 0,
            peer: Some(tell.message),
            group: None,
        });
    }

    pub(super) fn bundles_came(
        &mut self,
        who: DeviceAddr,
        send: u64,
        bundles: Vec<(DeviceAddr, Option<PreKeyBundle>)>,
    ) {
        let Some(mut pending) = self.pending_sends.remove(&send) else {
            return;
        };
        for (target, bundle) in bundles {
            let (device, rng) = (self.devices.get_mut(&who), &mut self.rng);
            let started = match (device, bundle) {
                (Some(device), Some(bundle)) => device.start_session(target, &bundle, rng),
                _ => false,
            };
            if !started {
                pending.targets.retain(|other| *other != target);
            }
        }
        self.encrypt(&pending);
    }

    pub(super) fn receipt_came(&mut self, receipt: ReceiptIn) {
        let Some(device) = self.devices.get_mut(&receipt.to) else {
            return;
        };
        let kind = if receipt.kind.is_empty() {
            "delivery"
        } else {
            receipt.kind.as_str()
        };
        for id in &receipt.ids {
            if let Some(message) = device.outbox.get_mut(id) {
                message.receipts.push(ReceiptSeen {
                    from: receipt.from.number.to_string(),
                    device: receipt.from.device,
                    kind: kind.to_owned(),
                    t: receipt.t,
                });
            }
        }
        self.asked_again(receipt);
    }

    fn asked_again(&mut self, receipt: ReceiptIn) {
        let (Some(retry), Some(id)) = (receipt.retry, receipt.ids.first()) else {
            return;
        };
        let Some(device) = self.devices.get_mut(&receipt.to) else {
            return;
        };
        let Some(message) = device.outbox.get_mut(id).filter(|_| retry.count < MAX_RETRIES) else {
            return;
        };
        let pending = PendingSend {
            from: receipt.to,
            to: message.to,
            addressing: receipt.addressing,
            id: id.clone(),
            text: message.text.clone(),
            message: message.message.clone(),
            targets: vec![receipt.from],
            retry_count: retry.count,
            peer: None,
            group: None,
        };
        match retry.bundle {
            Some(bundle) => {
                device.start_session(receipt.from, &bundle, &mut self.rng);
            }
            None if !device.knows_installation(receipt.from, retry.registration_id) => {
                device.forget(receipt.from)
            }
            None => {}
        }
        self.send_or_wait(pending);
    }

    pub(super) fn send_or_wait(&mut self, pending: PendingSend) {
        let Some(device) = self.devices.get(&pending.from) else {
            return;
        };
        let missing: Vec<_> = pending
            .targets
            .iter()
            .copied()
            .filter(|target| !device.has_session(*target))
            .collect();
        if missing.is_empty() {
            return self.encrypt(&pending);
        }
        if self.pending_sends.len() >= MAX_PENDING_SENDS {
            return;
        }
        self.last_send += 1;
        self.out.push(Output::WantBundles {
            who: pending.from,
            send: self.last_send,
            of: missing,
        });
        self.pending_sends.insert(self.last_send, pending);
    }

    fn encrypt(&mut self, send: &PendingSend) {
        if let Some(group) = &send.group {
            return self.encrypt_in_group(send, group);
        }
        let file = send
            .message
            .as_ref()
            .and_then(|bytes| Message::decode(bytes.clone()).ok());
        let plain = file.unwrap_or_else(|| Message {
            conversation: Some(send.text.clone()),
            ..Message::default()
        });
        let chat = self
            .seed
            .jid(DeviceAddr::phone(send.to), send.addressing)
            .to_string();
        let wrapped = DeviceSentMessage {
            destination_jid: Some(chat),
            message: Some(Box::new(plain.clone())),
            ..DeviceSentMessage::default()
        };
        let own = Message {
            device_sent_message: Some(Box::new(wrapped)),
            ..Message::default()
        };
        let (plain, own) = (plain.encode_to_vec(), own.encode_to_vec());
        let Some(device) = self.devices.get_mut(&send.from) else {
            return;
        };
        let mut copies = Vec::with_capacity(send.targets.len());
        for target in &send.targets {
            let is_own = target.number == send.from.number && send.to != send.from.number;
            let content = match &send.peer {
                Some(message) => message,
                None if is_own => &own,
                None => &plain,
            };
            let mut padded = content.clone();
            padding::pad(&mut padded, &mut self.rng);
            if let Some(ciphertext) = device.encrypt(*target, &padded, &mut self.rng) {
                copies.push(Copy {
                    to: *target,
                    ciphertext,
                });
            }
        }
        self.out.push(Output::Message(Box::new(MessageOut {
            from: send.from,
            to: send.to,
            addressing: send.addressing,
            id: send.id.clone(),
            copies,
            retry_count: send.retry_count,
            is_peer: send.peer.is_some(),
        })));
    }
}
