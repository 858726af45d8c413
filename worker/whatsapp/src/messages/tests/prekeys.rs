//! The supply of prekeys.

use std::time::Duration;

use super::network::{Network, number, phone};
use crate::binary::Node;
use crate::connection::Limits;
use crate::e2e::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
use crate::jid::Jid;
use crate::signal::{MAX_PREKEY_ID, PreKeyId};
use crate::stanza::keys::Upload;
use crate::time::Timestamp;

/// Client number of Ann's companion.
const ANN: usize = 1;
/// The default limits.
const FIRST_UPLOAD: u32 = 812;
const LATER_UPLOAD: u32 = 50;
const PER_UPLOAD: u32 = 100;

#[test]
fn the_default_limits_are_those_of_the_tests() {
    let limits = Limits::default();
    assert_eq!(
        (
            limits.first_prekeys,
            limits.later_prekeys,
            limits.prekeys_per_upload
        ),
        (FIRST_UPLOAD, LATER_UPLOAD, PER_UPLOAD)
    );
}

fn notification(child: Node) -> Node {
    Node::new("notification")
        .attr("id", "n")
        .attr("type", "encrypt")
        .attr("from", Jid::SERVER)
        .with_child(child)
}

fn few(left: u32) -> Node {
    notification(Node::new("count").attr("value", left))
}

#[test]
fn the_first_login_publishes_many_and_later_ones_none() {
    let mut network = Network::ann_and_bob();
    let keys = &network.published[&phone(1).with_device(3)].keys;
    assert_eq!(keys.prekeys.len() as u32, FIRST_UPLOAD);
    assert_eq!(network.clients[ANN].store.prekeys() as u32, FIRST_UPLOAD);
    let device = network.clients[ANN].store.device().unwrap();
    assert_eq!(device.next_prekey_id.get(), FIRST_UPLOAD + 1);
    network.restart(ANN);
    assert_eq!(
        network.published[&phone(1).with_device(3)].keys.prekeys.len() as u32,
        FIRST_UPLOAD
    );
}

#[test]
fn more_are_published_when_few_are_left() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &few(5));
    assert!(network.questions.is_empty());
    network.hand(ANN, &few(4));
    let upload = Upload::parse(network.questions.last().unwrap()).unwrap();
    assert_eq!(upload.prekeys.len() as u32, LATER_UPLOAD);
    assert_eq!(upload.prekeys[0].0.get(), FIRST_UPLOAD + 1);
    assert_eq!(network.clients[ANN].sent("ack").len(), 2);
}

#[test]
fn ids_wrap_around() {
    let mut network = Network::ann_and_bob();
    let mut device = network.clients[ANN].store.device().unwrap();
    device.next_prekey_id = PreKeyId::new(MAX_PREKEY_ID - 1).unwrap();
    device.oldest_prekey_id = PreKeyId::new(MAX_PREKEY_ID - 100).unwrap();
    network.replace_device(ANN, device);
    network.hand(ANN, &few(0));
    let upload = Upload::parse(network.questions.last().unwrap()).unwrap();
    let ids: Vec<u32> = upload.prekeys.iter().take(4).map(|(id, _)| id.get()).collect();
    assert_eq!(ids, [MAX_PREKEY_ID - 1, MAX_PREKEY_ID, 1, 2]);
}

#[test]
fn a_lost_upload_is_repeated_with_the_same_keys() {
    let mut network = Network::ann_and_bob();
    network.refuses_uploads = true;
    network.hand(ANN, &few(1));
    for seconds in [1, 2, 4, 60] {
        network.pass(Duration::from_secs(seconds));
    }
    let uploads: Vec<Upload> = network
        .questions
        .iter()
        .filter_map(|iq| Upload::parse(iq).ok())
        .collect();
    assert_eq!(uploads.len(), 4);
    assert!(uploads.iter().all(|upload| *upload == uploads[0]));
    network.refuses_uploads = false;
    network.hand(ANN, &few(1));
    assert!(network.published[&phone(1).with_device(3)].keys.prekeys.len() as u32 > FIRST_UPLOAD);
}

#[test]
fn an_old_signed_prekey_is_replaced_and_still_understood() {
    let mut network = Network::ann_and_bob();
    let mut device = network.clients[ANN].store.device().unwrap();
    let old = device.signed_prekey.id;
    device.signed_prekey_made = Timestamp::from_secs(1);
    network.hold = true;
    network.send(2, number(1), "3EB001", "with the old key");
    network.replace_device(ANN, device);
    assert_eq!(
        network.clients[ANN].store.device().unwrap().signed_prekey.id,
        old.next()
    );
    assert!(network.questions.iter().any(|iq| iq.child("rotate").is_some()));
    network.hold = false;
    let (_, node) = network.held.iter().find(|(at, _)| *at == ANN).cloned().unwrap();
    network.hand(ANN, &node);
    assert_eq!(network.clients[ANN].texts(), ["with the old key"]);
}

#[test]
fn keys_that_the_server_has_lost_are_published_again() {
    let mut network = Network::ann_and_bob();
    network.loses_digest = true;
    network.hand(ANN, &notification(Node::new("digest")));
    let counts: Vec<u32> = network
        .questions
        .iter()
        .filter_map(|iq| Some(Upload::parse(iq).ok()?.prekeys.len() as u32))
        .collect();
    assert_eq!(counts.iter().sum::<u32>(), FIRST_UPLOAD);
    assert!(counts.iter().all(|count| *count <= PER_UPLOAD));
}

/// Has a client ask for a message that the server has no copy of for it; such a request carries keys.
fn ask_with_keys(network: &mut Network, id: &str) {
    let node = Node::new("message")
        .attr("id", id)
        .attr("from", phone(7))
        .attr("t", 1u64);
    network.hand(ANN, &node.with_child(Node::new("unavailable")));
}

#[test]
fn keys_that_were_handed_out_and_never_used_are_bounded() {
    let mut network = Network::ann_and_bob();
    let published = network.clients[ANN].store.prekeys();
    for n in 0..MAX_HANDED_PREKEYS + 5 {
        ask_with_keys(&mut network, &format!("A{n}"));
        if n == MAX_HANDED_PREKEYS / 2 {
            network.restart(ANN);
        }
    }
    assert_eq!(
        network.clients[ANN].store.prekeys(),
        published + MAX_HANDED_PREKEYS,
        "of those that were handed out; what is published stays"
    );
    let device = network.clients[ANN].store.device().unwrap();
    assert_eq!(device.handed_prekeys.len(), MAX_HANDED_PREKEYS);
    assert_eq!(
        device.handed_prekeys[0].get(),
        FIRST_UPLOAD + 1 + 5,
        "the oldest are gone"
    );
}

#[test]
fn published_keys_that_are_never_used_are_bounded() {
    let mut network = Network::ann_and_bob();
    let uploads = 2 * MAX_PREKEY_SPAN / LATER_UPLOAD;
    for _ in 0..uploads {
        network.hand(ANN, &few(1));
    }
    let kept = network.clients[ANN].store.prekeys();
    assert_eq!(kept as u32, MAX_PREKEY_SPAN);
    let device = network.clients[ANN].store.device().unwrap();
    assert_eq!(
        device.next_prekey_id.since(device.oldest_prekey_id),
        MAX_PREKEY_SPAN
    );
    // One from the newest upload starts a session and is gone with it.
    let prekeys = &mut network
        .published
        .get_mut(&phone(1).with_device(3))
        .unwrap()
        .keys
        .prekeys;
    prekeys.drain(..prekeys.len() - 1);
    network.send(2, number(1), "3EB001", "hi");
    assert_eq!(network.clients[ANN].texts(), ["hi"]);
    assert_eq!(network.clients[ANN].store.prekeys(), kept - 1);
}
