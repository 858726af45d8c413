//! A flood: contacts write to many sessions at once, and each message reaches a webhook, while one session sends a broadcast at
//! the pace of its own.
//!
//! Two rows: how long a message takes from the contact to the webhook (99 of 100), and how fast the broadcast goes beside the
//! flood, with the same broadcast alone as its floor. Simulator, workers, broker, database and receiver share the machine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::simulated::Contacts;

use crate::report::{Row, Target};
use crate::work::measure::Figure;

/// How large a flood is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Sessions that are written to.
    pub(crate) sessions: usize,
    /// Messages a second, over all of them.
    pub(crate) rate: usize,
    /// How many seconds.
    pub(crate) seconds: usize,
}

/// The worker processes.
const WORKERS: usize = 2;
/// Recipients of the broadcast.
const RECIPIENTS: usize = 300;
/// The session that sends it.
const SENDER: &str = "flood-sender";
/// The most that 99 of 100 messages may take, in milliseconds.
const LATENCY_MAX_MS: f64 = 2_000.0;
/// What is left at least of the broadcast's speed.
const PACE_LEFT: f64 = 0.5;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Sessions that pair at a time, and messages that are being handed to the simulator.
const AT_A_TIME: usize = 32;

/// Measures and prints the rows.
pub(crate) async fn measure(scale: Scale) -> Result<()> {
    let cluster = Cluster::start_with(WORKERS, &[("LOG", "warn"), ("MIN_FLOOR", "0")]).await?;
    let hearer = Hearer::start().await?;
    let hook = json!({ "url": hearer.url, "events": ["new.message"] });
    let (status, answer) = cluster.operator.post("/v1/webhooks", hook).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let crowd = crowd();
    cluster.control.contacts(&crowd).await?;
    let phones = pair(&cluster, scale.sessions).await?;
    let alone = broadcast(&cluster, &crowd).await?;
    eprintln!("bench: {alone:.1} sends/s alone");

    let (flooded, beside) = tokio::join!(
        flood(&cluster, &hearer, &phones, scale),
        broadcast(&cluster, &crowd)
    );
    let (mut latencies, beside) = (flooded?, beside?);
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    eprintln!(
        "bench: {} messages, p50 {:.0} ms, p99 {:.0} ms; {beside:.1} sends/s beside them",
        latencies.len(),
        at(50),
        at(99)
    );
    Row {
        name: "flood_to_webhook_p99",
        unit: "ms",
        ours: Figure::of(vec![at(99)]),
        baileys: None,
        floor: None,
        target: Some(Target::AtMost(LATENCY_MAX_MS)),
    }
    .print();
    Row {
        name: "broadcast_beside_flood",
        unit: "sends/s",
        ours: Figure::of(vec![beside]),
        baileys: None,
        floor: Some(Figure::of(vec![alone])),
        target: Some(Target::AtLeast(alone * PACE_LEFT)),
    }
    .print();
    Ok(())
}

fn crowd() -> Contacts<'static> {
    Contacts {
        prefix: "155588",
        count: 1_000,
        deliver_ms: 0,
        read_ms: None,
        reply: None,
    }
}

/// Sessions with a phone each, and the one that sends; the numbers of the former.
async fn pair(cluster: &Cluster, sessions: usize) -> Result<Vec<String>> {
    let phones: Vec<String> = (0..sessions).map(|at| format!("55119{at:08}")).collect();
    let all = phones
        .iter()
        .map(|phone| (phone.clone(), format!("flood-{phone}")));
    let sender = ("5511888888888".to_owned(), SENDER.to_owned());
    let pairing = stream::iter(all.chain([sender])).map(|(phone, token)| async move {
        cluster.control.phone(&phone, &token).await?;
        cluster.operator.pair(&cluster.control, &token, &phone).await
    });
    let paired: Vec<Result<()>> = pairing.buffer_unordered(AT_A_TIME).collect().await;
    paired.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(phones)
}

/// Sends per second of a broadcast without a gap, from its acceptance to its end.
async fn broadcast(cluster: &Cluster, crowd: &Contacts<'_>) -> Result<f64> {
    let start = Instant::now();
    let numbers = &crowd.numbers()[..RECIPIENTS];
    let queue = cluster
        .operator
        .broadcast(SENDER, numbers, "hello", 0.0..=0.0)
        .await?;
    while start.elapsed() < PATIENCE {
        if cluster.operator.queue(SENDER, &queue).await?["progress"] == 100 {
            return Ok(RECIPIENTS as f64 / start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the broadcast takes too long")
}

/// Has contacts write at an even rate; how long each message took to the webhook. Fails if one is lost.
async fn flood(cluster: &Cluster, hearer: &Hearer, phones: &[String], scale: Scale) -> Result<Vec<Duration>> {
    let contacts = crowd().numbers();
    let (start, total) = (Instant::now(), scale.rate * scale.seconds);
    let contacts = &contacts;
    let said = stream::iter(0..total).map(|at| async move {
        let due = start + Duration::from_secs_f64(at as f64 / scale.rate as f64);
        tokio::time::sleep_until(due.into()).await;
        let (contact, phone) = (&contacts[at % contacts.len()], &phones[at % phones.len()]);
        let path = format!("/contacts/{contact}/messages");
        let said = Instant::now();
        let body = json!({ "to": phone, "text": format!("message {at}") });
        let id = cluster.control.post(&path, body).await?["id"].take();
        Ok((id.as_str().context("an id")?.to_owned(), said))
    });
    let said: Vec<Result<(String, Instant)>> = said.buffered(AT_A_TIME).collect().await;
    let said: Vec<(String, Instant)> = said.into_iter().collect::<Result<_>>()?;
    while hearer.count() < total {
        ensure!(start.elapsed() < PATIENCE, "{} of {total} came", hearer.count());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let heard = hearer.heard();
    let took = said.iter().map(|(id, said)| {
        let heard = heard.get(id).with_context(|| format!("{id} never came"))?;
        Ok(heard.saturating_duration_since(*said))
    });
    took.collect()
}

/// A webhook receiver that notes when each message came first.
struct Hearer {
    url: String,
    book: Arc<Book>,
}

#[derive(Default)]
struct Book {
    heard: Mutex<HashMap<String, Instant>>,
    count: AtomicUsize,
}

impl Hearer {
    async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let book = Arc::new(Book::default());
        let router = Router::new().route("/hook", post(hear)).with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, book })
    }

    fn count(&self) -> usize {
        self.book.count.load(Ordering::Relaxed)
    }

    fn heard(&self) -> HashMap<String, Instant> {
        self.book.heard.lock().expect("a handler panicked").clone()
    }
}

async fn hear(State(book): State<Arc<Book>>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(id) = event["data"]["header"]["messageId"].as_str() {
        let mut heard = book.heard.lock().expect("a handler panicked");
        heard.entry(id.to_owned()).or_insert(now);
        book.count.store(heard.len(), Ordering::Relaxed);
    }
    StatusCode::NO_CONTENT
}
