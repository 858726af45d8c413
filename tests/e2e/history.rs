//! A long past through all processes: each message once, in bounds, in little memory, while a broadcast of the same session
//! goes on; and the same past as a client that is not ours reads it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(400);
const OURS: &str = "5511900000060";
/// Messages of each chat.
const EACH: usize = 100;
/// Chats, unless `PAST_CHATS` says otherwise: 1000 are 100,000 messages.
const CHATS: usize = 200;
/// By how much the worker may grow: a piece packed, a portion, and what is on its way to the database and the broker.
const GROWTH_MAX: u64 = 64 << 20;
/// Messages of the broadcast, and seconds between two.
const SENDS: u32 = 40;
const GAP: f64 = 0.25;

fn is_of(event: &Value, name: &str) -> bool {
    event["event"] == name
}

/// How many messages the events told, each event once.
fn told(record: &Record) -> HashSet<String> {
    let mut ids = HashSet::new();
    for event in record.events() {
        let list = event["data"].as_array().filter(|_| is_of(&event, "messages.set"));
        let id = |message: &Value| message["header"]["messageId"].as_str().map(str::to_owned);
        ids.extend(list.into_iter().flatten().filter_map(id));
    }
    ids
}

/// The phone shares such a past in such a way.
async fn share(cluster: &Cluster, sharing: Value, past: Value) -> Result<()> {
    cluster.control.phone(OURS, "ours").await?;
    let mut body = sharing;
    body["past"] = past;
    body["past"]["first"] = "15556000000".into();
    cluster
        .control
        .post(&format!("/phones/{OURS}/sharing"), body)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_past_comes_in_bounds_while_a_broadcast_keeps_its_pace() -> Result<()> {
    let chats = std::env::var("PAST_CHATS")
        .ok()
        .and_then(|chats| chats.parse().ok());
    let chats: usize = chats.unwrap_or(CHATS);
    let mut cluster = Cluster::start(1).await?;
    let contacts = Contacts {
        prefix: "1555431",
        count: SENDS,
        deliver_ms: 10,
        read_ms: None,
        reply: None,
    };
    cluster.control.contacts(&contacts).await?;
    let past = json!({ "chats": chats, "messages": EACH, "chunk": 10_000 });
    share(&cluster, json!({ "history": "file" }), past).await?;
    let record = Record::start(cluster.events("past").await?);
    let resident = cluster.worker(0)?.resident_bytes()?;
    cluster.worker(0)?.forget_peak()?;
    let since = Instant::now();
    cluster.operator.pair(&cluster.control, "past", OURS).await?;
    let queue = cluster
        .operator
        .broadcast("past", &contacts.numbers(), "hello", GAP..=GAP)
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    record
        .until_any(PATIENCE, "the last piece of the past", |event| {
            is_of(event, "history.progress")
                && event["data"]["kind"] == "recent"
                && event["data"]["progress"] == 100
        })
        .await?;
    let (took, growth) = (
        since.elapsed(),
        cluster.worker(0)?.peak_bytes()?.saturating_sub(resident),
    );
    tracing(chats * EACH, took, growth);

    ensure!(
        told(&record).len() == chats * EACH,
        "told {}",
        told(&record).len()
    );
    ensure!(growth < GROWTH_MAX, "the worker grew by {growth} bytes");
    let events = record.events();
    in_bounds(&events)?;
    keeps_its_pace(&events)?;
    let audit = cluster.control.audit().await?;
    audit.unharmed(SENDS.into())?;
    ensure!(audit.violations == 0, "{audit:?}");
    // All of it can be read.
    let (status, page) = cluster
        .operator
        .get("/v1/sessions/past/chats?limit=1&only=received")
        .await?;
    ensure!(
        status.is_success() && page["items"][0]["lastMessage"]["text"] == "message 0 of chat 0",
        "{page}"
    );
    Ok(())
}

fn in_bounds(events: &[Value]) -> Result<()> {
    let sizes = events.iter().map(|event| event.to_string().len());
    ensure!(sizes.max() < Some(1 << 20), "an event is too large");
    let sequences: Vec<_> = events
        .iter()
        .filter_map(|event| event["sequence"].as_i64())
        .collect();
    ensure!(sequences.is_sorted(), "out of order");
    Ok(())
}

/// The pace, and that both went on at the same time.
fn keeps_its_pace(events: &[Value]) -> Result<()> {
    let at = |event: &Value| event["timestamp"].as_i64().unwrap_or_default();
    let sends: Vec<i64> = events
        .iter()
        .filter(|event| is_of(event, "send.message:PROCESSING"))
        .map(at)
        .collect();
    let (first, last) = (sends[0], sends[sends.len() - 1]);
    let past = events.iter().filter(|event| is_of(event, "messages.set")).map(at);
    ensure!(
        past.filter(|at| (first..=last).contains(at)).count() > 0,
        "one came after the other"
    );
    let (wanted, took) = (GAP * f64::from(SENDS - 1), (last - first) as f64 / 1_000.0);
    ensure!(
        took < wanted * 1.25,
        "{SENDS} sends took {took} s in the place of {wanted} s"
    );
    Ok(())
}

#[allow(clippy::print_stderr, reason = "the figures of a run by hand")]
fn tracing(messages: usize, took: Duration, growth: u64) {
    eprintln!("{messages} messages in {took:?}, the worker grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_on_the_same_account_reads_the_same_past() -> Result<()> {
    const CHATS: usize = 500;
    let cluster = Cluster::start(1).await?;
    let record = Record::start(cluster.events("past").await?);
    share(
        &cluster,
        json!({ "history": "inline" }),
        json!({ "chats": CHATS, "messages": 4, "chunk": 700 }),
    )
    .await?;
    cluster.operator.pair(&cluster.control, "past", OURS).await?;
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, OURS).await?;
    let (mut messages, mut names, mut chats) = (HashSet::new(), HashSet::new(), HashSet::new());
    while messages.len() < CHATS * 4 || names.len() < CHATS {
        let history = baileys.history().await?;
        let texts = |name: &str| {
            let list = history[name].as_array().cloned().unwrap_or_default();
            list.into_iter()
                .filter_map(|text| text.as_str().map(str::to_owned))
        };
        messages.extend(texts("messages"));
        names.extend(texts("names"));
        chats.extend(texts("chats"));
    }
    eventually(PATIENCE, "all is told", async || {
        Ok(told(&record).len() == messages.len())
    })
    .await?;
    ensure!(told(&record) == messages, "others than Baileys read");
    let sessions = "/v1/sessions/past";
    let ours = all(&cluster, &format!("{sessions}/messages?limit=100"), "id").await?;
    ensure!(
        ours == messages,
        "{} of ours, {} of theirs",
        ours.len(),
        messages.len()
    );
    let listed = all(
        &cluster,
        &format!("{sessions}/chats?limit=100&only=received"),
        "lid",
    )
    .await?;
    let others: Vec<_> = listed.symmetric_difference(&chats).collect();
    ensure!(others.is_empty(), "chats of one side alone: {others:?}");
    let mut named = all(&cluster, &format!("{sessions}/contacts?limit=100"), "name").await?;
    named.retain(|name| name.starts_with("Contact "));
    let of_chats: HashSet<_> = names
        .into_iter()
        .filter(|name| name.starts_with("Contact "))
        .collect();
    let others: Vec<_> = named.symmetric_difference(&of_chats).collect();
    ensure!(others.is_empty(), "names of one side alone: {others:?}");
    Ok(())
}

/// The field of all items of a list.
async fn all(cluster: &Cluster, path: &str, field: &str) -> Result<HashSet<String>> {
    let (mut found, mut next) = (HashSet::new(), String::new());
    loop {
        let (status, page) = cluster.operator.get(&format!("{path}{next}")).await?;
        ensure!(status.is_success(), "{page}");
        let items = page["items"].as_array().context("items")?;
        found.extend(
            items
                .iter()
                .filter_map(|item| item[field].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(after) => next = format!("&cursor={after}"),
            None => return Ok(found),
        }
    }
}
