//! What one step alters.

use super::SenderKeyName;
use crate::device::Device;
use crate::jid::Jid;
use crate::signal::curve::PublicKey;
use crate::signal::session::SessionRecord;
use crate::signal::{Address, PreKey, PreKeyId, SignedPreKey, SignedPreKeyId};
use bytes::Bytes;
use std::collections::BTreeMap;

/// One atomic change of a device's state. All of it becomes durable together, before any frame of the same step leaves.
///
/// Each map holds the last value given for its key; `None` deletes. Maps, not lists: a step may touch a session many
/// times and only its last state may be written. They are ordered, so that equal runs make equal writes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New credentials (rare).
    pub device: Option<Box<Device>>,
    /// Encoded session records.
    pub sessions: BTreeMap<Address, Option<Bytes>>,
    /// Known identities.
    pub identities: BTreeMap<Address, Option<PublicKey>>,
    /// Encoded one-time prekeys.
    pub prekeys: BTreeMap<PreKeyId, Option<Bytes>>,
    /// Encoded signed prekeys.
    pub signed_prekeys: BTreeMap<SignedPreKeyId, Option<Bytes>>,
    /// Encoded sender key records.
    pub sender_keys: BTreeMap<SenderKeyName, Option<Bytes>>,
    /// Hidden ids by phone number, both as user parts. A pair replaces every earlier pair that either side was in.
    pub lids: BTreeMap<String, String>,
}

impl Changes {
    /// Whether there is nothing to make durable.
    pub fn is_empty(&self) -> bool {
        let Self { device, sessions, identities, prekeys, signed_prekeys, sender_keys, lids } = self;
        device.is_none()
            && sessions.is_empty()
            && identities.is_empty()
            && prekeys.is_empty()
            && signed_prekeys.is_empty()
            && sender_keys.is_empty()
            && lids.is_empty()
    }

    /// Adds `later` on top: where both name a key, `later` holds.
    pub fn merge(&mut self, later: Self) {
        let Self { device, sessions, identities, prekeys, signed_prekeys, sender_keys, lids } = later;
        if device.is_some() {
            self.device = device;
        }
        self.sessions.extend(sessions);
        self.identities.extend(identities);
        self.prekeys.extend(prekeys);
        self.signed_prekeys.extend(signed_prekeys);
        self.sender_keys.extend(sender_keys);
        for (phone, lid) in lids {
            self.put_lid(phone, lid);
        }
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

    /// Deletes the sender key of one device in one group.
    pub fn delete_sender_key(&mut self, group: Jid, sender: Address) {
        self.sender_keys.insert((group, sender), None);
    }
}
