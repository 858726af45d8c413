//! What devices of an account do to chats, contacts and labels, from the wire to what is told and kept; and back.

use std::time::Duration;

use serde_json::{Value, json};
use shared::id::{SessionId, Token};
use shared::job::{
    Answer, ChatAction, ChatActionJob, FailureCode, Job, MessageName, ProfileAction, ProfileJob,
};
use shared::store::chats::state::Muted;
use shared::store::chats::{ChatRecord, contacts, listing};
use simulator::world::{PhoneChange, Speaker, Spoil};

use crate::stage::Stage;

const PHONE: &str = "15550000151";

impl Stage {
    async fn phone_does(&self, change: Value, spoil: Option<Spoil>) {
        let change: PhoneChange = serde_json::from_value(change).expect("a change");
        let phone = PHONE.parse().expect("a number");
        self.simulator
            .change_state(phone, change, spoil)
            .await
            .expect("the phone does it");
    }

    async fn act(&self, token: &Token, job: ChatActionJob) -> Answer {
        self.call(token, Job::Chat(Box::new(job))).await
    }

    async fn acts(&self, token: &Token, job: ChatActionJob) {
        let answer = self.act(token, job).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    }

    async fn id_of(&self, token: &Token) -> SessionId {
        self.record(token).await.expect("a session").id
    }

    async fn chat_of(&self, token: &Token, jid: &str) -> Option<ChatRecord> {
        let session = self.id_of(token).await;
        let found = listing::find(self.database.store(), session, jid).await;
        found.expect("the database answers")
    }

    /// A contact says something, so that there is a chat with them.
    async fn begins_chat(&self, token: &Token, contact: &str, words: &str) {
        let speaker = Speaker::Contact(contact.parse().expect("a number"));
        self.simulator
            .say(speaker, PHONE.parse().expect("a number"), words)
            .await
            .expect("it is said");
        self.event(token, "new.message", |event| event.to_string().contains(words))
            .await;
    }

    /// Waits for a row of an event that has these fields.
    async fn row(&self, token: &Token, name: &str, fields: Value) -> Value {
        self.event(token, name, |event| {
            let rows = event["data"].as_array();
            rows.is_some_and(|rows| rows.iter().any(|row| has(row, &fields)))
        })
        .await
    }

    /// The indexes of what is in the app state of the account.
    async fn records(&self, collection: &str) -> Vec<Vec<String>> {
        let phone = PHONE.parse().expect("a number");
        let state = self.simulator.app_state(phone).await.expect("the app state");
        state
            .get(collection)
            .map(|shown| shown.records.clone())
            .unwrap_or_default()
    }
}

/// Waits for a condition.
async fn until(fits: impl AsyncFn() -> bool) {
    let waits = async {
        while !fits().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waits).await;
    waited.expect("it becomes so");
}

fn has(row: &Value, fields: &Value) -> bool {
    let fields = fields.as_object().expect("an object");
    fields.iter().all(|(name, value)| row.get(name) == Some(value))
}

fn job(action: ChatAction, chat: &str) -> ChatActionJob {
    ChatActionJob::new(action, Some(chat.parse().expect("a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_phone_does_is_told_and_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let contacts_made = stage.contacts("15550151", 2).await;
    let ana = format!("{}@s.whatsapp.net", contacts_made[0]);
    stage.begins_chat(&token, &contacts_made[0], "first words").await;
    let told = async |change: Value, fields: Value| {
        stage.phone_does(change, None).await;
        stage.row(&token, "chats.update", fields).await;
    };
    told(
        json!({ "action": "archive", "chat": ana }),
        json!({ "id": ana, "archived": true }),
    )
    .await;
    told(json!({ "action": "pin", "chat": ana }), json!({ "id": ana })).await;
    let end = 4_000_000_000_000_i64;
    told(
        json!({ "action": "mute", "chat": ana, "until": end }),
        json!({ "id": ana, "muteEndTime": end }),
    )
    .await;
    told(
        json!({ "action": "read", "chat": ana, "on": false }),
        json!({ "id": ana, "markedUnread": true }),
    )
    .await;
    let chat = stage.chat_of(&token, &ana).await.expect("a chat");
    assert!(chat.archived && chat.pinned_at.is_some() && chat.marked_unread);
    assert!(matches!(chat.muted, Muted::Until(at) if at.unix_timestamp() == end / 1_000));
    assert_eq!(chat.unread, 1);
    told(
        json!({ "action": "read", "chat": ana }),
        json!({ "id": ana, "unreadCount": 0, "markedUnread": false }),
    )
    .await;
    told(
        json!({ "action": "mute", "chat": ana, "on": false }),
        json!({ "id": ana, "muteEndTime": null }),
    )
    .await;
    let chat = stage.chat_of(&token, &ana).await.expect("a chat");
    assert_eq!(
        (chat.unread, chat.marked_unread, chat.muted),
        (0, false, Muted::No)
    );
    let report = stage.audit(|_| true).await;
    assert_eq!(report.server.violations, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_phone_names_is_told_and_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let made = stage.contacts("15550151", 1).await;
    let ana = format!("{}@s.whatsapp.net", made[0]);
    stage.begins_chat(&token, &made[0], "first words").await;
    let called = async |name: Option<&str>, event: &str| {
        let change = json!({ "action": "contact", "chat": ana, "name": name });
        stage.phone_does(change, None).await;
        let row = json!({ "wuid": ana, "contactName": name, "instanceName": token.as_str() });
        stage.row(&token, event, row).await;
        let session = stage.id_of(&token).await;
        let known = contacts(stage.database.store(), session, None, 10)
            .await
            .expect("contacts");
        known
            .into_iter()
            .find(|known| known.jid == ana)
            .expect("the contact")
            .name
    };
    let before = called(Some("Ana Silva"), "contacts.upsert").await;
    assert_eq!(before.as_deref(), Some("Ana Silva"));
    let renamed = called(Some("Ana"), "contacts.update").await;
    assert_eq!(renamed.as_deref(), Some("Ana"));
    let removed = called(None, "contacts.update").await;
    assert_ne!(
        removed.as_deref(),
        Some("Ana"),
        "the name that they go by is left"
    );
    let report = stage.audit(|_| true).await;
    assert_eq!(report.server.violations, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_phone_deletes_labels_and_stars_is_told() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let made = stage.contacts("15550151", 2).await;
    let (ana, bea) = (
        format!("{}@s.whatsapp.net", made[0]),
        format!("{}@s.whatsapp.net", made[1]),
    );
    stage.begins_chat(&token, &made[0], "of ana").await;
    stage.begins_chat(&token, &made[1], "of bea").await;
    let last = stage.chat_of(&token, &ana).await.expect("a chat").last.id;
    stage
        .phone_does(json!({ "action": "star", "chat": ana, "id": last }), None)
        .await;
    stage
        .event(&token, "message.star", |event| {
            event["data"]["starred"] == true && event["data"]["key"]["messageId"] == last.as_str()
        })
        .await;
    stage
        .phone_does(
            json!({ "action": "delete_message", "chat": ana, "id": last }),
            None,
        )
        .await;
    stage
        .row(
            &token,
            "messages.delete",
            json!({ "messageId": last, "fromMe": false, "wuid": ana }),
        )
        .await;
    assert_eq!(stage.chat_of(&token, &ana).await.expect("a chat").last.text, None);
    stage
        .phone_does(json!({ "action": "clear", "chat": bea }), None)
        .await;
    stage
        .event(&token, "messages.delete", |event| {
            event["data"]["all"] == true && event["data"]["wuid"] == bea.as_str()
        })
        .await;
    assert!(stage.chat_of(&token, &bea).await.is_some());
    stage
        .phone_does(json!({ "action": "delete", "chat": bea }), None)
        .await;
    stage
        .event(&token, "chats.delete", |event| event["data"] == json!([bea]))
        .await;
    assert!(stage.chat_of(&token, &bea).await.is_none());
    let label = json!({ "action": "label", "label": "7", "name": "New", "color": 3 });
    stage.phone_does(label, None).await;
    stage
        .event(&token, "labels.edit", |event| {
            event["data"] == json!({ "id": "7", "name": "New", "color": 3, "deleted": false })
        })
        .await;
    stage
        .phone_does(json!({ "action": "label_chat", "label": "7", "chat": ana }), None)
        .await;
    stage
        .event(&token, "labels.association", |event| {
            let row = &event["data"];
            row["labelId"] == "7"
                && row["type"] == "chat"
                && row["wuid"] == ana.as_str()
                && row["labeled"] == true
        })
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_changes_are_taken_by_whatsapp_and_told_as_those_of_others() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let made = stage.contacts("15550151", 1).await;
    let (number, ana) = (made[0].as_str(), format!("{}@s.whatsapp.net", made[0]));
    stage.begins_chat(&token, number, "first words").await;
    let id = stage.is_archived_by_us(&token, number).await;
    stage.is_labeled_and_deleted_by_us(&token, number, id).await;
    let name = ProfileJob {
        text: Some("The shop".to_owned()),
        ..ProfileJob::new(ProfileAction::SetName, None)
    };
    let renamed = stage.call(&token, Job::Profile(Box::new(name))).await;
    assert!(matches!(renamed, Answer::Done { .. }), "{renamed:?}");
    let low = stage.records("regular_low").await;
    assert!(low.contains(&vec!["archive".to_owned(), ana.clone()]), "{low:?}");
    assert_eq!(stage.records("regular").await.len(), 2);
    let report = stage.audit(|report| report.server.app_state_patches >= 11).await;
    assert_eq!(
        (report.server.violations, report.server.app_state_conflicts),
        (0, 0)
    );
    until(async || {
        let sessions = stage.simulator.sessions().await.expect("sessions");
        sessions[0].presence_name.as_deref() == Some("The shop")
    })
    .await;
    worker.stop().await;
}

impl Stage {
    /// Answers the id of the chat's last message.
    async fn is_archived_by_us(&self, token: &Token, number: &str) -> String {
        let ana = format!("{number}@s.whatsapp.net");
        self.acts(token, job(ChatAction::Pin, number)).await;
        self.acts(token, job(ChatAction::Archive, number)).await;
        self.acts(token, job(ChatAction::Mute, number)).await;
        self.acts(token, job(ChatAction::Read, number)).await;
        self.row(token, "chats.update", json!({ "id": ana, "archived": true }))
            .await;
        self.row(token, "chats.update", json!({ "id": ana, "muteEndTime": -1 }))
            .await;
        let chat = self.chat_of(token, &ana).await.expect("a chat");
        assert!(chat.archived && chat.muted == Muted::Always, "{chat:?}");
        assert_eq!(
            (chat.pinned_at, chat.unread),
            (None, 0),
            "what is archived is not pinned"
        );
        chat.last.id
    }

    async fn is_labeled_and_deleted_by_us(&self, token: &Token, number: &str, id: String) {
        let ana = format!("{number}@s.whatsapp.net");
        let saved = ChatActionJob {
            name: Some("Ana Silva".to_owned()),
            ..job(ChatAction::SaveContact, number)
        };
        self.acts(token, saved).await;
        self.row(
            token,
            "contacts.upsert",
            json!({ "wuid": ana, "contactName": "Ana Silva" }),
        )
        .await;
        let message = MessageName {
            id: id.parse().expect("an id"),
            from_me: false,
            participant: None,
        };
        let about = |action| ChatActionJob {
            message: Some(message.clone()),
            ..job(action, number)
        };
        self.acts(token, about(ChatAction::Star)).await;
        let label = ChatActionJob {
            label: Some("3".to_owned()),
            name: Some("Paid".to_owned()),
            color: Some(5),
            ..ChatActionJob::new(ChatAction::EditLabel, None)
        };
        self.acts(token, label).await;
        let labeled = ChatActionJob {
            label: Some("3".to_owned()),
            ..about(ChatAction::Label)
        };
        self.acts(token, labeled).await;
        self.event(token, "labels.association", |event| {
            event["data"]["type"] == "message"
        })
        .await;
        self.acts(token, about(ChatAction::DeleteMessage)).await;
        self.acts(token, job(ChatAction::Delete, number)).await;
        self.event(token, "chats.delete", |event| event["data"] == json!([ana]))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_resolved_and_what_is_spoiled_harms_only_itself() {
    let stage = Stage::new().await;
    let number: simulator::number::Number = PHONE.parse().expect("a number");
    stage
        .simulator
        .create_phone(number, "Owner")
        .await
        .expect("a phone");
    // What is read from its beginning is a file, which is right.
    let sharing = serde_json::from_value(json!({ "snapshots": true })).expect("sharing");
    stage
        .simulator
        .share(number, sharing)
        .await
        .expect("it shares so");
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let made = stage.contacts("15550151", 1).await;
    let (number, ana) = (made[0].as_str(), format!("{}@s.whatsapp.net", made[0]));
    stage.acts(&token, job(ChatAction::Pin, number)).await;
    let read = json!({ "action": "read", "chat": ana, "on": false });
    stage.phone_does(read, Some(Spoil::Conflict)).await;
    stage.acts(&token, job(ChatAction::Archive, number)).await;
    stage
        .row(&token, "chats.update", json!({ "id": ana, "markedUnread": true }))
        .await;
    stage
        .row(&token, "chats.update", json!({ "id": ana, "archived": true }))
        .await;
    let report = stage.audit(|_| true).await;
    assert_eq!(
        (report.server.app_state_conflicts, report.server.violations),
        (1, 0)
    );
    for (spoil, end) in [(Spoil::Mac, 1_i64), (Spoil::Gap, 2), (Spoil::Key, 3)] {
        let end = 4_000_000_000_000 + end;
        stage
            .phone_does(
                json!({ "action": "mute", "chat": ana, "until": end }),
                Some(spoil),
            )
            .await;
        if spoil != Spoil::Key {
            stage
                .row(&token, "chats.update", json!({ "id": ana, "muteEndTime": end }))
                .await;
        }
    }
    // What its key is lacking for waits for it; what follows in other collections does not.
    stage
        .phone_does(json!({ "action": "archive", "chat": ana, "on": false }), None)
        .await;
    stage
        .row(&token, "chats.update", json!({ "id": ana, "archived": false }))
        .await;
    let end = 4_000_000_000_003_i64;
    stage
        .row(&token, "chats.update", json!({ "id": ana, "muteEndTime": end }))
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_for_the_connection_and_survives_its_worker() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let made = stage.contacts("15550151", 1).await;
    let (number, ana) = (made[0].clone(), format!("{}@s.whatsapp.net", made[0]));
    worker.kill();
    let id = shared::testing::job_id();
    let pin = Job::Chat(Box::new(job(ChatAction::Pin, &number)));
    stage.publish(&token, &id, &pin).await;
    let worker = stage.worker("w2");
    stage.row(&token, "chats.update", json!({ "id": ana })).await;
    assert!(matches!(
        stage.call(&token, Job::SessionStop).await,
        Answer::Done { .. }
    ));
    let refused = stage.act(&token, job(ChatAction::Unpin, &number)).await;
    assert!(
        matches!(
            &refused,
            Answer::Failed {
                code: FailureCode::NotConnected,
                ..
            }
        ),
        "{refused:?}"
    );
    worker.stop().await;
}
