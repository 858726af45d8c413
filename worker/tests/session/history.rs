//! The past that a phone shares: told in order and in bounds, kept beside what comes in, and asked for.

use std::collections::HashSet;

use prost::Message as _;
use serde_json::Value;
use shared::id::{StanzaId, Token};
use shared::job::{Answer, BeforeMessage, FailureCode, HistoryJob, Job};
use shared::store::chats::listing;
use simulator::sharing::{HistorySharing, Past, Sharing};
use simulator::world::{Audience, Said, Speaker};
use whatsapp::jid::Jid;
use whatsapp::payload::History;
use whatsapp::poll::Ballot;
use whatsapp::proto::message::PollUpdateMessage;
use whatsapp::proto::{Message, MessageKey};

use crate::stage::Stage;

/// Digits of the first contact of a past.
const FIRST: u64 = 15_559_000_000;

fn past(chats: u32, messages: u32) -> Past {
    Past {
        first: FIRST.to_string(),
        chats,
        messages,
        older: 0,
        chunk: 1_000,
        newest: None,
        about: false,
    }
}

impl Stage {
    /// A session that is paired with a phone that shares this.
    async fn paired_with(&self, phone: &str, past: Past, history: HistorySharing) -> Token {
        let number: simulator::number::Number = phone.parse().expect("a number");
        self.simulator
            .create_phone(number, "Owner")
            .await
            .expect("a phone");
        let sharing = Sharing {
            history,
            past: Some(past),
            ..Sharing::default()
        };
        self.simulator.share(number, sharing).await.expect("a sharing");
        self.paired(phone).await
    }

    /// Waits until the phone has shared all.
    async fn all_shared(&self, token: &Token, kind: &str) {
        self.event(token, "history.progress", |event| {
            event["data"]["kind"] == kind && event["data"]["progress"] == 100
        })
        .await;
    }

    /// The events of this name, each once, in their order.
    fn once(&self, token: &Token, name: &str) -> Vec<Value> {
        let mut ids = HashSet::new();
        let mut events = self.seen(token);
        events.retain(|event| event["event"] == name && ids.insert(event["id"].to_string()));
        events
    }

    /// What events of this name list.
    fn listed(&self, token: &Token, name: &str) -> Vec<Value> {
        let events = self.once(token, name);
        let lists = events.iter().filter_map(|event| event["data"].as_array());
        lists.flatten().cloned().collect()
    }

    async fn count(&self, table: &str) -> String {
        let sql = format!("SELECT count(*)::text FROM {table}");
        let rows = self.database.query(&sql).await;
        rows.into_iter().next().flatten().expect("a count")
    }
}

fn ids(messages: &[Value]) -> HashSet<String> {
    let id = |message: &Value| message["header"]["messageId"].as_str().map(str::to_owned);
    messages.iter().filter_map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_told_in_order_and_in_bounds_and_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage
        .paired_with("15550000141", past(210, 5), HistorySharing::Inline)
        .await;
    stage.all_shared(&token, "recent").await;
    let events = stage.seen(&token);
    let sequences: Vec<i64> = events
        .iter()
        .filter_map(|event| event["sequence"].as_i64())
        .collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "in order, and each once");
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    let first = |name| names.iter().position(|other| *other == name).expect(name);
    assert!(first("chats.set") < first("contacts.set") && first("contacts.set") < first("messages.set"));
    for event in &events {
        assert!(
            event["data"]
                .as_array()
                .is_none_or(|list| list.len() <= whatsapp::MAX_HISTORY_PORTION)
        );
    }
    let messages = stage.listed(&token, "messages.set");
    assert_eq!((messages.len(), ids(&messages).len()), (210 * 5, 210 * 5));
    let one = &messages[0];
    assert_eq!(one["header"]["wuid"], format!("{FIRST}@s.whatsapp.net"));
    assert_eq!(one["header"]["phoneNumber"], FIRST.to_string());
    assert_eq!(one["body"]["message"], "message 0 of chat 0");
    assert_eq!(
        (one["body"]["messageType"].as_str(), &one["context"]["fromGroup"]),
        (Some("conversation"), &Value::from(false))
    );
    let chats = stage.listed(&token, "chats.set");
    assert_eq!(chats[1]["unreadCount"], 1);
    assert!(chats[1]["participant"].as_array().is_some_and(Vec::is_empty));
    let named = stage.listed(&token, "contacts.set");
    let has = |field: &str, name: &str| named.iter().any(|contact| contact[field] == name);
    assert!(has("contactName", "Contact 7") && has("pushName", "Push 7"));
    assert_eq!(named[0]["instanceName"], token.as_str());
    // Kept with their events.
    for (table, rows) in [("message", 1_050), ("chat", 210)] {
        assert_eq!(stage.count(table).await, rows.to_string(), "{table}");
    }
    let session = stage.record(&token).await.expect("a session").id;
    let listed = listing::newest(stage.database.store(), session, 3).await.unwrap();
    let unread: Vec<_> = listed.iter().map(|chat| chat.unread).collect();
    assert_eq!(
        (unread, listed[0].name.as_deref()),
        (vec![0, 1, 2], Some("Contact 0"))
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_midway_tells_each_message_once() {
    let stage = Stage::new().await;
    let first = stage.worker("w1");
    let mut shared = past(20, 151);
    shared.chunk = 1_500;
    let token = stage
        .paired_with("15550000142", shared, HistorySharing::File)
        .await;
    // Behind some portions of a file, and before the rest of it.
    stage
        .event(&token, "messages.set", |event| {
            event["data"].as_array().is_some_and(|list| list.len() > 20)
        })
        .await;
    first.kill();
    let second = stage.worker("w2");
    stage.all_shared(&token, "recent").await;
    let messages = stage.listed(&token, "messages.set");
    assert_eq!((messages.len(), ids(&messages).len()), (20 * 151, 20 * 151));
    assert_eq!(stage.count("message").await, (20 * 151).to_string());
    let events = stage.once(&token, "history.progress");
    let parts: Vec<_> = events
        .iter()
        .filter(|event| event["data"]["kind"] == "recent")
        .map(|event| {
            (
                event["data"]["chunk"].as_u64(),
                event["data"]["messages"].as_u64(),
            )
        })
        .collect();
    assert_eq!(parts, [(Some(1), Some(1_500)), (Some(2), Some(1_500))]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_is_told_as_is_set() {
    let stage = Stage::new().await;
    let worker = stage.worker_with("w1", |config| config.history = History::Off.into());
    let token = stage
        .paired_with("15550000143", past(3, 10), HistorySharing::Inline)
        .await;
    // Where nothing is told, what is asked for is; and it comes behind all that was shared.
    let job = HistoryJob {
        chat: FIRST.to_string().parse().unwrap(),
        count: None,
        before: Some(BeforeMessage {
            message_id: StanzaId::new("3EB0000000000000000000").unwrap(),
            from_me: false,
            message_timestamp: 1_790_000_000,
        }),
    };
    stage.call(&token, Job::History(job)).await;
    stage.event(&token, "history.progress", |_| true).await;
    worker.stop().await;
    assert_eq!(stage.once(&token, "history.progress").len(), 1);
    assert_eq!(stage.listed(&token, "messages.set").len(), 9);
    assert_eq!(stage.count("message").await, "9");
    // Two days of a chat that was written in each minute.
    let worker = stage.worker_with("w2", |config| {
        config.history.depth = History::Full;
        config.history.days = Some(1);
    });
    let mut deep = past(1, 100);
    deep.older = 2_800;
    let token = stage
        .paired_with("15550000144", deep, HistorySharing::Inline)
        .await;
    stage.all_shared(&token, "full").await;
    let told = stage.listed(&token, "messages.set").len();
    assert!((1_435..=1_441).contains(&told), "{told}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_messages_are_asked_of_the_phone_and_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let mut shared = past(2, 10);
    shared.older = 30;
    let token = stage
        .paired_with("15550000145", shared, HistorySharing::Inline)
        .await;
    stage.all_shared(&token, "recent").await;
    assert_eq!(stage.count("message").await, "20");
    for (wanted, kept) in [(25, "45"), (25, "50"), (25, "50")] {
        let job = HistoryJob {
            chat: FIRST.to_string().parse().unwrap(),
            count: Some(wanted),
            before: None,
        };
        let Answer::History(asked) = stage.call(&token, Job::History(job)).await else {
            panic!("the phone is asked");
        };
        stage
            .event(&token, "history.progress", |event| {
                event["data"]["requestId"] == asked.request_id.as_str()
            })
            .await;
        assert_eq!(stage.count("message").await, kept);
    }
    let messages = stage.listed(&token, "messages.set");
    assert_eq!((messages.len(), ids(&messages).len()), (50, 50));
    let unknown = HistoryJob {
        chat: "15557654321".parse().unwrap(),
        count: None,
        before: None,
    };
    let answer = stage.call(&token, Job::History(unknown)).await;
    let is_unknown = matches!(
        &answer,
        Answer::Failed {
            code: FailureCode::UnknownMessage,
            ..
        }
    );
    assert!(is_unknown, "{answer:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_in_a_poll_of_the_past_is_opened() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let contact = stage.contacts("15550149", 1).await.remove(0);
    let shared = Past {
        first: contact.clone(),
        about: true,
        ..past(1, 3)
    };
    let phone = "15550000149";
    let token = stage.paired_with(phone, shared, HistorySharing::Inline).await;
    stage.all_shared(&token, "recent").await;
    let told = stage.listed(&token, "messages.set");
    let is_poll = |message: &&Value| {
        let kind = message["body"]["messageType"].as_str();
        kind.is_some_and(|kind| kind.starts_with("pollCreationMessage"))
    };
    let header = &told.iter().find(is_poll).expect("a poll")["header"];
    let (id, wuid) = (text_of(&header["messageId"]), text_of(&header["wuid"]));
    // The contact, who made it, votes otherwise than the past says.
    let creator: Jid = wuid.parse().expect("a jid");
    let ballot = Ballot {
        secret: &[7; 32],
        poll: &id.parse().expect("an id"),
        creator: &creator,
        voter: &creator,
    };
    let vote = PollUpdateMessage {
        poll_creation_message_key: Some(MessageKey {
            id: Some(id.clone()),
            from_me: Some(true),
            remote_jid: Some(wuid.clone()),
            participant: None,
        }),
        vote: Some(ballot.seal(&["no"], [5; 12])),
        ..PollUpdateMessage::default()
    };
    let message = Message {
        poll_update_message: Some(Box::new(vote)),
        ..Message::default()
    };
    let said = Said::Message(message.encode_to_vec().into());
    let speaker = Speaker::Contact(contact.parse().expect("a number"));
    let audience = Audience::Chat(phone.parse().expect("a number"));
    stage
        .simulator
        .post(speaker, audience, said)
        .await
        .expect("it is said");
    let event = stage.event(&token, "poll.vote", |_| true).await;
    let data = &event["data"];
    assert_eq!(
        (&data["poll"]["name"], &data["poll"]["key"]["messageId"]),
        (&Value::from("poll of chat 0"), &Value::from(id))
    );
    assert_eq!(data["vote"]["selectedOptions"], serde_json::json!(["no"]));
    assert_eq!(
        data["totals"]["options"],
        serde_json::json!([{ "name": "yes", "votes": 0 }, { "name": "no", "votes": 1 }]),
        "the last of each voter counts"
    );
    worker.stop().await;
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
