//! Jobs that find no session where they came to.

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{BrokerError, Delivery, Outgoing, PublishError, QueueName};
use shared::clock::unix_millis;
use shared::event::{Event, Instance, JobRejected};
use shared::id::{EventId, JobId, ShardId, Token};
use shared::job::FailureCode;
use shared::store::sessions::{self, SessionRecord};
use shared::trace::TraceContext;
use tokio_util::sync::CancellationToken;

use super::worker::Worker;
use crate::job::outcome::{self, JobOutcome};
use crate::job::pending::failed;
use crate::job::settlement::{Reply, Settlement};

/// Settles jobs that find no session. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Strays {
    settlement: Arc<Settlement>,
    worker: Worker,
}

impl Strays {
    pub(crate) fn new(worker: &Worker, settlement: Arc<Settlement>) -> Self {
        let worker = worker.clone();
        Self { settlement, worker }
    }

    /// Deals with one job that finds no session where it came to: the session is elsewhere after all and its binding
    /// was lost or is an old one, or there is none and the job is refused.
    ///
    /// Waits for the database and the broker for as long as the delivery can be answered: nothing is known against the
    /// job, so that its deliveries must not be used up. `from` is the shard whose queue it came through.
    pub(crate) async fn settle(&self, delivery: Delivery, from: Option<ShardId>) {
        let Ok(token) = Token::new(&delivery.routing_key) else {
            outcome::count_named(JobOutcome::Dead, delivery.kind.as_deref());
            drop(delivery.dead_letter("the routing key is not a token").await);
            return;
        };
        let mut pause = PAUSE.0;
        while delivery.is_usable() {
            let settled = match sessions::find(&self.worker.around.store, &token).await {
                Err(error) => Err(error.to_string()),
                Ok(None) => self.refuse(&token, &delivery).await,
                Ok(Some(session)) => self.reroute(&session, from, &delivery).await,
            };
            match settled {
                Ok(()) => return drop(delivery.ack().await),
                Err(error) => tracing::warn!(error, "a job without a session waits"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Routes the token of a session to its shard, and the job with it.
    async fn reroute(
        &self,
        session: &SessionRecord,
        from: Option<ShardId>,
        delivery: &Delivery,
    ) -> Result<(), String> {
        let told = |error: BrokerError| error.to_string();
        let (broker, token) = (&self.worker.broker, &session.token);
        if let Some(old) = from.filter(|from| *from != session.shard) {
            // Else the job would come back here.
            broker.unbind_token(token, old).await.map_err(told)?;
        }
        broker.bind_token(token, session.shard).await.map_err(told)?;
        let copy = self.copy(delivery);
        let published = self.settlement.publisher().publish(copy).await;
        published.map_err(|error| error.to_string())
    }

    fn copy(&self, delivery: &Delivery) -> Outgoing {
        Outgoing {
            exchange: self.worker.broker.topology().jobs(),
            key: delivery.routing_key.clone(),
            kind: delivery.kind.clone(),
            message_id: delivery.message_id.clone(),
            reply_to: delivery.reply_to.clone(),
            correlation_id: delivery.correlation_id.clone(),
            expiration: delivery.expiration,
            trace: delivery.trace,
            mandatory: true,
            body: delivery.body.clone(),
            ..Outgoing::default()
        }
    }

    /// Answers and tells that no session has this token. There is no state that the event tells of, so it goes to
    /// the broker directly; the job is to be settled when it is there.
    async fn refuse(&self, token: &Token, delivery: &Delivery) -> Result<(), String> {
        let refusal = JobRejected {
            job_id: delivery.message_id.as_deref().and_then(|id| JobId::new(id).ok()),
            kind: delivery.kind.clone(),
            code: FailureCode::UnknownSession,
            field: None,
            queue_id: None,
            message_id: None,
            message: "no session has this token".to_owned(),
        };
        let answer = failed(refusal.code, &refusal.message);
        self.publish_rejected(token, refusal, delivery.trace)
            .await
            .map_err(|error| error.to_string())?;
        outcome::count_named(JobOutcome::Rejected, delivery.kind.as_deref());
        Reply::new(delivery.reply_address(), &self.settlement).send(answer);
        Ok(())
    }

    async fn publish_rejected(
        &self,
        token: &Token,
        refusal: JobRejected,
        trace: Option<TraceContext>,
    ) -> Result<(), PublishError> {
        let instance = Instance {
            owner: None,
            name: token.clone(),
        };
        let wall = self.worker.around.clock.wall();
        let id = EventId::fresh(wall, &mut self.worker.around.randomness.fork());
        let envelope = Event::JobRejected(refusal).envelope(instance, id, unix_millis(wall), 0);
        let body = envelope.to_json().into();
        let event = Outgoing::event(
            self.worker.broker.topology(),
            token,
            envelope.event.as_str(),
            id,
            body,
        );
        self.settlement.publisher().publish(event.within(trace)).await
    }
}

/// Takes the jobs that no shard takes, until stopped.
pub(crate) async fn run_unroutable(worker: Worker, stop: CancellationToken) {
    let broker = worker.broker.clone();
    // Nothing of it is ever in a session's hands.
    let tracer = worker.around.tracer.clone();
    let (settlement, _) = Settlement::new(broker.publisher(), stop.clone(), 1, tracer);
    let strays = Strays::new(&worker, Arc::clone(&settlement));
    let mut consumer = broker.consume(&QueueName::Unroutable, PREFETCH);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            delivery = consumer.next() => match delivery {
                // Cut off by the stop it goes back to the queue.
                Some(delivery) => tokio::select! {
                    () = stop.cancelled() => break,
                    () = strays.settle(delivery, None) => {}
                },
                None => break,
            },
        }
    }
    consumer.cancel().await;
    drop(tokio::time::timeout(SETTLE_WAIT, settlement.finished()).await);
    consumer.close().await;
}

/// First and longest pause of a job without a session that waits for the database or the broker.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Jobs that are delivered before those before them are settled.
const PREFETCH: u16 = 64;
/// How long a stop waits for acknowledgements and answers on their way.
const SETTLE_WAIT: Duration = Duration::from_secs(3);
