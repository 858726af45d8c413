//! A [`Context`] without a connection around it, for parts that are tested alone.

use rand::{SeedableRng, rngs::StdRng};

use super::peer::{NOW, ServerKeys, shared};
use crate::{
    connection::{Context, core::Core},
    device::Device,
    store::RecordKey,
};

/// Lends a [`Context`] and keeps what was done through it.
pub(crate) struct Desk(Core);

impl Desk {
    /// With a device that is not paired.
    pub(crate) fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        let device = Device::generate(&mut rng);
        Self(Core::new(shared(ServerKeys::new(1).config()), device, rng))
    }

    pub(crate) fn context(&mut self) -> Context<'_> {
        self.0.context(NOW)
    }

    /// The records that were asked for since the last call.
    pub(crate) fn take_load(&mut self) -> Vec<RecordKey> {
        self.0.loads.take()
    }
}
