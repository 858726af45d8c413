//! The life of a process: its signals, its stop in steps, and its tasks.
//!
//! Told to end, a process first drains: it works as before and says that it is going, so that balancers send it no more.
//! Then the soft stop: no new work, what is in hand is finished. Then the cut.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long draining and the soft stop may take together before they are cut.
pub const SOFT_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a process may be told to drain: it needs time for what is in hand then.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);
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
    drain: Duration,
    draining: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A life without signals: for tests, and for parts of a process.
    pub fn new() -> Self {
        Self::default()
    }

    /// A life that SIGTERM or SIGINT begins to end, after draining for so long, at most [`DRAIN_MAX`]; a second one cuts it.
    ///
    /// # Errors
    /// If the signals can't be listened to.
    pub fn with_signals(drain: Duration) -> std::io::Result<Self> {
        let lifecycle = Self {
            drain: drain.min(DRAIN_MAX),
            ..Self::default()
        };
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (told, signals) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if told.send(()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(lifecycle.clone().obey(signals));
        Ok(lifecycle)
    }

    /// Takes the steps of the stop, as signals come.
    async fn obey(self, mut signals: mpsc::Receiver<()>) {
        if signals.recv().await.is_none() {
            return;
        }
        tracing::info!(
            drain_s = self.drain.as_secs_f64(),
            "stopping: draining, then finishing what is in hand (a second signal cuts)"
        );
        self.draining.cancel();
        let second = tokio::time::timeout(self.drain, signals.recv()).await;
        self.soft.cancel();
        if second.is_err() && signals.recv().await.is_none() {
            return;
        }
        tracing::warn!("cut by a second signal");
        self.hard.cancel();
    }

    /// Cancelled when the process was told to end: it still takes work, and is to be sent none.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when no new work is to be taken.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when everything must end now.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the stop, without draining.
    pub fn stop(&self) {
        self.draining.cancel();
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

    /// Waits for the begin of the stop, then for the tasks; cuts them [`SOFT_STOP_TIMEOUT`] after the process was told to end.
    pub async fn ended(&self) -> Ended {
        self.soft.cancelled().await;
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => return Ended::Clean,
            () = self.hard.cancelled() => {}
            () = tokio::time::sleep(SOFT_STOP_TIMEOUT - self.drain) => tracing::warn!("the stop took too long and is cut"),
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

    fn draining_for(drain: Duration) -> (Lifecycle, mpsc::Sender<()>) {
        let life = Lifecycle {
            drain,
            ..Lifecycle::new()
        };
        let (told, signals) = mpsc::channel(1);
        tokio::spawn(life.clone().obey(signals));
        (life, told)
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_drains_before_it_stops_and_the_whole_has_one_limit() {
        let (life, signals) = draining_for(Duration::from_secs(8));
        let hard = life.hard().clone();
        life.spawn(async move { hard.cancelled().await });
        let told = tokio::time::Instant::now();
        signals.send(()).await.unwrap();
        life.draining().cancelled().await;
        assert!(!life.soft().is_cancelled() && told.elapsed() < Duration::from_secs(1));
        life.soft().cancelled().await;
        assert!(told.elapsed() >= Duration::from_secs(8) && !life.hard().is_cancelled());
        assert_eq!(life.ended().await, Ended::Cut);
        assert!(
            told.elapsed() < SOFT_STOP_TIMEOUT + Duration::from_secs(1),
            "{:?}",
            told.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_cuts_also_while_draining() {
        let (life, signals) = draining_for(Duration::from_secs(8));
        let told = tokio::time::Instant::now();
        signals.send(()).await.unwrap();
        signals.send(()).await.unwrap();
        life.hard().cancelled().await;
        assert!(life.soft().is_cancelled() && told.elapsed() < Duration::from_secs(1));
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
