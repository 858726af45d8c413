//! Broadcasts through a server that drops, withholds, refuses, repeats, garbles and hangs up.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// Reconnects with backoff, answers that never come, and resends.
const PATIENCE: Duration = Duration::from_secs(150);

fn contacts(prefix: &str, count: u32) -> Contacts<'_> {
    Contacts {
        prefix,
        count,
        deliver_ms: 5,
        read_ms: None,
        reply: None,
    }
}

async fn open(cluster: &Cluster, token: &str, phone: &str) -> Result<Record> {
    cluster.session(token, phone).await?;
    Ok(Record::start(cluster.events(token).await?))
}

/// Fails where a fault did not strike: it would have proved nothing.
async fn all_struck(cluster: &Cluster) -> Result<()> {
    let faults = cluster.control.get("/faults").await?;
    for fault in faults.as_array().into_iter().flatten() {
        ensure!(fault["struck"].as_u64() > Some(0), "never struck: {fault}");
    }
    Ok(())
}

fn errors(record: &Record) -> Vec<Value> {
    let mut events = record.events();
    events.retain(|event| event["event"] == "send.message:ERROR");
    events
}

/// Two sessions at once: one as fast as it can, with many sends open whenever the line breaks, one at a pace.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_shown_twice_whatever_the_server_does() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let sessions = [
        ("flood", "5511900000050", contacts("1555420", 200), 0.0..=0.0),
        ("paced", "5511900000051", contacts("1555430", 100), 0.01..=0.03),
    ];
    let mut running = Vec::new();
    for (token, phone, contacts, _) in &sessions {
        cluster.control.contacts(contacts).await?;
        running.push(open(&cluster, token, phone).await?);
    }
    for fault in [
        json!({ "kind": "drop_before", "probability": 0.03, "count": 3 }),
        json!({ "kind": "drop_after", "probability": 0.03, "count": 3 }),
        json!({ "kind": "cut", "probability": 0.02, "count": 3 }),
        json!({ "kind": "stream_error", "code": 503, "probability": 0.02, "count": 2 }),
        json!({ "kind": "withhold_ack", "probability": 0.03, "count": 4 }),
        json!({ "kind": "nack", "code": 503 }),
        json!({ "kind": "corrupt_mac", "probability": 0.05 }),
        json!({ "kind": "force_retry", "probability": 0.03 }),
        json!({ "kind": "duplicate", "probability": 0.05 }),
        json!({ "kind": "delay", "probability": 0.05, "delay_ms": 50, "ack": true }),
    ] {
        cluster.control.fault(fault).await?;
    }
    let mut queues = Vec::new();
    for (token, _, contacts, delay) in &sessions {
        let text = format!("hello from {token}");
        queues.push(
            cluster
                .operator
                .broadcast(token, &contacts.numbers(), &text, delay.clone())
                .await?,
        );
    }
    for (record, queue) in running.iter().zip(&queues) {
        record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
        ensure!(errors(record).is_empty(), "{:?}", errors(record));
    }
    all_struck(&cluster).await?;
    // What could not be read is asked for again, and that may be later than the server's word on the last message.
    // If it never comes, the last audit shows what was asked for again, and what a fault spoiled.
    let unharmed = async || cluster.control.audit().await?.unharmed(300).map(|()| true);
    eventually(PATIENCE, "every message is shown", unharmed).await
}

/// Contacts that send no receipts: nothing proves the arrival of a message whose ack was withheld.
#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_never_comes_is_not_a_reason_to_send_twice() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let silent = contacts("1555440", 6);
    cluster
        .control
        .post(
            "/contacts",
            json!({ "prefix": silent.stem(), "count": silent.count, "deliver_ms": null }),
        )
        .await?;
    let record = open(&cluster, "silent", "5511900000052").await?;
    let numbers = silent.numbers();
    for (kind, number) in [
        ("withhold_ack", &numbers[1]),
        ("drop_after", &numbers[2]),
        ("drop_before", &numbers[3]),
        ("nack", &numbers[4]),
    ] {
        let mut fault = json!({ "kind": kind, "match": { "to": number } });
        if kind == "nack" {
            fault["code"] = 503.into();
        }
        cluster.control.fault(fault).await?;
    }
    let queue = cluster
        .operator
        .broadcast("silent", &numbers, "hello", 0.0..=0.0)
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    ensure!(errors(&record).is_empty(), "{:?}", errors(&record));
    all_struck(&cluster).await?;
    cluster.control.audit().await?.clean(6)
}
