//! From which recipients the next one is taken: first those whose numbers need not be looked up, then the others, as often as
//! look-ups are allowed, and last those who were sent to in vain.

use tokio::time::Instant;

use super::context::Context;
use super::pacer::{Pace, Waiting};
use super::queues::From;

/// Whose turn it is: somebody whose number need not be looked up, if there is one, and last those who were sent to in vain.
pub(super) fn next(cx: &mut Context, now: Instant) -> Result<(From, Pace), Waiting> {
    if let Some((_, pace)) = cx.queues.peek(From::Known) {
        return Ok((From::Known, pace));
    }
    let look_up = match cx.queues.peek(From::Unknown) {
        Some((_, pace)) => match cx.look_up_until() {
            None => return Ok((From::Unknown, pace)),
            until => until,
        },
        None if cx.queues.is_reading() => return Err(Waiting::Recipients),
        None => None,
    };
    let late = From::Late(now);
    if let Some((_, pace)) = cx.queues.peek(late) {
        return Ok((late, pace));
    }
    let attempt = cx.queues.next_late().map(|(until, _)| until);
    Err(match (look_up, attempt) {
        (None, None) => Waiting::Idle,
        (Some(until), attempt) if attempt.is_none_or(|attempt| until <= attempt) => {
            tell_look_up(cx, until, now);
            Waiting::LookUp { until }
        }
        (look_up, attempt) => Waiting::Attempt {
            until: attempt.or(look_up).unwrap_or(now),
        },
    })
}

/// All that is left waits for a look-up: that is stored.
fn tell_look_up(cx: &mut Context, until: Instant, now: Instant) {
    let wall = cx.wall();
    let at = wall + until.saturating_duration_since(now);
    if cx.record.look_up_at.is_none_or(|told| told <= wall) {
        cx.record.look_up_at = Some(at);
        cx.recorder.write.session_row().look_up_at = Some(at);
    }
}
