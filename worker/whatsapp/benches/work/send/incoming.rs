//! A text that comes in: from the bytes of its frame to the step with what is told of it, the ratchet that it moved, and the
//! receipt, through a connection that is logged in. What it asks the store for is in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;

/// How many times the floor it may take.
pub const RECEIVE_TARGET: f64 = 1.4;
/// Both identities and the header: what the MAC covers before the ciphertext.
const MAC_PREFIX_BYTES: usize = 108;

/// A text that comes in beside its primitives, in nanoseconds: AES-GCM over its frame, a step of the chain, HKDF, the MAC,
/// AES-CBC, the message out of its bytes, and AES-GCM over the receipt.
pub fn receiving() -> (Figure, Figure) {
    let mut sender = Sender::new();
    let (_, frame_bytes, receipt_bytes) = sender.receive();
    let mut floor = Floor::new(frame_bytes, receipt_bytes);
    side_by_side(
        || {
            let total: Duration = (0..RUNS).map(|_| sender.receive().0).sum();
            total.as_nanos() as f64 / f64::from(RUNS)
        },
        || timed(RUNS, || floor.run()),
    )
}

impl Sender {
    /// The peer says something: how long it took until the step was there, and how many bytes its frame and the receipt have.
    fn receive(&mut self) -> (Duration, usize, usize) {
        let peer = peer();
        let (server, rng) = (&mut self.server, &mut self.rng);
        let own = server.devices[&peer].own();
        let session = server.sessions.get_mut(&peer).unwrap();
        let sealed = session
            .encrypt(own, &padded(text_message(TEXT).encode_to_vec()), rng)
            .unwrap();
        server.say(&peer, sealed);
        let frame = server.outbox.pop_front().unwrap();
        let frame_bytes = frame.len();
        let start = Instant::now();
        self.connection.handle(Input::Bytes(frame), NOW);
        let step = loop {
            if let Some(step) = black_box(self.connection.take_step()) {
                break step;
            }
            let asked = self.connection.take_load();
            let values = self.store.load(asked).now_or_never().unwrap().unwrap();
            self.connection.handle(Input::Loaded(values), NOW);
        };
        let took = start.elapsed();
        assert!(
            matches!(step.events[..], [Event::Message(_)]),
            "{:?}",
            step.events
        );
        assert_eq!((step.frames.len(), step.changes.len()), (1, 1));
        let receipt_bytes = step.frames[0].len();
        self.connection.handle(Input::Committed, NOW);
        (took, frame_bytes, receipt_bytes)
    }
}

/// The primitives alone.
struct Floor {
    cipher: Aes256Gcm,
    chain_key: [u8; 32],
    sealed: Vec<u8>,
    frame: Vec<u8>,
    receipt: Vec<u8>,
    message: Vec<u8>,
}

impl Floor {
    fn new(frame_bytes: usize, receipt_bytes: usize) -> Self {
        let message = text_message(TEXT).encode_to_vec();
        Self {
            cipher: Aes256Gcm::new(&[7; 32].into()),
            chain_key: [1; 32],
            sealed: vec![0; (padded(message.clone()).len() / 16 + 1) * 16],
            frame: vec![0; frame_bytes],
            receipt: vec![0; receipt_bytes],
            message,
        }
    }

    fn run(&mut self) {
        // Opening is the same work as sealing.
        for frame in [&mut self.frame, &mut self.receipt] {
            let bytes = InOutBuf::from(&mut frame[..]);
            black_box(
                self.cipher
                    .encrypt_inout_detached(&[0; 12].into(), &[], bytes)
                    .unwrap(),
            );
        }
        let chain = Hmac::<Sha256>::new_from_slice(&self.chain_key).unwrap();
        let seed = chain.clone().chain_update([1]).finalize().into_bytes();
        self.chain_key = chain.chain_update([2]).finalize().into_bytes().into();
        let mut okm = [0u8; 80];
        hkdf::Hkdf::<Sha256>::new(None, &seed)
            .expand(b"WhisperMessageKeys", &mut okm)
            .unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(&okm[32..64]).unwrap();
        let mac = mac.chain_update([0; MAC_PREFIX_BYTES]).chain_update(&self.sealed);
        black_box(mac.finalize().into_bytes());
        let key: &[u8; 32] = okm[..32].try_into().unwrap();
        let iv: &[u8; 16] = okm[64..].try_into().unwrap();
        let mut plaintext = self.sealed.clone();
        let opener = cbc::Decryptor::<aes::Aes256Dec>::new(key.into(), iv.into());
        // What comes out is nothing: whether the padding is right is of no matter.
        black_box(opener.decrypt_padded::<Pkcs7>(&mut plaintext)).ok();
        black_box(proto::Message::decode(black_box(self.message.as_slice())).unwrap());
    }
}
