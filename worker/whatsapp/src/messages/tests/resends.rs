//! What becomes of an answer to a retry receipt: confirmed, refused, repeated, given up.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::network::{Client, Network, lid, number, phone};
use super::retry::{ANN, BOB, request};
use crate::binary::Node;
use crate::connection::Timing;
use crate::event::{Event, SendError};
use crate::messages::resends::{MAX_IN_LINE, MAX_REPEATS, MAX_UNDER_WAY, REPEAT_PAUSE};
use crate::store::{Changes, KeyStore as _, RecordKey};

/// How many requests a client has acknowledged.
fn requests_acked(client: &Client) -> usize {
    let acks = client.sent("ack");
    acks.iter().filter(|ack| ack.attr_is("type", "retry")).count()
}

/// The codes that answers were given up with.
fn given_up(client: &Client) -> Vec<SendError> {
    let reason = |event: &Event| match event {
        Event::ResendFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    client.events.iter().filter_map(reason).collect()
}

/// Ann's companion has sent Bob one message, and nobody has asked for it yet.
fn one_message() -> Network {
    let mut network = Network::ann_and_bob();
    network.keep(ANN, "3EB001", phone(2), "one");
    network.send(ANN, number(2), "3EB001", "one");
    network.send(BOB, number(1), "3EB002", "two");
    network.forget();
    network
}

#[test]
fn an_answer_that_is_refused_for_the_moment_is_repeated() {
    let mut network = one_message();
    network.nack = Some(503);
    network.hand(ANN, &request(1, "3EB001"));
    network.pass(REPEAT_PAUSE - Duration::from_millis(1));
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    assert_eq!(requests_acked(&network.clients[ANN]), 0);
    network.nack = None;
    network.pass(Duration::from_millis(1));
    let ann = &network.clients[ANN];
    assert_eq!(ann.sent("message").len(), 2);
    assert_eq!(requests_acked(ann), 1);
    assert_eq!(given_up(ann), []);
    // Bob's phone has seen it before, or it would have been shown.
    assert_eq!(
        network.clients[BOB].receipts(None).len() + network.clients[BOB].receipts(Some("inactive")).len(),
        1
    );
}

#[test]
fn repeating_an_answer_ends_and_leaves_the_request_to_the_next_login() {
    let mut network = one_message();
    network.nack = Some(429);
    network.hand(ANN, &request(1, "3EB001"));
    for refusal in 0..10 {
        network.pass(REPEAT_PAUSE * 2u32.pow(refusal));
    }
    let ann = &network.clients[ANN];
    assert_eq!(ann.sent("message").len() as u32, 1 + MAX_REPEATS);
    assert_eq!(given_up(ann), [SendError::Nack { code: 429 }]);
    assert_eq!(requests_acked(ann), 0);
    // Nothing of it is left: what the server brings again is answered.
    network.nack = None;
    network.hand(ANN, &request(1, "3EB001"));
    assert_eq!(requests_acked(&network.clients[ANN]), 1);
}

#[test]
fn an_answer_that_is_refused_for_good_is_told() {
    let mut network = one_message();
    network.nack = Some(479);
    network.hand(ANN, &request(1, "3EB001"));
    network.pass(Duration::from_secs(100));
    let ann = &network.clients[ANN];
    assert_eq!(ann.sent("message").len(), 1);
    assert_eq!(given_up(ann), [SendError::Nack { code: 479 }]);
    assert_eq!(requests_acked(ann), 1);
    assert!(ann.failures().is_empty(), "the send itself has long succeeded");
}

#[test]
fn a_companions_answer_is_told_from_the_owners_repeat_of_the_message() {
    let mut network = one_message();
    network.silent = true;
    network.send(ANN, number(2), "3EB001", "one");
    let mut asks = request(1, "3EB001");
    asks.set_attr("from", phone(2).with_device(5));
    network.hand(ANN, &asks);
    let refusal = |from| crate::stanza::ack::MessageAck {
        id: "3EB001".parse().unwrap(),
        from,
        timestamp: None,
        error: Some(479),
        phash: None,
    };
    network.hand(ANN, &refusal(phone(2).with_device(5)).to_node());
    let ann = &network.clients[ANN];
    assert_eq!((given_up(ann).len(), ann.failures().len()), (1, 0));
}

#[test]
fn a_request_is_acknowledged_when_its_answer_is_confirmed_or_has_come() {
    let mut network = one_message();
    network.silent = true;
    network.hand(ANN, &request(1, "3EB001"));
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    assert_eq!(requests_acked(&network.clients[ANN]), 0);
    // Only who has got the answer asks again.
    network.hand(ANN, &request(2, "3EB001"));
    assert_eq!(network.clients[ANN].sent("message").len(), 2);
    assert_eq!(requests_acked(&network.clients[ANN]), 1);
    network.pass(Timing::default().ack);
    assert_eq!(requests_acked(&network.clients[ANN]), 2);
}

#[test]
fn a_confirmation_may_name_the_device_otherwise() {
    let mut network = one_message();
    network.silent = true;
    let mut asks = request(1, "3EB001");
    asks.set_attr("from", phone(2).with_device(5));
    network.hand(ANN, &asks);
    let ack = crate::stanza::ack::MessageAck {
        id: "3EB001".parse().unwrap(),
        from: phone(2),
        timestamp: None,
        error: None,
        phash: None,
    };
    network.hand(ANN, &ack.to_node());
    let ann = &network.clients[ANN];
    assert_eq!((requests_acked(ann), ann.acked()), (1, 0));
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let mut network = one_message();
    let count = MAX_UNDER_WAY + MAX_IN_LINE;
    let ids: Vec<String> = (0..count + 10).map(|n| format!("3EB1{n:06}")).collect();
    for id in &ids {
        network.keep(ANN, id, phone(2), "again");
    }
    let asks: Vec<Node> = ids.iter().map(|id| request(1, id)).collect();
    network.hand_together(ANN, &asks);
    let ann = &network.clients[ANN];
    assert_eq!(ann.sent("message").len(), count);
    assert_eq!(
        requests_acked(ann),
        count,
        "the others come again at the next login"
    );
    network.forget();
    network.hand_together(ANN, &asks[count..]);
    assert_eq!(requests_acked(&network.clients[ANN]), 10);
}

#[test]
fn a_request_that_is_too_large_to_keep_is_dropped() {
    let mut network = one_message();
    let mut asks: Vec<Node> = (0..=MAX_UNDER_WAY)
        .map(|n| request(1, &format!("3EB1{n}")))
        .collect();
    asks[MAX_UNDER_WAY].push_child(Node::new("padding").with_slice(&[0; 5000]));
    network.hand_together(ANN, &asks);
    assert_eq!(requests_acked(&network.clients[ANN]), MAX_UNDER_WAY + 1);
}

#[test]
fn without_a_bundle_the_session_there_is_will_do() {
    let mut network = one_message();
    network.refuses_bundles = true;
    network.hand(ANN, &request(2, "3EB001"));
    let ann = &network.clients[ANN];
    assert!(network.questions.iter().any(|iq| iq.attr_is("xmlns", "encrypt")));
    assert_eq!(ann.sent("message").len(), 1);
    assert_eq!(requests_acked(ann), 1);
}

#[test]
fn without_a_bundle_or_a_session_the_request_is_left_to_the_next_login() {
    let mut network = one_message();
    let mut changes = Changes::default();
    changes.delete(RecordKey::session(&lid(2).into()));
    let lost = network.clients[ANN].store.commit(changes, Vec::new());
    lost.now_or_never().unwrap().unwrap();
    network.restart(ANN);
    network.refuses_bundles = true;
    network.hand(ANN, &request(1, "3EB001"));
    let ann = &network.clients[ANN];
    assert!(ann.sent("message").is_empty());
    assert_eq!(requests_acked(ann), 0);
    network.refuses_bundles = false;
    network.hand(ANN, &request(1, "3EB001"));
    assert_eq!(network.clients[ANN].sent("message").len(), 1);
    assert_eq!(requests_acked(&network.clients[ANN]), 1);
}
