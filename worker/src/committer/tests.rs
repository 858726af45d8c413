//! Order, and what an answer says.

use std::time::Duration;

use futures_util::FutureExt;
use shared::event::{Event, Instance};
use shared::id::{SessionId, Token};
use shared::store::outbox::{self, OutboxEvent};
use shared::store::{Fence, sessions};
use shared::testing::{TestDatabase, token};

use super::*;

struct Bench {
    db: TestDatabase,
    committer: Committer,
    fence: Fence,
    session: SessionId,
}

impl Bench {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let fence = db.lease(0, "w").await;
        let session = sessions::create(db.store(), &token(), 1).await.unwrap();
        let (committer, _task) = Committer::start(db.store(), Wake::new(), Clock::system()).unwrap();
        Self {
            db,
            committer,
            fence,
            session: session.into_record().id,
        }
    }

    fn write(&self) -> Write {
        Write::new(self.fence, self.session)
    }

    async fn sequence(&self) -> Vec<Option<String>> {
        self.db.query("SELECT last_sequence FROM session").await
    }
}

fn event(sequence: i64) -> OutboxEvent {
    let instance = Instance {
        owner: None,
        name: Token::new("t").unwrap(),
    };
    let event = Event::send_start(shared::testing::queue_id());
    OutboxEvent::from(&event.envelope(instance, shared::testing::event_id(), 0, sequence))
}

#[tokio::test]
async fn events_keep_the_order_of_their_writes() {
    let bench = Bench::new().await;
    let mut commits = Vec::new();
    for sequence in 0..400 {
        let mut write = bench.write();
        write.events = vec![event(sequence)];
        write.last_sequence = Some(sequence);
        let mut commit = Box::pin(bench.committer.commit(write));
        // Handed over with the first poll.
        assert!(commit.as_mut().now_or_never().is_none());
        commits.push(commit);
        // A task may not do so much at a time.
        tokio::task::yield_now().await;
    }
    for commit in commits {
        commit.await.unwrap();
    }
    let stored = outbox::oldest(bench.db.store(), bench.fence.shard, 500)
        .await
        .unwrap();
    let sequences: Vec<i64> = stored
        .iter()
        .map(|e| {
            serde_json::from_str::<serde_json::Value>(&e.body).unwrap()["sequence"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(sequences, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_somebody_who_is_gone_handed_over_is_waited_for() {
    let bench = Bench::new().await;
    let held = bench.db.hold("session").await;
    let mut write = bench.write();
    write.last_sequence = Some(7);
    let mut gone = Box::pin(bench.committer.commit(write));
    assert!(gone.as_mut().now_or_never().is_none());
    drop(gone);
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while bench.db.query(waits).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut settled = Box::pin(bench.committer.settled());
    assert!(settled.as_mut().now_or_never().is_none());
    held.release().await;
    settled.await.unwrap();
    assert_eq!(bench.sequence().await, [Some("7".into())]);
}

#[tokio::test]
async fn a_committer_ends_with_its_last_clone() {
    let db = TestDatabase::new().await;
    let (committer, task) = Committer::start(db.store(), Wake::new(), Clock::system()).unwrap();
    let clone = committer.clone();
    drop(committer);
    drop(clone);
    task.await.unwrap();
}
