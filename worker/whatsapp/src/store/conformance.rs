//! The suite that every [`KeyStore`] must pass.
//!
//! Call [`run`] from a test of the store. It panics with the fact that does not hold.

use std::future::Future;

use bytes::Bytes;

use super::changes::Changes;
use super::key_store::KeyStore;
use super::record::{RecordKey, RecordKind};

/// Some kinds: a store takes them all alike.
const KINDS: [RecordKind; 3] = [RecordKind::Device, RecordKind::Session, RecordKind::PreKey];
/// Records that one commit may touch: the prekeys of a first upload, the sessions of a large send.
const MANY_RECORDS: u32 = 2000;

/// Runs every check, each on a fresh, empty store from `open`.
///
/// # Panics
/// When the store breaks its contract.
pub async fn run<S, F>(open: impl Fn() -> F)
where
    S: KeyStore,
    F: Future<Output = S>,
{
    empty_store_knows_nothing(&mut open().await).await;
    kinds_and_names_are_apart(&mut open().await).await;
    values_come_back_in_the_order_asked(&mut open().await).await;
    names_come_in_pages(&mut open().await).await;
    last_write_holds_and_deletions_delete(&mut open().await).await;
    large_commits_are_taken(&mut open().await).await;
    empty_commit_is_no_error(&mut open().await).await;
}

async fn empty_store_knows_nothing<S: KeyStore>(store: &mut S) {
    let nothing = load(store, KINDS.map(|kind| RecordKey::new(kind, "1"))).await;
    assert_eq!(nothing, [const { None }; KINDS.len()], "an empty store is empty");
    assert_eq!(load(store, []).await, [], "asking for nothing gives nothing");
}

async fn kinds_and_names_are_apart<S: KeyStore>(store: &mut S) {
    let names: [&[u8]; 4] = [b"", b"1", b"15550001@s.whatsapp.net", b"\x00\xff binary \x00"];
    let keys = || {
        KINDS
            .into_iter()
            .flat_map(|kind| names.map(|name| RecordKey::new(kind, name)))
    };
    let value = |at: usize| Bytes::from(format!("value {at}"));
    let mut changes = Changes::default();
    for (at, key) in keys().enumerate() {
        changes.put(key, value(at));
    }
    commit(store, changes).await;
    let expected: Vec<_> = keys().enumerate().map(|(at, _)| Some(value(at))).collect();
    assert_eq!(
        load(store, keys()).await,
        expected,
        "each record has its own value"
    );
    let mut changes = Changes::default();
    changes.delete(RecordKey::new(RecordKind::PreKey, "1"));
    commit(store, changes).await;
    let left = load(store, keys()).await.into_iter().flatten().count();
    assert_eq!(left, expected.len() - 1, "one deletion deletes one record");
}

async fn values_come_back_in_the_order_asked<S: KeyStore>(store: &mut S) {
    let binary: &[u8] = b"\x00\xff binary \x00";
    commit(store, written(&[(1, b"one"), (2, b"two"), (3, binary)])).await;
    let expected = [some(binary), None, some(b"one"), some(b"two"), some(b"one")];
    let found = load(store, [3, 9, 1, 2, 1].map(key)).await;
    assert_eq!(found, expected, "values stand in the order asked");
}

async fn names_come_in_pages<S: KeyStore>(store: &mut S) {
    let mut changes = Changes::default();
    for name in [&b"b"[..], b"\xff", b"", b"a"] {
        changes.put(
            RecordKey::new(RecordKind::Session, name),
            Bytes::from_static(b"v"),
        );
    }
    changes.put(RecordKey::new(RecordKind::PreKey, "aa"), Bytes::from_static(b"v"));
    commit(store, changes).await;
    let mut page = async |after: Option<&[u8]>, most| {
        let after = after.map(<[u8]>::to_vec);
        let names = store.names(RecordKind::Session, after, most).await;
        names.expect("names are listed")
    };
    assert_eq!(page(None, 2).await, [&b""[..], b"a"], "the first in order");
    assert_eq!(page(Some(b"a"), 9).await, [&b"b"[..], b"\xff"], "those behind");
    assert!(page(Some(b"\xff"), 9).await.is_empty(), "none behind the last");
}

async fn last_write_holds_and_deletions_delete<S: KeyStore>(store: &mut S) {
    commit(store, written(&[(1, b"old")])).await;
    commit(store, written(&[(1, b"never seen"), (1, b"new")])).await;
    assert_eq!(
        load(store, [key(1)]).await,
        [some(b"new")],
        "the last write holds"
    );
    let mut changes = Changes::default();
    changes.delete(key(1));
    changes.delete(key(2));
    commit(store, changes).await;
    let found = load(store, [1, 2].map(key)).await;
    assert_eq!(found, [None, None], "deleted, and deleting nothing is no error");
    commit(store, written(&[(1, b"")])).await;
    let found = load(store, [key(1)]).await;
    assert_eq!(found, [some(b"")], "an empty value is not a missing one");
}

async fn large_commits_are_taken<S: KeyStore>(store: &mut S) {
    let mut changes = Changes::default();
    for n in 0..MANY_RECORDS {
        changes.put(key(n), Bytes::copy_from_slice(&n.to_be_bytes()));
    }
    commit(store, changes).await;
    let found = load(store, (0..MANY_RECORDS).rev().map(key)).await;
    let expected: Vec<_> = (0..MANY_RECORDS).rev().map(|n| some(&n.to_be_bytes())).collect();
    assert_eq!(found, expected, "each record of many is kept");
}

async fn empty_commit_is_no_error<S: KeyStore>(store: &mut S) {
    assert!(Changes::default().is_empty());
    commit(store, Changes::default()).await;
}

fn key(n: u32) -> RecordKey {
    RecordKey::new(RecordKind::Session, n.to_be_bytes())
}

fn some(value: &[u8]) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(value))
}

fn written(values: &[(u32, &[u8])]) -> Changes {
    let mut changes = Changes::default();
    for (n, value) in values {
        changes.put(key(*n), Bytes::copy_from_slice(value));
    }
    changes
}

async fn load<S: KeyStore>(store: &mut S, keys: impl IntoIterator<Item = RecordKey>) -> Vec<Option<Bytes>> {
    match store.load(keys.into_iter().collect()).await {
        Ok(loaded) => loaded,
        Err(error) => panic!("load failed: {error:?}"),
    }
}

async fn commit<S: KeyStore>(store: &mut S, changes: Changes) {
    if let Err(error) = store.commit(changes, Vec::new()).await {
        panic!("commit failed: {error:?}");
    }
}
