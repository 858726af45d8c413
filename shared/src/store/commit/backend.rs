//! The server's process behind a connection, which may outlive it.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::store::StoreError;

/// How long the server may take to say whether a backend lives.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A backend. Its number may be another's later; with the time of its start it is nobody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend {
    pid: i32,
    started: OffsetDateTime,
}

impl Backend {
    /// The one behind this connection.
    pub(super) async fn of(client: &Client) -> Result<Self, StoreError> {
        let sql = "-- commit::backend
            SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = client.query_one(sql, &[]).await?;
        Ok(Self {
            pid: row.try_get(0)?,
            started: row.try_get(1)?,
        })
    }

    /// Tells it to end; says whether it is gone, and its transaction with it. Asked through another connection of the
    /// same role, which may do that.
    pub(super) async fn end(self, client: &Client) -> Result<bool, StoreError> {
        let sql = "-- commit::backend (end)
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2";
        let parameters: [&(dyn ToSql + Sync); 2] = [&self.pid, &self.started];
        match tokio::time::timeout(ANSWER_MAX, client.query(sql, &parameters)).await {
            Ok(rows) => Ok(rows?.is_empty()),
            Err(_) => Err(StoreError::Unavailable("no answer in time".into())),
        }
    }
}
