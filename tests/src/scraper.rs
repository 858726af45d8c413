//! Debian's Prometheus, reading the processes of a cluster as an operator's would.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process::free_address;
use crate::wait::eventually;

/// How long it may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two readings of a process.
const INTERVAL: &str = "1s";
/// What dashboards take for the window of rates where it is read so often.
pub const WINDOW: &str = "10s";

/// Processes that are read under one name of a role.
pub type Targets<'a> = (&'a str, &'a [SocketAddr]);

/// A running Prometheus. Dropping it ends it and removes what it kept.
pub struct Scraper {
    child: Child,
    base: String,
    folder: PathBuf,
    http: reqwest::Client,
}

impl Scraper {
    /// Starts it over these processes, with these files of rules.
    ///
    /// # Errors
    /// When it is not installed, or does not begin; with the end of its log.
    pub async fn start(targets: &[Targets<'_>], rules: &[PathBuf]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("fanfare-scraper-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        let jobs: Vec<Value> = targets.iter().map(job).collect();
        let config = json!({
            "global": { "scrape_interval": INTERVAL, "evaluation_interval": INTERVAL },
            "rule_files": rules, "scrape_configs": jobs,
        });
        // JSON is YAML.
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config.to_string())?;
        let address = free_address()?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("prometheus.log"))?)
            .spawn()
            .context("starting prometheus (Debian package prometheus)")?;
        let scraper = Self {
            child,
            base: format!("http://{address}"),
            folder,
            http: crate::http::client(),
        };
        let ready = eventually(PATIENCE, "Prometheus is ready", async || {
            let answer = scraper
                .http
                .get(format!("{}/-/ready", scraper.base))
                .send()
                .await?;
            Ok(answer.status().is_success())
        });
        ready
            .await
            .with_context(|| tail(&scraper.folder.join("prometheus.log")))?;
        Ok(scraper)
    }

    /// What it answers to a query now: its series.
    ///
    /// # Errors
    /// When it does not take the query, in its words.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let form =
            reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.base), [("query", expression)])?;
        let mut answer: Value = serde_json::from_str(&self.http.get(form).send().await?.text().await?)?;
        match answer["data"]["result"].take() {
            Value::Array(series) if answer["status"] == "success" => Ok(series),
            _ => bail!("{expression}: {}", answer["error"]),
        }
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn job((name, addresses): &Targets<'_>) -> Value {
    let targets: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    json!({ "job_name": name, "static_configs": [{ "targets": targets, "labels": { "deployment": "test" } }] })
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
