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

use super::bodies::{Answer, LooseNumber, TokenBody};
use super::dialect::ErrorBody;
use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::problem::{Code, Problem};
use crate::v1::schedules::{Made, add};

/// What a type of scheduled message says, as the message of a `send` job.
type Read = fn(&Map<String, Value>) -> Value;

/// The types that can be scheduled.
const TYPES: &[(&str, Read)] = &[(
    "sendText",
    |data| json!({ "type": "text", "text": data.get("text") }),
)];

/// A schedule, as callers of the older API write it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SchedulerBody {
    /// What it is called by, one of its session.
    pub id: LooseNumber,
    /// The session that sends.
    pub token: Token,
    /// What is sent: `sendText`.
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
    let (job, token) = (
        job(body)?,
        extract::fields::<TokenBody>(&Value::Object(fields.clone()).to_string().into_bytes())?.token,
    );
    let told = ["id", "type", "data", "time", "timezone"].into_iter();
    let told: Map<_, _> = told
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())))
        .collect();
    let told = Value::Object(told).to_string();
    let to = app.tokens.session(&app.store, token).await?;
    match add(&app, &to, &job, Some(&told)).await.map_err(own_names)? {
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
fn job(body: SchedulerBody) -> Result<ScheduleJob, Problem> {
    let kind = TYPES.iter().find(|(name, _)| *name == body.r#type);
    let Some((_, read)) = kind else {
        let known: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(Problem::field(
            "type",
            format!("can't be scheduled; what can: {}", known.join(", ")),
        ));
    };
    let mut send = json!({ "number": body.data.get("number"), "message": read(&body.data) });
    if let Some(delay) = body.data.get("delay") {
        send["delay"] = delay.clone();
    }
    let mut asked = json!({ "id": body.id.into_text(), "cron": body.time, "send": send });
    if let Some(zone) = body.timezone {
        asked["timezone"] = zone.into();
    }
    ScheduleJob::parse(asked.to_string().as_bytes()).map_err(|error| own_names(error.into()))
}

/// Names the fields as this API does.
fn own_names(problem: Problem) -> Problem {
    let [only] = problem.fields() else { return problem };
    let field = match only.field.as_str() {
        "cron" => "time".to_owned(),
        field => match field
            .strip_prefix("send.message.")
            .or(field.strip_prefix("send."))
        {
            Some("numbers") => "data.number".to_owned(),
            Some(rest) => format!("data.{rest}"),
            None => return problem,
        },
    };
    Problem::new(problem.code(), "").with_field(field, &*only.problem)
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
