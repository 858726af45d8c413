//! The fields of a packed protobuf message, inflated as they are read, within limits of bytes and of ratio.

use std::io::{BufRead as _, BufReader, Cursor};

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;

/// Most bytes that a piece may unpack to.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// How many times its size a piece may unpack to, ...
pub(super) const MAX_RATIO: u64 = 200;
/// ... if that is more than so many bytes.
pub(super) const MIN_BYTES: u64 = 8 << 20;
/// Bytes that are inflated at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// Why a piece can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPiece {
    /// It is not what zlib made.
    #[error("not packed as it should be")]
    Packing,
    /// It unpacks to more than it may.
    #[error("larger unpacked than it may be")]
    TooLarge,
    /// It is no history.
    #[error("not of the form of a history")]
    Form,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// A number.
    Number(u64),
    /// So many bytes of a number, not read yet.
    Fixed(u64),
    /// So many bytes, not read yet.
    Bytes(u64),
}

/// A field: its tag, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) tag: u32,
    pub(super) wire: Wire,
}

/// The fields of a piece, one after the other.
pub(super) struct Fields {
    inflating: BufReader<ZlibDecoder<Cursor<Bytes>>>,
    at: u64,
    most: u64,
}

impl Fields {
    pub(super) fn new(packed: Bytes) -> Self {
        let by_ratio = (packed.len() as u64).saturating_mul(MAX_RATIO).max(MIN_BYTES);
        let inflating = ZlibDecoder::new(Cursor::new(packed));
        Self {
            inflating: BufReader::with_capacity(BUFFER_BYTES, inflating),
            at: 0,
            most: by_ratio.min(MAX_BYTES),
        }
    }

    /// How many bytes were read, unpacked.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next field; `None` at the end of the piece. What it holds is to be read, or skipped, before the next one.
    pub(super) fn next(&mut self) -> Result<Option<Field>, BadPiece> {
        if self.fill()?.is_empty() {
            return Ok(None);
        }
        let key = self.number()?;
        let wire = match key & 7 {
            0 => Wire::Number(self.number()?),
            1 => Wire::Fixed(8),
            2 => Wire::Bytes(self.number()?),
            5 => Wire::Fixed(4),
            _ => return Err(BadPiece::Form),
        };
        let tag = u32::try_from(key >> 3).map_err(|_| BadPiece::Form)?;
        Ok(Some(Field { tag, wire }))
    }

    /// Reads so many bytes behind those of `into`.
    pub(super) fn read(&mut self, bytes: u64, into: &mut Vec<u8>) -> Result<(), BadPiece> {
        self.each(bytes, |part| into.extend_from_slice(part))
    }

    /// Passes over what a field holds.
    pub(super) fn skip(&mut self, wire: Wire) -> Result<(), BadPiece> {
        match wire {
            Wire::Number(_) => Ok(()),
            Wire::Fixed(bytes) | Wire::Bytes(bytes) => self.each(bytes, |_| {}),
        }
    }

    fn each(&mut self, bytes: u64, mut take: impl FnMut(&[u8])) -> Result<(), BadPiece> {
        let mut left = bytes;
        while left > 0 {
            let buffer = self.fill()?;
            if buffer.is_empty() {
                return Err(BadPiece::Form);
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            take(&buffer[..length]);
            self.consume(length)?;
            left -= length as u64;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u64, BadPiece> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.fill()?.first().ok_or(BadPiece::Form)?;
            self.consume(1)?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BadPiece::Form)
    }

    fn fill(&mut self) -> Result<&[u8], BadPiece> {
        self.inflating.fill_buf().map_err(|_| BadPiece::Packing)
    }

    fn consume(&mut self, bytes: usize) -> Result<(), BadPiece> {
        self.inflating.consume(bytes);
        self.at += bytes as u64;
        (self.at <= self.most).then_some(()).ok_or(BadPiece::TooLarge)
    }
}
