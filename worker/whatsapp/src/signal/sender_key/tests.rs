use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::*;
use crate::signal::curve::PrivateKey;
use crate::signal::session::MAX_GAP;
use crate::signal::testing::{bytes, vector};

struct Group {
    sender: SenderKeyRecord,
    member: SenderKeyRecord,
    rng: StdRng,
}

impl Group {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sender = SenderKeyRecord::default();
        sender.rotate(&mut rng);
        let mut member = SenderKeyRecord::default();
        member.accept(&sender.distribution().unwrap()).unwrap();
        Self { sender, member, rng }
    }

    fn send(&mut self, plaintext: &[u8]) -> Bytes {
        let sent = self.sender.encrypt(plaintext, &mut self.rng).unwrap();
        self.sender = SenderKeyRecord::decode(&self.sender.encode()).unwrap();
        sent
    }

    fn receive(&mut self, message: &[u8]) -> Result<Vec<u8>, DecryptError> {
        receive(&mut self.member, message)
    }
}

/// Decrypts, through the stored form; on failure checks that nothing changed.
fn receive(member: &mut SenderKeyRecord, message: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let before = member.encode();
    let result = member.decrypt(message);
    if result.is_err() {
        assert_eq!(member.encode(), before, "a failed decryption changes nothing");
    }
    *member = SenderKeyRecord::decode(&member.encode()).unwrap();
    result
}

fn sender_of(vector: &Value) -> SenderKeyRecord {
    let private = PrivateKey::new(bytes(&vector["signing_private"]).try_into().unwrap());
    let chain = Chain::new(Secret::new(bytes(&vector["chain_key_0"]).try_into().unwrap()));
    let id = vector["key_id"].as_u64().unwrap() as u32;
    let signing = SigningKey::Ours(KeyPair::from_private(private));
    SenderKeyRecord {
        states: vec![SenderKeyState {
            id,
            signing,
            chain,
            skipped: Vec::new(),
        }],
    }
}

#[test]
fn transcript_is_read_and_reproduced_up_to_the_random_signature() {
    let vector = vector("sender_key_transcript");
    let mut rng = StdRng::seed_from_u64(1);
    let mut sender = sender_of(&vector);
    assert_eq!(sender.distribution().unwrap(), bytes(&vector["skdm_initial"]));
    let mut member = SenderKeyRecord::default();
    member.accept(&bytes(&vector["skdm_initial"])).unwrap();
    for step in vector["steps"].as_array().unwrap() {
        // The transcript's sender steps twice per message.
        let iteration = step["iteration"].as_u64().unwrap() as u32;
        while sender.states[0].chain.index < iteration {
            sender.states[0].chain.step();
        }
        assert_eq!(
            &sender.states[0].chain.key.as_bytes()[..],
            bytes(&step["chain_key_at_iteration"])
        );
        let plaintext = bytes(&step["plaintext"]);
        let ours = sender.encrypt(&plaintext, &mut rng).unwrap();
        assert_eq!(
            &ours[..ours.len() - SIGNATURE_SIZE_BYTES],
            bytes(&step["signed_bytes"])
        );
        let wire = bytes(&step["wire"]);
        assert_eq!(receive(&mut member.clone(), &ours).unwrap(), plaintext);
        assert_eq!(receive(&mut member, &wire).unwrap(), plaintext);
        assert_eq!(receive(&mut member, &wire), Err(DecryptError::Duplicate));
    }
}

#[test]
fn late_member_of_the_transcript_reads_only_what_came_after() {
    let vector = vector("sender_key_transcript");
    let steps = vector["steps"].as_array().unwrap();
    let joined = vector["late_skdm_iteration"].as_u64().unwrap();
    let mut member = SenderKeyRecord::default();
    assert_eq!(
        receive(&mut member, &bytes(&steps[0]["wire"])),
        Err(DecryptError::NoSession)
    );
    member.accept(&bytes(&vector["late_skdm"])).unwrap();
    for step in steps.iter().rev() {
        let expected = if step["iteration"].as_u64().unwrap() < joined {
            Err(DecryptError::Duplicate)
        } else {
            Ok(bytes(&step["plaintext"]))
        };
        assert_eq!(receive(&mut member, &bytes(&step["wire"])), expected);
    }
}

#[test]
fn every_altered_bit_is_refused_and_changes_nothing() {
    let mut group = Group::new(2);
    let message = group.send(b"group message");
    for bit in 0..message.len() * 8 {
        let mut altered = message.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        let result = group.receive(&altered);
        assert!(result.is_err(), "bit {bit} altered");
        if bit >= (message.len() - SIGNATURE_SIZE_BYTES) * 8 {
            assert_eq!(
                result,
                Err(DecryptError::BadSignature),
                "bit {bit} of the signature altered"
            );
        }
    }
    assert_eq!(group.receive(&message).unwrap(), b"group message");
}

#[test]
fn message_signed_by_another_member_is_refused() {
    let mut group = Group::new(3);
    let stranger = KeyPair::generate(&mut group.rng);
    let message = group.send(b"m");
    let (signed, _) = message.split_at(message.len() - SIGNATURE_SIZE_BYTES);
    let forged = [signed, &stranger.sign(signed, &mut group.rng)].concat();
    assert_eq!(group.receive(&forged), Err(DecryptError::BadSignature));
}

#[test]
fn overtaken_messages_decrypt_once_within_the_limits() {
    let mut group = Group::new(4);
    let (one, two, three) = (group.send(b"1"), group.send(b"2"), group.send(b"3"));
    assert_eq!(group.receive(&three).unwrap(), b"3");
    assert_eq!(group.receive(&one).unwrap(), b"1");
    assert_eq!(group.receive(&one), Err(DecryptError::Duplicate));
    for _ in 0..MAX_GAP {
        group.sender.states[0].chain.step();
    }
    let at_limit = group.send(b"at the limit");
    let beyond = group.send(b"beyond");
    assert_eq!(group.receive(&beyond), Err(DecryptError::TooFarAhead));
    assert_eq!(group.receive(&at_limit).unwrap(), b"at the limit");
    assert_eq!(
        group.receive(&two),
        Err(DecryptError::Duplicate),
        "the oldest seed made room"
    );
    assert_eq!(group.receive(&beyond).unwrap(), b"beyond");
}

#[test]
fn known_chain_is_not_wound_back() {
    let mut group = Group::new(5);
    let first = group.sender.distribution().unwrap();
    let message = group.send(b"m");
    group.receive(&message).unwrap();
    group.member.accept(&first).unwrap();
    assert_eq!(group.receive(&message), Err(DecryptError::Duplicate));
}

#[test]
fn messages_of_the_chains_before_decrypt_and_older_ones_are_forgotten() {
    let mut group = Group::new(6);
    let mut late = vec![group.send(b"0")];
    for round in 1..=MAX_SENDER_KEY_STATES {
        let before = group.sender.states.first().map(|state| state.id);
        group.sender.rotate(&mut group.rng);
        assert_ne!(group.sender.states.first().map(|state| state.id), before);
        group
            .member
            .accept(&group.sender.distribution().unwrap())
            .unwrap();
        late.push(group.send(round.to_string().as_bytes()));
    }
    assert_eq!(group.receive(&late[0]), Err(DecryptError::NoSession));
    for (round, message) in late.iter().enumerate().skip(1) {
        assert_eq!(group.receive(message).unwrap(), round.to_string().as_bytes());
    }
}

#[test]
fn keys_of_others_can_not_be_sent_with() {
    let mut group = Group::new(7);
    assert_eq!(
        group.member.encrypt(b"m", &mut group.rng),
        Err(EncryptError::NoSession)
    );
    assert_eq!(group.member.distribution(), Err(EncryptError::NoSession));
    assert_eq!(
        SenderKeyRecord::default().encrypt(b"m", &mut group.rng),
        Err(EncryptError::NoSession)
    );
}

#[test]
fn garbage_is_malformed() {
    let mut group = Group::new(8);
    for garbage in [&b""[..], &[0x33; 64], &[0x33; 90]] {
        assert_eq!(group.receive(garbage), Err(DecryptError::Malformed));
        assert!(group.member.accept(garbage).is_err());
    }
    let stored = group.sender.encode();
    for len in 0..stored.len() {
        assert!(SenderKeyRecord::decode(&stored[..len]).is_err(), "cut at {len}");
    }
    let mut old = group.send(b"m").to_vec();
    old[0] = 0x22;
    assert_eq!(group.receive(&old), Err(DecryptError::UnsupportedVersion(0x22)));
}
