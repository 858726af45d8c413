//! Device lists: one per person, whichever of their names was asked for.
//!
//! Knows names only as keys. Who calls says which name a list is kept under: the hidden id once it is known.

use std::time::Duration;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::hashing::HashMap;
use crate::jid::{Jid, Server};
use crate::time::Timestamp;

/// How long a device list is believed. Servers tell of changes, and each ack of a message disputes a list that is out of
/// date: a change that neither tells of (they tell only whom they think knows the user) is found within a day. Shorter
/// would ask for every contact of a broadcast again, which is what accounts are throttled for; longer would keep the
/// memory of sessions that have long been idle.
pub(crate) const LIST_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a list is believed that the server did not give and that we only suppose.
pub(crate) const SUPPOSED_LIST_TTL: Duration = Duration::from_secs(30);
/// Most device lists kept, beside those of the largest group that was written to within [`LIST_TTL`]: its members are
/// not asked for again at each message.
pub(crate) const MAX_LISTS: usize = 256;

/// The devices of one user.
#[derive(Clone, Debug)]
pub(crate) struct DeviceList {
    /// Device numbers that may be encrypted for; they are the same under both names.
    pub(crate) devices: SmallVec<[u16; 4]>,
    /// Until when it is believed.
    pub(crate) expires: Timestamp,
}

#[derive(Default)]
pub(super) struct Lists {
    own: Option<DeviceList>,
    others: HashMap<Jid, Kept>,
    /// Counts changes of what is known of anybody's devices; that a list is forgotten for want of room is none.
    version: u64,
    /// How many more there may be, and until when.
    more: Option<(usize, Timestamp)>,
}

struct Kept {
    list: DeviceList,
    /// The number of a list that is kept under a hidden id: the pair may be forgotten before the list is.
    phone: Option<CompactString>,
}

impl Lists {
    /// Our own list.
    pub(super) fn own(&self, now: Timestamp) -> Option<&DeviceList> {
        self.own.as_ref().filter(|list| list.expires > now)
    }

    pub(super) fn put_own(&mut self, list: DeviceList) {
        self.version += 1;
        self.own = Some(list);
    }

    pub(super) fn forget_own(&mut self) {
        self.version += 1;
        self.own = None;
    }

    /// The same as long as nobody's devices are known otherwise than before.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// A message goes to so many people at once.
    pub(super) fn expect(&mut self, count: usize, now: Timestamp) {
        if count > MAX_LISTS && self.more.is_none_or(|(more, _)| more <= count) {
            self.more = Some((count, now + LIST_TTL));
        }
    }

    fn most(&self) -> usize {
        MAX_LISTS + self.more.map_or(0, |(more, _)| more)
    }

    /// The list under this name.
    pub(super) fn get(&self, name: &Jid, now: Timestamp) -> Option<&DeviceList> {
        let kept = self.others.get(name)?;
        Some(&kept.list).filter(|list| list.expires > now)
    }

    /// Keeps a list under a name, in place of any under that name; `phone` is the number beside a hidden id.
    pub(super) fn put(&mut self, name: Jid, phone: Option<CompactString>, list: DeviceList, now: Timestamp) {
        self.version += 1;
        if self.others.len() >= self.most() && !self.others.contains_key(&name) {
            self.make_room(now);
        }
        self.others.insert(name, Kept { list, phone });
    }

    /// The hidden id of a number was learned: a list under the number is kept under the id from now on.
    pub(super) fn rename(&mut self, phone: &str, lid: &str) {
        if self.others.is_empty() {
            return;
        }
        let Some(kept) = self.others.remove(&Jid::new(phone, Server::User)) else {
            return;
        };
        let phone = Some(phone.into());
        let list = kept.list;
        self.others
            .insert(Jid::new(lid, Server::Lid), Kept { list, phone });
    }

    /// Forgets the lists of a user by this name, whatever they are kept under.
    pub(super) fn forget(&mut self, name: &Jid) {
        self.version += 1;
        self.others.retain(|key, kept| {
            let by_phone = name.is_user() && kept.phone.as_deref() == Some(name.user());
            !key.same_user(name) && !by_phone
        });
    }

    /// Forgets lists that count no more and gives their memory back.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.others.retain(|_, kept| kept.list.expires > now);
        self.more.take_if(|(_, until)| *until <= now);
        while self.others.len() > self.most() {
            self.make_room(now);
        }
        self.others.shrink_to_fit();
        self.own.take_if(|list| list.expires <= now);
    }

    /// When the first list counts no more; `None` if there is none.
    pub(super) fn first_expiry(&self) -> Option<Timestamp> {
        let others = self.others.values().map(|kept| &kept.list);
        others.chain(&self.own).map(|list| list.expires).min()
    }

    fn make_room(&mut self, now: Timestamp) {
        self.others.retain(|_, kept| kept.list.expires > now);
        if self.others.len() < self.most() {
            return;
        }
        let mut expiries: Vec<Timestamp> = self.others.values().map(|kept| kept.list.expires).collect();
        let middle = expiries.len() / 2;
        let (_, median, _) = expiries.select_nth_unstable(middle);
        let median = *median;
        self.others.retain(|_, kept| kept.list.expires > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(expires: u64) -> DeviceList {
        DeviceList {
            devices: SmallVec::from_slice(&[0]),
            expires: Timestamp::from_secs(expires),
        }
    }

    fn phone(n: usize) -> Jid {
        Jid::phone(&format!("{}", 15_550_000 + n)).unwrap()
    }

    #[test]
    fn lists_are_believed_for_a_while_and_their_number_is_bounded() {
        let mut lists = Lists::default();
        let (soon, late) = (Timestamp::from_secs(5), Timestamp::from_secs(10_000));
        for n in 0..2 * MAX_LISTS {
            lists.put(phone(n), None, list(10 + n as u64), soon);
            assert!(lists.others.len() <= MAX_LISTS);
        }
        lists.put_own(list(11));
        let last = phone(2 * MAX_LISTS - 1);
        assert!(lists.get(&last, soon).is_some() && lists.own(soon).is_some());
        assert!(lists.get(&last, late).is_none() && lists.own(late).is_none());
        assert_eq!(lists.first_expiry(), Some(Timestamp::from_secs(11)));
        lists.sweep(late);
        assert_eq!(lists.first_expiry(), None);
    }

    #[test]
    fn there_is_room_for_the_members_of_a_large_group_for_as_long_as_lists_count() {
        const MEMBERS: usize = 1_024;
        let mut lists = Lists::default();
        let now = Timestamp::from_secs(5);
        lists.expect(MEMBERS, now);
        let expires = now.as_secs() + LIST_TTL.as_secs();
        for n in 0..MEMBERS {
            lists.put(phone(n), None, list(expires), now);
        }
        assert!((0..MEMBERS).all(|n| lists.get(&phone(n), now).is_some()));
        for n in MEMBERS..3 * MEMBERS {
            lists.put(phone(n), None, list(expires + 10), now);
            assert!(lists.others.len() <= MAX_LISTS + MEMBERS);
        }
        lists.sweep(now + LIST_TTL);
        assert!(lists.others.len() <= MAX_LISTS, "no more than without the group");
    }

    #[test]
    fn lists_that_expire_together_make_room_too() {
        let mut lists = Lists::default();
        for n in 0..=MAX_LISTS {
            lists.put(phone(n), None, list(10), Timestamp::EPOCH);
        }
        assert!(lists.get(&phone(MAX_LISTS), Timestamp::EPOCH).is_some());
        assert!(lists.others.len() <= MAX_LISTS);
    }

    #[test]
    fn a_list_follows_its_user_to_the_hidden_id_and_is_forgotten_by_either_name() {
        let lid: Jid = "100@lid".parse().unwrap();
        for name in [&phone(1), &lid] {
            let mut lists = Lists::default();
            lists.put(phone(1), None, list(10), Timestamp::EPOCH);
            lists.rename(phone(1).user(), lid.user());
            assert!(lists.get(&phone(1), Timestamp::EPOCH).is_none());
            assert!(lists.get(&lid, Timestamp::EPOCH).is_some());
            lists.forget(name);
            assert!(lists.get(&lid, Timestamp::EPOCH).is_none());
        }
    }
}
