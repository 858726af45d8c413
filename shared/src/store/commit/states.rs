//! What devices of the account did to chats and people, of a batch: columns, and the statements that take them.
//!
//! Every statement finds its rows by key, and each may be done again.

use std::collections::HashMap;
use std::hash::Hash;

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::change::Write;
use crate::store::StoreError;
use crate::store::chats::change::Peer;
use crate::store::chats::state::{ChatState, Muted, SavedName, StateChange};

/// The statements, prepared on one connection.
pub(super) struct Statements {
    chats: Statement,
    read: Statement,
    contacts: Statement,
    cleared: Statement,
    deleted: Statement,
    messages: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            chats: client.prepare(CHATS).await?,
            read: client.prepare(READ).await?,
            contacts: client.prepare(CONTACTS).await?,
            cleared: client.prepare(CLEARED).await?,
            deleted: client.prepare(DELETED).await?,
            messages: client.prepare(MESSAGES).await?,
        })
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// What a batch changes of the state of chats and people.
#[derive(Default)]
pub(super) struct Columns<'a> {
    chats: ChatColumns<'a>,
    read: PeerColumns<'a>,
    contacts: ContactColumns<'a>,
    cleared: ClearedColumns<'a>,
    deleted: ClearedColumns<'a>,
    messages: MessageColumns<'a>,
}

type Row<'a> = (i64, &'a Peer);

#[derive(Default)]
struct PeerColumns<'a> {
    sessions: Vec<i64>,
    jids: Vec<&'a str>,
    lids: Vec<Option<&'a str>>,
}

impl<'a> PeerColumns<'a> {
    fn push(&mut self, (session, peer): Row<'a>) {
        self.sessions.push(session);
        self.jids.push(&peer.jid);
        self.lids.push(peer.lid.as_deref());
    }
}

#[derive(Default)]
struct ChatColumns<'a> {
    peers: PeerColumns<'a>,
    archived: Vec<Option<bool>>,
    sets_pinned: Vec<bool>,
    pinned: Vec<Option<OffsetDateTime>>,
    muted: Vec<Option<bool>>,
    muted_until: Vec<Option<OffsetDateTime>>,
    marked_unread: Vec<Option<bool>>,
}

#[derive(Default)]
struct ContactColumns<'a> {
    peers: PeerColumns<'a>,
    names: Vec<Option<&'a str>>,
}

#[derive(Default)]
struct ClearedColumns<'a> {
    peers: PeerColumns<'a>,
    ats: Vec<OffsetDateTime>,
}

#[derive(Default)]
struct MessageColumns<'a> {
    peers: PeerColumns<'a>,
    ids: Vec<&'a str>,
    from_me: Vec<bool>,
}

/// What is gathered by key, in the order of the keys' coming: no row appears twice in a statement.
struct Merged<K, V> {
    places: HashMap<K, usize>,
    rows: Vec<(K, V)>,
}

impl<K: Clone + Eq + Hash, V> Merged<K, V> {
    fn new() -> Self {
        Self {
            places: HashMap::new(),
            rows: Vec::new(),
        }
    }

    fn add(&mut self, key: K, value: V, join: impl FnOnce(&mut V, V)) {
        match self.places.get(&key) {
            Some(&at) => join(&mut self.rows[at].1, value),
            None => {
                self.places.insert(key.clone(), self.rows.len());
                self.rows.push((key, value));
            }
        }
    }
}

impl<'a> Columns<'a> {
    pub(super) fn gather(writes: &[&'a Write]) -> Self {
        let mut columns = Self::default();
        if writes.iter().all(|write| write.states.is_empty()) {
            return columns;
        }
        let named = named(writes);
        let (mut chats, mut contacts) = (Merged::new(), Merged::new());
        let (mut cleared, mut deleted) = (Merged::new(), Merged::new());
        for write in writes {
            let session = write.session.get();
            for change in &write.states {
                let peer = change.peer();
                let peer = *named.get(&(session, peer.jid.as_str())).unwrap_or(&peer);
                let key = (session, peer.jid.as_str());
                match change {
                    StateChange::Chat(_, state) => chats.add(key, (peer, *state), |old, (peer, new)| {
                        *old = (fuller(old.0, peer), old.1.then(new));
                    }),
                    StateChange::Contact(_, name) => {
                        contacts.add(key, (peer, name.as_ref()), |old, (peer, new)| {
                            *old = (fuller(old.0, peer), new);
                        });
                    }
                    StateChange::Cleared(_, at) => cleared.add(key, (peer, *at), later),
                    StateChange::Deleted(_, at) => deleted.add(key, (peer, *at), later),
                    StateChange::Message(place) => {
                        columns.messages.peers.push((session, peer));
                        columns.messages.ids.push(place.id.as_str());
                        columns.messages.from_me.push(place.from_me);
                    }
                }
            }
        }
        for ((session, _), (peer, state)) in chats.rows {
            columns.chat((session, peer), state);
        }
        for ((session, _), (peer, name)) in contacts.rows {
            columns.contacts.peers.push((session, peer));
            columns.contacts.names.push(name.map(SavedName::as_str));
        }
        // What is deleted is cleared, too.
        for ((session, jid), (peer, at)) in &deleted.rows {
            columns.deleted.push((*session, peer), *at);
            cleared.add((*session, *jid), (*peer, *at), later);
        }
        for ((session, _), (peer, at)) in cleared.rows {
            columns.cleared.push((session, peer), at);
        }
        columns
    }

    fn chat(&mut self, row: Row<'a>, state: ChatState) {
        let columns = &mut self.chats;
        columns.peers.push(row);
        columns.archived.push(state.archived);
        columns.sets_pinned.push(state.pinned.is_some());
        columns.pinned.push(state.pinned.flatten());
        columns.muted.push(state.muted.map(|muted| muted != Muted::No));
        columns.muted_until.push(match state.muted {
            Some(Muted::Until(at)) => Some(at),
            _ => None,
        });
        columns.marked_unread.push(state.marked_unread);
        if state.marked_unread == Some(false) {
            self.read.push(row);
        }
    }

    /// The statements that are needed, in their order.
    pub(super) fn steps<'s>(
        &'s self,
        statements: &'s Statements,
    ) -> Vec<(&'s Statement, Vec<Parameter<'s>>)> {
        let mut steps: Vec<(&Statement, Vec<Parameter<'_>>)> = Vec::new();
        let peers = |peers: &'s PeerColumns<'a>| -> Vec<Parameter<'s>> {
            vec![&peers.sessions, &peers.jids, &peers.lids]
        };
        let mut add = |statement, of: &'s PeerColumns<'a>, rest: &[Parameter<'s>]| {
            if !of.jids.is_empty() {
                let mut parameters = peers(of);
                parameters.extend_from_slice(rest);
                steps.push((statement, parameters));
            }
        };
        let (chats, contacts, messages) = (&self.chats, &self.contacts, &self.messages);
        add(
            &statements.chats,
            &chats.peers,
            &[
                &chats.archived,
                &chats.sets_pinned,
                &chats.pinned,
                &chats.muted,
                &chats.muted_until,
                &chats.marked_unread,
            ],
        );
        add(&statements.read, &self.read, &[]);
        add(&statements.contacts, &contacts.peers, &[&contacts.names]);
        add(&statements.cleared, &self.cleared.peers, &[&self.cleared.ats]);
        add(&statements.deleted, &self.deleted.peers, &[&self.deleted.ats]);
        add(
            &statements.messages,
            &messages.peers,
            &[&messages.ids, &messages.from_me],
        );
        steps
    }
}

impl<'a> ClearedColumns<'a> {
    fn push(&mut self, row: Row<'a>, at: OffsetDateTime) {
        self.peers.push(row);
        self.ats.push(at);
    }
}

/// Those of whom both names are told, by either: the same one is one row, whichever name it is told by.
fn named<'a>(writes: &[&'a Write]) -> HashMap<(i64, &'a str), &'a Peer> {
    let mut named = HashMap::new();
    for write in writes {
        for peer in write.states.iter().map(StateChange::peer) {
            if let Some(lid) = &peer.lid {
                named.insert((write.session.get(), lid.as_str()), peer);
                named.insert((write.session.get(), peer.jid.as_str()), peer);
            }
        }
    }
    named
}

/// The one that names more.
fn fuller<'a>(one: &'a Peer, other: &'a Peer) -> &'a Peer {
    if other.lid.is_some() { other } else { one }
}

fn later<'a>(old: &mut (&'a Peer, OffsetDateTime), (peer, at): (&'a Peer, OffsetDateTime)) {
    *old = (fuller(old.0, peer), old.1.max(at));
}

// What was kept by the hidden id goes to the number.
const CHATS: &str = "-- commit::chat_states
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::bool[] /* archived */,
        $5::bool[] /* sets pinned */, $6::timestamptz[] /* pinned */, $7::bool[] /* muted */,
        $8::timestamptz[] /* muted until */, $9::bool[] /* marked unread */)
        AS i (session_id, jid, lid, archived, sets_pinned, pinned, muted, muted_until, marked_unread)),
hidden AS (
    DELETE FROM chat_state s USING i WHERE s.session_id = i.session_id AND s.jid = i.lid
    RETURNING s.*, i.jid AS number),
o AS (
    SELECT i.session_id, i.jid, coalesce(s.archived, h.archived, false) AS archived,
        CASE WHEN s.jid IS NULL THEN h.pinned_at ELSE s.pinned_at END AS pinned_at,
        coalesce(s.muted, h.muted, false) AS muted,
        CASE WHEN s.jid IS NULL THEN h.muted_until ELSE s.muted_until END AS muted_until,
        coalesce(s.marked_unread, h.marked_unread, false) AS marked_unread,
        greatest(s.cleared_at, h.cleared_at) AS cleared_at
    FROM i LEFT JOIN chat_state s ON s.session_id = i.session_id AND s.jid = i.jid
        LEFT JOIN hidden h ON h.session_id = i.session_id AND h.number = i.jid)
INSERT INTO chat_state (session_id, jid, archived, pinned_at, muted, muted_until, marked_unread, cleared_at)
SELECT i.session_id, i.jid, coalesce(i.archived, o.archived),
    CASE WHEN i.sets_pinned THEN i.pinned ELSE o.pinned_at END, coalesce(i.muted, o.muted),
    CASE WHEN i.muted IS NULL THEN o.muted_until ELSE i.muted_until END,
    coalesce(i.marked_unread, o.marked_unread), o.cleared_at
FROM i JOIN o USING (session_id, jid)
ON CONFLICT (session_id, jid) DO UPDATE SET archived = excluded.archived, pinned_at = excluded.pinned_at,
    muted = excluded.muted, muted_until = excluded.muted_until, marked_unread = excluded.marked_unread,
    cleared_at = excluded.cleared_at";

const READ: &str = "-- commit::chats_marked_read
UPDATE chat c SET unread = 0
FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */) AS i (session_id, jid, lid)
WHERE c.session_id = i.session_id AND (c.jid = i.jid OR c.jid = i.lid) AND c.unread > 0";

// Who is taken out of the address book stays known, as one who may have written.
const CONTACTS: &str = "-- commit::saved_names
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::text[] /* names */)
        AS i (session_id, jid, lid, name)),
hidden AS (
    DELETE FROM contact c USING i WHERE c.session_id = i.session_id AND c.jid = i.lid
    RETURNING c.session_id, i.jid AS number, c.name)
INSERT INTO contact (session_id, jid, lid, name, saved_name)
SELECT i.session_id, i.jid, i.lid, h.name, i.name
FROM i LEFT JOIN hidden h ON h.session_id = i.session_id AND h.number = i.jid
ON CONFLICT (session_id, jid) DO UPDATE SET lid = coalesce(excluded.lid, contact.lid),
    name = coalesce(contact.name, excluded.name), saved_name = excluded.saved_name";

const CLEARED: &str = "-- commit::chats_cleared
WITH i AS (
    SELECT session_id, jid, lid, at + interval '999999 microseconds' AS at
    FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::timestamptz[] /* ats */)
        AS i (session_id, jid, lid, at)),
emptied AS (
    UPDATE chat c SET unread = 0, last_text = NULL FROM i
    WHERE c.session_id = i.session_id AND (c.jid = i.jid OR c.jid = i.lid) AND c.last_at <= i.at)
INSERT INTO chat_state (session_id, jid, cleared_at) SELECT session_id, jid, at FROM i
ON CONFLICT (session_id, jid) DO UPDATE SET cleared_at = greatest(chat_state.cleared_at, excluded.cleared_at)";

// A chat that something came into since stays listed. One that Fanfare wrote to is listed no more until it is written to again.
const DELETED: &str = "-- commit::chats_deleted
WITH i AS (
    SELECT session_id, jid, lid, at + interval '999999 microseconds' AS at
    FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::timestamptz[] /* ats */)
        AS i (session_id, jid, lid, at)),
gone AS (
    DELETE FROM chat c USING i
    WHERE c.session_id = i.session_id AND (c.jid = i.jid OR c.jid = i.lid) AND c.last_at <= i.at),
names AS (
    SELECT session_id, jid AS name, at FROM i UNION SELECT session_id, lid, at FROM i WHERE lid IS NOT NULL)
INSERT INTO chat_cleared (session_id, jid, at)
SELECT n.session_id, n.name, n.at FROM names n
WHERE EXISTS (SELECT 1 FROM recipient r WHERE r.session_id = n.session_id AND r.stanza_id IS NOT NULL
    AND coalesce(r.addressee, r.number) = regexp_replace(n.name, '@s\\.whatsapp\\.net$', ''))
ON CONFLICT (session_id, jid) DO UPDATE SET at = greatest(chat_cleared.at, excluded.at)";

const MESSAGES: &str = "-- commit::messages_deleted
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* jids */, $3::text[] /* lids */, $4::text[] /* ids */,
        $5::bool[] /* from me */) AS i (session_id, jid, lid, id, from_me)),
gone AS (
    DELETE FROM message m USING i
    WHERE m.session_id = i.session_id AND (m.chat = i.jid OR m.chat = i.lid) AND m.id = i.id AND m.from_me = i.from_me)
UPDATE chat c SET last_text = NULL FROM i
WHERE c.session_id = i.session_id AND (c.jid = i.jid OR c.jid = i.lid) AND c.last_id = i.id";
