//! What channels publish: not encrypted, in the order of the server, and acknowledged by a plain ack.
//!
//! Facts: docs/PROTOCOL.md, "Receipts".

use prost::Message as _;

use crate::binary::Node;
use crate::event::{Event, Incoming, Misbehaviour};
use crate::part::Context;
use crate::proto::Message;
use crate::stanza::ack::ack_for;
use crate::time::Timestamp;

/// Shows the owner what a channel publishes. What comes without words (counts of views and reactions) is acknowledged.
pub(super) fn take(cx: &mut Context<'_>, stanza: &Node) {
    cx.send(ack_for(stanza));
    let Some(plaintext) = stanza.child("plaintext").and_then(Node::bytes) else {
        return;
    };
    let how = match (Message::decode(plaintext), head(stanza)) {
        (Ok(message), Some(head)) => {
            let incoming = Incoming { message, ..head };
            return cx.emit(Event::Message(Box::new(incoming)));
        }
        (Err(_), _) => Misbehaviour::Rubbish,
        (_, None) => Misbehaviour::Malformed,
    };
    cx.emit(Event::Misbehaved { how });
}

/// Who publishes when; the message is empty. `None` if the stanza does not say.
fn head(stanza: &Node) -> Option<Incoming> {
    let channel = stanza.attr_jid("from")?;
    Some(Incoming {
        id: stanza.attr_str("id")?.parse().ok()?,
        sender: channel.clone(),
        chat: channel,
        chat_alt: None,
        lid: None,
        phone: None,
        from_me: false,
        push_name: stanza.attr_str("notify").map(|name| name.into_owned()),
        timestamp: Timestamp::from_secs(stanza.attr_u64("t")?),
        offline: stanza.value("offline").is_some(),
        message: Message::default(),
    })
}
