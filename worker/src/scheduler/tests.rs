//! Days of schedules in a moment, and several workers on the same ones.

use std::collections::BTreeSet;

use serde_json::json;
use shared::broker::QueueName;
use shared::id::{ScheduleId, ScheduleName, SessionId, ShardId, Token};
use shared::job::ScheduleJob;
use shared::random::Randomness;
use shared::store::schedules::{Added, NewSchedule};
use shared::store::sessions;
use shared::testing::{self, TestBroker, TestDatabase};
use time::macros::datetime;

use super::*;

const START: OffsetDateTime = datetime!(2026-11-21 10:00:30 UTC);

fn job(id: &str, misfire: &str, times: (&str, &str)) -> ScheduleJob {
    let body = json!({
        "id": id, "misfire": misfire, times.0: times.1,
        "send": { "numbers": ["15551230001", "15551230002"], "message": { "type": "text", "text": "Good morning" } },
    });
    ScheduleJob::parse(body.to_string().as_bytes()).unwrap()
}

fn record(misfire: &str, cron: &str, next: OffsetDateTime) -> ScheduleRecord {
    ScheduleRecord {
        id: ScheduleId::fresh(START, &mut Randomness::system().fork()),
        token: testing::token(),
        job: job("daily", misfire, ("cron", cron)),
        seed: None,
        next_at: Some(next),
        fired_at: None,
        queue: None,
        fired: 0,
        created_at: START,
    }
}

#[test]
fn what_was_missed_is_left_out_made_up_for_once_or_all_of_it() {
    let due = datetime!(2026-11-21 11:00 UTC);
    let turn_at = |misfire, now| turn(&record(misfire, "0 * * * *", due), now);
    // In time all policies are one.
    for misfire in ["skip", "once", "all"] {
        let turn = turn_at(misfire, due + Duration::from_secs(2));
        assert_eq!(
            turn,
            Turn {
                fires: Some(due),
                next: Some(datetime!(2026-11-21 12:00 UTC))
            }
        );
    }
    let late = datetime!(2026-11-21 14:30 UTC);
    let (last, next) = (
        datetime!(2026-11-21 14:00 UTC),
        Some(datetime!(2026-11-21 15:00 UTC)),
    );
    assert_eq!(turn_at("skip", late), Turn { fires: None, next });
    assert_eq!(
        turn_at("once", late),
        Turn {
            fires: Some(last),
            next
        }
    );
    let one_by_one = turn_at("all", late);
    assert_eq!(
        one_by_one,
        Turn {
            fires: Some(due),
            next: Some(datetime!(2026-11-21 12:00 UTC))
        }
    );
    // A month later: the last hundred.
    let first = turn_at("all", datetime!(2026-12-21 14:30 UTC)).fires.unwrap();
    assert_eq!(first, datetime!(2026-12-17 11:00 UTC));
}

struct Bench {
    database: TestDatabase,
    broker: TestBroker,
    token: Token,
    session: SessionId,
}

impl Bench {
    async fn new() -> Self {
        let (database, broker) = (TestDatabase::new().await, TestBroker::new(1).await);
        let token = testing::token();
        let session = sessions::create(database.store(), &token, 1)
            .await
            .unwrap()
            .into_record();
        broker.broker().bind_token(&token, session.shard).await.unwrap();
        Self {
            database,
            broker,
            token,
            session: session.id,
        }
    }

    async fn add(&self, job: &ScheduleJob) -> Added {
        let id = ScheduleId::fresh(START, &mut Randomness::system().fork());
        let new = NewSchedule {
            id,
            job,
            seed: None,
            now: START,
        };
        schedules::add(self.database.store(), self.session, new)
            .await
            .unwrap()
    }

    async fn found(&self, name: &str) -> ScheduleRecord {
        let name = ScheduleName::new(name).unwrap();
        schedules::find(self.database.store(), self.session, &name)
            .await
            .unwrap()
            .unwrap()
    }

    /// One more worker, with a pool of its own, for which it is this time.
    fn worker(&self, now: OffsetDateTime) -> Scheduler {
        Scheduler::new(
            self.database.another_store(),
            self.broker.broker().clone(),
            Clock::starting_at(now),
        )
    }

    /// The ids of all jobs that were published.
    async fn jobs(&self) -> Vec<String> {
        let shard = QueueName::Shard(ShardId::new(0).unwrap());
        let waiting = self.broker.broker().depth(&shard).await.unwrap();
        let mut consumer = self.broker.broker().consume(&shard, 100);
        let mut ids = Vec::new();
        for _ in 0..waiting {
            let delivery = consumer.next().await.unwrap();
            assert_eq!(
                (delivery.kind.as_deref(), delivery.routing_key.as_str()),
                (Some("send"), self.token.as_str())
            );
            ids.push(delivery.message_id.clone().unwrap());
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
        ids
    }
}

#[tokio::test]
async fn a_week_of_mornings_fires_seven_times_and_once_fires_once() {
    let bench = Bench::new().await;
    let daily = job("daily", "once", ("cron", "0 9 * * *"));
    assert!(matches!(bench.add(&daily).await, Added::New(_)));
    assert!(matches!(bench.add(&daily).await, Added::Same(_)));
    assert_eq!(
        bench.add(&job("daily", "all", ("cron", "0 9 * * *"))).await,
        Added::Taken
    );
    assert_eq!(
        bench
            .add(&job("late", "all", ("at", "2026-11-21T10:00:00Z")))
            .await,
        Added::Past
    );
    assert!(matches!(
        bench
            .add(&job("gift", "skip", ("at", "2026-11-24T09:00:00+01:00")))
            .await,
        Added::New(_)
    ));
    let mut now = START;
    for _ in 0..7 * 24 * 60 {
        now += Duration::from_secs(60);
        // Only at full hours is anything due.
        if now.minute() == 0 {
            bench.worker(now).fire_due().await.unwrap();
        }
    }
    let ids = bench.jobs().await;
    assert_eq!(ids.len(), 8);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 8);
    let (daily, gift) = (bench.found("daily").await, bench.found("gift").await);
    assert_eq!(
        (daily.fired, daily.next_at),
        (7, Some(datetime!(2026-11-29 09:00 UTC)))
    );
    assert_eq!((gift.fired, gift.next_at), (1, None));
    assert_eq!(gift.fired_at, Some(datetime!(2026-11-24 08:00 UTC)));
    assert!(
        ids.contains(&gift.queue.unwrap().to_string()),
        "its queue is known by the firing's id"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_workers_that_are_cut_off_at_any_moment_fire_each_schedule_once() {
    const SCHEDULES: usize = 40;
    let bench = Bench::new().await;
    for number in 0..SCHEDULES {
        bench
            .add(&job(&format!("s-{number}"), "once", ("cron", "0 11 * * *")))
            .await;
    }
    let due = datetime!(2026-11-21 11:00 UTC);
    // Killed in the middle of it: what they had claimed nobody touches for a while.
    for cut in [2, 5, 9, 14, 20] {
        let worker = bench.worker(due);
        let _ = tokio::time::timeout(Duration::from_millis(cut), worker.fire_due()).await;
    }
    let later = due + schedules::CLAIM + Duration::from_secs(1);
    let workers: Vec<_> = (0..5).map(|_| bench.worker(later)).collect();
    join_all(
        workers
            .iter()
            .map(async |worker| while worker.fire_due().await.unwrap() > 0 {}),
    )
    .await;
    let ids = bench.jobs().await;
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), SCHEDULES, "the same firing twice is the same job");
    for number in 0..SCHEDULES {
        let schedule = bench.found(&format!("s-{number}")).await;
        assert_eq!((schedule.fired, schedule.fired_at), (1, Some(due)));
        assert_eq!(schedule.next_at, Some(due + Duration::from_secs(24 * 3600)));
    }
}
