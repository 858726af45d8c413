//! Whether a companion device belongs to the account that it claims.
//!
//! Facts: docs/PROTOCOL.md, "Pairing".

use crate::pairing::adv::{self, AdvError};
use crate::signal::Address;
use crate::signal::curve::PublicKey;

/// Checks the proof (`ADVSignedDeviceIdentity`) that the device with this identity is of its account. `account` is the
/// identity of the account's phone as far as it is known; it counts where the proof names none.
///
/// Phones prove nothing this way, and what has no proof or nobody to prove it against is taken as it is.
///
/// # Errors
/// [`AdvError`]: do not encrypt for this device, do not believe what it sends.
pub(super) fn check(
    address: &Address,
    identity: &PublicKey,
    proof: Option<&[u8]>,
    account: Option<&PublicKey>,
) -> Result<(), AdvError> {
    let Some(proof) = proof.filter(|_| address.device() != 0) else {
        return Ok(());
    };
    match (adv::verify(proof, identity, None), account) {
        (Err(AdvError::NoAccountKey), Some(account)) => adv::verify(proof, identity, Some(account)).map(drop),
        (Err(AdvError::NoAccountKey), None) | (Ok(_), _) => Ok(()),
        (Err(error), _) => Err(error),
    }
}
