//! Sessions against the vectors.

use super::*;
use crate::signal::curve::PrivateKey;
use crate::signal::testing::{ScriptedRng, bytes, vector};
use serde_json::Value;

/// Plays the transcript: both sides must write its very bytes and read them in its order of delivery.
#[test]
fn transcript_with_one_time_prekey_is_reproduced_byte_for_byte() {
    let vector = vector("signal_session_with_one_time_prekey");
    let (mut alice, mut bob) = (party(&vector["alice"]), party(&vector["bob"]));
    let id = PreKeyId::new(vector["bob"]["one_time_prekey_id"].as_u64().unwrap() as u32).unwrap();
    bob.one_time.push(PreKey {
        id,
        pair: key_pair(&vector["bob"]["one_time_prekey"]),
    });
    let mut start = scripted(&vector["alice"], &["base_key", "ratchet_1"]);
    alice.rng = Box::new(scripted(&vector["alice"], &["ratchet_2"]));
    bob.rng = Box::new(scripted(&vector["bob"], &["ratchet_1", "ratchet_2"]));
    alice.initiate(&bob.bundle(), &mut start);

    let steps = vector["steps"].as_array().unwrap();
    let mut sent: Vec<(String, Ciphertext)> = Vec::new();
    let (mut from_alice, mut from_bob) = (0, 0);
    let mut deliveries = vector["delivery_order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap());
    let mut waiting = deliveries.next();
    for step in steps {
        let by_alice = step["from"] == "alice";
        let (sender, count, letter) = if by_alice {
            (&mut alice, &mut from_alice, 'a')
        } else {
            (&mut bob, &mut from_bob, 'b')
        };
        let message = sender.send(&bytes(&step["plaintext"]));
        assert_eq!(message.bytes, bytes(&step["wire"]), "step {}", step["step"]);
        assert_eq!(message.kind.as_str(), step["enc_type"]);
        sent.push((format!("{letter}{count}"), message));
        *count += 1;
        while let Some((_, message)) = waiting.and_then(|name| sent.iter().find(|(sent, _)| sent == name)) {
            let name = waiting.unwrap();
            // A step's answer is sent only after what it answers has come.
            let receiver = if name.starts_with('a') {
                &mut bob
            } else {
                &mut alice
            };
            receiver.receive(message).unwrap();
            waiting = deliveries.next();
        }
    }
    assert_eq!(waiting, None, "everything was delivered");
    assert!(bob.one_time.is_empty(), "the one-time prekey is used up");
    for (name, message) in &sent {
        let receiver = if name.starts_with('a') {
            &mut bob
        } else {
            &mut alice
        };
        let again = receiver.receive(message);
        assert_eq!(again, Err(DecryptError::Duplicate), "{name} again");
    }
}

#[test]
fn session_starts_of_captured_stanzas_decrypt() {
    let first = vector("stanza_dm_first_message");
    for case in first["recipients"].as_array().unwrap() {
        let plaintext = bytes(&case["plaintext_padded"]);
        check_captured_start(
            &case["recipient"],
            &case["ciphertext"],
            &plaintext,
            &first["sender"],
        );
    }
    let resend = vector("stanza_retry_receipt_in_and_resend");
    let ciphertext = &resend["resend"]["content"][0]["content"]["hex"];
    let plaintext = bytes(&resend["plaintext_padded"]);
    check_captured_start(&resend["recipient"], ciphertext, &plaintext, &resend["sender"]);
}

fn check_captured_start(recipient: &Value, ciphertext: &Value, plaintext: &[u8], sender: &Value) {
    let mut device = party(recipient);
    assert_eq!(
        device.bundle().verify(),
        Ok(()),
        "the capture's signed prekey is signed"
    );
    for (id, pair) in recipient["one_time_prekeys"].as_object().unwrap() {
        let id = PreKeyId::new(id.parse().unwrap()).unwrap();
        device.one_time.push(PreKey {
            id,
            pair: key_pair(pair),
        });
    }
    let message = Ciphertext {
        kind: CiphertextKind::PreKey,
        bytes: bytes(ciphertext).into(),
    };
    assert_eq!(device.receive(&message).unwrap(), plaintext);
    let identity = device.record.remote_identity().unwrap();
    assert_eq!(&identity.serialize33()[..], bytes(&sender["identity_public_33"]));
    assert!(device.one_time.is_empty(), "the one-time prekey is used up");
}

fn key_pair(value: &Value) -> KeyPair {
    let pair = KeyPair::from_private(PrivateKey::new(bytes(&value["private"]).try_into().unwrap()));
    assert_eq!(&pair.public().serialize33()[..], bytes(&value["public_33"]));
    pair
}

fn party(value: &Value) -> Party {
    let pair = key_pair(&value["identity"]);
    Party {
        registration_id: RegistrationId::new(value["registration_id"].as_u64().unwrap() as u32),
        signed: SignedPreKey {
            id: SignedPreKeyId::new(value["signed_prekey_id"].as_u64().unwrap_or(1) as u32).unwrap(),
            pair: if value["signed_prekey"].is_null() {
                pair.clone()
            } else {
                key_pair(&value["signed_prekey"])
            },
            signature: value["signed_prekey_signature"]
                .as_str()
                .map_or([0; 64], |text| hex::decode(text).unwrap().try_into().unwrap()),
        },
        one_time: Vec::new(),
        record: SessionRecord::default(),
        rng: Box::new(StdRng::seed_from_u64(1)),
        pair,
    }
}

fn scripted(value: &Value, names: &[&str]) -> ScriptedRng {
    ScriptedRng::new(names.iter().map(|name| bytes(&value[*name]["private"])))
}
