//! Entry point of the background process: `fanfare-worker session` and `fanfare-worker webhook`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use shared::broker::Broker;
use shared::config::{Common, Env, read_sealer};
use shared::id::WorkerId;
use shared::lifecycle::{Ended, Lifecycle};
use shared::store::Store;
use shared::telemetry::{self, Health, Metrics};
use worker::shard::lease::Timing;
use worker::{session, webhook};

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
    let session = matches!(role, Role::Session).then(|| session::Settings::read(&mut env, &common.amqp));
    let webhook = matches!(role, Role::Webhook).then(|| webhook::Settings::read(&mut env));
    env.finish()?;
    telemetry::init_logs(&common.log).map_err(|why| anyhow!(why))?;
    let metrics = Metrics::install().map_err(|why| anyhow!(why))?;
    let life = Lifecycle::with_signals().context("signals can't be listened to")?;
    // The address first: it is the cheapest mistake to find.
    let admin = telemetry::listen(common.metrics_addr)
        .await
        .map_err(|why| anyhow!(why))?;
    let store = Store::connect(&common.database, sealer).await?;
    let broker = Broker::connect(&common.amqp)
        .await
        .map_err(|error| anyhow!("{error}; {}", error.advice()))?;
    let health = health(&store, &broker);
    let serve = telemetry::serve(admin, metrics, health.clone(), life.hard().clone());
    // Ends with the process: the last thing to be watched is the stop itself.
    tokio::spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    let work = work((session, webhook), (store, broker.clone()), life.clone(), health);
    let mut work = life.spawn(work);
    tokio::select! {
        result = &mut work => result??,
        ended = life.ended() => match ended {
            Ended::Clean => work.await??,
            Ended::Cut => work.abort(),
        },
    }
    broker.close().await;
    Ok(())
}

/// Runs the role whose settings are there, to its end.
async fn work(
    (session, webhook): (Option<session::Settings>, Option<webhook::Settings>),
    (store, broker): (Store, Broker),
    life: Lifecycle,
    health: Health,
) -> anyhow::Result<()> {
    if let Some(settings) = session {
        let worker = WorkerId::generate(&host())?;
        tracing::info!(worker.id = %worker, "session worker starts");
        session::run(
            (store, broker),
            settings,
            worker,
            Timing::default(),
            (life, health),
        )
        .await?;
    } else if let Some(settings) = webhook {
        tracing::info!("webhook worker starts");
        Box::pin(webhook::run(store, broker, settings, life.soft().clone())).await?;
    }
    Ok(())
}

fn health(store: &Store, broker: &Broker) -> Health {
    let health = Health::new();
    let store = store.clone();
    health.check("database", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let broker = broker.clone();
    health.check("broker", move || {
        let ready = broker.is_ready();
        async move {
            if ready {
                Ok(())
            } else {
                Err("not connected, or out of memory or disk".to_owned())
            }
        }
    });
    health
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
