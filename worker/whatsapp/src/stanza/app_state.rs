//! Collections of the app state: asking for one, and what the server has of it.
//!
//! Facts: docs/PROTOCOL.md, "App state".

use prost::Message as _;

use super::bad_content;
use crate::binary::{Node, StanzaError};
use crate::jid::Jid;
use crate::proto::{ExternalBlobReference, SyncdPatch};

/// What the server has of a collection that we do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Where to get everything.
    pub snapshot: Option<ExternalBlobReference>,
    /// What followed, in order.
    pub patches: Vec<SyncdPatch>,
    /// Whether to ask again from the last of them.
    pub has_more: bool,
}

/// Asks for what follows the version that is held, or for everything.
#[must_use]
pub fn fetch(collection: &'static str, held: Option<u64>) -> Node {
    let wanted = Node::new("collection")
        .attr("name", collection)
        .attr_opt("version", held)
        .attr("return_snapshot", if held.is_some() { "false" } else { "true" });
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "w:sync:app:state")
        .with_child(Node::new("sync").with_child(wanted))
}

/// Reads what the server has of the one collection that was asked for.
///
/// # Errors
/// [`StanzaError`]: the collection is missing, was refused, or is of another form.
pub fn parse(reply: &Node, collection: &str) -> Result<Update, StanzaError> {
    let all = reply.require_child("sync")?;
    let found = all
        .nodes_named("collection")
        .find(|node| node.attr_is("name", collection))
        .ok_or_else(|| bad_content("sync"))?;
    if found.attr_is("type", "error") || found.child("error").is_some() {
        return Err(bad_content("collection"));
    }
    let snapshot = found.child("snapshot").map(|node| {
        let bytes = node.bytes().ok_or_else(|| bad_content("snapshot"))?;
        ExternalBlobReference::decode(bytes).map_err(|_| bad_content("snapshot"))
    });
    let patches = found.child("patches").map(Node::nodes).unwrap_or_default();
    let patches = patches.iter().map(|node| {
        let bytes = node.bytes().ok_or_else(|| bad_content("patch"))?;
        SyncdPatch::decode(bytes).map_err(|_| bad_content("patch"))
    });
    Ok(Update {
        snapshot: snapshot.transpose()?,
        patches: patches.collect::<Result<_, _>>()?,
        has_more: found.attr_is("has_more_patches", "true"),
    })
}

/// The collections that a `server_sync` notification says have changed.
pub fn changed(notification: &Node) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let all = notification.nodes_named("collection");
    all.filter_map(|node| node.attr_str("name"))
}
