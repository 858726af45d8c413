//! Pause, resume and delete: what they promise, over a restart of everything.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
/// Long enough for many sends at the pace of these tests.
const WATCH: Duration = Duration::from_millis(1500);

const CONTACTS: Contacts<'static> = Contacts::quiet("1555800", 120);

async fn accepted(cluster: &Cluster) -> Result<u64> {
    Ok(cluster.control.audit().await?.messages_accepted)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_paused_queue_starts_until_it_is_resumed_even_over_a_restart() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("pause", "5511900000003").await?;
    let record = Record::start(cluster.events("pause").await?);
    let queue = cluster
        .operator
        .broadcast("pause", &CONTACTS.numbers(), "hello", 0.02..=0.04)
        .await?;
    eventually(PATIENCE, "a third is out", async || {
        Ok(accepted(&cluster).await? >= 40)
    })
    .await?;

    let (status, body) = cluster.operator.command("pause", &queue, "pause").await?;
    ensure!(status.is_success(), "{status}: {body}");
    record.until(PATIENCE, "paused.queue", &queue).await?;
    let at_pause = accepted(&cluster).await?;
    tokio::time::sleep(WATCH).await;
    ensure!(
        accepted(&cluster).await? == at_pause,
        "a send started after paused.queue"
    );

    let (again, _) = cluster.operator.command("pause", &queue, "pause").await?;
    ensure!(again.is_success(), "pausing twice is one pause, not {again}");

    cluster.restart_all().await?;
    ensure!(
        cluster.operator.queue("pause", &queue).await?["state"] == "paused",
        "the pause did not survive"
    );
    tokio::time::sleep(WATCH).await;
    ensure!(
        accepted(&cluster).await? == at_pause,
        "a send started after the restart"
    );

    let (status, body) = cluster.operator.command("pause", &queue, "resume").await?;
    ensure!(status.is_success(), "{status}: {body}");
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    for command in ["pause", "resume"] {
        let (status, body) = cluster.operator.command("pause", &queue, command).await?;
        ensure!(
            status == StatusCode::CONFLICT,
            "{command} of a completed queue: {status}: {body}"
        );
    }
    cluster.control.audit().await?.clean(120)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_sends_nothing_more() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("delete", "5511900000004").await?;
    let record = Record::start(cluster.events("delete").await?);
    let queue = cluster
        .operator
        .broadcast("delete", &CONTACTS.numbers(), "hello", 0.05..=0.08)
        .await?;
    eventually(PATIENCE, "some are out", async || {
        Ok(accepted(&cluster).await? >= 10)
    })
    .await?;
    let (status, body) = cluster.operator.command("delete", &queue, "delete").await?;
    ensure!(status.is_success(), "{status}: {body}");
    record.until(PATIENCE, "deleted.queue", &queue).await?;
    let at_delete = accepted(&cluster).await?;
    tokio::time::sleep(WATCH).await;
    ensure!(
        accepted(&cluster).await? == at_delete,
        "a send started after deleted.queue"
    );
    let (status, body) = cluster.operator.command("delete", &queue, "resume").await?;
    ensure!(
        status == StatusCode::CONFLICT,
        "resuming a deleted queue: {status}: {body}"
    );
    cluster.control.audit().await?.clean(at_delete)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_queues_of_a_session_share_one_pace() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let contacts = Contacts {
        count: 20,
        ..CONTACTS
    };
    cluster.control.contacts(&contacts).await?;
    cluster.session("pace", "5511900000005").await?;
    let record = Record::start(cluster.events("pace").await?);
    let mut queues = Vec::new();
    for text in ["one", "two"] {
        queues.push(
            cluster
                .operator
                .broadcast("pace", &contacts.numbers(), text, 0.1..=0.15)
                .await?,
        );
    }
    for queue in &queues {
        record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    }
    let audit = cluster.control.get("/audit").await?;
    let session = audit["sessions"]
        .as_array()
        .and_then(|sessions| sessions.first())
        .cloned()
        .unwrap_or_default();
    let min = session["gap_ms"]["min"].as_f64().unwrap_or_default();
    // The server sees sends through two sockets and two schedulers, which may bring two of them a little closer.
    ensure!(min >= 90.0, "two sends were {min} ms apart: {audit}");
    cluster.control.audit().await?.clean(40)
}
