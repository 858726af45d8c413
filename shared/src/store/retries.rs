//! The recipients of a queue that failed, as a send of its own.

use sha2::{Digest, Sha256};

use super::queues::QueueRecord;
use super::{Store, StoreError, recipients};
use crate::id::{JobId, QueueId};
use crate::job::{Recipient, SendJob};

/// What sends the message of a queue again to those who failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Its identity where nobody names one: the same for the same recipients of the same queue, so that to ask twice is
    /// not to send twice.
    pub id: JobId,
    /// The send: as that of the queue was, but that it starts at once.
    pub job: SendJob,
}

/// The send of those recipients of a queue that failed, only those with one of `codes`, if there are any; `None` without
/// one.
pub async fn of_failed(
    store: &Store,
    queue: QueueRecord,
    codes: &[u16],
) -> Result<Option<Retry>, StoreError> {
    let failed = recipients::failed(store, queue.id, codes).await?;
    if failed.is_empty() {
        return Ok(None);
    }
    let id = id_of(queue.id, failed.iter().map(|failed| failed.seq));
    let numbers = failed.into_iter().map(|failed| Recipient {
        number: failed.number,
        reference: failed.reference,
        variables: failed.variables,
    });
    let job = SendJob {
        delay: queue.delay,
        on_unknown: queue.on_unknown,
        duplicates: queue.duplicates,
        reference: queue.reference,
        label: queue.label,
        ..SendJob::new(numbers, queue.content)
    };
    Ok(Some(Retry { id, job }))
}

fn id_of(queue: QueueId, places: impl Iterator<Item = u32>) -> JobId {
    let mut hash = Sha256::new();
    for place in places {
        hash.update(place.to_be_bytes());
    }
    let id = uuid::Uuid::new_v5(&queue.as_uuid(), &hash.finalize());
    // Unwrap safety: a UUID is a job id.
    #[allow(clippy::unwrap_used)]
    JobId::new(&id.to_string()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_without_an_id_is_known_by_whom_it_is_for() {
        let queue = crate::testing::queue_id();
        let id = |queue, places: &[u32]| id_of(queue, places.iter().copied());
        assert_eq!(id(queue, &[1, 2]), id(queue, &[1, 2]));
        assert_ne!(id(queue, &[1, 2]), id(queue, &[1]));
        assert_ne!(id(queue, &[1]), id(crate::testing::queue_id(), &[1]));
    }
}
