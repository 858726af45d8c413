//! What a send would do: answered from the database beside the loop, whether the session is connected or not.

use shared::job::{Answer, Delay, DryRun, FailureCode};
use shared::store::outlook;

use super::context::{Context, Fetched};
use crate::job::pending::{PendingJob, failed};

/// Answers what a send would do. Nothing of it is kept.
pub(super) fn answer(cx: &mut Context, mut run: DryRun, job: Box<PendingJob>) {
    let reply = job.acknowledge();
    if cx.fetches.len().saturating_sub(cx.transfers) >= READS_MAX {
        return reply.send(failed(FailureCode::Busy, "too many questions are open"));
    }
    if let Err(error) = cx.around.limits.check_start(run.job.start_at, cx.wall()) {
        return reply.send(Answer::Failed {
            code: FailureCode::InvalidJob,
            message: error.problem,
            field: Some(error.field),
            until: None,
        });
    }
    if let Some(raised) = run.job.delay.and_then(|delay| cx.around.limits.raised(delay)) {
        run.job.delay = Some(raised);
    }
    let (store, session, now) = (cx.around.store.clone(), cx.record.clone(), cx.wall());
    let pace = cx.around.pace;
    cx.fetch(async move {
        // A pace is a gap that may be.
        let delay = Delay::new(pace.min().as_secs_f64(), pace.max().as_secs_f64()).unwrap_or_default();
        let outlook = outlook::of(&store, &session, &run, now, delay).await;
        reply.send(match outlook {
            Ok(outlook) => Answer::DryRun(Box::new(run.answer(&outlook))),
            Err(error) => {
                tracing::warn!(session.id = %session.id, %error, "a dry run is not made; who asks for it is told to try again");
                failed(FailureCode::Internal, "the database is not available; try again")
            }
        });
        Fetched::Answered
    });
}

/// Reads of one session beside its loop with which no further dry run is begun.
const READS_MAX: usize = 16;
