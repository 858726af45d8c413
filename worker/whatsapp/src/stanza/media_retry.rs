//! A file that is gone from the media hosts: the companion's request to its phone, and the phone's answer.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use bytes::Bytes;

use crate::binary::Node;
use crate::command::About;
use crate::jid::Jid;
use crate::message_id::MessageId;

/// What is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sealed text.
    pub payload: Bytes,
    /// The vector that goes with it.
    pub iv: [u8; 12],
}

/// What the phone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This, sealed.
    Sealed(Envelope),
    /// Nothing but this code.
    Error(u32),
}

/// The request to the own account, whose phone answers.
#[must_use]
pub fn request(own: &Jid, about: &About, envelope: &Envelope) -> Node {
    let rmr = Node::new("rmr")
        .attr("jid", &about.chat)
        .attr("from_me", if about.from_me { "true" } else { "false" })
        .attr_opt("participant", about.participant.as_ref());
    Node::new("receipt")
        .attr("id", about.id.as_str())
        .attr("to", own)
        .attr("type", "server-error")
        .with_children([envelope.to_node(), rmr])
}

/// Reads a request; `None` if it is none.
#[must_use]
pub fn parse_request(receipt: &Node) -> Option<(About, Envelope)> {
    let rmr = receipt.child("rmr")?;
    let about = About {
        id: receipt.attr_str("id")?.parse().ok()?,
        chat: rmr.attr_jid("jid")?,
        participant: rmr.attr_jid("participant"),
        from_me: match rmr.attr_str("from_me")?.as_ref() {
            "true" => true,
            "false" => false,
            _ => return None,
        },
    };
    Some((about, Envelope::parse(receipt)?))
}

/// Reads the phone's answer: the message that it speaks of, and what it says; `None` if it is none.
#[must_use]
pub fn parse_reply(notification: &Node) -> Option<(MessageId, Reply)> {
    let id = notification.attr_str("id")?.parse().ok()?;
    if let Some(error) = notification.child("error") {
        return Some((id, Reply::Error(error.attr_number("code").unwrap_or_default())));
    }
    Some((id, Reply::Sealed(Envelope::parse(notification)?)))
}

impl Envelope {
    /// The child that carries it.
    #[must_use]
    pub fn to_node(&self) -> Node {
        Node::new("encrypt").with_children([
            Node::new("enc_p").with_bytes(self.payload.clone()),
            Node::new("enc_iv").with_slice(&self.iv),
        ])
    }

    fn parse(stanza: &Node) -> Option<Self> {
        let sealed = stanza.child("encrypt")?;
        let iv = sealed.child("enc_iv")?.data()?;
        Some(Self {
            payload: Bytes::copy_from_slice(&sealed.child("enc_p")?.data()?),
            iv: iv.as_ref().try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_names_the_sender_in_groups_alone() {
        let about = About {
            id: "3EB0AABBCCDDEEFF001122".parse().unwrap(),
            chat: "15550002@s.whatsapp.net".parse().unwrap(),
            participant: None,
            from_me: false,
        };
        let envelope = Envelope {
            payload: Bytes::from_static(b"sealed"),
            iv: [7; 12],
        };
        let own = "15550001@s.whatsapp.net".parse().unwrap();
        let node = request(&own, &about, &envelope);
        assert!(node.attr_is("type", "server-error") && node.attr_is("to", "15550001@s.whatsapp.net"));
        assert!(node.child("rmr").unwrap().attr_str("participant").is_none());
        let read = parse_request(&node).unwrap();
        assert!(read == (about, envelope));
    }

    #[test]
    fn an_answer_is_sealed_or_a_code() {
        let notification = |child| {
            Node::new("notification")
                .attr("type", "mediaretry")
                .attr("id", "3EB0AABBCCDDEEFF001122")
                .with_child(child)
        };
        let refused = notification(Node::new("error").attr("code", 2_u32));
        assert_eq!(parse_reply(&refused).unwrap().1, Reply::Error(2));
        let envelope = Envelope {
            payload: Bytes::from_static(b"sealed"),
            iv: [7; 12],
        };
        let sealed = notification(envelope.to_node());
        assert_eq!(parse_reply(&sealed).unwrap().1, Reply::Sealed(envelope));
        assert_eq!(parse_reply(&notification(Node::new("encrypt"))), None);
    }
}
