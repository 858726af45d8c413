//! People whose two names were put together in the database: most messages are of people of whom that was done.
//!
//! Only a hint, and small: who is forgotten here is joined once more. It holds for one lease, since another owner may have kept
//! something by the hidden id alone.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::change::Write;
use crate::store::chats::change::{ChatChange, Peer};

/// Most people of each generation; the older one goes when the younger is full.
const GENERATION_MAX: usize = 16_384;

/// Those of a session, in one lease, whose chats and contacts are by the number: by hashes, of the hidden id and of the number.
#[derive(Default)]
pub(super) struct Joined {
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
}

impl Joined {
    /// The hidden id, if both names are known and not joined yet.
    pub(super) fn lacks<'a>(&self, write: &Write, peer: &'a Peer) -> Option<&'a str> {
        let lid = peer.lid.as_deref()?;
        let key = key(write, lid);
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        (known != Some(&hash(&peer.jid))).then_some(lid)
    }

    /// A batch with these writes is durable.
    pub(super) fn learn(&mut self, writes: &[&Write]) {
        let peers = || {
            let changes = writes
                .iter()
                .flat_map(|write| write.chats.iter().map(move |change| (write, change)));
            changes
                .flat_map(|(write, change): (_, &ChatChange)| change.peers().map(move |peer| (write, peer)))
        };
        // What was kept by the hidden id alone waits for the next time.
        let hidden: HashSet<u64> = peers()
            .filter(|(_, peer)| peer.jid.ends_with("@lid"))
            .map(|(write, peer)| key(write, &peer.jid))
            .collect();
        for key in &hidden {
            self.young.remove(key);
            self.old.remove(key);
        }
        for (write, peer) in peers() {
            let known = self.lacks(write, peer).map(|lid| key(write, lid));
            if let Some(key) = known.filter(|key| !hidden.contains(key)) {
                self.add(key, hash(&peer.jid));
            }
        }
    }

    fn add(&mut self, key: u64, jid: u64) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, jid);
    }
}

fn key(write: &Write, lid: &str) -> u64 {
    hash(&(write.session.get(), write.fence.epoch.get(), lid))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, SessionId, ShardId};
    use crate::store::Fence;

    fn write(epoch: i64, peers: &[(&str, Option<&str>)]) -> Write {
        let fence = Fence {
            shard: ShardId::new(0).unwrap(),
            epoch: Epoch::new(epoch),
        };
        let mut write = Write::new(fence, SessionId::new(7));
        let read = peers.iter().map(|(jid, lid)| {
            ChatChange::Read(Peer {
                jid: (*jid).to_owned(),
                lid: lid.map(str::to_owned),
            })
        });
        write.chats.extend(read);
        write
    }

    fn lacks(joined: &Joined, write: &Write) -> bool {
        let mut peers = write.chats.iter().flat_map(ChatChange::peers);
        peers.any(|peer| joined.lacks(write, peer).is_some())
    }

    #[test]
    fn who_is_joined_is_so_until_the_lease_or_a_name_changes() {
        let mut joined = Joined::default();
        let both = write(1, &[("1@s.whatsapp.net", Some("9@lid"))]);
        assert!(lacks(&joined, &both));
        joined.learn(&[&both]);
        assert!(!lacks(&joined, &both));
        assert!(lacks(&joined, &write(2, &[("1@s.whatsapp.net", Some("9@lid"))])));
        assert!(lacks(&joined, &write(1, &[("2@s.whatsapp.net", Some("9@lid"))])));
        joined.learn(&[&write(1, &[("9@lid", None)]), &both]);
        assert!(lacks(&joined, &both), "something is kept by the hidden id");
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let mut joined = Joined::default();
        for n in 0..3 * GENERATION_MAX {
            joined.add(n as u64, 0);
        }
        assert!(joined.young.len() + joined.old.len() <= 2 * GENERATION_MAX);
    }
}
