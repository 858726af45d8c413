//! The WhatsApp library's store on ours: its records as rows, its commits as writes.
//!
//! A commit is handed to the session's actor, which knows what the events of the step mean and puts keys,
//! recipients, queue and outbox rows into one [`Write`](shared::store::commit::Write). Reads go to the
//! database directly. The values are opaque here; sealing is the store's.

use std::time::Duration;

use bytes::Bytes;
use shared::clock::Clock;
use shared::id::{SessionId, StanzaId};
use shared::store::chats::polls;
use shared::store::commit::KeyChange;
use shared::store::keys::KeyKind;
use shared::store::{self, Store, recipients};
use tokio::sync::{mpsc, oneshot};
use whatsapp::device::Device;
use whatsapp::event::Event;
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;
use whatsapp::store::{Changes, KeyStore, RecordKey, RecordKind, SentMessage, StoreError};

use super::super::content::{self, Rendering};
use super::super::meter;
use super::events::concerns_owner;
use super::misbehaviour::Noted;
use super::names::{server, stanza_id};
use super::votes::{self, Cast, Stored, Vote};

/// A step of the connection on its way to the actor.
#[derive(Debug)]
pub(crate) struct Step {
    /// Keys to set and delete.
    pub(crate) keys: Vec<KeyChange>,
    /// What happened, in order.
    pub(crate) events: Vec<Event>,
    /// What the votes among it say, by their places.
    pub(crate) votes: Vec<(usize, Vote)>,
    /// Told when all of it is durable, or that it is not known to be.
    pub(crate) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The [`KeyStore`] of one session.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) store: Store,
    pub(crate) session: SessionId,
    /// Whether messages are kept.
    pub(crate) keeps_messages: bool,
    /// What was said of peers that misbehave.
    pub(crate) noted: Noted,
    /// Reads the time.
    pub(crate) clock: Clock,
    /// To the actor. Room for one: the library commits one step at a time.
    pub(crate) steps: mpsc::Sender<Box<Step>>,
}

impl KeyStore for Keys {
    async fn load(&mut self, keys: Vec<RecordKey>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut sent = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            if key.kind == RecordKind::Sent {
                sent.push((at, self.sent_message(key).await?));
            }
        }
        let mut values = load(&self.store, self.session, keys).await?;
        for (at, message) in sent {
            values[at] = message.map(|message| message.encode());
        }
        Ok(values)
    }

    async fn names(
        &mut self,
        kind: RecordKind,
        after: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let kind = KeyKind(kind as u8);
        let names = store::keys::names(&self.store, self.session, kind, after.as_deref(), most).await;
        names.map_err(unavailable)
    }

    fn made(&mut self, events: &[Event], took: Duration) {
        let is_ready = |event: &&Event| matches!(event, Event::MessagePrepared { .. });
        meter::encrypted(events.iter().filter(is_ready).count(), took);
    }

    async fn commit(&mut self, changes: Changes, mut events: Vec<Event>) -> Result<(), StoreError> {
        let row = |(key, value): (RecordKey, _)| {
            let (kind, name) = (KeyKind(key.kind as u8), key.name);
            KeyChange { kind, name, value }
        };
        let keys: Vec<_> = changes.into_iter().map(row).collect();
        self.noted.note(self.session, self.clock, &events);
        events.retain(concerns_owner);
        let votes = self.open_votes(&mut events).await?;
        if keys.is_empty() && events.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        // The actor that is gone took its session along: this connection is about to be dropped too.
        self.steps
            .send(Box::new(Step {
                keys,
                events,
                votes,
                done,
            }))
            .await
            .map_err(|_| StoreError::Fenced)?;
        answer.await.map_err(|_| StoreError::Fenced)?
    }
}

impl Keys {
    /// Votes are told with what was chosen, and with how their polls stand. However many of them a step brings, what they need
    /// is read in one look.
    async fn open_votes(&self, events: &mut [Event]) -> Result<Vec<(usize, Vote)>, StoreError> {
        let cast = votes::cast(events);
        if cast.is_empty() {
            return Ok(Vec::new());
        }
        let (store, session) = (&self.store, self.session);
        let (ids, chats): (Vec<_>, _) = (cast.iter().map(Cast::poll).collect(), votes::chats(&cast));
        let names: Vec<&str> = ids.iter().map(StanzaId::as_str).collect();
        let sent = async {
            let sent = recipients::find_by_stanza(store, session, &ids).await;
            sent.map_err(unavailable)
        };
        let kept = async {
            let kept = polls::of_votes(store, session, &chats, &names).await;
            kept.map_err(unavailable)
        };
        let (sent, (polls, kept), device) = tokio::try_join!(sent, kept, device(store, session))?;
        let Some(device) = device else {
            return Ok(Vec::new());
        };
        let stored = Stored {
            sent,
            polls,
            votes: self.keeps_messages.then_some(kept),
        };
        Ok(votes::open(events, cast, &device, &stored))
    }

    /// A message that a device asks for again, with the chat as it was addressed.
    async fn sent_message(&self, key: &RecordKey) -> Result<Option<SentMessage>, StoreError> {
        let id = std::str::from_utf8(&key.name).ok();
        let id: Option<MessageId> = id.and_then(|id| id.parse().ok());
        let Some(id) = id.as_ref().map(stanza_id) else {
            return Ok(None);
        };
        let sent = recipients::find_by_stanza(&self.store, self.session, &[id]).await;
        Ok(sent.map_err(unavailable)?.pop().map(again))
    }
}

/// The same message as was sent.
fn again(sent: recipients::SentMessage) -> SentMessage {
    let own = sent.variables.as_ref();
    let own = own.map(|variables| sent.content.filled(variables));
    SentMessage {
        chat: Jid::new(sent.number.user(), server(sent.number.kind())),
        message: content::encode(&Rendering {
            content: own.as_ref().unwrap_or(&sent.content),
            upload: sent.upload.as_ref(),
            preview: sent.preview.as_ref(),
            vote: sent.vote.as_ref(),
            chat: &sent.number,
            own: sent.owner.as_deref(),
            at: sent.accepted_at,
        }),
    }
}

/// Reads the credentials of a session; `None` if it has none.
pub(crate) async fn device(store: &Store, session: SessionId) -> Result<Option<Box<Device>>, StoreError> {
    let stored = load(store, session, vec![RecordKey::device()]).await?.pop();
    let device = stored.flatten().map(|bytes| Device::decode(&bytes)).transpose();
    let device = device.map_err(|_| StoreError::Corrupt { what: "device" })?;
    Ok(device.map(Box::new))
}

/// Kinds and names of records are those of rows.
async fn load(
    store: &Store,
    session: SessionId,
    keys: Vec<RecordKey>,
) -> Result<Vec<Option<Bytes>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let row = |key: RecordKey| (KeyKind(key.kind as u8), key.name);
    let rows: Vec<_> = keys.into_iter().map(row).collect();
    store::keys::load(store, session, &rows)
        .await
        .map_err(unavailable)
}

fn unavailable(error: store::StoreError) -> StoreError {
    match error {
        store::StoreError::Fenced => StoreError::Fenced,
        store::StoreError::Seal(_) => StoreError::Corrupt { what: "sealed key" },
        other => StoreError::Unavailable(Box::new(other)),
    }
}

#[cfg(test)]
mod tests;
