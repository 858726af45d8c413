//! The server's certificate chain: root, intermediate, leaf. The leaf certifies the static key of the Noise
//! handshake.
//!
//! Owns the client's check. Knows nothing of the handshake around it.
//!
//! Facts: docs/PROTOCOL.md, "Certificates".

use prost::Message as _;
use thiserror::Error;

use crate::proto::{
    CertChain,
    cert_chain::{NoiseCertificate, noise_certificate::Details},
};
use crate::signal::curve::PublicKey;
use crate::time::Timestamp;

/// One of the two certificates of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Signed by the root key.
    Intermediate,
    /// Signed by the intermediate; holds the server's static key.
    Leaf,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Intermediate => "intermediate certificate",
            Self::Leaf => "leaf certificate",
        })
    }
}

/// Why a chain proves nothing. The server must not be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertError {
    /// Not a chain at all.
    #[error("certificate chain is not valid")]
    Malformed,
    /// A certificate or a field of it is missing, or has a wrong length.
    #[error("{0} lacks its {1}")]
    Missing(Link, &'static str),
    /// Not signed by the key above it.
    #[error("signature of the {0} does not verify")]
    BadSignature(Link),
    /// Names another issuer than the one above it.
    #[error("{0} names another issuer")]
    WrongIssuer(Link),
    /// The leaf certifies another key than the one the server uses.
    #[error("certificate is for another server key")]
    WrongKey,
    /// Its validity has not begun: or our clock is wrong.
    #[error("{0} is not valid yet")]
    NotYetValid(Link),
    /// Its validity is over: or our clock is wrong.
    #[error("{0} has expired")]
    Expired(Link),
}

/// Checks that an encoded `CertChain` leads from `root` to the server's static key and is valid at the time
/// `now`.
///
/// # Errors
/// The first check that fails.
pub fn verify(
    chain: &[u8],
    root: &PublicKey,
    server_static: &PublicKey,
    now: Timestamp,
) -> Result<(), CertError> {
    let chain = CertChain::decode(chain).map_err(|_| CertError::Malformed)?;
    let intermediate = Certificate::parse(chain.intermediate, Link::Intermediate)?;
    let leaf = Certificate::parse(chain.leaf, Link::Leaf)?;
    intermediate.verify(root, ROOT_SERIAL, now)?;
    leaf.verify(&intermediate.key, intermediate.serial, now)?;
    if leaf.key == *server_static {
        Ok(())
    } else {
        Err(CertError::WrongKey)
    }
}

/// A certificate with every part that must be there.
struct Certificate {
    link: Link,
    /// What is signed.
    details: bytes::Bytes,
    signature: [u8; 64],
    serial: u32,
    issuer_serial: u32,
    key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    fn parse(certificate: Option<NoiseCertificate>, link: Link) -> Result<Self, CertError> {
        let missing = |part| CertError::Missing(link, part);
        let certificate = certificate.ok_or_else(|| missing("content"))?;
        let details = certificate.details.ok_or_else(|| missing("details"))?;
        let signature = certificate.signature.ok_or_else(|| missing("signature"))?;
        let parsed = Details::decode(details.clone()).map_err(|_| CertError::Malformed)?;
        let key = parsed.key.ok_or_else(|| missing("key"))?;
        Ok(Self {
            link,
            signature: signature[..].try_into().map_err(|_| missing("signature"))?,
            // Numbers that are absent are 0, as in every protobuf; a date of 0 has long passed.
            serial: parsed.serial.unwrap_or_default(),
            issuer_serial: parsed.issuer_serial.unwrap_or_default(),
            key: PublicKey::new(key[..].try_into().map_err(|_| missing("key"))?),
            not_before: Timestamp::from_secs(parsed.not_before.unwrap_or_default()),
            not_after: Timestamp::from_secs(parsed.not_after.unwrap_or_default()),
            details,
        })
    }

    fn verify(&self, issuer: &PublicKey, issuer_serial: u32, now: Timestamp) -> Result<(), CertError> {
        issuer
            .verify(&self.details, &self.signature)
            .map_err(|_| CertError::BadSignature(self.link))?;
        if self.issuer_serial != issuer_serial {
            return Err(CertError::WrongIssuer(self.link));
        }
        if now.as_secs() < self.not_before.as_secs() {
            return Err(CertError::NotYetValid(self.link));
        }
        if now.as_secs() > self.not_after.as_secs() {
            return Err(CertError::Expired(self.link));
        }
        Ok(())
    }
}

/// Serial of the root key, which has no certificate.
pub(crate) const ROOT_SERIAL: u32 = 0;

#[cfg(test)]
mod tests;
