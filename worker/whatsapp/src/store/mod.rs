//! What must outlive the process, and the one door to it.
//!
//! Owns [`Changes`] (what one step alters), [`Load`] and [`Loaded`] (what the core asks for and gets), the [`KeyStore`]
//! trait, a store in memory and the suite that every store must pass. Values are bytes here, secrets among them: a store
//! seals them, never logs them, and does not look inside.
//!
//! The promise that everything rests on: **no frame leaves before the [`Changes`] of its step are durable.** A ratchet
//! that went back to an older state would use a message key twice.

mod changes;
pub mod conformance;
mod memory;

pub use changes::Changes;
pub use memory::MemoryStore;

use std::error::Error;
use std::fmt;
use std::future::Future;

use bytes::Bytes;

use crate::device::Device;
use crate::event::Event;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::signal::{Address, PreKeyId, SignedPreKeyId};

/// The name of a sender key: the group and the device that sends with it.
pub type SenderKeyName = (Jid, Address);

/// What the core asks the store for. The answer is the [`Loaded`] of the same name, its values in the order asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load {
    /// The credentials.
    Device,
    /// Sessions with these devices.
    Sessions(Vec<Address>),
    /// A one-time prekey.
    PreKey(PreKeyId),
    /// A signed prekey, current or earlier.
    SignedPreKey(SignedPreKeyId),
    /// Sender keys.
    SenderKeys(Vec<SenderKeyName>),
    /// A message we sent, because `to` asks for it again. Whether it is a device of the message's chat is checked by
    /// whoever asks, against [`SentMessage::chat`].
    SentMessage {
        /// Its id.
        id: MessageId,
        /// The chat that it is in as `to` says; by LID or by phone number.
        chat: Jid,
        /// The device that asks.
        to: Address,
    },
    /// The other name of these users: the hidden id of a phone number, the number of a hidden id.
    Lids(Vec<Jid>),
}

/// An answer to a [`Load`].
#[derive(Clone)]
pub enum Loaded {
    /// The credentials, if there are any.
    Device(Option<Box<Device>>),
    /// Encoded [`crate::signal::session::SessionRecord`]s.
    Sessions(Vec<Option<Bytes>>),
    /// An encoded [`crate::signal::PreKey`].
    PreKey(Option<Bytes>),
    /// An encoded [`crate::signal::SignedPreKey`].
    SignedPreKey(Option<Bytes>),
    /// Encoded [`crate::signal::sender_key::SenderKeyRecord`]s.
    SenderKeys(Vec<Option<Bytes>>),
    /// The message, if the owner still has it and wants it sent again.
    SentMessage(Option<SentMessage>),
    /// Users without device.
    Lids(Vec<Option<Jid>>),
}

/// A message that the owner has sent.
#[derive(Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// Whom the owner sent it to, by LID or by phone number: the present one of a number that
    /// [`Changes::renumbered`] names. Nobody else gets it again.
    pub chat: Jid,
    /// The encoded [`crate::proto::Message`].
    pub message: Bytes,
}

/// Prints which answer it is, and no value: they are secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device(_) => "Device(…)",
            Self::Sessions(_) => "Sessions(…)",
            Self::PreKey(_) => "PreKey(…)",
            Self::SignedPreKey(_) => "SignedPreKey(…)",
            Self::SenderKeys(_) => "SenderKeys(…)",
            Self::SentMessage(_) => "SentMessage(…)",
            Self::Lids(_) => "Lids(…)",
        })
    }
}

/// Keeps the state of one device.
///
/// Methods take `&mut self`: one connection owns the store, and what it commits is seen by its own later loads.
pub trait KeyStore: Send + 'static {
    /// Reads what `request` names, as of the last commit.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn load(&mut self, request: Load) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Reads what all of `requests` name, in their order. A store that can answer them in one round trip should: a
    /// session that sends to many asks for many ratchets at a time.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn load_all(
        &mut self,
        requests: Vec<Load>,
    ) -> impl Future<Output = Result<Vec<Loaded>, StoreError>> + Send {
        async move {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(self.load(request).await?);
            }
            Ok(answers)
        }
    }

    /// Makes `changes` durable, and with them whatever `events` mean to the owner, in one transaction: all or nothing.
    /// Returns when it is durable, not before: frames leave next.
    ///
    /// # Errors
    /// See [`StoreError`]. Whether the changes were made is then unknown: the caller drops the connection and all it
    /// remembers of the state, sends nothing of the step, and begins again from what is stored.
    fn commit(
        &mut self,
        changes: Changes,
        events: Vec<Event>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another owner has taken the device over: stop at once, do not reconnect.
    #[error("the device belongs to another owner now")]
    Fenced,
    /// The store can't be reached or refused: drop the connection, try again later.
    #[error("store unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A stored value can't be read: somebody must look.
    #[error("stored {what} can't be read")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
    },
}
