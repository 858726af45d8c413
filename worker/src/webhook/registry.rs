//! The tasks of all endpoints, started when first needed.
//!
//! Must not know what is attempted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::id::WebhookId;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::endpoint::{self, Dispatch, Surroundings};

/// Gives endpoints' tasks what they are to attempt. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    /// What the tasks share.
    pub(super) around: Surroundings,
    mailboxes: Arc<Mutex<HashMap<WebhookId, mpsc::Sender<Dispatch>>>>,
    tasks: TaskTracker,
}

impl Registry {
    /// A registry without any task.
    pub(super) fn new(around: Surroundings) -> Self {
        Self {
            around,
            mailboxes: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Gives an endpoint something to attempt, starting its task if it has none. Waits while its mailbox is full, which
    /// its task empties without waiting for any endpoint.
    pub(super) async fn dispatch(&self, id: WebhookId, mut dispatch: Dispatch) {
        loop {
            match self.mailbox(id).send(dispatch).await {
                Ok(()) => return,
                // The task ended for want of work; the next round starts another.
                Err(mpsc::error::SendError(returned)) => dispatch = returned,
            }
        }
    }

    /// Ends all tasks once they have done what they were given, and waits for that. Nothing is to be dispatched
    /// any more.
    pub(super) async fn close(&self) {
        self.lock().clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn mailbox(&self, id: WebhookId) -> mpsc::Sender<Dispatch> {
        let mut mailboxes = self.lock();
        match mailboxes.get(&id) {
            Some(mailbox) if !mailbox.is_closed() => mailbox.clone(),
            _ => {
                // A new task is rare: the moment to forget those that ended.
                mailboxes.retain(|_, mailbox| !mailbox.is_closed());
                let mailbox = endpoint::spawn(id, self.around.clone(), &self.tasks);
                mailboxes.insert(id, mailbox.clone());
                mailbox
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WebhookId, mpsc::Sender<Dispatch>>> {
        // Unwrap safety: nothing panics while the lock is held.
        #[allow(clippy::unwrap_used)]
        self.mailboxes.lock().unwrap()
    }
}
