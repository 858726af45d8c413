//! The scheduler of the older API: what it sends goes by a type of its own, with the body that the route of that type has.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::id::{ScheduleName, Token};
use shared::job::{ScheduleJob, Timing};
use shared::store::schedules::{self, ScheduleRecord};
use utoipa::ToSchema;

use super::bodies::{
    Answer, ButtonBody, ListBody, LooseNumber, MediaBody, TemplateBody, TextBody, TokenBody,
};
use super::dialect::ErrorBody;
use super::request::{Request, read};
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::problem::{Code, Problem};
use crate::v1::schedules::{Made, add};

/// How the body of a type's route is read.
type Read = fn(&[u8]) -> Result<Request, Problem>;

/// The types that can be scheduled.
const TYPES: &[(&str, Read)] = &[
    ("sendText", read::<TextBody>),
    ("sendMedia", read::<MediaBody>),
    ("sendButtonMessage", read::<ButtonBody>),
    ("sendTemplateMessage", read::<TemplateBody>),
    ("sendListMessage", read::<ListBody>),
];

/// A schedule, as callers of the older API write it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchedulerBody {
    /// What it is called by, one of its session.
    pub id: LooseNumber,
    /// The session that sends.
    pub token: Token,
    /// What is sent: `sendText`, `sendMedia`, `sendButtonMessage`, `sendTemplateMessage` or `sendListMessage`.
    pub r#type: String,
    /// The body that the route of this type takes, without `token`; `number` may be an array.
    pub data: Map<String, Value>,
    /// Cron: minute, hour, day of the month, month, day of the week.
    pub time: String,
    /// The IANA time zone of `time`; UTC when absent.
    pub timezone: Option<String>,
}

/// Which schedule.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StopBody {
    /// What it is called by.
    pub id: LooseNumber,
    /// The session.
    pub token: Token,
}

/// The id is taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyDuplicate)]
pub struct Duplicate {
    /// Always false.
    pub status: bool,
    /// In words.
    pub error: String,
    /// The same.
    pub message: String,
}

impl Duplicate {
    /// Of this id.
    pub fn of(id: &ScheduleName) -> Self {
        let error = format!("Duplicate ID: {id}");
        let message = error.clone();
        Self {
            status: false,
            error,
            message,
        }
    }
}

/// The schedules of a session.
#[utoipa::path(post, path = "/api/whatsapp/scheduler", tag = "legacy", security(("basic" = [])),
    operation_id = "scheduler", request_body = ref("#/components/schemas/TokenBody"),
    responses((status = 200, body = Answer), (status = "default", body = ErrorBody)))]
pub async fn list(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Json<Answer>, Problem> {
    let TokenBody { token } = extract::fields(&body)?;
    let session = app.tokens.known(&app.store, &token).await?;
    let all = all(&app, session).await?;
    if all.is_empty() {
        return Err(Problem::new(Code::ScheduleNotFound, "Not Found"));
    }
    Ok(Json(Answer::with_data(all.into())))
}

/// Send at set times. Any misfire is made up for once.
#[utoipa::path(post, path = "/api/whatsapp/scheduler/add-scheduler", tag = "legacy", security(("basic" = [])),
    operation_id = "add_scheduler", request_body = ref("#/components/schemas/SchedulerBody"),
    responses((status = 200, body = Answer), (status = 409, body = Duplicate), (status = "default", body = ErrorBody)))]
pub async fn add_scheduler(
    State(app): State<Arc<App>>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let fields = extract::object(&body)?;
    let body: SchedulerBody = extract::fields(&body)?;
    let job = job(&body)?;
    let told = ["id", "type", "data", "time", "timezone"].into_iter();
    let told: Map<_, _> = told
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())))
        .collect();
    let told = Value::Object(told).to_string();
    let to = app.tokens.session(&app.store, body.token).await?;
    match add(&app, &to, &job, Some(&told))
        .await
        .map_err(|problem| own_names(problem, str::to_owned))?
    {
        Made::New(_) => {
            let all = all(&app, to.session).await?;
            Ok(Json(Answer::with_data(all.into())).into_response())
        }
        Made::Same(_) | Made::Taken => {
            Ok((StatusCode::CONFLICT, Json(Duplicate::of(&job.id))).into_response())
        }
    }
}

/// Delete a schedule.
#[utoipa::path(post, path = "/api/whatsapp/scheduler/stop-scheduler", tag = "legacy", security(("basic" = [])),
    operation_id = "stop_scheduler", request_body = ref("#/components/schemas/StopBody"),
    responses((status = 200, body = Answer), (status = "default", body = ErrorBody)))]
pub async fn stop(State(app): State<Arc<App>>, JsonBytes(body): JsonBytes) -> Result<Json<Answer>, Problem> {
    let StopBody { id, token } = extract::fields(&body)?;
    let name: ScheduleName = extract::text("id", &id.into_text())?;
    let session = app.tokens.known(&app.store, &token).await?;
    if !schedules::delete(&app.store, session, &name).await? {
        return Err(Problem::new(
            Code::ScheduleNotFound,
            format!("ID: {name} Not Found"),
        ));
    }
    Ok(Json(Answer::done(format!(
        "Scheduler ID: {name} has been stopped"
    ))))
}

/// The schedule that a body asks for.
fn job(body: &SchedulerBody) -> Result<ScheduleJob, Problem> {
    let kind = TYPES.iter().find(|(name, _)| *name == body.r#type);
    let Some((_, read)) = kind else {
        let known: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(Problem::field(
            "type",
            format!("can't be scheduled; what can: {}", known.join(", ")),
        ));
    };
    let mut data = body.data.clone();
    data.insert("token".to_owned(), json!(body.token));
    let request = read(Value::Object(data).to_string().as_bytes()).map_err(of_data)?;
    let asked = json!({
        "id": body.id, "cron": body.time, "timezone": body.timezone, "send": request.body(),
    });
    let job = ScheduleJob::parse(asked.to_string().as_bytes());
    job.map_err(|error| own_names(error.into(), |field| request.own_field(field)))
}

/// Names the fields as this API does, those of what is sent by what `own` says.
fn own_names(problem: Problem, own: impl Fn(&str) -> String) -> Problem {
    renamed(problem, |field| match (field, field.strip_prefix("send.")) {
        ("cron", _) => "time".to_owned(),
        (_, Some(sent)) => format!("data.{}", own(sent)),
        (other, None) => other.to_owned(),
    })
}

/// Names the fields of `data` as those of the body that it is in.
fn of_data(problem: Problem) -> Problem {
    renamed(problem, |field| format!("data.{field}"))
}

fn renamed(problem: Problem, name: impl Fn(&str) -> String) -> Problem {
    match problem.fields() {
        [only] => Problem::new(problem.code(), "").with_field(name(&only.field), &*only.problem),
        _ => problem,
    }
}

async fn all(app: &App, session: shared::id::SessionId) -> Result<Vec<Value>, Problem> {
    let all = schedules::list(&app.store, session).await?;
    Ok(all
        .into_iter()
        .filter(|schedule| schedule.next_at.is_some())
        .map(told)
        .collect())
}

/// As its caller wrote it; one that another door made, in the words that come closest.
fn told(record: ScheduleRecord) -> Value {
    if let Some(told) = record
        .seed
        .as_deref()
        .and_then(|seed| serde_json::from_str(seed).ok())
    {
        return told;
    }
    let time = match &record.job.timing {
        Timing::Cron(cron) => json!(cron.text()),
        Timing::At(_) => Value::Null,
    };
    json!({ "id": record.job.id, "type": "send", "data": record.job.send, "time": time })
}
