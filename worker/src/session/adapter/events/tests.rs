//! Shapes of the contract from events of the wire.

use serde_json::json;
use whatsapp::event::{DeviceRefusal, Receipt};
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
    let message = new_message(incoming("5531900000001@s.whatsapp.net")).unwrap();
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
    let message = new_message(incoming("98765@lid")).unwrap();
    assert_eq!(message.header.wuid, "5531900000001@s.whatsapp.net");
    assert_eq!(message.header.lid.as_deref(), Some("98765@lid"));
    let mut unknown = incoming("98765@lid");
    unknown.phone = None;
    assert_eq!(new_message(unknown).unwrap().header.wuid, "98765@lid");
}

#[test]
fn a_group_message_names_its_sender() {
    let message = new_message(incoming("120363000000000001@g.us")).unwrap();
    assert_eq!(message.header.wuid, "120363000000000001@g.us");
    assert_eq!(message.header.participant.as_deref(), Some("98765@lid"));
    assert!(message.context.from_group);
}

#[test]
fn our_own_copy_is_told_under_the_other_side() {
    let mut copy = incoming("5531900000002@s.whatsapp.net");
    copy.from_me = true;
    let message = new_message(copy).unwrap();
    assert_eq!(message.header.phone_number.as_deref(), Some("5531900000002"));
    assert_eq!(message.header.lid, None);
    let mut copy = incoming("5531900000002@s.whatsapp.net");
    (copy.from_me, copy.chat_alt) = (true, "12345@lid".parse().ok());
    let message = new_message(copy).unwrap();
    assert_eq!(message.header.phone_number.as_deref(), Some("5531900000002"));
    assert_eq!(message.header.lid.as_deref(), Some("12345@lid"));
}

#[test]
fn receipts_of_the_other_side_raise_the_status_and_our_own_do_not() {
    let receipt = |kind| {
        Event::Receipt(Receipt {
            ids: vec!["3EB0AA".parse().unwrap()],
            chat: "98765@lid".parse().unwrap(),
            other: None,
            from: "98765:2@lid".parse().unwrap(),
            kind,
            timestamp: Timestamp::from_secs(1),
        })
    };
    assert!(concerns_owner(&receipt(ReceiptKind::Read)) && !concerns_owner(&receipt(ReceiptKind::Sender)));
    assert_eq!(status(ReceiptKind::Read), Some(MessageStatus::Read));
    assert_eq!(status(ReceiptKind::Sender), None);
    let peer = Peer::new(&"98765@lid".parse().unwrap(), None, None);
    assert_eq!(
        peer.header("3EB0AA".parse().unwrap()).lid.as_deref(),
        Some("98765@lid")
    );
    assert!(MessageStatus::Read > MessageStatus::DeliveryAck);
}

#[test]
fn the_kind_of_device_is_read_from_the_id() {
    assert_eq!(source_device("3EB0C2A9F7A1B4D5E6F708"), "web");
    assert_eq!(source_device("3A8B7F4631EA2A840895"), "ios");
    assert_eq!(source_device("X"), "unknown");
}

#[test]
fn what_is_wrong_with_a_device_concerns_the_owner_and_what_is_only_known_does_not() {
    let device: Jid = "5531900000001:3@s.whatsapp.net".parse().unwrap();
    let told = [
        Event::DeviceRefused {
            device: device.clone(),
            reason: DeviceRefusal::NoProof,
        },
        Event::IdentityChanged {
            device: device.clone(),
            other: None,
            source: whatsapp::event::IdentitySource::Message,
        },
        Event::ResendFailed {
            id: "3EB0".parse().unwrap(),
            device: device.clone(),
            reason: SendError::Nack { code: 463 },
        },
    ];
    assert!(told.iter().all(concerns_owner));
    let lid = "98765@lid".parse().unwrap();
    assert!(!concerns_owner(&Event::LidMapping { phone: device, lid }));
}
