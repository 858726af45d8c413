//! How far the piece is that is being taken in, and which ones were: one record, written with each portion.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;

use super::kept::Mark;
use crate::part::Context;
use crate::store::RecordKey;
use crate::unpacking::Place;

/// How many pieces that were taken in are remembered: one of them that is named again is not told again.
pub const MAX_TAKEN: usize = 128;

/// What the record says.
#[derive(Default)]
pub(super) struct Progress {
    taken: VecDeque<Mark>,
    current: Option<(Mark, Place)>,
}

impl Progress {
    /// Reads the record; nothing, if there is none.
    pub(super) fn read(value: Option<&[u8]>) -> Self {
        let stored = value.and_then(|value| Stored::decode(value).ok());
        let stored = stored.unwrap_or_default();
        let current = mark(&stored.current).zip(stored.place);
        let taken = stored.taken.iter().filter_map(mark).collect();
        Self { taken, current }
    }

    /// Whether all of this piece was taken in.
    pub(super) fn has(&self, piece: &Mark) -> bool {
        self.taken.contains(piece)
    }

    /// How far this piece is.
    pub(super) fn place(&self, piece: &Mark) -> Place {
        let current = self.current.as_ref().filter(|(mark, _)| mark == piece);
        current.map(|(_, place)| *place).unwrap_or_default()
    }

    /// A piece was told up to here.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, piece: Mark, place: Place) {
        self.current = Some((piece, place));
        self.write(cx);
    }

    /// All of a piece was told.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>, piece: Mark) {
        self.current = None;
        if self.taken.len() >= MAX_TAKEN {
            self.taken.pop_front();
        }
        self.taken.push_back(piece);
        self.write(cx);
    }

    fn write(&self, cx: &mut Context<'_>) {
        let bytes = |mark: &Mark| Bytes::copy_from_slice(mark);
        let stored = Stored {
            taken: self.taken.iter().map(bytes).collect(),
            current: self
                .current
                .iter()
                .map(|(mark, _)| bytes(mark))
                .next()
                .unwrap_or_default(),
            place: self.current.map(|(_, place)| place),
        };
        let value = stored.encode_to_vec().into();
        cx.changes().put(RecordKey::history_progress(), value);
    }
}

fn mark(bytes: &Bytes) -> Option<Mark> {
    bytes.as_ref().try_into().ok()
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    taken: Vec<Bytes>,
    #[prost(bytes = "bytes", tag = "2")]
    current: Bytes,
    #[prost(message, optional, tag = "3")]
    place: Option<Place>,
}
