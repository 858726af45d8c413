//! What is kept of the tokens between us and one contact.

use bytes::Bytes;
use prost::Message as _;

use crate::account::Properties;
use crate::stanza::token::GivenToken;
use crate::time::Timestamp;

/// The token that a contact gave us, and when ours was issued to them last. Either may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrustedToken {
    given: Option<GivenToken>,
    /// The time that ours was issued with, by our clock.
    issued: Option<Timestamp>,
}

impl TrustedToken {
    /// The token to show, if it still counts.
    pub(super) fn valid(&self, properties: &Properties, now: Timestamp) -> Option<Bytes> {
        let given = self.given.as_ref();
        let valid = given.filter(|given| properties.received_tokens.hold(given.issued, now));
        valid.map(|given| given.bytes.clone())
    }

    /// Whether one of ours is due: once per bucket.
    pub(super) fn is_due(&self, properties: &Properties, now: Timestamp) -> bool {
        self.issued
            .is_none_or(|issued| properties.issued_tokens.is_earlier(issued, now))
    }

    /// When ours was issued, if it still counts.
    pub(super) fn issued(&self, properties: &Properties, now: Timestamp) -> Option<Timestamp> {
        self.issued
            .filter(|issued| properties.issued_tokens.hold(*issued, now))
    }

    /// Takes in a token: the newer holds. True if that changed something.
    pub(super) fn give(&mut self, token: GivenToken) -> bool {
        let is_news = match &self.given {
            Some(known) => known.issued <= token.issued && *known != token,
            None => true,
        };
        if is_news {
            self.given = Some(token);
        }
        is_news
    }

    /// Ours was issued with this time. True if that changed something.
    pub(super) fn issue(&mut self, t: Timestamp) -> bool {
        let is_news = self.issued < Some(t);
        if is_news {
            self.issued = Some(t);
        }
        is_news
    }

    /// Takes in what was known under another name.
    pub(super) fn absorb(&mut self, other: Self) {
        if let Some(token) = other.given {
            self.give(token);
        }
        if let Some(t) = other.issued {
            self.issue(t);
        }
    }

    /// Whether nothing in it counts any more.
    pub(super) fn is_spent(&self, properties: &Properties, now: Timestamp) -> bool {
        self.valid(properties, now).is_none() && self.issued(properties, now).is_none()
    }

    pub(super) fn encode(&self) -> Bytes {
        let given = self.given.as_ref();
        let stored = Stored {
            token: given.map(|given| given.bytes.clone()),
            given: given.map(|given| given.issued.as_secs()),
            issued: self.issued.map(Timestamp::as_secs),
        };
        stored.encode_to_vec().into()
    }

    /// Reads what [`Self::encode`] wrote; nothing of what is damaged: it can be had again.
    pub(super) fn decode(value: Bytes) -> Self {
        let stored = Stored::decode(value).unwrap_or_default();
        let token = stored.token.filter(|bytes| !bytes.is_empty());
        Self {
            given: token.zip(stored.given).map(|(bytes, t)| GivenToken {
                bytes,
                issued: Timestamp::from_secs(t),
            }),
            issued: stored.issued.map(Timestamp::from_secs),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "bytes", optional, tag = "1")]
    token: Option<Bytes>,
    /// Unix seconds.
    #[prost(uint64, optional, tag = "2")]
    given: Option<u64>,
    /// Unix seconds.
    #[prost(uint64, optional, tag = "3")]
    issued: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: u64 = 604_800;
    const NOW: Timestamp = Timestamp::from_secs(100 * WEEK + 1);

    fn token(bytes: &'static [u8], week: u64) -> GivenToken {
        let (bytes, issued) = (Bytes::from_static(bytes), Timestamp::from_secs(week * WEEK));
        GivenToken { bytes, issued }
    }

    #[test]
    fn the_newer_token_holds() {
        let mut record = TrustedToken::default();
        assert!(record.give(token(b"a", 99)));
        assert!(!record.give(token(b"a", 99)), "no news");
        assert!(!record.give(token(b"old", 98)));
        assert!(record.give(token(b"b", 99)));
        assert!(record.give(token(b"b", 100)));
        assert_eq!(record.valid(&Properties::default(), NOW).unwrap(), "b");
    }

    #[test]
    fn it_counts_for_four_buckets_and_ours_is_due_in_each() {
        let properties = Properties::default();
        let mut record = TrustedToken::default();
        assert!(record.is_due(&properties, NOW));
        record.give(token(b"a", 97));
        assert!(record.valid(&properties, NOW).is_some());
        record = TrustedToken::default();
        record.give(token(b"a", 96));
        assert!(record.valid(&properties, NOW).is_none() && record.is_spent(&properties, NOW));
        assert!(record.issue(Timestamp::from_secs(99 * WEEK)));
        assert!(record.is_due(&properties, NOW) && record.issued(&properties, NOW).is_some());
        assert!(!record.is_spent(&properties, NOW));
        assert!(record.issue(Timestamp::from_secs(100 * WEEK)));
        assert!(!record.is_due(&properties, NOW));
        assert!(
            !record.issue(Timestamp::from_secs(99 * WEEK)),
            "an earlier one changes nothing"
        );
    }

    #[test]
    fn the_stored_form_reads_back_and_damage_is_nothing() {
        let mut record = TrustedToken::default();
        for issued in [None, Some(NOW)] {
            issued.map(|t| record.issue(t));
            assert_eq!(TrustedToken::decode(record.encode()), record);
        }
        record.give(token(b"a", 97));
        assert_eq!(TrustedToken::decode(record.encode()), record);
        assert_eq!(
            TrustedToken::decode(Bytes::from_static(&[0xff; 9])),
            TrustedToken::default()
        );
    }

    #[test]
    fn what_was_under_another_name_is_merged() {
        let (mut record, mut other) = (TrustedToken::default(), TrustedToken::default());
        record.give(token(b"new", 99));
        record.issue(Timestamp::from_secs(5));
        other.give(token(b"old", 98));
        other.issue(Timestamp::from_secs(6));
        record.absorb(other);
        assert_eq!(record.valid(&Properties::default(), NOW).unwrap(), "new");
        assert_eq!(record.issued, Some(Timestamp::from_secs(6)));
    }
}
