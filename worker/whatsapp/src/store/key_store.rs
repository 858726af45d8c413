//! What a store must do.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::{
    changes::Changes,
    record::{RecordKey, RecordKind},
};
use crate::event::Event;

/// Keeps the state of one device.
///
/// Methods take `&mut self`: one connection owns the store, and what it commits is seen by its own later loads.
pub trait KeyStore: Send + 'static {
    /// Reads these records as of the last commit, in the order asked; `None` for those that do not exist. Should be one
    /// round trip: a session that sends to many asks for many ratchets at a time.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn load(
        &mut self,
        keys: Vec<RecordKey>,
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, StoreError>> + Send;

    /// The names of the records of a kind, as of the last commit, in the order of their bytes: those behind `after`, at
    /// most `most` of them. Records are many: whoever wants all asks page by page.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn names(
        &mut self,
        kind: RecordKind,
        after: Option<Vec<u8>>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, StoreError>> + Send;

    /// The protocol has made a step with these events, and worked on it for so long: for whoever measures that. Its commit
    /// follows.
    fn made(&mut self, events: &[Event], took: Duration) {
        let _ = (events, took);
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
