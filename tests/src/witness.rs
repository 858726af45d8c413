//! Baileys, linked to the account of a session, as a witness: it tells all that it reports.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use crate::baileys::device;
use crate::simulated::Control;

/// How long it may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers that wait to be taken.
const ANSWERS: usize = 8;

/// One device that runs Baileys. Dropping it kills the process.
pub struct Witness {
    _child: Child,
    input: ChildStdin,
    answers: mpsc::Receiver<Value>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Witness {
    /// Starts a device whose credentials come to lie in `folder`, and waits until the phone `number` has scanned its QR code and
    /// it is online.
    ///
    /// # Errors
    /// When it is not online in a minute.
    pub async fn start(folder: &Path, ws: &str, control: &Control, number: &str) -> Result<Self> {
        let mut child = device("witness.mjs", folder, ws)?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        let (told, (pen, answers)) = (Arc::new(Mutex::new(Vec::new())), mpsc::channel(ANSWERS));
        tokio::spawn(write_down(output, told.clone(), pen));
        let mut witness = Self {
            _child: child,
            input,
            answers,
            told,
        };
        loop {
            let said = witness.answer().await?;
            match said["event"].as_str() {
                Some("qr") => {
                    let qr = said["qr"].as_str().unwrap_or_default();
                    control.scan(number, qr).await?;
                }
                Some("open") => return Ok(witness),
                _ => bail!("Baileys says {said} while it is linked"),
            }
        }
    }

    /// All that it has told so far, in order: `{"name", "data"}` each.
    #[must_use]
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().expect("a writer panicked").clone()
    }

    /// How much it has told so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.told.lock().expect("a writer panicked").len()
    }

    /// Whether it has told such a thing, the first so many left out. Copies nothing.
    #[must_use]
    pub fn has_told(&self, since: usize, wanted: impl Fn(&Value) -> bool) -> bool {
        let told = self.told.lock().expect("a writer panicked");
        told.iter().skip(since).any(wanted)
    }

    /// Calls a method of its socket.
    ///
    /// # Errors
    /// When it can't.
    pub async fn call(&mut self, method: &str, args: Value) -> Result<()> {
        let line = json!({ "call": { "method": method, "args": args } });
        let done = self.ask(&line).await;
        done.map(drop).with_context(|| format!("Baileys does {method}"))
    }

    /// A message, given as the JSON of a protobuf, as its bytes in hexadecimal digits.
    ///
    /// # Errors
    /// When there is no such message.
    pub async fn encode(&mut self, message: &Value) -> Result<String> {
        let done = self.ask(&json!({ "encode": message })).await?;
        let bytes = done["bytes"].as_str().context("the bytes of a message")?;
        Ok(bytes.to_owned())
    }

    async fn ask(&mut self, line: &Value) -> Result<Value> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        loop {
            let said = self.answer().await?;
            // It may have connected again.
            if said["event"] == "done" {
                return Ok(said);
            }
        }
    }

    async fn answer(&mut self) -> Result<Value> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        answer
            .context("Baileys says nothing")?
            .context("Baileys has ended")
    }
}

async fn write_down(output: ChildStdout, told: Arc<Mutex<Vec<Value>>>, answers: mpsc::Sender<Value>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            return;
        };
        if said["event"] == "told" {
            told.lock().expect("a reader panicked").push(said);
        } else if answers.send(said).await.is_err() {
            return;
        }
    }
}
