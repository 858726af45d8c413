//! Services in other languages publish jobs straight to RabbitMQ and read the events back.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::cluster::Cluster;
use tests::simulated::Contacts;

/// Start-up, pairing and a broadcast with a pause in it.
const PATIENCE: Duration = Duration::from_secs(150);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("publishers")
        .join(name)
}

async fn publishes_a_broadcast_and_a_pause(program: &str, script: PathBuf) -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let contacts = Contacts::quiet("1555100", 10);
    cluster.control.contacts(&contacts).await?;
    cluster.session("foreign", "5511900000008").await?;

    let (url, prefix) = cluster.broker();
    let run = tokio::process::Command::new(program)
        .arg(script)
        .arg("foreign")
        .args(contacts.numbers())
        .env("AMQP_URL", url)
        .env("AMQP_PREFIX", prefix)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .context("the publisher does not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = said.lines().last().unwrap_or_default();
    let events = serde_json::from_str::<Value>(last).with_context(|| last.to_owned())?["events"].clone();
    for (event, count) in [
        ("send.message:START", 1),
        ("send.message:PROCESSING", 10),
        ("paused.queue", 1),
        ("resumed.queue", 1),
        ("send.message:COMPLETED", 1),
    ] {
        ensure!(events[event] == count, "{event}: {events}");
    }
    cluster.control.audit().await?.clean(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn python_publishes_a_broadcast_and_a_pause() -> Result<()> {
    let python = std::env::var("FANFARE_PYTHON")
        .context("FANFARE_PYTHON: `make test` sets it to a Python with pika")?;
    publishes_a_broadcast_and_a_pause(&python, script("broadcast.py")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn node_publishes_a_broadcast_and_a_pause() -> Result<()> {
    publishes_a_broadcast_and_a_pause("node", script("broadcast.mjs")).await
}
