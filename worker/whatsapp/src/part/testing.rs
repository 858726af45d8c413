//! A [`Context`] without a connection around it, for parts that are tested alone.

use std::time::Duration;

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    config::Config,
    context::{Context, Effects},
    download::Download,
    listing::Listing,
    tickets::Ticket,
};
use crate::{
    binary::Node,
    device::{Account, Credentials, Device},
    event::Event,
    payload::History,
    store::{Changes, RecordKey},
    time::Timestamp,
    unpacking::Unpacking,
    version::ClientVersion,
};

/// Lends a [`Context`] and keeps what was done through it.
pub(crate) struct Lender {
    rng: StdRng,
    device: Credentials,
    config: Config,
    effects: Effects,
    /// What the clock says.
    pub(crate) now: Timestamp,
}

impl Lender {
    /// With a device that is not paired.
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        Self {
            device: Credentials::new(Device::generate(&mut rng)),
            config: Config::whatsapp(ClientVersion::KNOWN),
            effects: Effects::new(10, &mut rng),
            now: Timestamp::from_secs(1_000_000),
            rng,
        }
    }

    pub(crate) fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            rng: &mut self.rng,
            device: &mut self.device,
            config: &self.config,
            effects: &mut self.effects,
        }
    }

    /// How much of the past is wanted.
    pub(crate) fn set_history(&mut self, depth: History) {
        self.config.history.depth = depth;
    }

    /// Makes the device one of an account.
    pub(crate) fn pair(&mut self) {
        self.device.edit().account = Some(Account {
            jid: "15551230001:11@s.whatsapp.net".parse().unwrap(),
            lid: None,
            identity: Bytes::new(),
            push_name: None,
            platform: "android".into(),
            is_migrated: false,
            token_salt: None,
        });
    }

    /// Whose the values are of the records that were taken last.
    pub(crate) fn answers(&mut self, values: Vec<Option<Bytes>>) -> Vec<(Ticket, Vec<Option<Bytes>>)> {
        self.effects.loads.answers(values)
    }

    /// What was written since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.effects.gathering.changes)
    }

    /// What the owner was told since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.effects.gathering.events)
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.effects.gathering.changes.is_empty()
    }

    /// The questions to the server since the last call.
    pub(crate) fn take_questions(&mut self) -> Vec<(Ticket, Node)> {
        let frames = std::mem::take(&mut self.effects.gathering.frames);
        let questions = frames.into_iter().filter_map(|node| {
            let ticket = self.effects.iqs.close(&node.attr_str("id")?)?;
            Some((ticket, node))
        });
        questions.collect()
    }

    /// The next file that is wanted.
    pub(crate) fn take_download(&mut self) -> Option<(Ticket, Download)> {
        let downloads = &mut self.effects.downloads;
        downloads.set_hosts(Vec::new(), self.now + Duration::from_secs(1));
        let fetch = downloads.take(self.now)?;
        Some((downloads.answered()?, fetch.file))
    }

    /// The piece of the history that is to be read on.
    pub(crate) fn take_unpacking(&mut self) -> Option<(Ticket, Box<Unpacking>)> {
        let unpackings = &mut self.effects.unpackings;
        let unpacking = unpackings.take()?;
        Some((unpackings.answered()?, unpacking))
    }

    /// The names of records that were asked for first.
    pub(crate) fn take_listing(&mut self) -> Option<(Ticket, Listing)> {
        let listings = &mut self.effects.listings;
        let listing = listings.take()?;
        Some((listings.answered()?, listing))
    }

    /// The records that were asked for since the last call.
    pub(crate) fn take_load(&mut self) -> Vec<RecordKey> {
        self.effects.loads.take()
    }
}
