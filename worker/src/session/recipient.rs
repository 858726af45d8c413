//! What becomes of a recipient: its row, its events and its queue's counters, all in one write.
//!
//! Knows nothing of the connection, nor of when a send may start.

use shared::clock::unix_millis;
use shared::event::{self, Event, MessageStatus, SendUnknown};
use shared::id::QueueId;
use shared::job::OnUnknown;
use shared::recipient::{Number, NumberKind};
use shared::store::commit::{QueueChange, RecipientChange, RecipientKey};
use shared::store::recipients::{OF_ANOTHER_ACCOUNT, RecipientState};
use shared::store::sessions::Owner;
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;

use super::adapter::events::{Failure, Peer};
use super::adapter::names::{server, stanza_id};
use super::attempts::Silence;
use super::context::Context;
use super::meter;
use super::target::Target;

/// What became of a recipient.
pub(super) enum Outcome {
    /// The server has its message.
    Sent,
    /// It can't be sent to.
    Failed(Failure),
    /// Nobody knows whether it was sent to, and it is not sent to again.
    Unknown(Failure),
}

/// A recipient is past sending: its row, its events, the queue's counters, all in one write.
pub(super) fn settle(cx: &mut Context, id: QueueId, target: &Target, outcome: Outcome) {
    let wall = cx.wall();
    start_queue(cx, id);
    let Some(queue) = cx.queues.settle(id) else {
        return;
    };
    let progress = event::progress(queue.settled, queue.total);
    if cx.queues.tell(id, None) {
        // It moves again.
        cx.recorder.write.queues.push(QueueChange::StandStill(id, None));
    }
    let key = RecipientKey::Seq(id, target.seq);
    let (change, stanza) = match outcome {
        Outcome::Sent => {
            let sent = RecipientChange::state(key, RecipientState::Sent, wall);
            (sent, target.stanza.clone())
        }
        Outcome::Unknown(why) => {
            meter::unknown();
            let change = RecipientChange::unknown(key, why.status, why.words.clone(), wall);
            cx.recorder.event(unknown(id, target, why));
            (change, target.stanza.clone())
        }
        Outcome::Failed(Failure { status, error, words }) => {
            let change = RecipientChange::failed(key, status, words.clone(), wall);
            let failed = Event::send_error(id, target.number.jid(), status, error, words);
            cx.recorder.event(failed);
            (change, None)
        }
    };
    cx.recorder.write.recipients.push(change);
    let processing = Event::send_processing(id, stanza, progress, unix_millis(wall));
    cx.recorder.event(processing);
}

fn unknown(queue_id: QueueId, target: &Target, why: Failure) -> Event {
    Event::SendUnknown(SendUnknown {
        number: target.number.jid(),
        message_id: target.stanza.clone(),
        message: why.words,
        status: why.status,
        error: why.error,
        queue_id,
    })
}

/// send.message:START comes before every other event of its queue.
pub(super) fn start_queue(cx: &mut Context, id: QueueId) {
    let account = cx.record.owner.as_ref().map(Owner::number);
    if cx.queues.start(id, account) {
        cx.recorder.write.queues.push(QueueChange::Start(id));
        cx.recorder.event(Event::send_start(id));
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
    let given = given
        .filter(|given| given.kind() == NumberKind::Phone)
        .map(Number::user);
    let phone = given.map(|given| Jid::new(given, server(NumberKind::Phone)));
    let mut header = Peer::new(chat, phone.as_ref(), None).header(stanza_id(id));
    if let Some(given) = given {
        header.phone_number = Some(given.to_owned());
    }
    let status = Event::message_status(MessageStatus::ServerAck, header, unix_millis(cx.wall()));
    cx.recorder.event(status);
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
