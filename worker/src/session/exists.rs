//! Whether numbers are on WhatsApp, as publishers ask.
//!
//! A number that was resolved once is answered from what the connection keeps of it. Any other is a look-up, which has to
//! wait for its turn; it has it before sends do, because somebody waits for the answer. A question that would have to wait
//! for longer than that is refused, with when the next turn is.
//!
//! A question is worth nothing after a restart: its delivery is settled at once, and only the way back to its publisher is
//! kept.

use std::collections::VecDeque;
use std::time::Duration;

use shared::clock::unix_millis;
use shared::job::{Answer, FailureCode, Job};
use shared::metrics::labels::Answered;
use shared::recipient::{Number, NumberKind};
use tokio::time::Instant;
use whatsapp::command::Command;
use whatsapp::event::{QueryError, Registration};

use super::adapter::events::registration;
use super::context::{Context, not_connected};
use super::link::Link;
use super::meter;
use crate::job::pending::{self, PendingJob, failed};
use crate::job::settlement::Reply;

/// The questions of one session without an answer, oldest first.
#[derive(Default)]
pub(super) struct Exists {
    open: VecDeque<Open>,
}

struct Open {
    ticket: u64,
    number: Number,
    /// Those who asked for this number.
    replies: Vec<Reply>,
    stage: Stage,
    /// How long they wait for its turn.
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The connection says what it keeps of the number.
    Recalled,
    /// Nothing is kept of it: it waits for its turn.
    Waits,
    /// WhatsApp was asked then.
    Asked(Instant),
}

impl Exists {
    /// Takes a question.
    pub(super) fn ask(&mut self, cx: &Context, link: &Link, ticket: u64, job: Box<PendingJob>) {
        let pending::Stage::Read(Job::IsExists(question)) = &job.stage else {
            return drop(job);
        };
        let number = question.number.clone();
        let reply = job.acknowledge();
        if number.kind() != NumberKind::Phone {
            let answer = failed(FailureCode::InvalidJob, "only phone numbers can be asked for");
            return reply.send(answer);
        }
        if !link.is_open() {
            return reply.send(not_connected());
        }
        let too_many = failed(FailureCode::Busy, "too many questions are open");
        let asked: usize = self.open.iter().map(|open| open.replies.len()).sum();
        if asked >= QUESTIONS_MAX {
            return reply.send(too_many);
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.number == number) {
            return open.replies.push(reply);
        }
        let user = number.user().to_owned();
        if !link.tell(Command::Recall { ticket, number: user }) {
            return reply.send(too_many);
        }
        self.open.push_back(Open {
            ticket,
            number,
            replies: vec![reply],
            stage: Stage::Recalled,
            until: cx.now() + TURN_WAIT,
        });
    }

    /// What the connection keeps of a number.
    pub(super) fn on_recalled(&mut self, cx: &Context, ticket: u64, found: Option<Registration>) {
        if let Some(found) = found {
            return self.on_answer(cx, ticket, Ok(vec![found]));
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.ticket == ticket) {
            open.stage = Stage::Waits;
        }
    }

    /// WhatsApp has answered, or has not.
    pub(super) fn on_answer(
        &mut self,
        cx: &Context,
        ticket: u64,
        result: Result<Vec<Registration>, QueryError>,
    ) {
        let Some(at) = self.open.iter().position(|open| open.ticket == ticket) else {
            return;
        };
        if let Some(open) = self.open.remove(at) {
            if let Stage::Asked(since) = open.stage {
                meter::looked_up(came_to(&result), cx.now().saturating_duration_since(since));
            }
            open.answer(&registration(result));
        }
    }

    /// Looks up what may be looked up now; answers when to look again.
    pub(super) fn advance(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        while let Some(at) = self.open.iter().position(|open| open.stage == Stage::Waits) {
            if let Some(until) = cx.look_up_until() {
                return self.wait_or_refuse(cx, until);
            }
            let open = &mut self.open[at];
            let ask = Command::IsOnWhatsApp {
                ticket: open.ticket,
                numbers: vec![open.number.user().to_owned()],
            };
            if link.is_open() && link.tell(ask) {
                open.stage = Stage::Asked(cx.now());
                cx.take_look_up();
            } else if let Some(open) = self.open.remove(at) {
                open.answer(&not_connected());
            }
        }
        None
    }

    /// The next turn is then: refuses those who don't wait for so long; answers when to look again, if others do.
    fn wait_or_refuse(&mut self, cx: &Context, next: Instant) -> Option<Instant> {
        let until = unix_millis(cx.wall() + next.saturating_duration_since(cx.now()));
        let refusal = Answer::Failed {
            code: FailureCode::LookUpLimit,
            message:
                "this number is not known, and none may be looked up now: LOOK_UP_GAP and LOOK_UPS_PER_DAY \
                      say how often that is done"
                    .to_owned(),
            field: None,
            until: Some(until),
        };
        let open = std::mem::take(&mut self.open).into_iter();
        let (late, rest): (VecDeque<_>, _) =
            open.partition(|open| open.stage == Stage::Waits && open.until < next);
        self.open = rest;
        late.into_iter().for_each(|open| open.answer(&refusal));
        let waits = self.open.iter().any(|open| open.stage == Stage::Waits);
        waits.then_some(next)
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        for open in std::mem::take(&mut self.open) {
            open.answer(&not_connected());
        }
    }
}

fn came_to(result: &Result<Vec<Registration>, QueryError>) -> Answered {
    match result {
        Ok(found) if found.iter().any(|one| one.jid.is_some()) => Answered::Found,
        Ok(_) => Answered::Missing,
        Err(_) => Answered::Failed,
    }
}

impl Open {
    fn answer(self, answer: &Answer) {
        for reply in self.replies {
            reply.send(answer.clone());
        }
    }
}

/// Questions of one session without an answer.
const QUESTIONS_MAX: usize = 32;
/// How long a question waits for its turn: shorter than those who ask wait for their answer.
const TURN_WAIT: Duration = Duration::from_secs(10);
