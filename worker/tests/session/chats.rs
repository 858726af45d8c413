//! What comes in is kept with its event, read beside what was sent, and forgotten when that is asked for.

use std::time::Duration;

use shared::id::{SessionId, Token};
use shared::job::{Answer, ChatJob, FailureCode, Forgotten, Job, Person, PersonJob, SendJob};
use shared::recipient::Number;
use shared::store::chats::messages::{self, KeptMessage};
use shared::store::chats::search::{self, Search};
use shared::store::chats::{self, listing};
use shared::store::keys;
use shared::store::recipients::RecipientState;
use simulator::world::Speaker;
use time::OffsetDateTime;

use crate::stage::{Stage, text};

/// What says that somebody has a ratchet with a device.
const RATCHET: keys::KeyKind = keys::KeyKind(1);

impl Stage {
    async fn session_id(&self, token: &Token) -> SessionId {
        self.record(token).await.expect("a session").id
    }

    async fn says(&self, contact: &str, owner: &str, words: &str) {
        let contact = Speaker::Contact(contact.parse().expect("a number"));
        self.simulator
            .say(contact, owner.parse().expect("a number"), words)
            .await
            .expect("the simulator takes it");
    }

    async fn hears(&self, token: &Token, words: &str) {
        self.event(token, "new.message", |event| event.to_string().contains(words))
            .await;
    }

    /// The messages with a contact.
    async fn kept(&self, token: &Token, contact: &str) -> Vec<KeptMessage> {
        let (store, session) = (self.database.store(), self.session_id(token).await);
        let jid = format!("{contact}@s.whatsapp.net");
        let names = chats::names(store, session, &jid)
            .await
            .expect("the names of a chat");
        messages::of_chat(store, session, &names, None, 100)
            .await
            .expect("a page")
    }

    async fn ratchets(&self, token: &Token) -> usize {
        let session = self.session_id(token).await;
        let names = keys::names(self.database.store(), session, RATCHET, None, 100).await;
        names.expect("keys are listed").len()
    }
}

fn forget(contact: &str) -> Job {
    Job::ForgetPerson(PersonJob {
        person: Person(Number::new(contact).expect("a number")),
    })
}

fn forgotten(answer: Answer) -> Forgotten {
    match answer {
        Answer::Forgotten(forgotten) => forgotten,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_is_kept_with_its_event_beside_what_is_sent() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let owner = "15550000131";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550131", 2).await;
    stage.says(&contacts[0], owner, "good morning").await;
    stage.hears(&token, "good morning").await;
    let session = stage.session_id(&token).await;
    let listed = listing::newest(stage.database.store(), session, 10)
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].unread), (1, 1));
    assert_eq!(listed[0].jid, format!("{}@s.whatsapp.net", contacts[0]));
    assert!(listed[0].lid.is_some(), "both names are known");
    stage.send(&token, text(&contacts[..1], None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    let kept = stage.kept(&token, &contacts[0]).await;
    assert_eq!(kept.len(), 2);
    let (ours, theirs) = (&kept[0], &kept[1]);
    assert!(ours.from_me && ours.sent.is_some_and(|(_, state)| state >= RecipientState::Sent));
    assert_eq!(theirs.words.as_deref(), Some("good morning"));
    let search = Search {
        text: Some("morn".to_owned()),
        ..Search::default()
    };
    let found = search::search(stage.database.store(), session, &search, 10)
        .await
        .unwrap();
    assert_eq!(found.rows, std::slice::from_ref(theirs));
    let chat = ChatJob {
        chat: contacts[0].parse().unwrap(),
    };
    assert_eq!(
        forgotten(stage.call(&token, Job::ForgetChat(chat)).await).messages,
        1
    );
    assert_eq!(
        stage.kept(&token, &contacts[0]).await.len(),
        1,
        "what was sent is of its queue"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_where_that_is_off() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| settings.keep_bytes = None);
    let owner = "15550000132";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550132", 1).await;
    stage.says(&contacts[0], owner, "good morning").await;
    stage.hears(&token, "good morning").await;
    for table in ["chat", "contact", "message"] {
        let rows = stage
            .database
            .query(&format!("SELECT count(*)::text FROM {table}"))
            .await;
        assert_eq!(rows[0].as_deref(), Some("0"), "{table}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_forgotten_with_their_keys_and_can_write_again() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let owner = "15550000133";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550133", 2).await;
    stage.says(&contacts[0], owner, "good morning").await;
    stage.hears(&token, "good morning").await;
    // A queue that waits for them keeps them.
    let later = SendJob {
        start_at: Some(OffsetDateTime::now_utc() + Duration::from_secs(3_600)),
        ..text(&contacts, None)
    };
    let queue = stage.send(&token, later).await;
    stage.event(&token, "job.accepted", |_| true).await;
    match stage.call(&token, forget(&contacts[0])).await {
        Answer::Failed {
            code: FailureCode::Conflict,
            message,
            ..
        } => assert!(message.contains(&queue.to_string()), "{message}"),
        other => panic!("{other:?}"),
    }
    stage.call(&token, crate::stage::delete(queue)).await;
    let before = stage.ratchets(&token).await;
    let gone = forgotten(stage.call(&token, forget(&contacts[0])).await);
    assert_eq!((gone.messages, gone.recipients), (1, 1));
    assert!(gone.records > 0);
    assert!(stage.ratchets(&token).await < before);
    assert!(stage.kept(&token, &contacts[0]).await.is_empty());
    // Again there is nothing left.
    let again = forgotten(stage.call(&token, forget(&contacts[0])).await);
    assert_eq!((again.messages, again.recipients), (0, 0));
    // The session is back by itself, and the two know each other anew.
    let is_shown = |report: &simulator::audit::Report| report.contacts.shown_once == 1;
    stage.send(&token, text(&contacts[..1], None)).await;
    let report = tokio::time::timeout(Duration::from_secs(60), stage.audit(is_shown)).await;
    assert_eq!(report.expect("it is shown").server.violations, 0);
    stage.says(&contacts[0], owner, "it is me again").await;
    stage.hears(&token, "it is me again").await;
    worker.stop().await;
}
