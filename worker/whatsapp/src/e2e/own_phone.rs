//! A message to our own phone, which no chat shows: devices of one account ask each other for things this way.

use std::collections::BTreeMap;

use super::E2e;
use super::outcome::Fetched;
use super::plaintext::padded;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::proto::Message;
use crate::signal::Address;
use crate::stanza::class::Class;
use crate::stanza::message::{EncKind, Push, ToOwnPhone};

/// A message to our own phone that has not left.
pub(crate) struct ToPhone {
    id: MessageId,
    to: Jid,
    /// Where the ratchet with the phone is kept, as far as is known.
    address: Address,
    message: Message,
    /// A session is being started.
    is_fetching: bool,
}

impl ToPhone {
    /// A message under a fresh id; `None` if we are not paired.
    pub(crate) fn new(cx: &mut Context<'_>, message: Message) -> Option<Self> {
        let to = cx.device.jid()?.to_bare();
        Some(Self {
            id: MessageId::generate(cx.now.as_secs(), to.user(), cx.rng),
            address: Address::new(&to),
            to,
            message,
            is_fetching: false,
        })
    }

    /// The ratchet that it waits for.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What it says.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    /// Sends it, if there is a session with our phone; else wants one. True when there is nothing left to do.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) -> bool {
        let peer = e2e.directory.peer(cx.device, self.to.clone());
        self.address = peer.address.clone();
        if !e2e.ensure(cx, std::iter::once(&peer)) {
            return false;
        }
        if !e2e.ratchets.has_session(cx.device, &peer.address) {
            if !std::mem::replace(&mut self.is_fetching, true) {
                e2e.want_session(&peer.address);
            }
            return false;
        }
        let plaintext = padded(&self.message, cx.rng);
        // A chain that is used up gives nothing; the phone is asked another time.
        if let Ok(enc) = e2e.ratchets.encrypt(cx, &peer.address, &plaintext) {
            let proof = cx.device.account.as_ref().map(|account| account.identity.clone());
            let stanza = ToOwnPhone {
                id: &self.id,
                to: &self.to,
                class: Class::of_message(&self.message),
                push: Push::High,
                device_identity: proof.filter(|_| enc.kind == EncKind::PreKey),
                enc,
            };
            cx.send(stanza.into_node());
        }
        true
    }

    /// Bundles were fetched: whether there can be no session with our phone.
    pub(crate) fn has_failed(&mut self, fetched: &BTreeMap<Address, Fetched>) -> bool {
        let of_phone = fetched.get(&self.address);
        if of_phone.is_some() {
            self.is_fetching = false;
        }
        of_phone.is_some_and(|outcome| *outcome != Fetched::Session)
    }
}
