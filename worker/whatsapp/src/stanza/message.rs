//! Message stanzas: what we send to many devices at once, what we send again to one, and what comes in.
//!
//! Facts: docs/PROTOCOL.md, "Message stanzas".

use bytes::Bytes;

use super::bad_content;
use super::class::Class;
use super::flow;
use super::token::ContactProof;
use crate::binary::{Node, StanzaError, Value};
use crate::group::AddressingMode;
use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::time::Timestamp;

/// The protocol of a ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncKind {
    /// `pkmsg`: starts a session.
    PreKey,
    /// `msg`: of a session.
    Message,
    /// `skmsg`: of a group's sender key.
    SenderKey,
}

impl EncKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreKey => "pkmsg",
            Self::Message => "msg",
            Self::SenderKey => "skmsg",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::PreKey, Self::Message, Self::SenderKey]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// One ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enc {
    /// Its protocol.
    pub kind: EncKind,
    /// Its bytes.
    pub ciphertext: Bytes,
}

impl Enc {
    /// `<enc>` of a message of this class; `count` is the number of the repeat.
    #[must_use]
    pub fn to_node(&self, class: &Class, count: Option<u32>) -> Node {
        Node::new("enc")
            .attr("v", "2")
            .attr("type", self.kind.as_str())
            .attr_opt("mediatype", class.media_type)
            .attr_opt("decrypt-fail", class.hidden.then_some("hide"))
            .attr_opt("count", count)
            .with_bytes(self.ciphertext.clone())
    }
}

/// A message to all devices of a chat between two, and to our own others.
#[derive(Clone, Debug)]
pub struct Fanout<'a> {
    /// Its id.
    pub id: &'a MessageId,
    /// The chat, without device.
    pub to: &'a Jid,
    /// What its content asks for.
    pub class: Class,
    /// A ciphertext for each device.
    pub targets: Vec<(Jid, Enc)>,
    /// Proof that we belong to the account; needed beside every ciphertext that starts a session.
    pub device_identity: Option<Bytes>,
    /// Proof that we may write to the contact.
    pub contact_proof: Option<ContactProof>,
    /// When it is sent.
    pub now: Timestamp,
}

impl Fanout<'_> {
    /// The stanza.
    #[must_use]
    pub fn into_node(self) -> Node {
        let class = self.class;
        let targets = self.targets.into_iter().map(|(jid, enc)| {
            Node::new("to")
                .attr("jid", jid)
                .with_child(enc.to_node(&class, None))
        });
        let message = Node::new("message")
            .attr("id", self.id.as_str())
            .attr("to", self.to)
            .attr("type", class.kind)
            .attr_opt("edit", class.edit)
            .with_child(Node::new("participants").with_children(targets));
        let mut message = with_identity_and_meta(message, self.device_identity, &class);
        flow::push(&mut message, &class, self.to, self.now);
        if let Some(proof) = self.contact_proof {
            message.push_child(proof.into_node());
        }
        message
    }
}

/// A message to a group, with the key that it needs for each device that lacks it.
#[derive(Clone, Debug)]
pub struct GroupFanout<'a> {
    /// Its id.
    pub id: &'a MessageId,
    /// The group.
    pub to: &'a Jid,
    /// How the group names people.
    pub addressing: AddressingMode,
    /// The hash of all devices of the group, the sending one included.
    pub phash: String,
    /// What its content asks for.
    pub class: Class,
    /// The key, for each device that lacks it.
    pub keys: Vec<(Jid, Enc)>,
    /// The ciphertext for all.
    pub enc: Enc,
    /// See [`Fanout::device_identity`].
    pub device_identity: Option<Bytes>,
    /// When it is sent.
    pub now: Timestamp,
}

impl GroupFanout<'_> {
    /// The stanza.
    #[must_use]
    pub fn into_node(self) -> Node {
        let class = self.class;
        let keys = self.keys.into_iter().map(|(jid, enc)| {
            Node::new("to")
                .attr("jid", jid)
                .with_child(enc.to_node(&Class::KEY, None))
        });
        let keys: Vec<Node> = keys.collect();
        let participants = (!keys.is_empty()).then(|| Node::new("participants").with_children(keys));
        let message = Node::new("message")
            .attr("id", self.id.as_str())
            .attr("to", self.to)
            .attr("type", class.kind)
            .attr("addressing_mode", self.addressing.as_str())
            .attr("phash", self.phash)
            .attr_opt("edit", class.edit)
            .with_children(participants)
            .with_child(self.enc.to_node(&class, None));
        let mut message = with_identity_and_meta(message, self.device_identity, &class);
        flow::push(&mut message, &class, self.to, self.now);
        message
    }
}

/// A message once more, to one device that could not decrypt it.
#[derive(Clone, Debug)]
pub struct Resend<'a> {
    /// Its id, as before.
    pub id: &'a MessageId,
    /// The device.
    pub to: &'a Jid,
    /// The group that the message is in.
    pub group: Option<&'a Jid>,
    /// The chat, if the device is one of our own.
    pub recipient: Option<&'a Jid>,
    /// What its content asks for.
    pub class: Class,
    /// The ciphertext.
    pub enc: Enc,
    /// The count of the request.
    pub count: u32,
    /// See [`Fanout::device_identity`].
    pub device_identity: Option<Bytes>,
    /// When it is sent.
    pub now: Timestamp,
}

impl Resend<'_> {
    /// The stanza.
    #[must_use]
    pub fn into_node(self) -> Node {
        let message = Node::new("message")
            .attr("id", self.id.as_str())
            .attr("to", self.group.unwrap_or(self.to))
            .attr_opt("participant", self.group.map(|_| self.to))
            .attr_opt("addressing_mode", self.group.map(|_| mode_of(self.to).as_str()))
            .attr("type", self.class.kind)
            .attr("device_fanout", "false")
            .attr_opt("edit", self.class.edit)
            .attr_opt("recipient", self.recipient)
            .with_child(self.enc.to_node(&self.class, Some(self.count)));
        let mut message = with_identity_and_meta(message, self.device_identity, &self.class);
        let chat = self.group.or(self.recipient).unwrap_or(self.to);
        flow::push(&mut message, &self.class, chat, self.now);
        message
    }
}

/// A message to our own phone, which no chat shows.
#[derive(Clone, Debug)]
pub struct ToOwnPhone<'a> {
    /// Its id.
    pub id: &'a MessageId,
    /// Our account, without device.
    pub to: &'a Jid,
    /// What its content asks for.
    pub class: Class,
    /// How urgently the phone is woken for it.
    pub push: Push,
    /// The ciphertext.
    pub enc: Enc,
    /// See [`Fanout::device_identity`].
    pub device_identity: Option<Bytes>,
}

/// How urgently a phone is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// `high`.
    High,
    /// `high_force`.
    HighForce,
}

impl ToOwnPhone<'_> {
    /// The stanza.
    #[must_use]
    pub fn into_node(self) -> Node {
        let priority = match self.push {
            Push::High => "high",
            Push::HighForce => "high_force",
        };
        let message = Node::new("message")
            .attr("id", self.id.as_str())
            .attr("to", self.to)
            .attr("type", self.class.kind)
            .attr("category", "peer")
            .attr("push_priority", priority)
            .with_child(Node::new("meta").attr("appdata", "default"))
            .with_child(self.enc.to_node(&self.class, None));
        with_identity_and_meta(message, self.device_identity, &self.class)
    }
}

/// The kind of name that this is.
fn mode_of(device: &Jid) -> AddressingMode {
    match device.is_lid() {
        true => AddressingMode::Lid,
        false => AddressingMode::Phone,
    }
}

fn with_identity_and_meta(mut message: Node, identity: Option<Bytes>, class: &Class) -> Node {
    if let Some(identity) = identity {
        message.push_child(Node::new("device-identity").with_bytes(identity));
    }
    if let Some((name, value)) = class.meta {
        message.push_child(Node::new("meta").attr(name, value));
    }
    message
}

/// Why there is no ciphertext for us, as the stanza says it (docs/PROTOCOL.md, "Unavailable messages").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The answer of a bot, which companions don't get.
    Bot,
    /// It is on a device that Meta hosts for a business.
    Hosted,
    /// It may be seen once, and companions don't get it.
    ViewOnce,
    /// It is encrypted, or written, in a way that we don't know.
    UnknownKind,
    /// The sender did not know this device, or sent from an advertisement: our phone may have it.
    Missing,
}

/// Most ciphertexts of one message. Servers deliver two at most: a key of the sender's, and what needs it. Each may cost
/// questions to the store and agreements of keys, whoever made it.
pub const MAX_ENCS: usize = 8;

/// An incoming message as the server delivers it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its id.
    pub id: MessageId,
    /// The device that sent it; in a group, the group.
    pub from: Jid,
    /// The device that sent it, in groups and broadcasts.
    pub participant: Option<Jid>,
    /// The chat, if another device of ours sent it.
    pub recipient: Option<Jid>,
    /// The server's time.
    pub timestamp: Timestamp,
    /// The name the sender gives itself.
    pub push_name: Option<String>,
    /// It waited while we were offline.
    pub offline: bool,
    /// Between our own devices.
    pub peer: bool,
    /// The sender by its other name: LID for a number, number for a LID.
    pub sender_alt: Option<Jid>,
    /// `recipient` by its other name.
    pub recipient_alt: Option<Jid>,
    /// The ciphertexts in order; unknown kinds are left out.
    pub encs: Vec<Enc>,
    /// How often the sender has repeated it.
    pub count: u32,
    /// Proof that the sending companion belongs to its account.
    pub device_identity: Option<Bytes>,
    /// There is no ciphertext, and why.
    pub absence: Option<Absence>,
}

impl Received {
    /// Reads the stanza.
    ///
    /// # Errors
    /// If it can't be told who sent it (in a group that is its participant), or what its id is, or it has more than [`MAX_ENCS`] ciphertexts.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        let from = node.require_jid("from")?;
        let optional = Optional::of(node);
        let participant = match from.server() {
            Server::Group | Server::Broadcast => Some(node.require_jid("participant")?),
            _ => optional.participant.and_then(Value::to_jid),
        };
        let sender = participant.as_ref().unwrap_or(&from);
        let alternate = |names: &[[Option<&Value>; 2]; 2]| {
            let names = names[usize::from(sender.is_lid())];
            names.into_iter().flatten().find_map(Value::to_jid)
        };
        if node.nodes_named("enc").nth(MAX_ENCS).is_some() {
            return Err(bad_content("enc"));
        }
        let encs: Vec<Enc> = node.nodes_named("enc").filter_map(enc).collect();
        let counts = node.nodes_named("enc").filter_map(|enc| enc.attr_u64("count"));
        Ok(Self {
            id: node
                .require_str("id")?
                .parse()
                .map_err(|_| bad_content("message"))?,
            timestamp: Timestamp::from_secs(node.require_u64("t")?),
            recipient: optional.recipient.and_then(Value::to_jid),
            push_name: optional.push_name.map(|name| name.as_str().into_owned()),
            offline: optional.offline.is_some(),
            peer: optional.category.is_some_and(|category| category.is("peer")),
            sender_alt: alternate(&optional.sender_alt),
            recipient_alt: alternate(&optional.recipient_alt),
            count: counts
                .max()
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
            device_identity: node.child("device-identity").and_then(Node::bytes),
            absence: encs.is_empty().then(|| absence(node)),
            encs,
            from,
            participant,
        })
    }

    /// The device that sent it.
    pub fn sender(&self) -> &Jid {
        self.participant.as_ref().unwrap_or(&self.from)
    }
}

/// The attributes of a message that need not be there, found in one pass: there are many of them, and most messages have
/// none.
#[derive(Default)]
struct Optional<'a> {
    participant: Option<&'a Value>,
    recipient: Option<&'a Value>,
    push_name: Option<&'a Value>,
    offline: Option<&'a Value>,
    category: Option<&'a Value>,
    /// The other name of the sender: of one by number the hidden id, of one by hidden id the number; the first counts more.
    sender_alt: [[Option<&'a Value>; 2]; 2],
    /// The same of `recipient`.
    recipient_alt: [[Option<&'a Value>; 2]; 2],
}

impl<'a> Optional<'a> {
    fn of(node: &'a Node) -> Self {
        let mut found = Self::default();
        for (name, value) in &node.attrs {
            let place = match name.as_str() {
                "participant" => &mut found.participant,
                "recipient" => &mut found.recipient,
                "notify" => &mut found.push_name,
                "offline" => &mut found.offline,
                "category" => &mut found.category,
                "participant_lid" => &mut found.sender_alt[0][0],
                "sender_lid" => &mut found.sender_alt[0][1],
                "participant_pn" => &mut found.sender_alt[1][0],
                "sender_pn" => &mut found.sender_alt[1][1],
                "peer_recipient_lid" => &mut found.recipient_alt[0][0],
                "recipient_lid" => &mut found.recipient_alt[0][1],
                "peer_recipient_pn" => &mut found.recipient_alt[1][0],
                "recipient_pn" => &mut found.recipient_alt[1][1],
                _ => continue,
            };
            // Of two by one name the first counts.
            place.get_or_insert(value);
        }
        found
    }
}

fn enc(node: &Node) -> Option<Enc> {
    Some(Enc {
        kind: EncKind::from_name(&node.attr_str("type")?)?,
        ciphertext: node.bytes()?,
    })
}

/// Reads why there is nothing to decrypt. `type` has the short form on the wire; the long ones are what a client calls them.
fn absence(node: &Node) -> Absence {
    let Some(unavailable) = node.child("unavailable") else {
        let is_written = node.child("enc").is_some() || node.child("plaintext").is_some();
        return if is_written {
            Absence::UnknownKind
        } else {
            Absence::Missing
        };
    };
    let kind = unavailable.attr_str("type");
    let is = |short: &str, long: &str| {
        let kind = kind.as_deref();
        kind == Some(short) || kind == Some(long)
    };
    let hosted = |flag: &str| unavailable.attr_is("hosted", flag);
    if node.child("bot").is_some() || is("bot", "bot_unavailable_fanout") {
        Absence::Bot
    } else if hosted("true") || hosted("1") || is("hosted", "hosted_unavailable_fanout") {
        Absence::Hosted
    } else if is("view_once", "view_once_unavailable_fanout") {
        Absence::ViewOnce
    } else {
        Absence::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;

    fn class() -> Class {
        Class::of_message(&Message {
            conversation: Some("hi".into()),
            ..Message::default()
        })
    }

    #[test]
    fn a_fanout_names_each_device_and_proves_the_account() {
        let to = Jid::phone("15550002").unwrap();
        let enc = Enc {
            kind: EncKind::PreKey,
            ciphertext: Bytes::from_static(b"c"),
        };
        let id = "3EB001".parse().unwrap();
        let node = Fanout {
            id: &id,
            to: &to,
            class: class(),
            targets: vec![(to.clone(), enc.clone()), (to.clone().with_device(5), enc)],
            device_identity: Some(Bytes::from_static(b"adv")),
            contact_proof: Some(ContactProof::Given(Bytes::from_static(b"token"))),
            now: Timestamp::from_secs(1_798_099_200),
        }
        .into_node();
        let targets: Vec<Jid> = node
            .child("participants")
            .unwrap()
            .nodes()
            .iter()
            .filter_map(|node| node.attr_jid("jid"))
            .collect();
        assert_eq!(targets, [to.clone(), to.with_device(5)]);
        assert!(node.attr_is("type", "text"));
        assert_eq!(
            node.child("device-identity").unwrap().data().unwrap().as_ref(),
            b"adv"
        );
        let last = node.nodes().last().unwrap();
        assert!(last.is("tctoken") && last.data().unwrap().as_ref() == b"token");
    }

    #[test]
    fn the_other_name_of_the_sender_depends_on_the_addressing() {
        let base = |from: &str| {
            Node::new("message")
                .attr("id", "A")
                .attr("t", 1u64)
                .attr("from", from.parse::<Jid>().unwrap())
        };
        let lid: Jid = "100@lid".parse().unwrap();
        let phone = Jid::phone("15550002").unwrap();
        let by_phone = base("15550002:5@s.whatsapp.net").attr("sender_lid", &lid);
        assert_eq!(Received::parse(&by_phone).unwrap().sender_alt, Some(lid));
        let by_lid = base("100:5@lid").attr("sender_pn", &phone);
        assert_eq!(Received::parse(&by_lid).unwrap().sender_alt, Some(phone));
        assert!(Received::parse(&Node::new("message").attr("id", "A").attr("t", 1u64)).is_err());
    }

    #[test]
    fn a_group_sends_nothing_itself() {
        let from = |from: &str| {
            Node::new("message")
                .attr("id", "A")
                .attr("t", 1u64)
                .attr("from", from.parse::<Jid>().unwrap())
        };
        for chat in ["1-2@g.us", "status@broadcast"] {
            assert!(Received::parse(&from(chat)).is_err());
            let sent = from(chat).attr("participant", Jid::phone("15550002").unwrap());
            assert_eq!(Received::parse(&sent).unwrap().sender().user(), "15550002");
        }
    }

    #[test]
    fn more_ciphertexts_than_a_message_can_have_are_refused() {
        let with = |count: usize| {
            let node = Node::new("message")
                .attr("id", "A")
                .attr("t", 1u64)
                .attr("from", Jid::phone("15550002").unwrap());
            let enc = || Node::new("enc").attr("type", "pkmsg").with_slice(&[1]);
            Received::parse(&node.with_children(std::iter::repeat_with(enc).take(count)))
        };
        assert_eq!(with(MAX_ENCS).unwrap().encs.len(), MAX_ENCS);
        assert!(with(MAX_ENCS + 1).is_err());
    }

    #[test]
    fn each_absence_is_told_apart() {
        let base = Node::new("message")
            .attr("id", "A")
            .attr("t", 1u64)
            .attr("from", Jid::phone("15550002").unwrap());
        let absence = |children: Vec<Node>| {
            Received::parse(&base.clone().with_children(children))
                .unwrap()
                .absence
        };
        let unavailable = || Node::new("unavailable");
        let of = |kind: &'static str| unavailable().attr("type", kind);
        let enc = |kind: &'static str| Node::new("enc").attr("type", kind).with_slice(&[1]);
        for (children, expected) in [
            (vec![unavailable()], Absence::Missing),
            (vec![of("ad")], Absence::Missing),
            (vec![], Absence::Missing),
            (vec![of("view_once")], Absence::ViewOnce),
            (vec![of("view_once_unavailable_fanout")], Absence::ViewOnce),
            (vec![of("view_once").attr("hosted", "true")], Absence::Hosted),
            (vec![unavailable().attr("hosted", "1")], Absence::Hosted),
            (vec![of("view_once"), Node::new("bot")], Absence::Bot),
            (vec![enc("msmsg")], Absence::UnknownKind),
            (vec![Node::new("plaintext")], Absence::UnknownKind),
        ] {
            assert_eq!(absence(children), Some(expected));
        }
        assert_eq!(
            absence(vec![enc("msg"), unavailable()]),
            None,
            "what can be read is read"
        );
    }
}
