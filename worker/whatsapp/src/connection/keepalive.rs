//! Tells a silent connection from a dead one (docs/PROTOCOL.md, "Keep-alive").

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use crate::{part::Timing, time::Timestamp};

/// When to ping next, and since when we wait for a sign of life.
pub(super) struct KeepAlive {
    next_ping: Timestamp,
    asked_at: Option<Timestamp>,
    pong: Duration,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ping,
    /// Nothing came for too long after a ping: the socket is dead.
    Dead,
}

impl KeepAlive {
    /// The first ping comes after one random interval.
    pub(super) fn new(timing: &Timing, rng: &mut StdRng, now: Timestamp) -> Self {
        Self {
            next_ping: now + interval(timing, rng),
            asked_at: None,
            pong: timing.pong,
        }
    }

    /// Anything at all came from the server.
    pub(super) fn heard(&mut self) {
        self.asked_at = None;
    }

    /// What is due now, if anything.
    pub(super) fn poll(&mut self, timing: &Timing, rng: &mut StdRng, now: Timestamp) -> Option<Due> {
        if self.asked_at.is_some_and(|asked| asked + self.pong <= now) {
            return Some(Due::Dead);
        }
        if self.next_ping > now {
            return None;
        }
        self.next_ping = now + interval(timing, rng);
        self.asked_at.get_or_insert(now);
        Some(Due::Ping)
    }

    /// When [`Self::poll`] has something to say next.
    pub(super) fn deadline(&self) -> Timestamp {
        match self.asked_at {
            Some(asked) => self.next_ping.min(asked + self.pong),
            None => self.next_ping,
        }
    }
}

fn interval(timing: &Timing, rng: &mut StdRng) -> Duration {
    let (min, max) = (timing.ping_min, timing.ping_max.max(timing.ping_min));
    rng.random_range(min..=max)
}
