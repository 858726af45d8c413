//! Single messages. The way of a message costs one confirmed publish and no query, unless it brings an id of its caller's
//! (`Idempotency-Key`, `messageId`, `queueId`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::content::SentForm;
use shared::id::{JobId, QueueId, StanzaId, Token};
use shared::job::{self, SendJob};
use shared::recipient::Number;
use utoipa::ToSchema;

use super::forms::{self, Asked};
use crate::app::App;
use crate::extract::{self, SessionPath};
use crate::idempotency::{self, Key};
use crate::problem::{Code, Problem, ProblemBody};

/// What 202 says of a send.
pub const TAKEN: &str = "The broker has it on its disks, and it is found under its ids from now on. Its worker stores it \
     next, and then it is sent; or rejects it, which its ids say, and the event `job.rejected`.";

/// A message that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AcceptedMessage)]
pub struct Accepted {
    /// Its id at WhatsApp, as in events.
    #[schema(value_type = String)]
    pub message_id: StanzaId,
    /// The queue of this one message, as in events.
    #[schema(value_type = String, format = Uuid)]
    pub queue_id: QueueId,
    /// The session that sends it.
    #[schema(value_type = String)]
    pub token: Token,
    /// Whom it will be sent to, as the number was read.
    #[schema(value_type = String)]
    pub number: Number,
    /// Always `PENDING`: the broker has it. What becomes of it is found under its ids.
    pub status: &'static str,
    /// In which form buttons or a list go out: `nativeFlow`, `legacy` or `text`; absent for what has one form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub form: Option<SentForm>,
}

/// The body of a `send` job, and the session it is for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SendAnywhereBody")]
pub struct Addressed<J> {
    /// The session that sends.
    pub token: Token,
    /// The rest.
    #[serde(flatten)]
    pub job: J,
}

/// Send one message. The body is that of a `send` job with one number; or a form (`multipart/form-data`) of that as the part `body`
/// and the message's file as the part `file`.
#[utoipa::path(post, path = "/v1/sessions/{token}/messages",
    params(("token" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/SendBody"), tag = "messages", responses((status = 202, body = Accepted, description = TAKEN),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Key(key): Key,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::read(&app, request).await?;
    accept(&app, token, key, asked).await
}

/// Send one message. The body is that of a `send` job with one number, and `token` besides; or a form (`multipart/form-data`) of that as
/// the part `body` and the message's file as the part `file`.
#[utoipa::path(post, path = "/v1/messages", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/SendAnywhereBody"), tag = "messages", responses((status = 202, body = Accepted, description = TAKEN),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create_anywhere(
    State(app): State<Arc<App>>,
    Key(key): Key,
    request: Request,
) -> Result<Response, Problem> {
    let mut asked = Asked::read(&app, request).await?;
    match addressed(&asked.body) {
        Ok(Addressed { token, job }) => {
            asked.body = Value::Object(job).to_string().into();
            accept(&app, token, key, asked).await
        }
        Err(problem) => {
            forms::forget(&app, asked.file()).await;
            Err(problem)
        }
    }
}

fn addressed(body: &[u8]) -> Result<Addressed<Map<String, Value>>, Problem> {
    Ok(job::from_fields(extract::object(body)?)?)
}

/// Accepts a message; the file that came with it goes again where it is not sent.
async fn accept(app: &Arc<App>, token: Token, key: Option<JobId>, asked: Asked) -> Result<Response, Problem> {
    let is_begun = Arc::new(AtomicBool::new(false));
    let done = begin(app, (token, key), &asked, Arc::clone(&is_begun)).await;
    if !is_begun.load(Ordering::Acquire) {
        forms::forget(app, asked.file()).await;
    }
    done
}

async fn begin(
    app: &Arc<App>,
    (token, key): (Token, Option<JobId>),
    asked: &Asked,
    is_begun: Arc<AtomicBool>,
) -> Result<Response, Problem> {
    let job = SendJob::parse(&asked.body)?;
    let [recipient] = job.numbers.as_slice() else {
        let many = "must name one recipient here; POST …/queues takes many";
        return Err(Problem::field("numbers", many));
    };
    let (number, meaning) = (recipient.number.clone(), asked.meaning(key.as_ref(), &job));
    let to = app.tokens.session(&app.store, token).await?;
    let scope = format!("messages {}", to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            is_begun.store(true, Ordering::Release);
            let form = job.message.form();
            let sent = app.send(&to, key, job).await?;
            let accepted = Accepted {
                message_id: sent.message.ok_or_else(no_id)?,
                queue_id: sent.queue,
                token: to.token,
                number,
                status: "PENDING",
                form,
            };
            Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
        })
    };
    idempotency::once(app, scope, key, meaning, work).await
}

/// A single message always has an id.
fn no_id() -> Problem {
    Problem::new(Code::Internal, "the message was given no id")
}
