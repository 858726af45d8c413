//! Messages on their way out.

use std::time::Duration;

use super::network::{Network, lid, number, outgoing, phone};
use crate::binary::Node;
use crate::command::{Command, Recipient};
use crate::connection::{Input, Timing};
use crate::event::{Event, QueryError, SendError};
use crate::jid::Jid;
use crate::messages::MAX_SENDS;
use crate::signal::PreKeyBundle;
use crate::stanza::ack::MessageAck;

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
const ANN: usize = 1;
const BOB: usize = 2;
const BOB_LAPTOP: usize = 3;

fn target(user: u32, device: u16, kind: &str) -> (String, String) {
    (phone(user).with_device(device).to_string(), kind.to_owned())
}

fn is_xmlns(name: &'static str) -> impl Fn(&&Node) -> bool {
    move |node| node.attr_is("xmlns", name)
}

#[test]
fn a_first_message_reaches_every_device_and_our_own_phone() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let ann = &network.clients[ANN];
    assert_eq!(
        ann.last_targets(),
        [
            target(2, 0, "pkmsg"),
            target(2, 5, "pkmsg"),
            target(1, 0, "pkmsg")
        ]
    );
    assert!(ann.last_message().child("device-identity").is_some());
    assert_eq!(ann.last_message().attr_jid("to"), Some(phone(2)));
    let told: Vec<&Event> = ann
        .events
        .iter()
        .filter(|event| !matches!(event, Event::LidMapping { .. } | Event::Receipt(_)))
        .collect();
    let [
        Event::MessagePrepared { to, lid: theirs, .. },
        Event::MessageAcked { .. },
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((to, theirs.as_ref()), (&phone(2), Some(&lid(2))));
    for device in [BOB, BOB_LAPTOP] {
        assert_eq!(network.clients[device].texts(), ["hi"]);
        let message = network.clients[device].messages()[0];
        assert_eq!((&message.chat, message.from_me), (&phone(1), false));
        assert_eq!(
            (message.lid.as_ref(), message.phone.as_ref()),
            (Some(&lid(1)), Some(&phone(1)))
        );
    }
    let copy = network.clients[ANN_PHONE].messages()[0];
    assert_eq!((&copy.chat, copy.from_me), (&phone(2), true));
    assert_eq!(copy.message.conversation.as_deref(), Some("hi"));
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 1);
    assert_eq!(network.questions.iter().filter(is_xmlns("encrypt")).count(), 1);
}

#[test]
fn sessions_are_kept_under_the_hidden_id() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    assert!(network.has_session(ANN, lid(2)));
    assert!(network.has_session(ANN, lid(2).with_device(5)));
    assert!(!network.has_session(ANN, phone(2)));
    assert!(network.has_session(BOB, lid(1).with_device(3)));
}

#[test]
fn after_an_answer_messages_start_no_session() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    assert!(network.clients[BOB].last_targets().contains(&target(1, 3, "msg")));
    network.send(ANN, number(2), "3EB003", "three");
    let ann = &network.clients[ANN];
    // The laptop has not answered.
    assert_eq!(
        ann.last_targets()[..2],
        [target(2, 0, "msg"), target(2, 5, "pkmsg")]
    );
    assert_eq!(ann.texts(), ["two"]);
    assert_eq!(network.clients[BOB_LAPTOP].texts(), ["one", "two", "three"]);
    assert_eq!(network.clients[ANN_PHONE].texts(), ["one", "two", "three"]);
    network.send(ANN, number(2), "3EB004", "four");
    assert_eq!(network.clients[BOB].texts(), ["one", "three", "four"]);
}

#[test]
fn a_second_message_asks_nothing() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    network.questions.clear();
    network.send(ANN, number(2), "3EB002", "two");
    assert!(network.questions.is_empty());
    // Lists live by what the server tells, for a day.
    network.pass(Duration::from_secs(3600));
    network.questions.clear();
    network.send(ANN, number(2), "3EB003", "three");
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 0);
    network.pass(Duration::from_secs(24 * 3600));
    network.questions.clear();
    network.send(ANN, number(2), "3EB004", "four");
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 1);
    assert_eq!(network.clients[BOB].texts(), ["one", "two", "three", "four"]);
}

#[test]
fn sends_that_wait_share_their_questions() {
    let mut network = Network::ann_and_bob();
    let carol = network.join(3, 0);
    let dave = network.join(4, 0);
    let now = network.now;
    for (id, user) in [("3EB001", 2), ("3EB002", 3), ("3EB003", 4), ("3EB004", 2)] {
        network.clients[ANN]
            .connection
            .handle(Input::Command(outgoing(number(user), id, id)), now);
    }
    network.settle();
    // The first leaves at once, all others wait for the second.
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 2);
    assert_eq!(network.questions.iter().filter(is_xmlns("encrypt")).count(), 2);
    assert_eq!(network.clients[BOB].texts(), ["3EB001", "3EB004"]);
    assert_eq!(network.clients[carol].texts(), ["3EB002"]);
    assert_eq!(network.clients[dave].texts(), ["3EB003"]);
    assert_eq!(network.clients[ANN].acked(), 4);
}

#[test]
fn both_sides_may_begin_at_once() {
    let mut network = Network::ann_and_bob();
    network.hold = true;
    network.send(ANN, number(2), "3EB001", "from ann");
    network.send(BOB, number(1), "3EB002", "from bob");
    network.hold = false;
    while !network.held.is_empty() {
        network.hand_held();
    }
    assert_eq!(network.clients[ANN].texts(), ["from bob"]);
    assert_eq!(network.clients[BOB].texts(), ["from ann"]);
    for round in 0..3 {
        network.send(ANN, number(2), &format!("3EB01{round}"), "a");
        network.send(BOB, number(1), &format!("3EB02{round}"), "b");
    }
    assert_eq!(network.clients[ANN].texts().len(), 4);
    assert_eq!(network.clients[BOB].texts().len(), 4);
    assert!(
        network
            .clients
            .iter()
            .all(|client| client.undecryptable().is_empty())
    );
}

#[test]
fn a_number_without_account_fails_for_good() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(9), "3EB001", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::NotOnWhatsApp]);
    assert!(!SendError::NotOnWhatsApp.is_retryable());
    network.send(
        ANN,
        Recipient::Jid("1@broadcast".parse().unwrap()),
        "3EB002",
        "hi",
    );
    assert!(matches!(
        network.clients[ANN].failures()[1],
        SendError::Unsupported(_)
    ));
}

#[test]
fn a_device_that_is_not_linked_any_more_is_left_out() {
    let mut network = Network::ann_and_bob();
    network.unregistered.insert(phone(2).with_device(5));
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        network.clients[ANN].last_targets(),
        [target(2, 0, "pkmsg"), target(1, 0, "pkmsg")]
    );
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    // The list that named it is asked for again.
    network.questions.clear();
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 1);
}

#[test]
fn without_any_device_nothing_is_sent() {
    let mut network = Network::ann_and_bob();
    network.unregistered.extend([phone(2), phone(2).with_device(5)]);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].failures(), [SendError::NoDevices]);
    assert!(network.clients[ANN].sent("message").is_empty());
}

#[test]
fn a_bundle_with_a_wrong_signature_is_refused() {
    let mut network = Network::ann_and_bob();
    network
        .published
        .get_mut(&phone(2))
        .unwrap()
        .keys
        .signed
        .signature[7] ^= 1;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        network.clients[ANN].last_targets(),
        [target(2, 5, "pkmsg"), target(1, 0, "pkmsg")]
    );
    assert!(network.clients[BOB].messages().is_empty());
}

#[test]
fn a_companion_with_a_wrong_proof_is_refused() {
    let mut network = Network::ann_and_bob();
    let published = network.published.get_mut(&phone(2).with_device(5)).unwrap();
    let mut proof = published.proof.take().unwrap().to_vec();
    *proof.last_mut().unwrap() ^= 1;
    published.proof = Some(proof.into());
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        network.clients[ANN].last_targets(),
        [target(2, 0, "pkmsg"), target(1, 0, "pkmsg")]
    );
}

#[test]
fn a_session_starts_without_a_one_time_key() {
    let mut network = Network::ann_and_bob();
    network.published.get_mut(&phone(2)).unwrap().keys.prekeys.clear();
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
}

#[test]
fn a_refusal_is_told_with_its_code() {
    let mut network = Network::ann_and_bob();
    for (code, again) in [
        (463u16, false),
        (479, false),
        (429, true),
        (503, true),
        (530, true),
    ] {
        network.nack = Some(u32::from(code));
        network.forget();
        network.send(ANN, number(2), &format!("3EB{code}"), "hi");
        let failures = network.clients[ANN].failures();
        assert_eq!(failures, [SendError::Nack { code }]);
        assert_eq!(failures[0].is_retryable(), again, "{code}");
    }
}

#[test]
fn silence_is_told_in_time_and_a_late_answer_still_counts() {
    let mut network = Network::ann_and_bob();
    network.silent = true;
    network.send(ANN, number(2), "3EB001", "hi");
    network.pass(Timing::default().ack - Duration::from_millis(1));
    assert!(network.clients[ANN].failures().is_empty());
    network.pass(Duration::from_millis(1));
    assert_eq!(network.clients[ANN].failures(), [SendError::Unconfirmed]);
    let ack = MessageAck {
        id: "3EB001".parse().unwrap(),
        from: phone(2),
        timestamp: Some(network.now),
        error: None,
        phash: None,
    };
    network.hand(ANN, &ack.to_node());
    network.hand(ANN, &ack.to_node());
    assert_eq!(network.clients[ANN].acked(), 1);
    // The owner sends again under the same id.
    network.silent = false;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].acked(), 2);
}

#[test]
fn a_bundle_that_is_refused_for_the_moment_leaves_no_device_out() {
    let mut network = Network::ann_and_bob();
    let laptop = phone(2).with_device(5);
    network.bundle_refusals.insert(laptop.clone(), 503);
    network.send(ANN, number(2), "3EB001", "hi");
    let refused = SendError::Query(QueryError::Refused { code: 503 });
    assert_eq!(network.clients[ANN].failures(), [refused]);
    // For good, it costs the device alone.
    network.bundle_refusals.insert(laptop, 403);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[ANN].acked(), 1);
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
}

#[test]
fn of_two_tries_under_one_id_one_is_confirmed() {
    let mut network = Network::ann_and_bob();
    network.silent = true;
    network.send(ANN, number(2), "3EB001", "hi");
    network.pass(Timing::default().ack);
    network.send(ANN, number(2), "3EB001", "hi");
    let ack = MessageAck {
        id: "3EB001".parse().unwrap(),
        from: phone(2),
        timestamp: Some(network.now),
        error: None,
        phash: None,
    };
    network.hand(ANN, &ack.to_node());
    network.hand(ANN, &ack.to_node());
    assert_eq!(network.clients[ANN].acked(), 1);
}

#[test]
fn a_failed_query_fails_the_sends_that_wait_for_it() {
    let mut network = Network::ann_and_bob();
    network.usync_error = Some(429);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(
        network.clients[ANN].failures(),
        [SendError::Query(QueryError::Refused { code: 429 })]
    );
    network.usync_error = None;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
}

#[test]
fn a_send_can_be_stopped_until_it_is_encrypted() {
    let mut network = Network::ann_and_bob();
    let now = network.now;
    let connection = &mut network.clients[ANN].connection;
    connection.handle(Input::Command(outgoing(number(2), "3EB001", "hi")), now);
    connection.handle(Input::Command(Command::Cancel("3EB001".parse().unwrap())), now);
    network.settle();
    assert_eq!(network.clients[ANN].failures(), [SendError::Cancelled]);
    network.send(ANN, number(2), "3EB002", "hi");
    network.command(ANN, Command::Cancel("3EB002".parse().unwrap()));
    assert_eq!(network.clients[ANN].failures().len(), 1);
}

#[test]
fn too_many_sends_are_refused() {
    let mut network = Network::ann_and_bob();
    let now = network.now;
    for n in 0..=MAX_SENDS {
        let send = outgoing(number(2), &format!("3EB{n:05}"), "hi");
        network.clients[ANN].connection.handle(Input::Command(send), now);
    }
    network.settle();
    assert_eq!(network.clients[ANN].failures(), [SendError::Busy]);
    assert_eq!(network.clients[ANN].acked(), MAX_SENDS);
}

#[test]
fn a_message_that_fits_no_frame_is_refused_and_costs_nothing_else() {
    let mut network = Network::ann_and_bob();
    let text = "x".repeat(crate::messages::MAX_MESSAGE_BYTES);
    network.send(ANN, number(2), "3EB001", &text);
    assert!(matches!(
        network.clients[ANN].failures()[..],
        [SendError::Unsupported(_)]
    ));
    network.send(ANN, number(2), "3EB002", "short");
    assert_eq!(network.clients[BOB].texts(), ["short"]);
}

#[test]
fn the_end_of_a_connection_answers_every_send() {
    let mut network = Network::ann_and_bob();
    network.silent = true;
    network.send(ANN, number(2), "3EB001", "hi");
    let now = network.now;
    network.clients[ANN]
        .connection
        .handle(Input::Command(outgoing(number(3), "3EB002", "hi")), now);
    network.clients[ANN].connection.handle(Input::SocketClosed, now);
    network.settle();
    let failures = network.clients[ANN].failures();
    assert!(failures.contains(&SendError::Unconfirmed) && failures.contains(&SendError::NotConnected));
}

#[test]
fn a_chat_by_hidden_id_names_all_devices_by_it() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, Recipient::Jid(lid(2)), "3EB001", "hi");
    let names: Vec<String> = network.clients[ANN]
        .last_targets()
        .into_iter()
        .map(|(jid, _)| jid)
        .collect();
    let expected = [lid(2), lid(2).with_device(5), lid(1)].map(|jid: Jid| jid.to_string());
    assert_eq!(names, expected);
    assert_eq!(network.clients[BOB].messages()[0].phone, Some(phone(1)));
    // By number it is the same session.
    network.send(ANN, number(2), "3EB002", "again");
    assert_eq!(network.clients[BOB].texts(), ["hi", "again"]);
}

#[test]
fn a_note_to_self_goes_to_our_other_devices() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(1), "3EB001", "buy milk");
    assert_eq!(network.clients[ANN].last_targets(), [target(1, 0, "pkmsg")]);
    let note = network.clients[ANN_PHONE].messages()[0];
    assert_eq!((&note.chat, note.from_me), (&phone(1), true));
}

#[test]
fn a_session_moves_to_the_hidden_id_when_that_is_learned() {
    let mut network = Network::ann_and_bob();
    network.hides_lids = true;
    network.send(ANN, number(2), "3EB001", "one");
    assert!(network.has_session(ANN, phone(2)));
    network.hides_lids = false;
    // Out of memory, so that it must be found in the store.
    network.pass(Duration::from_secs(25 * 3600));
    network.pass(Duration::from_secs(400));
    network.questions.clear();
    network.send(ANN, number(2), "3EB002", "two");
    assert!(network.has_session(ANN, lid(2)) && !network.has_session(ANN, phone(2)));
    assert_eq!(network.questions.iter().filter(is_xmlns("encrypt")).count(), 0);
    assert_eq!(network.clients[BOB].texts(), ["one", "two"]);
    // In memory too.
    network.hides_lids = true;
    network.send(BOB, number(1), "3EB003", "three");
    network.hides_lids = false;
    network.send(BOB, number(1), "3EB004", "four");
    assert_eq!(network.clients[ANN].texts(), ["three", "four"]);
}

#[test]
fn a_new_device_is_found_when_the_server_tells() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "one");
    let tablet = network.join(2, 6);
    let add = Node::new("add").with_child(Node::new("device").attr("jid", phone(2).with_device(6)));
    let told = Node::new("notification")
        .attr("id", "n1")
        .attr("type", "devices")
        .attr("from", phone(2))
        .attr("lid", lid(2))
        .with_child(add);
    network.hand(ANN, &told);
    assert!(
        network.clients[ANN]
            .sent("ack")
            .iter()
            .any(|ack| ack.attr_is("id", "n1"))
    );
    network.send(ANN, number(2), "3EB002", "two");
    assert_eq!(network.clients[tablet].texts(), ["two"]);
}

#[test]
fn a_device_list_that_the_server_disputes_is_asked_for_again() {
    let mut network = Network::ann_and_bob();
    network.silent = true;
    network.send(ANN, number(2), "3EB001", "hi");
    let mut ack = MessageAck {
        id: "3EB001".parse().unwrap(),
        from: phone(2),
        timestamp: None,
        error: None,
        phash: Some("2:AAAAAAAA".into()),
    };
    network.hand(ANN, &ack.to_node());
    network.questions.clear();
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(network.questions.iter().filter(is_xmlns("usync")).count(), 1);
    // The right hash disputes nothing.
    let devices = [
        phone(1),
        phone(1).with_device(3),
        phone(2),
        phone(2).with_device(5),
    ];
    ack.id = "3EB002".parse().unwrap();
    ack.phash = Some(crate::phash::devices_hash(devices.iter()));
    network.hand(ANN, &ack.to_node());
    network.questions.clear();
    network.send(ANN, number(2), "3EB003", "hi");
    assert!(network.questions.is_empty());
}

#[test]
fn a_changed_identity_voids_the_sessions() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let told = Node::new("notification")
        .attr("id", "n1")
        .attr("type", "encrypt")
        .attr("from", phone(2))
        .with_child(Node::new("identity"));
    network.hand(ANN, &told);
    assert!(!network.has_session(ANN, lid(2)));
    network.send(ANN, number(2), "3EB002", "again");
    assert_eq!(network.clients[ANN].last_targets()[0], target(2, 0, "pkmsg"));
    assert_eq!(network.clients[BOB].texts(), ["hi", "again"]);
}

#[test]
fn numbers_are_looked_up() {
    let mut network = Network::ann_and_bob();
    let numbers = vec!["15550002".to_owned(), "15550009".to_owned()];
    network.command(ANN, Command::IsOnWhatsApp { ticket: 7, numbers });
    let answer = network.clients[ANN].events.iter().find_map(|event| match event {
        Event::IsOnWhatsApp { ticket: 7, result } => Some(result.clone().unwrap()),
        _ => None,
    });
    let answer = answer.unwrap();
    assert_eq!(
        (answer[0].jid.clone(), answer[0].lid.clone()),
        (Some(phone(2)), Some(lid(2)))
    );
    assert_eq!(
        (answer[1].number.as_str(), answer[1].jid.clone()),
        ("15550009", None)
    );
    let many = (0..150).map(|n| format!("1999000{n:03}")).collect();
    network.questions.clear();
    network.command(
        ANN,
        Command::IsOnWhatsApp {
            ticket: 8,
            numbers: many,
        },
    );
    assert_eq!(network.questions.len(), 3);
}

#[test]
fn a_burst_to_a_crowd_leaves_nobody_behind() {
    let mut network = Network::ann_and_bob();
    let crowd = network.take_bundle(BOB);
    network.crowd = Some(PreKeyBundle {
        prekey: None,
        ..crowd
    });
    for round in 0..2 {
        // The second time the sessions come from the store.
        network.restart(ANN);
        let now = network.now;
        for n in 0..MAX_SENDS {
            let to = Recipient::Phone(format!("1777{n:04}"));
            let send = outgoing(to, &format!("3EB{round}{n:05}"), "hi");
            network.clients[ANN].connection.handle(Input::Command(send), now);
        }
        network.settle();
        assert_eq!(
            network.clients[ANN].acked(),
            MAX_SENDS,
            "{:?}",
            network.clients[ANN].failures()
        );
    }
}
