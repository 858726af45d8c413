//! What a message that came in means for what is kept: a row, or a change of one. Pure.

use serde_json::Value;
use time::OffsetDateTime;

use crate::event::NewMessage;
use crate::id::StanzaId;

/// Most characters of the words that a chat shows of its last message.
pub const SHORT_MAX: usize = 200;
/// Most characters of a name that are kept.
pub const NAME_MAX: usize = 256;
/// Most characters of the name of a person, a chat or a message.
pub const ID_MAX: usize = 128;

/// Bytes of the secret of a poll.
pub const SECRET_BYTES: usize = 32;

/// The kind of a vote in a poll, as events tell it.
pub const VOTE: &str = "pollUpdateMessage";

/// The author of a change that anybody's message takes.
pub const ANYBODY: &str = "*";

/// Somebody, or a group.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Peer {
    /// By number where that is known.
    pub jid: String,
    /// The hidden id, where it is known beside the number.
    pub lid: Option<String>,
}

impl Peer {
    /// Whether the database has room for its names.
    pub(super) fn is_storable(&self) -> bool {
        let names = [Some(&self.jid), self.lid.as_ref()];
        names.into_iter().flatten().all(|name| fits_id(name))
    }

    /// What recipients of queues are stored under: a number without its server, all else as it is.
    pub(super) fn as_recipients(&self) -> Vec<String> {
        let number = self.jid.strip_suffix("@s.whatsapp.net").unwrap_or(&self.jid);
        let names = [Some(number), self.lid.as_deref()].into_iter().flatten();
        names.map(str::to_owned).collect()
    }
}

/// What becomes of the chats of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatChange {
    /// A message came in, or was written on another device. The same once more changes nothing.
    Arrived(Box<Arrival>),
    /// A message has other words now, or was deleted for everyone.
    Altered(Box<Alteration>),
    /// The account read the chat on another device.
    Read(Peer),
    /// A message of the past, told by the account's phone. What is there stays as it is.
    Recalled(Box<Arrival>),
    /// A chat of the past. Of one that is there only what is not known is taken.
    Listed(Box<ListedChat>),
    /// Somebody the account's phone knows. Of who is known only what is not is taken.
    Met(Peer, Option<String>),
}

/// A chat of the past.
#[derive(Clone, PartialEq)]
pub struct ListedChat {
    /// Which.
    pub chat: Peer,
    /// What it is called, where it has a name of its own.
    pub name: Option<String>,
    /// How many messages nobody has read.
    pub unread: u32,
    /// Its newest message; without one it is not kept.
    pub newest: Option<Arrival>,
}

impl std::fmt::Debug for ListedChat {
    /// Who is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ListedChat({:?})", self.newest)
    }
}

/// A message that came in, as it is kept.
#[derive(Clone, PartialEq)]
pub struct Arrival {
    /// Where.
    pub chat: Peer,
    /// Its id.
    pub id: StanzaId,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, in a group; empty elsewhere.
    pub sender: String,
    /// The person who wrote it, if it is another one.
    pub author: Option<Peer>,
    /// The name that they go by.
    pub push_name: Option<String>,
    /// When it was sent: the second that WhatsApp tells, and of that second the part at which it came in.
    pub at: OffsetDateTime,
    /// What it says.
    pub said: Said,
    /// Of a reaction and of a vote: the message that it is to.
    pub target: Option<String>,
    /// Of a poll: what the keys of its votes are made of.
    pub secret: Option<[u8; SECRET_BYTES]>,
    /// Whether it counts as one that nobody has read yet.
    pub is_unread: bool,
}

impl std::fmt::Debug for Arrival {
    /// Who and what is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arrival({})", self.said.kind)
    }
}

/// What a message says.
#[derive(Clone, PartialEq)]
pub struct Said {
    /// Its kind, as events tell it.
    pub kind: String,
    /// What events tell of it, as JSON; `None` if that is too large.
    pub body: Option<String>,
    /// Its words.
    pub words: Option<String>,
}

/// A change of a message.
#[derive(Clone, PartialEq)]
pub struct Alteration {
    /// The id of the message that says so.
    pub change: StanzaId,
    /// Where.
    pub chat: Peer,
    /// Which message.
    pub id: String,
    /// Whether it is to be one of the account.
    pub from_me: bool,
    /// Who has to have written it; `None` for anybody: an admin of the group deletes it.
    pub sender: Option<String>,
    /// When.
    pub at: OffsetDateTime,
    /// What it says now; `None` where it was deleted for everyone.
    pub said: Option<Said>,
}

impl std::fmt::Debug for Alteration {
    /// Who and what is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Alteration(deletes: {})", self.said.is_none())
    }
}

impl std::fmt::Debug for Said {
    /// What was said is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Said({})", self.kind)
    }
}

impl Said {
    /// A kind with its body, of which no more than so many bytes are kept.
    pub fn new(kind: &str, body: &Value, max_bytes: usize) -> Self {
        let json = body.to_string();
        Self {
            kind: kind.to_owned(),
            // A zero byte, which no text of the database holds, is escaped in JSON.
            body: (json.len() <= max_bytes).then_some(json),
            words: words(body).map(|text| clip_bytes(&storable(text), max_bytes).to_owned()),
        }
    }

    /// The first of its words.
    pub fn short(&self) -> Option<String> {
        let words = self.words.as_deref()?;
        Some(words.chars().take(SHORT_MAX).collect())
    }
}

/// Who wrote a message, as it is kept: the member of a group by number where that is known; nobody elsewhere.
pub fn sender_of(message: &NewMessage) -> String {
    let header = &message.header;
    if !message.context.from_group {
        return String::new();
    }
    let phone = header.phone_number.as_ref();
    let phone = phone.map(|digits| format!("{digits}@s.whatsapp.net"));
    phone.or_else(|| header.participant.clone()).unwrap_or_default()
}

impl ChatChange {
    /// Who it names.
    pub(in crate::store) fn peers(&self) -> impl Iterator<Item = &Peer> {
        let (chat, author) = match self {
            Self::Arrived(arrival) => (&arrival.chat, arrival.author.as_ref()),
            Self::Altered(altered) => (&altered.chat, None),
            Self::Read(peer) | Self::Met(peer, _) => (peer, None),
            Self::Recalled(arrival) => (&arrival.chat, arrival.author.as_ref()),
            Self::Listed(listed) => (&listed.chat, None),
        };
        [Some(chat), author].into_iter().flatten()
    }

    /// The other person who wrote a message, if there is one and what is theirs can be kept.
    pub fn author(message: &NewMessage) -> Option<Peer> {
        Place::of(message).filter(Place::is_storable)?.author
    }

    /// What a message that came in now means; `None` where nothing is kept of it. Of what it says no more than so many bytes
    /// are.
    pub fn of(message: &NewMessage, now: OffsetDateTime, max_bytes: usize) -> Option<Self> {
        let place = Place::of(message).filter(Place::is_storable)?;
        if message.body.message_type == "protocolMessage" {
            return alteration(message, place, max_bytes)
                .map(Box::new)
                .map(Self::Altered);
        }
        let at = within(place.at, now);
        let arrival = arrival(message, place, at, max_bytes)?;
        Some(Self::Arrived(arrival.into()))
    }
}

/// A message, as it is kept; `None` of a reaction or a vote to nothing.
pub(super) fn arrival(
    message: &NewMessage,
    place: Place,
    at: OffsetDateTime,
    max_bytes: usize,
) -> Option<Arrival> {
    let (header, body) = (&message.header, &message.body);
    let named = match body.message_type.as_str() {
        "reactionMessage" => Some(&body.message["key"]["id"]),
        VOTE => Some(&body.message["pollCreationMessageKey"]["id"]),
        _ => None,
    };
    let target = named.and_then(Value::as_str).filter(|id| fits_id(id));
    let target = target.map(str::to_owned);
    if named.is_some() && target.is_none() {
        return None;
    }
    Some(Arrival {
        id: header.message_id.clone(),
        from_me: header.from_me,
        push_name: header.push_name.as_deref().and_then(kept_name),
        at,
        said: Said::new(&body.message_type, &body.message, max_bytes),
        is_unread: !header.from_me && target.is_none(),
        target,
        secret: None,
        chat: place.chat,
        sender: place.sender,
        author: place.author,
    })
}

/// A name as it is kept.
pub(super) fn kept_name(name: &str) -> Option<String> {
    let name: String = storable(name).chars().take(NAME_MAX).collect();
    (!name.is_empty()).then_some(name)
}

/// Where a message is, and who wrote it.
pub(super) struct Place {
    chat: Peer,
    sender: String,
    author: Option<Peer>,
    pub(super) at: OffsetDateTime,
}

impl Place {
    pub(super) fn of(message: &NewMessage) -> Option<Self> {
        let (header, context) = (&message.header, &message.context);
        let named = |jid: String| Peer {
            lid: header.lid.clone().filter(|lid| *lid != jid),
            jid,
        };
        let (chat, sender) = if context.from_group {
            let group = Peer {
                jid: header.wuid.clone(),
                lid: None,
            };
            (group, sender_of(message))
        } else {
            (named(header.wuid.clone()), String::new())
        };
        let writer = if context.from_group { &sender } else { &chat.jid };
        let author = (!header.from_me && is_person(writer)).then(|| named(writer.clone()));
        let at = OffsetDateTime::from_unix_timestamp(context.message_timestamp).ok()?;
        Some(Self {
            at,
            chat,
            sender,
            author,
        })
    }

    /// Whether the database has room for its names: a row that it refused would come again for ever.
    pub(super) fn is_storable(&self) -> bool {
        let mut peers = [Some(&self.chat), self.author.as_ref()].into_iter().flatten();
        peers.all(Peer::is_storable) && (self.sender.is_empty() || fits_id(&self.sender))
    }
}

/// When within a second something happened of which that second is told, and which was seen `now`: what is late was at its
/// end, so that what comes in within one second stands in the order of its coming, and what Fanfare sent in between among it.
fn within(second: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    let part = (now - second).whole_microseconds().clamp(0, 999_999);
    second + time::Duration::microseconds(i64::try_from(part).unwrap_or_default())
}

/// What a message says of another one, which it changes.
fn alteration(message: &NewMessage, place: Place, max_bytes: usize) -> Option<Alteration> {
    let (header, told) = (&message.header, &message.body.message);
    let said = match told["type"].as_str()? {
        "REVOKE" => None,
        "MESSAGE_EDIT" => {
            let (kind, body) = told["editedMessage"].as_object()?.iter().next()?;
            Some(Said::new(kind, body, max_bytes))
        }
        _ => return None,
    };
    // The key is as its sender sees it. Of others' messages it may speak in a group alone, where admins delete; that it is
    // one has been found out before there was an event.
    let is_own = told["key"]["fromMe"].as_bool().unwrap_or_default();
    let is_of_admin = !is_own && message.context.from_group && said.is_none();
    if !is_own && !is_of_admin {
        return None;
    }
    Some(Alteration {
        change: header.message_id.clone(),
        id: told["key"]["id"].as_str().filter(|id| fits_id(id))?.to_owned(),
        from_me: header.from_me,
        sender: (!is_of_admin).then_some(place.sender),
        at: place.at,
        chat: place.chat,
        said,
    })
}

/// The words of a body: of a text the text, of others what people read first.
pub(super) fn words(body: &Value) -> Option<&str> {
    if let Some(text) = body.as_str() {
        return Some(text);
    }
    let fields = WORDS.iter().map(|name| &body[*name]);
    fields
        .filter_map(Value::as_str)
        .find(|text| !text.trim().is_empty())
}

/// Fields that people read, the first that is there counts.
const WORDS: &[&str] = &[
    "text",
    "caption",
    "contentText",
    "hydratedContentText",
    "description",
    "selectedDisplayText",
    "title",
    "name",
    "displayName",
    "fileName",
    "address",
];

/// The words of a text as they are found by: each once, in small letters, behind the session's number.
pub(in crate::store) fn lexemes(session: i64, text: &str) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_MAX).collect::<String>())
        .filter(|word| seen.insert(word.clone()))
        .take(WORDS_MAX)
        .map(|word| format!("{session}:{word}"))
        .collect()
}

/// Most characters of a word by which a message is found.
const WORD_MAX: usize = 64;
/// Most words by which a message is found.
const WORDS_MAX: usize = 1_000;

pub(super) fn is_person(jid: &str) -> bool {
    jid.ends_with("@s.whatsapp.net") || jid.ends_with("@lid")
}

fn fits_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.chars().count()) && !id.contains('\0')
}

/// A text as the database takes it: without the one character that it does not.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

/// As much of a text as fits.
fn clip_bytes(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::{MessageBody, MessageContext, MessageHeader};

    fn message(kind: &str, body: Value) -> NewMessage {
        NewMessage {
            header: MessageHeader {
                message_id: StanzaId::new("3EB0A1").unwrap(),
                from_me: false,
                wuid: "5531900000001@s.whatsapp.net".to_owned(),
                lid: Some("98765@lid".to_owned()),
                phone_number: Some("5531900000001".to_owned()),
                participant: None,
                push_name: Some("Ana".to_owned()),
            },
            body: MessageBody {
                message_type: kind.to_owned(),
                message: body,
            },
            context: MessageContext {
                source_device: "android".to_owned(),
                message_timestamp: 1_790_000_000,
                from_group: false,
            },
        }
    }

    fn arrived(message: &NewMessage) -> Arrival {
        match ChatChange::of(message, OffsetDateTime::UNIX_EPOCH, 100) {
            Some(ChatChange::Arrived(arrival)) => *arrival,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_of_a_person_is_kept_by_their_number() {
        let kept = arrived(&message("conversation", json!("Olá")));
        assert_eq!(kept.chat.jid, "5531900000001@s.whatsapp.net");
        assert_eq!(kept.chat.lid.as_deref(), Some("98765@lid"));
        assert_eq!(kept.author.as_ref(), Some(&kept.chat));
        assert_eq!((kept.said.words.as_deref(), kept.is_unread), (Some("Olá"), true));
    }

    #[test]
    fn a_message_stands_within_its_second_where_it_came_in() {
        let second = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        for (now, at) in [(-3_000, 0), (0, 0), (734, 734), (999, 999)] {
            let now = second + time::Duration::milliseconds(now);
            assert_eq!(within(second, now), second + time::Duration::milliseconds(at));
        }
        let late = within(second, second + time::Duration::hours(1));
        assert_eq!(late, second + time::Duration::microseconds(999_999));
    }

    #[test]
    fn what_is_too_large_is_kept_without_its_body() {
        let long = "é".repeat(99);
        let kept = arrived(&message("conversation", json!(long)));
        assert_eq!(kept.said.body, None);
        assert_eq!(kept.said.words.unwrap().chars().count(), 50);
    }

    #[test]
    fn in_a_group_the_sender_is_told_apart_from_the_chat() {
        let mut told = message("imageMessage", json!({ "caption": "Look", "width": 3 }));
        told.header.wuid = "1203630001@g.us".to_owned();
        told.header.participant = Some("98765@lid".to_owned());
        told.context.from_group = true;
        let kept = arrived(&told);
        assert_eq!(
            (kept.chat.lid, kept.sender.as_str()),
            (None, "5531900000001@s.whatsapp.net")
        );
        assert_eq!(kept.said.words.as_deref(), Some("Look"));
    }

    #[test]
    fn only_the_author_or_an_admin_of_a_group_changes_a_message() {
        let revoke =
            |from_me: bool| json!({ "type": "REVOKE", "key": { "id": "3EB0B2", "fromMe": from_me } });
        let altered = |message: &NewMessage| match ChatChange::of(message, OffsetDateTime::UNIX_EPOCH, 100) {
            Some(ChatChange::Altered(altered)) => Some(*altered),
            _ => None,
        };
        let own = altered(&message("protocolMessage", revoke(true))).unwrap();
        assert_eq!(
            (own.sender.as_deref(), own.from_me, own.said),
            (Some(""), false, None)
        );
        assert_eq!(altered(&message("protocolMessage", revoke(false))), None);
        let mut told = message("protocolMessage", revoke(false));
        told.context.from_group = true;
        assert_eq!(altered(&told).unwrap().sender, None);
        let edit = json!({ "type": "MESSAGE_EDIT", "key": { "id": "3EB0B2", "fromMe": true },
            "editedMessage": { "conversation": "new" } });
        let edited = altered(&message("protocolMessage", edit)).unwrap();
        assert_eq!(edited.said.unwrap().words.as_deref(), Some("new"));
    }

    #[test]
    fn words_are_found_in_small_letters_each_once() {
        assert_eq!(lexemes(7, "Olá, OLÁ mundo-novo!"), ["7:olá", "7:mundo", "7:novo"]);
    }
}
