//! Entry point of the background process: `fanfare-worker session` and `fanfare-worker webhook`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use shared::config::{Common, Env, read_sealer};
use shared::id::WorkerId;
use shared::lifecycle::Ended;
use shared::process::Process;
use worker::lease::Timing;
use worker::{session, shard, webhook};

/// A message costs a hundred small allocations that other threads free; the system's allocator takes a quarter of the
/// processor time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The background process of Fanfare. All settings come from the environment.
#[derive(Debug, Parser)]
#[command(name = "fanfare-worker", version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Role {
    /// Drives WhatsApp sessions: connects them, takes their jobs, sends, receives.
    Session,
    /// Delivers events to HTTP endpoints.
    Webhook,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Two TLS libraries' worth of choices, made once: everything here uses ring.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow!("the runtime can't be started: {error}")),
    };
    match runtime.block_on(run(arguments.role)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// One line per mistake, for whoever started us.
#[allow(clippy::print_stderr)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("fanfare-worker: {error:#}");
    ExitCode::FAILURE
}

async fn run(role: Role) -> anyhow::Result<()> {
    let mut env = Env::process();
    let common = Common::read(&mut env);
    let sealer = read_sealer(&mut env);
    let as_role = role.metrics();
    let role = role.read(&mut env, &common);
    env.finish()?;
    let (process, _) = Process::start(as_role, &common, sealer, Duration::ZERO).await?;
    let life = process.life.clone();
    let mut work = life.spawn(role.run(process.clone()));
    process.started();
    tokio::select! {
        result = &mut work => result??,
        ended = life.ended() => match ended {
            Ended::Clean => work.await??,
            Ended::Cut => work.abort(),
        },
    }
    process.close().await;
    Ok(())
}

/// A role with its settings.
enum Configured {
    Session(Box<session::Settings>),
    Webhook(webhook::Settings),
}

impl Role {
    /// What its metrics are those of.
    fn metrics(self) -> shared::metrics::Role {
        match self {
            Self::Session => shared::metrics::Role::Session,
            Self::Webhook => shared::metrics::Role::Webhook,
        }
    }

    /// Reads the settings of the role; mistakes are noted in `env`.
    fn read(self, env: &mut Env, common: &Common) -> Configured {
        match self {
            Self::Session => Configured::Session(Box::new(session::Settings::read(env, &common.amqp))),
            Self::Webhook => Configured::Webhook(webhook::Settings::read(env)),
        }
    }
}

impl Configured {
    /// Runs the role to its end.
    async fn run(self, process: Process) -> anyhow::Result<()> {
        match self {
            Self::Session(settings) => {
                let worker = WorkerId::generate(&host(), &mut process.randomness.fork())?;
                tracing::info!(worker.id = %worker, "session worker starts");
                Box::pin(shard::run(process, *settings, worker, Timing::default())).await?;
            }
            Self::Webhook(settings) => {
                tracing::info!("webhook worker starts");
                Box::pin(webhook::run(process, settings)).await?;
            }
        }
        Ok(())
    }
}

/// The name of this machine, as far as an id takes it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(HOST_MAX_CHARS)
        .collect();
    if name.is_empty() {
        "worker".to_owned()
    } else {
        name
    }
}

/// Characters of the machine's name in a worker's id.
const HOST_MAX_CHARS: usize = 64;
