//! What a message means for another one: that is deleted, edited, reacted to; and what led to a chat.
//!
//! Pure. That its sender may do so has been found out before there was an event.

use serde_json::Value;
use shared::event::{
    DeletedMessage, Event, LinkClick, MessageBody, MessageHeader, MessageReaction, MessageRef,
    MessagesDelete, NewMessage, ReactionTold, UpdateHeader,
};
use shared::id::StanzaId;
use shared::store::sessions::Owner;
use whatsapp::event::{Incoming, unwrapped};
use whatsapp::jid::Jid;
use whatsapp::proto::MessageKey;
use whatsapp::proto::message::protocol_message::Type;

use super::super::content;
use super::events::Peer;

/// The events that a message causes beside its own.
pub(crate) fn events(incoming: &Incoming, told: &NewMessage, owner: Option<&Owner>) -> Vec<Event> {
    let about = About {
        incoming,
        told,
        owner,
    };
    let events = [about.change(), about.reaction(), about.click()];
    events.into_iter().flatten().collect()
}

/// The message that a reaction or a vote names, as the account sees it: on the wire it is as its sender does.
pub(crate) fn turn_key(told: &mut NewMessage, incoming: &Incoming, owner: Option<&Owner>) {
    let message = unwrapped(&incoming.message);
    let reaction = message
        .reaction_message
        .as_ref()
        .and_then(|said| said.key.as_ref());
    let vote = message.poll_update_message.as_ref();
    let vote = vote.and_then(|said| said.poll_creation_message_key.as_ref());
    let (field, Some(key)) = (
        match reaction {
            Some(_) => "key",
            None => "pollCreationMessageKey",
        },
        reaction.or(vote),
    ) else {
        return;
    };
    let author = author(incoming, owner, key);
    let of_status = key.remote_jid.as_deref().filter(|chat| *chat == STATUSES);
    let chat = of_status.unwrap_or(&told.header.wuid).to_owned();
    let Some(shown) = told.body.message.get_mut(field).and_then(Value::as_object_mut) else {
        return;
    };
    shown.insert("remoteJid".to_owned(), chat.into());
    shown.insert("fromMe".to_owned(), author.is_us.into());
    match author.jid {
        Some(author) => drop(shown.insert("participant".to_owned(), author.to_string().into())),
        None if of_status.is_none() => drop(shown.remove("participant")),
        None => {}
    }
}

/// A message, and whose account it came to.
struct About<'a> {
    incoming: &'a Incoming,
    told: &'a NewMessage,
    owner: Option<&'a Owner>,
}

/// Who wrote the message that another one names.
struct Author {
    is_us: bool,
    /// As the group calls them.
    jid: Option<Jid>,
    /// Whether it is who names it.
    is_sender: bool,
}

impl About<'_> {
    /// A message was deleted, or says something else.
    fn change(&self) -> Option<Event> {
        let protocol = unwrapped(&self.incoming.message).protocol_message.as_deref()?;
        let (key, header) = (protocol.key.as_ref()?, &self.told.header);
        let (id, author) = (id(key)?, author(self.incoming, self.owner, key));
        match Type::try_from(protocol.r#type?).ok()? {
            Type::Revoke => Some(Event::MessagesDelete(MessagesDelete::Messages(vec![
                self.deleted(id, author),
            ]))),
            Type::MessageEdit => {
                let edited = content::describe(protocol.edited_message.as_deref()?)?;
                let edited = MessageBody {
                    message_type: edited.kind.to_owned(),
                    message: edited.body,
                };
                let header = UpdateHeader {
                    message_id: id,
                    wuid: header.wuid.clone(),
                    from_me: author.is_us,
                    participant: header.participant.clone(),
                    lid: header.lid.clone(),
                    phone_number: header.phone_number.clone(),
                };
                Some(Event::message_edited(edited, header, self.at()))
            }
            _ => None,
        }
    }

    fn deleted(&self, id: StanzaId, author: Author) -> DeletedMessage {
        let header = &self.told.header;
        let by_another = author.jid.as_ref().filter(|_| !author.is_sender);
        let (lid, phone_number) = match by_another {
            Some(author) => {
                let peer = Peer::new(author, None, None);
                (peer.lid, peer.phone_number)
            }
            None => (header.lid.clone(), header.phone_number.clone()),
        };
        DeletedMessage {
            message_id: id,
            from_me: author.is_us,
            wuid: header.wuid.clone(),
            lid,
            phone_number,
            participant: author.jid.as_ref().map(ToString::to_string),
            deleted_by: header.participant.clone().filter(|_| !author.is_sender),
        }
    }

    /// Somebody reacted to a message.
    fn reaction(&self) -> Option<Event> {
        let reaction = unwrapped(&self.incoming.message).reaction_message.as_ref()?;
        let key = reaction.key.as_ref()?;
        let author = author(self.incoming, self.owner, key);
        let of_status = key.remote_jid.as_deref().filter(|chat| *chat == STATUSES);
        let wuid = of_status.map_or_else(|| self.told.header.wuid.clone(), str::to_owned);
        let key = MessageRef {
            message_id: id(key)?,
            from_me: author.is_us,
            wuid,
            participant: author.jid.map(|author| author.to_string()),
        };
        let text = reaction.text.clone().filter(|text| !text.is_empty());
        Some(Event::MessageReaction(Box::new(MessageReaction {
            header: self.header(),
            reaction: ReactionTold { key, text },
            date_time: self.at(),
        })))
    }

    /// Somebody else came to the chat by an advertisement or a link.
    fn click(&self) -> Option<Event> {
        let link = content::origin::link(&self.incoming.message)?;
        let click = LinkClick {
            header: self.header(),
            link,
        };
        (!self.incoming.from_me).then(|| Event::MessageLinkClick(Box::new(click)))
    }

    fn header(&self) -> MessageHeader {
        self.told.header.clone()
    }

    /// When, in milliseconds since 1970.
    fn at(&self) -> i64 {
        i64::try_from(self.incoming.timestamp.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Who wrote the message of a key, which is as its sender sees it.
fn author(incoming: &Incoming, owner: Option<&Owner>, key: &MessageKey) -> Author {
    let is_sender = key.from_me == Some(true);
    if !incoming.chat.is_group() {
        return Author {
            is_us: incoming.from_me == is_sender,
            jid: None,
            is_sender,
        };
    }
    let jid = match is_sender {
        true => Some(incoming.sender.to_bare()),
        false => key.participant.as_deref().and_then(|jid| jid.parse().ok()),
    };
    let jid = jid.map(|jid: Jid| jid.to_bare());
    let is_own = |jid: &Jid| {
        let jid = jid.to_string();
        owner.is_some_and(|owner| owner.jid == jid || owner.lid.as_ref() == Some(&jid))
    };
    let is_us = match is_sender {
        true => incoming.from_me,
        false => jid.as_ref().is_some_and(is_own),
    };
    Author {
        is_us,
        jid,
        is_sender,
    }
}

/// The id of the message that a key names.
fn id(key: &MessageKey) -> Option<StanzaId> {
    StanzaId::new(key.id.as_deref()?).ok()
}

/// The chat of statuses.
const STATUSES: &str = "status@broadcast";

#[cfg(test)]
mod tests;
