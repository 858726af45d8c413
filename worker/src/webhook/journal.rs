//! What was taken at the first attempt, noted for who asks: in memory for a second, then written, many with one statement.
//!
//! An event is settled before it is noted here, so a process that is killed loses the notes of its last second, never an
//! event. Of each endpoint a part of what is kept is written in a second, the newest: a flood of events costs the database
//! no more than that.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use shared::id::{DeliveryId, WebhookId};
use shared::metrics::list;
use shared::store::Store;
use shared::store::deliveries::at_once::{self, Taken};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::payload::Payload;

/// How often notes are written.
const EVERY: Duration = Duration::from_secs(1);

/// Part of what is kept of an endpoint that is written at a time, and at least.
const WRITTEN_PART: u32 = 100;

/// Part of what is kept that may be there beyond it before the oldest go.
const BEYOND_PART: u32 = 10;

/// Notes of all endpoints that wait to be written.
const WAITING_MAX: usize = 4_096;

/// Bytes of their bodies.
const WAITING_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Notes that one statement writes.
const BATCH: usize = 500;

/// A delivery that was taken at once.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) payload: Arc<Payload>,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) at: OffsetDateTime,
}

/// Notes that are not written yet.
#[derive(Debug)]
pub(super) struct Journal {
    /// Most that are kept of one endpoint; none if 0.
    keep: u32,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    of: HashMap<WebhookId, VecDeque<Note>>,
    count: usize,
    bytes: usize,
}

impl Journal {
    /// An empty one, of which the database is to keep so many per endpoint.
    pub(super) fn new(keep: u32) -> Self {
        Self {
            keep,
            waiting: Mutex::default(),
        }
    }

    /// Notes a delivery. Where there are too many, an older one is forgotten, or this one.
    pub(super) fn note(&self, webhook: WebhookId, note: Note) {
        if self.keep == 0 {
            return;
        }
        let most = usize::try_from((self.keep / WRITTEN_PART).max(1)).unwrap_or(1);
        let mut waiting = self.lock();
        let Waiting { of, count, bytes } = &mut *waiting;
        let notes = of.entry(webhook).or_default();
        if notes.len() >= most
            && let Some(oldest) = notes.pop_front()
        {
            *count -= 1;
            *bytes -= oldest.payload.body.len();
            list::WEBHOOK_UNLISTED.increment();
        }
        let size = note.payload.body.len();
        if *count >= WAITING_MAX || *bytes + size > WAITING_MAX_BYTES {
            list::WEBHOOK_UNLISTED.increment();
            return;
        }
        *count += 1;
        *bytes += size;
        notes.push_back(note);
    }

    fn take(&self) -> HashMap<WebhookId, VecDeque<Note>> {
        let mut waiting = self.lock();
        (waiting.count, waiting.bytes) = (0, 0);
        std::mem::take(&mut waiting.of)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what a journal holds.
pub(super) struct Writer {
    journal: Arc<Journal>,
    store: Store,
    rng: StdRng,
    /// Rows written of an endpoint since its oldest went.
    written: HashMap<WebhookId, u32>,
}

impl Writer {
    /// A writer of this journal.
    pub(super) fn new(journal: Arc<Journal>, store: Store, rng: StdRng) -> Self {
        Self {
            journal,
            store,
            rng,
            written: HashMap::new(),
        }
    }

    /// Writes until `stop`.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => self.write().await,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Writes what is there. What can't be written is forgotten: it is no event that is lost.
    pub(super) async fn write(&mut self) {
        let mut rows = Vec::new();
        for (webhook, notes) in self.journal.take() {
            *self.written.entry(webhook).or_default() += u32::try_from(notes.len()).unwrap_or(u32::MAX);
            for note in notes {
                rows.push(self.row(webhook, &note));
            }
        }
        for batch in rows.chunks(BATCH) {
            if let Err(error) = at_once::note(&self.store, batch).await {
                list::WEBHOOK_UNLISTED.add(batch.len() as u64);
                tracing::warn!(%error, deliveries = batch.len(), "deliveries were made and are not listed");
            }
        }
        self.trim().await;
    }

    async fn trim(&mut self) {
        let keep = self.journal.keep;
        let many = (keep / BEYOND_PART).max(1);
        let full: Vec<WebhookId> = self
            .written
            .iter()
            .filter(|(_, rows)| **rows >= many)
            .map(|(id, _)| *id)
            .collect();
        for webhook in full {
            match at_once::trim(&self.store, webhook, keep).await {
                Ok(_) => drop(self.written.remove(&webhook)),
                Err(error) => tracing::warn!(%error, "old deliveries could not be forgotten; trying again"),
            }
        }
    }

    fn row(&mut self, webhook: WebhookId, note: &Note) -> Taken {
        let payload = &note.payload;
        Taken {
            id: DeliveryId::fresh(note.at, &mut self.rng),
            webhook,
            event_id: payload.event,
            token: payload.token.clone(),
            event: payload.name.clone(),
            sequence: payload.sequence,
            body: String::from_utf8_lossy(&payload.body).into_owned(),
            status: note.status,
            took_ms: u32::try_from(note.took.as_millis()).unwrap_or(u32::MAX),
            at: note.at,
            trace: payload.trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(sequence: i64, bytes: usize) -> Note {
        let payload = Payload {
            event: shared::testing::event_id(),
            token: shared::testing::token(),
            name: "paused.queue".to_owned(),
            sequence,
            body: vec![b'x'; bytes].into(),
            trace: None,
        };
        Note {
            payload: Arc::new(payload),
            status: 200,
            took: Duration::ZERO,
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn sequences(journal: &Journal, webhook: WebhookId) -> Vec<i64> {
        let notes = journal.take().remove(&webhook).unwrap_or_default();
        notes.iter().map(|note| note.payload.sequence).collect()
    }

    #[test]
    fn of_a_flood_the_newest_are_written() {
        let (journal, id) = (Journal::new(3 * WRITTEN_PART), shared::testing::webhook_id());
        for sequence in 1..=10 {
            journal.note(id, note(sequence, 1));
        }
        assert_eq!(sequences(&journal, id), [8, 9, 10]);
        journal.note(id, note(11, 1));
        assert_eq!(sequences(&journal, id), [11]);
    }

    #[test]
    fn what_waits_has_a_limit_in_number_and_in_bytes() {
        let journal = Journal::new(u32::MAX);
        let id = shared::testing::webhook_id();
        for sequence in 0..5_000 {
            journal.note(id, note(sequence, 1));
        }
        assert_eq!(sequences(&journal, id).len(), WAITING_MAX);
        for sequence in 0..3 {
            journal.note(id, note(sequence, WAITING_MAX_BYTES / 2));
        }
        assert_eq!(sequences(&journal, id), [0, 1]);
        let none = Journal::new(0);
        none.note(id, note(1, 1));
        assert!(sequences(&none, id).is_empty());
    }
}
