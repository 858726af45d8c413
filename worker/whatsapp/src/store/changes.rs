//! What one step alters.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use bytes::Bytes;

use super::record::{RecordKey, RecordKind};
use crate::device::Device;
use crate::signal::session::SessionRecord;
use crate::signal::{Address, PreKey, SignedPreKey};

/// One atomic change of a device's state. All of it becomes durable together, before any frame of the same step leaves.
///
/// Holds the last value given for each record; `None` deletes. A map, not a list: a step may touch a session many times
/// and only its last state may be written. It is ordered, so that equal runs make equal writes.
#[derive(Clone, Default)]
pub struct Changes(BTreeMap<RecordKey, Option<Bytes>>);

impl Changes {
    /// Whether there is nothing to make durable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many records are written or deleted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What becomes of a record: its new value, `Some(None)` if it is deleted, `None` if it is left alone.
    pub fn get(&self, key: &RecordKey) -> Option<Option<&Bytes>> {
        self.0.get(key).map(Option::as_ref)
    }

    /// The records that are written or deleted.
    pub fn keys(&self) -> impl Iterator<Item = &RecordKey> {
        self.0.keys()
    }

    /// Writes a record.
    pub fn put(&mut self, key: RecordKey, value: Bytes) {
        self.0.insert(key, Some(value));
    }

    /// Deletes a record, whether it exists or not.
    pub fn delete(&mut self, key: RecordKey) {
        self.0.insert(key, None);
    }

    /// Writes the credentials.
    pub fn put_device(&mut self, device: &Device) {
        self.put(RecordKey::device(), Bytes::copy_from_slice(&device.encode()));
    }

    /// Writes a session's new state.
    pub fn put_session(&mut self, address: &Address, record: &SessionRecord) {
        self.put(RecordKey::session(address), record.encode());
    }

    /// Writes a fresh one-time prekey.
    pub fn put_prekey(&mut self, prekey: &PreKey) {
        self.put(RecordKey::prekey(prekey.id), prekey.encode());
    }

    /// Writes a fresh signed prekey.
    pub fn put_signed_prekey(&mut self, prekey: &SignedPreKey) {
        self.put(RecordKey::signed_prekey(prekey.id), prekey.encode());
    }

    /// Notes that the user with this phone number has this hidden id; both are user parts. Of an earlier pair that either
    /// was in, one direction may stay: a pair counts only where both directions agree.
    pub fn put_lid(&mut self, phone: &str, lid: &str) {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        self.put(RecordKey::new(RecordKind::Lid, phone), text(lid));
        self.put(RecordKey::new(RecordKind::Phone, lid), text(phone));
    }

    /// Notes that a message to the account with the number `old` is addressed to the number `present`.
    pub fn put_renumbered(&mut self, old: &str, present: &str) {
        self.put(
            RecordKey::renumbered(old),
            Bytes::copy_from_slice(present.as_bytes()),
        );
    }
}

impl IntoIterator for Changes {
    type Item = (RecordKey, Option<Bytes>);
    type IntoIter = btree_map::IntoIter<RecordKey, Option<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Prints how much there is of what, and no name or value: they are secrets.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = BTreeMap::<RecordKind, usize>::new();
        for key in self.keys() {
            *counts.entry(key.kind).or_default() += 1;
        }
        f.write_str("Changes ")?;
        f.debug_map().entries(counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_holds_and_secrets_are_not_printed() {
        let key = |name: &str| RecordKey::new(RecordKind::Session, name);
        let mut changes = Changes::default();
        changes.put(key("15550001"), Bytes::from_static(b"old"));
        changes.put(key("15550001"), Bytes::from_static(b"secret"));
        changes.put(key("15550002"), Bytes::from_static(b"secret"));
        changes.delete(key("15550002"));
        assert_eq!(
            changes.get(&key("15550001")),
            Some(Some(&Bytes::from_static(b"secret")))
        );
        assert_eq!(changes.get(&key("15550002")), Some(None));
        assert_eq!(changes.get(&key("15550003")), None);
        assert_eq!(format!("{changes:?}"), "Changes {Session: 2}");
    }
}
