//! What the server makes of how a message is labelled: what it can't read says what it is by attributes and nodes beside it.
//!
//! Facts: docs/PROTOCOL.md, "Message content".

use serde::Deserialize;
use whatsapp::binary::Node;

/// What becomes of a message by its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Nothing.
    Fine,
    /// It is refused with this code.
    Refused(u16),
    /// It is acknowledged, and nobody gets it.
    Lost,
}

/// Whether labels are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// As real servers do.
    #[default]
    Judged,
    /// Every message is taken as it is.
    Ignored,
}

impl Labels {
    pub(super) fn judge(self, message: &Node) -> Label {
        match self {
            Self::Judged => judge(message),
            Self::Ignored => Label::Fine,
        }
    }
}

fn judge(message: &Node) -> Label {
    if let Some(code) = flow_refusal(message) {
        return Label::Refused(code);
    }
    let fanned_out = message.child("participants").map(Node::nodes).unwrap_or_default();
    let copies = || {
        let fanned_out = fanned_out.iter().filter_map(|to| to.child("enc"));
        message.child("enc").into_iter().chain(fanned_out)
    };
    let is_unnamed = message.attr_is("type", "media") && copies().all(|enc| enc.value("mediatype").is_none());
    let is_revoke = ["7", "8"].iter().any(|edit| message.attr_is("edit", edit));
    // A reaction that is taken back has the same mark, and is hidden.
    let is_revoke = is_revoke && !message.attr_is("type", "reaction");
    let is_hidden = || copies().any(|enc| enc.attr_is("decrypt-fail", "hide"));
    if is_unnamed || is_revoke && is_hidden() {
        return Label::Lost;
    }
    Label::Fine
}

/// Why the node that goes with buttons and the like is refused.
fn flow_refusal(message: &Node) -> Option<u16> {
    let mut nodes = message.nodes().iter().filter(|child| child.is("biz"));
    let biz = nodes.next()?;
    if nodes.next().is_some() {
        return Some(BAD_SCHEMA);
    }
    let is_single = |list: &Node| list.attr_is("type", "single_select");
    if biz.child("buttons").is_some() || biz.child("list").is_some_and(is_single) {
        return Some(NOT_ALLOWED_NODE);
    }
    let interactive = biz.child("interactive")?;
    match interactive.child("native_flow") {
        None => Some(BAD_SCHEMA),
        Some(flow) if flow.attr_is("name", "mixed") => None,
        Some(_) => Some(BAD_FLOW),
    }
}

const NOT_ALLOWED_NODE: u16 = 405;
const BAD_FLOW: u16 = 473;
const BAD_SCHEMA: u16 = 479;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &'static str) -> Node {
        Node::new("message").attr("type", kind)
    }

    fn to(enc: Node) -> Node {
        Node::new("participants").with_child(Node::new("to").with_child(enc))
    }

    fn biz(child: Node) -> Node {
        Node::new("biz").with_child(child)
    }

    #[test]
    fn media_without_its_type_and_a_hidden_revoke_get_nowhere() {
        let enc = || Node::new("enc");
        let named = || enc().attr("mediatype", "image");
        let hidden = || enc().attr("decrypt-fail", "hide");
        for (node, label) in [
            (message("text").with_child(enc()), Label::Fine),
            (message("media").with_child(named()), Label::Fine),
            (message("media").with_child(to(named())), Label::Fine),
            (message("media").with_child(enc()), Label::Lost),
            (message("media").with_child(to(enc())), Label::Lost),
            (message("text").attr("edit", "7").with_child(enc()), Label::Fine),
            (
                message("text").attr("edit", "7").with_child(to(hidden())),
                Label::Lost,
            ),
            (
                message("text").attr("edit", "8").with_child(hidden()),
                Label::Lost,
            ),
            (
                message("text").attr("edit", "1").with_child(hidden()),
                Label::Fine,
            ),
            (
                message("reaction").attr("edit", "7").with_child(hidden()),
                Label::Fine,
            ),
        ] {
            assert_eq!(Labels::Judged.judge(&node), label, "{node:?}");
            assert_eq!(Labels::Ignored.judge(&node), Label::Fine);
        }
    }

    #[test]
    fn only_the_mixed_flow_goes_with_buttons() {
        let interactive = || Node::new("interactive").attr("type", "native_flow");
        let flow = |name: &'static str| interactive().with_child(Node::new("native_flow").attr("name", name));
        for (node, label) in [
            (biz(flow("mixed")), Label::Fine),
            (biz(Node::new("interactive_response")), Label::Fine),
            (biz(flow("cta_url")), Label::Refused(473)),
            (biz(interactive()), Label::Refused(479)),
            (biz(Node::new("buttons")), Label::Refused(405)),
            (
                biz(Node::new("list").attr("type", "single_select")),
                Label::Refused(405),
            ),
            (biz(Node::new("list").attr("type", "product_list")), Label::Fine),
        ] {
            assert_eq!(Labels::Judged.judge(&message("text").with_child(node)), label);
        }
        let twice = message("text")
            .with_child(biz(flow("mixed")))
            .with_child(biz(flow("mixed")));
        assert_eq!(Labels::Judged.judge(&twice), Label::Refused(479));
    }
}
