//! What is set up wrong is said in one line that names the setting, and nothing starts.

use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use tests::cluster::Cluster;
use tests::process::{binary, free_address};

/// How long a process may take to see that it can't start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a program with the settings of `cluster` and these on top, to its end.
async fn run(cluster: &Cluster, (program, role): (&str, &str), wrong: (&str, &str)) -> Result<Output> {
    let port = free_address()?.port().to_string();
    let run = tokio::process::Command::new(binary(program)?)
        .arg(role)
        .env_clear()
        .envs(cluster.settings().iter().map(|(key, value)| (key, value)))
        // The cluster's own API listens already; a case of a port sets its own.
        .env("PORT", port)
        .env(wrong.0, wrong.1)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(PATIENCE, run)
        .await
        .with_context(|| format!("{program} {role} started with {wrong:?}"))?
        .context("running it")
}

const API: (&str, &str) = ("fanfare-api", "serve");
const SESSION: (&str, &str) = ("fanfare-worker", "session");
const WEBHOOK: (&str, &str) = ("fanfare-worker", "webhook");

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_said_by_name() -> Result<()> {
    let cluster = Cluster::start(0).await?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let port = taken.local_addr()?.port().to_string();
    let cases = [
        (API, "PORT", port.as_str(), port.as_str()),
        (API, "PORT", "seventy", "PORT"),
        (API, "HOST", "nowhere", "HOST"),
        (API, "DATABASE_URL", "postgres//nowhere", "DATABASE_URL"),
        (API, "DATABASE_URL", "postgres://127.0.0.1:1/x", "DATABASE_URL"),
        (API, "AMQP_URL", "http://127.0.0.1", "AMQP_URL"),
        (API, "AMQP_URL", "amqp://127.0.0.1:1", "AMQP_URL"),
        (API, "KEY_ENCRYPTION_KEY", "short", "KEY_ENCRYPTION_KEY"),
        (
            SESSION,
            "DATABASE_URL",
            "postgres://127.0.0.1:1/x",
            "DATABASE_URL",
        ),
        (SESSION, "AMQP_URL", "amqp://127.0.0.1:1", "AMQP_URL"),
        (SESSION, "METRICS_ADDR", "9000", "METRICS_ADDR"),
        (API, "METRICS_ADDR", &address, "METRICS_ADDR: can't listen on"),
        (SESSION, "METRICS_ADDR", &address, "METRICS_ADDR: can't listen on"),
        (WEBHOOK, "METRICS_ADDR", &address, "METRICS_ADDR: can't listen on"),
        (SESSION, "MIN", "-1", "MIN"),
        (SESSION, "MAX", "1e9", "MAX"),
        (SESSION, "MIN", "5", "MIN"),
        (SESSION, "SHARDS", "0", "SHARDS"),
        (SESSION, "WHATSAPP_URL", "https://example.com", "WHATSAPP_URL"),
        (SESSION, "WHATSAPP_ROOT_KEY", "00", "WHATSAPP_ROOT_KEY"),
        (WEBHOOK, "WEBHOOK_TIMEOUT", "soon", "WEBHOOK_TIMEOUT"),
    ];
    let cluster = &cluster;
    try_join_all(cases.map(|(program, setting, value, said)| async move {
        let output = run(cluster, program, (setting, value)).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && errors.lines().any(|line| line.contains(said)),
            "{program:?} with {setting}={value} ended ({}) without a word of {said}: {errors}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        ensure!(!errors.contains("panicked"), "{errors}");
        Ok(())
    }))
    .await
    .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_good_set_up_well_and_a_bad_one_ill() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let doctor = ("fanfare-api", "doctor");
    let well = run(&cluster, doctor, ("LOG", "info")).await?;
    let said = String::from_utf8_lossy(&well.stdout);
    ensure!(well.status.success(), "{said}");
    let ill = run(&cluster, doctor, ("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat")).await?;
    let said = String::from_utf8_lossy(&ill.stdout);
    ensure!(!ill.status.success() && said.contains("BAD  whatsapp"), "{said}");
    Ok(())
}
