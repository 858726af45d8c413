use bytes::BytesMut;

use super::transport::{TAG_BYTES, Transport};
use super::*;
use crate::frame;

#[test]
fn altered_replayed_and_reordered_frames_do_not_open() {
    let (mut client, mut server) = (
        Transport::new(&[1; 32], &[2; 32]),
        Transport::new(&[2; 32], &[1; 32]),
    );
    let mut seal = |text: &[u8]| {
        let mut out = text.to_vec();
        client.sealer.seal(&mut out, 0).unwrap();
        out
    };
    let (first, second) = (seal(b"first"), seal(b"second"));
    let mut open = |bytes: &[u8]| server.opener.open(BytesMut::from(bytes));
    assert_eq!(open(&second), Err(NoiseError::Undecryptable));
    let mut altered = first.clone();
    altered[0] ^= 1;
    assert_eq!(open(&altered), Err(NoiseError::Undecryptable));
    assert_eq!(open(&first[..first.len() - 1]), Err(NoiseError::Undecryptable));
    assert_eq!(open(b"short"), Err(NoiseError::Undecryptable));
    assert_eq!(open(&first).unwrap()[..], b"first"[..]);
    assert_eq!(open(&first), Err(NoiseError::Undecryptable));
    assert_eq!(open(&second).unwrap()[..], b"second"[..]);
}

#[test]
fn payload_that_fits_no_frame_is_refused_and_leaves_nothing() {
    let mut transport = Transport::new(&[1; 32], &[2; 32]);
    let mut out = b"before".to_vec();
    let large = vec![0; frame::MAX_PAYLOAD_BYTES - TAG_BYTES + 1];
    let result = frame::write_sealed(&mut transport.sealer, &mut out, |out| {
        out.extend_from_slice(&large)
    });
    assert_eq!(result, Err(NoiseError::TooLarge(frame::MAX_PAYLOAD_BYTES + 1)));
    assert_eq!(out, b"before");
    frame::write_sealed(&mut transport.sealer, &mut out, |out| {
        out.extend_from_slice(&large[1..])
    })
    .unwrap();
}
