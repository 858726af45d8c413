//! A queue of another account, which the session is to send from its present one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shared::id::Token;
use shared::job::{Job, QueueCommand};
use shared::store::queues::{self, QueueRecord};
use shared::store::sessions::{self, Owner};

use super::commands::{COMMAND_PATIENCE, NOT_TAKEN_YET, follow};
use super::queues::{Queue, Shown, find, no_such_queue, unstored};
use crate::app::App;
use crate::extract;
use crate::problem::{Code, Problem, ProblemBody};

/// Send a queue from the account that the session is paired with now. It belongs to that of the day when it was accepted, and
/// waits (`other-account`) while the session is paired with another. A recipient who was being sent to meanwhile becomes
/// `unknown`: nobody gets a message from both. Adopting a queue of the present account changes nothing.
#[utoipa::path(post, path = "/v1/sessions/{token}/queues/{queue}/adopt",
    params(("token" = String, Path), ("queue" = String, Path)), tag = "queues",
    responses((status = 200, body = Queue), (status = 202, body = Shown, description = NOT_TAKEN_YET),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn adopt(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (token, session, record) = match find(&app, &token, &queue).await {
        Ok(found) => found,
        // It may be on its way to the worker.
        Err(problem) => {
            let asked = unstored(&app, &token, &queue, problem).await?;
            let queue_id = extract::text("queueId", &queue)?;
            return follow(&app, asked, &Job::Adopt(QueueCommand { queue_id })).await;
        }
    };
    let account = account(&app, &token).await?;
    legal(&record)?;
    let command = QueueCommand { queue_id: record.id };
    app.publish(&token, &app.job_id(), &Job::Adopt(command)).await?;
    let mut looks = app.looks(COMMAND_PATIENCE);
    loop {
        let newest = queues::find(&app.store, session, record.id).await?;
        let newest = newest.ok_or_else(|| no_such_queue(&token))?;
        let is_done = newest.account.as_ref().is_none_or(|owner| *owner == account);
        if !is_done {
            legal(&newest)?;
        }
        if is_done || !looks.again().await {
            let status = if is_done {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            return Ok((status, Json(Queue::new(&token, newest))).into_response());
        }
    }
}

/// The account that a session is paired with.
async fn account(app: &App, token: &Token) -> Result<String, Problem> {
    let session = sessions::find(&app.store, token).await?;
    let owner = session.and_then(|session| session.owner);
    let account = owner.as_ref().map(Owner::number).map(str::to_owned);
    account.ok_or_else(|| {
        let text = "a session without an account can't adopt a queue; pair it first";
        Problem::new(Code::IllegalTransition, text)
    })
}

fn legal(record: &QueueRecord) -> Result<(), Problem> {
    if record.state.is_final() {
        let text = format!("a {} queue can't be adopted", record.state.as_str());
        return Err(Problem::new(Code::IllegalTransition, text));
    }
    Ok(())
}
