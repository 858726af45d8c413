//! Tokens of trusted contacts in a broadcast: what the server counts of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
const PHONE: &str = "5511900000030";
const RECIPIENTS: u32 = 200;

fn contacts() -> Contacts<'static> {
    Contacts {
        prefix: "1555900",
        count: RECIPIENTS,
        deliver_ms: 5,
        read_ms: Some(10),
        reply: Some("yes"),
    }
}

async fn count(cluster: &Cluster, name: &str) -> Result<u64> {
    let audit = cluster.control.audit().await?;
    audit.rest[name].as_u64().context("a number")
}

async fn broadcast(cluster: &Cluster, record: &Record, text: &str) -> Result<()> {
    let numbers = contacts().numbers();
    let queue = cluster
        .operator
        .broadcast("tokens", &numbers, text, 0.0..=0.01)
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_gives_each_contact_one_token_and_shows_theirs() -> Result<()> {
    let recipients = u64::from(RECIPIENTS);
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&contacts()).await?;
    cluster.session("tokens", PHONE).await?;
    let record = Record::start(cluster.events("tokens").await?);
    broadcast(&cluster, &record, "who are you").await?;
    eventually(PATIENCE, "each contact has a token", async || {
        Ok(count(&cluster, "tokens_issued").await? >= recipients)
    })
    .await?;
    let requests = count(&cluster, "token_requests").await?;
    ensure!(requests <= recipients / 4, "{requests} requests");
    eventually(PATIENCE, "all that they answered is taken", async || {
        let sessions = cluster.control.get("/sessions").await?;
        let answers = record
            .events()
            .iter()
            .filter(|event| event["event"] == "new.message")
            .count();
        Ok(sessions[0]["pending"] == 0 && answers >= contacts().numbers().len())
    })
    .await?;

    let path = format!("/phones/{PHONE}/tokens");
    cluster.control.post(&path, json!({ "proofs": "always" })).await?;
    broadcast(&cluster, &record, "now that we know each other").await?;
    eventually(PATIENCE, "every contact was shown both", async || {
        Ok(cluster.control.audit().await?.shown_once >= 2 * recipients)
    })
    .await?;
    for (name, expected) in [
        ("tokens_issued", recipients),
        ("tokens_issued_again", 0),
        ("tokens_shown", recipients),
        ("tokens_wrong", 0),
        ("tokens_misplaced", 0),
        ("messages_unproved", 0),
    ] {
        let counted = count(&cluster, name).await?;
        ensure!(counted == expected, "{name}: {counted}");
    }
    cluster.control.audit().await?.clean(2 * recipients)
}
