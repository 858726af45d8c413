//! The WhatsApp library's store on ours: its records as rows, its commits as writes.
//!
//! A commit is handed to the session's actor, which knows what the events of the step mean and puts keys,
//! recipients, queue and outbox rows into one [`Write`](shared::store::commit::Write). Reads go to the
//! database directly. The values are opaque here; sealing is the store's.

use bytes::Bytes;
use shared::id::SessionId;
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
use super::events::concerns_owner;
use super::names::{server, stanza_id};
use super::votes;

/// A step of the connection on its way to the actor.
#[derive(Debug)]
pub(crate) struct Step {
    /// Keys to set and delete.
    pub(crate) keys: Vec<KeyChange>,
    /// What happened, in order.
    pub(crate) events: Vec<Event>,
    /// Told when all of it is durable, or that it is not known to be.
    pub(crate) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The [`KeyStore`] of one session.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) store: Store,
    pub(crate) session: SessionId,
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

    async fn commit(&mut self, changes: Changes, mut events: Vec<Event>) -> Result<(), StoreError> {
        let row = |(key, value): (RecordKey, _)| {
            let (kind, name) = (KeyKind(key.kind as u8), key.name);
            KeyChange { kind, name, value }
        };
        let keys: Vec<_> = changes.into_iter().map(row).collect();
        events.retain(concerns_owner);
        self.open_votes(&mut events).await?;
        if keys.is_empty() && events.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        // The actor that is gone took its session along: this connection is about to be dropped too.
        self.steps
            .send(Box::new(Step { keys, events, done }))
            .await
            .map_err(|_| StoreError::Fenced)?;
        answer.await.map_err(|_| StoreError::Fenced)?
    }
}

impl Keys {
    /// Votes are told with what was chosen.
    async fn open_votes(&self, events: &mut [Event]) -> Result<(), StoreError> {
        for event in events {
            let Some(poll) = votes::poll_of(event) else {
                continue;
            };
            let sent = votes::sent_poll(&self.store, self.session, &poll).await;
            let sent = sent.map_err(unavailable)?;
            let device = match &sent {
                Some(_) => device(&self.store, self.session).await?,
                None => None,
            };
            votes::open(event, &poll, device.as_deref().zip(sent.as_ref()));
        }
        Ok(())
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
