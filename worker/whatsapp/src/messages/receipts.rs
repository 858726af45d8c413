//! Receipts that tell of our messages: that they arrived, were read, were played.
//!
//! They are shown under both names of their chat. Who goes by a hidden id, and whose number is not in memory any more, is
//! asked of the store first; the receipt is acknowledged when it is shown, so that the server repeats what a crash took.

use std::collections::VecDeque;

use crate::binary::Node;
use crate::e2e::{E2e, is_own};
use crate::event::{Event, Receipt, ReceiptKind};
use crate::jid::Jid;
use crate::part::{AckBy, Context};
use crate::stanza::ack::ack_for;
use crate::stanza::receipt::Received;

/// Most receipts that wait for the number of their chat. Beyond it they are shown under the hidden id alone.
pub const MAX_WAITING_RECEIPTS: usize = 256;

/// Those that wait for a name.
#[derive(Default)]
pub(super) struct Receipts {
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    stanza: Node,
    status: Status,
}

/// What a receipt tells of the messages of one chat.
pub(super) struct Status {
    chat: Jid,
    kind: ReceiptKind,
    receipt: Received,
}

impl Receipts {
    /// Shows what a receipt tells, now or when its chat's number is known.
    pub(super) fn push(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        stanza: &Node,
        status: Status,
    ) -> AckBy {
        let chat = &status.chat;
        let is_asked = self.waiting.iter().any(|waiting| waiting.status.chat == *chat);
        let directory = &e2e.directory;
        let is_as_known =
            !chat.is_lid() || directory.other_name(chat).is_some() || directory.is_nameless(chat);
        let has_name = is_as_known || is_own(cx.device, chat);
        // None overtakes an earlier one of its chat.
        let is_ready = has_name && !is_asked;
        if is_ready || self.waiting.len() >= MAX_WAITING_RECEIPTS {
            if is_asked {
                self.show_those_of(cx, e2e, &status.chat);
            }
            status.show(cx, e2e);
            return AckBy::Connection;
        }
        if !is_asked {
            e2e.ask_name(cx, chat);
        }
        let stanza = stanza.clone();
        self.waiting.push_back(Waiting { stanza, status });
        AckBy::Handler
    }

    /// The store has answered for the other name of a user.
    pub(super) fn on_name(&mut self, cx: &mut Context<'_>, e2e: &E2e, user: &Jid) {
        self.show_those_of(cx, e2e, user);
    }

    /// Shows what waits of a user's chat, in its order.
    fn show_those_of(&mut self, cx: &mut Context<'_>, e2e: &E2e, user: &Jid) {
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else {
                return;
            };
            if waiting.status.chat.same_user(user) {
                waiting.status.show(cx, e2e);
                cx.send(ack_for(&waiting.stanza));
            } else {
                self.waiting.push_back(waiting);
            }
        }
    }
}

impl Status {
    /// Of a receipt whose meaning is a status of this kind.
    pub(super) fn new(cx: &Context<'_>, receipt: Received, kind: ReceiptKind) -> Self {
        let reader = receipt.participant.as_ref().unwrap_or(&receipt.from);
        let chat = match (&receipt.recipient, receipt.from.is_group()) {
            (Some(recipient), false) => recipient.to_bare(),
            _ => receipt.from.to_bare(),
        };
        Self {
            kind: if is_own(cx.device, reader) {
                kind.of_ours()
            } else {
                kind
            },
            chat,
            receipt,
        }
    }

    fn show(self, cx: &mut Context<'_>, e2e: &E2e) {
        let other = e2e.directory.other_name(&self.chat);
        let Received {
            entries,
            from,
            participant,
            ..
        } = self.receipt;
        for entry in entries {
            let reader = entry.user.or_else(|| participant.clone());
            let from = reader.unwrap_or_else(|| from.clone());
            cx.emit(Event::Receipt(Receipt {
                ids: entry.ids,
                chat: self.chat.clone(),
                other: other.clone(),
                from_other: e2e.directory.other_name(&from),
                from,
                kind: self.kind,
                timestamp: entry.timestamp,
            }));
        }
    }
}
