//! Certificate chains for servers that are not WhatsApp's.

use prost::Message as _;
use rand::CryptoRng;

use crate::crypto::cert::ROOT_SERIAL;
use crate::proto::{
    CertChain,
    cert_chain::{NoiseCertificate, noise_certificate::Details},
};
use crate::signal::curve::{KeyPair, PublicKey};
use crate::time::Timestamp;

/// When certificates are valid, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// From this second on.
    pub not_before: Timestamp,
    /// Until this second.
    pub not_after: Timestamp,
}

/// Makes an encoded chain for a server's static key.
#[must_use]
pub fn issue<R: CryptoRng + ?Sized>(
    root: &KeyPair,
    intermediate: &KeyPair,
    server_static: &PublicKey,
    validity: Validity,
    rng: &mut R,
) -> Vec<u8> {
    let mut certify = |issuer: &KeyPair, serial, issuer_serial, key: &PublicKey| {
        let details = Details {
            serial: Some(serial),
            issuer_serial: Some(issuer_serial),
            key: Some(key.to_bytes().to_vec().into()),
            not_before: Some(validity.not_before.as_secs()),
            not_after: Some(validity.not_after.as_secs()),
        }
        .encode_to_vec();
        let signature = issuer.sign(&details, rng);
        NoiseCertificate {
            details: Some(details.into()),
            signature: Some(signature.to_vec().into()),
        }
    };
    CertChain {
        intermediate: Some(certify(
            root,
            INTERMEDIATE_SERIAL,
            ROOT_SERIAL,
            intermediate.public(),
        )),
        leaf: Some(certify(
            intermediate,
            LEAF_SERIAL,
            INTERMEDIATE_SERIAL,
            server_static,
        )),
    }
    .encode_to_vec()
}

const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;
