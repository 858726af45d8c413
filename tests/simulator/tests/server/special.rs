//! Stanzas that no device encrypted, copies that come until they are settled, and what a phone has for its companions.

use serde_json::{Value, json};
use simulator::Handle;
use simulator::population::Manners;
use simulator::world::{Speaker, Special};
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::proto::message::{
    PeerDataOperationRequestMessage, ProtocolMessage,
    peer_data_operation_request_message::PlaceholderMessageResendRequest,
};
use whatsapp::proto::{Message, MessageKey, WebMessageInfo};

use crate::client::{Companion, number};
use crate::{contact, simulator_with_contacts};
use prost::Message as _;

const PHONE: &str = "15551230001";

async fn online() -> (Handle, Companion) {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Companion::online(&handle, PHONE).await;
    (handle, companion)
}

async fn special(handle: &Handle, body: Value) -> String {
    let special: Special = serde_json::from_value(body).unwrap();
    handle.special(number(PHONE), special).await.unwrap().to_string()
}

async fn pending(handle: &Handle) -> usize {
    handle.sessions().await.unwrap()[0].pending
}

async fn next(companion: &mut Companion, id: &str) -> Node {
    companion.wire().expect(id, |node| node.attr_is("id", id)).await
}

async fn ack(companion: &mut Companion, stanza: &Node, error: Option<u32>) {
    let ack = Node::new("ack")
        .attr("class", stanza.tag().to_owned())
        .attr("id", stanza.value("id").unwrap().clone())
        .attr("to", stanza.value("from").unwrap().clone())
        .attr_opt("error", error);
    companion.wire().send(&ack).await;
    companion.settle().await;
}

#[tokio::test]
async fn an_own_copy_comes_until_it_is_settled_and_then_ends_the_stream() {
    let (handle, mut companion) = online().await;
    let id = special(&handle, json!({ "kind": "own_copy", "to": contact(1) })).await;
    let copy = next(&mut companion, &id).await;
    assert!(copy.value("to").is_none());
    ack(&mut companion, &copy, None).await;
    for _ in 0..2 {
        companion.log_in(&handle).await;
        let copy = next(&mut companion, &id).await;
        companion.thank(&copy).await;
        companion.settle().await;
        assert_eq!(
            pending(&handle).await,
            1,
            "neither an ack nor another receipt will do"
        );
    }
    companion.log_in(&handle).await;
    let error = companion
        .wire()
        .expect("end", |node| node.is("stream:error"))
        .await;
    assert!(error.child("ack").unwrap().attr_is("id", &id));
    companion.log_in(&handle).await;
    let receipt = Node::new("receipt")
        .attr("id", &id)
        .attr("type", "sender")
        .attr("to", companion.jid().to_bare());
    companion.wire().send(&receipt).await;
    companion.settle().await;
    assert_eq!(pending(&handle).await, 0);
    assert_eq!(handle.audit().await.unwrap().server.copies_unsettled, 1);
}

#[tokio::test]
async fn a_status_that_is_refused_holds_back_everything() {
    let (handle, mut companion) = online().await;
    let id = special(&handle, json!({ "kind": "status", "from": contact(1) })).await;
    let status = next(&mut companion, &id).await;
    ack(&mut companion, &status, Some(500)).await;
    let say = handle.say(Speaker::Contact(number(&contact(2))), number(PHONE), "behind it");
    say.await.unwrap();
    while pending(&handle).await < 2 {
        companion.settle().await;
    }
    assert!(!companion.wire().backlog.iter().any(|node| node.is("message")));
    assert_eq!(handle.audit().await.unwrap().server.statuses_refused, 1);
    ack(&mut companion, &status, None).await;
    let (_, message) = companion.message().await;
    assert_eq!(message.conversation.as_deref(), Some("behind it"));
}

#[tokio::test]
async fn channels_and_absent_messages_want_an_ack() {
    let (handle, mut companion) = online().await;
    for (body, child) in [
        (json!({ "kind": "newsletter" }), "plaintext"),
        (
            json!({ "kind": "unavailable", "from": contact(1) }),
            "unavailable",
        ),
        (
            json!({ "kind": "unavailable", "from": contact(1), "form": "bot" }),
            "bot",
        ),
        (
            json!({ "kind": "unavailable", "from": contact(1), "form": "view_once" }),
            "unavailable",
        ),
        (
            json!({ "kind": "unavailable", "from": contact(1), "form": "hosted" }),
            "unavailable",
        ),
    ] {
        let id = special(&handle, body).await;
        let stanza = next(&mut companion, &id).await;
        assert!(stanza.child(child).is_some() && stanza.child("enc").is_none());
        ack(&mut companion, &stanza, None).await;
    }
    let id = special(&handle, json!({ "kind": "status_tag", "from": contact(1) })).await;
    let status = next(&mut companion, &id).await;
    assert!(status.is("status"));
    ack(&mut companion, &status, None).await;
    special(
        &handle,
        json!({ "kind": "unavailable", "from": contact(3), "form": "with_enc" }),
    )
    .await;
    let say = handle.say(Speaker::Contact(number(&contact(3))), number(PHONE), "here it is");
    say.await.unwrap();
    let (stanza, message) = companion.message().await;
    assert!(stanza.child("unavailable").is_some());
    assert_eq!(message.conversation.as_deref(), Some("here it is"));
    companion.thank(&stanza).await;
    special(&handle, json!({ "kind": "count", "value": 80 })).await;
    let told = companion
        .wire()
        .expect("count", |node| node.child("count").is_some())
        .await;
    assert_eq!(told.child("count").unwrap().attr_u64("value"), Some(80));
    ack(&mut companion, &told, None).await;
    // The token that the contact gave with its message is not acknowledged here.
    assert_eq!(pending(&handle).await, 1);
}

/// What the phone answers to a request for this message, and to which.
async fn asked(companion: &mut Companion, request: &str, id: &str) -> (Option<String>, Option<Message>) {
    let phone = companion.jid().to_bare();
    companion.start_sessions(std::slice::from_ref(&phone)).await;
    let wanted = PlaceholderMessageResendRequest {
        message_key: Some(MessageKey {
            id: Some(id.into()),
            ..MessageKey::default()
        }),
    };
    let operation = PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(4),
        placeholder_message_resend_request: vec![wanted],
        ..PeerDataOperationRequestMessage::default()
    };
    let protocol = ProtocolMessage {
        r#type: Some(16),
        peer_data_operation_request_message: Some(operation),
        ..ProtocolMessage::default()
    };
    let message = Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    };
    let enc = companion.encrypt(&phone, &message);
    let stanza = Node::new("message")
        .attr("id", request)
        .attr("to", &phone)
        .attr("category", "peer")
        .with_child(enc);
    companion.wire().send(&stanza).await;
    let (stanza, message) = companion.message().await;
    assert!(stanza.attr_is("category", "peer") && stanza.value("recipient").is_none());
    assert_eq!(stanza.attr_jid("from").unwrap().device(), 0);
    companion.thank(&stanza).await;
    let answer = message.protocol_message.unwrap();
    assert_eq!(answer.r#type, Some(17));
    let answer = answer.peer_data_operation_request_response_message.unwrap();
    let result = answer.peer_data_operation_result[0]
        .placeholder_message_resend_response
        .clone();
    let info = result.unwrap().web_message_info_bytes.unwrap();
    let info = WebMessageInfo::decode(info).unwrap();
    assert_eq!(info.key.unwrap().id.as_deref(), Some(id));
    (answer.stanza_id, info.message)
}

#[tokio::test]
async fn a_phone_has_what_its_companions_lack() {
    let (handle, mut companion) = online().await;
    let lead = |answer: &str| json!({ "kind": "unavailable", "from": contact(1), "text": "a lead", "answer": answer });
    let id = special(&handle, lead("message")).await;
    next(&mut companion, &id).await;
    let (request, message) = asked(&mut companion, "3EB001", &id).await;
    assert_eq!(request.as_deref(), Some("3EB001"));
    assert_eq!(message.unwrap().conversation.as_deref(), Some("a lead"));
    let id = special(&handle, lead("nothing")).await;
    next(&mut companion, &id).await;
    assert!(asked(&mut companion, "3EB002", &id).await.1.is_none());
    let id = special(&handle, lead("to_another")).await;
    next(&mut companion, &id).await;
    assert_ne!(
        asked(&mut companion, "3EB003", &id).await.0.as_deref(),
        Some("3EB003")
    );
    assert!(asked(&mut companion, "3EB004", "unheard of").await.1.is_none());
    assert_eq!(handle.audit().await.unwrap().server.violations, 0);
}

#[tokio::test]
async fn a_read_is_told_to_the_other_devices_of_the_account() {
    let (handle, mut reader) = online().await;
    let mut other = Companion::online(&handle, PHONE).await;
    let say = handle.say(Speaker::Contact(number(&contact(1))), number(PHONE), "read me");
    let id = say.await.unwrap().to_string();
    next(&mut reader, &id).await;
    let chat = Jid::phone(&contact(1)).unwrap();
    let read = Node::new("receipt")
        .attr("id", &id)
        .attr("type", "read")
        .attr("to", &chat);
    reader.wire().send(&read).await;
    let told = other
        .wire()
        .expect("read", |node| node.is("receipt") && node.attr_is("id", &id))
        .await;
    assert!(told.attr_is("type", "read"));
    assert_eq!(told.attr_jid("from"), Some(reader.jid().to_bare()));
    assert_eq!(told.attr_jid("recipient"), Some(chat));
}
