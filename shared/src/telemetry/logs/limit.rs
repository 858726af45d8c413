//! Keeps lines from flooding: of each place in the source so many may be written in a while. What is left out is
//! counted, and told with the next line of that place, or by itself where none follows.
//!
//! Lines at DEBUG and TRACE are not limited: who asks for them wants them all. As much memory as there are places that
//! log.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;
use crate::metrics::list;

/// Most lines of one place within a window.
pub const LINES_MAX: u32 = 50;
/// How long a window is.
pub const WINDOW: Duration = Duration::from_secs(10);

thread_local! {
    /// How many lines like the one that is being written were left out before it.
    static LEFT_OUT: Cell<u64> = const { Cell::new(0) };
}

/// What is said for the line that is being written; once.
pub(super) fn take_left_out() -> u64 {
    LEFT_OUT.take()
}

/// How many lines each place has written.
#[derive(Debug)]
pub struct Limit {
    clock: Clock,
    places: Mutex<HashMap<Identifier, Place>>,
}

#[derive(Debug)]
struct Place {
    what: &'static Metadata<'static>,
    since: Instant,
    written: u32,
    left_out: u64,
}

impl Limit {
    /// Nothing is written yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            places: Mutex::default(),
        }
    }

    /// What stands before the lines.
    pub(super) fn layer(self: &Arc<Self>) -> LimitLayer {
        LimitLayer(Arc::clone(self))
    }

    /// Tells of what was left out and followed by no line, until stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(WINDOW) => self.tell(),
                () = stop.cancelled() => return self.tell(),
            }
        }
    }

    fn tell(&self) {
        for (what, left_out) in self.take_quiet() {
            let line = what.line().unwrap_or_default();
            tracing::warn!(
                log.left_out = left_out,
                log.of = what.target(),
                log.at = line,
                "lines were left out"
            );
        }
    }

    /// The places whose window is over with something left out that nobody told of.
    fn take_quiet(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let now = self.clock.now();
        let mut places = self.places();
        let over = places
            .values_mut()
            .filter(|place| place.left_out > 0 && now.duration_since(place.since) >= WINDOW);
        over.map(|place| (place.what, std::mem::take(&mut place.left_out)))
            .collect()
    }

    /// Whether a line of this place may be written, and how many were left out before it.
    fn take(&self, what: &'static Metadata<'static>) -> Option<u64> {
        let now = self.clock.now();
        let mut places = self.places();
        let place = places.entry(what.callsite()).or_insert(Place {
            what,
            since: now,
            written: 0,
            left_out: 0,
        });
        if now.duration_since(place.since) >= WINDOW {
            (place.since, place.written) = (now, 0);
        }
        if place.written >= LINES_MAX {
            place.left_out += 1;
            return None;
        }
        place.written += 1;
        Some(std::mem::take(&mut place.left_out))
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a line through while its place may write.
pub(super) struct LimitLayer(Arc<Limit>);

impl<S: Subscriber> Layer<S> for LimitLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let what = event.metadata();
        if *what.level() > Level::INFO {
            return true;
        }
        let taken = self.0.take(what);
        LEFT_OUT.set(taken.unwrap_or_default());
        if taken.is_none() {
            list::LOG_LINES_LEFT_OUT.increment();
        }
        taken.is_some()
    }
}
