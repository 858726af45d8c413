//! A message of a WebSocket as bytes, for messages that are too large for the buffers of an idle session.

use bytes::Bytes;

/// A whole binary message of a client (RFC 6455, 5.2): final, masked.
///
/// The mask keeps what a client says from looking like something else on the way. The end of a ciphertext, as which it is
/// taken here, is as good as any random number.
pub(super) fn message(payload: &[u8]) -> Bytes {
    let mask = payload.last_chunk().copied().unwrap_or([0; 4]);
    let mut message = Vec::with_capacity(MAX_HEADER_BYTES + payload.len());
    message.push(FINAL | BINARY);
    match payload.len() {
        length @ ..SHORT => message.push(MASKED | length as u8),
        length @ ..=MEDIUM => {
            message.push(MASKED | SHORT as u8);
            message.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            message.push(MASKED | (SHORT + 1) as u8);
            message.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    message.extend_from_slice(&mask);
    message.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    message.into()
}

const FINAL: u8 = 0x80;
const BINARY: u8 = 2;
const MASKED: u8 = 0x80;
/// Lengths from here on follow the first two bytes.
const SHORT: usize = 126;
/// Longest that two bytes tell.
const MEDIUM: usize = 0xffff;
const MAX_HEADER_BYTES: usize = 14;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocket},
    };

    use super::*;

    #[test]
    fn a_server_reads_what_was_written() {
        for length in [0, 3, 125, 126, 4_097, 0xffff, 0x1_0000, 200_000] {
            let payload: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
            let wire = Cursor::new(message(&payload).to_vec());
            let mut server = WebSocket::from_raw_socket(wire, Role::Server, None);
            assert_eq!(
                server.read().unwrap(),
                Message::Binary(payload.into()),
                "{length}"
            );
        }
    }
}
