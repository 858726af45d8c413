//! What a session costs above the primitives it is made of. Prints one JSON object per line.
//!
//! `cargo bench -p whatsapp --bench ratchet`. Times are of the machine; the ratios are what to watch: `ratio` must not
//! exceed `target`. Each figure is the median of interleaved rounds, so that a busy machine disturbs both sides alike.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256, Sha512};

use whatsapp::signal::curve::KeyPair;
use whatsapp::signal::session::{CiphertextKind, LocalIdentity, PreKeyMessage, PreKeys, SessionRecord};
use whatsapp::signal::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};

/// A short text message as it is encrypted, padding included.
const PLAINTEXT_BYTES: usize = 112;
const ROUNDS: usize = 201;

fn main() {
    let mut rng = StdRng::seed_from_u64(1);
    encrypt(&mut rng);
    decrypt(&mut rng);
    start(&mut rng);
    record(&mut rng);
}

struct Party {
    pair: KeyPair,
    signed: SignedPreKey,
    one_time: PreKey,
}

impl Party {
    fn new(rng: &mut StdRng) -> Self {
        let pair = KeyPair::generate(rng);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &pair, rng);
        Self {
            signed,
            one_time: PreKey::generate(PreKeyId::FIRST, rng),
            pair,
        }
    }

    fn own(&self) -> LocalIdentity<'_> {
        LocalIdentity {
            pair: &self.pair,
            registration_id: RegistrationId::new(77),
        }
    }

    fn bundle(&self) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: RegistrationId::new(77),
            identity: *self.pair.public(),
            signed_prekey_id: self.signed.id,
            signed_prekey: *self.signed.pair.public(),
            signature: self.signed.signature,
            prekey: Some((self.one_time.id, *self.one_time.pair.public())),
        }
    }
}

/// Two records that have spoken, so that plain messages follow.
fn settled(alice: &Party, bob: &Party, rng: &mut StdRng) -> (SessionRecord, SessionRecord) {
    let (mut ours, mut theirs) = (SessionRecord::default(), SessionRecord::default());
    ours.initiate(alice.own(), &bob.bundle(), rng).unwrap();
    let first = ours.encrypt(alice.own(), b"hello").unwrap();
    let message = PreKeyMessage::parse(&first.bytes).unwrap();
    let prekeys = PreKeys {
        signed: Some(&bob.signed),
        one_time: Some(&bob.one_time),
    };
    theirs.decrypt_prekey(bob.own(), &message, prekeys, rng).unwrap();
    let answer = theirs.encrypt(bob.own(), b"hi").unwrap();
    ours.decrypt_message(alice.own(), &answer.bytes, rng).unwrap();
    (ours, theirs)
}

fn encrypt(rng: &mut StdRng) {
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let (mut ours, _) = settled(&alice, &bob, rng);
    let plaintext = [7u8; PLAINTEXT_BYTES];
    let own = alice.own();
    let mut chain_key = [3u8; 32];
    compare(
        "ratchet_encrypt_112_bytes",
        1.25,
        400,
        || {
            let message = black_box(ours.encrypt(own, &plaintext).unwrap());
            assert!(message.kind == CiphertextKind::Message);
        },
        || {
            black_box(encrypt_floor(&mut chain_key, &plaintext));
        },
    );
}

/// Two HMACs of the chain, HKDF of 80 bytes, AES-256-CBC, HMAC of what is sent: as the crates offer them.
fn encrypt_floor(chain_key: &mut [u8; 32], plaintext: &[u8; PLAINTEXT_BYTES]) -> ([u8; 256], [u8; 32]) {
    let chain = Hmac::<Sha256>::new_from_slice(chain_key).unwrap();
    let seed = chain.clone().chain_update([1]).finalize().into_bytes();
    *chain_key = chain.chain_update([2]).finalize().into_bytes().into();
    let mut okm = [0u8; 80];
    hkdf::Hkdf::<Sha256>::new(None, &seed)
        .expand(b"WhisperMessageKeys", &mut okm)
        .unwrap();
    let mut out = [0u8; 256];
    let key: &[u8; 32] = okm[..32].try_into().unwrap();
    let iv: &[u8; 16] = okm[64..].try_into().unwrap();
    out[108..108 + PLAINTEXT_BYTES].copy_from_slice(plaintext);
    let cipher = cbc::Encryptor::<aes::Aes256Enc>::new(key.into(), iv.into());
    cipher
        .encrypt_padded::<Pkcs7>(&mut out[108..], PLAINTEXT_BYTES)
        .unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&okm[32..64]).unwrap();
    let tag = mac.chain_update(&out[..236]).finalize().into_bytes().into();
    (out, tag)
}

fn decrypt(rng: &mut StdRng) {
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let (mut ours, mut theirs) = settled(&alice, &bob, rng);
    let count = (ROUNDS + 1) * 200;
    let messages: Vec<_> = (0..count)
        .map(|_| ours.encrypt(alice.own(), &[7; PLAINTEXT_BYTES]).unwrap().bytes)
        .collect();
    let mut messages = messages.iter();
    let own = bob.own();
    let mut rng = StdRng::seed_from_u64(2);
    let ns = median(200, || {
        let message = messages.next().unwrap();
        black_box(theirs.decrypt_message(own, message, &mut rng).unwrap());
    });
    println!(r#"{{"bench":"ratchet_decrypt_112_bytes","ns":{ns:.0}}}"#);
}

fn start(rng: &mut StdRng) {
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let bundle = bob.bundle();
    let own = alice.own();
    let mut ours = StdRng::seed_from_u64(3);
    let mut floor = StdRng::seed_from_u64(4);
    compare(
        "session_start_from_bundle",
        1.15,
        4,
        || {
            let mut record = SessionRecord::default();
            record.initiate(own, &bundle, &mut ours).unwrap();
            black_box(record);
        },
        || {
            black_box(start_floor(&alice, &bundle, &mut floor));
        },
    );
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

fn record(rng: &mut StdRng) {
    let (alice, bob) = (Party::new(rng), Party::new(rng));
    let mut fresh = SessionRecord::default();
    fresh.initiate(alice.own(), &bob.bundle(), rng).unwrap();
    let (settled, _) = settled(&alice, &bob, rng);
    let stored = settled.encode();
    let encode_ns = median(1000, || {
        black_box(settled.encode());
    });
    let decode_ns = median(1000, || {
        black_box(SessionRecord::decode(&stored).unwrap());
    });
    println!(
        r#"{{"bench":"session_record","fresh_bytes":{},"settled_bytes":{},"encode_ns":{encode_ns:.0},"decode_ns":{decode_ns:.0}}}"#,
        fresh.encode().len(),
        stored.len(),
    );
}

fn compare(name: &str, target: f64, per_round: u32, mut ours: impl FnMut(), mut floor: impl FnMut()) {
    let (mut our_times, mut floor_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (time(per_round, &mut ours), time(per_round, &mut floor));
        our_times.push(a);
        floor_times.push(b);
        ratios.push(a / b);
    }
    let (ns, floor_ns, ratio) = (middle(our_times), middle(floor_times), middle(ratios));
    println!(
        r#"{{"bench":"{name}","ns":{ns:.0},"floor_ns":{floor_ns:.0},"ratio":{ratio:.3},"target":{target},"met":{}}}"#,
        ratio <= target
    );
}

fn median(per_round: u32, mut run: impl FnMut()) -> f64 {
    middle((0..ROUNDS).map(|_| time(per_round, &mut run)).collect())
}

/// Nanoseconds per run.
fn time(runs: u32, run: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
