//! What publishers ask about numbers: of one whether it is on WhatsApp, of some the same, or that they be blocked.
//!
//! One asker, so that no two questions of a session go by the same ticket. Knows nothing of how either kind is asked.

use shared::job::Job;
use tokio::time::Instant;
use whatsapp::event::{Event, QueryError, Registration};

use super::context::Context;
use super::exists::Exists;
use super::link::Link;
use super::several::Several;
use crate::job::pending::{PendingJob, Stage};

/// The questions of one session about numbers.
#[derive(Default)]
pub(super) struct Numbers {
    tickets: u64,
    exists: Exists,
    several: Several,
}

impl Numbers {
    /// Takes a question.
    pub(super) fn ask(&mut self, cx: &mut Context, link: &Link, job: Box<PendingJob>) {
        let ticket = self.tickets;
        self.tickets += 1;
        match &job.stage {
            Stage::Read(Job::IsExists(_)) => self.exists.ask(cx, link, ticket, job),
            _ => self.several.ask(cx, link, ticket, job),
        }
    }

    /// WhatsApp, or what the connection keeps, has answered.
    pub(super) fn on_event(&mut self, cx: &Context, link: &Link, event: Event) {
        match event {
            Event::Recalled { ticket, registration } => self.exists.on_recalled(cx, ticket, registration),
            Event::IsOnWhatsApp { ticket, result } => self.on_found(cx, link, ticket, result),
            Event::BlockListChanged { ticket, result } => self.several.on_changed(link, ticket, result),
            _ => {}
        }
    }

    fn on_found(
        &mut self,
        cx: &Context,
        link: &Link,
        ticket: u64,
        result: Result<Vec<Registration>, QueryError>,
    ) {
        if let Some(result) = self.several.on_found(link, ticket, result) {
            self.exists.on_answer(cx, ticket, result);
        }
    }

    /// Looks up what may be looked up now; answers when to look again.
    pub(super) fn advance(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        self.exists.advance(cx, link)
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.exists.on_disconnected();
        self.several.on_disconnected();
    }
}
