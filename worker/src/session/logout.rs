//! The logout of a session that stays: its device is unlinked at WhatsApp, and it can be paired again.

use std::time::Duration;

use shared::broker::Outgoing;
use shared::id::JobId;
use shared::job::{FailureCode, Job, LogoutQueues, QueueCommand};
use shared::store::queues;
use tokio::time::Instant;
use whatsapp::client::Ended;

use super::context::{Context, Fetched};
use super::link::Link;
use crate::job::pending::{PendingJob, Stage};

/// Whether the session is being logged out, and for whom.
#[derive(Default)]
pub(super) struct Logout {
    under_way: Option<UnderWay>,
}

struct UnderWay {
    job: Box<PendingJob>,
    /// When waiting for WhatsApp ends; none once it has answered.
    until: Option<Instant>,
    /// Whether the jobs that delete its queues are being published.
    is_dropping: bool,
    failure: Option<(FailureCode, &'static str)>,
}

impl Logout {
    /// Whether the session is being logged out.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// When waiting for WhatsApp ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.under_way.as_ref()?.until
    }

    /// The session is to be logged out; nothing more of it is sent from here on.
    pub(super) fn begin(&mut self, cx: &mut Context, link: &mut Link, job: Box<PendingJob>) {
        if cx.record.paired_at.is_none() {
            let words = "the session has no account that it could be logged out of";
            return cx.refuse(job, FailureCode::Conflict, words);
        }
        let is_dropping = matches!(&job.stage, Stage::Read(Job::SessionLogout(asked)) if asked.queues == LogoutQueues::Drop);
        link.log_out(cx);
        if is_dropping {
            drop_queues(cx, &job);
        }
        self.under_way = Some(UnderWay {
            job,
            until: Some(cx.now() + LOGOUT_WAIT),
            is_dropping,
            failure: None,
        });
    }

    /// The jobs that delete the session's queues are with the broker, or some are not.
    pub(super) fn on_dropped(&mut self, cx: &mut Context, dropped: Result<(), String>) {
        let Some(logout) = &mut self.under_way else { return };
        logout.is_dropping = false;
        if let Err(error) = dropped {
            tracing::warn!(session.id = %cx.record.id, error, "not all queues of a logged-out session are dropped; delete those that are left");
            let words = "not all queues could be dropped; delete those that are left";
            logout.failure.get_or_insert((FailureCode::Internal, words));
        }
        self.conclude(cx);
    }

    /// The connection came to its end.
    pub(super) fn on_ended(&mut self, cx: &mut Context, link: &mut Link, ended: Option<&Ended>) {
        let Some(logout) = &mut self.under_way else { return };
        link.forget_logout();
        logout.until = None;
        if !matches!(ended, Some(Ended::LoggedOut(_))) {
            let words = "the connection ended before WhatsApp took the logout";
            logout.failure = Some((FailureCode::NotConnected, words));
        }
        self.conclude(cx);
    }

    /// Nobody answers the logout: the session stays as it was.
    pub(super) fn give_up(&mut self, cx: &mut Context, link: &mut Link) {
        let now = cx.now();
        let Some(logout) = self.under_way.as_mut() else {
            return;
        };
        if logout.until.is_none_or(|until| until > now) {
            return;
        }
        logout.until = None;
        logout.failure = Some((
            FailureCode::Timeout,
            "WhatsApp did not take the logout in time; the session is as it was",
        ));
        link.forget_logout();
        if cx.record.wanted {
            link.restart(cx);
        } else {
            link.close();
        }
        self.conclude(cx);
    }

    /// Answers once nothing is waited for.
    fn conclude(&mut self, cx: &mut Context) {
        let is_over = |logout: &mut UnderWay| logout.until.is_none() && !logout.is_dropping;
        let Some(logout) = self.under_way.take_if(is_over) else {
            return;
        };
        match logout.failure {
            Some((code, words)) => cx.refuse(logout.job, code, words),
            None => cx.answer_when_durable(logout.job, None),
        }
    }
}

/// Deletes all unfinished queues of the session, by the command that anybody would delete them with: it reaches the
/// session behind the jobs before it.
fn drop_queues(cx: &mut Context, job: &PendingJob) {
    let (around, record) = (cx.around.clone(), &cx.record);
    let (token, session) = (record.token.clone(), record.id);
    let publisher = job.publisher();
    let mut rng = around.randomness.fork();
    cx.fetch(async move {
        let dropped = async {
            let mut last = None;
            loop {
                let page = queues::unfinished(&around.store, session, last, PAGE).await;
                let page = page.map_err(|error| error.to_string())?;
                for queue_id in &page {
                    let id = JobId::fresh(around.clock.wall(), &mut rng);
                    let delete = Job::Delete(QueueCommand { queue_id: *queue_id });
                    let message = Outgoing::job(around.broker.topology(), &token, &id, &delete);
                    let published = publisher.publish(message).await;
                    published.map_err(|error| error.to_string())?;
                }
                last = page.last().copied();
                if page.len() < PAGE as usize {
                    return Ok(());
                }
            }
        };
        Fetched::Dropped(dropped.await)
    });
}

/// How long a logout waits for WhatsApp.
const LOGOUT_WAIT: Duration = Duration::from_secs(15);
/// Queues that are read at a time.
const PAGE: u32 = 500;
