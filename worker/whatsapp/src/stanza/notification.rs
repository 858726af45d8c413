//! Notifications of keys, devices and identities. All others only want an ack.
//!
//! Facts: docs/PROTOCOL.md, "Notifications".

use crate::binary::Node;
use crate::jid::Jid;

/// What a notification tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The server has few of our one-time prekeys left.
    FewPreKeys,
    /// The server wants its copy of our keys checked.
    CheckKeys,
    /// A contact registered anew: its sessions and devices are void.
    IdentityChanged {
        /// The user.
        user: Jid,
        /// The user by LID, if the notification tells it.
        lid: Option<Jid>,
    },
    /// A user's devices changed.
    Devices {
        /// The user.
        user: Jid,
        /// The user by LID, if the notification tells it.
        lid: Option<Jid>,
        /// Devices that are gone.
        removed: Vec<Jid>,
    },
    /// Our own devices changed.
    OwnDevices,
    /// Nothing that is acted on.
    Other,
}

impl Notification {
    /// Reads the stanza.
    #[must_use]
    pub fn parse(node: &Node) -> Self {
        Self::known(node).unwrap_or(Self::Other)
    }

    fn known(node: &Node) -> Option<Self> {
        let from = node.attr_jid("from")?;
        match node.attr_str("type")?.as_ref() {
            "encrypt" if node.child("identity").is_some() => Some(Self::IdentityChanged {
                user: from.to_bare(),
                lid: node.attr_jid("lid").filter(Jid::is_lid),
            }),
            "encrypt" if node.child("digest").is_some() => Some(Self::CheckKeys),
            "encrypt" => node.child("count").map(|_| Self::FewPreKeys),
            "devices" => {
                let removed = node.child("remove").map(Node::nodes).unwrap_or_default();
                Some(Self::Devices {
                    user: from.to_bare(),
                    lid: node.attr_jid("lid").filter(Jid::is_lid),
                    removed: removed
                        .iter()
                        .filter_map(|device| device.attr_jid("jid"))
                        .collect(),
                })
            }
            "account_sync" if node.child("devices").is_some() => Some(Self::OwnDevices),
            _ => None,
        }
    }
}

/// Our own name, if a notification of our own account tells it.
#[must_use]
pub fn own_name(node: &Node) -> Option<String> {
    node.attr_str("pushname").map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(kind: &str, from: &str) -> Node {
        Node::new("notification")
            .attr("id", "1")
            .attr("type", kind)
            .attr("from", from.parse::<Jid>().unwrap())
    }

    #[test]
    fn known_kinds_are_read() {
        let user: Jid = "15550002@s.whatsapp.net".parse().unwrap();
        let few =
            notification("encrypt", "@s.whatsapp.net").with_child(Node::new("count").attr("value", 4u32));
        assert_eq!(Notification::parse(&few), Notification::FewPreKeys);
        let anew = notification("encrypt", "15550002@s.whatsapp.net").with_child(Node::new("identity"));
        assert_eq!(
            Notification::parse(&anew),
            Notification::IdentityChanged {
                user: user.clone(),
                lid: None
            }
        );
        let device = Node::new("device").attr("jid", user.clone().with_device(5));
        let gone = notification("devices", "15550002@s.whatsapp.net")
            .attr("lid", "100@lid".parse::<Jid>().unwrap())
            .with_child(Node::new("remove").with_child(device));
        let expected = Notification::Devices {
            lid: "100@lid".parse().ok(),
            removed: vec![user.clone().with_device(5)],
            user,
        };
        assert_eq!(Notification::parse(&gone), expected);
        assert_eq!(
            Notification::parse(&notification("server_sync", "@s.whatsapp.net")),
            Notification::Other
        );
    }
}
