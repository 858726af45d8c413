//! Polls that came in, and votes: what opens a vote, and what everybody has chosen.

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::change::{SECRET_BYTES, VOTE};
use crate::id::SessionId;
use crate::store::{Store, StoreError};

/// Most votes of which the totals of polls are made: more than the largest group has members.
pub const VOTES_MAX: usize = 4_096;

/// A poll that came in, or was made on another device of the account.
#[derive(Clone, Eq, PartialEq)]
pub struct KeptPoll {
    /// The chat's jid.
    pub chat: String,
    /// Its message's id.
    pub id: String,
    /// Whether the account made it.
    pub from_me: bool,
    /// Who made it, in a group; empty elsewhere.
    pub sender: String,
    /// Its question.
    pub name: String,
    /// The texts of its options.
    pub options: Vec<String>,
    /// What the keys of its votes are made of.
    pub secret: [u8; SECRET_BYTES],
}

impl std::fmt::Debug for KeptPoll {
    /// What was said, and secrets, are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptPoll({} options)", self.options.len())
    }
}

/// The last vote of somebody in a poll.
#[derive(Clone, Eq, PartialEq)]
pub struct KeptVote {
    /// The chat's jid.
    pub chat: String,
    /// The id of the poll's message.
    pub poll: String,
    /// Whether it is the account's.
    pub from_me: bool,
    /// Whose, in a group; empty elsewhere.
    pub sender: String,
    /// The texts of the options; none where it was taken back, or could not be opened.
    pub chosen: Vec<String>,
}

impl std::fmt::Debug for KeptVote {
    /// What was chosen is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptVote({} options)", self.chosen.len())
    }
}

/// The polls with these ids in these chats, and the last vote of each voter in each: all that votes that come in together
/// need, in one look.
pub async fn of_votes(
    store: &Store,
    session: SessionId,
    chats: &[String],
    ids: &[&str],
) -> Result<(Vec<KeptPoll>, Vec<KeptVote>), StoreError> {
    let polls = "-- polls::of_votes (polls)
        SELECT m.chat, m.id, m.from_me, m.sender, m.body, m.secret FROM message m
        WHERE m.session_id = $1 /* session */ AND m.chat = ANY ($2 /* chats */) AND m.id = ANY ($3 /* ids */)
          AND m.secret IS NOT NULL AND m.body IS NOT NULL";
    let votes = "-- polls::of_votes (votes)
        SELECT DISTINCT ON (m.chat, m.target, m.from_me, m.sender) m.chat, m.target, m.from_me, m.sender, m.body
        FROM message m
        WHERE m.session_id = $1 /* session */ AND m.chat = ANY ($2 /* chats */) AND m.target = ANY ($3 /* polls */)
          AND m.kind = $4 /* kind */
        ORDER BY m.chat, m.target, m.from_me, m.sender, m.at DESC, m.id DESC LIMIT $5 /* limit */";
    let (session, limit) = (session.get(), i64::try_from(VOTES_MAX).unwrap_or(i64::MAX));
    let of_polls: [&(dyn ToSql + Sync); 3] = [&session, &chats, &ids];
    let of_votes: [&(dyn ToSql + Sync); 5] = [&session, &chats, &ids, &VOTE, &limit];
    let (polls, votes) = tokio::try_join!(store.query(polls, &of_polls), store.query(votes, &of_votes))?;
    let polls: Result<Vec<_>, StoreError> = polls.iter().map(poll).collect();
    let votes: Result<Vec<_>, StoreError> = votes.iter().map(vote).collect();
    Ok((polls?, votes?))
}

fn poll(row: &Row) -> Result<KeptPoll, StoreError> {
    let body = body(row)?;
    let options = body["options"].as_array().into_iter().flatten();
    let options = options.filter_map(|option| option["optionName"].as_str().map(str::to_owned));
    let secret: &[u8] = row.try_get("secret")?;
    Ok(KeptPoll {
        chat: row.try_get("chat")?,
        id: row.try_get("id")?,
        from_me: row.try_get("from_me")?,
        sender: row.try_get("sender")?,
        name: body["name"].as_str().unwrap_or_default().to_owned(),
        options: options.collect(),
        secret: secret.try_into().map_err(|_| StoreError::Corrupt("secret"))?,
    })
}

fn vote(row: &Row) -> Result<KeptVote, StoreError> {
    let body = body(row)?;
    let chosen = body["vote"]["selectedOptions"].as_array().into_iter().flatten();
    let chosen = chosen.filter_map(|option| option.as_str().map(str::to_owned));
    Ok(KeptVote {
        chat: row.try_get("chat")?,
        poll: row.try_get("target")?,
        from_me: row.try_get("from_me")?,
        sender: row.try_get("sender")?,
        chosen: chosen.collect(),
    })
}

/// What events told of a message.
fn body(row: &Row) -> Result<Value, StoreError> {
    let body: Option<&str> = row.try_get("body")?;
    let body = body.map(serde_json::from_str).transpose();
    Ok(body.map_err(|_| StoreError::Corrupt("body"))?.unwrap_or_default())
}
