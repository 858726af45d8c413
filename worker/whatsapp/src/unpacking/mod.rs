//! A packed piece of the history, read as a stream: its names, then its chats and people, then its messages, in portions.
//!
//! Owns what a piece may cost: bytes, ratio, the size of a field, the size of a portion. Never holds a piece unpacked: each of
//! the three passes inflates it anew, so that what a conversation says behind its messages is known before they are told. Pure:
//! whoever calls decides on which thread.
//!
//! Facts: docs/PROTOCOL.md, "History".

mod entries;
mod fields;
mod learned;
mod names;
mod told;

use bytes::Bytes;

use self::entries::{Entries, Entry, Wants};
pub(crate) use self::fields::BadPiece;
pub(crate) use self::learned::Learned;
use self::names::Names;
pub(crate) use self::names::Own;
use crate::event::{HistoryChat, HistoryContact, HistoryCounts, Incoming};
use crate::jid::{Jid, Server};

/// Most chats and people of one portion, and most messages without what is about the last of them.
pub const MAX_PORTION: usize = 200;
/// A portion ends behind so many bytes, unpacked.
const MAX_PORTION_BYTES: usize = 256 << 10;

/// How far a piece has been read.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Place {
    /// The pass: people, messages, none more.
    #[prost(uint32, tag = "1")]
    pass: u32,
    /// How many entries of it are in portions.
    #[prost(uint64, tag = "2")]
    entries: u64,
    /// What was told so far.
    #[prost(message, required, tag = "3")]
    counts: Counts,
}

/// What was told so far, as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct Counts {
    #[prost(uint64, tag = "1")]
    chats: u64,
    #[prost(uint64, tag = "2")]
    contacts: u64,
    #[prost(uint64, tag = "3")]
    messages: u64,
    #[prost(uint64, tag = "4")]
    skipped: u64,
}

/// What is read of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What the connection itself acts on.
    Names,
    /// All of it.
    All,
}

/// A piece that is being read.
pub struct Unpacking {
    packed: Bytes,
    own: Own,
    extent: Extent,
    names: Option<Names>,
    place: Place,
    entries: Option<Entries>,
}

/// A portion, and what is left of the piece.
pub struct Unpacked {
    pub(crate) rest: Box<Unpacking>,
    pub(crate) portion: Result<Portion, BadPiece>,
}

/// What a piece says, a portion at a time, in this order.
pub(crate) enum Portion {
    /// What the connection acts on; first, and of all of the piece.
    Learned(Box<Learned>),
    /// Chats, and people.
    People(Vec<HistoryChat>, Vec<HistoryContact>),
    /// Messages.
    Messages(Vec<Incoming>),
    /// There is no more.
    End,
}

impl Unpacking {
    /// A piece of this account, read on from a place.
    pub(crate) fn new(packed: Bytes, own: Own, extent: Extent, place: Place) -> Self {
        Self {
            packed,
            own,
            extent,
            names: None,
            place,
            entries: None,
        }
    }

    /// Reads the next portion. Takes a while.
    #[must_use]
    pub fn read_on(self: Box<Self>) -> Unpacked {
        let mut rest = self;
        let portion = rest.portion();
        Unpacked { rest, portion }
    }

    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    fn portion(&mut self) -> Result<Portion, BadPiece> {
        let Some(names) = &self.names else {
            let (learned, names) = learned::learn(&self.packed, &self.own)?;
            self.names = Some(names);
            return Ok(Portion::Learned(learned.into()));
        };
        while let Some(wants) = self.place.wants().filter(|_| self.extent == Extent::All) {
            let mut entries = match self.entries.take() {
                Some(entries) => entries,
                None => Entries::behind(&self.packed, wants, self.place.entries)?,
            };
            let portion = fill(&mut entries, wants, &mut self.place, (names, &self.own))?;
            if let Some(portion) = portion {
                self.entries = Some(entries);
                return Ok(portion);
            }
            self.place.pass += 1;
            self.place.entries = 0;
        }
        Ok(Portion::End)
    }
}

/// The next portion of a pass; `None` at its end.
fn fill(
    entries: &mut Entries,
    wants: Wants,
    place: &mut Place,
    (names, own): (&Names, &Own),
) -> Result<Option<Portion>, BadPiece> {
    let (mut chats, mut contacts, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    if wants == Wants::Messages {
        messages.reserve(MAX_PORTION);
    }
    let (mut taken, mut bytes) = (0, 0);
    while taken < MAX_PORTION && bytes < MAX_PORTION_BYTES {
        let Some((entry, size)) = entries.next(wants)? else {
            break;
        };
        place.entries += 1;
        (taken, bytes) = (taken + 1, bytes + size);
        match entry {
            Entry::Chat(chat) => {
                let told = told::chat(*chat, names, own);
                let (chat, contact) = told.unzip();
                chats.extend(chat);
                contacts.extend(contact.flatten());
            }
            Entry::PushName(name) => contacts.extend(told::contact(name, names)),
            Entry::Message { chat, message } => {
                let before = messages.len();
                let left_out = told::messages(message, &chat, names, own, &mut messages);
                taken += (messages.len() - before).saturating_sub(1);
                place.counts.skipped += left_out;
            }
            Entry::Skipped => place.counts.skipped += 1,
            Entry::Pair(_) | Entry::Salt(_) => {}
        }
    }
    place.counts.chats += chats.len() as u64;
    place.counts.contacts += contacts.len() as u64;
    place.counts.messages += messages.len() as u64;
    Ok((taken > 0).then(|| match wants {
        Wants::Messages => Portion::Messages(messages),
        _ => Portion::People(chats, contacts),
    }))
}

impl Place {
    /// What its pass is for; `None` behind the last.
    const fn wants(&self) -> Option<Wants> {
        match self.pass {
            0 => Some(Wants::People),
            1 => Some(Wants::Messages),
            _ => None,
        }
    }

    /// What was told up to here.
    pub(crate) const fn counts(&self) -> HistoryCounts {
        HistoryCounts {
            chats: self.counts.chats,
            contacts: self.counts.contacts,
            messages: self.counts.messages,
            skipped: self.counts.skipped,
        }
    }
}

/// Reads a packed piece of nobody's to its end and lets go of what it says: how much that is, `None` if it can't be read.
/// What a session does with a piece portion by portion, for those who measure it or try to break it.
#[must_use]
pub fn read_history(packed: Bytes) -> Option<HistoryCounts> {
    let own = Own {
        phone: Some(Jid::new("0", Server::User)),
        lid: None,
    };
    let piece = Unpacking::new(packed, own, Extent::All, Place::default());
    let mut rest = Box::new(piece);
    loop {
        let unpacked = rest.read_on();
        if let Portion::End = unpacked.portion.ok()? {
            return Some(unpacked.rest.place().counts());
        }
        rest = unpacked.rest;
    }
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unpacking(…)")
    }
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unpacked(…)")
    }
}

#[cfg(test)]
mod tests;
