//! The worked example of the formulas, which was computed apart from this code.

use super::*;
use crate::server::passkey::Primary;
use crate::signal::curve::PrivateKey;

const REFERENCE: &str = "REF-EXAMPLE";
const IDENTITY: &str =
    "0a207b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f1310011a0b5245462d4558414d504c45";
const COMMITMENT: &str = "8719c4ee29063763a172a880859265a51cc929230ac2f77ed875315fb46738ab";
const HANDOFF_KEY: &str = "573a1b8d099e43c0b9e9d4bf6bd2b96ccb89579b524177d296337a277bc8b513";
const PROOF: &str = "99a48cd95022f914ce40e2eb944133e9cbab1cce8ed3014609c37972361a17a6";
const REQUEST_KEY: &str = "c6eada69f0b20f0a5e7e2b102131516ebdfe7aad53c5ac138fd1f3217160e884";
const REQUEST: &str = "0a7648e9a8419ac5d23f2071fe4c64b86e3b3bbc7d263d8a2253e4ab0941d4c199bf55af36f80e964b037681c143cb7e30ed\
                       297334a070e2aeb4d0ee094dc8638e1fc9d900057ae456894ea4e83fdbc16443b5443550b5607f2ead5a8891e500f76e\
                       0e881befad5974b9604332b6c6748da2bc3d177b0c01120c999999999999999999999999";

fn pair(byte: u8) -> KeyPair {
    KeyPair::from_private(PrivateKey::new([byte; 32]))
}

fn companion() -> Companion {
    Companion {
        ephemeral: pair(0x11),
        nonce: [0x33; 32],
        platform: PlatformType::Chrome,
        reference: REFERENCE.to_owned(),
    }
}

fn primary() -> Primary {
    Primary::with(pair(0x22), [0x44; 32])
}

fn payload() -> Vec<u8> {
    hex::decode(format!("0a31{IDENTITY}12220a20{COMMITMENT}")).unwrap()
}

#[test]
fn the_prologue_is_that_of_the_example() {
    assert_eq!(companion().payload(), payload());
    let key = HandoffKey::new(&AdvSecret::new([0x55; 32]));
    assert_eq!(hex::encode(*key.0), HANDOFF_KEY);
    assert_eq!(hex::encode(key.prove(&payload())), PROOF);
}

#[test]
fn both_sides_make_the_code_and_the_request_of_the_example() {
    let (companion, primary) = (companion(), primary());
    let agreement = companion.agree(&primary.identity()).unwrap();
    assert_eq!(agreement.code().as_str(), "PYSLSH11");
    assert_eq!(hex::encode(*agreement.key), REQUEST_KEY);
    let (noise, identity) = (PublicKey::new([0x66; 32]), PublicKey::new([0x77; 32]));
    let secret = AdvSecret::new([0x88; 32]);
    let sealed = agreement.seal_with([&noise, &identity], &secret, [0x99; 12]);
    assert_eq!(hex::encode(&sealed), REQUEST);

    let met = primary.meet(&payload(), companion.nonce()).unwrap();
    assert_eq!(met.code(), agreement.code());
    let request = met.open_request(&sealed).unwrap();
    assert_eq!((request.noise, request.identity), (noise, identity));
    assert_eq!(request.secret.as_bytes(), secret.as_bytes());
}

#[test]
fn keys_and_nonces_of_other_lengths_are_refused() {
    let companion = companion();
    for (key, nonce) in [(31, 32), (32, 31), (33, 32), (32, 33), (0, 0)] {
        let identity = PrimaryEphemeralIdentity {
            public_key: Some(vec![9; key].into()),
            nonce: Some(vec![9; nonce].into()),
        };
        let refused = companion.agree(&identity.encode_to_vec()).err();
        assert_eq!(refused, Some(ExchangeError::Length), "{key} and {nonce} bytes");
    }
    assert_eq!(companion.agree(&[]).err(), Some(ExchangeError::Length));
    assert_eq!(companion.agree(b"\x0a\xff").err(), Some(ExchangeError::Malformed));
}

#[test]
fn a_key_that_gives_the_secret_away_is_refused() {
    let identity = PrimaryEphemeralIdentity {
        public_key: Some(vec![0; 32].into()),
        nonce: Some(vec![9; 32].into()),
    };
    let refused = companion().agree(&identity.encode_to_vec()).err();
    assert_eq!(refused, Some(ExchangeError::BadKey));
}

#[test]
fn another_nonce_than_the_committed_one_is_noticed() {
    let refused = primary().meet(&payload(), &[0x34; 32]).err();
    assert_eq!(refused, Some(ExchangeError::Commitment));
    assert_eq!(
        primary().meet(&payload(), &[0x33; 31]).err(),
        Some(ExchangeError::Length)
    );
}
