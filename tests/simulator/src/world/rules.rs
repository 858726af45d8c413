//! How an account addresses its chats, and what its phone says of that.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use prost::Message as _;
use serde::Deserialize;
use whatsapp::binary::Node;
use whatsapp::proto::ClientPairingProps;

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
