//! What the account's phone shares of the past, as the product tells and keeps it.
//!
//! Pure. What a portion holds becomes at most one event of each kind, so the bounds of a portion are those of an event.

use std::time::Duration;

use shared::event::{
    ChatParticipant, Event, GroupPerson, HistoryPieceKind, HistoryProgress, NewMessage, SetChat, SetContact,
};
use shared::id::Token;
use shared::job::HistoryJob;
use shared::store::chats::change::{self, ChatChange};
use shared::store::chats::oldest::Oldest;
use shared::store::received::ReceivedMedia;
use time::OffsetDateTime;
use whatsapp::command::{HistoryRequest, OldestMessage};
use whatsapp::event::{
    HistoryChat, HistoryContact, HistoryKind, HistoryMember, HistoryNews, HistoryPiece, HistoryPortion,
    Incoming,
};
use whatsapp::jid::Jid;
use whatsapp::time::Timestamp;

use super::events::Peer;
use super::messages::{new_message, poll_secret};
use super::names::{message_id, wall};
use super::received::received;

/// What decides how much of the past is told and kept.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The session.
    pub(crate) token: Token,
    /// Now.
    pub(crate) now: OffsetDateTime,
    /// Older messages are left out, unless they were asked for.
    pub(crate) since: Option<OffsetDateTime>,
    /// How much is kept of what one message says; `None` keeps no messages.
    pub(crate) bytes: Option<usize>,
    /// For how long the files of messages can be had; `None` if they can't.
    pub(crate) files: Option<Duration>,
}

/// What a portion comes to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What is told, in this order.
    pub(crate) events: Vec<Event>,
    /// What is kept.
    pub(crate) chats: Vec<ChatChange>,
    /// The files of messages.
    pub(crate) files: Vec<ReceivedMedia>,
}

/// A portion, as it is told and kept.
pub(crate) fn told(news: HistoryNews, keeping: &Keeping) -> Told {
    let HistoryNews { piece, portion } = news;
    match portion {
        HistoryPortion::People { chats, contacts } => people(chats, contacts, keeping),
        HistoryPortion::Messages(messages) => {
            let since = keeping.since.filter(|_| piece.request.is_none());
            said(messages, since, keeping)
        }
        HistoryPortion::Taken(counts) => Told {
            events: vec![Event::HistoryProgress(HistoryProgress {
                chats: counts.chats,
                contacts: counts.contacts,
                messages: counts.messages,
                skipped: counts.skipped,
                ..progress(piece)
            })],
            ..Told::default()
        },
        HistoryPortion::Refused(why) => Told {
            events: vec![Event::HistoryProgress(HistoryProgress {
                error: Some(why),
                ..progress(piece)
            })],
            ..Told::default()
        },
    }
}

fn progress(piece: HistoryPiece) -> HistoryProgress {
    HistoryProgress {
        kind: match piece.kind {
            HistoryKind::Initial => HistoryPieceKind::Initial,
            HistoryKind::Recent => HistoryPieceKind::Recent,
            HistoryKind::Full => HistoryPieceKind::Full,
            HistoryKind::PushName => HistoryPieceKind::PushName,
            HistoryKind::OnDemand => HistoryPieceKind::OnDemand,
            HistoryKind::Other => HistoryPieceKind::Other,
        },
        chunk: piece.chunk,
        progress: piece.progress,
        request_id: piece.request,
        chats: 0,
        contacts: 0,
        messages: 0,
        skipped: 0,
        error: None,
    }
}

fn people(chats: Vec<HistoryChat>, contacts: Vec<HistoryContact>, keeping: &Keeping) -> Told {
    let mut told = Told::default();
    let (mut set_chats, mut set_contacts) = (Vec::new(), Vec::new());
    for chat in chats {
        let (set, newest) = set_chat(chat);
        if let Some(bytes) = keeping.bytes {
            let newest = newest.and_then(|newest| new_message(&newest));
            let kept = ChatChange::listed(
                peer(&set.id, set.lid.as_ref()),
                set.name.as_deref(),
                set.unread_count,
                newest.as_ref(),
                bytes,
            );
            told.chats.extend(kept);
        }
        set_chats.push(set);
    }
    for contact in contacts {
        let set = set_contact(contact, keeping);
        if keeping.bytes.is_some() {
            let name = set.contact_name.as_deref().or(set.push_name.as_deref());
            told.chats
                .extend(ChatChange::met(peer(&set.wuid, set.lid.as_ref()), name));
        }
        set_contacts.push(set);
    }
    if !set_chats.is_empty() {
        told.events.push(Event::ChatsSet(set_chats));
    }
    if !set_contacts.is_empty() {
        told.events.push(Event::ContactsSet(set_contacts));
    }
    told
}

fn said(messages: Vec<Incoming>, since: Option<OffsetDateTime>, keeping: &Keeping) -> Told {
    let mut told = Told::default();
    let is_wanted = |message: &Incoming| since.is_none_or(|since| wall(message.timestamp) >= since);
    let mut set: Vec<NewMessage> = Vec::with_capacity(messages.len());
    for message in messages.into_iter().filter(is_wanted) {
        let keep = keeping.files;
        let file = keep.and_then(|keep| received(&message, keeping.now, keep));
        let secret = poll_secret(&message);
        let Some(message) = new_message(&message) else {
            continue;
        };
        told.files.extend(file);
        let mut kept = keeping.bytes.and_then(|most| ChatChange::of_past(&message, most));
        if let Some(ChatChange::Recalled(arrival)) = &mut kept {
            arrival.secret = secret;
        }
        told.chats.extend(kept);
        set.push(message);
    }
    if !set.is_empty() {
        told.events.push(Event::MessagesSet(set));
    }
    told
}

/// A chat as it is told, and its newest message.
fn set_chat(chat: HistoryChat) -> (SetChat, Option<Box<Incoming>>) {
    let names = names(&chat.id, chat.other.as_ref());
    let set = SetChat {
        participant: chat.members.iter().map(participant).collect(),
        lid: names.lid,
        phone_number: names.phone_number,
        name: chat.name,
        conversation_timestamp: chat
            .timestamp
            .map(Timestamp::as_secs)
            .and_then(|at| i64::try_from(at).ok()),
        unread_count: chat.unread,
        archived: chat.is_archived,
        pinned: chat.is_pinned,
        id: names.wuid,
    };
    (set, chat.newest)
}

fn participant(member: &HistoryMember) -> ChatParticipant {
    let names = names(&member.id, member.other.as_ref());
    ChatParticipant {
        person: GroupPerson {
            id: names.wuid,
            lid: names.lid,
            phone_number: names.phone_number,
        },
        admin: member.is_admin,
    }
}

fn set_contact(contact: HistoryContact, keeping: &Keeping) -> SetContact {
    let names = names(&contact.id, contact.other.as_ref());
    SetContact {
        wuid: names.wuid,
        phone_number: names.phone_number,
        lid: names.lid,
        contact_name: contact.name,
        push_name: contact.push_name,
        profile_picture_url: None,
        instance_name: keeping.token.clone(),
    }
}

/// Both names of somebody, as events tell them.
fn names(id: &Jid, other: Option<&Jid>) -> Peer {
    let (phone, lid) = match other {
        Some(other) if other.is_lid() => (None, Some(other)),
        other => (other, None),
    };
    Peer::new(id, phone, lid)
}

/// The same, as they are kept.
fn peer(jid: &str, lid: Option<&String>) -> change::Peer {
    change::Peer {
        jid: jid.to_owned(),
        lid: lid.filter(|lid| *lid != jid).cloned(),
    }
}

/// What our phone is asked for; `None` if it is not known before what.
pub(crate) fn request(job: &HistoryJob, kept: Option<Oldest>) -> Option<HistoryRequest> {
    let chat = kept.as_ref().map_or(job.chat.as_str(), |kept| &kept.chat);
    let oldest = match (&job.before, &kept) {
        (Some(before), _) => OldestMessage {
            id: message_id(&before.message_id),
            from_me: before.from_me,
            timestamp: Timestamp::from_secs(before.message_timestamp.into()),
        },
        (None, Some(kept)) => OldestMessage {
            id: kept.id.parse().ok()?,
            from_me: kept.from_me,
            timestamp: Timestamp::from_secs(u64::try_from(kept.at.unix_timestamp()).ok()?),
        },
        (None, None) => return None,
    };
    Some(HistoryRequest {
        chat: chat.parse().ok()?,
        oldest: Some(oldest),
        count: job.count(),
    })
}
