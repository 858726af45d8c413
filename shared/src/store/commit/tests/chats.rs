//! What comes in is kept with the event that tells of it, changed by what comes in later, found, and forgotten.

mod forgotten;
mod hidden;
mod past;

use serde_json::{Value, json};

use super::*;
use crate::event::{MessageBody, MessageContext, MessageHeader, NewMessage};
use crate::store::chats::change::{ChatChange, Peer};
use crate::store::chats::deletion::{self, Person};
use crate::store::chats::listing::{self, Listing, Which};
use crate::store::chats::messages::{self, Reaction};
use crate::store::chats::place::Place;
use crate::store::chats::polls;
use crate::store::chats::search::{self, Search};
use crate::store::chats::{self, ChatRecord, retention};

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

/// When a message comes in: a quarter of a second after it was sent.
fn arrives(message: &NewMessage) -> OffsetDateTime {
    let at = OffsetDateTime::from_unix_timestamp(message.context.message_timestamp).unwrap();
    at + time::Duration::milliseconds(250)
}

impl Bench {
    async fn keep<const N: usize>(&self, messages: [NewMessage; N]) {
        let chats = messages
            .iter()
            .filter_map(|message| ChatChange::of(message, arrives(message), MAX));
        self.commit(|write| write.chats.extend(chats)).await.unwrap();
    }

    async fn chat(&self) -> ChatRecord {
        let mut chats = self.listed(Listing::default()).await;
        assert_eq!(chats.len(), 1, "{chats:?}");
        chats.remove(0)
    }

    async fn listed(&self, listing: Listing<'_>) -> Vec<ChatRecord> {
        let listing = Listing { limit: 10, ..listing };
        let page = listing::list(self.db.store(), self.session, listing)
            .await
            .unwrap();
        assert_eq!(page.next, None);
        page.rows
    }

    /// What Fanfare sends to the recipients of a new queue, one second after another.
    async fn sends(&self, recipients: u32, stanzas: &str, second: i64) -> QueueRecord {
        let queue = self.queue(recipients).await;
        let at = OffsetDateTime::from_unix_timestamp(second).unwrap();
        self.commit(|write| write.queues.push(QueueChange::Start(queue.id)))
            .await
            .unwrap();
        for seq in 0..recipients {
            let id = StanzaId::new(&format!("{stanzas}{seq}")).unwrap();
            let at = at + time::Duration::seconds(seq.into());
            let key = RecipientKey::Seq(queue.id, seq);
            for change in [
                RecipientChange::sending(queue.id, seq, id, at),
                RecipientChange::state(key, RecipientState::Sent, at),
            ] {
                self.commit(|write| write.recipients.push(change)).await.unwrap();
            }
        }
        queue
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
        let found = search::search(self.db.store(), self.session, &search, 10)
            .await
            .unwrap();
        assert_eq!(found.next, None);
        found.rows.into_iter().map(|message| message.id).collect()
    }
}

/// A vote in the poll `P1`.
fn vote(id: &str, nth: i64, chosen: &[&str]) -> NewMessage {
    let body = json!({ "pollCreationMessageKey": { "id": "P1" }, "vote": { "selectedOptions": chosen } });
    told(id, nth, ("pollUpdateMessage", body))
}

#[tokio::test]
async fn the_last_vote_of_each_voter_is_kept_with_its_poll() {
    let bench = Bench::new().await;
    let options = json!([{ "optionName": "today" }, { "optionName": "never" }]);
    let poll = told(
        "P1",
        1,
        (
            "pollCreationMessage",
            json!({ "name": "When?", "options": options }),
        ),
    );
    let mut poll = ChatChange::of(&poll, arrives(&poll), MAX);
    if let Some(ChatChange::Arrived(arrival)) = &mut poll {
        arrival.secret = Some([7; 32]);
    }
    bench
        .commit(|write| write.chats.extend(poll.clone()))
        .await
        .unwrap();
    bench.commit(|write| write.chats.extend(poll)).await.unwrap();
    // The later one counts, in whatever order and batch they come.
    bench
        .keep([vote("V2", 3, &["never"]), vote("V1", 2, &["today"])])
        .await;
    bench.keep([own(vote("V3", 4, &["today"]))]).await;
    bench.keep([vote("V0", 2, &["today"])]).await;
    let chats = [ANA.to_owned(), ANA_LID.to_owned()];
    let found = polls::of_votes(bench.db.store(), bench.session, &chats, &["P1"]);
    let (polls, votes) = found.await.unwrap();
    assert_eq!((polls[0].name.as_str(), polls[0].secret), ("When?", [7; 32]));
    assert_eq!(polls[0].options, ["today", "never"]);
    let votes: Vec<_> = votes
        .iter()
        .map(|vote| (vote.from_me, vote.chosen.join("")))
        .collect();
    assert_eq!(votes, [(false, "never".to_owned()), (true, "today".to_owned())]);
    assert_eq!(bench.ids().await, ["P1"], "votes are no messages of their own");
    assert_eq!(bench.messages().await[0].reactions, []);
    let rows = bench.db.query("SELECT count(*)::text FROM message").await;
    assert_eq!(rows[0].as_deref(), Some("4"), "the votes before are gone");
    let other = ["1@g.us".to_owned()];
    let elsewhere = polls::of_votes(bench.db.store(), bench.session, &other, &["P1"]);
    assert_eq!(elsewhere.await.unwrap(), (vec![], vec![]));
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
    let place = Place::Kept(chat.last_at, chat.jid);
    let before = Some(&place);
    assert_eq!(
        bench
            .listed(Listing {
                before,
                ..Listing::default()
            })
            .await,
        []
    );
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
    let found = listing::find(bench.db.store(), bench.session, ANA_LID)
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
async fn what_came_in_before_fanfare_answered_is_read() {
    let bench = Bench::new().await;
    let second = arrives(&said("A0", 0, "")).unix_timestamp();
    bench.keep([said("A1", 1, "a question")]).await;
    bench.sends(1, "OURS", second + 2).await;
    assert_eq!(bench.chat().await.unread, 0);
    bench.keep([said("A3", 3, "thanks")]).await;
    assert_eq!(bench.chat().await.unread, 1);
    bench.keep([said("A4", 4, "bye")]).await;
    assert_eq!(bench.chat().await.unread, 2);
    let found = listing::find(bench.db.store(), bench.session, ANA).await.unwrap();
    assert_eq!(found.unwrap().unread, 2, "asked for by its name, too");
    let read = ChatChange::Read(Peer {
        jid: ANA.to_owned(),
        lid: None,
    });
    bench.commit(|write| write.chats.push(read)).await.unwrap();
    assert_eq!(
        bench.chat().await.unread,
        0,
        "the account read the rest elsewhere"
    );
    bench.keep([said("A5", 5, "one more")]).await;
    assert_eq!(bench.chat().await.unread, 1);
}

#[tokio::test]
async fn who_only_fanfare_wrote_to_is_listed_and_paged_too() {
    let bench = Bench::new().await;
    bench.queue(1).await;
    let older = bench.sends(3, "OLD", 1_790_000_000).await;
    let newer = bench.sends(2, "NEW", 1_790_000_100).await;
    let chats = bench.listed(Listing::default()).await;
    let ids: Vec<&str> = chats.iter().map(|chat| chat.last.id.as_str()).collect();
    assert_eq!(ids, ["NEW1", "NEW0", "OLD2"], "each once, by its newest message");
    assert_eq!(
        (chats[0].jid.as_str(), chats[0].unread, chats[0].last_at),
        ("5531900000001@s.whatsapp.net", 0, newer.created_at)
    );
    // Ana answers: hers is a chat in which something came in.
    let second = newer.created_at.unix_timestamp() - 1_790_000_000 + 2;
    bench.keep([said("A1", second, "yes")]).await;
    let both = bench.listed(Listing::default()).await;
    assert_eq!((both.len(), both[0].jid.as_str()), (3, ANA));
    let which = Which::Received;
    let received = bench
        .listed(Listing {
            which,
            ..Listing::default()
        })
        .await;
    assert_eq!((received.len(), received[0].jid.as_str()), (1, ANA));
    let letters = Some("00002");
    let found = bench
        .listed(Listing {
            letters,
            ..Listing::default()
        })
        .await;
    assert_eq!((found.len(), found[0].last.id.as_str()), (1, "OLD2"));
    // Page by page it is the same.
    let (mut paged, mut next): (Vec<ChatRecord>, Option<Place>) = (Vec::new(), None);
    loop {
        let (before, limit) = (next.as_ref(), 1);
        let listing = Listing {
            before,
            limit,
            ..Listing::default()
        };
        let page = listing::list(bench.db.store(), bench.session, listing)
            .await
            .unwrap();
        paged.extend(page.rows);
        next = page.next.map(|place| place.to_string().parse().unwrap());
        if next.is_none() {
            break;
        }
    }
    assert_eq!(paged, both);
    assert_eq!(
        listing::newest(bench.db.store(), bench.session, 2).await.unwrap(),
        both[..2]
    );
    let found = listing::find(bench.db.store(), bench.session, "5531900000002@s.whatsapp.net").await;
    assert_eq!(found.unwrap().unwrap().last.state, Some(RecipientState::Sent));
    assert_eq!(older.total, 3);
}

#[tokio::test]
async fn a_deleted_chat_is_listed_again_once_something_is_sent_there() {
    let bench = Bench::new().await;
    bench.sends(1, "ONE", 1_790_000_000).await;
    let (store, names) = (bench.db.store(), [ANA.to_owned()]);
    deletion::forget_chat(store, bench.fence, bench.session, &names)
        .await
        .unwrap();
    assert_eq!(bench.listed(Listing::default()).await, []);
    assert_eq!(listing::find(store, bench.session, ANA).await.unwrap(), None);
    bench.sends(1, "TWO", 1_790_000_100).await;
    assert_eq!(bench.chat().await.last.id, "TWO0");
    // What is noted of it goes when nothing is left that could list it.
    let later = OffsetDateTime::now_utc() + time::Duration::days(1);
    assert_eq!(retention::forget_old(store, later, 10).await.unwrap(), None);
    bench.db.query("DELETE FROM recipient").await;
    assert_eq!(retention::forget_old(store, later, 10).await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_was_sent_is_found_by_its_words_with_what_came_in() {
    let bench = Bench::new().await;
    let later = OffsetDateTime::now_utc().unix_timestamp() + 10;
    let queue = bench.sends(2, "OURS", later).await;
    let second = queue.created_at.unix_timestamp() - 1_790_000_000;
    bench
        .keep([
            said("A1", second - 60, "hi there"),
            said("A2", second + 60, "Hi again"),
        ])
        .await;
    assert_eq!(bench.found("hi").await, ["A2", "OURS1", "OURS0", "A1"]);
    assert_eq!(bench.found("hi there").await, ["A1"]);
    assert_eq!(
        bench.found("typ").await,
        [""; 0],
        "fields of a message are none of its words"
    );
    let names = chats::names(bench.db.store(), bench.session, ANA).await.unwrap();
    let page = async |chat: bool, before: Option<Place>| {
        let search = Search {
            text: Some("H".to_owned()),
            chat: chat.then(|| names.clone()),
            before,
            ..Search::default()
        };
        search::search(bench.db.store(), bench.session, &search, 1)
            .await
            .unwrap()
    };
    for (in_chat, expected) in [
        (true, &["A2", "OURS0", "A1"][..]),
        (false, &["A2", "OURS1", "OURS0", "A1"][..]),
    ] {
        let (mut ids, mut next) = (Vec::new(), None);
        loop {
            let found = page(in_chat, next).await;
            ids.extend(found.rows.into_iter().map(|message| message.id));
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(ids, expected);
    }
    let (from, to) = (
        queue.created_at,
        OffsetDateTime::from_unix_timestamp(later + 1).unwrap(),
    );
    let search = Search {
        from: Some(from),
        to: Some(to),
        ..Search::default()
    };
    let found = search::search(bench.db.store(), bench.session, &search, 10)
        .await
        .unwrap();
    let ids: Vec<&str> = found.rows.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["OURS0"], "by when it was sent");
    assert_eq!(found.rows[0].sent, Some((queue.id, RecipientState::Sent)));
}

#[tokio::test]
async fn a_change_that_comes_before_its_message_waits_for_it() {
    let bench = Bench::new().await;
    let change = |kind: &str, id: &str, text: &str| {
        (
            "protocolMessage",
            json!({ "type": kind, "key": { "id": id, "fromMe": true },
            "editedMessage": { "conversation": text } }),
        )
    };
    bench
        .keep([
            told("E1", 5, change("MESSAGE_EDIT", "A1", "newer")),
            told("D1", 6, change("REVOKE", "A2", "")),
        ])
        .await;
    bench
        .keep([told("E0", 4, change("MESSAGE_EDIT", "A1", "new"))])
        .await;
    assert_eq!(bench.listed(Listing::default()).await, []);
    // Again, and by somebody who may not.
    bench
        .keep([
            told("D1", 6, change("REVOKE", "A2", "")),
            own(told("D2", 6, change("REVOKE", "A1", ""))),
        ])
        .await;
    bench.keep([said("A1", 1, "old"), said("A2", 2, "secret")]).await;
    let kept = bench.messages().await;
    assert_eq!(
        (kept.len(), kept[0].deleted_at.is_some(), kept[0].body.as_deref()),
        (2, true, None)
    );
    assert_eq!(
        (kept[1].words.as_deref(), kept[1].deleted_at),
        (Some("newer"), None)
    );
    assert!(kept[1].edited_at.is_some() && kept[1].reactions.is_empty());
    assert_eq!(bench.chat().await.last.text, None);
    assert_eq!(bench.found("newer").await, ["A1"]);
    for gone in ["old", "secret"] {
        assert_eq!(bench.found(gone).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_fanfare_sent_is_changed_by_what_another_device_says() {
    let bench = Bench::new().await;
    bench.sends(1, "OURS", 1_790_000_000).await;
    let change = |kind: &str| {
        (
            "protocolMessage",
            json!({ "type": kind, "key": { "id": "OURS0", "fromMe": true },
            "editedMessage": { "conversation": "mended" } }),
        )
    };
    bench.keep([told("X1", 5, change("MESSAGE_EDIT"))]).await;
    assert_eq!(
        bench.messages().await[0].words.as_deref(),
        Some("hi"),
        "the contact may not"
    );
    bench.keep([own(told("E1", 6, change("MESSAGE_EDIT")))]).await;
    assert_eq!(bench.messages().await[0].words.as_deref(), Some("mended"));
    bench.keep([own(told("D1", 7, change("REVOKE")))]).await;
    let kept = bench.messages().await;
    assert_eq!(
        (kept.len(), kept[0].deleted_at.is_some(), kept[0].words.as_deref()),
        (1, true, None)
    );
}

#[tokio::test]
async fn within_a_second_messages_are_in_the_order_of_their_coming() {
    let bench = Bench::new().await;
    let second = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
    let comes = async |message: NewMessage, millis: i64| {
        let at = second + time::Duration::milliseconds(millis);
        let change = ChatChange::of(&message, at, MAX);
        bench.commit(|write| write.chats.extend(change)).await.unwrap();
    };
    comes(said("Z-QUESTION", 0, "open?"), 200).await;
    let queue = bench.queue(1).await;
    let at = second + time::Duration::milliseconds(500);
    let sent = [
        RecipientChange::sending(queue.id, 0, StanzaId::new("OURS").unwrap(), at),
        RecipientChange::state(RecipientKey::Seq(queue.id, 0), RecipientState::Sent, at),
    ];
    for change in sent {
        bench.commit(|write| write.recipients.push(change)).await.unwrap();
    }
    bench
        .commit(|write| write.queues.push(QueueChange::Start(queue.id)))
        .await
        .unwrap();
    assert_eq!(bench.chat().await.last.id, "OURS");
    comes(said("A-ANSWER", 0, "thanks"), 900).await;
    assert_eq!(bench.ids().await, ["A-ANSWER", "OURS", "Z-QUESTION"]);
    assert_eq!(
        (bench.chat().await.last.id.as_str(), bench.chat().await.unread),
        ("A-ANSWER", 1),
        "what Fanfare sent has answered the question"
    );
}

#[tokio::test]
async fn who_is_joined_is_not_joined_again() {
    let bench = Bench::new().await;
    bench.keep([said("A1", 1, "both names")]).await;
    // A row that only the statement that joins would move.
    bench
        .db
        .query(&format!(
            "INSERT INTO contact (session_id, jid) VALUES ({}, '{ANA_LID}')",
            bench.session.get()
        ))
        .await;
    bench.keep([said("A2", 2, "both again")]).await;
    let contacts = async || {
        chats::contacts(bench.db.store(), bench.session, None, 10)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(contacts().await, 2, "nothing looked for it");
    bench.keep([hidden(said("A3", 3, "hidden"))]).await;
    bench.keep([said("A4", 4, "both")]).await;
    assert_eq!((contacts().await, bench.ids().await.len()), (1, 4));
}
