//! The collections, and what is kept of each.

use bytes::Bytes;
use prost::Message as _;

use crate::store::RecordKey;
use crate::syncd::{LtHash, State};

/// A collection of the app state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Collection {
    /// Our own name.
    #[default]
    CriticalBlock = 0,
    /// The address book.
    CriticalUnblockLow = 1,
    /// What the server lets the account prove itself with, and what was done to messages.
    RegularHigh = 2,
    /// What was done to chats.
    RegularLow = 3,
    /// Labels, and settings.
    Regular = 4,
}

impl Collection {
    /// All of them, in the order they are asked for.
    pub(super) const ALL: [Self; 5] = [
        Self::CriticalBlock,
        Self::CriticalUnblockLow,
        Self::RegularHigh,
        Self::RegularLow,
        Self::Regular,
    ];

    /// The name on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CriticalBlock => "critical_block",
            Self::CriticalUnblockLow => "critical_unblock_low",
            Self::RegularHigh => "regular_high",
            Self::RegularLow => "regular_low",
            Self::Regular => "regular",
        }
    }

    /// The collection of this name, if there is one.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// Under which its state is kept.
    pub(super) fn key(self) -> RecordKey {
        RecordKey::app_state_collection(self.as_str())
    }

    /// Under which one of its buckets is kept.
    pub(super) fn bucket_key(self, bucket: u8) -> RecordKey {
        RecordKey::app_state_macs(self.as_str(), bucket)
    }
}

/// Some of the collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Collections(u8);

impl Collections {
    pub(super) const ALL: Self = Self((1 << Collection::ALL.len()) - 1);

    pub(super) fn insert(&mut self, one: Collection) {
        self.0 |= 1 << one as u8;
    }

    pub(super) fn contains(self, one: Collection) -> bool {
        self.0 & (1 << one as u8) != 0
    }

    pub(super) fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Takes the first out.
    pub(super) fn take_first(&mut self) -> Option<Collection> {
        let first = Collection::ALL.into_iter().find(|one| self.contains(*one))?;
        self.0 &= !(1 << first as u8);
        Some(first)
    }
}

/// What is kept of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) state: State,
    /// What came after it could not be believed: begin anew at the next login.
    pub(super) is_broken: bool,
}

impl Kept {
    /// Reads what [`Self::encode`] wrote; `None` if it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored = Stored::decode(bytes).ok()?;
        let hash = LtHash::new(stored.hash.as_slice().try_into().ok()?);
        let version = stored.version;
        Some(Self {
            state: State { version, hash },
            // Versions that told nothing of a collection kept it too: it is read once more.
            is_broken: stored.is_broken || !stored.is_told,
        })
    }

    pub(super) fn encode(&self) -> Bytes {
        let stored = Stored {
            version: self.state.version,
            hash: self.state.hash.as_bytes().to_vec(),
            is_broken: self.is_broken,
            is_told: true,
        };
        stored.encode_to_vec().into()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(bytes = "vec", tag = "2")]
    hash: Vec<u8>,
    #[prost(bool, tag = "3")]
    is_broken: bool,
    /// What is in it was told to the owner.
    #[prost(bool, tag = "4")]
    is_told: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_rubbish_is_not() {
        let kept = Kept {
            state: State {
                version: 7,
                hash: LtHash::new([3; 128]),
            },
            is_broken: true,
        };
        assert_eq!(Kept::decode(&kept.encode()), Some(kept));
        let of_before = Stored {
            version: 7,
            hash: vec![3; 128],
            is_broken: false,
            is_told: false,
        };
        assert!(Kept::decode(&of_before.encode_to_vec()).is_some_and(|kept| kept.is_broken));
        assert_eq!(Kept::decode(b""), None);
        assert_eq!(Kept::decode(b"\xff\xff"), None);
    }

    #[test]
    fn collections_are_taken_in_order() {
        let mut some = Collections::default();
        some.insert(Collection::RegularHigh);
        some.insert(Collection::CriticalBlock);
        assert_ne!(some, Collections::ALL);
        assert_eq!(some.take_first(), Some(Collection::CriticalBlock));
        assert_eq!(some.take_first(), Some(Collection::RegularHigh));
        assert_eq!(some.take_first(), None);
        for one in Collection::ALL {
            some.insert(one);
            assert_eq!(Collection::from_name(one.as_str()), Some(one));
        }
        assert_eq!(some, Collections::ALL);
        assert_eq!(Collection::from_name("regular_lower"), None);
    }
}
