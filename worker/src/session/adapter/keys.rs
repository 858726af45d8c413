//! The WhatsApp library's store on ours: names and values of its keys as rows, its commits as writes.
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
use whatsapp::jid::{Jid, Server};
use whatsapp::message_id::MessageId;
use whatsapp::store::{Changes, KeyStore, Load, Loaded, SentMessage, StoreError};

use super::super::content;
use super::events::concerns_owner;
use super::names::{server, stanza_id};

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
    async fn load(&mut self, request: Load) -> Result<Loaded, StoreError> {
        match request {
            Load::SentMessage { id, .. } => Ok(Loaded::SentMessage(self.sent_message(&id).await?)),
            Load::Lids(users) => self.other_names(&users).await,
            request => {
                let rows = self.rows(names(&request)).await?;
                decode(&request, rows)
            }
        }
    }

    async fn load_all(&mut self, requests: Vec<Load>) -> Result<Vec<Loaded>, StoreError> {
        // All rows of all requests in one query; what is more than rows, one by one.
        let wanted: Vec<_> = requests.iter().map(names).collect();
        let counts: Vec<_> = wanted.iter().map(Vec::len).collect();
        let mut rows = self
            .rows(wanted.into_iter().flatten().collect())
            .await?
            .into_iter();
        let mut answers = Vec::with_capacity(requests.len());
        for (request, count) in requests.into_iter().zip(counts) {
            answers.push(match request {
                Load::SentMessage { .. } | Load::Lids(_) => self.load(request).await?,
                request => decode(&request, rows.by_ref().take(count).collect())?,
            });
        }
        Ok(answers)
    }

    async fn commit(&mut self, changes: Changes, mut events: Vec<Event>) -> Result<(), StoreError> {
        let keys = changes_to_rows(changes);
        events.retain(concerns_owner);
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
    async fn rows(&self, wanted: Vec<(KeyKind, Vec<u8>)>) -> Result<Vec<Option<Bytes>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        store::keys::load(&self.store, self.session, &wanted)
            .await
            .map_err(unavailable)
    }

    /// A message that a device asks for again, with the chat as it was addressed.
    async fn sent_message(&self, id: &MessageId) -> Result<Option<SentMessage>, StoreError> {
        let id = stanza_id(id);
        let sent = recipients::find_by_stanza(&self.store, self.session, &[id]).await;
        let Some(sent) = sent.map_err(unavailable)?.pop() else {
            return Ok(None);
        };
        let chat = Jid::new(sent.number.user(), server(sent.number.kind()));
        Ok(Some(SentMessage {
            chat: self.present_form(chat).await?,
            message: content::encode(&sent.content),
        }))
    }

    /// The account that a message to this one was addressed to: another number if the server knows it by that now.
    async fn present_form(&self, chat: Jid) -> Result<Jid, StoreError> {
        if !chat.is_user() {
            return Ok(chat);
        }
        let wanted = vec![(KeyKind::RENUMBERED, chat.user().as_bytes().to_vec())];
        let present = self.rows(wanted).await?.pop().flatten();
        let present = present.as_deref().and_then(|text| std::str::from_utf8(text).ok());
        Ok(present.map_or(chat, |present| Jid::new(present, Server::User)))
    }

    /// The hidden id of a phone number, the number of a hidden id. Both directions are rows; a pair holds only
    /// if they agree, since a newer pair overwrites one row of an older one and leaves the other.
    async fn other_names(&self, users: &[Jid]) -> Result<Loaded, StoreError> {
        let known: Vec<_> = users
            .iter()
            .filter(|user| user.is_user() || user.is_lid())
            .collect();
        let there = known
            .iter()
            .map(|user| (direction(user).0, user.user().as_bytes().to_vec()))
            .collect();
        let others = self.rows(there).await?;
        let pairs: Vec<_> = known
            .iter()
            .zip(others)
            .filter_map(|(user, other)| Some((*user, other?)))
            .collect();
        let back = pairs
            .iter()
            .map(|(user, other)| (direction(user).1, other.to_vec()))
            .collect();
        let backs = self.rows(back).await?;
        let found = |user: &Jid| {
            let at = pairs.iter().position(|(asked, _)| *asked == user)?;
            let agrees = backs[at].as_deref() == Some(user.user().as_bytes());
            let other = std::str::from_utf8(&pairs[at].1).ok().filter(|_| agrees)?;
            Some(Jid::new(
                other,
                if user.is_lid() { Server::User } else { Server::Lid },
            ))
        };
        Ok(Loaded::Lids(users.iter().map(found).collect()))
    }
}

/// The kind of row that leads from this user to the other name, and the one that leads back.
fn direction(user: &Jid) -> (KeyKind, KeyKind) {
    if user.is_lid() {
        (KeyKind::PHONE, KeyKind::LID)
    } else {
        (KeyKind::LID, KeyKind::PHONE)
    }
}

/// Reads the credentials of a session; `None` if it has none.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn device(store: &Store, session: SessionId) -> Result<Option<Box<Device>>, StoreError> {
    let wanted = names(&Load::Device);
    let rows = store::keys::load(store, session, &wanted)
        .await
        .map_err(unavailable)?;
    match decode(&Load::Device, rows)? {
        Loaded::Device(device) => Ok(device),
        _ => Err(StoreError::Corrupt { what: "device" }),
    }
}

fn changes_to_rows(changes: Changes) -> Vec<KeyChange> {
    let Changes {
        device,
        sessions,
        prekeys,
        signed_prekeys,
        sender_keys,
        lids,
        renumbered,
    } = changes;
    let text = |name: &dyn std::fmt::Display| name.to_string().into_bytes();
    let mut rows = Vec::with_capacity(sessions.len() + prekeys.len() + 2);
    let mut put = |kind, name, value| rows.push(KeyChange { kind, name, value });
    if let Some(device) = device {
        put(
            KeyKind::DEVICE,
            Vec::new(),
            Some(Bytes::copy_from_slice(&device.encode())),
        );
    }
    for (address, record) in sessions {
        put(KeyKind::SESSION, text(&address), record);
    }
    for (id, prekey) in prekeys {
        put(KeyKind::PREKEY, id.get().to_be_bytes().to_vec(), prekey);
    }
    for (id, prekey) in signed_prekeys {
        put(KeyKind::SIGNED_PREKEY, id.get().to_be_bytes().to_vec(), prekey);
    }
    for ((group, sender), record) in sender_keys {
        put(KeyKind::SENDER_KEY, sender_key_name(&group, &sender), record);
    }
    for (phone, lid) in lids {
        put(
            KeyKind::LID,
            phone.clone().into_bytes(),
            Some(Bytes::from(lid.clone())),
        );
        put(KeyKind::PHONE, lid.into_bytes(), Some(Bytes::from(phone)));
    }
    for (old, present) in renumbered {
        put(KeyKind::RENUMBERED, old.into_bytes(), Some(Bytes::from(present)));
    }
    rows
}

/// The rows that a request names, in its order.
fn names(request: &Load) -> Vec<(KeyKind, Vec<u8>)> {
    let text = |name: &dyn std::fmt::Display| name.to_string().into_bytes();
    match request {
        Load::Device => vec![(KeyKind::DEVICE, Vec::new())],
        Load::Sessions(addresses) => addresses.iter().map(|a| (KeyKind::SESSION, text(a))).collect(),
        Load::PreKey(id) => vec![(KeyKind::PREKEY, id.get().to_be_bytes().to_vec())],
        Load::SignedPreKey(id) => vec![(KeyKind::SIGNED_PREKEY, id.get().to_be_bytes().to_vec())],
        Load::SenderKeys(wanted) => {
            let name = |(group, sender): &(Jid, _)| (KeyKind::SENDER_KEY, sender_key_name(group, sender));
            wanted.iter().map(name).collect()
        }
        Load::SentMessage { .. } | Load::Lids(_) => Vec::new(),
    }
}

fn decode(request: &Load, mut rows: Vec<Option<Bytes>>) -> Result<Loaded, StoreError> {
    Ok(match request {
        Load::Device => {
            let device = rows
                .pop()
                .flatten()
                .map(|bytes| Device::decode(&bytes))
                .transpose();
            Loaded::Device(
                device
                    .map_err(|_| StoreError::Corrupt { what: "device" })?
                    .map(Box::new),
            )
        }
        Load::Sessions(_) => Loaded::Sessions(rows),
        Load::PreKey(_) => Loaded::PreKey(rows.pop().flatten()),
        Load::SignedPreKey(_) => Loaded::SignedPreKey(rows.pop().flatten()),
        Load::SenderKeys(_) => Loaded::SenderKeys(rows),
        Load::SentMessage { .. } => Loaded::SentMessage(None),
        Load::Lids(users) => Loaded::Lids(vec![None; users.len()]),
    })
}

/// No jid holds a blank, so the two parts stay apart.
fn sender_key_name(group: &Jid, sender: &impl std::fmt::Display) -> Vec<u8> {
    format!("{group} {sender}").into_bytes()
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
