//! Schedules over processes that die in the middle of their firings: each fires once.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::operator::Operator;
use tests::process::Signal;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
/// From the first schedule that is made to the first firing.
const AHEAD_MS: i64 = 15_000;
/// Between two firings.
const APART_MS: i64 = 250;
const FIRINGS: u64 = 30;

const CONTACTS: Contacts<'static> = Contacts::quiet("1555910", 2);

/// Makes the schedule of this number, which sends a text of its own to all contacts, and the same again at another API.
async fn make(apis: [&Operator; 2], number: u64, first_ms: i64) -> Result<()> {
    let at = first_ms + i64::try_from(number)? * APART_MS;
    let body = json!({ "id": format!("s{number}"), "at": at, "send": {
        "numbers": CONTACTS.numbers(), "message": { "type": "text", "text": format!("firing {number}") },
    } });
    for (api, expected) in apis.into_iter().zip([StatusCode::CREATED, StatusCode::OK]) {
        let (status, answer) = api.post("/v1/sessions/daily/schedules", body.clone()).await?;
        ensure!(status == expected, "{status}: {answer}");
    }
    Ok(())
}

async fn until_accepted(cluster: &Cluster, least: u64) -> Result<()> {
    let what = format!("{least} messages are out");
    eventually(PATIENCE, &what, async || {
        Ok(cluster.control.audit().await?.messages_accepted >= least)
    })
    .await
}

fn fired(schedules: &Value) -> Vec<&Value> {
    let items = schedules["items"].as_array();
    items.into_iter().flatten().map(|one| &one["fired"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_firing_happens_once_while_apis_and_workers_are_killed() -> Result<()> {
    let mut cluster = Cluster::start(2).await?;
    let (second, mut second_process) = cluster.another_api("api-2").await?;
    let (third, mut third_process) = cluster.another_api("api-3").await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("daily", "5511900000091").await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first_ms = i64::try_from(now.as_millis())? + AHEAD_MS;
    let apis = [&cluster.operator, &second, &third];
    for number in 0..FIRINGS {
        let at = usize::try_from(number)?;
        make([apis[at % 3], apis[(at + 1) % 3]], number, first_ms).await?;
    }

    second_process.signal(Signal::Kill)?;
    until_accepted(&cluster, 6).await?;
    cluster.kill_worker(0)?;
    until_accepted(&cluster, 20).await?;
    third_process.signal(Signal::Kill)?;
    cluster.restart_worker(0).await?;
    cluster.kill_worker(1)?;
    cluster.restart_worker(1).await?;

    let shown = FIRINGS * u64::from(CONTACTS.count);
    until_accepted(&cluster, shown).await?;
    eventually(PATIENCE, "each schedule has fired", async || {
        let (_, all) = cluster
            .operator
            .get("/v1/sessions/daily/schedules?limit=100")
            .await?;
        let fired = fired(&all);
        Ok(fired.len() as u64 == FIRINGS && fired.iter().all(|times| **times == 1))
    })
    .await?;
    eventually(PATIENCE, "everything is shown", async || {
        Ok(cluster.control.audit().await?.unharmed(shown).is_ok())
    })
    .await?;
    cluster.control.audit().await?.unharmed(shown)
}
