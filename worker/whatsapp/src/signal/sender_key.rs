//! Sender keys: one chain per group and sending device, handed to each member once, so that a group message is encrypted
//! once for all.
//!
//! Owns [`SenderKeyRecord`], the messages (`skmsg`) and the distribution messages that hand a chain out. Facts:
//! docs/PROTOCOL.md, "Sender keys".
//!
//! **Every method that takes `&mut self` changes what must be persisted**; after [`SenderKeyRecord::encrypt`] before the
//! ciphertext leaves. A method that fails has changed nothing.

use bytes::Bytes;
use rand::CryptoRng;

use super::cipher::{Chain, GroupMessageKeys, Secret, Seeds, encrypted_len};
use super::curve::{KeyPair, PAIR_SIZE_BYTES, PublicKey, SIGNATURE_SIZE_BYTES, TYPED_PUBLIC_KEY_SIZE_BYTES};
use super::session::{BadRecord, DecryptError, EncryptError, MAX_GAP, MAX_SKIPPED_SEEDS};
use super::wire::{
    Malformed, Reader, VERSION, bytes_len, number_len, put_bytes, put_bytes_header, put_number, put_varint,
    read_fields, split_version,
};

/// How many states a record keeps: a sender makes a new one when a member leaves, and messages of the one before may
/// still be under way.
pub const MAX_SENDER_KEY_STATES: usize = 5;
/// Sender key ids have 31 bits.
const KEY_ID_MASK: u32 = 0x7fff_ffff;

/// What we know of one device's sender keys in one group, newest first. Our own holds a private signing key.
#[derive(Clone, Default)]
pub struct SenderKeyRecord {
    states: Vec<SenderKeyState>,
}

impl SenderKeyRecord {
    /// Makes a fresh chain of our own to send with. Every member then needs its [`distribution`](Self::distribution).
    /// Do so for a group's first message, and whenever a member or a device has left.
    pub fn rotate<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) {
        let id = rng.next_u32() & KEY_ID_MASK;
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        let chain = Chain::new(Secret::new(key));
        let signing = SigningKey::Ours(KeyPair::generate(rng));
        self.adopt(SenderKeyState {
            id,
            signing,
            chain,
            skipped: Vec::new(),
        });
    }

    /// The distribution message of our newest chain, from its next message on. Make it before the message that it goes
    /// with is encrypted, and send it only over pairwise sessions: it holds the chain key.
    ///
    /// # Errors
    /// [`EncryptError::NoSession`]: [`rotate`](Self::rotate) first.
    pub fn distribution(&self) -> Result<Bytes, EncryptError> {
        let (state, pair) = self.sending().ok_or(EncryptError::NoSession)?;
        let len = 1
            + number_len(state.id)
            + number_len(state.chain.index)
            + bytes_len(32)
            + bytes_len(TYPED_PUBLIC_KEY_SIZE_BYTES);
        let mut out = Vec::with_capacity(len);
        out.push(VERSION);
        put_number(&mut out, 1, state.id);
        put_number(&mut out, 2, state.chain.index);
        put_bytes(&mut out, 3, state.chain.key.as_bytes());
        put_bytes(&mut out, 4, &pair.public().serialize33());
        Ok(Bytes::from(out))
    }

    /// Encrypts for the group. Persist the record before the ciphertext leaves.
    ///
    /// `plaintext` carries WhatsApp's own padding already ([`super::padding::pad`]).
    ///
    /// # Errors
    /// [`EncryptError`]: [`rotate`](Self::rotate) and distribute.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Bytes, EncryptError> {
        let (state, pair) = self.sending().ok_or(EncryptError::NoSession)?;
        if state.chain.index == u32::MAX {
            return Err(EncryptError::Exhausted);
        }
        let mut chain = state.chain.clone();
        let iteration = chain.index;
        let keys = GroupMessageKeys::derive(&chain.step());
        let encrypted = encrypted_len(plaintext.len());
        let len =
            1 + number_len(state.id) + number_len(iteration) + bytes_len(encrypted) + SIGNATURE_SIZE_BYTES;
        let mut out = Vec::with_capacity(len);
        out.push(VERSION);
        put_number(&mut out, 1, state.id);
        put_number(&mut out, 2, iteration);
        put_bytes_header(&mut out, 3, encrypted);
        keys.encrypt(plaintext, &mut out);
        let signature = pair.sign(&out, rng);
        out.extend_from_slice(&signature);
        self.states[0].chain = chain;
        Ok(Bytes::from(out))
    }

    /// Takes a chain that its sender has handed to us over a pairwise session. A chain that is known already stays where
    /// it is: it must not be wound back.
    ///
    /// # Errors
    /// [`DecryptError::Malformed`] or [`DecryptError::UnsupportedVersion`].
    pub fn accept(&mut self, distribution: &[u8]) -> Result<(), DecryptError> {
        let (mut id, mut iteration, mut key, mut signing) = (None, None, None, None);
        read_fields(split_version(distribution)?, |field, value| {
            match field {
                1 => id = Some(value.u32()?),
                2 => iteration = Some(value.u32()?),
                3 => key = Some(value.bytes()?.try_into().map_err(|_| Malformed)?),
                4 => signing = Some(PublicKey::parse(value.bytes()?).map_err(|_| Malformed)?),
                _ => {}
            }
            Ok(())
        })?;
        let (id, signing) = (id.ok_or(Malformed)?, signing.ok_or(Malformed)?);
        if self
            .states
            .iter()
            .any(|state| state.id == id && *state.signing.public() == signing)
        {
            return Ok(());
        }
        let chain = Chain {
            key: Secret::new(key.ok_or(Malformed)?),
            index: iteration.ok_or(Malformed)?,
        };
        self.states.retain(|state| state.id != id);
        self.adopt(SenderKeyState {
            id,
            signing: SigningKey::Theirs(signing),
            chain,
            skipped: Vec::new(),
        });
        Ok(())
    }

    /// Decrypts a group message (`<enc type="skmsg">`).
    ///
    /// # Errors
    /// [`DecryptError`], [`NoSession`](DecryptError::NoSession) if the chain was never handed to us; the record is as
    /// before.
    pub fn decrypt(&mut self, bytes: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let message = SenderKeyMessage::parse(bytes)?;
        let state = self
            .states
            .iter_mut()
            .find(|state| state.id == message.id)
            .ok_or(DecryptError::NoSession)?;
        state
            .signing
            .public()
            .verify(message.signed, message.signature)
            .map_err(|_| DecryptError::BadSignature)?;
        state.decrypt(&message)
    }

    /// The stored form, `version, count of states, state…`, as that of sessions. Holds secrets in clear: seal it before it
    /// touches a disk.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![RECORD_VERSION];
        put_varint(&mut out, self.states.len() as u64);
        self.states.iter().for_each(|state| state.encode(&mut out));
        Bytes::from(out.into_boxed_slice())
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`BadRecord`]: treat the sender key as lost.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != RECORD_VERSION {
            return Err(BadRecord);
        }
        let states = reader.list(
            MAX_SENDER_KEY_STATES,
            MIN_STATE_SIZE_BYTES,
            SenderKeyState::decode,
        )?;
        reader.end()?;
        Ok(Self { states })
    }

    fn sending(&self) -> Option<(&SenderKeyState, &KeyPair)> {
        let state = self.states.first()?;
        match &state.signing {
            SigningKey::Ours(pair) => Some((state, pair)),
            SigningKey::Theirs(_) => None,
        }
    }

    fn adopt(&mut self, state: SenderKeyState) {
        self.states.truncate(MAX_SENDER_KEY_STATES - 1);
        self.states.insert(0, state);
    }
}

/// Prints no key.
impl std::fmt::Debug for SenderKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderKeyRecord")
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}

/// One chain of a sender.
#[derive(Clone)]
struct SenderKeyState {
    id: u32,
    signing: SigningKey,
    chain: Chain,
    skipped: Seeds,
}

/// Signs the messages of a chain, or checks them.
#[derive(Clone)]
enum SigningKey {
    Ours(KeyPair),
    Theirs(PublicKey),
}

impl SigningKey {
    const fn public(&self) -> &PublicKey {
        match self {
            Self::Ours(pair) => pair.public(),
            Self::Theirs(public) => public,
        }
    }
}

impl SenderKeyState {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id);
        match &self.signing {
            SigningKey::Theirs(public) => {
                out.push(THEIRS);
                out.extend_from_slice(public.as_bytes());
            }
            SigningKey::Ours(pair) => {
                out.push(OURS);
                out.extend_from_slice(&pair.encode());
            }
        }
        out.extend_from_slice(self.chain.key.as_bytes());
        put_varint(out, self.chain.index);
        put_varint(out, self.skipped.len() as u64);
        for (iteration, seed) in &self.skipped {
            put_varint(out, *iteration);
            out.extend_from_slice(seed.as_bytes());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = reader.u32()?;
        let signing = match reader.byte()? {
            THEIRS => SigningKey::Theirs(PublicKey::new(reader.array()?)),
            OURS => SigningKey::Ours(KeyPair::decode(reader.bytes(PAIR_SIZE_BYTES)?).ok_or(Malformed)?),
            _ => return Err(Malformed),
        };
        let chain = Chain {
            key: Secret::new(reader.array()?),
            index: reader.u32()?,
        };
        let skipped = |reader: &mut Reader<'_>| Ok((reader.u32()?, Secret::new(reader.array()?)));
        Ok(Self {
            id,
            signing,
            chain,
            skipped: reader.list(MAX_SKIPPED_SEEDS, MIN_SEED_SIZE_BYTES, skipped)?,
        })
    }

    /// Decrypts a message whose signature was checked.
    fn decrypt(&mut self, message: &SenderKeyMessage<'_>) -> Result<Vec<u8>, DecryptError> {
        let open = |seed: &Secret| {
            GroupMessageKeys::derive(seed)
                .decrypt(message.ciphertext)
                .ok_or(DecryptError::Malformed)
        };
        if message.iteration < self.chain.index {
            let at = self
                .skipped
                .binary_search_by_key(&message.iteration, |(iteration, _)| *iteration)
                .map_err(|_| DecryptError::Duplicate)?;
            let plaintext = open(&self.skipped[at].1)?;
            self.skipped.remove(at);
            return Ok(plaintext);
        }
        if message.iteration - self.chain.index > MAX_GAP || message.iteration == u32::MAX {
            return Err(DecryptError::TooFarAhead);
        }
        let mut chain = self.chain.clone();
        let mut overtaken = Vec::new();
        while chain.index < message.iteration {
            overtaken.push((chain.index, chain.step()));
        }
        let plaintext = open(&chain.step())?;
        self.chain = chain;
        self.skipped.append(&mut overtaken);
        self.skipped
            .drain(..self.skipped.len().saturating_sub(MAX_SKIPPED_SEEDS));
        Ok(plaintext)
    }
}

/// A group message, parsed but not yet believed.
struct SenderKeyMessage<'a> {
    id: u32,
    iteration: u32,
    ciphertext: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_SIZE_BYTES],
}

impl<'a> SenderKeyMessage<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
        let (signed, signature) = bytes.split_last_chunk().ok_or(DecryptError::Malformed)?;
        let (mut id, mut iteration, mut ciphertext) = (None, None, None);
        read_fields(split_version(signed)?, |field, value| {
            match field {
                1 => id = Some(value.u32()?),
                2 => iteration = Some(value.u32()?),
                3 => ciphertext = Some(value.bytes()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            id: id.ok_or(Malformed)?,
            iteration: iteration.ok_or(Malformed)?,
            ciphertext: ciphertext.ok_or(Malformed)?,
            signed,
            signature,
        })
    }
}

const RECORD_VERSION: u8 = 1;
const THEIRS: u8 = 0;
const OURS: u8 = 1;
/// The least that a state and a seed can take.
const MIN_STATE_SIZE_BYTES: usize = 68;
const MIN_SEED_SIZE_BYTES: usize = 33;

#[cfg(test)]
mod tests;
