//! A stanza in binary form: what is read as a node is written and read again as the same one.

use bytes::Bytes;
use whatsapp::binary::{Node, decode, encode};

/// The flags byte of a stanza that is not compressed.
const PLAIN: u8 = 0;

pub(super) fn run(data: &[u8]) {
    let Ok(node) = decode(Bytes::copy_from_slice(data)) else {
        return;
    };
    look(&node);
    let mut written = Vec::new();
    encode(&node, &mut written);
    assert_eq!(written.first(), Some(&PLAIN), "written without compression");
    let again = decode(Bytes::copy_from_slice(&written)).expect("what we write can be read");
    let mut twice = Vec::new();
    encode(&again, &mut twice);
    assert_eq!(written, twice, "the same node has the same form");
}

/// Reads all that parts of the library read of a node.
fn look(node: &Node) {
    let _ = (node.tag().len(), node.text(), node.data(), node.bytes());
    for (key, value) in node.attrs.iter() {
        let key = key.as_str();
        let text = value.as_str();
        assert!(node.value(key).is_some(), "an attribute is found by its name");
        let _ = (
            value.to_jid(),
            value.is(&text),
            node.attr_u64(key),
            node.attr_jid(key),
        );
    }
    node.nodes().iter().for_each(look);
}
