//! How an account addresses its chats, and what becomes of stanzas that do otherwise.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use prost::Message as _;
use serde::Deserialize;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::proto::ClientPairingProps;

use super::World;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// What the server and the phone hold of an account's addressing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountAddressing {
    /// Whether its chats are addressed by hidden id.
    #[serde(default = "yes")]
    pub migrated: bool,
    /// What the phone tells a companion of that when it links it.
    #[serde(default)]
    pub client_props: ClientProps,
    /// What becomes of a chat by number on a migrated account.
    #[serde(default)]
    pub by_number: ByNumber,
    /// Whether a migrated account that asks by number for the devices of others gets none.
    #[serde(default)]
    pub empty_lists: bool,
}

const fn yes() -> bool {
    true
}

impl Default for AccountAddressing {
    fn default() -> Self {
        Self {
            migrated: true,
            client_props: ClientProps::default(),
            by_number: ByNumber::default(),
            empty_lists: false,
        }
    }
}

/// What a phone says of its account in `pair-success`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientProps {
    /// The truth.
    #[default]
    Consistent,
    /// The opposite.
    Contradicting,
    /// Nothing.
    Absent,
    /// Bytes that are no properties.
    Rubbish,
}

/// What a migrated account gets for a message by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByNumber {
    /// An ack like any other.
    #[default]
    Accept,
    /// Error 463.
    Refuse,
}

/// Errors of the server in acks.
const MALFORMED: u16 = 400;
const NOT_MIGRATED: u16 = 400;
const NO_NUMBERS: u16 = 463;

impl AccountAddressing {
    /// The `client-props` of `pair-success`, if there are any.
    pub(super) fn props(self) -> Option<Node> {
        let says = |migrated| {
            let props = ClientPairingProps {
                is_chat_db_lid_migrated: Some(migrated),
                ..ClientPairingProps::default()
            };
            props.encode_to_vec()
        };
        let bytes = match self.client_props {
            ClientProps::Consistent => says(self.migrated),
            ClientProps::Contradicting => says(!self.migrated),
            ClientProps::Rubbish => vec![0xff; 7],
            ClientProps::Absent => return None,
        };
        Some(Node::new("client-props").with_bytes(bytes))
    }
}

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
