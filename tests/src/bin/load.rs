//! `make load`: drives a deployment of one's own, through the simulator that it is connected to.
//!
//! It can't reach anybody: it makes sessions of its own (`load-…`), has phones of the simulator scan their codes, and sends
//! from these alone to contacts of the simulator. A deployment that is connected to WhatsApp itself never gets a session that
//! is open, and nothing is sent. What it may ask for is bounded, and both addresses must be of this machine or of a private
//! network.
//!
//! Progress goes to standard error; the last line on standard output is one JSON object, [`Report`].

use std::io::Write as _;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Url;
use serde::Serialize;
use serde_json::json;
use tests::operator::Operator;
use tests::simulated::{Audit, Contacts, Control};
use tests::wait::eventually;

/// Sessions that pair at a time.
const PAIRING_AT_ONCE: usize = 16;
/// Contacts that all of it goes to.
const CONTACTS: u32 = 10_000;
/// The most recipients of one session's broadcast.
const RECIPIENTS_MAX: u64 = 100_000;
/// How often what came in is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long the last messages may take beyond the time that their pace wants.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Parser)]
#[command(about = "Drives a deployment of one's own, through the simulator")]
struct Arguments {
    /// The API's address.
    #[arg(long)]
    api: Url,
    /// The simulator's control address.
    #[arg(long, env = "SIMULATOR_CONTROL")]
    control: Url,
    /// The API's key.
    #[arg(long, env = "AUTH", hide_env_values = true)]
    auth: String,
    /// Sessions that send.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    sessions: u32,
    /// Sessions besides that are linked and do nothing.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    idle: u32,
    /// Messages a second, of all sessions together.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    rate: u32,
    /// Messages a second that contacts write to these sessions.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=2_000))]
    incoming: u32,
    /// For so many seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    /// `ok`, or `failed` where something was lost or shown twice.
    load: &'static str,
    /// Sessions that are linked, idle ones included.
    sessions: u32,
    /// Messages that were asked for.
    asked: u64,
    /// Messages that contacts were shown.
    shown: u64,
    /// Messages that somebody was shown twice.
    shown_twice: u64,
    /// Messages that the server took and nobody saw.
    lost: u64,
    /// Seconds from the first job to the last message that was shown.
    seconds: f64,
    /// Messages a second over this time.
    rate: f64,
    /// Messages that contacts wrote.
    incoming: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match drive(&Arguments::parse()).await {
        Ok(report) => {
            let line = json!(report).to_string();
            // Nobody reads on: the exit code still tells.
            let _ = writeln!(std::io::stdout(), "{line}");
            if report.load == "ok" {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn drive(arguments: &Arguments) -> Result<Report> {
    for address in [&arguments.api, &arguments.control] {
        near(address)?;
    }
    let operator = Operator::new(arguments.api.as_str(), &arguments.auth);
    let control = Control::new(arguments.control.as_str());
    control
        .audit()
        .await
        .context("the control address is no simulator's")?;
    control.contacts(&contacts()).await?;
    let senders = pair(&operator, &control, "load", arguments.sessions).await?;
    pair(&operator, &control, "load-idle", arguments.idle).await?;
    let before = control.audit().await?;
    let begun = Instant::now();
    let asked = begin(&operator, arguments, &senders).await?;
    let incoming = write_in(&control, arguments, &senders).await?;
    let after = shown(&control, arguments, &before, asked, begun).await?;
    Ok(report(
        arguments,
        (&before, &after),
        (asked, incoming),
        begun.elapsed(),
    ))
}

/// Whether an address is of this machine or of a private network. Who has a deployment elsewhere runs this there.
fn near(address: &Url) -> Result<()> {
    let host = address.host_str().context("an address with a host")?;
    let port = address
        .port_or_known_default()
        .context("an address with a port")?;
    let host = host.trim_matches(['[', ']']);
    let mut found = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("{host} is not known"))?;
    let is_private = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    ensure!(
        found.all(|found| is_private(found.ip())),
        "{address} is not of this machine or a private network"
    );
    Ok(())
}

fn contacts() -> Contacts<'static> {
    Contacts {
        read_ms: Some(2_000),
        ..Contacts::quiet("155577", CONTACTS)
    }
}

/// A session of ours and its phone.
struct Sender {
    token: String,
    phone: String,
}

/// Links so many sessions, those of an earlier run again.
async fn pair(operator: &Operator, control: &Control, name: &str, count: u32) -> Result<Vec<Sender>> {
    let kind = u8::from(name == "load-idle");
    let begun = Instant::now();
    let one = async |at: u32| {
        let sender = Sender {
            token: format!("{name}-{at}"),
            phone: format!("55117{kind}{at:07}"),
        };
        control.phone(&sender.phone, "load").await?;
        operator
            .pair(control, &sender.token, &sender.phone)
            .await
            .map(|()| sender)
    };
    let paired = stream::iter(0..count).map(one).buffered(PAIRING_AT_ONCE);
    let senders: Vec<Sender> = paired.try_collect().await.with_context(|| {
        format!("linking {name}: is this deployment connected to the simulator of --control?")
    })?;
    if count > 0 {
        eprintln!(
            "load: {count} sessions {name} are linked after {:.0} s",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(senders)
}

/// A broadcast of every session, at its part of the pace; how many messages that is.
async fn begin(operator: &Operator, arguments: &Arguments, senders: &[Sender]) -> Result<u64> {
    let each = u64::from(arguments.rate) * u64::from(arguments.seconds) / senders.len() as u64;
    ensure!(
        (1..=RECIPIENTS_MAX).contains(&each),
        "{each} messages for each session: 1 to {RECIPIENTS_MAX} can be"
    );
    let gap = senders.len() as f64 / f64::from(arguments.rate);
    let numbers = contacts().numbers();
    for (at, sender) in senders.iter().enumerate() {
        // A number may be in a queue once: a longer one is several.
        let from = at * numbers.len() / senders.len();
        let round = numbers.iter().cycle().skip(from).take(usize::try_from(each)?);
        let round: Vec<String> = round.cloned().collect();
        for part in round.chunks(numbers.len()) {
            operator
                .broadcast(&sender.token, part, "We open at nine.", gap..=gap)
                .await?;
        }
    }
    eprintln!(
        "load: {each} messages of each of {} sessions, {gap:.2} s apart",
        senders.len()
    );
    Ok(each * senders.len() as u64)
}

/// Contacts write to the sessions, in turns, at an even pace; how many messages.
async fn write_in(control: &Control, arguments: &Arguments, senders: &[Sender]) -> Result<u64> {
    let total = u64::from(arguments.incoming) * u64::from(arguments.seconds);
    let (begun, numbers) = (tokio::time::Instant::now(), contacts().numbers());
    let written = stream::iter(0..total).map(|at| {
        let due = begun + Duration::from_secs_f64(at as f64 / f64::from(arguments.incoming));
        let (contact, sender) = (
            &numbers[at as usize % numbers.len()],
            &senders[at as usize % senders.len()],
        );
        async move {
            tokio::time::sleep_until(due).await;
            control
                .contact_writes(contact, &sender.phone, "Are you open?")
                .await
        }
    });
    written
        .buffered(PAIRING_AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok(total)
}

/// Waits until all that was asked for was shown; tells how far it is meanwhile.
async fn shown(
    control: &Control,
    arguments: &Arguments,
    before: &Audit,
    asked: u64,
    begun: Instant,
) -> Result<Audit> {
    let end = Duration::from_secs(arguments.seconds.into()) + PATIENCE;
    let mut told = begun;
    let mut last = None;
    let all = eventually(end, "every message is shown", async || {
        let audit = control.audit().await?;
        let done = audit.shown_once.saturating_sub(before.shown_once);
        last = Some(audit);
        if told.elapsed() >= LOOK {
            told = Instant::now();
            eprintln!(
                "load: {done} of {asked} shown after {:.0} s",
                begun.elapsed().as_secs_f64()
            );
        }
        if done < asked {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(done >= asked)
    });
    let outcome = all.await;
    match (last, outcome) {
        (Some(audit), Ok(())) => Ok(audit),
        (Some(audit), Err(error)) => {
            eprintln!("load: {error:#}");
            Ok(audit)
        }
        (None, _) => bail!("the simulator does not answer"),
    }
}

fn report(
    arguments: &Arguments,
    (before, after): (&Audit, &Audit),
    (asked, incoming): (u64, u64),
    took: Duration,
) -> Report {
    let shown = after.shown_once - before.shown_once;
    let shown_twice = after.shown_twice - before.shown_twice;
    let lost = after.lost - before.lost;
    Report {
        load: if shown >= asked && shown_twice == 0 && lost == 0 {
            "ok"
        } else {
            "failed"
        },
        sessions: arguments.sessions + arguments.idle,
        asked,
        shown,
        shown_twice,
        lost,
        seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
        rate: (shown as f64 / took.as_secs_f64() * 10.0).round() / 10.0,
        incoming,
    }
}
