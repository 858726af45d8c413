//! The sender keys of others in groups: read from the store on need, written with the step that changes them.
//!
//! The rules are those of [`super::ratchets`]: an entry is read once and never while it is in memory, and one whose last
//! change is not durable is not forgotten.
//!
//! Facts: docs/PROTOCOL.md, "Sender keys".

use std::collections::HashMap;

use prost::Message as _;

use super::durability::Durability;
use super::question::{Question, Questions};
use super::ratchets::RATCHET_IDLE;
use crate::part::Context;
use crate::proto::Message;
use crate::signal::padding;
use crate::signal::sender_key::SenderKeyRecord;
use crate::signal::session::DecryptError;
use crate::store::RecordKey;
use crate::time::Timestamp;

/// Most sender keys kept in memory beyond those whose changes are not durable yet.
pub(super) const MAX_GROUP_KEYS: usize = 128;
/// How many stay when there were too many.
const KEPT_GROUP_KEYS: usize = 96;

/// The sender keys, by the record that each is kept in.
#[derive(Default)]
pub(crate) struct GroupKeys {
    entries: HashMap<RecordKey, Entry>,
}

struct Entry {
    /// `None` while it is being read.
    record: Option<SenderKeyRecord>,
    used: Timestamp,
    durability: Durability,
}

impl Entry {
    const fn can_go(&self) -> bool {
        self.record.is_some() && self.durability.is_durable()
    }
}

/// Prints no key.
impl std::fmt::Debug for GroupKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupKeys")
            .field("entries", &self.entries.len())
            .finish()
    }
}

impl GroupKeys {
    /// Whether what is known of this sender in this group is in memory. Asks the store if not; call again when it has
    /// answered.
    pub(super) fn ensure(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        name: &RecordKey,
    ) -> bool {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.used = cx.now;
            return entry.record.is_some();
        }
        let entry = Entry {
            record: None,
            used: cx.now,
            durability: Durability::Durable,
        };
        self.entries.insert(name.clone(), entry);
        let ticket = questions.open(Question::SenderKey(name.clone()));
        cx.load(vec![name.clone()], ticket);
        false
    }

    /// The store has answered.
    pub(super) fn on_loaded(&mut self, name: &RecordKey, stored: Option<&[u8]>) {
        // A record that can't be read is a key that is lost; its sender is asked for a new one.
        let record = stored.map(SenderKeyRecord::decode).transpose();
        let record = record.unwrap_or_else(|error| {
            tracing::warn!(%error, "a stored sender key can't be read and is taken for none");
            None
        });
        let record = record.unwrap_or_default();
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.record.is_none()) {
            entry.record = Some(record);
        }
    }

    /// Takes the key that a message to us alone may carry. It comes before the message that needs it.
    pub(crate) fn accept_handed(&mut self, cx: &mut Context<'_>, name: &RecordKey, padded: &[u8]) {
        let message = padding::unpad(padded)
            .ok()
            .and_then(|plaintext| Message::decode(plaintext).ok());
        let handed = message.and_then(|message| message.sender_key_distribution_message);
        let distribution = handed.and_then(|handed| handed.axolotl_sender_key_distribution_message);
        if let Some(distribution) = distribution
            && self.accept(cx, name, &distribution).is_err()
        {
            tracing::debug!("a sender key was refused");
        }
    }

    fn accept(
        &mut self,
        cx: &mut Context<'_>,
        name: &RecordKey,
        distribution: &[u8],
    ) -> Result<(), DecryptError> {
        self.change(cx, name, |record| record.accept(distribution))
    }

    /// Decrypts a group message.
    pub(crate) fn decrypt(
        &mut self,
        cx: &mut Context<'_>,
        name: &RecordKey,
        bytes: &[u8],
    ) -> Result<Vec<u8>, DecryptError> {
        self.change(cx, name, |record| record.decrypt(bytes))
    }

    fn change<T>(
        &mut self,
        cx: &mut Context<'_>,
        name: &RecordKey,
        change: impl FnOnce(&mut SenderKeyRecord) -> Result<T, DecryptError>,
    ) -> Result<T, DecryptError> {
        let entry = self.entries.get_mut(name).ok_or(DecryptError::NoSession)?;
        let record = entry.record.as_mut().ok_or(DecryptError::NoSession)?;
        let done = change(record)?;
        cx.changes().put(name.clone(), record.encode());
        entry.durability = Durability::Gathering;
        entry.used = cx.now;
        Ok(done)
    }

    /// The step that gathered is being committed.
    pub(super) fn on_step_taken(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.durability.on_step_taken());
    }

    /// The step taken last is durable.
    pub(super) fn on_committed(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.durability.on_committed());
    }

    /// Forgets the keys used longest ago, if there are too many. Only the message whose turn it is uses one, and it does so
    /// as soon as it is read.
    pub(super) fn shrink(&mut self) {
        if self.entries.len() <= MAX_GROUP_KEYS {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.can_go());
        let mut idle: Vec<(Timestamp, RecordKey)> =
            idle.map(|(name, entry)| (entry.used, name.clone())).collect();
        idle.sort_unstable();
        let surplus = self.entries.len() - KEPT_GROUP_KEYS;
        for (_, name) in idle.into_iter().take(surplus) {
            self.entries.remove(&name);
        }
    }

    /// Forgets idle keys and gives their memory back.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.entries
            .retain(|_, entry| !entry.can_go() || now.since(entry.used) < RATCHET_IDLE);
        self.entries.shrink_to_fit();
    }

    /// Whether there is anything to sweep one day.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
