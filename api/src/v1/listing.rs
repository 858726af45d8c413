//! Lists of queues, of one session or of all: newest first, in pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use shared::id::{QueueId, Token};
use shared::job::Label;
use shared::store::queues::listing::Filter;
use shared::store::queues::{self, QueueRecord, QueueState};
use time::OffsetDateTime;
use utoipa::IntoParams;

use crate::app::App;
use crate::extract::{self, Query, SessionPath};
use crate::paging::{Page, PageQuery};
use crate::problem::{Problem, ProblemBody};
use crate::schema;
use crate::v1::queues::Queue;

/// Which queues to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QueueQuery {
    /// Only those of this state: `queued`, `running`, `paused`, `completed` or `deleted`.
    #[param(schema_with = schema::reference::<QueueState>)]
    state: Option<String>,
    /// Only those of this label.
    label: Option<String>,
}

impl QueueQuery {
    fn state(&self) -> Result<Option<QueueState>, Problem> {
        let known =
            |text: &str| QueueState::find(text).ok_or_else(|| Problem::field("state", QueueState::must_be()));
        self.state.as_deref().map(known).transpose()
    }

    fn label(&self) -> Result<Option<Label>, Problem> {
        let label = self.label.as_deref().map(|label| extract::text("label", label));
        label.transpose()
    }
}

/// Of which session to list queues.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// Only those of the session with this token.
    session: Option<String>,
}

/// List the queues of a session, the newest first.
#[utoipa::path(get, path = "/v1/sessions/{token}/queues",
    params(("token" = String, Path), PageQuery, QueueQuery), tag = "queues",
    responses((status = 200, body = Page<Queue>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(page): Query<PageQuery>,
    Query(only): Query<QueueQuery>,
) -> Result<Json<Page<Queue>>, Problem> {
    page_of(&app, Some(token), &page, &only).await
}

/// List the queues of all sessions, the newest first.
#[utoipa::path(get, path = "/v1/queues", params(PageQuery, QueueQuery, SessionQuery), tag = "queues",
    responses((status = 200, body = Page<Queue>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list_all(
    State(app): State<Arc<App>>,
    Query(page): Query<PageQuery>,
    Query(only): Query<QueueQuery>,
    Query(of): Query<SessionQuery>,
) -> Result<Json<Page<Queue>>, Problem> {
    let session = of.session.as_deref().map(|token| extract::text("session", token));
    page_of(&app, session.transpose()?, &page, &only).await
}

async fn page_of(
    app: &App,
    token: Option<Token>,
    page: &PageQuery,
    only: &QueueQuery,
) -> Result<Json<Page<Queue>>, Problem> {
    let (limit, before) = (page.limit()?, page.after::<Place>()?);
    let (state, label) = (only.state()?, only.label()?);
    let session = match token {
        Some(token) => Some(app.tokens.look_up(&app.store, &token).await?.id),
        None => None,
    };
    let filter = Filter {
        session,
        state,
        label: label.as_ref(),
        before: before.map(|place| (place.time, place.id)),
    };
    let rows = queues::listing::list(&app.store, filter, u32::from(limit) + 1).await?;
    let place = |(_, row): &(Token, QueueRecord)| Place {
        time: row.created_at,
        id: row.id,
    };
    Ok(Json(Page::new(rows, limit, place, |(token, row)| {
        Queue::new(&token, row)
    })))
}

/// A queue's place in its listing, as a cursor holds it.
struct Place {
    time: OffsetDateTime,
    id: QueueId,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.time.unix_timestamp_nanos(), self.id)
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (nanos, id) = text.split_once('/').ok_or(())?;
        let time =
            OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().map_err(|_| ())?).map_err(|_| ())?;
        Ok(Self {
            time,
            id: id.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_keeps_a_queue_s_place() {
        let place = Place {
            time: OffsetDateTime::UNIX_EPOCH,
            id: shared::testing::queue_id(),
        };
        let read: Place = place.to_string().parse().unwrap();
        assert_eq!((read.time, read.id), (place.time, place.id));
    }
}
