//! Messages of others that we could not decrypt: asking their senders to encrypt them again.
//!
//! Facts: docs/PROTOCOL.md, "Retry receipts".

use std::collections::{HashMap, VecDeque};

use crate::binary::Node;
use crate::e2e;
use crate::event::Event;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::stanza::ack::{Nack, message_ack};
use crate::stanza::keys::PublicSignedPreKey;
use crate::stanza::message::Received;
use crate::stanza::receipt::{RetryKeys, RetryReason, RetryRequest};

/// How often one message is asked for.
pub const MAX_ATTEMPTS: u32 = 5;
/// From which attempt on the request carries keys for a new session.
const KEYS_FROM: u32 = 2;
/// How many messages' attempts are remembered.
const MAX_COUNTED: usize = 256;

/// The count of each message that was asked for.
#[derive(Default)]
pub(super) struct Retries {
    attempts: HashMap<(MessageId, Jid), u32>,
    order: VecDeque<(MessageId, Jid)>,
}

impl Retries {
    /// Asks the sender for a message again and tells the owner; gives it up when that was in vain too often.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, stanza: &Received, node: &Node, reason: RetryReason) {
        let attempt = self.count(stanza);
        if attempt > MAX_ATTEMPTS {
            return self.give_up(cx, stanza, node, Nack::Unhandled);
        }
        // Without a session the sender's next try needs one anyway.
        let keys = (attempt >= KEYS_FROM || reason == RetryReason::NoSession).then(|| keys(cx));
        let request = RetryRequest {
            id: &stanza.id,
            to: &stanza.from,
            participant: stanza.participant.as_ref(),
            recipient: stanza.recipient.as_ref(),
            timestamp: stanza.timestamp,
            count: attempt,
            reason,
            registration_id: cx.device.registration_id,
            keys,
        };
        cx.send(request.into_node());
        self.tell(cx, stanza, node, None, attempt);
    }

    /// Refuses a message for good and tells the owner.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, stanza: &Received, node: &Node, refusal: Nack) {
        let attempt = self
            .attempts
            .get(&key(stanza))
            .copied()
            .unwrap_or(1)
            .min(MAX_ATTEMPTS);
        self.tell(cx, stanza, node, Some(refusal), attempt);
        self.forget(stanza);
    }

    /// A message was decrypted, or given up.
    pub(super) fn forget(&mut self, stanza: &Received) {
        let key = key(stanza);
        if self.attempts.remove(&key).is_some() {
            self.order.retain(|other| *other != key);
        }
    }

    fn tell(
        &self,
        cx: &mut Context<'_>,
        stanza: &Received,
        node: &Node,
        refusal: Option<Nack>,
        attempt: u32,
    ) {
        cx.send(message_ack(node, cx.device.jid(), refusal));
        let sender = stanza.sender().clone();
        let chat = match &stanza.participant {
            Some(_) => stanza.from.clone(),
            None => stanza.recipient.as_ref().unwrap_or(&stanza.from).to_bare(),
        };
        let given_up = refusal.is_some();
        cx.emit(Event::Undecryptable {
            id: stanza.id.clone(),
            chat,
            sender,
            attempt,
            given_up,
        });
    }

    /// The number of this attempt: ours, or the sender's if we have forgotten it.
    fn count(&mut self, stanza: &Received) -> u32 {
        let key = key(stanza);
        if !self.attempts.contains_key(&key) {
            if self.order.len() >= MAX_COUNTED
                && let Some(oldest) = self.order.pop_front()
            {
                self.attempts.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let attempts = self.attempts.entry(key).or_default();
        *attempts = (*attempts).max(stanza.count).saturating_add(1);
        *attempts
    }
}

fn key(stanza: &Received) -> (MessageId, Jid) {
    (stanza.id.clone(), stanza.sender().clone())
}

/// Keys for a new session with us, whose one-time prekey nobody else gets.
fn keys(cx: &mut Context<'_>) -> RetryKeys {
    let prekey = e2e::hand_out_prekey(cx);
    RetryKeys {
        identity: *cx.device.identity.public(),
        prekey: (prekey.id, *prekey.pair.public()),
        signed: PublicSignedPreKey::from(&cx.device.signed_prekey),
        device_identity: cx.device.account.as_ref().map(|account| account.identity.clone()),
    }
}
