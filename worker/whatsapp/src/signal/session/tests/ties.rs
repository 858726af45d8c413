//! What is known of a device beside its sessions.

use super::*;

fn reopened(record: &SessionRecord) -> SessionRecord {
    SessionRecord::decode(&record.encode()).unwrap()
}

fn key(rng: &mut StdRng) -> PublicKey {
    *KeyPair::generate(rng).public()
}

#[test]
fn a_closed_record_still_knows_whom_it_was_with() {
    let (mut alice, bob, mut rng) = pair_of_parties(20);
    alice.initiate(&bob.bundle(), &mut rng);
    alice.record.close();
    let record = reopened(&alice.record);
    assert!(!record.has_session() && !record.is_empty());
    assert_eq!(record.remote_identity(), Some(bob.pair.public()));
}

#[test]
fn an_identity_that_differs_from_the_known_one_is_told_whoever_begins() {
    let (mut alice, bob, mut rng) = pair_of_parties(21);
    let own = alice.pair.clone();
    let own = LocalIdentity {
        pair: &own,
        registration_id: alice.registration_id,
    };
    let mut begin = |record: &mut SessionRecord, bundle: &PreKeyBundle| {
        record.initiate(own, bundle, &mut rng).unwrap().identity_changed
    };
    assert!(
        !begin(&mut alice.record, &bob.bundle()),
        "the first one is no change"
    );
    assert!(!begin(&mut alice.record, &bob.bundle()), "nor is the same one");
    alice.record.close();
    let other = Party::new(&mut StdRng::seed_from_u64(99));
    let mut closed = reopened(&alice.record);
    assert!(
        begin(&mut closed, &other.bundle()),
        "a closed record compares too"
    );
    assert_eq!(closed.remote_identity(), Some(other.pair.public()));
    let mut pinned = SessionRecord::default();
    pinned.pin(*bob.pair.public());
    assert!(begin(&mut reopened(&pinned), &other.bundle()));
    assert!(!begin(&mut reopened(&pinned), &bob.bundle()));
}

#[test]
fn a_pin_does_not_replace_what_is_known() {
    let (mut alice, bob, mut rng) = pair_of_parties(22);
    alice.initiate(&bob.bundle(), &mut rng);
    alice.record.pin(key(&mut rng));
    assert_eq!(alice.record.remote_identity(), Some(bob.pair.public()));
    alice.record.close();
    alice.record.pin(key(&mut rng));
    assert_eq!(alice.record.remote_identity(), Some(bob.pair.public()));
}

#[test]
fn who_vouched_is_kept_until_the_identity_changes() {
    let (mut alice, bob, mut rng) = pair_of_parties(23);
    let account = key(&mut rng);
    alice.initiate(&bob.bundle(), &mut rng);
    alice.record.vouch(account);
    alice.initiate(&bob.bundle(), &mut rng);
    alice.record = reopened(&alice.record);
    assert_eq!(alice.record.account(), Some(&account));
    let other = Party::new(&mut rng);
    alice.initiate(&other.bundle(), &mut rng);
    assert_eq!(alice.record.account(), None);
}

#[test]
fn what_another_name_knew_of_the_same_identity_is_taken_over() {
    let (mut alice, bob, mut rng) = pair_of_parties(24);
    let account = key(&mut rng);
    alice.initiate(&bob.bundle(), &mut rng);
    alice.record.vouch(account);
    let mut empty = SessionRecord::default();
    empty.absorb(alice.record.clone());
    assert_eq!(empty.account(), Some(&account));
    let mut stranger = SessionRecord::default();
    stranger.pin(key(&mut rng));
    stranger.absorb(alice.record.clone());
    assert_eq!(stranger.account(), None);
    assert!(
        !stranger.has_session(),
        "states of another identity are not taken"
    );
}

#[test]
fn a_record_without_ties_is_written_as_ever_and_an_unknown_part_is_refused() {
    let (mut alice, bob, mut rng) = pair_of_parties(25);
    alice.initiate(&bob.bundle(), &mut rng);
    assert_eq!(alice.record.encode()[0], 1);
    alice.record.vouch(key(&mut rng));
    let mut bytes = alice.record.encode().to_vec();
    assert_eq!(bytes[0], 2);
    for cut in 0..bytes.len() {
        assert!(SessionRecord::decode(&bytes[..cut]).is_err());
    }
    bytes[1] |= 0x80;
    assert!(SessionRecord::decode(&bytes).is_err());
}

fn mark(n: usize) -> Mark {
    (n as u64).to_be_bytes()
}

#[test]
fn a_shown_message_is_remembered_for_so_many_more() {
    let mut record = SessionRecord::default();
    for n in 0..2 * MAX_SHOWN {
        assert!(record.note_shown(mark(n)));
        assert!(!record.note_shown(mark(n)));
        record = reopened(&record);
    }
    assert!(!record.note_shown(mark(MAX_SHOWN)), "the oldest that is kept");
    assert!(
        record.note_shown(mark(MAX_SHOWN - 1)),
        "the one before it is forgotten"
    );
}

#[test]
fn what_was_shown_outlives_sessions_identities_and_names() {
    let (mut alice, bob, mut rng) = pair_of_parties(26);
    alice.initiate(&bob.bundle(), &mut rng);
    assert!(alice.record.note_shown(mark(1)));
    alice.record.close();
    alice.initiate(&Party::new(&mut rng).bundle(), &mut rng);
    let mut other_name = SessionRecord::default();
    other_name.pin(key(&mut rng));
    assert!(other_name.note_shown(mark(2)));
    other_name.absorb(alice.record);
    let mut record = reopened(&other_name);
    assert!(!record.note_shown(mark(1)) && !record.note_shown(mark(2)));
}

#[test]
fn more_marks_than_may_be_are_refused() {
    let mut bytes = vec![2, 4, MAX_SHOWN as u8 + 1];
    bytes.resize(3 + (MAX_SHOWN + 1) * MARK_BYTES, 7);
    bytes.push(0);
    assert!(SessionRecord::decode(&bytes).is_err());
}
