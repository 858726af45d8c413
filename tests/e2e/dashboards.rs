//! Each panel of deploy/grafana asks what Prometheus answers over a cluster that does a little of everything.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use serde_json::json;
use tests::cluster::Cluster;
use tests::dashboards;
use tests::prometheus::{Prometheus, Rules};
use tests::receiver::Receiver;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// Scrapes, and gauges that are looked at now and then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of rates: all that the test does is in it.
const WINDOW: &str = "2m";
const PHONE: &str = "5511900000095";

/// The title and the query of each question of each panel, with everything chosen.
fn questions() -> Vec<(String, String)> {
    let chosen = |expression: &str| {
        expression
            .replace("$__rate_interval", WINDOW)
            .replace("$deployment", ".*")
            .replace("$shard", ".*")
    };
    let mut questions = Vec::new();
    for dashboard in dashboards::all() {
        let json = dashboard.json();
        for panel in json["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let title = format!(
                    "{}: {}",
                    dashboard.name,
                    panel["title"].as_str().unwrap_or_default()
                );
                questions.push((title, chosen(target["expr"].as_str().unwrap_or_default())));
            }
        }
    }
    questions
}

/// A message of each way, one that fails, and an event to a webhook.
async fn do_a_little(cluster: &Cluster) -> Result<()> {
    let receiver = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let (status, answer) = cluster
        .operator
        .post("/v1/webhooks", json!({ "url": receiver.url() }))
        .await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let contacts = Contacts::quiet("1555950", 5);
    cluster.control.contacts(&contacts).await?;
    cluster.session("panels", PHONE).await?;
    let mut numbers = contacts.numbers();
    cluster
        .control
        .contact_writes(&numbers[0], PHONE, "hello")
        .await?;
    numbers.push("15559999999".to_owned());
    cluster
        .operator
        .broadcast("panels", &numbers, "hello", 0.0..=0.1)
        .await?;
    let all = async || {
        Ok(receiver
            .delivered()
            .iter()
            .any(|one| one.json()["event"] == "send.message:COMPLETED"))
    };
    eventually(PATIENCE, "the broadcast is told", all).await?;
    // What is refused: by the API, and by the session, which is asked of a call that does not ring.
    let (status, _) = cluster.operator.get("/v1/sessions/nobody").await?;
    ensure!(status == StatusCode::NOT_FOUND, "{status}");
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions/panels/calls/NONE/reject", json!({}))
        .await?;
    ensure!(status == StatusCode::NOT_FOUND, "{status}: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_panel_has_an_answer() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let prometheus = Prometheus::start(Rules::Real).await?;
    prometheus.scrape(&cluster.targets())?;
    do_a_little(&cluster).await?;
    let mut open = questions();
    let asked = open.len();
    ensure!(asked > 80, "{asked} questions");
    let answered = eventually(PATIENCE, "each panel has an answer", async || {
        let mut left = Vec::new();
        for (title, query) in &open {
            if prometheus.query(query).await?.is_empty() {
                left.push((title.clone(), query.clone()));
            }
        }
        open = left;
        Ok(open.is_empty())
    });
    let outcome = answered.await;
    ensure!(
        outcome.is_ok(),
        "{outcome:?}; of {asked} questions these have no answer: {open:#?}"
    );
    what_happened_is_seen(&prometheus).await
}

/// That there is an answer says little: these must be the right ones.
async fn what_happened_is_seen(prometheus: &Prometheus) -> Result<()> {
    for (query, least) in [
        ("sum(fanfare_messages_sent_total)", 5.0),
        ("sum(fanfare_messages_failed_total{status=\"404\"})", 1.0),
        ("sum(fanfare_messages_received_total)", 1.0),
        (
            "sum(fanfare_http_problems_total{code=\"session_not_found\"})",
            1.0,
        ),
        ("sum(fanfare_http_problems_total{code=\"call_not_found\"})", 1.0),
        ("sum(fanfare_jobs_failed_total{code=\"unknown_call\"})", 1.0),
        ("sum(fanfare_calls_total{outcome=\"answered\"})", 1.0),
        ("sum(fanfare_sessions{state=\"open\"})", 1.0),
        ("sum(up{job=~\"fanfare-.+\"})", 3.0),
    ] {
        eventually(PATIENCE, query, async || {
            let answer = prometheus.query(query).await?;
            Ok(answer.first().is_some_and(|one| one.value >= least))
        })
        .await?;
    }
    Ok(())
}
