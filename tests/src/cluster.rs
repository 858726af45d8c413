//! A whole Fanfare for one test: a database and a broker prefix of its own, the simulator, the API and workers, each a
//! real process that can be killed, stopped and started again.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use shared::testing::{TEST_KEY, TestBroker, TestDatabase};

use crate::events::Listener;
use crate::operator::Operator;
use crate::process::{Process, Signal, binary, free_address};
use crate::prometheus::Target;
use crate::simulated::Control;

/// The API key of test clusters.
pub const AUTH: &str = "an-api-key-for-tests-only";

/// The shards of test clusters: few, since each is a quorum queue.
pub const SHARDS: u16 = 4;

/// The simulator's log, beside those of the product.
const SIMULATOR_LOG: &str = "simulator.log";

/// A running cluster. Dropping it ends its processes and removes what it made, except for the logs where `KEEP_LOGS` is
/// set.
pub struct Cluster {
    /// The simulator's control interface.
    pub control: Control,
    /// A client of the API.
    pub operator: Operator,
    api: Option<Process>,
    workers: Vec<Option<Process>>,
    webhook: Option<Process>,
    simulator: Simulator,
    settings: Vec<(String, String)>,
    listen: SocketAddr,
    folder: PathBuf,
    /// Where the product's binaries are, if not beside the test's own.
    programs: Option<PathBuf>,
    broker: TestBroker,
    database: TestDatabase,
}

impl Cluster {
    /// Starts everything with `workers` session workers.
    ///
    /// # Errors
    /// When a service or a binary is missing, or a process does not become ready; with the end of its log.
    pub async fn start(workers: usize) -> Result<Self> {
        Self::start_with(workers, &[]).await
    }

    /// Starts everything, with settings of its own on top.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(workers: usize, extra: &[(&str, &str)]) -> Result<Self> {
        Self::assemble(workers, extra, TestDatabase::new().await, None).await
    }

    /// Starts everything with one session worker and the product's binaries from this folder, an earlier build's.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_earlier(programs: PathBuf) -> Result<Self> {
        Self::assemble(1, &[], TestDatabase::new().await, Some(programs)).await
    }

    /// Ends the product's processes and starts those of this build over what they left behind.
    ///
    /// # Errors
    /// As [`Cluster::restart_all`].
    pub async fn upgrade(&mut self) -> Result<()> {
        self.programs = None;
        self.restart_all().await
    }

    /// Starts everything with one session worker, whose processes reach the services by these URLs instead of the usual
    /// ones.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_over(amqp_url: &str, database_url: &str) -> Result<Self> {
        Self::start_over_with(amqp_url, database_url, &[]).await
    }

    /// [`Cluster::start_over`], with settings of its own on top.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_over_with(amqp_url: &str, database_url: &str, extra: &[(&str, &str)]) -> Result<Self> {
        let database = TestDatabase::new().await;
        let database_url = database.at(database_url);
        let mut settings = vec![("AMQP_URL", amqp_url), ("DATABASE_URL", database_url.as_str())];
        settings.extend(extra);
        Self::assemble(1, &settings, database, None).await
    }

    async fn assemble(
        workers: usize,
        extra: &[(&str, &str)],
        database: TestDatabase,
        programs: Option<PathBuf>,
    ) -> Result<Self> {
        let broker = TestBroker::new(SHARDS).await;
        let folder = std::env::temp_dir().join(format!("fanfare-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        let simulator = Simulator::start(&folder)?;
        let listen = free_address()?;
        let settings = settings(&database, &broker, &simulator, listen, extra);
        let mut cluster = Self {
            control: Control::new(&simulator.control),
            operator: Operator::new(&format!("http://{listen}"), AUTH),
            api: None,
            workers: Vec::new(),
            webhook: None,
            simulator,
            settings,
            listen,
            folder,
            programs,
            broker,
            database,
        };
        cluster.start_api().await?;
        for _ in 0..workers {
            cluster.add_worker().await?;
        }
        cluster.start_webhook().await?;
        Ok(cluster)
    }

    /// Makes the phone `number`, and the session `token` that is paired with it.
    ///
    /// # Errors
    /// When it is not open in a minute.
    pub async fn session(&self, token: &str, number: &str) -> Result<()> {
        self.control.phone(number, token).await?;
        self.operator.pair(&self.control, token, number).await
    }

    /// Starts the API (again).
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_api(&mut self) -> Result<()> {
        let program = self.program("fanfare-api")?;
        self.api = Some(
            Process::start(
                "api",
                &program,
                &["serve"],
                &self.settings,
                &self.folder,
                self.listen,
            )
            .await?,
        );
        Ok(())
    }

    /// Starts one more API process beside the API, and answers it with a client of its own. Its owner ends it.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api(&self, name: &str) -> Result<(Operator, Process)> {
        let listen = free_address()?;
        let mut settings = self.settings.clone();
        settings.push(("PORT".to_owned(), listen.port().to_string()));
        let program = self.program("fanfare-api")?;
        let api = Process::start(name, &program, &["serve"], &settings, &self.folder, listen).await?;
        Ok((Operator::new(&format!("http://{listen}"), AUTH), api))
    }

    /// Starts one more session worker and returns its number.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn add_worker(&mut self) -> Result<usize> {
        let number = self.workers.len();
        let worker = self.start_worker(&format!("session-{number}"), "session").await?;
        self.workers.push(Some(worker));
        Ok(number)
    }

    /// Starts the session worker `number` again, after it was killed or stopped.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart_worker(&mut self, number: usize) -> Result<()> {
        self.workers[number] = None;
        self.workers[number] = Some(self.start_worker(&format!("session-{number}"), "session").await?);
        Ok(())
    }

    /// Starts the webhook worker (again).
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_webhook(&mut self) -> Result<()> {
        self.webhook = None;
        self.webhook = Some(self.start_worker("webhook", "webhook").await?);
        Ok(())
    }

    async fn start_worker(&self, name: &str, role: &str) -> Result<Process> {
        let admin = free_address()?;
        let mut settings = self.settings.clone();
        settings.push(("METRICS_ADDR".to_owned(), admin.to_string()));
        Process::start(
            name,
            &self.program("fanfare-worker")?,
            &[role],
            &settings,
            &self.folder,
            admin,
        )
        .await
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        match &self.programs {
            Some(folder) => Ok(folder.join(name)),
            None => binary(name),
        }
    }

    /// The webhook worker's process.
    ///
    /// # Errors
    /// When it is not running.
    pub fn webhook(&self) -> Result<&Process> {
        self.webhook.as_ref().context("the webhook worker does not run")
    }

    /// The API's process.
    ///
    /// # Errors
    /// When it is not running.
    pub fn api(&self) -> Result<&Process> {
        self.api.as_ref().context("the API does not run")
    }

    /// A session worker.
    ///
    /// # Errors
    /// When it is not running.
    pub fn worker(&mut self, number: usize) -> Result<&mut Process> {
        self.workers
            .get_mut(number)
            .and_then(Option::as_mut)
            .with_context(|| format!("session worker {number} does not run"))
    }

    /// Kills a session worker with SIGKILL.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_worker(&mut self, number: usize) -> Result<()> {
        self.worker(number)?.signal(Signal::Kill)?;
        self.workers[number] = None;
        Ok(())
    }

    /// Asks a session worker to end and waits until it has.
    ///
    /// # Errors
    /// When it is not running or does not end.
    pub async fn stop_worker(&mut self, number: usize) -> Result<()> {
        let worker = self.workers.get_mut(number).and_then(Option::take);
        worker
            .with_context(|| format!("session worker {number} does not run"))?
            .stop()
            .await
    }

    /// Kills the API with SIGKILL.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_api(&mut self) -> Result<()> {
        self.api
            .as_mut()
            .context("the API does not run")?
            .signal(Signal::Kill)?;
        self.api = None;
        Ok(())
    }

    /// Kills the webhook worker with SIGKILL.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_webhook(&mut self) -> Result<()> {
        self.webhook
            .as_mut()
            .context("the webhook worker does not run")?
            .signal(Signal::Kill)?;
        self.webhook = None;
        Ok(())
    }

    /// Ends everything but the simulator and starts it again, as an upgrade of the whole machine would.
    ///
    /// # Errors
    /// When a process does not end or does not become ready.
    pub async fn restart_all(&mut self) -> Result<()> {
        for number in 0..self.workers.len() {
            if let Some(worker) = self.workers[number].take() {
                worker.stop().await?;
            }
        }
        if let Some(webhook) = self.webhook.take() {
            webhook.stop().await?;
        }
        if let Some(api) = self.api.take() {
            api.stop().await?;
        }
        self.start_api().await?;
        for number in 0..self.workers.len() {
            self.restart_worker(number).await?;
        }
        self.start_webhook().await
    }

    /// All events of one session, from now on.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn events(&self, token: &str) -> Result<Listener> {
        let (url, prefix) = self.broker();
        Listener::start(url, prefix, &format!("{token}.#")).await
    }

    /// The broker's URL and the prefix of this cluster's objects, for publishers of our own.
    #[must_use]
    pub fn broker(&self) -> (&str, &str) {
        (self.broker.config().url.expose(), &self.broker.config().prefix)
    }

    /// Where the API listens, for clients that are no [`Operator`].
    #[must_use]
    pub const fn api_address(&self) -> SocketAddr {
        self.listen
    }

    /// The processes that run, for a Prometheus.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let of = |job, process: &Process| Target {
            job,
            address: process.admin(),
        };
        let api = self.api.iter().map(|api| of("fanfare-api", api));
        let workers = self.workers.iter().flatten();
        let workers = workers.map(|worker| of("fanfare-session", worker));
        let webhook = self.webhook.iter().map(|webhook| of("fanfare-webhook", webhook));
        api.chain(workers).chain(webhook).collect()
    }

    /// The simulator's addresses: WebSocket, control, root key.
    #[must_use]
    pub fn simulator(&self) -> (&str, &str, &str) {
        (
            &self.simulator.ws,
            &self.simulator.control,
            &self.simulator.root_key,
        )
    }

    /// How many keys the database holds of all sessions together: credentials, prekeys, ratchets.
    pub async fn stored_keys(&self) -> usize {
        self.database.query("SELECT name FROM device_key").await.len()
    }

    /// The first column of what any SQL answers; nulls are left out.
    pub async fn database_texts(&self, sql: &str) -> Vec<String> {
        self.database.query(sql).await.into_iter().flatten().collect()
    }

    /// The one number that any SQL answers.
    ///
    /// # Errors
    /// When it answers something else.
    pub async fn database_number(&self, sql: &str) -> Result<f64> {
        let texts = self.database_texts(sql).await;
        let text = texts.first().with_context(|| format!("no answer: {sql}"))?;
        text.parse()
            .with_context(|| format!("{sql}: {text} is no number"))
    }

    /// The time of all uploaded files is over.
    pub async fn expire_uploads(&self) {
        self.database
            .query("UPDATE media SET expires_at = now() - interval '1 second'")
            .await;
    }

    /// All that the processes of the product logged so far.
    ///
    /// # Errors
    /// When a log can't be read.
    pub fn logs(&self) -> Result<String> {
        let mut text = String::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") && !path.ends_with(SIMULATOR_LOG) {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(&path)?));
            }
        }
        Ok(text)
    }

    /// What the processes are told by their environment.
    #[must_use]
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::env::var_os("KEEP_LOGS").is_some() {
            eprintln!("the logs of this cluster are in {}", self.folder.display());
            return;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn settings(
    database: &TestDatabase,
    broker: &TestBroker,
    simulator: &Simulator,
    listen: SocketAddr,
    extra: &[(&str, &str)],
) -> Vec<(String, String)> {
    let port = listen.port().to_string();
    let shards = SHARDS.to_string();
    let page = format!("{}/sw.js", simulator.control);
    let ours = [
        ("DATABASE_URL", database.config().url.expose()),
        ("AMQP_URL", broker.config().url.expose()),
        ("AMQP_PREFIX", &broker.config().prefix),
        ("WHATSAPP_URL", &simulator.ws),
        ("WHATSAPP_MEDIA_URL", &simulator.control),
        ("WHATSAPP_ROOT_KEY", &simulator.root_key),
        ("WHATSAPP_VERSION_URL", &page),
        ("KEY_ENCRYPTION_KEY", TEST_KEY),
        // Nobody stands before the API who must take it out first.
        ("DRAIN_SECONDS", "0"),
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("AUTH", AUTH),
        ("SHARDS", &shards),
        ("MIN", "0"),
        ("MAX", "0"),
        ("LOOK_UP_GAP", "0"),
        ("LOOK_UPS_PER_DAY", "1000000"),
        ("WEBHOOK_ALLOW_PRIVATE", "true"),
        ("LOG", "info"),
    ];
    ours.iter()
        .chain(extra)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The simulator as a process of its own. Dropping it ends it.
pub struct Simulator {
    child: Child,
    /// Where clients connect.
    pub ws: String,
    /// The control interface.
    pub control: String,
    /// The root of its certificates, in hex.
    pub root_key: String,
}

impl Simulator {
    /// Starts it with its log in `folder` and returns when it says that it is ready.
    ///
    /// # Errors
    /// When the binary is missing or says anything else.
    pub fn start(folder: &Path) -> Result<Self> {
        let log = std::fs::File::create(folder.join(SIMULATOR_LOG))?;
        let mut child = Command::new(binary("simulator")?)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--seed",
                "1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting the simulator")?;
        let output = child.stdout.take().context("the simulator's output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready: Value =
            serde_json::from_str(&line).with_context(|| format!("the simulator said {line:?}"))?;
        let field = |name: &str| {
            ready[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("{name} in {line:?}"))
        };
        Ok(Self {
            ws: field("ws")?,
            control: field("control")?,
            root_key: field("root_public_key")?,
            child,
        })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
