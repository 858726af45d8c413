//! Messages that only go to somebody who has written to us.

use super::network::{Network, number, outgoing};
use crate::command::{Command, Recipient};
use crate::event::{Refusal, SendError};

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
    let lid = Recipient::Jid(super::network::lid(2));
    network.command(ANN, to_known(lid, "3EB003", "again"));
    assert!(network.clients[ANN].failures().is_empty());
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
