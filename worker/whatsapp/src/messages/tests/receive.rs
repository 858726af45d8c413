//! Messages on their way in, their receipts, and everybody else's.

use super::forger::Forger;
use super::network::{Network, lid, number, phone, text_message};
use crate::binary::Node;
use crate::command::{Command, Presence};
use crate::event::{Event, ReceiptKind};
use crate::messages::MAX_WAITING_RECEIPTS;
use crate::proto::Message;
use crate::proto::message::{HistorySyncNotification, ProtocolMessage, protocol_message};

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
const ANN: usize = 1;
const BOB: usize = 2;

fn attr(node: &Node, name: &str) -> Option<String> {
    node.attr_str(name).map(|value| value.into_owned())
}

#[test]
fn each_kind_of_message_gets_its_receipt() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let receipt = network.clients[BOB].receipts(None)[0];
    assert_eq!(attr(receipt, "to").unwrap(), phone(1).with_device(3).to_string());
    assert_eq!(attr(receipt, "participant"), None);
    let copy = network.clients[ANN_PHONE].receipts(Some("sender"))[0];
    assert_eq!(attr(copy, "to").unwrap(), phone(1).with_device(3).to_string());
    assert_eq!(attr(copy, "recipient").unwrap(), phone(2).to_string());
    network.command(BOB, Command::SetPresence(Presence::Unavailable));
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(network.clients[BOB].receipts(Some("inactive")).len(), 1);
}

#[test]
fn receipts_are_told_and_acked() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let read = Command::MarkRead {
        chat: phone(1),
        sender: None,
        ids: vec!["3EB001".parse().unwrap()],
    };
    network.command(BOB, read);
    // A user address leads to the first device; the server would tell all of them.
    network.hand(
        ANN,
        &Node::new("receipt")
            .attr("id", "3EB001")
            .attr("from", phone(2))
            .attr("type", "read")
            .attr("t", 9u64),
    );
    let ann = &network.clients[ANN];
    let told: Vec<_> = ann
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Receipt(receipt) => Some((receipt.kind, receipt.chat.clone(), receipt.from.clone())),
            _ => None,
        })
        .collect();
    assert!(told.contains(&(ReceiptKind::Delivered, phone(2), phone(2).with_device(5))));
    assert!(told.contains(&(ReceiptKind::Sender, phone(2), phone(1))));
    assert_eq!(told.last(), Some(&(ReceiptKind::Read, phone(2), phone(2))));
    let acks = ann
        .sent("ack")
        .into_iter()
        .filter(|ack| ack.attr_is("class", "receipt"))
        .count();
    assert_eq!(acks, told.len());
}

#[test]
fn an_account_that_keeps_its_reading_to_itself_tells_its_own_devices_alone() {
    let read = |chat: crate::jid::Jid| Command::MarkRead {
        chat,
        sender: None,
        ids: vec!["3EB001".parse().unwrap()],
    };
    let said = |network: &mut Network, chat| {
        network.clients[BOB].sent.clear();
        network.command(BOB, read(chat));
        let sent = network.clients[BOB].sent("receipt");
        sent.iter()
            .map(|node| attr(node, "type").unwrap())
            .collect::<Vec<_>>()
    };
    let asked = |network: &Network| {
        let privacy = network
            .questions
            .iter()
            .filter(|iq| iq.child("privacy").is_some());
        privacy.count()
    };
    for (setting, kind) in [
        (Some("all"), "read"),
        (Some("none"), "read-self"),
        (None, "read-self"),
    ] {
        let mut network = Network::ann_and_bob();
        network.read_receipts = setting;
        assert_eq!(asked(&network), 0, "nobody has read anything");
        for _ in 0..2 {
            assert_eq!(said(&mut network, phone(1)), [kind], "{setting:?}");
        }
        // What is not known is asked for again.
        assert_eq!(asked(&network), if setting.is_some() { 1 } else { 2 });
        assert_eq!(said(&mut network, "1-2@g.us".parse().unwrap()), ["read"]);
        // Changed by the phone.
        let other = if kind == "read" { "none" } else { "all" };
        let category = Node::new("category")
            .attr("name", "readreceipts")
            .attr("value", other);
        let changed = Node::new("notification")
            .attr("id", "1")
            .attr("from", phone(2))
            .attr("type", "account_sync")
            .with_child(Node::new("privacy").with_child(category));
        network.hand(BOB, &changed);
        let kind = if kind == "read" { "read-self" } else { "read" };
        assert_eq!(said(&mut network, phone(1)), [kind], "{setting:?}");
    }
}

#[test]
fn what_our_own_devices_have_says_nothing_of_the_recipient() {
    let mut network = Network::ann_and_bob();
    let own = |kind: Option<&'static str>| {
        Node::new("receipt")
            .attr("id", "3EB001")
            .attr("from", phone(1))
            .attr("recipient", phone(2))
            .attr_opt("type", kind)
            .attr("t", 9u64)
    };
    for (kind, expected) in [
        (Some("read"), ReceiptKind::ReadSelf),
        (Some("played"), ReceiptKind::ReadSelf),
        (None, ReceiptKind::Sender),
    ] {
        network.forget();
        network.hand(ANN, &own(kind));
        let [Event::Receipt(told)] = &network.clients[ANN].events[..] else {
            panic!("{kind:?}")
        };
        assert_eq!((told.kind, &told.chat), (expected, &phone(2)));
    }
}

#[test]
fn a_late_receipt_of_a_hidden_id_names_the_number() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hello");
    // Nothing is in memory any more.
    network.restart(ANN);
    let receipt = |kind: Option<&'static str>, from: crate::jid::Jid| {
        Node::new("receipt")
            .attr("id", "3EB001")
            .attr("from", from)
            .attr_opt("type", kind)
            .attr("t", 9u64)
    };
    let together = [
        receipt(None, lid(2).with_device(5)),
        receipt(Some("read"), lid(2)),
        // Of somebody of whom nothing is known.
        receipt(Some("read"), lid(77)),
    ];
    network.hand_together(ANN, &together);
    network.settle();
    let ann = &network.clients[ANN];
    let told: Vec<_> = ann
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Receipt(receipt) => Some((receipt.kind, receipt.chat.clone(), receipt.other.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [
            // Of whom nothing is known, nothing more is asked.
            (ReceiptKind::Read, lid(77), None),
            (ReceiptKind::Delivered, lid(2), Some(phone(2))),
            (ReceiptKind::Read, lid(2), Some(phone(2))),
        ]
    );
    let acks = ann.sent("ack").into_iter();
    assert_eq!(acks.filter(|ack| ack.attr_is("class", "receipt")).count(), 3);
}

#[test]
fn a_receipt_beyond_those_that_may_wait_overtakes_none_of_its_chat() {
    let mut network = Network::ann_and_bob();
    let receipt = |kind: Option<&'static str>, user: u32| {
        Node::new("receipt")
            .attr("id", "3EB001")
            .attr("from", lid(user))
            .attr_opt("type", kind)
            .attr("t", 9u64)
    };
    let mut together = vec![receipt(None, 3)];
    together.extend((1..MAX_WAITING_RECEIPTS as u32).map(|n| receipt(None, 100 + n)));
    together.push(receipt(Some("read"), 3));
    network.hand_together(ANN, &together);
    network.settle();
    let ann = &network.clients[ANN];
    let of_the_chat = ann.events.iter().filter_map(|event| match event {
        Event::Receipt(told) if told.chat == lid(3) => Some(told.kind),
        _ => None,
    });
    assert_eq!(
        of_the_chat.collect::<Vec<_>>(),
        [ReceiptKind::Delivered, ReceiptKind::Read]
    );
    let acks = ann.sent("ack").into_iter();
    let acks = acks.filter(|ack| ack.attr_is("class", "receipt"));
    assert_eq!(acks.count(), together.len());
}

#[test]
fn messages_are_taken_in_any_order_and_shown_once() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB000", "first");
    network.send(BOB, number(1), "3EB00A", "answer");
    network.hold = true;
    for n in 1..=4 {
        network.send(ANN, number(2), &format!("3EB00{n}"), &n.to_string());
    }
    let mut to_bob: Vec<Node> = network
        .held
        .drain(..)
        .filter(|(at, _)| *at == BOB)
        .map(|(_, node)| node)
        .collect();
    network.hold = false;
    to_bob.swap(0, 3);
    network.forget();
    for node in &to_bob {
        network.hand(BOB, node);
    }
    assert_eq!(network.clients[BOB].texts(), ["4", "2", "3", "1"]);
    network.forget();
    for node in &to_bob {
        network.hand(BOB, node);
    }
    let bob = &network.clients[BOB];
    assert!(bob.messages().is_empty() && bob.undecryptable().is_empty());
    assert_eq!(bob.receipts(None).len(), 4);
}

#[test]
fn a_first_message_twice_is_shown_once() {
    let mut network = Network::ann_and_bob();
    network.hold = true;
    network.send(ANN, number(2), "3EB001", "hi");
    let (_, node) = network.held.iter().find(|(at, _)| *at == BOB).cloned().unwrap();
    network.hold = false;
    let before = network.clients[BOB].store.prekeys();
    network.hand(BOB, &node);
    assert_eq!(
        network.clients[BOB].store.prekeys(),
        before - 1,
        "its one-time key is used up"
    );
    network.hand(BOB, &node);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    assert_eq!(network.clients[BOB].receipts(None).len(), 2);
}

#[test]
fn a_message_that_is_encrypted_anew_under_its_id_is_shown_once() {
    let mut network = Network::ann_and_bob();
    for _ in 0..2 {
        network.send(ANN, number(2), "3EB001", "hi");
    }
    let bob = &network.clients[BOB];
    assert_eq!(bob.texts(), ["hi"]);
    assert_eq!(bob.receipts(None).len(), 2);
    assert_eq!(network.clients[ANN_PHONE].texts(), ["hi"]);
    // Ids are each sender's own.
    network.send(BOB, number(1), "3EB001", "hello");
    assert_eq!(network.clients[ANN].texts(), ["hello"]);
}

#[test]
fn a_message_that_is_encrypted_anew_after_a_restart_is_shown_once() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    network.send(BOB, number(1), "3EB00A", "answer");
    for who in [BOB, ANN, BOB] {
        // Whoever comes back, the sender repeats what it is not sure of.
        network.restart(who);
        network.forget();
        network.send(ANN, number(2), "3EB001", "hi");
        let bob = &network.clients[BOB];
        assert!(bob.messages().is_empty());
        assert_eq!(bob.receipts(None).len(), 1, "but it is receipted each time");
    }
    // Nor is the copy that our phone got.
    network.restart(ANN_PHONE);
    network.send(ANN, number(2), "3EB001", "hi");
    assert!(network.clients[ANN_PHONE].messages().is_empty());
    network.send(ANN, number(2), "3EB002", "news");
    assert_eq!(network.clients[BOB].texts(), ["news"]);
    assert_eq!(network.clients[ANN_PHONE].texts(), ["news"]);
}

#[test]
fn the_step_that_shows_a_message_remembers_it() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    // What a process leaves behind that dies after this commit is what the store has now.
    let before = network.clients[BOB].store.commits();
    network.send(ANN, number(2), "3EB002", "again");
    assert_eq!(network.clients[BOB].store.commits(), before + 1);
    network.restart(BOB);
    network.send(ANN, number(2), "3EB002", "again");
    assert!(network.clients[BOB].messages().is_empty());
}

#[test]
fn more_messages_than_may_wait_are_all_taken() {
    let mut network = Network::ann_and_bob();
    network.hold = true;
    let count = crate::messages::MAX_WAITING_MESSAGES + 50;
    for n in 0..count {
        network.send(BOB, number(1), &format!("3EB0{n}"), &n.to_string());
    }
    network.hold = false;
    network.restart(ANN);
    let burst: Vec<Node> = network
        .held
        .drain(..)
        .filter(|(at, _)| *at == ANN)
        .map(|(_, node)| node)
        .collect();
    network.hand_together(ANN, &burst);
    let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(network.clients[ANN].texts(), expected);
}

#[test]
fn a_stranger_speaks_in_its_own_chat_only() {
    let mut network = Network::ann_and_bob();
    let mut forger = Forger::new(&mut network, ANN);
    let stanza = forger
        .stanza(&phone(7), "A", &text_message("hi"))
        .attr("recipient", phone(2));
    network.hand(ANN, &stanza);
    assert_eq!(network.clients[ANN].messages()[0].chat, phone(7));
}

#[test]
fn a_message_after_a_restart_is_read_with_the_stored_ratchet() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.restart(BOB);
    network.send(ANN, number(2), "3EB002", "two");
    assert_eq!(network.clients[BOB].texts(), ["two"]);
    network.restart(ANN);
    network.send(BOB, number(1), "3EB003", "three");
    assert_eq!(network.clients[ANN].texts(), ["three"]);
}

#[test]
fn a_burst_is_told_in_the_order_it_came() {
    let mut network = Network::ann_and_bob();
    let carol = network.join(3, 0);
    network.hold = true;
    for n in 0..20 {
        let from = [BOB, carol][n % 2];
        network.send(from, number(1), &format!("3EB0{n:02}"), &n.to_string());
    }
    network.hold = false;
    network.restart(ANN);
    let burst: Vec<Node> = network
        .held
        .drain(..)
        .filter(|(at, _)| *at == ANN)
        .map(|(_, node)| node)
        .collect();
    assert_eq!(burst.len(), 20);
    network.hand_together(ANN, &burst);
    let expected: Vec<String> = (0..20).map(|n: u32| n.to_string()).collect();
    assert_eq!(network.clients[ANN].texts(), expected);
}

#[test]
fn a_stanza_without_sender_or_id_is_survived() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &Node::new("message"));
    network.hand(ANN, &Node::new("message").attr("id", "A").attr("from", phone(2)));
    let nack = network.clients[ANN].sent("ack")[0];
    assert_eq!(nack.attr_u64("error"), Some(487));
    network.send(BOB, number(1), "3EB001", "still here");
    assert_eq!(network.clients[ANN].texts(), ["still here"]);
}

#[test]
fn only_our_own_devices_speak_for_us() {
    let mut network = Network::ann_and_bob();
    let mut forger = Forger::new(&mut network, ANN);
    let stranger = phone(7);
    let copy = crate::e2e::plaintext::device_sent(text_message("I owe you"), &phone(2));
    network.hand(ANN, &forger.stanza(&stranger, "A", &copy));
    let history = protocol(protocol_message::Type::HistorySyncNotification);
    network.hand(ANN, &forger.stanza(&stranger, "B", &history));
    let ann = &network.clients[ANN];
    assert!(ann.messages().is_empty());
    assert_eq!(ann.receipts(None).len(), 2);
    assert!(ann.receipts(Some("hist_sync")).is_empty());
}

fn protocol(kind: protocol_message::Type) -> Message {
    let history_sync_notification =
        (kind == protocol_message::Type::HistorySyncNotification).then(HistorySyncNotification::default);
    let protocol = ProtocolMessage {
        r#type: Some(kind.into()),
        history_sync_notification,
        ..Default::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    }
}

#[test]
fn news_from_our_phone_is_acknowledged_by_kind() {
    let mut network = Network::ann_and_bob();
    let phone_keys = network.clients[ANN_PHONE].store.device().unwrap().identity;
    let mut forger = Forger::with_keys(&mut network, ANN, phone_keys);
    let peer = |node: Node| node.attr("category", "peer");
    let history = protocol(protocol_message::Type::HistorySyncNotification);
    network.hand(ANN, &peer(forger.stanza(&phone(1), "A", &history)));
    let keys = protocol(protocol_message::Type::AppStateSyncKeyShare);
    network.hand(ANN, &peer(forger.stanza(&phone(1), "B", &keys)));
    let ann = &network.clients[ANN];
    assert!(ann.messages().is_empty());
    assert_eq!(ann.receipts(Some("peer_msg")).len(), 2);
    let history = ann.receipts(Some("hist_sync"));
    assert_eq!(attr(history[0], "id").as_deref(), Some("A"));
    assert_eq!(history.len(), 1);
}

#[test]
fn rubbish_inside_a_good_ciphertext_is_refused() {
    let mut network = Network::ann_and_bob();
    let mut forger = Forger::new(&mut network, ANN);
    let node = |enc| {
        Node::new("message")
            .attr("id", "A")
            .attr("from", phone(7))
            .attr("t", 1u64)
            .with_child(enc)
    };
    network.hand(ANN, &node(forger.enc(b"no padding at all")));
    assert_eq!(network.clients[ANN].receipts(Some("retry")).len(), 1);
    network.hand(ANN, &node(forger.enc(&[0x0a, 0x7f, 1])));
    assert_eq!(network.clients[ANN].undecryptable(), [(1, false), (1, true)]);
    assert_eq!(
        network.clients[ANN].sent("ack").last().unwrap().attr_u64("error"),
        Some(491)
    );
}

#[test]
fn names_are_learned_from_messages_and_kept() {
    let mut network = Network::ann_and_bob();
    network.send(BOB, number(1), "3EB001", "hi");
    let learned = network.clients[ANN].events.iter().any(|event| {
        matches!(event, Event::LidMapping { phone: number, lid: id } if *number == phone(2) && *id == lid(2))
    });
    assert!(learned);
    // After a restart the store knows it, though the stanza does not say it.
    network.restart(ANN);
    network.hides_lids = true;
    network.send(BOB, number(1), "3EB002", "again");
    let message = network.clients[ANN].messages()[0];
    assert_eq!(message.lid, Some(lid(2)));
    assert!(network.has_session(ANN, lid(2)) && !network.has_session(ANN, phone(2)));
}

#[test]
fn the_store_is_asked_once_for_the_other_name_of_a_stranger() {
    let mut network = Network::ann_and_bob();
    network.hides_lids = true;
    network.send(BOB, number(1), "3EB001", "hi");
    let asked = network.clients[ANN].loads;
    for id in ["3EB002", "3EB003"] {
        network.send(BOB, number(1), id, "again");
    }
    assert_eq!(network.clients[ANN].loads, asked);
    // What is learned holds at once.
    network.hides_lids = false;
    network.send(BOB, number(1), "3EB004", "by both names");
    network.hides_lids = true;
    network.send(BOB, number(1), "3EB005", "by the number alone");
    let messages = network.clients[ANN].messages();
    let lids: Vec<_> = messages.iter().map(|message| message.lid.clone()).collect();
    assert_eq!(lids, [None, None, None, Some(lid(2)), Some(lid(2))]);
}

#[test]
fn what_was_read_before_the_stream_ended_is_remembered() {
    let mut network = Network::ann_and_bob();
    network.send(BOB, number(1), "3EB001", "hi");
    network.hold = true;
    network.send(BOB, number(1), "3EB002", "last");
    network.hold = false;
    let mut held = network.held.drain(..);
    let (_, message) = held.find(|(at, _)| *at == ANN).unwrap();
    drop(held);
    network.hand_together(ANN, &[message.clone(), Node::new("xmlstreamend")]);
    assert_eq!(network.clients[ANN].texts(), ["hi", "last"]);
    network.restart(ANN);
    network.hand(ANN, &message);
    assert!(network.clients[ANN].messages().is_empty());
}
