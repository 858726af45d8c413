//! A store that forgets everything with the process: for tests and the simulator's clients.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Changes, KeyStore, Load, Loaded, SenderKeyName, SentMessage, StoreError};
use crate::device::Device;
use crate::event::Event;
use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::signal::{Address, PreKeyId, SignedPreKeyId};

/// Keeps the state of one device in memory. Clones share it, so that a test can look on, or reopen it as a new process
/// would.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    device: Option<Box<Device>>,
    sessions: HashMap<Address, Bytes>,
    prekeys: HashMap<PreKeyId, Bytes>,
    signed_prekeys: HashMap<SignedPreKeyId, Bytes>,
    sender_keys: HashMap<SenderKeyName, Bytes>,
    lid_of: HashMap<String, String>,
    phone_of: HashMap<String, String>,
    renumbered: HashMap<String, String>,
    sent: HashMap<MessageId, SentMessage>,
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
        store.tables().device = Some(Box::new(device));
        store
    }

    /// The credentials.
    pub fn device(&self) -> Option<Device> {
        self.tables().device.as_deref().cloned()
    }

    /// Keeps the content of a message to `chat`, so that it can be sent again when a device asks.
    pub fn keep_sent(&self, id: MessageId, chat: Jid, message: Bytes) {
        self.tables().sent.insert(id, SentMessage { chat, message });
    }

    /// How many commits there were.
    pub fn commits(&self) -> u64 {
        self.tables().commits
    }

    /// How many one-time prekeys are kept.
    pub fn prekeys(&self) -> usize {
        self.tables().prekeys.len()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A panic elsewhere can't leave a change half made: nothing in here panics between two writes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryStore {
    fn load(&mut self, request: Load) -> impl Future<Output = Result<Loaded, StoreError>> + Send {
        std::future::ready(Ok(self.tables().load(request)))
    }

    fn commit(
        &mut self,
        changes: Changes,
        _events: Vec<Event>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.tables().apply(changes);
        std::future::ready(Ok(()))
    }
}

impl Tables {
    fn load(&self, request: Load) -> Loaded {
        match request {
            Load::Device => Loaded::Device(self.device.clone()),
            Load::Sessions(names) => Loaded::Sessions(
                names
                    .iter()
                    .map(|name| self.sessions.get(name).cloned())
                    .collect(),
            ),
            Load::PreKey(id) => Loaded::PreKey(self.prekeys.get(&id).cloned()),
            Load::SignedPreKey(id) => Loaded::SignedPreKey(self.signed_prekeys.get(&id).cloned()),
            Load::SenderKeys(names) => Loaded::SenderKeys(
                names
                    .iter()
                    .map(|name| self.sender_keys.get(name).cloned())
                    .collect(),
            ),
            Load::SentMessage { id, .. } => Loaded::SentMessage(self.sent(&id)),
            Load::Lids(users) => Loaded::Lids(users.iter().map(|user| self.other_name(user)).collect()),
        }
    }

    fn sent(&self, id: &MessageId) -> Option<SentMessage> {
        let mut sent = self.sent.get(id)?.clone();
        if let Some(present) = self
            .renumbered
            .get(sent.chat.user())
            .filter(|_| sent.chat.is_user())
        {
            sent.chat = Jid::new(present.as_str(), Server::User);
        }
        Some(sent)
    }

    fn other_name(&self, user: &Jid) -> Option<Jid> {
        match user.server() {
            Server::User => self
                .lid_of
                .get(user.user())
                .map(|lid| Jid::new(lid.as_str(), Server::Lid)),
            Server::Lid => self
                .phone_of
                .get(user.user())
                .map(|phone| Jid::new(phone.as_str(), Server::User)),
            _ => None,
        }
    }

    fn apply(&mut self, changes: Changes) {
        let Changes {
            device,
            sessions,
            prekeys,
            signed_prekeys,
            sender_keys,
            lids,
            renumbered,
        } = changes;
        if device.is_some() {
            self.device = device;
        }
        put_all(&mut self.sessions, sessions);
        put_all(&mut self.prekeys, prekeys);
        put_all(&mut self.signed_prekeys, signed_prekeys);
        put_all(&mut self.sender_keys, sender_keys);
        for (phone, lid) in lids {
            if let Some(old) = self.lid_of.insert(phone.clone(), lid.clone()) {
                self.phone_of.remove(&old);
            }
            if let Some(old) = self
                .phone_of
                .insert(lid, phone.clone())
                .filter(|old| *old != phone)
            {
                self.lid_of.remove(&old);
            }
        }
        self.renumbered.extend(renumbered);
        self.commits += 1;
    }
}

fn put_all<K: std::hash::Hash + Eq, V>(
    table: &mut HashMap<K, V>,
    changes: impl IntoIterator<Item = (K, Option<V>)>,
) {
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[tokio::test]
    async fn memory_store_passes_the_conformance_suite() {
        conformance::run(|| std::future::ready(MemoryStore::new())).await;
    }

    #[tokio::test]
    async fn clones_share_what_is_stored() {
        let store = MemoryStore::new();
        let id: MessageId = "3EB0".parse().unwrap();
        let chat = Jid::new("15550001", Server::User);
        store.keep_sent(id.clone(), chat.clone(), Bytes::from_static(b"m"));
        let request = Load::SentMessage {
            id,
            to: Address::new(&chat),
            chat,
        };
        let loaded = store.clone().load(request).await.unwrap();
        assert!(matches!(loaded, Loaded::SentMessage(Some(sent)) if sent.message == "m"));
    }
}
