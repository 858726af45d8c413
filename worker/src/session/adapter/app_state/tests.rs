use serde_json::{Value, json};
use whatsapp::time::Timestamp;

use super::*;

const ANA: &str = "15550002@s.whatsapp.net";

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

fn action(kind: SyncActionKind) -> SyncAction {
    SyncAction {
        at: Some(Timestamp::from_millis(1_700_000_000_123)),
        replaces: false,
        other: None,
        kind,
    }
}

fn of(source: SyncSource, actions: Vec<SyncAction>) -> (Vec<(String, Value)>, Vec<StateChange>) {
    let token = Token::new("shop").unwrap();
    let actions = SyncActions {
        collection: "regular",
        source,
        actions,
    };
    let told = told(actions, &token, OffsetDateTime::UNIX_EPOCH);
    let events = told.events.iter().map(|event| {
        let name = event.name().as_str().to_owned();
        (name, serde_json::to_value(event).unwrap())
    });
    (events.collect(), told.changes)
}

/// What another device did.
fn done(kind: SyncActionKind) -> (String, Value) {
    let (mut events, changes) = of(SyncSource::Other, vec![action(kind)]);
    assert!(changes.iter().all(StateChange::is_storable));
    events.remove(0)
}

#[test]
fn each_thing_that_is_done_to_a_chat_is_told() {
    use SyncActionKind as Kind;
    let end = Timestamp::from_millis(1_700_000_100_000);
    for (kind, told) in [
        (
            Kind::Archive(jid(ANA), Switch::On),
            json!({ "id": ANA, "archived": true }),
        ),
        (
            Kind::Pin(jid(ANA), Switch::On),
            json!({ "id": ANA, "pinned": 1_700_000_000_123_i64 }),
        ),
        (
            Kind::Pin(jid(ANA), Switch::Off),
            json!({ "id": ANA, "pinned": null }),
        ),
        (
            Kind::Mute(jid(ANA), Mute::Until(end)),
            json!({ "id": ANA, "muteEndTime": 1_700_000_100_000_i64 }),
        ),
        (
            Kind::Mute(jid(ANA), Mute::Always),
            json!({ "id": ANA, "muteEndTime": -1 }),
        ),
        (
            Kind::Mute(jid(ANA), Mute::Off),
            json!({ "id": ANA, "muteEndTime": null }),
        ),
        (
            Kind::MarkRead(jid(ANA), ReadMark::Read),
            json!({ "id": ANA, "unreadCount": 0, "markedUnread": false }),
        ),
        (
            Kind::MarkRead(jid(ANA), ReadMark::Unread),
            json!({ "id": ANA, "markedUnread": true }),
        ),
    ] {
        assert_eq!(done(kind), ("chats.update".to_owned(), json!([told])));
    }
    let (name, told) = done(Kind::DeleteChat(jid(ANA), None));
    assert_eq!((name.as_str(), told), ("chats.delete", json!([ANA])));
    let (name, told) = done(Kind::ClearChat(jid(ANA), None));
    assert_eq!(
        (name.as_str(), told),
        ("messages.delete", json!({ "wuid": ANA, "all": true }))
    );
}

#[test]
fn a_message_that_is_deleted_or_starred_is_named() {
    let message = || sync::MessageRef {
        chat: jid("1-2@g.us"),
        id: "3EB0".parse().unwrap(),
        from_me: false,
        participant: Some(jid(ANA)),
    };
    let (name, told) = done(SyncActionKind::DeleteMessage(message()));
    let row = json!({ "messageId": "3EB0", "fromMe": false, "wuid": "1-2@g.us", "phoneNumber": "15550002", "participant": ANA });
    assert_eq!((name.as_str(), told), ("messages.delete", json!([row])));
    let (name, told) = done(SyncActionKind::Star(message(), Switch::On));
    let key = json!({ "messageId": "3EB0", "fromMe": false, "wuid": "1-2@g.us", "participant": ANA });
    assert_eq!(
        (name.as_str(), told),
        ("message.star", json!({ "key": key, "starred": true }))
    );
}

#[test]
fn contacts_are_told_many_at_a_time_and_by_both_names() {
    let contact = |who: String, name: Option<&str>, replaces| SyncAction {
        replaces,
        other: Some(jid("100@lid")),
        ..action(SyncActionKind::Contact {
            who: jid(&who),
            name: name.map(|full| ContactName {
                full: full.to_owned(),
                first: None,
            }),
        })
    };
    let many = (0..ROWS_MAX + 1).map(|n| contact(format!("1555{n:04}@s.whatsapp.net"), Some("Ana"), false));
    let (events, changes) = of(SyncSource::Beginning, many.collect());
    let lengths: Vec<_> = events
        .iter()
        .map(|(_, data)| data.as_array().unwrap().len())
        .collect();
    assert_eq!((lengths, changes.len()), (vec![ROWS_MAX, 1], ROWS_MAX + 1));
    let (events, _) = of(
        SyncSource::Other,
        vec![
            contact(ANA.to_owned(), Some("Ana"), false),
            contact(ANA.to_owned(), Some("Anna"), true),
            contact(ANA.to_owned(), None, true),
        ],
    );
    let row = |name: Value| json!({ "wuid": ANA, "lid": "100@lid", "phoneNumber": "15550002", "contactName": name, "instanceName": "shop" });
    assert_eq!(
        events,
        [
            ("contacts.upsert".to_owned(), json!([row("Ana".into())])),
            (
                "contacts.update".to_owned(),
                json!([row("Anna".into()), row(Value::Null)])
            ),
        ]
    );
}

#[test]
fn a_chat_by_hidden_id_is_told_and_kept_by_its_number() {
    let archived = SyncAction {
        other: Some(jid(ANA)),
        ..action(SyncActionKind::Archive(jid("100@lid"), Switch::On))
    };
    let (events, changes) = of(SyncSource::Other, vec![archived]);
    assert_eq!(
        events[0].1,
        json!([{ "id": ANA, "lid": "100@lid", "archived": true }])
    );
    let kept = change::Peer {
        jid: ANA.to_owned(),
        lid: Some("100@lid".to_owned()),
    };
    assert!(matches!(&changes[0], StateChange::Chat(peer, _) if *peer == kept));
}

#[test]
fn what_was_deleted_before_the_beginning_is_not_told() {
    let message = sync::MessageRef {
        chat: jid(ANA),
        id: "3EB0".parse().unwrap(),
        from_me: true,
        participant: None,
    };
    let actions = vec![
        action(SyncActionKind::ClearChat(jid(ANA), None)),
        action(SyncActionKind::DeleteChat(jid(ANA), None)),
        action(SyncActionKind::DeleteMessage(message)),
        action(SyncActionKind::MarkRead(jid(ANA), ReadMark::Read)),
        action(SyncActionKind::PushName("Shop".to_owned())),
    ];
    let (events, changes) = of(SyncSource::Beginning, actions);
    assert!(events.is_empty() && changes.is_empty());
}

#[test]
fn labels_are_told() {
    let label = sync::Label {
        name: "New".to_owned(),
        color: 3,
        predefined: None,
    };
    let (name, told) = done(SyncActionKind::Label("7".to_owned(), Some(label)));
    let made = json!({ "id": "7", "name": "New", "color": 3, "deleted": false });
    assert_eq!((name.as_str(), told), ("labels.edit", made));
    let (name, told) = done(SyncActionKind::LabelChat("7".to_owned(), jid(ANA), Switch::Off));
    let given = json!({ "labelId": "7", "type": "chat", "wuid": ANA, "labeled": false });
    assert_eq!((name.as_str(), told), ("labels.association", given));
}

#[test]
fn what_is_told_of_labels_is_kept() {
    let token = Token::new("shop").unwrap();
    let label = sync::Label {
        name: "New".to_owned(),
        color: 3,
        predefined: Some(1),
    };
    let message = sync::MessageRef {
        chat: jid("1-2@g.us"),
        id: "3EB0".parse().unwrap(),
        from_me: false,
        participant: None,
    };
    let seven = || "7".to_owned();
    let kinds = [
        SyncActionKind::Label(seven(), Some(label)),
        SyncActionKind::LabelChat(seven(), jid(ANA), Switch::On),
        SyncActionKind::LabelMessage(seven(), message, Switch::Off),
        SyncActionKind::Label(seven(), None),
    ];
    let actions = SyncActions {
        collection: "regular",
        source: SyncSource::Beginning,
        actions: kinds.into_iter().map(action).collect(),
    };
    let labeling = |chat: &str, message: Option<&str>| Labeling {
        label: seven(),
        chat: change::Peer {
            jid: chat.to_owned(),
            lid: None,
        },
        message: message.map(str::to_owned),
    };
    let kept = Label {
        id: seven(),
        name: "New".to_owned(),
        color: 3,
        predefined: Some(1),
    };
    assert_eq!(
        told(actions, &token, OffsetDateTime::UNIX_EPOCH).labels,
        [
            LabelChange::Edited(kept),
            LabelChange::Given(labeling(ANA, None)),
            LabelChange::Taken(labeling("1-2@g.us", Some("3EB0"))),
            LabelChange::Deleted(seven()),
        ]
    );
}
