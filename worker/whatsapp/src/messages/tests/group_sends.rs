//! Group messages on their way out.

use prost::Message as _;

use super::network::{Network, outgoing, phone};
use crate::command::{Command, Outgoing, Recipient};
use crate::connection::Input;
use crate::event::{Event, SendError};
use crate::group::AddressingMode::{self, Lid, Phone};
use crate::group::request::{GroupAnswer, GroupRequest};
use crate::jid::Jid;
use crate::proto::Message;
use crate::signal::PreKeyBundle;
use crate::store::RecordKey;

/// Client number of Ann's companion in [`Network::ann_and_bob`], and of Bob's devices.
const ANN: usize = 1;
const BOB: [usize; 2] = [2, 3];

/// Ann and Bob, and a group of them.
fn network(addressing: AddressingMode) -> (Network, Jid) {
    let mut network = Network::ann_and_bob();
    let group = network.group(addressing, &[1, 2]);
    (network, group)
}

/// With so many others in it, who all share their keys.
fn crowded(members: u32) -> (Network, Jid) {
    let (mut network, group) = network(Lid);
    let crowd = network.take_bundle(BOB[0]);
    network.crowd = Some(PreKeyBundle {
        prekey: None,
        ..crowd
    });
    network.crowd_members = members;
    (network, group)
}

fn say(network: &mut Network, group: &Jid, id: &str) {
    network.send(ANN, Recipient::Jid(group.clone()), id, id);
}

/// How many devices were handed the key with the last message.
fn keyed(network: &Network) -> usize {
    let message = network.clients[ANN].last_message();
    message.child("participants").map_or(0, |keys| keys.nodes().len())
}

/// Bob's phone loses Ann's key.
fn lose_key(network: &mut Network, group: &Jid) {
    let sender = network.clients[ANN].lid.clone();
    let name = RecordKey::sender_key(group, &sender.into());
    let mut changes = crate::store::Changes::default();
    changes.delete(name);
    network.lose(BOB[0], changes);
}

#[test]
fn everybody_gets_the_key_once_and_reads_all_messages() {
    for addressing in [Lid, Phone] {
        let (mut network, group) = network(addressing);
        say(&mut network, &group, "A");
        assert_eq!(
            (network.clients[ANN].acked(), keyed(&network)),
            (1, 3),
            "{addressing:?}"
        );
        say(&mut network, &group, "B");
        assert_eq!(
            (network.clients[ANN].acked(), keyed(&network)),
            (2, 0),
            "{addressing:?}"
        );
        assert_eq!(network.times_described(), 1, "members are asked for once");
        // Our own phone reads along, as everybody does.
        for device in [0, BOB[0], BOB[1]] {
            assert_eq!(network.clients[device].texts(), ["A", "B"], "{device}");
            assert_eq!(network.clients[device].messages()[0].chat, group);
        }
    }
}

#[test]
fn what_is_known_of_a_group_survives_a_restart() {
    let (mut network, group) = network(Lid);
    say(&mut network, &group, "A");
    network.forget();
    network.restart(ANN);
    say(&mut network, &group, "B");
    assert_eq!((network.clients[ANN].acked(), keyed(&network)), (1, 0));
    assert_eq!(network.times_described(), 0);
    assert_eq!(network.clients[BOB[0]].texts(), ["B"]);
}

#[test]
fn a_new_key_is_made_when_somebody_leaves() {
    let (mut network, group) = network(Lid);
    let carl = network.join(3, 0);
    network.change_group(&group, "add", 3);
    say(&mut network, &group, "A");
    assert_eq!(keyed(&network), 4);
    network.change_group(&group, "remove", 3);
    say(&mut network, &group, "B");
    assert_eq!(keyed(&network), 3, "all who stay get a new key");
    assert_eq!(network.times_described(), 2, "asked anew after the change");
    assert_eq!(network.clients[carl].texts(), ["A"]);
    assert_eq!(network.clients[BOB[1]].texts(), ["A", "B"]);
    // Nobody who left can read on with the key that they have.
    let stanza = network.clients[ANN].last_message().clone();
    let incoming = network.incoming_in_group(ANN, &group, &stanza, true);
    network.hand(carl, &incoming.with_child(stanza.child("enc").unwrap().clone()));
    assert_eq!(network.clients[carl].texts(), ["A"]);
}

#[test]
fn who_joins_gets_the_key_that_the_others_have() {
    let (mut network, group) = network(Lid);
    say(&mut network, &group, "A");
    let carl = network.join(3, 0);
    network.change_group(&group, "add", 3);
    say(&mut network, &group, "B");
    assert_eq!(keyed(&network), 1);
    assert_eq!(network.clients[carl].texts(), ["B"]);
    assert_eq!(network.clients[BOB[0]].texts(), ["B"]);
}

#[test]
fn a_key_that_the_server_did_not_take_is_handed_out_again() {
    let (mut network, group) = network(Lid);
    network.nack = Some(503);
    say(&mut network, &group, "A");
    assert_eq!(network.clients[ANN].failures(), [SendError::Nack { code: 503 }]);
    network.nack = None;
    say(&mut network, &group, "A");
    assert_eq!((network.clients[ANN].acked(), keyed(&network)), (1, 3));
    // The same after a process that never heard the answer.
    let (mut network, group) = self::network(Lid);
    network.silent = true;
    say(&mut network, &group, "A");
    network.silent = false;
    network.restart(ANN);
    say(&mut network, &group, "A");
    assert_eq!(keyed(&network), 3);
    assert_eq!(network.clients[BOB[0]].texts(), ["A"], "shown once");
}

#[test]
fn a_member_who_can_t_read_gets_message_and_key_again() {
    let (mut network, group) = network(Lid);
    say(&mut network, &group, "A");
    network.keep(ANN, "B", group.clone(), "B");
    lose_key(&mut network, &group);
    say(&mut network, &group, "B");
    assert_eq!(network.clients[BOB[0]].undecryptable(), [(1, false)]);
    assert_eq!(
        network.clients[BOB[0]].texts(),
        ["B"],
        "it came again, for Bob's phone alone"
    );
    assert_eq!(network.clients[BOB[1]].texts(), ["A", "B"]);
    say(&mut network, &group, "C");
    assert_eq!(network.clients[BOB[0]].texts(), ["B", "C"]);
    assert_eq!(keyed(&network), 1, "and the key once more");
}

#[test]
fn a_flow_goes_with_its_nodes_also_when_it_goes_again() {
    let (mut network, group) = network(Lid);
    say(&mut network, &group, "A");
    lose_key(&mut network, &group);
    let message = Message {
        interactive_message: Some(Box::default()),
        ..Message::default()
    };
    let id: crate::message_id::MessageId = "B".parse().unwrap();
    let store = &network.clients[ANN].store;
    store.keep_sent(&id, group.clone(), message.encode_to_vec().into());
    let to = Recipient::Jid(group.clone());
    network.command(ANN, Command::Send(Box::new(Outgoing { id, to, message })));
    let sent = network.clients[ANN].sent("message");
    let [.., first, again] = sent.as_slice() else {
        panic!("it was sent, and again")
    };
    assert!(again.attr_str("participant").is_some() && first.attr_str("participant").is_none());
    for stanza in [first, again] {
        assert!(stanza.child("biz").is_some(), "{stanza:?}");
        assert!(
            stanza.child("bot").is_none(),
            "bots are of chats between two: {stanza:?}"
        );
    }
}

#[test]
fn who_is_not_in_the_group_gets_nothing_again() {
    let (mut network, group) = network(Lid);
    let carl = network.join(3, 0);
    say(&mut network, &group, "A");
    network.keep(ANN, "A", group.clone(), "A");
    let stanza = network.clients[ANN].last_message().clone();
    let incoming = network.incoming_in_group(ANN, &group, &stanza, true);
    let sent = network.clients[ANN].sent("message").len();
    // The server would not do this.
    network.hand(carl, &incoming.with_child(stanza.child("enc").unwrap().clone()));
    assert_eq!(network.clients[carl].undecryptable(), [(1, false)]);
    assert_eq!(network.clients[ANN].sent("message").len(), sent);
    let acks = network.clients[ANN].sent("ack");
    assert!(
        acks.iter()
            .any(|ack| ack.attr_is("class", "receipt") && ack.attr_is("type", "retry"))
    );
}

#[test]
fn a_group_that_names_its_people_otherwise_now_is_asked_for_again() {
    let (mut network, group) = network(Phone);
    say(&mut network, &group, "A");
    network.groups.get_mut(&group).unwrap().0 = Lid;
    say(&mut network, &group, "B");
    assert_eq!(
        (
            network.clients[ANN].acked(),
            network.clients[ANN].failures().len()
        ),
        (2, 0)
    );
    assert_eq!(network.clients[BOB[0]].texts(), ["A", "B"]);
    let prepared = |event: &&Event| matches!(event, Event::MessagePrepared { .. });
    assert_eq!(network.clients[ANN].events.iter().filter(prepared).count(), 2);
}

#[test]
fn devices_that_the_server_disputes_are_asked_for_again() {
    let (mut network, group) = network(Lid);
    say(&mut network, &group, "A");
    let tablet = network.join(2, 6);
    say(&mut network, &group, "B");
    say(&mut network, &group, "C");
    assert_eq!(keyed(&network), 1);
    assert_eq!(network.clients[tablet].texts().last().unwrap(), "C");
}

#[test]
fn the_members_of_a_large_group_are_asked_for_their_devices_once() {
    const MEMBERS: u32 = 1_022;
    let (mut network, group) = crowded(MEMBERS);
    say(&mut network, &group, "A");
    assert_eq!(
        network.clients[ANN].acked(),
        1,
        "{:?}",
        network.clients[ANN].failures()
    );
    assert_eq!(keyed(&network), MEMBERS as usize + 3);
    let asked = network.questions.len();
    for id in ["B", "C"] {
        // Longer than what nobody uses stays in memory.
        network.pass(std::time::Duration::from_secs(130));
        say(&mut network, &group, id);
    }
    let later = &network.questions[asked..];
    assert!(
        !later
            .iter()
            .any(|iq| iq.attr_is("xmlns", "usync") || iq.attr_is("xmlns", "w:g2")),
        "{later:?}"
    );
    assert_eq!((network.clients[ANN].acked(), keyed(&network)), (3, 0));
    assert_eq!(network.clients[BOB[1]].texts(), ["A", "B", "C"]);
}

#[test]
fn ratchets_count_for_the_bound_on_a_step_before_they_are_written_into_it() {
    const MEMBERS: u32 = 40;
    let (mut network, group) = crowded(MEMBERS);
    network.step_items = Some(MEMBERS as usize);
    network.restart(ANN);
    network.nack = Some(503);
    say(&mut network, &group, "A");
    network.nack = None;
    // Everything is in memory now, and the key goes to all of them again.
    let (now, ann) = (network.now, &mut network.clients[ANN].connection);
    assert!(!ann.is_backlogged());
    let to = Recipient::Jid(group.clone());
    ann.handle(Input::Command(outgoing(to, "B", "B")), now);
    assert!(ann.is_backlogged());
    network.settle();
    assert!(!network.clients[ANN].connection.is_backlogged());
    assert_eq!(
        (network.clients[ANN].acked(), keyed(&network)),
        (1, MEMBERS as usize + 3)
    );
}

#[test]
fn who_is_not_in_a_group_is_told_so() {
    let (mut network, _) = network(Lid);
    let other: Jid = "120363000000000002@g.us".parse().unwrap();
    say(&mut network, &other, "A");
    assert_eq!(network.clients[ANN].failures(), [SendError::MayNotWrite]);
}

#[test]
fn a_device_without_keys_does_not_hold_up_the_others() {
    let (mut network, group) = network(Lid);
    let gone = network.clients[BOB[1]].jid.clone();
    network.unregistered.insert(gone);
    say(&mut network, &group, "A");
    assert_eq!((network.clients[ANN].acked(), keyed(&network)), (1, 2));
    assert_eq!(network.clients[BOB[0]].texts(), ["A"]);
}

#[test]
fn members_without_an_account_hold_nobody_up() {
    let (mut network, group) = network(Lid);
    let users: Vec<u32> = (1..=2).chain(100..130).collect();
    network.groups.get_mut(&group).unwrap().1.extend(users);
    say(&mut network, &group, "A");
    assert_eq!((network.clients[ANN].acked(), keyed(&network)), (1, 3));
}

#[test]
fn the_owner_is_told_who_is_in_a_group() {
    let (mut network, group) = network(Lid);
    let request = Box::new(GroupRequest::Describe(group.clone()));
    network.command(ANN, Command::Group { ticket: 7, request });
    let answers: Vec<_> = network.clients[ANN]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::GroupAnswered { ticket: 7, result } => Some(result.clone().unwrap()),
            _ => None,
        })
        .collect();
    let GroupAnswer::Group(info) = &*answers[0] else {
        panic!("a group")
    };
    assert_eq!((info.jid.clone(), info.members.len()), (group, 2));
    assert_eq!(info.members[1].phone(), Some(&phone(2)));
}
