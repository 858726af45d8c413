//! Old messages are forgotten after a while, and chats in which nothing is left.

use time::OffsetDateTime;

use crate::store::{Store, StoreError};

/// Forgets messages that were sent before `before`, the oldest of each session first, at most so many in a call, and then
/// chats whose newest message was, and what is noted of deleted ones to which nothing is left; says how many rows went, `None` when nothing is that old.
///
/// Needs no lease: nothing but a change of a message's words is lost with it, and its event was told.
pub async fn forget_old(store: &Store, before: OffsetDateTime, most: u32) -> Result<Option<u64>, StoreError> {
    // A look into an index for each session: no index of all messages by age alone has to be kept.
    let messages = "-- messages::forget_old
        DELETE FROM message WHERE ctid = ANY (ARRAY(
            SELECT m.ctid FROM session s CROSS JOIN LATERAL (
                SELECT o.ctid FROM message o WHERE o.session_id = s.id AND o.at < $1 /* before */
                ORDER BY o.at, o.id LIMIT $2 /* most */) m
            LIMIT $2))";
    let chats = "-- chats::forget_old
        DELETE FROM chat WHERE ctid = ANY (ARRAY(
            SELECT c.ctid FROM session s CROSS JOIN LATERAL (
                SELECT o.ctid FROM chat o WHERE o.session_id = s.id AND o.last_at < $1 /* before */
                ORDER BY o.last_at, o.jid LIMIT $2 /* most */) c
            LIMIT $2))";
    let cleared = "-- chats::forget_old (cleared)
        DELETE FROM chat_cleared WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM chat_cleared d WHERE d.at < $1 /* before */ AND NOT EXISTS (
                SELECT 1 FROM recipient r WHERE r.session_id = d.session_id AND r.stanza_id IS NOT NULL
                  AND coalesce(r.addressee, r.number) = regexp_replace(d.jid, '@s\\.whatsapp\\.net$', ''))
            LIMIT $2 /* most */))";
    let limit = i64::from(most);
    let mut forgotten = store.execute(messages, &[&before, &limit]).await?;
    if forgotten < u64::from(most) {
        forgotten += store.execute(chats, &[&before, &limit]).await?;
        forgotten += store.execute(cleared, &[&before, &limit]).await?;
    }
    Ok((forgotten > 0).then_some(forgotten))
}
