//! Whether session workers are there to do what the API takes.
//!
//! The API is of use without them: jobs are taken and wait. So it stays ready, and says what is missing.

use shared::id::ShardId;
use shared::store::{Store, leases};
use shared::telemetry::Health;

/// Has `/readyz` say which of the deployment's shards no live worker holds.
pub fn watch(health: &Health, store: &Store, shards: Vec<ShardId>) {
    let store = store.clone();
    health.notice("session workers", move || {
        let (store, shards) = (store.clone(), shards.clone());
        async move {
            // A database that is away is told by its own check.
            let held = leases::held(&store).await.unwrap_or_default();
            missing(&shards, |shard| held.contains(&shard))
        }
    });
}

fn missing(shards: &[ShardId], is_held: impl Fn(ShardId) -> bool) -> Result<(), String> {
    let free: Vec<_> = shards.iter().filter(|shard| !is_held(**shard)).collect();
    if free.is_empty() {
        return Ok(());
    }
    if free.len() == shards.len() {
        return Err(
            "none runs, so no session is connected and jobs wait; start fanfare-worker session".to_owned(),
        );
    }
    let names: Vec<_> = free.iter().map(ToString::to_string).collect();
    Err(format!(
        "none holds the shards {}: they are being taken over, or SHARDS is not the same for all processes",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use shared::clock::Clock;
    use shared::testing::TestDatabase;

    use super::*;

    fn shard(number: u16) -> ShardId {
        ShardId::new(number).unwrap()
    }

    #[tokio::test]
    async fn shards_that_nobody_holds_are_named_and_the_api_stays_ready() {
        let database = TestDatabase::new().await;
        let health = Health::new(Clock::system());
        watch(&health, database.store(), vec![shard(0), shard(1)]);
        let told = health.degradations().await;
        assert!(told.len() == 1 && told[0].contains("none runs"), "{told:?}");
        database.lease(0, "w").await;
        let told = health.degradations().await;
        assert!(told[0].contains("shards") && told[0].contains('1'), "{told:?}");
        database.lease(1, "w").await;
        assert_eq!(health.degradations().await, Vec::<String>::new());
        assert_eq!(health.not_ready().await, Vec::<String>::new());
    }
}
