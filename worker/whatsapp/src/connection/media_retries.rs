//! Files that are gone from the media hosts: our phone is asked to upload them again.
//!
//! The phone answers when it is there, under the message's id; who waits is told by then, or when the time is over.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use std::time::Duration;

use prost::Message as _;
use rand::RngExt as _;

use crate::binary::Node;
use crate::command::MediaRetry;
use crate::event::{Event, MediaRetryError, QueryError};
use crate::media::{MediaKey, is_path, open_retry, seal_retry};
use crate::message_id::MessageId;
use crate::part::Context;
use crate::proto::media_retry_notification::ResultType;
use crate::proto::{MediaRetryNotification, ServerErrorReceipt};
use crate::stanza::media_retry::{Envelope, Reply, parse_reply, request};
use crate::time::Timestamp;

/// The requests without an answer.
#[derive(Default)]
pub(super) struct MediaRetries {
    asked: Vec<Asked>,
}

struct Asked {
    ticket: u64,
    id: MessageId,
    key: MediaKey,
    until: Timestamp,
}

impl MediaRetries {
    /// The owner asks. Answered by `MediaRetried`.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, ticket: u64, retry: MediaRetry) {
        let MediaRetry { about, key } = retry;
        let Some(own) = cx.device.jid().map(crate::jid::Jid::to_bare) else {
            return tell(cx, ticket, Err(QueryError::NotConnected.into()));
        };
        if self.asked.len() >= MAX_ASKED {
            return tell(cx, ticket, Err(QueryError::Busy.into()));
        }
        let (id, until) = (about.id.clone(), cx.now + PATIENCE);
        let is_asked = self.asked.iter().any(|asked| asked.id == id);
        if !is_asked {
            let iv = cx.rng.random();
            let receipt = ServerErrorReceipt {
                stanza_id: Some(id.as_str().to_owned()),
            };
            let payload = seal_retry(&key, id.as_str(), iv, &receipt.encode_to_vec()).into();
            cx.send(request(&own, &about, &Envelope { payload, iv }));
        }
        self.asked.push(Asked {
            ticket,
            id,
            key,
            until,
        });
    }

    /// A `<notification type="mediaretry">` came in.
    pub(super) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) {
        let Some((id, reply)) = parse_reply(stanza) else {
            return;
        };
        for asked in self.take(|asked| asked.id == id) {
            tell(cx, asked.ticket, asked.read(&reply));
        }
    }

    /// When somebody has waited for long enough.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest(self.asked.iter().map(|asked| Some(asked.until)))
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        for asked in self.take(|asked| asked.until <= now) {
            tell(cx, asked.ticket, Err(QueryError::TimedOut.into()));
        }
    }

    /// The connection is over: what the owner waits for is answered.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for asked in std::mem::take(&mut self.asked) {
            tell(cx, asked.ticket, Err(QueryError::NotConnected.into()));
        }
    }

    fn take(&mut self, is_meant: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        self.asked.extract_if(.., |asked| is_meant(asked)).collect()
    }
}

impl Asked {
    /// The path that the phone tells, if it has uploaded the file.
    fn read(&self, reply: &Reply) -> Result<String, MediaRetryError> {
        let malformed = || MediaRetryError::Query(QueryError::Malformed);
        let envelope = match reply {
            Reply::Error(NOT_FOUND) => return Err(MediaRetryError::NotFound),
            Reply::Error(_) => return Err(MediaRetryError::Failed),
            Reply::Sealed(envelope) => envelope,
        };
        let text = open_retry(&self.key, self.id.as_str(), envelope.iv, &envelope.payload);
        let told = text.and_then(|text| MediaRetryNotification::decode(text.as_slice()).ok());
        let told = told.ok_or_else(malformed)?;
        if told.stanza_id.as_deref().is_some_and(|id| id != self.id.as_str()) {
            return Err(malformed());
        }
        match told.result() {
            ResultType::Success => told
                .direct_path
                .filter(|path| is_path(path))
                .ok_or_else(malformed),
            ResultType::NotFound => Err(MediaRetryError::NotFound),
            ResultType::GeneralError | ResultType::DecryptionError => Err(MediaRetryError::Failed),
        }
    }
}

fn tell(cx: &mut Context<'_>, ticket: u64, result: Result<String, MediaRetryError>) {
    cx.emit(Event::MediaRetried { ticket, result });
}

/// The phone's code for a file that it has not got.
const NOT_FOUND: u32 = 2;
/// Requests without an answer.
const MAX_ASKED: usize = 32;
/// How long a phone is waited for: shorter than those who ask wait for their answer.
const PATIENCE: Duration = Duration::from_secs(15);
