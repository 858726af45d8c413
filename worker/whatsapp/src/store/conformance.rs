//! The suite that every [`KeyStore`] must pass.
//!
//! Call [`run`] from a test of the store. It panics with the fact that does not hold.

use std::future::Future;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Changes, KeyStore, Load, Loaded};
use crate::device::Device;
use crate::jid::{Jid, Server};
use crate::signal::curve::KeyPair;
use crate::signal::{Address, PreKey, PreKeyId, SignedPreKey, SignedPreKeyId};

/// One-time prekeys of the first upload: a store must take them in one commit.
const FIRST_UPLOAD_PREKEYS: u32 = 812;
/// Sessions that one commit of a large send may touch.
const MANY_SESSIONS: u16 = 1000;

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
    device_comes_back_and_is_replaced(&mut open().await).await;
    sessions_come_back_in_the_order_asked(&mut open().await).await;
    last_write_holds_and_none_deletes(&mut open().await).await;
    prekeys_come_back_and_are_used_once(&mut open().await).await;
    sender_keys_are_kept_per_group_and_device(&mut open().await).await;
    hidden_ids_are_found_both_ways(&mut open().await).await;
    large_commits_are_taken(&mut open().await).await;
    empty_commit_is_no_error(&mut open().await).await;
}

async fn empty_store_knows_nothing<S: KeyStore>(store: &mut S) {
    assert!(matches!(load(store, Load::Device).await, Loaded::Device(None)));
    assert_eq!(
        sessions(store, &[address(0)]).await,
        [None],
        "no session in an empty store"
    );
    assert_eq!(
        prekey(store, PreKeyId::FIRST).await,
        None,
        "no prekey in an empty store"
    );
    assert_eq!(
        signed_prekey(store, SignedPreKeyId::FIRST).await,
        None,
        "no signed prekey in an empty store"
    );
    assert_eq!(sessions(store, &[]).await, [], "asking for nothing gives nothing");
    assert_eq!(
        lids(store, &[phone("1")]).await,
        [None],
        "no hidden id in an empty store"
    );
}

async fn device_comes_back_and_is_replaced<S: KeyStore>(store: &mut S) {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..2 {
        let device = Device::generate(&mut rng);
        let changes = Changes {
            device: Some(Box::new(device.clone())),
            ..Changes::default()
        };
        commit(store, changes).await;
        let Loaded::Device(Some(stored)) = load(store, Load::Device).await else {
            panic!("the device is gone");
        };
        assert_eq!(
            stored.encode(),
            device.encode(),
            "the device comes back as it was committed"
        );
    }
    commit(store, one_session(address(0), b"a")).await;
    assert!(
        matches!(load(store, Load::Device).await, Loaded::Device(Some(_))),
        "a commit without a device leaves it"
    );
}

async fn sessions_come_back_in_the_order_asked<S: KeyStore>(store: &mut S) {
    let mut changes = one_session(address(1), b"one");
    changes.merge(one_session(address(2), b"two"));
    changes.merge(one_session(address(3), b"\x00\xff binary \x00"));
    commit(store, changes).await;
    let asked = [address(3), address(9), address(1), address(2), address(1)];
    let expected = [
        some(b"\x00\xff binary \x00"),
        None,
        some(b"one"),
        some(b"two"),
        some(b"one"),
    ];
    assert_eq!(
        sessions(store, &asked).await,
        expected,
        "values stand in the order asked"
    );
    let hidden: Address = Jid::new("15550001", Server::Lid).with_device(1).into();
    assert_eq!(
        sessions(store, &[hidden]).await,
        [None],
        "the server is part of the address"
    );
}

async fn last_write_holds_and_none_deletes<S: KeyStore>(store: &mut S) {
    commit(store, one_session(address(1), b"old")).await;
    let mut changes = one_session(address(1), b"never seen");
    changes.merge(one_session(address(1), b"new"));
    commit(store, changes).await;
    assert_eq!(
        sessions(store, &[address(1)]).await,
        [some(b"new")],
        "the last write holds"
    );
    let mut changes = Changes::default();
    changes.sessions.insert(address(1), None);
    changes.sessions.insert(address(2), None);
    commit(store, changes).await;
    let asked = [address(1), address(2)];
    assert_eq!(
        sessions(store, &asked).await,
        [None, None],
        "deleted, and deleting nothing is no error"
    );
    commit(store, one_session(address(1), b"")).await;
    assert_eq!(
        sessions(store, &[address(1)]).await,
        [some(b"")],
        "an empty value is not a missing one"
    );
}

async fn prekeys_come_back_and_are_used_once<S: KeyStore>(store: &mut S) {
    let mut rng = StdRng::seed_from_u64(2);
    let one_time = PreKey::generate(PreKeyId::FIRST, &mut rng);
    let identity = KeyPair::generate(&mut rng);
    let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &identity, &mut rng);
    let mut changes = Changes::default();
    changes.put_prekey(&one_time);
    changes.put_signed_prekey(&signed);
    commit(store, changes).await;
    assert_eq!(
        prekey(store, one_time.id).await,
        Some(one_time.encode()),
        "the prekey comes back"
    );
    assert_eq!(
        signed_prekey(store, signed.id).await,
        Some(signed.encode()),
        "the signed prekey comes back"
    );
    // The session made with a prekey and its deletion are one commit.
    let mut changes = one_session(address(1), b"session");
    changes.prekeys.insert(one_time.id, None);
    commit(store, changes).await;
    assert_eq!(prekey(store, one_time.id).await, None, "a used prekey is gone");
    assert_eq!(
        signed_prekey(store, signed.id).await,
        Some(signed.encode()),
        "ids of both kinds are apart"
    );
}

async fn sender_keys_are_kept_per_group_and_device<S: KeyStore>(store: &mut S) {
    let groups = [
        Jid::new("120363000000000001", Server::Group),
        Jid::new("120363000000000002", Server::Group),
    ];
    let name = |group: usize, device| (groups[group].clone(), address(device));
    let mut changes = Changes::default();
    changes.sender_keys.insert(name(0, 1), some(b"first"));
    changes.sender_keys.insert(name(1, 1), some(b"second"));
    commit(store, changes).await;
    let asked = vec![name(1, 1), name(0, 2), name(0, 1)];
    let Loaded::SenderKeys(found) = load(store, Load::SenderKeys(asked)).await else {
        panic!("wrong answer")
    };
    assert_eq!(
        found,
        [some(b"second"), None, some(b"first")],
        "sender keys are kept per group and device"
    );
    let mut changes = Changes::default();
    changes.delete_sender_key(groups[0].clone(), address(1));
    commit(store, changes).await;
    let asked = vec![name(0, 1), name(1, 1)];
    let Loaded::SenderKeys(found) = load(store, Load::SenderKeys(asked)).await else {
        panic!("wrong answer")
    };
    assert_eq!(found, [None, some(b"second")], "one sender key is deleted");
}

async fn hidden_ids_are_found_both_ways<S: KeyStore>(store: &mut S) {
    let mut changes = Changes::default();
    changes.put_lid("1", "100");
    changes.put_lid("2", "200");
    commit(store, changes).await;
    let asked = [lid("200"), phone("1"), lid("1"), phone("3")];
    let expected = [Some(phone("2")), Some(lid("100")), None, None];
    assert_eq!(lids(store, &asked).await, expected, "each name gives the other");
    // A number that moved to another account.
    let mut changes = Changes::default();
    changes.put_lid("1", "300");
    commit(store, changes).await;
    let asked = [phone("1"), lid("300"), lid("100")];
    let expected = [Some(lid("300")), Some(phone("1")), None];
    assert_eq!(
        lids(store, &asked).await,
        expected,
        "a new pair replaces the number's earlier one"
    );
    // An account that changed its number.
    let mut changes = Changes::default();
    changes.put_lid("4", "200");
    commit(store, changes).await;
    let asked = [lid("200"), phone("4"), phone("2")];
    let expected = [Some(phone("4")), Some(lid("200")), None];
    assert_eq!(
        lids(store, &asked).await,
        expected,
        "a new pair replaces the hidden id's earlier one"
    );
}

async fn large_commits_are_taken<S: KeyStore>(store: &mut S) {
    let mut changes = Changes::default();
    let prekeys = (1..=FIRST_UPLOAD_PREKEYS).filter_map(PreKeyId::new);
    changes
        .prekeys
        .extend(prekeys.map(|id| (id, some(&id.get().to_be_bytes()))));
    for device in 0..MANY_SESSIONS {
        changes.merge(one_session(address(device), &device.to_be_bytes()));
    }
    commit(store, changes).await;
    let last = (1..=FIRST_UPLOAD_PREKEYS).filter_map(PreKeyId::new).next_back();
    for id in [Some(PreKeyId::FIRST), last].into_iter().flatten() {
        assert_eq!(
            prekey(store, id).await,
            some(&id.get().to_be_bytes()),
            "each prekey of many is kept"
        );
    }
    let asked: Vec<Address> = (0..MANY_SESSIONS).rev().map(address).collect();
    let expected: Vec<_> = (0..MANY_SESSIONS)
        .rev()
        .map(|device| some(&device.to_be_bytes()))
        .collect();
    assert_eq!(
        sessions(store, &asked).await,
        expected,
        "each session of many is kept"
    );
}

async fn empty_commit_is_no_error<S: KeyStore>(store: &mut S) {
    assert!(Changes::default().is_empty());
    commit(store, Changes::default()).await;
}

fn address(device: u16) -> Address {
    phone("15550001").with_device(device).into()
}

fn phone(user: &str) -> Jid {
    Jid::new(user, Server::User)
}

fn lid(user: &str) -> Jid {
    Jid::new(user, Server::Lid)
}

fn some(value: &[u8]) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(value))
}

fn one_session(address: Address, value: &[u8]) -> Changes {
    let mut changes = Changes::default();
    changes.sessions.insert(address, some(value));
    changes
}

async fn load<S: KeyStore>(store: &mut S, request: Load) -> Loaded {
    match store.load(request).await {
        Ok(loaded) => loaded,
        Err(error) => panic!("load failed: {error:?}"),
    }
}

async fn commit<S: KeyStore>(store: &mut S, changes: Changes) {
    if let Err(error) = store.commit(changes, Vec::new()).await {
        panic!("commit failed: {error:?}");
    }
}

async fn sessions<S: KeyStore>(store: &mut S, names: &[Address]) -> Vec<Option<Bytes>> {
    match load(store, Load::Sessions(names.to_vec())).await {
        Loaded::Sessions(found) => found,
        _ => panic!("a load of sessions was answered with something else"),
    }
}

async fn prekey<S: KeyStore>(store: &mut S, id: PreKeyId) -> Option<Bytes> {
    match load(store, Load::PreKey(id)).await {
        Loaded::PreKey(found) => found,
        _ => panic!("a load of a prekey was answered with something else"),
    }
}

async fn signed_prekey<S: KeyStore>(store: &mut S, id: SignedPreKeyId) -> Option<Bytes> {
    match load(store, Load::SignedPreKey(id)).await {
        Loaded::SignedPreKey(found) => found,
        _ => panic!("a load of a signed prekey was answered with something else"),
    }
}

async fn lids<S: KeyStore>(store: &mut S, users: &[Jid]) -> Vec<Option<Jid>> {
    match load(store, Load::Lids(users.to_vec())).await {
        Loaded::Lids(found) => found,
        _ => panic!("a load of hidden ids was answered with something else"),
    }
}
