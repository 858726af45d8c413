//! What a message means for another one: that is deleted, edited, reacted to; and what led to a chat.
//!
//! Pure. That its sender may do so has been found out before there was an event.

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
        let (id, author) = (id(key)?, self.author(key));
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
        let author = self.author(key);
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

    /// Who wrote the message of a key, which is as its sender sees it.
    fn author(&self, key: &MessageKey) -> Author {
        let (incoming, is_sender) = (self.incoming, key.from_me == Some(true));
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
        let is_us = match is_sender {
            true => incoming.from_me,
            false => jid.as_ref().is_some_and(|jid| self.is_us(jid)),
        };
        Author {
            is_us,
            jid,
            is_sender,
        }
    }

    fn is_us(&self, jid: &Jid) -> bool {
        let jid = jid.to_string();
        let own = |owner: &Owner| owner.jid == jid || owner.lid.as_ref() == Some(&jid);
        self.owner.is_some_and(own)
    }

    fn header(&self) -> MessageHeader {
        self.told.header.clone()
    }

    /// When, in milliseconds since 1970.
    fn at(&self) -> i64 {
        i64::try_from(self.incoming.timestamp.as_millis()).unwrap_or(i64::MAX)
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
