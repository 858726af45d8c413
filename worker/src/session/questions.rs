//! What one part has asked of the connection for publishers and is not answered yet, each question under a ticket.
//!
//! Owns the limit of open questions and the way back to each publisher, who is answered once. A question is worth nothing
//! after a restart: its delivery was settled when it came. Knows neither what is asked nor what an answer means.

use std::collections::HashMap;

use shared::job::{Answer, FailureCode};
use whatsapp::command::Command;

use super::context::not_connected;
use super::link::Link;
use crate::job::pending::failed;
use crate::job::settlement::Reply;

/// Most open questions of one part of a session.
const QUESTIONS_MAX: usize = 32;

/// The open questions of one part, with what it has to know of each.
pub(super) struct Questions<T = ()> {
    tickets: u64,
    open: HashMap<u64, (Reply, T)>,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self {
            tickets: 0,
            open: HashMap::new(),
        }
    }
}

impl<T> Questions<T> {
    /// Takes a question that the connection is asked later; its ticket. Answers it at once if too many are open.
    pub(super) fn open(&mut self, reply: Reply, about: T) -> Option<u64> {
        if self.open.len() >= QUESTIONS_MAX {
            reply.send(busy());
            return None;
        }
        let ticket = self.tickets;
        self.tickets += 1;
        self.open.insert(ticket, (reply, about));
        Some(ticket)
    }

    /// Takes a question and asks the connection, by the command of its ticket. Answers it at once if too many are open, or
    /// the connection takes no more.
    pub(super) fn ask(&mut self, link: &Link, reply: Reply, about: T, command: impl FnOnce(u64) -> Command) {
        if let Some(ticket) = self.open(reply, about)
            && !link.tell(command(ticket))
        {
            self.answer(ticket, busy());
        }
    }

    /// What is to be known of an open question.
    pub(super) fn about(&mut self, ticket: u64) -> Option<&mut T> {
        self.open.get_mut(&ticket).map(|(_, about)| about)
    }

    /// Closes a question: whoever has it answers.
    pub(super) fn close(&mut self, ticket: u64) -> Option<(Reply, T)> {
        self.open.remove(&ticket)
    }

    /// Closes a question with its answer; nothing, if it is closed already.
    pub(super) fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some((reply, _)) = self.close(ticket) {
            reply.send(answer);
        }
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        for (_, (reply, _)) in self.open.drain() {
            reply.send(not_connected());
        }
    }
}

fn busy() -> Answer {
    failed(FailureCode::Busy, "too many questions are open")
}
