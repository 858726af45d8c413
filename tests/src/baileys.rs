//! Baileys, a client that is not ours, as a process to talk to.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::simulated::Control;

/// How long it may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// One device that runs Baileys. Dropping it kills the process; its folder keeps the credentials.
pub struct Baileys {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// What came while something else was waited for.
    heard: Vec<Value>,
}

impl Baileys {
    /// Starts the device whose credentials lie in `folder` (made when missing) and waits until it is online; where it
    /// shows a QR code, the phone `number` scans it.
    ///
    /// # Errors
    /// When it is not online in a minute.
    pub async fn start(folder: &Path, ws: &str, control: &Control, number: &str) -> Result<Self> {
        let mut child = device("peer.mjs", folder, ws)?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut baileys = Self {
            _child: child,
            input,
            output,
            heard: Vec::new(),
        };
        loop {
            let said = baileys.hear().await?;
            match said["event"].as_str() {
                Some("qr") => {
                    control
                        .scan(number, said["qr"].as_str().unwrap_or_default())
                        .await?
                }
                Some("open") => return Ok(baileys),
                Some("closed") => bail!("Baileys gave up: {said}"),
                _ => baileys.heard.push(said),
            }
        }
    }

    /// Writes a text to a phone number and returns its message id.
    ///
    /// # Errors
    /// When Baileys can't send it.
    pub async fn write(&mut self, to: &str, text: &str) -> Result<String> {
        self.send(json!({ "to": to, "text": text })).await
    }

    /// Sends a message of any kind, the JSON of a protobuf, to a phone number and returns its id.
    ///
    /// # Errors
    /// When Baileys can't send it.
    pub async fn write_message(&mut self, to: &str, message: &Value) -> Result<String> {
        self.send(json!({ "to": to, "message": message })).await
    }

    async fn send(&mut self, what: Value) -> Result<String> {
        let line = format!("{}\n", json!({ "send": what }));
        self.input.write_all(line.as_bytes()).await?;
        let sent = self.until("sent", |_| true).await?;
        Ok(sent["id"]
            .as_str()
            .context("the id of a sent message")?
            .to_owned())
    }

    /// Votes in a poll that came from a phone number and returns the vote's message id.
    ///
    /// # Errors
    /// When Baileys can't send it.
    pub async fn vote(&mut self, to: &str, poll: &str, options: &[&str]) -> Result<String> {
        let vote = json!({ "vote": { "to": to, "poll": poll, "options": options } });
        self.input.write_all(format!("{vote}\n").as_bytes()).await?;
        let sent = self.until("sent", |_| true).await?;
        let id = sent["id"].as_str().context("the id of a sent vote")?;
        Ok(id.to_owned())
    }

    /// Opens a vote that it has read in a poll that it sent: the hashes of what is chosen, in hexadecimal digits.
    ///
    /// # Errors
    /// When Baileys can't open it.
    pub async fn opens(&mut self, vote: &str, poll: &str) -> Result<Value> {
        let open = json!({ "open": { "vote": vote, "poll": poll } });
        self.input.write_all(format!("{open}\n").as_bytes()).await?;
        let opened = self.until("opened", |said| said["id"] == vote).await?;
        anyhow::ensure!(opened["poll"] == poll, "{opened}");
        Ok(opened["options"].clone())
    }

    /// Changes the app state of its account by a method of Baileys' socket.
    ///
    /// # Errors
    /// When Baileys can't.
    pub async fn call(&mut self, method: &str, args: Value) -> Result<()> {
        let call = json!({ "call": { "method": method, "args": args } });
        self.input.write_all(format!("{call}\n").as_bytes()).await?;
        let called = self.until("called", |_| true).await;
        called.map(drop).with_context(|| format!("Baileys does {method}"))
    }

    /// Waits until it has told, under this name, of something with these fields that a device of its account did.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn tells(&mut self, name: &str, fields: Value) -> Result<Value> {
        let has = |row: &Value| {
            let mut fields = fields.as_object().into_iter().flatten();
            fields.all(|(field, value)| row.get(field) == Some(value))
        };
        self.until("state", |said| said["name"] == name && has(&said["row"]))
            .await
            .with_context(|| format!("Baileys tells {name} {fields}"))
    }

    /// Waits until it knows its account by this name.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn until_named(&mut self, name: &str) -> Result<()> {
        let named = |said: &Value| said["name"] == "creds.update" && said["row"]["me"]["name"] == name;
        let told = self.until("state", named).await;
        told.map(drop)
            .with_context(|| format!("Baileys is called {name}"))
    }

    /// Sends a file that says `text` to a phone number and returns its message id.
    ///
    /// # Errors
    /// When Baileys can't send it.
    pub async fn send_file(&mut self, to: &str, text: &str) -> Result<String> {
        let file = json!({ "document": { "to": to, "name": "notes.txt", "text": text } });
        self.input.write_all(format!("{file}\n").as_bytes()).await?;
        let sent = self.until("sent", |_| true).await?;
        Ok(sent["id"]
            .as_str()
            .context("the id of a sent message")?
            .to_owned())
    }

    /// Downloads the file of a message that it has read; its `length` and `sha256`.
    ///
    /// # Errors
    /// When Baileys can't fetch it.
    pub async fn downloads(&mut self, id: &str) -> Result<Value> {
        let line = format!("{}\n", json!({ "download": { "id": id } }));
        self.input.write_all(line.as_bytes()).await?;
        self.until("file", |said| said["id"] == id)
            .await
            .with_context(|| format!("Baileys downloads the file of {id}"))
    }

    /// Waits for the next piece of the history: the ids of its `messages` and `chats`, and the `names` of contacts.
    ///
    /// # Errors
    /// When none comes in a minute.
    pub async fn history(&mut self) -> Result<Value> {
        let history = self.until("history", |_| true).await;
        history.context("Baileys reads the history")
    }

    /// Waits until it has read the message `text`.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn reads(&mut self, text: &str) -> Result<Value> {
        self.until("message", |said| said["text"] == text)
            .await
            .with_context(|| format!("Baileys reads {text:?}"))
    }

    /// Waits until it has read the message of this id; what it said of it: `message`, its content as JSON, and `bytes`.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn receives(&mut self, id: &str) -> Result<Value> {
        self.until("message", |said| said["id"] == id)
            .await
            .with_context(|| format!("Baileys reads the message {id}"))
    }

    /// Waits until it has told of a call how it stands, in its own words (`offer`, `timeout`, `terminate`…).
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn hears_call(&mut self, id: &str, status: &str) -> Result<Value> {
        self.until("call", |said| said["id"] == id && said["status"] == status)
            .await
            .with_context(|| format!("Baileys tells that the call is {status}"))
    }

    /// Waits until it has told that something of a contact changed.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn hears_contact(&mut self, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until("contact", fits)
            .await
            .context("Baileys tells of a contact")
    }

    /// Rejects a call, by its id and who calls, as it told them.
    ///
    /// # Errors
    /// When Baileys can't.
    pub async fn reject(&mut self, id: &str, from: &str) -> Result<()> {
        let line = format!("{}\n", json!({ "reject": { "id": id, "from": from } }));
        self.input.write_all(line.as_bytes()).await?;
        self.until("sent", |said| said["id"] == id).await.map(drop)
    }

    async fn until(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let fits = |said: &Value| said["event"] == event && wanted(said);
        if let Some(index) = self.heard.iter().position(&fits) {
            return Ok(self.heard.remove(index));
        }
        loop {
            let said = self.hear().await?;
            if fits(&said) {
                return Ok(said);
            }
            self.heard.push(said);
        }
    }

    async fn hear(&mut self) -> Result<Value> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line())
            .await
            .context("Baileys says nothing")??;
        Ok(serde_json::from_str(&line.context("Baileys has ended")?)?)
    }
}

/// A process of `tests/interop` that is the device whose credentials lie in `folder`. Dropping it kills it.
pub(crate) fn device(script: &str, folder: &Path, ws: &str) -> Result<Child> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    Command::new("node")
        .arg(scripts.join(script))
        .arg(folder)
        .env("SIM_WS", ws)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .context("starting node")
}
