//! Texts that link to a page: what it says of itself is asked once for all recipients, and never holds up or fails a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use shared::egress::Reach;
use shared::id::{QueueId, Token};
use shared::job::SendJob;
use simulator::fault::{Fault, Kind};
use tokio::net::TcpListener;
use whatsapp::proto::message::ExtendedTextMessage;

use crate::media::shown;
use crate::stage::{Stage, fault, names};

/// A host of pages: `/shop` has all, `/away` leads there, `/slow` never answers, `/none` is none, `/bare` says nothing.
async fn host() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let shop = async move || {
        count.fetch_add(1, Ordering::SeqCst);
        Html(
            r#"<title>No</title><meta property="og:title" content="Flowers &amp; more">
            <meta property="og:description" content="Red and blue"><meta property="og:image" content="/flowers.png">"#,
        )
    };
    let picture = async || {
        let mut png = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(400, 200)
            .write_to(&mut png, image::ImageFormat::Png)
            .expect("what was made here");
        png.into_inner()
    };
    let routes = Router::new()
        .route("/shop", get(shop))
        .route("/flowers.png", get(picture))
        .route("/away", get(async || (StatusCode::FOUND, [(LOCATION, "/shop")])))
        .route("/slow", get(async || std::future::pending::<String>().await))
        .route("/bare", get(async || Html("<p>Nothing of itself")));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("what was made here");
    let url = format!("http://{}", listener.local_addr().expect("what was made here"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

fn job(numbers: &[String], text: &str, preview: Value) -> SendJob {
    let message = json!({ "type": "text", "text": text, "linkPreview": preview });
    let body = json!({ "numbers": numbers, "message": message, "delay": { "min": 0.01, "max": 0.02 } });
    SendJob::parse(body.to_string().as_bytes()).expect("what was made here")
}

async fn completed(stage: &Stage, token: &Token, queue: QueueId) {
    let is_it = |event: &Value| event["data"]["queue"]["queueId"] == queue.to_string();
    stage.event(token, "send.message:COMPLETED", is_it).await;
}

/// The last text that a contact was shown.
async fn last(stage: &Stage, number: &str) -> ExtendedTextMessage {
    let message = shown(stage, number).await.pop().expect("a message");
    *message.extended_text_message.expect("a text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_asked_once_for_all_and_shown_to_each_also_again() {
    let (stage, (url, asked)) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 20).await;
    let link = format!("{url}/away");
    let text = format!("Look: {link}.");
    let spoiled = Fault {
        count: Some(1),
        ..fault(Kind::CorruptMac)
    };
    stage.simulator.add_fault(spoiled).await.unwrap();
    let queue = stage.send(&token, job(&numbers, &text, json!(true))).await;
    completed(&stage, &token, queue).await;
    stage.audit(|report| report.contacts.shown_once == 20).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let mut told = Vec::new();
    for number in &numbers {
        told.push(last(&stage, number).await);
    }
    let first = &told[0];
    assert_eq!(first.text.as_deref(), Some(&*text));
    assert_eq!(first.matched_text.as_deref(), Some(&*link));
    assert_eq!(first.title.as_deref(), Some("Flowers & more"));
    assert_eq!(first.description.as_deref(), Some("Red and blue"));
    let small = image::load_from_memory(first.jpeg_thumbnail.as_ref().unwrap()).unwrap();
    assert_eq!((small.width(), small.height()), (192, 96));
    // One of them asked again, and was sent the same.
    assert!(told.iter().all(|other| other == first));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_does_not_answer_or_may_not_be_asked_fails_and_holds_up_nothing() {
    let (stage, (url, asked)) = (Stage::new().await, host().await);
    let worker = stage.worker_set("w1", |settings| {
        settings.media.preview.time = Duration::from_millis(500)
    });
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 2).await;
    for path in ["/slow", "/none", "/bare", "/flowers.png"] {
        let text = format!("{url}{path}");
        let queue = stage.send(&token, job(&numbers, &text, json!(true))).await;
        completed(&stage, &token, queue).await;
        assert!(
            !names(&stage.of_queue(&token, queue)).contains(&"send.message:ERROR"),
            "{path}"
        );
        let told = last(&stage, &numbers[1]).await;
        assert_eq!((told.text.as_deref(), told.title), (Some(&*text), None), "{path}");
    }
    worker.stop().await;
    let worker = stage.worker_set("w2", |settings| settings.media.reach = Reach::Public);
    let queue = stage
        .send(&token, job(&numbers, &format!("{url}/shop"), json!(true)))
        .await;
    completed(&stage, &token, queue).await;
    assert_eq!(last(&stage, &numbers[1]).await.title, None);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_unless_that_is_wanted_and_what_is_given_is_shown() {
    let (stage, (url, asked)) = (Stage::new().await, host().await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000001").await;
    let numbers = stage.contacts("15550001", 1).await;
    let text = format!("Look: {url}/shop");
    let queue = stage.send(&token, job(&numbers, &text, json!(false))).await;
    completed(&stage, &token, queue).await;
    assert_eq!(last(&stage, &numbers[0]).await.matched_text, None);
    let given = json!({ "title": "Our shop", "description": "Open" });
    let queue = stage.send(&token, job(&numbers, &text, given)).await;
    completed(&stage, &token, queue).await;
    let told = last(&stage, &numbers[0]).await;
    assert_eq!(told.matched_text, Some(format!("{url}/shop")));
    assert_eq!(
        (told.title.as_deref(), told.description.as_deref()),
        (Some("Our shop"), Some("Open"))
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    worker.stop().await;
}
