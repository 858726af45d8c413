//! Fetching the keys of devices that there is no session with yet.
//!
//! One request is open at a time; what is wanted meanwhile goes into the next, so that a burst of sends shares few
//! requests. The server gives one one-time prekey away per device and request: nothing is asked twice.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use std::collections::BTreeMap;

use super::Op;
use super::companion;
use super::directory::Directory;
use super::ratchets::Ratchets;
use crate::binary::Node;
use crate::connection::Context;
use crate::event::QueryError;
use crate::signal::Address;
use crate::stanza::keys::{self, Bundle, ERROR_UNREGISTERED, MAX_BUNDLES, NoBundle};

/// What became of a wanted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is a session now.
    Session,
    /// The device can't be encrypted for: leave it out.
    Skip,
    /// Nobody knows: the request failed as a whole.
    Failed(QueryError),
}

/// The requests.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    /// With whether a session that exists is to be replaced.
    wanted: BTreeMap<Address, bool>,
    open: BTreeMap<Address, bool>,
}

impl Bundles {
    /// Wants a session with this device; `fresh` even if there is one.
    pub(super) fn want(&mut self, address: &Address, fresh: bool) {
        match self.open.get(address) {
            // The open request does it.
            Some(open) if *open || !fresh => {}
            _ => *self.wanted.entry(address.clone()).or_default() |= fresh,
        }
    }

    /// Asks the server, if something is wanted and no request is open.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, ratchets: &mut Ratchets) {
        if self.wanted.is_empty() || !self.open.is_empty() {
            return;
        }
        while self.open.len() < MAX_BUNDLES
            && let Some((address, fresh)) = self.wanted.pop_first()
        {
            ratchets.pin(&address);
            self.open.insert(address, fresh);
        }
        let asked: Vec<Address> = self.open.keys().cloned().collect();
        let request = keys::bundles_request(asked.iter().map(Address::jid));
        cx.iq(request, Op::Bundles(asked));
    }

    /// Starts sessions with what the server gave. Returns what became of each device that was asked for.
    pub(super) fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        ratchets: &mut Ratchets,
        directory: &mut Directory,
        asked: Vec<Address>,
        reply: Result<Node, QueryError>,
    ) -> BTreeMap<Address, Outcome> {
        let open = std::mem::take(&mut self.open);
        for address in &asked {
            ratchets.unpin(address);
        }
        let bundles = reply.and_then(|node| keys::bundles(&node).map_err(|_| QueryError::Malformed));
        let mut answers: BTreeMap<Address, Result<Bundle, NoBundle>> = match bundles {
            Ok(bundles) => bundles
                .into_iter()
                .map(|(jid, bundle)| (Address::from(jid), bundle))
                .collect(),
            Err(error) => {
                return asked
                    .into_iter()
                    .map(|address| (address, Outcome::Failed(error.clone())))
                    .collect();
            }
        };
        let mut outcomes = BTreeMap::new();
        for address in asked {
            let fresh = open.get(&address).copied().unwrap_or_default();
            let outcome = match answers.remove(&address) {
                // Somebody else's message may have started one while we asked.
                _ if !fresh && ratchets.has_session(&address) => Outcome::Session,
                Some(Ok(bundle)) => start(cx, ratchets, &address, &bundle),
                Some(Err(NoBundle::Refused(code))) => {
                    if code == ERROR_UNREGISTERED {
                        directory.forget_devices(address.jid());
                    }
                    Outcome::Skip
                }
                // The server knows nothing of the device, or sent nonsense.
                Some(Err(NoBundle::Malformed(_))) | None => Outcome::Skip,
            };
            outcomes.insert(address, outcome);
        }
        outcomes
    }
}

/// Starts a session from a bundle, if everything in it is signed as it must be.
pub(super) fn start(
    cx: &mut Context<'_>,
    ratchets: &mut Ratchets,
    address: &Address,
    bundle: &Bundle,
) -> Outcome {
    let known = ratchets.account_identity(address);
    if companion::check(
        address,
        &bundle.keys.identity,
        bundle.device_identity.as_deref(),
        known.as_ref(),
    )
    .is_err()
    {
        return Outcome::Skip;
    }
    match ratchets.start(cx, address, &bundle.keys) {
        Ok(()) => Outcome::Session,
        Err(_) => Outcome::Skip,
    }
}
