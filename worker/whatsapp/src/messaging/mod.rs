//! Messages, end to end encrypted: who gets which ciphertext, and what each incoming one means.
//!
//! Owns the sends under way, the device lists, the ratchets in memory, the incoming pipeline, receipts and retries, and
//! the supply of prekeys. Sees the world only through [`Context`]; does not know sockets, Noise or login.
//!
//! What keeps it honest: a ratchet's change, the event that tells of it and the frame it produced go into the same
//! step, and a ratchet with a change that is not durable yet is never forgotten and read again from the store.

mod bundles;
mod companion;
mod delivery;
mod directory;
mod durability;
mod group_keys;
mod inbox;
mod lookup;
mod names;
mod plaintext;
mod ratchets;
mod resends;
mod resolution;
mod retries;
mod sends;
mod shown;
mod supply;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

pub use self::inbox::MAX_WAITING as MAX_WAITING_MESSAGES;
use self::lookup::Lookup;
use self::ratchets::Wanted;
pub use self::resends::MAX_RESENDS;
pub use self::retries::MAX_ATTEMPTS;
pub use self::sends::{ACK_TIMEOUT, MAX_MESSAGE_BYTES, MAX_SENDS};
pub use self::supply::{MAX_HANDED_PREKEYS, MAX_PREKEY_SPAN};
use self::{
    bundles::Bundles,
    directory::{Directory, is_own},
    group_keys::GroupKeys,
    inbox::Inbox,
    ratchets::Ratchets,
    resends::Resends,
    retries::Retries,
    sends::{Sends, Stirred},
    supply::Supply,
};
use crate::binary::Node;
use crate::command::Outgoing;
use crate::connection::{AckBy, Context};
use crate::event::{Event, QueryError, Receipt};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::signal::{Address, PreKeyId, SignedPreKeyId};
use crate::stanza::ack::{MessageAck, ack_for};
use crate::stanza::notification::Notification;
use crate::stanza::receipt::{self, MAX_READ_IDS, Meaning};
use crate::store::{RecordKey, SentMessage};
use crate::time::Timestamp;

/// How often idle ratchets and old device lists are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Most users that registered anew whose other name is looked up at a time.
const MAX_CHANGED: usize = 256;

/// What one of messaging's questions to the server was for.
#[derive(Debug)]
pub(crate) enum Op {
    /// Who is on WhatsApp and has which devices, for the sends that wait; with each, whether it is asked for as a number
    /// that may have no account.
    Devices(Vec<(Jid, bool)>),
    /// Bundles to start sessions with.
    Bundles(Vec<Address>),
    /// How many of our one-time prekeys are left.
    PreKeyCount,
    /// Publish prekeys.
    PreKeyUpload,
    /// What the server holds of our keys.
    KeyDigest,
    /// Replace the signed prekey.
    Rotate,
    /// Which numbers have an account, for the owner.
    IsOnWhatsApp(Box<Lookup>),
}

/// What one of messaging's questions to the store was for.
#[derive(Debug)]
pub(crate) enum LoadTag {
    /// Ratchets, in this order.
    Sessions(Vec<Wanted>),
    /// What is known of a sender in a group.
    SenderKey(RecordKey),
    /// A one-time prekey.
    PreKey(PreKeyId),
    /// A signed prekey.
    SignedPreKey(SignedPreKeyId),
    /// The content of a message that a device asks for again.
    SentMessage(MessageId, Jid),
    /// The present number of the chat that this message is in.
    Renumbered(MessageId, Jid, SentMessage),
    /// The other name of a user.
    Name(Jid),
    /// Whether the other name of the first is the second.
    NameBack(Jid, Jid),
}

/// The messaging part of one connection.
#[derive(Debug, Default)]
pub(crate) struct Messaging {
    directory: Directory,
    ratchets: Ratchets,
    group_keys: GroupKeys,
    bundles: Bundles,
    sends: Sends,
    resends: Resends,
    inbox: Inbox,
    retries: Retries,
    supply: Supply,
    /// Users who registered anew and whose other name is being looked up, with what acknowledges that.
    changed: Vec<(Jid, Option<Node>)>,
    sweep_at: Option<Timestamp>,
}

/// What the owner asks for.
impl Messaging {
    /// Nothing under way; allocates nothing.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The login succeeded: checks the supply of prekeys. Call before the stanzas that waited are asked for.
    pub(crate) fn start_online(&mut self, cx: &mut Context<'_>) {
        self.supply.check(cx);
    }

    /// Sends a message. Answered by events.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, outgoing: Box<Outgoing>) {
        self.sends.push(cx, outgoing);
        self.advance_sends(cx, Stirred::Last);
    }

    /// Forgets a send whose frame is not in a step yet.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) {
        self.sends.cancel(cx, id);
    }

    /// Asks which numbers have an account. Answered by an event.
    pub(crate) fn is_on_whatsapp(&mut self, cx: &mut Context<'_>, ticket: u64, numbers: Vec<String>) {
        Lookup::start(cx, ticket, numbers);
    }

    /// Tells the sender that messages were read.
    pub(crate) fn mark_read(
        &mut self,
        cx: &mut Context<'_>,
        chat: &Jid,
        sender: Option<&Jid>,
        ids: &[MessageId],
    ) {
        for ids in ids.chunks(MAX_READ_IDS) {
            let now = cx.now;
            if let Some(receipt) = receipt::read(ids, &chat.to_bare(), sender, now) {
                cx.send(receipt);
            }
        }
    }

    /// Whether the account is at the keyboard; decides the kind of delivery receipts.
    pub(crate) fn set_available(&mut self, available: bool) {
        self.inbox.set_available(available);
    }
}

/// What the server and the store say.
impl Messaging {
    /// One of our questions to the server has an outcome.
    pub(crate) fn on_iq(&mut self, cx: &mut Context<'_>, op: Op, outcome: Result<Node, QueryError>) {
        match op {
            Op::Devices(asked) => self.sends.on_devices(cx, &mut self.directory, asked, outcome),
            Op::Bundles(asked) => {
                let outcomes =
                    self.bundles
                        .on_reply(cx, &mut self.ratchets, &mut self.directory, asked, outcome);
                self.sends.on_bundles(cx, &outcomes);
                self.resends.on_bundles(cx, &outcomes);
            }
            Op::PreKeyCount => self.supply.on_count(cx, outcome),
            Op::PreKeyUpload => self.supply.on_uploaded(cx, &outcome),
            Op::KeyDigest => self.supply.on_digest(cx, outcome),
            // Refused or lost, the old one still stands at the server, and is kept here.
            Op::Rotate => {}
            Op::IsOnWhatsApp(lookup) => lookup.on_reply(cx, &mut self.directory, outcome),
        }
        self.advance(cx);
    }

    /// One of our questions to the store has an answer.
    pub(crate) fn on_loaded(&mut self, cx: &mut Context<'_>, tag: LoadTag, mut values: Vec<Option<Bytes>>) {
        if let LoadTag::Sessions(wanted) = tag {
            self.ratchets.on_loaded(cx, &wanted, values);
            self.advance_incoming(cx);
            return self.advance_sends(cx, Stirred::By(&wanted));
        }
        let value = values.pop().flatten();
        match tag {
            LoadTag::Sessions(_) => {}
            LoadTag::SenderKey(name) => self.group_keys.on_loaded(&name, value.as_deref()),
            LoadTag::PreKey(id) => self.inbox.on_prekey(id, value.as_deref()),
            LoadTag::SignedPreKey(id) => self.inbox.on_signed_prekey(id, value.as_deref()),
            LoadTag::SentMessage(id, from) => self.resends.on_sent(cx, id, from, value),
            LoadTag::Renumbered(id, from, sent) => {
                let sent = sent.renumbered(value.as_deref());
                self.resends.on_content(cx, &self.directory, &id, &from, sent);
            }
            LoadTag::Name(user) => {
                if names::on_other(cx, &user, value) {
                    self.on_name(cx, &user);
                }
            }
            LoadTag::NameBack(user, other) => {
                names::on_back(&mut self.directory, &user, &other, value);
                self.on_name(cx, &user);
            }
        }
        self.advance(cx);
    }

    /// A `<message>` came in. Acknowledged here.
    pub(crate) fn on_message(&mut self, cx: &mut Context<'_>, stanza: Node) {
        self.inbox.push(cx, &mut self.directory, stanza);
        self.advance(cx);
    }

    /// A `<receipt>` came in.
    pub(crate) fn on_receipt(&mut self, cx: &mut Context<'_>, stanza: &Node) -> AckBy {
        let Ok(received) = receipt::Received::parse(stanza) else {
            return AckBy::Connection;
        };
        match received.meaning {
            Meaning::Retry => {
                self.resends.push(cx, &self.directory, stanza);
                self.advance(cx);
                return AckBy::Handler;
            }
            Meaning::Status(kind) => {
                let chat = match (&received.recipient, received.from.is_group()) {
                    (Some(recipient), false) => recipient.to_bare(),
                    _ => received.from.to_bare(),
                };
                for entry in received.entries {
                    let from = entry.user.or_else(|| received.participant.clone());
                    cx.emit(Event::Receipt(Receipt {
                        ids: entry.ids,
                        chat: chat.clone(),
                        from: from.unwrap_or_else(|| received.from.clone()),
                        kind,
                        timestamp: entry.timestamp,
                    }));
                }
            }
            Meaning::Other => {}
        }
        AckBy::Connection
    }

    /// An `<ack>` came in.
    pub(crate) fn on_ack(&mut self, cx: &mut Context<'_>, stanza: &Node) {
        let Ok(Some(ack)) = MessageAck::parse(stanza) else {
            return;
        };
        // A message that is asked for again keeps its id, and only a companion's address tells the answer from the first.
        let names_companion = ack.from.device() != 0;
        if (names_companion && self.resends.on_ack(cx, &ack))
            || !self.sends.on_ack(cx, &mut self.directory, &ack) && self.resends.on_ack(cx, &ack)
        {
            self.advance(cx);
        }
        self.note_sweep(cx.now);
    }

    /// A `<notification>` came in that is no part of pairing.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) -> AckBy {
        match Notification::parse(stanza) {
            Notification::FewPreKeys(left) => self.supply.on_few(cx, left),
            Notification::CheckKeys => self.supply.check_digest(cx),
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
                self.directory.forget_devices(&user);
                for device in removed {
                    let peer = self.directory.peer(cx.device, device);
                    self.ratchets.delete(cx, &peer.address);
                }
            }
            Notification::OwnDevices => {
                for own in [cx.device.jid().cloned(), cx.device.lid().cloned()]
                    .into_iter()
                    .flatten()
                {
                    self.directory.forget_devices(&own);
                }
            }
            Notification::Other => {}
        }
        AckBy::Connection
    }

    /// A contact registered anew. Their sessions may be kept under a name that only the store knows: then it is asked, and
    /// the notification acknowledged when it has answered.
    fn on_identity_changed(&mut self, cx: &mut Context<'_>, user: Jid, stanza: &Node) -> AckBy {
        let may_have_another_name = !is_own(cx.device, &user) && self.directory.other_name(&user).is_none();
        if may_have_another_name && self.changed.len() < MAX_CHANGED && names::ask(cx, &user) {
            self.changed.push((user, ack_for(stanza)));
            return AckBy::Handler;
        }
        self.forget_user(cx, &user);
        AckBy::Connection
    }

    /// The store has answered for the other name of a user.
    fn on_name(&mut self, cx: &mut Context<'_>, user: &Jid) {
        self.inbox.on_name(user);
        for (changed, ack) in self
            .changed
            .extract_if(.., |(changed, _)| changed.same_user(user))
            .collect::<Vec<_>>()
        {
            self.forget_user(cx, &changed);
            if let Some(ack) = ack {
                cx.send(ack);
            }
        }
    }

    /// A contact registered anew: none of their sessions will be answered again. Those of companions that are not in
    /// memory count no more either, because the phone that vouched for them is gone; and what the server said of the
    /// user's keys before it said this is not believed.
    fn forget_user(&mut self, cx: &mut Context<'_>, user: &Jid) {
        let phone = self.directory.peer(cx.device, user.clone());
        let mut addresses = vec![phone.address];
        addresses.extend(phone.earlier);
        if let Some(list) = self.directory.devices(user, cx.now) {
            let devices = list.devices.iter().map(|id| user.clone().with_device(*id));
            addresses.extend(devices.map(|jid| self.directory.peer(cx.device, jid).address));
        }
        for name in [Some(user.clone()), self.directory.other_name(user)]
            .into_iter()
            .flatten()
        {
            addresses.extend(self.ratchets.devices_of(&name));
        }
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            self.ratchets.delete(cx, &address);
        }
        let other = self.directory.other_name(user);
        self.bundles.ask_again(&mut self.ratchets, |address| {
            let is = |user: &Jid| companion::phone_of(address.jid()).same_user(user);
            is(user) || other.as_ref().is_some_and(is)
        });
        self.directory.forget_devices(user);
        if !is_own(cx.device, user) {
            cx.emit(Event::IdentityChanged { device: user.clone() });
        }
    }

    /// Moves everything as far as it goes, and asks for what is missing.
    fn advance(&mut self, cx: &mut Context<'_>) {
        self.advance_incoming(cx);
        self.advance_sends(cx, Stirred::All);
        self.relieve();
    }

    /// Moves what came in: messages, and requests to repeat one.
    fn advance_incoming(&mut self, cx: &mut Context<'_>) {
        let Self {
            directory,
            ratchets,
            group_keys,
            bundles,
            retries,
            resends,
            ..
        } = self;
        self.inbox.advance(
            cx,
            &mut inbox::Parts {
                directory,
                ratchets,
                group_keys,
                retries,
                bundles,
            },
        );
        resends.advance(cx, directory, ratchets, bundles);
    }

    fn advance_sends(&mut self, cx: &mut Context<'_>, stirred: Stirred<'_>) {
        let Self {
            directory,
            ratchets,
            bundles,
            ..
        } = self;
        self.sends.advance(
            cx,
            &mut sends::Parts {
                directory,
                ratchets,
                bundles,
            },
            stirred,
        );
        bundles.ask(cx);
        self.note_sweep(cx.now);
    }

    /// Forgets what is too much, but nothing that somebody waits with.
    fn relieve(&mut self) {
        self.group_keys.shrink();
        if self.ratchets.is_crowded() {
            let in_use = in_use(&self.sends, &self.resends, &self.inbox);
            self.ratchets.shrink(&in_use);
        }
    }
}

/// Time and durability.
impl Messaging {
    /// A step that carries changes was taken and is being committed.
    pub(crate) fn on_step_taken(&mut self) {
        self.ratchets.on_step_taken();
        self.group_keys.on_step_taken();
        self.inbox.on_step_taken();
    }

    /// The step taken last is durable.
    pub(crate) fn on_committed(&mut self) {
        self.ratchets.on_committed();
        self.group_keys.on_committed();
        self.inbox.on_committed();
        self.relieve();
    }

    /// The connection is over: sends without an answer are answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.sends.on_closed(cx);
    }

    /// Whether so many messages wait for the store that no more should be handed in.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.inbox.is_full()
    }

    /// When [`Self::tick`] wants to be called.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        [
            self.sends.deadline(),
            self.resends.deadline(),
            self.supply.deadline(),
            self.sweep_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        self.sends.tick(cx);
        self.supply.tick(cx);
        if self.resends.tick(cx) {
            self.advance(cx);
        }
        if self.sweep_at.is_some_and(|at| at <= cx.now) {
            self.sweep_at = None;
            let in_use = in_use(&self.sends, &self.resends, &self.inbox);
            self.ratchets.sweep(cx.now, &in_use);
            self.group_keys.sweep(cx.now);
            self.directory.sweep(cx.now);
            self.note_sweep(cx.now);
        }
    }

    /// An idle session keeps next to nothing in memory, and then no timer either.
    fn note_sweep(&mut self, now: Timestamp) {
        let is_empty = self.ratchets.is_empty() && self.group_keys.is_empty() && self.directory.is_empty();
        if self.sweep_at.is_none() && !is_empty {
            self.sweep_at = Some(now + SWEEP_INTERVAL);
        }
    }
}

/// The ratchets that somebody waits with.
fn in_use<'a>(sends: &'a Sends, resends: &'a Resends, inbox: &'a Inbox) -> HashSet<&'a Address> {
    let sending = sends.in_use().chain(resends.in_use());
    sending.chain(inbox.in_use()).collect()
}
