//! One identity is one job, over both doors; what is no job holds nobody up.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::{JobPublisher, Record};
use tests::simulated::Contacts;
use tests::wait::eventually;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

async fn paired(token: &str, phone: &str, contacts: &Contacts<'_>) -> Result<Cluster> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(contacts).await?;
    cluster.session(token, phone).await?;
    Ok(cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_three_times_over_http_and_amqp_is_sent_once() -> Result<()> {
    let contacts = Contacts::quiet("1555200", 5);
    let cluster = paired("once", "5511900000010", &contacts).await?;
    let record = Record::start(cluster.events("once").await?);
    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    let id = Uuid::new_v4().to_string();
    let body = json!({ "numbers": contacts.numbers(), "message": { "type": "text", "text": "once" } });
    let path = "/v1/sessions/once/queues";
    let post = |body: &Value| {
        cluster
            .operator
            .request(Method::POST, path)
            .header("Idempotency-Key", &id)
            .json(body)
            .send()
    };

    let first: Value = post(&body).await?.error_for_status()?.json().await?;
    let second: Value = post(&body).await?.error_for_status()?.json().await?;
    ensure!(first == second, "{first} and {second}");
    publisher
        .publish("once", "send", &id, body.to_string().as_bytes())
        .await?;
    ensure!(
        first["queueId"] == id.as_str(),
        "an id that is a UUID is the queue's id: {first}"
    );
    record.until(PATIENCE, "send.message:COMPLETED", &id).await?;

    let other = json!({ "numbers": contacts.numbers(), "message": { "type": "text", "text": "other" } });
    let refused = post(&other).await?;
    ensure!(
        refused.status() == StatusCode::CONFLICT,
        "another body under the same key: {}",
        refused.status()
    );
    publisher
        .publish("once", "send", &id, other.to_string().as_bytes())
        .await?;
    record
        .until_any(PATIENCE, "job.rejected", |event| event["event"] == "job.rejected")
        .await?;

    let audit = cluster.control.audit().await?;
    ensure!(audit.messages_accepted == 5, "{audit:?}");
    audit.clean(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_job_is_set_aside_with_its_reason_and_holds_nobody_up() -> Result<()> {
    let contacts = Contacts::quiet("1555300", 1);
    let cluster = paired("poison", "5511900000011", &contacts).await?;
    let record = Record::start(cluster.events("poison").await?);
    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    publisher
        .publish("poison", "send", "bad-json", b"{not json")
        .await?;
    publisher
        .publish(
            "poison",
            "send",
            "bad-field",
            br#"{"numbers":["12"],"message":{"type":"text","text":"x"}}"#,
        )
        .await?;
    publisher
        .publish("poison", "no-such-kind", "bad-kind", b"{}")
        .await?;
    let good = json!({ "numbers": contacts.numbers(), "message": { "type": "text", "text": "good" } });
    let id = Uuid::new_v4().to_string();
    publisher
        .publish("poison", "send", &id, good.to_string().as_bytes())
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &id).await?;

    let rejected: Vec<Value> = record
        .events()
        .into_iter()
        .filter(|event| event["event"] == "job.rejected")
        .collect();
    ensure!(rejected.len() == 3, "{rejected:?}");
    ensure!(rejected[1]["data"]["field"] == "numbers[0]", "{:?}", rejected[1]);
    let dead = format!("{prefix}.jobs.dead");
    for wanted in [
        "{not json",
        r#"{"numbers":["12"],"message":{"type":"text","text":"x"}}"#,
        "{}",
    ] {
        let mut found = None;
        eventually(
            PATIENCE,
            "the poison job lies in the dead-letter queue",
            async || {
                found = publisher.take(&dead).await?;
                Ok(found.is_some())
            },
        )
        .await?;
        let (body, reason) = found.unwrap_or_default();
        ensure!(body == wanted.as_bytes(), "{:?}", String::from_utf8_lossy(&body));
        ensure!(!reason.is_empty(), "no reason");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_an_unknown_session_is_answered_rejected() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let record = Record::start(cluster.events("nobody").await?);
    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    publisher
        .publish(
            "nobody",
            "send",
            "lost",
            br#"{"numbers":["15550001111"],"message":{"type":"text","text":"x"}}"#,
        )
        .await?;
    record
        .until_any(PATIENCE, "job.rejected", |event| {
            event["event"] == "job.rejected" && event["data"]["code"] == "unknown_session"
        })
        .await
}
