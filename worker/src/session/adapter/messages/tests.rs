//! Messages in the shapes of the contract, from those of the wire.

use serde_json::json;
use whatsapp::proto;
use whatsapp::time::Timestamp;

use super::*;
use crate::session::content::{Rendering, render};

fn incoming(chat: &str) -> Incoming {
    Incoming {
        id: "0542F8EF37C48548301A9C957C33EB17".parse().unwrap(),
        chat: chat.parse().unwrap(),
        chat_alt: None,
        sender: "98765:3@lid".parse().unwrap(),
        lid: Some("98765@lid".parse().unwrap()),
        phone: Some("5531900000001@s.whatsapp.net".parse().unwrap()),
        from_me: false,
        push_name: Some("Ana".into()),
        timestamp: Timestamp::from_secs(1_666_479_478),
        offline: false,
        message: render(&Rendering {
            upload: None,
            preview: None,
            vote: None,
            content: &shared::content::Text::new("Test").into(),
            chat: &"5531900000042".parse().unwrap(),
            own: None,
            at: time::OffsetDateTime::UNIX_EPOCH,
        }),
    }
}

#[test]
fn a_message_tells_both_identities() {
    let message = new_message(&incoming("5531900000001@s.whatsapp.net")).unwrap();
    assert_eq!(
        serde_json::to_value(message).unwrap(),
        json!({
            "header": {
                "messageId": "0542F8EF37C48548301A9C957C33EB17",
                "fromMe": false,
                "wuid": "5531900000001@s.whatsapp.net",
                "lid": "98765@lid",
                "phoneNumber": "5531900000001",
                "pushName": "Ana"
            },
            "body": { "messageType": "extendedTextMessage", "message": { "text": "Test" } },
            "context": { "sourceDevice": "android", "messageTimestamp": 1_666_479_478, "fromGroup": false }
        })
    );
}

#[test]
fn a_chat_by_hidden_id_is_told_by_number_if_that_is_known() {
    let message = new_message(&incoming("98765@lid")).unwrap();
    assert_eq!(message.header.wuid, "5531900000001@s.whatsapp.net");
    assert_eq!(message.header.lid.as_deref(), Some("98765@lid"));
    let mut unknown = incoming("98765@lid");
    unknown.phone = None;
    assert_eq!(new_message(&unknown).unwrap().header.wuid, "98765@lid");
}

#[test]
fn a_group_message_names_its_sender() {
    let message = new_message(&incoming("120363000000000001@g.us")).unwrap();
    assert_eq!(message.header.wuid, "120363000000000001@g.us");
    assert_eq!(message.header.participant.as_deref(), Some("98765@lid"));
    assert!(message.context.from_group);
}

#[test]
fn our_own_copy_is_told_under_the_other_side() {
    let mut copy = incoming("5531900000002@s.whatsapp.net");
    copy.from_me = true;
    let message = new_message(&copy).unwrap();
    assert_eq!(message.header.phone_number.as_deref(), Some("5531900000002"));
    assert_eq!(message.header.lid, None);
    let mut copy = incoming("5531900000002@s.whatsapp.net");
    (copy.from_me, copy.chat_alt) = (true, "12345@lid".parse().ok());
    let message = new_message(&copy).unwrap();
    assert_eq!(message.header.phone_number.as_deref(), Some("5531900000002"));
    assert_eq!(message.header.lid.as_deref(), Some("12345@lid"));
}

#[test]
fn a_status_is_of_who_published_it() {
    let status = incoming("status@broadcast");
    assert!(is_status(&status));
    let header = new_message(&status).unwrap().header;
    assert_eq!(header.wuid, "5531900000001@s.whatsapp.net");
    assert_eq!(header.lid.as_deref(), Some("98765@lid"));
    assert_eq!(header.participant, None);
    for chat in ["15550001@broadcast", "98765@lid", "120363000000000001@g.us"] {
        assert!(!is_status(&incoming(chat)), "{chat}");
    }
}

#[test]
fn a_channel_is_a_chat() {
    let mut post = incoming("120363000000000001@newsletter");
    (post.sender, post.lid, post.phone) = (post.chat.clone(), None, None);
    let header = new_message(&post).unwrap().header;
    assert_eq!(header.wuid, "120363000000000001@newsletter");
    assert_eq!(
        (header.lid, header.phone_number, header.participant),
        (None, None, None)
    );
}

#[test]
fn the_secret_of_a_poll_is_found_and_of_nothing_else() {
    let info = proto::MessageContextInfo {
        message_secret: Some(bytes::Bytes::from_static(&[7; 32])),
        ..Default::default()
    };
    let mut message = incoming("98765@lid");
    message.message.message_context_info = Some(Box::new(info.clone()));
    assert_eq!(poll_secret(&message), None, "a text");
    message.message = proto::Message {
        poll_creation_message_v3: Some(Box::default()),
        message_context_info: Some(Box::new(info)),
        ..Default::default()
    };
    assert_eq!(poll_secret(&message), Some([7; 32]));
    message.message.message_context_info = None;
    assert_eq!(poll_secret(&message), None);
}

#[test]
fn the_kind_of_device_is_read_from_the_id() {
    assert_eq!(source_device("3EB0C2A9F7A1B4D5E6F708"), "web");
    assert_eq!(source_device("3A8B7F4631EA2A840895"), "ios");
    assert_eq!(source_device("X"), "unknown");
}
