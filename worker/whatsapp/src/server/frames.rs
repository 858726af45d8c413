//! What a client sends: a header once, with routing information before it if it has any, then frames.

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

use crate::frame::{
    FrameReader, FrameTooLarge, HEADER, LENGTH_BYTES, MAX_ROUTING_BYTES, ROUTING_HEADER, peek_length,
};

/// The stream of a client's bytes can't be split into frames; the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A payload, or the routing information, is larger than the limit.
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
    /// It does not begin with the connection header.
    #[error("connection begins with no valid header")]
    BadHeader,
}

/// Gathers a client's bytes and gives out payloads.
#[derive(Debug)]
pub struct ClientFrames {
    /// What came while the header is not whole.
    head: BytesMut,
    /// There once the header is, with the routing information before it.
    header: Option<Option<Bytes>>,
    frames: FrameReader,
}

impl ClientFrames {
    /// Takes payloads of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            head: BytesMut::new(),
            header: None,
            frames: FrameReader::new(limit),
        }
    }

    /// As [`FrameReader::push`].
    pub fn push(&mut self, bytes: Bytes) {
        if self.header.is_some() {
            self.frames.push(bytes);
        } else {
            self.head.extend_from_slice(&bytes);
        }
    }

    /// As [`FrameReader::next`].
    ///
    /// # Errors
    /// If a payload is over the limit or the header is wrong. The reader is of no use afterwards.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<BytesMut>, FrameError> {
        if self.header.is_none() {
            self.header = take_header(&mut self.head)?;
            if self.header.is_none() {
                return Ok(None);
            }
            self.frames.push(std::mem::take(&mut self.head).freeze());
        }
        Ok(self.frames.next()?)
    }

    /// The routing information that came before the header.
    pub fn routing_info(&self) -> Option<&Bytes> {
        self.header.as_ref()?.as_ref()
    }
}

/// Takes the header with its optional prefix; `None` if more bytes are needed.
fn take_header(buffer: &mut BytesMut) -> Result<Option<Option<Bytes>>, FrameError> {
    let Some(first) = buffer.first_chunk::<4>().copied() else {
        return Ok(None);
    };
    if first == HEADER {
        buffer.advance(HEADER.len());
        return Ok(Some(None));
    }
    if first != ROUTING_HEADER {
        return Err(FrameError::BadHeader);
    }
    let Some(len) = peek_length(&buffer[ROUTING_HEADER.len()..]) else {
        return Ok(None);
    };
    if len > MAX_ROUTING_BYTES {
        let limit = MAX_ROUTING_BYTES;
        return Err(FrameTooLarge { len, limit }.into());
    }
    let start = ROUTING_HEADER.len() + LENGTH_BYTES;
    if buffer.len() < start + len + HEADER.len() {
        return Ok(None);
    }
    buffer.advance(start);
    let routing_info = buffer.split_to(len).freeze();
    if buffer.split_to(HEADER.len())[..] != HEADER {
        return Err(FrameError::BadHeader);
    }
    Ok(Some(Some(routing_info)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::connection_header;
    use crate::testing::{bytes, vector};

    #[test]
    fn first_client_bytes_are_those_of_the_vector() {
        let vector = vector("frame.edge_routing");
        let (info, frame) = (bytes(&vector["routing_info"]), bytes(&vector["frame"]));
        let header = connection_header(Some(&info));
        assert_eq!(header, frame[..header.len()]);
        for cut in 1..frame.len() {
            let mut reader = ClientFrames::new(1000);
            let mut frames = Vec::new();
            for piece in frame.chunks(cut) {
                reader.push(Bytes::copy_from_slice(piece));
                frames.extend(std::iter::from_fn(|| reader.next().unwrap()));
            }
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].len(), 36);
            assert_eq!(reader.routing_info().unwrap()[..], info);
        }
    }

    #[test]
    fn other_headers_are_refused() {
        for wrong in [&b"WA\x05\x03"[..], b"GET / HTTP", b"ED\0\x01\0\0\x01xWA\x06\x02"] {
            let mut reader = ClientFrames::new(1000);
            reader.push(Bytes::from_static(wrong));
            assert_eq!(reader.next(), Err(FrameError::BadHeader));
        }
        let mut reader = ClientFrames::new(1000);
        reader.push(Bytes::from_static(b"ED\0\x01\xff\xff\xff"));
        assert!(matches!(reader.next(), Err(FrameError::TooLarge(_))));
    }
}
