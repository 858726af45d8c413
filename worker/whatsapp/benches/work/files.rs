//! A file that passes in pieces: sealed and opened, beside the cipher, the MAC and the two hashes alone.

use std::hint::black_box;

use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use aes::{Aes256Dec, Aes256Enc, Block};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use whatsapp::media::{BlobRef, MediaKey, MediaKind, Opener, Sealer};

use super::measure::{Figure, side_by_side, timed};

/// How many times the floor either may take.
pub const TARGET: f64 = 1.05;
/// Bytes of the file.
pub const FILE_BYTES: usize = 256 * 1024;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Sealing beside the floor, in nanoseconds.
pub fn sealing() -> (Figure, Figure) {
    let content = vec![0x5a; FILE_BYTES];
    let mut out = Vec::with_capacity(FILE_BYTES + 64);
    let mut blocks = content.clone();
    side_by_side(
        || {
            timed(1, || {
                out.clear();
                black_box(seal(black_box(&content), &mut out));
            })
        },
        || {
            timed(1, || {
                let mut cipher = cbc::Encryptor::<Aes256Enc>::new(&[1; 32].into(), &[2; 16].into());
                let mut sums = Sums::new();
                for piece in black_box(&mut blocks).chunks_mut(PIECE_BYTES) {
                    sums.content.update(&*piece);
                    cipher.encrypt_blocks(Block::slice_as_chunks_mut(piece).0);
                    sums.file(piece);
                }
                black_box(sums.done());
            })
        },
    )
}

/// Opening beside the floor, in nanoseconds.
pub fn opening() -> (Figure, Figure) {
    let mut file = Vec::new();
    let named = seal(&vec![0x5a; FILE_BYTES], &mut file);
    let mut out = Vec::with_capacity(PIECE_BYTES + 64);
    let mut blocks = file.clone();
    side_by_side(
        || {
            timed(1, || {
                let mut opener = Opener::new(&named);
                for piece in black_box(&file).chunks(PIECE_BYTES) {
                    out.clear();
                    opener.push(piece, &mut out);
                }
                assert!(opener.finish(&mut out).is_ok());
            })
        },
        || {
            timed(1, || {
                let mut cipher = cbc::Decryptor::<Aes256Dec>::new(&[1; 32].into(), &[2; 16].into());
                let mut sums = Sums::new();
                for piece in black_box(&mut blocks).chunks_mut(PIECE_BYTES) {
                    sums.file(piece);
                    cipher.decrypt_blocks(Block::slice_as_chunks_mut(piece).0);
                    sums.content.update(&*piece);
                }
                black_box(sums.done());
            })
        },
    )
}

fn seal(content: &[u8], out: &mut Vec<u8>) -> BlobRef {
    let (kind, key) = (MediaKind::Document, MediaKey::new([7; 32]));
    let mut sealer = Sealer::new(kind, &key);
    for piece in content.chunks(PIECE_BYTES) {
        sealer.push(piece, out);
    }
    let seal = sealer.finish(out);
    BlobRef {
        kind,
        path: "/v/1".to_owned(),
        key,
        sha256: seal.sha256,
        enc_sha256: seal.enc_sha256,
        length: Some(seal.length),
    }
}

/// What is summed up of a file whichever way it goes.
struct Sums {
    content: Sha256,
    file: Sha256,
    mac: Hmac<Sha256>,
}

impl Sums {
    fn new() -> Self {
        Self {
            content: Sha256::new(),
            file: Sha256::new(),
            mac: Hmac::new_from_slice(&[3; 32]).unwrap(),
        }
    }

    fn file(&mut self, piece: &[u8]) {
        self.file.update(piece);
        self.mac.update(piece);
    }

    fn done(self) -> [u8; 3] {
        let (content, file) = (self.content.finalize(), self.file.finalize());
        [content[0], file[0], self.mac.finalize().into_bytes()[0]]
    }
}
