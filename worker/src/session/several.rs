//! What publishers ask about some numbers at once: which are on WhatsApp, that they be blocked or unblocked.
//!
//! All of them go into one question, and each counts as one look-up of the session. Block lists go by hidden id, which the
//! same question tells; the changes then follow one after the other. Like all questions, these are worth nothing after
//! a restart.

use std::collections::HashMap;

use shared::clock::unix_millis;
use shared::job::{Answer, FailureCode, Job, NumberAnswer, NumberFailure};
use whatsapp::command::{BlockChange, Command, Contact};
use whatsapp::event::{QueryError, Registration};

use super::adapter::events::{number_answer, number_failure, query_failure};
use super::context::{Context, not_connected};
use super::link::Link;
use crate::job::pending::{PendingJob, Stage, failed};
use crate::job::settlement::Reply;

/// The questions of one session about some numbers.
#[derive(Default)]
pub(super) struct Several {
    looking: HashMap<u64, Asked>,
    changing: HashMap<u64, Changing>,
}

/// Numbers that WhatsApp was asked for.
struct Asked {
    reply: Reply,
    /// What follows.
    change: Option<BlockChange>,
}

/// Numbers that are blocked or unblocked, one after the other.
struct Changing {
    reply: Reply,
    change: BlockChange,
    numbers: Vec<(NumberAnswer, Option<Contact>)>,
    /// The one that is being changed.
    at: usize,
}

impl Several {
    /// Asks for the numbers of a job, if the session may.
    pub(super) fn ask(&mut self, cx: &mut Context, link: &Link, ticket: u64, job: Box<PendingJob>) {
        let Some((numbers, change)) = asked(&job) else {
            return drop(job);
        };
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let per_day = cx.around.look_ups.per_day;
        if count > per_day {
            return reply.send(Answer::Failed {
                code: FailureCode::InvalidJob,
                message: format!("names {count} numbers, and LOOK_UPS_PER_DAY is {per_day}: name fewer"),
                field: Some("numbers".to_owned()),
                until: None,
            });
        }
        if let Some(until) = cx.look_ups_until(count) {
            let until = cx.wall() + until.saturating_duration_since(cx.now());
            return reply.send(Answer::Failed {
                code: FailureCode::LookUpLimit,
                message: TOO_SOON.to_owned(),
                field: None,
                until: Some(unix_millis(until)),
            });
        }
        let is_full = self.looking.len() + self.changing.len() >= QUESTIONS_MAX;
        if is_full || !link.tell(Command::IsOnWhatsApp { ticket, numbers }) {
            return reply.send(failed(FailureCode::Busy, "too many questions are open"));
        }
        cx.take_look_ups(count);
        self.looking.insert(ticket, Asked { reply, change });
    }

    /// WhatsApp has answered, or has not; gives the answer back if it is to another question.
    pub(super) fn on_found(
        &mut self,
        link: &Link,
        ticket: u64,
        result: Result<Vec<Registration>, QueryError>,
    ) -> Option<Result<Vec<Registration>, QueryError>> {
        let Some(Asked { reply, change }) = self.looking.remove(&ticket) else {
            return Some(result);
        };
        match (result, change) {
            (Err(error), _) => reply.send(query_failure(&error)),
            (Ok(found), None) => {
                let numbers = found.into_iter().map(number_answer).collect();
                reply.send(Answer::Numbers { numbers });
            }
            (Ok(found), Some(change)) => {
                let changing = Changing {
                    reply,
                    change,
                    numbers: found.into_iter().map(to_change).collect(),
                    at: 0,
                };
                self.go_on(link, ticket, changing);
            }
        }
        None
    }

    /// The block list has changed, or has not.
    pub(super) fn on_changed(&mut self, link: &Link, ticket: u64, result: Result<(), QueryError>) {
        let Some(mut changing) = self.changing.remove(&ticket) else {
            return;
        };
        let is_blocked = changing.change == BlockChange::Block;
        if let Some((answer, _)) = changing.numbers.get_mut(changing.at) {
            match result {
                Ok(()) => answer.blocked = Some(is_blocked),
                Err(error) => answer.error = Some(number_failure(&error)),
            }
        }
        changing.at += 1;
        self.go_on(link, ticket, changing);
    }

    /// Changes the next number that can be; answers when there is none.
    fn go_on(&mut self, link: &Link, ticket: u64, mut changing: Changing) {
        while let Some((answer, contact)) = changing.numbers.get_mut(changing.at) {
            if let Some(contact) = contact.take() {
                let command = Command::ChangeBlockList {
                    ticket,
                    contact: Box::new(contact),
                    change: changing.change,
                };
                if link.tell(command) {
                    self.changing.insert(ticket, changing);
                    return;
                }
                answer.error = Some(NumberFailure::NotConnected);
            }
            changing.at += 1;
        }
        changing.finish();
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        for (_, asked) in self.looking.drain() {
            asked.reply.send(not_connected());
        }
        for (_, mut changing) in self.changing.drain() {
            for (answer, _) in changing.numbers.iter_mut().skip(changing.at) {
                answer.error.get_or_insert(NumberFailure::NotConnected);
            }
            changing.finish();
        }
    }
}

impl Changing {
    fn finish(self) {
        let numbers = self.numbers.into_iter().map(|(answer, _)| answer).collect();
        self.reply.send(Answer::Numbers { numbers });
    }
}

/// The numbers of a job, and what is to become of them.
fn asked(job: &PendingJob) -> Option<(Vec<String>, Option<BlockChange>)> {
    let Stage::Read(request) = &job.stage else {
        return None;
    };
    let (asked, change) = match request {
        Job::LookUp(asked) => (asked, None),
        Job::Block(asked) => (asked, Some(BlockChange::Block)),
        Job::Unblock(asked) => (asked, Some(BlockChange::Unblock)),
        _ => return None,
    };
    let numbers = asked.distinct();
    Some((
        numbers.iter().map(|number| number.user().to_owned()).collect(),
        change,
    ))
}

/// What is so of a number, and whom to change.
fn to_change(found: Registration) -> (NumberAnswer, Option<Contact>) {
    let contact = found.lid.clone().map(|lid| Contact {
        lid,
        phone: found.jid.clone().filter(|jid| jid.is_user()),
    });
    let mut answer = number_answer(found);
    let contact = contact.filter(|_| answer.exists);
    answer.error = match (answer.exists, &contact) {
        (false, _) => Some(NumberFailure::NotOnWhatsapp),
        (true, None) => Some(NumberFailure::NoHiddenId),
        (true, Some(_)) => None,
    };
    (answer, contact)
}

const TOO_SOON: &str = "the session has asked WhatsApp for as many numbers as it may for now; LOOK_UP_GAP and \
     LOOK_UPS_PER_DAY say how many that are";
/// Questions of one session without an answer.
const QUESTIONS_MAX: usize = 8;
