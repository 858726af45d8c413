//! By which of their names people are addressed, and what is asked before.

use super::network::{Network, lid, number, outgoing, phone};
use crate::binary::Node;
use crate::command::Recipient;
use crate::connection::Input;
use crate::e2e::Space;
use crate::event::{Event, SendError};
use crate::jid::{Jid, Server};

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
const ANN: usize = 1;
const BOB: usize = 2;

/// Whom Ann's last message went to.
fn targets(network: &Network) -> Vec<String> {
    let targets = network.clients[ANN].last_targets();
    targets.into_iter().map(|(jid, _)| jid).collect()
}

fn all(jids: &[Jid]) -> Vec<String> {
    jids.iter().map(Jid::to_string).collect()
}

fn by_lid() -> Vec<String> {
    all(&[lid(2), lid(2).with_device(5), lid(1)])
}

fn by_phone() -> Vec<String> {
    all(&[phone(2), phone(2).with_device(5), phone(1)])
}

/// The user queries since the last look.
fn queries(network: &mut Network) -> Vec<Node> {
    let questions = std::mem::take(&mut network.questions);
    let is_query = |node: &Node| node.attr_is("xmlns", "usync");
    questions.into_iter().filter(is_query).collect()
}

/// How many numbers were asked for as such.
fn look_ups(queries: &[Node]) -> usize {
    let users = |query: &Node| query.child_at(&["usync", "list"]).unwrap().nodes().to_vec();
    let users = queries.iter().flat_map(users);
    users.filter(|user| user.child("contact").is_some()).count()
}

fn known(user: u32) -> Recipient {
    Recipient::KnownPhone(phone(user).user().to_owned())
}

#[test]
fn a_migrated_account_writes_by_hidden_id_throughout() {
    let mut network = Network::migrated();
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].last_message().attr_jid("to"), Some(lid(2)));
    assert_eq!(targets(&network), by_lid());
    assert_eq!(
        queries(&mut network).len(),
        1,
        "one query for number, id and devices"
    );
    let copy = network.clients[ANN_PHONE].messages()[0];
    assert_eq!((&copy.chat, copy.from_me), (&lid(2), true));
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    // By whichever name, and to ourselves.
    for (id, to) in [("3EB002", phone(2)), ("3EB003", lid(2))] {
        network.send(ANN, Recipient::Jid(to), id, id);
        assert_eq!(targets(&network), by_lid());
    }
    for (id, to) in [("3EB004", phone(1)), ("3EB005", lid(1))] {
        network.send(ANN, Recipient::Jid(to), id, id);
        assert_eq!(targets(&network), all(&[lid(1)]));
    }
    assert!(network.clients[ANN].failures().is_empty());
    assert!(queries(&mut network).is_empty());
}

#[test]
fn an_account_that_is_not_migrated_writes_by_number() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(targets(&network), by_phone());
    // Even if it was given the hidden id, and only the store knows whose that is.
    network.restart(ANN);
    network.send(ANN, Recipient::Jid(lid(2)), "3EB002", "by id");
    assert_eq!(targets(&network), by_phone());
    assert_eq!(network.clients[BOB].texts(), ["hi", "by id"]);
}

#[test]
fn who_has_no_hidden_id_is_written_to_by_number() {
    let mut network = Network::migrated();
    network.hides_lids = true;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(targets(&network), by_phone());
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    // When it is learned, it is used.
    network.hides_lids = false;
    network.send(BOB, number(1), "3EB002", "hello");
    network.send(ANN, number(2), "3EB003", "again");
    assert_eq!(targets(&network), by_lid());
}

#[test]
fn a_device_that_asks_again_is_answered_by_the_name_it_uses() {
    let mut network = Network::migrated();
    network.keep(ANN, "3EB001", phone(2), "hi");
    network.send(ANN, number(2), "3EB001", "hi");
    network.forget();
    let ask = |from: Jid, recipient: Option<Jid>| {
        let retry = Node::new("retry").attr("count", 1u64).attr("id", "3EB001");
        Node::new("receipt")
            .attr("id", "3EB001")
            .attr("type", "retry")
            .attr("from", from)
            .attr_opt("recipient", recipient)
            .with_child(retry)
    };
    network.hand(ANN, &ask(lid(2), None));
    let again = network.clients[ANN].last_message();
    assert_eq!(
        (again.attr_jid("to"), again.attr_jid("recipient")),
        (Some(lid(2)), None)
    );
    // Our own phone may not say which chat; the owner names it by number.
    for recipient in [None, Some(lid(2))] {
        network.hand(ANN, &ask(lid(1), recipient));
        let again = network.clients[ANN].last_message();
        assert_eq!(again.attr_jid("to"), Some(lid(1)));
        assert_eq!(again.attr_jid("recipient"), Some(lid(2)));
    }
}

#[test]
fn a_number_is_looked_up_once_in_a_life() {
    for hides_lids in [false, true] {
        let mut network = Network::migrated();
        network.hides_lids = hides_lids;
        network.send(ANN, number(2), "3EB001", "one");
        assert_eq!(look_ups(&queries(&mut network)), 1);
        for id in ["3EB002", "3EB003"] {
            // Nothing is in memory.
            network.restart(ANN);
            network.questions.clear();
            network.send(ANN, known(2), id, id);
            let asked = queries(&mut network);
            assert_eq!((asked.len(), look_ups(&asked)), (1, 0), "hidden: {hides_lids}");
            assert!(network.clients[ANN].failures().is_empty());
        }
        assert_eq!(network.clients[BOB].texts(), ["one", "3EB002", "3EB003"]);
    }
}

#[test]
fn a_number_that_must_not_be_looked_up_is_not() {
    let mut network = Network::migrated();
    network.send(ANN, known(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::NeedsLookUp]);
    assert!(SendError::NeedsLookUp.is_retryable());
    assert!(queries(&mut network).is_empty() && network.clients[ANN].sent("message").is_empty());
    network.send(ANN, number(2), "3EB001", "hi");
    network.send(ANN, known(2), "3EB002", "again");
    assert_eq!(network.clients[BOB].texts(), ["hi", "again"]);
    assert_eq!(look_ups(&queries(&mut network)), 1);
    // It was told who writes from it.
    let carol = network.join(3, 0);
    network.send(carol, number(1), "3EB003", "who is it?");
    network.send(ANN, known(3), "3EB004", "me");
    assert_eq!(network.clients[carol].texts(), ["me"]);
}

#[test]
fn a_number_that_moved_is_looked_up_once_too() {
    let mut network = Network::migrated();
    let (old, new) = (phone(8).user().to_owned(), phone(2).user().to_owned());
    network.old_numbers.insert(old, new);
    network.send(ANN, number(8), "3EB001", "one");
    network.restart(ANN);
    network.questions.clear();
    network.send(ANN, known(8), "3EB002", "two");
    assert_eq!(network.clients[BOB].texts(), ["one", "two"]);
    assert_eq!(look_ups(&queries(&mut network)), 0);
    assert_eq!(targets(&network), by_lid());
}

/// Where the owner wants to know it, nothing is sent by another number or name than the one given.
#[test]
fn the_number_that_an_account_goes_by_is_told_before_anything_is_sent() {
    let mut network = Network::migrated();
    network.tells_renumbered = true;
    network.restart(ANN);
    let (old, new) = (phone(8).user().to_owned(), phone(2).user().to_owned());
    network.old_numbers.insert(old, new.clone());
    network.send(ANN, number(8), "3EB001", "one");
    let renumbered = || SendError::Renumbered { present: new.clone() };
    assert_eq!(network.clients[ANN].failures(), [renumbered()]);
    assert!(network.clients[ANN].sent("message").is_empty());
    network.questions.clear();
    network.send(ANN, known(2), "3EB001", "one");
    assert_eq!(network.clients[BOB].texts(), ["one"]);
    assert_eq!(look_ups(&queries(&mut network)), 0, "it is resolved");
    // By hidden id, whose number is known by now.
    network.send(ANN, Recipient::Jid(lid(2)), "3EB002", "two");
    assert_eq!(network.clients[ANN].failures(), [renumbered(), renumbered()]);
    assert_eq!(network.clients[BOB].texts(), ["one"]);
}

#[test]
fn many_sends_share_what_is_asked_of_store_and_server() {
    let mut network = Network::migrated();
    let now = network.now;
    for n in 0..10 {
        let send = outgoing(number(2), &format!("3EB{n}"), "hi");
        network.clients[ANN].connection.handle(Input::Command(send), now);
    }
    network.settle();
    assert_eq!(network.clients[ANN].acked(), 10);
    assert_eq!(look_ups(&queries(&mut network)), 1);
}

#[test]
fn a_device_list_that_is_empty_by_number_is_asked_for_by_hidden_id() {
    for migrated in [true, false] {
        let mut network = if migrated {
            Network::migrated()
        } else {
            Network::ann_and_bob()
        };
        network.empty_lists = true;
        network.send(ANN, number(2), "3EB001", "hi");
        assert_eq!(network.clients[BOB].texts(), ["hi"]);
        assert_eq!(queries(&mut network).len(), 2);
        // Without an id there is nobody else to ask for.
        network.hides_lids = true;
        network.join(3, 0);
        network.send(ANN, number(3), "3EB002", "hi");
        assert_eq!(network.clients[ANN].failures(), [SendError::NoDevices]);
    }
}

#[test]
fn what_is_refused_for_its_addresses_goes_once_more_by_the_other_name() {
    for (migrated, refused) in [(true, Space::Lid), (false, Space::Phone)] {
        let mut network = if migrated {
            Network::migrated()
        } else {
            Network::ann_and_bob()
        };
        network.refuses = Some((refused, 400));
        network.keep(ANN, "3EB001", phone(2), "hi");
        network.send(ANN, number(2), "3EB001", "hi");
        let ann = &network.clients[ANN];
        let ids: Vec<_> = ann
            .sent("message")
            .iter()
            .map(|node| node.attr_str("id").unwrap())
            .collect();
        assert_eq!(ids, ["3EB001", "3EB001"]);
        assert_eq!((ann.acked(), ann.failures().len()), (1, 0));
        let prepared = |event: &&Event| matches!(event, Event::MessagePrepared { .. });
        assert_eq!(ann.events.iter().filter(prepared).count(), 1);
        assert_eq!(network.clients[BOB].texts(), ["hi"]);
        let taken = if migrated { by_phone() } else { by_lid() };
        assert_eq!(targets(&network), taken);
        // It is the account's way from now on, over restarts.
        network.restart(ANN);
        network.send(ANN, number(2), "3EB002", "again");
        assert_eq!(network.clients[ANN].sent("message").len(), 1);
        assert_eq!(targets(&network), taken);
        let device = network.clients[ANN].store.device().unwrap();
        assert_eq!(device.account.unwrap().is_migrated, !migrated);
    }
}

#[test]
fn other_refusals_and_those_of_both_names_are_told() {
    let mut network = Network::migrated();
    network.keep(ANN, "3EB001", phone(2), "hi");
    network.refuses = Some((Space::Lid, 463));
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::Nack { code: 463 }]);
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    network.forget();
    network.nack = Some(400);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::Nack { code: 400 }]);
    assert_eq!(network.clients[ANN].sent("message").len(), 2);
    network.forget();
    // The owner does not have it any more.
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::Nack { code: 400 }]);
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
}

#[test]
fn a_hidden_id_that_is_out_of_date_is_asked_for_once() {
    let mut network = Network::migrated();
    network.send(ANN, number(2), "3EB001", "one");
    network.questions.clear();
    let new = |device: u16| Jid::new("200000000000002", Server::Lid).with_device(device);
    for client in network
        .clients
        .iter_mut()
        .filter(|client| client.jid.same_user(&phone(2)))
    {
        let old = client.lid.clone();
        client.lid = new(old.device());
    }
    network.says_lids_are_old = true;
    // The server still knows the old one.
    network.send(ANN, number(2), "3EB002", "two");
    let asked = queries(&mut network);
    assert_eq!(asked.len(), 1);
    let query = asked[0].child_at(&["usync", "query"]).unwrap();
    assert_eq!(query.nodes().len(), 1, "the id alone");
    network.send(ANN, number(2), "3EB003", "three");
    assert_eq!(network.clients[ANN].last_message().attr_jid("to"), Some(new(0)));
    assert_eq!(
        network.clients[BOB].texts().last().map(String::as_str),
        Some("three")
    );
    network.questions.clear();
    network.send(ANN, number(2), "3EB004", "four");
    assert!(queries(&mut network).is_empty(), "once per user and connection");
}

#[test]
fn a_change_of_devices_is_heard_by_either_name() {
    for name in [phone(2), lid(2)] {
        let mut network = Network::migrated();
        network.send(ANN, number(2), "3EB001", "one");
        let tablet = network.join(2, 6);
        let told = Node::new("notification")
            .attr("id", "n1")
            .attr("type", "devices")
            .attr("from", &name)
            .with_child(Node::new("add"));
        network.hand(ANN, &told);
        network.send(ANN, number(2), "3EB002", "two");
        assert_eq!(network.clients[tablet].texts(), ["two"], "{name}");
    }
}

#[test]
fn own_devices_alone_make_no_send_fail() {
    let mut network = Network::migrated();
    network.unregistered.insert(phone(1));
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].acked(), 1);
    assert_eq!(targets(&network), all(&[lid(2), lid(2).with_device(5)]));
}

#[test]
fn a_text_carries_a_secret_on_all_devices() {
    let mut network = Network::migrated();
    network.send(ANN, number(2), "3EB001", "hi");
    let secret = |network: &Network, at: usize| {
        let message = network.clients[at].messages()[0].message.clone();
        message.message_context_info.and_then(|info| info.message_secret)
    };
    let sent = secret(&network, BOB).expect("a secret");
    assert_eq!(sent.len(), 32);
    assert_eq!(secret(&network, ANN_PHONE), Some(sent), "our own copy too");
}
