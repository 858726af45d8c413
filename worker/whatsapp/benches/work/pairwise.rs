//! Pairwise sessions: encrypting, decrypting, starting; and the primitives that each is made of.

use std::hint::black_box;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use bytes::Bytes;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256, Sha512};

use whatsapp::signal::curve::KeyPair;
use whatsapp::signal::session::{
    Ciphertext, CiphertextKind, LocalIdentity, PreKeyMessage, PreKeys, SessionRecord,
};
use whatsapp::signal::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};

use super::measure::{Figure, ROUNDS, alone, side_by_side, timed};

/// How many times the floor encrypting may take.
pub const ENCRYPT_TARGET: f64 = 1.25;
/// How many times the floor starting a session may take.
pub const START_TARGET: f64 = 1.15;
/// A text message as it is encrypted, padding included.
pub const PLAINTEXT_BYTES: usize = 112;
/// Both identities and the header: what the MAC covers before the ciphertext.
const MAC_PREFIX_BYTES: usize = 108;
/// Room for the longest plaintext that the floor is asked for.
const FLOOR_BYTES: usize = 384;

/// Somebody with keys.
pub struct Party {
    pair: KeyPair,
    signed: SignedPreKey,
    one_time: PreKey,
}

impl Party {
    /// Fresh keys.
    pub fn new(rng: &mut StdRng) -> Self {
        let pair = KeyPair::generate(rng);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &pair, rng);
        Self {
            signed,
            one_time: PreKey::generate(PreKeyId::FIRST, rng),
            pair,
        }
    }

    /// Who they are in their sessions.
    pub fn own(&self) -> LocalIdentity<'_> {
        LocalIdentity {
            pair: &self.pair,
            registration_id: RegistrationId::new(77),
        }
    }

    /// What others start sessions with.
    pub fn bundle(&self) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: RegistrationId::new(77),
            identity: *self.pair.public(),
            signed_prekey_id: self.signed.id,
            signed_prekey: *self.signed.pair.public(),
            signature: self.signed.signature,
            prekey: Some((self.one_time.id, *self.one_time.pair.public())),
        }
    }

    /// Takes the first message of a session and answers it.
    pub fn answer(&self, first: &[u8], answer: &[u8], rng: &mut StdRng) -> (SessionRecord, Ciphertext) {
        let mut record = SessionRecord::default();
        let message = PreKeyMessage::parse(first).unwrap();
        let prekeys = PreKeys {
            signed: Some(&self.signed),
            one_time: Some(&self.one_time),
        };
        record.decrypt_prekey(self.own(), &message, prekeys).unwrap();
        let answer = record.encrypt(self.own(), answer, rng).unwrap();
        (record, answer)
    }
}

/// Two records that have spoken, so that plain messages follow.
pub fn settled(alice: &Party, bob: &Party, rng: &mut StdRng) -> (SessionRecord, SessionRecord) {
    let mut ours = SessionRecord::default();
    ours.initiate(alice.own(), &bob.bundle(), rng).unwrap();
    let first = ours.encrypt(alice.own(), b"hello", rng).unwrap();
    let (theirs, answer) = bob.answer(&first.bytes, b"hi", rng);
    ours.decrypt_message(alice.own(), &answer.bytes).unwrap();
    (ours, theirs)
}

/// Encrypting beside its primitives, in nanoseconds.
pub fn encrypting() -> (Figure, Figure) {
    let rng = &mut StdRng::seed_from_u64(1);
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let (mut ours, _) = settled(&alice, &bob, rng);
    let plaintext = [7u8; PLAINTEXT_BYTES];
    let mut chain_key = [3u8; 32];
    side_by_side(
        || {
            timed(400, || {
                let message = black_box(ours.encrypt(alice.own(), &plaintext, rng).unwrap());
                assert!(message.kind == CiphertextKind::Message);
            })
        },
        || {
            timed(400, || {
                black_box(encrypt_floor(&mut chain_key, black_box(&plaintext)));
            })
        },
    )
}

/// Two HMACs of the chain, HKDF of 80 bytes, AES-256-CBC, HMAC of what is sent: as the crates offer them.
pub fn encrypt_floor(chain_key: &mut [u8; 32], plaintext: &[u8]) -> ([u8; FLOOR_BYTES], [u8; 32]) {
    let chain = Hmac::<Sha256>::new_from_slice(chain_key).unwrap();
    let seed = chain.clone().chain_update([1]).finalize().into_bytes();
    *chain_key = chain.chain_update([2]).finalize().into_bytes().into();
    let mut okm = [0u8; 80];
    hkdf::Hkdf::<Sha256>::new(None, &seed)
        .expand(b"WhisperMessageKeys", &mut okm)
        .unwrap();
    let mut out = [0u8; FLOOR_BYTES];
    let key: &[u8; 32] = okm[..32].try_into().unwrap();
    let iv: &[u8; 16] = okm[64..].try_into().unwrap();
    out[MAC_PREFIX_BYTES..MAC_PREFIX_BYTES + plaintext.len()].copy_from_slice(plaintext);
    let cipher = cbc::Encryptor::<aes::Aes256Enc>::new(key.into(), iv.into());
    let sealed = cipher
        .encrypt_padded::<Pkcs7>(&mut out[MAC_PREFIX_BYTES..], plaintext.len())
        .unwrap()
        .len();
    let mac = Hmac::<Sha256>::new_from_slice(&okm[32..64]).unwrap();
    let tag = mac.chain_update(&out[..MAC_PREFIX_BYTES + sealed]).finalize();
    (out, tag.into_bytes().into())
}

/// Decrypting, in nanoseconds.
pub fn decrypting() -> Figure {
    const RUNS: u32 = 200;
    let rng = &mut StdRng::seed_from_u64(1);
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let (mut ours, mut theirs) = settled(&alice, &bob, rng);
    let messages: Vec<Bytes> = (0..(ROUNDS + 1) * RUNS as usize)
        .map(|_| {
            ours.encrypt(alice.own(), &[7; PLAINTEXT_BYTES], rng)
                .unwrap()
                .bytes
        })
        .collect();
    let mut messages = messages.iter();
    alone(|| {
        timed(RUNS, || {
            let message = messages.next().unwrap();
            black_box(theirs.decrypt_message(bob.own(), message).unwrap());
        })
    })
}

/// Starting a session from a bundle, its signature checked, beside its primitives; in nanoseconds.
pub fn starting() -> (Figure, Figure) {
    let rng = &mut StdRng::seed_from_u64(1);
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let bundle = bob.bundle();
    let mut floor = StdRng::seed_from_u64(4);
    side_by_side(
        || {
            timed(4, || {
                let mut record = SessionRecord::default();
                record.initiate(alice.own(), &bundle, rng).unwrap();
                black_box(record);
            })
        },
        || {
            timed(4, || {
                black_box(start_floor(&alice, &bundle, &mut floor));
            })
        },
    )
}

/// One signature check, two fresh keys, four products of X3DH and one of the first ratchet step, two derivations.
fn start_floor(alice: &Party, bundle: &PreKeyBundle, rng: &mut StdRng) -> [u8; 64] {
    verify_floor(bundle);
    let fresh = |rng: &mut StdRng| {
        let mut private = [0u8; 32];
        rng.fill_bytes(&mut private);
        (private, EdwardsPoint::mul_base_clamped(private).to_montgomery())
    };
    let (base, base_public) = fresh(rng);
    let signed = MontgomeryPoint(bundle.signed_prekey.to_bytes());
    let mut ikm = vec![0xff; 32];
    ikm.extend_from_slice(signed.mul_clamped(*alice.pair.private().as_bytes()).as_bytes());
    ikm.extend_from_slice(
        MontgomeryPoint(bundle.identity.to_bytes())
            .mul_clamped(base)
            .as_bytes(),
    );
    ikm.extend_from_slice(signed.mul_clamped(base).as_bytes());
    let one_time = bundle.prekey.unwrap().1;
    ikm.extend_from_slice(MontgomeryPoint(one_time.to_bytes()).mul_clamped(base).as_bytes());
    let mut root = [0u8; 64];
    hkdf::Hkdf::<Sha256>::new(None, &ikm)
        .expand(b"WhisperText", &mut root)
        .unwrap();
    let (ratchet, ratchet_public) = fresh(rng);
    let product = signed.mul_clamped(ratchet);
    let mut chain = [0u8; 64];
    let step = hkdf::Hkdf::<Sha256>::new(Some(&root[..32]), product.as_bytes());
    step.expand(b"WhisperRatchet", &mut chain).unwrap();
    black_box((base_public, ratchet_public));
    chain
}

fn verify_floor(bundle: &PreKeyBundle) {
    let (nonce_point, tail) = bundle.signature.split_at(32);
    let mut s: [u8; 32] = tail.try_into().unwrap();
    let sign = s[31] >> 7;
    s[31] &= 0x7f;
    let s = Scalar::from_canonical_bytes(s).unwrap();
    let point = MontgomeryPoint(bundle.identity.to_bytes())
        .to_edwards(sign)
        .unwrap();
    let hash = Sha512::new()
        .chain_update(nonce_point)
        .chain_update(point.compress().as_bytes())
        .chain_update(bundle.signed_prekey.serialize33())
        .finalize();
    let h = Scalar::from_bytes_mod_order_wide(&hash.into());
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-point, &s).compress();
    assert!(expected.as_bytes() == nonce_point);
}

/// The stored form of a session.
pub struct Stored {
    /// Bytes of one that has just begun, and of one that is in use.
    pub bytes: [usize; 2],
    /// Nanoseconds to write one.
    pub encode: Figure,
    /// Nanoseconds to read one.
    pub decode: Figure,
}

/// Writing and reading a session.
pub fn storing() -> Stored {
    let rng = &mut StdRng::seed_from_u64(1);
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let mut fresh = SessionRecord::default();
    fresh.initiate(alice.own(), &bob.bundle(), rng).unwrap();
    let (settled, _) = settled(&alice, &bob, rng);
    let stored = settled.encode();
    Stored {
        bytes: [fresh.encode().len(), stored.len()],
        encode: alone(|| timed(1_000, || drop(black_box(settled.encode())))),
        decode: alone(|| timed(1_000, || drop(black_box(SessionRecord::decode(&stored).unwrap())))),
    }
}
