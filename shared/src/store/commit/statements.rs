//! The SQL of group commit: each statement takes columns of any length.

use tokio_postgres::{Client, Statement};

use super::{chats, labels, people, states};
use crate::store::StoreError;

/// The statements, prepared on one connection.
pub(super) struct Statements {
    pub(super) fence: Statement,
    pub(super) forget: Statement,
    pub(super) keys: Statement,
    pub(super) by_seq: Statement,
    pub(super) by_stanza: Statement,
    pub(super) queues: Statement,
    pub(super) rejections: Statement,
    pub(super) received: Statement,
    pub(super) polls: Statement,
    pub(super) paces: Statement,
    pub(super) sessions: Statement,
    pub(super) outbox: Statement,
    pub(super) chats: chats::Statements,
    pub(super) people: people::Statements,
    pub(super) states: states::Statements,
    pub(super) labels: labels::Statements,
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
            rejections: client.prepare(REJECTIONS).await?,
            received: client.prepare(RECEIVED).await?,
            polls: client.prepare(POLLS).await?,
            paces: client.prepare(PACES).await?,
            sessions: client.prepare(SESSIONS).await?,
            outbox: client.prepare(OUTBOX).await?,
            chats: chats::Statements::prepare(client).await?,
            people: people::Statements::prepare(client).await?,
            states: states::Statements::prepare(client).await?,
            labels: labels::Statements::prepare(client).await?,
        })
    }
}

/// The rule of recipients' states, from the row's to the input's: forward only. The same as
/// [`crate::store::recipients::RecipientState::may_become`]; a test compares the two.
const FORWARD: &str = "((r.state <= 4 AND i.state BETWEEN 1 AND 4 AND i.state > r.state)
    OR (r.state <= 1 AND i.state IN (5, 6, 7, 8)) OR (r.state = 7 AND i.state IN (2, 3, 4)))";

/// The one way back: a recipient that waits for the end of a restriction is queued again, under the id that it has.
const HELD: &str = "(r.state <= 1 AND i.state = 0 AND i.held_for IS NOT NULL)";

/// One that is sent again moves only in how often that was.
const AGAIN: &str = "(r.state = 1 AND i.state = 1 AND i.attempts <> r.attempts)";

// A new lease of a shard can't be taken while its row is held; renewals don't wait for it. Rows are held in the
// order of their shards, as everywhere, so that two transactions never wait for each other.
const FENCE: &str = "-- commit::fence
SELECT shard, epoch FROM shard_lease WHERE shard = ANY($1) ORDER BY shard FOR KEY SHARE";

// What the account's devices agree on goes with its keys: whoever is paired next is told its own. That messages were cleared
// stays: nobody tells them anew.
const FORGET: &str = "-- commit::forget
WITH given AS (DELETE FROM label_given WHERE session_id = ANY($1)),
labels AS (DELETE FROM label WHERE session_id = ANY($1)),
chats AS (DELETE FROM chat_state WHERE session_id = ANY($1) AND cleared_at IS NULL),
cleared AS (
    UPDATE chat_state SET archived = false, pinned_at = NULL, muted = false, muted_until = NULL, marked_unread = false
    WHERE session_id = ANY($1) AND cleared_at IS NOT NULL),
people AS (UPDATE contact SET saved_name = NULL WHERE session_id = ANY($1) AND saved_name IS NOT NULL)
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

// What a row was before is left in it, for whoever counts: to join the table with itself for that costs as much again.
const SET_RECIPIENT: &str = "state = i.state,
    state_before = r.state,
    stanza_id    = coalesce(r.stanza_id, i.stanza_id),
    error_status = i.error_status,
    error        = i.error,
    sent_at      = CASE WHEN i.state IN (2, 3, 4) THEN coalesce(r.sent_at, i.at) ELSE r.sent_at END,
    delivered_at = CASE WHEN i.state IN (3, 4) THEN coalesce(r.delivered_at, i.at) ELSE r.delivered_at END,
    read_at      = CASE WHEN i.state = 4 THEN i.at ELSE r.read_at END";

/// The queues' counters follow the recipients that moved, in the same statement.
const COUNT: &str = "UPDATE queue q SET settled = q.settled + d.settled, failed = q.failed + d.failed,
    moved_at = clock_timestamp()
FROM (SELECT queue_id, count(*) FILTER (WHERE new >= 2)::int AS settled,
          count(*) FILTER (WHERE new = 5)::int AS failed
      FROM moved WHERE old <= 1 GROUP BY queue_id) d
WHERE q.id = d.queue_id AND d.settled > 0";

fn recipients_by_seq() -> String {
    format!(
        "-- commit::recipients_by_seq
WITH i AS (
    SELECT * FROM unnest($1::uuid[] /* queues */, $2::int[] /* seqs */, $3::smallint[] /* states */,
        $4::text[] /* stanzas */, $5::smallint[] /* statuses */, $6::text[] /* errors */, $7::timestamptz[] /* ats */,
        $8::int[] /* held */, $9::smallint[] /* attempts */, $10::text[] /* addressees */)
        AS i (queue_id, seq, state, stanza_id, error_status, error, at, held_for, attempts, addressee)),
moved AS (
    UPDATE recipient r SET {SET_RECIPIENT}, held_for = coalesce(i.held_for, r.held_for),
        attempts = CASE WHEN i.attempts > 0 THEN i.attempts ELSE r.attempts END,
        addressee = coalesce(i.addressee, r.addressee)
    FROM i
    WHERE r.queue_id = i.queue_id AND r.seq = i.seq AND ({FORWARD} OR {HELD} OR {AGAIN})
    RETURNING r.queue_id, r.state_before AS old, r.state AS new)
{COUNT}"
    )
}

/// Never settles a recipient (`r.state >= 2`), so that no counter follows: whoever settles one also puts out its PROCESSING
/// event, and that is done by place.
fn recipients_by_stanza() -> String {
    format!(
        "-- commit::recipients_by_stanza
UPDATE recipient r SET {SET_RECIPIENT}
FROM unnest($1::bigint[] /* sessions */, $2::text[] /* stanzas */, $3::smallint[] /* states */,
    $4::smallint[] /* statuses */, $5::text[] /* errors */, $6::timestamptz[] /* ats */)
    AS i (session_id, stanza_id, state, error_status, error, at)
WHERE r.session_id = i.session_id AND r.stanza_id = i.stanza_id AND r.stanza_id IS NOT NULL
    AND r.state >= 2 AND {FORWARD}"
    )
}

// `target` is null where a batch only starts a queue, holds it or paces it. A resumed queue that never started goes back to queued.
const QUEUES: &str = "-- commit::queues
WITH i AS (
    SELECT q.id, i.start, i.target, i.held_for, i.delay_min, i.delay_max, i.stands, i.waiting, CASE
            WHEN i.target IS NULL AND NOT i.start THEN q.state
            WHEN i.target IN (2, 3, 4) THEN i.target
            WHEN i.target = 1 AND (i.start OR q.started_at IS NOT NULL) THEN 1
            WHEN i.target = 1 THEN 0
            WHEN q.state = 2 THEN 2
            ELSE 1
        END AS state
    FROM unnest($1::uuid[] /* queues */, $2::bool[] /* starts */, $3::smallint[] /* targets */, $4::int[] /* held */,
        $5::int[] /* mins */, $6::int[] /* maxs */, $7::bool[] /* stood */, $8::jsonb[] /* waiting */)
        AS i (id, start, target, held_for, delay_min, delay_max, stands, waiting)
    JOIN queue q ON q.id = i.id
    WHERE q.state < 3)
UPDATE queue q SET state = i.state,
    held_for    = coalesce(i.held_for, q.held_for),
    waiting     = CASE WHEN i.stands THEN i.waiting WHEN i.target IS NULL THEN q.waiting END,
    moved_at    = CASE WHEN i.target = 1 THEN clock_timestamp() ELSE q.moved_at END,
    account     = CASE WHEN i.start
                       THEN coalesce(q.account, (SELECT split_part(s.jid, '@', 1) FROM session s WHERE s.id = q.session_id))
                       ELSE q.account END,
    delay_min_ms = coalesce(i.delay_min, q.delay_min_ms),
    delay_max_ms = coalesce(i.delay_max, q.delay_max_ms),
    started_at  = CASE WHEN i.start THEN coalesce(q.started_at, clock_timestamp()) ELSE q.started_at END,
    paused_at   = CASE WHEN i.state = 2 THEN coalesce(q.paused_at, clock_timestamp()) END,
    finished_at = CASE WHEN i.state IN (3, 4) THEN clock_timestamp() END
FROM i WHERE q.id = i.id";

const REJECTIONS: &str = "-- commit::rejections
INSERT INTO send_request (session_id, queue_id, job_id, message_id, code, field, reason)
SELECT DISTINCT ON (session_id, queue_id, job_id) session_id, queue_id, job_id, message_id, code, field, reason
FROM unnest($1::bigint[] /* sessions */, $2::uuid[] /* queues */, $3::text[] /* jobs */, $4::text[] /* messages */,
    $5::text[] /* codes */, $6::text[] /* fields */, $7::text[] /* reasons */)
    AS i (session_id, queue_id, job_id, message_id, code, field, reason)
ON CONFLICT (session_id, queue_id, job_id) DO UPDATE SET message_id = excluded.message_id,
    recorded_at = excluded.recorded_at, code = excluded.code, field = excluded.field, reason = excluded.reason";

// What each send moves.
const PACES: &str = "-- commit::paces
UPDATE session s SET
    next_send_at  = coalesce(i.next_send_at, s.next_send_at),
    paced_by      = coalesce(i.paced_by, s.paced_by),
    last_sequence = greatest(i.last_sequence, s.last_sequence)
FROM unnest($1::bigint[] /* sessions */, $2::timestamptz[] /* next_send_ats */, $3::bigint[] /* sequences */,
    $4::uuid[] /* paced_bys */) AS i (id, next_send_at, last_sequence, paced_by)
WHERE s.id = i.id";

// The rest of a session, which moves now and then.
const SESSIONS: &str = "-- commit::sessions
UPDATE session s SET
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
    passkey         = CASE WHEN (i.patch->>'forget_passkey')::boolean THEN NULL ELSE coalesce(i.patch->'passkey', s.passkey) END,
    close_reason    = CASE WHEN (i.patch->>'state')::smallint = 3 THEN NULL
                           ELSE coalesce((i.patch->>'close_reason')::smallint, s.close_reason) END,
    refused         = CASE WHEN i.patch->>'state' IS NULL THEN s.refused ELSE (i.patch->>'refused')::boolean END,
    deleting_at     = CASE WHEN (i.patch->>'deleting')::boolean THEN coalesce(s.deleting_at, clock_timestamp())
                           ELSE s.deleting_at END,
    presence        = CASE WHEN (i.patch->>'forget_presence')::boolean THEN NULL
                           ELSE coalesce((i.patch->>'presence')::smallint, s.presence) END,
    proxy           = CASE WHEN (i.patch->>'forget_proxy')::boolean THEN NULL
                           ELSE coalesce(decode(i.patch#>>'{proxy,sealed}', 'hex'), s.proxy) END,
    proxy_address   = CASE WHEN (i.patch->>'forget_proxy')::boolean THEN NULL
                           ELSE coalesce(i.patch#>>'{proxy,address}', s.proxy_address) END,
    calls           = coalesce((i.patch->>'calls')::smallint, s.calls),
    restriction      = CASE WHEN (i.patch->>'lifted')::boolean OR (i.patch->>'forget_owner')::boolean THEN NULL
                            ELSE coalesce((i.patch#>>'{restriction,kind}')::smallint, s.restriction) END,
    restricted_since = CASE WHEN (i.patch->>'lifted')::boolean OR (i.patch->>'forget_owner')::boolean THEN NULL
                            ELSE coalesce(to_timestamp((i.patch#>>'{restriction,since}')::float8), s.restricted_since) END,
    restricted_until = CASE WHEN (i.patch->>'lifted')::boolean OR (i.patch->>'forget_owner')::boolean THEN NULL
                            ELSE coalesce(to_timestamp((i.patch#>>'{restriction,until}')::float8), s.restricted_until) END,
    restricted_why   = CASE WHEN i.patch->'restriction' IS NOT NULL THEN i.patch#>>'{restriction,why}'
                            WHEN (i.patch->>'lifted')::boolean OR (i.patch->>'forget_owner')::boolean THEN NULL
                            ELSE s.restricted_why END,
    restrictions     = coalesce((i.patch->>'restrictions')::int, s.restrictions),
    rate_limited_until = coalesce(to_timestamp((i.patch->>'rate_limited_until')::float8), s.rate_limited_until),
    look_ups         = coalesce((i.patch->>'look_ups')::int, s.look_ups),
    look_ups_since   = coalesce(to_timestamp((i.patch->>'look_ups_since')::float8), s.look_ups_since),
    look_up_at       = coalesce(to_timestamp((i.patch->>'look_up_at')::float8), s.look_up_at),
    updated_at      = clock_timestamp()
FROM unnest($1::bigint[] /* sessions */, $2::jsonb[] /* patches */) AS i (id, patch)
WHERE s.id = i.id";

const RECEIVED: &str = "-- commit::received
INSERT INTO received_media (session_id, message_id, chat, participant, from_me, kind, mimetype, file_name, length, media_key,
    sha256, enc_sha256, direct_path, received_at, expires_at)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* messages */, $3::text[] /* chats */,
    $4::text[] /* participants */, $5::boolean[] /* from_me */, $6::smallint[] /* kinds */, $7::text[] /* mimetypes */,
    $8::text[] /* names */, $9::bigint[] /* lengths */, $10::bytea[] /* keys */, $11::bytea[] /* sha256s */,
    $12::bytea[] /* enc_sha256s */, $13::text[] /* paths */, $14::timestamptz[] /* received */,
    $15::timestamptz[] /* expire */)
ON CONFLICT DO NOTHING";

const POLLS: &str = "-- commit::polls
INSERT INTO received_poll (session_id, message_id, chat, creator, secret, options, selectable, received_at, expires_at)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* messages */, $3::text[] /* chats */, $4::text[] /* creators */,
    $5::bytea[] /* secrets */, $6::jsonb[] /* options */, $7::int[] /* selectable */, $8::timestamptz[] /* received */,
    $9::timestamptz[] /* expire */)
ON CONFLICT DO NOTHING";

const OUTBOX: &str = "-- commit::outbox
INSERT INTO outbox (shard, event_id, token, event, body, traceparent)
SELECT shard, event_id, token, event, body, traceparent
FROM unnest($1::smallint[] /* shards */, $2::uuid[] /* ids */, $3::text[] /* tokens */, $4::text[] /* events */,
    $5::text[] /* bodies */, $6::text[] /* traceparents */) WITH ORDINALITY
    AS i (shard, event_id, token, event, body, traceparent, n)
ORDER BY n";
