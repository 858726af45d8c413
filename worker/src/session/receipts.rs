//! What recipients say of what they were sent.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::clock::unix_millis;
use shared::event::{Event, MessageStatus};
use shared::store::commit::{RecipientChange, RecipientKey};
use shared::store::recipients::RecipientState;
use whatsapp::message_id::MessageId;

use super::adapter::events::Peer;
use super::adapter::names::stanza_id;
use super::context::Context;

/// The newest statuses that were told, so that the same receipt of a second device tells nothing.
#[derive(Debug, Default)]
pub(super) struct Receipts(VecDeque<(u64, MessageStatus)>);

impl Receipts {
    /// A message of ours in this chat has this status now.
    pub(super) fn on_status(&mut self, cx: &mut Context, id: &MessageId, chat: &Peer, status: MessageStatus) {
        if !self.is_new(id, status) {
            return;
        }
        let wall = cx.wall();
        let state = match status {
            MessageStatus::Read | MessageStatus::Played => RecipientState::Read,
            _ => RecipientState::Delivered,
        };
        let id = stanza_id(id);
        let key = RecipientKey::Stanza(id.clone());
        let change = RecipientChange::state(key, state, wall);
        cx.recorder.write.recipients.push(change);
        let told = Event::message_status(status, chat.header(id), unix_millis(wall));
        cx.recorder.event(told);
    }

    /// Whether this status of a message, which only goes up, was not told yet. Forgets the oldest of [`RECENT_MAX`].
    fn is_new(&mut self, id: &MessageId, status: MessageStatus) -> bool {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
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
const RECENT_MAX: usize = 128;
