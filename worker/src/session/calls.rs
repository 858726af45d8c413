//! Calls that publishers want rejected.
//!
//! A question is worth nothing after a restart: its delivery is settled at once, and only the way back to its publisher is
//! kept.

use std::collections::HashMap;

use shared::job::{FailureCode, Job};
use whatsapp::command::Command;
use whatsapp::event::QueryError;

use super::adapter::events::query_failure;
use super::context::not_connected;
use super::link::Link;
use crate::job::pending::{PendingJob, Stage, done, failed};
use crate::job::settlement::Reply;

/// The wishes of one session that have no answer yet.
#[derive(Default)]
pub(super) struct Calls {
    tickets: u64,
    asked: HashMap<u64, Reply>,
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
        let ticket = self.tickets;
        if self.asked.len() >= QUESTIONS_MAX || !link.tell(Command::RejectCall { ticket, id }) {
            return reply.send(failed(FailureCode::Busy, "the connection is busy"));
        }
        self.tickets += 1;
        self.asked.insert(ticket, reply);
    }

    /// The caller is told, or there is no such call.
    pub(super) fn on_answer(&mut self, ticket: u64, result: Result<(), QueryError>) {
        let Some(reply) = self.asked.remove(&ticket) else {
            return;
        };
        reply.send(match result {
            Ok(()) => done(None),
            Err(QueryError::Refused { code: 404 }) => failed(FailureCode::UnknownCall, NO_CALL),
            Err(error) => query_failure(&error),
        });
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        for (_, reply) in self.asked.drain() {
            reply.send(not_connected());
        }
    }
}

/// Wishes of one session without an answer.
const QUESTIONS_MAX: usize = 32;
const NO_CALL: &str = "no call of this id rings: it ended, was taken, or began before the session connected";
