//! The history that our phone shares after pairing, and when it is asked for more: our name, other names of contacts, tokens,
//! and the salt, on which we act; chats, people and messages, which the owner is told of.
//!
//! Owns the way of a piece from the notice to what is told of it. A notice is acknowledged when the record that keeps it is in
//! a step. A piece is told a portion at a time, each in one step with how far it is; the next one is read when that is durable;
//! and the piece leaves the record in the step behind the last of what it says. So neither a crash nor a media host that is
//! away loses any of it, and none is told twice. Believes our phone alone.
//!
//! Facts: docs/PROTOCOL.md, "History".

mod kept;
mod progress;
mod request;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use self::kept::{MAX_PIECES as MAX_HISTORY_PIECES, MAX_TRIES as MAX_HISTORY_TRIES};
use self::kept::{Mark, Pieces, Place as At};
pub use self::progress::MAX_TAKEN as MAX_HISTORY_TAKEN;
use self::progress::Progress;
pub use self::request::MAX_REQUESTS as MAX_HISTORY_REQUESTS;
pub(crate) use self::request::Requests as HistoryRequests;
use crate::event::{Event, HistoryNews, HistoryPiece, HistoryPortion};
use crate::messages::Content;
use crate::part::{Context, Download, DownloadError, Downloaded, PartId, Ticket, Tickets};
use crate::payload::History as Depth;
use crate::proto::message::{HistorySyncNotification, HistorySyncType};
use crate::store::RecordKey;
use crate::time::Timestamp;
use crate::unpacking::{Extent, Learned, Own, Portion, Unpacked, Unpacking};

/// Largest piece fetched, in bytes, packed.
pub(crate) const MAX_FILE_BYTES: usize = 16 << 20;

/// The pieces that one connection knows of.
pub(crate) struct History {
    questions: Tickets<Question>,
    /// Nobody, nearly always.
    pieces: Option<Box<Pieces>>,
    /// The one that is being taken in.
    current: Option<Box<Current>>,
    /// What the record says is among them.
    is_read: bool,
}

/// A piece that is being taken in.
struct Current {
    number: u32,
    mark: Mark,
    told: HistoryPiece,
    progress: Progress,
    stage: Stage,
}

/// What becomes of a piece next.
enum Stage {
    /// Somebody is asked: the store, the media host, or who unpacks it.
    Asked,
    /// Its last portion is in the step that gathers.
    Gathering(Box<Unpacking>),
    /// That step is being committed.
    Committing(Box<Unpacking>),
    /// It is durable: the next portion may be read.
    Durable(Box<Unpacking>),
    /// There are no more portions.
    Told(Box<Unpacking>),
}

enum Question {
    /// To the store: what earlier connections left.
    Kept,
    /// To the store: how far the piece is that begins.
    Progress,
    /// To the media host: the file of the piece.
    File,
    /// The next portion of the piece.
    Portion,
}

impl History {
    /// Nothing known; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            pieces: None,
            current: None,
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
        let depth = cx.config.history.depth;
        if let Some(notice) = notice.filter(|notice| content.is_of_own_phone() && is_of_use(notice, depth)) {
            self.take(cx, notice);
        }
    }

    fn take(&mut self, cx: &mut Context<'_>, notice: &HistorySyncNotification) {
        if At::of(notice).is_none() {
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
        let value = values.into_iter().next().flatten();
        match self.questions.close(ticket) {
            Some(Question::Kept) => self.recall(cx, value.as_deref()),
            Some(Question::Progress) => self.set_out(cx, value.as_deref()),
            _ => {}
        }
    }

    fn recall(&mut self, cx: &mut Context<'_>, value: Option<&[u8]>) {
        self.is_read = true;
        if let Some(value) = value {
            let pieces = self.pieces.get_or_insert_default();
            pieces.recall(value, cx.now);
        }
        if let Some(pieces) = &mut self.pieces {
            pieces.write(cx);
        }
    }

    /// Goes on with the piece that is being taken in, or begins with the next one, as far as that is possible now. Answers come
    /// by [`Self::on_loaded`], [`Self::on_downloaded`] and [`Self::on_unpacked`].
    pub(crate) fn next(&mut self, cx: &mut Context<'_>) {
        if let Some(current) = &mut self.current {
            let mut durable = None;
            current.stage.turn(|stage| match stage {
                Stage::Durable(rest) => {
                    durable = Some(rest);
                    Stage::Asked
                }
                other => other,
            });
            if let Some(rest) = durable {
                let ticket = self.questions.open(Question::Portion);
                cx.unpack(rest, ticket);
            }
            return;
        }
        let Some(pieces) = self.pieces.as_mut().filter(|_| self.is_read) else {
            return;
        };
        let Some(piece) = pieces.begin(cx.now) else { return };
        self.current = Some(Box::new(Current {
            number: piece.number,
            mark: piece.mark,
            told: piece.told(),
            progress: Progress::default(),
            stage: Stage::Asked,
        }));
        pieces.write(cx);
        let ticket = self.questions.open(Question::Progress);
        cx.load(vec![RecordKey::history_progress()], ticket);
    }

    /// It is known how far the piece is that begins: fetches it, unless all of it was told.
    fn set_out(&mut self, cx: &mut Context<'_>, value: Option<&[u8]>) {
        let Some(current) = &mut self.current else { return };
        current.progress = Progress::read(value);
        let piece = self
            .pieces
            .as_ref()
            .and_then(|pieces| pieces.find(current.number));
        let place = piece.and_then(|piece| piece.place());
        match place.filter(|_| !current.progress.has(&current.mark)) {
            Some(At::Inline(packed)) => self.unpack(cx, packed),
            Some(At::File(blob)) => {
                let max_bytes = MAX_FILE_BYTES;
                let ticket = self.questions.open(Question::File);
                cx.download(Download { blob, max_bytes }, ticket);
            }
            None => self.let_go(cx, Pieces::remove),
        }
    }

    fn unpack(&mut self, cx: &mut Context<'_>, packed: Bytes) {
        let Some(current) = &self.current else { return };
        let own = Own {
            phone: cx.device.jid().map(crate::jid::Jid::to_bare),
            lid: cx.device.lid().map(crate::jid::Jid::to_bare),
        };
        let extent = match cx.config.history.depth {
            Depth::Off if current.told.request.is_none() => Extent::Names,
            _ => Extent::All,
        };
        let place = current.progress.place(&current.mark);
        let ticket = self.questions.open(Question::Portion);
        cx.unpack(Box::new(Unpacking::new(packed, own, extent, place)), ticket);
    }

    /// A file has come, or will not. [`Self::next`] follows.
    pub(crate) fn on_downloaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, content: Downloaded) {
        let Some(Question::File) = self.questions.close(ticket) else {
            return;
        };
        match content {
            Ok(packed) => self.unpack(cx, packed),
            Err(error) => {
                let (now, is_lasting) = (cx.now, is_lasting(&error));
                if is_lasting {
                    tracing::warn!(%error, "a piece of the history can't be fetched; it is given up");
                } else {
                    tracing::warn!(%error, "a piece of the history could not be fetched; it is tried again");
                }
                self.let_go(cx, |pieces, number| match is_lasting {
                    true => pieces.give_up(number),
                    false => pieces.postpone(number, now),
                });
            }
        }
    }

    /// A portion was read, or can't be. What is learned of it is for other parts. [`Self::next`] follows.
    pub(crate) fn on_unpacked(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        unpacked: Unpacked,
    ) -> Option<Box<Learned>> {
        let (Some(Question::Portion), Some(current)) = (self.questions.close(ticket), &mut self.current)
        else {
            return None;
        };
        let Unpacked { rest, portion } = unpacked;
        let portion = match portion {
            Ok(Portion::Learned(learned)) => {
                let ticket = self.questions.open(Question::Portion);
                cx.unpack(rest, ticket);
                return Some(learned);
            }
            Ok(Portion::End) => {
                current.stage = Stage::Told(rest);
                return None;
            }
            Ok(Portion::People(chats, contacts)) => HistoryPortion::People { chats, contacts },
            Ok(Portion::Messages(messages)) => HistoryPortion::Messages(messages),
            Err(error) => {
                tracing::warn!(%error, "a piece of the history can't be read; it is left out");
                current.tell(cx, HistoryPortion::Refused(error.to_string()));
                current.progress.finish(cx, current.mark);
                self.let_go(cx, Pieces::remove);
                return None;
            }
        };
        current.tell(cx, portion);
        current.progress.advance(cx, current.mark, rest.place());
        current.stage = Stage::Gathering(rest);
        None
    }

    /// Whatever was learned is in this step or in one before it. [`Self::next`] follows.
    pub(crate) fn on_settled(&mut self, cx: &mut Context<'_>) {
        let Some(current) = &mut self.current else { return };
        let Stage::Told(rest) = &current.stage else { return };
        let counts = rest.place().counts();
        current.tell(cx, HistoryPortion::Taken(counts));
        current.progress.finish(cx, current.mark);
        self.let_go(cx, Pieces::remove);
    }

    /// The piece that was being taken in is so no more.
    fn let_go(&mut self, cx: &mut Context<'_>, how: impl FnOnce(&mut Pieces, u32)) {
        let (Some(current), Some(pieces)) = (self.current.take(), &mut self.pieces) else {
            return;
        };
        how(pieces, current.number);
        pieces.write(cx);
        if pieces.is_empty() {
            self.pieces = None;
        }
    }

    /// A step was taken.
    pub(crate) fn on_step_taken(&mut self) {
        if let Some(current) = &mut self.current {
            current.stage.turn(|stage| match stage {
                Stage::Gathering(rest) => Stage::Committing(rest),
                other => other,
            });
        }
    }

    /// It is durable. [`Self::next`] follows, when [`Self::deadline`] says so.
    pub(crate) fn on_committed(&mut self) {
        if let Some(current) = &mut self.current {
            current.stage.turn(|stage| match stage {
                Stage::Committing(rest) => Stage::Durable(rest),
                other => other,
            });
        }
    }

    /// Whether a piece is in memory, or about to be.
    pub(crate) fn is_taking_in(&self) -> bool {
        self.current.is_some()
    }

    /// When to call [`Self::next`].
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        match &self.current {
            Some(current) => matches!(current.stage, Stage::Durable(_)).then_some(Timestamp::EPOCH),
            None => self.pieces.as_ref().filter(|_| self.is_read)?.deadline(),
        }
    }
}

impl Current {
    fn tell(&self, cx: &mut Context<'_>, portion: HistoryPortion) {
        if cx.config.history.depth == Depth::Off && self.told.request.is_none() {
            return;
        }
        let piece = self.told.clone();
        cx.emit(Event::History(Box::new(HistoryNews { piece, portion })));
    }
}

impl Stage {
    fn turn(&mut self, next: impl FnOnce(Self) -> Self) {
        *self = next(std::mem::replace(self, Self::Asked));
    }
}

/// Whether a piece of this type may say something that is wanted.
fn is_of_use(notice: &HistorySyncNotification, depth: Depth) -> bool {
    match notice.sync_type() {
        HistorySyncType::InitialBootstrap
        | HistorySyncType::Recent
        | HistorySyncType::PushName
        | HistorySyncType::NonBlockingData
        | HistorySyncType::OnDemand => true,
        HistorySyncType::Full => depth == Depth::Full,
        _ => false,
    }
}

/// Whether another try would end the same way.
fn is_lasting(error: &DownloadError) -> bool {
    matches!(error, DownloadError::Expired | DownloadError::TooLarge)
}
