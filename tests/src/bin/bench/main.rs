//! `make bench`: speed and memory, one JSON line per row, side by side with Baileys and with the floor.
//!
//! A row holds only what was measured in this run; what can't be measured is said on stderr and makes the exit code 1.
//! Progress goes to stderr, rows to stdout.

mod baileys;
mod costs;
mod flood;
mod idle;
mod jobs;
mod micro;
mod report;
mod sends;
mod sockets;
mod tls;
// The payloads, our side and the floor's, are those of the library's own benches.
#[path = "../../../../worker/whatsapp/benches/work/mod.rs"]
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use self::baileys::Baileys;
use self::flood::Scale;

/// That of the product's processes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What there is to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The library alone.
    Micro,
    /// Sends through the simulator.
    Sends,
    /// Pictures beside texts, both through the simulator.
    Pictures,
    /// Jobs accepted over HTTP.
    Jobs,
    /// Events to socket.io clients.
    Sockets,
    /// Incoming messages by the thousand, to a webhook.
    Flood,
    /// Memory of idle sessions.
    Idle,
    /// What one of each costs: processor time, bytes, rows.
    Costs,
}

/// Measures Fanfare.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything where nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// The folder with Baileys and its bench.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/interop"))]
    interop: PathBuf,
    /// How many idle sessions a worker holds.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Over how many sessions a flood goes.
    #[arg(long, default_value_t = 100)]
    flooded: usize,
    /// How many messages a second a flood has.
    #[arg(long, default_value_t = 1_000)]
    rate: usize,
    /// How many seconds a flood lasts.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let baileys = Baileys::new(arguments.interop);
    let flood = Scale {
        sessions: arguments.flooded,
        rate: arguments.rate,
        seconds: arguments.seconds,
    };
    let parts = match arguments.parts[..] {
        [] => Part::value_variants().to_vec(),
        _ => arguments.parts,
    };
    let mut complete = true;
    for part in parts {
        if let Err(error) = measure(part, &baileys, (arguments.sessions, flood)).await {
            eprintln!("bench: {part:?} could not be measured: {error:#}");
            complete = false;
        }
    }
    if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn measure(part: Part, baileys: &Baileys, (sessions, flood): (usize, Scale)) -> Result<()> {
    eprintln!("bench: {part:?}");
    match part {
        Part::Micro => micro::measure(baileys).await,
        Part::Sends => sends::measure(baileys).await,
        Part::Pictures => sends::measure_pictures().await,
        Part::Jobs => jobs::measure().await,
        Part::Sockets => sockets::measure().await,
        Part::Flood => flood::measure(flood).await,
        Part::Idle => idle::measure(baileys, sessions).await,
        Part::Costs => costs::measure().await,
    }
}
