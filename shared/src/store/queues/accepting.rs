//! Jobs become queues: each with all of its recipients, in one transaction.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{Json, ToSql, Type};
use uuid::Uuid;

use super::{COLUMNS, QueueRecord, millis, record};
use crate::content::Content;
use crate::id::{JobId, QueueId, SessionId, StanzaId, StanzaIds};
use crate::job::{Delay, Label, Reference, SendJob};
use crate::store::leases::{self, Fence};
use crate::store::{Store, StoreError, Tx, violates};
use crate::trace::TraceContext;

/// What became of a job that was to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is stored now.
    Accepted(Box<QueueRecord>),
    /// The same job was accepted before: nothing was done.
    Duplicate(Box<QueueRecord>),
    /// Its id or its queue's id is taken by another job: nothing was done.
    Conflict,
    /// The id of its message is that of another message of the session: nothing was done.
    MessageIdTaken,
    /// Its session is not there any more: nothing was done.
    NoSession,
}

/// A job that is to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The session that is to send it.
    pub session: SessionId,
    /// The id of its queue.
    pub queue: QueueId,
    /// The id that its queue gets instead where that one is another session's.
    pub other: Option<QueueId>,
    /// Its identity.
    pub id: &'a JobId,
    /// The ids of its messages, where the job names none.
    pub ids: StanzaIds,
    /// The job.
    pub job: &'a SendJob,
    /// The trace that it belongs to. The first one of a job counts.
    pub trace: Option<TraceContext>,
}

/// Stores jobs of one shard, each its queue and all of its recipients, in their order: all of them in one transaction.
/// Twice the same is one. Where the database refuses one of them,
/// each is stored for itself; the words are why it was refused.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`]: any of them may be stored or not. To offer them again is safe.
pub async fn accept_all(
    store: &Store,
    fence: Fence,
    offers: &[Offer<'_>],
) -> Result<Vec<Result<Acceptance, String>>, StoreError> {
    let mut accepted = match accept_together(store, fence, offers).await {
        Ok(accepted) => accepted.into_iter().map(Ok).collect(),
        Err(StoreError::Refused(_)) if offers.len() > 1 => {
            let mut each = Vec::with_capacity(offers.len());
            for offer in offers {
                each.push(accept_alone(store, fence, *offer).await?);
            }
            each
        }
        Err(StoreError::Refused(why)) => vec![Err(why)],
        Err(error) => return Err(error),
    };
    for (offer, answer) in offers.iter().zip(&mut accepted) {
        // The same UUID may be the identity of a job of each session; their queues have one id each.
        if let (Some(queue), Ok(Acceptance::Conflict)) = (offer.other, &answer) {
            *answer = accept_alone(store, fence, Offer { queue, ..*offer }).await?;
        }
    }
    Ok(accepted)
}

async fn accept_alone(
    store: &Store,
    fence: Fence,
    offer: Offer<'_>,
) -> Result<Result<Acceptance, String>, StoreError> {
    match accept_together(store, fence, &[offer]).await {
        Ok(mut one) => Ok(one.pop().ok_or_else(|| "no answer to an offer".to_owned())),
        Err(StoreError::Refused(why)) => Ok(Err(why)),
        Err(error) => Err(error),
    }
}

/// Stores jobs in one transaction. One answer per offer.
async fn accept_together(
    store: &Store,
    fence: Fence,
    offers: &[Offer<'_>],
) -> Result<Vec<Acceptance>, StoreError> {
    let tx = store.begin("accept_jobs").await?;
    leases::hold(&tx, fence).await?;
    let fingerprints: Vec<_> = offers.iter().map(|offer| offer.job.fingerprint()).collect();
    let mut stored = match store_offers(&tx, offers, &fingerprints).await {
        Ok(stored) => stored,
        Err(Refusal::Told(told)) if offers.len() == 1 => {
            tx.rollback().await?;
            return Ok(vec![told]);
        }
        Err(Refusal::Told(_)) => return Err(StoreError::Refused("one of several jobs".into())),
        Err(Refusal::Error(error)) => return Err(error),
    };
    let anything = !stored.is_empty();
    let mut accepted = Vec::with_capacity(offers.len());
    for (offer, fingerprint) in offers.iter().zip(&fingerprints) {
        // Of two offers that are the same the first one was stored.
        accepted.push(match stored.remove(&key(offer.queue, offer.session, offer.id)) {
            Some(record) => Acceptance::Accepted(Box::new(record)),
            None => existing(&tx, offer.session, offer.queue, offer.id, fingerprint).await?,
        });
    }
    match anything {
        true => tx.commit().await?,
        false => tx.rollback().await?,
    }
    Ok(accepted)
}

/// Why offers were not stored.
enum Refusal {
    /// By a rule that has an answer of its own.
    Told(Acceptance),
    Error(StoreError),
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        if violates(&error, "recipient_stanza") {
            // The caller's stanza id is one that this session used before.
            Self::Told(Acceptance::MessageIdTaken)
        } else if violates(&error, "queue_session_id_fkey") {
            Self::Told(Acceptance::NoSession)
        } else {
            Self::Error(error.into())
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

type Key = (QueueId, SessionId, String);

fn key(queue: QueueId, session: SessionId, job: &JobId) -> Key {
    (queue, session, job.to_string())
}

/// Stores the queues that are not there yet, and their recipients.
async fn store_offers(
    tx: &Tx,
    offers: &[Offer<'_>],
    fingerprints: &[[u8; 32]],
) -> Result<HashMap<Key, QueueRecord>, Refusal> {
    let mut stored = HashMap::with_capacity(offers.len());
    for row in insert_queues(tx, offers, fingerprints).await? {
        let record = record(&row)?;
        stored.insert(key(record.id, record.session, &record.job), record);
    }
    let mut new = HashSet::with_capacity(stored.len());
    let is_new = |offer: &&Offer<'_>| {
        let key = key(offer.queue, offer.session, offer.id);
        stored.contains_key(&key) && new.insert(key)
    };
    let fresh: Vec<&Offer<'_>> = offers.iter().filter(is_new).collect();
    if !fresh.is_empty() {
        copy_recipients(tx, &fresh).await?;
    }
    Ok(stored)
}

async fn insert_queues(
    tx: &Tx,
    offers: &[Offer<'_>],
    fingerprints: &[[u8; 32]],
) -> Result<Vec<Row>, Refusal> {
    let sql = format!(
        "-- queues::accept
        INSERT INTO queue AS q
            (id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
             duplicates, reference, label, start_at, traceparent, account)
        SELECT id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
            duplicates, reference, label, start_at, traceparent,
            (SELECT split_part(s.jid, '@', 1) FROM session s WHERE s.id = o.session_id)
        FROM unnest($1::uuid[] /* ids */, $2::bigint[] /* sessions */, $3::text[] /* jobs */,
            $4::bytea[] /* fingerprints */, $5::jsonb[] /* contents */, $6::int[] /* mins */, $7::int[] /* maxs */,
            $8::smallint[] /* on_unknowns */, $9::int[] /* totals */, $10::smallint[] /* duplicates */,
            $11::text[] /* references */, $12::text[] /* labels */, $13::timestamptz[] /* starts */,
            $14::text[] /* traceparents */) WITH ORDINALITY
            AS o (id, session_id, job_id, fingerprint, content, delay_min_ms, delay_max_ms, on_unknown, total,
                duplicates, reference, label, start_at, traceparent, n)
        ORDER BY n
        ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    );
    let ids: Vec<Uuid> = offers.iter().map(|offer| offer.queue.as_uuid()).collect();
    let sessions: Vec<i64> = offers.iter().map(|offer| offer.session.get()).collect();
    let jobs: Vec<&str> = offers.iter().map(|offer| offer.id.as_str()).collect();
    let fingerprints: Vec<&[u8]> = fingerprints.iter().map(<[u8; 32]>::as_slice).collect();
    let contents: Vec<Json<&Content>> = offers.iter().map(|offer| Json(&offer.job.message)).collect();
    let gap = |of: fn(&Delay) -> Duration| -> Vec<Option<i32>> {
        let gap = |offer: &Offer<'_>| offer.job.delay.as_ref().map(|delay| millis(of(delay)));
        offers.iter().map(gap).collect()
    };
    let (mins, maxs) = (gap(|delay| delay.min()), gap(|delay| delay.max()));
    let on_unknowns: Vec<i16> = offers.iter().map(|offer| offer.job.on_unknown.code()).collect();
    let total = |offer: &Offer<'_>| i32::try_from(offer.job.numbers.len()).unwrap_or(i32::MAX);
    let totals: Vec<i32> = offers.iter().map(total).collect();
    let duplicates: Vec<i16> = offers.iter().map(|offer| offer.job.duplicates.code()).collect();
    let references = texts(offers, |job| job.reference.as_ref().map(Reference::as_str));
    let labels = texts(offers, |job| job.label.as_ref().map(Label::as_str));
    let starts: Vec<Option<OffsetDateTime>> = offers.iter().map(|offer| offer.job.start_at).collect();
    let traces: Vec<Option<TraceContext>> = offers.iter().map(|offer| offer.trace).collect();
    let parameters: [&(dyn ToSql + Sync); 14] = [
        &ids,
        &sessions,
        &jobs,
        &fingerprints,
        &contents,
        &mins,
        &maxs,
        &on_unknowns,
        &totals,
        &duplicates,
        &references,
        &labels,
        &starts,
        &traces,
    ];
    let statement = tx.prepare_cached(&sql).await?;
    Ok(tx.query(&statement, &parameters).await?)
}

fn texts<'a>(offers: &[Offer<'a>], of: fn(&SendJob) -> Option<&str>) -> Vec<Option<&'a str>> {
    offers.iter().map(|offer| of(offer.job)).collect()
}

/// Tells a repeated job from one that took another's id.
async fn existing(
    tx: &Tx,
    session: SessionId,
    id: QueueId,
    job_id: &JobId,
    fingerprint: &[u8; 32],
) -> Result<Acceptance, StoreError> {
    let sql = format!(
        "-- queues::accept (existing)
        SELECT {COLUMNS}, q.fingerprint FROM queue q
        WHERE q.id = $1 /* id */ OR (q.session_id = $2 /* session */ AND q.job_id = $3 /* job */)"
    );
    let rows = tx
        .query(&sql, &[&id.as_uuid(), &session.get(), &job_id.as_str()])
        .await?;
    let [row] = rows.as_slice() else {
        return Ok(Acceptance::Conflict);
    };
    let found = record(row)?;
    let same = row.try_get::<_, &[u8]>("fingerprint")? == fingerprint && found.session == session;
    Ok(match same && found.id == id {
        true => Acceptance::Duplicate(Box::new(found)),
        false => Acceptance::Conflict,
    })
}

impl Offer<'_> {
    /// The id of the message to the recipient at this place.
    fn stanza(&self, seq: u32) -> StanzaId {
        let own = self.job.message_id.clone();
        own.unwrap_or_else(|| self.ids.of(seq))
    }
}

/// Each recipient has the id of its message from the start: no later write touches an index.
async fn copy_recipients(tx: &Tx, offers: &[&Offer<'_>]) -> Result<(), tokio_postgres::Error> {
    const TYPES: [Type; 7] = [
        Type::UUID,
        Type::INT4,
        Type::INT8,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::JSONB,
    ];
    let sql = "COPY recipient (queue_id, seq, session_id, number, stanza_id, reference, variables) FROM STDIN BINARY";
    let mut writer = pin!(BinaryCopyInWriter::new(tx.copy_in(sql).await?, &TYPES));
    for offer in offers {
        let (queue, session): (Uuid, i64) = (offer.queue.as_uuid(), offer.session.get());
        for (seq, recipient) in (0_u32..).zip(&offer.job.numbers) {
            let stanza = offer.stanza(seq);
            let number = recipient.number.as_text();
            let number: &str = &number;
            let reference = recipient.reference.as_ref().map(Reference::as_str);
            let variables = recipient.variables.as_ref().map(Json);
            let row: [&(dyn ToSql + Sync); 7] = [
                &queue,
                &seq.cast_signed(),
                &session,
                &number,
                &stanza.as_str(),
                &reference,
                &variables,
            ];
            writer.as_mut().write(&row).await?;
        }
    }
    writer.finish().await?;
    Ok(())
}
