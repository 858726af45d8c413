//! Jobs that make and delete the session's schedules.
//!
//! A schedule is a row that every worker looks at ([`crate::scheduler`]): nothing of it is kept here. One job at a time, so
//! that they keep their order; those that wait are as many as the broker lets a shard have.

use std::collections::VecDeque;

use shared::id::ScheduleId;
use shared::job::{FailureCode, Job};
use shared::store::StoreError;
use shared::store::schedules::{self, Added, NewSchedule};

use super::context::{Context, Fetched};
use crate::job::outcome::JobOutcome;
use crate::job::pending::{PendingJob, Stage, done};

/// The jobs of one session on its schedules, oldest first; the first is being done.
#[derive(Default)]
pub(super) struct Schedules {
    open: VecDeque<Box<PendingJob>>,
}

impl Schedules {
    /// Takes a job.
    pub(super) fn take(&mut self, cx: &mut Context, job: Box<PendingJob>) {
        self.open.push_back(job);
        if self.open.len() == 1 {
            self.begin(cx);
        }
    }

    fn begin(&mut self, cx: &mut Context) {
        let Some(Stage::Read(asked)) = self.open.front().map(|job| &job.stage) else {
            return;
        };
        let (asked, store, session) = (asked.clone(), cx.around.store.clone(), cx.record.id);
        let now = cx.around.clock.wall();
        let id = ScheduleId::fresh(now, &mut cx.rng);
        cx.fetch(async move {
            Fetched::Scheduled(match &asked {
                Job::Schedule(job) => {
                    let seed = None;
                    schedules::add(&store, session, NewSchedule { id, job, seed, now })
                        .await
                        .map(Some)
                }
                Job::Unschedule(job) => schedules::delete(&store, session, &job.id).await.map(|_| None),
                _ => Ok(None),
            })
        });
    }

    /// What became of the first. One that was to be deleted and is not there is as good as deleted.
    pub(super) fn on_done(&mut self, cx: &mut Context, outcome: Result<Option<Added>, StoreError>) {
        let Some(job) = self.open.pop_front() else {
            return;
        };
        let refusal = match outcome {
            Ok(None | Some(Added::New(_) | Added::Same(_))) => None,
            Ok(Some(Added::Taken)) => Some((
                FailureCode::Conflict,
                "the session has another schedule of this id",
            )),
            Ok(Some(Added::TooMany)) => Some((
                FailureCode::Conflict,
                "the session has as many schedules as it may",
            )),
            Ok(Some(Added::Past)) => Some((FailureCode::InvalidJob, "at must not be in the past")),
            Ok(Some(Added::NoSession)) => Some((FailureCode::UnknownSession, "no session has this token")),
            Err(error) => {
                tracing::warn!(session.id = %cx.record.id, %error, "a schedule waits for the database; its job comes again");
                // Unsettled, the job comes again.
                drop(job);
                return self.begin(cx);
            }
        };
        match refusal {
            Some((code, words)) => cx.refuse(job, code, words),
            None => {
                job.count(JobOutcome::Done);
                job.finish(done(None));
            }
        }
        self.begin(cx);
    }
}
