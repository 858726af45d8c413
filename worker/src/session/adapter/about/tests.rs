//! What messages about other messages are told as.

use serde_json::{Value, json};
use whatsapp::proto::Message;
use whatsapp::proto::message::{ProtocolMessage, ReactionMessage};
use whatsapp::time::Timestamp;

use super::*;
use crate::session::adapter::messages::new_message;

const GROUP: &str = "120363000000000001@g.us";
const ANA: &str = "5531900000001@s.whatsapp.net";

fn owner() -> Owner {
    Owner {
        jid: "5531900000009@s.whatsapp.net".into(),
        lid: Some("99999@lid".into()),
        push_name: None,
        platform: None,
    }
}

/// A message of Ana's in a chat.
fn incoming(chat: &str, message: Message) -> Incoming {
    Incoming {
        id: "3EB0FF".parse().unwrap(),
        chat: chat.parse().unwrap(),
        chat_alt: None,
        sender: "98765:3@lid".parse().unwrap(),
        lid: Some("98765@lid".parse().unwrap()),
        phone: Some(ANA.parse().unwrap()),
        from_me: false,
        push_name: None,
        timestamp: Timestamp::from_secs(1_666_479_478),
        offline: false,
        message,
    }
}

/// What is told of it beside itself.
fn told(chat: &str, message: Message) -> Vec<Value> {
    let incoming = incoming(chat, message);
    let told = new_message(&incoming).unwrap();
    let events = events(&incoming, &told, Some(&owner()));
    let events = events.into_iter().map(|event| {
        let name = event.name().as_str();
        json!([name, event])
    });
    events.collect()
}

/// How its own event names the message that it is about.
fn turned(chat: &str, message: Message) -> Value {
    let incoming = incoming(chat, message);
    let mut told = new_message(&incoming).unwrap();
    turn_key(&mut told, &incoming, Some(&owner()));
    told.body.message["key"].take()
}

fn key(from_me: bool, participant: Option<&str>) -> MessageKey {
    MessageKey {
        id: Some("3EB0A1".into()),
        from_me: Some(from_me),
        remote_jid: None,
        participant: participant.map(str::to_owned),
    }
}

fn protocol(kind: Type, key: MessageKey) -> Message {
    let protocol = ProtocolMessage {
        key: Some(key),
        r#type: Some(kind.into()),
        edited_message: (kind == Type::MessageEdit).then(|| {
            Box::new(Message {
                conversation: Some("new".into()),
                ..Message::default()
            })
        }),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    }
}

fn reaction(text: &str, key: MessageKey) -> Message {
    let reaction = ReactionMessage {
        key: Some(key),
        text: Some(text.into()),
        ..ReactionMessage::default()
    };
    Message {
        reaction_message: Some(Box::new(reaction)),
        ..Message::default()
    }
}

#[test]
fn a_deletion_names_what_its_author_deleted() {
    let told = told(ANA, protocol(Type::Revoke, key(true, None)));
    let deleted = json!([{ "messageId": "3EB0A1", "fromMe": false, "wuid": ANA, "lid": "98765@lid",
        "phoneNumber": "5531900000001" }]);
    assert_eq!(told, [json!(["messages.delete", deleted])]);
}

#[test]
fn an_admin_deletes_what_another_wrote_or_we_did() {
    let by_admin =
        |author: &str| told(GROUP, protocol(Type::Revoke, key(false, Some(author)))).remove(0)[1][0].take();
    assert_eq!(
        by_admin("12345:2@lid"),
        json!({ "messageId": "3EB0A1", "fromMe": false, "wuid": GROUP, "participant": "12345@lid", "lid": "12345@lid",
            "deletedBy": "98765@lid" })
    );
    for own in ["99999:4@lid", "5531900000009@s.whatsapp.net"] {
        assert_eq!(by_admin(own)["fromMe"], true, "{own}");
    }
    let own = told(GROUP, protocol(Type::Revoke, key(true, None))).remove(0)[1][0].take();
    assert_eq!(
        own,
        json!({ "messageId": "3EB0A1", "fromMe": false, "wuid": GROUP, "participant": "98765@lid",
            "lid": "98765@lid", "phoneNumber": "5531900000001" })
    );
}

#[test]
fn an_edit_tells_what_the_message_says_now() {
    let told = told(GROUP, protocol(Type::MessageEdit, key(true, None)));
    let header = json!({ "messageId": "3EB0A1", "wuid": GROUP, "fromMe": false, "participant": "98765@lid",
        "lid": "98765@lid", "phoneNumber": "5531900000001" });
    let edited = json!({ "messageType": "conversation", "message": "new" });
    let update = json!({ "edited": edited, "header": header, "dateTime": 1_666_479_478_000_i64 });
    assert_eq!(told, [json!(["messages.update", { "update": update }])]);
}

#[test]
fn a_reaction_is_told_with_its_message_as_we_see_it() {
    let to_ours = told(ANA, reaction("🦖", key(false, None))).remove(0);
    assert_eq!(to_ours[0], "message.reaction");
    assert_eq!(
        to_ours[1]["reaction"],
        json!({ "key": { "messageId": "3EB0A1", "fromMe": true, "wuid": ANA }, "text": "🦖" })
    );
    assert_eq!(to_ours[1]["header"]["messageId"], "3EB0FF");
    let taken_back = told(GROUP, reaction("", key(false, Some("99999@lid")))).remove(0);
    assert_eq!(
        taken_back[1]["reaction"],
        json!({ "key": { "messageId": "3EB0A1", "fromMe": true, "wuid": GROUP, "participant": "99999@lid" },
            "text": null })
    );
    let status = MessageKey {
        remote_jid: Some("status@broadcast".into()),
        ..key(false, None)
    };
    let to_status = told(ANA, reaction("🦖", status)).remove(0);
    assert_eq!(to_status[1]["reaction"]["key"]["wuid"], "status@broadcast");
    let nothing = MessageKey::default();
    assert!(
        told(ANA, reaction("🦖", nothing)).is_empty(),
        "it names no message"
    );
}

#[test]
fn a_reaction_names_its_message_as_the_account_sees_it() {
    let ours = turned(ANA, reaction("x", key(false, None)));
    assert_eq!(ours, json!({ "id": "3EB0A1", "fromMe": true, "remoteJid": ANA }));
    let theirs = turned(ANA, reaction("x", key(true, None)));
    assert_eq!(
        theirs,
        json!({ "id": "3EB0A1", "fromMe": false, "remoteJid": ANA })
    );
    for (author, is_us) in [("99999:4@lid", true), ("12345:2@lid", false)] {
        let shown = turned(GROUP, reaction("x", key(false, Some(author))));
        let bare = format!("{}@lid", author.split(':').next().unwrap());
        let wanted = json!({ "id": "3EB0A1", "fromMe": is_us, "remoteJid": GROUP, "participant": bare });
        assert_eq!(shown, wanted);
    }
    let own = turned(GROUP, reaction("x", key(true, None)));
    assert_eq!(own["participant"], "98765@lid");
}
