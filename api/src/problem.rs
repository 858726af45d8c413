//! The one error type of the API: a stable code, a status and the fields that are wrong.
//!
//! Owns the map from [`Code`] to HTTP status and the RFC 9457 body. Must not know any route; the older API
//! makes its own body of the same [`Problem`].

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of an RFC 9457 body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: String,
    fields: Vec<FieldProblem>,
    retry_after: Option<Duration>,
}

/// One field of the request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Path of the field, such as `numbers[3]` or `delay.min`.
    pub field: String,
    /// What is wrong with it, for people.
    pub problem: String,
}

/// What went wrong; the text form is stable and meant for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is missing or has a value that can't be used.
    InvalidField,
    /// The body is not JSON of the expected shape at all.
    MalformedBody,
    /// No or wrong credentials.
    Unauthorized,
    /// No such path.
    NotFound,
    /// No session has this token.
    SessionNotFound,
    /// No queue has this id.
    QueueNotFound,
    /// Nothing came in by this chat.
    ChatNotFound,
    /// The account has no label of this id.
    LabelNotFound,
    /// There is no picture, or none that the account may see.
    PictureNotFound,
    /// No schedule of the session has this id.
    ScheduleNotFound,
    /// Another schedule of the session has this id.
    ScheduleTaken,
    /// No message of the session has this id.
    MessageNotFound,
    /// No such call rings.
    CallNotFound,
    /// No webhook has this id.
    WebhookNotFound,
    /// Nothing is sent to this webhook until it is enabled again.
    WebhookDisabled,
    /// No delivery of this webhook has this id.
    DeliveryNotFound,
    /// There is no QR code to show at this moment.
    QrNotReady,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The queue's state does not allow this command.
    IllegalTransition,
    /// The session is connected already, so it has nothing to scan.
    AlreadyConnected,
    /// The session has an account already, so it has nothing to pair.
    AlreadyPaired,
    /// The session is being deleted: nothing can be begun with it, and none of its name be made, until it is gone.
    SessionBeingDeleted,
    /// A worker says that the state of things does not allow what was asked.
    Conflict,
    /// A browser asks on behalf of a page that may not, and no key is set that would tell.
    CrossSite,
    /// This `Idempotency-Key` came with another body before.
    IdempotencyKeyReused,
    /// The first request with this `Idempotency-Key` is still under way.
    IdempotencyKeyInUse,
    /// This id is taken by a job with another body.
    JobIdReused,
    /// This id is that of another message.
    MessageIdUsed,
    /// Of this queue nothing failed in the way that was asked for.
    NothingToRetry,
    /// The body is larger than the door lets in.
    BodyTooLarge,
    /// The body did not come to its end in time.
    BodyTimeout,
    /// More recipients than one job may have.
    TooManyRecipients,
    /// The body is not announced as JSON.
    UnsupportedMediaType,
    /// No uploaded file has this id.
    MediaNotFound,
    /// Files can't be kept: there is no place for them, or it fails.
    NoMediaStore,
    /// There is no room for one more file.
    MediaStoreFull,
    /// As many files come in as may at a time.
    UploadsBusy,
    /// The file is gone, and the phone does not have it any more either.
    MediaGone,
    /// The media host does not give the file at this moment.
    MediaUnavailable,
    /// As many files are on their way as may be.
    DownloadsBusy,
    /// The file has no such part.
    RangeNotSatisfiable,
    /// WhatsApp refused what was asked.
    Refused,
    /// The number is not known, and no other may be looked up at this moment.
    LookUpLimit,
    /// The session is not connected to WhatsApp at this moment.
    SessionNotConnected,
    /// No session worker holds the session.
    NoWorker,
    /// The session was stopped: nobody connects it until it is started.
    SessionStopped,
    /// WhatsApp logged the session out, or a user did: it is to be started to be paired again.
    SessionLoggedOut,
    /// The session has as many questions open as it may have at a time.
    SessionBusy,
    /// The broker is away or takes no messages at this moment.
    BrokerUnavailable,
    /// The database is away at this moment.
    DatabaseUnavailable,
    /// The worker did not answer in time.
    AnswerTimeout,
    /// Our fault; the log has the reason.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 52] = [
        Self::InvalidField,
        Self::MalformedBody,
        Self::Unauthorized,
        Self::NotFound,
        Self::SessionNotFound,
        Self::QueueNotFound,
        Self::ChatNotFound,
        Self::LabelNotFound,
        Self::PictureNotFound,
        Self::ScheduleNotFound,
        Self::ScheduleTaken,
        Self::MessageNotFound,
        Self::CallNotFound,
        Self::WebhookNotFound,
        Self::WebhookDisabled,
        Self::DeliveryNotFound,
        Self::QrNotReady,
        Self::MethodNotAllowed,
        Self::IllegalTransition,
        Self::AlreadyConnected,
        Self::AlreadyPaired,
        Self::SessionBeingDeleted,
        Self::Conflict,
        Self::CrossSite,
        Self::IdempotencyKeyReused,
        Self::IdempotencyKeyInUse,
        Self::JobIdReused,
        Self::MessageIdUsed,
        Self::NothingToRetry,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::TooManyRecipients,
        Self::UnsupportedMediaType,
        Self::MediaNotFound,
        Self::NoMediaStore,
        Self::MediaStoreFull,
        Self::UploadsBusy,
        Self::MediaGone,
        Self::MediaUnavailable,
        Self::DownloadsBusy,
        Self::RangeNotSatisfiable,
        Self::Refused,
        Self::LookUpLimit,
        Self::SessionNotConnected,
        Self::NoWorker,
        Self::SessionStopped,
        Self::SessionLoggedOut,
        Self::SessionBusy,
        Self::BrokerUnavailable,
        Self::DatabaseUnavailable,
        Self::AnswerTimeout,
        Self::Internal,
    ];

    /// The stable name that programs may match on.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it, the same in both dialects.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A short title that is the same for each problem of this code.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidField => ("invalid_field", 400, "A field is not valid"),
            Self::MalformedBody => ("malformed_body", 400, "The body can't be read"),
            Self::Unauthorized => ("unauthorized", 401, "Credentials are missing or wrong"),
            Self::NotFound => ("not_found", 404, "No such path"),
            Self::SessionNotFound => ("session_not_found", 404, "No such session"),
            Self::QueueNotFound => ("queue_not_found", 404, "No such queue"),
            Self::ChatNotFound => ("chat_not_found", 404, "No such chat"),
            Self::LabelNotFound => ("label_not_found", 404, "No such label"),
            Self::PictureNotFound => ("picture_not_found", 404, "No picture"),
            Self::ScheduleNotFound => ("schedule_not_found", 404, "No such schedule"),
            Self::ScheduleTaken => ("schedule_taken", 409, "The id belongs to another schedule"),
            Self::MessageNotFound => ("message_not_found", 404, "No such message"),
            Self::CallNotFound => ("call_not_found", 404, "No such call"),
            Self::WebhookNotFound => ("webhook_not_found", 404, "No such webhook"),
            Self::WebhookDisabled => ("webhook_disabled", 409, "The webhook is disabled"),
            Self::DeliveryNotFound => ("delivery_not_found", 404, "No such delivery"),
            Self::QrNotReady => ("qr_not_ready", 404, "No QR code yet"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::IllegalTransition => ("illegal_transition", 409, "The queue's state does not allow this"),
            Self::AlreadyConnected => ("already_connected", 409, "The session is connected"),
            Self::AlreadyPaired => ("already_paired", 409, "The session is paired"),
            Self::SessionBeingDeleted => ("session_being_deleted", 409, "The session is being deleted"),
            Self::Conflict => ("conflict", 409, "The state does not allow this"),
            Self::CrossSite => ("cross_site", 403, "Not from this page"),
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                409,
                "Idempotency-Key used with another request",
            ),
            Self::IdempotencyKeyInUse => (
                "idempotency_key_in_use",
                409,
                "The first request with this Idempotency-Key is under way",
            ),
            Self::JobIdReused => ("job_id_reused", 409, "The id belongs to another job"),
            Self::MessageIdUsed => ("message_id_used", 409, "The messageId belongs to another message"),
            Self::NothingToRetry => ("nothing_to_retry", 409, "Nothing to try again"),
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Self::BodyTimeout => ("body_timeout", 408, "The body took too long"),
            Self::TooManyRecipients => ("too_many_recipients", 422, "Too many recipients"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "The body must be JSON"),
            Self::MediaNotFound => ("media_not_found", 404, "No such uploaded file"),
            Self::NoMediaStore => ("no_media_store", 503, "Files can't be kept"),
            Self::MediaStoreFull => ("media_store_full", 507, "No room for the file"),
            Self::UploadsBusy => ("uploads_busy", 503, "Too many uploads"),
            Self::MediaGone => ("media_gone", 410, "The file is gone"),
            Self::MediaUnavailable => ("media_unavailable", 502, "The media host gives no file"),
            Self::DownloadsBusy => ("downloads_busy", 503, "Too many downloads"),
            Self::RangeNotSatisfiable => ("range_not_satisfiable", 416, "The file has no such part"),
            Self::Refused => ("refused", 422, "Refused"),
            Self::LookUpLimit => ("look_up_limit", 429, "No number may be looked up now"),
            Self::SessionNotConnected => ("session_not_connected", 503, "The session is not connected"),
            Self::NoWorker => ("no_worker", 503, "No session worker"),
            Self::SessionStopped => ("session_stopped", 409, "The session is stopped"),
            Self::SessionLoggedOut => ("session_logged_out", 409, "The session is logged out"),
            Self::SessionBusy => ("session_busy", 503, "The session is busy"),
            Self::BrokerUnavailable => ("broker_unavailable", 503, "The message broker is not available"),
            Self::DatabaseUnavailable => ("database_unavailable", 503, "The database is not available"),
            Self::AnswerTimeout => ("answer_timeout", 504, "No answer in time"),
            Self::Internal => ("internal", 500, "Internal error"),
        }
    }
}

impl Problem {
    /// A problem of `code`, told in `detail`.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
        }
    }

    /// `field` has a value that can't be used.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, "").with_field(field, problem)
    }

    /// Names a field; the first one also becomes the detail where there is none.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, problem: impl Into<String>) -> Self {
        let entry = FieldProblem {
            field: field.into(),
            problem: problem.into(),
        };
        if self.detail.is_empty() {
            self.detail = format!("{}: {}", entry.field, entry.problem);
        }
        self.fields.push(entry);
        self
    }

    /// Says that there are so many more fields at fault than are named.
    #[must_use]
    pub fn with_more(mut self, unnamed: u32) -> Self {
        let others = u32::try_from(self.fields.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(1)
            + unnamed;
        if others > 0 {
            self.detail = format!("{} (and {others} more)", self.detail);
        }
        self
    }

    /// Tells the client when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What went wrong this time, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields at fault.
    pub fn fields(&self) -> &[FieldProblem] {
        &self.fields
    }

    /// The RFC 9457 body.
    pub fn body(&self) -> ProblemBody<'_> {
        ProblemBody {
            kind: format!("urn:fanfare:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            errors: &self.fields,
        }
    }

    /// An answer with `body`, the status and headers of this problem, and the problem itself as an extension,
    /// from which another dialect may make its own body.
    pub fn respond(&self, media_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.code == Code::Unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"fanfare\""),
            );
        }
        response.extensions_mut().insert(Arc::new(self.clone()));
        response
    }
}

/// The RFC 9457 body of every error under `/v1`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:fanfare:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short title, the same for each problem of this code.
    pub title: &'a str,
    /// The HTTP status, again.
    pub status: u16,
    /// What went wrong this time.
    pub detail: &'a str,
    /// Stable name, for programs.
    pub code: &'a str,
    /// The fields at fault, if any.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [FieldProblem],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // A struct of strings always serialises; an empty body is still a correct status.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        self.respond(PROBLEM_JSON, body)
    }
}
