//! The stored form of a sender key record: `version, count of states, state…`, as that of sessions.

use bytes::Bytes;

use super::state::{MAX_SENDER_KEY_STATES, SenderKeyState, SigningKey};
use crate::signal::cipher::{Chain, Secret};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::signal::session::MAX_SKIPPED_SEEDS;
use crate::signal::wire::{Malformed, Reader, put_varint};

const VERSION: u8 = 1;
const THEIRS: u8 = 0;
const OURS: u8 = 1;
/// The least that a state and a seed can take.
const MIN_STATE_SIZE_BYTES: usize = 68;
const MIN_SEED_SIZE_BYTES: usize = 33;

pub(super) fn encode(states: &[SenderKeyState]) -> Bytes {
    let mut out = vec![VERSION];
    put_varint(&mut out, states.len() as u64);
    for state in states {
        put_varint(&mut out, state.id);
        match &state.signing {
            SigningKey::Theirs(_) => out.push(THEIRS),
            SigningKey::Ours(pair) => {
                out.push(OURS);
                out.extend_from_slice(pair.private().as_bytes());
            }
        }
        out.extend_from_slice(state.signing.public().as_bytes());
        out.extend_from_slice(state.chain.key.as_bytes());
        put_varint(&mut out, state.chain.index);
        put_varint(&mut out, state.skipped.len() as u64);
        for (iteration, seed) in &state.skipped {
            put_varint(&mut out, *iteration);
            out.extend_from_slice(seed.as_bytes());
        }
    }
    Bytes::from(out.into_boxed_slice())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<SenderKeyState>, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Malformed);
    }
    let count = reader.count(MIN_STATE_SIZE_BYTES)?;
    if count > MAX_SENDER_KEY_STATES {
        return Err(Malformed);
    }
    let states = (0..count).map(|_| state(&mut reader)).collect::<Result<_, _>>()?;
    if reader.is_empty() {
        Ok(states)
    } else {
        Err(Malformed)
    }
}

fn state(reader: &mut Reader<'_>) -> Result<SenderKeyState, Malformed> {
    let id = reader.u32()?;
    let signing = match reader.byte()? {
        THEIRS => SigningKey::Theirs(PublicKey::new(reader.array()?)),
        OURS => {
            let private = PrivateKey::new(reader.array()?);
            SigningKey::Ours(KeyPair::from_halves(private, PublicKey::new(reader.array()?)))
        }
        _ => return Err(Malformed),
    };
    let chain = Chain {
        key: Secret::new(reader.array()?),
        index: reader.u32()?,
    };
    let count = reader.count(MIN_SEED_SIZE_BYTES)?;
    if count > MAX_SKIPPED_SEEDS {
        return Err(Malformed);
    }
    let skipped = (0..count)
        .map(|_| Ok((reader.u32()?, Secret::new(reader.array()?))))
        .collect::<Result<_, Malformed>>()?;
    Ok(SenderKeyState {
        id,
        signing,
        chain,
        skipped,
    })
}
