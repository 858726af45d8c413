//! Jobs: what clients, and our own API, ask of the worker that owns a session.
//!
//! A job is JSON, its kind in the AMQP `type` property and its identity in `message_id`. The wire bodies live
//! in `wire`; the types here are parsed: a value of [`Job`] needs no further check. Knows nothing of AMQP.

mod wire;

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{JobId, QueueId, StanzaId, Token};
use crate::recipient::{Number, NumberKind};

/// Most recipients of one job.
pub const RECIPIENTS_MAX: usize = 100_000;
/// Most bytes of a job's body; the broker's own limit in its 4.x default is the same.
pub const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of a text message (WhatsApp's own limit).
pub const TEXT_MAX_BYTES: usize = 65_536;
/// Longest delay between two sends, in seconds: a day.
pub const DELAY_MAX_SECONDS: f64 = 86_400.0;

/// Why a body is not a job: which field, and what is wrong with it. Never repeats the field's value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct JobError {
    /// What kind of mistake it is, for programs.
    #[serde(skip)]
    pub kind: JobErrorKind,
    /// The field as the caller wrote it (`numbers[3]`, `delay.min`), `body` for the whole, `type` for the kind.
    pub field: String,
    /// What is wrong, to be read behind the field's name.
    pub problem: String,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum JobErrorKind {
    /// A field is missing, unknown, or has a value that can't be used.
    #[default]
    Form,
    /// More than [`RECIPIENTS_MAX`] recipients.
    TooManyRecipients,
}

impl JobError {
    /// Makes an error of one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            kind: JobErrorKind::Form,
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// `field` names more than [`RECIPIENTS_MAX`] recipients.
    fn too_many(field: &str) -> Self {
        Self {
            kind: JobErrorKind::TooManyRecipients,
            ..Self::new(field, format!("must name at most {RECIPIENTS_MAX} recipients"))
        }
    }
}

/// The kind of a job: its AMQP `type`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum JobKind {
    /// Send a message to one or many.
    #[serde(rename = "send")]
    Send,
    /// Pause a queue.
    #[serde(rename = "pause")]
    Pause,
    /// Resume a paused queue.
    #[serde(rename = "resume")]
    Resume,
    /// Delete a queue: what is not sent yet never is.
    #[serde(rename = "delete")]
    Delete,
    /// Connect the session, pairing it if it has no credentials.
    #[serde(rename = "session.start")]
    SessionStart,
    /// Disconnect the session and keep its credentials.
    #[serde(rename = "session.stop")]
    SessionStop,
    /// Log the session out at WhatsApp and delete it with its credentials.
    #[serde(rename = "session.delete")]
    SessionDelete,
    /// Ask for a pairing code instead of a QR code. Answered.
    #[serde(rename = "session.pairing-code")]
    PairingCode,
    /// Ask whether a number is on WhatsApp. Answered.
    #[serde(rename = "is-exists")]
    IsExists,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Send,
        Self::Pause,
        Self::Resume,
        Self::Delete,
        Self::SessionStart,
        Self::SessionStop,
        Self::SessionDelete,
        Self::PairingCode,
        Self::IsExists,
    ];

    /// The AMQP `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Delete => "delete",
            Self::SessionStart => "session.start",
            Self::SessionStop => "session.stop",
            Self::SessionDelete => "session.delete",
            Self::PairingCode => "session.pairing-code",
            Self::IsExists => "is-exists",
        }
    }

    /// The kind of an AMQP `type`.
    ///
    /// # Errors
    /// A [`JobError`] on the field `type`.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                JobError::new("type", format!("must be one of {known}"))
            })
    }
}

/// A parsed job.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Send a message to one or many.
    Send(Box<SendJob>),
    /// Pause a queue.
    Pause(QueueCommand),
    /// Resume a paused queue.
    Resume(QueueCommand),
    /// Delete a queue.
    Delete(QueueCommand),
    /// Connect the session.
    SessionStart,
    /// Disconnect the session, keep its credentials.
    SessionStop,
    /// Log out and delete the session.
    SessionDelete,
    /// Ask for a pairing code; answered with [`Answer::PairingCode`].
    PairingCode(PairingCodeJob),
    /// Ask whether a number is on WhatsApp; answered with [`Answer::IsExists`].
    IsExists(IsExistsJob),
}

/// Send `message` to every one of `numbers`, in their order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJob {
    /// The queue's id when the caller chose it; else [`QueueId::derived`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<QueueId>,
    /// 1 to [`RECIPIENTS_MAX`] recipients.
    pub numbers: Vec<Number>,
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
}

/// A command on one queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueCommand {
    /// The queue.
    pub queue_id: QueueId,
}

/// A request for a pairing code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeJob {
    /// The phone number of the account to pair with.
    pub phone: Number,
}

/// A question whether a number is on WhatsApp.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsExistsJob {
    /// The number asked for; a phone number.
    pub number: Number,
}

/// What a message says.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// Plain text, 1 to 65,536 bytes.
    Text {
        /// The text.
        text: String,
    },
}

impl std::fmt::Debug for Content {
    /// Bodies are never logged: only kind and size.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { text } => write!(f, "Text({} bytes)", text.len()),
        }
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

    /// Shortest gap.
    pub fn min(self) -> Duration {
        Duration::from_secs_f64(self.min)
    }

    /// Longest gap.
    pub fn max(self) -> Duration {
        Duration::from_secs_f64(self.max)
    }
}

/// What a new owner does with a send that may or may not have left before a crash.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Send again under the same stanza id: a recipient that has shown it drops it.
    #[default]
    Resend,
    /// Keep it as `unknown` and go on.
    Hold,
}

impl Job {
    /// Parses a job from its AMQP `type` and body.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(kind: &str, body: &[u8]) -> Result<Self, JobError> {
        Self::parse_kind(JobKind::parse(kind)?, body)
    }

    /// Parses a job of a known kind.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse_kind(kind: JobKind, body: &[u8]) -> Result<Self, JobError> {
        if body.len() > BODY_MAX_BYTES {
            return Err(JobError::new(
                "body",
                format!("must be at most {BODY_MAX_BYTES} bytes"),
            ));
        }
        Ok(match kind {
            JobKind::Send => Self::Send(Box::new(SendJob::parse(body)?)),
            JobKind::Pause => Self::Pause(wire::parse(body)?),
            JobKind::Resume => Self::Resume(wire::parse(body)?),
            JobKind::Delete => Self::Delete(wire::parse(body)?),
            JobKind::SessionStart => wire::parse_empty(body).map(|()| Self::SessionStart)?,
            JobKind::SessionStop => wire::parse_empty(body).map(|()| Self::SessionStop)?,
            JobKind::SessionDelete => wire::parse_empty(body).map(|()| Self::SessionDelete)?,
            JobKind::PairingCode => {
                let job: PairingCodeJob = wire::parse(body)?;
                phone_only("phone", &job.phone)?;
                Self::PairingCode(job)
            }
            JobKind::IsExists => {
                let job: IsExistsJob = wire::parse(body)?;
                phone_only("number", &job.number)?;
                Self::IsExists(job)
            }
        })
    }

    /// The kind of this job.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Send(_) => JobKind::Send,
            Self::Pause(_) => JobKind::Pause,
            Self::Resume(_) => JobKind::Resume,
            Self::Delete(_) => JobKind::Delete,
            Self::SessionStart => JobKind::SessionStart,
            Self::SessionStop => JobKind::SessionStop,
            Self::SessionDelete => JobKind::SessionDelete,
            Self::PairingCode(_) => JobKind::PairingCode,
            Self::IsExists(_) => JobKind::IsExists,
        }
    }

    /// The JSON body, in canonical form.
    pub fn to_body(&self) -> Vec<u8> {
        match self {
            Self::Send(job) => wire::to_vec(job),
            Self::Pause(command) | Self::Resume(command) | Self::Delete(command) => wire::to_vec(command),
            Self::SessionStart | Self::SessionStop | Self::SessionDelete => b"{}".to_vec(),
            Self::PairingCode(job) => wire::to_vec(job),
            Self::IsExists(job) => wire::to_vec(job),
        }
    }

    /// The JSON Schema of the body of a kind of job, as documented for foreign publishers.
    pub fn schema(kind: JobKind) -> Schema {
        wire::schema(kind)
    }
}

/// Refuses a jid of a group or a hidden id where WhatsApp takes a phone number only.
fn phone_only(field: &str, number: &Number) -> Result<(), JobError> {
    match number.kind() {
        NumberKind::Phone => Ok(()),
        NumberKind::Group | NumberKind::Lid => Err(JobError::new(field, "must be a phone number")),
    }
}

impl SendJob {
    /// Parses the body of a `send` job.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        wire::parse::<wire::SendBody>(body)?.try_into()
    }

    /// Checks what the types can't: the number of recipients, the text's length, and that a stanza id goes
    /// with one number. For callers that build a job themselves; parsing does it too.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn check(&self) -> Result<(), JobError> {
        if self.numbers.is_empty() {
            return Err(JobError::new("numbers", "must name at least one recipient"));
        }
        if self.numbers.len() > RECIPIENTS_MAX {
            return Err(JobError::too_many("numbers"));
        }
        if self.message_id.is_some() && self.numbers.len() > 1 {
            return Err(JobError::new(
                "messageId",
                "can only be given with a single number",
            ));
        }
        self.message.check()
    }

    /// The id of the queue this job makes.
    pub fn queue_id(&self, token: &Token, job: &JobId) -> QueueId {
        self.queue_id.unwrap_or_else(|| QueueId::derived(token, job))
    }

    /// What makes two jobs the same: a SHA-256 of the canonical body without its ids, one of which the API adds
    /// where its callers give none.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Each part is a JSON document of its own or ends in a newline, so no two jobs run together.
        for number in &self.numbers {
            hash.update(number.as_text().as_bytes());
            hash.update(b"\n");
        }
        hash.update(wire::to_vec(&(&self.message, &self.delay, self.on_unknown)));
        hash.finalize().into()
    }
}

impl Content {
    /// Checks the limits of the content.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn check(&self) -> Result<(), JobError> {
        match self {
            Self::Text { text } if text.is_empty() => Err(JobError::new("message.text", "must not be empty")),
            Self::Text { text } if text.len() > TEXT_MAX_BYTES => Err(JobError::new(
                "message.text",
                format!("must be at most {TEXT_MAX_BYTES} bytes"),
            )),
            // A database text can't hold it, and no client shows it.
            Self::Text { text } if text.contains('\0') => Err(JobError::new(
                "message.text",
                "must not contain the character U+0000",
            )),
            Self::Text { .. } => Ok(()),
        }
    }
}

/// The answer to a job that asked for one (`reply_to`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Answer {
    /// The job is accepted, or the command took effect.
    Done {
        /// The queue the job made or the command changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        queue_id: Option<QueueId>,
    },
    /// Whether a number is on WhatsApp.
    IsExists {
        /// Whether it is.
        exists: bool,
        /// Its jid, when it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        jid: Option<String>,
        /// Its hidden id, when known.
        #[serde(skip_serializing_if = "Option::is_none")]
        lid: Option<String>,
    },
    /// The code to type into the phone.
    PairingCode {
        /// Eight characters.
        code: String,
    },
    /// The job was not done.
    Failed {
        /// What kind of failure, for programs.
        code: FailureCode,
        /// What was wrong, for people.
        message: String,
    },
}

/// Why a job was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// No session has this token.
    UnknownSession,
    /// No queue of this session has this id.
    UnknownQueue,
    /// The body is not a job.
    InvalidJob,
    /// The state does not allow it, or the same id came with another body.
    Conflict,
    /// The session is not connected to WhatsApp.
    NotConnected,
    /// WhatsApp did not answer in time.
    Timeout,
    /// WhatsApp refused.
    Refused,
    /// We failed; trying again may help.
    Internal,
}

#[cfg(test)]
mod tests;
