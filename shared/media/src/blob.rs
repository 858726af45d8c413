//! One file: sealed, checked and opened.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::kind::MediaKind;
use crate::block::{self, BLOCK_BYTES};

/// Bytes of the MAC at the end of a file.
pub const MAC_BYTES: usize = 10;
/// Bytes of a file's key.
pub const MEDIA_KEY_BYTES: usize = 32;

/// The key of one file. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaKey(Zeroizing<[u8; MEDIA_KEY_BYTES]>);

impl MediaKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; MEDIA_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, for whoever is told of the file.
    #[must_use]
    pub fn expose(&self) -> &[u8; MEDIA_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaKey(…)")
    }
}

/// Where a file is, and everything that shows that it is the one.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// What it is.
    pub kind: MediaKind,
    /// Its path and query at the media host, from the first slash.
    pub path: String,
    /// Its key.
    pub key: MediaKey,
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
    /// SHA-256 of the file.
    pub enc_sha256: [u8; 32],
    /// The length of what it says, in bytes, as whoever names it claims.
    pub length: Option<u64>,
}

impl BlobRef {
    /// Reads the fields by which a message names a file; `None` if one is missing or of another form.
    #[must_use]
    pub fn from_fields(kind: MediaKind, path: Option<&str>, fields: [Option<&Bytes>; 3]) -> Option<Self> {
        let [key, sha256, enc_sha256] = fields.map(|field| <[u8; 32]>::try_from(field?.as_ref()).ok());
        Some(Self {
            kind,
            // It is put behind a host's name: nothing but a path may come there.
            path: path.filter(|path| is_path(path))?.to_owned(),
            key: MediaKey::new(key?),
            sha256: sha256?,
            enc_sha256: enc_sha256?,
            length: None,
        })
    }
}

/// Prints no path: it says whose file it is.
impl fmt::Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobRef")
            .field("kind", &self.kind)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Whether nothing but a path, maybe with a query, is named: it comes to stand behind a host's name.
#[must_use]
pub fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= MAX_PATH_BYTES
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\')
}

/// Longest path taken.
const MAX_PATH_BYTES: usize = 4096;

/// Why a file is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlob {
    /// It is not the file that was named.
    #[error("the file has another hash")]
    FileHash,
    /// It was not sealed with the key.
    #[error("wrong MAC")]
    Mac,
    /// It can't be decrypted.
    #[error("wrong padding")]
    Padding,
    /// It says something else than what was named.
    #[error("the content has another hash")]
    ContentHash,
}

/// A sealed file.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What goes to the media host.
    pub file: Vec<u8>,
    /// SHA-256 of the file.
    pub enc_sha256: [u8; 32],
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
}

/// Seals what a file says.
#[must_use]
pub fn seal(kind: MediaKind, key: &MediaKey, content: &[u8]) -> Sealed {
    let keys = Keys::of(kind, key);
    let mut file = Vec::with_capacity(content.len() + BLOCK_BYTES + MAC_BYTES);
    block::encrypt(keys.cipher(), keys.iv(), content, &mut file);
    let mac = keys.mac(&file);
    file.extend_from_slice(&mac);
    Sealed {
        enc_sha256: Sha256::digest(&file).into(),
        sha256: Sha256::digest(content).into(),
        file,
    }
}

/// Checks a file and gives what it says.
///
/// # Errors
/// [`BadBlob`]: it is not what was named.
pub fn open(named: &BlobRef, mut file: Vec<u8>) -> Result<Vec<u8>, BadBlob> {
    let found: [u8; 32] = Sha256::digest(&file).into();
    if !is_same(&found, &named.enc_sha256) {
        return Err(BadBlob::FileHash);
    }
    let keys = Keys::of(named.kind, &named.key);
    let length = file.len().checked_sub(MAC_BYTES).ok_or(BadBlob::Mac)?;
    let mac = file.split_off(length);
    if !is_same(&keys.mac(&file), &mac) {
        return Err(BadBlob::Mac);
    }
    let content = block::decrypt(keys.cipher(), keys.iv(), file).ok_or(BadBlob::Padding)?;
    let found: [u8; 32] = Sha256::digest(&content).into();
    if !is_same(&found, &named.sha256) {
        return Err(BadBlob::ContentHash);
    }
    Ok(content)
}

pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// What a file's key is expanded to: a vector, a key for the cipher and one for the MAC. A fourth part is unused.
pub(super) struct Keys(Zeroizing<[u8; 112]>);

impl Keys {
    pub(super) fn of(kind: MediaKind, key: &MediaKey) -> Self {
        Self(block::expand(&key.0[..], kind.info()))
    }

    pub(super) fn iv(&self) -> &[u8; BLOCK_BYTES] {
        self.part::<BLOCK_BYTES>(0)
    }

    pub(super) fn cipher(&self) -> &[u8; 32] {
        self.part(16)
    }

    fn part<const N: usize>(&self, from: usize) -> &[u8; N] {
        // Unwrap safety: all parts lie within.
        self.0[from..]
            .first_chunk()
            .unwrap_or_else(|| unreachable!("a part of the keys"))
    }

    fn mac(&self, ciphertext: &[u8]) -> [u8; MAC_BYTES] {
        shortened(self.begin_mac().chain_update(ciphertext))
    }

    /// The MAC of a file of which nothing has come yet.
    pub(super) fn begin_mac(&self) -> Hmac<Sha256> {
        // Unwrap safety: HMAC takes a key of any length.
        let mac = Hmac::<Sha256>::new_from_slice(self.part::<32>(48))
            .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
        mac.chain_update(self.iv())
    }
}

/// A MAC as it stands at the end of a file.
pub(super) fn shortened(mac: Hmac<Sha256>) -> [u8; MAC_BYTES] {
    let mut short = [0; MAC_BYTES];
    short.copy_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, bytes32, message_vector, state_vector};

    fn recorded() -> (BlobRef, Vec<u8>, Vec<u8>) {
        let case = state_vector("external_blob_history");
        let named = BlobRef {
            kind: MediaKind::History,
            path: "/v/t62/1".to_owned(),
            key: MediaKey::new(bytes32(&case["media_key"])),
            sha256: bytes32(&case["file_sha256"]),
            enc_sha256: bytes32(&case["file_enc_sha256"]),
            length: None,
        };
        (named, bytes(&case["enc_file"]), bytes(&case["plain"]))
    }

    #[test]
    fn a_file_of_another_client_is_opened_and_sealed_the_same() {
        let (named, file, content) = recorded();
        assert_eq!(open(&named, file.clone()).unwrap(), content);
        let sealed = seal(named.kind, &named.key, &content);
        assert_eq!(
            (sealed.file, sealed.enc_sha256, sealed.sha256),
            (file, named.enc_sha256, named.sha256)
        );
    }

    #[test]
    fn files_of_each_kind_are_sealed_as_other_clients_seal_them() {
        let kinds = [
            (MediaKind::Image, "media_image_16"),
            (MediaKind::Image, "media_image_0"),
            (MediaKind::Document, "media_document_33"),
            (MediaKind::History, "media_md-msg-hist_200"),
        ];
        for (kind, name) in kinds {
            let case = message_vector(name);
            let key = MediaKey::new(bytes32(&case["media_key"]));
            let sealed = seal(kind, &key, &bytes(&case["plaintext"]));
            assert_eq!(sealed.file, bytes(&case["encrypted_file"]), "{name}");
            assert_eq!(sealed.enc_sha256, bytes32(&case["fileEncSha256"]), "{name}");
            assert_eq!(
                sealed.sha256,
                bytes32(&case["plaintext_sha256_fileSha256"]),
                "{name}"
            );
        }
    }

    #[test]
    fn keys_of_each_kind_are_those_of_other_clients() {
        let case = message_vector("media_key_expansion");
        let rows = case["rows"].as_array().unwrap();
        for kind in [
            MediaKind::Image,
            MediaKind::Video,
            MediaKind::Audio,
            MediaKind::Document,
            MediaKind::History,
            MediaKind::AppState,
            MediaKind::LinkThumbnail,
        ] {
            let row = rows.iter().find(|row| row["baileys_type"] == kind.mms_type());
            let row = row.unwrap_or_else(|| panic!("no row for {kind:?}"));
            let keys = Keys::of(kind, &MediaKey::new(bytes32(&row["media_key"])));
            assert_eq!(keys.iv().as_slice(), bytes(&row["iv"]), "{kind:?}");
            assert_eq!(keys.cipher().as_slice(), bytes(&row["cipher_key"]), "{kind:?}");
            assert_eq!(keys.part::<32>(48).as_slice(), bytes(&row["mac_key"]), "{kind:?}");
        }
    }

    #[test]
    fn each_check_refuses_what_it_should() {
        let (named, file, _) = recorded();
        let with = |change: &dyn Fn(&mut BlobRef, &mut Vec<u8>)| {
            let (mut named, mut file) = (named.clone(), file.clone());
            change(&mut named, &mut file);
            open(&named, file).unwrap_err()
        };
        let rehash = |named: &mut BlobRef, file: &[u8]| named.enc_sha256 = Sha256::digest(file).into();
        assert_eq!(with(&|_, file| file[0] ^= 1), BadBlob::FileHash);
        let altered = with(&|named, file| {
            file[0] ^= 1;
            rehash(named, file);
        });
        assert_eq!(altered, BadBlob::Mac);
        let short = with(&|named, file| {
            file.truncate(9);
            rehash(named, file);
        });
        assert_eq!(short, BadBlob::Mac);
        assert_eq!(with(&|named, _| named.kind = MediaKind::Image), BadBlob::Mac);
        assert_eq!(with(&|named, _| named.sha256[0] ^= 1), BadBlob::ContentHash);
    }

    #[test]
    fn only_a_path_may_name_a_file() {
        let field = Bytes::from_static(&[1; 32]);
        let named = |path: Option<&str>| BlobRef::from_fields(MediaKind::History, path, [Some(&field); 3]);
        assert!(named(Some("/v/t62.7118-24/1_n.enc?ccb=11-4&oh=01")).is_some());
        for odd in ["", "v/1", "//host/1", "/a b", "/a\r\nHost: x", "/a#b", "/\\host"] {
            assert!(named(Some(odd)).is_none(), "{odd:?}");
        }
        let short = Bytes::from_static(&[1; 31]);
        let fields = [Some(&field), Some(&short), Some(&field)];
        assert!(BlobRef::from_fields(MediaKind::History, Some("/1"), fields).is_none());
        assert!(named(None).is_none());
    }
}
