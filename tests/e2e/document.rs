//! The documents that the API serves, put to the test by programs that know nothing else of us: Schemathesis asks all that
//! the OpenAPI one allows, and much that it does not; clients that public generators make of both do the main job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::{AUTH, Cluster};
use tests::operator::Operator;
use tests::receiver::Receiver;
use tests::simulated::Contacts;
use tests::wait::eventually;
use tokio::process::Command;

/// How long all questions may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Questions of Schemathesis to each operation, in each of its phases that invent them.
const QUESTIONS: &str = "6";
/// They are the same in each run.
const SEED: &str = "1";

/// What an answer is held against: no 5xx; a status, headers, media type and body that are documented; 405, with `Allow`,
/// for other methods.
const CHECKS: &str = "unsupported_method,allow_header_conformance,not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance";

/// A session without an account, for what pairs one.
const UNPAIRED: &str = "unpaired";
/// One whose connection may come and go.
const CONTROLLED: &str = "controlled";
/// One that may be ended.
const SPARE: &str = "spare";
/// The session whose credential is deleted.
const CREDENTIAL: &str = "credential";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn python() -> Result<String> {
    std::env::var("FANFARE_PYTHON")
        .context("FANFARE_PYTHON: `make test` sets it to a Python with what the tests need")
}

/// Runs a program to its end: what it said. Fails with all of it where the program does.
async fn run(command: &mut Command, patience: Duration) -> Result<String> {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(patience, run)
        .await
        .with_context(|| format!("{command:?} does not end"))?
        .with_context(|| format!("{command:?} does not start"))?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    ensure!(
        status.success(),
        "{command:?}: {status}\n{said}{}",
        String::from_utf8_lossy(&stderr)
    );
    Ok(said)
}

/// The value that the document's examples have for a part of a path.
fn example(document: &Value, path: &str, name: &str) -> Result<String> {
    let parameters = document["paths"][path]["get"]["parameters"].as_array();
    let found = parameters
        .into_iter()
        .flatten()
        .find(|parameter| parameter["name"] == name);
    let example = found.and_then(|parameter| parameter["example"].as_str());
    Ok(example
        .with_context(|| format!("{path} has no example of {name}"))?
        .to_owned())
}

/// The names that Schemathesis is to use, as its hooks read them.
type Names = Vec<(&'static str, String)>;

/// A session with an account, one without, a broadcast under way, a message, a webhook with a delivery; and spares.
async fn stage(cluster: &Cluster, document: &Value, receiver: &Receiver) -> Result<Names> {
    let operator = &cluster.operator;
    let queue_path = "/v1/sessions/{token}/queues/{queue}";
    let token = example(document, queue_path, "token")?;
    let queue = example(document, queue_path, "queue")?;
    let message = example(document, "/v1/sessions/{token}/messages/{message}", "message")?;
    let contacts = Contacts::quiet("553190000000", 10);
    cluster.control.contacts(&contacts).await?;
    cluster.control.phone("5511900000000", "document").await?;
    operator.pair(&cluster.control, &token, "5511900000000").await?;
    for other in [UNPAIRED, CONTROLLED, SPARE, CREDENTIAL] {
        let (status, said) = operator.post("/v1/sessions", json!({ "token": other })).await?;
        ensure!(status == StatusCode::CREATED, "{other}: {status}: {said}");
    }
    let text = json!({ "type": "text", "text": "We open at nine." });
    let spare_queue = uuid::Uuid::new_v4().to_string();
    for id in [&queue, &spare_queue] {
        let body = json!({
            "queueId": id, "numbers": contacts.numbers(), "message": text, "delay": { "min": 3600, "max": 3600 },
        });
        let (status, said) = operator
            .post(&format!("/v1/sessions/{token}/queues"), body)
            .await?;
        ensure!(status == StatusCode::ACCEPTED, "{status}: {said}");
    }
    let body = json!({ "number": contacts.numbers()[0], "message": text, "messageId": message });
    let (status, said) = operator
        .post(&format!("/v1/sessions/{token}/messages"), body)
        .await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}: {said}");
    let (webhook, spare_webhook) = (
        webhook(operator, receiver).await?,
        webhook(operator, receiver).await?,
    );
    let (_, delivery) = operator
        .post(&format!("/v1/webhooks/{webhook}/test"), json!({}))
        .await?;
    let delivery = delivery["id"].as_str().context("a delivery")?.to_owned();
    let received = received(cluster, &token, &contacts.numbers()[0]).await?;
    let (media, spare_media) = (uploaded(operator).await?, uploaded(operator).await?);
    let path = format!("/v1/sessions/{token}/queues/{spare_queue}");
    eventually(Duration::from_secs(30), "the queues are stored", async || {
        Ok(operator.get(&path).await?.1["total"] == 10)
    })
    .await?;
    Ok(vec![
        ("FANFARE_TOKEN", token),
        ("FANFARE_QUEUE", queue),
        ("FANFARE_MESSAGE", message),
        ("FANFARE_WEBHOOK", webhook),
        ("FANFARE_DELIVERY", delivery),
        ("FANFARE_RECEIVED", received),
        ("FANFARE_MEDIA", media),
        ("FANFARE_SPARE_MEDIA", spare_media),
        ("FANFARE_UNPAIRED", UNPAIRED.to_owned()),
        ("FANFARE_CONTROLLED", CONTROLLED.to_owned()),
        ("FANFARE_SPARE_TOKEN", SPARE.to_owned()),
        ("FANFARE_CREDENTIAL", CREDENTIAL.to_owned()),
        ("FANFARE_SPARE_QUEUE", spare_queue),
        ("FANFARE_SPARE_WEBHOOK", spare_webhook),
    ])
}

async fn webhook(operator: &Operator, receiver: &Receiver) -> Result<String> {
    let body = json!({ "url": receiver.url() });
    let (_, made) = operator.post("/v1/webhooks", body).await?;
    made["id"].as_str().map(str::to_owned).context("a webhook")
}

/// A message that came in with a file.
async fn received(cluster: &Cluster, token: &str, contact: &str) -> Result<String> {
    let path = format!(
        "{}/contacts/{contact}/files?to=5511900000000&name=page&mimetype=application/octet-stream",
        cluster.simulator().1
    );
    let sent = tests::http::client().post(path).body("a page").send().await?;
    let sent: Value = sent.error_for_status()?.json().await?;
    let id = sent["id"].as_str().context("an id")?.to_owned();
    let path = format!("/v1/sessions/{token}/messages/{id}/media");
    eventually(Duration::from_secs(30), "the file has come in", async || {
        let answer = cluster.operator.request(reqwest::Method::GET, &path);
        Ok(answer.send().await?.status() == StatusCode::OK)
    })
    .await?;
    Ok(id)
}

/// A file that is kept to be sent.
async fn uploaded(operator: &Operator) -> Result<String> {
    let request = operator.request(reqwest::Method::POST, "/v1/media");
    let request = request.header("content-type", "application/octet-stream");
    let stored: Value = request
        .body("a page")
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    Ok(stored["id"].as_str().context("an id")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_gets_an_answer_that_is_not_documented() -> Result<()> {
    let media = tests::folder::Folder::new()?;
    let settings = [
        ("WEBHOOK_TIMEOUT", "2"),
        ("MEDIA_STORE", media.path().to_str().context("a path")?),
    ];
    let cluster = Cluster::start_with(1, &settings).await?;
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    let (_, document) = cluster.operator.get("/v1/openapi.json").await?;
    let names = stage(&cluster, &document, &receiver).await?;
    let url = format!("http://{}/v1/openapi.json", cluster.api_address());
    let folder = folder();
    let report = tests::folder::Folder::new()?;
    let seen = report.path().join("seen.json");
    let mut command = Command::new(python()?);
    command
        .args([
            "-m",
            "schemathesis.cli",
            "run",
            &url,
            "--auth",
            &format!("{AUTH}:"),
        ])
        .args(["--checks", CHECKS, "--max-examples", QUESTIONS, "--seed", SEED])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
        .args(["--request-timeout", "30", "--no-color"])
        .args([
            "--no-shrink",
            "--generation-database",
            "none",
            "--warnings",
            "off",
        ])
        .current_dir(report.path())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("FANFARE_SEEN", &seen)
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(names);
    let said = run(&mut command, PATIENCE).await?;
    let seen: BTreeMap<String, Vec<u16>> = serde_json::from_slice(&std::fs::read(&seen)?)?;
    let refused: Vec<_> = seen
        .iter()
        .filter(|(_, statuses)| !statuses.iter().any(|status| (200..300).contains(status)))
        .collect();
    ensure!(
        refused.is_empty(),
        "never answered with success: {refused:?}\n{said}"
    );
    let asked = document["paths"].as_object().into_iter().flatten();
    let asked: usize = asked
        .map(|(_, methods)| methods.as_object().map_or(0, |methods| methods.len()))
        .sum();
    ensure!(
        seen.len() == asked,
        "{} of {asked} operations were asked\n{said}",
        seen.len()
    );
    Ok(())
}

/// Recipients of each client's broadcast.
const RECIPIENTS: usize = 10;

/// How long a generator, a compiler or a client may take.
const TOOL_PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_generators_make_send_pause_resume_and_list() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let contacts = Contacts::quiet("1555300", 20);
    cluster.control.contacts(&contacts).await?;
    cluster.session("generated", "5511900000030").await?;
    let (_, served) = cluster.operator.get("/v1/openapi.json").await?;
    let made = tests::folder::Folder::new()?;
    let (typescript, python) = tokio::try_join!(
        made_by(&TYPESCRIPT, made.path(), &served),
        made_by(&PYTHON, made.path(), &served)
    )?;
    let numbers = contacts.numbers();
    for (client, numbers) in [typescript, python].into_iter().zip(numbers.chunks(RECIPIENTS)) {
        let name = format!("{client:?}");
        broadcast(&cluster, client, numbers).await.context(name)?;
    }
    cluster.control.audit().await?.clean(numbers.len() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_with_generated_types_publish_a_job_to_the_broker_and_read_its_events() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let contacts = Contacts {
        prefix: "1555310",
        count: 6,
        deliver_ms: 0,
        read_ms: Some(0),
        reply: Some("Thanks!"),
    };
    cluster.control.contacts(&contacts).await?;
    cluster.control.phone("5511900000031", "generated").await?;
    cluster
        .operator
        .pair(&cluster.control, "generated", "5511900000031")
        .await?;
    let (_, served) = cluster.operator.get("/v1/asyncapi.json").await?;
    let made = tests::folder::Folder::new()?;
    let (typescript, python) = tokio::try_join!(
        made_by(&TYPESCRIPT_EVENTS, made.path(), &served),
        made_by(&PYTHON_EVENTS, made.path(), &served)
    )?;
    let numbers = contacts.numbers();
    for (client, numbers) in [typescript, python].into_iter().zip(numbers.chunks(3)) {
        let name = format!("{client:?}");
        publishes(&cluster, client, numbers).await.context(name)?;
    }
    cluster.control.audit().await?.clean(numbers.len() as u64)
}

/// Has a program publish a send to these numbers, and looks at what it read of it.
async fn publishes(cluster: &Cluster, mut client: Command, numbers: &[String]) -> Result<()> {
    let (url, prefix) = cluster.broker();
    client.arg("generated").args(numbers);
    client.env("AMQP_URL", url).env("AMQP_PREFIX", prefix);
    let said = run(&mut client, TOOL_PATIENCE).await?;
    let told: Value = serde_json::from_str(said.trim()).with_context(|| said.clone())?;
    ensure!(told["settled"] == json!(vec!["sent"; numbers.len()]), "{told}");
    for name in ["job.accepted", "send.message:START", "send.message:COMPLETED"] {
        ensure!(told["names"][name] == 1, "{name}: {told}");
    }
    let queue = told["queue"].as_str().context("a queue")?;
    let shown = cluster.operator.queue("generated", queue).await?;
    ensure!(shown["state"] == "completed", "{shown}");
    Ok(())
}

/// How a client of one language is made, with the lines of docs/CLIENTS.md.
struct Making {
    /// The name of its folder.
    language: &'static str,
    /// The file that the document is to be in.
    document: &'static str,
    /// What is taken from `tests/clients`.
    files: &'static [&'static str],
    /// How the lines that make it begin.
    steps: &'static [&'static str],
    /// How the line that runs it begins, to where what it is for follows.
    client: &'static [&'static str],
}

const TYPESCRIPT: Making = Making {
    language: "typescript",
    document: "openapi.json",
    files: &["client.ts", "package.json"],
    steps: &["npx openapi-typescript ", "npx tsc "],
    client: &["node", "client.js"],
};
const PYTHON: Making = Making {
    language: "python",
    document: "openapi.json",
    files: &["client.py"],
    steps: &["python -m openapi_python_client "],
    client: &["python", "client.py"],
};
const TYPESCRIPT_EVENTS: Making = Making {
    language: "typescript",
    document: "asyncapi.json",
    files: &["events.ts", "package.json"],
    steps: &[
        "npx modelina ",
        "npx tsc --strict --target es2022 --module esnext ",
    ],
    client: &["node", "events.js"],
};
const PYTHON_EVENTS: Making = Making {
    language: "python",
    document: "asyncapi.json",
    files: &["events.py"],
    steps: &["python -m datamodel_code_generator "],
    client: &["python", "events.py"],
};

/// Makes a client of the document, and gives the program that is to run.
async fn made_by(making: &Making, folder: &Path, document: &Value) -> Result<Command> {
    let source = self::folder();
    let modules = source.join("node_modules");
    ensure!(
        modules.is_dir(),
        "{} is missing: `make test` installs it",
        modules.display()
    );
    let at = folder.join(making.language);
    std::fs::create_dir(&at)?;
    std::os::unix::fs::symlink(&modules, at.join("node_modules"))?;
    std::fs::write(at.join(making.document), document.to_string())?;
    for file in making.files {
        std::fs::copy(source.join(file), at.join(file))?;
    }
    let page = std::fs::read_to_string(source.join("../../docs/CLIENTS.md"))?;
    let line = |start: &str| {
        let found = page.lines().find(|line| line.starts_with(start));
        found.with_context(|| format!("docs/CLIENTS.md has no line {start:?}"))
    };
    for step in making.steps {
        let mut shell = Command::new("sh");
        shell.args(["-c", line(step)?]);
        run(in_folder(&mut shell, &at)?, TOOL_PATIENCE).await?;
    }
    line(&making.client.join(" "))?;
    let mut client = Command::new(making.client[0]);
    client.args(&making.client[1..]);
    in_folder(&mut client, &at)?;
    Ok(client)
}

/// Has a program run in a folder, with the tests' Python before all others.
fn in_folder<'a>(command: &'a mut Command, at: &Path) -> Result<&'a mut Command> {
    let python = PathBuf::from(python()?);
    let tools = python.parent().context("FANFARE_PYTHON is no path")?;
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(command
        .current_dir(at)
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// Has a client send a broadcast to these numbers, and looks at what it says of it.
async fn broadcast(cluster: &Cluster, mut client: Command, numbers: &[String]) -> Result<()> {
    client
        .arg("generated")
        .args(numbers)
        .env("API_URL", format!("http://{}", cluster.api_address()))
        .env("AUTH", AUTH);
    let said = run(&mut client, TOOL_PATIENCE).await?;
    let told: Value = serde_json::from_str(said.trim()).with_context(|| said.clone())?;
    ensure!(
        told["sent"] == numbers.len() && told["refused"] == "illegal_transition",
        "{told}"
    );
    ensure!(
        told["waiting"].as_u64().is_some_and(|waiting| waiting > 0),
        "paused too late: {told}"
    );
    let queue = told["queue"].as_str().context("a queue")?;
    let shown = cluster.operator.queue("generated", queue).await?;
    ensure!(
        shown["state"] == "completed" && shown["total"] == numbers.len(),
        "{shown}"
    );
    Ok(())
}
