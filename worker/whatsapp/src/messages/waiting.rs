//! A message on its way to being encrypted: what it waits for, and whom it goes to.

use smallvec::SmallVec;

use crate::command::{Outgoing, Recipient};
use crate::device::Device;
use crate::e2e::{Directory, E2e, Peer, Space, Wake, is_own, own_device};
use crate::event::SendError;
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::signal::Address;
use crate::time::Timestamp;
use crate::tokens::Tokens;

/// A message that is not encrypted yet.
pub(super) struct Waiting {
    pub(super) outgoing: Box<Outgoing>,
    /// The recipient: as the owner names it, or by the number that the account has now.
    pub(super) user: Jid,
    pub(super) given_as: GivenAs,
    /// It was refused once for how it was addressed.
    pub(super) again: Option<Box<Again>>,
    pub(super) state: State,
}

/// What the owner said of the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenAs {
    /// An address.
    Address,
    /// A number that may have no account.
    Number,
    /// The same, not to be looked up.
    KnownNumber,
}

/// How a message that was refused is addressed now.
pub(super) struct Again {
    pub(super) to: Jid,
    pub(super) refused: Jid,
}

pub(super) enum State {
    /// For its content, which is the owner's.
    Content,
    /// For what the store knows of the recipient's names.
    Unnamed,
    /// For a device list.
    Resolving,
    /// For ratchets or bundles.
    Keys(Box<Targets>),
}

pub(super) struct Targets {
    /// The chat as the stanza addresses it.
    pub(super) to: Jid,
    pub(super) devices: SmallVec<[Target; 4]>,
    /// The recipient's phone, if it is none of the devices: their keys are good only with its.
    pub(super) phone: Option<Peer>,
    /// Those whose bundles are on their way.
    pub(super) fetching: SmallVec<[Address; 4]>,
    /// What is stored of the tokens with the recipient is being read.
    awaits_tokens: bool,
}

pub(super) struct Target {
    pub(super) peer: Peer,
    pub(super) own: bool,
}

/// How far a send could go.
pub(super) enum Progress {
    Waits,
    Ready,
    Fails(SendError),
}

impl Waiting {
    pub(super) fn is_woken(&self, wake: Wake<'_>) -> bool {
        match (wake, &self.state) {
            (Wake::All, _) => true,
            (Wake::Records, State::Keys(targets)) => targets.awaits_tokens,
            (Wake::For(loaded), State::Keys(targets)) => targets
                .peers()
                .any(|peer| loaded.iter().any(|wanted| wanted.concerns(peer))),
            (Wake::For(_) | Wake::Records, _) => false,
        }
    }

    /// Goes on as far as it can.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens) -> Progress {
        match self.state {
            State::Content => return Progress::Waits,
            State::Unnamed if !e2e.is_named(cx, &self.user) => return Progress::Waits,
            State::Unnamed => self.state = State::Resolving,
            State::Resolving | State::Keys(_) => {}
        }
        if let State::Resolving = self.state {
            let present = self.present(&e2e.directory);
            if cx.config.tells_renumbered
                && let Some(told) = present.clone().or_else(|| self.number_behind(&e2e.directory))
            {
                let present = told.user().to_owned();
                return Progress::Fails(SendError::Renumbered { present });
            }
            if let Some(present) = present {
                self.user = present;
                self.given_as = GivenAs::Address;
                if !e2e.is_named(cx, &self.user) {
                    self.state = State::Unnamed;
                    return Progress::Waits;
                }
            }
            if self.given_as == GivenAs::KnownNumber && !e2e.is_resolved(cx, &self.user) {
                return Progress::Fails(SendError::NeedsLookUp);
            }
            let Some(targets) = self.targets(cx, e2e) else {
                return Progress::Waits;
            };
            self.state = State::Keys(Box::new(targets));
        }
        let State::Keys(targets) = &mut self.state else {
            return Progress::Waits;
        };
        targets.rename(cx.device, &e2e.directory);
        // Read together with the ratchets.
        targets.awaits_tokens = !tokens.ensure(cx, &e2e.directory, &targets.to);
        if targets.has_keys(cx, e2e) && !targets.awaits_tokens {
            Progress::Ready
        } else {
            Progress::Waits
        }
    }

    /// The number that the account of the given one has now, if that is another.
    fn present(&self, directory: &Directory) -> Option<Jid> {
        let (Recipient::Phone(given) | Recipient::KnownPhone(given)) = &self.outgoing.to else {
            return None;
        };
        let present = directory.present(given)?;
        let is_given = self.user.user() == given;
        (is_given && present != given).then(|| Jid::new(present, Server::User))
    }

    /// The number of somebody who was given by hidden id, if it is known.
    fn number_behind(&self, directory: &Directory) -> Option<Jid> {
        match &self.outgoing.to {
            Recipient::Jid(jid) if jid.is_lid() && self.again.is_none() => directory.other_name(jid),
            _ => None,
        }
    }

    /// Every device that gets the message; `None` while a list is missing.
    fn targets(&self, cx: &Context<'_>, e2e: &E2e) -> Option<Targets> {
        let to = match &self.again {
            Some(again) => again.to.clone(),
            None => e2e.chat(cx.device, &self.user),
        };
        Targets::new(cx.device, &e2e.directory, to, &self.user, cx.now)
    }
}

impl Targets {
    /// Goes over to names that were learned while the send waited: the ratchets may have moved there.
    fn rename(&mut self, device: &Device, directory: &Directory) {
        let devices = self.devices.iter_mut().map(|target| &mut target.peer);
        for peer in devices
            .chain(&mut self.phone)
            .filter(|peer| peer.earlier.is_none())
        {
            *peer = directory.peer(device, peer.wire.clone());
        }
    }

    /// Those whose ratchets the send needs.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.devices.iter().map(|target| &target.peer).chain(&self.phone)
    }

    /// Whether there is a session with every device; asks for what is missing.
    fn has_keys(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) -> bool {
        if !self.fetching.is_empty() || !e2e.ensure(cx, self.peers()) {
            return false;
        }
        for Target { peer, .. } in &self.devices {
            if !e2e.ratchets.has_session(cx.device, &peer.address) {
                e2e.want_session(&peer.address);
                self.fetching.push(peer.address.clone());
            }
        }
        self.fetching.is_empty()
    }

    /// Every device that gets a message to this user in the chat `to`, ourselves left out, all by that kind of name;
    /// `None` while a list is missing.
    fn new(device: &Device, directory: &Directory, to: Jid, user: &Jid, now: Timestamp) -> Option<Self> {
        let list = directory.devices(device, user, now)?;
        let own = own_device(device, Space::of(&to))?;
        let own_list = directory.devices(device, own, now)?;
        let target = |jid: &Jid, id: u16, own: bool| Target {
            peer: directory.peer(device, jid.to_bare().with_device(id)),
            own,
        };
        let is_ours = is_own(device, &to);
        let mut devices = SmallVec::new();
        if !is_ours {
            devices.extend(list.devices.iter().map(|id| target(&to, *id, false)));
        }
        let has_phone = is_ours || list.devices.contains(&0);
        let phone = (!has_phone).then(|| directory.peer(device, to.clone()));
        let others = own_list.devices.iter().filter(|id| **id != own.device());
        devices.extend(others.map(|id| target(own, *id, true)));
        Some(Self {
            to,
            devices,
            phone,
            fetching: SmallVec::new(),
            awaits_tokens: false,
        })
    }
}

/// The user that a message is for, and what is said of it.
pub(super) fn addressee(to: &Recipient) -> Result<(Jid, GivenAs), SendError> {
    let chat = to.chat().ok_or(SendError::NotOnWhatsApp)?;
    match (to, chat.server()) {
        (Recipient::Phone(_), _) => Ok((chat, GivenAs::Number)),
        (Recipient::KnownPhone(_), _) => Ok((chat, GivenAs::KnownNumber)),
        (Recipient::Jid(_), Server::User | Server::Lid) if !chat.is_server() => Ok((chat, GivenAs::Address)),
        (Recipient::Jid(_), Server::Group) => Err(SendError::Unsupported("groups")),
        (Recipient::Jid(_), _) => Err(SendError::Unsupported("this kind of recipient")),
    }
}
