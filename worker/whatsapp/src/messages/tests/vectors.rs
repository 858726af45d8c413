//! Recorded stanzas of another client: what it sent we read, and what it answered we answer.

use bytes::Bytes;
use serde_json::Value;

use super::network::Network;
use crate::binary::{self, Node};
use crate::device::{Account, Device};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::signal::curve::{KeyPair, PrivateKey};
use crate::signal::testing::{bytes, vector};
use crate::signal::{PreKey, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};
use crate::stanza::class::Class;
use crate::stanza::keys::PublicSignedPreKey;
use crate::stanza::message::{Received, Resend};
use crate::stanza::receipt::{self, Arrival, RetryAsked, RetryKeys, RetryReason, RetryRequest};
use crate::store::Changes;
use crate::time::Timestamp;
use prost::Message as _;

fn pair(keys: &Value) -> KeyPair {
    let private = PrivateKey::new(bytes(&keys["private"]).try_into().unwrap());
    let pair = KeyPair::from_private(private);
    assert_eq!(pair.public().serialize33().to_vec(), bytes(&keys["public_33"]));
    pair
}

fn jid(value: &Value) -> Jid {
    value.as_str().unwrap().parse().unwrap()
}

/// The recorded device, as it was before it got anything.
fn recipient(case: &Value) -> (Device, Vec<PreKey>) {
    let mut device = Device::generate(&mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1));
    device.identity = pair(&case["identity"]);
    device.registration_id = RegistrationId::new(case["registration_id"].as_u64().unwrap() as u32);
    device.signed_prekey = SignedPreKey {
        id: SignedPreKeyId::new(case["signed_prekey_id"].as_u64().unwrap() as u32).unwrap(),
        pair: pair(&case["signed_prekey"]),
        signature: bytes(&case["signed_prekey_signature"]).try_into().unwrap(),
    };
    device.next_prekey_id = PreKeyId::new(100).unwrap();
    device.account = Some(Account {
        jid: jid(&case["jid_pn"]),
        lid: Some(jid(&case["jid_lid"])),
        identity: Bytes::new(),
        push_name: None,
        platform: "android".into(),
        is_migrated: false,
        token_salt: None,
    });
    let prekeys = case["one_time_prekeys"].as_object().unwrap().iter();
    let prekeys = prekeys
        .map(|(id, keys)| PreKey {
            id: PreKeyId::new(id.parse().unwrap()).unwrap(),
            pair: pair(keys),
        })
        .collect();
    (device, prekeys)
}

/// Logs the recorded device in; gives its number.
fn join(network: &mut Network, case: &Value) -> usize {
    let (device, prekeys) = recipient(case);
    let mut changes = Changes::default();
    for prekey in &prekeys {
        changes.put_prekey(prekey);
    }
    network.join_as(device, changes)
}

/// The head of a recorded message as the server delivers it.
fn delivered(stanza: &Node, from: &Value) -> Node {
    let head = Node::new("message")
        .attr("id", stanza.value("id").unwrap())
        .attr("from", jid(&from["jid"]))
        .attr("t", 1_795_176_953u64)
        .attr("type", "text");
    match stanza.child("device-identity") {
        Some(identity) => head.with_child(identity.clone()),
        None => head,
    }
}

/// A recorded stanza. Addresses are texts, as [`Node::attr_jid`] reads them too.
fn node(json: &Value) -> Node {
    let mut node = Node::new(json["tag"].as_str().unwrap());
    for (name, value) in json["attrs"].as_object().unwrap() {
        node.set_attr(name.as_str(), value.as_str().unwrap());
    }
    match &json["content"] {
        Value::Array(children) => node.with_children(children.iter().map(self::node)),
        Value::Object(content) => node.with_bytes(hex::decode(content["hex"].as_str().unwrap()).unwrap()),
        _ => node,
    }
}

/// Compares without regard to how values are written.
fn assert_same(ours: &Node, theirs: &Node) {
    assert_eq!(ours.tag(), theirs.tag());
    let attrs = |node: &Node| {
        let mut attrs: Vec<_> = node
            .attrs
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_str().into_owned()))
            .collect();
        attrs.sort();
        attrs
    };
    assert_eq!(attrs(ours), attrs(theirs), "<{}>", ours.tag());
    assert_eq!(ours.data(), theirs.data(), "<{}>", ours.tag());
    assert_eq!(ours.nodes().len(), theirs.nodes().len(), "<{}>", ours.tag());
    for (ours, theirs) in ours.nodes().iter().zip(theirs.nodes()) {
        assert_same(ours, theirs);
    }
}

fn decoded(hex: &Value) -> Node {
    binary::decode(bytes(hex).into()).unwrap()
}

#[test]
fn every_copy_of_a_recorded_message_is_read() {
    let case = vector("stanza_dm_first_message");
    let stanza = decoded(&case["binary_node"]);
    assert_same(&stanza, &node(&case["stanza"]));
    for recipient in case["recipients"].as_array().unwrap() {
        let mut network = Network::new();
        let at = join(&mut network, &recipient["recipient"]);
        let to = jid(&recipient["to_jid"]);
        let own = to.same_user(&jid(&case["sender"]["jid"]));
        let copy = stanza
            .child("participants")
            .unwrap()
            .nodes()
            .iter()
            .find(|node| node.attr_jid("jid") == Some(to.clone()));
        let enc = copy.unwrap().child("enc").unwrap().clone();
        let recipient = own.then(|| stanza.attr_jid("to").unwrap());
        network.hand(
            at,
            &delivered(&stanza, &case["sender"])
                .attr_opt("recipient", recipient)
                .with_child(enc),
        );
        let message = network.clients[at].messages()[0];
        assert_eq!(message.from_me, own);
        let chat = if own {
            stanza.attr_jid("to").unwrap()
        } else {
            jid(&case["sender"]["jid"]).to_bare()
        };
        assert_eq!(message.chat, chat);
        let text = message.message.extended_text_message.as_ref().unwrap();
        assert_eq!(text.text.as_deref(), Some("first message to two devices"));
        assert!(message.message.message_context_info.is_some());
    }
}

#[test]
fn a_recorded_delivery_is_read_and_answered_alike() {
    let case = vector("stanza_dm_incoming");
    let stanza = Received::parse(&decoded(&case["incoming_binary_node"])).unwrap();
    assert_eq!(stanza.sender_alt, Some("100000000000002@lid".parse().unwrap()));
    assert_eq!(stanza.push_name.as_deref(), Some("Bob"));
    let ours = receipt::arrival(Arrival::Delivered, &stanza.id, &stanza.from, None, None);
    assert_same(&ours, &node(&case["receipt"]));
    let mut out = Vec::new();
    binary::encode(&ours, &mut out);
    assert_eq!(out, bytes(&case["receipt_binary_node"]));
}

#[test]
fn our_retry_requests_are_those_that_were_recorded() {
    let case = vector("stanza_retry_receipts_out");
    let client = &case["client"];
    let identity = KeyPair::from_private(PrivateKey::new(
        bytes(&client["identity_private"]).try_into().unwrap(),
    ));
    let public = |field: &str| {
        *KeyPair::from_private(PrivateKey::new(bytes(&client[field]).try_into().unwrap())).public()
    };
    let recorded = node(&case["retry_2"]);
    let signature = recorded
        .child_at(&["keys", "skey", "signature"])
        .unwrap()
        .require_array()
        .unwrap();
    let signed = PublicSignedPreKey {
        id: SignedPreKeyId::FIRST,
        key: public("signed_prekey_private"),
        signature,
    };
    assert!(
        identity
            .public()
            .verify(&signed.key.serialize33(), &signed.signature)
            .is_ok()
    );
    for (count, message, recorded) in [(1, "bad_message", "retry_1"), (2, "bad_message_2", "retry_2")] {
        let stanza = Received::parse(&node(&case[message])).unwrap();
        let keys = (count == 2).then(|| RetryKeys {
            identity: *identity.public(),
            prekey: (PreKeyId::FIRST, public("prekey_private")),
            signed: signed.clone(),
            device_identity: node(&case["retry_2"])
                .child_at(&["keys", "device-identity"])
                .and_then(Node::bytes),
        });
        let ours = RetryRequest {
            peer: false,
            id: &stanza.id,
            to: &stanza.from,
            participant: None,
            recipient: None,
            timestamp: stanza.timestamp,
            count,
            reason: RetryReason::Unknown,
            registration_id: RegistrationId::new(57),
            keys,
        }
        .into_node();
        assert_same(&ours, &node(&case[recorded]));
        if count == 2 {
            let mut out = Vec::new();
            binary::encode(&ours, &mut out);
            assert_eq!(out, bytes(&case["retry_2_binary_node"]));
        }
    }
    let nack = node(&case["nack_after_retry"]);
    let own = jid(&client["jid"]);
    let ours = crate::stanza::ack::message_ack(
        &node(&case["bad_message"]),
        Some(&own),
        Some(crate::stanza::ack::Nack::Unhandled),
    );
    assert_same(&ours.unwrap(), &nack);
}

#[test]
fn a_recorded_request_and_the_message_that_answered_it_are_read() {
    let case = vector("stanza_retry_receipt_in_and_resend");
    let asked = RetryAsked::parse(&node(&case["retry_receipt"])).unwrap();
    assert_eq!(
        (asked.count, asked.registration_id),
        (1, Some(RegistrationId::new(0x2341)))
    );
    let resend = node(&case["resend"]);
    let mut network = Network::new();
    let at = join(&mut network, &case["recipient"]);
    let enc = resend.child("enc").unwrap().clone();
    network.hand(at, &delivered(&resend, &case["sender"]).with_child(enc));
    let padded = bytes(&case["plaintext_padded"]);
    let plaintext = crate::signal::padding::unpad(&padded).unwrap();
    let expected = crate::proto::Message::decode(plaintext).unwrap();
    assert_eq!(network.clients[at].messages()[0].message, expected);
    // Ours has the official shape: no list of participants.
    let stanza = Received::parse(
        &delivered(&resend, &case["sender"]).with_child(resend.child("enc").unwrap().clone()),
    );
    let (id, to): (MessageId, Jid) = (asked.id, resend.attr_jid("to").unwrap());
    let ours = Resend {
        id: &id,
        to: &to,
        group: None,
        recipient: None,
        class: Class::of_message(&expected),
        enc: stanza.unwrap().encs.remove(0),
        count: 1,
        device_identity: resend.child("device-identity").and_then(Node::bytes),
        now: Timestamp::from_secs(0),
    }
    .into_node();
    let mut official = resend.clone();
    if let binary::Content::Nodes(children) = &mut official.content {
        children.retain(|child| !child.is("participants"));
    }
    assert_same(&ours, &official);
}
