//! A file that is sealed or opened piece by piece, however large it is.
//!
//! What an [`Opener`] gives out is not checked before its end, since MAC and hashes stand for the whole file: whoever uses
//! it keeps what came out back until [`Opener::finish`] has said that it is what was named.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::blob::{BadBlob, BlobRef, Keys, MAC_BYTES, MediaKey, is_same, shortened};
use super::kind::MediaKind;
use crate::block::{BLOCK_BYTES, Decrypting, Encrypting};

/// Seals what a file says.
pub struct Sealer {
    cipher: Encrypting,
    mac: Hmac<Sha256>,
    content: Sha256,
    file: Sha256,
    /// What came and fills no block yet.
    rest: Vec<u8>,
    length: u64,
}

/// What shows that a sealed file is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
    /// SHA-256 of the file.
    pub enc_sha256: [u8; 32],
    /// The length of what it says, in bytes.
    pub length: u64,
}

impl Sealer {
    /// A file of which nothing has come yet.
    #[must_use]
    pub fn new(kind: MediaKind, key: &MediaKey) -> Self {
        let keys = Keys::of(kind, key);
        Self {
            cipher: Encrypting::new(keys.cipher(), keys.iv()),
            mac: keys.begin_mac(),
            content: Sha256::new(),
            file: Sha256::new(),
            rest: Vec::with_capacity(BLOCK_BYTES),
            length: 0,
        }
    }

    /// Takes the next piece of what it says, and appends to `out` what there is of the file by then.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) {
        self.content.update(content);
        self.length += content.len() as u64;
        let start = out.len();
        out.append(&mut self.rest);
        out.extend_from_slice(content);
        let whole = start + (out.len() - start) / BLOCK_BYTES * BLOCK_BYTES;
        self.rest.extend_from_slice(&out[whole..]);
        out.truncate(whole);
        self.pass(&mut out[start..]);
    }

    /// Appends the end of the file to `out`.
    #[must_use]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Seal {
        let start = out.len();
        let padding = BLOCK_BYTES - self.rest.len();
        out.append(&mut self.rest);
        // PKCS#7: as many bytes as there are, each saying so; never more than a block.
        out.resize(start + BLOCK_BYTES, u8::try_from(padding).unwrap_or_default());
        self.pass(&mut out[start..]);
        let mac = shortened(self.mac);
        out.extend_from_slice(&mac);
        Seal {
            sha256: self.content.finalize().into(),
            enc_sha256: self.file.chain_update(mac).finalize().into(),
            length: self.length,
        }
    }

    fn pass(&mut self, blocks: &mut [u8]) {
        self.cipher.blocks(blocks);
        self.mac.update(blocks);
        self.file.update(blocks);
    }
}

/// Opens a file.
pub struct Opener {
    enc_sha256: [u8; 32],
    sha256: [u8; 32],
    cipher: Decrypting,
    mac: Hmac<Sha256>,
    content: Sha256,
    file: Sha256,
    /// What came and may be the last block, or the MAC behind it.
    held: Vec<u8>,
}

impl Opener {
    /// The file that is named, of which nothing has come yet.
    #[must_use]
    pub fn new(named: &BlobRef) -> Self {
        let keys = Keys::of(named.kind, &named.key);
        Self {
            enc_sha256: named.enc_sha256,
            sha256: named.sha256,
            cipher: Decrypting::new(keys.cipher(), keys.iv()),
            mac: keys.begin_mac(),
            content: Sha256::new(),
            file: Sha256::new(),
            held: Vec::new(),
        }
    }

    /// Takes the next piece of the file, and appends to `out` what it says as far as that is known: **not checked yet**.
    pub fn push(&mut self, file: &[u8], out: &mut Vec<u8>) {
        self.file.update(file);
        self.held.extend_from_slice(file);
        let ready = self.held.len().saturating_sub(BLOCK_BYTES + MAC_BYTES) / BLOCK_BYTES * BLOCK_BYTES;
        let start = out.len();
        out.extend(self.held.drain(..ready));
        self.mac.update(&out[start..]);
        self.cipher.blocks(&mut out[start..]);
        self.content.update(&out[start..]);
    }

    /// Appends the end of what it says to `out`, and checks all of it.
    ///
    /// # Errors
    /// [`BadBlob`]: it is not what was named, and what came out of it must not be used.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BadBlob> {
        let found: [u8; 32] = self.file.finalize().into();
        if !is_same(&found, &self.enc_sha256) {
            return Err(BadBlob::FileHash);
        }
        let length = self.held.len().checked_sub(MAC_BYTES).ok_or(BadBlob::Mac)?;
        let mac = self.held.split_off(length);
        self.mac.update(&self.held);
        if !is_same(&shortened(self.mac), &mac) {
            return Err(BadBlob::Mac);
        }
        if length == 0 || length % BLOCK_BYTES != 0 {
            return Err(BadBlob::Padding);
        }
        self.cipher.blocks(&mut self.held);
        let said = unpadded(&self.held).ok_or(BadBlob::Padding)?;
        out.extend_from_slice(said);
        let found: [u8; 32] = self.content.chain_update(said).finalize().into();
        match is_same(&found, &self.sha256) {
            true => Ok(()),
            false => Err(BadBlob::ContentHash),
        }
    }
}

/// The last blocks without their PKCS#7 padding.
fn unpadded(blocks: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*blocks.last()?);
    let length = blocks.len().checked_sub(padding)?;
    let (said, padded) = blocks.split_at(length);
    let is_padding =
        (1..=BLOCK_BYTES).contains(&padding) && padded.iter().all(|byte| usize::from(*byte) == padding);
    is_padding.then_some(said)
}

#[cfg(test)]
mod tests {
    use super::super::blob::seal;
    use super::*;
    use crate::testing::{bytes, bytes32, message_vector};

    /// Lengths of pieces that fall on blocks and beside them.
    const PIECES: [usize; 5] = [1, 15, 16, 17, 4096];

    fn sealed_in(kind: MediaKind, key: &MediaKey, content: &[u8], piece: usize) -> (Vec<u8>, Seal) {
        let (mut sealer, mut file) = (Sealer::new(kind, key), Vec::new());
        content
            .chunks(piece)
            .for_each(|piece| sealer.push(piece, &mut file));
        let seal = sealer.finish(&mut file);
        (file, seal)
    }

    fn opened_in(named: &BlobRef, file: &[u8], piece: usize) -> Result<Vec<u8>, BadBlob> {
        let (mut opener, mut content) = (Opener::new(named), Vec::new());
        file.chunks(piece)
            .for_each(|piece| opener.push(piece, &mut content));
        opener.finish(&mut content).map(|()| content)
    }

    fn named(kind: MediaKind, key: &MediaKey, seal: &Seal) -> BlobRef {
        BlobRef {
            kind,
            path: "/v/1".to_owned(),
            key: key.clone(),
            sha256: seal.sha256,
            enc_sha256: seal.enc_sha256,
            length: Some(seal.length),
        }
    }

    #[test]
    fn files_of_other_clients_are_sealed_the_same_in_whatever_pieces_they_come() {
        for (kind, name) in [
            (MediaKind::Image, "media_image_16"),
            (MediaKind::Image, "media_image_0"),
            (MediaKind::Document, "media_document_33"),
        ] {
            let case = message_vector(name);
            let (key, content) = (
                MediaKey::new(bytes32(&case["media_key"])),
                bytes(&case["plaintext"]),
            );
            for piece in PIECES {
                let (file, seal) = sealed_in(kind, &key, &content, piece);
                assert_eq!(file, bytes(&case["encrypted_file"]), "{name} by {piece}");
                assert_eq!(
                    seal.enc_sha256,
                    bytes32(&case["fileEncSha256"]),
                    "{name} by {piece}"
                );
                assert_eq!(seal.length, content.len() as u64);
                assert_eq!(
                    opened_in(&named(kind, &key, &seal), &file, piece),
                    Ok(content.clone())
                );
            }
        }
    }

    #[test]
    fn what_is_sealed_in_pieces_is_what_is_sealed_at_once() {
        let key = MediaKey::new([7; 32]);
        for length in [0, 1, 15, 16, 17, 31, 32, 70_000] {
            let content: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
            let whole = seal(MediaKind::Video, &key, &content);
            let (file, seal) = sealed_in(MediaKind::Video, &key, &content, 999);
            assert_eq!(
                (file, seal.sha256, seal.enc_sha256),
                (whole.file, whole.sha256, whole.enc_sha256)
            );
        }
    }

    #[test]
    fn each_check_refuses_what_it_should_at_the_end() {
        let key = MediaKey::new([7; 32]);
        let (file, seal) = sealed_in(MediaKind::Document, &key, &[3; 100], 30);
        let good = named(MediaKind::Document, &key, &seal);
        let rehashed = |file: &[u8]| BlobRef {
            enc_sha256: Sha256::digest(file).into(),
            ..good.clone()
        };
        let mut altered = file.clone();
        altered[0] ^= 1;
        assert_eq!(opened_in(&good, &altered, 16), Err(BadBlob::FileHash));
        assert_eq!(opened_in(&rehashed(&altered), &altered, 16), Err(BadBlob::Mac));
        assert_eq!(opened_in(&good, &file[..50], 16), Err(BadBlob::FileHash));
        for length in [0, 9, 10, 26, 50] {
            let short = &file[..length];
            assert_eq!(
                opened_in(&rehashed(short), short, 16),
                Err(BadBlob::Mac),
                "{length}"
            );
        }
        let other = BlobRef {
            sha256: [0; 32],
            ..good.clone()
        };
        assert_eq!(opened_in(&other, &file, 16), Err(BadBlob::ContentHash));
        assert_eq!(opened_in(&good, &file, 16).map(|content| content.len()), Ok(100));
    }
}
