//! What of a session's queues is read from the store into memory, and when.

use std::time::Duration;

use shared::id::QueueId;
use shared::store::queues::{self as store, Due, QueueRecord, QueueState};
use shared::store::recipients;
use tokio::time::Instant;

use super::context::{Context, Fetched};
use super::queues::{PAGE, QUEUES_READ};

/// Reads queues and their recipients ahead of the sends.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The running queues are being read.
    pub(super) is_reading: bool,
    /// Queues that left the memory while the store's were being read: what was read of them is old.
    stopped: Vec<QueueId>,
}

impl Reader {
    /// Reads the session's running queues from the store.
    pub(super) fn read_queues(&mut self, cx: &mut Context) {
        self.is_reading = true;
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        let (held, now) = (cx.held(), cx.wall());
        let account = cx.account().map(str::to_owned);
        cx.fetch(async move {
            let due = Due {
                held,
                account: account.as_deref(),
                now,
                most: QUEUES_READ,
            };
            Fetched::Active(store::active(&store, session, due).await)
        });
    }

    pub(super) fn on_queues(&mut self, cx: &mut Context, records: Vec<QueueRecord>) {
        self.is_reading = false;
        let stopped = std::mem::take(&mut self.stopped);
        for record in records {
            if record.state != QueueState::Paused && !stopped.contains(&record.id) {
                cx.take_in(record);
            }
        }
    }

    /// Reads the queues when the first that starts later is due; answers when to look again.
    pub(super) fn start_due(&mut self, cx: &mut Context) -> Option<Instant> {
        let left = Duration::try_from(cx.starts_at? - cx.wall()).unwrap_or_default();
        if !left.is_zero() {
            // The wall clock may be set meanwhile.
            return Some(cx.now() + left.min(START_LOOK_MAX));
        }
        if !self.is_reading {
            cx.starts_at = None;
            self.read_queues(cx);
        }
        None
    }

    /// A queue left the memory.
    pub(super) fn on_stopped(&mut self, queue: QueueId) {
        if self.is_reading {
            self.stopped.push(queue);
        }
    }

    /// Reads the pages that the queues want to look ahead to.
    pub(super) fn read_pages(&self, cx: &mut Context) {
        while cx.fetches.len().saturating_sub(cx.transfers) < FETCHES_MAX {
            let Some((queue, after)) = cx.queues.want_page() else {
                break;
            };
            let (store, held) = (cx.around.store.clone(), cx.held());
            cx.fetch(async move {
                let page = recipients::next(&store, queue, after, held, PAGE_ROWS).await;
                Fetched::Page(queue, held, page)
            });
        }
    }

    /// Reads the running queues again if there is room for those that had none.
    pub(super) fn read_more_queues(&mut self, cx: &mut Context) {
        if !self.is_reading && cx.queues.take_room() {
            self.read_queues(cx);
        }
    }
}

/// Reads of one session beside its loop.
const FETCHES_MAX: usize = 4;
/// Rows per page, as the store takes it.
const PAGE_ROWS: u32 = PAGE as u32;
/// Longest wait for the start of a queue without a look at the clock.
const START_LOOK_MAX: Duration = Duration::from_secs(3600);
