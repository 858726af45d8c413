//! The adapter passes the library's own suite, on the real database.

use crate::shard::committer::Committer;
use crate::shard::relay::Wake;
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
async fn a_number_is_known_in_its_present_form() {
    let database = TestDatabase::new().await;
    let fence = database.lease(0, "w").await;
    let (committer, _) = Committer::start(database.store(), Wake::new(), Clock::system()).unwrap();
    let mut keys = open(&database, &committer, fence).await;
    let mut changes = Changes::default();
    changes.put_renumbered("5511987654321", "551187654321");
    keys.commit(changes, Vec::new()).await.unwrap();
    for (asked, known) in [
        ("5511987654321@s.whatsapp.net", "551187654321@s.whatsapp.net"),
        ("551187654321@s.whatsapp.net", "551187654321@s.whatsapp.net"),
        ("5511987654321@lid", "5511987654321@lid"),
    ] {
        let found = keys.present_form(asked.parse().unwrap()).await.unwrap();
        assert_eq!(found.to_string(), known);
    }
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
    let changes = Changes {
        lids: [("1".to_owned(), "2".to_owned())].into(),
        ..Changes::default()
    };
    assert!(matches!(
        keys.commit(changes, Vec::new()).await,
        Err(StoreError::Fenced)
    ));
    let Ok(Loaded::Lids(found)) = keys
        .load(Load::Lids(vec!["1@s.whatsapp.net".parse().unwrap()]))
        .await
    else {
        panic!("lids are loaded");
    };
    assert_eq!(found, [None]);
}
