//! What becomes of a recipient: its row, its events and its queue's counters, all in one write.
//!
//! Knows nothing of the connection, nor of when a send may start.

use shared::clock::unix_millis;
use shared::event::{self, Event, QueueName, SendError, Settled};
use shared::id::QueueId;
use shared::job::OnUnknown;
use shared::recipient::Number;
use shared::store::commit::{QueueChange, RecipientChange, RecipientKey};
use shared::store::recipients::{self, RecipientState};

use super::accounts::Claim;
use super::adapter::events::Failure;
use super::context::{Context, Fetched};
use super::queues::{Queue, Target};

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
    let (progress, name) = (event::progress(queue.settled, queue.total), queue.name());
    let key = RecipientKey::Seq(id, target.seq);
    let (change, state) = match outcome {
        Ok(state) => (RecipientChange::state(key, state, wall), state),
        Err(Failure { status, error, words }) => {
            let change = RecipientChange::failed(key, status, words.clone(), wall);
            cx.recorder.event(Event::SendError(SendError {
                number: target.number.jid(),
                message: words,
                status,
                error,
                queue_id: id,
                reference: target.reference.clone(),
                queue_reference: name.reference.clone(),
            }));
            (change, RecipientState::Failed)
        }
    };
    cx.recorder.write.recipients.push(change);
    let was_sent = !matches!(state, RecipientState::Failed | RecipientState::Duplicate);
    let stanza = target.stanza.clone().filter(|_| was_sent);
    let recipient = Settled {
        number: target.number.jid(),
        state: state.as_str(),
        reference: target.reference.clone(),
    };
    let processing = Event::send_processing(name, stanza, recipient, progress, unix_millis(wall));
    cx.recorder.event(processing);
}

/// send.message:START comes before every other event of its queue.
pub(super) fn start_queue(cx: &mut Context, id: QueueId) {
    if cx.queues.start(id) {
        cx.recorder.write.queues.push(QueueChange::Start(id));
        let name = cx.queues.get(id).map_or_else(|| QueueName::from(id), Queue::name);
        cx.recorder.event(Event::send_start(name));
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

/// The account of a recipient goes by another number than the given one: it is sent to by that, unless another recipient of
/// the queue is.
pub(super) fn goes_by(cx: &mut Context, queue: QueueId, mut target: Target, number: &str) {
    let Ok(addressee) = Number::stored(number) else {
        let failure = Failure {
            status: 502,
            error: "Bad Gateway",
            words: "WhatsApp named the account by something that is no number".to_owned(),
        };
        return settle(cx, queue, &target, Err(failure));
    };
    target.addressee = Some(addressee);
    claim(cx, queue, target);
}

/// By which accounts the recipients of a queue go is read: those who waited for it go on.
pub(super) fn on_accounts(cx: &mut Context, queue: QueueId, known: Vec<(u32, Number)>) {
    for target in cx.queues.learn_accounts(queue, known) {
        claim(cx, queue, target);
    }
}

fn claim(cx: &mut Context, queue: QueueId, target: Target) {
    match cx.queues.claim(queue, target) {
        Some(Claim::Free(target)) => cx.queues.give_back(queue, target),
        Some(Claim::Taken(target)) => settle(cx, queue, &target, Ok(RecipientState::Duplicate)),
        Some(Claim::Read) => {
            let store = cx.around.store.clone();
            cx.fetch(async move { Fetched::Accounts(queue, recipients::accounts(&store, queue).await) });
        }
        Some(Claim::Waits) | None => {}
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
