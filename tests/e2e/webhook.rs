//! A webhook receiver that fails, hangs and recovers gets every event, under one id, signed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::receiver::{Mood, Receiver};
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);

const CONTACTS: Contacts<'static> = Contacts::quiet("1555900", 12);

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_and_hangs_gets_every_event_in_the_end() -> Result<()> {
    let schedule = [
        ("WEBHOOK_RETRY_SCHEDULE", "0.5,0.5,1,1,2,2,3,3,5,5,5,5,5,5,5,5"),
        ("WEBHOOK_TIMEOUT", "2"),
    ];
    let mut cluster = Cluster::start_with(1, &schedule).await?;
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    let (status, hook) = cluster
        .operator
        .post(
            "/v1/webhooks",
            json!({ "url": receiver.url(), "events": ["send.message:*"] }),
        )
        .await?;
    ensure!(status.is_success(), "{status}: {hook}");
    let secret = hook["secret"]
        .as_str()
        .context("the secret is shown once, when the webhook is made")?
        .to_owned();

    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("hooks", "5511900000006").await?;
    let record = Record::start(cluster.events("hooks").await?);

    three_broadcasts_while_it_suffers(&mut cluster, &receiver, &record).await?;
    let wanted: BTreeSet<String> = record
        .events()
        .iter()
        .filter(|event| {
            event["event"]
                .as_str()
                .is_some_and(|name| name.starts_with("send.message:"))
        })
        .filter_map(|event| event["id"].as_str().map(str::to_owned))
        .collect();
    ensure!(
        wanted.len() == 18,
        "three queues of four make 18 events, not {}",
        wanted.len()
    );
    eventually(PATIENCE, "every event is delivered", async || {
        let delivered: BTreeSet<String> = receiver
            .delivered()
            .into_iter()
            .map(|attempt| attempt.id)
            .collect();
        Ok(wanted.is_subset(&delivered))
    })
    .await?;

    every_attempt_is_signed(&receiver, &secret)?;
    cluster.control.audit().await?.clean(12)
}

/// One while the receiver fails, one while it hangs, one after it and the worker came back.
async fn three_broadcasts_while_it_suffers(
    cluster: &mut Cluster,
    receiver: &Receiver,
    record: &Record,
) -> Result<()> {
    let numbers = CONTACTS.numbers();
    let broadcast = async |cluster: &Cluster, numbers: &[String], text: &str| {
        let queue = cluster
            .operator
            .broadcast("hooks", numbers, text, 0.0..=0.0)
            .await?;
        record.until(PATIENCE, "send.message:COMPLETED", &queue).await
    };
    receiver.set_mood(Mood::Failing);
    broadcast(cluster, &numbers[..4], "one").await?;
    eventually(PATIENCE, "an attempt was refused", async || {
        Ok(!receiver.attempts().is_empty())
    })
    .await?;

    receiver.set_mood(Mood::Hanging);
    broadcast(cluster, &numbers[4..8], "two").await?;
    let hung = || {
        receiver
            .attempts()
            .iter()
            .any(|attempt| attempt.mood == Mood::Hanging)
    };
    eventually(PATIENCE, "an attempt hangs", async || Ok(hung())).await?;

    // What was not delivered yet must be in the database by now or still at the broker, not in the worker's memory.
    cluster.kill_webhook()?;
    cluster.start_webhook().await?;
    receiver.set_mood(Mood::Well);
    broadcast(cluster, &numbers[8..], "three").await
}

/// Each attempt verifies with the reference library, and those of one event are the same.
fn every_attempt_is_signed(receiver: &Receiver, secret: &str) -> Result<()> {
    let verifier = standardwebhooks::Webhook::new(secret)?;
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for attempt in receiver.attempts() {
        verifier
            .verify(&attempt.body, &attempt.headers)
            .with_context(|| format!("the signature of {}", attempt.id))?;
        let id = attempt.json()["id"].as_str().unwrap_or_default().to_owned();
        ensure!(id == attempt.id, "the header says {}, the body {id}", attempt.id);
        let text = String::from_utf8(attempt.body.to_vec())?;
        let first = bodies.entry(attempt.id.clone()).or_insert_with(|| text.clone());
        ensure!(*first == text, "{} had two bodies", attempt.id);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_global_webhook_gets_each_message_in_the_older_shape() -> Result<()> {
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    let url = receiver.url();
    let cluster = Cluster::start_with(1, &[("WEBHOOK", &url)]).await?;
    let contacts = Contacts::quiet("1555000", 1);
    cluster.control.contacts(&contacts).await?;
    cluster.session("shop", "5511900000007").await?;
    let number = contacts.numbers().remove(0);
    cluster
        .control
        .contact_writes(&number, "5511900000007", "good morning")
        .await?;
    eventually(PATIENCE, "the message came", async || {
        Ok(!receiver.delivered().is_empty())
    })
    .await?;
    let body = receiver.delivered()[0].json();
    ensure!(body["token"] == "shop", "{body}");
    ensure!(
        body["key"]["remoteJid"] == format!("{number}@s.whatsapp.net"),
        "{body}"
    );
    ensure!(
        body["key"]["fromMe"] == false && body["key"]["id"].is_string(),
        "{body}"
    );
    ensure!(body["message"].to_string().contains("good morning"), "{body}");
    Ok(())
}
