//! The systemd units, and what the processes tell the manager that started them.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::cluster::Cluster;
use tests::folder::Folder;
use tests::process::{binary, free_address};
use tests::wait::eventually;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// How long a process may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(40);
/// Tenths of the exposure that systemd reckons, of 10, that no unit may pass.
const EXPOSURE_MAX: &str = "15";

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd")
}

/// The units as they are, but for the place of the programs; a template as one of its instances.
fn copied(folder: &Path) -> Result<Vec<PathBuf>> {
    let here = binary("fanfare-api")?;
    let here = here.parent().and_then(Path::to_str).context("a folder")?;
    let mut copies = Vec::new();
    for entry in fs::read_dir(units())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a name")?;
        let text = fs::read_to_string(&path)?;
        ensure!(
            text.contains("ExecStart=/usr/local/bin/fanfare-"),
            "{name} starts something else"
        );
        let copy = folder.join(name.replace("@.", "@1."));
        fs::write(&copy, text.replace("/usr/local/bin", here))?;
        copies.push(copy);
    }
    ensure!(copies.len() == 4, "{copies:?}");
    Ok(copies)
}

#[tokio::test]
async fn the_units_are_valid_and_let_the_processes_do_little() -> Result<()> {
    let folder = Folder::new()?;
    for unit in copied(folder.path())? {
        let arguments: [&[&str]; 2] = [
            &["verify"],
            &[
                "security",
                "--offline=true",
                "--no-pager",
                "--threshold",
                EXPOSURE_MAX,
            ],
        ];
        for arguments in arguments {
            let done = Command::new("systemd-analyze")
                .args(arguments)
                .arg(&unit)
                .output()
                .await;
            let done = done.context("systemd-analyze: Debian package systemd")?;
            let said = [done.stdout, done.stderr.clone()].concat();
            let said = String::from_utf8_lossy(&said);
            // `verify` warns of what it does not know, and succeeds.
            let warned = arguments == ["verify"] && !done.stderr.is_empty();
            ensure!(
                done.status.success() && !warned,
                "{} {arguments:?}: {said}",
                unit.display()
            );
        }
    }
    Ok(())
}

/// A service manager, as far as a process sees it.
struct Listening {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
}

impl Listening {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("notify");
        Ok(Self {
            socket: UnixDatagram::bind(&path)?,
            path,
            heard: Vec::new(),
        })
    }

    /// Waits until a line is told that begins so.
    async fn until(&mut self, wanted: &str) -> Result<()> {
        let told = async {
            let mut bytes = [0; 4096];
            loop {
                let length = self.socket.recv(&mut bytes).await?;
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                self.heard.extend(text.lines().map(str::to_owned));
                if text.lines().any(|line| line.starts_with(wanted)) {
                    return anyhow::Ok(());
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.with_context(|| format!("waited for {wanted}, heard {:?}", self.heard))?
    }
}

/// Starts a program with the settings of `cluster` and these on top.
fn start(cluster: &Cluster, (program, role): (&str, &str), with: &[(&str, &str)]) -> Result<Child> {
    let child = Command::new(binary(program)?)
        .arg(role)
        .env_clear()
        .envs(cluster.settings().iter().map(|(key, value)| (key, value)))
        .envs(with.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    child.with_context(|| format!("starting {program}"))
}

async fn terminate(child: &Child) -> Result<()> {
    let pid = child.id().context("it has ended already")?.to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await?;
    ensure!(sent.success(), "kill -TERM {pid} failed");
    Ok(())
}

async fn told_by(cluster: &Cluster, program: (&str, &str)) -> Result<()> {
    let folder = Folder::new()?;
    let mut manager = Listening::new(folder.path())?;
    let socket = std::str::from_utf8(manager.path.as_os_str().as_bytes())?.to_owned();
    let port = free_address()?.port().to_string();
    let with = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", "600000"),
        ("PORT", port.as_str()),
    ];
    let mut process = start(cluster, program, &with)?;
    manager.until("READY=1").await?;
    manager.until("STATUS=ready").await?;
    for _ in 0..2 {
        manager.until("WATCHDOG=1").await?;
    }
    terminate(&process).await?;
    manager.until("STOPPING=1").await?;
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
    let ended = ended.with_context(|| format!("{program:?} does not end"))??;
    ensure!(ended.success(), "{program:?} ended with {ended}");
    let first = |wanted: &str| manager.heard.iter().position(|line| line == wanted);
    ensure!(first("READY=1") < first("STOPPING=1"), "{:?}", manager.heard);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_that_it_is_ready_that_it_lives_and_that_it_stops() -> Result<()> {
    // With a worker, so that all of them are in order.
    let cluster = Cluster::start(1).await?;
    tokio::try_join!(
        told_by(&cluster, ("fanfare-api", "serve")),
        told_by(&cluster, ("fanfare-worker", "session")),
        told_by(&cluster, ("fanfare-worker", "webhook")),
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_told_to_end_is_taken_out_before_it_stops_to_listen() -> Result<()> {
    let cluster = Cluster::start(0).await?;
    let address = free_address()?;
    let port = address.port().to_string();
    let with = [("PORT", port.as_str()), ("DRAIN_SECONDS", "3")];
    let mut process = start(&cluster, ("fanfare-api", "serve"), &with)?;
    // It chooses what TLS is made of, which any client needs.
    drop(tests::http::client());
    let asked = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
    let ready = async || asked.get(format!("http://{address}/readyz")).send().await;
    eventually(PATIENCE, "the API is ready", async || {
        Ok(ready().await.is_ok_and(|answer| answer.status().is_success()))
    })
    .await?;
    terminate(&process).await?;
    // Each question is a new connection: the listener is there for all of them.
    let mut said = String::new();
    while !said.contains("draining: ") {
        let answer = ready()
            .await
            .context("it stopped to listen before it said that it drains")?;
        ensure!(process.try_wait()?.is_none(), "it ended without a word");
        said = answer.text().await?;
    }
    let served = ready().await?;
    ensure!(served.status().as_u16() == 503, "{}", served.status());
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await??;
    ensure!(ended.success() && ready().await.is_err(), "it ended with {ended}");
    Ok(())
}
