//! Chats, people and messages of a piece, as the owner is told of them.

use super::entries::{Chat, PushName};
use super::names::{Names, Own};
use crate::event::{HistoryChat, HistoryContact, HistoryMember, Incoming, unwrapped};
use crate::jid::Jid;
use crate::proto::WebMessageInfo;
use crate::time::Timestamp;

/// A chat, and the person that it is with; `None` if it has no address.
pub(super) fn chat(chat: Chat, names: &Names, own: &Own) -> Option<(HistoryChat, Option<HistoryContact>)> {
    let Chat { told, newest } = chat;
    let id: Jid = told.id.parse().ok()?;
    let id = id.to_bare();
    let other = names.other(&id);
    let own_name = [told.display_name, told.name, told.username];
    let name = own_name.into_iter().find(|name| !name.is_empty());
    let is_person = id.is_user() || id.is_lid();
    let contact = is_person.then(|| HistoryContact {
        id: id.clone(),
        other: other.clone(),
        name: name.clone(),
        push_name: None,
    });
    let members = told.participants.into_iter().filter_map(|participant| {
        let id = participant.user.parse::<Jid>().ok()?.to_bare();
        Some(HistoryMember {
            other: names.other(&id),
            is_admin: participant.rank > 0,
            id,
        })
    });
    let newest = newest.and_then(|info| message(*info, &told.id, names, own));
    let chat = HistoryChat {
        id,
        other,
        // That of a person is the contact's.
        name: name.filter(|_| !is_person),
        unread: told.unread,
        timestamp: told.timestamp.filter(|at| *at > 0).map(Timestamp::from_secs),
        members: members.collect(),
        is_archived: told.archived,
        is_pinned: told.pinned > 0,
        newest: newest.map(Box::new),
    };
    Some((chat, contact))
}

/// Somebody, by what they call themselves.
pub(super) fn contact(name: PushName, names: &Names) -> Option<HistoryContact> {
    let id = name.id.parse::<Jid>().ok()?.to_bare();
    let is_person = id.is_user() || id.is_lid();
    is_person.then(|| HistoryContact {
        other: names.other(&id),
        id,
        name: None,
        push_name: Some(name.push_name).filter(|name| !name.is_empty()),
    })
}

/// A message; `None` of what is nothing for people: notes of the chat's own, what devices tell each other, and what is said
/// about another message, which the phone has put into that one.
pub(super) fn message(info: WebMessageInfo, chat: &str, names: &Names, own: &Own) -> Option<Incoming> {
    let (key, mut message) = (info.key?, info.message?);
    message.sender_key_distribution_message = None;
    if unwrapped(&message).protocol_message.is_some() {
        return None;
    }
    let chat: Jid = match chat {
        "" => key.remote_jid?.parse().ok()?,
        chat => chat.parse().ok()?,
    };
    let chat = chat.to_bare();
    let from_me = key.from_me.unwrap_or_default();
    let is_between_two = chat.is_user() || chat.is_lid();
    let author = key
        .participant
        .or(info.participant)
        .filter(|text| !text.is_empty());
    let sender = match author.and_then(|text| text.parse::<Jid>().ok()) {
        _ if from_me => own.phone.clone().or_else(|| own.lid.clone())?,
        Some(author) if !is_between_two => author,
        _ if is_between_two => chat.clone(),
        _ => return None,
    };
    let bare = sender.to_bare();
    let other = match from_me {
        true => own.lid.as_ref().map(Jid::to_bare),
        false => names.other(&bare),
    };
    let (lid, phone) = match bare.is_lid() {
        true => (Some(bare), other),
        false => (other, Some(bare)),
    };
    Some(Incoming {
        id: key.id?.parse().ok()?,
        chat_alt: names.other(&chat),
        chat,
        sender,
        lid,
        phone,
        from_me,
        push_name: info.push_name.filter(|name| !name.is_empty()),
        timestamp: Timestamp::from_secs(info.message_timestamp.filter(|at| *at > 0)?),
        offline: false,
        message,
    })
}
