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
