//! One transaction of many writes: at most a score of statements over arrays, whatever the number of writes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use time::OffsetDateTime;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::change::{QueueChange, RecipientChange, RecipientKey, SessionChange, SessionPatch, Write};
use super::joined::Joined;
use super::people;
use super::received::ReceivedColumns;
use super::received_polls::PollColumns;
use super::sealed::SealedWrite;
use super::statements::Statements;
use super::{chats, labels, states};
use crate::id::{QueueId, StanzaId};
use crate::job::Delay;
use crate::recipient::Number;
use crate::store::StoreError;
use crate::store::leases::{Fence, smallint};
use crate::store::queues::{QueueState, millis};
use crate::store::recipients::restriction;
use crate::trace::TraceContext;
use crate::waiting::Standstill;

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

/// A batch: its writes, of which those with a live fence are gathered into columns.
pub(super) struct Batch<'a> {
    writes: &'a [SealedWrite],
}

impl<'a> Batch<'a> {
    pub(super) fn new(writes: &'a [SealedWrite]) -> Self {
        Self { writes }
    }

    /// Runs the transaction in two round trips: the fence, then all changes and the commit.
    ///
    /// After an error other than a refusal the connection's state is unknown.
    pub(super) async fn run(
        &self,
        client: &mut Client,
        statements: &Statements,
        joined: &mut Joined,
    ) -> Result<Vec<Outcome>, StoreError> {
        let live = self.live(client, statements).await?;
        let durable: Vec<&Write> = self
            .writes
            .iter()
            .zip(&live)
            .filter(|(_, live)| **live)
            .map(|(write, _)| &**write)
            .collect();
        if durable.is_empty() {
            client.batch_execute("ROLLBACK").await?;
        } else {
            let recipients = Recipients::gather(&durable);
            Columns::gather(&durable, &recipients, joined)
                .run(client, statements)
                .await?;
            joined.learn(&durable);
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

/// The changes of a batch as columns. No row appears twice: a statement over arrays changes a row only once.
#[derive(Default)]
struct Columns<'a> {
    forget: Vec<i64>,
    set_keys: KeyColumns<'a>,
    deleted_keys: KeyColumns<'a>,
    by_seq: RecipientColumns<'a>,
    seqs: (Vec<Uuid>, Vec<i32>, Vec<Option<i32>>, Vec<i16>),
    addressees: Vec<Option<Cow<'a, str>>>,
    by_stanza: RecipientColumns<'a>,
    stanza_sessions: Vec<i64>,
    queues: QueueColumns,
    rejections: RejectionColumns<'a>,
    received: ReceivedColumns<'a>,
    polls: PollColumns<'a>,
    paces: PaceColumns,
    sessions: (Vec<i64>, Vec<Json<serde_json::Value>>),
    events: EventColumns<'a>,
    chats: chats::Columns<'a>,
    people: people::Columns<'a>,
    states: states::Columns<'a>,
    labels: labels::Columns<'a>,
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
struct QueueColumns {
    ids: Vec<Uuid>,
    starts: Vec<bool>,
    targets: Vec<Option<i16>>,
    held: Vec<Option<i32>>,
    delay_mins: Vec<Option<i32>>,
    delay_maxs: Vec<Option<i32>>,
    stood: Vec<bool>,
    waiting: Vec<Option<Json<Standstill>>>,
}

/// The changes of one queue, joined: the last of each kind counts.
#[derive(Default)]
struct QueueStep {
    start: bool,
    target: Option<QueueState>,
    held: Option<u32>,
    delay: Option<Delay>,
    stands: Option<Option<Standstill>>,
}

#[derive(Default)]
struct RejectionColumns<'a> {
    sessions: Vec<i64>,
    queues: Vec<Uuid>,
    jobs: Vec<&'a str>,
    messages: Vec<Option<&'a str>>,
    codes: Vec<&'a str>,
    fields: Vec<Option<&'a str>>,
    reasons: Vec<&'a str>,
}

impl QueueColumns {
    fn parameters(&self) -> [Parameter<'_>; 8] {
        [
            &self.ids,
            &self.starts,
            &self.targets,
            &self.held,
            &self.delay_mins,
            &self.delay_maxs,
            &self.stood,
            &self.waiting,
        ]
    }
}

impl RejectionColumns<'_> {
    fn parameters(&self) -> [Parameter<'_>; 7] {
        [
            &self.sessions,
            &self.queues,
            &self.jobs,
            &self.messages,
            &self.codes,
            &self.fields,
            &self.reasons,
        ]
    }
}

#[derive(Default)]
struct PaceColumns {
    sessions: Vec<i64>,
    next_send_ats: Vec<Option<OffsetDateTime>>,
    sequences: Vec<Option<i64>>,
    paced_bys: Vec<Option<Uuid>>,
}

#[derive(Default)]
struct EventColumns<'a> {
    shards: Vec<i16>,
    ids: Vec<Uuid>,
    tokens: Vec<&'a str>,
    names: Vec<&'static str>,
    bodies: Vec<&'a str>,
    traces: Vec<Option<TraceContext>>,
}

impl EventColumns<'_> {
    fn parameters(&self) -> [Parameter<'_>; 6] {
        [
            &self.shards,
            &self.ids,
            &self.tokens,
            &self.names,
            &self.bodies,
            &self.traces,
        ]
    }
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
        let mut by_seq: Merged<(Uuid, u32), RecipientChange> = Merged::new();
        let mut by_stanza: Merged<(i64, StanzaId), RecipientChange> = Merged::new();
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
struct Merged<K, V> {
    index: HashMap<K, usize>,
    rows: Vec<(K, V)>,
}

impl<K: Clone + Eq + Hash, V> Merged<K, V> {
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
    fn gather(writes: &[&'a Write], recipients: &'a Recipients, joined: &Joined) -> Self {
        let mut columns = Self::default();
        columns.gather_keys(writes);
        columns.gather_recipients(recipients);
        columns.gather_queues(writes);
        columns.gather_rejections(writes);
        columns.received.gather(writes);
        columns.polls.gather(writes);
        columns.gather_paces(writes);
        columns.gather_sessions(writes);
        columns.gather_events(writes);
        columns.chats = chats::Columns::gather(writes, joined);
        columns.people = people::Columns::gather(writes);
        columns.states = states::Columns::gather(writes);
        columns.labels = labels::Columns::gather(writes);
        columns
    }

    fn gather_keys(&mut self, writes: &[&'a Write]) {
        let mut keys: Merged<KeyRow<'_>, Option<&[u8]>> = Merged::new();
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
            self.seqs.2.push(change.held_for.map(restriction));
            self.seqs
                .3
                .push(i16::try_from(change.attempts).unwrap_or(i16::MAX));
            self.addressees
                .push(change.addressee.as_ref().map(Number::as_text));
            self.by_seq
                .push(change, change.stanza.as_ref().map(StanzaId::as_str));
        }
        for ((session, stanza), change) in &recipients.by_stanza {
            self.stanza_sessions.push(*session);
            self.by_stanza.push(change, Some(stanza.as_str()));
        }
    }

    fn gather_queues(&mut self, writes: &[&'a Write]) {
        let mut queues: Merged<Uuid, QueueStep> = Merged::new();
        for change in writes.iter().flat_map(|write| &write.queues) {
            let step = QueueStep {
                start: matches!(change, QueueChange::Start(_)),
                target: (!matches!(change, QueueChange::Start(_)))
                    .then(|| change.target())
                    .flatten(),
                held: change.held_for(),
                delay: change.delay(),
                stands: change.stands(),
            };
            queues.add(change.queue().as_uuid(), step, |old, new| {
                old.start |= new.start;
                old.target = new.target.or(old.target);
                old.held = new.held.or(old.held);
                old.delay = new.delay.or(old.delay);
                old.stands = new.stands.or(old.stands);
            });
        }
        for (id, step) in queues.rows {
            let gap = step.delay;
            self.queues.ids.push(id);
            self.queues.starts.push(step.start);
            self.queues.targets.push(step.target.map(QueueState::code));
            self.queues.held.push(step.held.map(restriction));
            self.queues.delay_mins.push(gap.map(|delay| millis(delay.min())));
            self.queues.delay_maxs.push(gap.map(|delay| millis(delay.max())));
            self.queues.stood.push(step.stands.is_some());
            self.queues.waiting.push(step.stands.flatten().map(Json));
        }
    }

    fn gather_rejections(&mut self, writes: &[&'a Write]) {
        for write in writes {
            for rejection in &write.rejections {
                self.rejections.sessions.push(write.session.get());
                self.rejections.queues.push(rejection.queue.as_uuid());
                self.rejections.jobs.push(rejection.job.as_str());
                let message = rejection.message.as_ref().map(StanzaId::as_str);
                self.rejections.messages.push(message);
                self.rejections.codes.push(&rejection.why.code);
                self.rejections.fields.push(rejection.why.field.as_deref());
                self.rejections.reasons.push(clip(&rejection.why.reason));
            }
        }
    }

    fn gather_paces(&mut self, writes: &[&'a Write]) {
        struct Row {
            next_send_at: Option<OffsetDateTime>,
            paced_by: Option<QueueId>,
            sequence: Option<i64>,
        }
        let mut paces: Merged<i64, Row> = Merged::new();
        for write in writes {
            if write.next_send_at.is_none() && write.last_sequence.is_none() {
                continue;
            }
            let row = Row {
                next_send_at: write.next_send_at,
                paced_by: write.paced_by,
                sequence: write.last_sequence,
            };
            paces.add(write.session.get(), row, |old, new| {
                old.next_send_at = new.next_send_at.or(old.next_send_at);
                old.paced_by = new.paced_by.or(old.paced_by);
                old.sequence = new.sequence.or(old.sequence);
            });
        }
        for (session, row) in paces.rows {
            self.paces.sessions.push(session);
            self.paces.next_send_ats.push(row.next_send_at);
            self.paces.sequences.push(row.sequence);
            self.paces.paced_bys.push(row.paced_by.map(QueueId::as_uuid));
        }
    }

    fn gather_sessions(&mut self, writes: &[&'a Write]) {
        let mut sessions: Merged<i64, SessionChange> = Merged::new();
        for write in writes {
            if let Some(change) = write.session_row.as_deref() {
                sessions.add(write.session.get(), change.clone(), |old, new| old.join(&new));
            }
        }
        for (session, change) in sessions.rows {
            // Plain texts and numbers always turn into JSON.
            if let Ok(patch) = serde_json::to_value(SessionPatch::from(&change)) {
                self.sessions.0.push(session);
                self.sessions.1.push(Json(patch));
            }
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
                self.events.traces.push(event.trace);
            }
        }
    }

    /// Recipients by their places.
    fn by_seq(&self) -> [Parameter<'_>; 10] {
        let seq = &self.by_seq;
        [
            &self.seqs.0,
            &self.seqs.1,
            &seq.states,
            &seq.stanzas,
            &seq.statuses,
            &seq.errors,
            &seq.ats,
            &self.seqs.2,
            &self.seqs.3,
            &self.addressees,
        ]
    }

    /// Sends all statements and the commit without waiting in between, then looks at every answer. After a
    /// failed statement the server turns the commit into a rollback, so an error means: nothing is stored.
    async fn run(&self, client: &Client, statements: &Statements) -> Result<(), StoreError> {
        let (set, gone, events) = (&self.set_keys, &self.deleted_keys, &self.events);
        let (stanza, paces) = (&self.by_stanza, &self.paces);
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
        let by_seq = self.by_seq();
        let by_stanza: [Parameter<'_>; 6] = [
            &self.stanza_sessions,
            &stanza.stanzas,
            &stanza.states,
            &stanza.statuses,
            &stanza.errors,
            &stanza.ats,
        ];
        let (queues, rejections) = (self.queues.parameters(), self.rejections.parameters());
        let (received, polls) = (self.received.parameters(), self.polls.parameters());
        let gaps: [Parameter<'_>; 4] = [
            &paces.sessions,
            &paces.next_send_ats,
            &paces.sequences,
            &paces.paced_bys,
        ];
        let rows: [Parameter<'_>; 2] = [&self.sessions.0, &self.sessions.1];
        let outbox = events.parameters();
        let steps: [(bool, &Statement, &[Parameter<'_>]); 11] = [
            (!self.forget.is_empty(), &statements.forget, &forget),
            (
                !set.names.is_empty() || !gone.names.is_empty(),
                &statements.keys,
                &keys,
            ),
            (!self.by_seq.states.is_empty(), &statements.by_seq, &by_seq),
            (!stanza.states.is_empty(), &statements.by_stanza, &by_stanza),
            (!self.queues.ids.is_empty(), &statements.queues, &queues),
            (
                !self.rejections.jobs.is_empty(),
                &statements.rejections,
                &rejections,
            ),
            (!self.received.is_empty(), &statements.received, &received),
            (!self.polls.is_empty(), &statements.polls, &polls),
            (!paces.sessions.is_empty(), &statements.paces, &gaps),
            (!self.sessions.0.is_empty(), &statements.sessions, &rows),
            (!events.ids.is_empty(), &statements.outbox, &outbox),
        ];
        let mut chats = self.chats.steps(&statements.chats);
        // Behind what came in: what is deleted in the same batch was there before.
        chats.extend(self.states.steps(&statements.states));
        chats.extend(self.labels.steps(&statements.labels));
        let needed = steps.iter().filter(|(needed, ..)| *needed);
        let needed = needed.map(|(_, statement, parameters)| (*statement, *parameters));
        let people = self.people.steps(&statements.people);
        let chats = chats
            .iter()
            .chain(&people)
            .map(|(statement, parameters)| (*statement, &parameters[..]));
        execute_and_commit(client, needed.chain(chats)).await
    }
}

/// Executes the statements, and commits.
async fn execute_and_commit<'a>(
    client: &'a Client,
    steps: impl Iterator<Item = (&'a Statement, &'a [Parameter<'a>])>,
) -> Result<(), StoreError> {
    // `join_all` polls in order, and a first poll puts the request on the wire.
    let mut answers: Vec<BoxFuture<'a, Result<(), tokio_postgres::Error>>> = Vec::with_capacity(10);
    for (statement, parameters) in steps {
        answers.push(async move { client.execute(statement, parameters).await.map(drop) }.boxed());
    }
    answers.push(client.batch_execute("COMMIT").boxed());
    for answer in join_all(answers).await {
        answer?;
    }
    Ok(())
}

type Parameter<'a> = &'a (dyn ToSql + Sync);
