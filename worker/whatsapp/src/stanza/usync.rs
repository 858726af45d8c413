//! User queries (`usync`): who is on WhatsApp, which devices somebody has, which hidden id belongs to a number.
//!
//! Facts: docs/PROTOCOL.md, "User queries".

use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;

use crate::binary::{Node, StanzaError};
use crate::jid::{Jid, Server};
use crate::proto::{AdvKeyIndexList, AdvSignedKeyIndexList};

/// Name space of the request.
pub const XMLNS: &str = "usync";

/// Most users in one query that we send.
pub const MAX_USERS: usize = 64;

/// Why something is asked; the server treats the contexts differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Before a message is sent.
    Message,
    /// A user waits for the answer.
    Interactive,
    /// Nobody waits.
    Background,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

/// What is asked about each user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocols {
    /// Whether the number is on WhatsApp.
    pub contact: bool,
    /// The devices.
    pub devices: bool,
    /// The hidden id.
    pub lid: bool,
}

/// Whom a query asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A phone number, digits only, of which nobody knows yet whether it is on WhatsApp.
    Phone(CompactString),
    /// A user.
    User(Jid),
}

/// A query. An iq of type get to the server; id and `to` are set by whoever sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Unique per connection.
    pub sid: CompactString,
    /// Why.
    pub purpose: Purpose,
    /// What about each.
    pub protocols: Protocols,
    /// About whom; at most [`MAX_USERS`].
    pub subjects: Vec<Subject>,
}

impl Query {
    /// The iq, without its id.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let mut query = Vec::with_capacity(3);
        if self.protocols.contact {
            query.push(Node::new("contact"));
        }
        if self.protocols.devices {
            query.push(Node::new("devices").attr("version", "2"));
        }
        if self.protocols.lid {
            query.push(Node::new("lid"));
        }
        let users = self.subjects.iter().map(|subject| match subject {
            Subject::Phone(digits) => Node::new("user")
                .with_child(Node::new("contact").with_bytes(Bytes::from(format!("+{digits}")))),
            Subject::User(jid) => Node::new("user").attr("jid", jid),
        });
        let usync = Node::new("usync")
            .attr("sid", self.sid.as_str())
            .attr("mode", "query")
            .attr("context", self.purpose.as_str())
            .attr("last", "true")
            .attr("index", "0")
            .with_child(Node::new("query").with_children(query))
            .with_child(Node::new("list").with_children(users));
        Node::new("iq")
            .attr("xmlns", XMLNS)
            .attr("type", "get")
            .attr("to", Jid::SERVER)
            .with_child(usync)
    }

    /// Reads the iq (the server's side). Unknown protocols are left out.
    ///
    /// # Errors
    /// If it is no user query.
    pub fn parse(iq: &Node) -> Result<Self, StanzaError> {
        let usync = iq.require_child("usync")?;
        let query = usync.require_child("query")?;
        let list = usync.require_child("list")?;
        let asks = |name| query.child(name).is_some();
        let purpose = match usync.attr_str("context").as_deref() {
            Some("message") => Purpose::Message,
            Some("interactive") => Purpose::Interactive,
            _ => Purpose::Background,
        };
        Ok(Self {
            sid: usync.attr_str("sid").as_deref().unwrap_or_default().into(),
            purpose,
            protocols: Protocols {
                contact: asks("contact"),
                devices: asks("devices"),
                lid: asks("lid"),
            },
            subjects: list.nodes_named("user").filter_map(subject).collect(),
        })
    }
}

fn subject(user: &Node) -> Option<Subject> {
    if let Some(jid) = user.attr_jid("jid") {
        return Some(Subject::User(jid));
    }
    let digits = digits_of(&user.child("contact")?.text()?);
    (!digits.is_empty()).then_some(Subject::Phone(digits))
}

/// The digits of `+1555…`, `1555…@c.us` and the like.
fn digits_of(text: &str) -> CompactString {
    let number = text.split('@').next().unwrap_or_default();
    number.chars().filter(char::is_ascii_digit).collect()
}

/// A device of a device list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// 0 is the phone.
    pub id: u16,
    /// Place in the account's key index list; a companion without one is not to be sent to.
    pub key_index: Option<u32>,
    /// Hosted by Meta.
    pub hosted: bool,
}

impl ListedDevice {
    /// Whether messages may be encrypted for it.
    pub const fn is_valid(&self) -> bool {
        !self.hosted && (self.id == 0 || self.key_index.is_some())
    }
}

/// Whether a number is on WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// It is.
    pub registered: bool,
    /// The digits that were asked, as far as the server repeats them.
    pub asked: CompactString,
}

/// What the server says of one user. Absent where it was not asked or not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAnswer {
    /// The user's address; may differ from the number that was asked.
    pub jid: Option<Jid>,
    /// The phone number's address, where `jid` is a hidden id.
    pub pn: Option<Jid>,
    /// Registration.
    pub contact: Option<Contact>,
    /// Devices, or the code of the error in their place.
    pub devices: Option<Result<Vec<ListedDevice>, u32>>,
    /// The signed list of companions (`ADVSignedKeyIndexList`) and its time, unix seconds.
    pub key_index_list: Option<(u64, Bytes)>,
    /// The hidden id.
    pub lid: Option<Jid>,
}

impl UserAnswer {
    /// The address by phone number, if one is known.
    pub fn phone_jid(&self) -> Option<&Jid> {
        self.pn.as_ref().or(self.jid.as_ref()).filter(|jid| jid.is_user())
    }

    /// The address by hidden id, if one is known.
    pub fn lid_jid(&self) -> Option<&Jid> {
        self.lid
            .as_ref()
            .or_else(|| self.jid.as_ref().filter(|jid| jid.server() == Server::Lid))
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// One per user that the server knows something of.
    pub users: Vec<UserAnswer>,
    /// The code of the first protocol that failed for everybody.
    pub error: Option<u32>,
}

impl Answer {
    /// Reads the result iq.
    ///
    /// # Errors
    /// If it is no answer to a user query.
    pub fn parse(iq: &Node) -> Result<Self, StanzaError> {
        let usync = iq.require_child("usync")?;
        let failed = |protocol: &Node| protocol.child("error").map(error_code);
        let error = usync
            .child("result")
            .and_then(|result| result.nodes().iter().find_map(failed));
        let users = usync
            .child("list")
            .map_or_else(Vec::new, |list| list.nodes_named("user").map(user).collect());
        Ok(Self { users, error })
    }

    /// The result iq (the server's side), without `id`.
    #[must_use]
    pub fn to_node(&self, query: &Query) -> Node {
        let usync = Node::new("usync")
            .attr("sid", query.sid.as_str())
            .attr("mode", "query")
            .attr("context", query.purpose.as_str())
            .attr("last", "true")
            .attr("index", "0")
            .with_child(Node::new("result"))
            .with_child(Node::new("list").with_children(self.users.iter().map(user_node)));
        Node::new("iq")
            .attr("type", "result")
            .attr("from", Jid::SERVER)
            .with_child(usync)
    }
}

fn error_code(error: &Node) -> u32 {
    error.attr_number("code").unwrap_or_default()
}

fn user(node: &Node) -> UserAnswer {
    let contact = node.child("contact").map(|contact| Contact {
        registered: contact.attr_is("type", "in"),
        asked: contact.text().as_deref().map(digits_of).unwrap_or_default(),
    });
    let devices = node.child("devices");
    let key_index_list = devices
        .and_then(|devices| devices.child("key-index-list"))
        .and_then(|list| Some((list.attr_u64("ts").unwrap_or_default(), list.bytes()?)));
    let mut devices = devices.and_then(device_list);
    if let (Some(Ok(devices)), Some((_, signed))) = (&mut devices, &key_index_list) {
        leave_out_gone(devices, signed);
    }
    UserAnswer {
        jid: node.attr_jid("jid"),
        pn: node.attr_jid("pn_jid"),
        contact,
        devices,
        key_index_list,
        lid: node
            .child("lid")
            .and_then(|lid| lid.attr_jid("val"))
            .filter(Jid::is_lid),
    }
}

fn device_list(devices: &Node) -> Option<Result<Vec<ListedDevice>, u32>> {
    if let Some(error) = devices.child("error") {
        return Some(Err(error_code(error)));
    }
    let list = devices.child("device-list")?;
    let device = |node: &Node| {
        Some(ListedDevice {
            id: node.attr_number("id")?,
            key_index: node.attr_number("key-index"),
            hosted: node.attr_is("is_hosted", "true"),
        })
    };
    Some(Ok(list.nodes_named("device").filter_map(device).collect()))
}

/// Leaves out companions that the account's phone has unlinked, by the list that it signs of those it has: a key index that
/// is not in it counts only if it is later than the list. The signature is not checked: whoever could forge a list that
/// leaves out a device could leave out the device. A list that can't be read leaves out nothing.
fn leave_out_gone(devices: &mut Vec<ListedDevice>, signed: &Bytes) {
    let details = AdvSignedKeyIndexList::decode(signed.clone())
        .ok()
        .and_then(|signed| AdvKeyIndexList::decode(signed.details?).ok());
    let Some(list) = details else {
        return tracing::debug!("a key index list can't be read");
    };
    let newest = list.current_index.unwrap_or_default();
    devices.retain(|device| {
        let index = device.key_index.unwrap_or_default();
        device.id == 0 || list.valid_indexes.contains(&index) || index > newest
    });
}

fn user_node(answer: &UserAnswer) -> Node {
    let mut user = Node::new("user")
        .attr_opt("jid", answer.jid.as_ref())
        .attr_opt("pn_jid", answer.pn.as_ref());
    if let Some(contact) = &answer.contact {
        let kind = if contact.registered { "in" } else { "out" };
        let node = Node::new("contact").attr("type", kind);
        user.push_child(node.with_bytes(Bytes::from(format!("+{}", contact.asked))));
    }
    if let Some(devices) = &answer.devices {
        user.push_child(devices_node(devices, answer.key_index_list.as_ref()));
    }
    if let Some(lid) = &answer.lid {
        user.push_child(Node::new("lid").attr("val", lid));
    }
    user
}

fn devices_node(devices: &Result<Vec<ListedDevice>, u32>, index_list: Option<&(u64, Bytes)>) -> Node {
    let node = Node::new("devices");
    let devices = match devices {
        Ok(devices) => devices,
        Err(code) => return node.with_child(Node::new("error").attr("code", *code)),
    };
    let list = devices.iter().map(|device| {
        Node::new("device")
            .attr("id", u32::from(device.id))
            .attr_opt("key-index", device.key_index)
            .attr_opt("is_hosted", device.hosted.then_some("true"))
    });
    let node = node.with_child(Node::new("device-list").with_children(list));
    match index_list {
        Some((t, bytes)) => {
            let list = Node::new("key-index-list").attr("ts", *t);
            node.with_child(list.with_bytes(bytes.clone()))
        }
        None => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_comes_back_from_its_node() {
        let query = Query {
            sid: "1-2".into(),
            purpose: Purpose::Message,
            protocols: Protocols {
                contact: true,
                devices: true,
                lid: true,
            },
            subjects: vec![
                Subject::Phone("15550002".into()),
                Subject::User(Jid::phone("15550001").unwrap()),
                Subject::User(Jid::new("100000000000001", Server::Lid)),
            ],
        };
        assert_eq!(Query::parse(&query.to_node()), Ok(query));
    }

    #[test]
    fn an_answer_comes_back_from_its_node() {
        let device = |id, key_index| ListedDevice {
            id,
            key_index,
            hosted: false,
        };
        let answer = Answer {
            users: vec![
                UserAnswer {
                    jid: Some(Jid::phone("15550002").unwrap()),
                    contact: Some(Contact {
                        registered: true,
                        asked: "15550002".into(),
                    }),
                    devices: Some(Ok(vec![device(0, None), device(5, Some(1)), device(6, None)])),
                    key_index_list: Some((1_700_000_000, Bytes::from_static(b"list"))),
                    lid: Some(Jid::new("100000000000002", Server::Lid)),
                    ..UserAnswer::default()
                },
                UserAnswer {
                    contact: Some(Contact {
                        registered: false,
                        asked: "15550009".into(),
                    }),
                    ..UserAnswer::default()
                },
                UserAnswer {
                    jid: Some(Jid::phone("15550003").unwrap()),
                    devices: Some(Err(404)),
                    ..UserAnswer::default()
                },
            ],
            error: None,
        };
        let query = Query {
            sid: "1".into(),
            purpose: Purpose::Interactive,
            protocols: Protocols::default(),
            subjects: Vec::new(),
        };
        assert_eq!(Answer::parse(&answer.to_node(&query)), Ok(answer));
    }

    #[test]
    fn companions_without_a_key_index_are_not_sent_to() {
        let device = |id, key_index, hosted| ListedDevice {
            id,
            key_index,
            hosted,
        };
        assert!(device(0, None, false).is_valid());
        assert!(device(3, Some(2), false).is_valid());
        assert!(!device(3, None, false).is_valid());
        assert!(!device(99, Some(1), true).is_valid());
    }

    #[test]
    fn companions_that_the_phone_has_unlinked_are_left_out() {
        let list = AdvKeyIndexList {
            current_index: Some(7),
            valid_indexes: vec![0, 5, 7],
            ..AdvKeyIndexList::default()
        };
        let signed = AdvSignedKeyIndexList {
            details: Some(list.encode_to_vec().into()),
            ..AdvSignedKeyIndexList::default()
        };
        let all = || {
            let device = |id: u16, key_index| ListedDevice {
                id,
                key_index,
                hosted: false,
            };
            vec![
                device(0, None),
                device(1, Some(5)),
                device(2, Some(6)),
                device(3, Some(7)),
                device(4, Some(8)),
            ]
        };
        let mut left = all();
        leave_out_gone(&mut left, &signed.encode_to_vec().into());
        let ids: Vec<u16> = left.iter().map(|device| device.id).collect();
        assert_eq!(ids, [0, 1, 3, 4]);
        let mut left = all();
        leave_out_gone(&mut left, &Bytes::from_static(b"list"));
        assert_eq!(left, all());
    }

    #[test]
    fn numbers_are_told_apart_from_their_decoration() {
        assert_eq!(digits_of("+1555 000-2"), "15550002");
        assert_eq!(digits_of("15550002@c.us"), "15550002");
    }
}
