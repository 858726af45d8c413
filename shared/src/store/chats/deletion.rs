//! A chat, or a person, is forgotten at once.

use crate::id::{QueueId, SessionId};
use crate::store::keys::KeyKind;
use crate::store::leases::{self, Fence};
use crate::store::{Store, StoreError};

/// Most messages that one transaction removes.
const PIECE: i64 = 10_000;

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Forgotten {
    /// Messages that came in, or were written on other devices.
    pub messages: u64,
    /// Recipients of queues that are finished: those of a queue of theirs alone went with it, of others the number did.
    pub recipients: u64,
    /// Records of the protocol library.
    pub records: u64,
}

/// A person, by all their names that are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Person {
    /// Jids: by number, by hidden id.
    pub jids: Vec<String>,
    /// What the protocol library keeps of them. Nobody may be at work with it.
    pub records: Vec<(KeyKind, Vec<u8>)>,
}

/// Forgets a chat with its messages and the keys of their files, piece by piece; who wrote there stays known. What Fanfare sent
/// there is kept with its queues, and lists the chat no more until it is written to again. Done again it changes nothing.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`].
pub async fn forget_chat(
    store: &Store,
    fence: Fence,
    session: SessionId,
    names: &[String],
) -> Result<Forgotten, StoreError> {
    let chat = "-- chats::forget\nDELETE FROM chat WHERE session_id = $1 /* session */ AND jid = ANY ($2 /* names */)";
    let messages = "-- messages::forget
        DELETE FROM message WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM message WHERE session_id = $1 /* session */ AND chat = ANY ($2 /* names */) LIMIT $3 /* most */))";
    let files = "-- received::forget
        DELETE FROM received_media WHERE session_id = $1 /* session */ AND chat = ANY ($2 /* names */)";
    let polls = "-- polls::forget
        DELETE FROM received_poll WHERE session_id = $1 /* session */ AND chat = ANY ($2 /* names */)";
    let cleared = "-- chats::forget (cleared)
        INSERT INTO chat_cleared (session_id, jid, at)
        SELECT $1, n, clock_timestamp() FROM unnest($2::text[] /* names */) n
        WHERE EXISTS (SELECT 1 FROM recipient r WHERE r.session_id = $1 /* session */ AND r.stanza_id IS NOT NULL
            AND coalesce(r.addressee, r.number) = regexp_replace(n, '@s\\.whatsapp\\.net$', ''))
        ON CONFLICT (session_id, jid) DO UPDATE SET at = excluded.at";
    let mut forgotten = Forgotten::default();
    loop {
        let tx = store.begin("forget_chat").await?;
        leases::hold(&tx, fence).await?;
        let gone = tx.execute(messages, &[&session.get(), &names, &PIECE]).await?;
        tx.execute(files, &[&session.get(), &names]).await?;
        tx.execute(polls, &[&session.get(), &names]).await?;
        tx.execute(chat, &[&session.get(), &names]).await?;
        tx.execute(cleared, &[&session.get(), &names]).await?;
        tx.commit().await?;
        forgotten.messages += gone;
        if gone < PIECE.unsigned_abs() {
            return Ok(forgotten);
        }
    }
}

/// A queue that is not finished and has this person among its recipients, if there is one.
pub async fn unfinished_queue(
    store: &Store,
    session: SessionId,
    person: &Person,
) -> Result<Option<QueueId>, StoreError> {
    let sql = "-- people::unfinished_queue
        SELECT q.id FROM queue q WHERE q.session_id = $1 /* session */ AND q.finished_at IS NULL AND EXISTS (
            SELECT 1 FROM recipient r WHERE r.queue_id = q.id
              AND (r.number = ANY ($2 /* names */) OR r.addressee = ANY ($2)))
        LIMIT 1";
    let row = store
        .query_opt(sql, &[&session.get(), &person.as_recipients()])
        .await?;
    row.map(|row| Ok(QueueId::new(row.try_get(0)?))).transpose()
}

/// Forgets a person: the chat, what they wrote in groups, their name, their number in queues that are finished, and their
/// records.
///
/// A queue that went to them alone goes, with what it said; of others the number does: they count one who is nobody.
///
/// # Errors
/// [`StoreError::Fenced`], [`StoreError::Unavailable`].
pub async fn forget_person(
    store: &Store,
    fence: Fence,
    session: SessionId,
    person: &Person,
) -> Result<Forgotten, StoreError> {
    let mut forgotten = forget_chat(store, fence, session, &person.jids).await?;
    let (id, jids, names) = (session.get(), &person.jids, person.as_recipients());
    let tx = store.begin("forget_person").await?;
    leases::hold(&tx, fence).await?;
    let in_groups = "-- people::forget (messages)
        DELETE FROM message WHERE session_id = $1 /* session */ AND sender = ANY ($2 /* jids */)";
    let files = "-- people::forget (files)
        DELETE FROM received_media WHERE session_id = $1 /* session */ AND participant = ANY ($2 /* jids */)";
    let polls = "-- people::forget (polls)
        DELETE FROM received_poll WHERE session_id = $1 /* session */ AND creator = ANY ($2 /* jids */)";
    let last = "-- people::forget (chats)
        UPDATE chat SET last_text = NULL, last_sender = '' WHERE session_id = $1 /* session */ AND last_sender = ANY ($2 /* jids */)";
    let contact = "-- people::forget (contact)
        DELETE FROM contact WHERE session_id = $1 /* session */ AND (jid = ANY ($2 /* jids */) OR lid = ANY ($2))";
    let state = "-- people::forget (state)
        DELETE FROM chat_state WHERE session_id = $1 /* session */ AND jid = ANY ($2 /* jids */)";
    let labels = "-- people::forget (labels)
        DELETE FROM label_given WHERE session_id = $1 /* session */ AND jid = ANY ($2 /* jids */)";
    let cleared = "-- people::forget (cleared)
        DELETE FROM chat_cleared WHERE session_id = $1 /* session */ AND jid = ANY ($2 /* jids */)";
    let alone = format!(
        "-- people::forget (queues)
        WITH {THEIRS}, gone AS (
            DELETE FROM queue q USING theirs t WHERE q.id = t.queue_id AND q.total = 1 RETURNING q.id)
        DELETE FROM recipient r USING gone WHERE r.queue_id = gone.id"
    );
    let among = format!(
        "-- people::forget (recipients)
        WITH {THEIRS}
        UPDATE recipient r SET number = '{NOBODY}', addressee = NULL, reference = NULL, variables = NULL
        FROM theirs t WHERE r.queue_id = t.queue_id AND r.seq = t.seq"
    );
    forgotten.messages += tx.execute(in_groups, &[&id, jids]).await?;
    tx.execute(files, &[&id, jids]).await?;
    tx.execute(polls, &[&id, jids]).await?;
    tx.execute(last, &[&id, jids]).await?;
    tx.execute(contact, &[&id, jids]).await?;
    tx.execute(state, &[&id, jids]).await?;
    tx.execute(labels, &[&id, jids]).await?;
    tx.execute(cleared, &[&id, jids]).await?;
    forgotten.recipients += tx.execute(&alone, &[&id, &names]).await?;
    forgotten.recipients += tx.execute(&among, &[&id, &names]).await?;
    let records = "-- people::forget (records)
        DELETE FROM device_key k USING unnest($2::smallint[] /* kinds */, $3::bytea[] /* names */) AS w (kind, name)
        WHERE k.session_id = $1 /* session */ AND k.kind = w.kind AND k.name = w.name";
    let kinds: Vec<i16> = person.records.iter().map(|(kind, _)| i16::from(kind.0)).collect();
    let named: Vec<&[u8]> = person.records.iter().map(|(_, name)| name.as_slice()).collect();
    forgotten.records = tx.execute(records, &[&id, &kinds, &named]).await?;
    tx.commit().await?;
    Ok(forgotten)
}

/// The recipients of finished queues that go by these names. Each part has an index of its own, but for the recipients of deleted
/// queues that nothing was tried for: those queues are looked through.
const THEIRS: &str = "found AS (
        SELECT queue_id, seq FROM recipient
        WHERE session_id = $1 /* session */ AND coalesce(addressee, number) = ANY ($2 /* names */) AND stanza_id IS NOT NULL
        UNION
        SELECT queue_id, seq FROM recipient
        WHERE session_id = $1 AND coalesce(addressee, number) = ANY ($2)
          AND stanza_id IS NULL AND (error_status IS NOT NULL OR addressee IS NOT NULL)
        UNION
        SELECT queue_id, seq FROM recipient
        WHERE session_id = $1 AND number = ANY ($2) AND addressee IS NOT NULL
        UNION
        SELECT r.queue_id, r.seq FROM queue q JOIN recipient r ON r.queue_id = q.id
        WHERE q.session_id = $1 AND q.state = 4 AND r.number = ANY ($2)),
    theirs AS (
        SELECT f.queue_id, f.seq FROM found f JOIN queue q ON q.id = f.queue_id WHERE q.finished_at IS NOT NULL)";

/// What stands in place of a number that was forgotten: a hidden id that nobody has.
pub const NOBODY: &str = "0@lid";

impl Person {
    /// What recipients are stored under: a number without its server.
    fn as_recipients(&self) -> Vec<String> {
        let name = |jid: &String| jid.strip_suffix("@s.whatsapp.net").unwrap_or(jid).to_owned();
        self.jids.iter().map(name).collect()
    }
}
