//! Whether anybody is there who could do what a session is asked.

use std::time::Duration;

use shared::store::leases;
use shared::store::sessions::SessionRecord;

use super::waiting::Worker;
use crate::app::App;
use crate::problem::{Code, Problem};

/// Whether a live worker holds the session's shard.
///
/// # Errors
/// 503 when the database is away.
pub async fn worker(app: &App, session: &SessionRecord) -> Result<Worker, Problem> {
    Ok(match leases::is_held(&app.store, session.shard).await? {
        true => Worker::Running,
        false => Worker::Absent,
    })
}

/// The answer where nobody could do it.
pub fn no_worker() -> Problem {
    Problem::new(Code::NoWorker, NO_WORKER).retry_after(WORKER_AGAIN)
}

const NO_WORKER: &str = "no session worker holds the session: start one (`fanfare-worker session`), or wait while one is \
     being replaced";
/// When there may be a worker: a lease lasts ten seconds.
const WORKER_AGAIN: Duration = Duration::from_secs(10);
