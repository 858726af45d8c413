//! One record of a collection, sealed: its index as a MAC, its value encrypted, and a MAC over both.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use prost::Message as _;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::bad::BadState;
use super::keys::{KeyId, MutationKeys};
use super::macs::{IndexMac, ValueMac};
use crate::proto::syncd_mutation::SyncdOperation;
use crate::proto::{SyncActionData, SyncActionValue, SyncdRecord};
use ::media::block::{self, BLOCK_BYTES};

/// Bytes of a MAC.
pub(super) const MAC_BYTES: usize = 32;

/// What a mutation does to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is there, with this value.
    Set,
    /// It is gone.
    Remove,
}

impl Operation {
    pub(super) fn of(number: Option<i32>) -> Result<Self, BadState> {
        match SyncdOperation::try_from(number.unwrap_or_default()) {
            Ok(SyncdOperation::Set) => Ok(Self::Set),
            Ok(SyncdOperation::Remove) => Ok(Self::Remove),
            Err(_) => Err(BadState::Malformed("operation")),
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Remove => 2,
        }
    }
}

/// A mutation whose MACs are right. Printed without what it says.
#[derive(Clone, PartialEq)]
pub struct Mutation {
    /// What it does.
    pub operation: Operation,
    /// What it is about: the kind of action, and its arguments.
    pub index: Vec<String>,
    /// The value; of a removed one, what its remover put there.
    pub value: SyncActionValue,
    /// Whether there was a record of this index before, as far as records are known.
    pub replaces: bool,
}

impl fmt::Debug for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.index.first();
        f.debug_struct("Mutation")
            .field("operation", &self.operation)
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

/// A record, taken apart; nothing in it is believed yet.
pub(super) struct Parts {
    pub(super) key: KeyId,
    pub(super) index: IndexMac,
    pub(super) mac: ValueMac,
    /// The initialisation vector and the ciphertext.
    sealed: Bytes,
}

impl Parts {
    pub(super) fn of(record: &SyncdRecord) -> Result<Self, BadState> {
        let index = record.index.as_ref().and_then(|index| index.blob.as_deref());
        let value = record.value.as_ref().and_then(|value| value.blob.as_ref());
        let value = value.filter(|blob| blob.len() >= BLOCK_BYTES + MAC_BYTES);
        let value = value.ok_or(BadState::Malformed("value"))?;
        let sealed = value.slice(..value.len() - MAC_BYTES);
        let mac = value[sealed.len()..].try_into();
        Ok(Self {
            key: key_id(record.key_id.as_ref())?,
            index: index
                .and_then(|index| index.try_into().ok())
                .ok_or(BadState::Malformed("index"))?,
            mac: mac.map_err(|_| BadState::Malformed("value"))?,
            sealed,
        })
    }

    /// Checks both MACs and decrypts.
    pub(super) fn open(
        self,
        operation: Operation,
        keys: &MutationKeys,
        before: Option<ValueMac>,
    ) -> Result<Mutation, BadState> {
        let mac = value_mac(keys, operation, &self.key, &self.sealed);
        if !bool::from(mac.ct_eq(&self.mac)) {
            return Err(BadState::Mac("value"));
        }
        let (iv, ciphertext) = self
            .sealed
            .split_first_chunk::<BLOCK_BYTES>()
            .ok_or(BadState::Malformed("value"))?;
        let plaintext = block::decrypt(keys.value_encryption(), iv, ciphertext.to_vec())
            .ok_or(BadState::Malformed("padding"))?;
        let data = SyncActionData::decode(plaintext.as_slice()).map_err(|_| BadState::Malformed("action"))?;
        let index = data.index.unwrap_or_default();
        if !bool::from(index_mac(keys, &index).ct_eq(&self.index)) {
            return Err(BadState::Mac("index"));
        }
        Ok(Mutation {
            operation,
            // An index of another form means nothing to us, but counts.
            index: serde_json::from_slice(&index).unwrap_or_default(),
            value: data.value.unwrap_or_default(),
            replaces: before.is_some(),
        })
    }
}

/// The id of a key as records, patches and snapshots name it.
pub(super) fn key_id(id: Option<&crate::proto::KeyId>) -> Result<KeyId, BadState> {
    id.and_then(|id| KeyId::new(id.id.as_deref()?))
        .ok_or(BadState::Malformed("key id"))
}

pub(super) fn index_mac(keys: &MutationKeys, index: &[u8]) -> IndexMac {
    keyed::<Hmac<Sha256>>(keys.index())
        .chain_update(index)
        .finalize()
        .into_bytes()
        .into()
}

pub(super) fn value_mac(keys: &MutationKeys, operation: Operation, key: &KeyId, sealed: &[u8]) -> ValueMac {
    let id = key.as_bytes();
    let length = u64::try_from(id.len() + 1).unwrap_or(u64::MAX);
    let mac = keyed::<Hmac<Sha512>>(keys.value_mac())
        .chain_update([operation.byte()])
        .chain_update(id)
        .chain_update(sealed)
        .chain_update(length.to_be_bytes())
        .finalize()
        .into_bytes();
    let mut half = [0; MAC_BYTES];
    half.copy_from_slice(&mac[..MAC_BYTES]);
    half
}

pub(super) fn keyed<M: hmac::KeyInit>(key: &[u8; 32]) -> M {
    // Unwrap safety: HMAC takes a key of any length.
    M::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"))
}
