//! Tokens of trusted contacts: what comes, what messages show, and what is issued when.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::network::{Network, lid, number, phone};
use crate::binary::Node;
use crate::command::Recipient;
use crate::jid::{Jid, Server};
use crate::store::{KeyStore as _, RecordKey};
use crate::time::Timestamp;

/// Client numbers of [`Network::ann_and_bob`].
const ANN: usize = 1;
const BOB: usize = 2;
const BOB_LAPTOP: usize = 3;

const WEEK: Duration = Duration::from_secs(604_800);
/// From one request to issue tokens to the next.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn token(t: Timestamp, bytes: &[u8]) -> Node {
    token_of_kind("trusted_contact", t, bytes)
}

fn token_of_kind(kind: &'static str, t: Timestamp, bytes: &[u8]) -> Node {
    let token = Node::new("token").attr("type", kind);
    token.attr("t", t.as_secs()).with_slice(bytes)
}

pub(super) fn notification(from: &Jid, tokens: impl IntoIterator<Item = Node>) -> Node {
    Node::new("notification")
        .attr("id", "n1")
        .attr("type", "privacy_token")
        .attr("from", from)
        .with_child(Node::new("tokens").with_children(tokens))
}

/// Logs in anew, asks for properties and gets these.
fn give_properties(network: &mut Network, at: usize, props: &[(u32, &str)]) {
    let prop = |(code, value): &(u32, &str)| {
        let prop = Node::new("prop").attr("config_code", *code);
        prop.attr("config_value", *value)
    };
    let props = Node::new("props").with_children(props.iter().map(prop));
    network.properties = Some(props);
    network.restart(at);
}

/// What the last message of a client shows, and what that is.
pub(super) fn shown(network: &Network, at: usize) -> Option<(String, Bytes)> {
    let message = network.clients[at].last_message();
    let mut shown = message
        .nodes()
        .iter()
        .filter(|child| child.is("tctoken") || child.is("cstoken"));
    let first = shown
        .next()
        .map(|node| (node.tag().to_owned(), node.bytes().unwrap()));
    assert!(shown.next().is_none(), "one at most");
    first
}

pub(super) fn trusted(bytes: &'static [u8]) -> Option<(String, Bytes)> {
    Some(("tctoken".to_owned(), Bytes::from_static(bytes)))
}

/// For whom tokens were asked since the last call, request by request, and with which time.
fn take_issued(network: &mut Network) -> Vec<Vec<(Jid, u64)>> {
    let questions = std::mem::take(&mut network.questions);
    let requests = questions.iter().filter(|iq| iq.attr_is("xmlns", "privacy"));
    let tokens = requests.map(|iq| {
        let tokens = iq.child("tokens").unwrap().nodes().iter();
        tokens
            .map(|token| (token.attr_jid("jid").unwrap(), token.attr_u64("t").unwrap()))
            .collect()
    });
    tokens.collect()
}

fn stored(network: &mut Network, at: usize, contact: &Jid) -> Option<Bytes> {
    let keys = vec![RecordKey::trusted_token(contact)];
    let load = network.clients[at].store.load(keys);
    load.now_or_never().unwrap().unwrap().remove(0)
}

fn acks(network: &Network, at: usize) -> usize {
    network.clients[at].sent("ack").len()
}

#[test]
fn a_token_that_came_is_kept_by_hidden_id_and_shown_to_whom_gave_it() {
    let mut network = Network::ann_and_bob();
    let news = notification(&phone(2), [token(network.now, b"of Bob")]).attr("sender_lid", lid(2));
    network.hand(ANN, &news);
    assert_eq!(acks(&network, ANN), 1);
    assert!(stored(&mut network, ANN, &lid(2)).is_some() && stored(&mut network, ANN, &phone(2)).is_none());
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
    assert_eq!(network.clients[BOB].texts(), ["hi"]);
    network.restart(ANN);
    network.send(ANN, Recipient::Jid(lid(2)), "3EB002", "from the store");
    assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
    // Our own phone gave us none, and gets none.
    network.send(ANN, number(1), "3EB003", "to myself");
    assert_eq!(shown(&network, ANN), None);
}

#[test]
fn the_newer_token_holds_and_odd_ones_change_nothing() {
    let mut network = Network::ann_and_bob();
    let now = network.now;
    let later = now + Duration::from_secs(60);
    network.hand(ANN, &notification(&lid(2), [token(now, b"first")]));
    network.hand(ANN, &notification(&lid(2), [token(later, b"second")]));
    let odd = [
        notification(&lid(2), [token(now, b"older")]),
        notification(&lid(2), [token(later + 10 * WEEK, b"from the future")]),
        notification(&lid(2), [token(later + INTERVAL, b"")]),
        notification(&lid(2), [token(Timestamp::EPOCH, b"no time")]),
        notification(&lid(2), [token_of_kind("other", later + INTERVAL, b"other")]),
        notification(&lid(2), []),
        notification(&lid(1), [token(later, b"of myself")]),
        notification(&"1-2@g.us".parse().unwrap(), [token(later, b"of a group")]),
        Node::new("notification")
            .attr("id", "n2")
            .attr("type", "privacy_token")
            .attr("from", lid(2)),
    ];
    for news in &odd {
        network.hand(ANN, news);
    }
    assert_eq!(acks(&network, ANN), 2 + odd.len());
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"second"));
}

#[test]
fn a_backlog_of_tokens_is_kept_and_acknowledged_whole() {
    let mut network = Network::ann_and_bob();
    let givers = (0..600).map(|n| Jid::new(format!("{}", 500 + n), Server::Lid));
    let givers: Vec<Jid> = givers.collect();
    let now = network.now;
    let news: Vec<Node> = givers
        .iter()
        .map(|giver| notification(giver, [token(now, b"theirs")]))
        .collect();
    network.hand_together(ANN, &news);
    assert_eq!(acks(&network, ANN), givers.len());
    for giver in &givers {
        assert!(stored(&mut network, ANN, giver).is_some());
    }
}

#[test]
fn a_token_that_has_run_out_is_not_shown() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &notification(&lid(2), [token(network.now, b"of Bob")]));
    network.now = network.now + 4 * WEEK;
    network.restart(ANN);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(shown(&network, ANN), None);
    // The server may let them live longer: the row went when it was read, and comes again with the next.
    give_properties(&mut network, ANN, &[(909, "26")]);
    let old = network.now - 20 * WEEK;
    network.hand(ANN, &notification(&lid(2), [token(old, b"old")]));
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"old"));
}

#[test]
fn a_token_of_a_number_moves_to_the_hidden_id_when_that_is_known() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &notification(&phone(2), [token(network.now, b"of Bob")]));
    assert!(stored(&mut network, ANN, &phone(2)).is_some());
    network.restart(ANN);
    // The answer with the devices tells the hidden id.
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
    assert!(stored(&mut network, ANN, &phone(2)).is_none() && stored(&mut network, ANN, &lid(2)).is_some());
    // By number alone again: the store knows the name.
    network.restart(ANN);
    let later = network.now + Duration::from_secs(60);
    network.hand(ANN, &notification(&phone(2), [token(later, b"newer")]));
    assert!(stored(&mut network, ANN, &phone(2)).is_none());
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"newer"));
}

#[test]
fn ours_is_issued_once_per_bucket_after_the_message() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let t = network.now.as_secs();
    assert_eq!(take_issued(&mut network), [[(phone(2), t)]]);
    network.pass(2 * INTERVAL);
    network.send(ANN, number(2), "3EB002", "hi");
    network.restart(ANN);
    network.send(ANN, Recipient::Jid(lid(2)), "3EB003", "hi");
    network.send(ANN, number(1), "3EB004", "to myself");
    network.pass(2 * INTERVAL);
    assert!(take_issued(&mut network).is_empty());
    network.now = network.now + WEEK;
    network.restart(ANN);
    network.send(ANN, number(2), "3EB005", "hi");
    let t = network.now.as_secs();
    assert_eq!(take_issued(&mut network), [[(phone(2), t)]]);
}

#[test]
fn the_server_says_for_which_name_and_how_often_it_is_issued() {
    let mut network = Network::ann_and_bob();
    give_properties(&mut network, ANN, &[(14303, "1"), (996, "60")]);
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(take_issued(&mut network)[0][0].0, lid(2));
    network.pass(Duration::from_secs(60));
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(take_issued(&mut network).len(), 1);
}

#[test]
fn a_refused_request_is_made_again_at_a_later_message() {
    let mut network = Network::ann_and_bob();
    network.refuses_tokens = true;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(take_issued(&mut network).len(), 1);
    network.send(ANN, number(2), "3EB002", "hi");
    network.refuses_tokens = false;
    network.pass(Duration::from_secs(59));
    assert!(take_issued(&mut network).is_empty(), "not at once");
    network.pass(Duration::from_secs(1));
    assert_eq!(take_issued(&mut network).len(), 1);
}

#[test]
fn those_of_many_sends_go_together() {
    let mut network = Network::ann_and_bob();
    let bundle = network.take_bundle(BOB_LAPTOP);
    network.crowd = Some(bundle);
    for n in 0..60 {
        let to = Recipient::Phone(format!("1777000{n:02}"));
        network.send(ANN, to, &format!("3EB0{n:02}"), "hi");
    }
    network.pass(INTERVAL);
    network.pass(INTERVAL);
    let issued = take_issued(&mut network);
    let sizes: Vec<usize> = issued.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 50, 9]);
    let mut all: Vec<_> = issued.into_iter().flatten().map(|(jid, _)| jid).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 60);
}

#[test]
fn whoever_registers_anew_gets_ours_again_with_its_time() {
    let mut network = Network::ann_and_bob();
    network.send(ANN, number(2), "3EB001", "hi");
    let first = take_issued(&mut network);
    network.now = network.now + WEEK;
    network.restart(ANN);
    let anew = |from: Jid| {
        let node = Node::new("notification").attr("id", "n1").attr("type", "encrypt");
        node.attr("from", from).with_child(Node::new("identity"))
    };
    network.hand(ANN, &anew(phone(2)));
    assert_eq!(
        take_issued(&mut network),
        first,
        "as it was, not as it would be now"
    );
    network.pass(INTERVAL);
    network.hand(ANN, &anew(phone(3)));
    network.pass(INTERVAL);
    assert!(
        take_issued(&mut network).is_empty(),
        "nobody has ours who never got it"
    );
    network.now = network.now + 4 * WEEK;
    network.restart(ANN);
    network.hand(ANN, &anew(phone(2)));
    assert!(take_issued(&mut network).is_empty(), "it has run out");
}

/// Gives Ann a salt.
fn give_salt(network: &mut Network) {
    let mut device = network.clients[ANN].store.device().unwrap();
    let salt: Vec<u8> = (0..32).collect();
    device.account.as_mut().unwrap().token_salt = Some(salt.into());
    network.replace_device(ANN, device);
}

/// What the salt makes of Bob's hidden id.
fn proves_by_salt(shown: Option<(String, Bytes)>) {
    let (tag, bytes) = shown.unwrap();
    assert_eq!(tag, "cstoken");
    assert_eq!(
        hex::encode(bytes),
        "5ea49d818de8d8e4d0cfac2e2f9adbe81aea56000658b6adc44af663147106f3"
    );
}

#[test]
fn under_another_hidden_id_the_salt_proves_it_until_a_token_comes() {
    let mut network = Network::ann_and_bob();
    give_salt(&mut network);
    // It came when Bob had another hidden id.
    let before = notification(&phone(2), [token(network.now, b"before")]).attr("sender_lid", lid(9));
    network.hand(ANN, &before);
    assert!(stored(&mut network, ANN, &lid(9)).is_some());
    // The answer with the devices tells the present one: what was given under the other is not shown to it.
    network.send(ANN, number(2), "3EB001", "hi");
    proves_by_salt(shown(&network, ANN));
    let later = network.now + Duration::from_secs(60);
    network.hand(ANN, &notification(&phone(2), [token(later, b"after")]));
    assert!(stored(&mut network, ANN, &lid(2)).is_some() && stored(&mut network, ANN, &phone(2)).is_none());
    network.restart(ANN);
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"after"));
}

#[test]
fn without_a_token_the_salt_proves_it_and_a_valid_token_comes_first() {
    let mut network = Network::ann_and_bob();
    give_salt(&mut network);
    network.send(ANN, number(2), "3EB001", "hi");
    proves_by_salt(shown(&network, ANN));
    network.hand(ANN, &notification(&lid(2), [token(network.now, b"of Bob")]));
    network.send(ANN, number(2), "3EB002", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
    network.send(ANN, number(1), "3EB003", "to myself");
    assert_eq!(shown(&network, ANN), None);
}

#[test]
fn a_message_that_is_sent_again_shows_nothing() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &notification(&lid(2), [token(network.now, b"of Bob")]));
    network.keep(ANN, "3EB001", phone(2), "hi");
    network.hold = true;
    network.send(ANN, number(2), "3EB001", "hi");
    assert_eq!(shown(&network, ANN), trusted(b"of Bob"));
    network.hold = false;
    let mut spoiled = network.held.pop_front().unwrap();
    let enc = spoiled.1.child("enc").unwrap().clone();
    let bytes = enc.bytes().unwrap();
    spoiled.1 = {
        let mut node = Node::new("message");
        for name in ["id", "from", "t", "type", "notify", "sender_lid"] {
            if let Some(value) = spoiled.1.value(name) {
                node.set_attr(name, value.clone());
            }
        }
        node.with_child(enc.with_slice(&bytes[..bytes.len() - 1]))
    };
    network.hand(spoiled.0, &spoiled.1);
    let messages = network.clients[ANN].sent("message");
    assert_eq!(messages.len(), 2, "it was asked for again");
    assert!(messages[1].child("tctoken").is_none());
}

#[test]
fn the_property_that_the_account_is_migrated_is_kept_for_good() {
    let mut network = Network::ann_and_bob();
    let is_migrated = |network: &Network| {
        let device = network.clients[ANN].store.device().unwrap();
        device.account.unwrap().is_migrated
    };
    give_properties(&mut network, ANN, &[(9435, "perhaps")]);
    assert!(!is_migrated(&network));
    give_properties(&mut network, ANN, &[(9435, "1"), (9435, "0")]);
    assert!(!is_migrated(&network), "they contradict each other");
    give_properties(&mut network, ANN, &[(9435, "1")]);
    assert!(is_migrated(&network));
    give_properties(&mut network, ANN, &[(9435, "0")]);
    assert!(is_migrated(&network));
}
