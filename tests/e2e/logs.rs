//! Logs hold no bodies, numbers or keys, whatever `LOG` asks for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::cluster::{AUTH, Cluster};
use tests::events::Record;
use tests::receiver::{Mood, Receiver};
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
const PHONE: &str = "5511900001234";
const SENT: &str = "Tell nobody of the blue door";
const ANSWERED: &str = "The green window it is";

const CONTACTS: Contacts<'static> = Contacts {
    prefix: "1555810445",
    count: 3,
    deliver_ms: 0,
    read_ms: Some(10),
    reply: Some(ANSWERED),
};

#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_logs_give_nothing_away() -> Result<()> {
    let all = [
        ("LOG", "trace"),
        ("WEBHOOK_RETRY_SCHEDULE", "0.5,0.5,0.5,0.5"),
        ("WEBHOOK_CIRCUIT_SECONDS", "0"),
    ];
    let cluster = Cluster::start_with(1, &all).await?;
    // One that fails has its events stored, and taken out again.
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    receiver.set_mood(Mood::Failing);
    let (_, hook) = cluster
        .operator
        .post("/v1/webhooks", json!({ "url": receiver.url() }))
        .await?;
    let secret = hook["secret"].as_str().context("the secret")?.to_owned();
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("quiet", PHONE).await?;
    let record = Record::start(cluster.events("quiet").await?);
    let numbers = CONTACTS.numbers();
    let exists = json!({ "token": "quiet", "number": numbers[0] });
    cluster.operator.post("/api/whatsapp/is-exists", exists).await?;
    let queue = cluster
        .operator
        .broadcast("quiet", &numbers, SENT, 0.0..=0.0)
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    // A job that has no session comes back from the broker, with its body.
    cluster
        .operator
        .post(
            "/v1/sessions/nobody/queues",
            json!({ "numbers": numbers, "message": { "type": "text", "text": SENT } }),
        )
        .await?;
    let tried = |event: &str| {
        let of_event = |attempt: &tests::receiver::Attempt| attempt.json()["event"] == event;
        receiver.attempts().into_iter().filter(of_event).count()
    };
    eventually(PATIENCE, "an answer was tried more than once", async || {
        Ok(tried("new.message") > CONTACTS.numbers().len())
    })
    .await?;
    eventually(PATIENCE, "a QR code was tried", async || {
        Ok(tried("qrcode.updated") > 0)
    })
    .await?;

    let logs = cluster.logs()?;
    ensure!(
        logs.contains("preparing query") && logs.contains("lapin"),
        "the logs of others come through"
    );
    let codes: Vec<String> = receiver
        .attempts()
        .iter()
        .filter_map(|attempt| Some(attempt.json()["data"]["qrcode"]["code"].as_str()?.to_owned()))
        .collect();
    for telltale in [PHONE, SENT, ANSWERED, &secret, AUTH]
        .into_iter()
        .chain(numbers.iter().map(String::as_str))
        .chain(codes.iter().map(String::as_str))
    {
        nothing_of(telltale, &logs)?;
    }
    Ok(())
}

/// That the logs hold a text neither as it is nor as the numbers of its bytes.
fn nothing_of(telltale: &str, logs: &str) -> Result<()> {
    let bytes = format!("{:?}", telltale.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    let shown = logs
        .lines()
        .find(|line| line.contains(telltale) || line.contains(bytes));
    let start = |line: &str| line.chars().take(600).collect::<String>();
    ensure!(
        shown.is_none(),
        "a log shows {telltale:?}: {}",
        shown.map(start).unwrap_or_default()
    );
    Ok(())
}
