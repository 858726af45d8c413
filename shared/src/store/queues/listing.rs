//! Queues of one session or of all, newest first, in pages.

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::{COLUMNS, PAGE_MAX, QueueRecord, QueueState, with_token};
use crate::id::{QueueId, SessionId, Token};
use crate::job::Label;
use crate::store::{Store, StoreError};

/// A queue's place in its listings: when it was accepted, and its id.
pub type Place = (OffsetDateTime, QueueId);

/// Which queues to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this session only.
    pub session: Option<SessionId>,
    /// In this state only.
    pub state: Option<QueueState>,
    /// Of this label only.
    pub label: Option<&'a Label>,
    /// Behind this one.
    pub before: Option<Place>,
}

impl Filter<'_> {
    /// What holds for a row of `queue q`; its parameters are numbered from 1.
    fn condition(&self) -> String {
        // Where the state is not final the partial index of the running queues finds them, however many are finished.
        let of_state = match self.state.is_some_and(|state| !state.is_final()) {
            true => "q.finished_at IS NULL AND q.state = $1",
            false => "($1::smallint IS NULL OR q.state = $1)",
        };
        // Said only where it is asked for, so that the index of the labelled queues is known to serve.
        let of_label = match self.label.is_some() {
            true => "q.label = $5::text",
            false => "$5::text IS NULL",
        };
        format!(
            "{of_state} AND {of_label} AND ($2::timestamptz IS NULL OR (q.created_at, q.id) < ($2, $3::uuid))"
        )
    }
}

/// Queues, newest first, with the tokens of their sessions.
pub async fn list(
    store: &Store,
    filter: Filter<'_>,
    limit: u32,
) -> Result<Vec<(Token, QueueRecord)>, StoreError> {
    let of_sessions = match filter.session {
        Some(_) => "SELECT s.id, s.token FROM session s WHERE s.id = $6".to_owned(),
        None => newest_sessions(&filter),
    };
    let condition = filter.condition();
    // The newest so many of all are among the newest so many of the sessions that have the newest.
    let sql = format!(
        "-- queues::list
        SELECT {COLUMNS}, s.token FROM ({of_sessions}) s CROSS JOIN LATERAL (
            SELECT * FROM queue q WHERE q.session_id = s.id AND {condition}
            ORDER BY q.created_at DESC, q.id DESC LIMIT $4 /* limit */) q
        ORDER BY q.created_at DESC, q.id DESC LIMIT $4"
    );
    let (time, id) = filter.before.map(|(time, id)| (time, id.as_uuid())).unzip();
    let (state, limit) = (filter.state.map(QueueState::code), i64::from(limit.min(PAGE_MAX)));
    let session = filter.session.map(SessionId::get);
    let label = filter.label.map(Label::as_str);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&state, &time, &id, &limit, &label];
    parameters.extend(session.as_ref().map(|session| session as &(dyn ToSql + Sync)));
    let rows = store.query(&sql, &parameters).await?;
    rows.iter().map(with_token).collect()
}

/// The sessions whose newest queue is among the newest: one look into an index for each session.
fn newest_sessions(filter: &Filter<'_>) -> String {
    format!(
        "SELECT s.id, s.token FROM session s CROSS JOIN LATERAL (
            SELECT q.created_at, q.id FROM queue q WHERE q.session_id = s.id AND {}
            ORDER BY q.created_at DESC, q.id DESC LIMIT 1) newest
        ORDER BY newest.created_at DESC, newest.id DESC LIMIT $4",
        filter.condition()
    )
}
