//! Files: what was not sealed under the key is refused, and both ways of opening one are of the same mind.

use ::media::block::{self, BLOCK_BYTES};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use whatsapp::media::{
    BlobRef, MAC_BYTES, MediaKey, MediaKind, Opener, RETRY_IV_BYTES, is_path, open, open_retry, seal,
    seal_retry,
};

const KEY: [u8; 32] = [7; 32];
const KIND: MediaKind = MediaKind::Image;
/// What keys of pictures are derived for.
const INFO: &[u8] = b"WhatsApp Image Keys";
const ID: &str = "3EB0AABBCCDDEEFF001122";
const IV: [u8; RETRY_IV_BYTES] = [9; RETRY_IV_BYTES];

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = super::chosen(data, 6) else {
        return;
    };
    let key = MediaKey::new(KEY);
    match kind {
        0 => {
            let opened = opened(data, &Sha256::digest(data).into());
            assert!(opened.is_none(), "nobody has the key");
        }
        1 => sealed_by_somebody(data),
        2 => whole_and_spoiled(data),
        3 => {
            let sealed = seal_retry(&key, ID, IV, data);
            assert_eq!(open_retry(&key, ID, IV, &sealed).as_deref(), Some(data));
            let spoiled = super::spoiled(&sealed, data);
            assert!(spoiled.is_none_or(|spoiled| open_retry(&key, ID, IV, &spoiled).is_none()));
        }
        4 => assert!(open_retry(&key, ID, IV, data).is_none(), "nobody has the key"),
        _ => {
            let path = String::from_utf8_lossy(data);
            if is_path(&path) {
                assert!(path.starts_with('/') && !path.starts_with("//"));
                assert!(path.is_ascii() && !path.contains(['#', '\\', ' ']));
            }
        }
    }
}

/// What is in a file, by the one way and the other, which agree; `None` where it is refused.
fn opened(file: &[u8], sha256: &[u8; 32]) -> Option<Vec<u8>> {
    let named = BlobRef {
        kind: KIND,
        path: "/v/1".to_owned(),
        key: MediaKey::new(KEY),
        sha256: *sha256,
        enc_sha256: Sha256::digest(file).into(),
        length: None,
    };
    let whole = open(&named, file.to_vec());
    let (mut opener, mut content) = (Opener::new(&named), Vec::new());
    let piece = usize::from(file.first().copied().unwrap_or(1)).max(1);
    for part in file.chunks(piece) {
        opener.push(part, &mut content);
    }
    match (whole, opener.finish(&mut content)) {
        (Ok(whole), Ok(())) => {
            assert_eq!(whole, content, "both ways say the same");
            Some(whole)
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other, "both ways refuse it for the same reason");
            None
        }
        (whole, pieces) => panic!("one way takes it, the other does not: {whole:?}, {pieces:?}"),
    }
}

/// Any blocks, under a right MAC: what somebody who has the key may send.
fn sealed_by_somebody(blocks: &[u8]) {
    let keys: [u8; 112] = *block::expand::<112>(&KEY, INFO);
    let mut mac = Hmac::<Sha256>::new_from_slice(&keys[48..80]).expect("a key");
    mac.update(&keys[..BLOCK_BYTES]);
    mac.update(blocks);
    let mut file = blocks.to_vec();
    file.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
    // Of what it says nobody knows the hash.
    assert!(opened(&file, &[0; 32]).is_none());
}

fn whole_and_spoiled(content: &[u8]) {
    let sealed = seal(KIND, &MediaKey::new(KEY), content);
    assert_eq!(opened(&sealed.file, &sealed.sha256).as_deref(), Some(content));
    if let Some(spoiled) = super::spoiled(&sealed.file, content) {
        assert!(
            opened(&spoiled, &sealed.sha256).is_none(),
            "it is not what was sealed"
        );
    }
}
