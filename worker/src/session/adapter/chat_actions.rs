//! What is to be done to chats, contacts and labels, as WhatsApp is asked for it.

use shared::job::{ChatAction, ChatActionJob, FailureCode, MessageName};
use shared::recipient::Number;
use shared::store::chats::{ChatRecord, Last};
use time::OffsetDateTime;
use whatsapp::event::QueryError;
use whatsapp::jid::Jid;
use whatsapp::sync_action::request::{Newest, SyncRequest};
use whatsapp::sync_action::{ContactName, Label, MessageRef, Mute, ReadMark, Switch};
use whatsapp::time::Timestamp;

use super::names::{message_id, server};

/// What a job wants; `None` if a field is missing, which its reader has refused. `chat` is what is kept of its chat.
pub(crate) fn request(job: &ChatActionJob, chat: Option<&ChatRecord>) -> Option<SyncRequest> {
    use ChatAction as A;
    let of = job.chat.as_ref().map(jid);
    let newest = || newest(of.as_ref()?, chat?);
    let message = || message(of.as_ref()?, job.message.as_ref()?);
    Some(match job.action {
        A::Archive => SyncRequest::Archive(of.clone()?, Switch::On, newest()),
        A::Unarchive => SyncRequest::Archive(of.clone()?, Switch::Off, newest()),
        A::Pin => SyncRequest::Pin(of.clone()?, Switch::On),
        A::Unpin => SyncRequest::Pin(of.clone()?, Switch::Off),
        A::Mute => {
            let mute = job
                .until
                .map_or(Mute::Always, |until| Mute::Until(timestamp(until.time())));
            SyncRequest::Mute(of.clone()?, mute)
        }
        A::Unmute => SyncRequest::Mute(of.clone()?, Mute::Off),
        A::Read => SyncRequest::MarkRead(of.clone()?, ReadMark::Read, newest()),
        A::Unread => SyncRequest::MarkRead(of.clone()?, ReadMark::Unread, newest()),
        A::Clear => SyncRequest::ClearChat(of.clone()?, newest()),
        A::Delete => SyncRequest::DeleteChat(of.clone()?, newest()),
        A::DeleteMessage => SyncRequest::DeleteMessage(message()?, None),
        A::Star => SyncRequest::Star(message()?, Switch::On),
        A::Unstar => SyncRequest::Star(message()?, Switch::Off),
        A::SaveContact | A::RemoveContact => SyncRequest::Contact {
            who: of.clone()?,
            lid: chat.and_then(|chat| chat.lid.as_ref()?.parse().ok()),
            name: job.name.clone().map(|full| ContactName {
                full,
                first: job.first_name.clone(),
            }),
        },
        A::EditLabel => {
            let label = Label {
                name: job.name.clone()?,
                color: job.color?.into(),
                predefined: None,
            };
            SyncRequest::Label(job.label.clone()?, Some(label))
        }
        A::DeleteLabel => SyncRequest::Label(job.label.clone()?, None),
        A::Label => labeled(job, of.as_ref(), Switch::On)?,
        A::Unlabel => labeled(job, of.as_ref(), Switch::Off)?,
    })
}

fn labeled(job: &ChatActionJob, of: Option<&Jid>, on: Switch) -> Option<SyncRequest> {
    let (label, of) = (job.label.clone()?, of?);
    Some(match &job.message {
        Some(named) => SyncRequest::LabelMessage(label, message(of, named)?, on),
        None => SyncRequest::LabelChat(label, of.clone(), on),
    })
}

fn message(chat: &Jid, named: &MessageName) -> Option<MessageRef> {
    Some(MessageRef {
        chat: chat.clone(),
        id: message_id(&named.id),
        from_me: named.from_me,
        participant: named.participant.as_ref().map(jid),
    })
}

/// The newest message of a chat that is kept; of one in a group that is kept without its sender nothing can be said.
fn newest(of: &Jid, chat: &ChatRecord) -> Option<Newest> {
    let Last {
        id,
        from_me,
        sender,
        at,
        ..
    } = &chat.last;
    let participant = match of.is_group() && !from_me {
        true => Some(sender.parse().ok()?),
        false => None,
    };
    Some(Newest {
        message: MessageRef {
            chat: of.clone(),
            id: id.parse().ok()?,
            from_me: *from_me,
            participant,
        },
        at: timestamp(*at),
    })
}

fn jid(number: &Number) -> Jid {
    Jid::new(number.user(), server(number.kind()))
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// What the world is told of a request that WhatsApp did not take.
pub(crate) fn failure(error: &QueryError) -> (FailureCode, String) {
    let code = match error {
        QueryError::TimedOut => FailureCode::Timeout,
        QueryError::Refused { .. } => FailureCode::Refused,
        QueryError::NotConnected => FailureCode::NotConnected,
        QueryError::Busy => FailureCode::Busy,
        QueryError::Malformed => FailureCode::Internal,
    };
    let words = match error {
        QueryError::Refused { code: 409 } => {
            "other devices of the account changed the same at the same time, again and again; try again later"
                .to_owned()
        }
        QueryError::Refused { code } => format!("WhatsApp refused ({code})"),
        QueryError::Malformed => "what WhatsApp has of the account does not check out".to_owned(),
        other => other.to_string(),
    };
    (code, words)
}
