//! What publishers ask about people and the own account, and change of the latter.

use shared::job::{FailureCode, Job};
use whatsapp::command::Command;
use whatsapp::event::QueryError;
use whatsapp::profile::ProfileAnswer;

use super::adapter::profiles::{Wanted, answer, failure, wanted};
use super::context::not_connected;
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, done, failed};

/// The questions of one session about people and itself.
#[derive(Default)]
pub(super) struct Profiles {
    asked: Questions,
}

impl Profiles {
    /// Takes a question.
    pub(super) fn ask(&mut self, link: &Link, job: Box<PendingJob>) {
        let Stage::Read(Job::Profile(asked)) = &job.stage else {
            return drop(job);
        };
        let wanted = wanted(asked);
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        match wanted {
            None => reply.send(failed(FailureCode::InvalidJob, "a field is missing")),
            Some(Wanted::Told(command)) => {
                let answer = match link.tell(command) {
                    true => done(None),
                    false => failed(FailureCode::Busy, "the connection is busy"),
                };
                reply.send(answer);
            }
            Some(Wanted::Request(request)) => {
                let command = |ticket| Command::Profile { ticket, request };
                self.asked.ask(link, reply, (), command);
            }
        }
    }

    /// WhatsApp has answered, or has not.
    pub(super) fn on_answer(&mut self, ticket: u64, result: Result<Box<ProfileAnswer>, QueryError>) {
        let answer = match result {
            Ok(found) => answer(*found),
            Err(error) => failure(&error),
        };
        self.asked.answer(ticket, answer);
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked.on_disconnected();
    }
}
