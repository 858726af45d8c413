//! What a companion and its phone tell each other of a file that is gone: sealed under a key that is made of the file's.

use ::media::block;
use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};

use super::MediaKey;

/// Bytes of the vector that goes with what is sealed; fresh for each.
pub const RETRY_IV_BYTES: usize = 12;

/// Seals a text about the file of the message `id`.
#[must_use]
pub fn seal_retry(key: &MediaKey, id: &str, iv: [u8; RETRY_IV_BYTES], text: &[u8]) -> Vec<u8> {
    let mut sealed = text.to_vec();
    // Unwrap safety: AES-GCM refuses only messages over 64 GiB.
    cipher(key)
        .encrypt_in_place(&iv.into(), id.as_bytes(), &mut sealed)
        .unwrap_or_else(|_| unreachable!("a text that AES-GCM takes"));
    sealed
}

/// Opens a text about the file of the message `id`; `None` if it was not sealed for it.
#[must_use]
pub fn open_retry(key: &MediaKey, id: &str, iv: [u8; RETRY_IV_BYTES], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut text = sealed.to_vec();
    let opened = cipher(key).decrypt_in_place(&iv.into(), id.as_bytes(), &mut text);
    opened.ok().map(|()| text)
}

fn cipher(key: &MediaKey) -> Aes256Gcm {
    Aes256Gcm::new((&*block::expand::<32>(key.expose(), INFO)).into())
}

/// What the key is derived for.
const INFO: &[u8] = b"WhatsApp Media Retry Notification";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, bytes32, message_vector};

    #[test]
    fn what_another_client_sealed_is_opened_and_sealed_the_same() {
        let case = message_vector("media_retry");
        let key = MediaKey::new(bytes32(&case["media_key"]));
        let id = case["message_id"].as_str().unwrap();
        for (part, plain) in [
            ("request", "plaintext_ServerErrorReceipt"),
            ("response", "plaintext_MediaRetryNotification"),
        ] {
            let part = &case[part];
            let iv: [u8; RETRY_IV_BYTES] = bytes(&part["enc_iv"]).try_into().unwrap();
            let (sealed, plain) = (bytes(&part["enc_p"]), bytes(&part[plain]));
            assert_eq!(open_retry(&key, id, iv, &sealed), Some(plain.clone()));
            assert_eq!(seal_retry(&key, id, iv, &plain), sealed);
            assert_eq!(open_retry(&key, "3EB0", iv, &sealed), None, "of another message");
        }
    }
}
