//! Calls: what is told of them, and those that are to be rejected, because a publisher says so or the session is set to it.

use std::collections::VecDeque;

use shared::event::Event;
use shared::job::{self, FailureCode, Job};
use whatsapp::command::Command;
use whatsapp::event::{CallNews, CallStage, QueryError};

use super::adapter::contacts;
use super::adapter::events::query_failure;
use super::context::{Context, not_connected};
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, done, failed};

/// Most calls that the session rejects by itself at a time: as many as the connection remembers.
const REJECTED_MAX: usize = 64;
/// The tickets of rejections that nobody asked for begin here; those of questions never come so far.
const OWN_TICKETS: u64 = 1 << 63;

/// The calls of one session.
#[derive(Default)]
pub(super) struct Calls {
    asked: Questions,
    /// Those that the session rejects by itself and that are not answered yet, by their tickets.
    rejected: VecDeque<(u64, String)>,
    tickets: u64,
}

impl Calls {
    /// Takes a wish to reject a call.
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

    /// Somebody calls, or a call has come further.
    pub(super) fn on_news(&mut self, cx: &mut Context, link: &Link, news: CallNews) {
        // One that waited while the session was away rings no more.
        let rings = news.stage == CallStage::Offer && !news.offline;
        let is_unwanted = rings && cx.record.calls == job::Calls::Reject;
        let is_ours = news.stage == CallStage::Reject && self.rejected.iter().any(|(_, id)| *id == news.id);
        let id = is_unwanted.then(|| news.id.clone());
        let mut told = contacts::call(news);
        told.automatic = is_ours;
        cx.recorder.event(Event::Call(told));
        if let Some(id) = id {
            self.reject_unasked(link, id);
        }
    }

    fn reject_unasked(&mut self, link: &Link, id: String) {
        let ticket = OWN_TICKETS + self.tickets;
        let command = Command::RejectCall {
            ticket,
            id: id.clone(),
        };
        if !link.tell(command) {
            return tracing::warn!("a call rings, since the connection takes no more");
        }
        self.tickets += 1;
        if self.rejected.len() >= REJECTED_MAX {
            self.rejected.pop_front();
        }
        self.rejected.push_back((ticket, id));
    }

    /// The caller is told, or there is no such call.
    pub(super) fn on_answer(&mut self, ticket: u64, result: Result<(), QueryError>) {
        if ticket >= OWN_TICKETS {
            // One that is not there any more was taken, or ended.
            return self.rejected.retain(|(own, _)| *own != ticket);
        }
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
        self.rejected.clear();
    }
}

const NO_CALL: &str = "no call of this id rings: it ended, was taken, or began before the session connected";
