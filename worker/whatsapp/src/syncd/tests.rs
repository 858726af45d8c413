//! Patches and snapshots that another client made (`tests/vectors/state.json`), and altered ones.

use std::collections::BTreeMap;

use prost::Message as _;
use serde_json::Value;

use super::apply::Keys;
use super::*;
use crate::proto::{SyncActionData, SyncdPatch, SyncdRecord, SyncdSnapshot};
use crate::testing::{bytes, bytes32, state_vector};

fn key() -> (KeyId, MutationKeys) {
    let case = state_vector("mutations");
    let id = KeyId::new(&bytes(&case["key_id"])).unwrap();
    (id, MutationKeys::expand(&bytes32(&case["key_data"])))
}

fn keys() -> Keys {
    BTreeMap::from([key()])
}

fn hash(value: &Value) -> LtHash {
    LtHash::new(bytes(value).try_into().unwrap())
}

/// The patches of a collection, in order, with what each leads to.
fn patches(collection: &str) -> Vec<(SyncdPatch, Value)> {
    let case = state_vector("mutations");
    let steps = case[collection].as_array().unwrap().iter();
    let steps = steps.map(|step| {
        let patch = bytes(&step["syncd_patch_as_relayed_with_version"]);
        (SyncdPatch::decode(patch.as_slice()).unwrap(), step.clone())
    });
    steps.collect()
}

const COLLECTIONS: [&str; 5] = [
    "critical_block",
    "critical_unblock_low",
    "regular_high",
    "regular_low",
    "regular",
];

#[test]
fn a_key_makes_the_five_that_it_should() {
    let case = state_vector("key_expansion");
    let keys = MutationKeys::expand(&bytes32(&case["key_data"]));
    for (part, name) in [
        (keys.index(), "index_key"),
        (keys.value_encryption(), "value_encryption_key"),
        (keys.value_mac(), "value_mac_key"),
        (keys.snapshot_mac(), "snapshot_mac_key"),
        (keys.patch_mac(), "patch_mac_key"),
    ] {
        assert_eq!(*part, bytes32(&case[name]), "{name}");
    }
}

#[test]
fn the_hash_is_that_of_other_clients() {
    let case = state_vector("lthash");
    let [a, b, c] = ["item_a", "item_b", "item_c"].map(|name| bytes32(&case[name]));
    let made = |base: LtHash, minus: &[ValueMac], plus: &[ValueMac]| {
        let mut hash = base;
        minus.iter().for_each(|item| hash.subtract(item));
        plus.iter().for_each(|item| hash.add(item));
        hash
    };
    let both = hash(&case["add_a_b"]);
    for (found, name) in [
        (made(LtHash::ZERO, &[], &[]), "zero"),
        (made(LtHash::ZERO, &[], &[a]), "add_a"),
        (made(LtHash::ZERO, &[], &[b, a]), "add_a_b"),
        (made(LtHash::ZERO, &[a], &[]), "sub_a_from_zero"),
        (made(both.clone(), &[a], &[]), "add_a_b_then_sub_a"),
        (made(both, &[a], &[c]), "replace_a_by_c_in_a_b"),
        (made(LtHash::new([0xff; 128]), &[], &[a]), "base_ff_add_a"),
    ] {
        assert_eq!(found.as_bytes()[..], bytes(&case[name]), "{name}");
    }
}

#[test]
fn patches_of_another_client_lead_where_it_says() {
    for collection in COLLECTIONS {
        let (mut state, mut macs) = (State::NEW, Macs::default());
        for (patch, step) in patches(collection) {
            let applied = state
                .apply(collection, &patch, &patch.mutations, &keys(), macs)
                .unwrap();
            let after = &step["state_after"];
            assert_eq!(applied.state.version, after["version"].as_u64().unwrap());
            assert_eq!(applied.state.hash, hash(&after["hash"]), "{collection}");
            let [mutation] = &applied.mutations[..] else {
                panic!("one mutation each")
            };
            let index: Vec<String> = serde_json::from_str(step["index_json"].as_str().unwrap()).unwrap();
            assert_eq!(mutation.index, index);
            (state, macs) = (applied.state, applied.macs);
        }
    }
}

#[test]
fn what_we_seal_is_what_the_other_client_sealed() {
    let (id, keys) = key();
    let sealer = Sealer::new(id, keys);
    for collection in COLLECTIONS {
        let (mut state, mut macs) = (State::NEW, Macs::default());
        for (patch, step) in patches(collection) {
            let plain = bytes(&step["sync_action_data_plain"]);
            let data = SyncActionData::decode(plain.as_slice()).unwrap();
            let index: Vec<String> = serde_json::from_str(step["index_json"].as_str().unwrap()).unwrap();
            let index: Vec<&str> = index.iter().map(String::as_str).collect();
            let is_set = step["operation"] == "SET(0)";
            let change = Change {
                operation: if is_set { Operation::Set } else { Operation::Remove },
                index: &index,
                value: data.value.unwrap(),
                version: data.version.unwrap(),
                iv: bytes(&step["iv"]).try_into().unwrap(),
            };
            let sealed = sealer.patch(collection, &mut state, &mut macs, &[change]);
            assert_eq!(sealed, patch, "{collection} {}", step["index_json"]);
        }
    }
}

#[test]
fn a_snapshot_of_another_client_is_read_and_made_the_same() {
    let case = state_vector("snapshot");
    let snapshot = SyncdSnapshot::decode(bytes(&case["syncd_snapshot"]).as_slice()).unwrap();
    let applied = State::of_snapshot("regular_low", &snapshot, &keys(), Macs::default()).unwrap();
    assert_eq!(applied.state.version, 4);
    assert_eq!(applied.state.hash, hash(&case["lthash"]));
    assert_eq!(applied.mutations.len(), 3);
    let (id, keys) = key();
    let made = Sealer::new(id, keys).snapshot("regular_low", &applied.state, snapshot.records.clone());
    assert_eq!(made, snapshot);
}

fn altered(change: impl FnOnce(&mut SyncdPatch)) -> BadState {
    let (mut patch, _) = patches("critical_block").remove(0);
    change(&mut patch);
    let applied = State::NEW.apply(
        "critical_block",
        &patch,
        &patch.mutations,
        &keys(),
        Macs::default(),
    );
    applied.unwrap_err()
}

fn flipped(bytes: &mut Option<bytes::Bytes>, at: usize) {
    let mut altered = bytes.take().unwrap().to_vec();
    altered[at] ^= 1;
    *bytes = Some(altered.into());
}

fn record(patch: &mut SyncdPatch) -> &mut SyncdRecord {
    patch.mutations[0].record.as_mut().unwrap()
}

#[test]
fn nothing_that_was_altered_is_believed() {
    let value = |at| altered(|patch| flipped(&mut record(patch).value.as_mut().unwrap().blob, at));
    for at in [0, 20, 111] {
        assert_eq!(value(at), BadState::Mac("value"), "{at}");
    }
    assert_eq!(
        altered(|patch| flipped(&mut record(patch).index.as_mut().unwrap().blob, 3)),
        BadState::Mac("index")
    );
    assert_eq!(
        altered(|patch| flipped(&mut patch.snapshot_mac, 0)),
        BadState::Mac("snapshot")
    );
    assert_eq!(
        altered(|patch| flipped(&mut patch.patch_mac, 31)),
        BadState::Mac("patch")
    );
    assert_eq!(
        altered(|patch| patch.mutations[0].operation = Some(1)),
        BadState::Mac("value")
    );
    assert_eq!(
        altered(|patch| patch.version.as_mut().unwrap().version = Some(2)),
        BadState::Order { held: 0, found: 2 }
    );
    assert!(matches!(
        altered(|patch| flipped(&mut patch.key_id.as_mut().unwrap().id, 0)),
        BadState::MissingKey(_)
    ));
    let (patch, _) = patches("critical_block").remove(0);
    let elsewhere = State::NEW.apply("regular", &patch, &patch.mutations, &keys(), Macs::default());
    assert_eq!(elsewhere.unwrap_err(), BadState::Mac("snapshot"));
}

#[test]
fn parts_that_are_missing_or_short_are_refused() {
    for odd in [
        altered(|patch| record(patch).value = None),
        altered(|patch| {
            record(patch).value.as_mut().unwrap().blob = Some(bytes::Bytes::from_static(&[1; 47]))
        }),
        altered(|patch| record(patch).index = None),
        altered(|patch| record(patch).key_id = None),
        altered(|patch| patch.mutations[0].record = None),
        altered(|patch| patch.mutations[0].operation = Some(7)),
        altered(|patch| patch.snapshot_mac = None),
        altered(|patch| patch.patch_mac = None),
        altered(|patch| patch.key_id = None),
        altered(|patch| patch.version = None),
    ] {
        assert!(matches!(odd, BadState::Malformed(_)), "{odd:?}");
    }
}

#[test]
fn a_record_that_was_removed_and_set_again_counts_once() {
    let (id, by) = key();
    let sealer = Sealer::new(id, by);
    let (mut made, mut made_macs) = (State::NEW, Macs::default());
    let (mut held, mut stored) = (State::NEW, BTreeMap::<u8, bytes::Bytes>::new());
    for operation in [
        Operation::Set,
        Operation::Remove,
        Operation::Remove,
        Operation::Set,
    ] {
        let change = Change {
            operation,
            index: &["nct_salt_sync"],
            value: Default::default(),
            version: 1,
            iv: [3; 16],
        };
        let patch = sealer.patch("regular_high", &mut made, &mut made_macs, &[change]);
        let mut macs = Macs::default();
        assert!(stored.values().all(|bucket| macs.read(bucket)));
        let applied = held
            .apply("regular_high", &patch, &patch.mutations, &keys(), macs)
            .unwrap();
        for (bucket, bytes) in applied.macs.altered() {
            match bytes {
                Some(bytes) => stored.insert(bucket, bytes),
                None => stored.remove(&bucket),
            };
        }
        held = applied.state;
    }
    assert_eq!(held, made);
    assert_eq!(stored.len(), 1);
}
