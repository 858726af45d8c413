//! The demonstration: a phone pairs, a broadcast goes to a hundred contacts, is paused and resumed, and everything that
//! we promise is checked against what the simulated server saw.
//!
//! `deploy/stack.sh demo` starts the processes and calls this. The last line on standard output is one JSON object; the
//! exit code is 0 only if all is as it should be.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tests::events::Listener;
use tests::operator::Operator;
use tests::receiver::Receiver;
use tests::simulated::{Contacts, Control};
use tests::wait::eventually;

const TOKEN: &str = "demo";
const PHONE: &str = "5511900000000";
const RECIPIENTS: u32 = 100;
const PAUSE_AT_PERCENT: u64 = 40;
/// Seconds, as in the environment of the workers.
const DELAY: (f64, f64) = (0.05, 0.15);
/// How long the pause is watched: twenty sends would fit.
const PAUSE_WATCH: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
const BAR_WIDTH: u64 = 40;
/// The server stamps arrivals, we space departures: a departure that is read late makes the gap behind it shorter.
const CLOCK_SLACK_MS: f64 = 5.0;

#[derive(Parser)]
#[command(about = "The demonstration of Fanfare")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A webhook receiver that answers 204 and counts.
    Receive {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The demonstration itself.
    Run {
        /// The API's address.
        #[arg(long)]
        api: String,
        /// The simulator's control address.
        #[arg(long)]
        control: String,
        /// The file that the receiver wrote its address to.
        #[arg(long)]
        receiver_file: PathBuf,
        /// The API's key.
        #[arg(long, env = "AUTH", hide_env_values = true)]
        auth: String,
        /// The broker.
        #[arg(long, env = "AMQP_URL", hide_env_values = true)]
        amqp_url: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Receive { listen } => receive(listen).await,
        Command::Run {
            api,
            control,
            receiver_file,
            auth,
            amqp_url,
        } => {
            run(
                Operator::new(&api, &auth),
                Control::new(&control),
                receiver_file,
                &amqp_url,
            )
            .await
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out(&json!({ "demo": "failed", "error": format!("{error:#}") }).to_string());
            ExitCode::FAILURE
        }
    }
}

async fn receive(listen: SocketAddr) -> Result<()> {
    let receiver = Receiver::start(listen).await?;
    out(&json!({ "url": receiver.url() }).to_string());
    std::future::pending().await
}

async fn run(operator: Operator, control: Control, receiver_file: PathBuf, amqp_url: &str) -> Result<()> {
    let numbers = prepare(&operator, &control).await?;
    let receiver = receiver_url(&receiver_file).await?;
    let mut events = Listener::start(amqp_url, "fanfare", &format!("{TOKEN}.#")).await?;
    let hook = json!({ "url": receiver, "events": ["job.accepted", "send.message:*", "paused.queue", "resumed.queue"] });
    let (status, body) = operator.post("/v1/webhooks", hook).await?;
    ensure!(status.is_success(), "making the webhook: {status}: {body}");

    note(&format!(
        "broadcasting to {RECIPIENTS} contacts, {} to {} s apart",
        DELAY.0, DELAY.1
    ));
    let queue = operator
        .broadcast(TOKEN, &numbers, "Hello from Fanfare!", DELAY)
        .await?;
    let mut tally = Tally::default();
    follow(&mut events, &queue, &mut tally, PAUSE_AT_PERCENT, None).await?;
    pause(&operator, &control, &mut events, &queue, &mut tally).await?;
    follow(
        &mut events,
        &queue,
        &mut tally,
        100,
        Some("send.message:COMPLETED"),
    )
    .await?;
    out("");

    finish(&control, &receiver, &tally).await
}

async fn prepare(operator: &Operator, control: &Control) -> Result<Vec<String>> {
    let contacts = Contacts {
        prefix: "1555000",
        count: RECIPIENTS,
        deliver_ms: 20,
        read_ms: Some(60),
        reply: None,
    };
    control.contacts(&contacts).await?;
    control.phone(PHONE, "Fanfare demo").await?;
    note("pairing: the simulated phone scans the QR code");
    operator.pair(control, TOKEN, PHONE).await?;
    Ok(contacts.numbers())
}

async fn receiver_url(file: &PathBuf) -> Result<String> {
    let mut url = None;
    eventually(
        PATIENCE,
        "the webhook receiver says where it listens",
        async || {
            let line: Value = serde_json::from_str(std::fs::read_to_string(file)?.trim())?;
            url = line["url"].as_str().map(str::to_owned);
            Ok(url.is_some())
        },
    )
    .await?;
    url.context("the receiver's address")
}

/// What came on the topic exchange.
#[derive(Default)]
struct Tally {
    events: BTreeMap<String, u64>,
    progress: u64,
}

/// Reads events and draws the bar until `percent` is reached or the event `until` came.
async fn follow(
    events: &mut Listener,
    queue: &str,
    tally: &mut Tally,
    percent: u64,
    until: Option<&str>,
) -> Result<()> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next())
            .await
            .context("no event for a minute")??;
        let data = if event["data"]["queue"].is_object() {
            &event["data"]["queue"]
        } else {
            &event["data"]
        };
        if data["queueId"] != queue {
            continue;
        }
        let name = event["event"].as_str().unwrap_or_default().to_owned();
        *tally.events.entry(name.clone()).or_default() += 1;
        if let Some(progress) = data["progress"].as_u64() {
            ensure!(
                progress >= tally.progress,
                "progress went back from {} to {progress}",
                tally.progress
            );
            tally.progress = progress;
            bar(progress, &name);
        }
        if until.map_or(tally.progress >= percent, |until| until == name) {
            return Ok(());
        }
    }
}

/// Pauses, shows that nothing is sent, resumes.
async fn pause(
    operator: &Operator,
    control: &Control,
    events: &mut Listener,
    queue: &str,
    tally: &mut Tally,
) -> Result<()> {
    let (status, body) = operator.command(TOKEN, queue, "pause").await?;
    ensure!(status.is_success(), "pausing: {status}: {body}");
    follow(events, queue, tally, 101, Some("paused.queue")).await?;
    let at_pause = control.audit().await?.messages_accepted;
    // Nothing to wait for: the point is that time passes and nothing happens.
    tokio::time::sleep(PAUSE_WATCH).await;
    let sent = control.audit().await?.messages_accepted - at_pause;
    out("");
    note(&format!(
        "paused at {} %: {sent} messages were sent in {} s; resuming",
        tally.progress,
        PAUSE_WATCH.as_secs()
    ));
    ensure!(sent == 0, "messages were sent during the pause");
    // The pause is no gap between sends.
    control.post("/audit/mark", json!({})).await?;
    let (status, body) = operator.command(TOKEN, queue, "resume").await?;
    ensure!(status.is_success(), "resuming: {status}: {body}");
    Ok(())
}

async fn finish(control: &Control, receiver: &str, tally: &Tally) -> Result<()> {
    eventually(PATIENCE, "every contact has its message", async || {
        Ok(control.audit().await?.shown_once == u64::from(RECIPIENTS))
    })
    .await?;
    let wanted: u64 = tally.events.values().sum();
    let delivered = webhooks_delivered(receiver, wanted).await?;
    let audit = control.audit().await?;
    let (min, max) = gaps(&audit.rest)?;
    let recipients = u64::from(RECIPIENTS);
    let lost = recipients.saturating_sub(audit.shown_once + audit.shown_twice);
    let count = |event: &str| tally.events.get(event).copied().unwrap_or_default();
    let good = audit.shown_once == recipients
        && audit.shown_twice + audit.repeated_texts + audit.undecryptable + audit.message_keys_reused == 0
        && count("send.message:PROCESSING") == recipients
        && [
            "send.message:START",
            "paused.queue",
            "resumed.queue",
            "send.message:COMPLETED",
        ]
        .iter()
        .all(|event| count(event) == 1)
        && delivered == wanted
        && min >= DELAY.0 * 1000.0 - CLOCK_SLACK_MS;
    note(&format!(
        "{} contacts were shown the message once, {} twice, {lost} never",
        audit.shown_once, audit.shown_twice
    ));
    note(&format!(
        "the gaps between sends were {min:.0} to {max:.0} ms; {delivered} webhooks were delivered"
    ));
    out(&json!({
        "demo": if good { "ok" } else { "failed" },
        "recipients": recipients,
        "shown_once": audit.shown_once,
        "shown_twice": audit.shown_twice,
        "lost": lost,
        "undecryptable": audit.undecryptable,
        "gap_ms": { "min": min, "max": max },
        "events": tally.events,
        "webhooks_delivered": delivered,
    })
    .to_string());
    ensure!(good, "not all is as it should be");
    Ok(())
}

/// Waits until the receiver has had `wanted` different events, and says how many it had.
async fn webhooks_delivered(receiver: &str, wanted: u64) -> Result<u64> {
    let url = receiver.replace("/hook", "/count");
    let mut delivered = 0;
    eventually(PATIENCE, "every event reached the webhook", async || {
        delivered = tests::http::client()
            .get(&url)
            .send()
            .await?
            .json::<Value>()
            .await?["delivered"]
            .as_u64()
            .unwrap_or_default();
        Ok(delivered >= wanted)
    })
    .await?;
    Ok(delivered)
}

/// The shortest and the longest gap between two sends, in milliseconds.
fn gaps(audit: &serde_json::Map<String, Value>) -> Result<(f64, f64)> {
    let sessions = audit["sessions"]
        .as_array()
        .context("the sessions of the audit")?;
    let gap = &sessions.first().context("a session in the audit")?["gap_ms"];
    Ok((
        gap["min"].as_f64().context("the shortest gap")?,
        gap["max"].as_f64().context("the longest gap")?,
    ))
}

fn bar(progress: u64, event: &str) {
    let filled = usize::try_from(progress * BAR_WIDTH / 100).unwrap_or_default();
    let empty = usize::try_from(BAR_WIDTH).unwrap_or_default() - filled;
    let mut output = std::io::stdout();
    // A closed standard output is no reason to stop.
    let _ = write!(
        output,
        "\r  [{}{}] {progress:3} %  {event:<26}",
        "█".repeat(filled),
        "░".repeat(empty)
    );
    let _ = output.flush();
}

fn note(text: &str) {
    out(&format!("demo: {text}"));
}

fn out(line: &str) {
    let mut output = std::io::stdout();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}
