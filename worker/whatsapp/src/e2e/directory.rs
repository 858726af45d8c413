//! Who has which devices, which hidden id belongs to which number, and which numbers are known to have an account.
//!
//! Bounded caches. What they forget is asked again; names are also kept by the store, which this knows only through the
//! changes it writes.
//!
//! Facts: docs/PROTOCOL.md, "LID" and "User queries".

use compact_str::CompactString;

use super::companion;
use super::lists::{DeviceList, Lists};
use crate::device::Device;
use crate::event::Event;
use crate::hashing::{HashMap, HashSet};
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::signal::Address;
use crate::store::RecordKey;
use crate::time::Timestamp;

/// Most mappings kept in memory: those of some thousand contacts that are written to within a minute or two. At each sweep
/// the older half is forgotten, and the newer half becomes the older: a name outlives what waits for it.
pub(crate) const MAX_MAPPINGS: usize = 8192;

/// A device that is encrypted for, or that encrypts for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The name in stanzas.
    pub(crate) wire: Jid,
    /// Under which the ratchet is kept: by LID where it is known.
    pub(crate) address: Address,
    /// Where the ratchet may still be from before the LID was known.
    pub(crate) earlier: Option<Address>,
}

#[derive(Default)]
pub(crate) struct Directory {
    lists: Lists,
    recent: Mappings,
    older: Mappings,
}

/// A generation of mappings, in both directions.
#[derive(Default)]
struct Mappings {
    lids: HashMap<CompactString, CompactString>,
    phones: HashMap<CompactString, CompactString>,
    /// Under which number a message to a number is sent: the same, or the one that the account has now.
    present: HashMap<CompactString, CompactString>,
    /// Of whom the store knows no other name, without device.
    nameless: HashSet<Jid>,
}

impl Mappings {
    /// Forgets every pair that one of the two is in, and that either had no other name.
    fn part(&mut self, phone: &Jid, lid: &Jid) {
        for user in [phone, lid] {
            self.nameless.remove(&user.to_bare());
        }
        let (phone, lid) = (phone.user(), lid.user());
        if let Some(lid) = self.lids.remove(phone) {
            self.phones.remove(&lid);
        }
        if let Some(phone) = self.phones.remove(lid) {
            self.lids.remove(&phone);
        }
    }

    fn is_full(&self) -> bool {
        self.lids.len() + self.present.len() + self.nameless.len() >= MAX_MAPPINGS / 2
    }

    fn is_empty(&self) -> bool {
        self.lids.is_empty() && self.present.is_empty() && self.nameless.is_empty()
    }
}

/// Devices.
impl Directory {
    /// The device list of this user by either name, if one is known that still counts.
    pub(crate) fn devices(&self, device: &Device, user: &Jid, now: Timestamp) -> Option<&DeviceList> {
        if is_own(device, user) {
            return self.lists.own(now);
        }
        match self.hidden(user) {
            Some(lid) => self.lists.get(&lid, now),
            None => self.lists.get(user, now),
        }
    }

    /// Remembers a user's device list, whichever name it was asked for by.
    pub(super) fn put_devices(&mut self, device: &Device, user: &Jid, list: DeviceList, now: Timestamp) {
        if is_own(device, user) {
            return self.lists.put_own(list);
        }
        match self.hidden(user) {
            Some(lid) => self.lists.put(lid, Some(user.user().into()), list, now),
            None => {
                let phone = self.other_name(user).map(|phone| phone.user().into());
                self.lists.put(user.clone(), phone, list, now);
            }
        }
    }

    /// The same as long as nobody's devices are known otherwise than before.
    pub(crate) const fn devices_version(&self) -> u64 {
        self.lists.version()
    }

    /// A message goes to so many people at once: their lists are kept.
    pub(crate) fn expect_lists(&mut self, count: usize, now: Timestamp) {
        self.lists.expect(count, now);
    }

    /// Forgets the device list of a user, by whatever name it was asked for.
    pub(crate) fn forget_devices(&mut self, device: &Device, user: &Jid) {
        if is_own(device, user) {
            return self.lists.forget_own();
        }
        self.lists.forget(user);
        if let Some(other) = self.other_name(user) {
            self.lists.forget(&other);
        }
    }

    /// Forgets our own device list.
    pub(crate) fn forget_own_devices(&mut self) {
        self.lists.forget_own();
    }

    /// Forgets lists that count no more, and names that were not learned or read of late; gives their memory back.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.lists.sweep(now);
        self.older = std::mem::take(&mut self.recent);
    }

    /// Whether names are in memory, to be forgotten by the next sweeps.
    pub(crate) fn has_names(&self) -> bool {
        !self.recent.is_empty() || !self.older.is_empty()
    }

    /// When there is something to sweep.
    pub(crate) fn first_expiry(&self) -> Option<Timestamp> {
        self.lists.first_expiry()
    }
}

/// Names.
impl Directory {
    /// The hidden id of a number, if it is known.
    fn hidden(&self, user: &Jid) -> Option<Jid> {
        user.is_user().then(|| self.other_name(user)).flatten()
    }

    /// Whether the store need not be asked for the other name of this user.
    pub(super) fn is_named(&self, device: &Device, user: &Jid, now: Timestamp) -> bool {
        is_own(device, user) || self.other_name(user).is_some() || self.lists.get(user, now).is_some()
    }

    /// Whether this number is known to have an account, so that nobody need ask whether it has.
    pub(super) fn is_resolved(&self, device: &Device, phone: &Jid, now: Timestamp) -> bool {
        self.is_named(device, phone, now) || self.present(phone.user()).is_some()
    }

    /// The number under which messages to this number are sent, if that was learned.
    pub(crate) fn present(&self, phone: &str) -> Option<&str> {
        let known = self.recent.present.get(phone);
        known
            .or_else(|| self.older.present.get(phone))
            .map(CompactString::as_str)
    }

    /// Takes in what the store says of a number that was resolved.
    pub(super) fn recall_present(&mut self, phone: &str, present: &str) {
        if self
            .recent
            .present
            .get(phone)
            .is_some_and(|known| known == present)
        {
            return;
        }
        self.make_room();
        self.recent.present.insert(phone.into(), present.into());
    }

    /// Learns that a number has an account, and under which number: kept with this step, so that it is never looked up
    /// again.
    pub(super) fn learn_present(&mut self, cx: &mut Context<'_>, phone: &str, present: &str) {
        if self.present(phone) != Some(present) {
            cx.changes().put_renumbered(phone, present);
        }
        self.recall_present(phone, present);
    }

    /// The user by LID for a number, by number for a LID, without device; if known.
    pub(crate) fn other_name(&self, user: &Jid) -> Option<Jid> {
        match user.server() {
            Server::User => self
                .lid(user.user())
                .map(|lid| Jid::new(lid.clone(), Server::Lid)),
            Server::Lid => {
                let phone = self.recent.phones.get(user.user());
                phone
                    .or_else(|| self.older.phones.get(user.user()))
                    .map(|phone| Jid::new(phone.clone(), Server::User))
            }
            _ => None,
        }
    }

    /// Whether the store was asked for the other name of this user, without device, and has none. Holds until one is learned.
    pub(crate) fn is_nameless(&self, user: &Jid) -> bool {
        self.recent.nameless.contains(user) || self.older.nameless.contains(user)
    }

    /// The store knows no other name of this user. What was learned meanwhile is newer.
    pub(super) fn note_nameless(&mut self, user: &Jid) {
        if self.other_name(user).is_none() {
            self.make_room();
            self.recent.nameless.insert(user.clone());
        }
    }

    fn lid(&self, phone: &str) -> Option<&CompactString> {
        self.recent.lids.get(phone).or_else(|| self.older.lids.get(phone))
    }

    /// Takes in a mapping that the store gave: nothing to write, nothing to tell.
    pub(crate) fn recall(&mut self, one: &Jid, other: &Jid) {
        if let Some((phone, lid)) = pair(one, other) {
            self.insert(phone, lid);
        }
    }

    /// Learns that two names are one user's: kept with this step, and told to the owner, if it is news.
    pub(crate) fn learn(&mut self, cx: &mut Context<'_>, one: &Jid, other: &Jid) {
        let Some((phone, lid)) = pair(one, other) else {
            return;
        };
        let known = self
            .lid(phone.user())
            .is_some_and(|known| known.as_str() == lid.user());
        if is_own(cx.device, phone) {
            return;
        }
        self.insert(phone, lid);
        if known {
            return;
        }
        cx.changes().put_lid(phone.user(), lid.user());
        cx.emit(Event::LidMapping {
            phone: phone.to_bare(),
            lid: lid.to_bare(),
        });
    }

    /// Nobody goes by this number any more, as far as is known: it is looked up again before anybody is written to by it.
    pub(crate) fn forget_number(&mut self, cx: &mut Context<'_>, phone: &Jid, lid: Option<&Jid>) {
        for names in [&mut self.recent, &mut self.older] {
            names.present.remove(phone.user());
            if let Some(lid) = names.lids.remove(phone.user()) {
                names.phones.remove(&lid);
            }
        }
        cx.changes().delete(RecordKey::renumbered(phone.user()));
        let names = [Some(phone), lid].into_iter().flatten();
        for key in names.filter_map(RecordKey::other_name) {
            cx.changes().delete(key);
        }
    }

    fn insert(&mut self, phone: &Jid, lid: &Jid) {
        if self
            .recent
            .lids
            .get(phone.user())
            .is_some_and(|known| known == lid.user())
        {
            return;
        }
        self.recent.part(phone, lid);
        self.older.part(phone, lid);
        let (phone, lid) = (phone.user(), lid.user());
        self.make_room();
        self.recent.lids.insert(phone.into(), lid.into());
        self.recent.phones.insert(lid.into(), phone.into());
        self.lists.rename(phone, lid);
    }

    fn make_room(&mut self) {
        if self.recent.is_full() {
            // What goes is read from the store or learned again.
            self.older = std::mem::take(&mut self.recent);
        }
    }

    /// The phone of a companion's account; none for phones, and for our own account, whose key we have.
    pub(crate) fn phone_of(&self, device: &Device, wire: &Jid) -> Option<Peer> {
        let is_others = wire.device() != 0 && !is_own(device, wire);
        is_others.then(|| self.peer(device, companion::phone_of(wire)))
    }

    /// Where the ratchet with this device is kept.
    pub(crate) fn peer(&self, device: &Device, wire: Jid) -> Peer {
        let lid = own_other_name(device, &wire).or_else(|| self.other_name(&companion::phone_of(&wire)));
        match (wire.server(), lid) {
            (Server::User | Server::Hosted, Some(lid)) => Peer {
                address: Address::new(&wire).with_lid(lid.user()),
                earlier: Some(Address::new(&wire)),
                wire,
            },
            (Server::Lid, Some(phone)) => Peer {
                address: Address::new(&wire),
                earlier: Some(Address::from(phone.with_device(wire.device()))),
                wire,
            },
            _ => Peer {
                address: Address::new(&wire),
                earlier: None,
                wire,
            },
        }
    }
}

/// Which of two names is the number and which the LID; `None` if they are not one of each.
fn pair<'a>(one: &'a Jid, other: &'a Jid) -> Option<(&'a Jid, &'a Jid)> {
    match (one.server(), other.server()) {
        (Server::User, Server::Lid) if !one.is_server() => Some((one, other)),
        (Server::Lid, Server::User) if !other.is_server() => Some((other, one)),
        _ => None,
    }
}

/// Whether this is our own account, by either name, whatever device.
pub(crate) fn is_own(device: &Device, user: &Jid) -> bool {
    [device.jid(), device.lid()]
        .into_iter()
        .flatten()
        .any(|own| own.same_user(user))
}

/// Our own other name, if this is one of ours.
fn own_other_name(device: &Device, user: &Jid) -> Option<Jid> {
    let (phone, lid) = (device.jid()?, device.lid()?);
    if phone.same_user(user) {
        Some(lid.to_bare())
    } else if lid.same_user(user) {
        Some(phone.to_bare())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn a_person_has_one_list_under_both_names() {
        let device = Device::generate(&mut StdRng::seed_from_u64(1));
        let mut directory = Directory::default();
        let (phone, lid): (Jid, Jid) = (Jid::phone("15550002").unwrap(), "100@lid".parse().unwrap());
        let list = |device| DeviceList {
            devices: SmallVec::from_slice(&[device]),
            expires: Timestamp::from_secs(10),
        };
        let now = Timestamp::EPOCH;
        directory.put_devices(&device, &phone, list(0), now);
        directory.recall(&phone, &lid);
        for name in [&phone, &lid] {
            assert_eq!(directory.devices(&device, name, now).unwrap().devices[..], [0]);
        }
        directory.put_devices(&device, &lid, list(5), now);
        assert_eq!(directory.devices(&device, &phone, now).unwrap().devices[..], [5]);
        // The pair is forgotten, the list is not: it must not be used under the wrong name, and is forgotten by either.
        (directory.recent, directory.older) = Default::default();
        assert!(directory.devices(&device, &phone, now).is_none());
        directory.forget_devices(&device, &phone);
        assert!(directory.devices(&device, &lid, now).is_none());
    }

    #[test]
    fn mappings_are_bounded_and_the_newer_ones_are_kept() {
        let mut directory = Directory::default();
        let phone = |n: usize| Jid::phone(&format!("{}", 15_550_000 + n)).unwrap();
        for n in 0..3 * MAX_MAPPINGS {
            directory.recall(&phone(n), &Jid::new(format!("{n}"), Server::Lid));
            assert!(directory.recent.lids.len() + directory.older.lids.len() <= MAX_MAPPINGS);
            let oldest = n.saturating_sub(MAX_MAPPINGS / 2 - 1);
            assert!(directory.other_name(&phone(oldest)).is_some());
        }
    }

    #[test]
    fn who_has_no_other_name_is_remembered_for_a_while_and_until_one_is_learned() {
        let mut directory = Directory::default();
        let phone = |n: usize| Jid::phone(&format!("{}", 15_550_000 + n)).unwrap();
        let lid = |n: usize| Jid::new(format!("{n}"), Server::Lid);
        for n in 0..3 * MAX_MAPPINGS {
            directory.note_nameless(&phone(n));
            assert!(directory.recent.nameless.len() + directory.older.nameless.len() <= MAX_MAPPINGS);
        }
        let last = 3 * MAX_MAPPINGS - 1;
        assert!(directory.is_nameless(&phone(last)) && !directory.is_nameless(&phone(0)));
        for user in [phone(last), lid(1)] {
            directory.note_nameless(&user);
        }
        directory.sweep(Timestamp::EPOCH);
        assert!(directory.is_nameless(&phone(last)) && directory.is_nameless(&lid(1)));
        directory.recall(&phone(last), &lid(1));
        assert!(!directory.is_nameless(&phone(last)) && !directory.is_nameless(&lid(1)));
        directory.note_nameless(&lid(1));
        assert!(!directory.is_nameless(&lid(1)), "a name was learned meanwhile");
        directory.note_nameless(&lid(2));
        for _ in 0..2 {
            assert!(directory.has_names());
            directory.sweep(Timestamp::EPOCH);
        }
        assert!(!directory.is_nameless(&lid(2)) && !directory.has_names());
    }

    #[test]
    fn a_new_pair_parts_the_earlier_ones() {
        let mut directory = Directory::default();
        let phone = |n: u32| Jid::phone(&format!("1555000{n}")).unwrap();
        let lid = |n: u32| Jid::new(format!("{n}"), Server::Lid);
        directory.recall(&phone(1), &lid(1));
        directory.recall(&phone(1), &lid(2));
        assert_eq!(directory.other_name(&lid(1)), None);
        directory.recall(&phone(3), &lid(2));
        assert_eq!(directory.other_name(&phone(1)), None);
        assert_eq!(directory.other_name(&lid(2)), Some(phone(3)));
    }
}
