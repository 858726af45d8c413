//! The keys that our phone shares, and what is noted of those that it has not.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::proto::message::AppStateSyncKeyShare;
use crate::syncd::{KEY_BYTES, KeyId, MutationKeys};
use crate::time::Timestamp;

/// Most keys taken from one share.
const MAX_SHARED: usize = 1024;
/// How long our phone is not asked for a key again.
const ASK_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// What is kept of a key.
#[derive(Clone, Default)]
pub(super) struct KeptKey {
    /// The key, if our phone has shared it.
    key: Option<Zeroizing<[u8; KEY_BYTES]>>,
    /// When our phone was last asked for it.
    asked: Option<Timestamp>,
    /// When it was made, in milliseconds by the phone's clock; 0 where that is not known.
    made: i64,
}

impl KeptKey {
    /// Our phone is asked for it now.
    pub(super) fn asked(now: Timestamp) -> Self {
        Self {
            key: None,
            asked: Some(now),
            made: 0,
        }
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn expand(&self) -> Option<MutationKeys> {
        self.key.as_ref().map(|key| MutationKeys::expand(key))
    }

    /// Whether our phone may be asked for it.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let is_fresh = |asked: Timestamp| asked <= now && now.since(asked) < ASK_AGAIN;
        self.key.is_none() && !self.asked.is_some_and(is_fresh)
    }

    /// Reads what [`Self::encode`] wrote; nothing is known from anything else.
    pub(super) fn decode(bytes: Option<&[u8]>) -> Self {
        let stored = bytes.and_then(|bytes| Stored::decode(bytes).ok());
        let Some(mut stored) = stored else {
            return Self::default();
        };
        let key = <[u8; KEY_BYTES]>::try_from(stored.key.as_slice()).ok();
        stored.key.zeroize();
        Self {
            key: key.map(Zeroizing::new),
            asked: (stored.asked != 0).then(|| Timestamp::from_secs(stored.asked)),
            made: stored.made,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut stored = Stored {
            key: self.key.as_ref().map(|key| key.to_vec()).unwrap_or_default(),
            asked: self.asked.map(Timestamp::as_secs).unwrap_or_default(),
            made: self.made,
        };
        let bytes = stored.encode_to_vec();
        stored.key.zeroize();
        bytes.into()
    }
}

/// The keys in a share that are of the right form.
pub(super) fn shared(share: &AppStateSyncKeyShare) -> Vec<(KeyId, KeptKey)> {
    let keys = share.keys.iter().take(MAX_SHARED).filter_map(|key| {
        let id = KeyId::new(key.key_id.as_ref()?.key_id.as_deref()?)?;
        let data = key.key_data.as_ref()?;
        let (made, asked) = (data.timestamp.unwrap_or_default(), None);
        let key = Some(Zeroizing::new(data.key_data.as_deref()?.try_into().ok()?));
        Some((id, KeptKey { key, asked, made }))
    });
    keys.collect()
}

/// The key that is sealed with: the newest.
pub(super) fn newest(keys: impl IntoIterator<Item = (KeyId, KeptKey)>) -> Option<(KeyId, MutationKeys)> {
    let held = keys.into_iter().filter(|(_, key)| key.has_key());
    let (id, key) =
        held.max_by(|(id, key), (other_id, other)| (key.made, id).cmp(&(other.made, other_id)))?;
    Some((id, key.expand()?))
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    /// Unix seconds.
    #[prost(uint64, tag = "2")]
    asked: u64,
    /// Unix milliseconds.
    #[prost(int64, tag = "3")]
    made: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;
    use crate::testing::{bytes, state_vector};

    #[test]
    fn the_share_of_another_client_is_read() {
        let case = state_vector("app_state_key_share");
        let message = Message::decode(bytes(&case["message_proto"]).as_slice()).unwrap();
        let share = message
            .protocol_message
            .unwrap()
            .app_state_sync_key_share
            .unwrap();
        let [(id, key)] = &shared(&share)[..] else {
            panic!("one key")
        };
        assert_eq!(id.as_bytes(), [0, 0, 0, 1, 0, 1]);
        assert!(key.has_key() && KeptKey::decode(Some(&key.encode())).has_key());
    }

    #[test]
    fn what_is_sealed_is_sealed_with_the_newest_key() {
        let kept = |made| KeptKey {
            key: Some(Zeroizing::new([7; KEY_BYTES])),
            asked: None,
            made,
        };
        let id = |number| KeyId::new(&[0, 0, 0, 0, 0, number]).unwrap();
        let asked = KeptKey::asked(Timestamp::from_secs(1));
        let found = |keys: Vec<(KeyId, KeptKey)>| newest(keys).map(|(id, _)| id);
        assert_eq!(found(vec![(id(1), kept(9)), (id(2), kept(5))]), Some(id(1)));
        // Of keys of which that is not known, the later number is the later one.
        assert_eq!(found(vec![(id(1), kept(0)), (id(2), kept(0))]), Some(id(2)));
        assert_eq!(found(vec![(id(3), asked)]), None);
    }

    #[test]
    fn a_phone_is_asked_once_a_day() {
        let now = Timestamp::from_secs(1_000_000);
        assert!(KeptKey::decode(None).may_ask(now));
        let asked = KeptKey::decode(Some(&KeptKey::asked(now).encode()));
        assert!(!asked.may_ask(now + Duration::from_secs(3600)));
        assert!(asked.may_ask(now + ASK_AGAIN));
        // A clock that was set back must not keep a key away for years.
        assert!(asked.may_ask(Timestamp::from_secs(10)));
        assert!(!KeptKey::decode(Some(b"rubbish")).has_key());
    }
}
