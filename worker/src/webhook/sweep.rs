//! Forgets what is old, a piece at a time, so that nobody waits for it: finished deliveries, answers kept for an
//! `Idempotency-Key`, sends by the ids that they were asked for under, finished queues with their recipients, and messages
//! that came in, with what is noted of their files.
//!
//! Several workers may sweep at once: each takes other rows. Must not know what the rows are about.

use std::time::Duration;

use shared::clock::Clock;
use shared::store::deliveries::{at_once, upkeep};
use shared::store::{Store, StoreError, chats, idempotency, polls, queues, received, requests};
use tokio_util::sync::CancellationToken;

use super::attempt::count_dead;

/// How often old rows are looked for, and how soon after the start.
const EVERY: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(60);

/// Recipients that one transaction removes at most.
const PIECE: u32 = 10_000;

/// Pieces of one kind that one sweep removes at most, so that no kind waits for long behind another. Where that was
/// not all, the next sweep follows at once.
const PIECES_MAX: u32 = 1_000;

/// Pause between two pieces: sweeping is not urgent.
const PAUSE: Duration = Duration::from_millis(20);

/// How long what is finished is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Queues; for ever if `None`.
    pub(super) queues: Option<Duration>,
    /// Messages that came in; for ever if `None`.
    pub(super) messages: Option<Duration>,
    /// Deliveries that were taken at the first attempt.
    pub(super) delivered: Duration,
}

/// Sweeps until `stop`.
pub(super) async fn run(store: Store, keep: Keep, clock: Clock, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            swept = sweep(&store, keep, clock) => {
                if swept.rows > 0 {
                    tracing::info!(rows = swept.rows, "forgot old rows");
                }
                wait = if swept.is_cut_short { PAUSE } else { EVERY };
            }
            // A piece that is cut off is undone, or done.
            () = stop.cancelled() => return,
        }
    }
}

/// What a sweep did.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// How many rows went or were given up.
    pub(super) rows: u64,
    /// There may be more.
    pub(super) is_cut_short: bool,
}

/// One sweep. A kind of row that can't be removed keeps none of the others.
pub(super) async fn sweep(store: &Store, keep: Keep, clock: Clock) -> Swept {
    let mut swept = Swept::default();
    let given_up = swept
        .pieces("deliveries of disabled webhooks", || async {
            upkeep::give_up_disabled(store).await.map(some)
        })
        .await;
    count_dead(given_up);
    swept
        .pieces("deliveries", || async { upkeep::purge(store).await.map(some) })
        .await;
    let taken_before = clock.wall() - keep.delivered;
    swept
        .pieces("deliveries taken at once", || async {
            at_once::purge(store, taken_before).await.map(some)
        })
        .await;
    swept
        .pieces("answers", || async { idempotency::purge(store).await.map(some) })
        .await;
    swept
        .pieces("sends asked for", || async {
            requests::purge(store).await.map(some)
        })
        .await;
    swept
        .pieces("files of messages", || async {
            received::purge(store).await.map(some)
        })
        .await;
    swept
        .pieces("polls", || async { polls::purge(store).await.map(some) })
        .await;
    if let Some(keep) = keep.queues {
        swept
            .pieces("queues", || {
                queues::retention::forget_finished(store, keep, PIECE)
            })
            .await;
    }
    if let Some(keep) = keep.messages {
        let before = clock.wall() - keep;
        swept
            .pieces("messages", || chats::retention::forget_old(store, before, PIECE))
            .await;
    }
    swept
}

impl Swept {
    /// Removes rows of one kind until `piece` finds none; says how many.
    async fn pieces<F>(&mut self, kind: &'static str, piece: impl Fn() -> F) -> u64
    where
        F: Future<Output = Result<Option<u64>, StoreError>>,
    {
        let before = self.rows;
        for nth in 1..=PIECES_MAX {
            match piece().await {
                Ok(Some(more)) => self.rows += more,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, kind, "old rows could not be forgotten; the next sweep will");
                    break;
                }
            }
            self.is_cut_short |= nth == PIECES_MAX;
            tokio::time::sleep(PAUSE).await;
        }
        self.rows - before
    }
}

fn some(rows: u64) -> Option<u64> {
    (rows > 0).then_some(rows)
}
