//! Who has which devices, and which hidden id belongs to which number.
//!
//! Two bounded caches. What they forget is asked again; the mappings are also kept by the store, which this knows only
//! through the changes it writes.
//!
//! Facts: docs/PROTOCOL.md, "LID" and "User queries".

use std::collections::HashMap;
use std::time::Duration;

use compact_str::CompactString;
use smallvec::SmallVec;

use super::companion;
use crate::device::Device;
use crate::event::Event;
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::signal::Address;
use crate::time::Timestamp;

/// How long a device list is believed. Changes are also pushed to us, but only for contacts the server thinks we know.
pub(crate) const LIST_TTL: Duration = Duration::from_secs(300);
/// How long a list is believed that the server did not give and that we only suppose.
pub(crate) const SUPPOSED_LIST_TTL: Duration = Duration::from_secs(30);
/// Most device lists kept.
pub(crate) const MAX_LISTS: usize = 256;
/// Most mappings kept in memory. The newer half is never forgotten, so that a name outlives what waits for it.
pub(crate) const MAX_MAPPINGS: usize = 1024;

/// The devices of one user.
#[derive(Clone, Debug)]
pub(crate) struct DeviceList {
    /// The user as messages address them, without device. May differ from the number that was asked for.
    pub(crate) jid: Jid,
    /// Device numbers that may be encrypted for.
    pub(crate) devices: SmallVec<[u16; 4]>,
    /// Until when it is believed.
    pub(crate) expires: Timestamp,
}

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
    lists: HashMap<Jid, DeviceList>,
    recent: Mappings,
    older: Mappings,
}

/// A generation of mappings, in both directions.
#[derive(Default)]
struct Mappings {
    lids: HashMap<CompactString, CompactString>,
    phones: HashMap<CompactString, CompactString>,
}

impl Mappings {
    /// Forgets every pair that one of the two is in.
    fn part(&mut self, phone: &str, lid: &str) {
        if let Some(lid) = self.lids.remove(phone) {
            self.phones.remove(&lid);
        }
        if let Some(phone) = self.phones.remove(lid) {
            self.lids.remove(&phone);
        }
    }
}

impl Directory {
    /// The device list of this user, if one is known that still counts.
    pub(crate) fn devices(&self, user: &Jid, now: Timestamp) -> Option<&DeviceList> {
        self.lists.get(user).filter(|list| list.expires > now)
    }

    /// Remembers a device list under the address that was asked for.
    pub(crate) fn put_devices(&mut self, asked: Jid, list: DeviceList, now: Timestamp) {
        if self.lists.len() >= MAX_LISTS && !self.lists.contains_key(&asked) {
            self.make_room(now);
        }
        self.lists.insert(asked, list);
    }

    /// Forgets the device lists of a user, by whatever name they were asked for.
    pub(crate) fn forget_devices(&mut self, user: &Jid) {
        let other = self.other_name(user);
        self.lists.retain(|asked, list| {
            let is =
                |jid: &Jid| jid.same_user(user) || other.as_ref().is_some_and(|other| jid.same_user(other));
            !is(asked) && !is(&list.jid)
        });
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

    fn insert(&mut self, phone: &Jid, lid: &Jid) {
        let (phone, lid) = (phone.user(), lid.user());
        if self.recent.lids.get(phone).is_some_and(|known| known == lid) {
            return;
        }
        self.recent.part(phone, lid);
        self.older.part(phone, lid);
        if self.recent.lids.len() >= MAX_MAPPINGS / 2 {
            // What goes is read from the store or learned again.
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.lids.insert(phone.into(), lid.into());
        self.recent.phones.insert(lid.into(), phone.into());
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

    /// Forgets lists that count no more and gives their memory back.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.lists.retain(|_, list| list.expires > now);
        self.lists.shrink_to_fit();
    }

    /// Whether there is anything to sweep one day.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    fn make_room(&mut self, now: Timestamp) {
        self.lists.retain(|_, list| list.expires > now);
        if self.lists.len() < MAX_LISTS {
            return;
        }
        let mut expiries: Vec<Timestamp> = self.lists.values().map(|list| list.expires).collect();
        let middle = expiries.len() / 2;
        let (_, median, _) = expiries.select_nth_unstable(middle);
        let median = *median;
        self.lists.retain(|_, list| list.expires > median);
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
    use super::*;

    fn list(user: &str, expires: u64) -> (Jid, DeviceList) {
        let jid = Jid::phone(user).unwrap();
        let list = DeviceList {
            jid: jid.clone(),
            devices: SmallVec::from_slice(&[0]),
            expires: Timestamp::from_secs(expires),
        };
        (jid, list)
    }

    #[test]
    fn lists_are_believed_for_a_while_and_their_number_is_bounded() {
        let mut directory = Directory::default();
        for n in 0..2 * MAX_LISTS as u64 {
            let (jid, list) = list(&format!("{}", 15_550_000 + n), 10 + n);
            directory.put_devices(jid, list, Timestamp::from_secs(5));
            assert!(directory.lists.len() <= MAX_LISTS);
        }
        let (last, _) = list(&format!("{}", 15_550_000 + 2 * MAX_LISTS - 1), 0);
        assert!(directory.devices(&last, Timestamp::from_secs(5)).is_some());
        assert!(directory.devices(&last, Timestamp::from_secs(10_000)).is_none());
        directory.sweep(Timestamp::from_secs(10_000));
        assert!(directory.is_empty());
    }

    #[test]
    fn a_user_is_forgotten_by_either_name() {
        let mut directory = Directory::default();
        let (jid, list) = list("15550002", 10);
        directory.put_devices(jid.clone(), list, Timestamp::EPOCH);
        let lid: Jid = "100@lid".parse().unwrap();
        directory.recall(&jid, &lid);
        directory.forget_devices(&lid);
        assert!(directory.devices(&jid, Timestamp::EPOCH).is_none());
        assert_eq!(directory.other_name(&lid), Some(jid));
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
