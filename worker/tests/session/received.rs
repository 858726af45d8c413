//! Files of messages that came in: noted with their event, and asked for again when they are gone from the media host.

use bytes::Bytes;
use shared::id::{StanzaId, Token};
use shared::job::{Answer, ChatJob, FailureCode, Job, MediaRefreshJob};
use simulator::world::{MediaChange, SentFile, Speaker};
use whatsapp::media::{MediaKey, MediaKind, seal};

use crate::stage::Stage;

const PHONE: &str = "15550000001";

fn file() -> SentFile {
    let key = [7; 32];
    let sealed = seal(MediaKind::Document, &MediaKey::new(key), b"what it says");
    SentFile {
        name: "report\0.pdf".to_owned(),
        mimetype: "application/pdf".to_owned(),
        key,
        sealed: Bytes::from(sealed.file),
        sha256: sealed.sha256,
        enc_sha256: sealed.enc_sha256,
        length: 12,
    }
}

/// Sends the session a document; its message, once the event is out.
async fn send_document(stage: &Stage, token: &Token) -> StanzaId {
    let contact = stage.contacts("15550001", 1).await.pop().expect("a contact");
    let speaker = Speaker::Contact(contact.parse().expect("a number"));
    let sent = stage
        .simulator
        .send_file(speaker, PHONE.parse().expect("a number"), file());
    let id = sent.await.expect("the simulator takes it");
    let event = stage
        .event(token, "new.message", |event| {
            event["data"]["header"]["messageId"] == id.as_str()
        })
        .await;
    assert_eq!(event["data"]["body"]["messageType"], "documentMessage");
    StanzaId::new(&id).expect("an id")
}

async fn refresh(stage: &Stage, token: &Token, message_id: &StanzaId) -> Answer {
    let message_id = message_id.clone();
    let job = Job::MediaRefresh(MediaRefreshJob { message_id });
    stage.call(token, job).await
}

fn code(answer: &Answer) -> Option<FailureCode> {
    match answer {
        Answer::Failed { code, .. } => Some(*code),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_is_asked_for_of_the_phone_and_found_where_it_says() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    let message = send_document(&stage, &token).await;
    let path = || async {
        let sql = "SELECT direct_path FROM received_media WHERE file_name = 'report.pdf' AND length = 12";
        stage.database.query(sql).await
    };
    let before = path().await;
    assert_eq!(before.len(), 1, "written with the event");
    let gone = MediaChange {
        drop_uploads: true,
        ..MediaChange::default()
    };
    stage.simulator.change_media(gone).await.unwrap();
    let answer = refresh(&stage, &token, &message).await;
    assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    let after = path().await;
    assert_ne!(before, after);
    let found = stage.simulator.file(after[0].clone().unwrap()).await.unwrap();
    assert_eq!(found, file().sealed);

    let unknown = StanzaId::new("3EB0FF").unwrap();
    let answer = refresh(&stage, &token, &unknown).await;
    assert_eq!(code(&answer), Some(FailureCode::UnknownMessage), "{answer:?}");
    let lost = MediaChange {
        phones_forget: Some(true),
        ..MediaChange::default()
    };
    stage.simulator.change_media(lost).await.unwrap();
    let answer = refresh(&stage, &token, &message).await;
    assert_eq!(code(&answer), Some(FailureCode::Gone), "{answer:?}");
    let audit = stage.audit(|report| report.server.media_retries == 2).await;
    assert_eq!(audit.server.violations, 0, "{audit:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_not_noted_where_none_are_kept() {
    let stage = Stage::new().await;
    let worker = stage.worker_set("w1", |settings| settings.media.keep = None);
    let token = stage.paired(PHONE).await;
    let message = send_document(&stage, &token).await;
    assert!(
        stage
            .database
            .query("SELECT 1 FROM received_media")
            .await
            .is_empty()
    );
    let answer = refresh(&stage, &token, &message).await;
    assert_eq!(code(&answer), Some(FailureCode::UnknownMessage), "{answer:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_file_is_forgotten_with_its_chat() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired(PHONE).await;
    send_document(&stage, &token).await;
    let kept = || stage.database.query("SELECT 1 FROM received_media");
    assert_eq!(kept().await.len(), 1);
    let rows = stage.database.query("SELECT jid FROM chat").await;
    let chat = rows[0].as_deref().expect("a chat").parse().expect("a jid");
    let answer = stage.call(&token, Job::ForgetChat(ChatJob { chat })).await;
    assert!(matches!(answer, Answer::Forgotten(_)), "{answer:?}");
    assert!(kept().await.is_empty());
    worker.stop().await;
}
