//! The supply of prekeys.

use std::time::Duration;

use super::forger::Forger;
use super::network::{Network, number, phone};
use crate::binary::Node;
use crate::connection::Limits;
use crate::e2e::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
use crate::jid::Jid;
use crate::signal::session::PreKeyMessage;
use crate::signal::{MAX_PREKEY_ID, PreKeyId};
use crate::stanza::keys::Upload;
use crate::time::Timestamp;

/// Client number of Ann's companion.
const ANN: usize = 1;
/// The default limit.
const PER_UPLOAD: u32 = 812;

#[test]
fn the_default_limit_is_that_of_the_tests() {
    assert_eq!(Limits::default().prekeys_per_upload, PER_UPLOAD);
}

fn notification(child: Node) -> Node {
    Node::new("notification")
        .attr("id", "n")
        .attr("type", "encrypt")
        .attr("from", Jid::SERVER)
        .with_child(child)
}

fn caught_up() -> Node {
    Node::new("ib").with_child(Node::new("offline").attr("count", "0"))
}

fn few(left: u32) -> Node {
    notification(Node::new("count").attr("value", left))
}

#[test]
fn the_first_login_publishes_many_and_later_ones_none() {
    let mut network = Network::ann_and_bob();
    let keys = &network.published[&phone(1).with_device(3)].keys;
    assert_eq!(keys.prekeys.len() as u32, PER_UPLOAD);
    assert_eq!(network.clients[ANN].store.prekeys() as u32, PER_UPLOAD);
    let device = network.clients[ANN].store.device().unwrap();
    assert_eq!(device.next_prekey_id.get(), PER_UPLOAD + 1);
    network.restart(ANN);
    assert_eq!(
        network.published[&phone(1).with_device(3)].keys.prekeys.len() as u32,
        PER_UPLOAD
    );
}

/// The uploads among the questions of all clients.
fn uploads(network: &Network) -> Vec<Upload> {
    let uploads = network.questions.iter().filter_map(|iq| Upload::parse(iq).ok());
    uploads.collect()
}

#[test]
fn all_keys_of_an_upload_are_in_one_question() {
    let mut network = Network::new();
    network.questions.clear();
    network.join(1, 3);
    network.restart(0);
    assert_eq!(network.clients[0].store.prekeys() as u32, PER_UPLOAD);
    assert_eq!(
        network.clients[0].store.device().unwrap().unconfirmed_prekeys,
        None
    );
}

#[test]
fn more_are_published_whenever_the_server_says_so() {
    let mut network = Network::ann_and_bob();
    for left in [80, 10, 4] {
        network.forget();
        network.hand(ANN, &few(left));
        let uploads = uploads(&network);
        assert_eq!(uploads.len(), 1);
        assert_eq!(uploads[0].prekeys.len() as u32, PER_UPLOAD);
        assert_eq!(network.clients[ANN].sent("ack").len(), 1);
    }
    let last = &uploads(&network)[0].prekeys;
    assert_eq!(
        last[0].0.get(),
        3 * PER_UPLOAD + 1,
        "no id is given to another key"
    );
}

#[test]
fn what_waits_comes_before_keys_and_several_warnings_are_one_upload() {
    let mut network = Network::ann_and_bob();
    network.restart_behind(ANN);
    network.forget();
    for left in [9, 8, 4] {
        network.hand(ANN, &few(left).attr("offline", "1"));
    }
    assert!(uploads(&network).is_empty());
    let made = network.clients[ANN].store.prekeys() as u32;
    assert_eq!(made, 2 * PER_UPLOAD, "kept before the warning is acknowledged");
    assert_eq!(network.clients[ANN].sent("ack").len(), 3);
    network.hand(ANN, &caught_up());
    assert_eq!(uploads(&network).len(), 1);
    assert_eq!(network.clients[ANN].store.prekeys() as u32, made);
}

#[test]
fn keys_that_were_not_confirmed_are_offered_again_by_another_process() {
    let mut network = Network::ann_and_bob();
    network.refuses_uploads = true;
    network.hand(ANN, &few(4));
    let refused = uploads(&network);
    network.forget();
    network.refuses_uploads = false;
    network.restart(ANN);
    assert_eq!(uploads(&network), refused);
    network.forget();
    network.restart(ANN);
    assert!(
        uploads(&network).is_empty(),
        "confirmed, they are offered no more"
    );
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
    for (at, seconds) in [1, 1, 2, 3, 5, 8, 13].into_iter().enumerate() {
        network.pass(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(uploads(&network).len(), at + 1);
        network.pass(Duration::from_millis(1));
    }
    for _ in 0..20 {
        network.pass(Duration::from_secs(610));
    }
    let all = uploads(&network);
    assert_eq!(
        all.len(),
        28,
        "without end, but never more often than every ten minutes"
    );
    assert!(all.iter().all(|upload| *upload == all[0]));
    network.refuses_uploads = false;
    network.pass(Duration::from_secs(610));
    assert!(network.published[&phone(1).with_device(3)].keys.prekeys.len() as u32 > PER_UPLOAD);
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
    assert_eq!(uploads(&network).len(), 1);
}

/// Has a client ask for a message of a session that it does not have; such a request carries keys.
fn ask_with_keys(network: &mut Network, ciphertext: &[u8], id: &str) {
    let enc = Node::new("enc")
        .attr("v", "2")
        .attr("type", "msg")
        .with_slice(ciphertext);
    let node = Node::new("message")
        .attr("id", id)
        .attr("from", phone(7))
        .attr("t", network.now.as_secs());
    network.hand(ANN, &node.with_child(enc));
}

#[test]
fn keys_that_were_handed_out_and_never_used_are_bounded() {
    let mut network = Network::ann_and_bob();
    let published = network.clients[ANN].store.prekeys();
    let first = Forger::new(&mut network, ANN).enc(&[1]).bytes().unwrap();
    let inner = PreKeyMessage::parse(&first).unwrap().message_bytes().to_vec();
    for n in 0..MAX_HANDED_PREKEYS + 5 {
        ask_with_keys(&mut network, &inner, &format!("A{n}"));
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
        PER_UPLOAD + 1 + 5,
        "the oldest are gone"
    );
}

#[test]
fn published_keys_that_are_never_used_are_bounded() {
    let mut network = Network::ann_and_bob();
    let uploads = 2 * MAX_PREKEY_SPAN / PER_UPLOAD;
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
