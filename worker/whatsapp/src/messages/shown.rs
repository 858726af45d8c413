//! By what a message is known that the owner has got.
//!
//! A sender that does not know whether a message left sends it again under the same id, encrypted anew: no ratchet takes
//! it for a repeat, and yet it must not be shown twice, not even by another process. The session with its sender
//! remembers it, and is written with the step that shows it.

use sha2::{Digest as _, Sha256};

use crate::signal::session::{MARK_BYTES, Mark};
use crate::stanza::message::Received;

/// The mark of a message among those of its sender. An id is unique in its chat only.
pub(super) fn mark(stanza: &Received) -> Mark {
    let chat = match &stanza.participant {
        Some(_) => Some(&stanza.from),
        // As the sender addresses it: who repeats a message does so in the same words. Others write to us alone.
        None => stanza.recipient.as_ref(),
    };
    let chat = chat.map(|chat| chat.to_bare().to_string()).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [chat.as_str(), stanza.id.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    let mut mark = [0; MARK_BYTES];
    mark.copy_from_slice(&hash.finalize()[..MARK_BYTES]);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::Node;

    fn of(node: Node) -> Mark {
        mark(&Received::parse(&node.attr("t", 1u64)).unwrap())
    }

    #[test]
    fn a_message_is_known_by_chat_and_id() {
        let message =
            |id: &'static str, from: &'static str| Node::new("message").attr("id", id).attr("from", from);
        let direct = of(message("A", "15550002:5@s.whatsapp.net"));
        assert_eq!(direct, of(message("A", "100:5@lid")), "by either name");
        let group = |group| of(message("A", group).attr("participant", "100:5@lid"));
        let copy = |to: &'static str| of(message("A", "15550001@s.whatsapp.net").attr("recipient", to));
        let all = [
            direct,
            of(message("B", "15550002:5@s.whatsapp.net")),
            group("1-2@g.us"),
            group("1-3@g.us"),
            copy("15550002@s.whatsapp.net"),
            copy("15550003@s.whatsapp.net"),
        ];
        for (at, mark) in all.iter().enumerate() {
            assert!(!all[..at].contains(mark), "{at}");
        }
    }
}
