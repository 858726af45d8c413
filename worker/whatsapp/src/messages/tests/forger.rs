//! Somebody who is no client.

use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::network::Network;
use crate::binary::Node;
use crate::device::AdvSecret;
use crate::jid::Jid;
use crate::pairing::adv;
use crate::proto::Message;
use crate::server::adv::{DeviceDetails, Hosting, issue};
use crate::signal::curve::KeyPair;
use crate::signal::session::{LocalIdentity, SessionRecord};
use crate::signal::{PreKeyBundle, RegistrationId, SignedPreKey, SignedPreKeyId, padding};

/// Somebody who encrypts whatever a test wants, for one client.
pub(super) struct Forger {
    record: SessionRecord,
    keys: KeyPair,
}

impl Forger {
    pub(super) fn new(network: &mut Network, target: usize) -> Self {
        Self::with_keys(network, target, KeyPair::generate(&mut StdRng::seed_from_u64(5)))
    }

    /// Somebody with this identity.
    pub(super) fn with_keys(network: &mut Network, target: usize, keys: KeyPair) -> Self {
        let bundle = network.take_bundle(target);
        let mut rng = StdRng::seed_from_u64(6);
        let mut record = SessionRecord::default();
        let own = LocalIdentity {
            pair: &keys,
            registration_id: RegistrationId::new(9),
        };
        record.initiate(own, &bundle, &mut rng).unwrap();
        Self { record, keys }
    }

    pub(super) fn enc(&mut self, padded: &[u8]) -> Node {
        let own = LocalIdentity {
            pair: &self.keys,
            registration_id: RegistrationId::new(9),
        };
        let ciphertext = self
            .record
            .encrypt(own, padded, &mut StdRng::seed_from_u64(9))
            .unwrap();
        Node::new("enc")
            .attr("v", "2")
            .attr("type", ciphertext.kind.as_str())
            .with_bytes(ciphertext.bytes)
    }

    pub(super) fn stanza(&mut self, from: &Jid, id: &str, message: &Message) -> Node {
        let node = Node::new("message")
            .attr("id", id)
            .attr("from", from)
            .attr("t", 1u64);
        node.with_child(self.enc(&padded(message)))
    }

    /// A message without sender that an account of nobody's vouches for, and says so.
    pub(super) fn proven_by_another(&mut self, message: &Message) -> Node {
        let mut rng = StdRng::seed_from_u64(667);
        let (account, secret) = (KeyPair::generate(&mut rng), AdvSecret::generate(&mut rng));
        let details = DeviceDetails {
            raw_id: 1,
            timestamp: 1,
            key_index: 1,
            hosting: Hosting::Own,
        };
        let container = issue(&account, self.keys.public(), &secret, details, &mut rng);
        let proof = adv::accept(&container, &secret, &self.keys, &mut rng)
            .unwrap()
            .identity;
        let node = Node::new("message").attr("t", 1u64).attr("id", "A");
        node.with_child(self.enc(&padded(message)))
            .with_child(Node::new("device-identity").with_bytes(proof))
    }

    /// A good bundle of somebody with this identity.
    pub(super) fn bundle_of(keys: &KeyPair) -> PreKeyBundle {
        let mut rng = StdRng::seed_from_u64(8);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, keys, &mut rng);
        PreKeyBundle {
            registration_id: RegistrationId::new(9),
            identity: *keys.public(),
            signed_prekey_id: signed.id,
            signed_prekey: *signed.pair.public(),
            signature: signed.signature,
            prekey: None,
        }
    }
}

fn padded(message: &Message) -> Vec<u8> {
    let mut padded = message.encode_to_vec();
    padding::pad(&mut padded, &mut StdRng::seed_from_u64(1));
    padded
}
