//! Which messages the owner has got.
//!
//! A sender that does not know whether a message left sends it again under the same id, encrypted anew: no ratchet takes
//! it for a repeat, and yet it must not be shown twice.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

use crate::message_id::MessageId;
use crate::signal::Address;

/// How many messages are remembered.
const MAX_SHOWN: usize = 512;
/// Bytes by which one is remembered.
const NAME_BYTES: usize = 16;

/// The messages of this connection, oldest first.
#[derive(Debug, Default)]
pub(super) struct Shown(VecDeque<[u8; NAME_BYTES]>);

impl Shown {
    /// Notes a message; false if it was noted before. An id is unique in its chat and of its sender only.
    pub(super) fn is_new(&mut self, chat: &Address, sender: &Address, id: &MessageId) -> bool {
        let mut hash = Sha256::new();
        for part in [&chat.to_string(), &sender.to_string(), id.as_str()] {
            hash.update(part);
            hash.update([0]);
        }
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&hash.finalize()[..NAME_BYTES]);
        if self.0.contains(&name) {
            return false;
        }
        if self.0.len() >= MAX_SHOWN {
            self.0.pop_front();
        }
        self.0.push_back(name);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jid::Jid;

    #[test]
    fn a_message_is_known_by_chat_sender_and_id_and_their_number_is_bounded() {
        let address = |user: &str| Address::from(Jid::phone(user).unwrap());
        let (one, other) = (address("15550001"), address("15550002"));
        let id = |n: usize| format!("3EB0{n}").parse::<MessageId>().unwrap();
        let mut shown = Shown::default();
        assert!(shown.is_new(&one, &one, &id(1)));
        assert!(!shown.is_new(&one, &one, &id(1)));
        assert!(shown.is_new(&one, &other, &id(1)) && shown.is_new(&other, &one, &id(1)));
        for n in 0..2 * MAX_SHOWN {
            shown.is_new(&other, &other, &id(n));
            assert!(shown.0.len() <= MAX_SHOWN);
        }
        assert!(!shown.is_new(&other, &other, &id(2 * MAX_SHOWN - 1)));
    }
}
