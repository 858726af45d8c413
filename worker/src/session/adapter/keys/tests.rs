//! The adapter passes the library's own suite, on the real database.

use crate::committer::Committer;
use crate::wake::Wake;
use shared::clock::Clock;
use shared::id::Token;
use shared::store::Fence;
use shared::store::commit::Write;
use shared::store::sessions;
use shared::testing::{TestDatabase, token};
use whatsapp::store::conformance;

use super::*;

/// A store whose steps are committed as an actor would.
async fn open(database: &TestDatabase, committer: &Committer, fence: Fence) -> Keys {
    let token: Token = token();
    let session = sessions::create(database.store(), &token, 1)
        .await
        .unwrap()
        .into_record()
        .id;
    let (steps, mut taken) = mpsc::channel::<Box<Step>>(1);
    let committer = committer.clone();
    tokio::spawn(async move {
        while let Some(step) = taken.recv().await {
            let mut write = Write::new(fence, session);
            write.keys = step.keys;
            let done = committer.commit(write).await.map_err(|_| StoreError::Fenced);
            drop(step.done.send(done));
        }
    });
    Keys {
        store: database.store().clone(),
        session,
        keeps_messages: true,
        noted: Noted::default(),
        clock: Clock::system(),
        steps,
    }
}

#[tokio::test]
async fn the_adapter_keeps_the_library_s_promises() {
    let database = TestDatabase::new().await;
    let fence = database.lease(0, "w").await;
    let (committer, _) = Committer::start(database.store(), Wake::new(), Clock::system()).unwrap();
    conformance::run(|| open(&database, &committer, fence)).await;
}

#[tokio::test]
async fn a_stale_owner_commits_nothing() {
    let database = TestDatabase::new().await;
    let fence = database.lease(0, "w").await;
    let (committer, _) = Committer::start(database.store(), Wake::new(), Clock::system()).unwrap();
    let mut keys = open(&database, &committer, fence).await;
    shared::store::leases::release(database.store(), fence)
        .await
        .unwrap();
    let mut changes = Changes::default();
    changes.put_lid("1", "2");
    assert!(matches!(
        keys.commit(changes, Vec::new()).await,
        Err(StoreError::Fenced)
    ));
    let key = RecordKey::other_name(&"1@s.whatsapp.net".parse().unwrap()).unwrap();
    assert_eq!(keys.load(vec![key]).await.unwrap(), [None]);
}
