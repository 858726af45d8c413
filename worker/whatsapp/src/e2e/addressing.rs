//! Which of a person's two names a stanza uses.
//!
//! The account decides it, for all of its chats: once it is migrated they are addressed by hidden id, before by number.
//! All addresses of one stanza are of one kind; servers refuse a mixture. What the account is said to be may be wrong:
//! what the server refuses under one name and takes under the other is believed more.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use super::directory::{Directory, is_own};
use crate::device::Device;
use crate::jid::{Jid, Server};
use crate::part::Context;

/// Most people whose chats are known to be addressed otherwise than those of the account; the oldest are forgotten.
const MAX_EXCEPTIONS: usize = 64;

/// The two kinds of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// By phone number.
    Phone,
    /// By hidden id.
    Lid,
}

impl Space {
    /// The kind of this name.
    pub(crate) fn of(name: &Jid) -> Self {
        match name.server() {
            Server::Lid | Server::HostedLid => Self::Lid,
            _ => Self::Phone,
        }
    }

    /// The other kind.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Phone => Self::Lid,
            Self::Lid => Self::Phone,
        }
    }
}

/// What the answers of the server have shown on this connection.
#[derive(Default)]
pub(crate) struct Addressing {
    /// A message by number, and one by hidden id, was taken.
    accepted: [bool; 2],
    /// Users, by hidden id, whose chat is of the other kind than the account's.
    exceptions: Vec<Jid>,
}

impl Addressing {
    /// The chat with a user as its stanzas name it, without device. Another name than the given one only if it is known.
    pub(crate) fn chat(&self, device: &Device, directory: &Directory, user: &Jid) -> Jid {
        let usual = usual(device);
        if is_own(device, user) {
            return own_device(device, usual).map_or_else(|| user.clone(), Jid::to_bare);
        }
        let other = directory.other_name(user);
        let is_exception = !self.exceptions.is_empty() && {
            let lid = if user.is_lid() { Some(user) } else { other.as_ref() };
            lid.is_some_and(|lid| self.exceptions.contains(lid))
        };
        let space = if is_exception { usual.other() } else { usual };
        match other {
            Some(other) if Space::of(user) != space => other,
            _ => user.clone(),
        }
    }

    /// The server took a message to this chat. `refused` is the other name, if the same message was refused under it: then
    /// this is how the account addresses its chats; or this one chat, if other messages were taken under that kind of name.
    pub(crate) fn on_accepted(&mut self, cx: &mut Context<'_>, chat: &Jid, refused: Option<&Jid>) {
        let space = Space::of(chat);
        self.accepted[space as usize] = true;
        let Some(refused) = refused else { return };
        if !self.accepted[space.other() as usize] {
            tracing::debug!(
                by_lid = space == Space::Lid,
                "the server shows how the account addresses its chats"
            );
            if let Some(account) = &mut cx.device_mut().account {
                account.is_migrated = space == Space::Lid;
            }
            return self.exceptions.clear();
        }
        let lid = if chat.is_lid() { chat } else { refused };
        self.exceptions.retain(|exception| exception != lid);
        if space == usual(cx.device) {
            return;
        }
        if self.exceptions.len() >= MAX_EXCEPTIONS {
            self.exceptions.remove(0);
        }
        self.exceptions.push(lid.clone());
    }
}

/// How the account addresses its chats, as far as is known.
fn usual(device: &Device) -> Space {
    let is_migrated = device.account.as_ref().is_some_and(|account| account.is_migrated);
    // Without a hidden id of our own we could not name our own devices.
    match device.lid() {
        Some(_) if is_migrated => Space::Lid,
        _ => Space::Phone,
    }
}

/// Our own device, by this kind of name.
pub(crate) fn own_device(device: &Device, space: Space) -> Option<&Jid> {
    match space {
        Space::Lid => device.lid().or_else(|| device.jid()),
        Space::Phone => device.jid(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::device::Account;
    use crate::part::testing::Lender;

    const PHONE: &str = "15550002@s.whatsapp.net";
    const LID: &str = "100000000000002@lid";

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    fn lender(is_migrated: bool) -> Lender {
        let mut lender = Lender::new();
        lender.context().device_mut().account = Some(Account {
            jid: jid("15550001:3@s.whatsapp.net"),
            lid: Some(jid("100000000000001:3@lid")),
            identity: Bytes::new(),
            push_name: None,
            platform: String::new(),
            is_migrated,
            token_salt: None,
        });
        lender
    }

    fn chat(lender: &mut Lender, addressing: &Addressing, directory: &Directory, user: &str) -> String {
        let cx = lender.context();
        addressing.chat(cx.device, directory, &jid(user)).to_string()
    }

    #[test]
    fn the_account_decides_and_what_is_unknown_stays_as_it_is() {
        let (own, own_lid) = ("15550001@s.whatsapp.net", "100000000000001@lid");
        let (stranger, hidden) = ("15550009@s.whatsapp.net", "100000000000009@lid");
        for (is_migrated, ours, theirs) in [(true, own_lid, LID), (false, own, PHONE)] {
            let (mut lender, addressing) = (lender(is_migrated), Addressing::default());
            let mut directory = Directory::default();
            directory.recall(&jid(PHONE), &jid(LID));
            let mut expect = |user, expected| {
                let found = chat(&mut lender, &addressing, &directory, user);
                assert_eq!(found, expected, "{user}, migrated {is_migrated}");
            };
            expect(PHONE, theirs);
            expect(LID, theirs);
            expect(own, ours);
            expect(own_lid, ours);
            expect(stranger, stranger);
            expect(hidden, hidden);
        }
    }

    #[test]
    fn what_the_server_takes_counts_more_than_what_the_account_is_said_to_be() {
        let mut directory = Directory::default();
        directory.recall(&jid(PHONE), &jid(LID));
        for (is_migrated, taken, refused) in [(true, PHONE, LID), (false, LID, PHONE)] {
            let (mut lender, mut addressing) = (lender(is_migrated), Addressing::default());
            let (taken_jid, refused) = (jid(taken), jid(refused));
            addressing.on_accepted(&mut lender.context(), &taken_jid, Some(&refused));
            assert_eq!(chat(&mut lender, &addressing, &directory, PHONE), taken);
            let account = lender.context().device.account.clone().unwrap();
            assert_eq!(account.is_migrated, !is_migrated, "kept");
        }
    }

    #[test]
    fn one_chat_that_is_refused_among_others_says_nothing_of_the_account() {
        let (mut lender, mut addressing) = (lender(true), Addressing::default());
        let mut directory = Directory::default();
        let lid = |n: usize| Jid::new(format!("2000{n}"), Server::Lid);
        let phone = |n: usize| Jid::phone(&format!("{}", 15_560_000 + n)).unwrap();
        addressing.on_accepted(&mut lender.context(), &lid(0), None);
        for n in 0..2 * MAX_EXCEPTIONS {
            directory.recall(&phone(n), &lid(n));
            addressing.on_accepted(&mut lender.context(), &phone(n), Some(&lid(n)));
            assert!(addressing.exceptions.len() <= MAX_EXCEPTIONS);
        }
        let last = 2 * MAX_EXCEPTIONS - 1;
        let cx = lender.context();
        assert!(cx.device.account.as_ref().unwrap().is_migrated);
        assert_eq!(addressing.chat(cx.device, &directory, &lid(last)), phone(last));
        assert_eq!(
            addressing.chat(cx.device, &directory, &phone(0)),
            lid(0),
            "forgotten"
        );
    }
}
