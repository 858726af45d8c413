//! Sends that were taken, or rejected, and of which no queue is stored: what an id that got a 2xx shows until its worker
//! has written the queue, and where it never does.

use serde::Serialize;
use shared::id::{QueueId, StanzaId, Token};
use shared::store::leases;
use shared::store::queues::QueueRecord;
use shared::store::requests::{self, RequestRecord};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;
use crate::tokens::Addressee;
use crate::v1::waiting::{self, Waiting, Worker};

/// A send of which no queue is stored.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendRequest {
    /// The queue that it asked for; null where only the id of its message is known.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub queue_id: Option<QueueId>,
    /// The id of its message, where it is a single one and its id is known.
    #[schema(value_type = Option<String>)]
    pub message_id: Option<StanzaId>,
    /// The session that was to send it.
    #[schema(value_type = String)]
    pub token: Token,
    /// What became of it so far.
    pub state: RequestState,
    /// When it was taken, or rejected; to the day for an id of ours of a message.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub recorded_at: OffsetDateTime,
    /// Why it was rejected; null while it was not.
    pub rejection: Option<Rejection>,
    /// What it waits for; null where it was rejected.
    pub waiting: Option<Waiting>,
}

/// What became of a send of which no queue is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// The broker has it; its worker has not stored it yet.
    Accepted,
    /// Its worker refused it: it is never sent.
    Rejected,
}

/// Why a send was rejected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rejection {
    /// For programs, as in the event `job.rejected`.
    pub code: String,
    /// The field that it was rejected for, if it was one.
    pub field: Option<String>,
    /// For people.
    pub message: String,
}

impl SendRequest {
    /// What is recorded of a send.
    pub async fn recorded(app: &App, token: &Token, record: RequestRecord) -> Result<Self, Problem> {
        let rejection = record.rejection.map(|why| Rejection {
            code: why.code,
            field: why.field,
            message: why.reason,
        });
        let mut shown = Self::given(app, token, record.recorded_at).await?;
        shown.queue_id = Some(record.queue);
        shown.message_id = record.message;
        if rejection.is_some() {
            (shown.state, shown.waiting) = (RequestState::Rejected, None);
        }
        shown.rejection = rejection;
        Ok(shown)
    }

    /// A send of which nothing is recorded but that an id was given to it, at this time.
    async fn given(app: &App, token: &Token, at: OffsetDateTime) -> Result<Self, Problem> {
        let session = app.tokens.look_up(&app.store, token).await?;
        let worker = match leases::is_held(&app.store, session.shard).await? {
            true => Worker::Running,
            false => Worker::Absent,
        };
        Ok(Self {
            queue_id: None,
            message_id: None,
            token: token.clone(),
            state: RequestState::Accepted,
            recorded_at: at,
            rejection: None,
            waiting: Some(waiting::unstored(worker)),
        })
    }
}

/// What was asked for under the id of a queue that is not stored, if anything was.
pub async fn of_queue(app: &App, to: &Addressee, queue: QueueId) -> Result<Option<SendRequest>, Problem> {
    let Addressee { token, session } = to;
    if let Some(newest) = requests::of_queue(&app.store, *session, queue)
        .await?
        .into_iter()
        .next()
    {
        return SendRequest::recorded(app, token, newest).await.map(Some);
    }
    let Some(at) = app.ids.queue_given_at(token, queue, app.clock.wall()) else {
        return Ok(None);
    };
    let mut given = SendRequest::given(app, token, at).await?;
    given.queue_id = Some(queue);
    Ok(Some(given))
}

/// What asked for the id of a stored queue too, and was rejected.
pub async fn rejected(app: &App, token: &Token, queue: &QueueRecord) -> Result<Vec<SendRequest>, Problem> {
    let mut rejected = Vec::new();
    for asked in requests::of_queue(&app.store, queue.session, queue.id).await? {
        if asked.rejection.is_some() {
            rejected.push(SendRequest::recorded(app, token, asked).await?);
        }
    }
    Ok(rejected)
}

/// A send of which nothing is recorded, if its message was given this id.
pub async fn of_message(
    app: &App,
    token: &Token,
    message: &StanzaId,
) -> Result<Option<SendRequest>, Problem> {
    let Some(at) = app.ids.message_given_at(token, message, app.clock.wall()) else {
        return Ok(None);
    };
    let mut given = SendRequest::given(app, token, at).await?;
    given.message_id = Some(message.clone());
    Ok(Some(given))
}
