//! How many rows are in memory, in all and of each endpoint.
//!
//! An endpoint gets more rows only while they have room, so that none goes back and is overtaken by those behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::id::WebhookId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Rows that may be in memory.
const ROWS_MAX: usize = 256;

/// Rows of one endpoint that come at a time, while it has fewer than these.
pub(super) const SHARE: u32 = 8;

/// Counts rows. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<WebhookId, u32>>>,
    freed: Arc<Notify>,
}

/// The place of a row, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    endpoint: WebhookId,
    _place: OwnedSemaphorePermit,
}

impl Room {
    /// Nothing is in memory.
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(ROWS_MAX)),
            taken: Arc::default(),
            freed: Arc::default(),
        }
    }

    /// Rows for which there is room.
    pub(super) fn free(&self) -> u32 {
        u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX)
    }

    /// Endpoints that have enough.
    pub(super) fn sated(&self) -> Vec<WebhookId> {
        let taken = self.lock();
        let sated = taken.iter().filter(|(_, rows)| **rows >= SHARE);
        sated.map(|(id, _)| *id).collect()
    }

    /// A place for a row of an endpoint, if there is one.
    pub(super) fn take(&self, endpoint: WebhookId) -> Option<Place> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        *self.lock().entry(endpoint).or_default() += 1;
        Some(Place {
            room: self.clone(),
            endpoint,
            _place: place,
        })
    }

    /// Waits until some endpoint may get more than it might before.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WebhookId, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        let Some(rows) = taken.get_mut(&self.endpoint) else {
            return;
        };
        *rows -= 1;
        let left = *rows;
        if left == 0 {
            taken.remove(&self.endpoint);
        }
        if left + 1 == SHARE {
            self.room.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_is_sated_until_places_are_free_again() {
        let (room, id) = (Room::new(), shared::testing::webhook_id());
        let mut places: Vec<Place> = (0..SHARE).map(|_| room.take(id).unwrap()).collect();
        assert_eq!(room.sated(), [id]);
        places.pop();
        assert!(room.sated().is_empty());
        room.freed().await;
        drop(places);
        assert_eq!(room.free() as usize, ROWS_MAX);
    }
}
