//! What pairs a session: its QR code, and the code to type into the phone.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::job::{Answer, Job, PairingCodeJob};
use shared::proxy::{self, ProxyUrl};
use shared::recipient::{Number, deserialize_phone};
use shared::store::sessions::{Expiring, SessionRecord};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::sessions::find;
use super::{linking, standing};
use crate::app::App;
use crate::extract::{self, JsonBytes, Query, SessionPath};
use crate::jobs;
use crate::problem::{Code, Problem, ProblemBody};
use crate::qr;
use crate::v1::waiting::{self, Worker};

/// How long a request for a QR code waits for one to come.
const QR_PATIENCE: Duration = Duration::from_secs(5);

/// The body of `POST /v1/sessions/{token}/pairing-code`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PairingCodeRequest {
    /// The phone number of the account to pair with.
    #[serde(deserialize_with = "deserialize_phone")]
    pub phone: Number,
    /// The proxy that the session leaves by from now on; the code is asked for by that way. Null for the deployment's.
    #[serde(
        default,
        deserialize_with = "proxy::deserialize_given",
        serialize_with = "proxy::serialize_given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<ProxyUrl>")]
    pub proxy: Option<Option<ProxyUrl>>,
}

/// A pairing code.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairingCode {
    /// Eight characters to type into the phone.
    pub code: String,
}

/// A QR code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrCode {
    /// The text of the code.
    pub code: String,
    /// The picture, as data URL.
    pub base64: String,
    /// When it stops working.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
}

/// How a QR code is to be shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QrQuery {
    /// `png`, `text` or `json`; by default what `Accept` asks for, else `json`.
    format: Option<String>,
}

/// Show the QR code to scan now, as PNG, text or JSON; waits a few seconds for the first one.
#[utoipa::path(get, path = "/v1/sessions/{token}/qr", params(("token" = String, Path), QrQuery), tag = "sessions",
    responses((status = 200, content((QrCode = "application/json"), (Vec<u8> = "image/png"), (String = "text/plain"))),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn qr(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(query): Query<QrQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let format = QrFormat::choose(&query, &headers)?;
    let mut looks = app.looks(QR_PATIENCE);
    loop {
        let session = find(&app, &token).await?;
        let worker = standing::worker(&app, &session).await?;
        if let Some(problem) = linking::nobody_to_link(&session, worker) {
            return Err(problem);
        }
        if let Some(code) = scannable(&session, worker, app.clock.wall()) {
            return format.show(code);
        }
        if let Some(problem) = linking::no_code_ever(&session) {
            return Err(problem);
        }
        if !looks.again().await {
            return Err(match worker {
                Worker::Absent => standing::no_worker(),
                Worker::Running => linking::no_code_yet(&session),
            });
        }
    }
}

/// A code that still works: it has not run out, and somebody is there to be told that it was scanned.
pub fn scannable(session: &SessionRecord, worker: Worker, now: OffsetDateTime) -> Option<Expiring> {
    let code = session.qr.as_ref().filter(|code| code.expires_at > now);
    code.filter(|_| worker == Worker::Running).cloned()
}

/// Ask for a code to type into the phone instead of scanning a QR code.
#[utoipa::path(post, path = "/v1/sessions/{token}/pairing-code", params(("token" = String, Path)),
    request_body = ref("#/components/schemas/PairingCodeRequest"), tag = "sessions", responses((status = 200, body = PairingCode),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn pairing_code(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<Json<PairingCode>, Problem> {
    let PairingCodeRequest { phone, proxy } = extract::fields(&body)?;
    let session = find(&app, &token).await?;
    let worker = standing::worker(&app, &session).await?;
    if let Some(problem) = linking::nobody_to_link(&session, worker) {
        return Err(problem);
    }
    let away = |session: &SessionRecord| linking::away(session, Code::SessionNotConnected);
    if let Some(problem) = away(&session).filter(|_| waiting::is_outdated(&session)) {
        return Err(problem);
    }
    if worker == Worker::Absent {
        return Err(standing::no_worker());
    }
    let question = Job::PairingCode(PairingCodeJob { phone, proxy });
    match app.call(&session.token, &question).await {
        Ok(Answer::PairingCode { code }) => Ok(Json(PairingCode { code })),
        Ok(other) => Err(jobs::unexpected(&other)),
        Err(problem) if problem.code() == Code::AnswerTimeout => {
            Err(away(&find(&app, &token).await?).unwrap_or(problem))
        }
        Err(problem) => Err(problem),
    }
}

#[derive(Debug, Clone, Copy)]
enum QrFormat {
    Png,
    Text,
    Json,
}

impl QrFormat {
    fn choose(query: &QrQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(format) = query.format.as_deref() {
            return match format {
                "png" => Ok(Self::Png),
                "text" => Ok(Self::Text),
                "json" => Ok(Self::Json),
                _ => Err(Problem::field("format", "must be png, text or json")),
            };
        }
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok(if accept.contains("image/png") {
            Self::Png
        } else if accept.contains("text/plain") {
            Self::Text
        } else {
            Self::Json
        })
    }

    fn show(self, code: Expiring) -> Result<Response, Problem> {
        let drawn = |error: qr::QrError| {
            tracing::error!(%error, "a QR code could not be drawn");
            Problem::new(Code::Internal, "the QR code could not be drawn")
        };
        // A code is good for half a minute at most and for one account: nobody in between may keep it.
        let uncached = (header::CACHE_CONTROL, "no-store");
        Ok(match self {
            Self::Png => {
                let png = qr::png(&code.text).map_err(drawn)?;
                ([(header::CONTENT_TYPE, "image/png"), uncached], png).into_response()
            }
            Self::Text => (
                [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), uncached],
                code.text,
            )
                .into_response(),
            Self::Json => {
                let base64 = qr::data_url(&code.text).map_err(drawn)?;
                let body = QrCode {
                    base64,
                    code: code.text,
                    expires_at: code.expires_at,
                };
                ([uncached], Json(body)).into_response()
            }
        })
    }
}
