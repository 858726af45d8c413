use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::signal::SignedPreKeyId;
use crate::signal::curve::{BadPublicKey, BadSignature, KeyPair};

mod exchange;
mod limits;
mod ties;
mod transcript;

/// One side of a conversation, with what its device keeps.
pub(super) struct Party {
    pub(super) pair: KeyPair,
    pub(super) registration_id: RegistrationId,
    pub(super) signed: SignedPreKey,
    pub(super) one_time: Vec<PreKey>,
    pub(super) record: SessionRecord,
    /// For the ratchet keys that it sends under.
    pub(super) rng: Box<dyn CryptoRng>,
}

impl Party {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        let pair = KeyPair::generate(rng);
        Self {
            registration_id: RegistrationId::generate(rng),
            signed: SignedPreKey::generate(SignedPreKeyId::FIRST, &pair, rng),
            one_time: vec![PreKey::generate(PreKeyId::FIRST, rng)],
            record: SessionRecord::default(),
            rng: Box::new(StdRng::from_rng(rng)),
            pair,
        }
    }

    pub(super) fn bundle(&self) -> PreKeyBundle {
        PreKeyBundle {
            registration_id: self.registration_id,
            identity: *self.pair.public(),
            signed_prekey_id: self.signed.id,
            signed_prekey: *self.signed.pair.public(),
            signature: self.signed.signature,
            prekey: self.one_time.first().map(|key| (key.id, *key.pair.public())),
        }
    }

    pub(super) fn initiate<R: CryptoRng>(&mut self, bundle: &PreKeyBundle, rng: &mut R) {
        let own = LocalIdentity {
            pair: &self.pair,
            registration_id: self.registration_id,
        };
        self.record.initiate(own, bundle, rng).unwrap();
    }

    /// Encrypts, and goes through the stored form as every send does.
    pub(super) fn send(&mut self, plaintext: &[u8]) -> Ciphertext {
        let own = LocalIdentity {
            pair: &self.pair,
            registration_id: self.registration_id,
        };
        let sent = self.record.encrypt(own, plaintext, &mut self.rng).unwrap();
        self.record = SessionRecord::decode(&self.record.encode()).unwrap();
        sent
    }

    /// Decrypts; on failure checks that nothing changed.
    pub(super) fn receive(&mut self, sent: &Ciphertext) -> Result<Vec<u8>, DecryptError> {
        let before = self.record.encode();
        let own = LocalIdentity {
            pair: &self.pair,
            registration_id: self.registration_id,
        };
        let result = match sent.kind {
            CiphertextKind::Message => self.record.decrypt_message(own, &sent.bytes),
            CiphertextKind::PreKey => PreKeyMessage::parse(&sent.bytes)
                .and_then(|message| {
                    let prekeys = PreKeys {
                        signed: Some(&self.signed),
                        one_time: self
                            .one_time
                            .iter()
                            .find(|key| Some(key.id) == message.prekey_id()),
                    };
                    self.record.decrypt_prekey(own, &message, prekeys)
                })
                .map(|done| {
                    self.one_time.retain(|key| Some(key.id) != done.used_prekey);
                    done.plaintext
                }),
        };
        match result {
            Ok(_) => self.record = SessionRecord::decode(&self.record.encode()).unwrap(),
            Err(_) => assert_eq!(
                self.record.encode(),
                before,
                "a failed decryption changes nothing"
            ),
        }
        result
    }
}

pub(super) fn pair_of_parties(seed: u64) -> (Party, Party, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (alice, bob) = (Party::new(&mut rng), Party::new(&mut rng));
    (alice, bob, rng)
}

#[test]
fn session_without_one_time_prekey_works() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(1);
    bob.one_time.clear();
    alice.initiate(&bob.bundle(), &mut rng);
    let first = alice.send(b"hello");
    assert_eq!(PreKeyMessage::parse(&first.bytes).unwrap().prekey_id(), None);
    assert_eq!(bob.receive(&first).unwrap(), b"hello");
    let answer = bob.send(b"hi");
    assert_eq!(alice.receive(&answer).unwrap(), b"hi");
}

#[test]
fn messages_are_prekey_messages_until_the_other_side_answers() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(2);
    alice.initiate(&bob.bundle(), &mut rng);
    let (one, two) = (alice.send(b"1"), alice.send(b"2"));
    assert!(alice.record.is_pending());
    assert_eq!(
        (one.kind, two.kind),
        (CiphertextKind::PreKey, CiphertextKind::PreKey)
    );
    // The second comes first and starts the session; the first finds it started and uses no prekey.
    assert_eq!(bob.receive(&two).unwrap(), b"2");
    assert!(
        !bob.record
            .is_new_session(&PreKeyMessage::parse(&one.bytes).unwrap())
    );
    assert_eq!(bob.receive(&one).unwrap(), b"1");
    let answer = bob.send(b"3");
    assert_eq!(answer.kind, CiphertextKind::Message);
    alice.receive(&answer).unwrap();
    assert!(!alice.record.is_pending());
    assert_eq!(alice.send(b"4").kind, CiphertextKind::Message);
}

#[test]
fn bundle_with_a_bad_signature_or_key_starts_nothing() {
    let (mut alice, bob, mut rng) = pair_of_parties(3);
    let own = LocalIdentity {
        pair: &alice.pair,
        registration_id: alice.registration_id,
    };
    for bit in (0..512).step_by(7) {
        let mut bundle = bob.bundle();
        bundle.signature[bit / 8] ^= 1 << (bit % 8);
        let result = alice.record.initiate(own, &bundle, &mut rng);
        assert_eq!(result, Err(InitiateError::BadSignature(BadSignature)));
    }
    let mut other_key = bob.bundle();
    other_key.signed_prekey = *KeyPair::generate(&mut rng).public();
    assert!(alice.record.initiate(own, &other_key, &mut rng).is_err());
    let mut other_identity = bob.bundle();
    other_identity.identity = *KeyPair::generate(&mut rng).public();
    assert!(alice.record.initiate(own, &other_identity, &mut rng).is_err());
    let mut low_order = bob.bundle();
    low_order.prekey = Some((PreKeyId::FIRST, PublicKey::new([0; 32])));
    assert_eq!(
        alice.record.initiate(own, &low_order, &mut rng),
        Err(InitiateError::BadKey(BadPublicKey))
    );
    assert!(!alice.record.has_session());
    assert_eq!(
        alice.record.encrypt(own, b"m", &mut rng),
        Err(EncryptError::NoSession)
    );
}

#[test]
fn every_altered_bit_is_refused_and_changes_nothing() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(4);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"1")).unwrap();
    alice.receive(&bob.send(b"2")).unwrap();
    let message = alice.send(b"the message");
    for bit in 0..message.bytes.len() * 8 {
        let mut bytes = message.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let altered = Ciphertext {
            kind: message.kind,
            bytes: bytes.into(),
        };
        let result = bob.receive(&altered);
        assert!(result.is_err(), "bit {bit} altered");
        if bit >= (message.bytes.len() - message::MAC_SIZE_BYTES) * 8 {
            assert_eq!(result, Err(DecryptError::BadMac), "bit {bit} of the MAC altered");
        }
    }
    assert_eq!(bob.receive(&message).unwrap(), b"the message");
}

#[test]
fn every_altered_bit_of_a_session_start_is_refused_except_of_the_registration() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(5);
    alice.initiate(&bob.bundle(), &mut rng);
    let message = alice.send(b"hello");
    let end = message.bytes.len();
    for bit in 0..message.bytes.len() * 8 {
        let mut bytes = message.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let altered = Ciphertext {
            kind: message.kind,
            bytes: bytes.into(),
        };
        let mut fresh = Party {
            one_time: bob.one_time.clone(),
            record: SessionRecord::default(),
            ..bob.copy()
        };
        // Neither MAC nor key agreement covers the outer version (whose range is what counts) and the sender's
        // registration id (three bytes before the two of the signed prekey id).
        match fresh.receive(&altered) {
            Ok(plaintext) => {
                assert_eq!(plaintext, b"hello");
                assert!(
                    bit < 8 || (end - 5..end - 2).contains(&(bit / 8)),
                    "bit {bit} altered and accepted"
                );
            }
            Err(_) => assert_eq!(fresh.one_time.len(), 1, "no prekey is used"),
        }
    }
    assert_eq!(bob.receive(&message).unwrap(), b"hello");
}

#[test]
fn missing_prekeys_are_named_and_nothing_is_used() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(6);
    alice.initiate(&bob.bundle(), &mut rng);
    let message = alice.send(b"hello");
    let one_time = std::mem::take(&mut bob.one_time);
    assert_eq!(
        bob.receive(&message),
        Err(DecryptError::UnknownPreKey(PreKeyId::FIRST))
    );
    bob.one_time = one_time;
    let rotated = SignedPreKey::generate(bob.signed.id.next(), &bob.pair, &mut rng);
    let previous = std::mem::replace(&mut bob.signed, rotated);
    let expected = DecryptError::UnknownSignedPreKey(SignedPreKeyId::FIRST);
    assert_eq!(bob.receive(&message), Err(expected));
    bob.signed = previous;
    assert_eq!(bob.receive(&message).unwrap(), b"hello");
    assert!(bob.one_time.is_empty());
}

#[test]
fn both_sides_may_start_at_once_and_archived_states_still_decrypt() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(10);
    let (to_bob, to_alice) = (bob.bundle(), alice.bundle());
    alice.initiate(&to_bob, &mut rng);
    bob.initiate(&to_alice, &mut rng);
    let (from_alice, from_bob) = (alice.send(b"a"), bob.send(b"b"));
    assert_eq!(bob.receive(&from_alice).unwrap(), b"a");
    assert_eq!(alice.receive(&from_bob).unwrap(), b"b");
    assert_eq!((alice.record.archived(), bob.record.archived()), (1, 1));
    for round in 0..4u8 {
        let (from_alice, from_bob) = (alice.send(&[round]), bob.send(&[round, round]));
        assert_eq!(bob.receive(&from_alice).unwrap(), [round]);
        assert_eq!(alice.receive(&from_bob).unwrap(), [round, round]);
    }
    // Once messages do not cross, both settle on one session.
    alice.receive(&bob.send(b"x")).unwrap();
    bob.receive(&alice.send(b"y")).unwrap();
    assert_eq!(alice.record.base_key(), bob.record.base_key());
}

#[test]
fn new_identity_is_taken_and_its_old_sessions_are_forgotten() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(12);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"old")).unwrap();
    let late = alice.send(b"late");
    let mut reinstalled = Party::new(&mut rng);
    bob.one_time = vec![PreKey::generate(PreKeyId::FIRST.next(), &mut rng)];
    reinstalled.initiate(&bob.bundle(), &mut rng);
    let start = reinstalled.send(b"new");
    let message = PreKeyMessage::parse(&start.bytes).unwrap();
    let own = LocalIdentity {
        pair: &bob.pair,
        registration_id: bob.registration_id,
    };
    let prekeys = PreKeys {
        signed: Some(&bob.signed),
        one_time: bob.one_time.first(),
    };
    let done = bob.record.decrypt_prekey(own, &message, prekeys).unwrap();
    assert!(done.identity_changed);
    assert_eq!(bob.record.remote_identity(), Some(reinstalled.pair.public()));
    assert_eq!(bob.record.archived(), 0);
    assert_eq!(
        bob.receive(&Ciphertext {
            kind: CiphertextKind::Message,
            ..inner(&late)
        }),
        Err(DecryptError::BadMac)
    );
}

#[test]
fn sessions_of_nobody_and_garbage_are_told_apart() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(13);
    alice.initiate(&bob.bundle(), &mut rng);
    let message = inner(&alice.send(b"m"));
    assert_eq!(bob.receive(&message), Err(DecryptError::NoSession));
    for garbage in [&b""[..], b"\x33", &[0x33; 8], &[0x33; 40]] {
        let garbage = Ciphertext {
            kind: CiphertextKind::Message,
            bytes: Bytes::copy_from_slice(garbage),
        };
        assert_eq!(bob.receive(&garbage), Err(DecryptError::Malformed));
    }
    let mut old = message.bytes.to_vec();
    old[0] = 0x23;
    let old = Ciphertext {
        kind: message.kind,
        bytes: old.into(),
    };
    assert_eq!(bob.receive(&old), Err(DecryptError::UnsupportedVersion(0x23)));
}

impl Party {
    fn copy(&self) -> Self {
        Self {
            pair: self.pair.clone(),
            registration_id: self.registration_id,
            signed: self.signed.clone(),
            one_time: self.one_time.clone(),
            record: self.record.clone(),
            rng: Box::new(StdRng::seed_from_u64(2)),
        }
    }
}

/// The message inside a session start.
fn inner(message: &Ciphertext) -> Ciphertext {
    let mut found = None;
    crate::signal::wire::read_fields(&message.bytes[1..], |field, value| {
        if field == 4 {
            found = Some(Bytes::copy_from_slice(value.bytes()?));
        }
        Ok(())
    })
    .unwrap();
    Ciphertext {
        kind: CiphertextKind::Message,
        bytes: found.unwrap(),
    }
}
