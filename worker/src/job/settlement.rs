//! A delivery that is settled exactly once, and its publisher, who is answered at most once.
//!
//! Both are types that consume themselves. A delivery that is dropped unsettled (its session was lost) goes back to the
//! intake of its shard.

use std::sync::Arc;

use shared::broker::{Delivery, Publisher, ReplyTo};
use shared::job::Answer;
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
    ) -> (Arc<Self>, mpsc::Receiver<Returned>) {
        let (returned, back) = mpsc::channel(usize::from(room.max(1)));
        let settlement = Self {
            publisher,
            tasks: TaskTracker::new(),
            returned,
            leaving,
        };
        (Arc::new(settlement), back)
    }

    /// The way to the broker.
    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
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
    fn take_back(&self, returned: Returned) {
        if !self.leaving.is_cancelled() {
            drop(self.returned.try_send(returned));
        }
    }
}

/// A delivery that must be settled.
#[derive(Debug)]
pub(crate) struct Unsettled {
    /// Gone once it is settled.
    delivery: Option<Delivery>,
    losses: u32,
    settlement: Arc<Settlement>,
}

impl Unsettled {
    /// A delivery that a session was lost with so often.
    pub(crate) fn new(delivery: Delivery, losses: u32, settlement: &Arc<Settlement>) -> Self {
        Self {
            delivery: Some(delivery),
            losses,
            settlement: Arc::clone(settlement),
        }
    }

    /// The delivery, unless it is settled.
    pub(crate) fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    /// Whether it may have been taken up before.
    pub(crate) fn is_repeated(&self) -> bool {
        self.losses > 0 || self.delivery().is_some_and(|delivery| delivery.redelivered)
    }

    /// Puts it back for a moment, under this turn.
    pub(crate) fn put_back(mut self, turn: String) {
        if let Some(delivery) = self.delivery.take() {
            self.settlement.take_back(Returned::PutBack(delivery, turn));
        }
    }

    /// The delivery, for somebody else to settle.
    pub(crate) fn into_delivery(mut self) -> Option<Delivery> {
        self.delivery.take()
    }

    /// Acknowledges it; what is left is the way back to its publisher.
    pub(crate) fn acknowledge(mut self) -> Reply {
        let delivery = self.delivery.take();
        let reply = Reply {
            to: delivery.as_ref().and_then(Delivery::reply_address),
            settlement: Arc::clone(&self.settlement),
        };
        if let Some(delivery) = delivery {
            self.settlement.spawn(async move {
                if let Err(error) = delivery.ack().await {
                    // It comes again and is found to be done.
                    tracing::debug!(%error, "could not acknowledge a job");
                }
            });
        }
        reply
    }

    /// Takes the delivery out, to be kept as a dead letter; the publisher is answered.
    pub(crate) fn bury(&mut self, answer: Answer) -> Option<Delivery> {
        let delivery = self.delivery.take()?;
        Reply::to(&delivery, &self.settlement).send(answer);
        Some(delivery)
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            self.settlement
                .take_back(Returned::Lost(delivery, self.losses + 1));
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
    /// The way back of a delivery.
    pub(crate) fn to(delivery: &Delivery, settlement: &Arc<Settlement>) -> Self {
        Self {
            to: delivery.reply_address(),
            settlement: Arc::clone(settlement),
        }
    }

    /// Answers, if an answer was asked for. An asker that is gone is no loss.
    pub(crate) fn send(self, answer: Answer) {
        let Some(to) = self.to else { return };
        let publisher = self.settlement.publisher.clone();
        self.settlement.spawn(async move {
            if let Err(error) = publisher.reply(&to, &answer).await {
                tracing::debug!(%error, "could not answer a job");
            }
        });
    }
}
