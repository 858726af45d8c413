//! A message to our own phone, which no chat shows: devices of one account ask each other for things this way.

use std::collections::BTreeMap;

use super::E2e;
use super::directory::Peer;
use super::outcome::Fetched;
use super::plaintext::padded;
use super::ratchets::Ratchets;
use crate::device::Device;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::proto::Message;
use crate::signal::Address;
use crate::signal::session::EncryptError;
use crate::stanza::class::Class;
use crate::stanza::message::{EncKind, Push, ToOwnPhone};

/// A message to our own phone that has not left.
pub(crate) struct ToPhone {
    to: Jid,
    /// Where the ratchet with the phone is kept, as far as is known.
    address: Address,
    message: Message,
    push: Push,
    /// Under which id it was sent.
    sent: Option<MessageId>,
    /// A session is being started.
    is_fetching: bool,
}

impl ToPhone {
    /// A message; `None` if we are not paired.
    pub(crate) fn new(cx: &Context<'_>, message: Message) -> Option<Self> {
        let to = own_phone(cx.device)?;
        Some(Self {
            address: Address::new(&to),
            to,
            message,
            push: Push::High,
            sent: None,
            is_fetching: false,
        })
    }

    /// The same, brought like this.
    pub(crate) fn pushed(self, push: Push) -> Self {
        Self { push, ..self }
    }

    /// The id that it was sent under, if it was.
    pub(crate) fn sent(&self) -> Option<&MessageId> {
        self.sent.as_ref()
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
        // A chain that is used up gives nothing; the phone is asked another time.
        self.sent = send(cx, &mut e2e.ratchets, &peer, &self.message, self.push).ok();
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

/// Our phone, as messages to it are addressed: by number, on migrated accounts too. Clients do so unless the server has
/// set otherwise for the account.
pub(crate) fn own_phone(device: &Device) -> Option<Jid> {
    device.jid().map(Jid::to_bare)
}

/// Sends a message to our own phone, with which there is a session; answers its id, which is fresh.
///
/// # Errors
/// The chain with it is used up: nothing is sent.
pub(crate) fn send(
    cx: &mut Context<'_>,
    ratchets: &mut Ratchets,
    phone: &Peer,
    message: &Message,
    push: Push,
) -> Result<MessageId, EncryptError> {
    let plaintext = padded(message, cx.rng);
    let enc = ratchets.encrypt(cx, &phone.address, &plaintext)?;
    let proof = cx.device.account.as_ref().map(|account| account.identity.clone());
    let id = MessageId::generate(cx.now.as_secs(), phone.wire.user(), cx.rng);
    let stanza = ToOwnPhone {
        id: &id,
        to: &phone.wire,
        class: Class::of_message(message),
        push,
        device_identity: proof.filter(|_| enc.kind == EncKind::PreKey),
        enc,
    };
    cx.send(stanza.into_node());
    Ok(id)
}
