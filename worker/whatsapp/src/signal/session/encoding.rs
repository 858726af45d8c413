//! The stored form of a session record.
//!
//! `version, count of states, state…`; integers are variable-length, keys are 32 bytes. A state that has just begun takes
//! about 210 bytes (100 less while it has no chain to send in), each receiving chain 34 to 70 more. Version 2 has what is kept beside the states before their count:
//! a byte that says which parts there are, and the parts in the order of their bits. It is written only if there are any.

use std::collections::VecDeque;

use bytes::Bytes;

use super::state::{
    MAX_ARCHIVED_STATES, MAX_RECEIVING_CHAINS, MAX_SKIPPED_SEEDS, Pending, ReceivingChain, SendingChain,
    SessionState,
};
use super::ties::{MARK_BYTES, MAX_SHOWN, Ties};
use crate::signal::cipher::{Chain, Secret};
use crate::signal::curve::{KeyPair, PAIR_SIZE_BYTES, PublicKey};
use crate::signal::wire::{Malformed, Reader, put_varint, varint_len};
use crate::signal::{PreKeyId, RegistrationId, SignedPreKeyId};

const VERSION: u8 = 1;
const VERSION_WITH_TIES: u8 = 2;
/// The parts of the ties.
const HAS_IDENTITY: u8 = 1;
const HAS_ACCOUNT: u8 = 2;
const HAS_SHOWN: u8 = 4;
/// No part: a mark.
const WROTE: u8 = 8;
const KEY_SIZE_BYTES: usize = 32;
/// The least that a state, a chain and a seed can take.
const MIN_STATE_SIZE_BYTES: usize = 3 * KEY_SIZE_BYTES;
const MIN_CHAIN_SIZE_BYTES: usize = KEY_SIZE_BYTES + 3;
const MIN_SEED_SIZE_BYTES: usize = KEY_SIZE_BYTES + 1;

/// Not pending; pending without one-time prekey; pending with one.
const SETTLED: u8 = 0;
const PENDING: u8 = 1;
const PENDING_WITH_PREKEY: u8 = 2;

/// One buffer, allocated once and as large as it must be: records are written with each message, and held in memory by the
/// thousand.
pub(super) fn encode(states: &[SessionState], ties: &Ties) -> Bytes {
    let states_len = varint_len(states.len() as u64) + states.iter().map(state_len).sum::<usize>();
    let mut out = Vec::with_capacity(1 + ties_len(ties) + states_len);
    if ties.is_empty() {
        out.push(VERSION);
    } else {
        out.push(VERSION_WITH_TIES);
        put_ties(&mut out, ties);
    }
    put_varint(&mut out, states.len() as u64);
    for state in states {
        put_state(&mut out, state);
    }
    debug_assert_eq!(out.len(), out.capacity(), "the size was foretold");
    Bytes::from(out)
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<SessionState>, Ties), Malformed> {
    let mut reader = Reader::new(bytes);
    let ties = match reader.byte()? {
        VERSION => Ties::default(),
        VERSION_WITH_TIES => ties(&mut reader)?,
        _ => return Err(Malformed),
    };
    let states = reader.list(MAX_ARCHIVED_STATES + 1, MIN_STATE_SIZE_BYTES, state)?;
    reader.end()?;
    Ok((states, ties))
}

fn put_ties(out: &mut Vec<u8>, ties: &Ties) {
    let Ties {
        identity,
        account,
        shown,
        wrote,
    } = ties;
    let has = |is: bool, bit: u8| if is { bit } else { 0 };
    let keys = has(identity.is_some(), HAS_IDENTITY) | has(account.is_some(), HAS_ACCOUNT);
    out.push(keys | has(!shown.is_empty(), HAS_SHOWN) | has(*wrote, WROTE));
    for key in [identity, account].into_iter().flatten() {
        out.extend_from_slice(key.as_bytes());
    }
    if !shown.is_empty() {
        put_varint(out, shown.len() as u64);
        let (one, other) = shown.as_slices();
        out.extend_from_slice(one.as_flattened());
        out.extend_from_slice(other.as_flattened());
    }
}

fn ties(reader: &mut Reader<'_>) -> Result<Ties, Malformed> {
    let parts = reader.byte()?;
    if parts & !(HAS_IDENTITY | HAS_ACCOUNT | HAS_SHOWN | WROTE) != 0 {
        return Err(Malformed);
    }
    let mut key = |bit| match parts & bit {
        0 => Ok(None),
        _ => reader.array().map(|bytes| Some(PublicKey::new(bytes))),
    };
    let (identity, account) = (key(HAS_IDENTITY)?, key(HAS_ACCOUNT)?);
    let shown = match parts & HAS_SHOWN {
        0 => VecDeque::new(),
        _ => reader.list(MAX_SHOWN, MARK_BYTES, Reader::array)?,
    };
    Ok(Ties {
        identity,
        account,
        shown,
        wrote: parts & WROTE != 0,
    })
}

/// How many bytes [`put_ties`] appends; none if there are no ties.
fn ties_len(ties: &Ties) -> usize {
    if ties.is_empty() {
        return 0;
    }
    let keys = [ties.identity, ties.account].into_iter().flatten().count();
    let shown = match ties.shown.len() {
        0 => 0,
        count => varint_len(count as u64) + count * MARK_BYTES,
    };
    1 + keys * KEY_SIZE_BYTES + shown
}

/// How many bytes [`put_state`] appends.
fn state_len(state: &SessionState) -> usize {
    let number = |number: u32| varint_len(number.into());
    let sending = state.sending.as_ref().map_or(0, |sending| {
        PAIR_SIZE_BYTES + KEY_SIZE_BYTES + number(sending.chain.index)
    });
    let pending = state.pending.map_or(0, |pending| {
        number(pending.signed_prekey_id.get()) + pending.prekey_id.map_or(0, |id| number(id.get()))
    });
    let fixed = 3 * KEY_SIZE_BYTES + 2;
    let numbers = number(state.remote_registration_id.get()) + number(state.previous_counter);
    let chains =
        varint_len(state.receiving.len() as u64) + state.receiving.iter().map(chain_len).sum::<usize>();
    fixed + numbers + sending + pending + chains
}

/// How many bytes [`put_chain`] appends.
fn chain_len(chain: &ReceivingChain) -> usize {
    let key = chain.key.as_ref().map_or(0, |_| KEY_SIZE_BYTES);
    let seeds = chain
        .skipped
        .iter()
        .map(|(index, _)| varint_len((*index).into()) + KEY_SIZE_BYTES);
    KEY_SIZE_BYTES
        + varint_len(chain.index.into())
        + 1
        + key
        + varint_len(chain.skipped.len() as u64)
        + seeds.sum::<usize>()
}

fn put_state(out: &mut Vec<u8>, state: &SessionState) {
    out.extend_from_slice(state.remote_identity.as_bytes());
    put_varint(out, state.remote_registration_id.get());
    out.extend_from_slice(state.base_key.as_bytes());
    out.extend_from_slice(state.root.as_bytes());
    put_varint(out, state.previous_counter);
    out.push(u8::from(state.sending.is_some()));
    if let Some(SendingChain { ratchet, chain }) = &state.sending {
        out.extend_from_slice(&ratchet.encode());
        out.extend_from_slice(chain.key.as_bytes());
        put_varint(out, chain.index);
    }
    let prekey_id = state.pending.and_then(|pending| pending.prekey_id);
    out.push(match (state.pending, prekey_id) {
        (None, _) => SETTLED,
        (Some(_), None) => PENDING,
        (Some(_), Some(_)) => PENDING_WITH_PREKEY,
    });
    if let Some(pending) = state.pending {
        put_varint(out, pending.signed_prekey_id.get());
    }
    if let Some(id) = prekey_id {
        put_varint(out, id.get());
    }
    put_varint(out, state.receiving.len() as u64);
    for chain in &state.receiving {
        put_chain(out, chain);
    }
}

fn put_chain(out: &mut Vec<u8>, chain: &ReceivingChain) {
    out.extend_from_slice(chain.remote.as_bytes());
    put_varint(out, chain.index);
    out.push(u8::from(chain.key.is_some()));
    if let Some(key) = &chain.key {
        out.extend_from_slice(key.as_bytes());
    }
    put_varint(out, chain.skipped.len() as u64);
    for (index, seed) in &chain.skipped {
        put_varint(out, *index);
        out.extend_from_slice(seed.as_bytes());
    }
}

fn state(reader: &mut Reader<'_>) -> Result<SessionState, Malformed> {
    let remote_identity = PublicKey::new(reader.array()?);
    let remote_registration_id = RegistrationId::new(reader.u32()?);
    let base_key = PublicKey::new(reader.array()?);
    let root = Secret::new(reader.array()?);
    let previous_counter = reader.u32()?;
    let sending = match reader.byte()? {
        0 => None,
        1 => Some(sending(reader)?),
        _ => return Err(Malformed),
    };
    let pending = match reader.byte()? {
        SETTLED => None,
        kind @ (PENDING | PENDING_WITH_PREKEY) => {
            let signed_prekey_id = SignedPreKeyId::new(reader.u32()?).ok_or(Malformed)?;
            let prekey_id = match kind {
                PENDING => None,
                _ => Some(PreKeyId::new(reader.u32()?).ok_or(Malformed)?),
            };
            Some(Pending {
                prekey_id,
                signed_prekey_id,
            })
        }
        _ => return Err(Malformed),
    };
    Ok(SessionState {
        remote_identity,
        remote_registration_id,
        base_key,
        root,
        sending,
        previous_counter,
        receiving: reader.list(MAX_RECEIVING_CHAINS, MIN_CHAIN_SIZE_BYTES, chain)?,
        pending,
    })
}

fn sending(reader: &mut Reader<'_>) -> Result<SendingChain, Malformed> {
    let ratchet = KeyPair::decode(reader.bytes(PAIR_SIZE_BYTES)?).ok_or(Malformed)?;
    let chain = Chain {
        key: Secret::new(reader.array()?),
        index: reader.u32()?,
    };
    Ok(SendingChain { ratchet, chain })
}

fn chain(reader: &mut Reader<'_>) -> Result<ReceivingChain, Malformed> {
    let remote = PublicKey::new(reader.array()?);
    let index = reader.u32()?;
    let key = match reader.byte()? {
        0 => None,
        1 => Some(Secret::new(reader.array()?)),
        _ => return Err(Malformed),
    };
    let skipped = |reader: &mut Reader<'_>| Ok((reader.u32()?, Secret::new(reader.array()?)));
    Ok(ReceivingChain {
        remote,
        index,
        key,
        skipped: reader.list(MAX_SKIPPED_SEEDS, MIN_SEED_SIZE_BYTES, skipped)?,
    })
}
