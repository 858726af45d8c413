//! A job on its way through the worker: its delivery is settled, and its publisher answered, exactly once.

use std::sync::Arc;

use shared::broker::{Delivery, Publisher};
use shared::id::JobId;
use shared::job::{Answer, Job};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What settling a delivery and answering takes.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) publisher: Publisher,
    pub(crate) tasks: TaskTracker,
    /// Takes back what a session did not settle. Room for all that a shard has on its way.
    pub(crate) returned: mpsc::Sender<Back>,
    /// The shard is handed over: what is not settled stays so, and goes back to the queue in its order when the
    /// channel closes.
    pub(crate) leaving: CancellationToken,
}

impl Desk {
    /// A shard that is handed over or gone takes nothing back: the broker does, when the channel closes.
    fn take_back(&self, back: Back) {
        if !self.leaving.is_cancelled() {
            drop(self.returned.try_send(back));
        }
    }
}

/// What comes back from a session.
#[derive(Debug)]
pub(crate) enum Back {
    /// The session was lost with it in its hands.
    Returned(Returned),
    /// It is to be put back under this turn.
    Later(Delivery, String),
}

/// A delivery that a session did not settle.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) delivery: Delivery,
    /// How often it was returned, this time included.
    pub(crate) times: u32,
}

/// A job and its delivery. Dropped unsettled (its session was lost), it is returned to its shard's intake.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) job: Job,
    pub(crate) job_id: Option<JobId>,
    delivery: Option<Delivery>,
    returns: u32,
    desk: Arc<Desk>,
}

impl Errand {
    /// A parsed job, whose delivery was returned so often before.
    pub(crate) fn new((job, job_id): (Job, Option<JobId>), returned: Returned, desk: Arc<Desk>) -> Self {
        Self {
            job,
            job_id,
            delivery: Some(returned.delivery),
            returns: returned.times,
            desk,
        }
    }

    /// Its delivery's place among those of the shard.
    pub(crate) fn place(&self) -> Option<u64> {
        self.delivery.as_ref().map(|delivery| delivery.place)
    }

    /// Whether it may have been taken up before.
    pub(crate) fn is_repeated(&self) -> bool {
        self.returns > 0
            || self
                .delivery
                .as_ref()
                .is_some_and(|delivery| delivery.redelivered)
    }

    /// The turn under which it was put back before.
    pub(crate) fn turn(&self) -> Option<&str> {
        self.delivery.as_ref()?.turn.as_deref()
    }

    /// Puts the job back for a moment, under this turn: its session has enough to do.
    pub(crate) fn put_back(mut self, turn: String) {
        if let Some(delivery) = self.delivery.take() {
            self.desk.take_back(Back::Later(delivery, turn));
        }
    }

    /// The delivery alone, unsettled.
    pub(crate) fn into_delivery(mut self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// The kind of the job, as its publisher wrote it.
    pub(crate) fn kind(&self) -> Option<String> {
        self.delivery.as_ref().and_then(|delivery| delivery.kind.clone())
    }

    /// The job is done, or refused for good: acknowledges it and answers its publisher.
    pub(crate) fn finish(mut self, answer: Answer) {
        let Some(delivery) = self.delivery.take() else {
            return;
        };
        let reply = Reply::to(&delivery, &self.desk);
        self.desk.tasks.spawn(async move {
            if let Err(error) = delivery.ack().await {
                // It comes again and is found to be done.
                tracing::debug!(%error, "could not acknowledge a job");
            }
        });
        reply.send(answer);
    }

    /// Acknowledges the job now and keeps the way back to its publisher.
    pub(crate) fn reply_later(mut self) -> Reply {
        let delivery = self.delivery.take();
        let nobody = Reply {
            reply_to: None,
            correlation_id: None,
            desk: Arc::clone(&self.desk),
        };
        let Some(delivery) = delivery else { return nobody };
        let reply = Reply::to(&delivery, &self.desk);
        self.desk.tasks.spawn(async move { drop(delivery.ack().await) });
        reply
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            let times = self.returns + 1;
            self.desk.take_back(Back::Returned(Returned { delivery, times }));
        }
    }
}

/// The way back to the publisher of a job.
#[derive(Debug)]
pub(crate) struct Reply {
    reply_to: Option<String>,
    correlation_id: Option<String>,
    desk: Arc<Desk>,
}

impl Reply {
    /// The way back of a delivery.
    pub(crate) fn to(delivery: &Delivery, desk: &Arc<Desk>) -> Self {
        Self {
            reply_to: delivery.reply_to.clone(),
            correlation_id: delivery.correlation_id.clone(),
            desk: Arc::clone(desk),
        }
    }

    /// Answers, if an answer was asked for. An asker that is gone is no loss.
    pub(crate) fn send(self, answer: Answer) {
        let Self {
            reply_to: Some(reply_to),
            correlation_id,
            desk,
        } = self
        else {
            return;
        };
        let publisher = desk.publisher.clone();
        desk.tasks.spawn(async move {
            let to = (Some(reply_to.as_str()), correlation_id.as_deref());
            if let Err(error) = publisher.reply(to, &answer).await {
                tracing::debug!(%error, "could not answer a job");
            }
        });
    }
}
