//! Somebody has another identity than before.

use futures_util::FutureExt as _;

use super::forger::Forger;
use super::network::{Network, lid, number, phone, text_message};
use crate::binary::Node;
use crate::event::{DeviceRefusal, Event};
use crate::jid::Jid;
use crate::signal::Address;
use crate::store::{KeyStore as _, MemoryStore, RecordKey};

/// Client numbers of [`Network::ann_and_bob`].
const ANN: usize = 1;
const BOB: usize = 2;
const BOB_LAPTOP: usize = 3;

impl Network {
    /// A device is installed anew: it has other keys, and a new phone is another account to its companions.
    fn reinstall(&mut self, at: usize) {
        let jid = self.clients[at].jid.clone();
        let user = jid.user()[7..].parse().unwrap();
        if jid.device() == 0 {
            self.accounts.remove(jid.user());
        }
        let device = self.device_from(900_000 + at as u64, &jid, user);
        self.published.remove(&jid);
        self.clients[at].store = MemoryStore::with_device(device);
        self.restart(at);
    }
}

/// The devices that a client's owner was told have another identity.
fn changed(network: &Network, at: usize) -> Vec<Jid> {
    let change = |event: &Event| match event {
        Event::IdentityChanged { device, .. } => Some(device.clone()),
        _ => None,
    };
    network.clients[at].events.iter().filter_map(change).collect()
}

fn notification(user: Jid) -> Node {
    Node::new("notification")
        .attr("id", "n")
        .attr("type", "encrypt")
        .attr("from", user)
        .with_child(Node::new("identity"))
}

#[test]
fn a_new_identity_is_accepted_and_told_once() {
    let mut network = Network::ann_and_bob();
    network.send(BOB, number(1), "3EB001", "old phone");
    assert!(changed(&network, ANN).is_empty(), "the first one is no change");
    let mut forger = Forger::new(&mut network, ANN);
    for id in ["B", "C"] {
        network.hand(ANN, &forger.stanza(&phone(2), id, &text_message("new phone")));
    }
    assert_eq!(
        network.clients[ANN].texts(),
        ["old phone", "new phone", "new phone"]
    );
    assert_eq!(changed(&network, ANN), [lid(2)]);
}

#[test]
fn a_phone_that_was_installed_anew_takes_its_companions_sessions_along() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.reinstall(BOB);
    network.send(BOB, number(1), "3EB002", "it is me");
    assert_eq!(changed(&network, ANN), [lid(2)]);
    // The laptop was linked by the phone that is gone, though its session is there.
    network.forget();
    network.send(ANN, number(2), "3EB003", "two");
    let refusal = |event: &Event| {
        let laptop = lid(2).with_device(5);
        matches!(event, Event::DeviceRefused { device, reason: DeviceRefusal::OtherAccount } if *device == laptop)
    };
    assert!(network.clients[ANN].events.iter().any(refusal));
    assert_eq!(network.clients[BOB].texts(), ["two"]);
    assert!(!network.clients[BOB_LAPTOP].texts().contains(&"two".to_owned()));
    // Linked again, it gets its copies.
    network.reinstall(BOB_LAPTOP);
    network.send(ANN, number(2), "3EB004", "three");
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["three"]);
}

#[test]
fn after_the_server_tells_of_a_change_nothing_is_encrypted_for_the_old_identity() {
    for restarted in [false, true] {
        let mut network = Network::ann_and_bob();
        network.send(ANN, number(2), "3EB001", "one");
        network.reinstall(BOB);
        network.reinstall(BOB_LAPTOP);
        if restarted {
            // Nothing of them is in memory.
            network.restart(ANN);
        }
        network.hand(ANN, &notification(phone(2)));
        assert_eq!(changed(&network, ANN), [phone(2)]);
        network.send(ANN, number(2), "3EB002", "two");
        for at in [BOB, BOB_LAPTOP] {
            assert_eq!(network.clients[at].texts(), ["two"]);
            assert!(network.clients[at].undecryptable().is_empty());
        }
    }
}

/// Whether a client keeps a ratchet with a device.
fn keeps(network: &mut Network, at: usize, device: Jid) -> bool {
    let key = RecordKey::session(&Address::from(device));
    let loaded = network.clients[at].store.load(vec![key]).now_or_never();
    loaded.unwrap().unwrap().pop().flatten().is_some()
}

#[test]
fn ratchets_go_with_whoever_has_another_number() {
    for restarted in [false, true] {
        let mut network = Network::ann_and_bob();
        network.send(ANN, number(2), "3EB001", "one");
        assert!(keeps(&mut network, ANN, lid(2)) && !keeps(&mut network, ANN, lid(9)));
        if restarted {
            // Nothing of them is in memory.
            network.restart(ANN);
        }
        let modify = Node::new("modify")
            .attr("old", phone(2))
            .attr("new", phone(9))
            .attr("old_lid", lid(2))
            .attr("new_lid", lid(9));
        let told = Node::new("notification")
            .attr("id", "n")
            .attr("type", "contacts")
            .attr("from", Jid::SERVER)
            .with_child(modify);
        network.hand(ANN, &told);
        assert!(!keeps(&mut network, ANN, lid(2)) && keeps(&mut network, ANN, lid(9)));
        let is_told = |event: &Event| matches!(event, Event::ContactChanged(news) if news.user == phone(9));
        assert!(network.clients[ANN].events.iter().any(is_told));
    }
}

#[test]
fn keys_that_were_asked_for_before_the_change_are_asked_for_again() {
    let mut network = Network::ann_and_bob();
    network.meanwhile = Some(notification(phone(2)));
    network.send(ANN, number(2), "3EB001", "hi");
    let requests = network
        .questions
        .iter()
        .filter(|iq| iq.attr_is("xmlns", "encrypt"));
    let asked: Vec<usize> = requests
        .map(|iq| iq.child("key").unwrap().nodes().len())
        .collect();
    // Both of Bob's and our phone; then Bob's again, whose keys of the first answer may be old.
    assert_eq!(asked, [3, 2]);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["hi"]);
    assert_eq!(network.clients[ANN].acked(), 1);
}

#[test]
fn a_changed_identity_in_a_bundle_is_told() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.reinstall(BOB);
    network.forget();
    // The new phone can't read what waits for it, and its request comes without keys.
    let registration = network.published[&phone(2)].keys.registration_id;
    let retry = Node::new("retry")
        .attr("count", 1u32)
        .attr("id", "3EB001")
        .attr("t", 1u64);
    let request = Node::new("receipt")
        .attr("id", "3EB001")
        .attr("type", "retry")
        .attr("from", phone(2))
        .with_child(retry)
        .with_child(Node::new("registration").with_slice(&registration.to_be_bytes()));
    network.hand(ANN, &request);
    assert_eq!(changed(&network, ANN), [lid(2)]);
    assert_eq!(network.clients[BOB].texts(), ["one"]);
}

#[test]
fn a_companion_of_a_changed_account_is_believed_once_its_phone_was_asked() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.reinstall(BOB);
    network.reinstall(BOB_LAPTOP);
    network.forget();
    network.keep(BOB_LAPTOP, "3EB002", phone(1), "linked again");
    network.send(BOB_LAPTOP, number(1), "3EB002", "linked again");
    // Refused at first; the phone was asked, its change told, and the message that was asked for again believed.
    assert_eq!(changed(&network, ANN), [lid(2), lid(2).with_device(5)]);
    assert_eq!(network.clients[ANN].undecryptable().len(), 1);
    assert_eq!(network.clients[ANN].texts(), ["linked again"]);
}

#[test]
fn a_phone_is_not_asked_again_and_again() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.forget();
    let mut forger = Forger::new(&mut network, ANN);
    for n in 0..5 {
        let forged = forger.proven_by_another(&text_message("hi"));
        network.hand(
            ANN,
            &forged
                .attr("id", format!("A{n}"))
                .attr("from", phone(2).with_device(7)),
        );
    }
    let asked = |iq: &&Node| iq.attr_is("xmlns", "encrypt");
    assert_eq!(network.questions.iter().filter(asked).count(), 1);
    assert!(changed(&network, ANN).is_empty());
}
