//! The blocks of the README, and those of the page on developing against the simulator, are run as they stand: in order, in
//! one shell, in a folder of their own, with the binaries of this build and services that belong to the test.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use shared::event::EventName;
use shared::testing::{TEST_KEY, TestBroker, TestDatabase};
use simulator::{Options, Simulator};
use tests::process::binary;

/// How long the whole page may take: it demonstrates, broadcasts, and waits for another worker to take over.
const PATIENCE: Duration = Duration::from_secs(230);
const SHARDS: u16 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_does_what_it_says() -> Result<()> {
    let page = read("README.md")?;
    let script = blocks(&page, "sh").join("\n");
    let output = run(&script).await?;
    let answers: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let demo = find(&answers, "the demonstration's report", |answer| {
        answer["demo"] == "ok"
    })?;
    ensure!(demo["shown_once"] == 100, "{demo}");
    let queue = find(&answers, "the answer to a pause", |answer| {
        answer["state"] == "paused"
    })?;
    ensure!(queue["total"] == 101, "{queue}");
    let failed = find(&answers, "the list of those who failed", |answer| {
        answer["items"][0]["number"]
            .as_str()
            .is_some_and(|number| number.contains("5511900009999"))
    })?;
    ensure!(
        failed["items"].as_array().is_some_and(|items| items.len() == 1),
        "{failed}"
    );
    // A hundred of the demonstration and a hundred of the page's broadcast.
    let audit = find(&answers, "the audit", |answer| answer["shown_once"] == 200)?;
    ensure!(
        audit["shown_twice"] == 0 && audit["undecryptable"] == 0,
        "{audit}"
    );
    ensure!(
        output
            .lines()
            .any(|line| line == "verified send.message:COMPLETED"),
        "the webhook was not verified: {output}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_every_event_that_the_page_of_the_simulator_causes() -> Result<()> {
    let page = read("docs/SIMULATOR.md")?;
    let script = blocks(&page, "sh").join("\n");
    let output = run(&script).await?;
    let answers: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let counts = find(&answers, "how often each event came", |answer| {
        answer["received"].is_object()
    })?;
    let missing: Vec<_> = EventName::ALL
        .into_iter()
        .map(EventName::as_str)
        .filter(|name| counts["received"][name].as_u64().is_none_or(|count| count == 0))
        .collect();
    ensure!(missing.is_empty(), "never came: {missing:?}: {counts}");
    let audit = find(&answers, "the audit", |answer| answer["violations"].is_u64())?;
    ensure!(audit["shown_twice"] == 0 && audit["violations"] == 0, "{audit}");
    Ok(())
}

fn find<'a>(answers: &'a [Value], what: &str, is_it: impl Fn(&Value) -> bool) -> Result<&'a Value> {
    let found = answers.iter().find(|answer| is_it(answer));
    found.with_context(|| format!("the page never shows {what}: {answers:#?}"))
}

/// The blocks of this language, in their order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while lines.by_ref().any(|line| line == opening) {
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

/// Runs a script where the tree's commands are, and answers what it printed.
async fn run(script: &str) -> Result<String> {
    let (database, broker) = (TestDatabase::new().await, TestBroker::new(SHARDS).await);
    // What stands for WhatsApp itself where the page means the real one.
    let whatsapp = Simulator::start(Options::default()).await?;
    let folder = Folder::new()?;
    folder.set("WHATSAPP_URL", &whatsapp.ws_url)?;
    folder.set("WHATSAPP_ROOT_KEY", &whatsapp.root_public_key_hex)?;
    fs::write(folder.0.join("page.sh"), script)?;
    let (out, err) = (folder.0.join("page.out"), folder.0.join("page.err"));
    let mut page = tokio::process::Command::new("bash")
        .args(["-euo", "pipefail", "page.sh"])
        .current_dir(&folder.0)
        .env(
            "FANFARE_BIN",
            binary("fanfare-api")?.parent().context("its folder")?,
        )
        .env("DATABASE_URL", database.config().url.expose())
        .env("AMQP_URL", broker.config().url.expose())
        .env("AMQP_PREFIX", &broker.config().prefix)
        .env("SHARDS", SHARDS.to_string())
        .env("KEY_ENCRYPTION_KEY", TEST_KEY)
        .env("PATH", path()?)
        .env_remove("AUTH")
        .env_remove("PORT")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out)?)
        .stderr(fs::File::create(&err)?)
        .process_group(0)
        .spawn()?;
    let group = page.id().context("the page has begun")?;
    let ended = tokio::time::timeout(PATIENCE, page.wait()).await;
    end_group(group).await?;
    let (printed, said) = (fs::read_to_string(&out)?, fs::read_to_string(&err)?);
    match ended {
        Ok(Ok(status)) if status.success() => Ok(printed),
        Ok(_) => bail!("a block failed: {printed}\n{said}"),
        Err(_) => bail!("the page did not come to its end: {printed}\n{said}"),
    }
}

/// Ends a page, and what its blocks have left in the background: the next page wants the same ports.
async fn end_group(leader: u32) -> Result<()> {
    let group = format!("-{leader}");
    // Where nobody is left of it, there is nothing to end.
    let kill = tokio::process::Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status();
    kill.await.map(drop).context("kill")
}

/// Where programs are, the tests' Python before all others.
fn path() -> Result<String> {
    let python = std::env::var("FANFARE_PYTHON").context("FANFARE_PYTHON: `make test` sets it")?;
    let tools = Path::new(&python).parent().context("FANFARE_PYTHON is no path")?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(format!("{}:{path}", tools.display()))
}

/// A folder with what the page's commands need of the tree. Whatever they started there ends with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("fanfare-page-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(folder.join("deploy"))?;
        for name in [
            "Makefile",
            ".env.example",
            "deploy/stack.sh",
            "deploy/services.sh",
        ] {
            fs::copy(root().join(name), folder.join(name)).with_context(|| name.to_owned())?;
        }
        Ok(Self(folder))
    }

    /// What `make up` finds set: it makes its settings from the example. In the environment it would be overwritten by
    /// what the page reads of the demonstration's.
    fn set(&self, name: &str, value: &str) -> Result<()> {
        let mut example = OpenOptions::new()
            .append(true)
            .open(self.0.join(".env.example"))?;
        Ok(writeln!(example, "{name}={value}")?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let stack = self.0.join("deploy/stack.sh");
        // Services that are given by URL are left alone.
        let down = std::process::Command::new(stack)
            .arg("down")
            .env("AMQP_URL", "given")
            .env("DATABASE_URL", "given")
            .stderr(Stdio::null())
            .status();
        if down.is_ok() && std::env::var_os("KEEP_LOGS").is_none() {
            fs::remove_dir_all(&self.0).ok();
        }
    }
}

fn read(page: &str) -> Result<String> {
    fs::read_to_string(root().join(page)).with_context(|| page.to_owned())
}

fn root() -> &'static Path {
    // Unwrap safety: this crate lies in the tree.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or_else(|| unreachable!("the tree"))
}
