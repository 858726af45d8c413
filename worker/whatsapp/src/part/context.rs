//! What a part sees of the world while it handles one input.
//!
//! A [`Context`] lends out the clock reading, the randomness and the credentials, and gathers effects: frames, changes,
//! events, questions to the server and to the store. Nothing written through it happens at once: frames leave when the
//! step that carries them has been committed.

use std::time::Duration;

use rand::rngs::StdRng;

use super::{
    config::Config,
    download::{Download, Downloads},
    iq::IqTable,
    listing::{Listing, Listings},
    step::Gathering,
    tickets::{Loads, Ticket},
    unpackings::Unpackings,
};
use crate::{
    binary::Node,
    device::{Credentials, Device},
    event::Event,
    reason::CloseReason,
    store::{Changes, RecordKey},
    time::Timestamp,
    unpacking::Unpacking,
};

/// Access to the world for the length of one input.
pub(crate) struct Context<'a> {
    /// Now.
    pub now: Timestamp,
    /// The session's randomness.
    pub rng: &'a mut StdRng,
    /// The credentials. Reading is free; [`Credentials::edit`] writes them with the step.
    pub device: &'a mut Credentials,
    /// Settings and limits.
    pub config: &'a Config,
    /// Where effects go; parts use the methods below.
    pub effects: &'a mut Effects,
}

/// What the parts have done that is not in a step yet, and their open questions.
pub(crate) struct Effects {
    pub(crate) gathering: Gathering,
    pub(crate) iqs: IqTable,
    pub(crate) loads: Loads,
    pub(crate) listings: Listings,
    pub(crate) downloads: Downloads,
    pub(crate) unpackings: Unpackings,
}

impl Effects {
    /// None. At most `open_iqs` questions to the server may be open at a time.
    pub(crate) fn new(open_iqs: usize, rng: &mut StdRng) -> Self {
        Self {
            gathering: Gathering::default(),
            iqs: IqTable::new(open_iqs, rng),
            loads: Loads::default(),
            listings: Listings::default(),
            downloads: Downloads::default(),
            unpackings: Unpackings::default(),
        }
    }
}

impl Context<'_> {
    /// Sends a stanza, if there is one, with the frames of this step, in the order of the calls.
    pub(crate) fn send(&mut self, node: impl Into<Option<Node>>) {
        self.effects.gathering.frames.extend(node.into());
    }

    /// Asks the server. `node` is an `<iq>` without `id`; `ticket` comes back with the answer, the refusal, or after the
    /// usual time-out. With too many questions open nothing is sent and `ticket` comes back with `QueryError::Busy`.
    pub(crate) fn ask(&mut self, node: Node, ticket: Ticket) {
        self.ask_within(node, ticket, self.config.timing.iq);
    }

    /// Like [`Self::ask`] with a time-out of its own.
    pub(crate) fn ask_within(&mut self, node: Node, ticket: Ticket, timeout: Duration) {
        let deadline = self.now + timeout;
        if let Some(id) = self.effects.iqs.open(ticket, deadline) {
            self.send(node.attr("id", id));
        }
    }

    /// Tells the owner something, with the commit of this step.
    pub(crate) fn emit(&mut self, event: Event) {
        self.effects.gathering.events.push(event);
    }

    /// What the owner is told with the commit of this step, so far.
    pub(crate) fn events_mut(&mut self) -> &mut [Event] {
        &mut self.effects.gathering.events
    }

    /// The state changes of this step.
    pub(crate) fn changes(&mut self) -> &mut Changes {
        &mut self.effects.gathering.changes
    }

    /// The credentials, to be written with this step.
    pub(crate) fn device_mut(&mut self) -> &mut Device {
        self.device.edit()
    }

    /// Asks the store for these records, at least one. `ticket` comes back with their values, after every earlier question
    /// and every step taken before.
    pub(crate) fn load(&mut self, keys: Vec<RecordKey>, ticket: Ticket) {
        self.effects.loads.ask(keys, ticket);
    }

    /// Asks the store which records there are, when it has nothing else to do. `ticket` comes back with their names.
    pub(crate) fn list(&mut self, listing: Listing, ticket: Ticket) {
        self.effects.listings.ask(listing, ticket);
    }

    /// Wants a file of the media host. `ticket` comes back with what it says, checked, or with why there is none.
    pub(crate) fn download(&mut self, download: Download, ticket: Ticket) {
        self.effects.downloads.ask(download, ticket);
    }

    /// Has a piece of the history read on, beside everything else; one at a time. `ticket` comes back with a portion.
    pub(crate) fn unpack(&mut self, unpacking: Box<Unpacking>, ticket: Ticket) {
        self.effects.unpackings.ask(unpacking, ticket);
    }

    /// Ends the connection after the frames of this step. The first reason given holds.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.effects.gathering.close(reason);
    }
}

/// Who answers a notification or a receipt with its `<ack>` (docs/PROTOCOL.md, "Acks").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AckBy {
    /// The connection, in this step: all that the stanza means is in the step already.
    Connection,
    /// The part that handled the stanza, through [`ack_for`](crate::stanza::ack::ack_for), when its meaning is in a step.
    Handler,
}
