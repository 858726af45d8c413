//! Companions must prove that their account has linked them, to be sent to and to be believed.

use bytes::Bytes;
use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::forger::Forger;
use super::network::{Network, lid, number, phone, text_message};
use crate::binary::{Content, Node};
use crate::device::AdvSecret;
use crate::event::{DeviceRefusal, Event};
use crate::jid::Jid;
use crate::pairing::adv;
use crate::proto::AdvSignedDeviceIdentity;
use crate::server::adv::{DeviceDetails, Hosting, issue};
use crate::signal::curve::KeyPair;
use crate::store::{Changes, RecordKey};

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
const ANN: usize = 1;
const BOB: usize = 2;
const BOB_LAPTOP: usize = 3;

fn laptop() -> Jid {
    phone(2).with_device(5)
}

/// The devices that a client's owner was told are left out, and why.
fn refused(network: &Network, at: usize) -> Vec<(Jid, DeviceRefusal)> {
    let refusal = |event: &Event| match event {
        Event::DeviceRefused { device, reason } => Some((device.clone(), *reason)),
        _ => None,
    };
    network.clients[at].events.iter().filter_map(refusal).collect()
}

fn set_proof(network: &mut Network, of: &Jid, proof: Option<Bytes>) {
    network.published.get_mut(of).unwrap().proof = proof;
}

/// The proof that somebody else's account gives a device which is not theirs.
fn foreign_proof(network: &Network, at: usize) -> Bytes {
    let mut rng = StdRng::seed_from_u64(666);
    let (account, secret) = (KeyPair::generate(&mut rng), AdvSecret::generate(&mut rng));
    let device = network.clients[at].store.device().unwrap().identity;
    let details = DeviceDetails {
        raw_id: 1,
        timestamp: 1,
        key_index: 1,
        hosting: Hosting::Own,
    };
    let container = issue(&account, device.public(), &secret, details, &mut rng);
    adv::accept(&container, &secret, &device, &mut rng)
        .unwrap()
        .identity
}

/// As servers hand it out for the devices of others.
fn without_key(proof: &[u8]) -> Bytes {
    let mut signed = AdvSignedDeviceIdentity::decode(proof).unwrap();
    signed.account_signature_key = None;
    signed.encode_to_vec().into()
}

/// The copy of a first message for one client, kept back.
fn first_message(network: &mut Network, from: usize, to: u32, target: usize, id: &str) -> Node {
    network.hold = true;
    network.send(from, number(to), id, "hi");
    network.hold = false;
    let copy = network.held.iter().find(|(at, _)| *at == target).cloned();
    network.held.clear();
    copy.unwrap().1
}

fn set_child(node: &mut Node, name: &str, bytes: Option<Bytes>) {
    let Content::Nodes(children) = &mut node.content else {
        panic!("no children")
    };
    children.retain(|child| !child.is(name));
    if let Some(bytes) = bytes {
        node.push_child(Node::new("device-identity").with_bytes(bytes));
    }
}

#[test]
fn of_a_companion_that_is_unlinked_no_ratchet_is_kept_under_either_name() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let by_lid = RecordKey::session(&lid(2).with_device(5).into());
    let by_number = RecordKey::session(&laptop().into());
    let ratchet = network.record(ANN, by_lid.clone()).unwrap();
    let mut changes = Changes::default();
    changes.put(by_number.clone(), ratchet);
    network.lose(ANN, changes);
    network.send(ANN, number(2), "3EB002", "the names are known again");
    let removed = Node::new("remove").with_child(Node::new("device").attr("jid", laptop()));
    let unlinked = Node::new("notification")
        .attr("id", "1")
        .attr("type", "devices")
        .attr("from", phone(2))
        .with_child(removed);
    network.hand(ANN, &unlinked);
    assert_eq!(network.record(ANN, by_lid), None);
    assert_eq!(network.record(ANN, by_number), None);
}

#[test]
fn a_companion_without_proof_is_left_out_and_the_others_get_theirs() {
    let mut network = Network::ann_and_bob();
    set_proof(&mut network, &laptop(), None);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        refused(&network, ANN),
        [(lid(2).with_device(5), DeviceRefusal::NoProof)]
    );
    assert_eq!(network.clients[ANN].acked(), 1);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert_eq!(network.clients[ANN_PHONE].texts(), ["hi"]);
    assert!(network.clients[BOB_LAPTOP].messages().is_empty());
    assert!(!network.has_session(ANN, lid(2).with_device(5)));
}

#[test]
fn a_proof_counts_under_the_phone_s_identity_though_it_names_no_key() {
    let mut network = Network::ann_and_bob();
    let proof = network.published[&laptop()].proof.clone().unwrap();
    set_proof(&mut network, &laptop(), Some(without_key(&proof)));
    network.send(ANN, number(2), "3EB001", "hi");
    assert!(refused(&network, ANN).is_empty());
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["hi"]);
}

#[test]
fn a_proof_without_key_and_without_a_phone_proves_nothing() {
    let mut network = Network::ann_and_bob();
    let proof = network.published[&laptop()].proof.clone().unwrap();
    set_proof(&mut network, &laptop(), Some(without_key(&proof)));
    network.unregistered.insert(phone(2));
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        refused(&network, ANN),
        [(lid(2).with_device(5), DeviceRefusal::UnknownAccount)]
    );
    assert_eq!(
        network.clients[ANN].failures(),
        [crate::event::SendError::NoDevices]
    );
}

#[test]
fn another_account_s_proof_does_not_pass_for_the_one_whose_phone_is_known() {
    let mut network = Network::ann_and_bob();
    let forged = foreign_proof(&network, BOB_LAPTOP);
    set_proof(&mut network, &laptop(), Some(forged));
    network.send(ANN, number(2), "3EB001", "hi");
    let refusal = (lid(2).with_device(5), DeviceRefusal::OtherAccount);
    assert_eq!(refused(&network, ANN), [refusal]);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert!(network.clients[BOB_LAPTOP].messages().is_empty());
}

#[test]
fn what_only_the_store_knows_of_the_phone_counts_too() {
    let mut network = Network::new();
    for (user, device) in [(1, 0), (1, 3), (2, 0)] {
        network.join(user, device);
    }
    network.send(ANN, number(2), "3EB001", "to the phone");
    network.join(2, 5);
    let forged = foreign_proof(&network, BOB_LAPTOP);
    // The phone is not among the devices that are sent to, and nobody has looked at its session since the restart.
    network.clients[BOB].jid = phone(8);
    network.clients[BOB].lid = lid(8);
    let good = network.published[&laptop()].proof.clone();
    set_proof(&mut network, &laptop(), Some(forged));
    network.restart(ANN);
    network.send(ANN, number(2), "3EB002", "hi");
    let refusal = (lid(2).with_device(5), DeviceRefusal::OtherAccount);
    assert_eq!(refused(&network, ANN), [refusal]);
    set_proof(&mut network, &laptop(), good.map(|proof| without_key(&proof)));
    network.send(ANN, number(2), "3EB003", "hi");
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["hi"]);
}

#[test]
fn our_own_companions_are_vouched_for_by_the_key_that_linked_us() {
    let mut network = Network::ann_and_bob();
    let tablet = network.join(1, 4);
    let tablet_jid = network.clients[tablet].jid.clone();
    let (good, forged) = (
        network.published[&tablet_jid].proof.clone().unwrap(),
        foreign_proof(&network, tablet),
    );
    // Nothing is known of our phone but that key.
    network.unregistered.insert(phone(1));
    set_proof(&mut network, &tablet_jid, Some(forged));
    network.send(ANN, number(2), "3EB001", "one");
    let refusal = (lid(1).with_device(4), DeviceRefusal::OtherAccount);
    assert_eq!(refused(&network, ANN), [refusal]);
    set_proof(&mut network, &tablet_jid, Some(without_key(&good)));
    network.send(ANN, number(2), "3EB002", "two");
    assert_eq!(network.clients[tablet].texts(), ["two"]);
}

#[test]
fn nobody_takes_our_phone_s_place() {
    let mut network = Network::ann_and_bob();
    let mut forger = Forger::new(&mut network, ANN);
    network.hand(
        ANN,
        &forger.stanza(&phone(1), "A", &text_message("I am your phone")),
    );
    assert_eq!(refused(&network, ANN), [(lid(1), DeviceRefusal::OtherAccount)]);
    assert!(network.clients[ANN].messages().is_empty());
    let impostor = KeyPair::generate(&mut StdRng::seed_from_u64(9));
    network.published.get_mut(&phone(1)).unwrap().keys.identity = *impostor.public();
    network.forget();
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(refused(&network, ANN), [(lid(1), DeviceRefusal::OtherAccount)]);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
}

#[test]
fn a_first_message_of_a_companion_counts_with_a_good_proof_only() {
    let mut network = Network::ann_and_bob();
    let mut node = first_message(&mut network, ANN, 2, BOB, "3EB001");
    let proof = node.child("device-identity").unwrap().bytes().unwrap();
    let mut changed = proof.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let foreign = foreign_proof(&network, ANN);
    for (bad, reason) in [
        (None, DeviceRefusal::NoProof),
        (Some(Bytes::from(changed)), DeviceRefusal::BadProof),
        (Some(without_key(&proof)), DeviceRefusal::UnknownAccount),
    ] {
        set_child(&mut node, "device-identity", bad);
        network.forget();
        network.hand(BOB, &node);
        let bob = &network.clients[BOB];
        assert!(bob.messages().is_empty());
        let retry = bob.receipts(Some("retry"))[0].child("retry").unwrap();
        assert_eq!(retry.attr_u64("error"), Some(12));
        assert_eq!(refused(&network, BOB), [(lid(1).with_device(3), reason)]);
    }
    // The last refusal made Bob ask Ann's phone who it is: from now on its identity is known.
    assert!(network.has_session(BOB, lid(1)));
    set_child(&mut node, "device-identity", Some(foreign));
    network.forget();
    network.hand(BOB, &node);
    let refusal = (lid(1).with_device(3), DeviceRefusal::OtherAccount);
    assert_eq!(refused(&network, BOB), [refusal]);
    set_child(&mut node, "device-identity", Some(without_key(&proof)));
    network.hand(BOB, &node);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
}

#[test]
fn a_companion_that_proved_itself_needs_no_further_proof() {
    let mut network = Network::ann_and_bob();
    let first = first_message(&mut network, ANN, 2, BOB, "3EB001");
    network.hand(BOB, &first);
    let mut second = first_message(&mut network, ANN, 2, BOB, "3EB002");
    assert!(second.child("enc").unwrap().attr_is("type", "pkmsg"));
    set_child(&mut second, "device-identity", None);
    network.restart(BOB);
    network.hand(BOB, &second);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert!(refused(&network, BOB).is_empty());
}

#[test]
fn a_stranger_companion_s_account_is_the_one_it_first_proved() {
    let mut network = Network::ann_and_bob();
    // All that Bob's phone ever sees of Ann is her companion.
    let node = first_message(&mut network, ANN, 2, BOB, "3EB001");
    network.hand(BOB, &node);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    network.restart(BOB);
    let mut forger = Forger::new(&mut network, BOB);
    let forged = forger.proven_by_another(&text_message("hi"));
    network.hand(BOB, &forged.attr("from", phone(1).with_device(7)));
    let refusal = (lid(1).with_device(7), DeviceRefusal::OtherAccount);
    assert_eq!(refused(&network, BOB), [refusal]);
    assert!(network.clients[BOB].messages().is_empty());
}

#[test]
fn keys_in_a_companion_s_request_need_a_proof_too() {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB_LAPTOP, number(1), "3EB002", "two");
    network.forget();
    let stranger = KeyPair::generate(&mut StdRng::seed_from_u64(10));
    let keys = Forger::bundle_of(&stranger);
    let nodes = crate::stanza::keys::Bundle {
        keys,
        device_identity: None,
    }
    .to_nodes();
    let mut nodes = nodes.into_iter();
    let registration = nodes.next().unwrap();
    let retry = Node::new("retry")
        .attr("count", 1u32)
        .attr("id", "3EB001")
        .attr("t", 1u64);
    let request = Node::new("receipt")
        .attr("id", "3EB001")
        .attr("type", "retry")
        .attr("from", laptop())
        .with_child(retry)
        .with_child(registration)
        .with_child(Node::new("keys").with_children(nodes));
    network.hand(ANN, &request);
    assert_eq!(
        refused(&network, ANN),
        [(lid(2).with_device(5), DeviceRefusal::NoProof)]
    );
    // The laptop, whose word it was not, gets the message again; the stranger's keys are not used.
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    assert!(network.clients[BOB_LAPTOP].undecryptable().is_empty());
}
