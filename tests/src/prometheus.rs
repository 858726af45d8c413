//! A Prometheus (Debian's package) that scrapes a cluster, with the rules and alerts of `deploy/prometheus`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process::free_address;
use crate::wait::eventually;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// The deployment that its targets belong to.
pub const DEPLOYMENT: &str = "test";

/// The rules that it evaluates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rules {
    /// As they are.
    Real,
    /// With a second for each `for`, ten for each range, three for the lag of events, and no age at which a
    /// version is too old: what takes minutes in a deployment takes seconds.
    Short,
}

/// A process to scrape.
#[derive(Clone, Debug)]
pub struct Target {
    /// The label `job`.
    pub job: &'static str,
    /// Where its metrics are.
    pub address: SocketAddr,
}

/// What an expression has come to, for one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A Prometheus with a folder of its own. Dropping it ends it.
pub struct Prometheus {
    child: Child,
    url: String,
    folder: PathBuf,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts one that scrapes each second, nothing at first.
    ///
    /// # Errors
    /// When it is not installed, or does not get ready.
    pub async fn start(rules: Rules) -> Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("fanfare-prometheus-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(folder.join("targets"))?;
        for file in ["rules.yml", "alerts.yml"] {
            let text = fs::read_to_string(source(file))?;
            let text = if rules == Rules::Short {
                shortened(&text)
            } else {
                text
            };
            fs::write(folder.join(file), text)?;
        }
        fs::write(folder.join("prometheus.yml"), CONFIG)?;
        let address = free_address()?;
        let log = fs::File::create(folder.join("prometheus.log"))?;
        let child = Command::new(program("prometheus")?)
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting prometheus")?;
        let mut prometheus = Self {
            child,
            url: format!("http://{address}"),
            folder,
            http: crate::http::client(),
        };
        eventually(PATIENCE, "Prometheus is ready", async || {
            if let Some(status) = prometheus.child.try_wait()? {
                let log = fs::read_to_string(prometheus.folder.join("prometheus.log"))?;
                bail!("it ended ({status}): {log}");
            }
            let ready = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send();
            Ok(ready.await.is_ok_and(|answer| answer.status().is_success()))
        })
        .await?;
        Ok(prometheus)
    }

    /// Its address, for a browser or a dashboard.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on scrapes these and no others.
    ///
    /// # Errors
    /// When the list can't be written.
    pub fn scrape(&self, targets: &[Target]) -> Result<()> {
        let mut list = String::new();
        for Target { job, address } in targets {
            writeln!(
                list,
                "- labels: {{ job: {job}, deployment: {DEPLOYMENT} }}\n  targets: [\"{address}\"]"
            )?;
        }
        // Whole or not at all: it is read when it changes.
        let (new, file) = (
            self.folder.join("targets/new"),
            self.folder.join("targets/fanfare.yml"),
        );
        fs::write(&new, list)?;
        Ok(fs::rename(new, file)?)
    }

    /// What a PromQL expression comes to now; nothing where it has no data.
    ///
    /// # Errors
    /// When it is no expression, or Prometheus does not answer.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let answer = self.get("query", &[("query", expression)]).await?;
        let result = answer["result"].clone();
        if answer["resultType"] == "scalar" {
            let labels = BTreeMap::new();
            return Ok(vec![Sample {
                labels,
                value: number(&result[1])?,
            }]);
        }
        let samples = result.as_array().context("a vector")?.iter();
        samples
            .map(|sample| {
                Ok(Sample {
                    labels: serde_json::from_value(sample["metric"].clone())?,
                    value: number(&sample["value"][1])?,
                })
            })
            .collect()
    }

    /// The names of the alerts that fire.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn firing(&self) -> Result<Vec<String>> {
        let answer = self.get("alerts", &[]).await?;
        let alerts = answer["alerts"].as_array().context("alerts")?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let mut names: Vec<String> = firing
            .filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// All rules as they were evaluated last: name, expression, and what went wrong, if anything did.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.get("rules", &[]).await?;
        let groups = answer["groups"].as_array().context("groups")?.iter();
        Ok(groups
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect())
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.url))?;
        url.query_pairs_mut().extend_pairs(query);
        let answer: Value = self.http.get(url).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{query:?}: {}", answer["error"]);
        Ok(answer["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of Debian's package `prometheus`: `prometheus` or `promtool`.
///
/// # Errors
/// When it is not installed.
pub fn program(name: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!("{name} is not installed: Debian package prometheus (deploy/test.sh installs it)")
    })
}

/// A file of `deploy/prometheus`.
#[must_use]
pub fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/prometheus")
        .join(file)
}

fn number(value: &Value) -> Result<f64> {
    Ok(value.as_str().context("a number")?.parse()?)
}

/// Rules for scenes of seconds.
fn shortened(rules: &str) -> String {
    let mut text = String::with_capacity(rules.len());
    for line in rules.lines() {
        let line = match line.split_once("for: ") {
            Some((before, _)) if before.trim().is_empty() => format!("{before}for: 1s"),
            // The version that is built in is as old as the checkout.
            _ => line
                .replace("outbox_age_seconds:max > 60", "outbox_age_seconds:max > 3")
                .replace("> 45 * 86400", "> 4500 * 86400"),
        };
        text.push_str(&short_ranges(&line));
        text.push('\n');
    }
    text
}

/// A line with ten seconds for each range of minutes or hours.
fn short_ranges(line: &str) -> String {
    let mut pieces = line.split('[');
    let mut short = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let range = piece.split_once(']').filter(|(range, _)| {
            let digits = range.strip_suffix(['m', 'h']).unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        short.push('[');
        match range {
            Some((_, rest)) => {
                short.push_str("10s]");
                short.push_str(rest);
            }
            None => short.push_str(piece),
        }
    }
    short
}

const CONFIG: &str = "\
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [rules.yml, alerts.yml]
scrape_configs:
  - job_name: fanfare
    file_sd_configs: [{ files: [targets/fanfare.yml], refresh_interval: 1s }]
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_scenes_are_the_same_in_short() {
        assert_eq!(
            short_ranges("sum by (a) (increase(b{c=~\"d[ef]\"}[10m])) > 0 or x[1h]"),
            "sum by (a) (increase(b{c=~\"d[ef]\"}[10s])) > 0 or x[10s]"
        );
        assert_eq!(shortened("        for: 5m\n"), "        for: 1s\n");
    }
}
