//! The chats of a session, newest first: those in which something came in, and those that only Fanfare wrote to.

use tokio_postgres::Row;

use super::PAGE_MAX;
use super::change::Peer;
use super::deletion::NOBODY;
use super::place::{self, Place, SentPlace, Start, Walked};
use super::record::{self, ChatRecord, Found};
use crate::id::{QueueId, SessionId};
use crate::store::{Store, StoreError};

/// Most recipients, and queues, that one page looks at: a page may be short, and go on.
const WALK_MAX: i64 = 5_000;

/// Which chats are listed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// Those in which something came in, or was written on another device of the account.
    Received,
}

/// The names under which a chat's recipients are stored: a number without its server, all else as it is.
const RECIPIENTS: &str =
    "ARRAY[CASE WHEN c.jid LIKE '%@s.whatsapp.net' THEN split_part(c.jid, '@', 1) ELSE c.jid END,
    coalesce(c.lid, c.jid)]";

/// A recipient `r` that Fanfare wrote to.
pub(super) const WRITTEN: &str = "r.stanza_id IS NOT NULL AND r.state IN (1, 2, 3, 4, 7)";
/// What a queue `q` says about another message is no message of a chat.
pub(super) const SAYS_SOMETHING: &str = "q.content->>'type' <> ALL ('{reaction,edit,delete,vote}')";

/// What is asked of the list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing<'a> {
    /// Which chats.
    pub which: Which,
    /// Only those whose number or name has these letters in it.
    pub letters: Option<&'a str>,
    /// Behind this place.
    pub before: Option<&'a Place>,
    /// At most so many, and no more than [`PAGE_MAX`].
    pub limit: u32,
}

/// A page of chats, newest first. It may have fewer chats than it could, even none, and another one behind it.
pub async fn list(
    store: &Store,
    session: SessionId,
    listing: Listing<'_>,
) -> Result<Found<ChatRecord, Place>, StoreError> {
    let (start, limit) = (Start::of(listing.before), listing.limit.min(PAGE_MAX));
    let page = (&start, limit);
    let kept = received(store, session, listing.letters, page).await?;
    let sent = match listing.which {
        Which::All => written(store, session, listing.letters, page).await?,
        Which::Received => Walked {
            rows: Vec::new(),
            end: None,
        },
    };
    let kept = kept.into_iter().map(|chat| {
        let place = Place::Kept(chat.last_at, chat.jid.clone());
        (place, chat)
    });
    Ok(place::merge(kept.collect(), sent, limit))
}

/// The newest chats of a session, at most so many.
pub async fn newest(store: &Store, session: SessionId, most: u32) -> Result<Vec<ChatRecord>, StoreError> {
    let (mut chats, mut before): (Vec<ChatRecord>, Option<Place>) = (Vec::new(), None);
    for _ in 0..NEWEST_PAGES {
        let found = u32::try_from(chats.len()).unwrap_or(u32::MAX);
        let listing = Listing {
            before: before.as_ref(),
            limit: most.saturating_sub(found),
            ..Listing::default()
        };
        let page = list(store, session, listing).await?;
        chats.extend(page.rows);
        before = page.next;
        if before.is_none() || chats.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(chats)
}

/// Most pages that [`newest`] reads.
const NEWEST_PAGES: u32 = 20;

/// The chat with somebody or of a group, by any of its names.
pub async fn find(store: &Store, session: SessionId, jid: &str) -> Result<Option<ChatRecord>, StoreError> {
    let sql = read(
        "chats::find",
        "(c.jid = $2 /* jid */ OR c.lid = $2)",
        "ORDER BY c.jid = $2 DESC LIMIT 1",
    );
    let row = store.query_opt(&sql, &[&session.get(), &jid]).await?;
    match row {
        Some(row) => Ok(Some(record::chat(&row)?)),
        None => find_written(store, session, &super::names(store, session, jid).await?).await,
    }
}

/// One more than a page, of the chats in which something came in.
async fn received(
    store: &Store,
    session: SessionId,
    letters: Option<&str>,
    (start, limit): (&Start, u32),
) -> Result<Vec<ChatRecord>, StoreError> {
    let sql = read(
        "chats::list",
        "($2::timestamptz IS NULL OR (c.last_at, c.jid) < ($2 /* time */, $3::text /* jid */))
          AND ($4::text IS NULL OR strpos(lower(coalesce(c.name, k.saved_name, k.name, '')), lower($4 /* letters */)) > 0
               OR strpos(c.jid, $4) > 0)",
        "ORDER BY c.last_at DESC, c.jid DESC LIMIT $5 /* limit */",
    );
    let limit = i64::from(limit) + 1;
    let rows = store
        .query(
            &sql,
            &[&session.get(), &start.time, &start.name, &letters, &limit],
        )
        .await?;
    rows.iter().map(record::chat).collect()
}

/// Reads chats, each with the newest message that Fanfare sent there: `chat c` with its contact `k`. What came in before the
/// last that Fanfare sent is read; a send does not write that down, so it is counted here.
fn read(name: &str, condition: &str, order: &str) -> String {
    format!(
        "-- {name}
        SELECT c.*, {STATE}, o.*, f.fresh FROM (
            SELECT c.session_id, c.jid, c.lid, coalesce(c.name, k.saved_name, k.name) AS name, c.unread, c.last_at, c.last_id,
                c.last_from_me, c.last_sender, c.last_kind, c.last_text
            FROM chat c LEFT JOIN contact k ON k.session_id = c.session_id AND k.jid = c.jid
            WHERE c.session_id = $1 /* session */ AND {condition}
            {order}) c
        LEFT JOIN LATERAL (
            SELECT r.stanza_id, r.state, r.sent_at, r.variables, q.content FROM recipient r JOIN queue q ON q.id = r.queue_id
            WHERE r.session_id = c.session_id AND coalesce(r.addressee, r.number) = ANY ({RECIPIENTS})
              AND r.stanza_id IS NOT NULL AND r.sent_at > c.last_at AND {SAYS_SOMETHING}
            ORDER BY r.sent_at DESC LIMIT 1) o ON true
        LEFT JOIN LATERAL (
            SELECT max(r.sent_at) AS at FROM recipient r JOIN queue q ON q.id = r.queue_id
            WHERE c.unread > 0 AND o.stanza_id IS NULL
              AND r.session_id = c.session_id AND coalesce(r.addressee, r.number) = ANY ({RECIPIENTS})
              AND r.stanza_id IS NOT NULL AND {SAYS_SOMETHING}) a ON true
        LEFT JOIN LATERAL (
            SELECT count(*)::int AS fresh FROM (
                SELECT 1 FROM message m
                WHERE m.session_id = c.session_id AND m.chat = c.jid AND m.target IS NULL AND NOT m.from_me AND m.at > a.at
                LIMIT c.unread) m) f ON a.at IS NOT NULL
        {}
        ORDER BY c.last_at DESC, c.jid DESC",
        state("c.session_id", "c.jid", "c.lid")
    )
}

/// What the account's devices agree on about a chat.
const STATE: &str =
    "coalesce(s.archived, false) AS archived, s.pinned_at, coalesce(s.muted, false) AS muted, s.muted_until,
    coalesce(s.marked_unread, false) AS marked_unread, l.labels";

/// Where that is read from: `s` and its labels `l`, by whichever of its names they are kept.
fn state(session: &str, jid: &str, lid: &str) -> String {
    format!(
        "LEFT JOIN LATERAL (
            SELECT * FROM chat_state s WHERE s.session_id = {session} AND s.jid IN ({jid}, {lid})
            ORDER BY s.jid = {jid} DESC LIMIT 1) s ON true
        CROSS JOIN LATERAL (
            SELECT ARRAY(SELECT DISTINCT g.label_id FROM label_given g
                WHERE g.session_id = {session} AND g.jid IN ({jid}, {lid}) AND g.message_id = ''
                ORDER BY g.label_id) AS labels) l"
    )
}

/// A chat that only Fanfare wrote to.
async fn find_written(
    store: &Store,
    session: SessionId,
    names: &Peer,
) -> Result<Option<ChatRecord>, StoreError> {
    let sql = format!(
        "-- chats::find_written
        SELECT $3::text AS jid, $4::text AS lid, coalesce(k.saved_name, k.name) AS name, q.created_at, r.stanza_id, r.state,
            coalesce(r.sent_at, q.created_at) AS sent_at, r.variables, q.content, {STATE}
        FROM recipient r JOIN queue q ON q.id = r.queue_id
        LEFT JOIN contact k ON k.session_id = $1 AND k.jid = $3 /* jid */
        {}
        WHERE r.session_id = $1 /* session */ AND coalesce(r.addressee, r.number) = ANY ($2 /* names */)
          AND {WRITTEN} AND q.started_at IS NOT NULL AND {SAYS_SOMETHING}
          AND NOT EXISTS (SELECT 1 FROM chat_cleared d
              WHERE d.session_id = $1 AND d.jid = $3 AND d.at >= q.created_at)
        ORDER BY q.created_at DESC, q.id DESC, r.seq DESC LIMIT 1",
        state("$1", "$3::text", "$4::text")
    );
    let recipients = names.as_recipients();
    let row = store
        .query_opt(&sql, &[&session.get(), &recipients, &names.jid, &names.lid])
        .await?;
    row.as_ref().map(record::sent_chat).transpose()
}

/// A page of the chats that only Fanfare wrote to, each at the place of the newest message there.
///
/// Recipients are walked from the newest queue to the oldest, as far as a page may look, so that neither the list nor a send
/// needs an index of messages by their times.
async fn written(
    store: &Store,
    session: SessionId,
    letters: Option<&str>,
    (start, limit): (&Start, u32),
) -> Result<Walked<ChatRecord>, StoreError> {
    let limit = i64::from(limit) + 1;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] = [
        &session.get(),
        &start.time,
        &start.queue,
        &start.seq,
        &letters,
        &limit,
        &WALK_MAX,
        &NOBODY,
    ];
    let rows = store.query(&walk(), &parameters).await?;
    let mut walked = Walked {
        rows: Vec::with_capacity(rows.len()),
        end: None,
    };
    for row in &rows {
        let place = sent_place(row)?;
        match row.try_get::<_, Option<String>>("jid")? {
            Some(_) => walked.rows.push((place, record::sent_chat(row)?)),
            None => walked.end = Some(place),
        }
    }
    if walked.rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
        // The page ends before the walk did.
        walked.end = None;
    }
    Ok(walked)
}

/// Where a row of a walk is; that of a queue with nothing to see is behind all of it.
pub(super) fn sent_place(row: &Row) -> Result<SentPlace, StoreError> {
    let seq: Option<i32> = row.try_get("seq")?;
    Ok(SentPlace {
        asked_at: row.try_get("created_at")?,
        queue: QueueId::new(row.try_get("queue_id")?),
        seq: seq.unwrap_or_default().unsigned_abs(),
    })
}

/// The rows of a page of [`written`], and one without a jid for how far was looked, if that was not all.
fn walk() -> String {
    format!(
        "-- chats::list_written
        WITH w AS MATERIALIZED (
            SELECT q.id AS queue_id, q.created_at, r.seq, r.name
            FROM (SELECT id, created_at FROM queue q
                WHERE session_id = $1 /* session */ AND started_at IS NOT NULL AND {SAYS_SOMETHING}
                  AND ($2::timestamptz IS NULL OR (created_at, id) <= ($2 /* time */, $3::uuid /* queue */))
                ORDER BY created_at DESC, id DESC LIMIT $7 /* most */) q
            LEFT JOIN LATERAL (
                SELECT seq, coalesce(addressee, number) AS name FROM recipient r
                WHERE queue_id = q.id AND {WRITTEN} AND (q.id <> $3 OR seq < $4 /* seq */)
                ORDER BY seq DESC LIMIT $7) r ON true
            ORDER BY q.created_at DESC, q.id DESC, r.seq DESC NULLS LAST LIMIT $7),
        n AS (
            SELECT w.*, row_number() OVER (PARTITION BY name ORDER BY created_at DESC, queue_id DESC, seq DESC) AS nth,
                CASE WHEN strpos(name, '@') = 0 THEN name || '@s.whatsapp.net' ELSE name END AS jid
            FROM w),
        fresh AS (
            SELECT n.queue_id, n.created_at, n.seq, n.jid, k.lid, coalesce(k.saved_name, k.name) AS name
            FROM n LEFT JOIN contact k ON k.session_id = $1 AND k.jid = n.jid
            WHERE n.nth = 1 AND n.name IS NOT NULL AND n.name <> $8::text /* nobody */
              AND ($5::text IS NULL OR strpos(n.name, $5 /* letters */) > 0
                   OR strpos(lower(coalesce(k.saved_name, k.name, '')), lower($5)) > 0)
              AND NOT EXISTS (SELECT 1 FROM chat c WHERE c.session_id = $1 AND c.jid = n.jid)
              AND NOT (n.jid LIKE '%@lid' AND n.jid IN (SELECT lid FROM chat WHERE session_id = $1 AND lid IS NOT NULL))
              AND NOT EXISTS (SELECT 1 FROM chat_cleared d
                  WHERE d.session_id = $1 AND d.jid = n.jid AND d.at >= n.created_at)
              AND ($2 IS NULL OR NOT EXISTS (
                  SELECT 1 FROM recipient r JOIN queue q ON q.id = r.queue_id
                  WHERE r.session_id = $1 AND coalesce(r.addressee, r.number) = n.name
                    AND {WRITTEN} AND q.started_at IS NOT NULL AND {SAYS_SOMETHING} AND (q.created_at, q.id, r.seq) >= ($2, $3, $4)))
            ORDER BY n.created_at DESC, n.queue_id DESC, n.seq DESC LIMIT $6 /* limit */),
        looked AS (
            SELECT queue_id, created_at, seq FROM w
            WHERE (SELECT count(*) = $7 OR count(DISTINCT queue_id) = $7 FROM w)
            ORDER BY created_at, queue_id, seq NULLS FIRST LIMIT 1)
        SELECT f.*, r.stanza_id, r.state, coalesce(r.sent_at, f.created_at) AS sent_at, r.variables, q.content, {STATE}
        FROM fresh f JOIN recipient r ON r.queue_id = f.queue_id AND r.seq = f.seq JOIN queue q ON q.id = f.queue_id
        {}
        UNION ALL
        SELECT queue_id, created_at, seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, false, NULL, false, NULL
        FROM looked
        ORDER BY 2 DESC, 1 DESC, 3 DESC NULLS LAST",
        state("$1", "f.jid", "f.lid")
    )
}
