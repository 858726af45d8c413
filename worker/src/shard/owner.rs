//! The shards this worker holds: one task each, with the shard's sessions, its jobs and its events.
//!
//! A shard that is gained has its bindings asserted, its relay and its consumer started, its sessions planned.
//! One that is to be handed over stops taking jobs, lets its sessions finish what they have in hand, publishes
//! what is left, and only then gives the lease back. One that is lost is dropped at once.

use std::collections::HashMap;
use std::time::Duration;

use shared::broker::{Broker, Consumer, QueueName};
use shared::id::{ShardId, Token};
use shared::lifecycle::Lifecycle;
use shared::store::sessions;
use shared::telemetry::Heartbeat;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::relay::Relay;
use super::supervisor::{Event, Supervisor};
use super::worker::Worker;
use crate::lease::leases::Leases;
use crate::lease::{Fenced, Lease, LeaseEvent};

/// A shard's task, as the role sees it.
struct Held {
    release: CancellationToken,
    task: AbortHandle,
}

/// Runs the shards of this worker until every one is given back after the soft stop.
pub(crate) async fn run(worker: Worker, mut events: mpsc::Receiver<LeaseEvent>, life: Lifecycle) {
    let mut held: HashMap<ShardId, Held> = HashMap::new();
    let mut tasks = JoinSet::new();
    let leaving = worker.leases.clone();
    let mut leave = std::pin::pin!(async {
        life.soft().cancelled().await;
        leaving.leave().await;
    });
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => break,
                Some(event) => on_event(&worker, event, &mut held, &mut tasks),
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                on_ended(&worker.leases, ended, &mut held, &mut tasks);
            }
            () = &mut leave => break,
            () = life.hard().cancelled() => break,
        }
    }
    tasks.shutdown().await;
}

fn on_event(
    worker: &Worker,
    event: LeaseEvent,
    held: &mut HashMap<ShardId, Held>,
    tasks: &mut JoinSet<ShardId>,
) {
    match event {
        LeaseEvent::Gained(lease) => {
            let (shard, release) = (lease.shard(), CancellationToken::new());
            tracing::info!(
                shard.id = shard.get(),
                epoch = lease.fence().epoch.get(),
                "shard taken"
            );
            let task = tasks.spawn(run_shard(worker.clone(), lease, release.clone()));
            if let Some(old) = held.insert(shard, Held { release, task }) {
                old.task.abort();
            }
        }
        LeaseEvent::Release(shard) => match held.get(&shard) {
            Some(held) => held.release.cancel(),
            None => give_back(tasks, worker.leases.clone(), shard),
        },
        LeaseEvent::Lost(shard) => {
            tracing::warn!(
                shard.id = shard.get(),
                "shard lost: its lease was not renewed in time, or another worker took it"
            );
            if let Some(lost) = held.remove(&shard) {
                lost.task.abort();
            }
        }
    }
}

/// A shard whose task is gone: there is nothing to wait for.
fn give_back(tasks: &mut JoinSet<ShardId>, leases: Leases, shard: ShardId) {
    tasks.spawn(async move {
        leases.release(shard).await;
        shard
    });
}

fn on_ended(
    leases: &Leases,
    ended: Result<ShardId, JoinError>,
    held: &mut HashMap<ShardId, Held>,
    tasks: &mut JoinSet<ShardId>,
) {
    match ended {
        Ok(shard) => {
            if held.get(&shard).is_some_and(|held| held.task.is_finished()) {
                held.remove(&shard);
            }
        }
        Err(error) if error.is_panic() => {
            tracing::error!(%error, "a shard's task panicked; its lease is given back, and a worker takes it anew");
            // Its lease would be renewed for ever, and nobody would serve it.
            let panicked: Vec<_> = held
                .extract_if(|_, held| held.task.id() == error.id())
                .map(|(shard, _)| shard)
                .collect();
            for shard in panicked {
                give_back(tasks, leases.clone(), shard);
            }
        }
        Err(_) => {}
    }
}

/// One shard from its lease to its end.
async fn run_shard(worker: Worker, lease: Lease, release: CancellationToken) -> ShardId {
    let shard = lease.shard();
    // Everything that runs for the shard ends with this task, also when it is aborted.
    let stop = CancellationToken::new();
    let _ends_with_us = stop.clone().drop_guard();
    let relay = Relay {
        store: worker.around.store.clone(),
        publisher: worker.broker.publisher(),
        topology: worker.broker.topology().clone(),
        lease: lease.clone(),
        wake: worker.wake.clone(),
        clock: worker.around.clock,
    };
    let mut relay = tokio::spawn(relay.run(stop.clone()));
    let mut work = Shard::new(&worker, lease);
    let served = tokio::select! {
        served = work.serve(&release) => served,
        ended = &mut relay => Err(relay_ended(shard, ended)),
    };
    if let Ok(()) = served {
        work.hand_over().await;
        stop.cancel();
        drop(timeout(RELAY_WAIT, relay).await);
        tracing::info!(shard.id = shard.get(), "shard handed over");
    } else {
        drop(work);
    }
    // Lost or handed over: either way nothing of ours acts for it any more.
    worker.leases.release(shard).await;
    shard
}

/// Without its relay a shard must not be served: its events would wait, and nobody would know. A lease that is over
/// ends it too.
fn relay_ended(shard: ShardId, ended: Result<(), JoinError>) -> Fenced {
    if let Err(error) = ended {
        tracing::error!(shard.id = shard.get(), %error, "a shard's relay panicked; the shard is given back");
    }
    Fenced
}

/// The sessions and the jobs of one shard.
struct Shard {
    worker: Worker,
    intake: Intake,
    supervisor: Supervisor,
    consumer: Consumer,
    lease: Lease,
    pulse: Heartbeat,
}

impl Shard {
    fn new(worker: &Worker, lease: Lease) -> Self {
        Self {
            intake: Intake::new(worker, lease.clone(), PREFETCH),
            supervisor: Supervisor::new(worker, lease.clone()),
            consumer: worker.broker.consume(&QueueName::Shard(lease.shard()), PREFETCH),
            pulse: worker.health.heartbeat("shard", SILENCE_MAX),
            worker: worker.clone(),
            lease,
        }
    }

    /// Serves until told to release the shard.
    ///
    /// # Errors
    /// [`Fenced`]: the lease is over.
    async fn serve(&mut self, release: &CancellationToken) -> Result<(), Fenced> {
        let tokens = self.plan_all().await?;
        let binding = bind_all(self.worker.broker.clone(), self.lease.shard(), tokens);
        let mut binding = std::pin::pin!(binding);
        let mut bound = false;
        loop {
            self.pulse.beat();
            self.check_lease()?;
            tokio::select! {
                () = release.cancelled() => return Ok(()),
                event = self.supervisor.next() => self.on_session(event)?,
                done = self.intake.next() => self.intake.on_done(&mut self.supervisor, done)?,
                Some(delivery) = self.consumer.next(), if self.intake.has_room() => {
                    self.intake.take(&mut self.supervisor, delivery);
                }
                () = &mut binding, if !bound => bound = true,
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Plans the shard's sessions, a page at a time; answers all their tokens.
    async fn plan_all(&mut self) -> Result<Vec<Token>, Fenced> {
        let (mut tokens, mut last) = (Vec::new(), None);
        loop {
            let shard = self.lease.shard();
            match sessions::of_shard(&self.worker.around.store, shard, last, sessions::PAGE_MAX).await {
                Ok(page) => {
                    last = page.last().map(|record| record.id);
                    self.supervisor.plan(&page);
                    tokens.extend(page.into_iter().map(|record| record.token));
                    if last.is_none() {
                        return Ok(tokens);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a shard waits for the database");
                    sleep(STORE_PAUSE).await;
                }
            }
            self.pulse.beat();
            self.check_lease()?;
        }
    }

    fn check_lease(&self) -> Result<(), Fenced> {
        self.lease.check(self.worker.around.clock.now())
    }

    fn on_session(&mut self, event: Event) -> Result<(), Fenced> {
        match event {
            Event::Nothing => Ok(()),
            Event::Fenced => Err(Fenced),
            Event::Deleted(token) => {
                self.intake.unbind(token);
                Ok(())
            }
        }
    }

    /// Takes no more jobs, lets every session finish what it has in hand, and settles every delivery.
    async fn hand_over(mut self) {
        self.intake.settlement().leave();
        self.consumer.cancel().await;
        if timeout(SETTLE_WAIT, self.intake.finish(&mut self.supervisor))
            .await
            .is_err()
        {
            tracing::debug!("jobs that were not stored in time go back to their queue");
        }
        self.supervisor.hand_over().await;
        let settlement = self.intake.settlement();
        if timeout(SETTLE_WAIT, settlement.finished()).await.is_err() {
            tracing::debug!("deliveries that were not settled in time go back to their queue");
        }
        // What was delivered behind the cancel goes back too, to the next owner.
        self.consumer.close().await;
    }
}

/// Routes the jobs of a shard's sessions here, whatever the broker has forgotten.
async fn bind_all(broker: Broker, shard: ShardId, tokens: Vec<Token>) {
    for token in tokens {
        if let Err(error) = broker.bind_token(&token, shard).await {
            // A job that finds no binding comes back through the queue of the unroutable.
            tracing::warn!(%error, session.token = %token, shard.id = shard.get(), "a token could not be bound; its jobs come by the queue of the unroutable, and it is bound then");
        }
    }
}

/// Jobs of one shard that are on their way at a time.
const PREFETCH: u16 = 64;
/// How often a shard's task looks at its lease when nothing happens.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A shard's task that is silent for longer is stuck: a lease does not even last that long.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Between two tries of the database.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How long a hand-over waits for acknowledgements and answers on their way.
const SETTLE_WAIT: Duration = Duration::from_secs(3);
/// How long a hand-over waits for the last events to be published.
const RELAY_WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use shared::clock::Clock;
    use shared::id::WorkerId;
    use shared::store::leases;
    use shared::testing::TestDatabase;

    use super::*;
    use crate::lease::Timing;

    async fn gained(events: &mut mpsc::Receiver<LeaseEvent>) -> Lease {
        loop {
            if let LeaseEvent::Gained(lease) = events.recv().await.unwrap() {
                return lease;
            }
        }
    }

    #[tokio::test]
    async fn a_shard_whose_task_panicked_is_given_back_and_served_again() {
        let db = TestDatabase::new().await;
        leases::ensure_shards(db.store(), 1).await.unwrap();
        let timing = Timing {
            tick: Duration::from_millis(50),
            ..Timing::default()
        };
        let worker = WorkerId::generate("w", &mut StdRng::seed_from_u64(1)).unwrap();
        let (leases, mut events, _) = Leases::start(db.another_store(), worker, timing, Clock::system());
        let first = gained(&mut events).await;
        let (shard, mut held, mut tasks) = (first.shard(), HashMap::new(), JoinSet::new());
        let task = tasks.spawn(async { panic!("as a test wants it") });
        let release = CancellationToken::new();
        held.insert(shard, Held { release, task });
        let ended = tasks.join_next().await.unwrap();
        on_ended(&leases, ended, &mut held, &mut tasks);
        assert!(held.is_empty());
        let again = timeout(Duration::from_secs(10), gained(&mut events)).await;
        let again = again.expect("the shard is taken again");
        assert!(again.fence().epoch > first.fence().epoch && !first.is_live(Clock::system().now()));
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), shard);
    }
}
