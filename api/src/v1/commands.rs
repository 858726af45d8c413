//! Commands on queues: pause, resume, delete, another pace.
//!
//! A command travels to the session's worker as a job. The state is checked here first, so that an unknown queue is
//! a 404 and an illegal transition a 409; then the answer waits a few seconds for the state to change. 200 says
//! that it has, 202 that the command is stored and the worker has not taken it yet.
//!
//! The row is looked at, by its key, rather than the worker's answer awaited: the row must be read in any case, for the
//! answer's body and to tell 200 from 202; an answer would be a second message per job, is lost with a connection, and
//! would have jobs leave by another channel than the one that keeps those of a token in their order. Single messages
//! wait for neither.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shared::id::{QueueId, SessionId, Token};
use shared::job::{self, Delay, Job, PaceJob, QueueCommand, QueuePatch};
use shared::store::queues::{self, QueueRecord, QueueState};

use super::asked::SendRequest;
use super::queues::{Queue, Shown, find, no_such_queue, unstored};
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::problem::{Code, Problem, ProblemBody};

/// How long a command is waited for.
pub(super) const COMMAND_PATIENCE: Duration = Duration::from_secs(3);

/// What 202 says of a command.
pub(super) const NOT_TAKEN_YET: &str = "The broker has the command; its worker has not carried it out within three seconds, \
     and does so when it can. The answer shows what was before.";

/// Pause a queue. Pausing a paused one changes nothing; a completed or deleted one can't be paused.
#[utoipa::path(post, path = "/v1/sessions/{token}/queues/{queue}/pause",
    params(("token" = String, Path), ("queue" = String, Path)), tag = "queues",
    responses((status = 200, body = Queue), (status = 202, body = Shown, description = NOT_TAKEN_YET),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn pause(state: State<Arc<App>>, path: Path<(String, String)>) -> Result<Response, Problem> {
    command(state, path, Command::Pause).await
}

/// Resume a paused queue. Resuming one that is not paused changes nothing, unless it is completed or deleted.
#[utoipa::path(post, path = "/v1/sessions/{token}/queues/{queue}/resume",
    params(("token" = String, Path), ("queue" = String, Path)), tag = "queues",
    responses((status = 200, body = Queue), (status = 202, body = Shown, description = NOT_TAKEN_YET),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn resume(state: State<Arc<App>>, path: Path<(String, String)>) -> Result<Response, Problem> {
    command(state, path, Command::Resume).await
}

/// Delete a queue: what was not sent never is. Deleting it again changes nothing; a completed one can't be deleted.
#[utoipa::path(delete, path = "/v1/sessions/{token}/queues/{queue}",
    params(("token" = String, Path), ("queue" = String, Path)), tag = "queues",
    responses((status = 200, body = Queue), (status = 202, body = Shown, description = NOT_TAKEN_YET),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn delete(state: State<Arc<App>>, path: Path<(String, String)>) -> Result<Response, Problem> {
    command(state, path, Command::Delete).await
}

/// Change the pace of a queue that has not ended. The gap that runs stays; the next one is drawn from this.
#[utoipa::path(patch, path = "/v1/sessions/{token}/queues/{queue}",
    params(("token" = String, Path), ("queue" = String, Path)),
    request_body = ref("#/components/schemas/QueuePatch"), tag = "queues",
    responses((status = 200, body = Queue), (status = 202, body = Shown, description = NOT_TAKEN_YET),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn change(
    State(app): State<Arc<App>>,
    path: Path<(String, String)>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let delay = job::from_fields::<QueuePatch>(extract::object(&body)?)?.delay()?;
    app.limits.check_delay(Some(delay))?;
    command(State(app), path, Command::Pace(delay)).await
}

/// What can be asked of a queue.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Command {
    Pause,
    Resume,
    Delete,
    Pace(Delay),
}

impl Command {
    /// Whether a queue is where this command leads.
    fn is_done(self, queue: &QueueRecord) -> bool {
        match self {
            Self::Pause => queue.state == QueueState::Paused,
            Self::Resume => matches!(queue.state, QueueState::Queued | QueueState::Running),
            Self::Delete => queue.state == QueueState::Deleted,
            // The database keeps milliseconds.
            Self::Pace(delay) => queue.delay.is_some_and(|kept| millis(kept) == millis(delay)),
        }
    }

    /// Whether a queue in `state` takes this command, be it without effect.
    fn is_legal(self, state: QueueState) -> bool {
        !state.is_final() || (self == Self::Delete && state == QueueState::Deleted)
    }

    fn job(self, queue_id: QueueId) -> Job {
        let command = QueueCommand { queue_id };
        match self {
            Self::Pace(delay) => Job::Pace(PaceJob { queue_id, delay }),
            Self::Pause => Job::Pause(command),
            Self::Resume => Job::Resume(command),
            Self::Delete => Job::Delete(command),
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Delete => "deleted",
            Self::Pace(_) => "changed",
        }
    }
}

async fn command(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
    command: Command,
) -> Result<Response, Problem> {
    match find(&app, &token, &queue).await {
        Ok(found) => obey(&app, found, command).await,
        // It may be on its way to the worker.
        Err(problem) => {
            let asked = unstored(&app, &token, &queue, problem).await?;
            let queue = extract::text("queueId", &queue)?;
            follow(&app, asked, &command.job(queue)).await
        }
    }
}

/// Publishes a command on a queue that is on its way to the worker: it goes the same way, behind it.
///
/// # Errors
/// 404 where the queue was rejected, 503 when the broker is away.
pub(super) async fn follow(app: &App, asked: SendRequest, command: &Job) -> Result<Response, Problem> {
    if asked.rejection.is_some() {
        return Err(no_such_queue(&asked.token));
    }
    app.publish(&asked.token, &app.job_id(), command).await?;
    Ok((StatusCode::ACCEPTED, Json(Shown::Request(asked))).into_response())
}

/// Publishes a command and waits a moment for its effect.
async fn obey(
    app: &App,
    (token, session, record): (Token, SessionId, QueueRecord),
    command: Command,
) -> Result<Response, Problem> {
    legal(command, record.state)?;
    // A queue that is where the command leads is told again: another command may be on its way to the worker.
    app.publish(&token, &app.job_id(), &command.job(record.id))
        .await?;
    let mut looks = app.looks(COMMAND_PATIENCE);
    loop {
        let newest = queues::find(&app.store, session, record.id)
            .await?
            .ok_or_else(|| no_such_queue(&token))?;
        // It may have been completed before the worker saw the command.
        legal(command, newest.state)?;
        let done = command.is_done(&newest);
        if done || !looks.again().await {
            let status = if done {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            return Ok((status, Json(Queue::new(&token, newest))).into_response());
        }
    }
}

fn legal(command: Command, state: QueueState) -> Result<(), Problem> {
    if command.is_legal(state) {
        return Ok(());
    }
    let text = format!("a {} queue can't be {}", state.as_str(), command.participle());
    Err(Problem::new(Code::IllegalTransition, text))
}

fn millis(delay: Delay) -> (u128, u128) {
    (delay.min().as_millis(), delay.max().as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_queues_take_only_the_command_that_made_them_so() {
        use QueueState::{Completed, Deleted, Paused, Queued, Running};
        let pace = Command::Pace(Delay::new(1.0, 2.0).unwrap());
        for command in [Command::Pause, Command::Resume, Command::Delete, pace] {
            for state in [Queued, Running, Paused] {
                assert!(command.is_legal(state));
            }
            assert!(!command.is_legal(Completed));
            assert_eq!(command.is_legal(Deleted), command == Command::Delete);
        }
    }
}
