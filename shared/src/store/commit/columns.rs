//! The columns of messages and of people, and the statements that take them: those of now, and those of the past.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use crate::store::chats::change::{Arrival, ListedChat, Peer, lexemes};

/// What a statement takes.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The identity of a message: its session, its chat, its id, whether it is the account's, and who wrote it.
type MessageKey<'a> = (i64, &'a str, &'a str, bool, &'a str);

/// Messages, each once.
#[derive(Default)]
pub(super) struct MessageColumns<'a> {
    places: HashSet<MessageKey<'a>>,
    sessions: Vec<i64>,
    chats: Vec<&'a str>,
    lids: Vec<Option<&'a str>>,
    ids: Vec<&'a str>,
    from_me: Vec<bool>,
    senders: Vec<&'a str>,
    ats: Vec<OffsetDateTime>,
    push_names: Vec<Option<&'a str>>,
    kinds: Vec<&'a str>,
    bodies: Vec<Option<&'a str>>,
    said: Vec<Option<&'a str>>,
    shorts: Vec<Option<String>>,
    words: Vec<String>,
    targets: Vec<Option<&'a str>>,
    unread: Vec<bool>,
}

/// People, each once.
#[derive(Default)]
pub(super) struct ContactColumns<'a> {
    people: HashMap<(i64, &'a str), usize>,
    sessions: Vec<i64>,
    jids: Vec<&'a str>,
    lids: Vec<Option<&'a str>>,
    names: Vec<Option<&'a str>>,
}

/// Chats of the past, each once.
#[derive(Default)]
pub(super) struct ListedColumns<'a> {
    listed: HashSet<(i64, &'a str)>,
    sessions: Vec<i64>,
    chats: Vec<&'a str>,
    lids: Vec<Option<&'a str>>,
    names: Vec<Option<&'a str>>,
    unread: Vec<i32>,
    ats: Vec<Option<OffsetDateTime>>,
    ids: Vec<Option<&'a str>>,
    from_me: Vec<bool>,
    senders: Vec<&'a str>,
    kinds: Vec<Option<&'a str>>,
    shorts: Vec<Option<String>>,
}

impl<'a> MessageColumns<'a> {
    /// Says whether it was not there yet.
    pub(super) fn push(&mut self, session: i64, arrival: &'a Arrival) -> bool {
        let (chat, id) = (arrival.chat.jid.as_str(), arrival.id.as_str());
        if !self
            .places
            .insert((session, chat, id, arrival.from_me, &arrival.sender))
        {
            return false;
        }
        self.sessions.push(session);
        self.chats.push(&arrival.chat.jid);
        self.lids.push(arrival.chat.lid.as_deref());
        self.ids.push(arrival.id.as_str());
        self.from_me.push(arrival.from_me);
        self.senders.push(&arrival.sender);
        self.ats.push(arrival.at);
        self.push_names.push(arrival.push_name.as_deref());
        self.kinds.push(&arrival.said.kind);
        self.bodies.push(arrival.said.body.as_deref());
        self.said.push(arrival.said.words.as_deref());
        self.shorts.push(arrival.said.short());
        self.words.push(match (&arrival.target, &arrival.said.words) {
            (None, Some(words)) => lexemes(session, words).join(" "),
            _ => String::new(),
        });
        self.targets.push(arrival.target.as_deref());
        self.unread.push(arrival.is_unread);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        vec![
            &self.sessions,
            &self.chats,
            &self.lids,
            &self.ids,
            &self.from_me,
            &self.senders,
            &self.ats,
            &self.push_names,
            &self.kinds,
            &self.bodies,
            &self.said,
            &self.shorts,
            &self.words,
            &self.targets,
            &self.unread,
        ]
    }
}

impl<'a> ContactColumns<'a> {
    pub(super) fn push(&mut self, session: i64, person: &'a Peer, name: Option<&'a str>) {
        let (lid, jid) = (person.lid.as_deref(), person.jid.as_str());
        match self.people.get(&(session, jid)) {
            Some(&at) => {
                self.lids[at] = lid.or(self.lids[at]);
                self.names[at] = name.or(self.names[at]);
            }
            None => {
                self.people.insert((session, jid), self.jids.len());
                self.sessions.push(session);
                self.jids.push(jid);
                self.lids.push(lid);
                self.names.push(name);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jids.is_empty()
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        vec![&self.sessions, &self.jids, &self.lids, &self.names]
    }
}

impl<'a> ListedColumns<'a> {
    pub(super) fn push(&mut self, session: i64, chat: &'a ListedChat) {
        if !self.listed.insert((session, &chat.chat.jid)) {
            return;
        }
        let newest = chat.newest.as_ref();
        self.sessions.push(session);
        self.chats.push(&chat.chat.jid);
        self.lids.push(chat.chat.lid.as_deref());
        self.names.push(chat.name.as_deref());
        self.unread.push(i32::try_from(chat.unread).unwrap_or(i32::MAX));
        self.ats.push(newest.map(|newest| newest.at));
        self.ids.push(newest.map(|newest| newest.id.as_str()));
        self.from_me.push(newest.is_some_and(|newest| newest.from_me));
        self.senders.push(newest.map_or("", |newest| &newest.sender));
        self.kinds.push(newest.map(|newest| newest.said.kind.as_str()));
        self.shorts.push(newest.and_then(|newest| newest.said.short()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        vec![
            &self.sessions,
            &self.chats,
            &self.lids,
            &self.names,
            &self.unread,
            &self.ats,
            &self.ids,
            &self.from_me,
            &self.senders,
            &self.kinds,
            &self.shorts,
        ]
    }
}

/// Takes [`MessageColumns`] that came in.
/// A reaction moves no chat. What the account wrote on another device answers all that came before it. A change that came first
/// waits under its target.
pub(super) fn messages() -> String {
    format!("-- commit::messages\n{FRESH}{ARRIVED}")
}

/// Takes [`MessageColumns`] of the past. They move a chat only where it knows none as new, and count as read.
pub(super) fn past_messages() -> String {
    format!("-- commit::past_messages\n{FRESH}{RECALLED}")
}

// Those that are not there, with the changes that came before them.
const FRESH: &str = "WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* chats */, $3::text[] /* lids */, $4::text[] /* ids */,
        $5::bool[] /* from me */, $6::text[] /* senders */, $7::timestamptz[] /* ats */, $8::text[] /* push names */,
        $9::text[] /* kinds */, $10::text[] /* bodies */, $11::text[] /* said */, $12::text[] /* shorts */,
        $13::text[] /* words */, $14::text[] /* targets */, $15::bool[] /* unread */)
        AS i (session_id, chat, lid, id, from_me, sender, at, push_name, kind, body, said, short, words, target, unread)),
fresh AS MATERIALIZED (
    SELECT i.session_id, i.chat, i.lid, i.id, i.from_me, i.sender, i.at, i.push_name, i.target, i.unread, c.edited_at, c.deleted_at,
        CASE WHEN c.edited_at IS NULL THEN i.kind ELSE c.kind END AS kind,
        CASE WHEN c.at IS NULL THEN i.body ELSE c.body END AS body,
        CASE WHEN c.at IS NULL THEN i.said ELSE c.said END AS said,
        CASE WHEN c.at IS NULL THEN i.short ELSE left(c.said, 200) END AS short,
        CASE WHEN c.at IS NULL THEN array_to_tsvector(string_to_array(i.words, ' ')) ELSE c.words END AS words
    FROM i LEFT JOIN LATERAL (
        SELECT e.* FROM message e
        WHERE e.session_id = i.session_id AND e.chat = i.chat AND e.target = i.id AND i.target IS NULL
          AND (e.edited_at IS NOT NULL OR e.deleted_at IS NOT NULL)
          AND (e.sender = '*' OR e.from_me = i.from_me AND e.sender = i.sender)
        ORDER BY e.deleted_at IS NULL, e.at DESC, e.id DESC LIMIT 1) c ON true
    WHERE NOT EXISTS (
        SELECT 1 FROM message m WHERE m.session_id = i.session_id AND m.chat = i.chat AND m.id = i.id
            AND m.from_me = i.from_me AND m.sender = i.sender)),
stored AS (
    INSERT INTO message (session_id, chat, id, from_me, sender, at, push_name, kind, body, said, words, target,
        edited_at, deleted_at)
    SELECT session_id, chat, id, from_me, sender, at, push_name, kind, body, said, words, target, edited_at, deleted_at
    FROM fresh ON CONFLICT DO NOTHING),
";

const ARRIVED: &str = "answered AS (
    SELECT *, max(at) FILTER (WHERE from_me) OVER (PARTITION BY session_id, chat) AS answered
    FROM fresh WHERE target IS NULL)
INSERT INTO chat (session_id, jid, lid, unread, answered_at, last_at, last_id, last_from_me, last_sender, last_kind,
    last_text)
SELECT DISTINCT ON (session_id, chat) session_id, chat, lid,
    count(*) FILTER (WHERE unread AND (answered IS NULL OR at > answered)) OVER (PARTITION BY session_id, chat),
    answered, at, id, from_me, sender, kind, short
FROM answered ORDER BY session_id, chat, at DESC, id DESC
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(excluded.lid, chat.lid),
    unread       = CASE WHEN excluded.answered_at > coalesce(chat.answered_at, '-infinity') THEN excluded.unread
                        ELSE chat.unread + excluded.unread END,
    answered_at  = greatest(chat.answered_at, excluded.answered_at),
    last_id      = CASE WHEN excluded.last_at >= chat.last_at THEN excluded.last_id ELSE chat.last_id END,
    last_from_me = CASE WHEN excluded.last_at >= chat.last_at THEN excluded.last_from_me ELSE chat.last_from_me END,
    last_sender  = CASE WHEN excluded.last_at >= chat.last_at THEN excluded.last_sender ELSE chat.last_sender END,
    last_kind    = CASE WHEN excluded.last_at >= chat.last_at THEN excluded.last_kind ELSE chat.last_kind END,
    last_text    = CASE WHEN excluded.last_at >= chat.last_at THEN excluded.last_text ELSE chat.last_text END,
    last_at      = greatest(chat.last_at, excluded.last_at)";

const RECALLED: &str = "answered AS (
    SELECT *, max(at) FILTER (WHERE from_me) OVER (PARTITION BY session_id, chat) AS answered
    FROM fresh WHERE target IS NULL)
INSERT INTO chat (session_id, jid, lid, unread, answered_at, last_at, last_id, last_from_me, last_sender, last_kind,
    last_text)
SELECT DISTINCT ON (session_id, chat) session_id, chat, lid, 0, answered, at, id, from_me, sender, kind, short
FROM answered ORDER BY session_id, chat, at DESC, id DESC
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(chat.lid, excluded.lid),
    answered_at  = greatest(chat.answered_at, excluded.answered_at),
    last_id      = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_id ELSE chat.last_id END,
    last_from_me = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_from_me ELSE chat.last_from_me END,
    last_sender  = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_sender ELSE chat.last_sender END,
    last_kind    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_kind ELSE chat.last_kind END,
    last_text    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_text ELSE chat.last_text END,
    last_at      = greatest(chat.last_at, excluded.last_at)
WHERE excluded.last_at > chat.last_at OR excluded.answered_at > coalesce(chat.answered_at, '-infinity')
   OR chat.lid IS NULL AND excluded.lid IS NOT NULL";

/// Takes [`ContactColumns`] of who wrote.
/// Most of what comes in is of people who are known: their rows are not written again.
pub(super) const CONTACTS: &str = "-- commit::contacts
INSERT INTO contact (session_id, jid, lid, name)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::text[] /* names */)
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(excluded.lid, contact.lid),
    name = coalesce(excluded.name, contact.name)
WHERE excluded.lid IS DISTINCT FROM contact.lid AND excluded.lid IS NOT NULL
   OR excluded.name IS DISTINCT FROM contact.name AND excluded.name IS NOT NULL";

/// Takes [`ContactColumns`] of the past: what they call themselves now is known better.
pub(super) const PAST_CONTACTS: &str = "-- commit::past_contacts
INSERT INTO contact (session_id, jid, lid, name)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::text[] /* names */)
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(contact.lid, excluded.lid),
    name = coalesce(contact.name, excluded.name)
WHERE contact.lid IS NULL AND excluded.lid IS NOT NULL OR contact.name IS NULL AND excluded.name IS NOT NULL";

/// Takes [`ListedColumns`]. Of a chat that is there, what has come in counts: how much of it is unread, and what is newest.
pub(super) const PAST_CHATS: &str = "-- commit::past_chats
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* chats */, $3::text[] /* lids */, $4::text[] /* names */,
        $5::int[] /* unread */, $6::timestamptz[] /* ats */, $7::text[] /* ids */, $8::bool[] /* from me */,
        $9::text[] /* senders */, $10::text[] /* kinds */, $11::text[] /* shorts */)
        AS i (session_id, chat, lid, name, unread, at, id, from_me, sender, kind, short)),
named AS (
    UPDATE chat c SET name = coalesce(c.name, i.name), lid = coalesce(c.lid, i.lid)
    FROM i WHERE i.id IS NULL AND c.session_id = i.session_id AND c.jid = i.chat)
INSERT INTO chat (session_id, jid, lid, name, unread, last_at, last_id, last_from_me, last_sender, last_kind, last_text)
SELECT session_id, chat, lid, name, unread, at, id, from_me, sender, kind, short FROM i WHERE id IS NOT NULL
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(chat.lid, excluded.lid),
    name = coalesce(chat.name, excluded.name)
WHERE chat.lid IS NULL AND excluded.lid IS NOT NULL OR chat.name IS NULL AND excluded.name IS NOT NULL";
