//! Whether a companion device belongs to the account that it claims.
//!
//! A companion proves it with an `ADVSignedDeviceIdentity`, which the account's phone has signed. The key that counts is the
//! phone's identity as it is known; only where none is known does the key that the proof names count. Official clients
//! send the proof with every bundle, first message and retry request of a companion, and believe none without it.
//!
//! Facts: docs/PROTOCOL.md, "Device identities".

use crate::device::Device;
use crate::event::DeviceRefusal;
use crate::jid::Jid;
use crate::pairing::adv::{self, AdvError};
use crate::signal::curve::PublicKey;

/// Checks the proof that the companion with this identity is of the account whose key is `known`. Gives the key that
/// vouches for it: the known one, else the one that the proof names.
///
/// # Errors
/// [`DeviceRefusal`]: do not encrypt for this device, do not believe what it sends.
pub(super) fn check(
    identity: &PublicKey,
    proof: Option<&[u8]>,
    known: Option<&PublicKey>,
) -> Result<PublicKey, DeviceRefusal> {
    let proof = proof.ok_or(DeviceRefusal::NoProof)?;
    adv::verify(proof, identity, known).map_err(|error| match error {
        AdvError::NoAccountKey => DeviceRefusal::UnknownAccount,
        // The proof may be good, and the phone's identity changed without our knowing.
        AdvError::AccountSignature if known.is_some() => DeviceRefusal::OtherAccount,
        _ => DeviceRefusal::BadProof,
    })
}

/// The key of our own account, which our phone proved to know when it linked us.
pub(super) fn own_account_key(device: &Device) -> Option<PublicKey> {
    adv::account_key(&device.account.as_ref()?.identity)
}

/// The phone of the account that a device belongs to.
pub(crate) fn phone_of(device: &Jid) -> Jid {
    use crate::jid::Server;
    let server = match device.server() {
        Server::Hosted => Server::User,
        Server::HostedLid => Server::Lid,
        server => server,
    };
    Jid::new(device.user(), server)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::device::AdvSecret;
    use crate::proto::AdvSignedDeviceIdentity;
    use crate::server::adv::{DeviceDetails, Hosting, issue};
    use crate::signal::curve::KeyPair;
    use bytes::Bytes;
    use prost::Message as _;

    struct Case {
        account: KeyPair,
        device: KeyPair,
        proof: Bytes,
        rng: StdRng,
    }

    fn case(hosting: Hosting) -> Case {
        let mut rng = StdRng::seed_from_u64(3);
        let (account, device) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let proof = proof(&account, &device, hosting, &mut rng);
        Case {
            account,
            device,
            proof,
            rng,
        }
    }

    fn proof(account: &KeyPair, device: &KeyPair, hosting: Hosting, rng: &mut StdRng) -> Bytes {
        let secret = AdvSecret::generate(rng);
        let details = DeviceDetails {
            raw_id: 1,
            timestamp: 1,
            key_index: 1,
            hosting,
        };
        let container = issue(account, device.public(), &secret, details, rng);
        adv::accept(&container, &secret, device, rng).unwrap().identity
    }

    /// As servers hand it out: without the key that the client should know.
    fn without_key(proof: &[u8]) -> Bytes {
        let mut signed = AdvSignedDeviceIdentity::decode(proof).unwrap();
        signed.account_signature_key = None;
        signed.encode_to_vec().into()
    }

    #[test]
    fn a_proof_counts_for_the_account_that_is_known_or_else_named() {
        for hosting in [Hosting::Own, Hosting::Hosted] {
            let Case {
                account,
                device,
                proof,
                ..
            } = case(hosting);
            let (account, identity) = (*account.public(), device.public());
            for proof in [&proof, &without_key(&proof)] {
                assert_eq!(check(identity, Some(proof), Some(&account)), Ok(account));
            }
            assert_eq!(check(identity, Some(&proof), None), Ok(account));
            assert_eq!(
                check(identity, Some(&without_key(&proof)), None),
                Err(DeviceRefusal::UnknownAccount)
            );
        }
    }

    #[test]
    fn no_proof_is_no_proof() {
        let case = case(Hosting::Own);
        for known in [None, Some(case.account.public())] {
            assert_eq!(
                check(case.device.public(), None, known),
                Err(DeviceRefusal::NoProof)
            );
        }
    }

    #[test]
    fn a_proof_that_names_its_own_account_does_not_replace_the_known_one() {
        let mut case = case(Hosting::Own);
        let attacker = KeyPair::generate(&mut case.rng);
        let forged = proof(&attacker, &case.device, Hosting::Own, &mut case.rng);
        assert_eq!(
            check(case.device.public(), Some(&forged), Some(case.account.public())),
            Err(DeviceRefusal::OtherAccount)
        );
        // Nor does naming the known key make the attacker's signatures the account's.
        let mut signed = AdvSignedDeviceIdentity::decode(forged).unwrap();
        signed.account_signature_key = Some(case.account.public().to_bytes().to_vec().into());
        let renamed = signed.encode_to_vec();
        for (known, refusal) in [
            (Some(case.account.public()), DeviceRefusal::OtherAccount),
            (None, DeviceRefusal::BadProof),
        ] {
            assert_eq!(check(case.device.public(), Some(&renamed), known), Err(refusal));
        }
    }

    #[test]
    fn a_proof_of_another_device_or_with_a_changed_byte_is_refused() {
        let mut case = case(Hosting::Own);
        let account = *case.account.public();
        let other = KeyPair::generate(&mut case.rng);
        assert!(check(other.public(), Some(&case.proof), Some(&account)).is_err());
        let bare = without_key(&case.proof);
        for at in 0..bare.len() {
            let mut changed = bare.to_vec();
            changed[at] ^= 1;
            assert!(
                check(case.device.public(), Some(&changed), Some(&account)).is_err(),
                "byte {at}"
            );
        }
        for cut in 0..bare.len() {
            assert!(check(case.device.public(), Some(&bare[..cut]), Some(&account)).is_err());
        }
    }

    #[test]
    fn the_phone_of_a_hosted_device_is_the_account_s() {
        let phone = |text: &str| phone_of(&text.parse().unwrap()).to_string();
        assert_eq!(phone("15550002:99@hosted"), "15550002@s.whatsapp.net");
        assert_eq!(phone("100:99@hosted.lid"), "100@lid");
        assert_eq!(phone("100:5@lid"), "100@lid");
    }
}
