//! A version of WhatsApp Web that WhatsApp does not take any more: sessions are back with a newer one, by themselves.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::simulated::Contacts;
use tests::wait::eventually;
use tokio::time::Instant;
use whatsapp::version::ClientVersion;

const PATIENCE: Duration = Duration::from_secs(90);
/// From the moment that a newer version is published.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000070";
const SESSION: &str = "/v1/sessions/outdated";

const CONTACTS: Contacts<'static> = Contacts::quiet("1555470", 2);

/// The version of a later day.
fn days_on(days: u32) -> String {
    ClientVersion::web(ClientVersion::KNOWN.tertiary + days * 65_000).to_string()
}

async fn until_session(cluster: &Cluster, what: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(PATIENCE, what, async || {
        Ok(fits(&cluster.operator.get(SESSION).await?.1))
    })
    .await
}

/// A message in a queue of its own; answers the queue.
async fn send(cluster: &Cluster, contact: &str) -> Result<String> {
    let body =
        json!({ "numbers": [contact], "message": { "type": "text", "text": format!("to {contact}") } });
    let (status, answer) = cluster.operator.post(&format!("{SESSION}/queues"), body).await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}: {answer}");
    Ok(answer["queueId"].as_str().context("a queue")?.to_owned())
}

/// Outcomes of fetches, as all workers of the cluster have counted them.
async fn counted(cluster: &mut Cluster, outcome: &str) -> Result<bool> {
    let none = format!("fanfare_client_version_fetches_total{{outcome=\"{outcome}\"}} 0\n");
    for number in 0..2 {
        if !cluster.worker(number)?.metrics().await?.contains(&none) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_yesterdays_version_is_back_within_a_minute() -> Result<()> {
    let mut cluster = Cluster::start(2).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("outdated", PHONE).await?;
    let contacts = CONTACTS.numbers();
    // Both workers have looked, and one of them has fetched.
    eventually(PATIENCE, "the page was read", async || {
        counted(&mut cluster, "same").await
    })
    .await?;
    ensure!(cluster.control.version(json!({})).await?["asked"] == 1);

    // The page names nothing newer yet, and then rubbish.
    cluster.control.version(json!({ "min": days_on(1) })).await?;
    cluster
        .control
        .fault(json!({ "kind": "cut", "on": "now" }))
        .await?;
    until_session(&cluster, "the session is refused", |session| {
        session["closeReason"] == 405 && session["state"] == "closed"
    })
    .await?;
    let (_, session) = cluster.operator.get(SESSION).await?;
    let detail = session["closeDetail"].as_str().context("the reason in words")?;
    ensure!(
        detail.contains("version") && session["wanted"] == true,
        "{session}"
    );
    let queue = send(&cluster, &contacts[0]).await?;
    let waiting = cluster.operator.queue("outdated", &queue).await?["waiting"].clone();
    ensure!(waiting["reason"] == "client-outdated", "{waiting}");
    eventually(PATIENCE, "all workers say so and are ready", async || {
        let first = cluster.worker(0)?.degraded().await?;
        let second = cluster.worker(1)?.degraded().await?;
        Ok(first.len() == 1 && first == second)
    })
    .await?;
    cluster.control.version(json!({ "page": "rubbish" })).await?;
    eventually(PATIENCE, "rubbish is counted", async || {
        counted(&mut cluster, "unreadable").await
    })
    .await?;

    cluster
        .control
        .version(json!({ "published": days_on(2), "page": "script" }))
        .await?;
    let published = Instant::now();
    until_session(&cluster, "the session is open", |session| {
        session["state"] == "open"
    })
    .await?;
    let after = published.elapsed();
    ensure!(after < BACK_WITHIN, "back after {after:?}");
    send(&cluster, &contacts[1]).await?;
    eventually(PATIENCE, "both messages are shown", async || {
        Ok(cluster.control.audit().await?.shown_once == 2)
    })
    .await?;
    eventually(PATIENCE, "nothing is wrong any more", async || {
        Ok(
            cluster.worker(0)?.degraded().await?.is_empty()
                && cluster.worker(1)?.degraded().await?.is_empty(),
        )
    })
    .await?;
    cluster.control.audit().await?.clean(2)
}
