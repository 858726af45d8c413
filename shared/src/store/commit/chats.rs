//! Chats and messages of a batch: columns, and the statements that take them.
//!
//! Every statement finds its rows by key, and each may be done again: what is there stays.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::{Client, Statement};

use super::change::Write;
use super::columns::{self, ContactColumns, ListedColumns, MessageColumns, Parameter};
use super::hidden;
use super::joined::Joined;
use super::polls;
use crate::store::StoreError;
use crate::store::chats::change::{Alteration, Arrival, ChatChange, lexemes};

/// The statements, prepared on one connection.
pub(super) struct Statements {
    joins: Statement,
    hidden: hidden::Statements,
    messages: Statement,
    contacts: Statement,
    altered: Statement,
    read: Statement,
    polls: polls::Statements,
    past_chats: Statement,
    past_messages: Statement,
    past_contacts: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            joins: client.prepare(JOINS).await?,
            hidden: hidden::Statements::prepare(client).await?,
            messages: client.prepare(&columns::messages()).await?,
            contacts: client.prepare(columns::CONTACTS).await?,
            altered: client.prepare(ALTERED).await?,
            read: client.prepare(READ).await?,
            polls: polls::Statements::prepare(client).await?,
            past_chats: client.prepare(columns::PAST_CHATS).await?,
            past_messages: client.prepare(&columns::past_messages()).await?,
            past_contacts: client.prepare(columns::PAST_CONTACTS).await?,
        })
    }
}

/// One statement with what it takes.
pub(super) type Step<'a> = (&'a Statement, Vec<Parameter<'a>>);

/// What a batch changes of chats.
#[derive(Default)]
pub(super) struct Columns<'a> {
    /// The hidden ids of people of whom both names are known: what was kept by one goes to the number.
    joins: HashMap<(i64, &'a str), &'a str>,
    join_columns: (Vec<i64>, Vec<&'a str>, Vec<&'a str>),
    messages: MessageColumns<'a>,
    contacts: ContactColumns<'a>,
    altered: AlteredColumns<'a>,
    altered_places: HashMap<AlteredKey<'a>, usize>,
    read: (Vec<i64>, Vec<&'a str>),
    polls: polls::Columns<'a>,
    past_chats: ListedColumns<'a>,
    past_messages: MessageColumns<'a>,
    past_polls: polls::Columns<'a>,
    past_contacts: ContactColumns<'a>,
}

/// A change of a message by who made it: those of others must not take the place of its author's.
type AlteredKey<'a> = (i64, &'a str, &'a str, bool, Option<&'a str>);

#[derive(Default)]
struct AlteredColumns<'a> {
    sessions: Vec<i64>,
    chats: Vec<&'a str>,
    ids: Vec<&'a str>,
    changes: Vec<&'a str>,
    from_me: Vec<bool>,
    senders: Vec<Option<&'a str>>,
    ats: Vec<OffsetDateTime>,
    deleted: Vec<bool>,
    kinds: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a str>>,
    said: Vec<Option<&'a str>>,
    shorts: Vec<Option<String>>,
    words: Vec<String>,
}

impl<'a> Columns<'a> {
    /// Those who are known to be joined are not joined again.
    pub(super) fn gather(writes: &[&'a Write], known: &Joined) -> Self {
        let mut columns = Self::default();
        for write in writes {
            let session = write.session.get();
            for change in &write.chats {
                columns.add(session, change);
                for peer in change.peers() {
                    if let Some(lid) = known.lacks(write, peer) {
                        columns.joins.insert((session, &peer.jid), lid);
                    }
                }
            }
        }
        for ((session, jid), lid) in &columns.joins {
            columns.join_columns.0.push(*session);
            columns.join_columns.1.push(lid);
            columns.join_columns.2.push(jid);
        }
        columns
    }

    fn add(&mut self, session: i64, change: &'a ChatChange) {
        match change {
            ChatChange::Arrived(arrival) => self.arrived(session, arrival),
            ChatChange::Altered(altered) => self.altered(session, altered),
            ChatChange::Read(peer) => {
                self.read.0.push(session);
                self.read.1.push(&peer.jid);
            }
            ChatChange::Recalled(arrival) => {
                if let Some(author) = &arrival.author {
                    let name = arrival.push_name.as_deref();
                    self.past_contacts.push(session, author, name);
                }
                if self.past_messages.push(session, arrival) {
                    self.past_polls.push(session, arrival);
                }
            }
            ChatChange::Listed(listed) => self.past_chats.push(session, listed),
            ChatChange::Met(person, name) => self.past_contacts.push(session, person, name.as_deref()),
        }
    }

    fn arrived(&mut self, session: i64, arrival: &'a Arrival) {
        if let Some(author) = &arrival.author {
            self.contacts.push(session, author, arrival.push_name.as_deref());
        }
        if self.messages.push(session, arrival) {
            self.polls.push(session, arrival);
        }
    }

    /// Of several changes of one message by one in a batch the last counts, but nothing follows a deletion.
    fn altered(&mut self, session: i64, altered: &'a Alteration) {
        let (chat, id) = (altered.chat.jid.as_str(), altered.id.as_str());
        let key = (session, chat, id, altered.from_me, altered.sender.as_deref());
        let rows = &mut self.altered;
        let at = match self.altered_places.get(&key) {
            Some(&at) if rows.deleted[at] => return,
            Some(&at) => at,
            None => {
                self.altered_places.insert(key, rows.ids.len());
                rows.push_place((session, chat, id));
                rows.ids.len() - 1
            }
        };
        let said = altered.said.as_ref();
        rows.changes[at] = altered.change.as_str();
        rows.from_me[at] = altered.from_me;
        rows.senders[at] = altered.sender.as_deref();
        rows.ats[at] = altered.at;
        rows.deleted[at] = said.is_none();
        rows.kinds[at] = said.map(|said| said.kind.as_str());
        rows.bodies[at] = said.and_then(|said| said.body.as_deref());
        rows.said[at] = said.and_then(|said| said.words.as_deref());
        rows.shorts[at] = said.and_then(|said| said.short());
        let words = said.and_then(|said| said.words.as_deref());
        rows.words[at] = words.map_or_else(String::new, |words| lexemes(session, words).join(" "));
    }

    /// The statements that are needed, in their order.
    pub(super) fn steps<'s>(&'s self, statements: &'s Statements) -> Vec<Step<'s>> {
        let mut steps: Vec<Step<'s>> = Vec::new();
        let (joins, read) = (&self.join_columns, &self.read);
        if !joins.0.is_empty() {
            let hidden = &statements.hidden;
            for statement in [&statements.joins, &hidden.senders, &hidden.labels] {
                steps.push((statement, vec![&joins.0, &joins.1, &joins.2]));
            }
        }
        if !self.messages.is_empty() {
            steps.push((&statements.messages, self.messages.parameters()));
            steps.extend(self.polls.steps(&statements.polls));
        }
        if !self.contacts.is_empty() {
            steps.push((&statements.contacts, self.contacts.parameters()));
        }
        if !self.altered.ids.is_empty() {
            steps.push((&statements.altered, self.altered.parameters()));
        }
        if !read.0.is_empty() {
            steps.push((&statements.read, vec![&read.0, &read.1]));
        }
        // Last: what is of now counts.
        if !self.past_chats.is_empty() {
            steps.push((&statements.past_chats, self.past_chats.parameters()));
        }
        if !self.past_messages.is_empty() {
            steps.push((&statements.past_messages, self.past_messages.parameters()));
            steps.extend(self.past_polls.steps(&statements.polls));
        }
        if !self.past_contacts.is_empty() {
            steps.push((&statements.past_contacts, self.past_contacts.parameters()));
        }
        steps
    }
}

impl<'a> AlteredColumns<'a> {
    fn push_place(&mut self, (session, chat, id): (i64, &'a str, &'a str)) {
        self.sessions.push(session);
        self.chats.push(chat);
        self.ids.push(id);
        self.changes.push("");
        self.from_me.push(false);
        self.senders.push(None);
        self.ats.push(OffsetDateTime::UNIX_EPOCH);
        self.deleted.push(false);
        self.kinds.push(None);
        self.bodies.push(None);
        self.said.push(None);
        self.shorts.push(None);
        self.words.push(String::new());
    }

    fn parameters(&self) -> Vec<Parameter<'_>> {
        vec![
            &self.sessions,
            &self.chats,
            &self.ids,
            &self.from_me,
            &self.senders,
            &self.ats,
            &self.deleted,
            &self.kinds,
            &self.bodies,
            &self.said,
            &self.shorts,
            &self.words,
            &self.changes,
        ]
    }
}

// A chat by the hidden id becomes that by the number, or goes into it. What is there by both names stays once.
const JOINS: &str = "-- commit::chats_joined
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* lids */, $3::text[] /* jids */)
        AS i (session_id, lid, jid)),
people AS (
    DELETE FROM contact c USING i WHERE c.session_id = i.session_id AND c.jid = i.lid
    RETURNING c.session_id, i.jid, i.lid, c.name, c.saved_name, c.business, c.about, c.picture, c.told_as, c.told_name),
known AS (
    INSERT INTO contact (session_id, jid, lid, name, saved_name, business, about, picture, told_as, told_name)
    SELECT session_id, jid, lid, name, saved_name, business, about, picture, told_as, told_name FROM people
    ON CONFLICT (session_id, jid) DO UPDATE SET lid = excluded.lid, name = coalesce(contact.name, excluded.name),
        saved_name = coalesce(contact.saved_name, excluded.saved_name),
        business = coalesce(contact.business, excluded.business), about = coalesce(contact.about, excluded.about),
        picture = coalesce(contact.picture, excluded.picture), told_as = coalesce(excluded.told_as, contact.told_as),
        told_name = coalesce(contact.told_name, excluded.told_name)),
old AS (
    DELETE FROM message m USING i WHERE m.session_id = i.session_id AND m.chat = i.lid RETURNING m.*, i.jid),
moved AS (
    INSERT INTO message (session_id, chat, id, from_me, sender, at, push_name, kind, body, said, words, target,
        edited_at, deleted_at, secret)
    SELECT session_id, jid, id, from_me, sender, at, push_name, kind, body, said, words, target, edited_at, deleted_at,
        secret
    FROM old ON CONFLICT DO NOTHING),
gone AS (
    DELETE FROM chat c USING i WHERE c.session_id = i.session_id AND c.jid = i.lid RETURNING c.*, i.jid AS number)
INSERT INTO chat (session_id, jid, lid, name, unread, answered_at, last_at, last_id, last_from_me, last_sender,
    last_kind, last_text)
SELECT session_id, number, jid, name, unread, answered_at, last_at, last_id, last_from_me, last_sender, last_kind,
    last_text FROM gone
ON CONFLICT (session_id, jid) DO UPDATE SET lid = excluded.lid, unread = chat.unread + excluded.unread,
    answered_at  = greatest(chat.answered_at, excluded.answered_at),
    last_id      = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_id ELSE chat.last_id END,
    last_from_me = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_from_me ELSE chat.last_from_me END,
    last_sender  = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_sender ELSE chat.last_sender END,
    last_kind    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_kind ELSE chat.last_kind END,
    last_text    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_text ELSE chat.last_text END,
    last_at      = greatest(chat.last_at, excluded.last_at)";

// A message that was deleted stays so, also in the same batch, and nobody changes that of another. A change of what is not there
// waits for it, as a row with the message as its target; that of what Fanfare sent stays such a row.
const ALTERED: &str = "-- commit::messages_altered
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* chats */, $3::text[] /* ids */, $4::bool[] /* from me */,
        $5::text[] /* senders */, $6::timestamptz[] /* ats */, $7::bool[] /* deleted */, $8::text[] /* kinds */,
        $9::text[] /* bodies */, $10::text[] /* said */, $11::text[] /* shorts */, $12::text[] /* words */,
        $13::text[] /* changes */)
        AS i (session_id, chat, id, from_me, sender, at, deleted, kind, body, said, short, words, change)),
early AS (
    INSERT INTO message (session_id, chat, id, from_me, sender, at, kind, body, said, words, target, edited_at, deleted_at)
    SELECT session_id, chat, change, from_me, coalesce(sender, '*'), at, coalesce(kind, 'protocolMessage'), body, said,
        array_to_tsvector(string_to_array(words, ' ')), id,
        CASE WHEN NOT deleted THEN at END, CASE WHEN deleted THEN at END
    FROM i WHERE NOT EXISTS (
        SELECT 1 FROM message m WHERE m.session_id = i.session_id AND m.chat = i.chat AND m.id = i.id
          AND (i.sender IS NULL OR m.from_me = i.from_me AND m.sender = i.sender))
    ON CONFLICT DO NOTHING),
changed AS (
    UPDATE message m SET kind = coalesce(i.kind, m.kind), body = i.body, said = i.said,
        words      = array_to_tsvector(string_to_array(i.words, ' ')),
        edited_at  = CASE WHEN i.deleted THEN m.edited_at ELSE i.at END,
        deleted_at = CASE WHEN i.deleted THEN i.at END
    FROM i
    WHERE m.session_id = i.session_id AND m.chat = i.chat AND m.id = i.id AND m.deleted_at IS NULL AND m.target IS NULL
      AND (i.sender IS NULL OR m.from_me = i.from_me AND m.sender = i.sender)
      AND (i.deleted OR NOT EXISTS (
          SELECT 1 FROM i d WHERE d.session_id = m.session_id AND d.chat = m.chat AND d.id = m.id AND d.deleted
            AND (d.sender IS NULL OR m.from_me = d.from_me AND m.sender = d.sender)))
    RETURNING m.session_id, m.chat, m.id, m.kind, i.short)
UPDATE chat c SET last_text = d.short, last_kind = d.kind
FROM changed d WHERE c.session_id = d.session_id AND c.jid = d.chat AND c.last_id = d.id";

const READ: &str = "-- commit::chats_read
UPDATE chat c SET unread = 0
FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */) AS i (session_id, jid)
WHERE c.session_id = i.session_id AND c.jid = i.jid AND c.unread > 0";
