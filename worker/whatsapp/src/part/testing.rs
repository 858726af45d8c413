//! A [`Context`] without a connection around it, for parts that are tested alone.

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    config::Config,
    context::{Context, Effects},
    tickets::Ticket,
};
use crate::{
    device::{Credentials, Device},
    store::{Changes, RecordKey},
    time::Timestamp,
    version::ClientVersion,
};

/// Lends a [`Context`] and keeps what was done through it.
pub(crate) struct Lender {
    rng: StdRng,
    device: Credentials,
    config: Config,
    effects: Effects,
}

impl Lender {
    /// With a device that is not paired.
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        Self {
            device: Credentials::new(Device::generate(&mut rng)),
            config: Config::whatsapp(ClientVersion::KNOWN),
            effects: Effects::new(10, &mut rng),
            rng,
        }
    }

    pub(crate) fn context(&mut self) -> Context<'_> {
        Context {
            now: Timestamp::from_secs(1_000_000),
            rng: &mut self.rng,
            device: &mut self.device,
            config: &self.config,
            effects: &mut self.effects,
        }
    }

    /// What was written since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.effects.gathering.changes)
    }

    /// Sorts the values of what was asked for to the questions.
    pub(crate) fn answers(&mut self, values: Vec<Option<Bytes>>) -> Vec<(Ticket, Vec<Option<Bytes>>)> {
        self.effects.loads.answers(values)
    }

    /// The records that were asked for since the last call.
    pub(crate) fn take_load(&mut self) -> Vec<RecordKey> {
        self.effects.loads.take()
    }
}
