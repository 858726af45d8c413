//! What devices of the account did to chats and people is kept, over both names of a person.

use super::*;
use crate::store::chats::change::Peer;
use crate::store::chats::listing::{self, Listing};
use crate::store::chats::state::{ChatState, MessagePlace, Muted, SavedName, StateChange};
use crate::store::chats::{self, ChatRecord};

const ANA: &str = "5531900000000@s.whatsapp.net";
const LID: &str = "98765@lid";

fn by_number() -> Peer {
    Peer {
        jid: ANA.to_owned(),
        lid: Some(LID.to_owned()),
    }
}

fn by_hidden_id() -> Peer {
    Peer {
        jid: LID.to_owned(),
        lid: None,
    }
}

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000 + second).unwrap()
}

impl Bench {
    async fn states<const N: usize>(&self, changes: [StateChange; N]) {
        self.commit(|write| write.states.extend(changes)).await.unwrap();
    }

    async fn of_ana(&self) -> Option<ChatRecord> {
        listing::find(self.db.store(), self.session, ANA).await.unwrap()
    }

    async fn came_in(&self, id: &str, second: i64) {
        let message = crate::event::NewMessage {
            header: crate::event::MessageHeader {
                message_id: StanzaId::new(id).unwrap(),
                from_me: false,
                wuid: ANA.to_owned(),
                lid: Some(LID.to_owned()),
                phone_number: Some("5531900000000".to_owned()),
                participant: None,
                push_name: Some("Ana".to_owned()),
            },
            body: crate::event::MessageBody {
                message_type: "conversation".to_owned(),
                message: "hi".into(),
            },
            context: crate::event::MessageContext {
                source_device: "android".to_owned(),
                message_timestamp: at(second).unix_timestamp(),
                from_group: false,
            },
        };
        let change = crate::store::chats::change::ChatChange::of(&message, at(second), 1_000);
        self.commit(|write| write.chats.extend(change)).await.unwrap();
    }

    async fn shown(&self) -> Vec<String> {
        let names = chats::names(self.db.store(), self.session, ANA).await.unwrap();
        let page = chats::messages::of_chat(self.db.store(), self.session, &names, None, 10).await;
        page.unwrap().into_iter().map(|message| message.id).collect()
    }
}

fn archived(on: bool) -> ChatState {
    ChatState {
        archived: Some(on),
        ..ChatState::default()
    }
}

#[tokio::test]
async fn what_is_done_to_a_chat_is_kept_over_both_names() {
    let bench = Bench::new().await;
    bench.came_in("A1", 1).await;
    let pinned = ChatState {
        pinned: Some(Some(at(2))),
        ..ChatState::default()
    };
    bench.states([StateChange::Chat(by_hidden_id(), pinned)]).await;
    let muted = ChatState {
        muted: Some(Muted::Until(at(9))),
        marked_unread: Some(true),
        ..ChatState::default()
    };
    // Both names in one write, and the same twice.
    bench
        .states([
            StateChange::Chat(by_hidden_id(), archived(false)),
            StateChange::Chat(by_number(), muted),
            StateChange::Chat(by_hidden_id(), archived(true)),
        ])
        .await;
    let chat = bench.of_ana().await.unwrap();
    assert_eq!(
        (chat.archived, chat.pinned_at, chat.muted, chat.marked_unread),
        (true, Some(at(2)), Muted::Until(at(9)), true)
    );
    assert_eq!(chat.unread, 1);
    let read = ChatState {
        marked_unread: Some(false),
        muted: Some(Muted::Always),
        pinned: Some(None),
        ..ChatState::default()
    };
    bench.states([StateChange::Chat(by_number(), read)]).await;
    let chat = bench.of_ana().await.unwrap();
    assert_eq!(
        (chat.archived, chat.pinned_at, chat.muted, chat.unread),
        (true, None, Muted::Always, 0)
    );
    assert_eq!(
        bench.db.query("SELECT count(*)::text FROM chat_state").await,
        [Some("1".to_owned())]
    );
}

#[tokio::test]
async fn the_address_books_name_is_shown_before_the_persons_own() {
    let bench = Bench::new().await;
    bench.came_in("A1", 1).await;
    let name = |name: &str| SavedName::new(name);
    let shown = async || bench.of_ana().await.unwrap().name;
    bench
        .states([StateChange::Contact(by_number(), name("Ana Silva"))])
        .await;
    assert_eq!(shown().await.as_deref(), Some("Ana Silva"));
    bench.came_in("A2", 2).await;
    assert_eq!(shown().await.as_deref(), Some("Ana Silva"));
    let listing = Listing {
        letters: Some("silva"),
        limit: 10,
        ..Listing::default()
    };
    let page = listing::list(bench.db.store(), bench.session, listing)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 1);
    bench.states([StateChange::Contact(by_number(), None)]).await;
    assert_eq!(shown().await.as_deref(), Some("Ana"));
    let other = Peer {
        jid: "5531900000077@s.whatsapp.net".to_owned(),
        lid: None,
    };
    bench.states([StateChange::Contact(other, name("Bea"))]).await;
    let all = chats::contacts(bench.db.store(), bench.session, None, 10)
        .await
        .unwrap();
    let names: Vec<_> = all.into_iter().filter_map(|contact| contact.name).collect();
    assert_eq!(names, ["Ana", "Bea"]);
}

#[tokio::test]
async fn what_was_cleared_is_not_shown_and_what_comes_later_is() {
    let bench = Bench::new().await;
    for (id, second) in [("A1", 1), ("A2", 2), ("A3", 3)] {
        bench.came_in(id, second).await;
    }
    let place = |id: &str| MessagePlace {
        chat: by_number(),
        id: StanzaId::new(id).unwrap(),
        from_me: false,
    };
    bench.states([StateChange::Message(place("A3"))]).await;
    assert_eq!(bench.shown().await, ["A2", "A1"]);
    assert_eq!(bench.of_ana().await.unwrap().last.text, None);
    bench.states([StateChange::Cleared(by_number(), at(1))]).await;
    assert_eq!(bench.shown().await, ["A2"]);
    bench.states([StateChange::Deleted(by_number(), at(3))]).await;
    assert_eq!((bench.shown().await.len(), bench.of_ana().await), (0, None));
    bench.came_in("A4", 4).await;
    assert_eq!(bench.shown().await, ["A4"]);
    // An older deletion that is told late takes nothing of it.
    bench.states([StateChange::Deleted(by_number(), at(2))]).await;
    assert_eq!(bench.shown().await, ["A4"]);
    assert!(bench.of_ana().await.is_some());
}

#[tokio::test]
async fn an_account_that_is_logged_out_leaves_the_next_no_flags_and_no_names() {
    let bench = Bench::new().await;
    let bea = Peer {
        jid: "5531900000077@s.whatsapp.net".to_owned(),
        lid: None,
    };
    bench.came_in("A1", 1).await;
    let all = ChatState {
        archived: Some(true),
        pinned: Some(Some(at(2))),
        muted: Some(Muted::Always),
        marked_unread: Some(true),
    };
    bench
        .states([
            StateChange::Chat(by_number(), all),
            StateChange::Chat(bea, archived(true)),
            StateChange::Contact(by_number(), SavedName::new("Ana Silva")),
            StateChange::Cleared(by_number(), at(1)),
        ])
        .await;
    bench.came_in("A2", 3).await;
    bench
        .commit(|write| write.session_row().forget_keys = true)
        .await
        .unwrap();
    let chat = bench.of_ana().await.unwrap();
    assert_eq!(
        (
            chat.archived,
            chat.pinned_at,
            chat.muted,
            chat.marked_unread,
            chat.name.as_deref()
        ),
        (false, None, Muted::No, false, Some("Ana"))
    );
    assert_eq!(bench.shown().await, ["A2"], "what was cleared stays so");
    let left = bench.db.query("SELECT jid FROM chat_state").await;
    assert_eq!(left, [Some(ANA.to_owned())]);
}
