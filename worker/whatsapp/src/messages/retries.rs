//! Messages of others that we could not decrypt: asking their senders to encrypt them again.
//!
//! Facts: docs/PROTOCOL.md, "Retry receipts".

use std::collections::{HashMap, VecDeque};

use super::source::{Source, settle_own_copy};
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

/// A message that can't be read.
#[derive(Clone, Copy)]
pub(super) struct Unread<'a> {
    pub(super) stanza: &'a Received,
    /// For acks, which repeat what it names.
    pub(super) node: &'a Node,
    pub(super) source: Source,
}

/// What was done for a message that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retried {
    /// Its sender was asked, or nothing more is to be done; it is answered.
    Answered,
    /// Its sender was asked as often as may be: nothing is answered yet.
    InVain,
}

impl Retries {
    /// Asks the sender for a message again and tells the owner, unless that was in vain too often. One whose sender is not
    /// to be asked is given up.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, unread: Unread<'_>, reason: RetryReason) -> Retried {
        let Unread { stanza, source, .. } = unread;
        if !source.can_be_asked(stanza, cx.now) {
            self.give_up(cx, unread, Nack::Unhandled);
            return Retried::Answered;
        }
        let attempt = self.count(stanza);
        if attempt > MAX_ATTEMPTS {
            return Retried::InVain;
        }
        // Without a session the sender's next try needs one anyway.
        let keys = (attempt >= KEYS_FROM || reason == RetryReason::NoSession).then(|| keys(cx));
        let request = RetryRequest {
            id: &stanza.id,
            to: &stanza.from,
            participant: stanza.participant.as_ref(),
            recipient: stanza.recipient.as_ref(),
            peer: source == Source::Peer,
            timestamp: stanza.timestamp,
            count: attempt,
            reason,
            registration_id: cx.device.registration_id,
            keys,
        };
        cx.send(request.into_node());
        cx.send(message_ack(unread.node, cx.device.jid(), None));
        tell(cx, stanza, attempt, false);
        Retried::Answered
    }

    /// Answers a message that will not be asked for any more, and tells the owner.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, unread: Unread<'_>, refusal: Nack) {
        let Unread { stanza, node, source } = unread;
        if source == Source::OwnCopy {
            settle_own_copy(cx, stanza);
        } else {
            let refusal = Some(refusal).filter(|_| source.can_be_refused());
            cx.send(message_ack(node, cx.device.jid(), refusal));
        }
        let attempt = self.forget(stanza).unwrap_or(1).min(MAX_ATTEMPTS);
        tell(cx, stanza, attempt, true);
    }

    /// Somebody else is asked for a message from now on.
    pub(super) fn hand_over(&mut self, cx: &mut Context<'_>, stanza: &Received) {
        let attempt = self.forget(stanza).unwrap_or(1).min(MAX_ATTEMPTS);
        tell(cx, stanza, attempt, true);
    }

    /// A message was decrypted, or given up. How often it was asked for.
    pub(super) fn forget(&mut self, stanza: &Received) -> Option<u32> {
        if self.attempts.is_empty() {
            return None;
        }
        let key = key(stanza);
        let attempts = self.attempts.remove(&key)?;
        self.order.retain(|other| *other != key);
        Some(attempts)
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

fn tell(cx: &mut Context<'_>, stanza: &Received, attempt: u32, given_up: bool) {
    let chat = match &stanza.participant {
        Some(_) => stanza.from.clone(),
        None => stanza.recipient.as_ref().unwrap_or(&stanza.from).to_bare(),
    };
    cx.emit(Event::Undecryptable {
        id: stanza.id.clone(),
        chat,
        sender: stanza.sender().clone(),
        attempt,
        given_up,
    });
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
