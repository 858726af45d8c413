//! The sender keys in groups, those of others and ours: read from the store on need, written with the step that changes them.
//!
//! Facts: docs/PROTOCOL.md, "Sender keys".

use bytes::Bytes;
use prost::Message as _;

use super::outcome::{Question, Questions};
use crate::device::Device;
use crate::event::{Dropped, Event};
use crate::jid::Jid;
use crate::part::{Cache, Context};
use crate::proto::Message;
use crate::signal::Address;
use crate::signal::padding;
use crate::signal::sender_key::SenderKeyRecord;
use crate::signal::session::DecryptError;
use crate::store::RecordKey;

/// The sender keys, by the record that each is kept in.
#[derive(Default)]
pub(crate) struct GroupKeys {
    pub(super) records: Cache<RecordKey, SenderKeyRecord>,
}

impl GroupKeys {
    /// Whether what is known of this sender in this group is in memory. Asks the store if not; call again when it has
    /// answered.
    pub(super) fn ensure(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        name: &RecordKey,
    ) -> bool {
        if let Some(is_loaded) = self.records.touch(name, cx.now) {
            return is_loaded;
        }
        self.records.begin(name.clone(), cx.now);
        let ticket = questions.open(Question::SenderKey(name.clone()));
        cx.load(vec![name.clone()], ticket);
        false
    }

    pub(super) fn on_loaded(&mut self, cx: &mut Context<'_>, name: &RecordKey, stored: Option<&[u8]>) {
        // A record that can't be read is a key that is lost; its sender is asked for a new one.
        let record = stored.map(SenderKeyRecord::decode).transpose();
        let record = record.unwrap_or_else(|error| {
            tracing::error!(%error, "a stored sender key can't be read and is taken for none; its sender is asked for a new one");
            cx.emit(Event::Dropped {
                what: Dropped::Record,
            });
            None
        });
        self.records.fill(name, record.unwrap_or_default());
    }

    /// Takes the key that a message to us alone may carry. It comes before the message that needs it.
    pub(crate) fn accept_handed(&mut self, cx: &mut Context<'_>, name: &RecordKey, padded: &[u8]) {
        let message = padding::unpad(padded)
            .ok()
            .and_then(|plaintext| Message::decode(plaintext).ok());
        let handed = message.and_then(|message| message.sender_key_distribution_message);
        let distribution = handed.and_then(|handed| handed.axolotl_sender_key_distribution_message);
        if let Some(distribution) = distribution
            && self
                .change(cx, name, |record| record.accept(&distribution))
                .is_err()
        {
            tracing::debug!("a sender key was refused");
        }
    }

    /// Decrypts a group message.
    pub(crate) fn decrypt(
        &mut self,
        cx: &mut Context<'_>,
        name: &RecordKey,
        bytes: &[u8],
    ) -> Result<Vec<u8>, DecryptError> {
        self.change(cx, name, |record| record.decrypt(bytes))
    }

    /// Whether we have a key of our own to send with. Whether one is stored must be known ([`Self::ensure`]).
    pub(crate) fn can_send(&self, name: &RecordKey) -> bool {
        let record = self.records.get(name);
        record.is_some_and(|record| record.distribution().is_ok())
    }

    /// Makes a new key of our own: nobody has it.
    pub(crate) fn rotate(&mut self, cx: &mut Context<'_>, name: &RecordKey) {
        let Some(record) = self.records.get_mut(name) else {
            return;
        };
        record.rotate(cx.rng);
        cx.changes().put(name.clone(), record.encode());
        self.records.changed(name, cx.now);
    }

    /// What hands our key over, from its next message on.
    pub(crate) fn distribution(&self, name: &RecordKey) -> Option<Bytes> {
        self.records.get(name)?.distribution().ok()
    }

    /// Encrypts for the group; `None` without a key of our own.
    pub(crate) fn encrypt(&mut self, cx: &mut Context<'_>, name: &RecordKey, padded: &[u8]) -> Option<Bytes> {
        let record = self.records.get_mut(name)?;
        let ciphertext = record.encrypt(padded, cx.rng).ok()?;
        cx.changes().put(name.clone(), record.encode());
        self.records.changed(name, cx.now);
        Some(ciphertext)
    }

    fn change<T>(
        &mut self,
        cx: &mut Context<'_>,
        name: &RecordKey,
        change: impl FnOnce(&mut SenderKeyRecord) -> Result<T, DecryptError>,
    ) -> Result<T, DecryptError> {
        let record = self.records.get_mut(name).ok_or(DecryptError::NoSession)?;
        let done = change(record)?;
        cx.changes().put(name.clone(), record.encode());
        self.records.changed(name, cx.now);
        Ok(done)
    }
}

/// What our sender key of a group is kept under: by the hidden id, however the group names us.
pub(crate) fn own_key(device: &Device, group: &Jid) -> Option<RecordKey> {
    let own = device.lid().or(device.jid())?;
    Some(RecordKey::sender_key(group, &Address::new(own)))
}
