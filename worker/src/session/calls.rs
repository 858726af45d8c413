//! Calls that publishers want rejected.

use shared::job::{FailureCode, Job};
use whatsapp::command::Command;
use whatsapp::event::QueryError;

use super::adapter::events::query_failure;
use super::context::not_connected;
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, done, failed};

/// The wishes of one session that have no answer yet.
#[derive(Default)]
pub(super) struct Calls {
    asked: Questions,
}

impl Calls {
    /// Takes a wish.
    pub(super) fn reject(&mut self, link: &Link, job: Box<PendingJob>) {
        let Stage::Read(Job::RejectCall(asked)) = &job.stage else {
            return drop(job);
        };
        let id = asked.call_id.as_str().to_owned();
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        self.asked
            .ask(link, reply, (), |ticket| Command::RejectCall { ticket, id });
    }

    /// The caller is told, or there is no such call.
    pub(super) fn on_answer(&mut self, ticket: u64, result: Result<(), QueryError>) {
        let answer = match result {
            Ok(()) => done(None),
            Err(QueryError::Refused { code: 404 }) => failed(FailureCode::UnknownCall, NO_CALL),
            Err(error) => query_failure(&error),
        };
        self.asked.answer(ticket, answer);
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked.on_disconnected();
    }
}

const NO_CALL: &str = "no call of this id rings: it ended, was taken, or began before the session connected";
