//! Broadcasts under fire: workers killed, stopped and started again, judged by what the simulated phones saw.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::process::Signal;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// Lease time-out, start-up and a broadcast of a few hundred, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

fn contacts(prefix: &str, count: u32) -> Contacts<'_> {
    Contacts {
        prefix,
        count,
        deliver_ms: 5,
        read_ms: Some(10),
        reply: None,
    }
}

/// What must hold of the events of one queue, whatever happened on the way.
pub(crate) fn in_order(events: &[Value], queue: &str, recipients: u64) -> Result<()> {
    let mut ids = HashSet::new();
    let mut sequence = 0;
    let mut progress = 0;
    let mut names = Vec::new();
    for event in events {
        // A relay that was killed between a confirm and its delete publishes again, under the same id.
        if !ids.insert(event["id"].as_str().unwrap_or_default()) {
            continue;
        }
        let next = event["sequence"].as_i64().unwrap_or_default();
        ensure!(next > sequence, "sequence {next} after {sequence}");
        sequence = next;
        let name = event["event"].as_str().unwrap_or_default();
        let data = &event["data"]["queue"];
        if data["queueId"] != queue || !name.starts_with("send.message:") {
            continue;
        }
        let now = data["progress"].as_u64().unwrap_or_default();
        ensure!(now >= progress, "progress {now} after {progress}");
        progress = now;
        names.push(name);
    }
    ensure!(
        names.first() == Some(&"send.message:START"),
        "first was {:?}",
        names.first()
    );
    ensure!(
        names.last() == Some(&"send.message:COMPLETED"),
        "last was {:?}",
        names.last()
    );
    let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count() as u64;
    ensure!(
        count("send.message:START") == 1 && count("send.message:COMPLETED") == 1,
        "START or COMPLETED twice"
    );
    ensure!(
        count("send.message:PROCESSING") == recipients,
        "{} PROCESSING",
        count("send.message:PROCESSING")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_recipients_survive_a_worker_killed_twice() -> Result<()> {
    let mut cluster = Cluster::start(2).await?;
    let shares = BTreeMap::from([("a", 334_u32), ("b", 333), ("c", 333)]);
    let mut sessions = Vec::new();
    for (index, (token, share)) in shares.iter().enumerate() {
        let prefix = format!("155500{index}");
        cluster.control.contacts(&contacts(&prefix, *share)).await?;
        let phone = format!("551190000000{index}");
        cluster.session(token, &phone).await?;
        let record = Record::start(cluster.events(token).await?);
        let queue = cluster
            .operator
            .broadcast(token, &contacts(&prefix, *share).numbers(), "hello", 0.01..=0.03)
            .await?;
        sessions.push((record, queue, u64::from(*share)));
    }
    for kill_at in [200, 500] {
        eventually(PATIENCE, &format!("{kill_at} are out"), async || {
            Ok(cluster.control.audit().await?.messages_accepted >= kill_at)
        })
        .await?;
        cluster.kill_worker(0)?;
        cluster.restart_worker(0).await?;
    }
    for (record, queue, _) in &sessions {
        record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    }
    eventually(PATIENCE, "every contact was shown its message", async || {
        Ok(cluster.control.audit().await?.shown_once >= 1000)
    })
    .await?;
    cluster.control.audit().await?.clean(1000)?;
    for (record, queue, share) in &sessions {
        in_order(&record.events(), queue, *share)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_past_its_lease_sends_nothing() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    cluster.control.contacts(&contacts("1555600", 300)).await?;
    cluster.session("stale", "5511900000001").await?;
    let record = Record::start(cluster.events("stale").await?);
    let queue = cluster
        .operator
        .broadcast("stale", &contacts("1555600", 300).numbers(), "hello", 0.02..=0.05)
        .await?;
    eventually(PATIENCE, "the broadcast runs", async || {
        Ok(cluster.control.audit().await?.messages_accepted >= 20)
    })
    .await?;

    cluster.worker(0)?.signal(Signal::Stop)?;
    cluster.add_worker().await?;
    let stopped_at = cluster.control.audit().await?.messages_accepted;
    eventually(PATIENCE, "the other worker has taken over", async || {
        Ok(cluster.control.audit().await?.messages_accepted >= stopped_at + 20)
    })
    .await?;
    cluster.worker(0)?.signal(Signal::Continue)?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    eventually(PATIENCE, "every contact was shown its message", async || {
        Ok(cluster.control.audit().await?.shown_once >= 300)
    })
    .await?;
    cluster.control.audit().await?.clean(300)?;
    in_order(&record.events(), &queue, 300)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_is_told_and_stops_nothing() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&contacts("1555700", 3)).await?;
    cluster.session("mixed", "5511900000002").await?;
    let record = Record::start(cluster.events("mixed").await?);
    let mut numbers = contacts("1555700", 3).numbers();
    numbers.insert(1, "15559999999".to_owned());
    let queue = cluster
        .operator
        .broadcast("mixed", &numbers, "hello", 0.0..=0.0)
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    let events = record.events();
    let errors: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "send.message:ERROR")
        .collect();
    ensure!(errors.len() == 1, "{errors:?}");
    ensure!(errors[0]["data"]["status"] == 404, "{:?}", errors[0]);
    ensure!(
        errors[0]["data"]["number"]
            .as_str()
            .is_some_and(|number| number.starts_with("15559999999")),
        "{:?}",
        errors[0]
    );
    in_order(&events, &queue, 4)?;
    cluster.control.audit().await?.clean(3)
}
