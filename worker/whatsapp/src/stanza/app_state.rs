//! Collections of the app state: asking for one, what the server has of it, and adding to it.
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
    sync(wanted)
}

/// Adds a patch to the version that is held. The server numbers patches itself: one that says a number is not taken.
#[must_use]
pub fn upload(collection: &'static str, held: u64, mut patch: SyncdPatch) -> Node {
    patch.version = None;
    let changed = Node::new("collection")
        .attr("name", collection)
        .attr("version", held)
        .attr("return_snapshot", "false")
        .with_child(Node::new("patch").with_bytes(patch.encode_to_vec()));
    sync(changed)
}

fn sync(collection: Node) -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "w:sync:app:state")
        .with_child(Node::new("sync").with_child(collection))
}

/// What the server makes of a patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Uploaded {
    /// It has it, as the next of its collection.
    Taken,
    /// It does not follow what the server has; what is lacking may be here.
    Conflict(Update),
    /// It is refused with this code.
    Refused(u16),
}

/// Reads what the server makes of a patch of this collection.
///
/// # Errors
/// [`StanzaError`]: nothing of the collection is said, or it is of another form.
pub fn parse_upload(reply: &Node, collection: &str) -> Result<Uploaded, StanzaError> {
    let found = named(reply, collection)?;
    let Some(code) = refusal(found) else {
        return Ok(Uploaded::Taken);
    };
    match code {
        CONFLICT => contents(found).map(Uploaded::Conflict),
        code => Ok(Uploaded::Refused(code)),
    }
}

/// The code for a patch that does not follow what the server has.
const CONFLICT: u16 = 409;

/// Reads what the server has of the one collection that was asked for.
///
/// # Errors
/// [`StanzaError`]: the collection is missing, was refused, or is of another form.
pub fn parse(reply: &Node, collection: &str) -> Result<Update, StanzaError> {
    let found = named(reply, collection)?;
    match refusal(found) {
        Some(_) => Err(bad_content("collection")),
        None => contents(found),
    }
}

fn named<'a>(reply: &'a Node, collection: &str) -> Result<&'a Node, StanzaError> {
    let all = reply.require_child("sync")?;
    let mut found = all.nodes_named("collection");
    found
        .find(|node| node.attr_is("name", collection))
        .ok_or_else(|| bad_content("sync"))
}

/// The code that a collection is refused with, if it is.
fn refusal(collection: &Node) -> Option<u16> {
    let code = collection
        .child("error")
        .map(|error| error.attr_number("code").unwrap_or(500));
    code.or_else(|| collection.attr_is("type", "error").then_some(500))
}

fn contents(found: &Node) -> Result<Update, StanzaError> {
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
