//! Sending a message to one or many: the body as callers write it, and the parsed job.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::list::{self, List, Rules};
use super::names::{Label, Reference};
use super::recipients::{Duplicates, DuplicatesAsked, Invalid, OneOrMany, Reading, Recipient};
use super::start_at;
use crate::body::{self, JobError, Moment};
use crate::clock::unix_millis;
use crate::content::{Content, Personal};
use crate::id::{JobId, QueueId, StanzaId, Token};
use crate::named::stored;
use crate::recipient::NumberKind;

/// Longest delay between two sends, in seconds: a day.
pub const DELAY_MAX_SECONDS: f64 = 86_400.0;

/// Send `message` to every one of `numbers`, in their order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJob {
    /// The queue's id when the caller chose it; else [`QueueId::derived`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<QueueId>,
    /// 1 to [`RECIPIENTS_MAX`](super::RECIPIENTS_MAX) recipients, without those that were left out.
    pub numbers: Vec<Recipient>,
    /// What to send.
    pub message: Content,
    /// The gap between sends of this queue; the session's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// What to do with a recipient whose send was cut off by a crash.
    pub on_unknown: OnUnknown,
    /// The stanza id to use. Only with one number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<StanzaId>,
    /// Nothing is sent before this; in the past, or absent, at once. To the millisecond.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "start_at::as_millis"
    )]
    pub start_at: Option<OffsetDateTime>,
    /// What to do about a recipient whose account turns out to be that of another.
    #[serde(skip_serializing_if = "Duplicates::is_default")]
    pub duplicates: Duplicates,
    /// What the caller calls the queue by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// What the queue is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// How the list of recipients was read, for the answer. No part of the job: one that is written again is read as it is.
    #[serde(skip)]
    pub reading: Reading,
}

impl SendJob {
    /// A message to recipients, with nothing else said.
    pub fn new<R: Into<Recipient>>(
        numbers: impl IntoIterator<Item = R>,
        message: impl Into<Content>,
    ) -> Self {
        Self {
            queue_id: None,
            numbers: numbers.into_iter().map(Into::into).collect(),
            message: message.into(),
            delay: None,
            on_unknown: OnUnknown::default(),
            message_id: None,
            start_at: None,
            duplicates: Duplicates::default(),
            reference: None,
            label: None,
            reading: Reading::default(),
        }
    }

    /// Parses the body of a `send` job.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        body::parse::<SendBody>(body)?.try_into()
    }

    /// Checks what the types can't: the number of recipients, and that a stanza id goes with one number.
    pub(super) fn check(&self) -> Result<(), JobError> {
        if self.numbers.is_empty() {
            return Err(JobError::new("numbers", "must name at least one recipient"));
        }
        if self.message_id.is_some() && self.numbers.len() > 1 {
            return Err(JobError::new(
                "messageId",
                "can only be given with a single number",
            ));
        }
        if self.message.subject().is_some() && self.numbers.len() > 1 {
            return Err(JobError::new(
                "numbers",
                "must be one: what is sent is about a message, which is in one chat",
            ));
        }
        self.check_authors()
    }

    /// Checks that a message of others in a group, which is spoken of, says whose it is.
    fn check_authors(&self) -> Result<(), JobError> {
        let to_group = |recipient: &Recipient| recipient.number.kind() == NumberKind::Group;
        if !self.numbers.iter().any(to_group) {
            return Ok(());
        }
        let quoted = self.message.references.quote.as_ref();
        let keys = [
            ("message.key", self.message.subject()),
            ("message.quote.key", quoted.map(|quote| &quote.key)),
        ];
        for (field, key) in keys {
            if key.is_some_and(|key| !key.from_me && key.participant.is_none()) {
                let problem = "is required in a group: who wrote the message";
                return Err(JobError::new(format!("{field}.participant"), problem));
            }
        }
        Ok(())
    }

    /// What its first recipient gets: of a send to one, what is sent.
    pub fn first_message(&self) -> Cow<'_, Content> {
        let first = self.numbers.first();
        match first.and_then(|first| first.variables.as_ref()) {
            Some(variables) => Cow::Owned(self.message.filled(variables)),
            None => Cow::Borrowed(&self.message),
        }
    }

    /// The id of the queue this job makes.
    pub fn queue_id(&self, token: &Token, job: &JobId) -> QueueId {
        self.queue_id.unwrap_or_else(|| QueueId::derived(token, job))
    }

    /// The id that its queue gets instead where another session has a queue of [`Self::queue_id`]; `None` if the caller
    /// chose that.
    pub fn other_queue_id(&self, token: &Token, job: &JobId) -> Option<QueueId> {
        self.queue_id.is_none().then(|| QueueId::of_session(token, job))
    }

    /// What makes two jobs the same: a SHA-256 of what they mean, however it is written, without their ids, one of which
    /// the API adds where its callers give none.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Each part is a JSON document of its own or ends in a newline, so no two jobs run together.
        for recipient in &self.numbers {
            hash.update(recipient.number.as_text().as_bytes());
            if let Some(reference) = &recipient.reference {
                hash.update(b" ");
                hash.update(body::to_vec(reference));
            }
            if let Some(variables) = &recipient.variables {
                hash.update(b" ");
                hash.update(body::to_vec(variables));
            }
            hash.update(b"\n");
        }
        hash.update(body::to_vec(&(&self.message, &self.delay, self.on_unknown)));
        // Of a job without one the hash is what it was before there was such a field.
        if let Some(at) = self.start_at {
            hash.update(format!("\nstartAt {}", unix_millis(at)));
        }
        // Stored fingerprints of jobs that say nothing of these stay what they are.
        if !self.duplicates.is_default() || self.reference.is_some() || self.label.is_some() {
            hash.update(body::to_vec(&(self.duplicates, &self.reference, &self.label)));
        }
        hash.finalize().into()
    }
}

/// The gap between two sends of a session: uniform over [min, max] seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// Shortest gap, in seconds.
    min: f64,
    /// Longest gap, in seconds.
    max: f64,
}

impl Default for Delay {
    /// 10 to 30 seconds, the product's own MIN and MAX.
    fn default() -> Self {
        Self { min: 10.0, max: 30.0 }
    }
}

impl Delay {
    /// Checks a pair of seconds.
    ///
    /// # Errors
    /// A [`JobError`] on `min` or `max`: negative, not finite, over [`DELAY_MAX_SECONDS`], or min > max.
    pub fn new(min: f64, max: f64) -> Result<Self, JobError> {
        let range = 0.0..=DELAY_MAX_SECONDS;
        for (field, value) in [("min", min), ("max", max)] {
            if !range.contains(&value) {
                return Err(JobError::new(
                    field,
                    format!("must be 0 to {DELAY_MAX_SECONDS} seconds"),
                ));
            }
        }
        if min > max {
            return Err(JobError::new("min", "must not be greater than max"));
        }
        Ok(Self { min, max })
    }

    /// Reads the object under `delay` of a job.
    ///
    /// # Errors
    /// A [`JobError`] on `delay.min` or `delay.max`.
    pub fn parse(fields: Map<String, Value>) -> Result<Self, JobError> {
        let delay = body::from_fields(fields).and_then(|Self { min, max }| Self::new(min, max));
        delay.map_err(|error| error.within("delay"))
    }

    /// Shortest gap.
    pub fn min(self) -> Duration {
        Duration::from_secs_f64(self.min)
    }

    /// Longest gap.
    pub fn max(self) -> Duration {
        Duration::from_secs_f64(self.max)
    }
}

stored! {
    /// What a new owner does with a send that may or may not have left before a crash.
    #[derive(Default)]
    OnUnknown {
        /// Send again under the same stanza id: a recipient that has shown it drops it.
        #[default]
        Resend = 0 "resend",
        /// Keep it as `unknown` and go on.
        Hold = 1 "hold",
    }
}

/// Send a message to one or many numbers. `number` and `numbers` are two names of one field; each takes one
/// recipient or an array: a text, or an object with `number`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendBody {
    /// The queue's id; when absent it is the message_id if that is a UUID, else derived from it.
    queue_id: Option<QueueId>,
    /// One recipient or an array of 1 to 100,000: phone numbers or full jids (@s.whatsapp.net, @lid, @g.us).
    number: Option<OneOrMany>,
    /// The same as `number`; give one of the two.
    numbers: Option<OneOrMany>,
    /// What to send.
    #[schemars(with = "Content")]
    message: Map<String, Value>,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    #[schemars(with = "Option<Delay>")]
    delay: Option<Map<String, Value>>,
    /// What to do with a recipient whose send was cut off by a crash.
    #[serde(default)]
    on_unknown: OnUnknown,
    /// The WhatsApp message id to use; only with one number.
    message_id: Option<StanzaId>,
    /// When to start: a time with its offset (`2026-12-24T09:00:00+01:00`), or milliseconds since 1970. In the past it is
    /// at once; at most START_AHEAD_DAYS ahead.
    start_at: Option<Moment>,
    /// What to do about somebody who is named twice, also by another number of the same account.
    #[serde(default)]
    duplicates: DuplicatesAsked,
    /// What to do about recipients that can't be read, or lack a variable.
    #[serde(default)]
    invalid: Invalid,
    /// What the caller calls the queue by: told again in its events.
    reference: Option<Reference>,
    /// What the queue is for: queues can be listed by it.
    label: Option<Label>,
}

impl TryFrom<SendBody> for SendJob {
    type Error = JobError;

    fn try_from(mut body: SendBody) -> Result<Self, JobError> {
        let mut list = body.list()?;
        if !list.is_personal() {
            // Before anything is said of the message.
            list.refuse()?;
        }
        let mut job = body.job(&mut list)?;
        (job.numbers, job.reading) = list.finish()?;
        job.check()?;
        Ok(job)
    }
}

impl SendBody {
    /// Reads the recipients, which are not there from then on.
    pub(super) fn list(&mut self) -> Result<List, JobError> {
        let (field, given) = match (self.number.take(), self.numbers.take()) {
            (Some(_), Some(_)) => return Err(JobError::new("numbers", "must not be given beside number")),
            (Some(one), None) => ("number", one),
            (None, Some(many)) => ("numbers", many),
            (None, None) => return Err(JobError::new("numbers", "is required")),
        };
        let rules = Rules {
            duplicates: self.duplicates.into(),
            invalid: self.invalid,
        };
        list::read(field, given, rules)
    }

    /// All but the recipients. Where those have variables, the message is checked as each of them gets it.
    pub(super) fn job(self, list: &mut List) -> Result<SendJob, JobError> {
        let in_message = |error: JobError| error.within("message");
        let message = if list.is_personal() {
            let personal = Personal::parse(self.message).map_err(in_message)?;
            list.check(&personal).map_err(in_message)?;
            personal.into_content()
        } else {
            Content::parse(self.message).map_err(in_message)?
        };
        Ok(SendJob {
            queue_id: self.queue_id,
            delay: self.delay.map(Delay::parse).transpose()?,
            on_unknown: self.on_unknown,
            message_id: self.message_id,
            start_at: self.start_at.map(start_at::read).transpose()?,
            duplicates: self.duplicates.into(),
            reference: self.reference,
            label: self.label,
            ..SendJob::new(Vec::<Recipient>::new(), message)
        })
    }
}
