//! People of a batch: what became known of them, and who has another number.
//!
//! Every statement finds its rows by key, and each may be done again. Of people who never wrote nothing is kept.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::change::Write;
use crate::store::StoreError;
use crate::store::chats::people::PersonChange;

/// The statements, prepared on one connection.
pub(super) struct Statements {
    renumbered: Statement,
    known: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            renumbered: client.prepare(RENUMBERED).await?,
            known: client.prepare(KNOWN).await?,
        })
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// What a batch changes of people; of several changes of one of them the last counts of each kind.
#[derive(Default)]
pub(super) struct Columns<'a> {
    renumbered: (Vec<i64>, Vec<&'a str>, Vec<&'a str>, Vec<Option<&'a str>>),
    places: HashMap<(i64, &'a str), usize>,
    sessions: Vec<i64>,
    jids: Vec<&'a str>,
    told: Vec<Option<&'a str>>,
    has_business: Vec<bool>,
    businesses: Vec<Option<&'a str>>,
    has_about: Vec<bool>,
    abouts: Vec<Option<&'a str>>,
    has_picture: Vec<bool>,
    pictures: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    pub(super) fn gather(writes: &[&'a Write]) -> Self {
        let mut columns = Self::default();
        for write in writes {
            for person in &write.people {
                columns.push(write.session.get(), person);
            }
        }
        columns
    }

    fn push(&mut self, session: i64, person: &'a PersonChange) {
        let jid = person.jid.as_str();
        if let Some(former) = &person.former {
            let (sessions, formers, jids, lids) = &mut self.renumbered;
            sessions.push(session);
            formers.push(former);
            jids.push(jid);
            lids.push(person.lid.as_deref());
        }
        let at = *self.places.entry((session, jid)).or_insert_with(|| {
            self.sessions.push(session);
            self.jids.push(jid);
            self.told.push(None);
            self.has_business.push(false);
            self.businesses.push(None);
            self.has_about.push(false);
            self.abouts.push(None);
            self.has_picture.push(false);
            self.pictures.push(None);
            self.jids.len() - 1
        });
        if let Some(told) = &person.told {
            self.told[at] = Some(told);
        }
        if let Some(business) = &person.business {
            (self.has_business[at], self.businesses[at]) = (true, business.as_deref());
        }
        if let Some(about) = &person.about {
            (self.has_about[at], self.abouts[at]) = (true, about.as_deref());
        }
        if let Some(picture) = &person.picture {
            (self.has_picture[at], self.pictures[at]) = (true, Some(picture.as_str()));
        }
    }

    /// The statements that are needed, in their order.
    pub(super) fn steps<'s>(
        &'s self,
        statements: &'s Statements,
    ) -> Vec<(&'s Statement, Vec<Parameter<'s>>)> {
        let mut steps: Vec<(&Statement, Vec<Parameter<'s>>)> = Vec::new();
        let (sessions, formers, jids, lids) = &self.renumbered;
        if !sessions.is_empty() {
            steps.push((&statements.renumbered, vec![sessions, formers, jids, lids]));
        }
        if !self.jids.is_empty() {
            steps.push((
                &statements.known,
                vec![
                    &self.sessions,
                    &self.jids,
                    &self.told,
                    &self.has_business,
                    &self.businesses,
                    &self.has_about,
                    &self.abouts,
                    &self.has_picture,
                    &self.pictures,
                ],
            ));
        }
        steps
    }
}

// All that was kept by the number that somebody had goes to the one that they have. What is there by both stays once. The event
// that tells of it is in the same write.
const RENUMBERED: &str = "-- commit::people_renumbered
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* formers */, $3::text[] /* jids */, $4::text[] /* lids */)
        AS i (session_id, former, jid, lid)),
people AS (
    DELETE FROM contact c USING i WHERE c.session_id = i.session_id AND c.jid = i.former
    RETURNING c.session_id, i.jid, coalesce(i.lid, c.lid) AS lid, c.name, c.business, c.about, c.picture,
        CASE WHEN c.told_as = i.former THEN i.jid ELSE c.told_as END AS told_as, c.told_name),
known AS (
    INSERT INTO contact (session_id, jid, lid, name, business, about, picture, told_as, told_name)
    SELECT session_id, jid, lid, name, business, about, picture, told_as, told_name FROM people
    ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(excluded.lid, contact.lid),
        name = coalesce(contact.name, excluded.name), business = coalesce(contact.business, excluded.business),
        about = coalesce(contact.about, excluded.about), picture = coalesce(contact.picture, excluded.picture)),
old AS (
    DELETE FROM message m USING i WHERE m.session_id = i.session_id AND m.chat = i.former RETURNING m.*, i.jid),
moved AS (
    INSERT INTO message (session_id, chat, id, from_me, sender, at, push_name, kind, body, said, words, target,
        edited_at, deleted_at)
    SELECT session_id, jid, id, from_me, sender, at, push_name, kind, body, said, words, target, edited_at, deleted_at
    FROM old ON CONFLICT DO NOTHING),
gone AS (
    DELETE FROM chat c USING i WHERE c.session_id = i.session_id AND c.jid = i.former
    RETURNING c.*, i.jid AS number, coalesce(i.lid, c.lid) AS hidden)
INSERT INTO chat (session_id, jid, lid, name, unread, answered_at, last_at, last_id, last_from_me, last_sender,
    last_kind, last_text)
SELECT session_id, number, hidden, name, unread, answered_at, last_at, last_id, last_from_me, last_sender, last_kind,
    last_text FROM gone
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(excluded.lid, chat.lid), unread = chat.unread + excluded.unread,
    answered_at  = greatest(chat.answered_at, excluded.answered_at),
    last_id      = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_id ELSE chat.last_id END,
    last_from_me = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_from_me ELSE chat.last_from_me END,
    last_sender  = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_sender ELSE chat.last_sender END,
    last_kind    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_kind ELSE chat.last_kind END,
    last_text    = CASE WHEN excluded.last_at > chat.last_at THEN excluded.last_text ELSE chat.last_text END,
    last_at      = greatest(chat.last_at, excluded.last_at)";

const KNOWN: &str = "-- commit::people_known
UPDATE contact c SET
    told_as   = CASE WHEN i.told IS NULL THEN c.told_as ELSE c.jid END,
    told_name = coalesce(i.told, c.told_name),
    business  = CASE WHEN i.has_business THEN i.business ELSE c.business END,
    about     = CASE WHEN i.has_about THEN i.about ELSE c.about END,
    picture   = CASE WHEN i.has_picture THEN i.picture ELSE c.picture END
FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* told */, $4::bool[] /* has business */,
    $5::text[] /* businesses */, $6::bool[] /* has about */, $7::text[] /* abouts */, $8::bool[] /* has picture */,
    $9::text[] /* pictures */)
    AS i (session_id, jid, told, has_business, business, has_about, about, has_picture, picture)
WHERE c.session_id = i.session_id AND c.jid = i.jid";
