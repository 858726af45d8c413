//! Child processes of a test: the real binaries, each with its own log file, killed when dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rand::RngExt as _;

use crate::wait::eventually;

/// How long a process may take until it says that it is ready.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Linux counts processor time for its users in hundredths of a second, on every machine.
const TICK_MS: u64 = 10;

/// The folder of the binaries that belong to this build, next to the test binary's own.
///
/// # Errors
/// When a binary is missing: `cargo build --workspace --bins --examples` makes them.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("the path of the test binary")?;
    let folder = own
        .ancestors()
        .find(|folder| folder.join(name).is_file())
        .with_context(|| format!("{name} is not built; run `cargo build --workspace --bins --examples`"))?;
    Ok(folder.join(name))
}

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

/// A signal that a test sends to a process of its own.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// `SIGKILL`: the process is gone at once, with all it held in memory.
    Kill,
    /// `SIGSTOP`: the process stands still and knows nothing of it.
    Stop,
    /// `SIGCONT`: it goes on where it stood.
    Continue,
    /// `SIGTERM`: it is asked to end.
    Terminate,
}

impl Process {
    /// Starts `program` with `settings` as its only Fanfare environment and returns when `/readyz` on its admin
    /// address answers.
    ///
    /// # Errors
    /// When it can't be started, ends, or is not ready in [`READY_TIMEOUT`].
    pub async fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        settings: &[(String, String)],
        log_folder: &Path,
        admin: SocketAddr,
    ) -> Result<Self> {
        let log = log_folder.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(std::env::vars().filter(|(key, _)| {
                matches!(key.as_str(), "PATH" | "HOME" | "RUST_BACKTRACE" | "SSL_CERT_FILE")
            }))
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut process = Self {
            name: name.to_owned(),
            child,
            log,
            admin,
        };
        process.await_ready().await?;
        Ok(process)
    }

    async fn await_ready(&mut self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it was ready:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if self.is_ready().await {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{} is not ready:\n{}",
                self.name,
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where its health and metrics are.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Whether it says that it is ready for work.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.admin);
        let answer = crate::http::client().get(&url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What `/readyz` says is not as it should be though the process is ready.
    ///
    /// # Errors
    /// When it is not ready, or does not answer.
    pub async fn degraded(&self) -> Result<Vec<String>> {
        let url = format!("http://{}/readyz", self.admin);
        let answer = crate::http::client().get(url).send().await?.error_for_status()?;
        let answer: serde_json::Value = answer.json().await?;
        Ok(serde_json::from_value(answer["degraded"].clone())?)
    }

    /// Sends a signal. `Kill` also waits until the process is gone.
    ///
    /// # Errors
    /// When the process is not there any more.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        let flag = match signal {
            Signal::Kill => {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(());
            }
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
            Signal::Terminate => "-TERM",
        };
        let status = Command::new("kill")
            .arg(flag)
            .arg(self.child.id().to_string())
            .status()?;
        ensure!(status.success(), "kill {flag} {} failed", self.name);
        Ok(())
    }

    /// Asks the process to end and waits until it has.
    ///
    /// # Errors
    /// When it does not end in [`READY_TIMEOUT`].
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::Terminate)?;
        eventually(READY_TIMEOUT, &format!("{} ends", self.name), async || {
            Ok(self.child.try_wait()?.is_some())
        })
        .await
    }

    /// The text of `/metrics` on the admin address.
    ///
    /// # Errors
    /// When the process does not answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(crate::http::client()
            .get(format!("http://{}/metrics", self.admin))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// The resident memory of the process, in bytes (Linux).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// From now on the process has had no more resident memory than it has (Linux).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(
            format!("/proc/{}/clear_refs", self.child.id()),
            "5",
        )?)
    }

    /// The most resident memory that the process has had, in bytes (Linux).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_bytes(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &'static str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find(|line| line.starts_with(name)).context(name)?;
        let kib: u64 = line.split_whitespace().nth(1).context(name)?.parse()?;
        Ok(kib * 1024)
    }

    /// The processor time that the process has taken, its own and the system's for it (Linux).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_time(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name, which may hold blanks: the state is the first field, user and system time are the twelfth
        // and the thirteenth.
        let (_, fields) = text.rsplit_once(')').context("a name in /proc/…/stat")?;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let (user, system) = (
            ticks.next().context("user time")??,
            ticks.next().context("system time")??,
        );
        Ok(Duration::from_millis((user + system) * TICK_MS))
    }

    /// The last lines of its log, for a failure's message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed half way leaves nothing running; a process that ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the ports that outgoing connections take (32768 and up), which would take one before the process that it is for.
const PORTS: Range<u16> = 10_240..24_000;
/// How many ports are tried before the machine counts as full.
const PORT_TRIES: usize = 1_000;

/// A loopback address that nobody listens on just now.
///
/// # Errors
/// When the machine has no free port.
pub fn free_address() -> Result<SocketAddr> {
    let mut rng = rand::rng();
    (0..PORT_TRIES)
        .map(|_| SocketAddr::from(([127, 0, 0, 1], rng.random_range(PORTS))))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .context("no free port")
}
