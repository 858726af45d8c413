use serde_json::json;
use whatsapp::proto::message::FutureProofMessage;

use super::*;

fn text(text: &str) -> proto::Message {
    render(&shared::content::Text::new(text).into())
}

#[test]
fn the_bytes_of_every_kind_are_pinned() {
    for (content, bytes) in GOLDEN {
        let content: Content = serde_json::from_str(content).unwrap();
        assert_eq!(hex::encode(encode(&content, None)), *bytes, "{content:?}");
    }
}

#[test]
fn what_is_sent_is_told_as_what_comes_in() {
    for (content, _) in GOLDEN {
        let content: Content = serde_json::from_str(content).unwrap();
        let told = describe(&render(&content)).unwrap();
        assert_eq!(
            (told.kind, told.body),
            (content.message_type(), content.message())
        );
    }
}

#[test]
fn what_is_sent_again_is_what_was_sent_first() {
    for (content, _) in GOLDEN {
        let content: Content = serde_json::from_str(content).unwrap();
        let first = render(&content).encode_to_vec();
        // The database keeps the content as JSON, and its fields in an order of its own.
        let stored = serde_json::to_value(&content).unwrap();
        let again: Content = serde_json::from_value(stored).unwrap();
        assert_eq!(encode(&again, None), first);
    }
}

#[test]
fn a_bare_text_is_told_as_a_text() {
    let plain = proto::Message {
        conversation: Some("Test".into()),
        ..Default::default()
    };
    let told = Described {
        kind: "conversation",
        body: json!("Test"),
    };
    assert_eq!(describe(&plain), Some(told));
}

#[test]
fn wrappers_are_opened_and_protocol_messages_hidden() {
    let wrapped = proto::Message {
        ephemeral_message: Some(Box::new(FutureProofMessage {
            message: Some(Box::new(text("hi"))),
        })),
        ..Default::default()
    };
    assert_eq!(describe(&wrapped).unwrap().kind, "extendedTextMessage");
    assert_eq!(describe(&proto::Message::default()), None);
}
