//! What an account lets others know of it: whether whoever wrote is told that it was read.
//!
//! Facts: docs/PROTOCOL.md, "Receipts".

use crate::binary::Node;
use crate::jid::Jid;

/// Asks for the account's settings, without an id.
#[must_use]
pub fn query() -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "get")
        .attr("xmlns", "privacy")
        .with_child(Node::new("privacy"))
}

/// Whether senders are told that their messages were read, as an answer or a notification says it; `None` if it says
/// nothing of that. Only `all` lets them be told.
#[must_use]
pub fn tells_of_reading(stanza: &Node) -> Option<bool> {
    let categories = stanza.child("privacy")?.nodes_named("category");
    let mut receipts = categories.filter(|category| category.attr_is("name", "readreceipts"));
    receipts.next().map(|category| category.attr_is("value", "all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_lets_senders_be_told() {
        let of = |name: &'static str, value: &'static str| {
            let category = Node::new("category").attr("name", name).attr("value", value);
            let other = Node::new("category").attr("name", "last").attr("value", "all");
            let privacy = Node::new("privacy").with_children([other, category]);
            tells_of_reading(&Node::new("iq").with_child(privacy))
        };
        assert_eq!(of("readreceipts", "all"), Some(true));
        assert_eq!(of("readreceipts", "none"), Some(false));
        assert_eq!(of("readreceipts", "rubbish"), Some(false));
        assert_eq!(of("online", "all"), None);
        assert_eq!(tells_of_reading(&Node::new("iq")), None);
    }
}
