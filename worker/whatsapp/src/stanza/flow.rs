//! The nodes that go with a message of the native flow: without them it is taken and shown nowhere.
//!
//! Facts: docs/PROTOCOL.md, "Message content". Reported by others, and not to be had from anybody who would have to know.

use super::class::Class;
use crate::binary::Node;
use crate::jid::Jid;
use crate::time::Timestamp;

/// Adds the nodes to a message of this class, sent to `chat` at `now`.
pub(super) fn push(message: &mut Node, class: &Class, chat: &Jid, now: Timestamp) {
    if !class.native_flow {
        return;
    }
    if !chat.is_group() {
        message.push_child(Node::new("bot").attr("biz_bot", "1"));
    }
    message.push_child(biz(now));
}

fn biz(now: Timestamp) -> Node {
    let flow = Node::new("native_flow").attr("v", "9").attr("name", "mixed");
    let interactive = Node::new("interactive")
        .attr("type", "native_flow")
        .attr("v", "1")
        .with_child(flow);
    Node::new("biz")
        .attr("actual_actors", "2")
        .attr("host_storage", "2")
        .attr(
            "privacy_mode_ts",
            now.as_secs().saturating_sub(PRIVACY_MODE_AGE_SECS),
        )
        .with_child(interactive)
        .with_child(Node::new("quality_control").attr("source_type", "third_party"))
}

/// How long ago the business is said to have chosen its privacy mode.
const PRIVACY_MODE_AGE_SECS: u64 = 77_980_457;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;

    fn nodes(message: &Message, chat: &str) -> Node {
        let mut node = Node::new("message");
        let now = Timestamp::from_secs(1_798_099_200);
        push(
            &mut node,
            &Class::of_message(message),
            &chat.parse().unwrap(),
            now,
        );
        node
    }

    #[test]
    fn a_flow_goes_with_one_biz_and_to_a_person_with_a_bot() {
        let flow = Message {
            interactive_message: Some(Box::default()),
            ..Message::default()
        };
        let sent = nodes(&flow, "15550002@s.whatsapp.net");
        assert!(sent.child("bot").unwrap().attr_is("biz_bot", "1"));
        let biz = sent.child("biz").unwrap();
        assert!(biz.attr_is("privacy_mode_ts", "1720118743"));
        let interactive = biz.child("interactive").unwrap();
        assert!(interactive.attr_is("type", "native_flow"));
        assert!(interactive.child("native_flow").unwrap().attr_is("name", "mixed"));
        let to_group = nodes(&flow, "1-2@g.us");
        assert!(to_group.child("bot").is_none() && to_group.child("biz").is_some());
        assert!(
            nodes(&Message::default(), "15550002@s.whatsapp.net")
                .nodes()
                .is_empty()
        );
    }
}
