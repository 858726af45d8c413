//! Memory of a session that is logged in and idle: a worker with many of them against the same worker with none.
//!
//! The worker is started anew before it is measured, as after an upgrade: what pairing left in the allocator is not the
//! session's. What is stored of a session lies in PostgreSQL; what the worker keeps of it is counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::cluster::Cluster;
use tests::wait::eventually;

use crate::baileys::Baileys;
use crate::report::{Row, Target};
use crate::sends::pair;
use crate::tls::Front;
use crate::work::measure::Figure;

const UNIT: &str = "KiB";
/// What a session may take.
const TARGET: f64 = 120.0;
/// Sessions of Baileys in one process.
const SESSIONS_OF_BAILEYS: usize = 50;
/// Until everything that is let go of after a while has gone.
const SETTLING: Duration = Duration::from_secs(70);
/// Readings, and the time between them.
const READINGS: usize = 5;
const BETWEEN_READINGS: Duration = Duration::from_secs(2);
/// How long all logins together may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures and prints the rows.
pub(crate) async fn measure(baileys: &Baileys, sessions: usize) -> Result<()> {
    let cluster = Cluster::start_with(1, &[("LOG", "warn")]).await?;
    let (ws, control, _) = cluster.simulator();
    eprintln!("bench: Baileys holds {SESSIONS_OF_BAILEYS} sessions");
    let count = SESSIONS_OF_BAILEYS.to_string();
    let theirs = baileys
        .run(&["idle", &count], Some((ws, control)))
        .await?
        .get("idle_session", UNIT)?;
    let ours = slope(cluster, sessions).await?;
    let target = Some(Target::AtMost(TARGET));
    Row {
        name: "idle_session",
        unit: UNIT,
        ours,
        baileys: Some(theirs),
        floor: None,
        target,
    }
    .print();

    eprintln!("bench: the same over TLS");
    let front = Front::start().await?;
    let (url, certificate) = (front.url(), front.certificate());
    let certificate = certificate.to_str().context("the path of a temporary file")?;
    let settings = [
        ("LOG", "warn"),
        ("WHATSAPP_URL", url.as_str()),
        ("SSL_CERT_FILE", certificate),
    ];
    let cluster = Cluster::start_with(1, &settings).await?;
    front.pass_to(cluster.simulator().0)?;
    let ours = slope(cluster, sessions).await?;
    Row {
        name: "idle_session_tls",
        unit: UNIT,
        ours,
        baileys: None,
        floor: None,
        target: None,
    }
    .print();
    Ok(())
}

/// KiB that each of so many sessions adds to the only worker of a cluster that has none yet.
async fn slope(mut cluster: Cluster, sessions: usize) -> Result<Figure> {
    let empty = Figure::of(readings(&mut cluster).await?).median;
    eprintln!(
        "bench: pairing {sessions} sessions; a worker without any has {:.1} MiB",
        empty / 1024.0
    );
    pair(&cluster, "idle", sessions).await?;
    let paired = cluster.worker(0)?.resident_bytes()? as f64 / 1024.0;
    eprintln!(
        "bench: after pairing {:.1} KiB per session",
        (paired - empty) / sessions as f64
    );
    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    eventually(PATIENCE, "all sessions are open", async || {
        Ok(open(&mut cluster).await? == sessions)
    })
    .await?;
    tokio::time::sleep(SETTLING).await;
    let open = open(&mut cluster).await?;
    ensure!(open == sessions, "{open} of {sessions} sessions stayed open");
    let full = readings(&mut cluster).await?;
    Ok(Figure::of(
        full.into_iter()
            .map(|full| (full - empty) / sessions as f64)
            .collect(),
    ))
}

/// KiB that the worker has in memory.
async fn readings(cluster: &mut Cluster) -> Result<Vec<f64>> {
    let mut readings = Vec::new();
    for _ in 0..READINGS {
        tokio::time::sleep(BETWEEN_READINGS).await;
        readings.push(cluster.worker(0)?.resident_bytes()? as f64 / 1024.0);
    }
    Ok(readings)
}

/// How many sessions the worker has open.
async fn open(cluster: &mut Cluster) -> Result<usize> {
    let metrics = cluster.worker(0)?.metrics().await?;
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix("fanfare_sessions{state=\"open\"} "));
    value.map_or(Ok(0), |value| {
        value
            .parse()
            .with_context(|| format!("fanfare_sessions is {value}"))
    })
}
