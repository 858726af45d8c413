//! How each kind of message is answered, and what our phone is asked for.

use prost::Message as _;

use super::forger::Forger;
use super::network::{Network, lid, number, phone, text_message};
use crate::binary::Node;
use crate::event::Misbehaviour;
use crate::jid::Jid;
use crate::messages::MAX_ATTEMPTS;
use crate::proto::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use crate::proto::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use crate::proto::message::{
    PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType, ProtocolMessage, protocol_message,
};
use crate::proto::{Message, MessageKey, WebMessageInfo};
use crate::store::RecordKey;

/// Client numbers of [`Network::ann_and_bob`].
const ANN_PHONE: usize = 0;
const ANN: usize = 1;
const BOB: usize = 2;

fn attr(node: &Node, name: &str) -> Option<String> {
    node.attr_str(name).map(|value| value.into_owned())
}

fn message(network: &Network, from: impl Into<Jid>, id: &'static str) -> Node {
    Node::new("message")
        .attr("id", id)
        .attr("from", from.into())
        .attr("type", "text")
        .attr("t", network.now.as_secs())
}

fn rubbish() -> Node {
    Node::new("enc")
        .attr("v", "2")
        .attr("type", "msg")
        .with_slice(&[0x33; 60])
}

/// Hands a stanza over; the tags, types and errors of what was answered.
fn answers(network: &mut Network, node: &Node) -> Vec<(String, Option<String>, Option<u64>)> {
    network.forget();
    network.hand(ANN, node);
    let sent = network.clients[ANN].sent.iter();
    // Acks of what our phone thanks for are none, nor is our presence under a name that we learn from it.
    let sent = sent.filter(|node| !node.attr_is("class", "receipt") && !node.is("presence"));
    sent.map(|node| (node.tag().to_owned(), attr(node, "type"), node.attr_u64("error")))
        .collect()
}

fn ack(kind: &str) -> (String, Option<String>, Option<u64>) {
    ("ack".into(), Some(kind.into()), None)
}

fn receipt(kind: Option<&str>) -> (String, Option<String>, Option<u64>) {
    ("receipt".into(), kind.map(Into::into), None)
}

#[test]
fn a_copy_of_ours_gets_its_receipt_whether_or_not_it_can_be_read() {
    let mut network = Network::ann_and_bob();
    let copy = message(&network, lid(1), "A")
        .attr("recipient", lid(2).with_device(0))
        .with_child(rubbish());
    for _ in 0..2 {
        assert_eq!(answers(&mut network, &copy), [receipt(Some("sender"))]);
        let sent = &network.clients[ANN].sent[0];
        assert_eq!(attr(sent, "to"), Some(lid(1).to_string()));
        assert_eq!(attr(sent, "recipient"), Some(lid(2).to_string()));
        assert_eq!(
            network.clients[ANN].undecryptable(),
            [(1, true)],
            "nobody is asked"
        );
    }
    // One that can be read, twice.
    network.hold = true;
    network.send(ANN_PHONE, number(2), "3EB001", "from the phone");
    let (_, mut copy) = network.held.iter().find(|(at, _)| *at == ANN).cloned().unwrap();
    copy.set_attr("peer_recipient_lid", lid(2));
    network.hold = false;
    assert_eq!(answers(&mut network, &copy), [receipt(Some("sender"))]);
    assert_eq!(network.clients[ANN].messages()[0].chat_alt, Some(lid(2)));
    assert_eq!(answers(&mut network, &copy), [receipt(Some("sender"))]);
    let withheld = message(&network, phone(1), "B")
        .attr("recipient", phone(2))
        .with_child(Node::new("unavailable"));
    assert_eq!(answers(&mut network, &withheld), [receipt(Some("sender"))]);
}

#[test]
fn a_message_of_ours_without_a_chat_is_acknowledged() {
    let mut network = Network::ann_and_bob();
    let note = message(&network, phone(1), "A").with_child(rubbish());
    assert_eq!(answers(&mut network, &note), [ack("text")]);
    let invoked = message(&network, "1-2@g.us".parse::<Jid>().unwrap(), "B")
        .attr("participant", "867@bot".parse::<Jid>().unwrap())
        .with_child(rubbish());
    assert_eq!(answers(&mut network, &invoked), [ack("text")]);
}

#[test]
fn channels_and_statuses_get_acks_without_errors() {
    let mut network = Network::ann_and_bob();
    let channel = message(
        &network,
        "120363298765432100@newsletter".parse::<Jid>().unwrap(),
        "A",
    )
    .with_child(Node::new("plaintext").with_slice(&[0x0a, 2, b'h', b'i']));
    assert_eq!(answers(&mut network, &channel), [ack("text")]);

    let list: Jid = "status@broadcast".parse().unwrap();
    let status = |network: &Network, enc: Node| {
        message(network, list.clone(), "B")
            .attr("participant", lid(2))
            .with_child(enc)
    };
    let unread = status(&network, rubbish());
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(
            answers(&mut network, &unread),
            [receipt(Some("retry")), ack("text")]
        );
    }
    assert_eq!(answers(&mut network, &unread), [ack("text")]);
    let mut old = status(&network, rubbish());
    old.set_attr("t", network.now.as_secs() - 24 * 3600);
    old.set_attr("id", "C");
    assert_eq!(answers(&mut network, &old), [ack("text")]);
    let nobody = message(&network, list.clone(), "D").with_child(rubbish());
    assert_eq!(answers(&mut network, &nobody), [ack("text")]);
    let absent = status(&network, Node::new("unavailable"));
    assert_eq!(answers(&mut network, &absent), [ack("text")]);
    assert!(network.clients[ANN_PHONE].sent.is_empty());

    let tag = Node::new("status").attr("id", "E").attr("from", list);
    network.forget();
    network.hand(ANN, &tag);
    let ack = network.clients[ANN].sent("ack")[0];
    assert!(ack.attr_is("class", "status") && ack.value("error").is_none());
}

#[test]
fn a_channel_is_shown_and_acknowledged() {
    let mut network = Network::ann_and_bob();
    let channel: Jid = "120363298765432100@newsletter".parse().unwrap();
    let post = |network: &Network, bytes: &[u8]| {
        message(network, channel.clone(), "A").with_child(Node::new("plaintext").with_slice(bytes))
    };
    let said = post(&network, &text_message("hi").encode_to_vec());
    assert_eq!(answers(&mut network, &said), [ack("text")]);
    let shown = network.clients[ANN].messages();
    assert_eq!((&shown[0].chat, shown[0].from_me), (&channel, false));
    let rubbish = post(&network, &[0xff; 9]);
    assert_eq!(answers(&mut network, &rubbish), [ack("text")]);
    let how = Misbehaviour::Rubbish;
    assert_eq!(network.clients[ANN].misbehaved(), [how]);
    let views = message(&network, channel, "B");
    assert_eq!(answers(&mut network, &views), [ack("text")]);
    assert!(network.clients[ANN].events.is_empty());
}

#[test]
fn nobody_else_says_what_our_phone_says() {
    let mut network = Network::ann_and_bob();
    for (at, kind) in [
        protocol_message::Type::HistorySyncNotification,
        protocol_message::Type::AppStateSyncKeyShare,
        protocol_message::Type::LidMigrationMappingSync,
        protocol_message::Type::PeerDataOperationRequestResponseMessage,
        protocol_message::Type::AppStateSyncKeyRequest,
    ]
    .into_iter()
    .enumerate()
    {
        let protocol = ProtocolMessage {
            r#type: Some(kind.into()),
            ..ProtocolMessage::default()
        };
        let forged = Message {
            protocol_message: Some(Box::new(protocol)),
            ..Message::default()
        };
        network.forget();
        network.send_message(BOB, number(1), &format!("3EB0F{at}"), forged);
        assert_eq!(
            network.clients[ANN].misbehaved(),
            [Misbehaviour::NotOurPhone],
            "{kind:?}"
        );
        assert!(network.clients[ANN].messages().is_empty());
    }
}

#[test]
fn what_is_withheld_is_acknowledged_and_nobody_is_asked() {
    let mut network = Network::ann_and_bob();
    let unavailable = || Node::new("unavailable");
    for children in [
        vec![unavailable().attr("type", "view_once")],
        vec![unavailable().attr("hosted", "true")],
        vec![unavailable(), Node::new("bot")],
        vec![
            Node::new("enc")
                .attr("v", "2")
                .attr("type", "new")
                .with_slice(&[1]),
        ],
    ] {
        let node = message(&network, phone(2), "A").with_children(children);
        assert_eq!(answers(&mut network, &node), [ack("text")]);
        assert!(network.clients[ANN].events.is_empty());
    }
    let mut old = message(&network, phone(2), "B").with_child(unavailable());
    old.set_attr("t", network.now.as_secs() - 14 * 24 * 3600);
    assert_eq!(answers(&mut network, &old), [ack("text")]);
}

/// The first message of somebody, of which there is no copy for us.
fn lead(network: &Network, id: &'static str) -> Node {
    message(network, lid(2), id)
        .attr("sender_pn", phone(2))
        .attr("notify", "Bob")
        .with_child(Node::new("unavailable"))
}

/// The id of the last request to our phone.
fn request(network: &Network) -> String {
    let request = network.clients[ANN].last_message();
    assert!(request.attr_is("category", "peer"));
    attr(request, "id").unwrap()
}

#[test]
fn our_phone_is_asked_by_number_on_every_account() {
    for mut network in [Network::ann_and_bob(), Network::migrated()] {
        let lead = lead(&network, "A");
        network.hand(ANN, &lead);
        let request = network.clients[ANN].last_message();
        assert!(request.attr_is("category", "peer"));
        assert_eq!(attr(request, "to"), Some(phone(1).to_string()));
    }
}

fn answer(request: &str, id: &str, message: Option<Message>) -> Message {
    let info = WebMessageInfo {
        key: Some(MessageKey {
            // The phone calls the chat by its number.
            remote_jid: Some(phone(2).to_string()),
            from_me: Some(false),
            id: Some(id.to_owned()),
            participant: None,
        }),
        message,
        ..WebMessageInfo::default()
    };
    let response = PlaceholderMessageResendResponse {
        web_message_info_bytes: Some(info.encode_to_vec().into()),
    };
    let result = PeerDataOperationResult {
        placeholder_message_resend_response: Some(response),
        ..PeerDataOperationResult::default()
    };
    let response = PeerDataOperationRequestResponseMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::PlaceholderMessageResend.into()),
        stanza_id: Some(request.to_owned()),
        peer_data_operation_result: vec![result],
    };
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::PeerDataOperationRequestResponseMessage.into()),
        peer_data_operation_request_response_message: Some(response),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    }
}

fn our_phone(network: &mut Network) -> Forger {
    let keys = network.clients[ANN_PHONE].store.device().unwrap().identity;
    Forger::with_keys(network, ANN, keys)
}

fn peer(node: Node) -> Node {
    node.attr("category", "peer")
}

#[test]
fn our_phone_is_asked_once_for_what_we_got_no_copy_of() {
    let mut network = Network::ann_and_bob();
    let node = lead(&network, "A");
    assert_eq!(
        answers(&mut network, &node),
        [("message".into(), Some("text".into()), None), ack("text")]
    );
    let asked = network.clients[ANN].last_message();
    assert_eq!(attr(asked, "to"), Some(phone(1).to_string()));
    assert!(asked.child("enc").is_some() && asked.child("participants").is_none());
    assert!(asked.child("meta").unwrap().attr_is("appdata", "default"));
    assert_eq!(answers(&mut network, &node), [ack("text")]);
    network.restart(ANN);
    assert_eq!(
        answers(&mut network, &node),
        [ack("text")],
        "nor by another process"
    );
}

#[test]
fn what_our_phone_has_is_shown_as_if_it_had_come_by_itself() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &lead(&network, "A"));
    let request = request(&network);
    // It may be days until the phone is on again.
    network.restart(ANN);
    let mut forger = our_phone(&mut network);
    let answer = answer(&request, "A", Some(text_message("I saw your advertisement")));
    network.hand(ANN, &peer(forger.stanza(&phone(1), "X", &answer)));
    let ann = &network.clients[ANN];
    let [shown] = ann.messages()[..] else {
        panic!("{:?}", ann.events)
    };
    assert_eq!(
        shown.message.conversation.as_deref(),
        Some("I saw your advertisement")
    );
    assert_eq!(
        (&shown.chat, &shown.phone, &shown.lid),
        (&lid(2), &Some(phone(2)), &Some(lid(2)))
    );
    assert_eq!(
        (shown.id.as_str(), shown.push_name.as_deref()),
        ("A", Some("Bob"))
    );
    assert!(!shown.from_me && shown.timestamp == network.now);
    assert_eq!(ann.receipts(Some("peer_msg")).len(), 1);
    assert_eq!(
        network.record(ANN, RecordKey::placeholders()),
        None,
        "nothing is left"
    );
    // The same once more, and the message itself from its sender: neither is shown.
    network.forget();
    network.hand(ANN, &peer(forger.stanza(&phone(1), "Y", &answer)));
    network.send(BOB, number(1), "A", "I saw your advertisement");
    assert!(network.clients[ANN].messages().is_empty());
}

#[test]
fn a_message_that_came_meanwhile_is_not_shown_again() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &lead(&network, "A"));
    let request = request(&network);
    network.send(BOB, number(1), "A", "hi");
    assert_eq!(network.clients[ANN].texts(), ["hi"]);
    let mut forger = our_phone(&mut network);
    let answer = answer(&request, "A", Some(text_message("hi")));
    network.hand(ANN, &peer(forger.stanza(&phone(1), "X", &answer)));
    assert_eq!(network.clients[ANN].texts(), ["hi"]);
}

#[test]
fn only_our_phone_answers_and_only_what_was_asked() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &lead(&network, "A"));
    let request = request(&network);
    let good = answer(&request, "A", Some(text_message("good")));
    let mut stranger = Forger::new(&mut network, ANN);
    let node = stranger.stanza(&phone(7), "V", &good);
    network.hand(ANN, &node);
    let node = peer(stranger.stanza(&phone(8), "W", &good));
    network.hand(ANN, &node);
    let mut forger = our_phone(&mut network);
    for (id, answer) in [
        (
            "X",
            answer("3EB0FF", "A", Some(text_message("of another request"))),
        ),
        ("Y", answer(&request, "B", Some(text_message("another message")))),
    ] {
        network.hand(ANN, &peer(forger.stanza(&phone(1), id, &answer)));
    }
    assert!(network.clients[ANN].messages().is_empty());
}

#[test]
fn what_our_phone_tells_us_is_asked_for_again_between_ourselves() {
    let mut network = Network::ann_and_bob();
    let news = peer(message(&network, phone(1), "A").with_child(rubbish()));
    assert_eq!(
        answers(&mut network, &news),
        [receipt(Some("retry")), ack("text")]
    );
    assert!(network.clients[ANN].sent[0].attr_is("category", "peer"));
}

#[test]
fn an_answer_without_the_message_ends_the_request() {
    let mut network = Network::ann_and_bob();
    network.hand(ANN, &lead(&network, "A"));
    let request = request(&network);
    let mut forger = our_phone(&mut network);
    network.hand(
        ANN,
        &peer(forger.stanza(&phone(1), "X", &answer(&request, "A", None))),
    );
    assert!(network.clients[ANN].messages().is_empty());
    assert_eq!(network.record(ANN, RecordKey::placeholders()), None);
}

#[test]
fn our_phone_is_asked_for_what_its_sender_can_not_give_us() {
    let mut network = Network::ann_and_bob();
    let unread = message(&network, lid(2), "A").with_child(rubbish());
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(
            answers(&mut network, &unread),
            [receipt(Some("retry")), ack("text")]
        );
    }
    let last = answers(&mut network, &unread);
    assert_eq!(last, [("message".into(), Some("text".into()), None), ack("text")]);
    let mut forger = our_phone(&mut network);
    let answer = answer(&request(&network), "A", Some(text_message("after all")));
    network.hand(ANN, &peer(forger.stanza(&phone(1), "X", &answer)));
    assert_eq!(network.clients[ANN].texts(), ["after all"]);
}

#[test]
fn what_was_asked_is_bounded() {
    let mut network = Network::ann_and_bob();
    let mut size = 0;
    for at in 10..10 + crate::messages::MAX_PLACEHOLDERS + 3 {
        let mut node = lead(&network, "A");
        node.set_attr("id", format!("A{at}"));
        network.hand(ANN, &node);
        let record = network.record(ANN, RecordKey::placeholders()).unwrap();
        assert_eq!(record.len() > size, at < 10 + crate::messages::MAX_PLACEHOLDERS);
        size = record.len();
    }
}

#[test]
fn a_copy_that_the_server_ended_the_stream_for_is_settled_at_the_next_login() {
    let mut network = Network::ann_and_bob();
    let ack = Node::new("ack")
        .attr("class", "message")
        .attr("type", "text")
        .attr("id", "3EB0AA");
    network.hand(ANN, &Node::new("stream:error").with_child(ack));
    network.restart_noting(ANN);
    let receipt = network.clients[ANN].receipts(Some("sender"))[0];
    assert_eq!(attr(receipt, "id").as_deref(), Some("3EB0AA"));
    network.restart_noting(ANN);
    assert!(network.clients[ANN].receipts(Some("sender")).is_empty());
}
