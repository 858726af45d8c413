//! What becomes of stanzas that are not addressed as their account's are.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use whatsapp::binary::Node;
use whatsapp::jid::Jid;

use super::World;
use super::rules::{AccountAddressing, ByNumber};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// Errors of the server in acks.
const MALFORMED: u16 = 400;
const NOT_MIGRATED: u16 = 400;
/// Most other numbers under which contacts are found.
const MAX_SPELLINGS: usize = 100_000;
const NO_NUMBERS: u16 = 463;

impl World {
    pub(super) fn set_addressing(&mut self, number: Number, rules: AccountAddressing) -> Result<(), Refusal> {
        let account = self.accounts.get_mut(&number);
        account.ok_or_else(|| Refusal::unknown("number"))?.addressing = rules;
        Ok(())
    }

    /// A contact gets another hidden id; the old one still leads to it. Returns the new one.
    pub(super) fn renew_lid(&mut self, number: Number) -> Result<String, Refusal> {
        if !self.population.contains(number) {
            return Err(Refusal::unknown("number"));
        }
        self.seed.renew_lid(number);
        Ok(self
            .seed
            .jid(DeviceAddr::phone(number), Addressing::Lid)
            .to_string())
    }

    /// A contact is found under another number too, as accounts of some countries are: the answer to a look-up names its own.
    pub(super) fn spell(&mut self, number: Number, other: Number) -> Result<(), Refusal> {
        if !self.population.contains(number) {
            return Err(Refusal::unknown("number"));
        }
        if self.exists(other) || self.spellings.len() >= MAX_SPELLINGS {
            return Err(Refusal::conflict("number", "is taken, or there are too many"));
        }
        self.spellings.insert(other, number);
        Ok(())
    }

    /// Whether a chat is addressed by a hidden id that its user has not any more.
    pub(super) fn is_outdated(&self, chat: &Jid, who: DeviceAddr) -> bool {
        chat.is_lid() && *chat.user() != *self.seed.jid(who, Addressing::Lid).user()
    }

    /// The error for a fanned out message that is not addressed as its account's are, if it is one.
    pub(super) fn misaddressed(&mut self, from: DeviceAddr, node: &Node, form: Addressing) -> Option<u16> {
        let participants = node.child("participants")?;
        if node.attr_is("category", "peer") {
            return None;
        }
        let rules = self.accounts.get(&from.number)?.addressing;
        let named = participants.nodes_named("to");
        let named: Vec<_> = named
            .filter_map(|to| self.seed.resolve(&to.attr_jid("jid")?))
            .collect();
        let is_mixed = named.iter().any(|(_, other)| *other != form);
        let is_twice = |at: usize| named[..at].iter().any(|(who, _)| *who == named[at].0);
        let names_sender = named.iter().any(|(who, _)| *who == from);
        if is_mixed || names_sender || (0..named.len()).any(is_twice) {
            self.audit.count.violations += 1;
            self.audit.count.misaddressed += 1;
            return Some(MALFORMED);
        }
        match form {
            Addressing::Lid if !rules.migrated => {
                self.audit.count.misaddressed += 1;
                Some(NOT_MIGRATED)
            }
            Addressing::Pn if rules.migrated => {
                self.audit.count.numbers_on_migrated += 1;
                (rules.by_number == ByNumber::Refuse).then_some(NO_NUMBERS)
            }
            _ => None,
        }
    }
}
