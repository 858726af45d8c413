//! People: their names, pictures, abouts, businesses, numbers and security codes, as events tell them and as they are kept.

use serde_json::Value;
use shared::id::Token;
use shared::job::Answer;
use simulator::number::Number;
use simulator::world::{PersonNews, PictureNews, Speaker};

use crate::stage::{Stage, text};

fn number(text: &str) -> Number {
    text.parse().expect("a number")
}

fn jid(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

impl Stage {
    async fn writes(&self, contact: &str, phone: &str, words: &str) {
        let speaker = Speaker::Contact(number(contact));
        let said = self.simulator.say(speaker, number(phone), words.to_owned()).await;
        said.expect("it writes");
    }

    async fn news(&self, contact: &str, news: PersonNews) {
        let told = self.simulator.change_person(number(contact), news).await;
        told.expect("a contact");
    }

    /// The first of the contacts of an event that fits.
    async fn contact(&self, token: &Token, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let is_it = |event: &Value| event["data"].as_array().is_some_and(|all| all.iter().any(&fits));
        let event = self.event(token, event, is_it).await;
        let all = event["data"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|contact| fits(contact))
            .expect("it is there")
    }

    /// How often events of this name told of this contact.
    fn times(&self, token: &Token, event: &str, wuid: &str) -> usize {
        let seen = self.seen(token);
        let events = seen.iter().filter(|told| told["event"] == event);
        let contacts = events.flat_map(|told| told["data"].as_array().cloned().unwrap_or_default());
        contacts.filter(|contact| contact["wuid"] == wuid).count()
    }

    async fn column(&self, column: &str, jid: &str) -> Option<String> {
        let sql = format!("SELECT {column} FROM contact WHERE jid = '{jid}'");
        self.database.query(&sql).await.pop().flatten()
    }

    /// Waits until a message of these words is told.
    async fn came(&self, token: &Token, words: &str) -> Value {
        let is_it = |event: &Value| event["data"]["body"]["message"] == words;
        self.event(token, "new.message", is_it).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_is_told_once_and_again_by_another_name() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000171";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550171", 1).await;
    let wuid = jid(&contacts[0]);
    stage.writes(&contacts[0], phone, "one").await;
    let new = stage
        .contact(&token, "contacts.upsert", |contact| contact["wuid"] == *wuid)
        .await;
    assert_eq!(new["phoneNumber"], contacts[0].as_str());
    assert_eq!(new["contactName"], new["pushName"]);
    assert!(new["lid"].as_str().expect("a hidden id").ends_with("@lid"));
    stage.writes(&contacts[0], phone, "two").await;
    stage.came(&token, "two").await;
    worker.stop().await;

    // Another process remembers nothing, and tells nothing that was told.
    let worker = stage.worker("w2");
    stage.writes(&contacts[0], phone, "three").await;
    stage.came(&token, "three").await;
    let name = Some("Ana Maria".to_owned());
    stage
        .news(
            &contacts[0],
            PersonNews {
                name,
                ..PersonNews::default()
            },
        )
        .await;
    stage.writes(&contacts[0], phone, "four").await;
    let is_renamed = |contact: &Value| contact["contactName"] == "Ana Maria";
    let renamed = stage.contact(&token, "contacts.update", is_renamed).await;
    assert_eq!(renamed["wuid"], *wuid);
    assert_eq!(stage.column("name", &wuid).await.as_deref(), Some("Ana Maria"));
    assert_eq!(
        stage.column("told_name", &wuid).await.as_deref(),
        Some("Ana Maria")
    );
    assert_eq!(stage.times(&token, "contacts.upsert", &wuid), 1);
    assert_eq!(stage.times(&token, "contacts.update", &wuid), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_abouts_businesses_and_numbers_are_told_and_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000172";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550172", 2).await;
    let wuid = jid(&contacts[0]);
    stage.writes(&contacts[0], phone, "hello").await;
    stage
        .contact(&token, "contacts.upsert", |contact| contact["wuid"] == *wuid)
        .await;
    // Who was written to is told.
    stage.send(&token, text(&contacts[..1], None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;

    let news = |picture| PersonNews {
        picture: Some(picture),
        ..PersonNews::default()
    };
    stage.news(&contacts[0], news(PictureNews::Changed)).await;
    let changed = stage
        .contact(&token, "contacts.update", |contact| {
            contact["picture"] == "changed"
        })
        .await;
    let id = changed["pictureId"].as_str().expect("an id").to_owned();
    assert_eq!(stage.column("picture", &wuid).await, Some(id));
    stage.news(&contacts[0], news(PictureNews::Removed)).await;
    let removed = stage
        .contact(&token, "contacts.update", |contact| {
            contact["picture"] == "removed"
        })
        .await;
    assert!(
        removed.get("profilePictureUrl").is_some_and(Value::is_null),
        "{removed}"
    );
    assert_eq!(stage.column("picture", &wuid).await.as_deref(), Some(""));
    let both = PersonNews {
        about: Some("At the bakery".to_owned()),
        business: Some("Bakery".to_owned()),
        ..PersonNews::default()
    };
    stage.news(&contacts[0], both).await;
    stage
        .contact(&token, "contacts.update", |contact| {
            contact["about"] == "At the bakery"
        })
        .await;
    stage
        .contact(&token, "contacts.update", |contact| {
            contact["verifiedName"] == "Bakery"
        })
        .await;
    assert_eq!(
        stage.column("about", &wuid).await.as_deref(),
        Some("At the bakery")
    );
    assert_eq!(stage.column("business", &wuid).await.as_deref(), Some("Bakery"));

    stage.goes_to_another_number(&token, phone, &contacts).await;
    stage.send(&token, text(&contacts[1..], None)).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

impl Stage {
    /// All that is kept goes with the person to another number.
    async fn goes_to_another_number(&self, token: &Token, phone: &str, contacts: &[String]) {
        let wuid = jid(&contacts[0]);
        let next = jid(&contacts[1]);
        let renumbered = PersonNews {
            number: Some(contacts[1].clone()),
            ..PersonNews::default()
        };
        self.news(&contacts[0], renumbered).await;
        let told = self
            .contact(token, "contacts.update", |contact| contact["wuid"] == *next)
            .await;
        assert_eq!(told["former"]["wuid"], *wuid);
        assert_eq!(
            self.column("about", &next).await.as_deref(),
            Some("At the bakery")
        );
        assert_eq!(self.column("jid", &wuid).await, None);
        let chats = self.database.query("SELECT jid FROM chat").await;
        assert_eq!(chats, [Some(next.clone())]);
        let messages = self.database.query("SELECT DISTINCT chat FROM message").await;
        assert_eq!(messages, [Some(next.clone())]);
        // Told once, and not again when they write.
        self.writes(&contacts[1], phone, "from the other number").await;
        let wrote = |contact: &Value| contact["wuid"] == *next && contact.get("pushName").is_some();
        let named = self.contact(token, "contacts.update", wrote).await;
        assert!(named.get("former").is_none(), "{named}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_security_code_is_told_and_sends_go_on() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000173";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550173", 1).await;
    let wuid = jid(&contacts[0]);
    stage.send(&token, text(&contacts, None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    stage
        .simulator
        .register_anew(number(&contacts[0]))
        .await
        .expect("a contact");
    let told = stage.event(&token, "contact.identity", |_| true).await;
    let data = &told["data"];
    assert_eq!(
        (&data["wuid"], &data["device"]),
        (&Value::from(wuid), &Value::from(0))
    );
    assert_eq!(data["learntFrom"], "notification");
    assert!(data["lid"].as_str().expect("a hidden id").ends_with("@lid"));
    assert!(!matches!(
        stage.call(&token, shared::job::Job::SessionStart).await,
        Answer::Failed { .. }
    ));
    stage.send(&token, text(&contacts, None)).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_known_by_hidden_id_alone_is_told_to_be_who_writes_by_number() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000174";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550174", 1).await;
    let wuid = jid(&contacts[0]);
    stage.writes(&contacts[0], phone, "one").await;
    let new = stage
        .contact(&token, "contacts.upsert", |contact| contact["wuid"] == *wuid)
        .await;
    let lid = new["lid"].as_str().expect("a hidden id").to_owned();
    worker.stop().await;
    // As it was kept while nobody knew the number.
    for (table, column) in [("contact", "jid"), ("chat", "jid"), ("message", "chat")] {
        let sql = format!("UPDATE {table} SET {column} = '{lid}' WHERE {column} = '{wuid}'");
        stage.database.query(&sql).await;
    }
    let told = format!("UPDATE contact SET told_as = '{lid}', lid = NULL WHERE jid = '{lid}'");
    stage.database.query(&told).await;

    let worker = stage.worker("w2");
    stage.writes(&contacts[0], phone, "two").await;
    let joined = stage
        .contact(&token, "contacts.update", |contact| contact["wuid"] == *wuid)
        .await;
    assert_eq!(joined["former"]["wuid"], lid.as_str());
    assert_eq!(joined["former"]["lid"], lid.as_str());
    assert_eq!(stage.column("told_as", &wuid).await, Some(wuid.clone()));
    // The account is among those whose name its phone shares.
    let own = jid(phone);
    for sql in [
        "SELECT jid FROM chat".to_owned(),
        format!("SELECT jid FROM contact WHERE jid <> '{own}'"),
        "SELECT DISTINCT chat FROM message".to_owned(),
    ] {
        assert_eq!(stage.database.query(&sql).await, [Some(wuid.clone())], "{sql}");
    }
    assert_eq!(stage.times(&token, "contacts.upsert", &wuid), 1);
    worker.stop().await;
}
