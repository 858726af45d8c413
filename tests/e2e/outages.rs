//! The broker and the database go away and hang in the middle of broadcasts: nothing is lost, nothing goes twice.

use std::time::Duration;

use anyhow::Result;
use shared::testing::service_url;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::line::Line;
use tests::simulated::Contacts;
use tests::wait::eventually;

use crate::broadcast::in_order;

/// A broadcast, time-outs of ten seconds each, and reconnects with backoff, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
const RECIPIENTS: u32 = 400;

/// One session that broadcasts, with lines of its own to the services.
struct Scene {
    cluster: Cluster,
    broker: Line,
    database: Line,
    record: Record,
    queue: String,
}

impl Scene {
    async fn start(token: &str, phone: &str, prefix: &str) -> Result<Self> {
        let (broker, amqp_url) = Line::to(&service_url("AMQP_URL")).await?;
        let (database, database_url) = Line::to(&service_url("DATABASE_URL")).await?;
        let cluster = Cluster::start_over(&amqp_url, &database_url).await?;
        let contacts = Contacts {
            prefix,
            count: RECIPIENTS,
            deliver_ms: 5,
            read_ms: Some(10),
            reply: None,
        };
        cluster.control.contacts(&contacts).await?;
        cluster.session(token, phone).await?;
        let record = Record::start(cluster.events(token).await?);
        let queue = cluster
            .operator
            .broadcast(token, &contacts.numbers(), "hello", 0.01..=0.03)
            .await?;
        Ok(Self {
            cluster,
            broker,
            database,
            record,
            queue,
        })
    }

    async fn sent(&self, count: u64) -> Result<()> {
        eventually(PATIENCE, &format!("{count} are out"), async || {
            Ok(self.cluster.control.audit().await?.messages_accepted >= count)
        })
        .await
    }

    async fn worker_is_ready(&mut self, wanted: bool) -> Result<()> {
        let worker = self.cluster.worker(0)?;
        eventually(
            PATIENCE,
            &format!("the worker says ready: {wanted}"),
            async || Ok(worker.is_ready().await == wanted),
        )
        .await
    }

    async fn all_arrived(&self) -> Result<()> {
        self.record
            .until(PATIENCE, "send.message:COMPLETED", &self.queue)
            .await?;
        let total = u64::from(RECIPIENTS);
        eventually(PATIENCE, "every contact was shown its message", async || {
            Ok(self.cluster.control.audit().await?.shown_once >= total)
        })
        .await?;
        self.cluster.control.audit().await?.clean(total)?;
        in_order(&self.record.events(), &self.queue, total)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_survives_the_loss_of_the_broker_and_of_the_database() -> Result<()> {
    let mut scene = Scene::start("cut", "5511900000060", "1555460").await?;
    scene.sent(50).await?;
    scene.broker.cut();
    scene.worker_is_ready(false).await?;
    scene.broker.mend();
    scene.worker_is_ready(true).await?;
    scene.sent(120).await?;
    scene.database.cut();
    scene.worker_is_ready(false).await?;
    scene.database.mend();
    scene.worker_is_ready(true).await?;
    scene.sent(200).await?;
    scene.broker.cut();
    scene.database.cut();
    scene.worker_is_ready(false).await?;
    scene.database.mend();
    scene.broker.mend();
    scene.all_arrived().await
}

/// Whatever was on its way to the database when it hung is done when it goes on, though nobody waits for it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_survives_a_database_that_hangs() -> Result<()> {
    let mut scene = Scene::start("hang", "5511900000061", "1555470").await?;
    for sent in [100, 250] {
        scene.sent(sent).await?;
        scene.database.hold();
        let before = scene.database.asked_for();
        // Time-outs end connections; new ones are asked for.
        eventually(PATIENCE, "the worker gives the connections up", async || {
            Ok(scene.database.asked_for() >= before + 3)
        })
        .await?;
        scene.database.mend();
        scene.worker_is_ready(true).await?;
    }
    scene.all_arrived().await
}
