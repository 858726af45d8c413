//! Messages that can't be decrypted: asking for them again, and being asked.

use super::network::{Network, lid, number, phone};
use crate::binary::{Content, Node};
use crate::messages::{MAX_ATTEMPTS, MAX_RESENDS};
use crate::store::{Changes, KeyStore as _, RecordKey};
use futures_util::FutureExt as _;

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
pub(super) const ANN: usize = 1;
pub(super) const BOB: usize = 2;
const BOB_LAPTOP: usize = 3;

/// Flips a bit in the ciphertext.
fn spoil(node: &mut Node) {
    let Content::Nodes(children) = &mut node.content else {
        panic!("no ciphertext")
    };
    let enc = children.iter_mut().find(|child| child.is("enc")).unwrap();
    let mut bytes = enc.bytes().unwrap().to_vec();
    let middle = bytes.len() - 12;
    bytes[middle] ^= 1;
    enc.content = Content::Bytes(bytes.into());
}

/// Sends a message whose copy for one client arrives spoiled; gives that copy.
fn send_spoiled(network: &mut Network, from: usize, to: u32, victim: usize, id: &str, text: &str) -> Node {
    network.keep(from, id, phone(to), text);
    network.hold = true;
    network.send(from, number(to), id, text);
    let at = network
        .held
        .iter()
        .position(|(at, _)| *at == victim)
        .expect("the victim gets a copy");
    let (_, mut node) = network.held.remove(at).unwrap();
    network.hold = false;
    while !network.held.is_empty() {
        network.hand_held();
    }
    spoil(&mut node);
    network.hand(victim, &node);
    node
}

fn retry_counts(network: &Network, at: usize) -> Vec<u64> {
    let count = |node: &&Node| node.child("retry").unwrap().attr_u64("count").unwrap();
    network.clients[at]
        .receipts(Some("retry"))
        .iter()
        .map(count)
        .collect()
}

/// Bob's phone asks Ann's companion for a message.
pub(super) fn request(count: u32, id: &str) -> Node {
    let retry = Node::new("retry")
        .attr("count", count)
        .attr("id", id)
        .attr("t", 1u64)
        .attr("v", "1");
    Node::new("receipt")
        .attr("id", id)
        .attr("type", "retry")
        .attr("from", phone(2))
        .attr("t", 1u64)
        .with_child(retry)
}

#[test]
fn a_spoiled_message_is_asked_for_and_comes_again() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    network.forget();
    send_spoiled(&mut network, ANN, 2, BOB, "3EB003", "three");
    let bob = &network.clients[BOB];
    assert_eq!(bob.undecryptable(), [(1, false)]);
    assert_eq!(bob.texts(), ["three"]);
    let receipt = bob.receipts(Some("retry"))[0];
    assert!(receipt.child("keys").is_none());
    assert_eq!(receipt.child("retry").unwrap().attr_u64("error"), Some(7));
    let again = network.clients[ANN].last_message();
    assert!(again.attr_is("device_fanout", "false"));
    assert_eq!(again.attr_jid("to"), Some(phone(2)));
    assert_eq!(again.child("enc").unwrap().attr_u64("count"), Some(1));
    let secret = |at: usize| {
        let info = network.clients[at].messages()[0]
            .message
            .message_context_info
            .clone();
        info.and_then(|info| info.message_secret)
    };
    assert!(secret(BOB).is_some());
    assert_eq!(secret(BOB), secret(BOB_LAPTOP), "the same when it is sent again");
    // The others have theirs already, and get nothing.
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["three"]);
    assert_eq!(network.clients[ANN_PHONE].texts(), ["three"]);
    let acks = network.clients[ANN].sent("ack");
    assert!(
        acks.iter()
            .any(|ack| ack.attr_is("class", "receipt") && ack.attr_is("type", "retry"))
    );
}

#[test]
fn the_second_request_carries_keys_and_makes_a_new_session() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    network.forget();
    let kept = network.clients[BOB].store.prekeys();
    network.hold = true;
    network.keep(ANN, "3EB003", phone(2), "three");
    network.send(ANN, number(2), "3EB003", "three");
    let (_, mut spoiled) = network.held.iter().find(|(at, _)| *at == BOB).cloned().unwrap();
    network.held.clear();
    spoil(&mut spoiled);
    network.hand(BOB, &spoiled);
    // The first request leads to a copy that is spoiled too.
    network.hand_held();
    let (_, mut spoiled) = network.held.pop_front().unwrap();
    spoil(&mut spoiled);
    network.hand(BOB, &spoiled);
    assert_eq!(retry_counts(&network, BOB), [1, 2]);
    let keys = network.clients[BOB].receipts(Some("retry"))[1]
        .child("keys")
        .cloned()
        .unwrap();
    assert!(keys.child("key").is_some() && keys.child("skey").is_some());
    assert_eq!(
        network.clients[BOB].store.prekeys(),
        kept + 1,
        "the key in the request is kept"
    );
    network.hold = false;
    network.questions.clear();
    network.hand_held();
    assert_eq!(network.clients[BOB].texts(), ["three"]);
    assert!(network.questions.is_empty(), "the keys came with the request");
    assert!(
        network.clients[ANN]
            .last_message()
            .child("enc")
            .unwrap()
            .attr_is("type", "pkmsg")
    );
    assert_eq!(network.clients[BOB].store.prekeys(), kept, "and used up");
    network.send(BOB, number(1), "3EB004", "four");
    network.send(ANN, number(2), "3EB005", "five");
    assert_eq!(network.clients[ANN].texts(), ["four"]);
    assert_eq!(network.clients[BOB].texts(), ["three", "five"]);
}

#[test]
fn a_request_that_comes_again_does_not_use_its_prekey_twice() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.forget();
    // Bob asks twice, the second time with keys, and reads the answer to that.
    network.hold = true;
    network.keep(ANN, "3EB002", phone(2), "two");
    network.send(ANN, number(2), "3EB002", "two");
    let (_, mut copy) = network.held.iter().find(|(at, _)| *at == BOB).cloned().unwrap();
    network.held.clear();
    spoil(&mut copy);
    network.hand(BOB, &copy);
    network.hand_held();
    let (_, mut copy) = network.held.pop_front().unwrap();
    spoil(&mut copy);
    network.hand(BOB, &copy);
    let (_, asked) = network.held.pop_front().unwrap();
    assert!(asked.child("keys").is_some());
    network.hold = false;
    network.hand(ANN, &asked);
    assert_eq!(network.clients[BOB].texts(), ["two"]);
    // The ack of the answer was lost, so the server delivers the request again.
    network.restart(ANN);
    network.hand(ANN, &asked);
    assert_eq!(
        network.clients[ANN].sent("message").len(),
        1,
        "it is answered again"
    );
    network.forget();
    network.send(ANN, number(2), "3EB003", "three");
    assert_eq!(network.clients[BOB].texts(), ["three"]);
    assert!(network.clients[BOB].undecryptable().is_empty());
}

#[test]
fn asking_ends_after_the_last_attempt() {
    let mut network = Network::ann_and_bob();
    network.hold = true;
    network.send(ANN, number(2), "3EB001", "hi");
    let copy = network.held.iter().find(|(at, _)| *at == BOB_LAPTOP).cloned();
    let (_, mut spoiled) = copy.unwrap();
    spoil(&mut spoiled);
    for _ in 0..=MAX_ATTEMPTS {
        network.hand(BOB_LAPTOP, &spoiled);
    }
    assert_eq!(retry_counts(&network, BOB_LAPTOP), [1, 2, 3, 4, 5]);
    let bob = &network.clients[BOB_LAPTOP];
    assert_eq!(bob.undecryptable().last(), Some(&(5, true)));
    assert!(bob.sent("ack").iter().all(|ack| ack.value("error").is_none()));
    assert!(
        bob.last_message().attr_is("category", "peer"),
        "his phone is asked"
    );
    // When it is too old for that, it is refused.
    let mut old = spoiled;
    old.set_attr("id", "3EB002");
    old.set_attr("t", 1u64);
    for _ in 0..=MAX_ATTEMPTS {
        network.hand(BOB_LAPTOP, &old);
    }
    let acks = network.clients[BOB_LAPTOP].sent("ack");
    assert_eq!(acks.last().unwrap().attr_u64("error"), Some(500));
}

#[test]
fn a_missing_prekey_is_asked_for_with_keys_until_it_works() {
    let mut network = Network::ann_and_bob();
    // Bob's store loses its one-time keys, though the server still hands them out.
    let mut changes = Changes::default();
    for id in 1..=900 {
        changes.delete(RecordKey::prekey(crate::signal::PreKeyId::new(id).unwrap()));
    }
    network.clients[BOB]
        .store
        .commit(changes, Vec::new())
        .now_or_never()
        .unwrap()
        .unwrap();
    network.keep(ANN, "3EB001", phone(2), "hi");
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert_eq!(retry_counts(&network, BOB), [1, 2]);
    let first = network.clients[BOB].receipts(Some("retry"))[0];
    assert_eq!(first.child("retry").unwrap().attr_u64("error"), Some(3));
}

#[test]
fn a_lost_session_is_answered_with_keys_at_once() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    network.forget();
    let mut changes = Changes::default();
    changes.delete(RecordKey::session(&lid(1).with_device(3).into()));
    network.clients[BOB]
        .store
        .commit(changes, Vec::new())
        .now_or_never()
        .unwrap()
        .unwrap();
    network.restart(BOB);
    network.keep(ANN, "3EB003", phone(2), "three");
    network.send(ANN, number(2), "3EB003", "three");
    assert_eq!(network.clients[BOB].texts(), ["three"]);
    let receipt = network.clients[BOB].receipts(Some("retry"))[0];
    assert!(receipt.child("keys").is_some());
    assert_eq!(retry_counts(&network, BOB), [1]);
}

#[test]
fn our_own_device_gets_its_copy_again() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.forget();
    network.keep(ANN, "3EB002", phone(2), "two");
    let mut asked = request(1, "3EB002");
    asked.set_attr("from", phone(1));
    asked.set_attr("recipient", phone(2));
    network.hand(ANN, &asked);
    let copy = network.clients[ANN_PHONE].messages()[0];
    assert_eq!((&copy.chat, copy.from_me), (&phone(2), true));
    let again = network.clients[ANN].last_message();
    assert_eq!(
        (again.attr_jid("to"), again.attr_jid("recipient")),
        (Some(phone(1)), Some(phone(2)))
    );
}

#[test]
fn a_device_that_is_in_no_list_makes_us_ask_who_there_is() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    let lists = |network: &Network| {
        let is_list = |iq: &&Node| iq.attr_is("xmlns", "usync");
        network.questions.iter().filter(is_list).count()
    };
    network.forget();
    let asks = |network: &mut Network, device: u16| {
        let mut asked = request(1, "3EB001");
        asked.set_attr("from", phone(2).with_device(device));
        network.hand(ANN, &asked);
        network.send(ANN, number(2), &format!("3EB01{device}"), "more");
    };
    asks(&mut network, 5);
    assert_eq!(lists(&network), 0, "known");
    asks(&mut network, 7);
    assert_eq!(lists(&network), 1);
    asks(&mut network, 8);
    assert_eq!(lists(&network), 1, "but not for every such request");
}

#[test]
fn a_stranger_gets_nothing_of_other_chats() {
    let mut network = Network::ann_and_bob();
    let carol = network.join(3, 0);
    network.keep(ANN, "3EB001", phone(2), "for Bob alone");
    network.send(ANN, number(2), "3EB001", "for Bob alone");
    network.send(carol, number(1), "3EB002", "hi");
    network.forget();
    for from in [phone(3), lid(3), phone(9), lid(9)] {
        let mut request = request(1, "3EB001");
        request.set_attr("from", &from);
        network.hand(ANN, &request);
        // Nor if it says that it is about Bob's chat.
        request.set_attr("recipient", phone(2));
        network.hand(ANN, &request);
    }
    let ann = &network.clients[ANN];
    assert!(ann.sent("message").is_empty());
    assert_eq!(ann.sent("ack").len(), 8, "but each request is acknowledged");
    assert!(network.questions.iter().all(|iq| !iq.attr_is("xmlns", "encrypt")));
}

#[test]
fn a_device_may_ask_by_its_other_name() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    // Only the store knows the names now.
    network.restart(ANN);
    let mut request = request(1, "3EB001");
    request.set_attr("from", lid(2));
    network.hand(ANN, &request);
    let ann = &network.clients[ANN];
    assert_eq!(ann.sent("message").len(), 1);
    assert_eq!(ann.last_message().attr_jid("to"), Some(lid(2)));
    assert!(!network.has_session(ANN, phone(2)));
}

#[test]
fn a_message_to_an_old_number_is_repeated_for_the_account_that_has_it() {
    let mut network = Network::ann_and_bob();
    let old = phone(8);
    network
        .old_numbers
        .insert(old.user().to_owned(), phone(2).user().to_owned());
    network.keep(ANN, "3EB001", old.clone(), "one");
    network.send(ANN, number(8), "3EB001", "one");
    assert_eq!(network.clients[BOB].texts(), ["one"]);
    // Even if only the store knows of it.
    network.restart(ANN);
    network.hand(ANN, &request(1, "3EB001"));
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    assert_eq!(network.clients[ANN].last_message().attr_jid("to"), Some(phone(2)));
}

#[test]
fn a_count_of_the_sender_s_choice_is_survived() {
    let mut network = Network::ann_and_bob();
    let enc = Node::new("enc")
        .attr("v", "2")
        .attr("type", "msg")
        .attr("count", u32::MAX)
        .with_slice(&[0x33; 60]);
    let node = Node::new("message")
        .attr("id", "A")
        .attr("from", phone(7))
        .attr("t", 1u64);
    network.hand(ANN, &node.with_child(enc));
    assert_eq!(network.clients[ANN].undecryptable(), [(MAX_ATTEMPTS, true)]);
}

#[test]
fn a_message_that_the_owner_does_not_have_is_not_sent() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.forget();
    network.hand(ANN, &request(1, "3EB009"));
    assert!(network.clients[ANN].sent("message").is_empty());
    assert_eq!(network.clients[ANN].sent("ack").len(), 1);
}

#[test]
fn one_device_gets_one_message_so_often_and_no_more() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.forget();
    for _ in 0..10 {
        network.hand(ANN, &request(1, "3EB001"));
    }
    assert_eq!(network.clients[ANN].sent("message").len() as u32, MAX_RESENDS - 1);
    assert_eq!(
        network.clients[ANN]
            .sent("ack")
            .iter()
            .filter(|ack| ack.attr_is("type", "retry"))
            .count(),
        10
    );
    network.forget();
    network.keep(ANN, "3EB002", phone(2), "two");
    for count in [0, MAX_RESENDS, 77] {
        network.hand(ANN, &request(count, "3EB002"));
    }
    assert!(network.clients[ANN].sent("message").is_empty());
}

#[test]
fn another_installation_gets_another_session() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    network.questions.clear();
    let mut request = request(1, "3EB001");
    request.push_child(Node::new("registration").with_slice(&[0, 0, 0x7f, 0x7f]));
    network.hand(ANN, &request);
    assert_eq!(network.questions.len(), 1, "a bundle is fetched");
    assert!(
        network.clients[ANN]
            .last_message()
            .child("enc")
            .unwrap()
            .attr_is("type", "pkmsg")
    );
}

#[test]
fn a_request_with_forged_keys_starts_no_session() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    let mut bundle = network.take_bundle(BOB);
    bundle.signature[3] ^= 1;
    let bundle = crate::stanza::keys::Bundle {
        keys: bundle,
        device_identity: None,
    };
    let mut nodes = bundle.to_nodes();
    let registration = nodes.remove(0);
    let request = request(1, "3EB001")
        .with_child(registration)
        .with_child(Node::new("keys").with_children(nodes));
    network.hand(ANN, &request);
    assert!(
        network.clients[ANN]
            .last_message()
            .child("enc")
            .unwrap()
            .attr_is("type", "msg")
    );
}

#[test]
fn the_same_session_is_not_tried_for_ever() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.questions.clear();
    // Each time the session that was there is not enough.
    for count in 1..=3 {
        network.hand(ANN, &request(count, "3EB001"));
    }
    let fetches = network
        .questions
        .iter()
        .filter(|iq| iq.attr_is("xmlns", "encrypt"))
        .count();
    assert_eq!(fetches, 2);
}
