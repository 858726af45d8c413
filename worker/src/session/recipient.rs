//! What becomes of a recipient: its row, its events and its queue's counters, all in one write.
//!
//! Knows nothing of the connection, nor of when a send may start.

use shared::clock::unix_millis;
use shared::event::{self, Event, Processing};
use shared::id::QueueId;
use shared::job::OnUnknown;
use shared::store::commit::{QueueChange, RecipientChange, RecipientKey};
use shared::store::recipients::RecipientState;

use super::adapter::events::Failure;
use super::context::Context;
use super::queues::Target;

/// Whether recipients of a queue are not sent to again when nobody knows whether they were.
pub(super) fn holds_unknown(cx: &Context, id: QueueId) -> bool {
    let queue = cx.queues.get(id);
    queue.is_some_and(|queue| queue.on_unknown == OnUnknown::Hold)
}

/// A recipient is past sending: its row, its events, the queue's counters, all in one write.
pub(super) fn settle(
    cx: &mut Context,
    id: QueueId,
    target: &Target,
    outcome: Result<RecipientState, Failure>,
) {
    let wall = cx.wall();
    start_queue(cx, id);
    let Some(queue) = cx.queues.settle(id) else {
        return;
    };
    let progress = event::progress(queue.settled, queue.total);
    let key = RecipientKey::Seq(id, target.seq);
    let state = *outcome.as_ref().unwrap_or(&RecipientState::Failed);
    let (change, stanza) = match outcome {
        Ok(state) => (RecipientChange::state(key, state, wall), target.stanza.clone()),
        Err(Failure { status, error, words }) => {
            let change = RecipientChange::failed(key, status, words.clone(), wall);
            let failed = Event::send_error(id, target.number.jid(), status, error, words);
            cx.recorder.event(failed);
            (change, None)
        }
    };
    cx.recorder.write.recipients.push(change);
    cx.recorder.event(Event::send_processing(Processing {
        message_id: stanza,
        progress,
        queue_id: id,
        queue_timestamp: unix_millis(wall),
        number: target.number.jid(),
        state: state.as_str(),
    }));
}

/// send.message:START comes before every other event of its queue.
pub(super) fn start_queue(cx: &mut Context, id: QueueId) {
    if cx.queues.start(id) {
        cx.recorder.write.queues.push(QueueChange::Start(id));
        cx.recorder.event(Event::send_start(id));
    }
}

/// Nobody knows whether it was sent: it is sent again under its id, or is past sending, as its job says.
pub(super) fn outcome_unknown(cx: &mut Context, queue: QueueId, mut target: Target) {
    target.again = true;
    if holds_unknown(cx, queue) {
        settle(cx, queue, &target, Ok(RecipientState::Unknown));
    } else {
        cx.queues.give_back(queue, target);
    }
}

/// The recipient waits in the store until the restriction is over.
pub(super) fn hold(cx: &mut Context, queue: QueueId, target: Target) {
    let Some(restriction) = cx.held() else {
        // It is over by now.
        return cx.queues.give_back(queue, target);
    };
    let change = RecipientChange::held(queue, target.seq, restriction, cx.wall());
    cx.recorder.write.recipients.push(change);
    cx.queues.hold(queue);
}
