//! Receipts: that messages arrived, were read, or could not be decrypted.
//!
//! Facts: docs/PROTOCOL.md, "Receipts" and "Retry receipts".

use bytes::Bytes;
use smallvec::SmallVec;

use super::bad_content;
use super::keys::{Bundle, PublicSignedPreKey, leaf, prekey_node};
use crate::binary::{Node, StanzaError};
use crate::event::ReceiptKind;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::signal::curve::{KEY_TYPE, PublicKey};
use crate::signal::{PreKeyId, RegistrationId};
use crate::time::Timestamp;

/// Most messages in one read receipt.
pub const MAX_READ_IDS: usize = 256;

/// What the receipt for a message that arrived says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is shown to somebody.
    Delivered,
    /// It is here, but nobody is at the keyboard: the sender sees no second tick.
    Inactive,
    /// Another device of ours sent it.
    OwnDevice,
    /// It was between our own devices.
    Peer,
    /// It was a part of the history.
    History,
}

impl Arrival {
    const fn kind(self) -> Option<&'static str> {
        match self {
            Self::Delivered => None,
            Self::Inactive => Some("inactive"),
            Self::OwnDevice => Some("sender"),
            Self::Peer => Some("peer_msg"),
            Self::History => Some("hist_sync"),
        }
    }
}

/// The receipt for a message that arrived. `to` is its `from`; `recipient` is the chat if another device of ours sent it.
#[must_use]
pub fn arrival(
    arrival: Arrival,
    id: &MessageId,
    to: &Jid,
    participant: Option<&Jid>,
    recipient: Option<&Jid>,
) -> Node {
    Node::new("receipt")
        .attr("id", id.as_str())
        .attr("to", to)
        .attr_opt("type", arrival.kind())
        .attr_opt("participant", participant)
        .attr_opt("recipient", recipient)
}

/// Who is told that messages were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Who wrote them, and our own devices.
    Sender,
    /// Our own devices alone: the account keeps it to itself.
    OwnDevices,
}

/// Says that messages of one sender were read; at most [`MAX_READ_IDS`]. `None` if there are none.
#[must_use]
pub fn read(
    ids: &[MessageId],
    chat: &Jid,
    participant: Option<&Jid>,
    told: Told,
    now: Timestamp,
) -> Option<Node> {
    let (first, others) = ids.split_first()?;
    let receipt = Node::new("receipt")
        .attr("id", first.as_str())
        .attr("to", chat)
        .attr(
            "type",
            match told {
                Told::Sender => "read",
                Told::OwnDevices => "read-self",
            },
        )
        .attr("t", now.as_secs())
        .attr_opt("participant", participant);
    if others.is_empty() {
        return Some(receipt);
    }
    let items = others.iter().map(|id| Node::new("item").attr("id", id.as_str()));
    Some(receipt.with_child(Node::new("list").with_children(items)))
}

/// Why a message could not be decrypted, as retry receipts say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// None of the others.
    Unknown,
    /// There is no session with the sender.
    NoSession,
    /// It names a prekey that is gone.
    InvalidKeyId,
    /// It is not well formed.
    InvalidMessage,
    /// Its MAC is wrong.
    BadMac,
    /// The proof of the companion's account is wrong.
    Adv,
}

impl RetryReason {
    /// The number on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::NoSession => 1,
            Self::InvalidKeyId => 3,
            Self::InvalidMessage => 4,
            Self::BadMac => 7,
            Self::Adv => 12,
        }
    }
}

/// The keys in a retry receipt: enough to start a new session with us.
#[derive(Clone, Debug)]
pub struct RetryKeys {
    /// Our identity.
    pub identity: PublicKey,
    /// A one-time prekey that nobody else has got.
    pub prekey: (PreKeyId, PublicKey),
    /// Our signed prekey.
    pub signed: PublicSignedPreKey,
    /// The account's signature over us.
    pub device_identity: Option<Bytes>,
}

/// Asks the sender of a message to encrypt it again.
#[derive(Clone, Debug)]
pub struct RetryRequest<'a> {
    /// Which message.
    pub id: &'a MessageId,
    /// Its `from`.
    pub to: &'a Jid,
    /// Its `participant`.
    pub participant: Option<&'a Jid>,
    /// Its `recipient`.
    pub recipient: Option<&'a Jid>,
    /// It is between our own devices.
    pub peer: bool,
    /// Its time.
    pub timestamp: Timestamp,
    /// 1 for the first request.
    pub count: u32,
    /// Why.
    pub reason: RetryReason,
    /// Our installation.
    pub registration_id: RegistrationId,
    /// Keys for a new session.
    pub keys: Option<RetryKeys>,
}

impl RetryRequest<'_> {
    /// The stanza.
    #[must_use]
    pub fn into_node(self) -> Node {
        let retry = Node::new("retry")
            .attr("count", self.count)
            .attr("id", self.id.as_str())
            .attr("t", self.timestamp.as_secs())
            .attr("v", "1")
            .attr("error", self.reason.code());
        let mut receipt = Node::new("receipt")
            .attr("id", self.id.as_str())
            .attr("type", "retry")
            .attr("to", self.to)
            .attr_opt("participant", self.participant)
            .attr_opt("recipient", self.recipient)
            .attr_opt("category", self.peer.then_some("peer"))
            .with_child(retry)
            .with_child(leaf("registration", &self.registration_id.to_be_bytes()));
        if let Some(keys) = self.keys {
            receipt.push_child(keys.into_node());
        }
        receipt
    }
}

impl RetryKeys {
    fn into_node(self) -> Node {
        let (id, key) = self.prekey;
        let keys = Node::new("keys")
            .with_child(leaf("type", &[KEY_TYPE]))
            .with_child(leaf("identity", self.identity.as_bytes()))
            .with_child(prekey_node(id, &key))
            .with_child(self.signed.to_node());
        match self.device_identity {
            Some(identity) => keys.with_child(Node::new("device-identity").with_bytes(identity)),
            None => keys,
        }
    }
}

/// A device asks us to encrypt a message again.
#[derive(Clone, Debug)]
pub struct RetryAsked {
    /// Which message.
    pub id: MessageId,
    /// 1 for the first request.
    pub count: u32,
    /// The installation of the device.
    pub registration_id: Option<RegistrationId>,
    /// Keys for a new session. Not checked yet.
    pub keys: Option<Bundle>,
}

impl RetryAsked {
    /// Reads the children of a receipt of type `retry`.
    ///
    /// # Errors
    /// If it does not say which message, or its keys are not well formed.
    pub fn parse(receipt: &Node) -> Result<Self, StanzaError> {
        let retry = receipt.require_child("retry")?;
        let id = retry
            .attr_str("id")
            .map_or_else(|| receipt.require_str("id"), Ok)?;
        let registration_id = receipt
            .child("registration")
            .and_then(|node| RegistrationId::from_be_slice(&node.data()?));
        let keys = match (receipt.child("keys"), registration_id) {
            (Some(keys), Some(id)) => Some(Bundle::parse_keys(keys, id)?),
            _ => None,
        };
        Ok(Self {
            id: id.parse().map_err(|_| bad_content("retry"))?,
            count: retry.attr_number("count").unwrap_or_default(),
            registration_id,
            keys,
        })
    }
}

/// What an incoming receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Something for the owner.
    Status(ReceiptKind),
    /// See [`RetryAsked`].
    Retry,
    /// Nothing that is acted on.
    Other,
}

/// An incoming receipt.
#[derive(Clone, Debug)]
pub struct Received {
    /// The messages, by the receiver where the receipt tells of several.
    pub entries: SmallVec<[Entry; 1]>,
    /// Who sent it: a device, or a group.
    pub from: Jid,
    /// The device, in groups.
    pub participant: Option<Jid>,
    /// The chat, if one of our own devices sent it.
    pub recipient: Option<Jid>,
    /// What it says.
    pub meaning: Meaning,
}

/// Messages that one receiver tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The messages.
    pub ids: Vec<MessageId>,
    /// The receiver, where the receipt names several.
    pub user: Option<Jid>,
    /// The server's time.
    pub timestamp: Timestamp,
}

impl Received {
    /// Reads the stanza. Ids that are none are left out.
    ///
    /// # Errors
    /// If it does not say whom it is from.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        Ok(Self {
            from: node.require_jid("from")?,
            participant: node.attr_jid("participant"),
            recipient: node.attr_jid("recipient"),
            meaning: meaning(node),
            entries: entries(node),
        })
    }
}

fn meaning(node: &Node) -> Meaning {
    let status = match node.attr_str("type").as_deref() {
        None => ReceiptKind::Delivered,
        Some("read") => ReceiptKind::Read,
        Some("played") => ReceiptKind::Played,
        Some("sender") => ReceiptKind::Sender,
        Some("read-self") => ReceiptKind::ReadSelf,
        Some("inactive") => ReceiptKind::Inactive,
        Some("retry") => return Meaning::Retry,
        Some(_) => return Meaning::Other,
    };
    // The device has the message and can't show it.
    let incapable = node
        .child("error")
        .is_some_and(|error| error.attr_is("type", "feature-incapable"));
    if incapable {
        Meaning::Other
    } else {
        Meaning::Status(status)
    }
}

fn entries(node: &Node) -> SmallVec<[Entry; 1]> {
    let time = |node: &Node| node.attr_u64("t").map(Timestamp::from_secs);
    let own_time = time(node).unwrap_or_default();
    if let Some(participants) = node.child("participants") {
        let key = participants
            .value("key")
            .or_else(|| participants.value("message_id"));
        let Some(id) = key.and_then(|key| key.as_str().parse::<MessageId>().ok()) else {
            return SmallVec::new();
        };
        let entry = |user: &Node| Entry {
            ids: vec![id.clone()],
            user: user.attr_jid("jid"),
            timestamp: time(user).unwrap_or(own_time),
        };
        return participants.nodes_named("user").map(entry).collect();
    }
    let listed = node.child("list").map(Node::nodes).unwrap_or_default();
    let ids = std::iter::once(node)
        .chain(listed)
        .filter_map(|node| node.attr_str("id")?.parse().ok())
        .collect::<Vec<MessageId>>();
    let (user, timestamp) = (None, own_time);
    SmallVec::from_iter([Entry { ids, user, timestamp }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MessageId {
        text.parse().unwrap()
    }

    #[test]
    fn a_read_receipt_lists_all_but_the_first() {
        let chat = Jid::phone("15550002").unwrap();
        let ids = [id("A"), id("B"), id("C")];
        let node = read(&ids, &chat, None, Told::Sender, Timestamp::from_secs(5)).unwrap();
        assert!(read(&[], &chat, None, Told::Sender, Timestamp::EPOCH).is_none());
        let quiet = read(&ids, &chat, None, Told::OwnDevices, Timestamp::EPOCH).unwrap();
        assert!(quiet.attr_is("type", "read-self"));
        let mut incoming = node;
        incoming.set_attr("from", &chat);
        let read = Received::parse(&incoming).unwrap();
        assert_eq!(read.meaning, Meaning::Status(ReceiptKind::Read));
        assert_eq!(read.entries[0].ids, ids);
        assert_eq!(read.entries[0].timestamp, Timestamp::from_secs(5));
    }

    #[test]
    fn a_receipt_of_a_group_tells_of_each_user() {
        let user = |jid: &str, t: u64| {
            Node::new("user")
                .attr("jid", jid.parse::<Jid>().unwrap())
                .attr("t", t)
        };
        let node = Node::new("receipt")
            .attr("id", "X")
            .attr("from", "1-2@g.us".parse::<Jid>().unwrap())
            .attr("type", "read")
            .with_child(
                Node::new("participants")
                    .attr("key", "A")
                    .with_children([user("1@lid", 7), user("2@lid", 8)]),
            );
        let entries = Received::parse(&node).unwrap().entries;
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].user, "2@lid".parse().ok());
        assert_eq!(entries[1].ids, [id("A")]);
        assert_eq!(entries[0].timestamp, Timestamp::from_secs(7));
    }

    #[test]
    fn kinds_without_a_meaning_are_told_apart() {
        let receipt = |kind: &str| {
            let node = Node::new("receipt")
                .attr("id", "A")
                .attr("from", Jid::phone("15550002").unwrap());
            Received::parse(&node.attr("type", kind)).unwrap().meaning
        };
        assert_eq!(receipt("peer_msg"), Meaning::Other);
        assert_eq!(receipt("retry"), Meaning::Retry);
        assert_eq!(receipt("inactive"), Meaning::Status(ReceiptKind::Inactive));
    }
}
