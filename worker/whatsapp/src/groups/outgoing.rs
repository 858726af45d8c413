//! A message to a group on its way to being encrypted: what it waits for, and which devices it goes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::audience::{Audience, Belief};
use super::known::{Known, KnownGroups};
use super::question::Questions;
use super::record::Members;
use crate::command::Outgoing;
use crate::device::Device;
use crate::e2e::{Directory, E2e, Peer, Space, is_own, own_device, own_key};
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

/// How far a send could go.
pub(super) enum Progress {
    Waits,
    Ready,
    Fails(SendError),
}

impl Waiting {
    /// Goes on as far as it can.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        known: &mut KnownGroups,
        questions: &mut Questions,
    ) -> Progress {
        let Some(name) = own_key(cx.device, &self.group) else {
            return Progress::Fails(SendError::NotConnected);
        };
        let has_key = e2e.ensure_sender_key(cx, &name);
        if !known.ensure(cx, questions, &self.group) {
            // What is under way is for the members as they were.
            self.state = State::Members;
            return Progress::Waits;
        }
        match self.find(cx, e2e, known) {
            Ok(true) => {}
            Ok(false) => return Progress::Waits,
            Err(reason) => return Progress::Fails(reason),
        }
        let (State::Keys(targets), Some(known)) = (&mut self.state, known.get(&self.group)) else {
            return Progress::Waits;
        };
        if has_key && targets.has_keys(cx, e2e, known, &name) {
            Progress::Ready
        } else {
            Progress::Waits
        }
    }

    /// Finds the devices that it goes to, if it has not yet: those of the last message, if nothing has changed. Whether they
    /// are found; the group is known.
    ///
    /// # Errors
    /// What the owner is told.
    fn find(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        known: &mut KnownGroups,
    ) -> Result<bool, SendError> {
        let Some(group) = known.get(&self.group) else {
            return Ok(false);
        };
        if let (State::Members, Some(members)) = (&self.state, &group.members) {
            let audience = group.audience.as_ref();
            self.state = match audience.filter(|audience| audience.counts(&e2e.directory, cx.now)) {
                Some(audience) => State::Keys(Box::new(Targets::new(Arc::clone(audience)))),
                None => {
                    e2e.directory.expect_lists(members.people.len(), cx.now);
                    State::Devices(Box::new(Lists::new(members)))
                }
            };
        }
        let State::Devices(lists) = &mut self.state else {
            return Ok(matches!(self.state, State::Keys(_)));
        };
        lists.take_known(cx.device, &e2e.directory, cx.now);
        if !lists.missing.is_empty() {
            return Ok(false);
        }
        let State::Devices(lists) = std::mem::replace(&mut self.state, State::Members) else {
            return Ok(false);
        };
        let audience = Arc::new(lists.into_audience(cx.device, &e2e.directory)?);
        known.set_audience(&self.group, Arc::clone(&audience));
        self.state = State::Keys(Box::new(Targets::new(audience)));
        Ok(true)
    }
}

/// The members whose devices are known, and those whose are not. There may be more members than lists are kept, so that
/// what has come is noted here.
pub(super) struct Lists {
    addressing: AddressingMode,
    pub(super) missing: Vec<(Jid, Option<Jid>)>,
    found: Vec<(Jid, Option<Jid>)>,
    /// Until when what was found is believed.
    expires: Option<Timestamp>,
}

/// The devices that read along, of which some lack the key.
pub(super) struct Targets {
    pub(super) audience: Arc<Audience>,
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
            expires: None,
        }
    }

    /// Takes the lists that there are.
    pub(super) fn take_known(&mut self, device: &Device, directory: &Directory, now: Timestamp) {
        let (found, expires) = (&mut self.found, &mut self.expires);
        self.missing.retain(|(user, other)| {
            let Some(list) = directory.devices(device, user, now) else {
                return true;
            };
            *expires = Some(expires.map_or(list.expires, |first| list.expires.min(first)));
            let devices = list.devices.iter().map(|id| user.clone().with_device(*id));
            found.extend(devices.map(|device| (device, other.clone())));
            false
        });
    }

    /// Who gets a message; ourselves left out.
    ///
    /// # Errors
    /// If we have no name of the group's kind.
    pub(super) fn into_audience(self, device: &Device, directory: &Directory) -> Result<Audience, SendError> {
        let own = own_in(device, self.addressing)
            .cloned()
            .ok_or(SendError::Unsupported("groups of hidden ids without a hidden id"))?;
        let mut devices = self.found;
        devices.retain(|(jid, _)| *jid != own);
        devices.sort_unstable();
        devices.dedup_by(|one, other| one.0 == other.0);
        Ok(Audience::new(
            self.addressing,
            own,
            devices,
            Belief {
                version: directory.devices_version(),
                expires: self.expires.unwrap_or(Timestamp::EPOCH),
            },
        ))
    }
}

impl Targets {
    /// Nobody is known to lack the key yet.
    pub(super) const fn new(audience: Arc<Audience>) -> Self {
        Self {
            audience,
            skipped: BTreeSet::new(),
            fetching: Vec::new(),
            pending: Vec::new(),
            phones: Vec::new(),
        }
    }

    /// Those whose ratchets the send needs.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.pending.iter().chain(&self.phones)
    }

    /// Whether nobody lacks the key, and nobody has it who should not. The sender key must be in memory.
    pub(super) fn is_settled(&self, e2e: &E2e, known: &Known, name: &RecordKey) -> bool {
        let has = |jid: &Jid| known.handed.as_ref().is_some_and(|handed| handed.has(jid));
        known.is_settled || !self.needs_key(e2e, known, name) && self.audience.others().iter().all(has)
    }

    /// Whether a new key is needed: there is none, or somebody may have it who should not.
    pub(super) fn needs_key(&self, e2e: &E2e, known: &Known, name: &RecordKey) -> bool {
        !e2e.group_keys.can_send(name)
            || known
                .handed
                .as_ref()
                .is_none_or(|handed| handed.has_other_than(self.audience.others()))
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
        if known.is_settled && e2e.group_keys.can_send(name) {
            // As at most messages: everybody has it, and was found to.
            return true;
        }
        let is_new = self.needs_key(e2e, known, name);
        let lacks = |jid: &Jid| is_new || known.handed.as_ref().is_none_or(|handed| !handed.has(jid));
        let (device, directory) = (&**cx.device, &e2e.directory);
        let others = self.audience.others_named();
        self.pending = others
            .filter(|(jid, _)| lacks(jid))
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
