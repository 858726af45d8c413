//! Large files through all processes: memory stays as it is, whatever their size, and a worker that is killed in the
//! middle of one loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use tests::process::Process;
use tests::simulated::Contacts;
use tests::wait::eventually;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(240);
const OURS: &str = "5511900000050";
const PIECE: usize = 1 << 20;
/// How large the files are.
const PIECES: usize = 200;
/// By how much a process may grow for one: it holds pieces, not the file.
const GROWTH_MAX: u64 = 32 << 20;

/// One piece of the file at this place; no two are the same.
fn piece(at: usize) -> Bytes {
    let mut piece = vec![u8::try_from(at % 251).unwrap_or_default(); PIECE];
    piece[..8].copy_from_slice(&at.to_le_bytes());
    piece.into()
}

fn hash() -> Vec<u8> {
    let hash = (0..PIECES).fold(Sha256::new(), |hash, at| hash.chain_update(piece(at)));
    hash.finalize().to_vec()
}

/// A host that gives the file, its second half when that is let go.
#[derive(Clone)]
struct Host {
    asked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Host {
    async fn start() -> Result<(Self, String)> {
        let host = Self {
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let routes = Router::new()
            .route("/large.bin", get(Self::give))
            .route("/small.bin", get(async || piece(0)))
            .with_state(host.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/large.bin", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok((host, url))
    }

    async fn give(State(host): State<Self>) -> Body {
        host.asked.fetch_add(1, Ordering::SeqCst);
        let pieces = stream::unfold(0, move |at| {
            let gate = Arc::clone(&host.gate);
            async move {
                if at == PIECES / 2 {
                    drop(gate.acquire().await);
                }
                (at < PIECES).then(|| (Ok::<_, std::io::Error>(piece(at)), at + 1))
            }
        });
        Body::from_stream(pieces)
    }
}

/// What a process has taken at most, above what it has now.
struct Meter(u64);

impl Meter {
    fn start(process: &Process) -> Result<Self> {
        process.forget_peak()?;
        Ok(Self(process.resident_bytes()?))
    }

    fn check(&self, process: &Process) -> Result<()> {
        let growth = process.peak_bytes()?.saturating_sub(self.0);
        println!("it grew by {} KiB", growth / 1024);
        ensure!(growth < GROWTH_MAX, "it grew by {growth} bytes");
        Ok(())
    }
}

/// What is uploaded lies in `folder`.
async fn cluster(folder: &Folder) -> Result<(Cluster, Vec<String>)> {
    let place = folder.path().to_str().context("a path that is text")?;
    let settings = [
        ("MEDIA_ALLOW_PRIVATE", "true"),
        ("MEDIA_TIMEOUT", "120"),
        ("MEDIA_STORE", place),
    ];
    let cluster = Cluster::start_with(1, &settings).await?;
    cluster.control.phone(OURS, "ours").await?;
    let contacts = Contacts {
        prefix: "1555430",
        count: 3,
        deliver_ms: 10,
        read_ms: None,
        reply: None,
    };
    cluster.control.contacts(&contacts).await?;
    cluster.operator.pair(&cluster.control, "large", OURS).await?;
    Ok((cluster, contacts.numbers()))
}

async fn send(cluster: &Cluster, numbers: &[String], url: &str) -> Result<()> {
    let file = json!({ "type": "document", "media": { "url": url }, "fileName": "large.bin" });
    let body = json!({ "numbers": numbers, "message": file, "delay": { "min": 0.01, "max": 0.02 } });
    let (status, answer) = cluster.operator.post("/v1/sessions/large/queues", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    Ok(())
}

/// Each of so many messages was shown once, and this many files were uploaded for them.
async fn all_shown(cluster: &Cluster, count: u64, uploads: u64) -> Result<()> {
    eventually(PATIENCE, "all have it", async || {
        Ok(cluster.control.audit().await?.shown_once == count)
    })
    .await?;
    let audit = cluster.control.audit().await?;
    audit.unharmed(count)?;
    ensure!(audit.rest["uploads"] == uploads, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_200_mb_is_sent_and_one_is_downloaded_in_little_memory() -> Result<()> {
    let (host, url) = Host::start().await?;
    host.gate.add_permits(1);
    let folder = Folder::new()?;
    let (mut cluster, numbers) = cluster(&folder).await?;
    let record = Record::start(cluster.events("large").await?);

    // What the first file of a process takes, its code above all, is not what a large one does.
    send(&cluster, &numbers, &url.replace("large", "small")).await?;
    all_shown(&cluster, 3, 1).await?;
    let meter = Meter::start(cluster.worker(0)?)?;
    send(&cluster, &numbers, &url).await?;
    all_shown(&cluster, 6, 2).await?;
    meter
        .check(cluster.worker(0)?)
        .context("the worker, at sending")?;

    let whole: Bytes = (0..PIECES).flat_map(|at| piece(at).to_vec()).collect();
    let request = cluster.operator.request(Method::POST, "/v1/media");
    let meter = Meter::start(cluster.api()?)?;
    let uploaded: Value = request.body(whole.clone()).send().await?.json().await?;
    ensure!(uploaded["sha256"] == hex::encode(hash()), "{uploaded}");
    meter.check(cluster.api()?).context("the API, at an upload")?;

    let path = format!(
        "{}/contacts/{}/files?to={OURS}&name=large.bin&mimetype=application/zip",
        cluster.simulator().1,
        numbers[0]
    );
    let sent = tests::http::client().post(path).body(whole).send().await?;
    let sent: Value = sent.error_for_status()?.json().await?;
    let id = sent["id"].as_str().context("an id")?.to_owned();
    record
        .until_any(PATIENCE, "its message", |event| {
            event["event"] == "new.message" && event["data"]["header"]["messageId"] == id.as_str()
        })
        .await?;
    let path = format!("/v1/sessions/large/messages/{id}/media");
    let meter = Meter::start(cluster.api()?)?;
    ensure!(downloaded(&cluster, &path).await? == hash(), "another file");
    meter.check(cluster.api()?).context("the API, at a download")?;

    // Gone from the host: the phone uploads it again.
    cluster
        .control
        .post("/media", json!({ "drop_uploads": true }))
        .await?;
    let part = cluster
        .operator
        .request(Method::GET, &path)
        .header("range", "bytes=-8");
    let part = part.send().await?;
    ensure!(part.status() == 206, "{part:?}");
    ensure!(part.bytes().await?.len() == 8, "another part");
    let audit = cluster.control.audit().await?;
    ensure!(audit.rest["media_retries"] == 1, "{audit:?}");

    // What is not what it was ends like no whole answer.
    cluster
        .control
        .post("/media", json!({ "spoil_uploads": true }))
        .await?;
    ensure!(downloaded(&cluster, &path).await.is_err(), "a clean end");
    Ok(())
}

/// The hash of what is downloaded.
async fn downloaded(cluster: &Cluster, path: &str) -> Result<Vec<u8>> {
    let mut answer = cluster.operator.request(Method::GET, path).send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    let mut hash = Sha256::new();
    while let Some(piece) = answer.chunk().await? {
        hash.update(&piece);
    }
    Ok(hash.finalize().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_file_loses_nothing_and_sends_nothing_twice() -> Result<()>
{
    let (host, url) = Host::start().await?;
    let folder = Folder::new()?;
    let (mut cluster, numbers) = cluster(&folder).await?;
    send(&cluster, &numbers, &url).await?;
    eventually(PATIENCE, "the file is on its way", async || {
        Ok(host.asked.load(Ordering::SeqCst) == 1)
    })
    .await?;
    cluster.kill_worker(0)?;
    host.gate.add_permits(1);
    cluster.restart_worker(0).await?;
    all_shown(&cluster, 3, 1).await?;
    ensure!(host.asked.load(Ordering::SeqCst) == 2, "fetched anew");
    Ok(())
}
