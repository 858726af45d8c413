//! The end of a session: logged out, told of, erased.

use std::time::Duration;

use shared::event::{ConnectionState, Event};
use shared::store::sessions::{self, SessionState};
use tokio::time::Instant;

use super::context::{Context, Exit, Fetched};
use super::link::Link;
use super::recorder::After;
use crate::job::outcome::JobOutcome;
use crate::job::pending::{PendingJob, done};

/// Whether the session is to be deleted, and who asked for it.
#[derive(Default)]
pub(super) struct Deletion {
    jobs: Vec<PendingJob>,
    /// When waiting for the logout ends.
    until: Option<Instant>,
    is_erasing: bool,
}

impl Deletion {
    /// Whether the session is to be deleted.
    pub(super) fn is_under_way(&self) -> bool {
        self.until.is_some()
    }

    /// When waiting for a logout ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until.filter(|_| !self.is_erasing)
    }

    /// The session is to go.
    pub(super) fn begin(&mut self, cx: &mut Context, link: &mut Link, job: Box<PendingJob>) {
        if self.is_under_way() {
            // It waits for the same end.
            if self.jobs.len() < DELETES_MAX {
                return self.jobs.push(*job);
            }
            return cx.refuse_deleting(job);
        }
        self.jobs.push(*job);
        self.until = Some(cx.now() + LOGOUT_WAIT);
        cx.recorder.write.session_row().deleting = true;
        if !link.log_out(cx) {
            self.erase(cx);
        }
    }

    /// Nobody answers the logout: the session goes all the same.
    pub(super) fn give_up_logout(&mut self, cx: &mut Context, link: &mut Link) {
        if self.deadline().is_some_and(|until| until <= cx.now()) {
            link.cut();
            self.erase(cx);
        }
    }

    /// The connection has ended: erases the session once all there is to say of it is durable.
    pub(super) fn erase(&mut self, cx: &mut Context) {
        self.is_erasing = true;
        if cx.record.state != SessionState::LoggedOut {
            let (token, id) = (cx.record.token.clone(), cx.record.id);
            let closed = Event::connection(token, id, ConnectionState::Close, 401);
            cx.recorder.event(closed);
        }
        if cx.recorder.after_all(After::Erase).is_some() {
            delete_rows(cx);
        }
    }

    /// The session's rows are gone.
    pub(super) fn on_erased(&mut self, cx: &mut Context) {
        for job in std::mem::take(&mut self.jobs) {
            job.count(JobOutcome::Done);
            job.finish(done(None));
        }
        cx.end(Exit::Deleted);
    }
}

/// All there is to say of the session is said: its rows go.
pub(super) fn delete_rows(cx: &mut Context) {
    let (store, fence, session) = (cx.around.store.clone(), cx.lease.fence(), cx.record.id);
    cx.fetch(async move { Fetched::Erased(sessions::delete(&store, fence, session).await) });
}

/// Requests to delete a session that wait for the same end.
const DELETES_MAX: usize = 8;
/// How long deleting a session waits for WhatsApp to take the logout.
const LOGOUT_WAIT: Duration = Duration::from_secs(15);
