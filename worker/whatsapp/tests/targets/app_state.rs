//! Snapshots and patches of the app state: what the phone did not seal is refused, and changes nothing.

use std::collections::BTreeMap;

use prost::Message as _;
use whatsapp::proto::{SyncActionValue, SyncdMutations, SyncdPatch, SyncdSnapshot};
use whatsapp::syncd::{Applied, BadState, Change, KeyId, Macs, MutationKeys, Operation, Sealer, State};

const COLLECTION: &str = "regular";
const KEY: [u8; 32] = [5; 32];
const IV: [u8; 16] = [3; 16];

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = super::chosen(data, 5) else {
        return;
    };
    match kind {
        0 => {
            if let Ok(patch) = SyncdPatch::decode(data) {
                assert!(applied(&patch).is_err(), "nobody has the key");
            }
        }
        1 => {
            if let Ok(snapshot) = SyncdSnapshot::decode(data) {
                let taken = State::of_snapshot(COLLECTION, &snapshot, &keys(), Macs::default());
                assert!(taken.is_err(), "nobody has the key");
            }
        }
        2 => sealed(data),
        3 => drop(SyncdMutations::decode(data)),
        _ => {
            let mut macs = Macs::default();
            let is_whole = macs.read(data);
            assert_eq!(is_whole, data.len() % 64 == 0);
            macs.clear();
        }
    }
}

fn keys() -> BTreeMap<KeyId, MutationKeys> {
    [(id(), MutationKeys::expand(&KEY))].into()
}

fn id() -> KeyId {
    KeyId::new(&[1, 2]).expect("an id")
}

fn applied(patch: &SyncdPatch) -> Result<Applied, BadState> {
    State::NEW.apply(COLLECTION, patch, &patch.mutations, &keys(), Macs::default())
}

/// A patch that the phone makes of anything at all; then the same with one byte changed.
fn sealed(data: &[u8]) {
    let (index, value) = data.split_at(data.len().min(16));
    let index = String::from_utf8_lossy(index);
    let value = SyncActionValue::decode(value).unwrap_or_default();
    let index = ["mute", &index];
    let change = |operation| Change {
        operation,
        index: &index,
        value: value.clone(),
        version: 1,
        iv: IV,
    };
    let (mut state, mut macs) = (State::NEW, Macs::default());
    let sealer = Sealer::new(id(), MutationKeys::expand(&KEY));
    let patch = sealer.patch(COLLECTION, &mut state, &mut macs, &[change(Operation::Set)]);
    let taken = applied(&patch).expect("what was sealed can be read");
    assert_eq!(taken.state, state);
    assert_eq!(taken.mutations[0].index, index);
    assert_eq!(taken.mutations[0].value.encode_to_vec(), value.encode_to_vec());
    let spoiled = super::spoiled(&patch.encode_to_vec(), data);
    if let Some(Ok(spoiled)) = spoiled.map(|bytes| SyncdPatch::decode(bytes.as_slice()))
        && let Ok(other) = applied(&spoiled)
    {
        assert_eq!(other.state, state, "a patch that was changed does something else");
        assert_eq!(other.mutations.len(), 1);
    }
    let records = patch
        .mutations
        .iter()
        .filter_map(|mutation| mutation.record.clone());
    let snapshot = sealer.snapshot(COLLECTION, &state, records.collect());
    let taken = State::of_snapshot(COLLECTION, &snapshot, &keys(), Macs::default());
    assert_eq!(taken.expect("what was sealed can be read").state, state);
    let removing = sealer.patch(COLLECTION, &mut state, &mut macs, &[change(Operation::Remove)]);
    let taken = taken_after(&patch, &removing);
    assert_eq!(taken.state, state);
}

/// Both patches, one after the other.
fn taken_after(first: &SyncdPatch, second: &SyncdPatch) -> Applied {
    let Applied { state, macs, .. } = applied(first).expect("the first");
    let taken = state.apply(COLLECTION, second, &second.mutations, &keys(), macs);
    taken.expect("the second")
}
