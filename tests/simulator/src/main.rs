//! The simulator as a process. Prints one JSON line when it is ready and runs until it is told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use simulator::{Options, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// A message costs a hundred small allocations that other threads free; the system's allocator takes a quarter of the
/// processor time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WhatsApp server for one machine, with phones, contacts, faults and an audit. README.md describes its control API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the control API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Keys, hidden ids and faults are made from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Make clients that resume (Noise IK) fall back to a full handshake.
    #[arg(long)]
    refuse_resumption: bool,
    /// Tasks that simulated devices are spread over; 0 for one per processor.
    #[arg(long, default_value_t = 0)]
    shards: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            drop(writeln!(std::io::stderr(), "simulator: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let options = Options {
        listen: arguments.listen,
        control: arguments.control,
        seed: arguments.seed,
        refuse_resumption: arguments.refuse_resumption,
        shards: arguments.shards,
    };
    // Both are listened for before anybody is told that we are ready.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let handle = Simulator::start(options).await?;
    let ready = serde_json::json!({
        "ws": handle.ws_url,
        "control": handle.control_url,
        "root_public_key": handle.root_public_key_hex,
    });
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")?;
    out.flush()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    handle.shutdown().await;
    Ok(())
}
