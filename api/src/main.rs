//! Entry point of the HTTP process: `serve | migrate | ready | rekey | doctor | openapi | asyncapi`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use api::settings::Settings;
use api::{asyncapi, doctor, openapi, probe, rekey, serve};
use clap::{Parser, Subcommand};
use shared::config::{Database, Env, read_sealer};
use shared::store::Store;

/// A message costs a hundred small allocations that other threads free; the system's allocator takes a quarter of the
/// processor time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The HTTP API of Fanfare. Its settings come from the environment; .env.example lists them.
#[derive(Debug, Parser)]
#[command(name = "fanfare-api", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Serve the API.
    Serve,
    /// Bring the database's schema to this release's version.
    Migrate,
    /// Ask a process of this machine whether it is ready: exits with 0 if it is, else says what is missing.
    Ready {
        /// Where it serves /readyz.
        #[arg(default_value = "http://127.0.0.1:9464")]
        url: reqwest::Url,
    },
    /// Seal what is stored under the first of `KEY_ENCRYPTION_KEY`, so that the older ones behind it may go.
    Rekey,
    /// Check a live set-up and say what is wrong and what to do.
    Doctor,
    /// Print the OpenAPI document.
    Openapi,
    /// Print the AsyncAPI document of jobs and events.
    Asyncapi,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve => serve_api().await,
        Command::Migrate => migrate().await,
        Command::Ready { url } => probe::ready(&url).await.map(|said| say(&said)),
        Command::Rekey => rekey_all().await,
        Command::Doctor => return examine().await,
        Command::Openapi => print_document(),
        Command::Asyncapi => {
            say(asyncapi::DOCUMENT.trim_end());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&format!("fanfare-api: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve_api() -> Result<()> {
    serve::serve(Settings::read(Env::process())?).await
}

async fn migrate() -> Result<()> {
    let mut env = Env::process();
    let database = Database::read(&mut env);
    env.finish()?;
    let applied = Store::new(&database, None, shared::clock::Clock::system())?
        .migrate()
        .await?;
    for migration in &applied {
        say(&format!("applied {:04} {}", migration.version, migration.name));
    }
    if applied.is_empty() {
        say("the schema is up to date");
    }
    Ok(())
}

async fn rekey_all() -> Result<()> {
    let mut env = Env::process();
    let database = Database::read(&mut env);
    let sealer = read_sealer(&mut env);
    env.finish()?;
    let store = Store::connect(&database, sealer, shared::clock::Clock::system()).await?;
    rekey::run(&store, say).await
}

async fn examine() -> ExitCode {
    let report = doctor::examine(Env::process).await;
    say(report.to_string().trim_end());
    if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_document() -> Result<()> {
    let document =
        serde_json::to_string_pretty(&openapi::document()).context("the document can't be written")?;
    say(&document);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(
    clippy::print_stderr,
    reason = "one line for people, before or instead of a log"
)]
fn say_error(text: &str) {
    eprintln!("{text}");
}
