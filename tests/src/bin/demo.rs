//! The demonstration: a phone pairs, a broadcast goes to a hundred contacts, is paused and resumed, and everything that
//! we promise is checked against what the simulated server saw.
//!
//! `deploy/stack.sh demo` starts the processes and calls this. The last line on standard output is one JSON object,
//! [`Report`], of the same shape however it went; the exit code is 0 only if all is as it should be. What went wrong is
//! said on standard error. The broker is that of `AMQP_URL` and `AMQP_PREFIX`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use shared::config::{Amqp, Env};
use tests::events::Listener;
use tests::operator::Operator;
use tests::receiver::Receiver;
use tests::simulated::{Audit, Contacts, Control};
use tests::wait::eventually;

const TOKEN: &str = "demo";
const PHONE: &str = "5511900000000";
const RECIPIENTS: u32 = 100;
const PAUSE_AT_PERCENT: u64 = 40;
/// Seconds, as in the environment of the workers.
const DELAY: std::ops::RangeInclusive<f64> = 0.05..=0.15;
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
        } => return run(Operator::new(&api, &auth), Control::new(&control), receiver_file).await,
    };
    conclude(&outcome)
}

/// The exit code, and on standard error what went wrong.
fn conclude(outcome: &Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn receive(listen: SocketAddr) -> Result<()> {
    let receiver = Receiver::start(listen).await?;
    out(&json!({ "url": receiver.url() }).to_string());
    std::future::pending().await
}

async fn run(operator: Operator, control: Control, receiver_file: PathBuf) -> ExitCode {
    let mut tally = Tally::default();
    let carried_out = broadcast(&operator, &control, &receiver_file, &mut tally).await;
    out("");
    let audit = control.audit().await;
    let outcome = match (carried_out, &audit) {
        (Err(error), _) => Err(error),
        (Ok(()), Err(error)) => Err(anyhow::anyhow!("reading the audit: {error:#}")),
        (Ok(()), Ok(audit)) => judge(audit, &tally),
    };
    let report = Report::new(outcome.is_ok(), audit.as_ref().ok(), &tally);
    note(&report.sentence());
    // Errors first, so that the report is last also where both streams go to one place.
    let code = conclude(&outcome);
    out(&json!(report).to_string());
    code
}

/// What is shown: it fails at the first thing that does not happen.
async fn broadcast(
    operator: &Operator,
    control: &Control,
    receiver_file: &PathBuf,
    tally: &mut Tally,
) -> Result<()> {
    let mut env = Env::process();
    let amqp = Amqp::read(&mut env);
    env.finish()?;
    let numbers = prepare(operator, control).await?;
    let receiver = receiver_url(receiver_file).await?;
    let mut events = Listener::start(amqp.url.expose(), &amqp.prefix, &format!("{TOKEN}.#")).await?;
    let hook = json!({ "url": receiver, "events": ["job.accepted", "send.message:*", "paused.queue", "resumed.queue"] });
    let (status, body) = operator.post("/v1/webhooks", hook).await?;
    ensure!(status.is_success(), "making the webhook: {status}: {body}");

    note(&format!(
        "broadcasting to {RECIPIENTS} contacts, {} to {} s apart",
        DELAY.start(),
        DELAY.end()
    ));
    let queue = operator
        .broadcast(TOKEN, &numbers, "Hello from Fanfare!", DELAY)
        .await?;
    follow(&mut events, &queue, tally, PAUSE_AT_PERCENT, None).await?;
    pause(operator, control, &mut events, &queue, tally).await?;
    follow(&mut events, &queue, tally, 100, Some("send.message:COMPLETED")).await?;
    eventually(PATIENCE, "every contact has its message", async || {
        Ok(control.audit().await?.shown_once == u64::from(RECIPIENTS))
    })
    .await?;
    await_webhooks(&receiver, tally).await
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

/// What came on the topic exchange, and to the webhook.
#[derive(Default)]
struct Tally {
    events: BTreeMap<String, u64>,
    progress: u64,
    webhooks_delivered: Option<u64>,
}

impl Tally {
    /// How often the event came.
    fn count(&self, event: &str) -> u64 {
        self.events.get(event).copied().unwrap_or_default()
    }

    /// How many events came: each of them is wanted by the webhook.
    fn all(&self) -> u64 {
        self.events.values().sum()
    }
}

/// The last line. What is not known, because the demonstration failed before, is null.
#[derive(Debug, PartialEq, Serialize)]
struct Report {
    /// `ok` or `failed`.
    demo: &'static str,
    /// How many contacts the broadcast goes to.
    recipients: u64,
    /// How many were shown the message once.
    shown_once: Option<u64>,
    /// How many were shown it more than once.
    shown_twice: Option<u64>,
    /// How many never were.
    lost: Option<u64>,
    /// How many copies could not be read at first.
    undecryptable: Option<u64>,
    gap_ms: Gap,
    /// How often each event came on the topic exchange, by name.
    events: BTreeMap<String, u64>,
    /// How many of these events the webhook had.
    webhooks_delivered: Option<u64>,
}

/// The shortest and the longest gap between two sends, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Gap {
    min: Option<f64>,
    max: Option<f64>,
}

impl Report {
    fn new(good: bool, audit: Option<&Audit>, tally: &Tally) -> Self {
        let recipients = u64::from(RECIPIENTS);
        Self {
            demo: if good { "ok" } else { "failed" },
            recipients,
            shown_once: audit.map(|audit| audit.shown_once),
            shown_twice: audit.map(|audit| audit.shown_twice),
            lost: audit.map(|audit| recipients.saturating_sub(audit.shown_once + audit.shown_twice)),
            undecryptable: audit.map(|audit| audit.undecryptable),
            gap_ms: audit.map(Gap::read).unwrap_or_default(),
            events: tally.events.clone(),
            webhooks_delivered: tally.webhooks_delivered,
        }
    }

    /// The same for people.
    fn sentence(&self) -> String {
        let number = |value: Option<u64>| value.map_or("an unknown number".to_owned(), |n| n.to_string());
        let gap = |value: Option<f64>| value.map_or("?".to_owned(), |ms| format!("{ms:.0}"));
        format!(
            "{} contacts were shown the message once, {} twice, {} never; the gaps between sends were {} to {} ms; {} \
             webhooks were delivered",
            number(self.shown_once),
            number(self.shown_twice),
            number(self.lost),
            gap(self.gap_ms.min),
            gap(self.gap_ms.max),
            number(self.webhooks_delivered)
        )
    }
}

impl Gap {
    fn read(audit: &Audit) -> Self {
        let gap = &audit.rest["sessions"][0]["gap_ms"];
        Self {
            min: gap["min"].as_f64(),
            max: gap["max"].as_f64(),
        }
    }
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

/// Waits until the receiver has had every event, and writes down how many it had.
async fn await_webhooks(receiver: &str, tally: &mut Tally) -> Result<()> {
    let url = receiver.replace("/hook", "/count");
    let wanted = tally.all();
    eventually(PATIENCE, "every event reached the webhook", async || {
        let answer: Value = tests::http::client().get(&url).send().await?.json().await?;
        tally.webhooks_delivered = answer["delivered"].as_u64();
        Ok(tally.webhooks_delivered >= Some(wanted))
    })
    .await
}

/// Whether what the server saw and what was told of it is what we promise.
///
/// # Errors
/// Names what is not.
fn judge(audit: &Audit, tally: &Tally) -> Result<()> {
    let recipients = u64::from(RECIPIENTS);
    audit.clean(recipients)?;
    for (event, wanted) in [
        ("send.message:START", 1),
        ("send.message:PROCESSING", recipients),
        ("paused.queue", 1),
        ("resumed.queue", 1),
        ("send.message:COMPLETED", 1),
    ] {
        let came = tally.count(event);
        ensure!(came == wanted, "{event} came {came} times, not {wanted}");
    }
    ensure!(
        tally.webhooks_delivered == Some(tally.all()),
        "the webhook had {:?} of {} events",
        tally.webhooks_delivered,
        tally.all()
    );
    let shortest = Gap::read(audit).min.context("the shortest gap")?;
    ensure!(
        shortest >= DELAY.start() * 1000.0 - CLOCK_SLACK_MS,
        "two sends were only {shortest} ms apart"
    );
    Ok(())
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

#[cfg(test)]
mod report_tests {
    use super::*;

    fn audit(value: Value) -> Audit {
        serde_json::from_value(value).expect("an audit")
    }

    fn good_audit() -> Value {
        json!({
            "messages_accepted": 100, "shown_once": 100, "shown_twice": 0, "undecryptable": 0, "recovered": 0,
            "message_keys_reused": 0, "repeated_texts": 0, "lost": 0, "malformed": 0, "violations": 0,
            "sessions": [{ "gap_ms": { "min": 50.5, "max": 150.0 } }],
        })
    }

    fn good_tally() -> Tally {
        let events = [
            ("send.message:START", 1),
            ("send.message:PROCESSING", 100),
            ("paused.queue", 1),
            ("resumed.queue", 1),
            ("send.message:COMPLETED", 1),
        ];
        Tally {
            events: events
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            progress: 100,
            webhooks_delivered: Some(104),
        }
    }

    #[test]
    fn what_is_promised_is_judged() {
        judge(&audit(good_audit()), &good_tally()).expect("all is well");
        for (field, value) in [
            ("shown_once", 99),
            ("shown_twice", 1),
            ("undecryptable", 1),
            ("repeated_texts", 1),
        ] {
            let mut bad = good_audit();
            bad[field] = value.into();
            judge(&audit(bad), &good_tally()).expect_err(field);
        }
        let mut fast = good_audit();
        fast["sessions"][0]["gap_ms"]["min"] = 40.into();
        judge(&audit(fast), &good_tally()).expect_err("too fast");
        let mut quiet = good_tally();
        quiet.webhooks_delivered = Some(103);
        judge(&audit(good_audit()), &quiet).expect_err("a webhook is missing");
    }

    #[test]
    fn the_last_line_has_one_shape_however_it_went() {
        let keys = |value: &Value| -> Vec<String> {
            let fields = value.as_object().expect("an object");
            fields.keys().cloned().collect()
        };
        let nothing = Report::new(false, None, &Tally::default());
        let nothing = serde_json::to_value(nothing).expect("JSON");
        let good = Report::new(true, Some(&audit(good_audit())), &good_tally());
        let good = serde_json::to_value(good).expect("JSON");
        assert_eq!(keys(&nothing), keys(&good));
        assert_eq!(
            (&nothing["demo"], &good["demo"]),
            (&json!("failed"), &json!("ok"))
        );
        assert_eq!(good["gap_ms"], json!({ "min": 50.5, "max": 150.0 }));

        let script = include_str!("../../../deploy/stack.sh");
        let line = script
            .lines()
            .find_map(|line| line.trim().strip_prefix("echo '{"));
        let line = line
            .and_then(|line| line.strip_suffix("'"))
            .expect("the line of a demo that did not begin");
        let line: Value = serde_json::from_str(&format!("{{{line}")).expect("JSON");
        assert_eq!(line, nothing);
    }
}
