//! What the owner has read: told to whoever wrote it, or to our own devices alone where the account keeps it to itself.
//!
//! The account's setting is asked for when it is first needed in a connection, and followed by notifications; whoever marks
//! nothing asks nothing. Groups are always told.
//!
//! Facts: docs/PROTOCOL.md, "Receipts".

use super::question::{Question, Questions};
use crate::binary::Node;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::{Answer, Context};
use crate::stanza::privacy;
use crate::stanza::receipt::{self, MAX_READ_IDS, Told};

/// Most marks that wait for the setting; further ones are told to our own devices alone.
const MAX_WAITING: usize = 1_024;

#[derive(Default)]
pub(super) struct ReadMarks {
    /// Whether senders may be told, once that is known.
    tells_senders: Option<bool>,
    is_asking: bool,
    waiting: Vec<Mark>,
}

/// Messages of one sender that were read.
pub(super) struct Mark {
    pub(super) chat: Jid,
    pub(super) sender: Option<Jid>,
    pub(super) ids: Vec<MessageId>,
}

impl ReadMarks {
    pub(super) fn push(&mut self, cx: &mut Context<'_>, questions: &mut Questions, mark: Mark) {
        let told = if mark.chat.is_group() {
            Some(Told::Sender)
        } else {
            self.tells_senders.map(told)
        };
        match told {
            Some(told) => mark.tell(cx, told),
            None if self.waiting.len() >= MAX_WAITING => mark.tell(cx, Told::OwnDevices),
            None => {
                self.waiting.push(mark);
                if !std::mem::replace(&mut self.is_asking, true) {
                    cx.ask(privacy::query(), questions.open(Question::Privacy));
                }
            }
        }
    }

    /// The server has answered. What is not known is kept to ourselves, and asked for again with the next mark.
    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, answer: Answer) {
        self.is_asking = false;
        match answer.map(|answer| privacy::tells_of_reading(&answer)) {
            // A notification may have been faster.
            Ok(says) => self.tells_senders = self.tells_senders.or(says),
            Err(error) => tracing::debug!(%error, "the account's privacy settings did not come"),
        }
        let told = told(self.tells_senders == Some(true));
        for mark in std::mem::take(&mut self.waiting) {
            mark.tell(cx, told);
        }
    }

    /// The account's settings changed.
    pub(super) fn on_notification(&mut self, stanza: &Node) {
        if let Some(tells) = privacy::tells_of_reading(stanza) {
            self.tells_senders = Some(tells);
        }
    }
}

const fn told(tells_senders: bool) -> Told {
    if tells_senders {
        Told::Sender
    } else {
        Told::OwnDevices
    }
}

impl Mark {
    fn tell(&self, cx: &mut Context<'_>, told: Told) {
        for ids in self.ids.chunks(MAX_READ_IDS) {
            let now = cx.now;
            cx.send(receipt::read(ids, &self.chat, self.sender.as_ref(), told, now));
        }
    }
}
