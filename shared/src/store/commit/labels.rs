//! Labels of a batch: columns, and the statements that take them.
//!
//! Every statement finds its rows by key, and each may be done again. Nothing is executed where a batch has none.

use std::collections::{HashMap, HashSet};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::change::Write;
use crate::store::StoreError;
use crate::store::chats::labels::{Label, LabelChange, Labeling};

/// The statements, prepared on one connection.
pub(super) struct Statements {
    deleted: Statement,
    edited: Statement,
    given: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            deleted: client.prepare(DELETED).await?,
            edited: client.prepare(EDITED).await?,
            given: client.prepare(GIVEN).await?,
        })
    }
}

type Parameter<'a> = &'a (dyn ToSql + Sync);
type Step<'a> = (&'a Statement, Vec<Parameter<'a>>);

/// What a batch changes of labels; the last of several changes of one thing counts.
#[derive(Default)]
pub(super) struct Columns<'a> {
    deleted: (Vec<i64>, Vec<&'a str>),
    edited: EditedColumns<'a>,
    given: GivenColumns<'a>,
}

#[derive(Default)]
struct EditedColumns<'a> {
    sessions: Vec<i64>,
    ids: Vec<&'a str>,
    names: Vec<&'a str>,
    colors: Vec<i32>,
    predefined: Vec<Option<i32>>,
}

#[derive(Default)]
struct GivenColumns<'a> {
    sessions: Vec<i64>,
    labels: Vec<&'a str>,
    jids: Vec<&'a str>,
    lids: Vec<Option<&'a str>>,
    messages: Vec<&'a str>,
    are_given: Vec<bool>,
}

/// A session and a label.
type LabelKey<'a> = (i64, &'a str);
/// A session, a label, a chat and a message of it.
type GivenKey<'a> = (i64, &'a str, &'a str, &'a str);

/// What is left of the changes of a batch.
#[derive(Default)]
struct Last<'a> {
    /// Labels that were deleted, also where one of the same id was made since.
    deleted: HashSet<LabelKey<'a>>,
    edited: HashMap<LabelKey<'a>, &'a Label>,
    given: HashMap<GivenKey<'a>, (Option<&'a str>, bool)>,
}

impl<'a> Last<'a> {
    fn take(&mut self, session: i64, change: &'a LabelChange) {
        match change {
            LabelChange::Edited(label) => {
                self.edited.insert((session, &label.id), label);
            }
            LabelChange::Deleted(id) => {
                let id = id.as_str();
                self.edited.remove(&(session, id));
                self.given
                    .retain(|(of, label, ..), _| (*of, *label) != (session, id));
                self.deleted.insert((session, id));
            }
            LabelChange::Given(labeling) => self.labeled(session, labeling, true),
            LabelChange::Taken(labeling) => self.labeled(session, labeling, false),
        }
    }

    fn labeled(&mut self, session: i64, labeling: &'a Labeling, is_given: bool) {
        let Labeling { label, chat, message } = labeling;
        let message = message.as_deref().unwrap_or_default();
        let lid = chat.lid.as_deref();
        if let Some(lid) = lid {
            // One thing by two names, in one batch.
            self.given.remove(&(session, label.as_str(), lid, message));
        }
        let key = (session, label.as_str(), chat.jid.as_str(), message);
        self.given.insert(key, (lid, is_given));
    }
}

impl<'a> Columns<'a> {
    pub(super) fn gather(writes: &[&'a Write]) -> Self {
        let mut last = Last::default();
        for write in writes {
            for change in &write.labels {
                last.take(write.session.get(), change);
            }
        }
        let mut columns = Self::default();
        for (session, id) in last.deleted {
            columns.deleted.0.push(session);
            columns.deleted.1.push(id);
        }
        for ((session, _), label) in last.edited {
            columns.edited.push(session, label);
        }
        for (key, value) in last.given {
            columns.given.push(key, value);
        }
        columns
    }

    /// The statements that are needed, in their order.
    pub(super) fn steps<'s>(&'s self, statements: &'s Statements) -> Vec<Step<'s>> {
        let mut steps: Vec<Step<'s>> = Vec::new();
        let (deleted, edited, given) = (&self.deleted, &self.edited, &self.given);
        if !deleted.0.is_empty() {
            steps.push((&statements.deleted, vec![&deleted.0, &deleted.1]));
        }
        if !edited.ids.is_empty() {
            let parameters: Vec<Parameter<'_>> = vec![
                &edited.sessions,
                &edited.ids,
                &edited.names,
                &edited.colors,
                &edited.predefined,
            ];
            steps.push((&statements.edited, parameters));
        }
        if !given.labels.is_empty() {
            let parameters: Vec<Parameter<'_>> = vec![
                &given.sessions,
                &given.labels,
                &given.jids,
                &given.lids,
                &given.messages,
                &given.are_given,
            ];
            steps.push((&statements.given, parameters));
        }
        steps
    }
}

impl<'a> EditedColumns<'a> {
    fn push(&mut self, session: i64, label: &'a Label) {
        self.sessions.push(session);
        self.ids.push(&label.id);
        self.names.push(&label.name);
        self.colors.push(label.color);
        self.predefined.push(label.predefined);
    }
}

impl<'a> GivenColumns<'a> {
    fn push(
        &mut self,
        (session, label, jid, message): GivenKey<'a>,
        (lid, is_given): (Option<&'a str>, bool),
    ) {
        self.sessions.push(session);
        self.labels.push(label);
        self.jids.push(jid);
        self.lids.push(lid);
        self.messages.push(message);
        self.are_given.push(is_given);
    }
}

const DELETED: &str = "-- commit::labels_deleted
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* ids */) AS i (session_id, id)),
gone AS (
    DELETE FROM label_given g USING i WHERE g.session_id = i.session_id AND g.label_id = i.id)
DELETE FROM label l USING i WHERE l.session_id = i.session_id AND l.id = i.id";

const EDITED: &str = "-- commit::labels_edited
INSERT INTO label (session_id, id, name, color, predefined_id)
SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* ids */, $3::text[] /* names */, $4::int[] /* colours */,
    $5::int[] /* predefined */)
ON CONFLICT (session_id, id) DO UPDATE SET name = excluded.name, color = excluded.color,
    predefined_id = excluded.predefined_id";

// What has it by the hidden id has it by the number.
const GIVEN: &str = "-- commit::labels_given
WITH i AS (
    SELECT * FROM unnest($1::bigint[] /* sessions */, $2::text[] /* labels */, $3::text[] /* jids */, $4::text[] /* lids */,
        $5::text[] /* messages */, $6::bool[] /* are given */) AS i (session_id, label_id, jid, lid, message_id, is_given)),
gone AS (
    DELETE FROM label_given g USING i
    WHERE g.session_id = i.session_id AND g.label_id = i.label_id AND g.message_id = i.message_id
      AND (g.jid = i.lid OR g.jid = i.jid AND NOT i.is_given))
INSERT INTO label_given (session_id, jid, message_id, label_id)
SELECT session_id, jid, message_id, label_id FROM i WHERE is_given
ON CONFLICT DO NOTHING";
