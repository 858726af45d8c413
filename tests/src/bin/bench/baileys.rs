//! Baileys' figures: `tests/interop/bench.mjs` in a process of its own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::work::measure::Figure;

/// How long one of its measurements may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where it is installed.
pub(crate) struct Baileys {
    folder: PathBuf,
}

/// Its figures by name.
pub(crate) struct Figures(HashMap<String, Line>);

#[derive(Deserialize)]
struct Line {
    name: String,
    unit: String,
    median: f64,
    min: f64,
    max: f64,
    /// Of the payload, where there is one.
    #[serde(default)]
    bytes: Option<usize>,
}

impl Baileys {
    /// Baileys as installed in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Runs its bench with these arguments; `simulator` is WebSocket and control address.
    ///
    /// # Errors
    /// When node or Baileys is missing, or the bench fails.
    pub(crate) async fn run(&self, arguments: &[&str], simulator: Option<(&str, &str)>) -> Result<Figures> {
        let modules = self.folder.join("node_modules/baileys");
        ensure!(
            modules.is_dir(),
            "{} is missing; run `npm ci` in {}",
            modules.display(),
            self.folder.display()
        );
        let (ws, control) = simulator.unwrap_or_default();
        let run = Command::new("node")
            .args(["--expose-gc", "bench.mjs"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("SIM_WS", ws)
            .env("SIM_CONTROL", control)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, run)
            .await
            .context("Baileys takes too long")?
            .context("starting node")?;
        ensure!(
            output.status.success(),
            "bench.mjs {} ended with {}",
            arguments.join(" "),
            output.status
        );
        let text = String::from_utf8(output.stdout)?;
        let lines = text.lines().map(serde_json::from_str::<Line>);
        let lines: Vec<Line> = lines
            .collect::<Result<_, _>>()
            .with_context(|| format!("bench.mjs said {text:?}"))?;
        Ok(Figures(
            lines.into_iter().map(|line| (line.name.clone(), line)).collect(),
        ))
    }
}

impl Figures {
    /// A figure, which has to be in this unit.
    ///
    /// # Errors
    /// When there is no such figure.
    pub(crate) fn get(&self, name: &str, unit: &str) -> Result<Figure> {
        let line = self.line(name)?;
        ensure!(line.unit == unit, "{name} is in {}, not in {unit}", line.unit);
        Ok(Figure {
            median: line.median,
            min: line.min,
            max: line.max,
        })
    }

    /// How large the payload of a figure was.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) fn bytes(&self, name: &str) -> Result<usize> {
        self.line(name)?.bytes.with_context(|| format!("bytes of {name}"))
    }

    fn line(&self, name: &str) -> Result<&Line> {
        self.0
            .get(name)
            .with_context(|| format!("bench.mjs did not measure {name}"))
    }
}
