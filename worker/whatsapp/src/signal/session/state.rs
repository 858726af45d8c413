//! One session: root key, own ratchet key, a sending chain and some receiving ones.
//!
//! Decryption computes first and changes the state only once the message is authentic.

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::error::{DecryptError, EncryptError, InitiateError};
use super::message::{Ciphertext, Header, PreKeyMessage, Preamble, SignalMessage, seal};
use crate::signal::cipher::{Chain, MessageKeys, Secret, Seeds, ratchet_keys, session_keys};
use crate::signal::curve::{KeyPair, PreparedKey, PublicKey};
use crate::signal::keys::{LocalIdentity, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKeyId};

/// How many states before the current one are kept: a peer may go on sending in them for a while.
pub const MAX_ARCHIVED_STATES: usize = 40;
/// How many receiving chains a state keeps: messages of that many ratchet steps back still decrypt.
pub const MAX_RECEIVING_CHAINS: usize = 5;
/// How many message key seeds a state keeps for messages that were overtaken. The oldest go first.
pub const MAX_SKIPPED_SEEDS: usize = 2000;
/// How far ahead of its chain a message may be.
pub const MAX_GAP: u32 = 2000;

/// One session with one device.
#[derive(Clone)]
pub(super) struct SessionState {
    pub(super) remote_identity: PublicKey,
    pub(super) remote_registration_id: RegistrationId,
    /// The initiator's fresh key: names the session.
    pub(super) base_key: PublicKey,
    pub(super) root: Secret,
    /// `None` between the other side's step of the ratchet and our next message, which makes ours: whoever only listens
    /// never pays for it, and a key that is not made yet can't be stolen (the Double Ratchet's deferred generation).
    pub(super) sending: Option<SendingChain>,
    /// The last number used in the sending chain before this one.
    pub(super) previous_counter: u32,
    /// Oldest first.
    pub(super) receiving: Vec<ReceivingChain>,
    pub(super) pending: Option<Pending>,
}

/// Our chain and its ratchet key.
#[derive(Clone)]
pub(super) struct SendingChain {
    pub(super) ratchet: KeyPair,
    pub(super) chain: Chain,
}

/// A chain of the other side, by its ratchet key.
#[derive(Clone)]
pub(super) struct ReceivingChain {
    pub(super) remote: PublicKey,
    /// The number after the highest received.
    pub(super) index: u32,
    /// `None` once the other side has said that it sent nothing beyond `index`.
    pub(super) key: Option<Secret>,
    pub(super) skipped: Seeds,
}

/// The other side has not answered: every message says how the session was made.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) prekey_id: Option<PreKeyId>,
    pub(super) signed_prekey_id: SignedPreKeyId,
}

/// What an authentic message does to the state.
enum Advance {
    /// One skipped seed is used.
    Used { chain: usize, at: usize },
    /// A chain moves on, leaving seeds behind.
    Moved {
        chain: usize,
        next: Chain,
        skipped: Seeds,
    },
    /// The other side has a new ratchet key.
    Ratcheted {
        root: Secret,
        remote: PublicKey,
        next: Chain,
        skipped: Seeds,
    },
}

impl SessionState {
    /// The initiator's side: X3DH, then the first ratchet step towards the signed prekey.
    pub(super) fn initiate<R: CryptoRng + ?Sized>(
        own: &KeyPair,
        bundle: &PreKeyBundle,
        rng: &mut R,
    ) -> Result<Self, InitiateError> {
        let (identity, signed) = (bundle.identity.prepare(), bundle.signed_prekey.prepare());
        bundle.verify_with(&identity)?;
        let base = KeyPair::generate(rng);
        let identity_with_signed = own.private().agree_contributory_prepared(&signed)?;
        let base_with_identity = base.private().agree_contributory_prepared(&identity)?;
        let base_with_signed = base.private().agree_contributory_prepared(&signed)?;
        let one_time = bundle
            .prekey
            .map(|(_, key)| base.private().agree_contributory(&key));
        let one_time = one_time.transpose()?;
        let products = [&identity_with_signed, &base_with_identity, &base_with_signed];
        let (root, _) = session_keys(products.into_iter().chain(&one_time).map(|product| &**product));
        let ratchet = KeyPair::generate(rng);
        let product = ratchet.private().agree_contributory_prepared(&signed)?;
        let (root, chain) = ratchet_keys(&root, &product);
        Ok(Self {
            remote_identity: bundle.identity,
            remote_registration_id: bundle.registration_id,
            base_key: *base.public(),
            root,
            sending: Some(SendingChain::new(ratchet, chain)),
            previous_counter: 0,
            receiving: Vec::new(),
            pending: Some(Pending {
                prekey_id: bundle.prekey.map(|(id, _)| id),
                signed_prekey_id: bundle.signed_prekey_id,
            }),
        })
    }

    /// The responder's side. Its first ratchet key is the signed prekey; the message that started the session brings
    /// the first step. Must decrypt that message before it is kept.
    pub(super) fn respond(
        own: &KeyPair,
        signed: &KeyPair,
        one_time: Option<&KeyPair>,
        message: &PreKeyMessage<'_>,
    ) -> Result<Self, DecryptError> {
        let agree = |ours: &KeyPair, theirs: &PreparedKey| {
            ours.private()
                .agree_contributory_prepared(theirs)
                .map_err(|_| DecryptError::Malformed)
        };
        let (identity, base) = (message.identity().prepare(), message.base_key().prepare());
        let signed_with_identity = agree(signed, &identity)?;
        let identity_with_base = agree(own, &base)?;
        let signed_with_base = agree(signed, &base)?;
        let one_time = one_time.map(|one_time| agree(one_time, &base)).transpose()?;
        let products = [&signed_with_identity, &identity_with_base, &signed_with_base];
        let (root, chain) = session_keys(products.into_iter().chain(&one_time).map(|product| &**product));
        Ok(Self {
            remote_identity: *message.identity(),
            remote_registration_id: message.registration_id(),
            base_key: *message.base_key(),
            root,
            sending: Some(SendingChain::new(signed.clone(), chain)),
            previous_counter: 0,
            receiving: Vec::new(),
            pending: None,
        })
    }

    /// Whether the other side has sent with this ratchet key in this session.
    pub(super) fn has_chain(&self, ratchet_key: &PublicKey) -> bool {
        self.chain_of(ratchet_key).is_some()
    }

    pub(super) fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        own: LocalIdentity<'_>,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Ciphertext, EncryptError> {
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => {
                let theirs = self.receiving.last().ok_or(EncryptError::NoSession)?;
                let ratchet = KeyPair::generate(rng);
                // The other side's key was checked when its message came.
                let product = Zeroizing::new(ratchet.agree(&theirs.remote));
                let (root, chain) = ratchet_keys(&self.root, &product);
                self.root = root;
                none.insert(SendingChain::new(ratchet, chain))
            }
        };
        let counter = sending.chain.index;
        if counter == u32::MAX {
            return Err(EncryptError::Exhausted);
        }
        let keys = MessageKeys::derive(&sending.chain.step());
        let preamble = self.pending.map(|pending| Preamble {
            prekey_id: pending.prekey_id,
            signed_prekey_id: pending.signed_prekey_id,
            base_key: &self.base_key,
        });
        let header = Header {
            ratchet_key: sending.ratchet.public(),
            counter,
            previous_counter: self.previous_counter,
        };
        Ok(seal(
            own,
            &self.remote_identity,
            preamble,
            header,
            &keys,
            plaintext,
        ))
    }

    /// Decrypts and, only if the message is authentic, advances.
    pub(super) fn decrypt(
        &mut self,
        own: &PublicKey,
        message: &SignalMessage<'_>,
    ) -> Result<Vec<u8>, DecryptError> {
        let (seed, advance) = self.seed_of(message)?;
        let plaintext = message.open(&MessageKeys::derive(&seed), &self.remote_identity, own)?;
        self.apply(advance, message.previous_counter());
        self.pending = None;
        Ok(plaintext)
    }

    fn chain_of(&self, ratchet_key: &PublicKey) -> Option<usize> {
        self.receiving
            .iter()
            .rposition(|chain| chain.remote == *ratchet_key)
    }

    fn seed_of(&self, message: &SignalMessage<'_>) -> Result<(Secret, Advance), DecryptError> {
        let Some(chain) = self.chain_of(message.ratchet_key()) else {
            // The other side steps only after it has seen a new key of ours: here it has seen none, so it is not its message.
            let sending = self.sending.as_ref().ok_or(DecryptError::BadMac)?;
            let product = sending
                .ratchet
                .private()
                .agree_contributory(message.ratchet_key())
                .map_err(|_| DecryptError::Malformed)?;
            let (root, key) = ratchet_keys(&self.root, &product);
            let (seed, next, skipped) = walk(Chain::new(key), message.counter())?;
            let remote = *message.ratchet_key();
            return Ok((
                seed,
                Advance::Ratcheted {
                    root,
                    remote,
                    next,
                    skipped,
                },
            ));
        };
        let known = &self.receiving[chain];
        if message.counter() < known.index {
            let at = known
                .skipped
                .binary_search_by_key(&message.counter(), |(index, _)| *index)
                .map_err(|_| DecryptError::Duplicate)?;
            return Ok((known.skipped[at].1.clone(), Advance::Used { chain, at }));
        }
        // The other side has said, under a MAC, that it sent nothing here: not its message.
        let key = known.key.clone().ok_or(DecryptError::BadMac)?;
        let (seed, next, skipped) = walk(
            Chain {
                key,
                index: known.index,
            },
            message.counter(),
        )?;
        Ok((seed, Advance::Moved { chain, next, skipped }))
    }

    fn apply(&mut self, advance: Advance, previous_counter: u32) {
        match advance {
            Advance::Used { chain, at } => drop(self.receiving[chain].skipped.remove(at)),
            Advance::Moved { chain, next, skipped } => {
                let chain = &mut self.receiving[chain];
                chain.index = next.index;
                chain.key = Some(next.key);
                chain.skipped.extend(skipped);
                self.drop_oldest_seeds();
            }
            Advance::Ratcheted {
                root,
                remote,
                next,
                skipped,
            } => {
                if let Some(last) = self.receiving.last_mut()
                    && last.index > previous_counter
                {
                    last.key = None;
                }
                if self.receiving.len() == MAX_RECEIVING_CHAINS {
                    self.receiving.remove(0);
                }
                self.receiving.push(ReceivingChain {
                    remote,
                    index: next.index,
                    key: Some(next.key),
                    skipped,
                });
                self.drop_oldest_seeds();
                if let Some(sending) = self.sending.take() {
                    self.previous_counter = sending.chain.index.saturating_sub(1);
                }
                self.root = root;
            }
        }
    }

    fn drop_oldest_seeds(&mut self) {
        let total: usize = self.receiving.iter().map(|chain| chain.skipped.len()).sum();
        let mut excess = total.saturating_sub(MAX_SKIPPED_SEEDS);
        for chain in &mut self.receiving {
            let here = excess.min(chain.skipped.len());
            chain.skipped.drain(..here);
            excess -= here;
        }
    }
}

impl SendingChain {
    const fn new(ratchet: KeyPair, key: Secret) -> Self {
        Self {
            ratchet,
            chain: Chain::new(key),
        }
    }
}

/// Steps `chain` up to and over `counter`: the seed there, the chain after it, and the seeds in between.
fn walk(mut chain: Chain, counter: u32) -> Result<(Secret, Chain, Seeds), DecryptError> {
    let gap = counter - chain.index;
    if gap > MAX_GAP || counter == u32::MAX {
        return Err(DecryptError::TooFarAhead);
    }
    let skipped = (chain.index..counter)
        .map(|index| (index, chain.step()))
        .collect();
    let seed = chain.step();
    Ok((seed, chain, skipped))
}
