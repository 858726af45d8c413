//! What comes in is kept with the event that tells of it, changed by what comes in later, found, and forgotten.

use serde_json::{Value, json};

use super::*;
use crate::event::{MessageBody, MessageContext, MessageHeader, NewMessage};
use crate::store::chats::change::{ChatChange, Peer};
use crate::store::chats::deletion::{self, Person};
use crate::store::chats::messages::{self, Reaction, Search};
use crate::store::chats::{self, retention};

const ANA: &str = "5531900000000@s.whatsapp.net";
const ANA_LID: &str = "98765@lid";
const MAX: usize = 1_000;

/// A message of Ana in the `nth` second.
fn said(id: &str, nth: i64, text: &str) -> NewMessage {
    told(id, nth, ("conversation", json!(text)))
}

fn told(id: &str, nth: i64, (kind, body): (&str, Value)) -> NewMessage {
    NewMessage {
        header: MessageHeader {
            message_id: StanzaId::new(id).unwrap(),
            from_me: false,
            wuid: ANA.to_owned(),
            lid: Some(ANA_LID.to_owned()),
            phone_number: Some("5531900000000".to_owned()),
            participant: None,
            push_name: Some("Ana".to_owned()),
        },
        body: MessageBody {
            message_type: kind.to_owned(),
            message: body,
        },
        context: MessageContext {
            source_device: "android".to_owned(),
            message_timestamp: 1_790_000_000 + nth,
            from_group: false,
        },
    }
}

/// The same by the account, on another device.
fn own(mut message: NewMessage) -> NewMessage {
    message.header.from_me = true;
    message
}

/// The same when only the hidden id was known.
fn hidden(mut message: NewMessage) -> NewMessage {
    message.header.wuid = ANA_LID.to_owned();
    message.header.phone_number = None;
    message
}

impl Bench {
    async fn keep<const N: usize>(&self, messages: [NewMessage; N]) {
        let chats = messages.iter().filter_map(|message| ChatChange::of(message, MAX));
        self.commit(|write| write.chats.extend(chats)).await.unwrap();
    }

    async fn chat(&self) -> chats::ChatRecord {
        let mut chats = chats::list(self.db.store(), self.session, None, None, 10)
            .await
            .unwrap();
        assert_eq!(chats.len(), 1, "{chats:?}");
        chats.remove(0)
    }

    async fn messages(&self) -> Vec<messages::KeptMessage> {
        let names = chats::names(self.db.store(), self.session, ANA).await.unwrap();
        messages::of_chat(self.db.store(), self.session, &names, None, 10)
            .await
            .unwrap()
    }

    async fn ids(&self) -> Vec<String> {
        self.messages()
            .await
            .into_iter()
            .map(|message| message.id)
            .collect()
    }

    async fn found(&self, text: &str) -> Vec<String> {
        let search = Search {
            text: Some(text.to_owned()),
            ..Search::default()
        };
        let found = messages::search(self.db.store(), self.session, &search, 10)
            .await
            .unwrap();
        found.into_iter().map(|message| message.id).collect()
    }
}

#[tokio::test]
async fn messages_are_kept_once_and_their_chat_shows_the_newest() {
    let bench = Bench::new().await;
    bench.keep([said("A1", 1, "Hello"), said("A2", 2, "there")]).await;
    bench
        .keep([said("A2", 2, "there"), said("A0", 0, "before")])
        .await;
    let chat = bench.chat().await;
    assert_eq!((chat.unread, chat.last.id.as_str()), (3, "A2"));
    assert_eq!(
        (chat.name.as_deref(), chat.lid.as_deref()),
        (Some("Ana"), Some(ANA_LID))
    );
    assert_eq!(bench.ids().await, ["A2", "A1", "A0"]);
    bench
        .keep([own(said("A3", 3, "mine")), said("A4", 4, "and?")])
        .await;
    assert_eq!(
        bench.chat().await.unread,
        1,
        "the account has answered what was before"
    );
    let read = ChatChange::Read(Peer {
        jid: ANA.to_owned(),
        lid: None,
    });
    bench.commit(|write| write.chats.push(read)).await.unwrap();
    assert_eq!(bench.chat().await.unread, 0);
    let contacts = chats::contacts(bench.db.store(), bench.session, None, 10)
        .await
        .unwrap();
    assert_eq!((contacts.len(), contacts[0].jid.as_str()), (1, ANA));
}

#[tokio::test]
async fn a_page_goes_on_behind_its_last_row() {
    let bench = Bench::new().await;
    bench
        .keep([said("A1", 1, "one"), said("A2", 1, "two"), said("A3", 2, "three")])
        .await;
    let all = bench.messages().await;
    let place = (all[0].at, all[0].id.clone());
    let names = Peer {
        jid: ANA.to_owned(),
        lid: Some(ANA_LID.to_owned()),
    };
    let rest = messages::of_chat(bench.db.store(), bench.session, &names, Some(&place), 1).await;
    assert_eq!(rest.unwrap(), all[1..2]);
    let chat = bench.chat().await;
    let place = (chat.last_at, chat.jid);
    let none = chats::list(bench.db.store(), bench.session, Some(&place), None, 10).await;
    assert_eq!(none.unwrap(), []);
}

#[tokio::test]
async fn edits_deletions_and_reactions_change_what_they_speak_of() {
    let bench = Bench::new().await;
    let key = |id: &str| json!({ "id": id, "fromMe": true });
    let edit = json!({ "type": "MESSAGE_EDIT", "key": key("A1"), "editedMessage": { "conversation": "Good evening" } });
    let revoke = json!({ "type": "REVOKE", "key": key("A2") });
    let react = |text: &str| ("reactionMessage", json!({ "text": text, "key": key("A1") }));
    bench
        .keep([said("A1", 1, "Good morning"), said("A2", 2, "secret")])
        .await;
    bench
        .keep([told("R1", 3, react("👍")), told("R2", 4, react("🦖"))])
        .await;
    bench
        .keep([
            told("E1", 5, ("protocolMessage", edit)),
            told("D1", 6, ("protocolMessage", revoke)),
        ])
        .await;
    let kept = bench.messages().await;
    assert_eq!(kept.len(), 2);
    let (deleted, edited) = (&kept[0], &kept[1]);
    assert_eq!((deleted.words.as_deref(), deleted.body.as_deref()), (None, None));
    assert!(deleted.deleted_at.is_some() && edited.edited_at.is_some());
    assert_eq!(edited.words.as_deref(), Some("Good evening"));
    let reaction = Reaction {
        sender: String::new(),
        from_me: false,
        text: "🦖".to_owned(),
    };
    assert_eq!(edited.reactions, [reaction]);
    assert_eq!(
        bench.chat().await.last.text,
        None,
        "what was deleted is not shown in the list"
    );
    assert_eq!(bench.found("morning").await, [""; 0]);
    assert_eq!(bench.found("even good").await, ["A1"]);
    bench.keep([told("R3", 7, react(""))]).await;
    assert_eq!(bench.messages().await[1].reactions, []);
    // The contact can't change what the account wrote.
    bench.keep([own(said("A1", 8, "mine"))]).await;
    let revoke = json!({ "type": "REVOKE", "key": { "id": "A1", "fromMe": false } });
    bench.keep([told("D2", 9, ("protocolMessage", revoke))]).await;
    assert!(bench.messages().await[0].deleted_at.is_none());
    // Nor does what one may not change take the place of what the other may, when both come at once.
    let edit =
        json!({ "type": "MESSAGE_EDIT", "key": key("A1"), "editedMessage": { "conversation": "ours" } });
    let forged =
        json!({ "type": "MESSAGE_EDIT", "key": key("A1"), "editedMessage": { "conversation": "theirs" } });
    bench
        .keep([
            own(told("E2", 10, ("protocolMessage", edit))),
            told("E3", 11, ("protocolMessage", forged)),
        ])
        .await;
    let kept = bench.messages().await;
    let ours = kept.iter().find(|message| message.from_me).unwrap();
    assert_eq!(ours.words.as_deref(), Some("ours"));
}

#[tokio::test]
async fn what_was_kept_by_the_hidden_id_goes_to_the_number() {
    let bench = Bench::new().await;
    bench
        .keep([hidden(said("A1", 1, "who am I")), hidden(said("A2", 2, "me"))])
        .await;
    assert_eq!(bench.chat().await.jid, ANA_LID);
    bench.keep([said("A3", 3, "Ana")]).await;
    let chat = bench.chat().await;
    assert_eq!((chat.jid.as_str(), chat.unread), (ANA, 3));
    assert_eq!(bench.ids().await, ["A3", "A2", "A1"]);
    assert_eq!(bench.found("who").await, ["A1"]);
    let contacts = chats::contacts(bench.db.store(), bench.session, None, 10)
        .await
        .unwrap();
    assert_eq!(contacts.len(), 1);
    // By the hidden id it is found too.
    let found = chats::find(bench.db.store(), bench.session, ANA_LID)
        .await
        .unwrap();
    assert_eq!(found.unwrap().jid, ANA);
}

#[tokio::test]
async fn what_fanfare_sent_is_among_the_messages_with_its_state() {
    let bench = Bench::new().await;
    bench.keep([said("A1", 1, "a question")]).await;
    let queue = bench.queue(2).await;
    let stanza = StanzaId::new("OURS").unwrap();
    let at = OffsetDateTime::from_unix_timestamp(1_790_000_100).unwrap();
    let sending = RecipientChange::sending(queue.id, 0, stanza, at);
    bench
        .commit(|write| write.recipients.push(sending))
        .await
        .unwrap();
    let sent = RecipientChange::state(RecipientKey::Seq(queue.id, 0), RecipientState::Sent, at);
    bench.commit(|write| write.recipients.push(sent)).await.unwrap();
    let kept = bench.messages().await;
    assert_eq!(bench.ids().await, ["OURS", "A1"]);
    assert_eq!(kept[0].sent, Some((queue.id, RecipientState::Sent)));
    assert_eq!((kept[0].from_me, kept[0].words.as_deref()), (true, Some("hi")));
    let chat = bench.chat().await;
    assert_eq!(
        (chat.last.id.as_str(), chat.last.state, chat.unread),
        ("OURS", Some(RecipientState::Sent), 0)
    );
}

#[tokio::test]
async fn a_person_is_forgotten_once_no_queue_waits_for_them() {
    let bench = Bench::new().await;
    bench.keep([said("A1", 1, "hello")]).await;
    let mut in_group = said("G1", 2, "all");
    (in_group.header.wuid, in_group.context.from_group) = ("120363@g.us".to_owned(), true);
    bench.keep([in_group]).await;
    let queue = bench.queue(2).await;
    let (store, session) = (bench.db.store(), bench.session);
    let (theirs, others) = (b"98765:3@lid".to_vec(), b"98766:3@lid".to_vec());
    let person = Person {
        jids: vec![ANA.to_owned(), ANA_LID.to_owned()],
        records: vec![(SESSION, theirs.clone())],
    };
    let keys = [theirs, others].map(|name| KeyChange {
        kind: SESSION,
        name,
        value: Some(Bytes::from_static(b"ratchet")),
    });
    bench.commit(|write| write.keys.extend(keys)).await.unwrap();
    let waits = deletion::unfinished_queue(store, session, &person).await.unwrap();
    assert_eq!(waits, Some(queue.id));
    bench
        .commit(|write| write.queues.push(QueueChange::Delete(queue.id)))
        .await
        .unwrap();
    assert_eq!(
        deletion::unfinished_queue(store, session, &person).await.unwrap(),
        None
    );
    let forgotten = deletion::forget_person(store, bench.fence, session, &person)
        .await
        .unwrap();
    assert_eq!(
        (forgotten.messages, forgotten.recipients, forgotten.records),
        (2, 1, 1)
    );
    assert_eq!(bench.messages().await, []);
    assert_eq!(chats::contacts(store, session, None, 10).await.unwrap(), []);
    let left = recipients::page(store, queue.id, None, None, 10).await.unwrap();
    assert_eq!(left.len(), 2, "the queue counts as before");
    assert_eq!(left[0].number.as_text(), deletion::NOBODY);
    assert_eq!(left[1].number.as_text(), "5531900000001");
    let stale = Fence {
        epoch: Epoch::new(99),
        ..bench.fence
    };
    let refused = deletion::forget_chat(store, stale, session, &person.jids).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
}

#[tokio::test]
async fn old_messages_go_and_those_of_a_deleted_session_too() {
    let bench = Bench::new().await;
    bench
        .keep([
            said("A1", 1, "old"),
            said("A2", 2, "older"),
            said("A3", 900, "new"),
        ])
        .await;
    let before = OffsetDateTime::from_unix_timestamp(1_790_000_500).unwrap();
    let store = bench.db.store();
    assert_eq!(retention::forget_old(store, before, 1).await.unwrap(), Some(1));
    assert_eq!(retention::forget_old(store, before, 10).await.unwrap(), Some(1));
    assert_eq!(retention::forget_old(store, before, 10).await.unwrap(), None);
    assert_eq!(bench.ids().await, ["A3"]);
    sessions::delete(store, bench.fence, bench.session).await.unwrap();
    for table in ["message", "chat", "contact"] {
        let left = bench
            .db
            .query(&format!("SELECT count(*)::text FROM {table}"))
            .await;
        assert_eq!(left[0].as_deref(), Some("0"), "{table}");
    }
}
