//! Stanzas that the server says in many places.

use whatsapp::binary::Node;
use whatsapp::jid::Jid;

/// `<stream:error>`, with a code or as a conflict.
pub(super) fn stream_error(code: Option<u16>, conflict: Option<&'static str>) -> Node {
    let node = Node::new("stream:error").attr_opt("code", code);
    match conflict {
        Some(kind) => node.with_child(Node::new("conflict").attr("type", kind)),
        None => node,
    }
}

/// An `<iq>` from the server.
pub(super) fn iq_from_server(kind: &'static str, id: &str) -> Node {
    Node::new("iq")
        .attr("from", Jid::SERVER)
        .attr("type", kind)
        .attr("id", id)
}

/// An `<iq>` that says what is wrong.
pub(super) fn error(id: &str, code: u16, text: &'static str) -> Node {
    iq_from_server("error", id).with_child(Node::new("error").attr("code", code).attr("text", text))
}

/// `<ib>` of the server with one child.
pub(super) fn ib(child: Node) -> Node {
    Node::new("ib").attr("from", Jid::SERVER).with_child(child)
}

/// The head of a `<notification>`.
pub(super) fn notification(from: &Jid, kind: &'static str) -> Node {
    Node::new("notification").attr("from", from).attr("type", kind)
}

/// Whether this message is a copy of what another device of the own account sent: only a receipt of type `sender` ends its
/// delivery.
pub(super) fn is_own_copy(stanza: &Node) -> bool {
    stanza.is("message") && stanza.value("recipient").is_some()
}

/// The end of a stream whose client did not say that it has a copy.
pub(super) fn ack_missing(stanza: &Node) -> Node {
    let ack = Node::new("ack")
        .attr("class", "message")
        .attr_opt("type", stanza.value("type"))
        .attr_opt("id", stanza.value("id"));
    Node::new("stream:error").with_child(ack)
}
