//! A simulated device gets a message: decrypts it, checks it, shows it once, and answers as its owner would.

use prost::Message as _;
use whatsapp::jid::Jid;
use whatsapp::proto::Message;
use whatsapp::proto::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use whatsapp::signal::padding;
use whatsapp::signal::session::CiphertextKind;

use super::device::Unreadable;
use super::inbox::{Entry, text_of};
use super::job::{Delivery, Devices, Proof, SendText};
use super::output::{Output, PastWanted, ReceiptOut, RetryOut};
use super::placeholder;
use super::shard::{Later, MAX_RETRIES, Shard};
use super::tally::Tally;
use crate::number::DeviceAddr;
use crate::population::Reply;
use crate::seed::Seed;

/// Reasons of a request to send again, by the numbers of the wire.
pub(super) mod reason {
    pub(in super::super) const UNKNOWN: u8 = 0;
    pub(in super::super) const INVALID_MESSAGE: u8 = 4;
    pub(super) const ADV_FAILURE: u8 = 12;
}

/// Whether a companion asks its phone for keys of the app state.
fn asks_for_keys(delivery: &Delivery, message: &Message) -> bool {
    let protocol = message.protocol_message.as_ref();
    delivery.from.number == delivery.to.number
        && protocol.is_some_and(|protocol| protocol.app_state_sync_key_request.is_some())
}

/// Which older messages a companion asks its phone for.
fn asks_for_past(message: &Message) -> Option<HistorySyncOnDemandRequest> {
    let protocol = message.protocol_message.as_ref()?;
    let request = protocol.peer_data_operation_request_message.as_ref()?;
    request.history_sync_on_demand_request.clone()
}

/// What came of a copy.
pub(super) enum Outcome {
    /// The message, and the bytes it was read from.
    Readable(Box<Message>, Box<[u8]>),
    /// Its message key was used already: an old copy again.
    OldCopy,
    Unreadable(u8),
}

impl Shard {
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let outcome = self.open(&delivery);
        let is_own = delivery.from.number == delivery.to.number;
        let is_peer = is_own && delivery.own_chat.is_none() && delivery.group.is_none();
        if let Outcome::Readable(message, _) = &outcome
            && let Some(key) = placeholder::asked(message).filter(|_| is_peer)
        {
            return self.asked_for_placeholder(&delivery, &key);
        }
        if let Outcome::Readable(message, _) = &outcome
            && let Some(asked) = asks_for_past(message).filter(|_| is_peer)
        {
            return self.out.push(Output::WantPast(Box::new(PastWanted {
                companion: delivery.from,
                request: delivery.id,
                asked,
            })));
        }
        let Some(device) = self.devices.get_mut(&delivery.to) else {
            return;
        };
        let Some(entry) = device.inbox.entry(delivery.from, &delivery.id) else {
            return self.answer(&delivery, None);
        };
        entry.received += 1;
        entry.own_chat = delivery.own_chat;
        entry.group = delivery.group.as_ref().map(|copy| copy.group.clone());
        if entry.t == 0 {
            entry.t = delivery.t;
            entry.kind.clone_from(&delivery.kind);
        }
        match outcome {
            Outcome::Readable(message, bytes) => {
                if asks_for_keys(&delivery, &message) {
                    self.out.push(Output::WantKeys(delivery.from));
                }
                let text = text_of(&message);
                let shown = show(entry, &delivery, bytes, &mut self.tally);
                if shown && !text.is_empty() && delivery.group.is_none() {
                    self.note_text(&delivery, &text);
                }
                self.answer(&delivery, shown.then_some(text));
            }
            Outcome::OldCopy => {
                self.tally.duplicates_received += u64::from(is_contact(&delivery));
                self.answer(&delivery, None);
            }
            Outcome::Unreadable(error) => {
                entry.failed += 1;
                let count = entry.failed;
                if delivery.tampering.corrupted {
                    self.tally.undecryptable_by_fault += 1;
                } else if delivery.tampering.force_retry.is_none() && !entry.counted_failed {
                    entry.counted_failed = true;
                    self.tally.undecryptable += 1;
                }
                self.ask_again(&delivery, error, count);
            }
        }
    }

    /// Decrypts and checks a copy. Padding, wrapping and the device identity count as wrong if a real phone would say so.
    fn open(&mut self, delivery: &Delivery) -> Outcome {
        self.wake(delivery.to);
        if delivery.tampering.force_retry.is_some() {
            return Outcome::Unreadable(reason::UNKNOWN);
        }
        if delivery.ciphertext.kind == CiphertextKind::PreKey && delivery.proof == Proof::Bad {
            self.tally.malformed += 1;
            return Outcome::Unreadable(reason::ADV_FAILURE);
        }
        if let Some(copy) = &delivery.group {
            return self.open_in_group(delivery, copy);
        }
        let seed = &self.seed;
        let Some(device) = self.devices.get_mut(&delivery.to) else {
            return Outcome::Unreadable(reason::UNKNOWN);
        };
        let padded = match device.decrypt(seed, delivery.from, &delivery.ciphertext) {
            Ok(padded) => padded,
            Err(Unreadable::Duplicate) => return Outcome::OldCopy,
            Err(Unreadable::Because(error)) => return Outcome::Unreadable(error),
        };
        let message = padding::unpad(&padded)
            .ok()
            .and_then(|plain| Some((Message::decode(plain).ok()?, plain.into())));
        let Some((message, bytes)) = message else {
            self.tally.malformed += 1;
            return Outcome::Unreadable(reason::INVALID_MESSAGE);
        };
        let own = delivery.from.number == delivery.to.number;
        match (message.device_sent_message.clone(), own) {
            (Some(wrapped), true) => {
                if !names_chat(&self.seed, delivery, wrapped.destination_jid.as_deref()) {
                    self.tally.wrong_destinations += 1;
                }
                let message = wrapped.message.unwrap_or_default();
                let bytes = message.encode_to_vec().into();
                Outcome::Readable(message, bytes)
            }
            (None, false) => Outcome::Readable(Box::new(message), bytes),
            // Peer messages to the own phone may come bare; only chats must be wrapped.
            (None, true) if delivery.own_chat.is_none() => Outcome::Readable(Box::new(message), bytes),
            _ => {
                self.tally.malformed += 1;
                Outcome::Unreadable(reason::INVALID_MESSAGE)
            }
        }
    }

    /// Counts a text that the same account already sent this contact under another id.
    fn note_text(&mut self, delivery: &Delivery, text: &str) {
        if is_contact(delivery) && !self.texts.note(delivery, text) {
            self.tally.repeated_texts += 1;
        }
    }

    /// Sends the receipts for a copy that came, and the reply if its message was `shown` (with this text).
    fn answer(&mut self, delivery: &Delivery, shown: Option<String>) {
        if delivery.own_chat.is_some() || delivery.from.number == delivery.to.number {
            return;
        }
        let Some(manners) = delivery.manners.clone() else {
            return self.later(std::time::Duration::ZERO, Later::Receipt(receipt(delivery, None)));
        };
        let Some(deliver_after) = manners.deliver_after else {
            return;
        };
        self.later(deliver_after, Later::Receipt(receipt(delivery, None)));
        if delivery.to.device != 0 {
            return;
        }
        let Some(text) = shown else { return };
        if let Some(read_after) = manners.read_after {
            self.later(
                read_after.max(deliver_after),
                Later::Receipt(receipt(delivery, Some("read"))),
            );
        }
        if delivery.sender_devices.is_empty() {
            return;
        }
        let text = match &manners.reply {
            Some(Reply::Echo) if !text.is_empty() => text,
            Some(Reply::Text(fixed)) if !text.is_empty() => fixed.clone(),
            _ => return,
        };
        let send = SendText {
            from: delivery.to,
            to: delivery.from.number,
            to_devices: delivery.sender_devices.clone(),
            own_devices: Devices::new(),
            addressing: delivery.addressing,
            text,
            message: None,
            vote: None,
            answer: None,
        };
        self.later(
            manners.read_after.unwrap_or_default().max(deliver_after),
            Later::Send(Box::new(send)),
        );
    }

    fn ask_again(&mut self, delivery: &Delivery, error: u8, count: u32) {
        if count > MAX_RETRIES {
            return;
        }
        let with_keys = delivery.tampering.force_retry.unwrap_or(count > 1);
        let seed = self.seed.clone();
        let Some(device) = self.devices.get_mut(&delivery.to) else {
            return;
        };
        let retry = RetryOut {
            count,
            error,
            t: delivery.t,
            registration_id: device.registration_id(),
            bundle: with_keys.then(|| Box::new(device.retry_bundle(&seed))),
        };
        self.tally.retries_requested += 1;
        let mut receipt = receipt(delivery, Some("retry"));
        receipt.retry = Some(retry);
        self.later(std::time::Duration::ZERO, Later::Receipt(receipt));
    }
}

/// Shows a readable message, unless it was shown before. Returns whether it was.
fn show(entry: &mut Entry, delivery: &Delivery, message: Box<[u8]>, tally: &mut Tally) -> bool {
    if entry.counted_failed {
        entry.counted_failed = false;
        tally.recovered += 1;
    }
    let dedupe = delivery.manners.as_ref().is_none_or(|manners| manners.dedupe);
    let is_contact = is_contact(delivery);
    if entry.shown > 0 {
        tally.duplicates_received += u64::from(is_contact);
        if dedupe {
            return false;
        }
    }
    entry.shown += 1;
    entry.message = message;
    match entry.shown {
        _ if !is_contact => tally.shown_elsewhere += 1,
        1 => {
            tally.shown_once += 1;
            tally.shown_from_phones += u64::from(!delivery.from_session);
        }
        2 => {
            tally.shown_once -= 1;
            tally.shown_twice += 1;
        }
        _ => {}
    }
    true
}

/// Whether a copy of what another own device sent names its chat as the stanza does.
fn names_chat(seed: &Seed, delivery: &Delivery, destination: Option<&str>) -> bool {
    let Some(chat) = delivery.own_chat else {
        return true;
    };
    let named = destination.and_then(|jid| jid.parse().ok());
    let named = named.and_then(|jid: Jid| seed.resolve(&jid));
    named == Some((DeviceAddr::phone(chat), delivery.addressing))
}

/// Whether it is the phone of a contact that got the copy: what the audit is about.
fn is_contact(delivery: &Delivery) -> bool {
    delivery.manners.is_some() && delivery.to.device == 0
}

fn receipt(delivery: &Delivery, kind: Option<&'static str>) -> Box<ReceiptOut> {
    Box::new(ReceiptOut {
        from: delivery.to,
        to: delivery.from,
        own_chat: delivery.own_chat,
        group: delivery.group.as_ref().map(|copy| copy.group.clone()),
        addressing: delivery.addressing,
        id: delivery.id.clone(),
        kind,
        retry: None,
    })
}
