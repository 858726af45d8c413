//! The history that our phone shares after pairing, as far as we act on it: our name, other names of contacts, tokens, and
//! the salt. Messages and chats are left where they are.
//!
//! Owns the way of a piece from the notice to what is learned of it; keeps nothing. Believes our phone alone.
//!
//! Facts: docs/PROTOCOL.md, "History".

mod piece;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub(crate) use self::piece::Learned;
use crate::media::{BlobRef, MediaKind};
use crate::messages::Content;
use crate::part::{Context, Download, Downloaded, PartId, Ticket, Tickets};
use crate::proto::message::{HistorySyncNotification, HistorySyncType};

/// Largest piece fetched, in bytes, packed.
pub(crate) const MAX_FILE_BYTES: usize = 16 << 20;

/// The pieces of one connection that are on their way.
pub(crate) struct History {
    questions: Tickets<()>,
}

impl History {
    /// Nothing under way; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
        }
    }

    /// Our phone says where a piece is, or gives it at once: what is learned of it.
    pub(crate) fn on_notice(&mut self, cx: &mut Context<'_>, content: &Content) -> Option<Learned> {
        let protocol = content.message.protocol_message.as_ref()?;
        let notice = protocol.history_sync_notification.as_ref()?;
        if !content.is_of_own_phone() || !is_of_use(notice) {
            return None;
        }
        self.take(cx, notice)
    }

    fn take(&mut self, cx: &mut Context<'_>, notice: &HistorySyncNotification) -> Option<Learned> {
        let inline = notice.initial_hist_bootstrap_inline_payload.as_ref();
        if let Some(packed) = inline.filter(|packed| !packed.is_empty()) {
            return read(cx, packed);
        }
        let fields = [
            notice.media_key.as_ref(),
            notice.file_sha256.as_ref(),
            notice.file_enc_sha256.as_ref(),
        ];
        let Some(blob) = BlobRef::from_fields(MediaKind::History, notice.direct_path.as_deref(), fields)
        else {
            tracing::debug!("a notice of history that names no file is left alone");
            return None;
        };
        let max_bytes = MAX_FILE_BYTES;
        cx.download(Download { blob, max_bytes }, self.questions.open(()));
        None
    }

    /// A piece has come, or will not.
    pub(crate) fn on_downloaded(
        &mut self,
        cx: &Context<'_>,
        ticket: &Ticket,
        content: Downloaded,
    ) -> Option<Learned> {
        self.questions.close(ticket)?;
        match content {
            Ok(packed) => read(cx, &packed),
            Err(error) => {
                tracing::warn!(%error, "a piece of the history could not be fetched");
                None
            }
        }
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

fn read(cx: &Context<'_>, packed: &Bytes) -> Option<Learned> {
    match piece::read(cx.device, packed) {
        Ok(learned) => Some(learned),
        Err(error) => {
            tracing::warn!(%error, bytes = packed.len(), "a piece of the history can't be read");
            None
        }
    }
}
