//! The worker's cap on the sends of all its sessions, and a session's turn under it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use shared::clock::Clock;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The worker's cap on sends of all its sessions together.
///
/// Callers pass a FIFO gate one at a time, so that the limiter is asked about twice per send and not by
/// everybody at each tick, and nobody starves.
pub(crate) struct Cap {
    gate: Mutex<()>,
    limiter: RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>,
}

impl Cap {
    /// A cap of `per_second` sends, without bursts beyond 20 ms of them.
    pub(crate) fn new(per_second: NonZeroU32, clock: Clock) -> Self {
        let burst = NonZeroU32::new(per_second.get() * BURST_MS / 1000).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            gate: Mutex::new(()),
            limiter: RateLimiter::direct_with_clock(quota, Since::now(clock)),
        }
    }

    /// Takes one send if nobody waits and the cap allows it now.
    pub(crate) fn try_acquire(&self) -> bool {
        match self.gate.try_lock() {
            Ok(_turn) => self.limiter.check().is_ok(),
            Err(_) => false,
        }
    }

    /// Waits for its turn and for the cap. Dropping the future gives the place up and takes nothing.
    pub(crate) async fn acquire(&self) {
        let _turn = self.gate.lock().await;
        while let Err(not_until) = self.limiter.check() {
            tokio::time::sleep(not_until.wait_time_from(self.limiter.clock().now())).await;
        }
    }
}

/// One session's turn under the cap: asked for at most once at a time, and kept until it is used.
#[derive(Default)]
pub(crate) struct CapTurn {
    waiting: Option<BoxFuture<'static, ()>>,
    is_granted: bool,
    /// Turns that were used by sends which came to nothing before the server was asked anything: they are used first. Never
    /// more than sends that were in hand at a time, since the next ones use them up.
    given_back: u32,
}

impl CapTurn {
    /// Whether the next send may go: at once if nobody waits, else behind the others.
    pub(crate) fn is_granted(&mut self, cap: &Arc<Cap>) -> bool {
        if self.given_back > 0 {
            return true;
        }
        if !self.is_granted && self.waiting.is_none() {
            if cap.try_acquire() {
                self.is_granted = true;
            } else {
                let cap = Arc::clone(cap);
                self.waiting = Some(Box::pin(async move { cap.acquire().await }));
            }
        }
        self.is_granted
    }

    /// A send used it.
    pub(crate) fn use_up(&mut self) {
        match self.given_back.checked_sub(1) {
            Some(left) => self.given_back = left,
            None => self.is_granted = false,
        }
    }

    /// A send that used one came to nothing, and nothing was asked for it: the session's next send has it.
    pub(crate) fn give_back(&mut self) {
        self.given_back = self.given_back.saturating_add(1);
    }

    /// Waits for the turn that was asked for; for ever if none was. Dropping the wait keeps the place.
    pub(crate) async fn granted(&mut self) {
        match &mut self.waiting {
            Some(turn) => turn.await,
            None => return std::future::pending().await,
        }
        self.waiting = None;
        self.is_granted = true;
    }
}

/// governor's clock: the product's, since the cap was made.
#[derive(Clone, Copy, Debug)]
struct Since {
    clock: Clock,
    start: Instant,
}

impl Since {
    fn now(clock: Clock) -> Self {
        let start = clock.now();
        Self { clock, start }
    }
}

impl governor::clock::Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.now() - self.start
    }
}

/// How much of a second's sends may go at once after a quiet spell.
const BURST_MS: u32 = 20;
/// The cap on a worker's sends per second unless set otherwise.
// Unwrap safety: it is not zero.
#[allow(clippy::unwrap_used)]
pub(crate) const CAP_DEFAULT: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_cap_holds_the_rate_and_serves_in_order() {
        let cap = Arc::new(Cap::new(NonZeroU32::new(50).unwrap(), Clock::system()));
        let (tell, mut told) = tokio::sync::mpsc::channel(1_000);
        let start = Instant::now();
        for n in 0..200_u32 {
            let (cap, tell) = (Arc::clone(&cap), tell.clone());
            tokio::spawn(async move {
                cap.acquire().await;
                tell.send((n, Instant::now())).await.unwrap();
            });
            tokio::task::yield_now().await;
        }
        drop(tell);
        let mut order = Vec::new();
        let mut end = start;
        while let Some((n, at)) = told.recv().await {
            order.push(n);
            end = at;
        }
        assert!(order.is_sorted(), "first come, first served");
        let seconds = (end - start).as_secs_f64();
        assert!(
            (3.9..4.1).contains(&seconds),
            "200 sends at 50/s took {seconds} s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_capped_out_try_takes_nothing() {
        let cap = Cap::new(NonZeroU32::new(10).unwrap(), Clock::system());
        assert!(cap.try_acquire());
        assert!(!cap.try_acquire());
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(cap.try_acquire());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_asked_for_once_and_kept_until_it_is_used() {
        let cap = Arc::new(Cap::new(NonZeroU32::new(10).unwrap(), Clock::system()));
        let mut turn = CapTurn::default();
        assert!(turn.is_granted(&cap) && turn.is_granted(&cap));
        turn.use_up();
        assert!(!turn.is_granted(&cap));
        turn.granted().await;
        assert!(turn.is_granted(&cap));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_came_to_nothing_is_used_by_the_next() {
        let cap = Arc::new(Cap::new(NonZeroU32::new(1).unwrap(), Clock::system()));
        let mut turn = CapTurn::default();
        for _ in 0..100 {
            assert!(turn.is_granted(&cap));
            turn.use_up();
            turn.give_back();
        }
        assert!(turn.is_granted(&cap));
        turn.use_up();
        assert!(!turn.is_granted(&cap), "it was one all the time");
    }
}
