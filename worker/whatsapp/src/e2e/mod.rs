//! End to end encryption, used by every part that sends or reads ciphertexts.
//!
//! Owns the ratchets and sender keys in memory, who has which devices and names, the bundles under way and the supply of
//! prekeys. Knows no message, and none of the parts that use it: what they may have waited for is told as an [`Outcome`].
//!
//! What keeps it honest: a ratchet's change, the event that tells of it and the frame it produced go into the same
//! step, and a ratchet with a change that is not durable yet is never forgotten and read again from the store.

mod addressing;
mod bundles;
mod companion;
mod directory;
mod fresh_lids;
mod group_keys;
mod lists;
mod migration;
mod names;
mod outcome;
mod own_phone;
pub(crate) mod plaintext;
mod ratchets;
mod renumbered;
mod resolution;
mod supply;

use std::time::Duration;

use bytes::Bytes;

pub use self::supply::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
use self::{
    addressing::Addressing,
    bundles::Bundles,
    fresh_lids::FreshLids,
    group_keys::GroupKeys,
    names::Naming,
    outcome::{Question, Questions},
    ratchets::Ratchets,
    resolution::{Known, Resolution},
    supply::Supply,
};
pub(crate) use self::{
    addressing::{Space, own_device},
    companion::phone_of,
    directory::{Directory, Peer, is_own},
    group_keys::own_key,
    outcome::{Fetched, Outcome, Wake},
    own_phone::{ToPhone, own_phone, send as send_to_phone},
    renumbered::Names,
    resolution::{learn_found, read as read_users},
    supply::hand_out as hand_out_prekey,
};
use crate::binary::Node;
use crate::device::Device;
use crate::event::{DeviceRefusal, Event, IdentitySource};
use crate::hashing::HashSet;
use crate::jid::Jid;
use crate::part::{AckBy, Answer, Context, PartId, Ticket};
use crate::proto::Message;
use crate::signal::Address;
use crate::signal::curve::PublicKey;
use crate::stanza::ack::ack_for;
use crate::stanza::keys::Bundle;
use crate::stanza::notification::Notification;
use crate::store::RecordKey;
use crate::time::Timestamp;

/// How often idle ratchets and old device lists are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Most users that registered anew whose other name is looked up at a time.
const MAX_CHANGED: usize = 256;

/// The encryption of one connection. What needs nothing from outside is done on its fields directly.
pub(crate) struct E2e {
    pub(crate) directory: Directory,
    pub(crate) ratchets: Ratchets,
    pub(crate) group_keys: GroupKeys,
    pub(crate) addressing: Addressing,
    bundles: Bundles,
    naming: Naming,
    resolution: Resolution,
    fresh_lids: FreshLids,
    supply: Supply,
    questions: Questions,
    /// Users who registered anew and whose other name is being looked up, with what acknowledges that.
    changed: Vec<(Jid, Option<Node>)>,
    /// Devices whose ratchets go to another name as soon as they are read.
    moving: Vec<Peer>,
    sweep_at: Option<Timestamp>,
}

/// What other parts want of it.
impl E2e {
    /// Nothing in memory, later about so many ratchets at most; allocates nothing.
    pub(crate) fn new(part: PartId, most_ratchets: usize) -> Self {
        Self {
            directory: Directory::default(),
            ratchets: Ratchets::with_most(most_ratchets),
            group_keys: GroupKeys::default(),
            addressing: Addressing::default(),
            bundles: Bundles::default(),
            naming: Naming::default(),
            resolution: Resolution::default(),
            fresh_lids: FreshLids::default(),
            supply: Supply::default(),
            questions: Questions::new(part),
            changed: Vec::new(),
            moving: Vec::new(),
            sweep_at: None,
        }
    }

    /// The login succeeded: checks the supply of prekeys. Call before the stanzas that waited are asked for.
    pub(crate) fn start_online(&mut self, cx: &mut Context<'_>) {
        self.supply.check(cx, &mut self.questions);
    }

    /// What waited for us while we were away has come.
    pub(crate) fn on_caught_up(&mut self, cx: &mut Context<'_>) {
        self.supply.on_caught_up(cx, &mut self.questions);
    }

    /// Whether all these sessions are in memory, or known not to exist. If not: [`Outcome::Sessions`] follows.
    pub(crate) fn ensure<'a>(&mut self, cx: &mut Context<'_>, peers: impl Iterator<Item = &'a Peer>) -> bool {
        self.ratchets.ensure(cx, &mut self.questions, peers)
    }

    /// Whether this sender key is in memory, or known not to exist. If not: [`Outcome::SenderKey`] follows.
    pub(crate) fn ensure_sender_key(&mut self, cx: &mut Context<'_>, name: &RecordKey) -> bool {
        self.group_keys.ensure(cx, &mut self.questions, name)
    }

    /// Asks the store for the other name of a user at once; false if they can't have one, or the store was asked before and
    /// has none. [`Outcome::Names`] follows.
    pub(crate) fn ask_name(&mut self, cx: &mut Context<'_>, user: &Jid) -> bool {
        !self.directory.is_nameless(user) && self.naming.ask_now(cx, &mut self.questions, user)
    }

    /// Whether nothing need be asked of the store before a message to this user.
    pub(crate) fn is_named(&self, cx: &Context<'_>, user: &Jid) -> bool {
        self.directory.is_named(cx.device, user, cx.now)
    }

    /// Whether this number is known to have an account. Counts once the store was asked ([`Self::ask_names`]).
    pub(crate) fn is_resolved(&self, cx: &Context<'_>, phone: &Jid) -> bool {
        self.directory.is_resolved(cx.device, phone, cx.now)
    }

    /// The chat with a user as its stanzas name it, as far as is known.
    pub(crate) fn chat(&self, device: &Device, user: &Jid) -> Jid {
        self.addressing.chat(device, &self.directory, user)
    }

    /// Asks the store what it knows of users that are sent to, if it is not being asked; call again after each outcome.
    /// [`Outcome::Names`] follows.
    pub(crate) fn ask_names<'a>(&mut self, cx: &mut Context<'_>, users: impl Iterator<Item = &'a Jid>) {
        self.naming.ask(cx, &mut self.questions, users);
    }

    /// The hidden id that is known of this user is out of date: asks the server for the present one, once a connection.
    pub(crate) fn refresh_lid(&mut self, cx: &mut Context<'_>, user: &Jid) {
        self.fresh_lids
            .ask(cx, &mut self.questions, &self.directory, user);
    }

    /// Asks for the device lists of these users and of ourselves, as far as they are not known, if no query is open; call
    /// again after each outcome. With each user goes whether it is a number that may have no account.
    /// [`Outcome::Devices`] follows.
    pub(crate) fn ask_devices<'a>(
        &mut self,
        cx: &mut Context<'_>,
        wanted: impl Iterator<Item = (&'a Jid, bool)>,
    ) {
        let known = Known {
            directory: &mut self.directory,
            addressing: &self.addressing,
        };
        self.resolution.ask(cx, &mut self.questions, &known, wanted);
    }

    /// Wants a session with this device, whose ratchet is in memory. [`Outcome::Bundles`] follows.
    pub(crate) fn want_session(&mut self, address: &Address) {
        self.bundles.want(&mut self.ratchets, address);
    }

    /// Like [`Self::want_session`], but wants a new one even if there is one.
    pub(crate) fn want_new_session(&mut self, address: &Address) {
        self.bundles.want_new(&mut self.ratchets, address);
    }

    /// Starts a session from a bundle, if everything in it is signed as it must be.
    pub(crate) fn start_session(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        bundle: &Bundle,
    ) -> Fetched {
        self.bundles.start(cx, &mut self.ratchets, address, bundle)
    }

    /// Whether the device with this identity is of its account; the account's key, if it is a companion. The owner is told
    /// of one that is not.
    ///
    /// # Errors
    /// [`DeviceRefusal`]: do not believe what it sends.
    pub(crate) fn trust(
        &mut self,
        cx: &mut Context<'_>,
        address: &Address,
        identity: &PublicKey,
        proof: Option<&[u8]>,
    ) -> Result<Option<PublicKey>, DeviceRefusal> {
        let Self {
            ratchets, bundles, ..
        } = self;
        let checked = ratchets.check(cx.device, address, identity, proof);
        checked.inspect_err(|reason| bundles.refuse(cx, ratchets, address, *reason))
    }

    /// Asks for what the parts were found to lack. Call when all of them have gone as far as they can.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.ratchets.has_changed) {
            self.name_changed(cx);
        }
        self.bundles.ask(cx, &mut self.questions);
        self.note_sweep(cx.now);
    }

    /// Forgets what is too much, but no ratchet that somebody waits with.
    pub(crate) fn relieve<'a>(&mut self, in_use: impl FnOnce() -> HashSet<&'a Address>) {
        // A sender key is used by the message whose turn it is, as soon as it is read.
        self.group_keys.records.shrink(|_| false);
        if self.ratchets.records.is_crowded() {
            let in_use = in_use();
            self.ratchets.records.shrink(|address| in_use.contains(address));
        }
    }
}

/// What the server and the store say.
impl E2e {
    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        answer: Answer,
    ) -> Option<Outcome> {
        let Self {
            directory,
            ratchets,
            questions,
            supply,
            ..
        } = self;
        match questions.close(ticket)? {
            Question::Devices(asked) => {
                let addressing = &self.addressing;
                let mut known = Known {
                    directory,
                    addressing,
                };
                let failed = self.resolution.on_reply(cx, &mut known, asked, answer);
                return Some(Outcome::Devices(failed));
            }
            Question::FreshLid(phone) => fresh_lids::on_reply(cx, directory, &phone, answer),
            Question::Bundles(asked) => {
                let outcomes = self.bundles.on_reply(cx, ratchets, directory, asked, answer);
                return Some(Outcome::Bundles(outcomes));
            }
            Question::PreKeyCount => supply.on_count(cx, questions, answer),
            Question::PreKeyUpload => supply.on_uploaded(cx, &answer),
            Question::KeyDigest => supply.on_digest(cx, questions, answer),
            // To the store.
            Question::UnconfirmedPreKeys(_)
            | Question::Sessions(_)
            | Question::SenderKey(_)
            | Question::Names(_)
            | Question::NamesBack(..) => {}
        }
        None
    }

    pub(crate) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        mut values: Vec<Option<Bytes>>,
    ) -> Option<Outcome> {
        let question = match self.questions.close(ticket)? {
            Question::Sessions(wanted) => {
                self.ratchets.on_loaded(cx, &wanted, values);
                if !self.moving.is_empty() {
                    self.go_on_moving(cx);
                }
                return Some(Outcome::Sessions(wanted));
            }
            Question::UnconfirmedPreKeys(range) => {
                self.supply.on_stored(cx, &mut self.questions, range, values);
                return None;
            }
            Question::Names(asked) => {
                let (questions, directory) = (&mut self.questions, &mut self.directory);
                let named = self.naming.on_names(cx, questions, directory, asked, values);
                return named.map(|users| self.on_named(cx, users));
            }
            Question::NamesBack(asked, pairs) => {
                let directory = &mut self.directory;
                let users = self.naming.on_backs(directory, asked, &pairs, values);
                return Some(self.on_named(cx, users));
            }
            question => question,
        };
        let value = values.pop().flatten();
        match question {
            Question::SenderKey(name) => {
                self.group_keys.on_loaded(cx, &name, value.as_deref());
                Some(Outcome::SenderKey)
            }
            _ => None,
        }
    }

    /// A device says which hidden ids belong to which numbers.
    pub(crate) fn on_mappings(&mut self, cx: &mut Context<'_>, sender: &Address, message: &Message) {
        migration::learn(cx, &mut self.directory, sender, message);
    }

    /// A notification of our prekeys, or of somebody's devices or identity came in.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) -> AckBy {
        match Notification::parse(stanza) {
            Notification::FewPreKeys => self.supply.on_few(cx, &mut self.questions),
            Notification::CheckKeys => self.supply.check_digest(cx, &mut self.questions),
            Notification::IdentityChanged { user, lid } => {
                if let Some(lid) = &lid {
                    self.directory.learn(cx, &user, lid);
                }
                return self.on_identity_changed(cx, user, stanza);
            }
            Notification::Devices { user, lid, removed } => {
                if let Some(lid) = &lid {
                    self.directory.learn(cx, &user, lid);
                }
                self.directory.forget_devices(cx.device, &user);
                // A ratchet may still lie under the name that was used before the other one was learned.
                for device in removed {
                    let peer = self.directory.peer(cx.device, device);
                    for address in std::iter::once(&peer.address).chain(&peer.earlier) {
                        self.ratchets.delete(cx, address);
                    }
                }
            }
            Notification::OwnDevices => self.directory.forget_own_devices(),
            Notification::Other => {}
        }
        AckBy::Connection
    }

    /// A contact registered anew. Their sessions may be kept under a name that only the store knows: then it is asked, and
    /// the notification acknowledged when it has answered.
    fn on_identity_changed(&mut self, cx: &mut Context<'_>, user: Jid, stanza: &Node) -> AckBy {
        let may_have_another_name = !is_own(cx.device, &user) && self.directory.other_name(&user).is_none();
        if may_have_another_name && self.changed.len() < MAX_CHANGED && self.ask_name(cx, &user) {
            self.changed.push((user, ack_for(stanza)));
            return AckBy::Handler;
        }
        self.forget_user(cx, &user);
        AckBy::Connection
    }

    /// The store has answered for the names of these users.
    fn on_named(&mut self, cx: &mut Context<'_>, users: Vec<Jid>) -> Outcome {
        let is_named = |changed: &Jid| users.iter().any(|user| changed.same_user(user));
        let changed = self.changed.extract_if(.., |(changed, _)| is_named(changed));
        for (changed, ack) in changed.collect::<Vec<_>>() {
            self.forget_user(cx, &changed);
            cx.send(ack);
        }
        Outcome::Names(users)
    }

    /// A contact registered anew: none of their sessions will be answered again. Those of companions that are not in
    /// memory count no more either, because the phone that vouched for them is gone; and what the server said of the
    /// user's keys before it said this is not believed.
    fn forget_user(&mut self, cx: &mut Context<'_>, user: &Jid) {
        let phone = self.directory.peer(cx.device, user.clone());
        let mut addresses = vec![phone.address];
        addresses.extend(phone.earlier);
        if let Some(list) = self.directory.devices(cx.device, user, cx.now) {
            let devices = list.devices.iter().map(|id| user.clone().with_device(*id));
            addresses.extend(devices.map(|jid| self.directory.peer(cx.device, jid).address));
        }
        let other = self.directory.other_name(user);
        for name in std::iter::once(user).chain(&other) {
            addresses.extend(self.ratchets.devices_of(name));
        }
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            self.ratchets.delete(cx, &address);
        }
        self.bundles.ask_again(&mut self.ratchets, |address| {
            let is = |user: &Jid| phone_of(address.jid()).same_user(user);
            is(user) || other.as_ref().is_some_and(is)
        });
        self.directory.forget_devices(cx.device, user);
        if !is_own(cx.device, user) {
            cx.emit(Event::IdentityChanged {
                device: user.clone(),
                other,
                source: IdentitySource::Notification,
            });
        }
    }
}

/// Time and durability.
impl E2e {
    /// How many sessions were changed and are not written into the step yet, for the bound on it.
    pub(crate) fn unwritten(&self) -> usize {
        self.ratchets.records.gathered_len()
    }

    /// A step is about to be taken: writes the sessions that were changed.
    pub(crate) fn write_changed(&self, cx: &mut Context<'_>) {
        self.ratchets.write_changed(cx);
    }

    pub(crate) fn on_step_taken(&mut self) {
        self.ratchets.records.on_step_taken();
        self.group_keys.records.on_step_taken();
    }

    pub(crate) fn on_committed(&mut self) {
        self.ratchets.records.on_committed();
        self.group_keys.records.on_committed();
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest([self.supply.deadline(), self.sweep_at])
    }

    pub(crate) fn tick<'a>(&mut self, cx: &mut Context<'_>, in_use: impl FnOnce() -> HashSet<&'a Address>) {
        self.supply.tick(cx, &mut self.questions);
        if self.sweep_at.is_some_and(|at| at <= cx.now) {
            self.sweep_at = None;
            let in_use = in_use();
            self.ratchets
                .records
                .sweep(cx.now, |address| in_use.contains(address));
            self.group_keys.records.sweep(cx.now, |_| false);
            self.directory.sweep(cx.now);
            self.note_sweep(cx.now);
        }
    }

    /// An idle session keeps next to nothing in memory, and then no timer either.
    fn note_sweep(&mut self, now: Timestamp) {
        let has_records = !self.ratchets.records.is_empty() || !self.group_keys.records.is_empty();
        let soon = now + SWEEP_INTERVAL;
        if has_records || self.directory.has_names() {
            self.sweep_at = Some(self.sweep_at.map_or(soon, |at| at.min(soon)));
        } else if self.sweep_at.is_none() {
            // Lists alone are not worth a look a minute.
            self.sweep_at = self.directory.first_expiry();
        }
    }
}
