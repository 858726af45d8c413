//! Messages that may only go to somebody whom we know: who has written to us before, or has given us a token.
//!
//! Found out from what the store holds alone: somebody is new whose phone has never written to us in a direct chat, and of
//! whom we hold no token that still counts (the chats of the history that were begun before we were linked have one). The
//! server is asked nothing, no session is begun, and no ratchet moves. Who is known goes the way of every message from
//! there on, and shows the token.
//!
//! Facts: docs/PROTOCOL.md, "Restrictions".

use smallvec::SmallVec;

use super::sends::MAX_SENDS;
use super::waiting::addressee;
use crate::command::Outgoing;
use crate::e2e::{E2e, Peer, is_own};
use crate::event::SendError;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::signal::Address;
use crate::tokens::Tokens;

/// Messages of which it is being found out.
#[derive(Default)]
pub(super) struct KnownContacts {
    asked: Vec<Asked>,
}

struct Asked {
    outgoing: Box<Outgoing>,
    user: Jid,
    /// Whose ratchets tell, once all names of the user are known that the store has.
    peers: Option<SmallVec<[Peer; 2]>>,
}

impl KnownContacts {
    /// Takes a message of the owner. Gives it back if there is nothing to find out.
    pub(super) fn push(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        outgoing: Box<Outgoing>,
    ) -> Option<Box<Outgoing>> {
        if self.asked.iter().any(|asked| asked.outgoing.id == outgoing.id) {
            // The one that is under way answers for both.
            return None;
        }
        if self.asked.len() >= MAX_SENDS {
            cx.emit(SendError::Busy.event(outgoing.id));
            return None;
        }
        let user = match addressee(&outgoing.to) {
            Ok((user, _)) if !is_own(cx.device, &user) => user,
            // To ourselves, or to nobody: the sends know.
            _ => return Some(outgoing),
        };
        let is_named = e2e.directory.other_name(&user).is_some() || !e2e.ask_name(cx, &user);
        let peers = is_named.then(|| peers(cx, e2e, &user));
        self.asked.push(Asked {
            outgoing,
            user,
            peers,
        });
        None
    }

    /// The store has answered for the other name of a user.
    pub(super) fn on_name(&mut self, cx: &Context<'_>, e2e: &E2e, user: &Jid) {
        for asked in &mut self.asked {
            if asked.peers.is_none() && asked.user.same_user(user) {
                asked.peers = Some(peers(cx, e2e, user));
            }
        }
    }

    /// The next message that goes to somebody known. Those to new contacts are answered.
    pub(super) fn next_known(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        tokens: &mut Tokens,
    ) -> Option<Box<Outgoing>> {
        let mut at = 0;
        while let Some(asked) = self.asked.get(at) {
            let Some(is_known) = asked.is_known(cx, e2e, tokens) else {
                at += 1;
                continue;
            };
            let outgoing = self.asked.remove(at).outgoing;
            if is_known {
                return Some(outgoing);
            }
            cx.emit(SendError::NewContact.event(outgoing.id));
        }
        None
    }

    /// Forgets a message; false if it is not here.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) -> bool {
        let Some(at) = self.asked.iter().position(|asked| asked.outgoing.id == *id) else {
            return false;
        };
        self.asked.remove(at);
        cx.emit(SendError::Cancelled.event(id.clone()));
        true
    }

    /// The ratchets that messages wait for.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        let peers = self.asked.iter().filter_map(|asked| asked.peers.as_ref());
        peers.flatten().map(|peer| &peer.address)
    }

    /// Those whose tokens messages wait for.
    pub(super) fn users_in_use(&self) -> impl Iterator<Item = &Jid> {
        self.asked.iter().map(|asked| &asked.user)
    }

    /// The connection is over: every message gets an answer.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for asked in std::mem::take(&mut self.asked) {
            cx.emit(SendError::NotConnected.event(asked.outgoing.id));
        }
    }
}

impl Asked {
    /// Whether the user is known; `None` while the store is asked.
    fn is_known(&self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens) -> Option<bool> {
        let peers = self.peers.as_ref()?;
        // Both are read at once: the message needs both.
        let has_ratchets = e2e.ensure(cx, peers.iter());
        let has_tokens = tokens.ensure(cx, &e2e.directory, &self.user);
        let has_written = |peer: &Peer| e2e.ratchets.has_written(&peer.address);
        if !has_ratchets || !has_tokens {
            return None;
        }
        Some(peers.iter().any(has_written) || tokens.has_valid(cx, &e2e.directory, &self.user))
    }
}

/// The phone of a user, and the companions that are known of.
fn peers(cx: &Context<'_>, e2e: &E2e, user: &Jid) -> SmallVec<[Peer; 2]> {
    let list = e2e.directory.devices(cx.device, user, cx.now);
    let companions = list.map(|list| list.devices.as_slice()).unwrap_or_default();
    let companions = companions.iter().filter(|id| **id != 0);
    let devices = companions.map(|id| user.clone().with_device(*id));
    std::iter::once(user.clone())
        .chain(devices)
        .map(|jid| e2e.directory.peer(cx.device, jid))
        .collect()
}
