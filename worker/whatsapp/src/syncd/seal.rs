//! Making patches and snapshots: what a device does that changes the app state.

use bytes::Bytes;
use prost::Message as _;

use super::apply::{State, change, patch_mac};
use super::keys::{KeyId, MutationKeys};
use super::macs::{Macs, bucket_of};
use super::mutation::{Operation, index_mac, value_mac};
use crate::proto::syncd_mutation::SyncdOperation;
use crate::proto::{
    self, SyncActionData, SyncActionValue, SyncdIndex, SyncdMutation, SyncdPatch, SyncdRecord, SyncdSnapshot,
    SyncdValue, SyncdVersion,
};
use ::media::block::{self, BLOCK_BYTES};

/// A change of one record.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// What it does.
    pub operation: Operation,
    /// The index: the kind of action, and its arguments.
    pub index: &'a [&'a str],
    /// The value.
    pub value: SyncActionValue,
    /// The version of the action's form.
    pub version: i32,
    /// Random bytes.
    pub iv: [u8; BLOCK_BYTES],
}

/// Seals with one key.
#[derive(Clone, Debug)]
pub struct Sealer {
    id: KeyId,
    keys: MutationKeys,
}

impl Sealer {
    /// A key by its id.
    #[must_use]
    pub fn new(id: KeyId, keys: MutationKeys) -> Self {
        Self { id, keys }
    }

    /// The bucket of the record of this index.
    #[must_use]
    pub fn bucket(&self, index: &[&str]) -> u8 {
        bucket_of(&index_mac(&self.keys, &json(index)))
    }

    /// Whether there is a record of this index among these.
    #[must_use]
    pub fn is_known(&self, index: &[&str], macs: &Macs) -> bool {
        macs.contains(&index_mac(&self.keys, &json(index)))
    }

    /// The patch that follows `state`, which goes along with it, as do the records in `macs`.
    pub fn patch(
        &self,
        collection: &str,
        state: &mut State,
        macs: &mut Macs,
        changes: &[Change<'_>],
    ) -> SyncdPatch {
        let mutations: Vec<_> = changes.iter().map(|change| self.mutation(change)).collect();
        let mut value_macs = Vec::with_capacity(mutations.len());
        for ((index, value, _), by) in mutations.iter().zip(changes) {
            change(&mut state.hash, macs, by.operation, *index, *value);
            value_macs.push(*value);
        }
        state.version += 1;
        let snapshot_mac = state.mac(collection, &self.keys);
        let patch_mac = patch_mac(&self.keys, &snapshot_mac, &value_macs, state.version, collection);
        SyncdPatch {
            version: Some(version(state)),
            mutations: mutations.into_iter().map(|(.., mutation)| mutation).collect(),
            snapshot_mac: Some(Bytes::copy_from_slice(&snapshot_mac)),
            patch_mac: Some(Bytes::copy_from_slice(&patch_mac)),
            key_id: Some(self.key_id()),
            ..SyncdPatch::default()
        }
    }

    /// A snapshot of a collection that is in this state and has these records.
    #[must_use]
    pub fn snapshot(&self, collection: &str, state: &State, records: Vec<SyncdRecord>) -> SyncdSnapshot {
        let mac = state.mac(collection, &self.keys);
        SyncdSnapshot {
            version: Some(version(state)),
            records,
            mac: Some(Bytes::copy_from_slice(&mac)),
            key_id: Some(self.key_id()),
        }
    }

    fn mutation(&self, change: &Change<'_>) -> ([u8; 32], [u8; 32], SyncdMutation) {
        let index = json(change.index);
        let data = SyncActionData {
            index: Some(Bytes::copy_from_slice(&index)),
            value: Some(change.value.clone()),
            padding: Some(Bytes::new()),
            version: Some(change.version),
        };
        let mut blob = change.iv.to_vec();
        let plaintext = data.encode_to_vec();
        block::encrypt(self.keys.value_encryption(), &change.iv, &plaintext, &mut blob);
        let mac = value_mac(&self.keys, change.operation, &self.id, &blob);
        blob.extend_from_slice(&mac);
        let index = index_mac(&self.keys, &index);
        let record = SyncdRecord {
            index: Some(SyncdIndex {
                blob: Some(Bytes::copy_from_slice(&index)),
            }),
            value: Some(SyncdValue {
                blob: Some(blob.into()),
            }),
            key_id: Some(self.key_id()),
        };
        let operation = match change.operation {
            Operation::Set => SyncdOperation::Set,
            Operation::Remove => SyncdOperation::Remove,
        };
        let mutation = SyncdMutation {
            operation: Some(operation.into()),
            record: Some(record),
        };
        (index, mac, mutation)
    }

    fn key_id(&self) -> proto::KeyId {
        let id = Some(Bytes::copy_from_slice(self.id.as_bytes()));
        proto::KeyId { id }
    }
}

/// An index as it is sealed.
fn json(index: &[&str]) -> Vec<u8> {
    // Strings always have a JSON form.
    serde_json::to_vec(index).unwrap_or_default()
}

fn version(state: &State) -> SyncdVersion {
    let version = Some(state.version);
    SyncdVersion { version }
}
