//! Linking an account that must prove itself with a passkey: what its browser signed, and that the codes are the same.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use shared::event;
use shared::id::Token;
use shared::job::{Answer, Job, PasskeyAnswerJob};
use shared::store::sessions::{self, SessionState};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::{JsonBytes, SessionPath};
use crate::jobs;
use crate::problem::{Code, Problem, ProblemBody};
use crate::tokens::{being_deleted, unknown};

/// How far linking with a passkey is.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Passkey {
    /// `requested` (a browser is to sign `options`), `answered` (the phone is to go on), `code` (compare, then confirm or
    /// cancel), `confirmed` (the phone is to link) or `failed` (the next QR code begins anew).
    pub stage: &'static str,
    /// What the browser is to sign: the `publicKey` of `navigator.credentials.get`, in its JSON form.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
    /// The code that the phone shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether somebody must compare it with the phone's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison_needed: Option<bool>,
    /// Until when the answer, or the confirmation, counts.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<OffsetDateTime>,
    /// Why it came to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<event::Passkey> for Passkey {
    fn from(passkey: event::Passkey) -> Self {
        match passkey {
            event::Passkey::Requested { options, expires_at } => Self {
                stage: "requested",
                options: Some(options),
                expires_at: Some(expires_at),
                ..Self::default()
            },
            event::Passkey::Answered => Self {
                stage: "answered",
                ..Self::default()
            },
            event::Passkey::Code {
                code,
                comparison_needed,
                expires_at,
            } => Self {
                stage: "code",
                code: Some(code),
                comparison_needed: Some(comparison_needed),
                expires_at: Some(expires_at),
                ..Self::default()
            },
            event::Passkey::Confirmed => Self {
                stage: "confirmed",
                ..Self::default()
            },
            event::Passkey::Failed { reason } => Self {
                stage: "failed",
                reason: Some(reason),
                ..Self::default()
            },
        }
    }
}

/// Hand over what the account's passkey signed, as `JSON.stringify(await navigator.credentials.get(…))` gives it in a tab
/// at https://web.whatsapp.com (docs/PASSKEY.md). Answers when WhatsApp has taken it. What is no answer to the options
/// that were asked last is refused with 400, which names the field, and another may follow.
#[allow(rustdoc::bare_urls, reason = "the words are those of the OpenAPI document")]
#[utoipa::path(post, path = "/v1/sessions/{token}/passkey", params(("token" = String, Path)), tag = "passkey",
    request_body = ref("#/components/schemas/PasskeyAnswerJob"), responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn answer(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<StatusCode, Problem> {
    let job = PasskeyAnswerJob::parse(&body)?;
    ask(&app, &token, Job::PasskeyAnswer(Box::new(job))).await
}

/// Say that the phone shows the code of the stage `code`. Answers when WhatsApp has taken what the phone needs to link.
#[utoipa::path(post, path = "/v1/sessions/{token}/passkey/confirm", params(("token" = String, Path)), tag = "passkey",
    responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn confirm(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<StatusCode, Problem> {
    ask(&app, &token, Job::PasskeyConfirm).await
}

/// Give up, as when the phone shows another code: the session shows QR codes again.
#[utoipa::path(post, path = "/v1/sessions/{token}/passkey/cancel", params(("token" = String, Path)), tag = "passkey",
    responses((status = 204),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<StatusCode, Problem> {
    ask(&app, &token, Job::PasskeyCancel).await
}

async fn ask(app: &App, token: &Token, job: Job) -> Result<StatusCode, Problem> {
    let session = sessions::find(&app.store, token)
        .await?
        .ok_or_else(|| unknown(token))?;
    if session.state == SessionState::Open {
        return Err(Problem::new(
            Code::AlreadyConnected,
            "the session is connected; there is nothing to prove",
        ));
    }
    if session.deleting_at.is_some() {
        return Err(being_deleted(token));
    }
    match app.call(&session.token, &job).await? {
        Answer::Done { .. } => Ok(StatusCode::NO_CONTENT),
        other => Err(jobs::unexpected(&other)),
    }
}
