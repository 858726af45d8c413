//! Getting sessions in and out of memory.

use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::jid::{Jid, Server};
use crate::part::{PartId, Tickets, testing::Lender};
use crate::signal::curve::KeyPair;
use crate::signal::{SignedPreKey, SignedPreKeyId};

/// A peer by number, and the same one by hidden id.
fn peers() -> (Peer, Peer) {
    let phone = Jid::phone("15550002").unwrap();
    let lid = Address::from(Jid::new("100", Server::Lid));
    let by_number = Peer {
        address: Address::new(&phone),
        earlier: None,
        wire: phone.clone(),
    };
    let by_lid = Peer {
        address: lid,
        earlier: Some(Address::new(&phone)),
        wire: phone,
    };
    (by_number, by_lid)
}

fn bundle(rng: &mut StdRng) -> PreKeyBundle {
    let identity = KeyPair::generate(rng);
    let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &identity, rng);
    PreKeyBundle {
        registration_id: RegistrationId::new(1),
        identity: *identity.public(),
        signed_prekey_id: signed.id,
        signed_prekey: *signed.pair.public(),
        signature: signed.signature,
        prekey: None,
    }
}

fn ensure(ratchets: &mut Ratchets, lender: &mut Lender, peer: &Peer) -> bool {
    let mut questions = Tickets::new(PartId::new(0));
    ratchets.ensure(&mut lender.context(), &mut questions, std::iter::once(peer))
}

fn answer(ratchets: &mut Ratchets, lender: &mut Lender, peer: &Peer, stored: &[Option<bytes::Bytes>]) {
    let mut wanted = vec![Wanted {
        address: peer.address.clone(),
        moves_to: None,
    }];
    if let (2, Some(earlier)) = (stored.len(), &peer.earlier) {
        wanted.push(Wanted {
            address: earlier.clone(),
            moves_to: Some(peer.address.clone()),
        });
    }
    ratchets.on_loaded(&mut lender.context(), &wanted, stored.to_vec());
}

#[test]
fn a_ratchet_that_moved_is_not_read_under_its_old_name_again() {
    let (mut lender, mut ratchets) = (Lender::new(), Ratchets::with_most(128));
    let (by_number, by_lid) = peers();
    assert!(!ensure(&mut ratchets, &mut lender, &by_number));
    answer(&mut ratchets, &mut lender, &by_number, &[None]);
    let bundle = bundle(&mut StdRng::seed_from_u64(8));
    ratchets
        .start(&mut lender.context(), &by_number.address, &bundle, None)
        .unwrap();
    ratchets.records.on_step_taken();
    ratchets.records.on_committed();
    assert!(!ensure(&mut ratchets, &mut lender, &by_lid));
    lender.take_load();
    answer(&mut ratchets, &mut lender, &by_lid, &[None]);
    assert!(ensure(&mut ratchets, &mut lender, &by_lid));
    assert!(ratchets.has_session(lender.context().device, &by_lid.address));
    // The store still has the session under the number: two ratchets would use the same message keys.
    assert!(ensure(&mut ratchets, &mut lender, &by_number));
    assert!(lender.take_load().is_empty());
    assert!(!ratchets.has_session(lender.context().device, &by_number.address));
}

#[test]
fn a_ratchet_that_the_store_moved_is_not_read_under_its_old_name_again() {
    let (mut lender, mut ratchets) = (Lender::new(), Ratchets::with_most(128));
    let (by_number, by_lid) = peers();
    let mut record = SessionRecord::default();
    let own = KeyPair::generate(&mut StdRng::seed_from_u64(9));
    let own = LocalIdentity {
        pair: &own,
        registration_id: RegistrationId::new(2),
    };
    let bundle = bundle(&mut StdRng::seed_from_u64(8));
    record
        .initiate(own, &bundle, &mut StdRng::seed_from_u64(10))
        .unwrap();
    assert!(!ensure(&mut ratchets, &mut lender, &by_lid));
    lender.take_load();
    answer(
        &mut ratchets,
        &mut lender,
        &by_lid,
        &[None, Some(record.encode())],
    );
    assert!(ratchets.has_session(lender.context().device, &by_lid.address));
    assert!(ensure(&mut ratchets, &mut lender, &by_number));
    assert!(
        lender.take_load().is_empty() && !ratchets.has_session(lender.context().device, &by_number.address)
    );
    ratchets.write_changed(&mut lender.context());
    ratchets.records.on_step_taken();
    ratchets.records.on_committed();
    let moved = RecordKey::session(&by_number.address);
    assert_eq!(lender.context().changes().get(&moved), Some(None));
}

#[test]
fn two_sessions_of_one_device_become_one_record() {
    let (mut lender, mut ratchets) = (Lender::new(), Ratchets::with_most(128));
    let (by_number, by_lid) = peers();
    let bundle = bundle(&mut StdRng::seed_from_u64(8));
    let apart = Peer {
        earlier: None,
        ..by_lid.clone()
    };
    for peer in [&by_number, &apart] {
        assert!(!ensure(&mut ratchets, &mut lender, peer));
        answer(&mut ratchets, &mut lender, peer, &[None]);
        ratchets
            .start(&mut lender.context(), &peer.address, &bundle, None)
            .unwrap();
    }
    let in_use = ratchets.base_key(&by_lid.address);
    assert!(ensure(&mut ratchets, &mut lender, &by_lid));
    assert_eq!(ratchets.base_key(&by_lid.address), in_use);
    assert_eq!(ratchets.records.get(&by_lid.address).unwrap().archived(), 1);
    assert!(!ratchets.has_session(lender.context().device, &by_number.address));
}

#[test]
fn what_is_not_in_memory_is_not_made_up() {
    let (mut lender, mut ratchets) = (Lender::new(), Ratchets::with_most(128));
    let (by_number, _) = peers();
    let bundle = bundle(&mut StdRng::seed_from_u64(8));
    let start = |ratchets: &mut Ratchets, lender: &mut Lender| {
        let address = &by_number.address;
        let refusal = ratchets
            .start(&mut lender.context(), address, &bundle, None)
            .unwrap_err();
        assert_eq!(refusal, DeviceRefusal::UnknownAccount);
        ratchets.write_changed(&mut lender.context());
        assert!(lender.context().changes().is_empty());
    };
    start(&mut ratchets, &mut lender);
    assert!(ratchets.records.is_empty());
    // Nor while it is being read.
    assert!(!ensure(&mut ratchets, &mut lender, &by_number));
    start(&mut ratchets, &mut lender);
    assert!(!ratchets.is_loaded(&by_number.address));
}

#[test]
fn a_step_writes_what_a_ratchet_is_at_its_end() {
    let (mut lender, mut ratchets) = (Lender::new(), Ratchets::with_most(128));
    let (by_number, _) = peers();
    let (address, bundle) = (&by_number.address, bundle(&mut StdRng::seed_from_u64(8)));
    assert!(!ensure(&mut ratchets, &mut lender, &by_number));
    answer(&mut ratchets, &mut lender, &by_number, &[None]);
    let mut written = |ratchets: &Ratchets| {
        ratchets.write_changed(&mut lender.context());
        let changes = lender.take_changes();
        changes
            .get(&RecordKey::session(address))
            .map(|value| value.cloned())
    };
    assert_eq!(written(&ratchets), None);
    let mut other = Lender::new();
    let nothing = ratchets.encrypt(&mut other.context(), address, b"hi");
    assert!(nothing.is_err() && written(&ratchets).is_none());
    for _ in 0..2 {
        ratchets
            .start(&mut other.context(), address, &bundle, None)
            .unwrap();
    }
    let stored = written(&ratchets).flatten().unwrap();
    assert_eq!(SessionRecord::decode(&stored).unwrap().archived(), 1);
    assert_eq!(
        ratchets.records.gathered_len(),
        1,
        "the bound on a step counts it"
    );
    ratchets.records.on_step_taken();
    assert_eq!(ratchets.records.gathered_len(), 0);
    ratchets.delete(&mut other.context(), address);
    assert_eq!(written(&ratchets), Some(None));
}
