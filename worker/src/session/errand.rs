//! A job on its way through the worker: its delivery is settled, and its publisher answered, exactly once.

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{Delivery, Publisher};
use shared::id::JobId;
use shared::job::{Answer, Job};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What settling a delivery and answering takes.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) publisher: Publisher,
    pub(crate) tasks: TaskTracker,
}

/// A job and its delivery. Dropped unsettled (its session was lost), the job is delivered again.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) job: Job,
    pub(crate) job_id: Option<JobId>,
    delivery: Option<Delivery>,
    desk: Arc<Desk>,
}

impl Errand {
    /// A parsed job.
    pub(crate) fn new(job: Job, job_id: Option<JobId>, delivery: Delivery, desk: Arc<Desk>) -> Self {
        Self {
            job,
            job_id,
            delivery: Some(delivery),
            desk,
        }
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
        // At the end of the runtime the channel ends too, which gives the delivery back all the same.
        if let Some(delivery) = self.delivery.take().filter(|_| Handle::try_current().is_ok()) {
            give_back(delivery, &self.desk.tasks);
        }
    }
}

/// Has a job delivered again, after a pause: each time counts towards the queue's delivery limit.
pub(crate) fn give_back(delivery: Delivery, tasks: &TaskTracker) {
    tasks.spawn(async move {
        tokio::time::sleep(GIVE_BACK_PAUSE).await;
        drop(delivery.retry().await);
    });
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

/// Before a job that could not be handled is delivered again.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(2);
