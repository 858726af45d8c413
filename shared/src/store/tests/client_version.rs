//! The row of the version: who fetches, what is kept, what is never set back.

use std::time::Duration;

use time::OffsetDateTime;

use super::super::client_version::{self, Known, Pace, Release, Source, WebVersion};
use crate::store::Store;
use crate::testing::TestDatabase;

const HOUR: Duration = Duration::from_secs(3_600);
const PACE: Pace = Pace {
    retry: HOUR,
    refused: Duration::from_secs(30),
    refusal_lasts: Duration::from_secs(7_200),
    expiring: HOUR,
};

fn version(revision: u32) -> WebVersion {
    WebVersion::new([2, 3_000, revision])
}

fn release(revision: u32) -> Release {
    Release {
        version: version(revision),
        source: Source::Page,
        built_at: OffsetDateTime::UNIX_EPOCH,
    }
}

async fn known(store: &Store) -> Known {
    client_version::read(store).await.unwrap()
}

async fn current(store: &Store) -> Option<WebVersion> {
    known(store).await.release.map(|release| release.version)
}

async fn is_refused(store: &Store) -> Option<OffsetDateTime> {
    let known = known(store).await;
    known.is_refused(known.release.unwrap().version, PACE.refusal_lasts)
}

async fn turn(store: &Store) -> bool {
    client_version::take_turn(store, &PACE).await.unwrap()
}

/// Time passes, as far as the row is concerned.
async fn pass(db: &TestDatabase, time: Duration) {
    let seconds = time.as_secs();
    let columns = ["tried_at", "next_fetch_at", "refused_at"];
    let earlier = columns.map(|column| format!("{column} = {column} - interval '{seconds} seconds'"));
    db.query(&format!("UPDATE client_version SET {}", earlier.join(", ")))
        .await;
}

#[tokio::test]
async fn of_many_workers_one_fetches() {
    let db = TestDatabase::new().await;
    let stores: Vec<_> = (0..8).map(|_| db.another_store()).collect();
    let turns = stores.iter().map(turn);
    let taken = futures_util::future::join_all(turns).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    // It died, or found nothing: another one has the next turn.
    pass(&db, HOUR / 2).await;
    assert!(!turn(db.store()).await);
    pass(&db, HOUR).await;
    assert!(turn(db.store()).await && !turn(db.store()).await);
    client_version::fetched(db.store(), &release(5), HOUR * 24)
        .await
        .unwrap();
    pass(&db, HOUR * 23).await;
    assert!(!turn(db.store()).await);
    pass(&db, HOUR * 2).await;
    assert!(turn(db.store()).await);
}

#[tokio::test]
async fn a_version_is_never_set_back_and_outlives_failures() {
    let db = TestDatabase::new().await;
    let store = db.store();
    assert_eq!(current(store).await, None);
    let built_in = Release {
        source: Source::BuiltIn,
        ..release(5)
    };
    client_version::raise(store, &built_in).await.unwrap();
    assert_eq!(known(store).await.release, Some(built_in));
    client_version::fetched(store, &release(7), HOUR).await.unwrap();
    let after = known(store).await;
    assert!(after.fetched_at.is_some() && after.failure.is_none());
    // A worker of an earlier release starts, and one that reads an old page ends late.
    client_version::raise(store, &built_in).await.unwrap();
    client_version::fetched(store, &release(6), HOUR).await.unwrap();
    assert_eq!(known(store).await.release, Some(release(7)));
    // Greater is not longer: the numbers count.
    client_version::raise(store, &release(1_000)).await.unwrap();
    client_version::raise(store, &release(999)).await.unwrap();
    assert_eq!(current(store).await, Some(version(1_000)));
    let failure = "the page names no version".repeat(20);
    client_version::failed(store, &failure).await.unwrap();
    let after = known(store).await;
    assert_eq!(after.release, Some(release(1_000)));
    assert!(after.failure.is_some_and(|why| failure.starts_with(&why)));
}

#[tokio::test]
async fn while_the_version_is_refused_the_page_is_fetched_at_a_pace_of_its_own() {
    let db = TestDatabase::new().await;
    let store = db.store();
    assert!(turn(store).await);
    client_version::fetched(store, &release(5), HOUR * 24)
        .await
        .unwrap();
    // An earlier version says nothing of this one.
    client_version::refuse(store, version(4)).await.unwrap();
    pass(&db, Duration::from_secs(31)).await;
    assert!(!turn(store).await);
    assert_eq!(is_refused(store).await, None);

    client_version::refuse(store, version(5)).await.unwrap();
    client_version::refuse(store, version(4)).await.unwrap();
    assert!(is_refused(store).await.is_some());
    let stores = [db.another_store(), db.another_store()];
    let taken = futures_util::future::join_all(stores.iter().map(turn)).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    pass(&db, Duration::from_secs(20)).await;
    assert!(!turn(store).await);
    pass(&db, Duration::from_secs(11)).await;
    assert!(turn(store).await);

    // A newer one is out: that is that.
    client_version::fetched(store, &release(6), HOUR * 24)
        .await
        .unwrap();
    pass(&db, Duration::from_secs(60)).await;
    assert!(!turn(store).await);
    assert_eq!(is_refused(store).await, None);

    // Nobody was refused for long: no session is held up.
    client_version::refuse(store, version(6)).await.unwrap();
    pass(&db, HOUR * 3).await;
    assert_eq!(is_refused(store).await, None);
    assert!(!turn(store).await);
}

#[tokio::test]
async fn the_announced_end_of_a_version_is_its_own_and_the_earliest() {
    let db = TestDatabase::new().await;
    let store = db.store();
    let at = |days: i64| OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000 + days);
    let ends = async || {
        let known = known(store).await;
        known.expires(known.release.unwrap().version)
    };
    assert!(turn(store).await);
    client_version::fetched(store, &release(5), HOUR * 24)
        .await
        .unwrap();
    client_version::expires(store, version(5), at(9)).await.unwrap();
    client_version::expires(store, version(5), at(10)).await.unwrap();
    client_version::expires(store, version(4), at(1)).await.unwrap();
    assert_eq!(ends().await, Some(at(9)));
    client_version::expires(store, version(5), at(8)).await.unwrap();
    assert_eq!(ends().await, Some(at(8)));
    // It is a reason to look for a newer one before the day is over.
    pass(&db, HOUR * 2).await;
    assert!(turn(store).await);
    client_version::expires_no_more(store, version(4)).await.unwrap();
    assert_eq!(ends().await, Some(at(8)));
    client_version::expires_no_more(store, version(5)).await.unwrap();
    assert_eq!(ends().await, None);

    client_version::expires(store, version(5), at(8)).await.unwrap();
    client_version::raise(store, &release(6)).await.unwrap();
    assert_eq!(ends().await, None);
}
