//! Schedules: sends at set times.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use shared::id::{QueueId, ScheduleId, ScheduleName, Token};
use shared::job::{Misfire, ScheduleJob, SendBody, SendJob, Timing};
use shared::store::schedules::{self, Added, NewSchedule, SCHEDULES_MAX, ScheduleRecord};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::{self, JsonBytes, SessionPath};
use crate::paging::Page;
use crate::problem::{Code, Problem, ProblemBody};
use crate::schema;
use crate::tokens::{Addressee, unknown};

/// Firings to come that are shown.
const UPCOMING: usize = 5;

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// What its caller calls it by.
    #[schema(value_type = String)]
    pub id: ScheduleName,
    /// The session that sends.
    #[schema(value_type = String)]
    pub token: Token,
    /// Five fields; null where it fires once.
    pub cron: Option<String>,
    /// The IANA time zone that `cron` is read in.
    pub timezone: Option<String>,
    /// When it fires, if once.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<OffsetDateTime>,
    /// `skip`, `once` or `all`.
    #[schema(schema_with = schema::reference::<Misfire>)]
    pub misfire: Misfire,
    /// What each firing sends.
    #[schema(schema_with = schema::reference::<SendBody>)]
    pub send: SendJob,
    /// Its next five firings; none where it fires no more.
    #[schema(value_type = Vec<String>)]
    pub next: Vec<Moment>,
    /// The time that it last fired for.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fired_at: Option<OffsetDateTime>,
    /// The queue which that made.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub queue_id: Option<QueueId>,
    /// How often it has fired.
    pub fired: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
}

/// A time.
#[derive(Debug, Serialize)]
pub struct Moment(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

impl From<ScheduleRecord> for Schedule {
    fn from(record: ScheduleRecord) -> Self {
        let next = record.next_at.into_iter().flat_map(|first| {
            let timing = &record.job.timing;
            std::iter::successors(Some(first), |last| timing.next(*last)).take(UPCOMING)
        });
        let next = next.map(Moment).collect();
        let (cron, timezone, at) = match &record.job.timing {
            Timing::Cron(cron) => (Some(cron.text().to_owned()), Some(cron.zone().to_owned()), None),
            Timing::At(at) => (None, None, Some(*at)),
        };
        Self {
            id: record.job.id,
            token: record.token,
            cron,
            timezone,
            at,
            misfire: record.job.misfire,
            send: record.job.send,
            next,
            fired_at: record.fired_at,
            queue_id: record.queue,
            fired: record.fired,
            created_at: record.created_at,
        }
    }
}

/// Make a schedule: `send` goes out at the times of `cron`, or once, at `at`. The same again is the same schedule.
#[utoipa::path(post, path = "/v1/sessions/{token}/schedules", params(("token" = String, Path)),
    request_body = ref("#/components/schemas/ScheduleBody"), tag = "schedules",
    responses((status = 201, body = Schedule), (status = 200, body = Schedule, description = "It is there already."),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<Schedule>), Problem> {
    let job = ScheduleJob::parse(&body)?;
    let to = app.tokens.session(&app.store, token).await?;
    match add(&app, &to, &job, None).await? {
        Made::New(record) => Ok((StatusCode::CREATED, Json((*record).into()))),
        Made::Same(record) => Ok((StatusCode::OK, Json((*record).into()))),
        Made::Taken => {
            let text = "the session has another schedule of this id; delete that first";
            Err(Problem::new(Code::ScheduleTaken, text))
        }
    }
}

/// What became of a schedule that was to be made.
pub enum Made {
    /// It is stored.
    New(Box<ScheduleRecord>),
    /// It was before.
    Same(Box<ScheduleRecord>),
    /// Another one has its id.
    Taken,
}

/// Stores a schedule, with the words of a caller of the older API.
///
/// # Errors
/// 400 where it would never fire or the deployment does not allow what it sends, 409 where there are too many.
pub async fn add(app: &App, to: &Addressee, job: &ScheduleJob, seed: Option<&str>) -> Result<Made, Problem> {
    app.limits
        .check_delay(job.send.delay)
        .map_err(|error| Problem::field(format!("send.{}", error.field), error.problem))?;
    let now = app.clock.wall();
    let id = ScheduleId::fresh(now, &mut app.random.fork());
    let new = NewSchedule { id, job, seed, now };
    match schedules::add(&app.store, to.session, new).await? {
        Added::New(record) => Ok(Made::New(record)),
        Added::Same(record) => Ok(Made::Same(record)),
        Added::Taken => Ok(Made::Taken),
        Added::Past => Err(Problem::field("at", "must not be in the past")),
        Added::TooMany => {
            let text = format!("a session may have at most {SCHEDULES_MAX} schedules");
            Err(Problem::new(Code::Conflict, text))
        }
        Added::NoSession => {
            app.tokens.forget(&to.token);
            Err(unknown(&to.token))
        }
    }
}

/// All schedules of a session, in the order of their making: those that fire no more too, for 30 days.
#[utoipa::path(get, path = "/v1/sessions/{token}/schedules", params(("token" = String, Path)), tag = "schedules",
    responses((status = 200, body = Page<Schedule>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
) -> Result<Json<Page<Schedule>>, Problem> {
    let session = app.tokens.known(&app.store, &token).await?;
    let items = schedules::list(&app.store, session).await?;
    let items = items.into_iter().map(Schedule::from).collect();
    Ok(Json(Page { items, next: None }))
}

/// A schedule, with its next firings and its last one.
#[utoipa::path(get, path = "/v1/sessions/{token}/schedules/{schedule}",
    params(("token" = String, Path), ("schedule" = String, Path)), tag = "schedules",
    responses((status = 200, body = Schedule),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn show(
    State(app): State<Arc<App>>,
    Path((token, schedule)): Path<(String, String)>,
) -> Result<Json<Schedule>, Problem> {
    let (token, name) = (
        extract::text::<Token>("token", &token)?,
        extract::text("schedule", &schedule)?,
    );
    let session = app.tokens.known(&app.store, &token).await?;
    let found = schedules::find(&app.store, session, &name).await?;
    found.map(|found| Json(found.into())).ok_or_else(no_such_schedule)
}

/// Delete a schedule. What it has sent goes on: those are queues.
#[utoipa::path(delete, path = "/v1/sessions/{token}/schedules/{schedule}",
    params(("token" = String, Path), ("schedule" = String, Path)), tag = "schedules",
    responses((status = 204, description = "It is deleted."),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Path((token, schedule)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (token, name) = (
        extract::text::<Token>("token", &token)?,
        extract::text("schedule", &schedule)?,
    );
    let session = app.tokens.known(&app.store, &token).await?;
    match schedules::delete(&app.store, session, &name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_such_schedule()),
    }
}

/// 404.
pub fn no_such_schedule() -> Problem {
    Problem::new(Code::ScheduleNotFound, "the session has no schedule of this id")
}
