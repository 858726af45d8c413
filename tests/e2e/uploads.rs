//! A worker that is killed while it uploads a file to the media host: nothing is lost, nobody gets anything twice, and the
//! file is uploaded once more at most.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::line::Line;
use tests::simulated::{Audit, Contacts};
use tests::wait::eventually;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(120);
const OURS: &str = "5511900000055";
/// More than all buffers between the worker and the media host hold.
const FILE_BYTES: usize = 32 << 20;
const CONTACTS: Contacts<'static> = Contacts::quiet("1555440", 5);

/// A cluster whose worker reaches the media host by a line that can be held.
struct Stage {
    cluster: Cluster,
    line: Line,
}

impl Stage {
    async fn new() -> Result<Self> {
        let cluster = Cluster::start_with(1, &[("MEDIA_ALLOW_PRIVATE", "true")]).await?;
        let (line, url) = Line::to(cluster.simulator().1).await?;
        let (_, host) = url.split_once("://").context("a host")?;
        let hosts = json!({ "hosts": [host.trim_end_matches('/')] });
        cluster.control.post("/media", hosts).await?;
        cluster.control.phone(OURS, "ours").await?;
        cluster.control.contacts(&CONTACTS).await?;
        cluster.operator.pair(&cluster.control, "uploads", OURS).await?;
        Ok(Self { cluster, line })
    }

    /// Sends a file to all contacts; the id of its queue.
    async fn send(&self) -> Result<String> {
        let file = vec![7; FILE_BYTES];
        let routes = Router::new().route("/large.bin", get(async move || file.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/large.bin", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let file = json!({ "type": "document", "media": { "url": url }, "fileName": "large.bin" });
        let body = json!({ "numbers": CONTACTS.numbers(), "message": file, "delay": { "min": 0, "max": 0 } });
        let path = "/v1/sessions/uploads/queues";
        let (status, answer) = self.cluster.operator.post(path, body).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer["queueId"].as_str().context("a queue's id")?.to_owned())
    }

    /// Kills the worker, and starts another one that reaches the media host.
    async fn replace_worker(&mut self) -> Result<()> {
        self.cluster.kill_worker(0)?;
        self.line.mend();
        self.cluster.restart_worker(0).await
    }

    /// Each contact was shown its message once; what else there is to say of it.
    async fn all_shown(&self, record: &Record, queue: &str) -> Result<Audit> {
        record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
        let count = u64::from(CONTACTS.count);
        eventually(PATIENCE, "all have it", async || {
            Ok(self.cluster.control.audit().await?.shown_once == count)
        })
        .await?;
        let audit = self.cluster.control.audit().await?;
        audit.clean(count)?;
        Ok(audit)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_an_upload_begins_it_again() -> Result<()> {
    let mut stage = Stage::new().await?;
    let record = Record::start(stage.cluster.events("uploads").await?);
    stage.line.hold();
    let queue = stage.send().await?;
    eventually(PATIENCE, "the upload is under way", async || {
        Ok(stage.line.asked_for() == 1)
    })
    .await?;
    eventually(PATIENCE, "it is told why the queue waits", async || {
        let told = stage.cluster.operator.queue("uploads", &queue).await?;
        Ok(told["waiting"]["reason"] == "upload")
    })
    .await?;
    stage.replace_worker().await?;
    let audit = stage.all_shown(&record, &queue).await?;
    ensure!(
        audit.rest["uploads"] == 1,
        "only the second came to its end: {audit:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_before_it_hears_of_its_upload_uploads_once_more() -> Result<()> {
    let mut stage = Stage::new().await?;
    let record = Record::start(stage.cluster.events("uploads").await?);
    stage.line.hold_answers();
    let queue = stage.send().await?;
    eventually(PATIENCE, "the host has the file", async || {
        Ok(stage.cluster.control.audit().await?.rest["uploads"] == 1)
    })
    .await?;
    stage.replace_worker().await?;
    let audit = stage.all_shown(&record, &queue).await?;
    ensure!(audit.rest["uploads"] == 2, "{audit:?}");
    Ok(())
}
