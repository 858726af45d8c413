//! A store that forgets everything with the process: for tests and the simulator's clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::changes::Changes;
use super::key_store::{KeyStore, StoreError};
use super::record::{RecordKey, RecordKind, SentMessage};
use crate::device::Device;
use crate::event::Event;
use crate::jid::Jid;
use crate::message_id::MessageId;

/// Keeps the state of one device in memory. Clones share it, so that a test can look on, or reopen it as a new process
/// would.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    records: HashMap<RecordKey, Bytes>,
    commits: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store with these credentials.
    pub fn with_device(device: Device) -> Self {
        let store = Self::new();
        let mut changes = Changes::default();
        changes.put_device(&device);
        store.kept().apply(changes);
        store
    }

    /// The credentials.
    pub fn device(&self) -> Option<Device> {
        Device::decode(self.kept().records.get(&RecordKey::device())?).ok()
    }

    /// Keeps the content of a message to `chat`, so that it can be sent again when a device asks.
    pub fn keep_sent(&self, id: &MessageId, chat: Jid, message: Bytes) {
        let value = SentMessage { chat, message }.encode();
        self.kept().records.insert(RecordKey::sent(id), value);
    }

    /// How many commits there were.
    pub fn commits(&self) -> u64 {
        self.kept().commits
    }

    /// How many one-time prekeys are kept.
    pub fn prekeys(&self) -> usize {
        let is_prekey = |key: &&RecordKey| key.kind == RecordKind::PreKey;
        self.kept().records.keys().filter(is_prekey).count()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere can't leave a change half made: nothing in here panics between two writes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryStore {
    async fn load(&mut self, keys: Vec<RecordKey>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let kept = self.kept();
        Ok(keys.iter().map(|key| kept.records.get(key).cloned()).collect())
    }

    async fn names(
        &mut self,
        kind: RecordKind,
        after: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let kept = self.kept();
        let of_kind = kept.records.keys().filter(|key| key.kind == kind);
        let mut names: Vec<Vec<u8>> = of_kind
            .map(|key| key.name.clone())
            .filter(|name| after.as_ref().is_none_or(|after| name > after))
            .collect();
        names.sort_unstable();
        names.truncate(most);
        Ok(names)
    }

    async fn commit(&mut self, changes: Changes, _events: Vec<Event>) -> Result<(), StoreError> {
        let mut kept = self.kept();
        kept.apply(changes);
        kept.commits += 1;
        Ok(())
    }
}

impl Kept {
    fn apply(&mut self, changes: Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use super::super::conformance;
    use super::*;

    #[tokio::test]
    async fn memory_store_passes_the_conformance_suite() {
        conformance::run(|| future::ready(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn clones_share_what_is_stored() {
        let store = MemoryStore::new();
        let id: MessageId = "3EB0".parse().unwrap();
        let chat: Jid = "15550001@s.whatsapp.net".parse().unwrap();
        store.keep_sent(&id, chat, Bytes::from_static(b"m"));
        let mut loaded = store.clone().load(vec![RecordKey::sent(&id)]).await.unwrap();
        let sent = loaded.remove(0).and_then(SentMessage::decode);
        assert!(sent.is_some_and(|sent| sent.message == "m"));
    }
}
