//! What a session, a job, a message, an event and a delivery cost: processor time of each process, bytes of the database and
//! of its log, rows. docs/CAPACITY.md has the figures, and reckons with them.
//!
//! Counts, not rates: a machine that has other work to do makes them a little dearer, not several times. The services'
//! share is that of the processes that listen where `DATABASE_URL` and `AMQP_URL` say, on this machine, with nobody else's
//! work on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Listener;
use tests::receiver::Receiver;
use tests::service;
use tests::simulated::Contacts;
use tests::wait::eventually;

use crate::sends::pair;

const SESSIONS: usize = 100;
const MESSAGES: usize = 2_000;
const JOBS: usize = 1_000;
const EVENTS: usize = 2_000;
/// Requests at a time.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(300);
/// The broker and the database go on for a moment after what they did is seen.
const SETTLING: Duration = Duration::from_secs(5);
const SETTINGS: [(&str, &str); 2] = [("SEND_CAP", "1000000"), ("LOG", "warn")];
/// The session that sends and is written to.
const TOKEN: &str = "costs-0";

/// What everything has cost until now.
struct Meter {
    cpu: BTreeMap<&'static str, Duration>,
    wal_bytes: f64,
    database_bytes: f64,
    rows: BTreeMap<String, f64>,
}

/// One line of the report: what one of these costs.
#[derive(Serialize)]
struct Cost {
    cost_of: &'static str,
    measured: usize,
    /// Microseconds of processor time, by process.
    cpu_us: BTreeMap<&'static str, f64>,
    /// Written to the database's log.
    wal_bytes: f64,
    /// By which the database grew, indexes included.
    database_bytes: f64,
    /// By which its tables grew; tables that did not grow are left out.
    rows: BTreeMap<String, f64>,
}

/// Measures and prints the lines.
pub(crate) async fn measure() -> Result<()> {
    let mut cluster = Cluster::start_with(1, &SETTINGS).await?;
    let begun = Meter::read(&mut cluster).await?;
    pair(&cluster, "costs", SESSIONS).await?;
    let paired = Meter::read(&mut cluster).await?;
    paired.since(&begun, "session", SESSIONS).print()?;
    let contacts = Contacts::quiet("155590", MESSAGES as u32);
    cluster.control.contacts(&contacts).await?;
    let numbers = contacts.numbers();
    for name in ["first_message_to_a_contact", "message"] {
        let before = Meter::read(&mut cluster).await?;
        broadcast(&cluster, &numbers).await?;
        Meter::read(&mut cluster)
            .await?
            .since(&before, name, MESSAGES)
            .print()?;
    }
    let before = Meter::read(&mut cluster).await?;
    post_jobs(&cluster, &numbers).await?;
    Meter::read(&mut cluster)
        .await?
        .since(&before, "job", JOBS)
        .print()?;
    let receiver = Receiver::start(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let phone = first_phone(&cluster).await?;
    for (name, has_webhook) in [
        ("incoming_message", false),
        ("incoming_message_to_a_webhook", true),
    ] {
        if has_webhook {
            let (status, answer) = cluster
                .operator
                .post("/v1/webhooks", json!({ "url": receiver.url() }))
                .await?;
            ensure!(
                status.is_success(),
                "the webhook was not made: {status}: {answer}"
            );
        }
        let before = Meter::read(&mut cluster).await?;
        write_in(&cluster, &numbers, &phone, has_webhook.then_some(&receiver)).await?;
        Meter::read(&mut cluster)
            .await?
            .since(&before, name, EVENTS)
            .print()?;
    }
    Ok(())
}

/// A broadcast to all of them, until it is completed.
async fn broadcast(cluster: &Cluster, numbers: &[String]) -> Result<()> {
    let (url, prefix) = cluster.broker();
    let mut completed = Listener::start(url, prefix, &format!("{TOKEN}.send.message.COMPLETED")).await?;
    cluster
        .operator
        .broadcast(TOKEN, numbers, "We open at nine tomorrow.", 0.0..=0.0)
        .await?;
    tokio::time::timeout(PATIENCE, completed.next())
        .await
        .context("the broadcast takes too long")??;
    Ok(())
}

/// Single messages that start tomorrow: what a job costs before anything of it is sent.
async fn post_jobs(cluster: &Cluster, numbers: &[String]) -> Result<()> {
    let tomorrow = tomorrow_ms();
    let post = async |number: &String| {
        let body = json!({ "numbers": [number], "message": { "type": "text", "text": "We open at nine." }, "startAt": tomorrow });
        let (status, answer) = cluster
            .operator
            .post(&format!("/v1/sessions/{TOKEN}/queues"), body)
            .await?;
        ensure!(status.is_success(), "{status}: {answer}");
        answer["queueId"].as_str().map(str::to_owned).context("a queueId")
    };
    let queues: Vec<String> = stream::iter(&numbers[..JOBS])
        .map(post)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let last = queues.last().context("a queue")?;
    eventually(PATIENCE, "the last job is stored", async || {
        Ok(cluster.operator.queue(TOKEN, last).await?["waiting"]["reason"] == "starts-at")
    })
    .await
}

/// Milliseconds since 1970, a day ahead.
fn tomorrow_ms() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from((now + Duration::from_secs(86_400)).as_millis()).unwrap_or(u64::MAX)
}

async fn first_phone(cluster: &Cluster) -> Result<String> {
    let (_, session) = cluster.operator.get(&format!("/v1/sessions/{TOKEN}")).await?;
    let jid = session["jid"].as_str().context("a jid")?;
    Ok(jid.split(['@', ':']).next().unwrap_or_default().to_owned())
}

/// Contacts write; until all of it is stored, or delivered.
async fn write_in(
    cluster: &Cluster,
    numbers: &[String],
    phone: &str,
    receiver: Option<&Receiver>,
) -> Result<()> {
    let received = async || {
        cluster
            .database_number("SELECT count(*) FROM message WHERE NOT from_me")
            .await
    };
    let before = received().await?;
    let write = async |at: usize| {
        cluster
            .control
            .contact_writes(&numbers[at % numbers.len()], phone, "Are you open?")
            .await
    };
    stream::iter(0..EVENTS)
        .map(write)
        .buffered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    eventually(PATIENCE, "all of it came", async || {
        Ok(received().await? >= before + EVENTS as f64)
    })
    .await?;
    if let Some(receiver) = receiver {
        let new = |attempt: &tests::receiver::Attempt| attempt.json()["event"] == "new.message";
        eventually(PATIENCE, "all of it is delivered", async || {
            Ok(receiver.delivered().iter().filter(|attempt| new(attempt)).count() >= EVENTS)
        })
        .await?;
    }
    Ok(())
}

impl Meter {
    async fn read(cluster: &mut Cluster) -> Result<Self> {
        tokio::time::sleep(SETTLING).await;
        let mut cpu = BTreeMap::from([
            ("api", cluster.api()?.cpu_time()?),
            ("session_worker", cluster.worker(0)?.cpu_time()?),
            ("webhook_worker", cluster.webhook()?.cpu_time()?),
        ]);
        for (name, url) in [("postgresql", "DATABASE_URL"), ("rabbitmq", "AMQP_URL")] {
            cpu.insert(name, service::cpu_time(&std::env::var(url)?)?);
        }
        // What is dead is given back first: it is no growth.
        cluster.database_texts("VACUUM").await;
        let mut rows = BTreeMap::new();
        for table in cluster
            .database_texts(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
            )
            .await
        {
            rows.insert(
                table.clone(),
                cluster
                    .database_number(&format!("SELECT count(*) FROM {table}"))
                    .await?,
            );
        }
        Ok(Self {
            cpu,
            wal_bytes: cluster
                .database_number("SELECT pg_current_wal_insert_lsn() - '0/0'")
                .await?,
            database_bytes: cluster
                .database_number("SELECT pg_database_size(current_database())")
                .await?,
            rows,
        })
    }

    /// What each of so many cost since then.
    fn since(&self, before: &Self, cost_of: &'static str, count: usize) -> Cost {
        let each = |value: f64| (value / count as f64 * 100.0).round() / 100.0;
        let cpu = self.cpu.iter().map(|(name, now)| {
            let spent = now.saturating_sub(before.cpu.get(name).copied().unwrap_or_default());
            (*name, each(spent.as_secs_f64() * 1e6))
        });
        let rows = self.rows.iter().map(|(table, now)| {
            (
                table.clone(),
                each(now - before.rows.get(table).copied().unwrap_or_default()),
            )
        });
        Cost {
            cost_of,
            measured: count,
            cpu_us: cpu.collect(),
            wal_bytes: each(self.wal_bytes - before.wal_bytes),
            database_bytes: each(self.database_bytes - before.database_bytes),
            rows: rows.filter(|(_, more)| *more != 0.0).collect(),
        }
    }
}

impl Cost {
    #[allow(clippy::print_stdout)]
    fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
