//! What a message is answered, once it is known what can be read of it.
//!
//! Facts: docs/PROTOCOL.md, "Receipts", "Own copies" and "Unavailable messages".

use prost::Message as _;

use super::super::delivery::{Content, Meaning, chat_of, unwrap_device_sent};
use super::super::placeholders::{self, Lacking};
use super::super::retries::{Retried, Unread};
use super::super::source::{Source, settle_own_copy};
use super::{Inbox, Opened, Waiting};
use crate::e2e::is_own;
use crate::event::{Event, Misbehaviour};
use crate::part::Context;
use crate::proto::Message;
use crate::signal::padding;
use crate::stanza::ack::{Nack, message_ack};
use crate::stanza::message::Absence;
use crate::stanza::receipt::{self, Arrival, RetryReason};

impl Inbox {
    /// Answers a message, or asks for it again; gives what is in it.
    pub(super) fn finish(
        &mut self,
        cx: &mut Context<'_>,
        waiting: Waiting,
        opened: Opened,
    ) -> Option<Box<Content>> {
        let Waiting { stanza, node, .. } = waiting;
        let source = Source::of(cx.device, &stanza);
        let unread = Unread {
            stanza: &stanza,
            node: &node,
            source,
        };
        let (peer, plaintexts) = match opened {
            Opened::Plain(peer, plaintexts) => (peer, plaintexts),
            Opened::Nothing => {
                cx.emit(Event::Misbehaved {
                    how: Misbehaviour::Repeated,
                });
                self.arrived(cx, unread, None);
                return None;
            }
            Opened::Absent if source.can_be_asked_of_phone() => {
                self.lacking.push(Lacking { stanza, node });
                return None;
            }
            Opened::Withheld | Opened::Absent => {
                withheld(cx, unread);
                return None;
            }
            Opened::Failed(reason) => {
                self.retry(cx, unread, reason);
                return None;
            }
        };
        let mut message = Message::default();
        for padded in plaintexts {
            let Ok(plaintext) = padding::unpad(&padded) else {
                self.retry(cx, unread, RetryReason::InvalidMessage);
                return None;
            };
            if message.merge(plaintext).is_err() {
                cx.emit(Event::Misbehaved {
                    how: Misbehaviour::Rubbish,
                });
                self.retries.give_up(cx, unread, Nack::InvalidProtobuf);
                return None;
            }
        }
        self.retries.forget(&stanza);
        let from_me = is_own(cx.device, stanza.sender());
        let destination = if from_me {
            unwrap_device_sent(&mut message)
        } else {
            None
        };
        // Only our own devices may say that we sent something.
        message.device_sent_message = None;
        let chat = chat_of(&stanza, destination.as_ref());
        self.arrived(cx, unread, Some(&message));
        Some(Box::new(Content {
            meaning: Meaning::take(&mut message),
            stanza,
            sender: peer.address,
            chat,
            from_me,
            message,
        }))
    }

    /// Asks for a message again: its sender, and when that was in vain too often, our phone.
    fn retry(&mut self, cx: &mut Context<'_>, unread: Unread<'_>, reason: RetryReason) {
        let how = match reason {
            RetryReason::BadMac => Misbehaviour::WrongMac,
            _ => Misbehaviour::Unreadable,
        };
        cx.emit(Event::Misbehaved { how });
        if self.retries.ask(cx, unread, reason) == Retried::Answered {
            return;
        }
        if unread.source.can_be_asked_of_phone() && placeholders::is_recent(unread.stanza, cx.now) {
            self.retries.hand_over(cx, unread.stanza);
            self.lacking.push(Lacking {
                stanza: unread.stanza.clone(),
                node: unread.node.clone(),
            });
        } else {
            self.retries.give_up(cx, unread, Nack::Unhandled);
        }
    }

    /// The messages that our phone is to be asked for, since the last call.
    pub(in crate::messages) fn take_lacking(&mut self) -> Vec<Lacking> {
        std::mem::take(&mut self.lacking)
    }

    pub(super) fn note_withheld(&mut self, absence: Absence) {
        if absence == Absence::UnknownKind {
            self.unknown_kinds = self.unknown_kinds.saturating_add(1);
        }
        let count = self.unknown_kinds;
        if absence == Absence::UnknownKind && count == 1 {
            tracing::warn!(
                "a message is encrypted in a way that this release does not know; further ones of this connection are at DEBUG"
            );
        } else {
            tracing::debug!(?absence, count, "a message has nothing for us");
        }
    }

    /// Answers a message that needs nothing more.
    fn arrived(&self, cx: &mut Context<'_>, unread: Unread<'_>, content: Option<&Message>) {
        let Unread { stanza, node, source } = unread;
        let Some(arrival) = source.arrival(self.presence) else {
            return cx.send(message_ack(node, cx.device.jid(), None));
        };
        if source == Source::OwnCopy {
            return settle_own_copy(cx, stanza);
        }
        let to = &stanza.from;
        let participant = stanza.participant.as_ref();
        cx.send(receipt::arrival(arrival, &stanza.id, to, participant, None));
        if source == Source::Status {
            cx.send(message_ack(node, cx.device.jid(), None));
        }
        let is_history = content
            .and_then(|message| message.protocol_message.as_ref())
            .is_some_and(|protocol| protocol.history_sync_notification.is_some());
        if is_history && source == Source::Peer {
            let phone = to.to_bare();
            cx.send(receipt::arrival(Arrival::History, &stanza.id, &phone, None, None));
        }
    }
}

/// Answers a message in which there is nothing for us.
fn withheld(cx: &mut Context<'_>, unread: Unread<'_>) {
    if unread.source == Source::OwnCopy {
        settle_own_copy(cx, unread.stanza);
    } else {
        cx.send(message_ack(unread.node, cx.device.jid(), None));
    }
}
