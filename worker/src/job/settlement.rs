//! What settling deliveries and answering their publishers takes; a publisher is answered at most once.

use std::sync::Arc;

use shared::broker::{Delivery, Publisher, ReplyTo};
use shared::job::Answer;
use shared::metrics::list;
use shared::telemetry::Tracer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What settling deliveries and answering takes.
#[derive(Debug)]
pub(crate) struct Settlement {
    publisher: Publisher,
    tasks: TaskTracker,
    /// Room for all that a shard has on its way.
    returned: mpsc::Sender<Returned>,
    leaving: CancellationToken,
    tracer: Tracer,
}

/// What comes back from a session.
#[derive(Debug)]
pub(crate) enum Returned {
    /// The session was lost with it in its hands; how often that was so, this time included.
    Lost(Delivery, u32),
    /// It is to be put back to its queue, under this turn.
    PutBack(Delivery, String),
}

impl Settlement {
    /// Takes back what sessions do not settle, until it leaves. At most `room` at a time are on their way.
    pub(crate) fn new(
        publisher: Publisher,
        leaving: CancellationToken,
        room: u16,
        tracer: Tracer,
    ) -> (Arc<Self>, mpsc::Receiver<Returned>) {
        let (returned, back) = mpsc::channel(usize::from(room.max(1)));
        let settlement = Self {
            publisher,
            tasks: TaskTracker::new(),
            returned,
            leaving,
            tracer,
        };
        (Arc::new(settlement), back)
    }

    /// The way to the broker.
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Who is told what was done for which trace.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Runs what a settlement needs of the broker.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// The shard is handed over: what is not settled stays so, and goes back to the queue in its order when the
    /// channel closes.
    pub(crate) fn leave(&self) {
        self.leaving.cancel();
    }

    /// Waits for acknowledgements and answers on their way. No more may follow.
    pub(crate) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A shard that is handed over or gone takes nothing back: the broker does, when the channel closes.
    pub(super) fn take_back(&self, returned: Returned) {
        if !self.leaving.is_cancelled() {
            drop(self.returned.try_send(returned));
        }
    }
}

/// The way back to the publisher of a job.
#[derive(Debug)]
pub(crate) struct Reply {
    to: Option<ReplyTo>,
    settlement: Arc<Settlement>,
}

impl Reply {
    /// The way back to this address, if there is one.
    pub(crate) fn new(to: Option<ReplyTo>, settlement: &Arc<Settlement>) -> Self {
        let settlement = Arc::clone(settlement);
        Self { to, settlement }
    }

    /// Answers, if an answer was asked for. An asker that is gone is no loss.
    pub(crate) fn send(self, answer: Answer) {
        if let Answer::Failed { code, .. } = &answer {
            list::JOBS_FAILED.of(*code).increment(1);
        }
        self.answer(answer);
    }

    /// As [`Self::send`], of a job that its session counts when it tells of it.
    pub(super) fn answer(self, answer: Answer) {
        let Some(to) = self.to else { return };
        let publisher = self.settlement.publisher.clone();
        self.settlement.spawn(async move {
            if let Err(error) = publisher.reply(&to, &answer).await {
                tracing::debug!(%error, "could not answer a job");
            }
        });
    }
}
