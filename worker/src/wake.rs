//! How whoever commits events tells the relay of their shard.

use std::sync::Arc;

use shared::id::{SHARDS_MAX, ShardId};
use tokio::sync::Notify;

/// Wakes relays in process: told of a shard when events of it were committed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Wake(Arc<[Notify]>);

impl Wake {
    /// A wake for all shards that there can be.
    pub(crate) fn new() -> Self {
        Self((0..SHARDS_MAX).map(|_| Notify::new()).collect())
    }

    /// Wakes the relay of a shard. Remembered until it waits, if it does not now.
    pub(crate) fn shard(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notify_one();
    }

    /// Waits until the shard is woken. Cancel safe.
    pub(crate) async fn wait(&self, shard: ShardId) {
        self.0[usize::from(shard.get())].notified().await;
    }
}
