//! What is kept by a hidden id beside chats, once the number is known: who wrote in groups, and what has labels.
//!
//! Every statement finds its rows by an index, and may be done again.

use tokio_postgres::{Client, Statement};

use crate::store::StoreError;

/// Most messages in groups that one batch renames, the newest first. Who wrote more is joined again with the next lease of the
/// session, and the next of their messages takes the rest along.
const SENDER_MAX: i64 = 2_000;

/// The statements, prepared on one connection. Each takes sessions, hidden ids and jids.
pub(super) struct Statements {
    pub(super) senders: Statement,
    pub(super) labels: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            senders: client.prepare(&senders()).await?,
            labels: client.prepare(LABELS).await?,
        })
    }
}

// What is there by both names stays once. A chat shows the sender of its last message.
fn senders() -> String {
    format!(
        "-- commit::senders_joined
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* lids */, $3::text[] /* jids */)
        AS i (session_id, lid, jid)),
found AS (
    SELECT m.ctid AS place, i.jid AS writer FROM i CROSS JOIN LATERAL (
        SELECT ctid FROM message
        WHERE session_id = i.session_id AND sender = i.lid AND sender LIKE '%@lid'
        ORDER BY at DESC LIMIT {SENDER_MAX}) m),
old AS (
    DELETE FROM message m USING found f WHERE m.ctid = f.place RETURNING m.*, f.writer),
moved AS (
    INSERT INTO message (session_id, chat, id, from_me, sender, at, push_name, kind, body, said, words, target,
        edited_at, deleted_at, secret)
    SELECT session_id, chat, id, from_me, writer, at, push_name, kind, body, said, words, target, edited_at, deleted_at,
        secret
    FROM old ON CONFLICT DO NOTHING)
UPDATE chat c SET last_sender = o.writer FROM old o
WHERE c.session_id = o.session_id AND c.jid = o.chat AND c.last_id = o.id AND c.last_sender = o.sender"
    )
}

const LABELS: &str = "-- commit::labels_joined
WITH old AS (
    DELETE FROM label_given g
    USING unnest($1::bigint[] /* sessions */, $2::text[] /* lids */, $3::text[] /* jids */) AS i (session_id, lid, jid)
    WHERE g.session_id = i.session_id AND g.jid = i.lid
    RETURNING g.session_id, i.jid, g.message_id, g.label_id)
INSERT INTO label_given (session_id, jid, message_id, label_id) SELECT session_id, jid, message_id, label_id FROM old
ON CONFLICT DO NOTHING";
