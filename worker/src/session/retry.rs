//! The recipients of a queue that failed, as a new queue.
//!
//! What is read of the queue becomes a `send` job that goes to the broker under the identity of the one that asked for it,
//! with its way back: from there on it is a send like any other. One at a time; those that wait are as many as the
//! broker lets a shard have.

use std::collections::VecDeque;

use shared::broker::{Broker, Outgoing};
use shared::id::{JobId, QueueId, SessionId, Token};
use shared::job::{FailureCode, Job, RetryJob};
use shared::store::queues::{self, QueueRecord};
use shared::store::{Store, StoreError, retries};
use shared::trace::TraceContext;

use super::context::{Context, Fetched, Retried};
use crate::job::outcome::JobOutcome;
use crate::job::pending::{PendingJob, Stage, done};

/// The requests of one session to send again, oldest first; the first is being read.
#[derive(Default)]
pub(super) struct Retries {
    open: VecDeque<Box<PendingJob>>,
}

impl Retries {
    /// Takes a request.
    pub(super) fn take(&mut self, cx: &mut Context, job: Box<PendingJob>) {
        self.open.push_back(job);
        if self.open.len() == 1 {
            self.begin(cx);
        }
    }

    fn begin(&mut self, cx: &mut Context) {
        while let Some(job) = self.open.front() {
            let Stage::Read(Job::Retry(asked)) = &job.stage else {
                self.open.pop_front();
                continue;
            };
            let again = Again {
                store: cx.around.store.clone(),
                broker: cx.around.broker.clone(),
                token: cx.record.token.clone(),
                session: cx.record.id,
                id: job.id.clone(),
                asked: asked.clone(),
                reply: job.reply_to(),
                trace: job.trace(),
            };
            let publisher = job.publisher();
            return cx.fetch(async move { Fetched::Retried(again.publish(&publisher).await) });
        }
    }

    /// What became of the first.
    pub(super) fn on_retried(&mut self, cx: &mut Context, retried: Retried) {
        let Some(job) = self.open.pop_front() else {
            return;
        };
        match retried {
            Retried::Published => {
                job.count(JobOutcome::Done);
                // It is answered as the send that it became.
                drop(job.acknowledge());
            }
            Retried::Known(queue) => {
                job.count(JobOutcome::Duplicate);
                job.finish(done(Some(queue)));
            }
            Retried::Refused(code, words) => cx.refuse(job, code, words),
            Retried::Later(why) => {
                tracing::warn!(session.id = %cx.record.id, error = why, "a retry waits for the database; its job comes again");
                // Unsettled, it comes again.
                drop(job);
            }
        }
        self.begin(cx);
    }
}

/// One request, with what it takes.
struct Again {
    store: Store,
    broker: Broker,
    token: Token,
    session: SessionId,
    /// Its own identity, if its publisher gave it one.
    id: Option<JobId>,
    asked: RetryJob,
    reply: Option<shared::broker::ReplyTo>,
    trace: Option<TraceContext>,
}

impl Again {
    async fn publish(self, publisher: &shared::broker::Publisher) -> Retried {
        match self.read().await {
            Ok(Ok((id, job))) => {
                let mut message = Outgoing::job(self.broker.topology(), &self.token, &id, &job);
                message.trace = self.trace;
                if let Some(reply) = self.reply {
                    message.reply_to = Some(reply.queue);
                    message.correlation_id = reply.correlation_id;
                }
                match publisher.publish(message).await {
                    Ok(()) => Retried::Published,
                    Err(error) => Retried::Later(error.to_string()),
                }
            }
            Ok(Err(settled)) => settled,
            Err(error) => Retried::Later(error.to_string()),
        }
    }

    /// The send, or what there is to say without one.
    async fn read(&self) -> Result<Result<(JobId, Job), Retried>, StoreError> {
        let Some(queue) = queues::find(&self.store, self.session, self.asked.queue_id).await? else {
            let words = "no queue of this session has this id";
            return Ok(Err(Retried::Refused(FailureCode::UnknownQueue, words)));
        };
        if let Some(known) = self.known(&queue).await? {
            return Ok(Err(known));
        }
        let codes = self.asked.codes.as_deref().unwrap_or_default();
        let Some(retry) = retries::of_failed(&self.store, queue, codes).await? else {
            return Ok(Err(Retried::Refused(FailureCode::Conflict, NOTHING)));
        };
        let id = self.id.clone().unwrap_or(retry.id);
        Ok(Ok((id, Job::Send(Box::new(retry.job)))))
    }

    /// What came of the same request before: who failed since is not sent to by it.
    async fn known(&self, queue: &QueueRecord) -> Result<Option<Retried>, StoreError> {
        let Some(id) = &self.id else { return Ok(None) };
        let made = QueueId::derived(&self.token, id);
        let made = queues::find(&self.store, self.session, made).await?;
        Ok(made.map(
            |made| match made.id != queue.id && made.content == queue.content {
                true => Retried::Known(made.id),
                false => Retried::Refused(FailureCode::Conflict, "another job has this id already"),
            },
        ))
    }
}

const NOTHING: &str = "no recipient of this queue has failed, or none with one of these codes";
