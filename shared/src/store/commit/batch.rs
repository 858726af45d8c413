//! One transaction of many writes: at most eight statements over arrays, whatever the number of writes.

use std::collections::HashMap;
use std::hash::Hash;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use time::OffsetDateTime;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::change::{QueueChange, RecipientChange, RecipientKey, SessionChange, SessionPatch, Write};
use crate::id::StanzaId;
use crate::store::StoreError;
use crate::store::leases::{Fence, smallint};
use crate::store::queues::QueueState;

/// The rule of recipients' states, from `o` (old) to `i` (input): forward only. The same as
/// [`crate::store::recipients::RecipientState::may_become`]; a test compares the two.
const FORWARD: &str = "((o.state <= 4 AND i.state BETWEEN 1 AND 4 AND i.state > o.state)
    OR (o.state <= 1 AND i.state IN (5, 6, 7)) OR (o.state = 7 AND i.state IN (2, 3, 4)))";

/// Most characters of an error's words that are kept.
const ERROR_MAX_CHARS: usize = 500;

/// What became of one write of a committed batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is durable.
    Durable,
    /// Its epoch is not the current one; nothing of it is stored.
    Fenced,
}

/// The statements, prepared on one connection.
pub(super) struct Statements {
    fence: Statement,
    forget: Statement,
    keys: Statement,
    by_seq: Statement,
    by_stanza: Statement,
    queues: Statement,
    sessions: Statement,
    outbox: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            fence: client.prepare(FENCE).await?,
            forget: client.prepare(FORGET).await?,
            keys: client.prepare(KEYS).await?,
            by_seq: client.prepare(&recipients_by_seq()).await?,
            by_stanza: client.prepare(&recipients_by_stanza()).await?,
            queues: client.prepare(QUEUES).await?,
            sessions: client.prepare(SESSIONS).await?,
            outbox: client.prepare(OUTBOX).await?,
        })
    }
}

/// A batch: its writes, of which those with a live fence are gathered into columns.
pub(super) struct Batch<'a> {
    writes: &'a [Write],
}

impl<'a> Batch<'a> {
    pub(super) fn new(writes: &'a [Write]) -> Self {
        Self { writes }
    }

    /// Runs the transaction in two round trips: the fence, then all changes and the commit.
    ///
    /// After an error other than a refusal the connection's state is unknown.
    pub(super) async fn run(
        &self,
        client: &mut Client,
        statements: &Statements,
    ) -> Result<Vec<Outcome>, StoreError> {
        let live = self.live(client, statements).await?;
        let durable: Vec<&Write> = self
            .writes
            .iter()
            .zip(&live)
            .filter(|(_, live)| **live)
            .map(|(write, _)| write)
            .collect();
        if durable.is_empty() {
            client.batch_execute("ROLLBACK").await?;
        } else {
            let recipients = Recipients::gather(&durable);
            Columns::gather(&durable, &recipients)
                .run(client, statements)
                .await?;
        }
        Ok(live
            .into_iter()
            .map(|live| if live { Outcome::Durable } else { Outcome::Fenced })
            .collect())
    }

    /// Begins the transaction, holds the lease rows, and says which writes name the current epoch.
    async fn live(&self, client: &Client, statements: &Statements) -> Result<Vec<bool>, StoreError> {
        let mut shards: Vec<i16> = self
            .writes
            .iter()
            .map(|write| smallint(write.fence.shard))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        let parameters: [&(dyn ToSql + Sync); 1] = [&shards];
        let (begun, rows) = tokio::join!(
            client.batch_execute("BEGIN"),
            client.query(&statements.fence, &parameters)
        );
        // A refusal here would leave the transaction open: it counts as a broken connection.
        let broken = |error: tokio_postgres::Error| StoreError::Unavailable(error.to_string());
        begun.map_err(broken)?;
        let mut epochs: HashMap<i16, i64> = HashMap::new();
        for row in rows.map_err(broken)? {
            epochs.insert(row.try_get(0).map_err(broken)?, row.try_get(1).map_err(broken)?);
        }
        let current = |fence: Fence| {
            epochs
                .get(&smallint(fence.shard))
                .is_some_and(|epoch| *epoch == fence.epoch.get())
        };
        Ok(self.writes.iter().map(|write| current(write.fence)).collect())
    }
}

// A new lease of a shard can't be taken while its row is held. Rows are held in the order of their shards, as
// everywhere, so that two transactions never wait for each other.
const FENCE: &str = "-- commit::fence
SELECT shard, epoch FROM shard_lease WHERE shard = ANY($1) ORDER BY shard FOR SHARE";

const FORGET: &str = "-- commit::forget
DELETE FROM device_key WHERE session_id = ANY($1)";

const KEYS: &str = "-- commit::keys
WITH gone AS (
    DELETE FROM device_key k
    USING unnest($5::bigint[] /* sessions */, $6::smallint[] /* kinds */, $7::bytea[] /* names */)
        AS d (session_id, kind, name)
    WHERE k.session_id = d.session_id AND k.kind = d.kind AND k.name = d.name)
INSERT INTO device_key (session_id, kind, name, value)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::smallint[] /* kinds */, $3::bytea[] /* names */,
    $4::bytea[] /* values */)
ON CONFLICT (session_id, kind, name) DO UPDATE SET value = excluded.value";

const SET_RECIPIENT: &str = "state = i.state,
    stanza_id    = coalesce(r.stanza_id, i.stanza_id),
    error_status = i.error_status,
    error        = i.error,
    sent_at      = CASE WHEN i.state IN (2, 3, 4) THEN coalesce(r.sent_at, i.at) ELSE r.sent_at END,
    delivered_at = CASE WHEN i.state IN (3, 4) THEN coalesce(r.delivered_at, i.at) ELSE r.delivered_at END,
    read_at      = CASE WHEN i.state = 4 THEN i.at ELSE r.read_at END";

/// The queues' counters follow the recipients that moved, in the same statement.
const COUNT: &str = "UPDATE queue q SET settled = q.settled + d.settled, failed = q.failed + d.failed
FROM (SELECT queue_id, count(*) FILTER (WHERE new >= 2)::int AS settled,
          count(*) FILTER (WHERE new = 5)::int AS failed
      FROM moved WHERE old <= 1 GROUP BY queue_id) d
WHERE q.id = d.queue_id AND d.settled > 0";

fn recipients_by_seq() -> String {
    format!(
        "-- commit::recipients_by_seq
WITH i AS (
    SELECT * FROM unnest($1::uuid[] /* queues */, $2::int[] /* seqs */, $3::smallint[] /* states */,
        $4::text[] /* stanzas */, $5::smallint[] /* statuses */, $6::text[] /* errors */, $7::timestamptz[] /* ats */)
        AS i (queue_id, seq, state, stanza_id, error_status, error, at)),
moved AS (
    UPDATE recipient r SET {SET_RECIPIENT}
    FROM i JOIN recipient o ON o.queue_id = i.queue_id AND o.seq = i.seq
    WHERE r.queue_id = i.queue_id AND r.seq = i.seq AND {FORWARD}
    RETURNING r.queue_id, o.state AS old, r.state AS new)
{COUNT}"
    )
}

/// Never settles a recipient (`o.state >= 2`): whoever settles one also puts out its PROCESSING event, and that
/// is done by place.
fn recipients_by_stanza() -> String {
    format!(
        "-- commit::recipients_by_stanza
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* stanzas */, $3::smallint[] /* states */,
        $4::smallint[] /* statuses */, $5::text[] /* errors */, $6::timestamptz[] /* ats */)
        AS i (session_id, stanza_id, state, error_status, error, at)),
moved AS (
    UPDATE recipient r SET {SET_RECIPIENT}
    FROM i JOIN recipient o
        ON o.session_id = i.session_id AND o.stanza_id = i.stanza_id AND o.stanza_id IS NOT NULL
    WHERE r.queue_id = o.queue_id AND r.seq = o.seq AND o.state >= 2 AND {FORWARD}
    RETURNING r.queue_id, o.state AS old, r.state AS new)
{COUNT}"
    )
}

// `target` is null where a batch only starts a queue. A resumed queue that never started goes back to queued.
const QUEUES: &str = "-- commit::queues
WITH i AS (
    SELECT q.id, i.start, CASE
            WHEN i.target IN (2, 3, 4) THEN i.target
            WHEN i.target = 1 AND (i.start OR q.started_at IS NOT NULL) THEN 1
            WHEN i.target = 1 THEN 0
            WHEN q.state = 2 THEN 2
            ELSE 1
        END AS state
    FROM unnest($1::uuid[] /* queues */, $2::bool[] /* starts */, $3::smallint[] /* targets */)
        AS i (id, start, target)
    JOIN queue q ON q.id = i.id
    WHERE q.state < 3)
UPDATE queue q SET state = i.state,
    started_at  = CASE WHEN i.start THEN coalesce(q.started_at, clock_timestamp()) ELSE q.started_at END,
    paused_at   = CASE WHEN i.state = 2 THEN coalesce(q.paused_at, clock_timestamp()) END,
    finished_at = CASE WHEN i.state IN (3, 4) THEN clock_timestamp() END
FROM i WHERE q.id = i.id";

// Most inputs have no patch: only the two columns that a send moves.
const SESSIONS: &str = "-- commit::sessions
UPDATE session s SET
    next_send_at    = coalesce(i.next_send_at, s.next_send_at),
    last_sequence   = greatest(i.last_sequence, s.last_sequence),
    state           = coalesce((i.patch->>'state')::smallint, s.state),
    wanted          = coalesce((i.patch->>'wanted')::boolean, s.wanted),
    jid       = CASE WHEN (i.patch->>'forget_owner')::boolean THEN NULL ELSE coalesce(i.patch#>>'{owner,jid}', s.jid) END,
    lid       = CASE WHEN (i.patch->>'forget_owner')::boolean THEN NULL ELSE coalesce(i.patch#>>'{owner,lid}', s.lid) END,
    push_name = CASE WHEN (i.patch->>'forget_owner')::boolean THEN NULL ELSE coalesce(i.patch#>>'{owner,push_name}', s.push_name) END,
    platform  = CASE WHEN (i.patch->>'forget_owner')::boolean THEN NULL ELSE coalesce(i.patch#>>'{owner,platform}', s.platform) END,
    paired_at = CASE WHEN (i.patch->>'paired')::boolean THEN clock_timestamp()
                     WHEN (i.patch->>'forget_owner')::boolean THEN NULL ELSE s.paired_at END,
    qr              = CASE WHEN coalesce((i.patch->>'state')::smallint, s.state) = 2 THEN coalesce(i.patch->>'qr', s.qr) END,
    qr_expires_at   = CASE WHEN coalesce((i.patch->>'state')::smallint, s.state) = 2
                           THEN coalesce(to_timestamp((i.patch->>'qr_expires_at')::float8), s.qr_expires_at) END,
    pairing_code    = CASE WHEN coalesce((i.patch->>'state')::smallint, s.state) = 2 THEN coalesce(i.patch->>'code', s.pairing_code) END,
    code_expires_at = CASE WHEN coalesce((i.patch->>'state')::smallint, s.state) = 2
                           THEN coalesce(to_timestamp((i.patch->>'code_expires_at')::float8), s.code_expires_at) END,
    close_reason    = coalesce((i.patch->>'close_reason')::smallint, s.close_reason),
    updated_at      = CASE WHEN i.patch IS NULL THEN s.updated_at ELSE clock_timestamp() END
FROM unnest($1::bigint[] /* sessions */, $2::timestamptz[] /* next_send_ats */, $3::bigint[] /* sequences */,
    $4::jsonb[] /* patches */) AS i (id, next_send_at, last_sequence, patch)
WHERE s.id = i.id";

const OUTBOX: &str = "-- commit::outbox
INSERT INTO outbox (shard, event_id, token, event, body)
SELECT shard, event_id, token, event, body
FROM unnest($1::smallint[] /* shards */, $2::uuid[] /* ids */, $3::text[] /* tokens */, $4::text[] /* events */,
    $5::text[] /* bodies */) WITH ORDINALITY AS i (shard, event_id, token, event, body, n)
ORDER BY n";

/// The changes of a batch as columns. No row appears twice: a statement over arrays changes a row only once.
#[derive(Default)]
struct Columns<'a> {
    forget: Vec<i64>,
    set_keys: KeyColumns<'a>,
    deleted_keys: KeyColumns<'a>,
    by_seq: RecipientColumns<'a>,
    seqs: (Vec<Uuid>, Vec<i32>),
    by_stanza: RecipientColumns<'a>,
    stanza_sessions: Vec<i64>,
    queues: (Vec<Uuid>, Vec<bool>, Vec<Option<i16>>),
    sessions: SessionColumns,
    events: EventColumns<'a>,
}

#[derive(Default)]
struct KeyColumns<'a> {
    sessions: Vec<i64>,
    kinds: Vec<i16>,
    names: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
}

#[derive(Default)]
struct RecipientColumns<'a> {
    states: Vec<i16>,
    stanzas: Vec<Option<&'a str>>,
    statuses: Vec<Option<i16>>,
    errors: Vec<Option<&'a str>>,
    ats: Vec<OffsetDateTime>,
}

#[derive(Default)]
struct SessionColumns {
    ids: Vec<i64>,
    next_send_ats: Vec<Option<OffsetDateTime>>,
    sequences: Vec<Option<i64>>,
    patches: Vec<Option<Json<serde_json::Value>>>,
}

#[derive(Default)]
struct EventColumns<'a> {
    shards: Vec<i16>,
    ids: Vec<Uuid>,
    tokens: Vec<&'a str>,
    names: Vec<&'static str>,
    bodies: Vec<&'a str>,
}

impl<'a> RecipientColumns<'a> {
    fn push(&mut self, change: &'a RecipientChange, stanza: Option<&'a str>) {
        self.states.push(change.state.code());
        self.stanzas.push(stanza);
        self.statuses.push(
            change
                .error
                .as_ref()
                .and_then(|(status, _)| i16::try_from(*status).ok()),
        );
        self.errors
            .push(change.error.as_ref().map(|(_, words)| clip(words)));
        self.ats.push(change.at);
    }
}

/// The part of an error's words that the column holds.
fn clip(words: &str) -> &str {
    match words.char_indices().nth(ERROR_MAX_CHARS) {
        Some((end, _)) => &words[..end],
        None => words,
    }
}

/// The recipients' changes of a batch, joined. Owned apart from [`Columns`], which borrow from it.
struct Recipients {
    by_seq: Vec<((Uuid, u32), RecipientChange)>,
    by_stanza: Vec<((i64, StanzaId), RecipientChange)>,
}

impl Recipients {
    fn gather(writes: &[&Write]) -> Self {
        let mut by_seq: Joined<(Uuid, u32), RecipientChange> = Joined::new();
        let mut by_stanza: Joined<(i64, StanzaId), RecipientChange> = Joined::new();
        for write in writes {
            for change in &write.recipients {
                let join = |old: &mut RecipientChange, new: RecipientChange| old.join(&new);
                match &change.key {
                    RecipientKey::Seq(queue, seq) => {
                        by_seq.add((queue.as_uuid(), *seq), change.clone(), join);
                    }
                    RecipientKey::Stanza(stanza) => {
                        by_stanza.add((write.session.get(), stanza.clone()), change.clone(), join);
                    }
                }
            }
        }
        Self {
            by_seq: by_seq.rows,
            by_stanza: by_stanza.rows,
        }
    }
}

/// The identity of a stored key: session, kind and name.
type KeyRow<'a> = (i64, u8, &'a [u8]);

/// Changes of the same row joined into one, rows in the order of their first change.
struct Joined<K, V> {
    index: HashMap<K, usize>,
    rows: Vec<(K, V)>,
}

impl<K: Clone + Eq + Hash, V> Joined<K, V> {
    fn new() -> Self {
        Self {
            index: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a change, or joins it to the one that is there.
    fn add(&mut self, key: K, value: V, join: impl FnOnce(&mut V, V)) {
        match self.index.get(&key) {
            Some(&at) => join(&mut self.rows[at].1, value),
            None => {
                self.index.insert(key.clone(), self.rows.len());
                self.rows.push((key, value));
            }
        }
    }
}

impl<'a> Columns<'a> {
    fn gather(writes: &[&'a Write], recipients: &'a Recipients) -> Self {
        let mut columns = Self::default();
        columns.gather_keys(writes);
        columns.gather_recipients(recipients);
        columns.gather_queues(writes);
        columns.gather_sessions(writes);
        columns.gather_events(writes);
        columns
    }

    fn gather_keys(&mut self, writes: &[&'a Write]) {
        let mut keys: Joined<KeyRow<'_>, Option<&[u8]>> = Joined::new();
        for write in writes {
            let session = write.session.get();
            if write.session_row.as_ref().is_some_and(|row| row.forget_keys) {
                self.forget.push(session);
                for (_, value) in keys.rows.iter_mut().filter(|(key, _)| key.0 == session) {
                    *value = None;
                }
            }
            for key in &write.keys {
                let place = (session, key.kind.0, key.name.as_slice());
                keys.add(place, key.value.as_deref(), |old, new| *old = new);
            }
        }
        for ((session, kind, name), value) in keys.rows {
            let columns = if value.is_some() {
                &mut self.set_keys
            } else {
                &mut self.deleted_keys
            };
            columns.sessions.push(session);
            columns.kinds.push(i16::from(kind));
            columns.names.push(name);
            columns.values.extend(value);
        }
    }

    fn gather_recipients(&mut self, recipients: &'a Recipients) {
        for ((queue, seq), change) in &recipients.by_seq {
            self.seqs.0.push(*queue);
            self.seqs.1.push(i32::try_from(*seq).unwrap_or(i32::MAX));
            self.by_seq
                .push(change, change.stanza.as_ref().map(StanzaId::as_str));
        }
        for ((session, stanza), change) in &recipients.by_stanza {
            self.stanza_sessions.push(*session);
            self.by_stanza.push(change, Some(stanza.as_str()));
        }
    }

    fn gather_queues(&mut self, writes: &[&'a Write]) {
        let mut queues: Joined<Uuid, (bool, Option<QueueState>)> = Joined::new();
        for write in writes {
            for change in &write.queues {
                let step = match change {
                    QueueChange::Start(_) => (true, None),
                    other => (false, Some(other.target())),
                };
                queues.add(change.queue().as_uuid(), step, |old, new| {
                    *old = (old.0 || new.0, new.1.or(old.1));
                });
            }
        }
        for (id, (start, target)) in queues.rows {
            self.queues.0.push(id);
            self.queues.1.push(start);
            self.queues.2.push(target.map(QueueState::code));
        }
    }

    fn gather_sessions(&mut self, writes: &[&'a Write]) {
        type Row = (Option<OffsetDateTime>, Option<i64>, Option<SessionChange>);
        let mut sessions: Joined<i64, Row> = Joined::new();
        for write in writes {
            let change = write.session_row.as_deref();
            if write.next_send_at.is_none() && write.last_sequence.is_none() && change.is_none() {
                continue;
            }
            let row = (write.next_send_at, write.last_sequence, change.cloned());
            sessions.add(write.session.get(), row, |old, new| {
                old.0 = new.0.or(old.0);
                old.1 = new.1.or(old.1);
                match (&mut old.2, new.2) {
                    (Some(old), Some(new)) => old.join(&new),
                    (old, Some(new)) => *old = Some(new),
                    (_, None) => {}
                }
            });
        }
        for (id, (next_send_at, sequence, change)) in sessions.rows {
            self.sessions.ids.push(id);
            self.sessions.next_send_ats.push(next_send_at);
            self.sessions.sequences.push(sequence);
            // Plain texts and numbers always turn into JSON.
            let patch = change.and_then(|change| serde_json::to_value(SessionPatch::from(&change)).ok());
            self.sessions.patches.push(patch.map(Json));
        }
    }

    fn gather_events(&mut self, writes: &[&'a Write]) {
        for write in writes {
            for event in &write.events {
                self.events.shards.push(smallint(write.fence.shard));
                self.events.ids.push(event.id.as_uuid());
                self.events.tokens.push(event.token.as_str());
                self.events.names.push(event.event.as_str());
                self.events.bodies.push(&event.body);
            }
        }
    }

    /// Sends all statements and the commit without waiting in between, then looks at every answer. After a
    /// failed statement the server turns the commit into a rollback, so an error means: nothing is stored.
    async fn run(&self, client: &Client, statements: &Statements) -> Result<(), StoreError> {
        let (set, gone, events) = (&self.set_keys, &self.deleted_keys, &self.events);
        let (seq, stanza, sessions) = (&self.by_seq, &self.by_stanza, &self.sessions);
        let forget: [Parameter<'_>; 1] = [&self.forget];
        let keys: [Parameter<'_>; 7] = [
            &set.sessions,
            &set.kinds,
            &set.names,
            &set.values,
            &gone.sessions,
            &gone.kinds,
            &gone.names,
        ];
        let by_seq: [Parameter<'_>; 7] = [
            &self.seqs.0,
            &self.seqs.1,
            &seq.states,
            &seq.stanzas,
            &seq.statuses,
            &seq.errors,
            &seq.ats,
        ];
        let by_stanza: [Parameter<'_>; 6] = [
            &self.stanza_sessions,
            &stanza.stanzas,
            &stanza.states,
            &stanza.statuses,
            &stanza.errors,
            &stanza.ats,
        ];
        let queues: [Parameter<'_>; 3] = [&self.queues.0, &self.queues.1, &self.queues.2];
        let rows: [Parameter<'_>; 4] = [
            &sessions.ids,
            &sessions.next_send_ats,
            &sessions.sequences,
            &sessions.patches,
        ];
        let outbox: [Parameter<'_>; 5] = [
            &events.shards,
            &events.ids,
            &events.tokens,
            &events.names,
            &events.bodies,
        ];
        let steps: [(bool, &Statement, &[Parameter<'_>]); 7] = [
            (!self.forget.is_empty(), &statements.forget, &forget),
            (
                !set.names.is_empty() || !gone.names.is_empty(),
                &statements.keys,
                &keys,
            ),
            (!seq.states.is_empty(), &statements.by_seq, &by_seq),
            (!stanza.states.is_empty(), &statements.by_stanza, &by_stanza),
            (!self.queues.0.is_empty(), &statements.queues, &queues),
            (!sessions.ids.is_empty(), &statements.sessions, &rows),
            (!events.ids.is_empty(), &statements.outbox, &outbox),
        ];
        // `join_all` polls in order, and a first poll puts the request on the wire.
        let mut answers: Vec<BoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::with_capacity(8);
        for (_, statement, parameters) in steps.into_iter().filter(|(needed, ..)| *needed) {
            answers.push(async move { client.execute(statement, parameters).await.map(drop) }.boxed());
        }
        answers.push(client.batch_execute("COMMIT").boxed());
        for answer in join_all(answers).await {
            answer?;
        }
        Ok(())
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);
