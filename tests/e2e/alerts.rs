//! Prometheus scrapes a cluster: the rules have data, and each alert that can be caused in seconds fires and ends with its
//! cause. The others, and all times, are in `deploy/prometheus/tests`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shared::testing::service_url;
use tests::cluster::Cluster;
use tests::events::JobPublisher;
use tests::line::Line;
use tests::prometheus::{self, Prometheus, Rules};
use tests::simulated::Contacts;
use tests::wait::eventually;
use tokio::time::Instant;
use whatsapp::version::ClientVersion;

/// A look over the deployment, a scrape and an evaluation, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// More than five, so that their closes at once are many.
const SESSIONS: u32 = 8;
const CONTACTS: Contacts<'static> = Contacts::quiet("1555990", 20);

/// A cluster with lines of its own to the services, and a Prometheus that scrapes it.
struct Stage {
    cluster: Cluster,
    broker: Line,
    database: Line,
    prometheus: Prometheus,
    table: Vec<(String, &'static str, f64, f64)>,
}

impl Stage {
    async fn set() -> Result<Self> {
        let (broker, amqp_url) = Line::to(&service_url("AMQP_URL")).await?;
        let (database, database_url) = Line::to(&service_url("DATABASE_URL")).await?;
        // An endpoint that is dead is soon given up, and not left alone between tries: else nothing is given up meanwhile.
        // The deployment is looked over each second, so that what only that tells is told at once, and the turn of a process
        // that was killed soon ends.
        let settings = [
            ("WEBHOOK_RETRY_SCHEDULE", "0.1"),
            ("WEBHOOK_CIRCUIT_SECONDS", "0"),
            ("SURVEY_SECONDS", "1"),
            ("WHATSAPP_VERSION_RETRY_SECONDS", "2"),
        ];
        let cluster = Cluster::start_over_with(&amqp_url, &database_url, &settings).await?;
        let prometheus = Prometheus::start(Rules::Short).await?;
        prometheus.scrape(&cluster.targets())?;
        cluster.control.contacts(&CONTACTS).await?;
        let sessions = (0..SESSIONS).map(|number| {
            let cluster = &cluster;
            async move {
                let (token, phone) = (format!("alerts-{number}"), format!("55119000991{number:02}"));
                cluster.session(&token, &phone).await
            }
        });
        futures_util::future::try_join_all(sessions).await?;
        Ok(Self {
            cluster,
            broker,
            database,
            prometheus,
            table: Vec::new(),
        })
    }

    /// Waits until all of these fire; answers when each did, in seconds from now.
    async fn fire(&self, alerts: &[&str]) -> Result<Vec<f64>> {
        self.turn(alerts, "fires", |is_firing| is_firing).await
    }

    /// Waits until none of these fires any more.
    async fn end(&self, alerts: &[&str]) -> Result<Vec<f64>> {
        self.turn(alerts, "ends", |is_firing| !is_firing).await
    }

    async fn turn(&self, alerts: &[&str], verb: &str, wanted: impl Fn(bool) -> bool) -> Result<Vec<f64>> {
        let begun = Instant::now();
        let mut after = vec![None; alerts.len()];
        eventually(PATIENCE, &format!("each of {alerts:?} {verb}"), async || {
            let firing = self.prometheus.firing().await?;
            for (alert, after) in alerts.iter().zip(&mut after) {
                if after.is_none() && wanted(firing.iter().any(|name| name == alert)) {
                    *after = Some(begun.elapsed().as_secs_f64());
                }
            }
            let waited_for = alerts.iter().zip(&after).filter(|(_, after)| after.is_none());
            let waited_for: Vec<_> = waited_for.map(|(alert, _)| alert).collect();
            ensure!(waited_for.is_empty(), "not {waited_for:?}; {firing:?} fire");
            Ok(true)
        })
        .await?;
        Ok(after.into_iter().flatten().collect())
    }

    fn note(&mut self, scene: &'static str, alerts: &[&str], fired: &[f64], ended: &[f64]) {
        for ((alert, fired), ended) in alerts.iter().zip(fired).zip(ended) {
            self.table.push(((*alert).to_owned(), scene, *fired, *ended));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_fire_with_their_cause_and_end_with_it() -> Result<()> {
    let mut stage = Stage::set().await?;
    rules_have_data(&stage).await?;
    // All is well now, and nobody is called.
    let all = alert_names()?;
    stage
        .end(&all.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    closes_dead_ends_and_restrictions(&mut stage).await?;
    a_worker_dies(&mut stage).await?;
    the_broker_is_away(&mut stage).await?;
    the_database_is_away(&mut stage).await?;
    the_version_is_refused(&mut stage).await?;
    println!("| alert | scene | fired after | ended after |\n|---|---|---|---|");
    for (alert, scene, fired, ended) in &stage.table {
        println!("| {alert} | {scene} | {fired:.1} s | {ended:.1} s |");
    }
    let seen: BTreeSet<&str> = stage.table.iter().map(|(alert, ..)| alert.as_str()).collect();
    let left: Vec<&String> = all.iter().filter(|name| !seen.contains(name.as_str())).collect();
    ensure!(left == NOT_PLAYED, "without a scene: {left:?}");
    Ok(())
}

/// Alerts that seconds are too few for, or that tell of what a test can't do to the machine; their times are tried by
/// promtool.
const NOT_PLAYED: [&str; 2] = ["FanfareDiskFilling", "FanfareLeaseFlaps"];

/// Somebody is sent to and asks; then every recording rule has data, and every expression is evaluated.
async fn rules_have_data(stage: &Stage) -> Result<()> {
    let (cluster, prometheus) = (&stage.cluster, &stage.prometheus);
    cluster
        .operator
        .broadcast("alerts-0", &CONTACTS.numbers(), "hello", 0.0..=0.0)
        .await?;
    eventually(PATIENCE, "every recording rule has data", async || {
        let rules = prometheus.rules().await?;
        ensure!(!rules.is_empty(), "no rules");
        for rule in rules {
            let name = rule["name"].as_str().context("a name")?.to_owned();
            ensure!(rule["health"] == "ok", "{name}: {}", rule["lastError"]);
            if rule["type"] == "recording" && !MAY_BE_EMPTY.contains(&name.as_str()) {
                ensure!(!prometheus.query(&name).await?.is_empty(), "{name} has no data");
            }
        }
        Ok(true)
    })
    .await
}

/// What has data only while somebody waits.
const MAY_BE_EMPTY: [&str; 1] = ["deployment_reason:fanfare_recipients_waiting:max"];

/// All connections are cut, an account is restricted, an endpoint is dead and a publisher writes what is no job, all at
/// once.
async fn closes_dead_ends_and_restrictions(stage: &mut Stage) -> Result<()> {
    let alerts = [
        "FanfareSessionsClosing",
        "FanfareRestrictionsRising",
        "FanfareWebhooksDying",
        "FanfareDeadLetters",
    ];
    let cluster = &stage.cluster;
    let hook = json!({ "url": "http://127.0.0.1:1/dead" });
    let (status, hook) = cluster.operator.post("/v1/webhooks", hook).await?;
    ensure!(status.is_success(), "{hook}");
    let restrict = "/phones/5511900099100/restrict";
    cluster
        .control
        .post(restrict, json!({ "seconds": 3_600 }))
        .await?;
    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    publisher
        .publish("alerts-1", "no kind", "alerts-1", b"no job")
        .await?;
    cluster
        .control
        .fault(json!({ "kind": "cut", "on": "now" }))
        .await?;
    let fired = stage.fire(&alerts).await?;

    let id = hook["id"].as_str().context("the webhook's id")?;
    cluster.operator.delete(&format!("/v1/webhooks/{id}")).await?;
    cluster.control.delete(restrict).await?;
    ensure!(
        publisher.take(&format!("{prefix}.jobs.dead")).await?.is_some(),
        "the letter is there"
    );
    let ended = stage.end(&alerts).await?;
    stage.note("cut, 463, a dead endpoint, no job", &alerts, &fired, &ended);
    Ok(())
}

/// The only session worker is killed in the middle of a broadcast.
async fn a_worker_dies(stage: &mut Stage) -> Result<()> {
    let alerts = [
        "FanfareMetricsGone",
        "FanfareShardsUnowned",
        "FanfareNothingSends",
    ];
    let operator = &stage.cluster.operator;
    operator
        .broadcast("alerts-1", &CONTACTS.numbers(), "hello", 5.0..=5.0)
        .await?;
    stage.cluster.kill_worker(0)?;
    let fired = stage.fire(&alerts).await?;
    stage.cluster.restart_worker(0).await?;
    stage.prometheus.scrape(&stage.cluster.targets())?;
    let ended = stage.end(&alerts).await?;
    stage.note("the worker is killed", &alerts, &fired, &ended);
    Ok(())
}

/// The broker is away, and connections end: the events of that wait.
async fn the_broker_is_away(stage: &mut Stage) -> Result<()> {
    let alerts = ["FanfareBrokerAway", "FanfareEventsLag"];
    stage.broker.cut();
    stage
        .cluster
        .control
        .fault(json!({ "kind": "cut", "on": "now" }))
        .await?;
    let fired = stage.fire(&alerts).await?;
    stage.broker.mend();
    let ended = stage.end(&alerts).await?;
    stage.note("the broker is away", &alerts, &fired, &ended);
    Ok(())
}

async fn the_database_is_away(stage: &mut Stage) -> Result<()> {
    let alerts = ["FanfareDatabaseAway"];
    stage.database.cut();
    let fired = stage.fire(&alerts).await?;
    stage.database.mend();
    let ended = stage.end(&alerts).await?;
    stage.note("the database is away", &alerts, &fired, &ended);
    Ok(())
}

/// WhatsApp wants a version that its page does not name yet.
async fn the_version_is_refused(stage: &mut Stage) -> Result<()> {
    let alerts = ["FanfareVersionTooOld"];
    let control = &stage.cluster.control;
    let newer = ClientVersion::web(ClientVersion::KNOWN.tertiary + 65_000).to_string();
    control.version(json!({ "min": newer })).await?;
    control.fault(json!({ "kind": "cut", "on": "now" })).await?;
    let fired = stage.fire(&alerts).await?;
    control
        .version(json!({ "published": newer, "page": "script" }))
        .await?;
    let ended = stage.end(&alerts).await?;
    stage.note("the version is refused", &alerts, &fired, &ended);
    Ok(())
}

#[test]
fn promtool_takes_the_files_and_the_times_are_right() -> Result<()> {
    let promtool = |arguments: &[&str]| -> Result<()> {
        let folder = prometheus::source("");
        let mut command = Command::new(prometheus::program("promtool")?);
        let output = command.current_dir(folder).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "promtool {arguments:?}:\n{said}");
        Ok(())
    };
    promtool(&["check", "config", "prometheus.yml"])?;
    promtool(&["check", "config", "compose.yml"])?;
    promtool(&["check", "rules", "rules.yml", "alerts.yml"])?;
    promtool(&["test", "rules", "tests/alerts.yml"])
}

#[test]
fn each_alert_has_its_page_and_its_times() -> Result<()> {
    let runbook = fs::read_to_string(prometheus::source("../../docs/RUNBOOK.md"))?;
    let times = fs::read_to_string(prometheus::source("tests/alerts.yml"))?;
    let (_, section) = runbook
        .split_once("\n## Alerts\n")
        .context("the section Alerts")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let headings: BTreeSet<String> = section
        .lines()
        .filter_map(|line| Some(line.strip_prefix("### ")?.to_owned()))
        .collect();
    ensure!(
        headings == alert_names()?,
        "the headings of the runbook: {headings:?}"
    );
    let alerts = fs::read_to_string(prometheus::source("alerts.yml"))?;
    for name in &headings {
        let link = format!("runbook_url: docs/RUNBOOK.md#{}\n", name.to_lowercase());
        ensure!(alerts.contains(&link), "{name} has no link {link}");
        ensure!(
            times.contains(&format!("alertname=\"{name}\"")),
            "{name} has no times"
        );
    }
    for needed in ["for:", "severity:", "summary:", "description:", "runbook_url:"] {
        let times = alerts.matches(needed).count();
        // The comment on top names severity as well.
        ensure!(times >= headings.len(), "{needed} is missing somewhere");
    }
    Ok(())
}

fn alert_names() -> Result<BTreeSet<String>> {
    let alerts = fs::read_to_string(prometheus::source("alerts.yml"))?;
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    Ok(names.map(str::to_owned).collect())
}
