//! Jobs accepted over HTTP, single messages, each answered when a quorum queue has confirmed it; beside publishing the
//! same jobs with confirms and nothing else.
//!
//! Both sides do the same for the broker: the same bytes, persistent and mandatory, through the same exchange to the
//! same quorum queue, as many in flight, on one connection and one channel. What differs is that the raw side needs no
//! HTTP and that one task of it publishes everything. No session worker runs: what is measured is the door. All
//! processes share the machine's processors, the broker and the clients too.
//!
//! How many jobs wait for their confirms decides how many the broker's disk takes at once, for both sides, and how many
//! connections the API holds: each number is a row of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use shared::job::{Job, SendJob};
use tests::cluster::{AUTH, Cluster};
use tests::events::JobPublisher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::report::{Row, Target};
use crate::work::measure::Figure;

/// What part of raw publishing the API has to reach.
const SHARE: f64 = 0.5;
const ROUNDS: usize = 5;
/// Jobs of one round of one side.
const JOBS: usize = 20_000;
/// Jobs that wait for their confirms, on either side: as many HTTP clients, each with one request at a time.
const IN_FLIGHT: [(usize, &str); 3] = [
    (64, "jobs_over_http_64_clients"),
    (256, "jobs_over_http_256_clients"),
    (1_024, "jobs_over_http_1024_clients"),
];
const TOKEN: &str = "bench-jobs";
/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// More than an answer has.
const ANSWER_BYTES: usize = 4_096;

/// Measures and prints the rows.
pub(crate) async fn measure() -> Result<()> {
    let cluster = Cluster::start_with(0, &[("LOG", "warn")]).await?;
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions", json!({ "token": TOKEN }))
        .await?;
    ensure!(status.is_success(), "making a session: {status}: {answer}");
    let body = json!({ "number": "5511900000000", "message": { "type": "text", "text": "We open at nine tomorrow." } });
    let body = body.to_string();
    let job = as_published(&body)?;
    let (url, prefix) = cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    for (in_flight, name) in IN_FLIGHT {
        eprintln!("bench: {in_flight} in flight on either side; raw: one connection, one channel, one task");
        let mut clients = connect(cluster.api_address(), in_flight).await?;
        let (mut accepted, mut raw) = (Vec::new(), Vec::new());
        // One round each to warm up.
        for round in 0..=ROUNDS {
            let published = rate(publish(&publisher, &job, in_flight)).await?;
            let spent = cluster.api()?.cpu_time()?;
            let posted = rate(post(&mut clients, &body)).await?;
            let spent = (cluster.api()?.cpu_time()? - spent).as_secs_f64() * 1e6 / JOBS as f64;
            eprintln!(
                "bench: {posted:.0} jobs/s over HTTP ({spent:.1} us of the API's processor time each), {published:.0} raw"
            );
            if round > 0 {
                raw.push(published);
                accepted.push(posted);
            }
        }
        row(name, accepted, raw).print();
    }
    Ok(())
}

fn row(name: &'static str, accepted: Vec<f64>, raw: Vec<f64>) -> Row {
    let (ours, floor) = (Figure::of(accepted), Figure::of(raw));
    let target = Some(Target::AtLeast(SHARE * floor.median));
    Row {
        name,
        unit: "jobs/s",
        ours,
        baileys: None,
        floor: Some(floor),
        target,
    }
}

async fn rate(round: impl Future<Output = Result<()>>) -> Result<f64> {
    let start = Instant::now();
    tokio::time::timeout(PATIENCE, round)
        .await
        .context("the round takes too long")??;
    Ok(JOBS as f64 / start.elapsed().as_secs_f64())
}

/// The body that the API makes of a request's.
fn as_published(body: &str) -> Result<Vec<u8>> {
    let mut job = SendJob::parse(body.as_bytes())?;
    job.message_id = Some("3EB0000000000000000000".parse()?);
    Ok(Job::Send(Box::new(job)).to_body())
}

async fn publish(publisher: &JobPublisher, body: &[u8], in_flight: usize) -> Result<()> {
    let one = async |_| {
        let id = uuid::Uuid::new_v4().to_string();
        publisher.publish(TOKEN, "send", &id, body).await
    };
    stream::iter(0..JOBS)
        .map(one)
        .buffer_unordered(in_flight)
        .try_collect()
        .await
}

/// Clients that keep their connections, one after the other: a burst would measure the system's queue of connections.
async fn connect(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let client = TcpStream::connect(address).await?;
        client.set_nodelay(true)?;
        clients.push(client);
    }
    Ok(clients)
}

async fn post(clients: &mut Vec<TcpStream>, body: &str) -> Result<()> {
    let count = clients.len();
    let tasks = clients.drain(..).enumerate().map(|(index, client)| {
        let share = JOBS / count + usize::from(index < JOBS % count);
        tokio::spawn(requests(client, request(body), share))
    });
    for task in tasks.collect::<Vec<_>>() {
        clients.push(task.await??);
    }
    Ok(())
}

/// One client on one connection. By hand: a client library would take more of the machine than what is measured.
async fn requests(mut socket: TcpStream, request: Vec<u8>, count: usize) -> Result<TcpStream> {
    let mut answer = vec![0; ANSWER_BYTES];
    for _ in 0..count {
        socket.write_all(&request).await?;
        let mut filled = 0;
        while !is_whole(&answer[..filled]) {
            ensure!(filled < ANSWER_BYTES, "an answer is too long");
            let read = socket.read(&mut answer[filled..]).await?;
            ensure!(read > 0, "the API closed the connection");
            filled += read;
        }
        let answer = &answer[..filled];
        ensure!(
            answer.starts_with(b"HTTP/1.1 202 "),
            "the API answered {}",
            String::from_utf8_lossy(answer)
        );
    }
    Ok(socket)
}

fn request(body: &str) -> Vec<u8> {
    let credentials = STANDARD.encode(format!("{AUTH}:"));
    format!(
        "POST /v1/sessions/{TOKEN}/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {credentials}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Whether these bytes are an answer with all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = position(answer, b"\r\n\r\n") else {
        return false;
    };
    // As our API writes it.
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(length) = position(&answer[..head], LENGTH) else {
        return true;
    };
    let digits = answer[length + LENGTH.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    answer.len() >= head + 4 + length
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
