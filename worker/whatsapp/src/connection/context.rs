//! What the parts of a connection see of the world while they handle one input.
//!
//! A [`Context`] lends out the clock reading, the randomness and the credentials, and gathers effects: frames, changes,
//! events, questions to the server and to the store. Nothing written through it happens at once: frames leave when the
//! step that carries them has been committed.

use std::time::Duration;

use rand::rngs::StdRng;

use crate::{
    binary::Node,
    connection::{
        CloseReason, Config,
        iq::{IqTable, Op},
        loads::Loads,
        step::Gathering,
    },
    device::{Credentials, Device},
    event::Event,
    messaging::LoadTag,
    store::{Changes, RecordKey},
    time::Timestamp,
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
    pub(super) gathering: &'a mut Gathering,
    pub(super) iqs: &'a mut IqTable,
    pub(super) loads: &'a mut Loads,
}

impl Context<'_> {
    /// Sends a stanza with the frames of this step, in the order of the calls.
    pub(crate) fn send(&mut self, node: Node) {
        self.gathering.frames.push(node);
    }

    /// Asks the server. `node` is an `<iq>` without `id`; `op` comes back with the answer, the refusal, or after the
    /// usual time-out. With too many questions open nothing is sent and `op` comes back with `QueryError::Busy`.
    pub(crate) fn iq(&mut self, node: Node, op: impl Into<Op>) {
        self.iq_within(node, op, self.config.timing.iq);
    }

    /// Like [`Self::iq`] with a time-out of its own.
    pub(crate) fn iq_within(&mut self, node: Node, op: impl Into<Op>, timeout: Duration) {
        let deadline = self.now + timeout;
        if let Some(id) = self.iqs.open(op.into(), deadline) {
            self.send(node.attr("id", id));
        }
    }

    /// Tells the owner something, with the commit of this step.
    pub(crate) fn emit(&mut self, event: Event) {
        self.gathering.events.push(event);
    }

    /// The state changes of this step.
    pub(crate) fn changes(&mut self) -> &mut Changes {
        &mut self.gathering.changes
    }

    /// The credentials, to be written with this step.
    pub(crate) fn device_mut(&mut self) -> &mut Device {
        self.device.edit()
    }

    /// Asks the store for these records, at least one. `tag` comes back with their values, after every earlier question and
    /// every step taken before.
    pub(crate) fn load(&mut self, keys: Vec<RecordKey>, tag: LoadTag) {
        self.loads.ask(keys, tag);
    }

    /// Ends the connection after the frames of this step. The first reason given holds.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.gathering.close(reason);
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
