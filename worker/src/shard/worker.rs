//! What all shards of a worker share.

use std::sync::Arc;

use shared::broker::Broker;
use shared::telemetry::Health;

use super::slots::Slots;
use super::starts::Starts;
use crate::lease::leases::Leases;
use crate::session::surroundings::Surroundings;
use crate::wake::Wake;

/// What all shards of a worker share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) broker: Broker,
    pub(crate) wake: Wake,
    pub(crate) starts: Arc<Starts>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) leases: Leases,
    pub(crate) health: Health,
}
