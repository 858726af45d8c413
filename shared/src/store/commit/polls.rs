//! Polls and votes of a batch, beyond what they are as messages: what opens votes, and that the last vote of each voter
//! counts. Nothing is executed where a batch has none.

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::store::StoreError;
use crate::store::chats::change::{Arrival, VOTE};

/// The statements, prepared on one connection.
pub(super) struct Statements {
    secrets: Statement,
    votes: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            secrets: client.prepare(SECRETS).await?,
            votes: client.prepare(VOTES).await?,
        })
    }
}

/// The polls and the votes of a batch.
#[derive(Default)]
pub(super) struct Columns<'a> {
    polls: Places<'a>,
    secrets: Vec<&'a [u8]>,
    votes: Places<'a>,
    targets: Vec<&'a str>,
    ats: Vec<OffsetDateTime>,
}

/// Which messages.
#[derive(Default)]
struct Places<'a> {
    sessions: Vec<i64>,
    chats: Vec<&'a str>,
    ids: Vec<&'a str>,
    from_me: Vec<bool>,
    senders: Vec<&'a str>,
}

type Step<'a> = (&'a Statement, Vec<&'a (dyn ToSql + Sync)>);

impl<'a> Columns<'a> {
    /// Takes what a message that came in is of this.
    pub(super) fn push(&mut self, session: i64, arrival: &'a Arrival) {
        if let Some(secret) = &arrival.secret {
            self.polls.push(session, arrival);
            self.secrets.push(secret);
        }
        if let Some(target) = arrival.target.as_deref().filter(|_| arrival.said.kind == VOTE) {
            self.votes.push(session, arrival);
            self.targets.push(target);
            self.ats.push(arrival.at);
        }
    }

    /// The statements that are needed. They follow the one that stores the messages.
    pub(super) fn steps<'s>(&'s self, statements: &'s Statements) -> impl Iterator<Item = Step<'s>> {
        let (polls, votes) = (&self.polls, &self.votes);
        let secrets = (!self.secrets.is_empty()).then(|| {
            let mut taken = polls.parameters();
            taken.push(&self.secrets);
            (&statements.secrets, taken)
        });
        let votes = (!self.targets.is_empty()).then(|| {
            let mut taken = votes.parameters();
            taken.push(&self.targets);
            taken.push(&self.ats);
            (&statements.votes, taken)
        });
        secrets.into_iter().chain(votes)
    }
}

impl<'a> Places<'a> {
    fn push(&mut self, session: i64, arrival: &'a Arrival) {
        self.sessions.push(session);
        self.chats.push(&arrival.chat.jid);
        self.ids.push(arrival.id.as_str());
        self.from_me.push(arrival.from_me);
        self.senders.push(&arrival.sender);
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.sessions,
            &self.chats,
            &self.ids,
            &self.from_me,
            &self.senders,
        ]
    }
}

const SECRETS: &str = "-- commit::poll_secrets
UPDATE message m SET secret = i.secret
FROM unnest($1::bigint[] /* sessions */, $2::text[] /* chats */, $3::text[] /* ids */, $4::bool[] /* from me */,
    $5::text[] /* senders */, $6::bytea[] /* secrets */) AS i (session_id, chat, id, from_me, sender, secret)
WHERE m.session_id = i.session_id AND m.chat = i.chat AND m.id = i.id AND m.from_me = i.from_me AND m.sender = i.sender
  AND m.secret IS NULL";

// A vote stands for all that its voter chose before: whoever votes again and again leaves one row.
const VOTES: &str = "-- commit::poll_votes
DELETE FROM message m
USING unnest($1::bigint[] /* sessions */, $2::text[] /* chats */, $3::text[] /* ids */, $4::bool[] /* from me */,
    $5::text[] /* senders */, $6::text[] /* polls */, $7::timestamptz[] /* ats */)
    AS i (session_id, chat, id, from_me, sender, target, at)
WHERE m.session_id = i.session_id AND m.chat = i.chat AND m.target = i.target AND m.kind = 'pollUpdateMessage'
  AND m.from_me = i.from_me AND m.sender = i.sender AND (m.at, m.id) < (i.at, i.id)";
