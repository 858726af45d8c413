//! The store of a [`Session`](super::Session): the owner's, with events sorted after each commit. What answers a call
//! goes to whoever awaits it, the rest into the stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::{
    event::{Event, PasskeyError, QueryError, Registration, SendError},
    jid::Jid,
    message_id::MessageId,
    store::{Changes, KeyStore, RecordKey, RecordKind, SentMessage, StoreError},
    time::Timestamp,
};

/// The server has a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id, which receipts name.
    pub id: MessageId,
    /// The chat as it is addressed on the wire.
    pub to: Jid,
    /// The server's time.
    pub timestamp: Timestamp,
}

/// The server refused a pairing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pairing code was refused with {code}")]
pub struct PairingRefused {
    /// As in [`Event::PairingCodeRefused`].
    pub code: u16,
}

/// Calls that await an answer. Of each kind the core answers every one, or the connection's end does: no more wait than
/// are under way.
#[derive(Default)]
pub(super) struct Waiting {
    sends: HashMap<MessageId, Send>,
    pub(super) queries: HashMap<u64, oneshot::Sender<Result<Vec<Registration>, QueryError>>>,
    pub(super) passkey: HashMap<u64, oneshot::Sender<Result<(), PasskeyError>>>,
    pub(super) code: Option<oneshot::Sender<Result<String, PairingRefused>>>,
    has_ended: bool,
}

/// A send that waits for its ack.
struct Send {
    /// The message for devices that ask for it again, until it is prepared.
    message: Option<SentMessage>,
    answer: SendAnswer,
}

type SendAnswer = oneshot::Sender<Result<Sent, SendError>>;

/// The calls of one session, shared by its handles and its store.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Waiting>>);

impl Answers {
    /// Notes who awaits an answer; `false` if the session has ended and none would come.
    pub(super) fn note(&self, note: impl FnOnce(&mut Waiting)) -> bool {
        let mut waiting = self.lock();
        if !waiting.has_ended {
            note(&mut waiting);
        }
        !waiting.has_ended
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere leaves an entry at most, and whoever awaits it is told.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Notes a send.
    pub(super) fn expect(&mut self, id: MessageId, message: Option<SentMessage>, answer: SendAnswer) {
        self.sends.insert(id, Send { message, answer });
    }

    fn answer_send(&mut self, id: &MessageId, result: Result<Sent, SendError>) -> bool {
        let send = self.sends.remove(id);
        send.is_some_and(|send| send.answer.send(result).is_ok())
    }

    /// Whether somebody awaited the event and has it now.
    fn answer(&mut self, event: &Event) -> bool {
        match event {
            Event::MessageAcked { id, to, timestamp } => {
                let sent = Sent {
                    id: id.clone(),
                    to: to.clone(),
                    timestamp: *timestamp,
                };
                self.answer_send(id, Ok(sent))
            }
            Event::MessageFailed { id, reason } => self.answer_send(id, Err(reason.clone())),
            Event::IsOnWhatsApp { ticket, result } => self
                .queries
                .remove(ticket)
                .is_some_and(|answer| answer.send(result.clone()).is_ok()),
            Event::PasskeyStep { ticket, result, .. } => self
                .passkey
                .remove(ticket)
                .is_some_and(|answer| answer.send(result.clone()).is_ok()),
            Event::PairingCode { code } => self.answer_code(Ok(code.clone())),
            Event::PairingCodeRefused { code } => self.answer_code(Err(PairingRefused { code: *code })),
            Event::Closed { .. } => {
                // What has left and was not confirmed is of unknown outcome; the rest is answered on its own.
                self.sends.retain(|_, send| send.message.is_some());
                false
            }
            _ => false,
        }
    }

    fn answer_code(&mut self, result: Result<String, PairingRefused>) -> bool {
        let answer = self.code.take();
        answer.is_some_and(|answer| answer.send(result).is_ok())
    }
}

/// The owner's store, and where events go.
pub(super) struct AnsweringStore<S> {
    pub(super) inner: S,
    pub(super) answers: Answers,
    pub(super) stream: mpsc::Sender<Event>,
    /// The last messages sent, oldest first: devices may ask for them again.
    pub(super) sent: VecDeque<(RecordKey, Bytes)>,
}

impl<S> AnsweringStore<S> {
    /// Keeps a prepared message; whether it was one of ours.
    fn keep(&mut self, id: &MessageId) -> bool {
        let mut waiting = self.answers.lock();
        let Some(message) = waiting.sends.get_mut(id).and_then(|send| send.message.take()) else {
            return false;
        };
        if self.sent.len() == KEPT_MESSAGES {
            self.sent.pop_front();
        }
        self.sent.push_back((RecordKey::sent(id), message.encode()));
        true
    }

    fn sort(&mut self, event: &Event) -> bool {
        match event {
            Event::MessagePrepared { id, .. } => self.keep(id),
            event => self.answers.lock().answer(event),
        }
    }
}

impl<S: KeyStore> KeyStore for AnsweringStore<S> {
    async fn load(&mut self, keys: Vec<RecordKey>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut values = self.inner.load(keys.clone()).await?;
        for (key, value) in keys.iter().zip(&mut values) {
            if value.is_none() {
                let kept = self.sent.iter().find(|(sent, _)| sent == key);
                *value = kept.map(|(_, message)| message.clone());
            }
        }
        Ok(values)
    }

    async fn names(
        &mut self,
        kind: RecordKind,
        after: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.names(kind, after, most).await
    }

    fn made(&mut self, events: &[Event], took: Duration) {
        self.inner.made(events, took);
    }

    async fn commit(&mut self, changes: Changes, mut events: Vec<Event>) -> Result<(), StoreError> {
        self.inner.commit(changes, Vec::new()).await?;
        events.retain(|event| !self.sort(event));
        for event in events {
            // Waits while the stream is full. An owner that dropped it does not want to know.
            let _ = self.stream.send(event).await;
        }
        Ok(())
    }
}

impl<S> Drop for AnsweringStore<S> {
    fn drop(&mut self) {
        *self.answers.lock() = Waiting {
            has_ended: true,
            ..Waiting::default()
        };
    }
}

/// Messages that can be sent again to a device that could not read them.
const KEPT_MESSAGES: usize = 256;
