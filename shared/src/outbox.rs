//! From the outbox to the broker: one relay per owned shard publishes committed events, in order.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::id::{SHARDS_MAX, ShardId};

/// Wakes relays in process: told of a shard when events of it were committed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wake(Arc<[Notify]>);

impl Wake {
    /// A wake for all shards that there can be.
    pub fn new() -> Self {
        Self((0..SHARDS_MAX).map(|_| Notify::new()).collect())
    }

    /// Wakes the relay of a shard. Remembered until it waits, if it does not now.
    pub fn shard(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notify_one();
    }

    /// Waits until the shard is woken. Cancel safe.
    pub async fn wait(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notified().await;
    }
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}
