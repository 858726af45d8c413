//! The messages of a chat: newest first, in pages.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PAGE_MAX;
use super::change::{ANYBODY, Peer, VOTE, words};
use crate::content::{Body, Content};
use crate::id::{QueueId, SessionId};
use crate::store::recipients::{RecipientState, told};
use crate::store::{Store, StoreError};

/// A message of a chat.
#[derive(Clone, PartialEq)]
pub struct KeptMessage {
    /// Its id.
    pub id: String,
    /// The chat's jid.
    pub chat: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Who wrote it, in a group; empty elsewhere.
    pub sender: String,
    /// The name that they went by.
    pub push_name: Option<String>,
    /// When it was sent; of one that is to be sent, when that was asked for.
    pub at: OffsetDateTime,
    /// Its kind, as events tell it.
    pub kind: String,
    /// What events tell of it, as JSON; `None` if it was deleted for everyone or too large.
    pub body: Option<String>,
    /// Its words.
    pub words: Option<String>,
    /// When its sender changed it last.
    pub edited_at: Option<OffsetDateTime>,
    /// When it was deleted for everyone.
    pub deleted_at: Option<OffsetDateTime>,
    /// Who reacted, and how.
    pub reactions: Vec<Reaction>,
    /// Its queue and how it stands, if Fanfare sent it.
    pub sent: Option<(QueueId, RecipientState)>,
}

impl std::fmt::Debug for KeptMessage {
    /// What was said is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptMessage({}, {:?})", self.kind, self.sent)
    }
}

/// A reaction to a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reaction {
    /// Whose; empty for the other side of a chat between two, and for the account.
    pub sender: String,
    /// Whether it is the account's.
    pub from_me: bool,
    /// The emoji.
    pub text: String,
}

/// A message's place in a list: when it was sent, and its id.
pub type Place = (OffsetDateTime, String);

/// A message `m` that no device of the account deleted with the others of its chat.
pub(super) const SHOWN: &str = "NOT EXISTS (
    SELECT 1 FROM chat_state s WHERE s.session_id = m.session_id AND s.jid = m.chat AND s.cleared_at >= m.at)";

/// What is read of a message `m`.
pub(super) const COLUMNS: &str =
    "m.id, m.chat, m.from_me, m.sender, m.push_name, m.at, m.kind, m.body, m.said, m.edited_at, m.deleted_at";

/// The messages of a chat, those that Fanfare sent among them: newest first, behind `before`. `names` are its jid and the
/// hidden id.
pub async fn of_chat(
    store: &Store,
    session: SessionId,
    names: &Peer,
    before: Option<&Place>,
    limit: u32,
) -> Result<Vec<KeptMessage>, StoreError> {
    let jid = names.jid.as_str();
    // What Fanfare sent is told by its recipient's row alone, even where a history tells of it too.
    let sql = format!(
        "-- messages::of_chat
        SELECT * FROM (
            (SELECT {COLUMNS}, NULL::uuid AS queue_id, NULL::smallint AS state, NULL::jsonb AS variables,
                NULL::jsonb AS content
            FROM message m
            WHERE m.session_id = $1 /* session */ AND m.chat = $2 /* chat */ AND m.target IS NULL AND {SHOWN}
              AND ($4::timestamptz IS NULL OR (m.at, m.id) < ($4 /* time */, $5::text /* id */))
              AND NOT (m.from_me AND EXISTS (
                  SELECT 1 FROM recipient r WHERE r.session_id = $1 AND r.stanza_id = m.id))
            ORDER BY m.at DESC, m.id DESC LIMIT $6 /* limit */)
            UNION ALL
            (SELECT s.*, q.content FROM (
                SELECT r.stanza_id AS id, $2 AS chat, true AS from_me, '' AS sender, NULL AS push_name,
                    coalesce(r.sent_at, q.created_at) AS at, '' AS kind, NULL AS body, NULL AS said,
                    NULL::timestamptz AS edited_at, NULL::timestamptz AS deleted_at, r.queue_id,
                    r.state, r.variables
                FROM recipient r JOIN queue q ON q.id = r.queue_id
                WHERE r.session_id = $1 AND coalesce(r.addressee, r.number) = ANY ($3 /* names */)
                  AND r.stanza_id IS NOT NULL AND r.state NOT IN (6, 8) AND NOT (q.state = 4 AND r.state = 0)
                  AND q.content->>'type' <> ALL ('{{reaction,edit,delete}}')
                  AND ($4::timestamptz IS NULL OR (coalesce(r.sent_at, q.created_at), r.stanza_id) < ($4, $5::text))
                ORDER BY 6 DESC, 1 DESC LIMIT $6) s JOIN queue q ON q.id = s.queue_id)
        ) m ORDER BY m.at DESC, m.id DESC LIMIT $6"
    );
    let (time, id) = before.map(|(time, id)| (*time, id.as_str())).unzip();
    let limit = i64::from(limit.min(PAGE_MAX));
    let recipients = names.as_recipients();
    let parameters: [&(dyn ToSql + Sync); 6] = [&session.get(), &jid, &recipients, &time, &id, &limit];
    let rows = store.query(&sql, &parameters).await?;
    let mut messages: Vec<KeptMessage> = rows.iter().map(message).collect::<Result<_, _>>()?;
    put_reactions(store, session, &mut messages).await?;
    put_own_changes(store, session, &recipients, &mut messages).await?;
    Ok(messages)
}

/// What others said about messages of the page; votes are the poll's. The newest reaction of each person counts; one without an emoji takes it back.
/// What Fanfare sent is changed here, since it has no row that the change could have gone to.
pub(super) async fn put_reactions(
    store: &Store,
    session: SessionId,
    messages: &mut [KeptMessage],
) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let sql = "-- messages::reactions
        SELECT DISTINCT ON (m.chat, m.target, m.from_me, m.sender, m.edited_at IS NULL, m.deleted_at IS NULL)
            m.chat, m.target, m.from_me, m.sender, m.said, m.kind, m.body, m.edited_at, m.deleted_at
        FROM unnest($2::text[] /* chats */, $3::text[] /* ids */) AS i (chat, id)
        JOIN message m ON m.session_id = $1 /* session */ AND m.chat = i.chat AND m.target = i.id
            AND m.kind <> $4 /* votes */
        ORDER BY m.chat, m.target, m.from_me, m.sender, m.edited_at IS NULL, m.deleted_at IS NULL, m.at DESC, m.id DESC";
    let chats: Vec<&str> = messages.iter().map(|message| message.chat.as_str()).collect();
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let rows = store.query(sql, &[&session.get(), &chats, &ids, &VOTE]).await?;
    let mut found: HashMap<(String, String), Vec<&Row>> = HashMap::new();
    for row in &rows {
        let place = (row.try_get("chat")?, row.try_get("target")?);
        found.entry(place).or_default().push(row);
    }
    for message in messages {
        let place = (message.chat.clone(), message.id.clone());
        for row in found.remove(&place).unwrap_or_default() {
            message.put(row)?;
        }
    }
    Ok(())
}

/// What Fanfare sent about messages of the page: reactions, other words, deletions. The oldest first, so that the newest
/// counts.
pub(super) async fn put_own_changes(
    store: &Store,
    session: SessionId,
    recipients: &[String],
    messages: &mut [KeptMessage],
) -> Result<(), StoreError> {
    let sql = "-- messages::own_changes
        SELECT q.content, r.variables, r.sent_at FROM recipient r JOIN queue q ON q.id = r.queue_id
        WHERE r.session_id = $1 /* session */ AND coalesce(r.addressee, r.number) = ANY ($2 /* names */)
          AND r.stanza_id IS NOT NULL AND r.state IN (2, 3, 4)
          AND q.content->>'type' = ANY ('{reaction,edit,delete}') AND q.content#>>'{key,id}' = ANY ($3 /* ids */)
        ORDER BY r.sent_at";
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let rows = store.query(sql, &[&session.get(), &recipients, &ids]).await?;
    for row in &rows {
        let (content, at) = (told(row)?, row.try_get("sent_at")?);
        let subject = content.subject().map(|key| key.id.as_str().to_owned());
        let changed = messages
            .iter_mut()
            .find(|message| Some(&message.id) == subject.as_ref());
        if let Some(message) = changed {
            message.change(&content, at);
        }
    }
    Ok(())
}

impl KeptMessage {
    /// What somebody said about it: a reaction, or a change of what Fanfare sent.
    fn put(&mut self, row: &Row) -> Result<(), StoreError> {
        let (sender, from_me): (String, bool) = (row.try_get("sender")?, row.try_get("from_me")?);
        let (edited, deleted): (Option<OffsetDateTime>, Option<OffsetDateTime>) =
            (row.try_get("edited_at")?, row.try_get("deleted_at")?);
        let text: Option<String> = row.try_get("said")?;
        if edited.is_some() || deleted.is_some() {
            let may = from_me || sender == ANYBODY;
            if self.sent.is_none() || !may || self.deleted_at.is_some() {
                return Ok(());
            }
            self.edited_at = self.edited_at.max(edited);
            self.deleted_at = deleted;
            (self.words, self.body) = (text, row.try_get("body")?);
            if deleted.is_none() {
                self.kind = row.try_get("kind")?;
            }
        } else if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.reactions.push(Reaction {
                sender,
                from_me,
                text,
            });
        }
        Ok(())
    }

    fn change(&mut self, content: &Content, at: OffsetDateTime) {
        match &content.body {
            Body::Reaction(reaction) => {
                self.reactions.retain(|other| !other.from_me);
                if !reaction.text.is_empty() {
                    self.reactions.push(Reaction {
                        sender: String::new(),
                        from_me: true,
                        text: reaction.text.clone(),
                    });
                }
            }
            // One on another device may be the newer.
            Body::Edit(edit) if self.edited_at.is_none_or(|last| last <= at) && self.deleted_at.is_none() => {
                self.edited_at = Some(at);
                self.words = Some(edit.text.clone());
                self.kind = "conversation".to_owned();
                self.body = Some(serde_json::Value::from(edit.text.as_str()).to_string());
            }
            Body::Delete(_) => {
                self.deleted_at = Some(at);
                (self.words, self.body) = (None, None);
            }
            _ => {}
        }
    }
}

/// A message as [`COLUMNS`] have it, with those of a recipient.
pub(super) fn message(row: &Row) -> Result<KeptMessage, StoreError> {
    let state: Option<i16> = row.try_get("state")?;
    let queue: Option<uuid::Uuid> = row.try_get("queue_id")?;
    let mut message = KeptMessage {
        id: row.try_get("id")?,
        chat: row.try_get("chat")?,
        from_me: row.try_get("from_me")?,
        sender: row.try_get("sender")?,
        push_name: row.try_get("push_name")?,
        at: row.try_get("at")?,
        kind: row.try_get("kind")?,
        body: row.try_get("body")?,
        words: row.try_get("said")?,
        edited_at: row.try_get("edited_at")?,
        deleted_at: row.try_get("deleted_at")?,
        reactions: Vec::new(),
        sent: None,
    };
    if let (Some(state), Some(queue)) = (state, queue) {
        let state = RecipientState::from_code(state);
        let state = state.ok_or(StoreError::Corrupt("recipient state out of range"))?;
        let content = told(row)?;
        let body = content.message();
        message.kind = content.message_type().to_owned();
        message.words = words(&body).map(str::to_owned);
        message.body = Some(body.to_string());
        message.sent = Some((QueueId::new(queue), state));
    }
    Ok(message)
}
