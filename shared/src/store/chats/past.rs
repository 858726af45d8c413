//! What the past that the account's phone shares means for what is kept: it fills in what is not there, and changes nothing that
//! is. Pure.

use super::change::{Arrival, ChatChange, ListedChat, Peer, Place, arrival, is_person, kept_name};
use crate::event::NewMessage;

impl ChatChange {
    /// What a message of the past means; `None` where nothing is kept of it.
    pub fn of_past(message: &NewMessage, max_bytes: usize) -> Option<Self> {
        Some(Self::Recalled(past(message, max_bytes)?.into()))
    }

    /// What a chat of the past means; `None` if it has no name that is kept.
    pub fn listed(
        chat: Peer,
        name: Option<&str>,
        unread: u32,
        newest: Option<&NewMessage>,
        max_bytes: usize,
    ) -> Option<Self> {
        let newest = newest.and_then(|message| past(message, max_bytes));
        let listed = ListedChat {
            name: name.and_then(kept_name),
            unread: unread.min(UNREAD_MAX),
            newest: newest.filter(|newest| newest.chat.jid == chat.jid && newest.target.is_none()),
            chat,
        };
        listed.chat.is_storable().then(|| Self::Listed(listed.into()))
    }

    /// What somebody that the phone knows means; `None` if they have no name that is kept.
    pub fn met(person: Peer, name: Option<&str>) -> Option<Self> {
        let is_kept = is_person(&person.jid) && person.is_storable();
        is_kept.then(|| Self::Met(person, name.and_then(kept_name)))
    }
}

/// A message of the past, as it is kept: at the second that WhatsApp tells, and read.
fn past(message: &NewMessage, max_bytes: usize) -> Option<Arrival> {
    let place = Place::of(message).filter(Place::is_storable)?;
    let at = place.at;
    let arrival = arrival(message, place, at, max_bytes)?;
    Some(Arrival {
        is_unread: false,
        ..arrival
    })
}

/// Most messages that a chat says are unread.
const UNREAD_MAX: u32 = 1_000_000;
