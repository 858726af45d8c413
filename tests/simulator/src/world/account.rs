//! Accounts of phones and their linked devices, as the server knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use whatsapp::binary::Node;
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::{PreKeyId, RegistrationId, SignedPreKeyId};

use super::guarded::Guarded;
use super::limits::Limits;
use super::port::ConnId;
use super::properties::Properties;
use super::rules::AccountAddressing;
use super::sealed::AppState;
use super::stanza::is_own_copy;
use super::trust::Proofs;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::sharing::Sharing;

/// Most stanzas that wait for one device; beyond, the oldest go.
pub(super) const MAX_PENDING: usize = 100_000;
/// Most one-time prekeys that are stored for one device.
pub(super) const MAX_ONE_TIME_PREKEYS: usize = 4096;
/// The type of the receipt that settles a copy of an own message.
pub(super) const OWN_COPY_RECEIPT: &str = "sender";
/// At so many logins a copy that was not settled ends the stream.
const MAX_COPY_LOGINS: u32 = 3;
/// Highest device number: addresses carry it in one byte.
pub(super) const MAX_DEVICE: u16 = 254;

/// An account.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) devices: BTreeMap<u16, Device>,
    last_device: u16,
    pub(super) last_key_index: u32,
    /// When the list of devices changed, unix seconds.
    pub(super) devices_changed: u64,
    /// Accounts it has written with.
    pub(super) peers: HashSet<Number>,
    /// How its companions called its phone last. Some clients keep a session for each form of an address; the phone
    /// writes under that of the session that it uses, which is the last one.
    pub(super) phone_called: Addressing,
    pub(super) addressing: AccountAddressing,
    pub(super) blocked: BTreeSet<Number>,
    pub(super) about: String,
    /// The id of its picture, if it has one.
    pub(super) picture: Option<u64>,
    pub(super) privacy: BTreeMap<String, String>,
    /// What the phone shares with companions.
    pub(super) sharing: Sharing,
    /// What the phone has sealed, once a companion asked for it.
    pub(super) app_state: Option<Box<AppState>>,
    pub(super) properties: Properties,
    pub(super) proofs: Proofs,
    /// Which of its salts holds, if it has one.
    pub(super) salt: Option<u32>,
    /// Its passkey, if a device is linked only with one.
    pub(super) guarded: Option<Box<Guarded>>,
    pub(super) limits: Limits,
}

impl Account {
    pub(super) fn new(name: String, now: u64) -> Self {
        Self {
            name,
            devices: BTreeMap::new(),
            last_device: 0,
            last_key_index: 0,
            devices_changed: now,
            peers: HashSet::new(),
            phone_called: Addressing::Pn,
            addressing: AccountAddressing::default(),
            blocked: BTreeSet::new(),
            guarded: None,
            about: "Hey there! I am using WhatsApp.".into(),
            picture: None,
            privacy: DEFAULT_PRIVACY
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            sharing: Sharing::default(),
            app_state: None,
            properties: Properties::default(),
            proofs: Proofs::default(),
            salt: Some(0),
            limits: Limits::default(),
        }
    }

    /// A device number that is free; `None` if all are taken.
    pub(super) fn free_device(&mut self) -> Option<u16> {
        let after = (self.last_device + 1..=MAX_DEVICE).chain(1..=self.last_device);
        let free = after
            .into_iter()
            .find(|device| !self.devices.contains_key(device))?;
        self.last_device = free;
        Some(free)
    }

    pub(super) fn key_indexes(&self) -> Vec<u32> {
        self.devices.values().map(|device| device.key_index).collect()
    }
}

const DEFAULT_PRIVACY: [(&str, &str); 8] = [
    ("readreceipts", "all"),
    ("last", "all"),
    ("online", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("groupadd", "all"),
    ("calladd", "all"),
    ("messages", "all"),
];

/// A linked device.
pub(super) struct Device {
    pub(super) key_index: u32,
    pub(super) noise_key: PublicKey,
    pub(super) identity: PublicKey,
    pub(super) registration_id: RegistrationId,
    pub(super) signed_prekey: SignedKey,
    pub(super) one_time: VecDeque<(PreKeyId, PublicKey)>,
    /// Whether its next upload of prekeys is not answered.
    pub(super) loses_upload: bool,
    /// Whether it was told that few prekeys are left.
    pub(super) told_low: bool,
    /// What its account and it signed, account key included.
    pub(super) device_identity: Bytes,
    pub(super) conn: Option<ConnId>,
    /// Whether it takes stanzas.
    pub(super) is_active: bool,
    /// Nothing more is written to it, because it refused a status.
    pub(super) is_held: bool,
    pub(super) is_available: bool,
    /// The name in its last presence, if it said one.
    pub(super) named: Option<String>,
    /// How much of the past it asked for when it was linked.
    pub(super) wants_full_history: bool,
    pub(super) history_days: Option<u32>,
    /// Its phone has shared keys and history with it.
    pub(super) is_shared_with: bool,
    pub(super) logins: u64,
    pub(super) pending: Pending,
}

/// A signed prekey as published.
#[derive(Clone)]
pub(super) struct SignedKey {
    pub(super) id: SignedPreKeyId,
    pub(super) public: PublicKey,
    pub(super) signature: [u8; 64],
}

/// The kinds of stanza that a client acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Message,
    Receipt,
    Notification,
}

/// What an acknowledgement names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PendingKey {
    pub(super) class: Class,
    pub(super) id: CompactString,
    /// Whose receipt it is; nobody for the rest.
    pub(super) from: Option<DeviceAddr>,
}

impl PendingKey {
    pub(super) fn message(id: &str) -> Self {
        Self::new(Class::Message, id, None)
    }

    /// A receipt of this device.
    pub(super) fn receipt(id: &str, from: DeviceAddr) -> Self {
        Self::new(Class::Receipt, id, Some(from))
    }

    pub(super) fn notification(id: &str) -> Self {
        Self::new(Class::Notification, id, None)
    }

    fn new(class: Class, id: &str, from: Option<DeviceAddr>) -> Self {
        let id = id.into();
        Self { class, id, from }
    }
}

/// Stanzas that a device has not acknowledged, in order.
#[derive(Default)]
pub(super) struct Pending {
    stanzas: BTreeMap<u64, (PendingKey, Node)>,
    /// How many logins each own copy has seen.
    copies: HashMap<u64, u32>,
    by_key: HashMap<PendingKey, SmallVec<[u64; 1]>>,
    last: u64,
    /// The first that was not written to the current connection.
    pub(super) cursor: u64,
    /// Those up to here were there before the device became active.
    pub(super) backlog_end: u64,
    /// Whether the end of the backlog was not told yet.
    pub(super) is_draining: bool,
    /// How much of the backlog was written.
    pub(super) drained: u64,
}

impl Pending {
    /// Adds a stanza; `false` if the oldest had to go.
    pub(super) fn push(&mut self, key: PendingKey, node: Node) -> bool {
        self.last += 1;
        self.by_key.entry(key.clone()).or_default().push(self.last);
        self.stanzas.insert(self.last, (key, node));
        let fits = self.stanzas.len() <= MAX_PENDING;
        if !fits && let Some((oldest, (key, _))) = self.stanzas.pop_first() {
            self.unindex(&key, oldest);
        }
        fits
    }

    /// Takes out what an acknowledgement names; a receipt of this type, if there is one.
    pub(super) fn acked(&mut self, key: &PendingKey, kind: Option<&str>) {
        let Some(all) = self.by_key.get(key).cloned() else {
            return;
        };
        let of_kind = |at: &&u64| {
            self.stanzas
                .get(*at)
                .is_some_and(|(_, node)| node.attr_str("type").as_deref() == kind)
        };
        let taken: SmallVec<[u64; 1]> = match key.class {
            Class::Receipt => all
                .iter()
                .find(of_kind)
                .or(all.first())
                .into_iter()
                .copied()
                .collect(),
            _ => {
                let is_settled = |at: &u64| {
                    let stanza = self.stanzas.get(at);
                    let is_copy = stanza.is_some_and(|(_, node)| is_own_copy(node));
                    *at < self.cursor && (!is_copy || kind == Some(OWN_COPY_RECEIPT))
                };
                all.iter().copied().filter(is_settled).collect()
            }
        };
        for at in taken {
            self.stanzas.remove(&at);
            self.copies.remove(&at);
            self.unindex(key, at);
        }
    }

    /// Counts a login for each copy of an own message that is still there; one that has seen too many.
    pub(super) fn overdue_copy(&mut self) -> Option<Node> {
        let mut overdue = None;
        for (at, (_, node)) in &self.stanzas {
            if !is_own_copy(node) {
                continue;
            }
            let logins = self.copies.entry(*at).or_default();
            *logins += 1;
            if *logins >= MAX_COPY_LOGINS {
                *logins = 0;
                overdue = Some(node.clone());
            }
        }
        overdue
    }

    /// Begins again from the oldest, for a new connection.
    pub(super) fn rewind(&mut self) {
        self.cursor = 0;
        self.backlog_end = 0;
        self.is_draining = false;
        self.drained = 0;
    }

    /// Everything that is there now is backlog. Returns how many of each class.
    pub(super) fn begin_backlog(&mut self) -> [usize; 3] {
        self.backlog_end = self.last;
        self.is_draining = true;
        let mut counts = [0; 3];
        for (key, _) in self.stanzas.values() {
            counts[key.class as usize] += 1;
        }
        counts
    }

    /// The next stanza to write and, if it is backlog, its place in that.
    pub(super) fn next(&mut self) -> Option<(&Node, Option<u64>)> {
        let (&at, (_, node)) = self.stanzas.range(self.cursor..).next()?;
        self.cursor = at + 1;
        let is_backlog = at <= self.backlog_end;
        self.drained += u64::from(is_backlog);
        Some((node, is_backlog.then_some(self.drained)))
    }

    /// Whether the whole backlog is written and nobody was told.
    pub(super) fn take_drained(&mut self) -> bool {
        let left = self.cursor <= self.backlog_end
            && self
                .stanzas
                .range(self.cursor..=self.backlog_end)
                .next()
                .is_some();
        let drained = self.is_draining && !left;
        self.is_draining &= !drained;
        drained
    }

    pub(super) fn len(&self) -> usize {
        self.stanzas.len()
    }

    fn unindex(&mut self, key: &PendingKey, at: u64) {
        if let Some(left) = self.by_key.get_mut(key) {
            left.retain(|other| *other != at);
            if left.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}
