//! Uploaded files in a store that speaks S3 and is not ours: every replica and every worker reaches them, they outlive
//! restarts, they go when their time is over, and while the store is away that is said, or waited for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::bucket::Bucket;
use tests::cluster::Cluster;
use tests::line::Line;
use tests::operator::Operator;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);
const OURS: &str = "5511900000056";
const CONTACTS: Contacts<'static> = Contacts::quiet("1555450", 3);
/// More than two parts of an upload to a bucket.
const FILE_BYTES: usize = 12 << 20;
/// How often the store is asked before a try has failed.
const ASKED_PER_TRY: usize = 4;
/// More than one.
const PART_BYTES: usize = 6 << 20;

struct Stage {
    cluster: Cluster,
    bucket: Bucket,
    /// From the product to the bucket.
    line: Line,
}

impl Stage {
    async fn new() -> Result<Self> {
        let bucket = Bucket::start().await?;
        let (line, url) = Line::to(bucket.url()).await?;
        let place = format!("s3://{}/kept", Bucket::NAME);
        let settings = [
            ("MEDIA_STORE", place.as_str()),
            ("AWS_ENDPOINT", url.trim_end_matches('/')),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "tests"),
            ("AWS_SECRET_ACCESS_KEY", "only"),
        ];
        let cluster = Cluster::start_with(1, &settings).await?;
        cluster.control.phone(OURS, "ours").await?;
        cluster.control.contacts(&CONTACTS).await?;
        cluster.operator.pair(&cluster.control, "bucket", OURS).await?;
        Ok(Self {
            cluster,
            bucket,
            line,
        })
    }

    /// Sends an uploaded file to one contact by this replica, and waits until its message is there.
    async fn sent(&self, by: &Operator, (id, hash): (&str, &[u8]), contact: usize) -> Result<()> {
        let queue = send(by, id, contact).await?;
        self.shown(by, &queue, (hash, contact)).await
    }

    async fn shown(&self, by: &Operator, queue: &str, (hash, contact): (&[u8], usize)) -> Result<()> {
        eventually(PATIENCE, "the queue is completed", async || {
            Ok(by.queue("bucket", queue).await?["state"] == "completed")
        })
        .await?;
        let number = &CONTACTS.numbers()[contact];
        let mut shown = Vec::new();
        eventually(PATIENCE, "its message is shown", async || {
            shown = self.cluster.control.contact_messages(number).await?;
            Ok(!shown.is_empty())
        })
        .await?;
        let message = STANDARD.decode(&shown[0].message)?;
        let names_it = message.windows(hash.len()).any(|part| part == hash);
        ensure!(names_it, "another file: {shown:?}");
        Ok(())
    }
}

/// Begins to send an uploaded file to one contact; the id of its queue.
async fn send(by: &Operator, id: &str, contact: usize) -> Result<String> {
    let message = json!({ "type": "document", "media": { "id": id }, "fileName": "a.bin" });
    let body = json!({ "token": "bucket", "number": CONTACTS.numbers()[contact], "message": message });
    let (status, answer) = by.post("/v1/messages", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    Ok(answer["queueId"].as_str().context("a queue's id")?.to_owned())
}

/// Uploads a file; the answer whatever the status.
async fn upload(to: &Operator, file: impl Into<Body>) -> Result<(u16, Value)> {
    let request = to.request(Method::POST, "/v1/media");
    let request = request.header("content-type", "application/octet-stream");
    let answer = request.body(file).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_files_are_kept_in_a_store_that_speaks_s3() -> Result<()> {
    let mut stage = Stage::new().await?;
    let file: Vec<u8> = (0..FILE_BYTES).map(|at| (at % 251) as u8).collect();
    let hash = Sha256::digest(&file).to_vec();
    let (status, told) = upload(&stage.cluster.operator, file).await?;
    ensure!(
        status == 201 && told["sha256"] == hex::encode(&hash),
        "{status}: {told}"
    );
    let id = told["id"].as_str().context("an id")?.to_owned();
    ensure!(stage.bucket.keys().await? == [format!("kept/{id}")]);

    // Another replica has taken nothing of it, and restarted processes remember nothing.
    let path = format!("/v1/media/{id}");
    let (second, _process) = stage.cluster.another_api("second").await?;
    ensure!(second.get(&path).await?.1 == told);
    stage.sent(&second, (&id, &hash), 0).await?;
    stage.cluster.restart_all().await?;
    let first = stage.cluster.operator.clone();
    ensure!(first.get(&path).await?.1 == told);
    stage.sent(&first, (&id, &hash), 1).await?;

    is_away(&stage, &first, (&id, &hash)).await?;
    leaves(&stage, &first).await?;
    is_killed(&mut stage).await?;

    // Whoever starts looks for what is over its time.
    stage.cluster.expire_uploads().await;
    let (third, _process) = stage.cluster.another_api("third").await?;
    eventually(PATIENCE, "the file is gone, and what was begun", async || {
        Ok(stage.bucket.keys().await?.is_empty() && stage.bucket.unfinished().await?.is_empty())
    })
    .await?;
    let (status, gone) = third.get(&path).await?;
    ensure!(status == 404 && gone["code"] == "media_not_found", "{gone}");
    stage.cluster.control.audit().await?.clean(3)
}

/// While the store is away an upload is refused with that, and a send waits for it.
async fn is_away(stage: &Stage, first: &Operator, (id, hash): (&str, &[u8])) -> Result<()> {
    stage.line.cut();
    let (status, refused) = upload(first, "a file").await?;
    ensure!(status == 503 && refused["code"] == "no_media_store", "{refused}");
    let tried = stage.line.asked_for();
    let queue = send(first, id, 2).await?;
    // More often than hosts of other files are asked.
    eventually(
        PATIENCE,
        "a worker has asked for the file, and waits",
        async || {
            let told = first.queue("bucket", &queue).await?;
            Ok(told["waiting"]["reason"] == "upload" && stage.line.asked_for() > tried + 4 * ASKED_PER_TRY)
        },
    )
    .await?;
    stage.line.mend();
    stage.shown(first, &queue, (hash, 2)).await
}

/// The API is killed while a file comes: what has come of it stays until its time is over.
async fn is_killed(stage: &mut Stage) -> Result<()> {
    let uploading = begin(stage, &stage.cluster.operator).await?;
    stage.cluster.kill_api()?;
    stage.cluster.start_api().await?;
    uploading.await?.err().context("its connection broke")?;
    ensure!(stage.bucket.unfinished().await?.len() == 1);
    Ok(())
}

/// Begins a file that comes to no end by itself.
async fn begin(stage: &Stage, to: &Operator) -> Result<tokio::task::JoinHandle<Result<(u16, Value)>>> {
    let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![1; PART_BYTES]))]);
    let rest = stream::pending();
    let body = Body::wrap_stream(futures_util::StreamExt::chain(begun, rest));
    let client = to.clone();
    let uploading = tokio::spawn(async move { upload(&client, body).await });
    eventually(PATIENCE, "some of it has come", async || {
        Ok(stage.bucket.unfinished().await?.len() == 1)
    })
    .await?;
    Ok(uploading)
}

/// Of a file whose client leaves nothing stays in the store.
async fn leaves(stage: &Stage, first: &Operator) -> Result<()> {
    begin(stage, first).await?.abort();
    eventually(PATIENCE, "nothing of it is left", async || {
        Ok(stage.bucket.unfinished().await?.is_empty())
    })
    .await?;
    ensure!(stage.bucket.keys().await?.len() == 1);
    Ok(())
}
