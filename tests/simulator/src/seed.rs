//! Everything that is made up is made from one seed: keys, hidden ids, signatures.
//!
//! A derivation names what it is for, so that values never depend on the order in which they are asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use whatsapp::jid::{Jid, Server};
use whatsapp::signal::curve::{KeyPair, PrivateKey};

use crate::number::{Addressing, DeviceAddr, Number};

/// Hidden ids start here, so that they have 15 or 16 digits.
const LID_BASE: u64 = 100_000_000_000_000;
/// Hidden ids are a permutation of this many bits.
const LID_BITS: u32 = 50;
/// How many hidden ids one user can have, one after the other.
const LID_GENERATIONS: u64 = 8;
const HALF_BITS: u32 = LID_BITS / 2;
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: u8 = 4;

/// The root of all derivations.
#[derive(Clone)]
pub struct Seed {
    root: [u8; 32],
    rounds: [u64; ROUNDS as usize],
    renewed: Arc<Renewed>,
}

/// Users who have another hidden id, or other keys, than their first.
#[derive(Default)]
struct Renewed {
    any: AtomicBool,
    times: RwLock<HashMap<Number, u64>>,
    registrations: RwLock<HashMap<Number, u32>>,
}

impl Seed {
    /// The world of this number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root: [u8; 32] = Sha256::new()
            .chain_update(b"simulator/")
            .chain_update(seed.to_be_bytes())
            .finalize()
            .into();
        let mut this = Self {
            root,
            rounds: [0; ROUNDS as usize],
            renewed: Arc::default(),
        };
        for round in 0..ROUNDS {
            this.rounds[usize::from(round)] = this.number_of("lid round", u64::from(round));
        }
        this
    }

    /// 32 bytes for `purpose` of `who`, the `index`th of their kind.
    #[must_use]
    pub fn bytes(&self, purpose: &str, who: DeviceAddr, index: u32) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.root)
            .chain_update([purpose.len() as u8])
            .chain_update(purpose)
            .chain_update(who.number.get().to_be_bytes())
            .chain_update(who.device.to_be_bytes())
            .chain_update(index.to_be_bytes())
            .finalize()
            .into()
    }

    /// 64 bytes, as signatures want them.
    #[must_use]
    pub fn nonce(&self, purpose: &str, who: DeviceAddr, index: u32) -> [u8; 64] {
        let mut out = [0; 64];
        out[..32].copy_from_slice(&self.bytes(purpose, who, index));
        let second = Sha256::digest(&out[..32]);
        out[32..].copy_from_slice(&second);
        out
    }

    /// A key pair for `purpose` of `who`.
    #[must_use]
    pub fn key_pair(&self, purpose: &str, who: DeviceAddr, index: u32) -> KeyPair {
        KeyPair::from_private(PrivateKey::new(self.bytes(purpose, who, index)))
    }

    /// A key pair of the server itself.
    #[must_use]
    pub fn server_key(&self, purpose: &str) -> KeyPair {
        KeyPair::from_private(PrivateKey::new(
            Sha256::new()
                .chain_update(self.root)
                .chain_update(b"server key")
                .chain_update(purpose)
                .finalize()
                .into(),
        ))
    }

    /// A number for `purpose` that is no key.
    #[must_use]
    pub fn number_of(&self, purpose: &str, index: u64) -> u64 {
        let digest = Sha256::new()
            .chain_update(self.root)
            .chain_update(b"number")
            .chain_update(purpose)
            .chain_update(index.to_be_bytes())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }

    /// Gives a user another hidden id, for all clones. The earlier ones still lead to the number.
    pub fn renew_lid(&self, number: Number) {
        let mut times = self.renewed.times.write().unwrap_or_else(PoisonError::into_inner);
        let times = times.entry(number).or_default();
        *times = (*times + 1) % LID_GENERATIONS;
        self.renewed.any.store(true, Ordering::Release);
    }

    /// Gives a user other keys, for all clones: they registered anew.
    pub fn register_anew(&self, number: Number) {
        let all = &self.renewed.registrations;
        let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
        *all.entry(number).or_default() += 1;
        self.renewed.any.store(true, Ordering::Release);
    }

    /// How often the user registered anew.
    pub(crate) fn registration(&self, number: Number) -> u32 {
        if !self.renewed.any.load(Ordering::Acquire) {
            return 0;
        }
        let all = &self.renewed.registrations;
        let all = all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&number).copied().unwrap_or_default()
    }

    /// How often the user got another hidden id.
    fn generation(&self, number: Number) -> u64 {
        if !self.renewed.any.load(Ordering::Acquire) {
            return 0;
        }
        let times = self.renewed.times.read().unwrap_or_else(PoisonError::into_inner);
        times.get(&number).copied().unwrap_or_default()
    }

    /// The hidden id of a user: a permutation of the numbers, so that no table is needed.
    #[must_use]
    pub fn lid(&self, number: Number) -> u64 {
        let (mut left, mut right) = (number.get() >> HALF_BITS, number.get() & HALF_MASK);
        for round in self.rounds {
            (left, right) = (right, left ^ mix(right, round));
        }
        LID_BASE + (self.generation(number) << LID_BITS) + ((left << HALF_BITS) | right)
    }

    /// The user behind a hidden id; `None` if nobody could have it.
    #[must_use]
    pub fn number_behind(&self, lid: u64) -> Option<Number> {
        let value = lid
            .checked_sub(LID_BASE)
            .filter(|value| value >> LID_BITS < LID_GENERATIONS)?;
        let value = value & ((1 << LID_BITS) - 1);
        let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
        for round in self.rounds.iter().rev() {
            (left, right) = (right ^ mix(left, *round), left);
        }
        Number::new((left << HALF_BITS) | right)
    }

    /// The address of a device in this form.
    #[must_use]
    pub fn jid(&self, who: DeviceAddr, addressing: Addressing) -> Jid {
        let jid = match addressing {
            Addressing::Pn => Jid::new(compact_str::format_compact!("{}", who.number), Server::User),
            Addressing::Lid => Jid::new(
                compact_str::format_compact!("{}", self.lid(who.number)),
                Server::Lid,
            ),
        };
        jid.with_device(who.device)
    }

    /// The device behind an address and the form that was used; `None` if it is no user's.
    #[must_use]
    pub fn resolve(&self, jid: &Jid) -> Option<(DeviceAddr, Addressing)> {
        let (number, addressing) = match jid.server() {
            Server::User | Server::Legacy => (jid.user().parse().ok()?, Addressing::Pn),
            Server::Lid => (self.number_behind(jid.user().parse().ok()?)?, Addressing::Lid),
            _ => return None,
        };
        Some((DeviceAddr::new(number, jid.device()), addressing))
    }
}

fn mix(half: u64, round: u64) -> u64 {
    let mut value = (half ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^= value >> 29;
    value = value.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (value >> 33) & HALF_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_ids_lead_back_to_their_numbers() {
        let seed = Seed::new(7);
        for digits in [10_000, 15_551_230_001, 15_551_230_002, 999_999_999_999_999] {
            let number = Number::new(digits).unwrap();
            let lid = seed.lid(number);
            assert!(lid >= LID_BASE);
            assert_eq!(seed.number_behind(lid), Some(number));
        }
        assert_eq!(seed.number_behind(5), None);
        let number = Number::new(15_551_230_001).unwrap();
        let (first, other) = (seed.lid(number), seed.clone());
        other.renew_lid(number);
        assert_ne!(seed.lid(number), first);
        assert_eq!(seed.number_behind(first), Some(number));
        assert_eq!(seed.number_behind(seed.lid(number)), Some(number));
    }

    #[test]
    fn same_seed_makes_the_same_world_and_another_seed_another() {
        let who = DeviceAddr::phone(Number::new(15_551_230_001).unwrap());
        assert_eq!(Seed::new(1).bytes("a", who, 0), Seed::new(1).bytes("a", who, 0));
        assert_ne!(Seed::new(1).bytes("a", who, 0), Seed::new(2).bytes("a", who, 0));
        assert_ne!(Seed::new(1).bytes("a", who, 0), Seed::new(1).bytes("a", who, 1));
    }

    #[test]
    fn both_forms_of_an_address_are_the_same_device() {
        let seed = Seed::new(1);
        let who = DeviceAddr::new(Number::new(15_551_230_001).unwrap(), 3);
        for form in [Addressing::Pn, Addressing::Lid] {
            assert_eq!(seed.resolve(&seed.jid(who, form)), Some((who, form)));
        }
        assert_eq!(seed.resolve(&Jid::SERVER), None);
    }
}
