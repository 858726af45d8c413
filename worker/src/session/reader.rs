//! What of a session's queues is read from the store into memory, and when.

use std::sync::Arc;

use shared::id::QueueId;
use shared::store::queues::{self as store, QueueRecord, QueueState};
use shared::store::recipients;

use super::context::{Context, Fetched};
use super::pacer::Pace;
use super::queues::{PAGE, QUEUES_READ, Queue, Spec};

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
        let (store, session, held) = (cx.around.store.clone(), cx.record.id, cx.held());
        let account = cx.account().map(str::to_owned);
        cx.fetch(async move {
            let queues = store::active(&store, session, held, account.as_deref(), QUEUES_READ).await;
            Fetched::Active(queues)
        });
    }

    pub(super) fn on_queues(&mut self, cx: &mut Context, records: Vec<QueueRecord>) {
        self.is_reading = false;
        let stopped = std::mem::take(&mut self.stopped);
        for record in records {
            if record.state != QueueState::Paused && !stopped.contains(&record.id) {
                cx.take_in(queue_of(record, cx.around.pace));
            }
        }
    }

    /// A queue left the memory.
    pub(super) fn on_stopped(&mut self, queue: QueueId) {
        if self.is_reading {
            self.stopped.push(queue);
        }
    }

    /// Reads the pages that the queues want to look ahead to.
    pub(super) fn read_pages(&self, cx: &mut Context) {
        while cx.fetches.len() < FETCHES_MAX {
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

/// A queue as stored, in memory; `pace` is that of queues that name none.
pub(super) fn queue_of(record: QueueRecord, pace: Pace) -> Queue {
    let own = record
        .delay
        .and_then(|delay| Pace::new(delay.min(), delay.max()).ok());
    Queue::new(Spec {
        id: record.id,
        content: Arc::new(record.content),
        pace: own.unwrap_or(pace),
        on_unknown: record.on_unknown,
        duplicates: record.duplicates,
        reference: record.reference,
        total: record.total,
        settled: record.settled,
        started: record.started_at.is_some(),
        account: record.account,
        waiting: record.waiting,
    })
}

/// Reads of one session beside its loop.
const FETCHES_MAX: usize = 4;
/// Rows per page, as the store takes it.
const PAGE_ROWS: u32 = PAGE as u32;
