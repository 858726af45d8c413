//! Acks: ours for what the server hands us, and the server's for messages that we sent.
//!
//! Facts: docs/PROTOCOL.md, "Acks".

use super::bad_content;
use crate::binary::{Node, StanzaError};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::time::Timestamp;

/// Why we refuse a stanza for good: the server then stops delivering it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nack {
    /// It can't be parsed.
    Parsing,
    /// Its plaintext is no message.
    InvalidProtobuf,
    /// We gave up on it.
    Unhandled,
}

impl Nack {
    /// The number on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::Parsing => 487,
            Self::InvalidProtobuf => 491,
            Self::Unhandled => 500,
        }
    }
}

/// The ack for a message, receipt, notification or call; `None` if it lacks what an ack must repeat.
///
/// A message that was decrypted is acknowledged by its receipt instead.
#[must_use]
pub fn ack_for(stanza: &Node) -> Option<Node> {
    let id = stanza.value("id")?;
    let from = stanza.value("from")?;
    let ack = Node::new("ack")
        .attr("class", stanza.tag().to_owned())
        .attr("id", id.clone())
        .attr("to", from.clone());
    let repeated = ["participant", "recipient", "type"].into_iter();
    Some(repeated.fold(ack, |ack, name| ack.attr_opt(name, stanza.value(name))))
}

/// The ack for a message that we will not show: plain, or with the reason. `own` is our address with device.
#[must_use]
pub fn message_ack(stanza: &Node, own: Option<&Jid>, refusal: Option<Nack>) -> Option<Node> {
    let ack = ack_for(stanza)?.attr_opt("from", own);
    Some(ack.attr_opt("error", refusal.map(Nack::code)))
}

/// Whether the server says beside its ack that the hidden id that we hold for the chat's user is out of date.
pub(crate) fn wants_fresh_lid(ack: &Node) -> bool {
    ack.attr_is("refresh_lid", "true")
}

/// The server's ack for a message of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAck {
    /// Which message.
    pub id: MessageId,
    /// The chat as the message addressed it.
    pub from: Jid,
    /// The server's time.
    pub timestamp: Option<Timestamp>,
    /// The server refused it, with this code.
    pub error: Option<u32>,
    /// Hash of the server's device list, if it differs from what we sent to.
    pub phash: Option<String>,
}

impl MessageAck {
    /// Reads an ack of class `message`; `None` for another class.
    ///
    /// # Errors
    /// If id or sender are missing.
    pub fn parse(node: &Node) -> Result<Option<Self>, StanzaError> {
        if !node.attr_is("class", "message") {
            return Ok(None);
        }
        let id = node.require_str("id")?.parse().map_err(|_| bad_content("ack"))?;
        // An error that is no number is an error all the same.
        let code = node.attr_u64("error").unwrap_or_default();
        Ok(Some(Self {
            id,
            from: node.require_jid("from")?,
            timestamp: node.attr_u64("t").map(Timestamp::from_secs),
            error: node
                .value("error")
                .map(|_| u32::try_from(code).unwrap_or(u32::MAX)),
            phash: node.attr_str("phash").map(|phash| phash.to_string()),
        }))
    }

    /// The stanza (the server's side).
    #[must_use]
    pub fn to_node(&self) -> Node {
        Node::new("ack")
            .attr("class", "message")
            .attr("id", self.id.as_str())
            .attr("from", &self.from)
            .attr_opt("t", self.timestamp.map(Timestamp::as_secs))
            .attr_opt("error", self.error)
            .attr_opt("phash", self.phash.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_repeats_what_the_stanza_names() {
        let participant: Jid = "100000000000002:5@lid".parse().unwrap();
        let stanza = Node::new("notification")
            .attr("id", "77")
            .attr("from", "1-2@g.us".parse::<Jid>().unwrap())
            .attr("participant", &participant)
            .attr("type", "w:gp2")
            .attr("t", 1u64);
        let ack = ack_for(&stanza).unwrap();
        assert_eq!(ack.attr_str("class").as_deref(), Some("notification"));
        assert_eq!(ack.attr_str("type").as_deref(), Some("w:gp2"));
        assert_eq!(ack.attr_jid("participant"), Some(participant));
        assert_eq!(ack.attr_str("to").as_deref(), Some("1-2@g.us"));
        assert!(ack.value("t").is_none());
        assert!(ack_for(&Node::new("receipt").attr("id", "1")).is_none());
    }

    #[test]
    fn a_refusal_names_its_code_and_us() {
        let own: Jid = "15550001:3@s.whatsapp.net".parse().unwrap();
        let stanza = Node::new("message")
            .attr("id", "A")
            .attr("from", Jid::phone("15550002").unwrap());
        let nack = message_ack(&stanza, Some(&own), Some(Nack::Unhandled)).unwrap();
        assert_eq!(nack.attr_u64("error"), Some(500));
        assert_eq!(nack.attr_jid("from"), Some(own));
    }

    #[test]
    fn message_acks_come_back_from_their_nodes() {
        let ack = MessageAck {
            id: "3EB001".parse().unwrap(),
            from: Jid::phone("15550002").unwrap(),
            timestamp: Some(Timestamp::from_secs(1_700_000_000)),
            error: Some(463),
            phash: Some("2:AAAAAAAA".into()),
        };
        assert_eq!(MessageAck::parse(&ack.to_node()), Ok(Some(ack)));
        assert_eq!(
            MessageAck::parse(&Node::new("ack").attr("class", "receipt")),
            Ok(None)
        );
        assert!(MessageAck::parse(&Node::new("ack").attr("class", "message")).is_err());
    }
}
