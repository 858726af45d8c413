//! An upgrade in mid-broadcast: what the binaries of an earlier build paired, stored and paused goes on with those of this
//! one, over the same database, broker and server. `deploy/upgrade.sh` builds the earlier ones.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// Goes from an earlier build of the product to this one, and judges what became of a broadcast.
#[derive(Parser)]
struct Arguments {
    /// The folder with the earlier fanfare-api and fanfare-worker.
    #[arg(long)]
    from: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(120);
const PHONE: &str = "5511900000003";
const CONTACTS: Contacts<'static> = Contacts {
    prefix: "1555800",
    count: 120,
    deliver_ms: 0,
    read_ms: None,
    reply: None,
};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.from.join("fanfare-worker").is_file(),
        "no fanfare-worker in {}",
        arguments.from.display()
    );
    let mut cluster = Cluster::start_earlier(arguments.from).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.control.phone(PHONE, "upgrade").await?;
    cluster.operator.pair(&cluster.control, "shop", PHONE).await?;
    let record = Record::start(cluster.events("shop").await?);
    let numbers = CONTACTS.numbers();
    let (paused, running) = numbers.split_at(60);
    let paused_queue = start(&cluster, paused, "before and after").await?;
    accepted(&cluster, 20).await?;
    let (status, body) = cluster.operator.command("shop", &paused_queue, "pause").await?;
    ensure!(status.is_success(), "pause: {status}: {body}");
    record.until(PATIENCE, "paused.queue", &paused_queue).await?;
    let running_queue = start(&cluster, running, "all the way through").await?;
    accepted(&cluster, 40).await?;
    eprintln!("upgrade: paired, one queue paused, one running: upgrading");

    cluster.upgrade().await?;
    let queue = cluster.operator.queue("shop", &paused_queue).await?;
    ensure!(queue["state"] == "paused", "the pause did not survive: {queue}");
    record
        .until(PATIENCE, "send.message:COMPLETED", &running_queue)
        .await?;
    let (status, body) = cluster.operator.command("shop", &paused_queue, "resume").await?;
    ensure!(status.is_success(), "resume: {status}: {body}");
    record
        .until(PATIENCE, "send.message:COMPLETED", &paused_queue)
        .await?;
    // Every copy could be read at once: ratchets, prekeys and ids went on where they were.
    cluster.control.audit().await?.clean(u64::from(CONTACTS.count))?;

    cluster
        .control
        .contact_writes(&paused[0], PHONE, "and back")
        .await?;
    eventually(PATIENCE, "an answer comes in", async || {
        Ok(record
            .events()
            .iter()
            .any(|event| event["event"] == "new.message"))
    })
    .await?;
    eprintln!(
        "upgrade: {} messages shown once each, none lost, none unreadable",
        CONTACTS.count
    );
    Ok(())
}

async fn start(cluster: &Cluster, numbers: &[String], text: &str) -> Result<String> {
    let body = json!({
        "numbers": numbers,
        "message": { "type": "text", "text": text },
        "delay": { "min": 0.02, "max": 0.04 },
    });
    let (status, answer) = cluster.operator.post("/v1/sessions/shop/queues", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    Ok(answer["queueId"].as_str().context("a queueId")?.to_owned())
}

async fn accepted(cluster: &Cluster, count: u64) -> Result<()> {
    eventually(PATIENCE, &format!("{count} messages are out"), async || {
        Ok(cluster.control.audit().await?.messages_accepted >= count)
    })
    .await
}
