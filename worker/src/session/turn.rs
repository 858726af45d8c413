//! From which recipients the next one is taken: first those whose numbers need not be looked up, then the others, as often as
//! look-ups are allowed.

use tokio::time::Instant;

use super::context::Context;
use super::pacer::{Pace, Waiting};
use super::queues::From;

/// Whose turn it is: somebody whose number need not be looked up, if there is one.
pub(super) fn next(cx: &mut Context, now: Instant) -> Result<(From, Pace), Waiting> {
    if let Some((_, pace)) = cx.queues.peek(From::Known) {
        return Ok((From::Known, pace));
    }
    let Some((_, pace)) = cx.queues.peek(From::Unknown) else {
        return Err(match cx.queues.is_reading() {
            true => Waiting::Recipients,
            false => Waiting::Idle,
        });
    };
    let Some(until) = cx.look_up_until() else {
        return Ok((From::Unknown, pace));
    };
    let wall = cx.wall();
    let at = wall + until.saturating_duration_since(now);
    if cx.record.look_up_at.is_none_or(|told| told <= wall) {
        cx.record.look_up_at = Some(at);
        cx.recorder.write.session_row().look_up_at = Some(at);
    }
    Err(Waiting::LookUp { until })
}
