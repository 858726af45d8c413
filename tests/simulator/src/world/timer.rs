//! What the world does later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

use super::fanout::Routed;
use super::{ConnId, World};

/// Most actions that wait; beyond, they happen at once.
const MAX_TIMERS: usize = 1_000_000;

/// A thing to do later.
pub(super) enum Action {
    /// Copies that a fault delays.
    Deliver(Box<Routed>),
    /// An ack that a fault delays.
    Ack(ConnId, Box<whatsapp::binary::Node>),
    /// The client has had time to say that it is ready.
    Activate(ConnId),
    /// Nobody scanned.
    PairingOver(ConnId),
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u64, Slot)>>,
    last: u64,
}

/// Keeps the action out of the order.
pub(super) struct Slot(Action);

impl Timers {
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.0.0)
    }
}

impl World {
    /// Does `action` at `at`.
    pub(super) fn at(&mut self, at: Instant, action: Action) {
        if self.timers.heap.len() >= MAX_TIMERS {
            return self.act(action);
        }
        self.timers.last += 1;
        self.timers
            .heap
            .push(Reverse((at, self.timers.last, Slot(action))));
    }

    pub(super) fn fire(&mut self, now: Instant) {
        while self.timers.next().is_some_and(|at| at <= now) {
            if let Some(Reverse((_, _, Slot(action)))) = self.timers.heap.pop() {
                self.act(action);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(routed) => self.deliver_copies(*routed),
            Action::Ack(conn, ack) => self.write(conn, &ack),
            Action::Activate(conn) => self.activate(conn),
            Action::PairingOver(conn) => self.pairing_over(conn),
        }
    }
}

/// Waits until then; for ever if there is nothing to wait for.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl PartialEq for Slot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}
