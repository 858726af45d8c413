//! The settings that the server keeps for an account, as it answers them.
//!
//! Facts: docs/PROTOCOL.md, "Properties".

use std::collections::BTreeMap;

use whatsapp::binary::Node;

use super::stanza::iq_from_server;

/// Most properties of one account that were set.
const MAX_SET: usize = 10_000;

/// The properties of one account: those that every account has, and those that a test has set.
#[derive(Default)]
pub(super) struct Properties {
    set: BTreeMap<u32, Vec<String>>,
    refresh: Option<String>,
}

/// What a test sets.
#[derive(Clone, Debug, Default)]
pub struct PropertyChange {
    /// The values of each property, as they stand in the answer: none takes it out, several contradict each other.
    pub values: BTreeMap<u32, Vec<String>>,
    /// After how many seconds a client is to ask again, whatever it may say.
    pub refresh: Option<String>,
}

impl Properties {
    /// Sets some; the others stay as they are. False if there would be too many.
    pub(super) fn change(&mut self, change: PropertyChange) -> bool {
        if self.set.len() + change.values.len() > MAX_SET {
            return false;
        }
        self.set.extend(change.values);
        self.refresh = change.refresh.or_else(|| self.refresh.take());
        true
    }

    /// The answer to the question for all of them. The server has some 2,400; a few stand for those that nobody reads.
    pub(super) fn answer(&self, id: &str) -> Node {
        let default = DEFAULT.iter().filter(|(code, _)| !self.set.contains_key(code));
        let default = default.map(|(code, value)| prop(*code, value));
        let set = self
            .set
            .iter()
            .flat_map(|(code, values)| values.iter().map(|value| prop(*code, value)));
        let sampling = Node::new("prop")
            .attr("event_code", 1_144u32)
            .attr("sampling_weight", 20u32);
        let props = Node::new("props")
            .attr("protocol", "1")
            .attr("hash", "simulator")
            .attr("refresh", self.refresh.as_deref().unwrap_or("86400"))
            .with_children(default.chain(set).chain([sampling]));
        iq_from_server("result", id).with_child(props)
    }

    /// A number that counts: the last that was set, or what every account has.
    pub(super) fn number(&self, code: u32) -> Option<u64> {
        match self.set.get(&code) {
            Some(values) => values.last()?.parse().ok(),
            None => DEFAULT.iter().find(|(known, _)| *known == code)?.1.parse().ok(),
        }
    }
}

fn prop(code: u32, value: &str) -> Node {
    Node::new("prop")
        .attr("config_code", code)
        .attr("config_value", value)
}

/// What every account has.
const DEFAULT: [(u32, &str); 7] = [
    (RECEIVED_SECS, "604800"),
    (RECEIVED_COUNT, "4"),
    (ISSUED_SECS, "604800"),
    (997, "4"),
    (3639, "14"),
    (9666, "1"),
    (10_518, "1"),
];

/// How long a bucket is for the token of somebody else, in seconds.
pub(super) const RECEIVED_SECS: u32 = 865;
/// How many of these count.
pub(super) const RECEIVED_COUNT: u32 = 909;
/// How long a bucket is for an own token, in seconds.
pub(super) const ISSUED_SECS: u32 = 996;
