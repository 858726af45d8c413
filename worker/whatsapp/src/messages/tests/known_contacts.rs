//! Messages that only go to somebody whom we know.

use std::time::Duration;

use super::network::{Network, lid, number, outgoing, phone};
use super::tokens::{notification, shown, token, trusted};
use crate::command::{Command, Recipient};
use crate::connection::Input;
use crate::event::{Refusal, SendError};
use crate::jid::Jid;

/// Client numbers of [`Network::ann_and_bob`].
const ANN: usize = 1;
const BOB: usize = 2;

fn to_known(to: Recipient, id: &str, text: &str) -> Command {
    match outgoing(to, id, text) {
        Command::Send(outgoing) => Command::SendToKnown(outgoing),
        other => other,
    }
}

#[test]
fn who_has_never_written_is_asked_nothing_about() {
    let mut network = Network::ann_and_bob();
    network.forget();
    network.command(ANN, to_known(number(2), "3EB001", "hi"));
    assert_eq!(network.clients[ANN].failures(), [SendError::NewContact]);
    let ann = &network.clients[ANN];
    assert!(ann.sent("message").is_empty() && ann.sent("iq").is_empty());
    // That we have written to them changes nothing.
    network.send(ANN, number(2), "3EB002", "hi");
    network.forget();
    network.command(ANN, to_known(number(2), "3EB003", "hi"));
    assert_eq!(network.clients[ANN].failures(), [SendError::NewContact]);
    assert!(network.clients[ANN].sent("message").is_empty());
}

#[test]
fn who_has_written_gets_it_also_after_a_restart_and_by_another_name() {
    let mut network = Network::ann_and_bob();
    network.send(BOB, number(1), "3EB001", "hello");
    network.restart(ANN);
    network.forget();
    network.command(ANN, to_known(number(2), "3EB002", "hi"));
    assert!(
        network.clients[ANN].failures().is_empty(),
        "{:?}",
        network.clients[ANN].failures()
    );
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    network.command(ANN, to_known(Recipient::Jid(lid(2)), "3EB003", "again"));
    assert!(network.clients[ANN].failures().is_empty());
}

#[test]
fn whose_token_we_hold_gets_it_as_long_as_that_counts() {
    let mut network = Network::ann_and_bob();
    let news = notification(&phone(2), [token(network.now, b"of Bob")]).attr("sender_lid", lid(2));
    network.hand(ANN, &news);
    for (id, text) in [("3EB001", "hi"), ("3EB002", "from the store")] {
        network.command(ANN, to_known(number(2), id, text));
        assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
        network.restart(ANN);
    }
    assert_eq!(network.clients[BOB].texts(), ["hi", "from the store"]);
    assert!(network.clients[ANN].failures().is_empty());
    network.now = network.now + Duration::from_secs(4 * 604_800);
    network.restart(ANN);
    network.forget();
    network.command(ANN, to_known(number(2), "3EB003", "too late"));
    assert_eq!(network.clients[ANN].failures(), [SendError::NewContact]);
    assert!(network.clients[ANN].sent("message").is_empty());
}

#[test]
fn many_whose_tokens_we_hold_get_theirs_at_once() {
    const MANY: u32 = 200;
    let mut network = Network::ann_and_bob();
    let bundle = network.take_bundle(3);
    network.crowd = Some(bundle);
    let digits = |n: u32| format!("1777000{n:03}");
    let now = network.now;
    let givers = (0..MANY).map(|n| notification(&Jid::phone(&digits(n)).unwrap(), [token(now, b"theirs")]));
    network.hand_together(ANN, &givers.collect::<Vec<_>>());
    network.restart(ANN);
    network.forget();
    for n in 0..MANY {
        let send = to_known(Recipient::Phone(digits(n)), &format!("3EB0{n:03}"), "hi");
        network.clients[ANN].connection.handle(Input::Command(send), now);
    }
    network.settle();
    assert!(network.clients[ANN].failures().is_empty());
    assert_eq!(network.clients[ANN].sent("message").len(), MANY as usize);
}

#[test]
fn what_a_refusal_means_is_told_beside_its_code() {
    for (code, refusal) in [
        (429, Refusal::TooFast),
        (463, Refusal::NewContact),
        (475, Refusal::NewChatCap),
        (479, Refusal::BadStanza),
        (503, Refusal::ServerTrouble),
        (400, Refusal::Other),
    ] {
        assert_eq!(SendError::Nack { code }.refusal(), Some(refusal));
    }
    assert_eq!(SendError::NewContact.refusal(), None);
    assert!(!SendError::NewContact.is_retryable());
}
