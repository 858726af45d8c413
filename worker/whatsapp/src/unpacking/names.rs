//! Who is who in a piece: the two names of people, and our own.

use crate::hashing::HashMap;
use crate::jid::Jid;

/// Most pairs of names that are kept of one piece, to tell its chats and messages by.
pub(super) const MAX_NAMES: usize = 20_000;

/// Our own names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// By number.
    pub(crate) phone: Option<Jid>,
    /// By hidden id.
    pub(crate) lid: Option<Jid>,
}

impl Own {
    pub(super) fn is(&self, user: &Jid) -> bool {
        [&self.phone, &self.lid]
            .into_iter()
            .flatten()
            .any(|own| own.same_user(user))
    }
}

/// The other names of people.
#[derive(Default)]
pub(super) struct Names {
    others: HashMap<Jid, Jid>,
}

impl Names {
    /// A number and a hidden id that are one user's.
    pub(super) fn add(&mut self, phone: &Jid, lid: &Jid) {
        if self.others.len() < 2 * MAX_NAMES {
            self.others.insert(phone.clone(), lid.clone());
            self.others.insert(lid.clone(), phone.clone());
        }
    }

    /// The other name of somebody, if the piece tells it.
    pub(super) fn other(&self, user: &Jid) -> Option<Jid> {
        self.others.get(&user.to_bare()).cloned()
    }
}
