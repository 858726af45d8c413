use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::signal::testing::{bytes, vector};

#[test]
fn signatures_are_those_of_the_vectors_and_altered_ones_fail() {
    let cases = vector("xeddsa");
    let cases = cases["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let private = PrivateKey::new(bytes(&case["private_key"]).try_into().unwrap());
        let public = PublicKey::parse(&bytes(&case["public_key_33"])).unwrap();
        assert_eq!(private.public(), public);
        let message = bytes(&case["message"]);
        let random: [u8; 64] = bytes(&case["random_Z"]).try_into().unwrap();
        let signature: [u8; 64] = bytes(&case["signature_with_Z"]).try_into().unwrap();
        assert_eq!(private.sign(&message, &random), signature);
        assert_eq!(public.verify(&message, &signature), Ok(()));
        assert_eq!(
            u64::from(signature[63] >> 7),
            case["edwards_sign_bit"].as_u64().unwrap()
        );
        if !case["signature_deterministic_js"].is_null() {
            let other = bytes(&case["signature_deterministic_js"]).try_into().unwrap();
            assert_eq!(public.verify(&message, &other), Ok(()));
        }
        for name in ["invalid_signature_bitflip", "invalid_signature_wrong_sign_bit"] {
            let invalid = bytes(&case[name]).try_into().unwrap();
            assert_eq!(public.verify(&message, &invalid), Err(BadSignature), "{name}");
        }
        let mut other = message.clone();
        other.push(0);
        assert_eq!(public.verify(&other, &signature), Err(BadSignature));
    }
}

#[test]
fn every_flipped_bit_of_a_signature_fails() {
    let mut rng = StdRng::seed_from_u64(1);
    let pair = KeyPair::generate(&mut rng);
    let signature = pair.sign(b"message", &mut rng);
    pair.public().verify(b"message", &signature).unwrap();
    for bit in 0..512 {
        let mut altered = signature;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            pair.public().verify(b"message", &altered),
            Err(BadSignature),
            "bit {bit}"
        );
    }
    let stranger = KeyPair::generate(&mut rng);
    assert_eq!(
        stranger.public().verify(b"message", &signature),
        Err(BadSignature)
    );
}

#[test]
fn signature_with_an_unreduced_scalar_fails() {
    let mut rng = StdRng::seed_from_u64(2);
    // s + L must still fit in 255 bits: about half of all signatures do.
    for _ in 0..8 {
        let pair = KeyPair::generate(&mut rng);
        let mut signature = pair.sign(b"m", &mut rng);
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let sign = signature[63] & 0x80;
        signature[63] &= 0x7f;
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        signature[63] |= sign;
        assert_eq!(pair.public().verify(b"m", &signature), Err(BadSignature));
    }
}

#[test]
fn both_sides_agree_and_low_order_keys_are_refused() {
    let mut rng = StdRng::seed_from_u64(3);
    let (a, b) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    assert_eq!(a.agree(b.public()), b.agree(a.public()));
    assert!(a.private().agree_contributory(b.public()).is_ok());
    for low in [[0u8; 32], {
        let mut one = [0u8; 32];
        one[0] = 1;
        one
    }] {
        assert!(a.private().agree_contributory(&PublicKey::new(low)).is_err());
    }
}

#[test]
fn agreement_matches_the_x25519_crate() {
    let ours = PrivateKey::new([3; 32]);
    let theirs = x25519_dalek::StaticSecret::from([7u8; 32]);
    let public = PublicKey::new(x25519_dalek::PublicKey::from(&theirs).to_bytes());
    let mine = x25519_dalek::PublicKey::from(ours.public().to_bytes());
    assert_eq!(ours.agree(&public), theirs.diffie_hellman(&mine).to_bytes());
}

/// On the curve, on its twist (every other number is), of low order, and not reduced.
#[test]
fn agreement_is_that_of_the_ladder_for_every_public_key() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut keys: Vec<[u8; 32]> = (0..64).map(|_| rng.random()).collect();
    let prime = |last: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (last, 0x7f);
        bytes
    };
    // From two below the prime (minus one, which has no Edwards form) to one above it.
    keys.extend([0xec, 0xed, 0xee].map(prime));
    keys.extend([[0; 32], [0xff; 32], [1; 32]]);
    keys.extend([ORDER_8, OTHER_ORDER_8].map(point));
    for key in keys {
        let ours = PrivateKey::new(rng.random());
        let ladder = MontgomeryPoint(key).mul_clamped(*ours.as_bytes());
        assert_eq!(ours.agree(&PublicKey::new(key)), ladder.to_bytes(), "{key:x?}");
    }
}

fn point(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// Points of order eight.
const ORDER_8: &str = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
const OTHER_ORDER_8: &str = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";

#[test]
fn public_keys_parse_with_and_without_type_and_nothing_else() {
    let key = PublicKey::new([9; 32]);
    assert_eq!(PublicKey::parse(&key.serialize33()), Ok(key));
    assert_eq!(PublicKey::parse(key.as_bytes()), Ok(key));
    let mut wrong = key.serialize33();
    wrong[0] = 4;
    for bad in [&wrong[..], &[], &[5; 31], &[5; 34]] {
        assert_eq!(PublicKey::parse(bad), Err(BadPublicKey));
    }
}

#[test]
fn secrets_are_not_printed() {
    let pair = KeyPair::from_private(PrivateKey::new([0xab; 32]));
    assert!(!format!("{pair:?}").contains("abab") && !format!("{pair:?}").contains("171"));
}
