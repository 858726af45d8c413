//! docker-compose.yml without a Docker engine: the file keeps to the specification, and each command that it runs, health
//! checks too, is run with the environment that it gives, where only addresses differ.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use shared::testing::{TestBroker, TestDatabase, service_url};
use tests::cluster::SHARDS;
use tests::documents::{python, yaml};
use tests::folder::Folder;
use tests::process::{binary, free_address};
use tests::wait::eventually;
use tokio::process::{Child, Command};

/// How long a service may take until its health check is content.
const PATIENCE: Duration = Duration::from_secs(60);
/// Those that run what is built here.
const OURS: [&str; 4] = ["migrate", "api", "worker-session", "worker-webhook"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `NAME=value` of each line.
fn variables(file: &Path) -> Result<HashMap<String, String>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// What deploy/passwords.sh makes of nothing.
fn made(folder: &Folder) -> Result<PathBuf> {
    let file = folder.path().join(".env");
    let run = || {
        std::process::Command::new(root().join("deploy/passwords.sh"))
            .arg(&file)
            .status()
    };
    ensure!(run()?.success(), "passwords.sh failed");
    let first = fs::read(&file)?;
    ensure!(
        fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600,
        "others may read it"
    );
    ensure!(
        run()?.success() && fs::read(&file)? == first,
        "a second run changed what was there"
    );
    Ok(file)
}

/// A text as Compose expands it: `${NAME}`, `${NAME:-default}`, `${NAME:?why}`.
fn expanded(text: &str, environment: &HashMap<String, String>) -> Result<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after
            .split_once('}')
            .with_context(|| format!("{text} is not closed"))?;
        out.push_str(before);
        let (name, otherwise) = inside.split_once(':').unwrap_or((inside, "-"));
        match environment.get(name).filter(|value| !value.is_empty()) {
            Some(value) => out.push_str(value),
            None => match otherwise.split_at(1) {
                ("-", default) => out.push_str(default),
                ("?", why) => bail!("{name} is missing: {why}"),
                _ => bail!("{text} is more than this test knows"),
            },
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn all_expanded(value: &Value, environment: &HashMap<String, String>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(expanded(text, environment)?),
        Value::Array(all) => Value::Array(
            all.iter()
                .map(|one| all_expanded(one, environment))
                .collect::<Result<_>>()?,
        ),
        Value::Object(all) => {
            let all = all
                .iter()
                .map(|(name, one)| Ok((name.clone(), all_expanded(one, environment)?)));
            Value::Object(all.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn compose() -> Result<Value> {
    yaml(&root().join("docker-compose.yml"))?
        .pop()
        .context("a document")
}

#[test]
fn the_file_keeps_to_the_specification_and_publishes_nothing_by_itself() -> Result<()> {
    let checker = python()?.with_file_name("check-jsonschema");
    let done = std::process::Command::new(&checker)
        .args(["--builtin-schema", "vendor.compose-spec"])
        .arg(root().join("docker-compose.yml"))
        .output()
        .with_context(|| format!("{}: tests/deploy/requirements.txt", checker.display()))?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let (compose, folder) = (compose()?, Folder::new()?);
    let without = all_expanded(&compose["services"], &HashMap::new());
    let refused = without.err().context("it starts without passwords")?.to_string();
    ensure!(refused.contains("run deploy/passwords.sh"), "{refused}");
    let services = all_expanded(&compose["services"], &variables(&made(&folder)?)?)?;
    for (name, service) in services.as_object().context("services")? {
        for port in texts(&service["ports"]) {
            ensure!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        let is_ours = OURS.contains(&name.as_str()) || name == "simulator";
        ensure!(!is_ours || service["read_only"] == true, "{name} may write");
        ensure!(
            !is_ours || texts(&service["cap_drop"]) == ["ALL"],
            "{name} has capabilities"
        );
    }
    Ok(())
}

/// The addresses of one run: those of the file, and those that stand for them.
struct Addresses {
    pairs: Vec<(String, String)>,
    /// The port of the API, which is a setting of its own.
    port: String,
}

impl Addresses {
    fn of(&self, text: &str) -> String {
        if text == "3000" {
            return self.port.clone();
        }
        let pairs = self.pairs.iter();
        pairs.fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }
}

/// A service that was started, and how it is to be asked and ended.
struct Running {
    name: &'static str,
    process: Child,
    grace: Duration,
}

struct Stage {
    services: Value,
    addresses: Addresses,
    folder: Folder,
    broker: TestBroker,
    database: TestDatabase,
}

impl Stage {
    async fn new() -> Result<Self> {
        let (folder, broker, database) = (
            Folder::new()?,
            TestBroker::new(SHARDS).await,
            TestDatabase::new().await,
        );
        let mut environment = variables(&made(&folder)?)?;
        environment.extend(variables(&root().join("deploy/simulator.env"))?);
        environment.insert("SHARDS".to_owned(), SHARDS.to_string());
        environment.insert("AMQP_PREFIX".to_owned(), broker.config().prefix.clone());
        let services = all_expanded(&compose()?["services"], &environment)?;
        let http = free_address()?;
        let [ws, control] = [free_address()?, free_address()?].map(|free| free.to_string());
        let secret = |name: &str| environment.get(name).cloned().unwrap_or_default();
        let addresses = [
            (
                format!("amqp://fanfare:{}@rabbitmq:5672/%2f", secret("RABBITMQ_PASSWORD")),
                broker.config().url.expose().to_owned(),
            ),
            (
                format!(
                    "postgres://fanfare:{}@postgres:5432/fanfare",
                    secret("POSTGRES_PASSWORD")
                ),
                database.config().url.expose().to_owned(),
            ),
            (
                "/var/lib/fanfare".to_owned(),
                folder.path().to_string_lossy().into_owned(),
            ),
            ("0.0.0.0:7001".to_owned(), ws.clone()),
            ("simulator:7001".to_owned(), ws),
            ("0.0.0.0:7002".to_owned(), control.clone()),
            ("simulator:7002".to_owned(), control),
        ];
        Ok(Self {
            services,
            addresses: Addresses {
                pairs: addresses.into(),
                port: http.port().to_string(),
            },
            folder,
            broker,
            database,
        })
    }

    /// The command and the environment of a service, for one who serves metrics at `admin`.
    fn command(&self, name: &str, command: &[String], admin: SocketAddr) -> Result<Command> {
        let here = |text: &str| {
            let port = format!(":{}", admin.port());
            self.addresses
                .of(text)
                .replace(":9464", &port)
                .replace("0.0.0.0:", "127.0.0.1:")
        };
        let (program, arguments) = command
            .split_first()
            .with_context(|| format!("{name} has no command"))?;
        let mut started = Command::new(binary(program)?);
        started
            .args(arguments.iter().map(|argument| here(argument)))
            .env_clear();
        let settings = self.services[name]["environment"]
            .as_object()
            .into_iter()
            .flatten();
        for (setting, value) in settings {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            started.env(setting, here(&value));
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(name))?;
        started
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(started)
    }

    /// Starts a service, and waits until its health check is content.
    async fn start(&self, name: &'static str) -> Result<Running> {
        let service = &self.services[name];
        let admin = free_address()?;
        let process = self.command(name, &texts(&service["command"]), admin)?.spawn()?;
        let grace = service["stop_grace_period"]
            .as_str()
            .unwrap_or("10s")
            .trim_end_matches('s');
        let running = Running {
            name,
            process,
            grace: Duration::from_secs(grace.parse()?),
        };
        if let Some((kind, check)) = texts(&service["healthcheck"]["test"]).split_first() {
            ensure!(kind == "CMD", "{name}: {kind}");
            let healthy = format!("{name} is healthy");
            let asked = eventually(PATIENCE, &healthy, async || {
                let asked = self.command(name, check, admin)?.status().await?;
                Ok(asked.success())
            });
            asked.await.with_context(|| self.log(name))?;
        }
        Ok(running)
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Ends it as Docker does.
    async fn end(&self, mut running: Running) -> Result<()> {
        let pid = running
            .process
            .id()
            .with_context(|| format!("{} ended by itself: {}", running.name, self.log(running.name)))?;
        Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await?;
        let ended = tokio::time::timeout(running.grace, running.process.wait()).await;
        let ended =
            ended.with_context(|| format!("{} takes longer than its grace period", running.name))??;
        ensure!(
            ended.success(),
            "{}: {ended}: {}",
            running.name,
            self.log(running.name)
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_file_runs_with_its_environment() -> Result<()> {
    let stage = Stage::new().await?;
    let simulator = stage.start("simulator").await?;
    let migrate = texts(&stage.services["migrate"]["command"]);
    let migrated = stage
        .command("migrate", &migrate, free_address()?)?
        .status()
        .await?;
    ensure!(migrated.success(), "{}", stage.log("migrate"));
    let api = stage.start("api").await?;
    let session = stage.start("worker-session").await?;
    let webhook = stage.start("worker-webhook").await?;
    // The key that workers expect of the simulator is the one that it has.
    eventually(PATIENCE, "the simulator says that it is ready", async || {
        Ok(!stage.log("simulator").is_empty())
    })
    .await?;
    let told: Value = serde_json::from_str(stage.log("simulator").lines().next().context("a line")?)?;
    let expected = &stage.services["worker-session"]["environment"]["WHATSAPP_ROOT_KEY"];
    ensure!(
        &told["root_public_key"] == expected,
        "deploy/simulator.env has {expected}, the simulator {told}"
    );
    for running in [webhook, session, api, simulator] {
        stage.end(running).await?;
    }
    drop((stage.broker, stage.database));
    Ok(())
}

/// The health checks of what others built, against those that the tests use.
#[test]
fn the_services_are_asked_how_they_are() -> Result<()> {
    let compose = compose()?;
    let check = |name: &str| texts(&compose["services"][name]["healthcheck"]["test"]);
    let postgres = check("postgres");
    let url = service_url("DATABASE_URL");
    let port = url
        .rsplit_once('@')
        .and_then(|(_, place)| place.split(['/', ':']).nth(1))
        .context("a port")?;
    let asked = std::process::Command::new(&postgres[1])
        .args(&postgres[2..])
        .args(["-p", port])
        .status();
    ensure!(asked.context(postgres[1].clone())?.success(), "{postgres:?}");
    let rabbitmq = check("rabbitmq");
    ensure!(rabbitmq[1] == "rabbitmq-diagnostics", "{rabbitmq:?}");
    let asked = std::process::Command::new(root().join("deploy/services.sh"))
        .arg("diagnostics")
        .args(&rabbitmq[2..])
        .status()?;
    ensure!(asked.success(), "{rabbitmq:?}");
    Ok(())
}
