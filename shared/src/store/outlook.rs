//! What a session has before it: read for a send that is only looked at.

use std::time::Duration;

use time::OffsetDateTime;

use super::queues::millis;
use super::sessions::{SessionRecord, SessionState};
use super::{Store, StoreError};
use crate::job::{Delay, DryRun, Others, Outlook};

/// What a session has before it that would make this send, at this time; `delay` is the gap of queues without one.
pub async fn of(
    store: &Store,
    session: &SessionRecord,
    run: &DryRun,
    now: OffsetDateTime,
    delay: Delay,
) -> Result<Outlook, StoreError> {
    let free_at = session.next_send_at.max(session.rate_limited_until);
    let starts_at = run.job.start_at.max(free_at).max(Some(now));
    // A single message overtakes those to many, which take turns: each has sent as much as this one when it ends.
    let sql = "-- outlook::of
        SELECT count(*) AS queues, coalesce(sum(o.turns * o.min), 0)::bigint AS shortest,
            coalesce(sum(o.turns * o.max), 0)::bigint AS longest
        FROM (SELECT least(q.total - q.settled, $2 /* recipients */)::bigint AS turns,
                coalesce(q.delay_min_ms, $3 /* min */) AS min, coalesce(q.delay_max_ms, $4 /* max */) AS max
            FROM queue q
            WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND q.state IN (0, 1)
              AND q.settled < q.total AND ($2 > 1 OR q.total = 1) AND (q.start_at IS NULL OR q.start_at <= $5 /* start */)
              AND (q.account IS NULL OR q.account = coalesce($6 /* account */, q.account))) o";
    let recipients = i32::try_from(run.recipients()).unwrap_or(i32::MAX);
    let (min, max) = (millis(delay.min()), millis(delay.max()));
    let account = session.owner.as_ref().map(|owner| owner.number());
    let row = store
        .query_one(
            sql,
            &[&session.id.get(), &recipients, &min, &max, &starts_at, &account],
        )
        .await?;
    let gap = |name: &str| -> Result<Duration, StoreError> {
        let millis: i64 = row.try_get(name)?;
        Ok(Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
    };
    let queues: i64 = row.try_get("queues")?;
    Ok(Outlook {
        now,
        free_at,
        is_open: session.state == SessionState::Open,
        delay,
        others: Others {
            queues: u32::try_from(queues).unwrap_or(u32::MAX),
            shortest: gap("shortest")?,
            longest: gap("longest")?,
        },
    })
}
