//! Messages that are searched for, newest first: what came in, what was written on other devices, and what Fanfare sent.
//!
//! Words of what came in have an index. What Fanfare sent is looked through queue by queue, as far as a page may, so that no
//! send has to write to one.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::PAGE_MAX;
use super::change::{Peer, lexemes, words};
use super::listing::{SAYS_SOMETHING, WRITTEN, sent_place};
use super::messages::{self, COLUMNS, KeptMessage, SHOWN};
use super::place::{self, Place, SentPlace, Start, Walked};
use super::record::Found;
use crate::content::{Content, Variables};
use crate::id::{QueueId, SessionId};
use crate::store::recipients::{RecipientState, variables};
use crate::store::{Store, StoreError};

/// Most queues that one page looks at: it may be short, and go on.
const QUEUES_MAX: i64 = 20_000;
/// Most messages that one page looks at whose queues may have the words.
const MESSAGES_MAX: i64 = 1_000;
/// Queues whose contents are read at a time.
const CONTENTS: usize = 50;

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Words, each of which is there, or begins one.
    pub text: Option<String>,
    /// In the chat with these names only.
    pub chat: Option<Peer>,
    /// Sent then or later.
    pub from: Option<OffsetDateTime>,
    /// Sent before.
    pub to: Option<OffsetDateTime>,
    /// Behind this one.
    pub before: Option<Place>,
}

/// A page of the messages that are as the search says, newest first; those that Fanfare sent stand where they were asked for.
///
/// It may have fewer messages than it could, even none, and another one behind it.
pub async fn search(
    store: &Store,
    session: SessionId,
    search: &Search,
    limit: u32,
) -> Result<Found<KeptMessage, Place>, StoreError> {
    let (start, limit) = (Start::of(search.before.as_ref()), limit.min(PAGE_MAX));
    let wanted = search.text.as_ref().map(|text| lexemes(session.get(), text));
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        // No word that anything could be found by.
        return Ok(Found {
            rows: Vec::new(),
            next: None,
        });
    }
    let page = Page {
        store,
        session,
        search,
        wanted,
        start,
        limit,
    };
    let kept = page.kept().await?;
    let sent = page.sent().await?;
    let kept = kept.into_iter().map(|message| {
        let place = Place::Kept(message.at, message.id.clone());
        (place, message)
    });
    let mut found = place::merge(kept.collect(), sent, limit);
    messages::put_reactions(store, session, &mut found.rows).await?;
    let chats = found.rows.iter().map(|message| Peer {
        jid: message.chat.clone(),
        lid: None,
    });
    let recipients: Vec<String> = chats.flat_map(|chat| chat.as_recipients()).collect();
    messages::put_own_changes(store, session, &recipients, &mut found.rows).await?;
    Ok(found)
}

/// One page of a search.
struct Page<'a> {
    store: &'a Store,
    session: SessionId,
    search: &'a Search,
    wanted: Option<Vec<String>>,
    start: Start,
    limit: u32,
}

impl Page<'_> {
    /// One more than a page, of what came in or was written on other devices.
    async fn kept(&self) -> Result<Vec<KeptMessage>, StoreError> {
        // Said only where it is asked for, so that the index that serves best is chosen.
        let text = match self.wanted.is_some() {
            true => "m.words @@ $2::text::tsquery",
            false => "$2::text IS NULL",
        };
        let chat = match self.search.chat.is_some() {
            true => "m.chat = $3",
            false => "$3::text IS NULL",
        };
        let sql = format!(
            "-- messages::search
            SELECT {COLUMNS}, NULL::uuid AS queue_id, NULL::smallint AS state, NULL::jsonb AS variables,
                NULL::jsonb AS content
            FROM message m
            WHERE m.session_id = $1 /* session */ AND m.target IS NULL AND {text} AND {chat} AND {SHOWN}
              AND m.at >= coalesce($4 /* from */, '-infinity'::timestamptz) AND m.at < coalesce($5 /* to */, 'infinity'::timestamptz)
              AND ($6::timestamptz IS NULL OR (m.at, m.id) < ($6 /* time */, $7::text /* id */))
              AND NOT (m.from_me AND EXISTS (SELECT 1 FROM recipient r WHERE r.session_id = $1 AND r.stanza_id = m.id))
            ORDER BY m.at DESC, m.id DESC LIMIT $8 /* limit */"
        );
        let chat = self.search.chat.as_ref().map(|chat| &chat.jid);
        let query = self.wanted.as_ref().map(|wanted| query(wanted));
        // Times of what came in are told in whole seconds.
        let (from, to) = (self.search.from.map(next_second), self.search.to.map(next_second));
        let limit = i64::from(self.limit) + 1;
        let parameters: [&(dyn ToSql + Sync); 8] = [
            &self.session.get(),
            &query,
            &chat,
            &from,
            &to,
            &self.start.time,
            &self.start.name,
            &limit,
        ];
        let rows = self.store.query(&sql, &parameters).await?;
        rows.iter().map(messages::message).collect()
    }

    /// As many as a page and one, of what Fanfare sent.
    async fn sent(&self) -> Result<Walked<KeptMessage>, StoreError> {
        let (mut sent, end) = self.candidates().await?;
        let mut walked = Walked {
            rows: Vec::new(),
            end,
        };
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        while !sent.is_empty() && walked.rows.len() <= most {
            let mut queues: Vec<Uuid> = sent.iter().map(|sent| sent.place.queue.as_uuid()).collect();
            queues.dedup();
            queues.truncate(CONTENTS);
            let contents = self.contents(&queues).await?;
            let left = sent
                .iter()
                .position(|sent| !queues.contains(&sent.place.queue.as_uuid()));
            let rest = sent.split_off(left.unwrap_or(sent.len()));
            for sent in std::mem::replace(&mut sent, rest) {
                if let Some(content) = contents.get(&sent.place.queue)
                    && let Some(message) = self.matched(&sent, content)
                {
                    walked.rows.push((sent.place, message));
                }
            }
        }
        if walked.rows.len() > most {
            walked.rows.truncate(most + 1);
            walked.end = None;
        }
        Ok(walked)
    }

    /// The message, if it has the words.
    fn matched(&self, sent: &Sent, content: &Content) -> Option<KeptMessage> {
        let filled;
        let content = match &sent.variables {
            Some(variables) => {
                filled = content.filled(variables);
                &filled
            }
            None => content,
        };
        let body = content.message();
        let said = words(&body);
        if let Some(wanted) = &self.wanted {
            let has = lexemes(self.session.get(), said.unwrap_or_default());
            let begins = |word: &String| has.iter().any(|has| has.starts_with(word.as_str()));
            if !wanted.iter().all(begins) {
                return None;
            }
        }
        Some(KeptMessage {
            id: sent.id.clone(),
            chat: sent.chat.clone(),
            from_me: true,
            sender: String::new(),
            push_name: None,
            at: sent.at,
            kind: content.message_type().to_owned(),
            words: said.map(str::to_owned),
            body: Some(body.to_string()),
            edited_at: None,
            deleted_at: None,
            reactions: Vec::new(),
            sent: Some((sent.place.queue, sent.state)),
        })
    }

    /// What the queues of these recipients say.
    async fn contents(&self, queues: &[Uuid]) -> Result<HashMap<QueueId, Content>, StoreError> {
        let sql =
            "-- messages::search (contents)\nSELECT id, content FROM queue WHERE id = ANY ($1 /* queues */)";
        let rows = self.store.query(sql, &[&queues]).await?;
        let content = |row: &tokio_postgres::Row| {
            let Json(content): Json<Content> = row.try_get("content")?;
            Ok((QueueId::new(row.try_get("id")?), content))
        };
        rows.iter().map(content).collect()
    }

    /// Messages of queues that may have the words, newest first, and how far was looked.
    async fn candidates(&self) -> Result<(Vec<Sent>, Option<SentPlace>), StoreError> {
        let patterns = self.wanted.as_ref().map(|wanted| patterns(wanted));
        let recipients = self.search.chat.as_ref().map(Peer::as_recipients);
        let (from, to) = (self.search.from, self.search.to);
        let session = self.session.get();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
            &session,
            &self.start.time,
            &self.start.queue,
            &self.start.seq,
            &from,
            &to,
            &patterns,
            &MESSAGES_MAX,
        ];
        let rows = match &recipients {
            Some(names) => {
                parameters.push(names);
                self.store.query(&of_one(), &parameters).await?
            }
            None => {
                parameters.push(&QUEUES_MAX);
                self.store.query(&of_all(), &parameters).await?
            }
        };
        let (mut sent, mut end) = (Vec::with_capacity(rows.len()), None);
        for row in &rows {
            let place = sent_place(row)?;
            match row.try_get::<_, Option<String>>("name")? {
                Some(name) => sent.push(Sent {
                    place,
                    id: row.try_get("stanza_id")?,
                    chat: match name.contains('@') {
                        true => name,
                        false => format!("{name}@s.whatsapp.net"),
                    },
                    at: row.try_get("at")?,
                    state: RecipientState::from_code(row.try_get("state")?)
                        .ok_or(StoreError::Corrupt("recipient state out of range"))?,
                    variables: variables(row)?,
                }),
                None => end = Some(place),
            }
        }
        if sent.len() >= usize::try_from(MESSAGES_MAX).unwrap_or(usize::MAX) {
            end = sent.last().map(|sent: &Sent| sent.place);
        }
        Ok((sent, end))
    }
}

/// A message that Fanfare sent, without what it says.
struct Sent {
    place: SentPlace,
    id: String,
    chat: String,
    at: OffsetDateTime,
    state: RecipientState,
    variables: Option<Variables>,
}

/// Whether the words may be in what a queue says: those that are not plain are looked for later.
const MAY_HAVE: &str = "($7::text[] IS NULL OR strpos(q.content::text, '{{') > 0
    OR lower(q.content::text) LIKE ALL ($7 /* patterns */))";
/// Whether a message was sent in time.
const IN_TIME: &str = "coalesce(r.sent_at, q.created_at) >= coalesce($5 /* from */, '-infinity'::timestamptz)
    AND coalesce(r.sent_at, q.created_at) < coalesce($6 /* to */, 'infinity'::timestamptz)";

/// What was sent into one chat.
fn of_one() -> String {
    format!(
        "-- messages::search_sent (chat)
        SELECT q.id AS queue_id, q.created_at, r.seq, coalesce(r.addressee, r.number) AS name, r.stanza_id, r.state,
            coalesce(r.sent_at, q.created_at) AS at, r.variables
        FROM recipient r JOIN queue q ON q.id = r.queue_id
        WHERE r.session_id = $1 /* session */ AND coalesce(r.addressee, r.number) = ANY ($9 /* names */)
          AND {WRITTEN} AND q.started_at IS NOT NULL AND {SAYS_SOMETHING} AND {IN_TIME} AND {MAY_HAVE}
          AND ($2::timestamptz IS NULL OR (q.created_at, q.id, r.seq) < ($2 /* time */, $3::uuid /* queue */, $4::int /* seq */))
        ORDER BY q.created_at DESC, q.id DESC, r.seq DESC LIMIT $8 /* most */"
    )
}

/// What was sent to anybody, and a row without a name for how far was looked, if that was not all.
fn of_all() -> String {
    format!(
        "-- messages::search_sent
        WITH w AS MATERIALIZED (
            SELECT q.id AS queue_id, q.created_at, r.*
            FROM (SELECT q.id, q.created_at, {MAY_HAVE} AS may_have FROM queue q
                WHERE q.session_id = $1 /* session */ AND q.started_at IS NOT NULL AND {SAYS_SOMETHING}
                  AND q.created_at < coalesce($6, 'infinity'::timestamptz)
                  AND coalesce(q.finished_at, 'infinity') >= coalesce($5, '-infinity'::timestamptz)
                  AND ($2::timestamptz IS NULL OR (q.created_at, q.id) <= ($2 /* time */, $3::uuid /* queue */))
                ORDER BY q.created_at DESC, q.id DESC LIMIT $9 /* queues */) q
            LEFT JOIN LATERAL (
                SELECT r.seq, coalesce(r.addressee, r.number) AS name, r.stanza_id, r.state,
                    coalesce(r.sent_at, q.created_at) AS at, r.variables
                FROM recipient r
                WHERE q.may_have AND r.queue_id = q.id AND {WRITTEN} AND {IN_TIME} AND (q.id <> $3 OR r.seq < $4 /* seq */)
                ORDER BY r.seq DESC LIMIT $8 /* most */) r ON true
            ORDER BY q.created_at DESC, q.id DESC, r.seq DESC NULLS LAST LIMIT $9),
        hits AS (
            SELECT * FROM w WHERE name IS NOT NULL ORDER BY created_at DESC, queue_id DESC, seq DESC LIMIT $8),
        looked AS (
            SELECT queue_id, created_at, seq FROM w
            WHERE (SELECT count(*) = $9 OR count(DISTINCT queue_id) = $9 FROM w)
            ORDER BY created_at, queue_id, seq NULLS FIRST LIMIT 1)
        SELECT * FROM hits
        UNION ALL
        SELECT queue_id, created_at, seq, NULL, NULL, NULL, NULL, NULL FROM looked
        ORDER BY 2 DESC, 1 DESC, 3 DESC NULLS LAST"
    )
}

/// The words of a text as PostgreSQL searches for them: all of them, each the beginning of one.
fn query(wanted: &[String]) -> String {
    // Letters, digits and the colon alone: nothing in quotes needs escaping.
    let words: Vec<String> = wanted.iter().map(|word| format!("'{word}':*")).collect();
    words.join(" & ")
}

/// What has to be in the JSON of a content that has these words: of those that every database writes small in the same way.
fn patterns(wanted: &[String]) -> Vec<String> {
    let words = wanted.iter().filter_map(|word| word.split_once(':'));
    let plain = words.filter(|(_, word)| word.is_ascii());
    plain.map(|(_, word)| format!("%{word}%")).collect()
}

/// This second, or the next one if part of this is over.
fn next_second(time: OffsetDateTime) -> OffsetDateTime {
    let part = i64::from(time.nanosecond());
    match part {
        0 => time,
        part => time + time::Duration::nanoseconds(1_000_000_000 - part),
    }
}
