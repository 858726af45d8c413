//! Linking by phone number, for the phone into which the code is typed.

use aes_gcm::{AeadInOut as _, Tag};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::device::AdvSecret;
use crate::pairing::code::{
    BUNDLE_BYTES, BUNDLE_TEXT_BYTES, CTR_IV_BYTES, CodeError, GCM_IV_BYTES, PairingCode, SALT_BYTES,
    TAG_BYTES, WRAPPED_KEY_BYTES, agree, bundle_cipher, derive_secret, random, unwrap, wrap,
};
use crate::signal::curve::{KeyPair, PublicKey};

/// Phone: the user has typed the code.
pub struct Primary {
    ephemeral: KeyPair,
    pub(crate) companion_ephemeral: PublicKey,
}

impl Primary {
    /// Unwraps the companion's hello and answers it with the phone's, under the same code. Takes tens of
    /// milliseconds.
    ///
    /// # Errors
    /// If the hello has a wrong length. A wrong code is not noticed here.
    pub fn start<R: CryptoRng + ?Sized>(
        code: &PairingCode,
        companion_hello: &[u8],
        rng: &mut R,
    ) -> Result<(Self, [u8; WRAPPED_KEY_BYTES]), CodeError> {
        let ephemeral = KeyPair::generate(rng);
        Self::start_with(code, companion_hello, ephemeral, random(rng), random(rng))
    }

    pub(crate) fn start_with(
        code: &PairingCode,
        companion_hello: &[u8],
        ephemeral: KeyPair,
        salt: [u8; SALT_BYTES],
        iv: [u8; CTR_IV_BYTES],
    ) -> Result<(Self, [u8; WRAPPED_KEY_BYTES]), CodeError> {
        let companion_ephemeral = unwrap(code, companion_hello)?;
        let hello = wrap(code, ephemeral.public(), salt, iv);
        Ok((
            Self {
                ephemeral,
                companion_ephemeral,
            },
            hello,
        ))
    }

    /// Opens the companion's bundle and derives the secret that both now share.
    ///
    /// # Errors
    /// If the companion does not know the code, or the bundle names other identities.
    pub fn open(
        &self,
        bundle: &[u8],
        identity: &KeyPair,
        companion_identity: &PublicKey,
    ) -> Result<AdvSecret, CodeError> {
        let bundle: &[u8; BUNDLE_BYTES] = bundle.try_into().map_err(|_| CodeError::Malformed)?;
        let (salt, rest) = bundle.split_at(SALT_BYTES);
        let (iv, rest) = rest.split_at(GCM_IV_BYTES);
        let (text, tag) = rest.split_at(BUNDLE_TEXT_BYTES);
        let shared = agree(&self.ephemeral, &self.companion_ephemeral)?;
        let mut text =
            Zeroizing::new(<[u8; BUNDLE_TEXT_BYTES]>::try_from(text).map_err(|_| CodeError::Malformed)?);
        let iv = <[u8; GCM_IV_BYTES]>::try_from(iv).map_err(|_| CodeError::Malformed)?;
        let tag = <[u8; TAG_BYTES]>::try_from(tag).map_err(|_| CodeError::Malformed)?;
        bundle_cipher(&shared, salt)
            .decrypt_inout_detached(&iv.into(), &[], text.as_mut_slice().into(), &Tag::from(tag))
            .map_err(|_| CodeError::WrongCode)?;
        if text[..32] != companion_identity.as_bytes()[..] || text[32..64] != identity.public().as_bytes()[..]
        {
            return Err(CodeError::WrongIdentity);
        }
        let identity_shared = agree(identity, companion_identity)?;
        Ok(derive_secret(&shared, &identity_shared, &text[64..]))
    }
}
