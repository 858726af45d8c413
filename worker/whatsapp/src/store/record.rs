//! What a record is called: its kind, and its name within the kind; and the value of a message that was sent.

use std::fmt::{self, Write as _};

use bytes::{BufMut, Bytes, BytesMut};

use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::signal::{Address, PreKeyId, SignedPreKeyId};
use crate::syncd::KeyId;

/// A kind of record. The number is what stores keep: it never changes, and none is given out twice (2 was identities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// The credentials, see [`crate::device::Device::encode`]; one, with an empty name.
    Device = 0,
    /// A [`crate::signal::session::SessionRecord`], by address.
    Session = 1,
    /// A one-time [`crate::signal::PreKey`], by id (four bytes, big-endian).
    PreKey = 3,
    /// A [`crate::signal::SignedPreKey`], current or earlier, by id (four bytes, big-endian).
    SignedPreKey = 4,
    /// A [`crate::signal::sender_key::SenderKeyRecord`], by group, blank, and the address that sends with it.
    SenderKey = 5,
    /// The hidden id of a phone number; both are user parts.
    Lid = 6,
    /// The phone number of a hidden id; both are user parts.
    Phone = 7,
    /// The number that an account has now, by a number that was resolved: the same, or one that the server still knows it
    /// by; both are user parts. With [`Self::Lid`], what tells that a number need not be looked up.
    Renumbered = 8,
    /// A key of the app state, by its id; or when our phone was asked for it.
    AppStateKey = 10,
    /// How far a collection of the app state is, by its name.
    AppStateCollection = 11,
    /// The records of a collection of the app state (MACs of indexes and values), by the collection's name, blank, and
    /// the number of the bucket.
    AppStateMac = 12,
    /// What is known of the tokens between us and a contact, by the user part of the hidden id; by the whole address while
    /// only the number is known.
    TrustedToken = 9,
    /// What our phone was asked for and has not answered; one, with an empty name.
    Placeholders = 13,
    /// The pieces of the history that our phone named and that are not taken in yet; one, with an empty name.
    HistoryPieces = 14,
    /// Who is in a group, by its address.
    Group = 15,
    /// Which devices have our sender key of a group, by its address.
    GroupKeyHanded = 16,
    /// The deletions in groups of which it is not known yet whether an admin sent them: pages, by their numbers; the first with an
    /// empty name.
    Revokes = 18,
    /// How far the piece of the history is that is being taken in, and which were; one, with an empty name.
    HistoryProgress = 19,
    /// A [`SentMessage`], by stanza id. Never committed: the owner answers from what it keeps, with
    /// the chat as it named it ([`Recipient::chat`](crate::command::Recipient::chat)).
    Sent = 255,
}

/// Names one record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// What it is.
    pub kind: RecordKind,
    /// Which one of its kind, encoded as the kind says.
    pub name: Vec<u8>,
}

impl RecordKey {
    /// A record of this kind and name.
    pub fn new(kind: RecordKind, name: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        Self { kind, name }
    }

    /// The credentials.
    pub fn device() -> Self {
        Self::new(RecordKind::Device, "")
    }

    /// The session with a device.
    pub fn session(address: &Address) -> Self {
        Self::new(RecordKind::Session, name_of(address.jid()))
    }

    /// A one-time prekey.
    pub fn prekey(id: PreKeyId) -> Self {
        Self::new(RecordKind::PreKey, id.get().to_be_bytes())
    }

    /// A signed prekey.
    pub fn signed_prekey(id: SignedPreKeyId) -> Self {
        Self::new(RecordKind::SignedPreKey, id.get().to_be_bytes())
    }

    /// The sender key of one device in one group. No jid holds a blank, so the two parts stay apart.
    pub fn sender_key(group: &Jid, sender: &Address) -> Self {
        let mut name = name_of(group);
        name.push(' ');
        sender.jid().push_to(&mut name);
        Self::new(RecordKind::SenderKey, name)
    }

    /// What leads from a user to their other name: the hidden id of a number, the number of a hidden id. `None` for
    /// addresses that have only one name.
    pub fn other_name(user: &Jid) -> Option<Self> {
        let kind = match user.server() {
            Server::User => RecordKind::Lid,
            Server::Lid => RecordKind::Phone,
            _ => return None,
        };
        Some(Self::new(kind, user.user()))
    }

    /// The present number of an account, by a number (user part) that the server still knows it by.
    pub fn renumbered(phone: &str) -> Self {
        Self::new(RecordKind::Renumbered, phone)
    }

    /// A key of the app state.
    pub(crate) fn app_state_key(id: &KeyId) -> Self {
        Self::new(RecordKind::AppStateKey, id.as_bytes())
    }

    /// The state of a collection of the app state.
    pub(crate) fn app_state_collection(name: &str) -> Self {
        Self::new(RecordKind::AppStateCollection, name)
    }

    /// One bucket of the records of a collection of the app state.
    pub(crate) fn app_state_macs(collection: &str, bucket: u8) -> Self {
        Self::new(
            RecordKind::AppStateMac,
            text(format_args!("{collection} {bucket}")),
        )
    }

    /// The tokens between us and this contact.
    pub fn trusted_token(contact: &Jid) -> Self {
        match contact.server() {
            Server::Lid => Self::new(RecordKind::TrustedToken, contact.user()),
            _ => Self::new(RecordKind::TrustedToken, name_of(contact)),
        }
    }

    /// The messages that our phone was asked for.
    pub fn placeholders() -> Self {
        Self::new(RecordKind::Placeholders, "")
    }

    /// The pieces of the history that are not taken in yet.
    pub fn history_pieces() -> Self {
        Self::new(RecordKind::HistoryPieces, "")
    }

    /// How far the history is.
    pub fn history_progress() -> Self {
        Self::new(RecordKind::HistoryProgress, "")
    }

    /// Who is in this group.
    pub fn group(group: &Jid) -> Self {
        Self::new(RecordKind::Group, name_of(group))
    }

    /// Which devices have our sender key of this group.
    pub fn handed(group: &Jid) -> Self {
        Self::new(RecordKind::GroupKeyHanded, name_of(group))
    }

    /// The deletions in groups that nobody has judged yet, a page of them; the first has no name, as when there was one alone.
    pub fn revokes(page: usize) -> Self {
        match page {
            0 => Self::new(RecordKind::Revokes, ""),
            page => Self::new(RecordKind::Revokes, text(format_args!("{page}"))),
        }
    }

    /// The records of a person that are found by one of their names: what leads to the other one, and the tokens.
    pub fn of_person(user: &Jid) -> Vec<Self> {
        let user = user.to_bare();
        let mut keys = vec![Self::trusted_token(&user)];
        keys.extend(Self::other_name(&user));
        if user.is_user() {
            keys.push(Self::renumbered(user.user()));
        }
        keys
    }

    /// Whether it is the ratchet, or a sender key, of a device of one of these people.
    pub fn is_of_device(&self, people: &[Jid]) -> bool {
        let Ok(name) = std::str::from_utf8(&self.name) else {
            return false;
        };
        let address = match self.kind {
            RecordKind::Session => Some(name),
            RecordKind::SenderKey => name.split_once(' ').map(|(_, address)| address),
            _ => None,
        };
        let device = address.and_then(|address| address.parse::<Jid>().ok());
        device.is_some_and(|device| people.contains(&device.to_bare()))
    }

    /// What the owner sent under this id.
    pub fn sent(id: &MessageId) -> Self {
        Self::new(RecordKind::Sent, id.as_str())
    }
}

/// An address. Each send makes some names: they are written without growing.
fn name_of(jid: &Jid) -> String {
    let mut name = String::with_capacity(NAME_BYTES);
    jid.push_to(&mut name);
    name
}

fn text(name: fmt::Arguments<'_>) -> String {
    let mut text = String::with_capacity(NAME_BYTES);
    // A text grows, so that writing into it can't fail.
    text.write_fmt(name).ok();
    text
}

/// Prints the kind only: names are numbers of people.
impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(…)", self.kind)
    }
}

/// What the owner answers for a [`RecordKind::Sent`].
#[derive(Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// Whom the owner sent it to, by LID, phone number or group. Nobody else gets it again.
    pub chat: Jid,
    /// The encoded [`crate::proto::Message`].
    pub message: Bytes,
}

impl SentMessage {
    /// The value: the length of the chat's text (four bytes, big-endian), that text, the message.
    pub fn encode(&self) -> Bytes {
        let chat = self.chat.to_string();
        let mut value = BytesMut::with_capacity(LENGTH_BYTES + chat.len() + self.message.len());
        value.put_u32(u32::try_from(chat.len()).unwrap_or(u32::MAX));
        value.extend_from_slice(chat.as_bytes());
        value.extend_from_slice(&self.message);
        value.freeze()
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is something else.
    pub fn decode(mut value: Bytes) -> Option<Self> {
        let length = value.first_chunk::<LENGTH_BYTES>().copied()?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        let chat = value.get(LENGTH_BYTES..)?.get(..length)?;
        let chat = std::str::from_utf8(chat).ok()?.parse().ok()?;
        let message = value.split_off(LENGTH_BYTES + length);
        Some(Self { chat, message })
    }

    /// The same message, its chat by the number that the account has now, if a
    /// [`RecordKind::Renumbered`] record says so.
    pub(crate) fn renumbered(mut self, present: Option<&[u8]>) -> Self {
        if let Some(present) = present.and_then(|text| std::str::from_utf8(text).ok())
            && self.chat.is_user()
        {
            self.chat = Jid::new(present, Server::User);
        }
        self
    }
}

const LENGTH_BYTES: usize = 4;
/// Room for most names.
const NAME_BYTES: usize = 48;

/// Prints nothing of it.
impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SentMessage(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Databases hold these: a name or a number that changes is a key that is lost.
    #[test]
    fn stored_names_stay_as_they_are() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let address = Address::new(&jid("15550001:3@s.whatsapp.net"));
        let id = 0x0001_02ff;
        let keys = [
            (RecordKey::device(), 0, &b""[..]),
            (RecordKey::session(&address), 1, &b"15550001:3@s.whatsapp.net"[..]),
            (
                RecordKey::prekey(PreKeyId::new(id).unwrap()),
                3,
                &[0, 1, 2, 0xff][..],
            ),
            (
                RecordKey::signed_prekey(SignedPreKeyId::new(id).unwrap()),
                4,
                &[0, 1, 2, 0xff][..],
            ),
            (
                RecordKey::sender_key(&jid("1-2@g.us"), &Address::new(&jid("100:3@lid"))),
                5,
                &b"1-2@g.us 100:3@lid"[..],
            ),
            (
                RecordKey::other_name(&jid("15550001@s.whatsapp.net")).unwrap(),
                6,
                &b"15550001"[..],
            ),
            (RecordKey::other_name(&jid("100@lid")).unwrap(), 7, &b"100"[..]),
            (RecordKey::renumbered("15550001"), 8, &b"15550001"[..]),
            (
                RecordKey::app_state_key(&KeyId::new(&[0, 1]).unwrap()),
                10,
                &[0, 1][..],
            ),
            (
                RecordKey::app_state_collection("critical_block"),
                11,
                &b"critical_block"[..],
            ),
            (
                RecordKey::app_state_macs("critical_block", 31),
                12,
                &b"critical_block 31"[..],
            ),
            (RecordKey::trusted_token(&jid("100@lid")), 9, &b"100"[..]),
            (
                RecordKey::trusted_token(&jid("15550001@s.whatsapp.net")),
                9,
                &b"15550001@s.whatsapp.net"[..],
            ),
            (RecordKey::placeholders(), 13, &b""[..]),
            (RecordKey::history_pieces(), 14, &b""[..]),
            (RecordKey::history_progress(), 19, &b""[..]),
            (RecordKey::group(&jid("1-2@g.us")), 15, &b"1-2@g.us"[..]),
            (RecordKey::handed(&jid("1-2@g.us")), 16, &b"1-2@g.us"[..]),
            (RecordKey::revokes(0), 18, &b""[..]),
            (RecordKey::revokes(12), 18, &b"12"[..]),
            (RecordKey::sent(&"3EB0".parse().unwrap()), 255, &b"3EB0"[..]),
        ];
        for (key, kind, name) in keys {
            assert_eq!((key.kind as u8, &key.name[..]), (kind, name), "{key:?}");
        }
        assert_eq!(RecordKey::other_name(&jid("1-2@g.us")), None);
    }

    #[test]
    fn a_persons_records_are_told_from_those_of_others() {
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let people = [jid("15550001@s.whatsapp.net"), jid("100@lid")];
        let address = |text: &str| Address::new(&jid(text));
        for (device, is_theirs) in [
            ("15550001:3@s.whatsapp.net", true),
            ("100@lid", true),
            ("1001:3@lid", false),
        ] {
            let group = jid("1-2@g.us");
            assert_eq!(
                RecordKey::session(&address(device)).is_of_device(&people),
                is_theirs
            );
            let handed = RecordKey::sender_key(&group, &address(device));
            assert_eq!(handed.is_of_device(&people), is_theirs);
        }
        assert!(!RecordKey::device().is_of_device(&people));
        let kinds: Vec<_> = RecordKey::of_person(&people[0])
            .iter()
            .map(|key| key.kind)
            .collect();
        assert_eq!(
            kinds,
            [RecordKind::TrustedToken, RecordKind::Lid, RecordKind::Renumbered]
        );
    }

    #[test]
    fn a_number_is_known_in_its_present_form() {
        let present = |chat: &str, record: Option<&[u8]>| {
            let (chat, message) = (chat.parse().unwrap(), Bytes::new());
            let sent = SentMessage { chat, message }.renumbered(record);
            sent.chat.to_string()
        };
        let (old, new) = ("5511987654321@s.whatsapp.net", "551187654321@s.whatsapp.net");
        assert_eq!(present(old, Some(b"551187654321")), new);
        assert_eq!(present(new, None), new);
        assert_eq!(
            present("5511987654321@lid", Some(b"551187654321")),
            "5511987654321@lid"
        );
    }

    #[test]
    fn the_value_is_read_back_and_nothing_else_is() {
        let sent = SentMessage {
            chat: "15550002@s.whatsapp.net".parse().unwrap(),
            message: Bytes::from_static(b"\x0a\x02hi"),
        };
        let value = sent.encode();
        assert_eq!(SentMessage::decode(value.clone()), Some(sent));
        let chat_ends = value.len() - 4;
        for cut in 0..chat_ends {
            assert!(SentMessage::decode(value.slice(..cut)).is_none(), "{cut}");
        }
    }
}
