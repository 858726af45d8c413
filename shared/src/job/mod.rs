//! Jobs: what clients, and our own API, ask of the worker that owns a session.
//!
//! A job is JSON, its kind in the AMQP `type` property and its identity in `message_id`. Families of
//! jobs have a file each; a value of [`Job`] is parsed and needs no further check. Knows nothing of AMQP.

mod action;
mod answer;
mod chat_action;
mod chats;
mod dry_run;
mod group;
mod history;
mod limits;
mod list;
mod names;
mod passkey;
mod profile;
mod query;
mod queue;
mod recipients;
mod schedule;
mod send;
mod session;
mod start_at;
mod timing;

use schemars::{Schema, schema_for};

use crate::body;
pub use crate::body::{JobError, JobErrorKind, from_fields};
pub use answer::*;
pub use chat_action::*;
pub use chats::*;
pub use dry_run::*;
pub use group::*;
pub use history::*;
pub use limits::*;
pub use names::*;
pub use passkey::*;
pub use profile::*;
pub use query::*;
pub use queue::*;
pub use recipients::*;
pub use schedule::*;
pub use send::*;
pub use session::*;
pub use timing::*;

use crate::named::named;

/// Most bytes of a job's body; the broker's own limit in its 4.x default is the same.
pub const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;

named! {
    /// The kind of a job: its AMQP `type`.
    JobKind {
        /// Send a message to one or many.
        Send = "send",
        /// Pause a queue.
        Pause = "pause",
        /// Resume a paused queue.
        Resume = "resume",
        /// Delete a queue: what is not sent yet never is.
        Delete = "delete",
        /// Send a queue of another account from the present one.
        Adopt = "adopt",
        /// Another pace for a queue.
        Pace = "pace",
        /// Send the message of a queue again to those who failed.
        Retry = "retry",
        /// Send at set times.
        Schedule = "schedule",
        /// Delete a schedule.
        Unschedule = "unschedule",
        /// Connect the session, pairing it if it has no credentials.
        SessionStart = "session.start",
        /// Disconnect the session and keep its credentials.
        SessionStop = "session.stop",
        /// Disconnect the session and connect it again.
        SessionRestart = "session.restart",
        /// Log the session out at WhatsApp and keep it, with its queues or without.
        SessionLogout = "session.logout",
        /// Log the session out at WhatsApp and delete it with its credentials.
        SessionDelete = "session.delete",
        /// Change settings of the session.
        SessionUpdate = "session.update",
        /// Ask for a pairing code instead of a QR code. Answered.
        PairingCode = "session.pairing-code",
        /// Hand over what the account's passkey signed. Answered.
        PasskeyAnswer = "session.passkey-answer",
        /// Say that the phone shows the same code. Answered.
        PasskeyConfirm = "session.passkey-confirm",
        /// Give up linking with a passkey. Answered.
        PasskeyCancel = "session.passkey-cancel",
        /// Ask whether a number is on WhatsApp. Answered.
        IsExists = "is-exists",
        /// Ask which of some numbers are on WhatsApp. Answered.
        LookUp = "look-up",
        /// Block numbers. Answered.
        Block = "block",
        /// Unblock numbers. Answered.
        Unblock = "unblock",
        /// Ask about groups, or do something with one. Answered.
        Group = "group",
        /// Ask about somebody or the own account, or change that. Answered.
        Profile = "profile",
        /// Ask the phone for older messages of a chat. Answered.
        History = "chat.history",
        /// Do something to a chat, a message, a contact or a label on all devices of the account. Answered.
        Chat = "chat",
        /// Forget a chat and its messages. Answered.
        ForgetChat = "chat.forget",
        /// Forget all that is kept of a person. Answered.
        ForgetPerson = "person.forget",
        /// Reject a call that rings. Answered.
        RejectCall = "call.reject",
        /// Ask what a send would do, without doing it. Answered.
        DryRun = "dry-run",
        /// Have the phone upload the file of a message again that came in. Answered.
        MediaRefresh = "media.refresh",
    }
}

impl JobKind {
    /// The kind of an AMQP `type`.
    ///
    /// # Errors
    /// A [`JobError`] on the field `type`.
    pub fn parse(text: &str) -> Result<Self, JobError> {
        Self::find(text).ok_or_else(|| JobError::new("type", Self::must_be()))
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
    /// Send a queue of another account from the present one.
    Adopt(QueueCommand),
    /// Another pace for a queue.
    Pace(PaceJob),
    /// Send the message of a queue again to those who failed, as a new queue.
    Retry(RetryJob),
    /// Send at set times.
    Schedule(Box<ScheduleJob>),
    /// Delete a schedule.
    Unschedule(UnscheduleJob),
    /// Connect the session.
    SessionStart,
    /// Disconnect the session, keep its credentials.
    SessionStop,
    /// Disconnect the session and connect it again.
    SessionRestart,
    /// Log out and keep the session.
    SessionLogout(LogoutJob),
    /// Log out and delete the session.
    SessionDelete,
    /// Change settings of the session; one that is connected follows at once.
    SessionUpdate(SessionUpdateJob),
    /// Ask for a pairing code; answered with [`Answer::PairingCode`].
    PairingCode(PairingCodeJob),
    /// Hand over what the account's passkey signed; answered when WhatsApp has taken it.
    PasskeyAnswer(Box<PasskeyAnswerJob>),
    /// The phone shows the same code; answered when WhatsApp has taken what the phone needs.
    PasskeyConfirm,
    /// Give up linking with a passkey.
    PasskeyCancel,
    /// Ask whether a number is on WhatsApp; answered with [`Answer::IsExists`].
    IsExists(IsExistsJob),
    /// Ask which of some numbers are on WhatsApp; answered with [`Answer::Numbers`].
    LookUp(NumbersJob),
    /// Block numbers; answered with [`Answer::Numbers`].
    Block(NumbersJob),
    /// Unblock numbers; answered with [`Answer::Numbers`].
    Unblock(NumbersJob),
    /// Ask about groups, or do something with one; answered with [`Answer::Group`] or [`Answer::Done`].
    Group(Box<GroupJob>),
    /// Ask about somebody or the own account, or change that; answered with [`Answer::Profile`] or [`Answer::Done`].
    Profile(Box<ProfileJob>),
    /// Ask the phone for older messages of a chat; answered with [`Answer::History`] when it is asked.
    History(HistoryJob),
    /// Do something to a chat, a message, a contact or a label; answered with [`Answer::Done`] when WhatsApp has taken it.
    Chat(Box<ChatActionJob>),
    /// Forget a chat and its messages; answered with [`Answer::Forgotten`].
    ForgetChat(ChatJob),
    /// Forget all that is kept of a person; answered with [`Answer::Forgotten`].
    ForgetPerson(PersonJob),
    /// Reject a call that rings; answered with [`Answer::Done`] when the caller is told.
    RejectCall(CallJob),
    /// Ask what a send would do; answered with [`Answer::DryRun`].
    DryRun(Box<DryRun>),
    /// Have the phone upload the file of a message again; answered with [`Answer::Done`] when it is there.
    MediaRefresh(MediaRefreshJob),
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
            JobKind::Pause => Self::Pause(body::parse(body)?),
            JobKind::Resume => Self::Resume(body::parse(body)?),
            JobKind::Delete => Self::Delete(body::parse(body)?),
            JobKind::Adopt => Self::Adopt(body::parse(body)?),
            JobKind::Pace => Self::Pace(PaceJob::parse(body)?),
            JobKind::Retry => Self::Retry(body::parse(body)?),
            JobKind::Schedule => Self::Schedule(Box::new(ScheduleJob::parse(body)?)),
            JobKind::Unschedule => Self::Unschedule(body::parse(body)?),
            JobKind::SessionStart => body::parse_empty(body).map(|()| Self::SessionStart)?,
            JobKind::SessionStop => body::parse_empty(body).map(|()| Self::SessionStop)?,
            JobKind::SessionRestart => body::parse_empty(body).map(|()| Self::SessionRestart)?,
            JobKind::SessionLogout => Self::SessionLogout(LogoutJob::parse(body)?),
            JobKind::SessionDelete => body::parse_empty(body).map(|()| Self::SessionDelete)?,
            JobKind::SessionUpdate => Self::SessionUpdate(body::parse(body)?),
            JobKind::PairingCode => Self::PairingCode(body::parse(body)?),
            JobKind::PasskeyAnswer => Self::PasskeyAnswer(Box::new(PasskeyAnswerJob::parse(body)?)),
            JobKind::PasskeyConfirm => body::parse_empty(body).map(|()| Self::PasskeyConfirm)?,
            JobKind::PasskeyCancel => body::parse_empty(body).map(|()| Self::PasskeyCancel)?,
            JobKind::IsExists => Self::IsExists(body::parse(body)?),
            JobKind::LookUp => Self::LookUp(NumbersJob::parse(body)?),
            JobKind::Block => Self::Block(NumbersJob::parse(body)?),
            JobKind::Unblock => Self::Unblock(NumbersJob::parse(body)?),
            JobKind::Group => Self::Group(Box::new(GroupJob::parse(body)?)),
            JobKind::Profile => Self::Profile(Box::new(ProfileJob::parse(body)?)),
            JobKind::History => Self::History(HistoryJob::parse(body)?),
            JobKind::Chat => Self::Chat(Box::new(ChatActionJob::parse(body)?)),
            JobKind::ForgetChat => Self::ForgetChat(body::parse(body)?),
            JobKind::ForgetPerson => Self::ForgetPerson(body::parse(body)?),
            JobKind::RejectCall => Self::RejectCall(body::parse(body)?),
            JobKind::DryRun => Self::DryRun(Box::new(DryRun::parse(body)?)),
            JobKind::MediaRefresh => Self::MediaRefresh(body::parse(body)?),
        })
    }

    /// The kind of this job.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Send(_) => JobKind::Send,
            Self::Pause(_) => JobKind::Pause,
            Self::Resume(_) => JobKind::Resume,
            Self::Delete(_) => JobKind::Delete,
            Self::Adopt(_) => JobKind::Adopt,
            Self::Pace(_) => JobKind::Pace,
            Self::Retry(_) => JobKind::Retry,
            Self::Schedule(_) => JobKind::Schedule,
            Self::Unschedule(_) => JobKind::Unschedule,
            Self::SessionStart => JobKind::SessionStart,
            Self::SessionStop => JobKind::SessionStop,
            Self::SessionRestart => JobKind::SessionRestart,
            Self::SessionLogout(_) => JobKind::SessionLogout,
            Self::SessionDelete => JobKind::SessionDelete,
            Self::SessionUpdate(_) => JobKind::SessionUpdate,
            Self::PairingCode(_) => JobKind::PairingCode,
            Self::PasskeyAnswer(_) => JobKind::PasskeyAnswer,
            Self::PasskeyConfirm => JobKind::PasskeyConfirm,
            Self::PasskeyCancel => JobKind::PasskeyCancel,
            Self::IsExists(_) => JobKind::IsExists,
            Self::LookUp(_) => JobKind::LookUp,
            Self::Block(_) => JobKind::Block,
            Self::Unblock(_) => JobKind::Unblock,
            Self::Group(_) => JobKind::Group,
            Self::Profile(_) => JobKind::Profile,
            Self::History(_) => JobKind::History,
            Self::Chat(_) => JobKind::Chat,
            Self::ForgetChat(_) => JobKind::ForgetChat,
            Self::ForgetPerson(_) => JobKind::ForgetPerson,
            Self::RejectCall(_) => JobKind::RejectCall,
            Self::DryRun(_) => JobKind::DryRun,
            Self::MediaRefresh(_) => JobKind::MediaRefresh,
        }
    }

    /// The JSON body, in canonical form.
    pub fn to_body(&self) -> Vec<u8> {
        match self {
            Self::Send(job) => body::to_vec(job),
            Self::Pause(command) | Self::Resume(command) | Self::Delete(command) | Self::Adopt(command) => {
                body::to_vec(command)
            }
            Self::Pace(job) => body::to_vec(job),
            Self::Retry(job) => body::to_vec(job),
            Self::Schedule(job) => body::to_vec(job),
            Self::Unschedule(job) => body::to_vec(job),
            Self::SessionStart
            | Self::SessionStop
            | Self::SessionRestart
            | Self::SessionDelete
            | Self::PasskeyConfirm
            | Self::PasskeyCancel => b"{}".to_vec(),
            Self::SessionUpdate(job) => body::to_vec(job),
            Self::PairingCode(job) => body::to_vec(job),
            Self::PasskeyAnswer(job) => body::to_vec(job),
            Self::IsExists(job) => body::to_vec(job),
            Self::SessionLogout(job) => body::to_vec(job),
            Self::LookUp(job) | Self::Block(job) | Self::Unblock(job) => body::to_vec(job),
            Self::Group(job) => body::to_vec(job),
            Self::Profile(job) => body::to_vec(job),
            Self::History(job) => body::to_vec(job),
            Self::Chat(job) => body::to_vec(job),
            Self::ForgetChat(job) => body::to_vec(job),
            Self::ForgetPerson(job) => body::to_vec(job),
            Self::RejectCall(job) => body::to_vec(job),
            Self::DryRun(run) => run.given().to_vec(),
            Self::MediaRefresh(job) => body::to_vec(job),
        }
    }

    /// The JSON Schema of the body of a kind of job, as documented for foreign publishers.
    pub fn schema(kind: JobKind) -> Schema {
        match kind {
            JobKind::Send | JobKind::DryRun => schema_for!(send::SendBody),
            JobKind::Pause | JobKind::Resume | JobKind::Delete | JobKind::Adopt => schema_for!(QueueCommand),
            JobKind::Pace => schema_for!(queue::PaceBody),
            JobKind::Retry => schema_for!(RetryJob),
            JobKind::Schedule => schema_for!(schedule::ScheduleBody),
            JobKind::Unschedule => schema_for!(UnscheduleJob),
            JobKind::SessionStart
            | JobKind::SessionStop
            | JobKind::SessionRestart
            | JobKind::SessionDelete
            | JobKind::PasskeyConfirm
            | JobKind::PasskeyCancel => schema_for!(body::Empty),
            JobKind::PasskeyAnswer => schema_for!(PasskeyAnswerJob),
            JobKind::SessionUpdate => schema_for!(SessionUpdateJob),
            JobKind::PairingCode => schema_for!(PairingCodeJob),
            JobKind::IsExists => schema_for!(IsExistsJob),
            JobKind::SessionLogout => schema_for!(LogoutJob),
            JobKind::LookUp | JobKind::Block | JobKind::Unblock => schema_for!(NumbersJob),
            JobKind::Group => schema_for!(GroupJob),
            JobKind::Profile => schema_for!(ProfileJob),
            JobKind::History => schema_for!(HistoryJob),
            JobKind::Chat => schema_for!(ChatActionJob),
            JobKind::ForgetChat => schema_for!(ChatJob),
            JobKind::ForgetPerson => schema_for!(PersonJob),
            JobKind::RejectCall => schema_for!(CallJob),
            JobKind::MediaRefresh => schema_for!(MediaRefreshJob),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
