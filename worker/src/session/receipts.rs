//! What recipients say of what they were sent, and what is told of that.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::clock::unix_millis;
use shared::event::{Event, MessageStatus};
use shared::store::commit::{RecipientChange, RecipientKey};
use shared::store::recipients::RecipientState;
use whatsapp::message_id::MessageId;

use super::adapter::events::{Author, Member, Peer};
use super::adapter::names::stanza_id;
use super::context::Context;

/// The newest statuses that were told, so that the same receipt of a second device tells nothing.
#[derive(Debug, Default)]
pub(super) struct Receipts(VecDeque<(u64, MessageStatus)>);

impl Receipts {
    /// A message of ours in this chat has this status now; in a group with this member of it. The recipient of a queue that is
    /// a group goes by the first of its members.
    pub(super) fn on_status(
        &mut self,
        cx: &mut Context,
        id: &MessageId,
        chat: &Peer,
        member: Option<&Member>,
        status: MessageStatus,
    ) {
        let is_first = self.is_new((id, ""), status);
        let is_new = match member {
            Some(member) => self.is_new((id, &member.jid), status),
            None => is_first,
        };
        let wall = cx.wall();
        let stanza = stanza_id(id);
        if is_first {
            let state = match status {
                MessageStatus::Read | MessageStatus::Played => RecipientState::Read,
                _ => RecipientState::Delivered,
            };
            let key = RecipientKey::Stanza(stanza.clone());
            let change = RecipientChange::state(key, state, wall);
            cx.recorder.write.recipients.push(change);
        }
        if is_new {
            let header = match member {
                Some(member) => member.header(chat, stanza),
                None => chat.header(stanza, Author::Us),
            };
            let told = Event::message_status(status, header, unix_millis(wall));
            cx.recorder.event(told);
        }
    }

    /// Another device of the account has read a message that came in.
    pub(super) fn on_read_here(&mut self, cx: &mut Context, id: &MessageId, chat: &Peer) {
        let status = MessageStatus::Read;
        if self.is_new((id, chat.wuid.as_str()), status) {
            let header = chat.header(stanza_id(id), Author::Them);
            let told = Event::message_status(status, header, unix_millis(cx.wall()));
            cx.recorder.event(told);
        }
    }

    /// Whether this status of a message, which only goes up, was not told yet of this person. Forgets the oldest of
    /// [`RECENT_MAX`].
    fn is_new(&mut self, of: (&MessageId, &str), status: MessageStatus) -> bool {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == hash) {
            let is_new = status > *known;
            *known = status.max(*known);
            return is_new;
        }
        if self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((hash, status));
        true
    }
}

/// Statuses that one session remembers having told.
const RECENT_MAX: usize = 512;
