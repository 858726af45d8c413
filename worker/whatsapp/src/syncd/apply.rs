//! A snapshot or a patch, checked as a whole: either all of it is right, or nothing has changed.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::bad::BadState;
use super::keys::{KeyId, MutationKeys};
use super::lthash::LtHash;
use super::macs::{IndexMac, Macs, ValueMac};
use super::mutation::{MAC_BYTES, Mutation, Operation, Parts, key_id, keyed};
use crate::proto::{SyncdMutation, SyncdPatch, SyncdSnapshot};

/// How far a collection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The number of the last patch.
    pub version: u64,
    /// The hash over its records.
    pub hash: LtHash,
}

/// What a snapshot or a patch made of a collection.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Where the collection is now.
    pub state: State,
    /// Its records, as far as they were known before and are now.
    pub macs: Macs,
    /// What was done, in order.
    pub mutations: Vec<Mutation>,
}

/// The keys at hand.
pub(super) type Keys = BTreeMap<KeyId, MutationKeys>;

impl State {
    /// Nothing has been synchronised.
    pub const NEW: Self = Self {
        version: 0,
        hash: LtHash::ZERO,
    };

    /// Takes a snapshot of the collection named `collection` in place of what was known. `macs` says what is stored:
    /// nothing but what it was made of ([`Macs::default`], or [`Macs::clear`]ed).
    ///
    /// # Errors
    /// [`BadState`]: believe nothing of it.
    pub fn of_snapshot(
        collection: &str,
        snapshot: &SyncdSnapshot,
        keys: &Keys,
        mut macs: Macs,
    ) -> Result<Applied, BadState> {
        let version = version_of(snapshot.version.as_ref())?;
        let mut hash = LtHash::ZERO;
        let mut mutations = Vec::with_capacity(snapshot.records.len());
        for record in &snapshot.records {
            let parts = Parts::of(record)?;
            let before = change(&mut hash, &mut macs, Operation::Set, parts.index, parts.mac);
            mutations.push(open(parts, Operation::Set, keys, before)?);
        }
        let state = Self { version, hash };
        let by = lookup(keys, &key_id(snapshot.key_id.as_ref())?)?;
        check("snapshot", state.mac(collection, by), snapshot.mac.as_deref())?;
        Ok(Applied {
            state,
            macs,
            mutations,
        })
    }

    /// Applies the next patch of the collection named `collection`. `mutations` are those of the patch, wherever they
    /// came from; `macs` holds the buckets of every record that they are about.
    ///
    /// # Errors
    /// [`BadState`]: this state holds as it is.
    pub fn apply(
        &self,
        collection: &str,
        patch: &SyncdPatch,
        mutations: &[SyncdMutation],
        keys: &Keys,
        mut macs: Macs,
    ) -> Result<Applied, BadState> {
        let found = version_of(patch.version.as_ref())?;
        if self.version.checked_add(1) != Some(found) {
            let held = self.version;
            return Err(BadState::Order { held, found });
        }
        let mut state = Self {
            version: found,
            hash: self.hash.clone(),
        };
        let mut value_macs = Vec::with_capacity(mutations.len());
        let mut opened = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            let operation = Operation::of(mutation.operation)?;
            let record = mutation.record.as_ref().ok_or(BadState::Malformed("record"))?;
            let parts = Parts::of(record)?;
            let before = change(&mut state.hash, &mut macs, operation, parts.index, parts.mac);
            value_macs.push(parts.mac);
            opened.push(open(parts, operation, keys, before)?);
        }
        let by = lookup(keys, &key_id(patch.key_id.as_ref())?)?;
        let snapshot_mac = state.mac(collection, by);
        check("snapshot", snapshot_mac, patch.snapshot_mac.as_deref())?;
        let patch_mac = patch_mac(by, &snapshot_mac, &value_macs, found, collection);
        check("patch", patch_mac, patch.patch_mac.as_deref())?;
        Ok(Applied {
            state,
            macs,
            mutations: opened,
        })
    }

    /// The MAC over a whole collection.
    pub(super) fn mac(&self, collection: &str, keys: &MutationKeys) -> [u8; MAC_BYTES] {
        keyed::<Hmac<Sha256>>(keys.snapshot_mac())
            .chain_update(self.hash.as_bytes())
            .chain_update(self.version.to_be_bytes())
            .chain_update(collection)
            .finalize()
            .into_bytes()
            .into()
    }
}

/// The MAC over what a patch changes.
pub(super) fn patch_mac(
    keys: &MutationKeys,
    snapshot_mac: &[u8; MAC_BYTES],
    value_macs: &[ValueMac],
    version: u64,
    collection: &str,
) -> [u8; MAC_BYTES] {
    let mut mac = keyed::<Hmac<Sha256>>(keys.patch_mac()).chain_update(snapshot_mac);
    for value in value_macs {
        mac.update(value);
    }
    mac.chain_update(version.to_be_bytes())
        .chain_update(collection)
        .finalize()
        .into_bytes()
        .into()
}

/// Moves the hash from a record's old value to its new one; answers the old one.
pub(super) fn change(
    hash: &mut LtHash,
    macs: &mut Macs,
    operation: Operation,
    index: IndexMac,
    value: ValueMac,
) -> Option<ValueMac> {
    let before = match operation {
        Operation::Set => macs.insert(index, value),
        // One that was never there takes nothing out.
        Operation::Remove => macs.remove(&index),
    };
    if let Some(before) = before {
        hash.subtract(&before);
    }
    if operation == Operation::Set {
        hash.add(&value);
    }
    before
}

fn open(
    parts: Parts,
    operation: Operation,
    keys: &Keys,
    before: Option<ValueMac>,
) -> Result<Mutation, BadState> {
    let by = lookup(keys, &parts.key)?;
    parts.open(operation, by, before)
}

fn lookup<'a>(keys: &'a Keys, id: &KeyId) -> Result<&'a MutationKeys, BadState> {
    keys.get(id).ok_or_else(|| BadState::MissingKey(id.clone()))
}

fn version_of(version: Option<&crate::proto::SyncdVersion>) -> Result<u64, BadState> {
    version
        .and_then(|version| version.version)
        .ok_or(BadState::Malformed("version"))
}

fn check(what: &'static str, right: [u8; MAC_BYTES], found: Option<&[u8]>) -> Result<(), BadState> {
    let found = found.ok_or(BadState::Malformed(what))?;
    if bool::from(right.ct_eq(found)) {
        Ok(())
    } else {
        Err(BadState::Mac(what))
    }
}
