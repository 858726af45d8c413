//! The tasks of all endpoints, started when first needed.
//!
//! Must not know what the orders are about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::id::WebhookId;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::attempt::Attempts;
use super::circuit::CircuitLimits;
use super::endpoint::{self, Order};
use super::rests::Rests;

/// Sends orders to endpoints' tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    attempts: Arc<Attempts>,
    limits: CircuitLimits,
    rests: Rests,
    mailboxes: Arc<Mutex<HashMap<WebhookId, mpsc::Sender<Order>>>>,
    tasks: TaskTracker,
}

impl Hub {
    /// A hub without any task.
    pub fn new(attempts: Arc<Attempts>, limits: CircuitLimits) -> Self {
        Self {
            attempts,
            limits,
            rests: Rests::default(),
            mailboxes: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Gives an endpoint an order, starting its task if it has none. Waits while its mailbox is full, which its task
    /// empties without waiting for any endpoint.
    pub async fn order(&self, id: WebhookId, mut order: Order) {
        loop {
            match self.mailbox(id).send(order).await {
                Ok(()) => return,
                // The task ended for want of orders; the next round starts another.
                Err(mpsc::error::SendError(returned)) => order = returned,
            }
        }
    }

    /// The endpoints that take no rows at this moment.
    pub fn rests(&self) -> &Rests {
        &self.rests
    }

    /// Ends all tasks once they have done what they were given, and waits for that. Nothing is to be ordered any
    /// more.
    pub async fn close(&self) {
        self.lock().clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn mailbox(&self, id: WebhookId) -> mpsc::Sender<Order> {
        let mut mailboxes = self.lock();
        match mailboxes.get(&id) {
            Some(mailbox) if !mailbox.is_closed() => mailbox.clone(),
            _ => {
                // A new task is rare: the moment to forget those that ended.
                mailboxes.retain(|_, mailbox| !mailbox.is_closed());
                let (attempts, rests) = (self.attempts.clone(), self.rests.clone());
                let mailbox = endpoint::spawn(id, attempts, self.limits, rests, &self.tasks);
                mailboxes.insert(id, mailbox.clone());
                mailbox
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WebhookId, mpsc::Sender<Order>>> {
        // Unwrap safety: nothing panics while the lock is held.
        #[allow(clippy::unwrap_used)]
        self.mailboxes.lock().unwrap()
    }
}
