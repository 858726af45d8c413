//! One chain of a sender, and the group messages (`skmsg`) encrypted with it.

use crate::signal::cipher::{Chain, GroupMessageKeys, Secret};
use crate::signal::curve::{KeyPair, PublicKey, SIGNATURE_SIZE_BYTES};
use crate::signal::session::{DecryptError, MAX_GAP, MAX_SKIPPED_SEEDS};
use crate::signal::wire::{Malformed, read_fields, split_version};

/// How many states a record keeps: a sender makes a new one when a member leaves, and messages of the one before may
/// still be under way.
pub const MAX_SENDER_KEY_STATES: usize = 5;

/// One chain of a sender.
#[derive(Clone)]
pub(super) struct SenderKeyState {
    pub(super) id: u32,
    pub(super) signing: SigningKey,
    pub(super) chain: Chain,
    /// Seeds of messages that were overtaken, by rising iteration.
    pub(super) skipped: Vec<(u32, Secret)>,
}

/// Signs the messages of a chain, or checks them.
#[derive(Clone)]
pub(super) enum SigningKey {
    Ours(KeyPair),
    Theirs(PublicKey),
}

impl SigningKey {
    pub(super) const fn public(&self) -> &PublicKey {
        match self {
            Self::Ours(pair) => pair.public(),
            Self::Theirs(public) => public,
        }
    }
}

impl SenderKeyState {
    /// Decrypts a message whose signature was checked.
    pub(super) fn decrypt(&mut self, message: &SenderKeyMessage<'_>) -> Result<Vec<u8>, DecryptError> {
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
pub(super) struct SenderKeyMessage<'a> {
    pub(super) id: u32,
    pub(super) iteration: u32,
    pub(super) ciphertext: &'a [u8],
    pub(super) signed: &'a [u8],
    pub(super) signature: &'a [u8; SIGNATURE_SIZE_BYTES],
}

impl<'a> SenderKeyMessage<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
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
