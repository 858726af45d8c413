//! The ids of messages: how ours are made and which ones we take.
//!
//! Facts: docs/PROTOCOL.md, "Message ids".

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use rand::CryptoRng;
use sha2::{Digest, Sha256};

/// Longest id that is taken.
pub const MAX_MESSAGE_ID_BYTES: usize = 128;

/// The id of a message, unique within its chat and sender. Recipients show a message id once, so a message that is sent
/// again must keep its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(CompactString);

impl MessageId {
    /// A fresh id: `3EB0` and 18 upper-case hexadecimal digits. `user` is the sender's own user part.
    pub fn generate<R: CryptoRng + ?Sized>(unix_seconds: u64, user: &str, rng: &mut R) -> Self {
        let mut random = [0u8; 16];
        rng.fill_bytes(&mut random);
        Self::derive(unix_seconds, &[user.as_bytes(), b"@c.us"], &random)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn derive(unix_seconds: u64, sender: &[&[u8]], random: &[u8; 16]) -> Self {
        let mut hash = Sha256::new().chain_update(unix_seconds.to_be_bytes());
        for part in sender {
            hash.update(part);
        }
        let digest = hash.chain_update(random).finalize();
        let mut id = CompactString::const_new("3EB0");
        for byte in &digest[..9] {
            for digit in [byte >> 4, byte & 15] {
                id.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
        Self(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MessageId {
    type Err = BadMessageId;

    /// Takes any printable ASCII without spaces of 1 to [`MAX_MESSAGE_ID_BYTES`] bytes.
    fn from_str(text: &str) -> Result<Self, BadMessageId> {
        let fits = (1..=MAX_MESSAGE_ID_BYTES).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(BadMessageId)
        }
    }
}

/// A text can't be the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message id must be 1 to {MAX_MESSAGE_ID_BYTES} printable ASCII characters without spaces")]
pub struct BadMessageId;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::testing::{bytes, vector};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn derivation_is_that_of_the_vector() {
        let case = vector("message_id_v2");
        let random: [u8; 16] = bytes(&case["random16"]).try_into().unwrap();
        let user = case["user"].as_str().unwrap();
        // The vector's maker hashes a fixed buffer, which leaves a gap of zeros behind a short user.
        let input = bytes(&case["hash_input_baileys"]);
        let gap = vec![0; input.len() - 8 - user.len() - b"@c.us".len() - random.len()];
        let id = MessageId::derive(
            case["seconds"].as_u64().unwrap(),
            &[user.as_bytes(), b"@c.us", &gap],
            &random,
        );
        assert_eq!(id.as_str(), case["message_id"]);
    }

    #[test]
    fn generated_ids_differ_and_have_the_usual_form() {
        let mut rng = StdRng::seed_from_u64(1);
        let a = MessageId::generate(1_750_000_000, "15550001", &mut rng);
        let b = MessageId::generate(1_750_000_000, "15550001", &mut rng);
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 22);
        assert!(a.as_str().starts_with("3EB0"));
        assert_eq!(a.to_string().parse(), Ok(a));
    }

    #[test]
    fn ids_that_no_stanza_should_carry_are_refused() {
        for bad in ["", "a b", "a\n", "é", &"x".repeat(MAX_MESSAGE_ID_BYTES + 1)] {
            assert_eq!(bad.parse::<MessageId>(), Err(BadMessageId));
        }
        assert!("3A0123456789ABCDEF0123".parse::<MessageId>().is_ok());
        assert!("x".repeat(MAX_MESSAGE_ID_BYTES).parse::<MessageId>().is_ok());
    }
}
