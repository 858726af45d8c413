//! Answers with prekey bundles. Simulated devices' keys are derived by the connection that writes them.

use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::signal::{PreKeyBundle, PreKeyId};

use super::stanza::iq_from_server;
use crate::number::DeviceAddr;
use crate::persona::Persona;
use crate::seed::Seed;

/// An answer with bundles, whose keys are not derived yet.
pub struct BundleReply {
    pub(super) id: String,
    pub(super) users: Vec<(Jid, BundleOf)>,
}

/// Whose bundle it is.
pub(super) enum BundleOf {
    /// A linked device: what it published.
    Linked(Box<PreKeyBundle>, Option<bytes::Bytes>),
    /// A simulated device: who, its one-time prekey, and the key index of a companion.
    Simulated(DeviceAddr, PreKeyId, Option<u32>),
}

impl BundleReply {
    /// The stanza. Derives keys: tens of microseconds for each simulated device.
    #[must_use]
    pub fn render(self, seed: &Seed) -> Node {
        let users = self.users.into_iter().map(|(jid, of)| {
            let (bundle, device_identity) = match of {
                BundleOf::Linked(bundle, device_identity) => (*bundle, device_identity),
                BundleOf::Simulated(who, one_time, key_index) => {
                    let persona = Persona::new(seed, who);
                    (
                        persona.bundle(one_time),
                        key_index.map(|index| persona.device_identity(index)),
                    )
                }
            };
            let user = Node::new("user")
                .attr("jid", jid)
                .with_child(Node::new("registration").with_slice(&bundle.registration_id.to_be_bytes()))
                .with_child(Node::new("type").with_slice(&[5]))
                .with_child(Node::new("identity").with_slice(bundle.identity.as_bytes()))
                .with_children(key_nodes(&bundle));
            match device_identity {
                Some(blob) => user.with_child(Node::new("device-identity").with_bytes(blob)),
                None => user,
            }
        });
        let list = Node::new("list").with_children(users);
        iq_from_server("result", &self.id).with_child(list)
    }
}

/// `<key>` and `<skey>` of a bundle.
pub(super) fn key_nodes(bundle: &PreKeyBundle) -> Vec<Node> {
    let signed = Node::new("skey")
        .with_child(Node::new("id").with_slice(&bundle.signed_prekey_id.to_be_bytes3()))
        .with_child(Node::new("value").with_slice(bundle.signed_prekey.as_bytes()))
        .with_child(Node::new("signature").with_slice(&bundle.signature));
    let one_time = bundle.prekey.map(|(id, key)| {
        Node::new("key")
            .with_child(Node::new("id").with_slice(&id.to_be_bytes3()))
            .with_child(Node::new("value").with_slice(key.as_bytes()))
    });
    std::iter::once(signed).chain(one_time).collect()
}
