//! What becomes of a recipient: its row, its events and its queue's counters, all in one write.
//!
//! Knows nothing of the connection, nor of when a send may start.

use shared::clock::unix_millis;
use shared::event::{self, Event, MessageStatus, QueueName, SendError, SendUnknown, Settled};
use shared::id::QueueId;
use shared::job::OnUnknown;
use shared::recipient::{Number, NumberKind};
use shared::store::commit::{QueueChange, RecipientChange, RecipientKey};
use shared::store::recipients::{self, OF_ANOTHER_ACCOUNT, RecipientState};
use shared::store::sessions::Owner;
use shared::trace;
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;

use super::accounts::Claim;
use super::adapter::events::{Author, Failure, Peer};
use super::adapter::names::{message_id, server, stanza_id};
use super::attempts::Silence;
use super::context::{Context, Fetched};
use super::meter;
use super::queues::Queue;
use super::target::Target;
use super::traces;

/// What became of a recipient.
pub(super) enum Outcome {
    /// The server has its message.
    Sent,
    /// It can't be sent to.
    Failed(Failure),
    /// Nobody knows whether it was sent to, and it is not sent to again.
    Unknown(Failure),
    /// Its account is that of another recipient of its queue: nothing is sent to it.
    Duplicate,
}

/// A recipient is past sending: its row, its events, the queue's counters, all in one write.
pub(super) fn settle(cx: &mut Context, id: QueueId, target: &Target, outcome: Outcome) {
    let trace = traces::of_recipient(cx, id, target);
    trace::within(trace, || settle_within(cx, id, target, outcome));
}

fn settle_within(cx: &mut Context, id: QueueId, target: &Target, outcome: Outcome) {
    let wall = cx.wall();
    start_queue(cx, id);
    let Some(queue) = cx.queues.settle(id) else {
        return;
    };
    let (progress, name) = (event::progress(queue.settled, queue.total), queue.name());
    if cx.queues.tell(id, None) {
        // It moves again.
        cx.recorder.write.queues.push(QueueChange::StandStill(id, None));
    }
    let key = RecipientKey::Seq(id, target.seq);
    let (change, state) = match outcome {
        Outcome::Sent => (
            RecipientChange::state(key, RecipientState::Sent, wall),
            RecipientState::Sent,
        ),
        Outcome::Duplicate => {
            let state = RecipientState::Duplicate;
            // Whose account it is stays with it, also where that goes by this very number.
            let account = target.addressee.as_ref().unwrap_or(&target.number);
            let change = RecipientChange::state(key, state, wall);
            (change.to(Some(account.clone())), state)
        }
        Outcome::Unknown(why) => {
            meter::unknown();
            let change = RecipientChange::unknown(key, why.status, why.words.clone(), wall);
            cx.recorder.event(unknown(&name, target, why));
            (change, RecipientState::Unknown)
        }
        Outcome::Failed(why) => {
            meter::failed(why.status);
            let change = RecipientChange::failed(key, why.status, why.words.clone(), wall);
            cx.recorder.event(failed(&name, target, why));
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

fn failed(queue: &QueueName, target: &Target, why: Failure) -> Event {
    Event::SendError(SendError {
        number: target.number.jid(),
        message: why.words,
        status: why.status,
        error: why.error,
        queue_id: queue.id,
        reference: target.reference.clone(),
        queue_reference: queue.reference.clone(),
    })
}

fn unknown(queue: &QueueName, target: &Target, why: Failure) -> Event {
    Event::SendUnknown(SendUnknown {
        number: target.number.jid(),
        message_id: target.stanza.clone(),
        message: why.words,
        status: why.status,
        error: why.error,
        queue_id: queue.id,
        reference: target.reference.clone(),
        queue_reference: queue.reference.clone(),
    })
}

/// send.message:START comes before every other event of its queue.
pub(super) fn start_queue(cx: &mut Context, id: QueueId) {
    let account = cx.record.owner.as_ref().map(Owner::number);
    if cx.queues.start(id, account) {
        cx.recorder.write.queues.push(QueueChange::Start(id));
        let name = cx.queues.get(id).map_or_else(|| QueueName::from(id), Queue::name);
        let trace = traces::of_queue(cx, id);
        trace::within(trace, || cx.recorder.event(Event::send_start(name)));
    }
}

/// Why a recipient that was sent to before, and nobody knows with what outcome, is not sent to again; `None` if it is.
pub(super) fn end_of_attempts(cx: &Context, id: QueueId, target: &Target) -> Option<Failure> {
    let queue = cx.queues.get(id).filter(|_| target.again)?;
    let words = if target.attempts == OF_ANOTHER_ACCOUNT {
        "it was being sent from another account when its queue came to this one".to_owned()
    } else if queue.on_unknown == OnUnknown::Hold {
        "the send was cut off, and the job holds what it does not know of".to_owned()
    } else if cx.around.attempts.are_over(target.attempts) {
        format!(
            "WhatsApp did not acknowledge the message in {} attempts",
            target.attempts
        )
    } else {
        return None;
    };
    Some(Failure::unknown(words))
}

/// Nobody knows whether it was sent: it is sent again under its id, or is past sending, as its job and its attempts say.
pub(super) fn outcome_unknown(cx: &mut Context, queue: QueueId, mut target: Target, silence: Silence) {
    target.again = true;
    if let Some(why) = end_of_attempts(cx, queue, &target) {
        return settle(cx, queue, &target, Outcome::Unknown(why));
    }
    if !target.is_late() {
        tell_of(cx, &target, MessageStatus::Pending);
    }
    if silence == Silence::CutOff && !target.is_late() {
        // Mended at once.
        return cx.queues.give_back(queue, target);
    }
    let at = cx.around.attempts.next(target.attempts, cx.now());
    cx.queues.give_back_late(queue, target, at);
}

/// The server has a message of which that was not known any more.
pub(super) fn acked_late(cx: &mut Context, id: &MessageId, chat: &Jid) {
    if !settle_repeat(cx, id) {
        let key = RecipientKey::Stanza(stanza_id(id));
        let change = RecipientChange::state(key, RecipientState::Sent, cx.wall());
        cx.recorder.write.recipients.push(change);
        server_has_it(cx, id, chat, None);
    }
}

/// The message of a recipient that waits to be sent to again has arrived; false if none of these.
pub(super) fn settle_repeat(cx: &mut Context, id: &MessageId) -> bool {
    let Some((queue, target)) = cx.queues.take_repeat(&stanza_id(id)) else {
        return false;
    };
    settle(cx, queue, &target, Outcome::Sent);
    true
}

/// Tells that the server has a message, to whoever was given.
pub(super) fn server_has_it(cx: &mut Context, id: &MessageId, chat: &Jid, given: Option<&Number>) {
    tell_status(cx, id, (chat, given), MessageStatus::ServerAck);
}

/// Tells what became of a message of a recipient that may have left, where no acknowledgement says it.
pub(super) fn tell_of(cx: &mut Context, target: &Target, status: MessageStatus) {
    let Some(id) = &target.stanza else { return };
    let to = target.addressee.as_ref().unwrap_or(&target.number);
    let chat = Jid::new(to.user(), server(to.kind()));
    let to = (&chat, Some(&target.number));
    trace::within(target.trace, || tell_status(cx, &message_id(id), to, status));
}

fn tell_status(
    cx: &mut Context,
    id: &MessageId,
    (chat, given): (&Jid, Option<&Number>),
    status: MessageStatus,
) {
    let given = given
        .filter(|given| given.kind() == NumberKind::Phone)
        .map(Number::user);
    let phone = given.map(|given| Jid::new(given, server(NumberKind::Phone)));
    let mut header = Peer::new(chat, phone.as_ref(), None).header(stanza_id(id), Author::Us);
    if let Some(given) = given {
        header.phone_number = Some(given.to_owned());
    }
    let status = Event::message_status(status, header, unix_millis(cx.wall()));
    cx.recorder.event(status);
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
        return settle(cx, queue, &target, Outcome::Failed(failure));
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
        Some(Claim::Taken(target)) => settle(cx, queue, &target, Outcome::Duplicate),
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
