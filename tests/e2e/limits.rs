//! What is too large or makes no sense is refused at the door, by name; what is just small enough is taken.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::{JobPublisher, Record};
use tests::operator::Operator;
use tests::simulated::Contacts;
use tests::wait::eventually;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(90);
const RECIPIENTS_MAX: u32 = 100_000;
const BODY_MAX: usize = 16 * 1024 * 1024;
const QUEUES: &str = "/v1/sessions/large/queues";

const CONTACTS: Contacts<'static> = Contacts::quiet("155545", RECIPIENTS_MAX);

/// A job to all contacts that would run for years.
fn job(text: &str) -> Value {
    json!({
        "numbers": CONTACTS.numbers(),
        "message": { "type": "text", "text": text },
        "delay": { "min": 3600, "max": 3600 },
    })
}

async fn refused(
    operator: &Operator,
    (path, body): (&str, Vec<u8>),
    status: StatusCode,
    field: &str,
) -> Result<()> {
    let request = operator.request(Method::POST, path);
    let answer = request
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    let (got, answer): (_, Value) = (answer.status(), answer.json().await?);
    let named = if path.starts_with("/v1") {
        &answer["errors"][0]["field"]
    } else {
        &answer["error"]["field"]
    };
    ensure!(
        got == status && named == field,
        "{path}: {got}, not {status} for {field}: {answer}"
    );
    Ok(())
}

async fn refuses_what_is_too_large(operator: &Operator) -> Result<()> {
    let mut numbers = CONTACTS.numbers();
    numbers.push("15559999999".to_owned());
    let too_many = json!({ "numbers": numbers, "message": { "type": "text", "text": "x" } });
    refused(
        operator,
        (QUEUES, too_many.to_string().into()),
        StatusCode::UNPROCESSABLE_ENTITY,
        "numbers",
    )
    .await?;
    let too_many = json!({ "token": "large", "number": numbers, "text": "x" });
    let legacy = "/api/whatsapp/send-text";
    refused(
        operator,
        (legacy, too_many.to_string().into()),
        StatusCode::UNPROCESSABLE_ENTITY,
        "number",
    )
    .await?;
    for path in [QUEUES, legacy, "/v1/messages", "/v1/sessions", "/v1/webhooks"] {
        let body = vec![b' '; BODY_MAX + 1];
        refused(operator, (path, body), StatusCode::PAYLOAD_TOO_LARGE, "body").await?;
    }
    Ok(())
}

async fn refuses_what_makes_no_sense(operator: &Operator) -> Result<()> {
    let good = json!({ "numbers": ["15554500001"], "message": { "type": "text", "text": "x" } });
    for (field, value, named) in [
        ("delay", json!({ "min": 2, "max": 1 }), "delay.min"),
        ("delay", json!({ "min": -0.5, "max": 1 }), "delay.min"),
        ("delay", json!({ "min": 0, "max": -1 }), "delay.max"),
        ("delay", json!({ "min": 1e300, "max": 1e300 }), "delay.min"),
        ("delay", json!({ "min": 0, "max": 86_401 }), "delay.max"),
        ("delay", json!({ "min": 0 }), "delay.max"),
        ("delay", json!({ "min": 0, "max": 1, "mean": 1 }), "delay.mean"),
        ("queueId", json!("7"), "queueId"),
        ("onUnknown", json!("guess"), "onUnknown"),
        ("messageId", json!("a b"), "messageId"),
        ("message", json!({ "type": "smoke" }), "message.type"),
        ("message", json!({ "type": "text", "text": "" }), "message.text"),
        (
            "message",
            json!({ "type": "text", "text": "x".repeat(65_537) }),
            "message.text",
        ),
        ("numbers", json!(["15554500001", "1"]), "numbers[1]"),
        ("nombers", json!([]), "nombers"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        refused(
            operator,
            (QUEUES, body.to_string().into()),
            StatusCode::BAD_REQUEST,
            named,
        )
        .await?;
    }
    Ok(())
}

/// Waits until the queue stands with all its recipients, deletes it, and waits until that is told.
async fn stands_and_goes(cluster: &Cluster, record: &Record, queue: &str) -> Result<()> {
    let path = format!("{QUEUES}/{queue}");
    eventually(PATIENCE, "the queue is accepted", async || {
        let (status, body) = cluster.operator.get(&path).await?;
        Ok(status == StatusCode::OK && body["total"] == RECIPIENTS_MAX)
    })
    .await?;
    let (status, answer) = cluster.operator.command("large", queue, "delete").await?;
    ensure!(status.is_success(), "{status}: {answer}");
    record.until(PATIENCE, "deleted.queue", queue).await?;
    ensure!(cluster.operator.queue("large", queue).await?["state"] == "deleted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_knows_its_limits() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("large", "5511900000060").await?;
    let record = Record::start(cluster.events("large").await?);
    refuses_what_is_too_large(&cluster.operator).await?;
    refuses_what_makes_no_sense(&cluster.operator).await?;
    let (_, queues) = cluster.operator.get(QUEUES).await?;
    ensure!(queues["items"] == json!([]), "{queues}");
    ensure!(cluster.control.audit().await?.messages_accepted == 0);

    let (status, accepted) = cluster.operator.post(QUEUES, job("over HTTP")).await?;
    ensure!(
        status == StatusCode::ACCEPTED && accepted["total"] == RECIPIENTS_MAX,
        "{status}: {accepted}"
    );
    let queue = accepted["queueId"].as_str().unwrap_or_default();
    stands_and_goes(&cluster, &record, queue).await?;

    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    let id = Uuid::new_v4().to_string();
    publisher
        .publish("large", "send", &id, job("over AMQP").to_string().as_bytes())
        .await?;
    stands_and_goes(&cluster, &record, &id).await?;

    // Over AMQP there is no door: the job is answered instead.
    let mut numbers = CONTACTS.numbers();
    numbers.push("15559999999".to_owned());
    let body = json!({ "numbers": numbers, "message": { "type": "text", "text": "x" } });
    publisher
        .publish("large", "send", "too-many", body.to_string().as_bytes())
        .await?;
    record
        .until_any(PATIENCE, "the job is rejected by name", |event| {
            event["event"] == "job.rejected" && event["data"]["field"] == "numbers"
        })
        .await?;
    let audit = cluster.control.audit().await?;
    ensure!(
        audit.messages_accepted <= 2,
        "an hour lies between two sends: {audit:?}"
    );
    audit.clean(audit.messages_accepted)
}
