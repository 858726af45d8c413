//! Files that messages carry: uploaded once for all recipients, beside the other sends, whatever is killed when.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::egress::Reach;
use shared::files::{FileStore, StorePlace};
use shared::id::{MediaId, QueueId};
use shared::job::SendJob;
use shared::store::media as stored;
use simulator::world::{MediaChange, Speaker};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use whatsapp::media::{BlobRef, MediaKey, MediaKind, open};
use whatsapp::proto::Message;
use whatsapp::proto::message::ImageMessage;
use whatsapp::proto::message::buttons_message::Header;
use whatsapp::proto::message::interactive_message::header::Media as Flow;

use crate::stage::{Stage, names, text};

/// A host of files: `/a.jpg` a picture, `/bomb.gif` one of four thousand million points, `/half.png` a part of one, `/slow.jpg` the same once it is let go, `/page` no picture, `/away` elsewhere.
struct Host {
    url: String,
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

/// A JPEG of 400 by 300 points, of more than a piece.
fn picture() -> Vec<u8> {
    let mut jpeg = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(400, 300)
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .expect("what was made here");
    let mut picture = jpeg.into_inner();
    picture.resize(150_001, 7);
    picture
}

/// What says that it has 65,535 by 65,535 points.
const BOMB: &[u8] =
    b"GIF89a\xff\xff\xff\xff\x00\x00\x00\x2c\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08\x01\x00\x00\x3b";
/// What begins like a picture.
const HALF: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10";

async fn host() -> Host {
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, closed) = (Arc::clone(&asked), Arc::clone(&gate));
    let given = async move || {
        count.fetch_add(1, Ordering::SeqCst);
        ([(CONTENT_TYPE, "image/jpeg")], picture())
    };
    let slow = {
        let given = given.clone();
        async move || {
            let _open = closed.acquire().await;
            given().await
        }
    };
    let away = async || (StatusCode::FOUND, [(LOCATION, "/a.jpg")]);
    let routes = Router::new()
        .route("/a.jpg", get(given))
        .route("/slow.jpg", get(slow))
        .route(
            "/page",
            get(async || ([(CONTENT_TYPE, "image/jpeg")], "<html>no picture")),
        )
        .route("/bomb.gif", get(async || BOMB))
        .route("/half.png", get(async || HALF))
        .route("/away", get(away));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("what was made here");
    let url = format!("http://{}", listener.local_addr().expect("what was made here"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Host { url, asked, gate }
}

fn image(numbers: &[String], url: &str) -> SendJob {
    job(
        numbers,
        &json!({ "type": "image", "media": { "url": url }, "caption": "Hi" }),
    )
}

fn job(numbers: &[String], message: &Value) -> SendJob {
    let body = json!({ "numbers": numbers, "message": message, "delay": { "min": 0.01, "max": 0.02 } });
    SendJob::parse(body.to_string().as_bytes()).expect("what was made here")
}

/// What a contact was shown.
pub(crate) async fn shown(stage: &Stage, number: &str) -> Vec<Message> {
    let contact = Speaker::Contact(number.parse().expect("what was made here"));
    let inbox = stage
        .simulator
        .messages(contact, 0)
        .await
        .expect("what was made here");
    let decoded = inbox.iter().map(|received| {
        let bytes = STANDARD.decode(&received.message).expect("what was made here");
        prost::Message::decode(bytes.as_slice()).expect("what was made here")
    });
    decoded.collect()
}

/// What the file of a message says, as whoever got the message finds it at the media host.
async fn opened(stage: &Stage, image: &ImageMessage) -> Vec<u8> {
    let path = image.direct_path.clone().expect("what was made here");
    let file = stage
        .simulator
        .file(path.split('?').next().expect("what was made here"))
        .await
        .expect("what was made here");
    let key: [u8; 32] = image
        .media_key
        .as_deref()
        .expect("what was made here")
        .try_into()
        .expect("what was made here");
    let named = BlobRef {
        kind: MediaKind::Image,
        path,
        key: MediaKey::new(key),
        sha256: image
            .file_sha256
            .as_deref()
            .expect("what was made here")
            .try_into()
            .expect("what was made here"),
        enc_sha256: image
            .file_enc_sha256
            .as_deref()
            .expect("what was made here")
            .try_into()
            .expect("what was made here"),
        length: image.file_length,
    };
    open(&named, file.to_vec()).expect("what was made here")
}

async fn completed(stage: &Stage, token: &shared::id::Token, queue: QueueId) {
    stage
        .event(token, "send.message:COMPLETED", |event| {
            event["data"]["queue"]["queueId"] == queue.to_string()
        })
        .await;
}

/// The status that each recipient of a queue failed with.
async fn failures(stage: &Stage, token: &shared::id::Token, job: SendJob) -> Vec<u64> {
    let queue = stage.send(token, job).await;
    completed(stage, token, queue).await;
    let events = stage.of_queue(token, queue);
    let failed = events
        .iter()
        .filter(|event| event["event"] == "send.message:ERROR");
    failed
        .filter_map(|event| event["data"]["status"].as_u64())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_fetched_and_uploaded_once_for_all_and_each_can_open_it() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 30).await;
    let queue = stage
        .send(&token, image(&numbers, &format!("{}/away", host.url)))
        .await;
    completed(&stage, &token, queue).await;
    let audit = stage.audit(|report| report.contacts.shown_once == 30).await;
    assert_eq!((audit.server.uploads, audit.server.uploads_refused), (1, 0));
    assert_eq!(host.asked.load(Ordering::SeqCst), 1);
    for number in [&numbers[0], &numbers[29]] {
        let message = shown(&stage, number).await.pop().unwrap();
        let image = message.image_message.unwrap();
        assert_eq!(image.caption.as_deref(), Some("Hi"));
        assert_eq!(image.mimetype.as_deref(), Some("image/jpeg"));
        assert_eq!((image.width, image.height), (Some(400), Some(300)));
        assert!(
            image
                .jpeg_thumbnail
                .as_ref()
                .is_some_and(|small| small.starts_with(&[0xff, 0xd8]))
        );
        assert!(opened(&stage, &image).await == picture());
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_takes_long_holds_up_no_other_send_and_its_queue_says_why_it_waits() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 20).await;
    let waits = stage
        .send(&token, image(&numbers, &format!("{}/slow.jpg", host.url)))
        .await;
    let others = stage.send(&token, text(&numbers, Some((0.01, 0.02)))).await;
    completed(&stage, &token, others).await;
    let told = format!("SELECT 1 FROM queue WHERE id = '{waits}' AND waiting->>'reason' = 'upload'");
    while stage.database.query(&told).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!names(&stage.of_queue(&token, waits)).contains(&"send.message:START"));
    host.gate.add_permits(1);
    completed(&stage, &token, waits).await;
    stage.audit(|report| report.contacts.shown_once == 40).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_in_an_upload_or_between_sends_loses_nothing_and_sends_nothing_twice() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 40).await;
    let queue = stage
        .send(&token, image(&numbers, &format!("{}/slow.jpg", host.url)))
        .await;
    let told = format!("SELECT 1 FROM queue WHERE id = '{queue}' AND waiting->>'reason' = 'upload'");
    while stage.database.query(&told).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.kill();
    host.gate.add_permits(1);
    let worker = stage.worker("w2");
    stage.audit(|report| report.contacts.shown_once >= 10).await;
    worker.kill();
    let worker = stage.worker("w3");
    completed(&stage, &token, queue).await;
    let audit = stage.audit(|report| report.contacts.shown_once == 40).await;
    assert_eq!(
        audit.server.uploads, 1,
        "what is written down is not uploaded again"
    );
    assert_eq!(
        (audit.contacts.shown_twice, audit.server.message_keys_reused),
        (0, 0),
        "{audit:?}"
    );
    let first = shown(&stage, &numbers[0])
        .await
        .pop()
        .unwrap()
        .image_message
        .unwrap();
    let last = shown(&stage, &numbers[39])
        .await
        .pop()
        .unwrap()
        .image_message
        .unwrap();
    assert_eq!(first.direct_path, last.direct_path);
    // What is known of it is written down with it: who sends the rest has not seen the file.
    assert!(first.jpeg_thumbnail.is_some());
    assert_eq!(first.jpeg_thumbnail, last.jpeg_thumbnail);
    assert_eq!((first.width, first.height), (last.width, last.height));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_the_host_refuses_for_now_or_for_its_secret_goes_through_later() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 2).await;
    let url = format!("{}/a.jpg", host.url);
    let first = stage.send(&token, image(&numbers, &url)).await;
    completed(&stage, &token, first).await;
    let change = MediaChange {
        refuse_uploads: Some(1),
        forget_auth: true,
        ..MediaChange::default()
    };
    stage.simulator.change_media(change).await.unwrap();
    let second = stage.send(&token, image(&numbers, &url)).await;
    completed(&stage, &token, second).await;
    let audit = stage.audit(|report| report.contacts.shown_once == 4).await;
    assert_eq!((audit.server.uploads, audit.server.uploads_refused), (2, 2));
    assert_eq!(host.asked.load(Ordering::SeqCst), 2, "what was refused was kept");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_about_to_expire_is_made_anew_and_who_asks_again_gets_what_he_was_sent() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 2).await;
    let change = MediaChange {
        files_live: Some(2),
        ..MediaChange::default()
    };
    stage.simulator.change_media(change).await.unwrap();
    let queue = image(&numbers, &format!("{}/a.jpg", host.url));
    let slow = SendJob {
        delay: Some(shared::job::Delay::new(3.0, 3.0).unwrap()),
        ..queue
    };
    let queue = stage.send(&token, slow).await;
    stage.audit(|report| report.server.uploads >= 1).await;
    let change = MediaChange {
        files_live: Some(2_419_200),
        ..MediaChange::default()
    };
    stage.simulator.change_media(change).await.unwrap();
    completed(&stage, &token, queue).await;
    let last = shown(&stage, &numbers[1])
        .await
        .pop()
        .unwrap()
        .image_message
        .unwrap();
    assert!(opened(&stage, &last).await == picture());
    let rows = stage
        .database
        .query(&format!(
            "SELECT direct_path FROM queue_upload WHERE queue_id = '{queue}' ORDER BY uploaded_at DESC"
        ))
        .await;
    assert!(rows.len() >= 2, "{rows:?}");
    assert_eq!(
        rows[0], last.direct_path,
        "the newest counts for who was not sent to yet"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_picture_too_large_gone_or_elsewhere_fails_with_a_code_or_goes_as_a_document() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker_set("w1", |settings| settings.media.max_bytes = 150_000);
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 3).await;
    let at = |path: &str| format!("{}{path}", host.url);
    assert_eq!(
        failures(&stage, &token, image(&numbers, &at("/a.jpg"))).await,
        [413; 3]
    );
    assert_eq!(
        failures(&stage, &token, image(&numbers, &at("/page"))).await,
        [415; 3]
    );
    assert_eq!(
        failures(&stage, &token, image(&numbers, &at("/none"))).await,
        [424; 3]
    );
    let page =
        json!({ "type": "image", "media": { "url": at("/page") }, "caption": "Hi", "otherwise": "document" });
    assert!(failures(&stage, &token, job(&numbers, &page)).await.is_empty());
    stage.audit(|report| report.contacts.shown_once == 3).await;
    let message = shown(&stage, &numbers[0]).await.pop().unwrap();
    let inner = message.document_with_caption_message.unwrap().message.unwrap();
    assert_eq!(inner.document_message.unwrap().caption.as_deref(), Some("Hi"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_can_not_be_decoded_and_a_bomb_are_refused_or_go_as_documents() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 1).await;
    for path in ["/bomb.gif", "/half.png"] {
        let url = format!("{}{path}", host.url);
        let refused = failures(&stage, &token, image(&numbers, &url)).await;
        assert_eq!(refused, [415], "{path}");
        let told = format!("SELECT error FROM recipient WHERE error LIKE '%{path}%'");
        assert!(
            stage.database.query(&told).await.is_empty(),
            "an address may be a secret"
        );
        let as_document = json!({ "type": "image", "media": { "url": url }, "otherwise": "document" });
        let sent = failures(&stage, &token, job(&numbers, &as_document)).await;
        assert!(sent.is_empty(), "{path}: {sent:?}");
    }
    let why = "SELECT error FROM recipient WHERE error LIKE '%4294836225 points, more than 50000000 (MEDIA_PIXELS)%'";
    assert_eq!(stage.database.query(why).await.len(), 1);
    stage.audit(|report| report.contacts.shown_once == 2).await;
    for message in shown(&stage, &numbers[0]).await {
        assert!(message.document_message.is_some(), "{message:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_above_buttons_is_uploaded_once_for_all_in_both_forms() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 20).await;
    let above = |form: &str| {
        let media = json!({ "url": format!("{}/a.jpg", host.url) });
        json!({ "type": "buttons", "text": "Shall we?", "buttons": [{ "displayText": "Yes" }],
            "header": { "type": "image", "media": media }, "form": form })
    };
    let flow = stage.send(&token, job(&numbers, &above("nativeFlow"))).await;
    completed(&stage, &token, flow).await;
    let legacy = stage.send(&token, job(&numbers, &above("legacy"))).await;
    completed(&stage, &token, legacy).await;
    let audit = stage.audit(|report| report.contacts.shown_once == 40).await;
    assert_eq!((audit.server.uploads, host.asked.load(Ordering::SeqCst)), (2, 2));
    let mut inbox = shown(&stage, &numbers[19]).await.into_iter();
    let header = inbox.next().unwrap().interactive_message.unwrap().header.unwrap();
    assert_eq!(header.has_media_attachment, Some(true));
    let Some(Flow::ImageMessage(image)) = header.media else {
        panic!("no picture: {header:?}");
    };
    assert!(opened(&stage, &image).await == picture());
    let buttons = inbox.next().unwrap().buttons_message.unwrap();
    let Some(Header::ImageMessage(image)) = buttons.header else {
        panic!("no picture: {buttons:?}");
    };
    assert_eq!(
        (image.caption.as_deref(), image.width),
        (Some("Shall we?"), Some(400))
    );
    assert!(opened(&stage, &image).await == picture());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_not_fetched_from_unless_that_is_set() {
    let (stage, host) = (Stage::new().await, host().await);
    let worker = stage.worker_set("w1", |settings| {
        settings.media.reach = Reach::Public;
        settings.media.timeout = Duration::from_secs(1);
    });
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 1).await;
    assert_eq!(
        failures(&stage, &token, image(&numbers, &format!("{}/a.jpg", host.url))).await,
        [400]
    );
    let metadata = "http://169.254.169.254/latest/meta-data";
    assert_eq!(failures(&stage, &token, image(&numbers, metadata)).await, [400]);
    assert_eq!(host.asked.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_before_there_is_a_host_for_it_and_what_waits_fills_no_disk() {
    let (stage, host) = (Stage::new().await, host().await);
    // No room for a file that was fetched and not taken.
    let worker = stage.worker_set("w1", |settings| settings.media.kept_bytes = 100 * 1024);
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 1).await;
    let hosts = |hosts: Vec<String>| MediaChange {
        hosts: Some(hosts),
        ..MediaChange::default()
    };
    stage.simulator.change_media(hosts(Vec::new())).await.unwrap();
    let url = format!("{}/a.jpg", host.url);
    let queue = stage.send(&token, image(&numbers, &url)).await;
    stage.audit(|report| report.server.media_conns >= 2).await;
    assert_eq!(host.asked.load(Ordering::SeqCst), 0, "fetched for nobody to take");
    let own = stage
        .simulator
        .control_url
        .split_once("://")
        .unwrap()
        .1
        .to_owned();
    let back = MediaChange {
        refuse_uploads: Some(1),
        ..hosts(vec![own])
    };
    stage.simulator.change_media(back).await.unwrap();
    completed(&stage, &token, queue).await;
    assert_eq!(
        host.asked.load(Ordering::SeqCst),
        2,
        "fetched again, since it was not kept"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_file_is_sent_by_its_id_by_as_many_queues_as_name_it() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let place = StorePlace::Folder(folder.path().to_owned());
    let (files, id) = (
        FileStore::open(&place).unwrap(),
        MediaId::new(uuid::Uuid::new_v4()),
    );
    let worker = stage.worker_set("w1", |settings| settings.media.place = Some(place));
    let (store, now) = (stage.database.store(), time::OffsetDateTime::now_utc());
    let csv = b"name,number";
    let (new, whole) = (
        stored::NewMedia {
            id,
            mimetype: Some("text/csv"),
            at_least: 0,
            now,
        },
        stored::WholeMedia {
            length: 11,
            sha256: [0; 32],
            expires_at: now + Duration::from_secs(60),
        },
    );
    let room = stored::Room { files: 1, bytes: 11 };
    let left = stored::begin(store, new, room).await.unwrap();
    assert_eq!(left, Some(11));
    let mut writer = files.begin(id).await.unwrap();
    writer.write(csv.as_slice().into()).await.unwrap();
    writer.finish().await.unwrap();
    let finished = stored::finish(store, id, &whole, room).await.unwrap();
    assert!(finished.is_some());
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 2).await;
    let named = |id: MediaId| {
        job(
            &numbers,
            &json!({ "type": "document", "media": { "id": id }, "fileName": "list.csv" }),
        )
    };
    for _ in 0..2 {
        let queue = stage.send(&token, named(id)).await;
        completed(&stage, &token, queue).await;
    }
    let message = shown(&stage, &numbers[1]).await.pop().unwrap();
    let document = message.document_message.unwrap();
    // It begins like nothing known: its type is the one that it was uploaded with.
    assert_eq!(document.mimetype.as_deref(), Some("text/csv"));
    assert_eq!(document.file_length, Some(11));
    let nothing = MediaId::new(uuid::Uuid::nil());
    assert_eq!(failures(&stage, &token, named(nothing)).await, [424; 2]);
    worker.stop().await;
}
