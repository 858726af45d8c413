//! Jobs that are answered: published like any other, with a queue of this process to answer to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::connection::{REQUEST_TIMEOUT, RecoveringConnection};
use super::consumer::ReplyTo;
use super::error::{BrokerError, PublishError};
use super::publisher::{Outgoing, Publisher};
use super::topology::Topology;
use crate::id::{JobId, Token};
use crate::job::{Answer, Job};
use crate::metrics::labels::CallEnd;
use crate::metrics::list;
use crate::trace;

/// Most calls of one process that wait for their answers.
pub const WAITING_MAX: usize = 4_096;
/// Pause before making the answer queue anew.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Why a call has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// Nobody answered in time. The job may still be done, unless it expires.
    #[error("no answer in time")]
    Timeout,
    /// Too many calls wait already.
    #[error("too many requests wait for an answer")]
    Busy,
    /// The job could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The answer is not one.
    #[error("the answer can't be read")]
    Malformed,
}

type Waiting = HashMap<String, oneshot::Sender<Bytes>>;

/// A client for jobs that are answered. Cheap to clone.
#[derive(Clone)]
pub struct Rpc {
    publisher: Publisher,
    topology: Arc<Topology>,
    queue: watch::Receiver<Option<String>>,
    waiting: Arc<Mutex<Waiting>>,
    /// How many calls were made: a correlation id need only be unique among those of one answer queue.
    calls: Arc<AtomicU64>,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rpc")
    }
}

impl Rpc {
    pub(super) fn start(
        connection: RecoveringConnection,
        publisher: Publisher,
        topology: Arc<Topology>,
        stop: CancellationToken,
    ) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let (name, queue) = watch::channel(None);
        let listener = Listener {
            connection,
            name,
            waiting: waiting.clone(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = listener.run() => {}
            }
        });
        Self {
            publisher,
            topology,
            queue,
            waiting,
            calls: Arc::default(),
        }
    }

    /// Sends a job to a session's worker, as a part of the trace that is current, and waits for its answer. The job
    /// expires with the call, unless it was taken up by then.
    ///
    /// # Errors
    /// [`CallError`]; the job may be done nevertheless, unless it was not published.
    pub async fn call(
        &self,
        token: &Token,
        id: &JobId,
        job: &Job,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let answer = self.ask(token, id, job, timeout).await;
        list::CALLS.of(came_to(&answer)).increment(1);
        answer
    }

    async fn ask(
        &self,
        token: &Token,
        id: &JobId,
        job: &Job,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let trace = trace::current();
        let call = self.calls.fetch_add(1, Ordering::Relaxed).to_string();
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = locked(&self.waiting);
            if waiting.len() >= WAITING_MAX {
                return Err(CallError::Busy);
            }
            waiting.insert(call.clone(), sender);
        }
        // Removed however this call ends, also when its caller goes away.
        let _forget = Forget {
            waiting: &self.waiting,
            call: &call,
        };
        let exchange = async {
            let mut queue = self.queue.clone();
            let reply_to = match queue.wait_for(Option::is_some).await {
                Ok(name) => name.clone(),
                Err(_) => return Err(PublishError::Unavailable("closed".into()).into()),
            };
            let mut message = Outgoing::job(&self.topology, token, id, job);
            message.reply_to = reply_to;
            message.correlation_id = Some(call.clone());
            message.expiration = Some(timeout);
            message.trace = trace;
            self.publisher.publish(message).await?;
            let body = answer.await.map_err(|_| CallError::Timeout)?;
            serde_json::from_slice(&body).map_err(|_| CallError::Malformed)
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| CallError::Timeout)?
    }
}

fn came_to(answer: &Result<Answer, CallError>) -> CallEnd {
    match answer {
        Ok(_) => CallEnd::Answered,
        Err(CallError::Timeout) => CallEnd::TimedOut,
        Err(CallError::Busy) => CallEnd::Busy,
        Err(CallError::Publish(_)) => CallEnd::Unpublished,
        Err(CallError::Malformed) => CallEnd::Unreadable,
    }
}

struct Forget<'a> {
    waiting: &'a Mutex<Waiting>,
    call: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        locked(self.waiting).remove(self.call);
    }
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listener {
    connection: RecoveringConnection,
    name: watch::Sender<Option<String>>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Listener {
    /// Keeps an answer queue as long as the process lives. Calls that wait over a lost connection time out.
    async fn run(self) {
        loop {
            match self.listen().await {
                Err(_) if self.connection.is_closed() => return,
                Err(error) => {
                    tracing::warn!(error = %error, "lost the answer queue; what waits for an answer times out, and the queue is made anew")
                }
                Ok(()) => {}
            }
            self.name.send_replace(None);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn listen(&self) -> Result<(), BrokerError> {
        let connection = self.connection.ready(Duration::MAX).await?;
        let open = async {
            let channel = connection.create_channel().await?;
            // Named by the broker, gone with the connection.
            let options = QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            };
            let queue = channel
                .queue_declare(ShortString::default(), options, FieldTable::default())
                .await?;
            let name = queue.name().clone();
            let options = BasicConsumeOptions {
                no_ack: true,
                ..BasicConsumeOptions::default()
            };
            let stream = channel
                .basic_consume(
                    name.clone(),
                    ShortString::default(),
                    options,
                    FieldTable::default(),
                )
                .await?;
            Ok::<_, lapin::Error>((channel, name, stream))
        };
        let opened = tokio::time::timeout(REQUEST_TIMEOUT, open).await;
        let (_channel, name, mut stream) =
            opened.map_err(|_| BrokerError::Unavailable("subscribing timed out".into()))??;
        self.name.send_replace(Some(name.as_str().to_owned()));
        while let Some(delivery) = stream.next().await {
            let delivery = delivery?;
            let Some(call) = delivery.properties.correlation_id() else {
                continue;
            };
            if let Some(caller) = locked(&self.waiting).remove(call.as_str()) {
                // A caller that gave up needs no answer.
                let _ = caller.send(delivery.data.into());
            }
        }
        Ok(())
    }
}

impl Publisher {
    /// Answers a job. An asker that is gone is not an error.
    pub async fn reply(&self, to: &ReplyTo, answer: &Answer) -> Result<(), PublishError> {
        // Answers are small texts of our own types and always serialize.
        let body = serde_json::to_vec(answer).unwrap_or_default();
        let message = Outgoing {
            key: to.queue.clone(),
            correlation_id: to.correlation_id.clone(),
            transient: true,
            body: body.into(),
            ..Outgoing::default()
        };
        self.publish(message).await
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::job::IsExistsJob;
    use crate::recipient::Number;
    use crate::testing::TestBroker;

    #[tokio::test]
    async fn calls_beyond_the_limit_are_refused_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _counted = metrics::set_default_local_recorder(&recorder);
        let test = TestBroker::new(1).await;
        let rpc = test.broker().rpc();
        let open = (0..WAITING_MAX).map(|call| (format!("call {call}"), oneshot::channel().0));
        locked(&rpc.waiting).extend(open);
        let (token, id) = (Token::new("shop").unwrap(), JobId::new("one").unwrap());
        let job = Job::IsExists(IsExistsJob {
            number: Number::new("15550000001").unwrap(),
        });
        let refused = rpc.call(&token, &id, &job, Duration::from_secs(5)).await;
        assert_eq!(refused, Err(CallError::Busy));
        let told = recorder.handle().render();
        assert!(
            told.contains("fanfare_calls_total{outcome=\"busy\"} 1\n"),
            "{told}"
        );
    }
}
