//! Chats, people and messages of a piece, as the owner is told of them.

use std::collections::HashMap;

use super::entries::{Chat, PushName};
use super::names::{Names, Own};
use crate::event::{HistoryChat, HistoryContact, HistoryMember, Incoming, unwrapped};
use crate::jid::Jid;
use crate::poll::{opened, option_hash};
use crate::proto::message::{PollUpdateMessage, ReactionMessage};
use crate::proto::{Message, MessageKey, WebMessageInfo};
use crate::time::Timestamp;

/// Most reactions and votes of one message that are told.
pub(super) const MAX_ABOUT: usize = 200;

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
    let newest = newest.and_then(|info| message(info, &told.id, names, own));
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

/// Adds a message to those that are told, and behind it what was said about it, which the phone has put into it: reactions and
/// votes, as messages of their own. How many entries are left out.
pub(super) fn messages(
    info: Box<WebMessageInfo>,
    chat: &str,
    names: &Names,
    own: &Own,
    told: &mut Vec<Incoming>,
) -> u64 {
    let about = about(&info);
    let found = 1 + about.len();
    let before = told.len();
    told.extend(message(info, chat, names, own));
    let about = about.into_iter().take(MAX_ABOUT);
    told.extend(about.filter_map(|info| message(Box::new(info), chat, names, own)));
    (found - (told.len() - before)) as u64
}

/// What was said about a message, each as the message that it once was.
fn about(info: &WebMessageInfo) -> Vec<WebMessageInfo> {
    let said = |key: Option<&MessageKey>, at_ms: Option<i64>, message: Message| WebMessageInfo {
        key: key.cloned(),
        message: Some(message),
        message_timestamp: at_ms
            .and_then(|at| u64::try_from(at / 1_000).ok())
            .filter(|at| *at > 0)
            .or(info.message_timestamp),
        ..WebMessageInfo::default()
    };
    let reactions = info.reactions.iter().map(|reaction| {
        let told = ReactionMessage {
            key: info.key.clone(),
            text: reaction.text.clone(),
            sender_timestamp_ms: reaction.sender_timestamp_ms,
            ..ReactionMessage::default()
        };
        let message = Message {
            reaction_message: Some(Box::new(told)),
            ..Message::default()
        };
        said(reaction.key.as_ref(), reaction.sender_timestamp_ms, message)
    });
    let options = options(info);
    let votes = info.poll_updates.iter().map(|vote| {
        let chosen = vote.vote.iter().flat_map(|vote| &vote.selected_options);
        let names = chosen.filter_map(|hash| options.get(hash.as_ref()).cloned());
        let told = PollUpdateMessage {
            poll_creation_message_key: info.key.clone(),
            vote: Some(opened(names.collect())),
            sender_timestamp_ms: vote.sender_timestamp_ms,
            ..PollUpdateMessage::default()
        };
        let message = Message {
            poll_update_message: Some(Box::new(told)),
            ..Message::default()
        };
        said(
            vote.poll_update_message_key.as_ref(),
            vote.sender_timestamp_ms,
            message,
        )
    });
    reactions.chain(votes).collect()
}

/// The options of a poll, by how votes name them.
fn options(info: &WebMessageInfo) -> HashMap<[u8; 32], String> {
    let Some(message) = info.message.as_ref().filter(|_| !info.poll_updates.is_empty()) else {
        return HashMap::new();
    };
    let message = unwrapped(message);
    let poll = message
        .poll_creation_message
        .as_deref()
        .or(message.poll_creation_message_v2.as_deref())
        .or(message.poll_creation_message_v3.as_deref())
        .or(message.poll_creation_message_v5.as_deref());
    let options = poll.into_iter().flat_map(|poll| &poll.options);
    let named = options.filter_map(|option| option.option_name.clone());
    named.map(|name| (option_hash(&name), name)).collect()
}

/// A message; `None` of what is nothing for people: notes of the chat's own, and what devices tell each other.
pub(super) fn message(info: Box<WebMessageInfo>, chat: &str, names: &Names, own: &Own) -> Option<Incoming> {
    let (key, mut message) = (info.key?, info.message?);
    message.sender_key_distribution_message = None;
    if let Some(secret) = info.message_secret {
        let beside = message.message_context_info.get_or_insert_default();
        beside.message_secret.get_or_insert(secret);
    }
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
