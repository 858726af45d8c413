use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

use super::adv::{self, AdvError};
use super::qr::{PlatformId, QrCode};
use crate::binary::{self, Node};
use crate::device::AdvSecret;
use crate::proto::{
    AdvKeyIndexList, AdvSignedDeviceIdentity, AdvSignedDeviceIdentityHmac, AdvSignedKeyIndexList,
};
use crate::server::adv::{DeviceDetails, Hosting, complete, issue, issue_key_index_list};
use crate::signal::curve::{KeyPair, PrivateKey, PublicKey};
use crate::testing::{bytes, bytes32, vector};
use bytes::Bytes;
use prost::Message as _;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn qr_text_is_that_of_the_vector_and_reads_back() {
    let vector = vector("qr.string");
    let code = QrCode {
        reference: vector["ref"].as_str().unwrap().to_owned(),
        noise: PublicKey::new(bytes32(&vector["noise_pub"])),
        identity: PublicKey::new(bytes32(&vector["identity_pub"])),
        adv_secret: AdvSecret::new(bytes32(&vector["adv_secret"])),
        platform: Some(PlatformId::of("Chrome", "Mac OS")),
    };
    let text = code.to_string();
    assert_eq!(text, vector["qr"].as_str().unwrap());
    let bare = text.split_once('#').unwrap().1;
    let legacy = bare.rsplit_once(',').unwrap().0;
    for form in [&text, bare, legacy] {
        let read: QrCode = form.parse().unwrap();
        assert_eq!(
            (read.noise, read.identity, &read.reference),
            (code.noise, code.identity, &code.reference)
        );
        assert_eq!(read.adv_secret.as_bytes(), code.adv_secret.as_bytes());
        assert_eq!(read.platform, code.platform.filter(|_| form != legacy));
    }
}

#[test]
fn platforms_are_those_of_the_vector() {
    for (name, id) in vector("qr.platform_ids")["ids"].as_object().unwrap() {
        let (os, browser) = name.split_once('/').unwrap();
        assert_eq!(
            PlatformId::of(browser, os).to_string(),
            id.as_str().unwrap(),
            "{name}"
        );
    }
}

#[test]
fn other_texts_are_no_qr_codes() {
    let key = "PUGjWcy7QGRHW/fqX5OSj7BNR1N4CvfRLj4wFzb3hgI=";
    for text in [
        String::new(),
        format!("ref,{key},{key}"),
        format!("ref,{key},{key},AAAA"),
        format!("ref,{key},{key},!"),
    ] {
        assert!(text.parse::<QrCode>().is_err(), "{text}");
    }
}

struct Case {
    vector: Json,
    phone: KeyPair,
    companion: KeyPair,
    secret: AdvSecret,
}

fn case() -> Case {
    let vector = vector("adv.pair_success");
    let pair = |name| KeyPair::from_private(PrivateKey::new(bytes32(&vector[name])));
    Case {
        phone: pair("phone_identity_priv"),
        companion: pair("companion_identity_priv"),
        secret: AdvSecret::new(bytes32(&vector["adv_secret"])),
        vector,
    }
}

impl Case {
    fn accept(&self, container: &[u8]) -> Result<adv::Paired, AdvError> {
        adv::accept(container, &self.secret, &self.companion, &mut rng())
    }

    fn issue(&self, hosting: Hosting) -> Bytes {
        let details = DeviceDetails {
            raw_id: 7,
            timestamp: 1_700_000_000,
            key_index: 3,
            hosting,
        };
        issue(
            &self.phone,
            self.companion.public(),
            &self.secret,
            details,
            &mut rng(),
        )
    }
}

#[test]
fn companion_accepts_the_container_of_the_vector_and_answers_alike() {
    let case = case();
    let paired = case.accept(&bytes(&case.vector["container"])).unwrap();
    assert_eq!(paired.account_key, *case.phone.public());
    assert_eq!(
        paired.key_index.to_string(),
        case.vector["key_index"].as_str().unwrap()
    );
    // The signature is random; everything else is as in the vector, whose own signature verifies too.
    let mut ours = AdvSignedDeviceIdentity::decode(paired.reply.clone()).unwrap();
    let theirs = AdvSignedDeviceIdentity::decode(&bytes(&case.vector["reply_device_identity"])[..]).unwrap();
    ours.device_signature = theirs.device_signature.clone();
    assert_eq!(ours, theirs);
    for reply in [
        &paired.reply[..],
        &paired.identity,
        &bytes(&case.vector["reply_device_identity"]),
    ] {
        let complete = complete(reply, case.companion.public(), case.phone.public()).unwrap();
        assert_eq!(complete.len(), paired.identity.len());
        assert_eq!(
            adv::verify(&complete, case.companion.public(), None),
            Ok(*case.phone.public())
        );
    }
}

#[test]
fn stanzas_of_the_vector_carry_the_container_and_the_reply() {
    let case = case();
    let stanza = |name: &str| -> Node { binary::decode(bytes(&case.vector[name]).into()).unwrap() };
    let success = stanza("pair_success_stanza");
    let container = success.child_at(&["pair-success", "device-identity"]).unwrap();
    assert_eq!(container.data().unwrap()[..], bytes(&case.vector["container"]));
    let reply = stanza("reply_stanza");
    let identity = reply.child_at(&["pair-device-sign", "device-identity"]).unwrap();
    assert_eq!(identity.attr_u64("key-index"), Some(1));
    assert_eq!(
        identity.data().unwrap()[..],
        bytes(&case.vector["reply_device_identity"])
    );
}

#[test]
fn containers_of_others_are_refused() {
    let (case, negative) = (case(), vector("adv.negative"));
    let refused = |name: &str| case.accept(&bytes(&negative[name])).err();
    assert_eq!(
        refused("bad_account_signature_container"),
        Some(AdvError::AccountSignature)
    );
    assert_eq!(refused("bad_hmac_container"), Some(AdvError::HmacMismatch));
}

#[test]
fn container_for_another_secret_device_or_of_another_account_is_refused() {
    let case = case();
    let container = case.issue(Hosting::Own);
    let mut other = self::case();
    other.secret = AdvSecret::new([1; 32]);
    assert_eq!(other.accept(&container).err(), Some(AdvError::HmacMismatch));
    other.secret = case.secret.clone();
    other.companion = KeyPair::generate(&mut rng());
    assert_eq!(other.accept(&container).err(), Some(AdvError::AccountSignature));
    // The server swaps the account's key, and knows the secret.
    let outer = AdvSignedDeviceIdentityHmac::decode(container).unwrap();
    let mut signed = AdvSignedDeviceIdentity::decode(outer.details.unwrap()).unwrap();
    signed.account_signature_key = Some(KeyPair::generate(&mut rng()).public().to_bytes().to_vec().into());
    assert_eq!(
        case.accept(&sealed(&signed, &case.secret)).err(),
        Some(AdvError::AccountSignature)
    );
}

/// A container with a good hmac around anything.
fn sealed(signed: &AdvSignedDeviceIdentity, secret: &AdvSecret) -> Vec<u8> {
    use hmac::{KeyInit as _, Mac as _};
    let signed = signed.encode_to_vec();
    let tag = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes())
        .unwrap()
        .chain_update(&signed)
        .finalize();
    AdvSignedDeviceIdentityHmac {
        details: Some(signed.into()),
        hmac: Some(tag.into_bytes().to_vec().into()),
        account_type: None,
    }
    .encode_to_vec()
}

#[test]
fn containers_without_a_part_are_refused() {
    let case = case();
    let outer = AdvSignedDeviceIdentityHmac::decode(case.issue(Hosting::Own)).unwrap();
    let signed = AdvSignedDeviceIdentity::decode(outer.details.clone().unwrap()).unwrap();
    let refused = |container: &[u8]| case.accept(container).err();
    let without = |alter: fn(&mut AdvSignedDeviceIdentity)| {
        let mut signed = signed.clone();
        alter(&mut signed);
        refused(&sealed(&signed, &case.secret))
    };
    assert_eq!(without(|_| ()), None);
    for error in [
        refused(b"\xff"),
        refused(b""),
        refused(
            &AdvSignedDeviceIdentityHmac {
                details: None,
                ..outer.clone()
            }
            .encode_to_vec(),
        ),
        refused(
            &AdvSignedDeviceIdentityHmac {
                hmac: None,
                ..outer.clone()
            }
            .encode_to_vec(),
        ),
        without(|signed| signed.details = None),
        without(|signed| signed.account_signature = None),
        without(|signed| signed.account_signature = Some(vec![1; 63].into())),
        without(|signed| signed.account_signature_key = None),
        without(|signed| signed.account_signature_key = Some(vec![5; 33].into())),
    ] {
        assert_eq!(error, Some(AdvError::Malformed));
    }
    let short = AdvSignedDeviceIdentityHmac {
        hmac: Some(Bytes::from_static(b"x")),
        ..outer
    };
    assert_eq!(refused(&short.encode_to_vec()), Some(AdvError::HmacMismatch));
}

#[test]
fn phone_and_companion_vouch_for_each_other() {
    let case = case();
    for hosting in [Hosting::Own, Hosting::Hosted] {
        let paired = case.accept(&case.issue(hosting)).unwrap();
        assert_eq!(paired.key_index, 3);
        assert_eq!(
            adv::verify(&paired.identity, case.companion.public(), None),
            Ok(*case.phone.public())
        );
        let known = Some(case.phone.public());
        assert_eq!(
            adv::verify(&paired.reply, case.companion.public(), known),
            Ok(*case.phone.public())
        );
    }
}

#[test]
fn hosted_and_own_devices_are_not_taken_for_each_other() {
    let case = case();
    let mut outer = AdvSignedDeviceIdentityHmac::decode(case.issue(Hosting::Hosted)).unwrap();
    outer.account_type = None;
    assert_eq!(
        case.accept(&outer.encode_to_vec()).err(),
        Some(AdvError::HmacMismatch)
    );
}

#[test]
fn device_identities_with_a_wrong_signature_are_refused() {
    let case = case();
    let paired = case.accept(&case.issue(Hosting::Own)).unwrap();
    let good = AdvSignedDeviceIdentity::decode(paired.identity.clone()).unwrap();
    let verify = |signed: &AdvSignedDeviceIdentity, device: &PublicKey, account: Option<&PublicKey>| {
        adv::verify(&signed.encode_to_vec(), device, account)
    };
    let companion = case.companion.public();
    let stranger = KeyPair::generate(&mut rng());
    assert_eq!(
        verify(&good, stranger.public(), None),
        Err(AdvError::AccountSignature)
    );
    assert_eq!(
        verify(&good, companion, Some(stranger.public())),
        Err(AdvError::AccountSignature)
    );
    let mut altered = good.clone();
    altered.account_signature_key = None;
    assert_eq!(verify(&altered, companion, None), Err(AdvError::NoAccountKey));
    altered.device_signature = altered.account_signature.clone();
    assert_eq!(
        verify(&altered, companion, Some(case.phone.public())),
        Err(AdvError::DeviceSignature)
    );
    altered.device_signature = None;
    assert_eq!(
        verify(&altered, companion, Some(case.phone.public())),
        Err(AdvError::Malformed)
    );
}

#[test]
fn errors_are_those_that_servers_know() {
    assert_eq!(AdvError::HmacMismatch.stanza_error(), (401, "hmac-mismatch"));
    assert_eq!(
        AdvError::AccountSignature.stanza_error(),
        (401, "signature-mismatch")
    );
    assert_eq!(AdvError::Malformed.stanza_error(), (500, "internal-error"));
}

#[test]
fn key_index_list_has_the_form_of_the_vector() {
    let (case, vector) = (case(), vector("adv.key_index_list"));
    let wire = bytes(&vector["key_index_list"]);
    let list = AdvKeyIndexList::decode(&wire[..]).unwrap();
    assert_eq!(list.valid_indexes, [0, 1]);
    let signed = issue_key_index_list(&case.phone, &list, &mut rng());
    assert_eq!(signed.len(), bytes(&vector["signed_key_index_list"]).len());
    assert_eq!(
        AdvSignedKeyIndexList::decode(signed).unwrap().details.unwrap()[..],
        wire
    );
}
