//! The bytes of pairwise messages.
//!
//! `msg`: `0x33 || {1 ratchet key, 2 counter, 3 previous counter, 4 ciphertext} || mac[8]`; the MAC covers the sender's
//! and the receiver's identity, then everything before it. `pkmsg`: `0x33 || {1 prekey id, 2 base key, 3 identity,
//! 4 a whole msg, 5 registration id, 6 signed prekey id}`. Fields are written in number order.

use bytes::Bytes;

use super::error::DecryptError;
use crate::signal::cipher::{MessageKeys, encrypted_len};
use crate::signal::curve::{PublicKey, TYPED_PUBLIC_KEY_SIZE_BYTES};
use crate::signal::keys::{LocalIdentity, PreKeyId, RegistrationId, SignedPreKeyId};
use crate::signal::wire::{
    Malformed, VERSION, Value, bytes_len, number_len, put_bytes, put_bytes_header, put_number, read_fields,
    split_version,
};

/// Bytes of a message's MAC.
pub(super) const MAC_SIZE_BYTES: usize = 8;

/// An encrypted message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "its message key is spent"]
pub struct Ciphertext {
    /// Which form it has.
    pub kind: CiphertextKind,
    /// The content of the `<enc>` node.
    pub bytes: Bytes,
}

/// The forms of a pairwise message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiphertextKind {
    /// Starts a session, should the other side not know it yet.
    PreKey,
    /// Of a session that the other side is known to have.
    Message,
}

impl CiphertextKind {
    /// The `type` of the `<enc>` node.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreKey => "pkmsg",
            Self::Message => "msg",
        }
    }
}

/// A message of a session, parsed but not yet believed.
#[derive(Debug)]
pub struct SignalMessage<'a> {
    ratchet_key: PublicKey,
    counter: u32,
    previous_counter: u32,
    ciphertext: &'a [u8],
    /// What the MAC covers, with the version byte.
    authenticated: &'a [u8],
    mac: &'a [u8],
}

impl<'a> SignalMessage<'a> {
    /// Parses the content of an `<enc type="msg">` node.
    ///
    /// # Errors
    /// [`DecryptError::Malformed`] or [`DecryptError::UnsupportedVersion`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
        let body_len = bytes
            .len()
            .checked_sub(MAC_SIZE_BYTES)
            .ok_or(DecryptError::Malformed)?;
        let (authenticated, mac) = bytes.split_at(body_len);
        let (mut ratchet_key, mut counter, mut previous_counter, mut ciphertext) = (None, None, 0, None);
        read_fields(split_version(authenticated)?, |field, value| {
            match field {
                1 => ratchet_key = Some(typed_key(&value)?),
                2 => counter = Some(value.u32()?),
                3 => previous_counter = value.u32()?,
                4 => ciphertext = Some(value.bytes()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            ratchet_key: ratchet_key.ok_or(Malformed)?,
            counter: counter.ok_or(Malformed)?,
            previous_counter,
            ciphertext: ciphertext.ok_or(Malformed)?,
            authenticated,
            mac,
        })
    }

    /// The sender's ratchet key.
    pub const fn ratchet_key(&self) -> &PublicKey {
        &self.ratchet_key
    }

    /// The message's number in its chain.
    pub const fn counter(&self) -> u32 {
        self.counter
    }

    /// The last number that the sender used in the chain before.
    pub const fn previous_counter(&self) -> u32 {
        self.previous_counter
    }

    /// Checks the MAC and decrypts.
    pub(super) fn open(
        &self,
        keys: &MessageKeys,
        sender: &PublicKey,
        receiver: &PublicKey,
    ) -> Result<Vec<u8>, DecryptError> {
        let parts = [
            &sender.serialize33()[..],
            &receiver.serialize33(),
            self.authenticated,
        ];
        if !keys.mac_matches(parts, self.mac) {
            return Err(DecryptError::BadMac);
        }
        keys.decrypt(self.ciphertext).ok_or(DecryptError::Malformed)
    }
}

/// A message that may start a session, parsed but not yet believed.
#[derive(Debug)]
pub struct PreKeyMessage<'a> {
    prekey_id: Option<PreKeyId>,
    base_key: PublicKey,
    identity: PublicKey,
    message: &'a [u8],
    registration_id: RegistrationId,
    signed_prekey_id: SignedPreKeyId,
}

impl<'a> PreKeyMessage<'a> {
    /// Parses the content of an `<enc type="pkmsg">` node. Its ids say which prekeys to load.
    ///
    /// # Errors
    /// [`DecryptError::Malformed`] or [`DecryptError::UnsupportedVersion`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecryptError> {
        let (mut prekey_id, mut base_key, mut identity, mut message) = (None, None, None, None);
        let (mut registration_id, mut signed_prekey_id) = (0, None);
        read_fields(split_version(bytes)?, |field, value| {
            match field {
                1 => prekey_id = Some(PreKeyId::new(value.u32()?).ok_or(Malformed)?),
                2 => base_key = Some(typed_key(&value)?),
                3 => identity = Some(typed_key(&value)?),
                4 => message = Some(value.bytes()?),
                5 => registration_id = value.u32()?,
                6 => signed_prekey_id = SignedPreKeyId::new(value.u32()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            prekey_id,
            base_key: base_key.ok_or(Malformed)?,
            identity: identity.ok_or(Malformed)?,
            message: message.ok_or(Malformed)?,
            registration_id: RegistrationId::new(registration_id),
            signed_prekey_id: signed_prekey_id.ok_or(Malformed)?,
        })
    }

    /// The one-time prekey that the session was made with, if any.
    pub const fn prekey_id(&self) -> Option<PreKeyId> {
        self.prekey_id
    }

    /// The signed prekey that the session was made with.
    pub const fn signed_prekey_id(&self) -> SignedPreKeyId {
        self.signed_prekey_id
    }

    /// The sender's identity, as it says.
    pub const fn identity(&self) -> &PublicKey {
        &self.identity
    }

    /// The sender's installation.
    pub const fn registration_id(&self) -> RegistrationId {
        self.registration_id
    }

    /// The sender's fresh key, which names the session.
    pub const fn base_key(&self) -> &PublicKey {
        &self.base_key
    }

    /// The message inside.
    ///
    /// # Errors
    /// As [`SignalMessage::parse`].
    pub fn message(&self) -> Result<SignalMessage<'a>, DecryptError> {
        SignalMessage::parse(self.message)
    }

    /// The message inside as it came: a part of what was parsed.
    pub const fn message_bytes(&self) -> &'a [u8] {
        self.message
    }
}

/// What goes in front of a message while the other side has not answered.
#[derive(Clone, Copy)]
pub(super) struct Preamble<'a> {
    pub(super) prekey_id: Option<PreKeyId>,
    pub(super) signed_prekey_id: SignedPreKeyId,
    pub(super) base_key: &'a PublicKey,
}

/// What a message says of its place.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) ratchet_key: &'a PublicKey,
    pub(super) counter: u32,
    pub(super) previous_counter: u32,
}

/// Encrypts and frames a message: one buffer, allocated once.
pub(super) fn seal(
    own: LocalIdentity<'_>,
    receiver: &PublicKey,
    preamble: Option<Preamble<'_>>,
    header: Header<'_>,
    keys: &MessageKeys,
    plaintext: &[u8],
) -> Ciphertext {
    let encrypted = encrypted_len(plaintext.len());
    let message_len = 1
        + bytes_len(TYPED_PUBLIC_KEY_SIZE_BYTES)
        + number_len(header.counter)
        + number_len(header.previous_counter)
        + bytes_len(encrypted)
        + MAC_SIZE_BYTES;
    let sender33 = own.pair.public().serialize33();
    let (kind, mut out) = match preamble {
        None => (CiphertextKind::Message, Vec::with_capacity(message_len)),
        Some(preamble) => {
            let len = preamble_len(preamble, own, message_len);
            let mut out = Vec::with_capacity(len);
            out.push(VERSION);
            if let Some(id) = preamble.prekey_id {
                put_number(&mut out, 1, id.get());
            }
            put_bytes(&mut out, 2, &preamble.base_key.serialize33());
            put_bytes(&mut out, 3, &sender33);
            put_bytes_header(&mut out, 4, message_len);
            (CiphertextKind::PreKey, out)
        }
    };
    let start = out.len();
    out.push(VERSION);
    put_bytes(&mut out, 1, &header.ratchet_key.serialize33());
    put_number(&mut out, 2, header.counter);
    put_number(&mut out, 3, header.previous_counter);
    put_bytes_header(&mut out, 4, encrypted);
    keys.encrypt(plaintext, &mut out);
    let mac = keys.mac([&sender33, &receiver.serialize33(), &out[start..]]);
    out.extend_from_slice(&mac);
    if let Some(preamble) = preamble {
        put_number(&mut out, 5, own.registration_id.get());
        put_number(&mut out, 6, preamble.signed_prekey_id.get());
    }
    debug_assert_eq!(out.len(), out.capacity(), "the size was foretold");
    Ciphertext {
        kind,
        bytes: Bytes::from(out),
    }
}

fn preamble_len(preamble: Preamble<'_>, own: LocalIdentity<'_>, message_len: usize) -> usize {
    1 + preamble.prekey_id.map_or(0, |id| number_len(id.get()))
        + 2 * bytes_len(TYPED_PUBLIC_KEY_SIZE_BYTES)
        + bytes_len(message_len)
        + number_len(own.registration_id.get())
        + number_len(preamble.signed_prekey_id.get())
}

/// Keys inside messages carry their type byte. X25519 ignores the top bit: with it, one session start could be made to
/// look like another, and be replayed where no one-time prekey stops that.
fn typed_key(value: &Value<'_>) -> Result<PublicKey, Malformed> {
    let bytes = value.bytes()?;
    if bytes.len() != TYPED_PUBLIC_KEY_SIZE_BYTES || bytes[TYPED_PUBLIC_KEY_SIZE_BYTES - 1] & 0x80 != 0 {
        return Err(Malformed);
    }
    PublicKey::parse(bytes).map_err(|_| Malformed)
}
