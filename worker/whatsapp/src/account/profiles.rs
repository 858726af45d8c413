//! The owner's questions about people and the own account. Each is answered once; nothing is kept of the answers.
//!
//! Facts: docs/PROTOCOL.md, "Profiles".

use crate::event::{Event, QueryError};
use crate::part::{Answer, Context, PartId, Ticket, Tickets};
use crate::profile::ProfileRequest;

/// The open questions of one connection.
pub(crate) struct Profiles {
    questions: Tickets<(u64, Box<ProfileRequest>)>,
    asked: u32,
}

impl Profiles {
    /// Nothing asked; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            asked: 0,
        }
    }

    /// Asks the server. Answered by `ProfileAnswered`.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>, ticket: u64, request: Box<ProfileRequest>) {
        self.asked = self.asked.wrapping_add(1);
        let node = request.to_node(self.asked);
        cx.ask(node, self.questions.open((ticket, request)));
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        let Some((ticket, request)) = self.questions.close(ticket) else {
            return;
        };
        let result = match answer {
            Ok(reply) => request.read(&reply).map_err(|_| QueryError::Malformed),
            Err(QueryError::Refused { code }) => {
                request.read_refusal(code).ok_or(QueryError::Refused { code })
            }
            Err(error) => Err(error),
        };
        let result = result.map(Box::new);
        cx.emit(Event::ProfileAnswered { ticket, result });
    }

    /// The connection is over: what the owner waits for is answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for (ticket, _) in self.questions.close_all() {
            let result = Err(QueryError::NotConnected);
            cx.emit(Event::ProfileAnswered { ticket, result });
        }
    }
}
