//! The ids that the API makes for sends, and by which it knows them again.
//!
//! A send is answered when the broker has it, and its row is its worker's to write: for a moment, or for as long as no
//! worker runs, nothing is stored under the ids that its caller was given. A row of our own would cost each message a
//! write. So an id that is made here says so itself: part of it is a code of the rest under a key of the deployment. To
//! everybody else it is as random as any.
//!
//! What it says is that it was given, for which session and when. What became of it, rows say.

use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::Sha256;
use shared::clock::unix_millis;
use shared::id::{JobId, QueueId, StanzaId, Token};
use time::{Duration, OffsetDateTime};

/// What all message ids of this kind of client begin with.
const STANZA_PREFIX: &str = "3EB0";
/// Bytes of such an id behind that: random ones, and those that say when it was made.
pub const STANZA_BYTES: usize = 9;
const RANDOM_BYTES: usize = 6;
/// Bits of the code that are zero behind the day: one of as many ids that we never gave is taken for ours.
const ZERO_BITS: u32 = 14;
/// Days until they count from 0 again.
const DAYS: i64 = 1 << (24 - ZERO_BITS);
/// Bytes of a UUID that are its code.
const CODE_BYTES: usize = 4;

/// Days that an id is known again: as long as what callers' own ids asked for is kept.
const KNOWN_DAYS: i64 = 30;
/// How many days ago tomorrow is.
const TOMORROW: i64 = DAYS - 1;

/// Makes ids, and knows them again.
#[derive(Clone)]
pub struct Ids {
    key: [u8; 32],
}

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids")
    }
}

impl Ids {
    /// Ids under this key, which all API processes of a deployment must share.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The id of a send whose caller named none: a UUIDv7, and the id of its queue too.
    pub fn send(&self, token: &Token, at: OffsetDateTime, rng: &mut StdRng) -> JobId {
        let fresh = JobId::fresh(at, rng);
        let mut bytes = *QueueId::derived(token, &fresh).as_uuid().as_bytes();
        let (head, code) = bytes.split_at_mut(16 - CODE_BYTES);
        code.copy_from_slice(&self.code(token, head)[..CODE_BYTES]);
        let id = uuid::Uuid::from_bytes(bytes).to_string();
        // A UUID is a job id.
        JobId::new(&id).unwrap_or(fresh)
    }

    /// When this id of a queue was given to a send of the session, if it was and is not long ago.
    pub fn queue_given_at(
        &self,
        token: &Token,
        queue: QueueId,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let uuid = queue.as_uuid();
        let (head, code) = uuid.as_bytes().split_at(16 - CODE_BYTES);
        if uuid.get_version_num() != 7 || code != &self.code(token, head)[..CODE_BYTES] {
            return None;
        }
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&head[..6]);
        let at = i128::from(u64::from_be_bytes(millis)) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(at).ok()?;
        let age = (now - at).whole_days();
        (-1..=KNOWN_DAYS).contains(&age).then_some(at)
    }

    /// The WhatsApp id of a single message whose caller named none.
    pub fn message(&self, token: &Token, at: OffsetDateTime, rng: &mut StdRng) -> StanzaId {
        let mut bytes = [0; STANZA_BYTES];
        let (random, day) = bytes.split_at_mut(RANDOM_BYTES);
        random.copy_from_slice(&rng.random::<[u8; RANDOM_BYTES]>());
        let plain = u32::try_from(day_of(at).rem_euclid(DAYS)).unwrap_or_default() << ZERO_BITS;
        let mask = self.code(token, random);
        for ((byte, plain), mask) in day.iter_mut().zip(&plain.to_be_bytes()[1..]).zip(mask) {
            *byte = plain ^ mask;
        }
        stanza(&bytes)
    }

    /// On which day this id was given to a message of the session, if it was and is not long ago.
    pub fn message_given_at(
        &self,
        token: &Token,
        id: &StanzaId,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let text = id.as_str().strip_prefix(STANZA_PREFIX)?;
        let bytes = hex::decode(text)
            .ok()
            .filter(|bytes| bytes.len() == STANZA_BYTES)?;
        let (random, day) = bytes.split_at(RANDOM_BYTES);
        let mask = self.code(token, random);
        let plain = day
            .iter()
            .zip(mask)
            .fold(0_u32, |plain, (byte, mask)| plain << 8 | u32::from(byte ^ mask));
        if plain.trailing_zeros() < ZERO_BITS {
            return None;
        }
        let age = (day_of(now) - i64::from(plain >> ZERO_BITS)).rem_euclid(DAYS);
        match age {
            0..=KNOWN_DAYS => Some(now - Duration::days(age)),
            // By a clock that is ahead.
            TOMORROW => Some(now),
            _ => None,
        }
    }

    fn code(&self, token: &Token, head: &[u8]) -> [u8; 32] {
        // Unwrap safety: HMAC takes keys of any length.
        #[allow(clippy::unwrap_used)]
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key).unwrap();
        mac.update(token.as_str().as_bytes());
        // No token holds this, so no two pairs run together.
        mac.update(b"/");
        mac.update(head);
        mac.finalize().into_bytes().into()
    }
}

/// The WhatsApp id of a message from its bytes.
pub fn stanza(bytes: &[u8; STANZA_BYTES]) -> StanzaId {
    // Unwrap safety: upper-case hex of fixed length.
    #[allow(clippy::unwrap_used)]
    StanzaId::new(&format!("{STANZA_PREFIX}{}", hex::encode_upper(bytes))).unwrap()
}

fn day_of(at: OffsetDateTime) -> i64 {
    unix_millis(at).div_euclid(86_400_000)
}

#[cfg(test)]
mod tests {
    use shared::random::Randomness;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-21 23:50 UTC);

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    #[test]
    fn message_ids_are_upper_case_hex_and_are_known_again_for_a_while() {
        let (ids, other) = (Ids::new([7; 32]), Ids::new([8; 32]));
        let (rng, shop) = (&mut Randomness::seeded(1).fork(), token("shop"));
        for days in [0, 1, 5, 29, 30] {
            let at = NOW - Duration::days(days);
            let id = ids.message(&shop, at, rng);
            assert_eq!(id.as_str().len(), 22);
            assert!(
                id.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
            );
            assert_eq!(ids.message_given_at(&shop, &id, NOW), Some(at), "{days} days ago");
            assert_eq!(ids.message_given_at(&token("other"), &id, NOW), None);
            assert_eq!(other.message_given_at(&shop, &id, NOW), None);
        }
        for days in [31, 100, 1000] {
            let old = ids.message(&shop, NOW - Duration::days(days), rng);
            assert_eq!(ids.message_given_at(&shop, &old, NOW), None, "{days} days ago");
        }
        let ahead = ids.message(&shop, NOW + Duration::hours(1), rng);
        assert!(
            ids.message_given_at(&shop, &ahead, NOW).is_some(),
            "by another clock"
        );
        for foreign in ["3EB0C431C26A1916E07A", "3EB0C431C26A1916E07A11", "ABC", "3EB0xx"] {
            assert_eq!(
                ids.message_given_at(&shop, &StanzaId::new(foreign).unwrap(), NOW),
                None
            );
        }
    }

    #[test]
    fn ids_of_sends_are_uuids_that_are_known_again() {
        let (ids, rng, shop) = (
            Ids::new([7; 32]),
            &mut Randomness::seeded(1).fork(),
            token("shop"),
        );
        let queue = |id: &JobId| QueueId::derived(&shop, id);
        let id = queue(&ids.send(&shop, NOW, rng));
        assert_eq!(ids.queue_given_at(&shop, id, NOW), Some(NOW));
        assert_eq!(ids.queue_given_at(&token("other"), id, NOW), None);
        assert_eq!(ids.queue_given_at(&shop, id, NOW + Duration::days(31)), None);
        assert_eq!(
            ids.queue_given_at(&shop, queue(&JobId::fresh(NOW, rng)), NOW),
            None
        );
        assert_ne!(id, queue(&ids.send(&shop, NOW, rng)));
    }
}
