//! Sends through the simulator without a pause between them, everything on this machine, every promise kept: jobs over
//! HTTP and a quorum queue, ratchets and recipients in PostgreSQL before the wire, events back over the broker.
//!
//! No webhook is registered, so that the broker keeps no event for the webhook worker; the last row has one that takes
//! every event.
//!
//! A round is over when the broker has said that every queue is completed. The audit has the last word.

use std::io::Cursor;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Listener;
use tests::operator::Operator;
use tests::receiver::Receiver;
use tests::simulated::{Contacts, Control};
use tests::wait::eventually;

use crate::baileys::{Baileys, Figures};
use crate::report::{Row, Target};
use crate::work::measure::Figure;

const SETTINGS: [(&str, &str); 2] = [("SEND_CAP", "1000000"), ("LOG", "warn")];
const UNIT: &str = "messages/s";
const TEXT: &str = "We open at nine tomorrow.";
/// How many times as fast as one Baileys process a worker has to be.
const FACTOR: f64 = 10.0;
/// What many sessions have to reach together.
const TOGETHER: f64 = 3_000.0;
/// Rounds in sessions that have begun.
const ROUNDS: usize = 3;
/// How many sessions are many.
const MANY: usize = 100;
/// Contacts of each of many sessions: more than a session keeps ratchets of in memory.
const CONTACTS_OF_MANY: usize = 200;
/// Contacts of one session alone, and of Baileys.
const CONTACTS_OF_ONE: usize = 2_000;
/// Contacts who get pictures.
const CONTACTS_OF_PICTURES: usize = 10_000;
/// What part of the rate of texts that of pictures with captions of their own has to reach.
const SHARE_OF_PICTURES: f64 = 0.9;
/// How many sessions are paired at a time.
const PAIRING_AT_ONCE: usize = 8;
/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the last messages may be on their way to the contacts.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Measures and prints the rows.
pub(crate) async fn measure(baileys: &Baileys) -> Result<()> {
    let cluster = Cluster::start_with(1, &SETTINGS).await?;
    let theirs = of_baileys(&cluster, baileys).await?;
    let names = ["send_1_session_first_message", "send_1_session"];
    Broadcasts::new(&cluster, "one", 1, CONTACTS_OF_ONE)
        .await?
        .measure(names, &theirs, 0.0)
        .await?;
    let names = ["send_100_sessions_first_message", "send_100_sessions"];
    let mut many = Broadcasts::new(&cluster, "many", MANY, CONTACTS_OF_MANY).await?;
    many.measure(names, &theirs, TOGETHER).await?;
    many.measure_with_a_webhook("send_100_sessions_and_a_webhook")
        .await
}

/// Measures and prints the row of pictures, in a cluster of its own.
pub(crate) async fn measure_pictures() -> Result<()> {
    let cluster = Cluster::start_with(1, &SETTINGS).await?;
    Broadcasts::new(&cluster, "pictures", 1, CONTACTS_OF_PICTURES)
        .await?
        .measure_pictures("send_1_session_pictures_with_variables")
        .await
}

async fn of_baileys(cluster: &Cluster, baileys: &Baileys) -> Result<Figures> {
    let prefix = "552190";
    contacts(&cluster.control, prefix, CONTACTS_OF_ONE).await?;
    let (ws, control, _) = cluster.simulator();
    eprintln!("bench: Baileys sends to {CONTACTS_OF_ONE} contacts");
    baileys
        .run(
            &["send", &CONTACTS_OF_ONE.to_string(), prefix],
            Some((ws, control)),
        )
        .await
}

async fn contacts(control: &Control, prefix: &str, count: usize) -> Result<Vec<String>> {
    let contacts = Contacts {
        prefix,
        count: u32::try_from(count)?,
        deliver_ms: 500,
        read_ms: None,
        reply: None,
    };
    control.contacts(&contacts).await?;
    Ok(contacts.numbers())
}

/// Sessions that send to the same contacts at the same time, a queue each.
struct Broadcasts<'a> {
    cluster: &'a Cluster,
    tokens: Vec<String>,
    numbers: Vec<String>,
    completed: Listener,
}

impl<'a> Broadcasts<'a> {
    async fn new(cluster: &'a Cluster, name: &str, sessions: usize, count: usize) -> Result<Self> {
        eprintln!("bench: pairing {sessions} sessions");
        let tokens = pair(cluster, name, sessions).await?;
        let numbers = contacts(&cluster.control, &format!("55219{sessions:04}"), count).await?;
        let (url, prefix) = cluster.broker();
        let completed = Listener::start(url, prefix, "*.send.message.COMPLETED").await?;
        Ok(Self {
            cluster,
            tokens,
            numbers,
            completed,
        })
    }

    /// Measures the first messages and those that follow; `least` is what the latter have to reach whatever Baileys does.
    async fn measure(
        &mut self,
        [first, later]: [&'static str; 2],
        theirs: &Figures,
        least: f64,
    ) -> Result<()> {
        let rates = vec![self.round().await?];
        row(first, rates, theirs.get("send_first_message", UNIT)?, 0.0).print();
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(self.round().await?);
        }
        row(later, rates, theirs.get("send_message", UNIT)?, least).print();
        Ok(())
    }

    /// Measures the later messages again while a webhook takes every event of every session.
    async fn measure_with_a_webhook(&mut self, name: &'static str) -> Result<()> {
        let receiver = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let hook = json!({ "url": receiver.url() });
        let (status, body) = self.cluster.operator.post("/v1/webhooks", hook).await?;
        ensure!(
            status.is_success(),
            "the webhook was not registered: {status} {body}"
        );
        let ours = Figure::of(vec![self.round().await?]);
        let row = Row {
            name,
            unit: UNIT,
            ours,
            baileys: None,
            floor: None,
            target: None,
        };
        row.print();
        Ok(())
    }

    /// Measures pictures, each with a caption of its own, beside texts, in turns.
    async fn measure_pictures(&mut self, name: &'static str) -> Result<()> {
        // The first messages are dearer.
        self.round().await?;
        let (mut texts, mut pictures) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            texts.push(self.round().await?);
            let before = self.uploads().await?;
            pictures.push(self.round_of(&pictures_to(&self.numbers)?).await?);
            ensure!(self.uploads().await? == before + 1, "more than one upload");
        }
        let texts = Figure::of(texts);
        let row = Row {
            name,
            unit: UNIT,
            ours: Figure::of(pictures),
            baileys: None,
            floor: Some(texts),
            target: Some(Target::AtLeast(SHARE_OF_PICTURES * texts.median)),
        };
        row.print();
        Ok(())
    }

    /// How many files were uploaded so far.
    async fn uploads(&self) -> Result<u64> {
        let audit = self.cluster.control.audit().await?;
        audit.rest["uploads"].as_u64().context("a count of uploads")
    }

    /// One broadcast of a text of every session; messages per second.
    async fn round(&mut self) -> Result<f64> {
        let texts = json!({
            "numbers": self.numbers, "message": { "type": "text", "text": TEXT }, "delay": { "min": 0, "max": 0 },
        });
        self.round_of(&texts).await
    }

    /// One broadcast of every session; messages per second, from the first request to the last event.
    async fn round_of(&mut self, broadcast: &Value) -> Result<f64> {
        let messages = self.tokens.len() * self.numbers.len();
        let before = self.cluster.control.audit().await?;
        let start = Instant::now();
        let operator = &self.cluster.operator;
        let broadcasts = self.tokens.iter().map(|token| begin(operator, token, broadcast));
        let queues: Vec<()> = stream::iter(broadcasts)
            .buffer_unordered(PAIRING_AT_ONCE)
            .try_collect()
            .await?;
        tokio::time::timeout(PATIENCE, self.all_completed(queues.len()))
            .await
            .context("the round takes too long")??;
        let rate = messages as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "bench: {messages} messages of {} sessions at {rate:.0}/s",
            self.tokens.len()
        );
        self.judge(before.shown_once + messages as u64).await?;
        Ok(rate)
    }

    async fn all_completed(&mut self, queues: usize) -> Result<()> {
        for _ in 0..queues {
            self.completed.next().await?;
        }
        Ok(())
    }

    /// A fast send that lost or repeated something would be worth nothing.
    async fn judge(&self, shown: u64) -> Result<()> {
        let all_shown = async || Ok(self.cluster.control.audit().await?.shown_once == shown);
        eventually(ARRIVAL, "every message is shown", all_shown).await?;
        let audit = self.cluster.control.audit().await?;
        let faults = [audit.shown_twice, audit.undecryptable, audit.message_keys_reused];
        ensure!(
            faults == [0; 3],
            "shown twice, undecryptable, message keys reused: {faults:?}"
        );
        Ok(())
    }
}

async fn begin(operator: &Operator, token: &str, broadcast: &Value) -> Result<()> {
    let path = format!("/v1/sessions/{token}/queues");
    let (status, answer) = operator.post(&path, broadcast.clone()).await?;
    ensure!(status.is_success(), "broadcast: {status}: {answer}");
    Ok(())
}

/// A picture to each, with a caption of its own.
fn pictures_to(numbers: &[String]) -> Result<Value> {
    let mut picture = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(64, 36).write_to(&mut picture, ImageFormat::Png)?;
    let own = |number: &String| json!({ "number": number, "variables": { "code": number } });
    Ok(json!({
        "numbers": numbers.iter().map(own).collect::<Vec<_>>(),
        "message": {
            "type": "image", "media": { "base64": STANDARD.encode(picture.into_inner()) },
            "caption": "We open at nine tomorrow, {{name|dear guest}}; your code is {{code}}.",
        },
        "delay": { "min": 0, "max": 0 },
    }))
}

fn row(name: &'static str, rates: Vec<f64>, baileys: Figure, least: f64) -> Row {
    let target = Target::AtLeast((FACTOR * baileys.median).max(least));
    Row {
        name,
        unit: UNIT,
        ours: Figure::of(rates),
        baileys: Some(baileys),
        floor: None,
        target: Some(target),
    }
}

/// Makes and pairs sessions, each with a phone of its own; returns their tokens.
pub(crate) async fn pair(cluster: &Cluster, name: &str, count: usize) -> Result<Vec<String>> {
    let one = async |index: usize| {
        let (token, number) = (format!("{name}-{index}"), format!("55119{count:04}{index:05}"));
        pair_one(&cluster.operator, &cluster.control, &token, &number)
            .await
            .map(|()| token)
    };
    stream::iter(0..count)
        .map(one)
        .buffer_unordered(PAIRING_AT_ONCE)
        .try_collect()
        .await
}

async fn pair_one(operator: &Operator, control: &Control, token: &str, number: &str) -> Result<()> {
    control.phone(number, "bench").await?;
    operator.pair(control, token, number).await
}
