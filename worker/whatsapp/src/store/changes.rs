//! What one step alters.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::SenderKeyName;
use crate::device::Device;
use crate::jid::Jid;
use crate::signal::session::SessionRecord;
use crate::signal::{Address, PreKey, PreKeyId, SignedPreKey, SignedPreKeyId};

/// One atomic change of a device's state. All of it becomes durable together, before any frame of the same step leaves.
///
/// Each map holds the last value given for its key; `None` deletes. Maps, not lists: a step may touch a session many
/// times and only its last state may be written. They are ordered, so that equal runs make equal writes.
#[derive(Clone, Default)]
pub struct Changes {
    /// New credentials (rare).
    pub device: Option<Box<Device>>,
    /// Encoded session records.
    pub sessions: BTreeMap<Address, Option<Bytes>>,
    /// Encoded one-time prekeys.
    pub prekeys: BTreeMap<PreKeyId, Option<Bytes>>,
    /// Encoded signed prekeys.
    pub signed_prekeys: BTreeMap<SignedPreKeyId, Option<Bytes>>,
    /// Encoded sender key records.
    pub sender_keys: BTreeMap<SenderKeyName, Option<Bytes>>,
    /// Hidden ids by phone number, both as user parts. A pair replaces every earlier pair that either side was in.
    pub lids: BTreeMap<String, String>,
    /// The number that an account has now, by a number that the server still knows it by; both as user parts.
    pub renumbered: BTreeMap<String, String>,
}

impl Changes {
    /// Whether there is nothing to make durable.
    pub fn is_empty(&self) -> bool {
        let Self {
            device,
            sessions,
            prekeys,
            signed_prekeys,
            sender_keys,
            lids,
            renumbered,
        } = self;
        device.is_none()
            && sessions.is_empty()
            && prekeys.is_empty()
            && signed_prekeys.is_empty()
            && sender_keys.is_empty()
            && lids.is_empty()
            && renumbered.is_empty()
    }

    /// Adds `later` on top: where both name a key, `later` holds.
    pub fn merge(&mut self, later: Self) {
        let Self {
            device,
            sessions,
            prekeys,
            signed_prekeys,
            sender_keys,
            lids,
            renumbered,
        } = later;
        if device.is_some() {
            self.device = device;
        }
        self.sessions.extend(sessions);
        self.prekeys.extend(prekeys);
        self.signed_prekeys.extend(signed_prekeys);
        self.sender_keys.extend(sender_keys);
        for (phone, lid) in lids {
            self.put_lid(phone, lid);
        }
        self.renumbered.extend(renumbered);
    }

    /// Writes a session's new state.
    pub fn put_session(&mut self, address: Address, record: &SessionRecord) {
        self.sessions.insert(address, Some(record.encode()));
    }

    /// Moves a session to the address under the user's hidden id, now that it is known.
    pub fn move_session(&mut self, from: Address, to: Address, record: &SessionRecord) {
        self.put_session(to, record);
        self.sessions.insert(from, None);
    }

    /// Writes a fresh one-time prekey.
    pub fn put_prekey(&mut self, prekey: &PreKey) {
        self.prekeys.insert(prekey.id, Some(prekey.encode()));
    }

    /// Writes a fresh signed prekey.
    pub fn put_signed_prekey(&mut self, prekey: &SignedPreKey) {
        self.signed_prekeys.insert(prekey.id, Some(prekey.encode()));
    }

    /// Notes that the user with this phone number has this hidden id.
    pub fn put_lid(&mut self, phone: impl Into<String>, lid: impl Into<String>) {
        let (phone, lid) = (phone.into(), lid.into());
        self.lids.retain(|_, other| *other != lid);
        self.lids.insert(phone, lid);
    }

    /// Notes that a message to the account with the number `old` is addressed to the number `present`.
    pub fn put_renumbered(&mut self, old: impl Into<String>, present: impl Into<String>) {
        self.renumbered.insert(old.into(), present.into());
    }

    /// Deletes the sender key of one device in one group.
    pub fn delete_sender_key(&mut self, group: Jid, sender: Address) {
        self.sender_keys.insert((group, sender), None);
    }
}

/// Prints how much there is of what, and no value: they are secrets.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("device", &self.device.is_some())
            .field("sessions", &self.sessions.len())
            .field("prekeys", &self.prekeys.len())
            .field("signed_prekeys", &self.signed_prekeys.len())
            .field("sender_keys", &self.sender_keys.len())
            .field("lids", &self.lids.len())
            .field("renumbered", &self.renumbered.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jid::Server;

    fn address(user: &str) -> Address {
        Jid::new(user, Server::User).into()
    }

    #[test]
    fn later_changes_hold() {
        let mut changes = Changes::default();
        changes
            .sessions
            .insert(address("1"), Some(Bytes::from_static(b"old")));
        changes.sessions.insert(address("2"), None);
        let mut later = Changes::default();
        later.sessions.insert(address("1"), None);
        changes.merge(later);
        assert_eq!(changes.sessions[&address("1")], None);
        assert_eq!(changes.sessions.len(), 2);
    }

    #[test]
    fn one_hidden_id_belongs_to_one_number() {
        let mut changes = Changes::default();
        changes.put_lid("1", "100");
        changes.put_lid("2", "100");
        assert_eq!(
            changes.lids.into_iter().collect::<Vec<_>>(),
            [("2".to_owned(), "100".to_owned())]
        );
    }

    #[test]
    fn moved_session_is_under_the_new_name_only() {
        let mut changes = Changes::default();
        let (from, to) = (address("1"), address("1").with_lid("100"));
        changes.move_session(from.clone(), to.clone(), &SessionRecord::default());
        assert_eq!(changes.sessions[&from], None);
        assert!(changes.sessions[&to].is_some());
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut changes = Changes::default();
        changes
            .sessions
            .insert(address("15550001"), Some(Bytes::from_static(b"secret")));
        let printed = format!("{changes:?}");
        assert!(!printed.contains("secret") && !printed.contains("15550001"));
    }
}
