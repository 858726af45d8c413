//! Which account each recipient of a queue goes by, so that no account gets a message of it twice.
//!
//! Numbers of a queue differ, and nearly all accounts go by the number that was given: who they are is asked of the store
//! only when WhatsApp says another number for the first time, and other sends cost nothing. Knows neither the database nor
//! WhatsApp.

use std::collections::HashMap;

use shared::recipient::{Number, NumberKind};

use super::target::Target;

/// The accounts of one queue. At most as many as a job may have recipients.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// By number: at which place of the queue; `None` while that is being read.
    places: Option<HashMap<u64, u32>>,
    /// Recipients who wait for that.
    waiting: Vec<Target>,
}

/// What becomes of a recipient who goes by another number than the given one.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Nobody else of the queue goes by it.
    Free(Target),
    /// Somebody else does.
    Taken(Target),
    /// Not known yet: the queue's accounts are to be read.
    Read,
    /// Not known yet: they are being read.
    Waits,
}

impl Accounts {
    /// A recipient goes by its addressee from now on.
    pub(super) fn claim(&mut self, target: Target) -> Claim {
        let Some(places) = &mut self.places else {
            self.waiting.push(target);
            return match self.waiting.len() {
                1 => Claim::Read,
                _ => Claim::Waits,
            };
        };
        let account = target.addressee.as_ref().and_then(key);
        let place = account.map(|account| *places.entry(account).or_insert(target.seq));
        match place {
            Some(place) if place != target.seq => Claim::Taken(target),
            _ => Claim::Free(target),
        }
    }

    /// The store has told by which numbers the recipients of the queue go; gives back who waited for that.
    pub(super) fn learn(&mut self, known: Vec<(u32, Number)>) -> Vec<Target> {
        let mut places = HashMap::with_capacity(known.len());
        for (place, number) in known {
            if let Some(account) = key(&number) {
                places.entry(account).or_insert(place);
            }
        }
        self.places = Some(places);
        std::mem::take(&mut self.waiting)
    }
}

/// A phone number in little memory. Hidden ids are not told of as another number.
fn key(number: &Number) -> Option<u64> {
    let is_phone = number.kind() == NumberKind::Phone;
    is_phone.then(|| number.user().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::new(text).unwrap()
    }

    fn target(seq: u32, given: &str, addressee: &str) -> Target {
        Target {
            addressee: Some(number(addressee)),
            ..Target::new(seq, number(given), None)
        }
    }

    #[test]
    fn an_account_is_claimed_once_and_by_its_own_number_first() {
        let mut accounts = Accounts::default();
        let of_another = || target(1, "5215512345678", "525512345678");
        assert!(matches!(accounts.claim(of_another()), Claim::Read));
        assert!(matches!(
            accounts.claim(target(3, "553191234567", "5531991234567")),
            Claim::Waits
        ));
        let known = vec![
            (0, number("525512345678")),
            (1, number("5215512345678")),
            (2, number("5531981234567")),
            (3, number("553191234567")),
        ];
        let waited = accounts.learn(known);
        assert_eq!(waited.len(), 2);
        let mut claims = waited.into_iter().map(|target| accounts.claim(target));
        assert!(matches!(claims.next(), Some(Claim::Taken(target)) if target.seq == 1));
        assert!(matches!(claims.next(), Some(Claim::Free(target)) if target.seq == 3));
        drop(claims);
        // Read again, it has its account still; another that goes by the same has not.
        let again = accounts.claim(target(3, "553191234567", "5531991234567"));
        assert!(matches!(again, Claim::Free(_)));
        let third = accounts.claim(target(2, "5531981234567", "5531991234567"));
        assert!(matches!(third, Claim::Taken(_)));
    }
}
