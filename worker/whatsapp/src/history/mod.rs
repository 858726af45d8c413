//! The history that our phone shares after pairing, as far as we act on it: our name, other names of contacts, tokens, and
//! the salt. Messages and chats are left where they are.
//!
//! Owns the way of a piece from the notice to what is learned of it. A notice is acknowledged when the record that keeps it
//! is in a step, and a piece leaves that record in the step that writes the last of what it says; so neither a crash nor a
//! media host that is away loses it. Believes our phone alone.
//!
//! Facts: docs/PROTOCOL.md, "History".

mod kept;
mod piece;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use self::kept::{MAX_PIECES as MAX_HISTORY_PIECES, MAX_TRIES as MAX_HISTORY_TRIES};
use self::kept::{Pieces, Place};
pub(crate) use self::piece::Learned;
use crate::messages::Content;
use crate::part::{Context, Download, DownloadError, Downloaded, PartId, Ticket, Tickets};
use crate::proto::message::{HistorySyncNotification, HistorySyncType};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// Largest piece fetched, in bytes, packed.
pub(crate) const MAX_FILE_BYTES: usize = 16 << 20;

/// The pieces that one connection knows of.
pub(crate) struct History {
    questions: Tickets<Question>,
    /// Nobody, nearly always.
    pieces: Option<Box<Pieces>>,
    /// What the record says is among them.
    is_read: bool,
}

enum Question {
    /// To the store: what earlier connections left.
    Kept,
    /// To the media host: the file of the piece of this number.
    File(u32),
}

impl History {
    /// Nothing known; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            pieces: None,
            is_read: false,
        }
    }

    /// The login succeeded: asks the store for what is left of earlier connections. Call before any message is read, so
    /// that its answer is there before the first notice is.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        let ticket = self.questions.open(Question::Kept);
        cx.load(vec![RecordKey::history_pieces()], ticket);
    }

    /// Our phone says where a piece is, or gives it at once. [`Self::next`] follows.
    pub(crate) fn on_notice(&mut self, cx: &mut Context<'_>, content: &Content) {
        let protocol = content.message.protocol_message.as_ref();
        let notice = protocol.and_then(|protocol| protocol.history_sync_notification.as_ref());
        if let Some(notice) = notice.filter(|notice| content.is_of_own_phone() && is_of_use(notice)) {
            self.take(cx, notice);
        }
    }

    fn take(&mut self, cx: &mut Context<'_>, notice: &HistorySyncNotification) {
        if Place::of(notice).is_none() {
            return tracing::debug!("a notice of history that names no file is left alone");
        }
        let pieces = self.pieces.get_or_insert_default();
        pieces.add(notice.clone(), cx.now);
        if self.is_read {
            pieces.write(cx);
        }
    }

    /// The store has answered. [`Self::next`] follows.
    pub(crate) fn on_loaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, values: Vec<Option<Bytes>>) {
        if !matches!(self.questions.close(ticket), Some(Question::Kept)) {
            return;
        }
        self.is_read = true;
        if let Some(value) = values.into_iter().next().flatten() {
            let pieces = self.pieces.get_or_insert_default();
            pieces.recall(&value, cx.now);
        }
        if let Some(pieces) = &self.pieces {
            pieces.write(cx);
        }
    }

    /// What the next piece says that can be read at once. Call until there is none; then a file is on its way, if one is
    /// due. [`Self::on_settled`] follows, when all of it is written.
    pub(crate) fn next(&mut self, cx: &mut Context<'_>) -> Option<Learned> {
        while let Some(pieces) = self.pieces.as_mut().filter(|_| self.is_read)
            && let Some(piece) = pieces.begin(cx.now)
        {
            let (number, place) = (piece.number, piece.place());
            match place {
                Some(Place::File(blob)) => {
                    let max_bytes = MAX_FILE_BYTES;
                    let ticket = self.questions.open(Question::File(number));
                    cx.download(Download { blob, max_bytes }, ticket);
                    pieces.write(cx);
                }
                Some(Place::Inline(packed)) => {
                    let learned = Self::read(pieces, cx, number, &packed);
                    pieces.write(cx);
                    if learned.is_some() {
                        return learned;
                    }
                }
                None => {
                    pieces.remove(number);
                    pieces.write(cx);
                }
            }
        }
        None
    }

    /// A file has come, or will not. [`Self::next`] follows.
    pub(crate) fn on_downloaded(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        content: Downloaded,
    ) -> Option<Learned> {
        let Some(Question::File(number)) = self.questions.close(ticket) else {
            return None;
        };
        let pieces = self.pieces.as_mut()?;
        let learned = match content {
            Ok(packed) => Self::read(pieces, cx, number, &packed),
            Err(error) => {
                tracing::warn!(%error, "a piece of the history could not be fetched");
                if is_lasting(&error) {
                    pieces.remove(number);
                } else {
                    pieces.postpone(number, cx.now);
                }
                None
            }
        };
        pieces.write(cx);
        learned
    }

    fn read(pieces: &mut Pieces, cx: &Context<'_>, number: u32, packed: &Bytes) -> Option<Learned> {
        let learned = read(cx, packed);
        match learned {
            Some(_) => pieces.learned(number),
            None => pieces.remove(number),
        }
        learned
    }

    /// All that was learned is in this step or in one before it.
    pub(crate) fn on_settled(&mut self, cx: &mut Context<'_>) {
        let Some(pieces) = &mut self.pieces else { return };
        if pieces.take_learned() {
            pieces.write(cx);
        }
        if pieces.is_empty() {
            self.pieces = None;
        }
    }

    /// When to call [`Self::next`].
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.pieces.as_ref().filter(|_| self.is_read)?.deadline()
    }
}

/// Whether a piece of this type may say something that we act on. Most of the history is messages.
fn is_of_use(notice: &HistorySyncNotification) -> bool {
    matches!(
        notice.sync_type(),
        HistorySyncType::InitialBootstrap
            | HistorySyncType::Recent
            | HistorySyncType::PushName
            | HistorySyncType::NonBlockingData
    )
}

/// Whether another try would end the same way.
fn is_lasting(error: &DownloadError) -> bool {
    matches!(error, DownloadError::Expired | DownloadError::TooLarge)
}

fn read(cx: &Context<'_>, packed: &Bytes) -> Option<Learned> {
    match piece::read(cx.device, packed) {
        Ok(learned) => Some(learned),
        Err(error) => {
            tracing::warn!(%error, bytes = packed.len(), "a piece of the history can't be read");
            None
        }
    }
}
