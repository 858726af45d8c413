//! Fetching the keys of devices that there is no session with yet.
//!
//! One request is open at a time; what is wanted meanwhile goes into the next, so that a burst of sends shares few
//! requests. The server gives one one-time prekey away per device and request: nothing is asked twice.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::companion;
use super::directory::{Directory, is_own};
use super::outcome::{Fetched, Question, Questions};
use super::ratchets::Ratchets;
use crate::event::{DeviceRefusal, Event, QueryError};
use crate::part::{Answer, Context};
use crate::signal::Address;
use crate::stanza::keys::{self, Bundle, ERROR_UNREGISTERED, MAX_BUNDLES, NoBundle};
use crate::time::Timestamp;

/// How often a phone is asked who it is because of companions that it did not vouch for.
const DOUBT_INTERVAL: Duration = Duration::from_secs(3600);
/// How many doubted phones are remembered; while there are as many, no more are asked.
const MAX_DOUBTED: usize = 256;

#[derive(Default)]
pub(super) struct Bundles {
    /// With whether a session that exists is to be replaced.
    wanted: BTreeMap<Address, bool>,
    open: BTreeMap<Address, Asked>,
    /// Phones that were asked for because of their companions, with the time.
    doubted: HashMap<Address, Timestamp>,
}

/// A device that the open request names.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// As in [`Bundles::wanted`].
    fresh: bool,
    /// The answer counts no more; the device is wanted again.
    outdated: bool,
}

impl Bundles {
    /// Wants a session with this device. What is known of the device is in memory, and stays there until the answer has
    /// come.
    pub(super) fn want(&mut self, ratchets: &mut Ratchets, address: &Address) {
        self.enter(ratchets, address, false);
    }

    /// Like [`Self::want`], but wants a new one even if there is one.
    pub(super) fn want_new(&mut self, ratchets: &mut Ratchets, address: &Address) {
        self.enter(ratchets, address, true);
    }

    fn enter(&mut self, ratchets: &mut Ratchets, address: &Address, fresh: bool) {
        match self.open.get(address) {
            // The open request does it.
            Some(asked) if !asked.outdated && (asked.fresh || !fresh) => return,
            _ => {}
        }
        let wanted = self.wanted.entry(address.clone()).or_insert_with(|| {
            ratchets.records.pin(address);
            false
        });
        *wanted |= fresh;
    }

    /// What is on its way for these devices is out of date: they are asked for anew.
    pub(super) fn ask_again(&mut self, ratchets: &mut Ratchets, is_concerned: impl Fn(&Address) -> bool) {
        let mut wanted = Vec::new();
        for (address, asked) in self.open.iter_mut().filter(|(address, _)| is_concerned(address)) {
            asked.outdated = true;
            wanted.push((address.clone(), asked.fresh));
        }
        for (address, fresh) in wanted {
            self.enter(ratchets, &address, fresh);
        }
    }

    /// Tells the owner that a device is left out. If its account may have changed without our knowing, the account's
    /// phone is asked who it is, so that the device has a chance the next time.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        ratchets: &mut Ratchets,
        address: &Address,
        reason: DeviceRefusal,
    ) {
        cx.emit(Event::DeviceRefused {
            device: address.jid().clone(),
            reason,
        });
        let may_have_changed = matches!(
            reason,
            DeviceRefusal::OtherAccount | DeviceRefusal::UnknownAccount
        );
        let phone = Address::from(companion::phone_of(address.jid()));
        if may_have_changed && !is_own(cx.device, address.jid()) && self.is_doubtful(&phone, cx.now) {
            self.want_new(ratchets, &phone);
        }
    }

    /// Notes that a phone is asked who it is; false if it was not long ago.
    fn is_doubtful(&mut self, phone: &Address, now: Timestamp) -> bool {
        let is_recent = |at: &Timestamp| now.since(*at) < DOUBT_INTERVAL;
        if self.doubted.get(phone).is_some_and(is_recent) {
            return false;
        }
        if self.doubted.len() >= MAX_DOUBTED {
            self.doubted.retain(|_, at| is_recent(at));
        }
        let has_room = self.doubted.len() < MAX_DOUBTED;
        if has_room {
            self.doubted.insert(phone.clone(), now);
        }
        has_room
    }

    /// Asks the server, if something is wanted and no request is open.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        if self.wanted.is_empty() || !self.open.is_empty() {
            return;
        }
        while self.open.len() < MAX_BUNDLES
            && let Some((address, fresh)) = self.wanted.pop_first()
        {
            let outdated = false;
            self.open.insert(address, Asked { fresh, outdated });
        }
        let asked: Vec<Address> = self.open.keys().cloned().collect();
        let request = keys::bundles_request(asked.iter().map(Address::jid));
        cx.ask(request, questions.open(Question::Bundles(asked)));
    }

    /// Starts sessions with what the server gave. Returns what became of each device that was asked for.
    pub(super) fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        ratchets: &mut Ratchets,
        directory: &mut Directory,
        asked: Vec<Address>,
        reply: Answer,
    ) -> BTreeMap<Address, Fetched> {
        let open = std::mem::take(&mut self.open);
        for address in &asked {
            ratchets.records.unpin(address);
        }
        let current = |address: &Address| open.get(address).filter(|asked| !asked.outdated);
        let bundles = reply.and_then(|node| keys::bundles(&node).map_err(|_| QueryError::Malformed));
        let mut answers: BTreeMap<Address, Result<Bundle, NoBundle>> = match bundles {
            Ok(bundles) => bundles
                .into_iter()
                .map(|(jid, bundle)| (Address::from(jid), bundle))
                .collect(),
            Err(error) => {
                let failed = asked.into_iter().filter(|address| current(address).is_some());
                return failed
                    .map(|address| (address, Fetched::Failed(error.clone())))
                    .collect();
            }
        };
        let mut outcomes = BTreeMap::new();
        for address in asked {
            let Some(fresh) = current(&address).map(|asked| asked.fresh) else {
                continue;
            };
            let outcome = match answers.remove(&address) {
                // Somebody else's message may have started one while we asked.
                _ if !fresh && ratchets.has_session(cx.device, &address) => Fetched::Session,
                Some(Ok(bundle)) => self.start(cx, ratchets, &address, &bundle),
                Some(Err(NoBundle::Refused(code))) => {
                    if code == ERROR_UNREGISTERED {
                        directory.forget_devices(cx.device, address.jid());
                    }
                    refused(code)
                }
                // The server knows nothing of the device, or sent nonsense.
                Some(Err(NoBundle::Malformed(_))) | None => Fetched::Skip,
            };
            outcomes.insert(address, outcome);
        }
        outcomes
    }

    /// Starts a session from a bundle, if everything in it is signed as it must be.
    pub(super) fn start(
        &mut self,
        cx: &mut Context<'_>,
        ratchets: &mut Ratchets,
        address: &Address,
        bundle: &Bundle,
    ) -> Fetched {
        if !ratchets.is_loaded(address) {
            // So much is under way that what is known of the device had to leave memory.
            return Fetched::Failed(QueryError::Busy);
        }
        let proof = bundle.device_identity.as_deref();
        let started = ratchets
            .check(cx.device, address, &bundle.keys.identity, proof)
            .and_then(|account| ratchets.start(cx, address, &bundle.keys, account));
        match started {
            Ok(()) => Fetched::Session,
            Err(reason) => {
                self.refuse(cx, ratchets, address, reason);
                Fetched::Skip
            }
        }
    }
}

/// A refusal for the moment says nothing of the device: who leaves it out sends it nothing for good.
fn refused(code: u32) -> Fetched {
    if matches!(code, 408 | 429 | 500..) {
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        Fetched::Failed(QueryError::Refused { code })
    } else {
        Fetched::Skip
    }
}
