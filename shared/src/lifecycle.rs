//! The life of a process: its signals, its two-step stop, and its tasks.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a soft stop may take before it is cut.
pub const SOFT_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long tasks may take after the cut.
const HARD_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// All tasks finished what they had in hand.
    Clean,
    /// Some were cut off.
    Cut,
}

/// Signals and tasks of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A life without signals: for tests, and for parts of a process.
    pub fn new() -> Self {
        Self::default()
    }

    /// A life that SIGTERM or SIGINT begins to end; a second one cuts it.
    ///
    /// # Errors
    /// If the signals can't be listened to.
    pub fn with_signals() -> std::io::Result<Self> {
        let lifecycle = Self::default();
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (soft, hard) = (lifecycle.soft.clone(), lifecycle.hard.clone());
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            };
            next().await;
            tracing::info!("stopping: finishing what is in hand (a second signal cuts)");
            soft.cancel();
            next().await;
            tracing::warn!("cut by a second signal");
            hard.cancel();
        });
        Ok(lifecycle)
    }

    /// Cancelled when no new work is to be taken.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when everything must end now.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Runs a task of this process. Every task is run by this, so that none is forgotten at the end.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// The tracker of this process's tasks.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits for the begin of the stop, then for the tasks; cuts them after [`SOFT_STOP_TIMEOUT`].
    pub async fn ended(&self) -> Ended {
        self.soft.cancelled().await;
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => return Ended::Clean,
            () = self.hard.cancelled() => {}
            () = tokio::time::sleep(SOFT_STOP_TIMEOUT) => tracing::warn!("the stop took too long and is cut"),
        }
        self.hard.cancel();
        // Tasks that do not even end now end with the process.
        let _ = tokio::time::timeout(HARD_STOP_TIMEOUT, self.tasks.wait()).await;
        Ended::Cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_tasks() {
        let lifecycle = Lifecycle::new();
        let soft = lifecycle.soft().clone();
        lifecycle.spawn(async move { soft.cancelled().await });
        lifecycle.stop();
        assert_eq!(lifecycle.ended().await, Ended::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_cut() {
        let lifecycle = Lifecycle::new();
        let hard = lifecycle.hard().clone();
        lifecycle.spawn(async move { hard.cancelled().await });
        lifecycle.stop();
        assert_eq!(lifecycle.ended().await, Ended::Cut);
    }
}
