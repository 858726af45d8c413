//! What another client wrote is read, and what we write it would have written (`tests/vectors/state.json`).

use prost::Message as _;

use super::request::{Newest, SyncRequest};
use super::*;
use crate::proto::SyncActionData;
use crate::syncd::{Mutation, Operation};
use crate::testing::{bytes, state_vector};

const COLLECTIONS: [&str; 5] = [
    "critical_block",
    "critical_unblock_low",
    "regular_high",
    "regular_low",
    "regular",
];

/// Every mutation of the vectors, by its collection.
fn mutations() -> Vec<(&'static str, Mutation)> {
    let case = state_vector("mutations");
    let mut all = Vec::new();
    for collection in COLLECTIONS {
        for step in case[collection].as_array().unwrap() {
            let data = SyncActionData::decode(bytes(&step["sync_action_data_plain"]).as_slice()).unwrap();
            let is_set = step["operation"] == "SET(0)";
            let mutation = Mutation {
                operation: if is_set { Operation::Set } else { Operation::Remove },
                index: serde_json::from_str(step["index_json"].as_str().unwrap()).unwrap(),
                value: data.value.unwrap(),
                replaces: false,
            };
            all.push((collection, mutation));
        }
    }
    all
}

#[test]
fn every_action_of_another_client_means_something() {
    let unknown: Vec<_> = mutations()
        .into_iter()
        .filter_map(|(_, mutation)| match SyncAction::of(&mutation).kind {
            SyncActionKind::Unknown(kind) => Some(kind),
            _ => None,
        })
        .collect();
    assert_eq!(unknown, ["setting_locale"]);
}

fn chat() -> Jid {
    "15550002@s.whatsapp.net".parse().unwrap()
}

fn message() -> MessageRef {
    MessageRef {
        chat: "1-2@g.us".parse().unwrap(),
        id: "3EB0".parse().unwrap(),
        from_me: false,
        participant: Some(chat()),
    }
}

/// What is read of it where it comes back.
fn read_back(request: &SyncRequest) -> Vec<SyncActionKind> {
    let records = request.records(Timestamp::from_secs(1_790_000_000));
    let mutations = records.into_iter().map(|record| Mutation {
        operation: record.operation,
        index: record.index,
        value: record.value,
        replaces: false,
    });
    mutations.map(|mutation| SyncAction::of(&mutation).kind).collect()
}

#[test]
fn what_is_done_to_a_chat_is_read_back() {
    use SyncActionKind as Kind;
    let at = Timestamp::from_secs(1_790_000_000);
    let newest = || {
        Some(Newest {
            message: message(),
            at,
        })
    };
    for (request, kinds) in [
        (
            SyncRequest::Archive(chat(), Switch::On, newest()),
            vec![Kind::Archive(chat(), Switch::On), Kind::Pin(chat(), Switch::Off)],
        ),
        (
            SyncRequest::Archive(chat(), Switch::Off, None),
            vec![Kind::Archive(chat(), Switch::Off)],
        ),
        (
            SyncRequest::Pin(chat(), Switch::On),
            vec![Kind::Pin(chat(), Switch::On)],
        ),
        (
            SyncRequest::Mute(chat(), Mute::Until(at)),
            vec![Kind::Mute(chat(), Mute::Until(at))],
        ),
        (
            SyncRequest::Mute(chat(), Mute::Always),
            vec![Kind::Mute(chat(), Mute::Always)],
        ),
        (
            SyncRequest::Mute(chat(), Mute::Off),
            vec![Kind::Mute(chat(), Mute::Off)],
        ),
        (
            SyncRequest::MarkRead(chat(), ReadMark::Unread, newest()),
            vec![Kind::MarkRead(chat(), ReadMark::Unread)],
        ),
        (
            SyncRequest::ClearChat(chat(), newest()),
            vec![Kind::ClearChat(chat(), Some(at))],
        ),
        (
            SyncRequest::DeleteChat(chat(), None),
            vec![Kind::DeleteChat(chat(), Some(at))],
        ),
    ] {
        assert!(read_back(&request) == kinds, "{request:?}: {kinds:?}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    use SyncActionKind as Kind;
    let at = Timestamp::from_secs(1_790_000_000);
    let name = ContactName {
        full: "Ana Silva".to_owned(),
        first: Some("Ana".to_owned()),
    };
    let label = Label {
        name: "New".to_owned(),
        color: 3,
        predefined: None,
    };
    let contact = |name: Option<ContactName>| SyncRequest::Contact {
        who: chat(),
        lid: Some("100@lid".parse().unwrap()),
        name,
    };
    let in_book = |name| Kind::Contact { who: chat(), name };
    let id = || "7".to_owned();
    let labeled = MessageRef {
        from_me: false,
        participant: None,
        ..message()
    };
    for (request, kinds) in [
        (contact(Some(name.clone())), vec![in_book(Some(name))]),
        (contact(None), vec![in_book(None)]),
        (
            SyncRequest::DeleteMessage(message(), Some(at)),
            vec![Kind::DeleteMessage(message())],
        ),
        (
            SyncRequest::Star(message(), Switch::On),
            vec![Kind::Star(message(), Switch::On)],
        ),
        (
            SyncRequest::Label(id(), Some(label.clone())),
            vec![Kind::Label(id(), Some(label))],
        ),
        (SyncRequest::Label(id(), None), vec![Kind::Label(id(), None)]),
        (
            SyncRequest::LabelChat(id(), chat(), Switch::On),
            vec![Kind::LabelChat(id(), chat(), Switch::On)],
        ),
        (
            SyncRequest::LabelMessage(id(), message(), Switch::Off),
            vec![Kind::LabelMessage(id(), labeled, Switch::Off)],
        ),
        (
            SyncRequest::PushName("Shop".to_owned()),
            vec![Kind::PushName("Shop".to_owned())],
        ),
    ] {
        assert!(read_back(&request) == kinds, "{request:?}: {kinds:?}");
    }
}

/// Each request goes where the other client's action of that kind is, in the version that it has there.
#[test]
fn what_is_written_has_the_form_of_another_clients() {
    let ours = [
        SyncRequest::PushName("x".to_owned()),
        SyncRequest::Contact {
            who: chat(),
            lid: None,
            name: None,
        },
        SyncRequest::Archive(chat(), Switch::On, None),
        SyncRequest::Pin(chat(), Switch::On),
        SyncRequest::Mute(chat(), Mute::Always),
        SyncRequest::MarkRead(chat(), ReadMark::Read, None),
        SyncRequest::ClearChat(chat(), None),
        SyncRequest::DeleteChat(chat(), None),
        SyncRequest::DeleteMessage(message(), None),
        SyncRequest::Label("1".to_owned(), None),
        SyncRequest::LabelChat("1".to_owned(), chat(), Switch::On),
    ];
    let all = mutations();
    for request in ours {
        let record = request.records(Timestamp::EPOCH).remove(0);
        let like = all.iter().find(|(_, other)| other.index[0] == record.index[0]);
        if let Some((collection, other)) = like {
            assert_eq!(*collection, request.collection(), "{}", record.index[0]);
            assert_eq!(other.index.len(), record.index.len(), "{}", record.index[0]);
        }
    }
}
