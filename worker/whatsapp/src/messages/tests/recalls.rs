//! What is kept of numbers, for the owner.

use super::network::{Network, lid, number, phone};
use crate::command::Command;
use crate::event::{Event, Registration};
use crate::jid::Jid;

/// Client numbers of [`Network::ann_and_bob`].
const ANN: usize = 1;

/// What Ann keeps of this number; nothing is asked of the server for it.
fn recalled(network: &mut Network, number: &str) -> Option<(Jid, Option<Jid>)> {
    network.forget();
    let number = number.to_owned();
    network.command(ANN, Command::Recall { ticket: 7, number });
    assert!(network.questions.is_empty());
    let mut answers = network.clients[ANN]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Recalled {
                ticket: 7,
                registration,
            } => Some(registration.clone()),
            _ => None,
        });
    let answer = answers.next().expect("an answer");
    assert!(answers.next().is_none());
    answer.map(|found: Registration| (found.jid.unwrap(), found.lid))
}

fn look_up(network: &mut Network, number: &str) {
    let numbers = vec![number.to_owned()];
    network.command(ANN, Command::IsOnWhatsApp { ticket: 8, numbers });
}

#[test]
fn a_number_that_was_resolved_is_kept_and_nothing_else() {
    for by_send in [true, false] {
        for hides_lids in [false, true] {
            let mut network = Network::migrated();
            network.hides_lids = hides_lids;
            let bob = phone(2);
            assert_eq!(recalled(&mut network, bob.user()), None);
            match by_send {
                true => network.send(ANN, number(2), "3EB001", "hi"),
                false => look_up(&mut network, bob.user()),
            }
            let kept = Some((bob.clone(), (!hides_lids).then(|| lid(2))));
            assert_eq!(recalled(&mut network, bob.user()), kept);
            network.restart(ANN);
            assert_eq!(recalled(&mut network, bob.user()), kept, "by send: {by_send}");
        }
    }
}

#[test]
fn a_number_that_moved_is_kept_with_where_it_went_and_one_without_account_is_not() {
    let mut network = Network::migrated();
    let (old, new) = (phone(8), phone(2));
    network
        .old_numbers
        .insert(old.user().to_owned(), new.user().to_owned());
    look_up(&mut network, old.user());
    look_up(&mut network, "19990000000");
    for _ in 0..2 {
        assert_eq!(
            recalled(&mut network, old.user()),
            Some((new.clone(), Some(lid(2))))
        );
        assert_eq!(recalled(&mut network, "19990000000"), None);
        network.restart(ANN);
    }
}

#[test]
fn without_a_connection_nothing_is_said_to_be_kept() {
    let command = Command::Recall {
        ticket: 7,
        number: phone(2).user().to_owned(),
    };
    let answer = command.not_connected();
    assert!(matches!(
        answer,
        Some(Event::Recalled {
            ticket: 7,
            registration: None
        })
    ));
}
