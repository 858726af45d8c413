//! Every kind of message end to end: what a client that is not ours decrypts, what events show, and that a retry receipt
//! is answered with the very same bytes after a restart of the worker.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;

const PATIENCE: Duration = Duration::from_secs(60);
const OURS: &str = "5511900000030";
const THEIRS: &str = "5511900000031";

/// The `message` of a job, and what a recipient must have decrypted.
fn kinds() -> Vec<(Value, Value)> {
    vec![
        (
            json!({ "type": "text", "text": "We open at nine." }),
            json!({ "extendedTextMessage": { "text": "We open at nine." } }),
        ),
        (
            json!({ "type": "location", "latitude": -23.550519123456789, "longitude": 46.6, "name": "Sé" }),
            json!({ "locationMessage": {
                "degreesLatitude": -23.550519123456789, "degreesLongitude": 46.6, "name": "Sé",
            } }),
        ),
        (
            json!({ "type": "contact", "name": "Ana; Zoë", "phone": "+55 31 90000-0042" }),
            json!({ "contactMessage": {
                "displayName": "Ana; Zoë",
                "vcard": "BEGIN:VCARD\nVERSION:3.0\nN:;Ana\\; Zoë;;;\nFN:Ana\\; Zoë\n\
                          TEL;type=CELL;type=VOICE;waid=5531900000042:+5531900000042\nEND:VCARD",
            } }),
        ),
    ]
}

/// What a message says, without the secret that comes with each.
fn said(read: &Value) -> Result<Value> {
    let mut message = read["message"].clone();
    let fields = message.as_object_mut().context("a message")?;
    let info = fields.remove("messageContextInfo").context("its context")?;
    ensure!(info["messageSecret"].is_string(), "{read}");
    Ok(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_read_and_sent_again_byte_for_byte_after_a_restart() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "kinds", OURS).await?;
    let record = Record::start(cluster.events("kinds").await?);
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;

    for (message, seen) in kinds() {
        let id = send(&cluster, &record, &message).await?;
        let read = baileys.receives(&id).await?;
        ensure!(said(&read)? == seen, "{read}");
        shown(&record, &id, &seen).await?;
    }

    drop(baileys);
    let spoiled = json!({ "kind": "corrupt_mac", "match": { "to": THEIRS }, "count": kinds().len() });
    cluster.control.fault(spoiled).await?;
    let mut sent = Vec::new();
    for (message, seen) in kinds() {
        sent.push((send(&cluster, &record, &message).await?, seen));
    }
    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    let own_copies = cluster.control.phone_messages(OURS).await?;
    for (id, seen) in sent {
        let read = baileys.receives(&id).await?;
        ensure!(said(&read)? == seen, "{read}");
        let first = own_copies
            .iter()
            .find(|copy| copy.id == id)
            .context("an own copy")?;
        ensure!(
            read["bytes"] == first.message,
            "{read}, but first {}",
            first.message
        );
    }
    let faults = cluster.control.get("/faults").await?;
    ensure!(
        faults[0]["struck"] == kinds().len(),
        "each copy was spoiled once: {faults}"
    );
    let audit = cluster.control.audit().await?;
    ensure!(
        audit.message_keys_reused == 0 && audit.violations == 0,
        "{audit:?}"
    );
    Ok(())
}

/// Sends a message and waits until the server has it; its id.
async fn send(cluster: &Cluster, record: &Record, message: &Value) -> Result<String> {
    let body = json!({ "token": "kinds", "number": THEIRS, "message": message });
    let (status, answer) = cluster.operator.post("/v1/messages", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let id = answer["messageId"].as_str().context("a message id")?.to_owned();
    record
        .until_any(PATIENCE, &format!("the end of {message}"), |event| {
            event["event"] == "send.message:COMPLETED"
                && event["data"]["queue"]["data"]["messageIds"][0] == id
        })
        .await?;
    Ok(id)
}

/// The events of the queue show the message as its recipient reads it.
async fn shown(record: &Record, id: &str, seen: &Value) -> Result<()> {
    let events = record.events();
    let data = events
        .iter()
        .map(|event| &event["data"]["queue"]["data"])
        .find(|data| data["messageIds"][0] == id)
        .context("the queue's data")?;
    let kind = data["messageType"].as_str().context("a type")?;
    ensure!(json!({ kind: data["message"]["message"] }) == *seen, "{data}");
    ensure!(data["message"]["messageType"] == kind, "{data}");
    Ok(())
}
