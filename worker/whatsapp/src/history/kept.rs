//! The pieces of the history that were named and are not taken in yet: one record, committed before the notice of a piece
//! is acknowledged.
//!
//! Owns when a piece is tried and when it is given up. Knows neither the media host nor what a piece says.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::event::{Dropped, Event, HistoryKind, HistoryPiece};
use crate::media::{BlobRef, MediaKind};
use crate::part::Context;
use crate::proto::message::{HistorySyncNotification, HistorySyncType};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// How many pieces are kept at a time; the oldest is forgotten for another.
pub const MAX_PIECES: usize = 64;
/// How often a piece is tried, over restarts, before it is given up: for about five hours.
pub const MAX_TRIES: u32 = 16;
/// Largest piece inside of a notice that is kept, in bytes, packed. A larger one is taken in by this connection, or not at all.
const MAX_INLINE_BYTES: usize = 1 << 20;
/// How long after a first try a second one follows; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest of those waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A piece that was named.
pub(super) struct Piece {
    /// Among those of this connection.
    pub(super) number: u32,
    /// Which it is: the same whenever it is named.
    pub(super) mark: Mark,
    notice: HistorySyncNotification,
    tries: u32,
    /// When it is tried next.
    due: Timestamp,
    pub(super) stage: Stage,
}

/// What tells one piece from another: the beginning of the hash of its file, or of what the notice brings along.
pub(super) type Mark = [u8; 16];

/// How far a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for its time.
    Waiting,
    /// It is on its way, or being read.
    UnderWay,
}

/// Where a piece is.
pub(super) enum Place {
    /// In the notice.
    Inline(Bytes),
    /// At the media host.
    File(BlobRef),
}

impl Place {
    /// `None` if the notice names no piece.
    pub(super) fn of(notice: &HistorySyncNotification) -> Option<Self> {
        let inline = notice.initial_hist_bootstrap_inline_payload.as_ref();
        if let Some(packed) = inline.filter(|packed| !packed.is_empty()) {
            return Some(Self::Inline(packed.clone()));
        }
        let fields = [
            notice.media_key.as_ref(),
            notice.file_sha256.as_ref(),
            notice.file_enc_sha256.as_ref(),
        ];
        BlobRef::from_fields(MediaKind::History, notice.direct_path.as_deref(), fields).map(Self::File)
    }
}

impl Piece {
    pub(super) fn place(&self) -> Option<Place> {
        Place::of(&self.notice)
    }

    fn is_kept(&self) -> bool {
        let inline = self.notice.initial_hist_bootstrap_inline_payload.as_ref();
        inline.is_none_or(|packed| packed.len() <= MAX_INLINE_BYTES)
    }

    /// As it is told of.
    pub(super) fn told(&self) -> HistoryPiece {
        HistoryPiece {
            kind: match self.notice.sync_type() {
                HistorySyncType::InitialBootstrap => HistoryKind::Initial,
                HistorySyncType::Recent => HistoryKind::Recent,
                HistorySyncType::Full => HistoryKind::Full,
                HistorySyncType::PushName => HistoryKind::PushName,
                HistorySyncType::OnDemand => HistoryKind::OnDemand,
                _ => HistoryKind::Other,
            },
            chunk: self.notice.chunk_order,
            progress: self.notice.progress,
            request: self.notice.peer_data_request_session_id.clone(),
        }
    }
}

fn mark(notice: &HistorySyncNotification) -> Mark {
    let inline = notice.initial_hist_bootstrap_inline_payload.as_ref();
    let hash = match inline.filter(|packed| !packed.is_empty()) {
        Some(packed) => Sha256::digest(packed).to_vec(),
        None => notice.file_enc_sha256.iter().flatten().copied().collect(),
    };
    let mut mark = Mark::default();
    mark.iter_mut().zip(hash).for_each(|(to, byte)| *to = byte);
    mark
}

/// The pieces, oldest first.
#[derive(Default)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    named: u32,
    /// Given up since the record was written last.
    given_up: u32,
}

impl Pieces {
    /// Adds what a notice names, unless that is known.
    pub(super) fn add(&mut self, notice: HistorySyncNotification, now: Timestamp) {
        let mark = mark(&notice);
        if self.all.iter().any(|piece| piece.mark == mark) {
            return;
        }
        if self.all.len() >= MAX_PIECES {
            tracing::warn!("too many pieces of the history wait; the oldest is given up");
            self.given_up += 1;
            let waits = |piece: &Piece| piece.stage == Stage::Waiting;
            let oldest = self.all.iter().position(waits).unwrap_or_default();
            self.all.remove(oldest);
        }
        self.push(notice, 0, now);
    }

    fn push(&mut self, notice: HistorySyncNotification, tries: u32, due: Timestamp) {
        self.named = self.named.wrapping_add(1);
        self.all.push(Piece {
            number: self.named,
            mark: mark(&notice),
            notice,
            tries,
            due,
            stage: Stage::Waiting,
        });
    }

    /// Adds what the store has, of earlier connections.
    pub(super) fn recall(&mut self, value: &[u8], now: Timestamp) {
        let Ok(stored) = Stored::decode(value) else {
            self.given_up += 1;
            return tracing::error!("the record of pieces of the history can't be read; they are given up");
        };
        let named_meanwhile = std::mem::take(&mut self.all);
        for piece in stored.pieces {
            // A clock that was put back must not hold it up.
            let due = Timestamp::from_millis(piece.due).min(now + LONGEST_WAIT);
            let Some(notice) = piece.notice else { continue };
            // Each of its tries ended with the process, or was given up just as that ended.
            if piece.tries >= MAX_TRIES {
                tracing::warn!(
                    tries = piece.tries,
                    "a piece of the history is given up: no try came back"
                );
                self.given_up += 1;
                continue;
            }
            self.push(notice, piece.tries, due);
        }
        self.all.extend(named_meanwhile);
    }

    /// The next piece whose time has come, which is tried now. One at a time.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<&Piece> {
        if self.is_under_way() {
            return None;
        }
        let due = |piece: &&mut Piece| piece.due <= now;
        let piece = self.all.iter_mut().find(due)?;
        piece.stage = Stage::UnderWay;
        piece.tries += 1;
        // Should this be the end of the process.
        piece.due = now + wait_after(piece.tries);
        Some(piece)
    }

    /// The piece of this number.
    pub(super) fn find(&self, number: u32) -> Option<&Piece> {
        self.all.iter().find(|piece| piece.number == number)
    }

    /// A try came to nothing: there is another, or there was the last.
    pub(super) fn postpone(&mut self, number: u32, now: Timestamp) {
        let Some(at) = self.position(number) else { return };
        let piece = &mut self.all[at];
        if piece.tries >= MAX_TRIES {
            tracing::warn!(
                tries = piece.tries,
                "a piece of the history is given up: its last try came to nothing"
            );
            self.given_up += 1;
            self.all.remove(at);
        } else {
            piece.stage = Stage::Waiting;
            piece.due = now + wait_after(piece.tries);
        }
    }

    /// There is no use in another try.
    pub(super) fn give_up(&mut self, number: u32) {
        self.given_up += 1;
        self.remove(number);
    }

    /// It is taken in, or nothing will come of it.
    pub(super) fn remove(&mut self, number: u32) {
        self.all.retain(|piece| piece.number != number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the next piece is due, if none stands before it.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let waiting = self.all.iter().filter(|piece| piece.stage == Stage::Waiting);
        waiting
            .map(|piece| piece.due)
            .min()
            .filter(|_| !self.is_under_way())
    }

    /// Writes the record, and tells of what was given up since.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        for _ in 0..std::mem::take(&mut self.given_up) {
            cx.emit(Event::Dropped {
                what: Dropped::HistoryPiece,
            });
        }
        let kept = self.all.iter().filter(|piece| piece.is_kept());
        let pieces: Vec<StoredPiece> = kept
            .map(|piece| StoredPiece {
                notice: Some(piece.notice.clone()),
                tries: piece.tries,
                due: piece.due.as_millis(),
            })
            .collect();
        let key = RecordKey::history_pieces();
        if pieces.is_empty() {
            cx.changes().delete(key);
        } else {
            cx.changes().put(key, Stored { pieces }.encode_to_vec().into());
        }
    }

    fn is_under_way(&self) -> bool {
        self.all.iter().any(|piece| piece.stage == Stage::UnderWay)
    }

    fn position(&self, number: u32) -> Option<usize> {
        self.all.iter().position(|piece| piece.number == number)
    }
}

fn wait_after(tries: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT)
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<StoredPiece>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredPiece {
    #[prost(message, optional, tag = "1")]
    notice: Option<HistorySyncNotification>,
    #[prost(uint32, tag = "2")]
    tries: u32,
    /// When it is tried next, in milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    due: u64,
}
