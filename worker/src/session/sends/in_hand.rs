//! Sends whose outcome is open, and how far each is.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use shared::id::QueueId;
use shared::telemetry::Traced;
use shared::waiting::Reason;
use tokio::time::Instant;
use whatsapp::event::{QueryError, Refusal, SendError};
use whatsapp::message_id::MessageId;

use crate::session::attempts::Silence;
use crate::session::context::Context;
use crate::session::pacer::{Claim, Pace};
use crate::session::queues::From;
use crate::session::target::Target;

/// A send whose outcome is open.
#[derive(Debug)]
pub(super) struct InHand {
    pub(super) queue: QueueId,
    pub(super) target: Target,
    /// From which recipients it was taken: whether it has leave to look its number up.
    pub(super) from: From,
    pub(super) pace: Pace,
    pub(super) claim: Claim,
    pub(super) stage: Stage,
    /// When it was asked for; when its frame left, once it has.
    pub(super) since: Instant,
    /// Its span.
    pub(super) traced: Traced,
}

impl InHand {
    /// Whether nothing else is in hand with it: what ends its connection may be its doing.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.from, From::Late(_))
    }

    /// Its recipient, whose outcome nobody knows. The end of a connection counts as an attempt only of what was alone:
    /// however often a connection breaks off, those who happened to be on their way are not to be given up for it.
    pub(super) fn lost(mut self, silence: Silence) -> Target {
        if silence == Silence::CutOff {
            self.target.cuts = self.target.cuts.saturating_add(1);
            if !self.is_alone() {
                self.target.attempts = self.target.attempts.saturating_sub(1);
            }
        }
        self.target
    }

    /// One line for who follows it: WhatsApp has it.
    pub(super) fn log_sent(&self, cx: &Context, id: &MessageId) {
        tracing::debug!(
            session.id = %cx.record.id, queue.id = %self.queue, recipient.seq = self.target.seq, message.id = %id,
            "message sent"
        );
    }

    /// One line for who follows it: it came to nothing this time.
    pub(super) fn log_failed(&self, cx: &Context, id: &MessageId, error: &SendError) {
        tracing::debug!(
            session.id = %cx.record.id, queue.id = %self.queue, recipient.seq = self.target.seq, message.id = %id,
            %error, "message not sent"
        );
    }

    /// Ends its span: it came to nothing, or nobody knows.
    pub(super) fn end_failed(&mut self, why: impl fmt::Display) {
        let mut traced = std::mem::take(&mut self.traced);
        traced.describe(|span| span.failed(why.to_string()));
        traced.end();
    }

    /// Why nobody knows what became of it, which came to nothing for `reason`.
    pub(super) fn silence(&self, cx: &Context, reason: &SendError) -> Option<Silence> {
        let after = cx.now().saturating_duration_since(self.since);
        Silence::of(reason, after, cx.around.versions.config().timing.ack)
    }
}

/// A send in hand that others wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTheWay {
    /// How far it is.
    pub(crate) reason: Reason,
    /// How long the server has to answer, once it has left.
    pub(crate) until: Option<Instant>,
    since: Instant,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection was asked; nothing of it is stored.
    Asked,
    /// It is stored, or about to be: its frame may have left.
    Prepared,
    /// Its frame has left.
    Left,
}

/// What is in hand of each queue for the longest time, where the server has so long to answer.
pub(super) fn in_the_way<'a>(
    in_hand: impl Iterator<Item = &'a InHand>,
    patience: Duration,
) -> HashMap<QueueId, InTheWay> {
    let mut queues: HashMap<QueueId, InTheWay> = HashMap::new();
    for hand in in_hand {
        let one = InTheWay {
            reason: match hand.stage {
                Stage::Asked => Reason::Keys,
                Stage::Prepared => Reason::Storing,
                Stage::Left => Reason::Ack,
            },
            until: (hand.stage == Stage::Left).then_some(hand.since + patience),
            since: hand.since,
        };
        let first = queues.entry(hand.queue).or_insert(one);
        if one.since < first.since {
            *first = one;
        }
    }
    queues
}

/// Which of all those has waited the longest.
pub(crate) fn first_of(in_hand: &HashMap<QueueId, InTheWay>) -> Option<InTheWay> {
    in_hand.values().copied().min_by_key(|one| one.since)
}

/// Whether a send came to nothing because new contacts can't be written to.
pub(super) fn is_of_new_contact(reason: &SendError) -> bool {
    let refused = matches!(reason.refusal(), Some(Refusal::NewContact | Refusal::NewChatCap));
    refused || *reason == SendError::NewContact
}

/// Whether the server said that it goes too fast, to the message or to a question before it.
pub(super) fn is_too_fast(reason: &SendError) -> bool {
    let of_query = matches!(reason, SendError::Query(QueryError::Refused { code: 429 }));
    of_query || reason.refusal() == Some(Refusal::TooFast)
}
