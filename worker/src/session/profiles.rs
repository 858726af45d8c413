//! What publishers ask about people and the own account, and change of the latter.
//!
//! A question is worth nothing after a restart: its delivery is settled at once, and only the way back to its publisher is
//! kept.

use std::collections::HashMap;

use shared::job::{FailureCode, Job};
use whatsapp::command::Command;
use whatsapp::event::QueryError;
use whatsapp::profile::ProfileAnswer;

use super::adapter::profiles::{Wanted, answer, failure, wanted};
use super::context::not_connected;
use super::link::Link;
use crate::job::pending::{PendingJob, Stage, done, failed};
use crate::job::settlement::Reply;

/// The questions of one session about people and itself.
#[derive(Default)]
pub(super) struct Profiles {
    tickets: u64,
    asked: HashMap<u64, Reply>,
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
        let ticket = self.tickets;
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
                if self.asked.len() >= QUESTIONS_MAX || !link.tell(Command::Profile { ticket, request }) {
                    let busy = failed(FailureCode::Busy, "too many questions are open");
                    return reply.send(busy);
                }
                self.tickets += 1;
                self.asked.insert(ticket, reply);
            }
        }
    }

    /// WhatsApp has answered, or has not.
    pub(super) fn on_answer(&mut self, ticket: u64, result: Result<Box<ProfileAnswer>, QueryError>) {
        if let Some(reply) = self.asked.remove(&ticket) {
            reply.send(match result {
                Ok(found) => answer(*found),
                Err(error) => failure(&error),
            });
        }
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        for (_, reply) in self.asked.drain() {
            reply.send(not_connected());
        }
    }
}

/// Questions of one session without an answer.
const QUESTIONS_MAX: usize = 32;
