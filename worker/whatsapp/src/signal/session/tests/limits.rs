//! How far, how many, how large.

use super::*;
use crate::signal::testing::ScriptedRng;

#[test]
fn message_may_be_2000_ahead_and_no_more() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(7);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"first")).unwrap();
    let skipped = alice.send(b"skipped");
    for _ in 1..MAX_GAP {
        let own = alice.pair.clone();
        let own = LocalIdentity {
            pair: &own,
            registration_id: alice.registration_id,
        };
        let _ = alice.record.encrypt(own, b"lost", &mut rng).unwrap();
    }
    let at_limit = alice.send(b"at the limit");
    let beyond = alice.send(b"beyond");
    assert_eq!(bob.receive(&beyond), Err(DecryptError::TooFarAhead));
    assert_eq!(bob.receive(&at_limit).unwrap(), b"at the limit");
    assert_eq!(bob.receive(&skipped).unwrap(), b"skipped");
    assert_eq!(bob.receive(&skipped), Err(DecryptError::Duplicate));
    assert_eq!(bob.receive(&beyond).unwrap(), b"beyond");
}

#[test]
fn skipped_seeds_are_bounded_and_the_oldest_go_first() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(8);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"0")).unwrap();
    let oldest = alice.send(b"oldest");
    for _ in 0..MAX_GAP - 1 {
        let _ = alice.send(b"lost");
    }
    bob.receive(&alice.send(b"x")).unwrap();
    let newer = alice.send(b"newer");
    bob.receive(&alice.send(b"y")).unwrap();
    assert_eq!(bob.receive(&oldest), Err(DecryptError::Duplicate));
    assert_eq!(bob.receive(&newer).unwrap(), b"newer");
}

#[test]
fn messages_of_old_chains_decrypt_for_five_ratchet_steps() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(9);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"start")).unwrap();
    let mut late = Vec::new();
    for round in 0..MAX_RECEIVING_CHAINS {
        alice.receive(&bob.send(b"ping")).unwrap();
        late.push(alice.send(format!("late {round}").as_bytes()));
        bob.receive(&alice.send(b"pong")).unwrap();
    }
    for (round, message) in late.iter().enumerate() {
        assert_eq!(bob.receive(message).unwrap(), format!("late {round}").as_bytes());
        assert_eq!(bob.receive(message), Err(DecryptError::Duplicate));
    }
}

#[test]
fn archived_states_are_bounded() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(11);
    bob.one_time.clear();
    let bundle = bob.bundle();
    let mut starts = Vec::new();
    for _ in 0..MAX_ARCHIVED_STATES + 2 {
        alice.initiate(&bundle, &mut rng);
        starts.push(alice.send(b"start"));
    }
    assert_eq!(alice.record.archived(), MAX_ARCHIVED_STATES);
    for start in &starts {
        bob.receive(start).unwrap();
    }
    assert_eq!(bob.record.archived(), MAX_ARCHIVED_STATES);
    assert_eq!(bob.receive(&starts[2]), Err(DecryptError::Duplicate));
}

#[test]
fn stored_form_is_small_and_cut_or_longer_bytes_are_refused() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(14);
    alice.initiate(&bob.bundle(), &mut rng);
    let fresh = alice.record.encode();
    assert!(fresh.len() <= 250, "a fresh record takes {} bytes", fresh.len());
    bob.receive(&alice.send(b"1")).unwrap();
    alice.receive(&bob.send(b"2")).unwrap();
    let _lost = alice.send(b"lost");
    bob.receive(&alice.send(b"3")).unwrap();
    let stored = bob.record.encode();
    for len in 0..stored.len() {
        assert_eq!(
            SessionRecord::decode(&stored[..len]).err(),
            Some(BadRecord),
            "cut at {len}"
        );
    }
    assert!(SessionRecord::decode(&[&stored[..], &[0]].concat()).is_err());
    assert_eq!(SessionRecord::decode(&stored).unwrap().encode(), stored);
    assert_eq!(
        SessionRecord::decode(&SessionRecord::default().encode())
            .unwrap()
            .archived(),
        0
    );
}

#[test]
fn whoever_only_listens_makes_no_ratchet_key() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(15);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.rng = Box::new(ScriptedRng::new([]));
    bob.receive(&alice.send(b"1")).unwrap();
    bob.receive(&alice.send(b"2")).unwrap();
    let listening = bob.record.encode().len();
    bob.rng = Box::new(ScriptedRng::new([vec![7; 32]]));
    alice.receive(&bob.send(b"3")).unwrap();
    // The key is made once, by the first answer; the scripted numbers are used up.
    alice.receive(&bob.send(b"4")).unwrap();
    assert!(bob.record.encode().len() >= listening + 3 * 32);
}

#[test]
fn a_second_step_without_a_key_of_ours_between_is_not_the_peers() {
    let (mut alice, mut bob, mut rng) = pair_of_parties(16);
    alice.initiate(&bob.bundle(), &mut rng);
    bob.receive(&alice.send(b"1")).unwrap();
    let mut twin = alice.copy();
    alice.receive(&bob.copy().send(b"a")).unwrap();
    twin.rng = Box::new(ScriptedRng::new([vec![8; 32]]));
    twin.receive(&bob.copy().send(b"b")).unwrap();
    // Both answer under keys of their own to answers that this bob never gave.
    for stranger in [&mut alice, &mut twin] {
        let message = stranger.send(b"c");
        assert_eq!(bob.receive(&message), Err(DecryptError::BadMac));
    }
    alice.receive(&bob.send(b"2")).unwrap_err();
}
