//! Frames: a 3-byte length before each payload, and the header that a client sends once.
//!
//! Boundaries of WebSocket messages mean nothing: a message may hold several frames or a piece of one. Knows
//! nothing of what a payload is.
//!
//! Facts: docs/PROTOCOL.md, "Frames".

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

use crate::binary::{self, DICTIONARY_VERSION, Node};
use crate::crypto::{NoiseError, Sealer, TAG_BYTES};

/// `WA`, protocol magic and dictionary version: sent once before the client's first frame; also the Noise
/// prologue.
pub const HEADER: [u8; 4] = [b'W', b'A', 6, DICTIONARY_VERSION];
/// Largest payload that the 3-byte length can tell.
pub const MAX_PAYLOAD_BYTES: usize = 0xFF_FFFF;
/// Most bytes of routing information that are taken or sent.
pub const MAX_ROUTING_BYTES: usize = 1024;

/// Begins the optional routing prefix.
pub(crate) const ROUTING_HEADER: [u8; 4] = [b'E', b'D', 0, 1];
pub(crate) const LENGTH_BYTES: usize = 3;
/// Most room that is made ahead for a payload that has not come.
const MAX_RESERVED_BYTES: usize = 64 * 1024;

/// A payload is larger than the limit; the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("frame of {len} bytes is over the limit of {limit}")]
pub struct FrameTooLarge {
    /// Its length in bytes.
    pub len: usize,
    /// The limit in bytes.
    pub limit: usize,
}

/// What a client sends before its first frame: the routing information from an earlier connection, if any,
/// and the header. Routing information over the limit is left out.
#[must_use]
pub fn connection_header(routing_info: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER.len());
    if let Some(info) = routing_info.filter(|info| !info.is_empty() && info.len() <= MAX_ROUTING_BYTES) {
        out.extend_from_slice(&ROUTING_HEADER);
        write(info, &mut out);
    }
    out.extend_from_slice(&HEADER);
    out
}

/// Appends a frame with this payload, which must not be longer than [`MAX_PAYLOAD_BYTES`].
pub fn write(payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES, "payload fits a frame");
    out.extend_from_slice(&length(payload.len()));
    out.extend_from_slice(payload);
}

/// About how many bytes [`write_node`] appends, rather too many.
#[must_use]
pub fn room_for(node: &Node) -> usize {
    LENGTH_BYTES + binary::room_for(node) + TAG_BYTES
}

/// Appends the sealed frame of a node: encoded and encrypted in place.
///
/// # Errors
/// If the node does not fit a frame or the sealer is used up; `out` is as before.
pub fn write_node(node: &Node, sealer: &mut Sealer, out: &mut Vec<u8>) -> Result<(), NoiseError> {
    write_sealed(sealer, out, |out| binary::encode(node, out))
}

/// Appends the sealed frame of the plaintext that `plaintext` appends.
///
/// # Errors
/// As [`write_node`].
pub fn write_sealed(
    sealer: &mut Sealer,
    out: &mut Vec<u8>,
    plaintext: impl FnOnce(&mut Vec<u8>),
) -> Result<(), NoiseError> {
    let frame = out.len();
    let payload = frame + LENGTH_BYTES;
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    plaintext(out);
    let sealed_bytes = out.len() - payload + TAG_BYTES;
    let sealed = if sealed_bytes > MAX_PAYLOAD_BYTES {
        Err(NoiseError::TooLarge(sealed_bytes))
    } else {
        sealer.seal(out, payload)
    };
    if let Err(error) = sealed {
        out.truncate(frame);
        return Err(error);
    }
    let len = length(out.len() - payload);
    out[frame..payload].copy_from_slice(&len);
    Ok(())
}

fn length(len: usize) -> [u8; LENGTH_BYTES] {
    let [_, a, b, c] = (len as u32).to_be_bytes();
    [a, b, c]
}

/// Gathers received bytes and gives out payloads. Holds no memory while nothing is underway.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
}

impl FrameReader {
    /// Reads frames of payloads up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit: limit.min(MAX_PAYLOAD_BYTES),
        }
    }

    /// Adds received bytes; without a copy if nothing is underway and nobody else holds them. Call
    /// [`FrameReader::next`] until it gives nothing before pushing more, and no more than the limit and one
    /// read are held.
    pub fn push(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::from(bytes);
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// The next whole payload. It may be decrypted in place.
    ///
    /// # Errors
    /// If a payload is over the limit. The reader is of no use afterwards.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<BytesMut>, FrameTooLarge> {
        let Some(len) = peek_length(&self.buffer) else {
            return Ok(None);
        };
        if len > self.limit {
            return Err(FrameTooLarge {
                len,
                limit: self.limit,
            });
        }
        if self.buffer.len() < LENGTH_BYTES + len {
            // A length is only a claim: the buffer grows with what really comes.
            let missing = LENGTH_BYTES + len - self.buffer.len();
            self.buffer.reserve(missing.min(MAX_RESERVED_BYTES));
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let payload = self.buffer.split_to(len);
        if self.buffer.is_empty() {
            // Lets go of the allocation, which now lives as long as the payload.
            self.buffer = BytesMut::new();
        }
        Ok(Some(payload))
    }
}

pub(crate) fn peek_length(buffer: &[u8]) -> Option<usize> {
    let [a, b, c] = *buffer.first_chunk::<LENGTH_BYTES>()?;
    Some(u32::from_be_bytes([0, a, b, c]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(reader: &mut FrameReader) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| reader.next().unwrap())
            .map(|frame| frame.to_vec())
            .collect()
    }

    #[test]
    fn frames_come_out_however_the_bytes_are_cut() {
        let mut stream = Vec::new();
        for payload in [&b"a"[..], b"", &[7; 300]] {
            write(payload, &mut stream);
        }
        for cut in 1..stream.len() {
            let mut reader = FrameReader::new(1000);
            let mut frames = Vec::new();
            for piece in stream.chunks(cut) {
                reader.push(Bytes::copy_from_slice(piece));
                frames.extend(drain(&mut reader));
            }
            assert_eq!(frames, [b"a".to_vec(), Vec::new(), vec![7; 300]]);
            assert_eq!(reader.buffer.capacity(), 0);
        }
    }

    #[test]
    fn frame_over_the_limit_is_refused_before_it_is_read() {
        let mut reader = FrameReader::new(10);
        reader.push(Bytes::from_static(&[0, 0, 11]));
        assert_eq!(reader.next(), Err(FrameTooLarge { len: 11, limit: 10 }));
    }
}
