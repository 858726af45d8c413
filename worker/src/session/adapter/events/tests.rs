//! Shapes of the contract from events of the wire.

use whatsapp::event::{DeviceRefusal, Receipt};
use whatsapp::time::Timestamp;

use super::*;

#[test]
fn receipts_of_the_other_side_raise_the_status_and_our_own_do_not() {
    let receipt = |kind| {
        Event::Receipt(Receipt {
            ids: vec!["3EB0AA".parse().unwrap()],
            chat: "98765@lid".parse().unwrap(),
            other: None,
            from: "98765:2@lid".parse().unwrap(),
            from_other: None,
            kind,
            timestamp: Timestamp::from_secs(1),
        })
    };
    assert!(concerns_owner(&receipt(ReceiptKind::Read)) && !concerns_owner(&receipt(ReceiptKind::Sender)));
    assert_eq!(status(ReceiptKind::Read), Some(MessageStatus::Read));
    assert_eq!(status(ReceiptKind::Sender), None);
    let peer = Peer::new(&"98765@lid".parse().unwrap(), None, None);
    assert_eq!(
        peer.header("3EB0AA".parse().unwrap(), Author::Us).lid.as_deref(),
        Some("98765@lid")
    );
    assert!(MessageStatus::Read > MessageStatus::DeliveryAck);
}

#[test]
fn a_receipt_of_a_group_names_the_member_and_both_their_names() {
    let group = Peer::called(&"120363000000000001@g.us".parse().unwrap(), None);
    let device = "98765:2@lid".parse().unwrap();
    let phone = "5531900000001@s.whatsapp.net".parse().unwrap();
    let member = Member::new(&device, Some(&phone));
    let header = member.header(&group, "3EB0AA".parse().unwrap());
    assert_eq!(header.wuid, "120363000000000001@g.us");
    assert_eq!(header.participant.as_deref(), Some("98765@lid"));
    assert_eq!(header.lid.as_deref(), Some("98765@lid"));
    assert_eq!(header.phone_number.as_deref(), Some("5531900000001"));
    assert!(header.from_me);
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
    let how = whatsapp::event::Misbehaviour::WrongMac;
    assert!(
        !concerns_owner(&Event::Misbehaved { how }),
        "counted, and no more"
    );
}
