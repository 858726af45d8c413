//! A message to a group on its way to being encrypted: what it waits for, and which devices it goes to.

use std::collections::BTreeSet;

use super::known::Known;
use super::record::Members;
use crate::command::Outgoing;
use crate::device::Device;
use crate::e2e::{Directory, E2e, Peer, Space, is_own, own_device};
use crate::event::SendError;
use crate::group::AddressingMode;
use crate::jid::Jid;
use crate::part::Context;
use crate::signal::Address;
use crate::store::RecordKey;
use crate::time::Timestamp;

/// A message that is not encrypted yet.
pub(super) struct Waiting {
    pub(super) outgoing: Box<Outgoing>,
    pub(super) group: Jid,
    /// It was refused once because the group was not known as it is.
    pub(super) is_again: bool,
    pub(super) state: State,
}

pub(super) enum State {
    /// For who is in the group, and who has its key.
    Members,
    /// For device lists.
    Devices(Box<Lists>),
    /// For ratchets or bundles.
    Keys(Box<Targets>),
}

/// The members whose devices are known, and those whose are not. There may be more members than lists are kept, so that
/// what has come is noted here.
pub(super) struct Lists {
    addressing: AddressingMode,
    pub(super) missing: Vec<(Jid, Option<Jid>)>,
    found: Vec<(Jid, Option<Jid>)>,
}

/// The devices that read along.
pub(super) struct Targets {
    pub(super) addressing: AddressingMode,
    /// Ours, which sends.
    pub(super) own: Jid,
    /// All others in the group, sorted by their name in stanzas, with the other name of each.
    devices: Vec<(Jid, Option<Jid>)>,
    /// Those that can't be encrypted for.
    pub(super) skipped: BTreeSet<Address>,
    /// Those whose bundles are on their way.
    pub(super) fetching: Vec<Address>,
    /// Those that get the key with the message.
    pub(super) pending: Vec<Peer>,
    /// The phones of companions among them: their keys are good only with its.
    phones: Vec<Peer>,
}

impl Lists {
    /// Nobody's devices are known yet.
    pub(super) fn new(members: &Members) -> Self {
        Self {
            addressing: members.addressing,
            missing: members.people.clone(),
            found: Vec::new(),
        }
    }

    /// Takes the lists that there are.
    pub(super) fn take_known(&mut self, device: &Device, directory: &Directory, now: Timestamp) {
        let found = &mut self.found;
        self.missing.retain(|(user, other)| {
            let Some(list) = directory.devices(device, user, now) else {
                return true;
            };
            let devices = list.devices.iter().map(|id| user.clone().with_device(*id));
            found.extend(devices.map(|device| (device, other.clone())));
            false
        });
    }

    /// Who gets a message; ourselves left out.
    ///
    /// # Errors
    /// If we have no name of the group's kind.
    pub(super) fn into_targets(self, device: &Device) -> Result<Targets, SendError> {
        let own = own_in(device, self.addressing)
            .cloned()
            .ok_or(SendError::Unsupported("groups of hidden ids without a hidden id"))?;
        let mut devices = self.found;
        devices.retain(|(jid, _)| *jid != own);
        devices.sort_unstable();
        devices.dedup_by(|one, other| one.0 == other.0);
        Ok(Targets {
            addressing: self.addressing,
            own,
            devices,
            skipped: BTreeSet::new(),
            fetching: Vec::new(),
            pending: Vec::new(),
            phones: Vec::new(),
        })
    }
}

impl Targets {
    /// All devices but ours, sorted.
    pub(super) fn devices(&self) -> Vec<Jid> {
        self.devices.iter().map(|(jid, _)| jid.clone()).collect()
    }

    /// Those whose ratchets the send needs.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.pending.iter().chain(&self.phones)
    }

    /// Whether a new key is needed: there is none, or somebody may have it who should not.
    pub(super) fn needs_key(&self, e2e: &E2e, known: &Known, name: &RecordKey) -> bool {
        !e2e.group_keys.can_send(name)
            || known
                .handed
                .as_ref()
                .is_none_or(|handed| handed.has_other_than(&self.devices()))
    }

    /// Whether there is a session with every device that gets the key; asks for what is missing. The sender key must be in
    /// memory.
    pub(super) fn has_keys(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        known: &Known,
        name: &RecordKey,
    ) -> bool {
        if !self.fetching.is_empty() {
            return false;
        }
        let is_new = self.needs_key(e2e, known, name);
        let lacks = |jid: &Jid| is_new || known.handed.as_ref().is_none_or(|handed| !handed.has(jid));
        let (device, directory) = (&**cx.device, &e2e.directory);
        let lacking = self.devices.iter().filter(|(jid, _)| lacks(jid));
        self.pending = lacking
            .map(|(jid, other)| peer(device, directory, jid.clone(), other.as_ref()))
            .filter(|peer| !self.skipped.contains(&peer.address))
            .collect();
        let companions = self.pending.iter().filter(|peer| peer.wire.device() != 0);
        let phones = companions.filter(|peer| !is_own(device, &peer.wire));
        self.phones = phones
            .map(|peer| directory.peer(device, peer.wire.to_bare()))
            .collect();
        if !e2e.ensure(cx, self.pending.iter().chain(&self.phones)) {
            return false;
        }
        for peer in &self.pending {
            if !e2e.ratchets.has_session(cx.device, &peer.address) {
                e2e.want_session(&peer.address);
                self.fetching.push(peer.address.clone());
            }
        }
        self.fetching.is_empty()
    }
}

/// Our device as the group names it.
fn own_in(device: &Device, addressing: AddressingMode) -> Option<&Jid> {
    let space = match addressing {
        AddressingMode::Phone => Space::Phone,
        AddressingMode::Lid => Space::Lid,
    };
    own_device(device, space)
}

/// Where the ratchet with a member's device is kept. The group says the other name; memory may have forgotten it.
fn peer(device: &Device, directory: &Directory, wire: Jid, other: Option<&Jid>) -> Peer {
    let peer = directory.peer(device, wire);
    match other {
        Some(other) if peer.earlier.is_none() && other.is_lid() => Peer {
            address: Address::new(&peer.wire).with_lid(other.user()),
            earlier: Some(peer.address),
            wire: peer.wire,
        },
        Some(other) if peer.earlier.is_none() => Peer {
            earlier: Some(Address::from(other.clone().with_device(peer.wire.device()))),
            ..peer
        },
        _ => peer,
    }
}
