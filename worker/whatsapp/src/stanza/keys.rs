//! Prekey stanzas (name space `encrypt`): count, upload, rotation, digest and bundles.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::bad_content;
use crate::binary::{Node, StanzaError};
use crate::jid::Jid;
use crate::signal::curve::{KEY_TYPE, PublicKey, SIGNATURE_SIZE_BYTES};
use crate::signal::{PreKeyBundle, PreKeyId, RegistrationId, SignedPreKey, SignedPreKeyId};

/// Name space of the requests.
pub const XMLNS: &str = "encrypt";
/// Most devices in one bundle request that we send.
pub const MAX_BUNDLES: usize = 128;

/// The code that the server gives for a device that is not linked any more.
pub const ERROR_UNREGISTERED: u32 = 406;

fn request(kind: &'static str) -> Node {
    Node::new("iq")
        .attr("xmlns", XMLNS)
        .attr("type", kind)
        .attr("to", Jid::SERVER)
}

/// Asks how many one-time prekeys the server has left of ours.
#[must_use]
pub fn count_request() -> Node {
    request("get").with_child(Node::new("count"))
}

/// Reads the answer to [`count_request`], and the count of a low-prekey notification.
#[must_use]
pub fn count(node: &Node) -> Option<u32> {
    node.child("count")?.attr_number("value")
}

/// Asks for the server's digest of our keys.
#[must_use]
pub fn digest_request() -> Node {
    request("get").with_child(Node::new("digest"))
}

/// Replaces our signed prekey at the server.
#[must_use]
pub fn rotate_request(signed: &SignedPreKey) -> Node {
    request("set").with_child(Node::new("rotate").with_child(PublicSignedPreKey::from(signed).to_node()))
}

/// The public part of a signed prekey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicSignedPreKey {
    /// Its id.
    pub id: SignedPreKeyId,
    /// Its key.
    pub key: PublicKey,
    /// The identity's signature over it.
    pub signature: [u8; SIGNATURE_SIZE_BYTES],
}

impl From<&SignedPreKey> for PublicSignedPreKey {
    fn from(signed: &SignedPreKey) -> Self {
        Self {
            id: signed.id,
            key: *signed.pair.public(),
            signature: signed.signature,
        }
    }
}

impl PublicSignedPreKey {
    /// `<skey>`.
    #[must_use]
    pub fn to_node(&self) -> Node {
        Node::new("skey")
            .with_child(leaf("id", &self.id.to_be_bytes3()))
            .with_child(leaf("value", self.key.as_bytes()))
            .with_child(leaf("signature", &self.signature))
    }

    /// Reads `<skey>`.
    ///
    /// # Errors
    /// If a part is missing or has another length. The signature is not checked here.
    pub fn parse(node: &Node) -> Result<Self, StanzaError> {
        let id = node.require_child("id")?.require_array::<3>()?;
        Ok(Self {
            id: SignedPreKeyId::from_be_bytes3(&id).ok_or_else(|| bad_content("id"))?,
            key: PublicKey::new(node.require_child("value")?.require_array()?),
            signature: node.require_child("signature")?.require_array()?,
        })
    }
}

/// `<key>` of a one-time prekey.
#[must_use]
pub fn prekey_node(id: PreKeyId, key: &PublicKey) -> Node {
    Node::new("key")
        .with_child(leaf("id", &id.to_be_bytes3()))
        .with_child(leaf("value", key.as_bytes()))
}

fn prekey(node: &Node) -> Result<(PreKeyId, PublicKey), StanzaError> {
    let id = node.require_child("id")?.require_array::<3>()?;
    let id = PreKeyId::from_be_bytes3(&id).ok_or_else(|| bad_content("id"))?;
    Ok((id, PublicKey::new(node.require_child("value")?.require_array()?)))
}

/// Everything a device publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The installation.
    pub registration_id: RegistrationId,
    /// The identity.
    pub identity: PublicKey,
    /// One-time prekeys to add.
    pub prekeys: Vec<(PreKeyId, PublicKey)>,
    /// The signed prekey.
    pub signed: PublicSignedPreKey,
}

impl Upload {
    /// The iq, without its id.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let keys = self.prekeys.iter().map(|(id, key)| prekey_node(*id, key));
        request("set")
            .with_child(leaf("registration", &self.registration_id.to_be_bytes()))
            .with_child(leaf("type", &[KEY_TYPE]))
            .with_child(leaf("identity", self.identity.as_bytes()))
            .with_child(Node::new("list").with_children(keys))
            .with_child(self.signed.to_node())
    }

    /// Reads the iq (the server's side).
    ///
    /// # Errors
    /// If a part is missing or has another length.
    pub fn parse(iq: &Node) -> Result<Self, StanzaError> {
        let list = iq.require_child("list")?;
        Ok(Self {
            registration_id: registration(iq)?,
            identity: identity(iq)?,
            prekeys: list.nodes_named("key").map(prekey).collect::<Result<_, _>>()?,
            signed: PublicSignedPreKey::parse(iq.require_child("skey")?)?,
        })
    }
}

fn registration(node: &Node) -> Result<RegistrationId, StanzaError> {
    let id = node.require_child("registration")?.require_array::<4>()?;
    Ok(RegistrationId::new(u32::from_be_bytes(id)))
}

fn identity(node: &Node) -> Result<PublicKey, StanzaError> {
    Ok(PublicKey::new(node.require_child("identity")?.require_array()?))
}

/// The keys of one device as the server hands them out, or as a retry receipt carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What a session is started with. Its signature is not checked here.
    pub keys: PreKeyBundle,
    /// The account's signature over a companion (`ADVSignedDeviceIdentity`).
    pub device_identity: Option<Bytes>,
}

impl Bundle {
    /// Reads the children of `<user>`, or of `<keys>` in it.
    ///
    /// # Errors
    /// If a part is missing or has another length.
    pub fn parse(user: &Node) -> Result<Self, StanzaError> {
        let keys = user.child("keys").unwrap_or(user);
        let registration_id = registration(user).or_else(|_| registration(keys))?;
        let device_identity = user
            .child("device-identity")
            .and_then(Node::bytes)
            .or_else(|| keys.child("device-identity").and_then(Node::bytes));
        Self::from_keys(keys, registration_id, device_identity)
    }

    /// Reads `<keys>` of a retry receipt, whose registration id stands beside it.
    ///
    /// # Errors
    /// If a part is missing or has another length.
    pub fn parse_keys(keys: &Node, registration_id: RegistrationId) -> Result<Self, StanzaError> {
        let device_identity = keys.child("device-identity").and_then(Node::bytes);
        Self::from_keys(keys, registration_id, device_identity)
    }

    fn from_keys(
        keys: &Node,
        registration_id: RegistrationId,
        device_identity: Option<Bytes>,
    ) -> Result<Self, StanzaError> {
        let signed = PublicSignedPreKey::parse(keys.require_child("skey")?)?;
        let keys = PreKeyBundle {
            registration_id,
            identity: identity(keys)?,
            signed_prekey_id: signed.id,
            signed_prekey: signed.key,
            signature: signed.signature,
            prekey: keys.child("key").map(prekey).transpose()?,
        };
        Ok(Self {
            keys,
            device_identity,
        })
    }

    /// The children of `<user>` (the server's side).
    #[must_use]
    pub fn to_nodes(&self) -> Vec<Node> {
        let keys = &self.keys;
        let signed = PublicSignedPreKey {
            id: keys.signed_prekey_id,
            key: keys.signed_prekey,
            signature: keys.signature,
        };
        let mut nodes = vec![
            leaf("registration", &keys.registration_id.to_be_bytes()),
            leaf("type", &[KEY_TYPE]),
            leaf("identity", keys.identity.as_bytes()),
            signed.to_node(),
        ];
        nodes.extend(keys.prekey.map(|(id, key)| prekey_node(id, &key)));
        let identity = self.device_identity.clone();
        nodes.extend(identity.map(|identity| Node::new("device-identity").with_bytes(identity)));
        nodes
    }
}

/// Asks for the bundles of these devices. The server hands out one one-time prekey of each.
#[must_use]
pub fn bundles_request<'a>(devices: impl Iterator<Item = &'a Jid>) -> Node {
    let users = devices.map(|jid| Node::new("user").attr("jid", jid));
    request("get").with_child(Node::new("key").with_children(users))
}

/// Whose bundles are asked for (the server's side); `None` if it is no such request.
#[must_use]
pub fn bundles_asked(iq: &Node) -> Option<Vec<Jid>> {
    Some(
        iq.child("key")?
            .nodes_named("user")
            .filter_map(|user| user.attr_jid("jid"))
            .collect(),
    )
}

/// Why there is no bundle for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBundle {
    /// The server's code; see [`ERROR_UNREGISTERED`].
    Refused(u32),
    /// What the server sent is no bundle.
    Malformed(StanzaError),
}

/// What the server has for one device.
pub type Handed = (Jid, Result<Bundle, NoBundle>);

/// Reads the answer to [`bundles_request`]: a bundle or a reason for each device that it names.
///
/// # Errors
/// If it has no list.
pub fn bundles(iq: &Node) -> Result<Vec<Handed>, StanzaError> {
    let list = iq.require_child("list")?;
    let bundle = |user: &Node| {
        let jid = user.attr_jid("jid")?;
        let result = match user.child("error") {
            Some(error) => Err(NoBundle::Refused(error.attr_number("code").unwrap_or_default())),
            None => Bundle::parse(user).map_err(NoBundle::Malformed),
        };
        Some((jid, result))
    };
    Ok(list.nodes_named("user").filter_map(bundle).collect())
}

/// The result iq of a bundle request (the server's side), without `id`.
#[must_use]
pub fn bundles_response(bundles: &[(Jid, Result<Bundle, u32>)]) -> Node {
    let users = bundles.iter().map(|(jid, bundle)| {
        let user = Node::new("user").attr("jid", jid);
        match bundle {
            Ok(bundle) => user.with_children(bundle.to_nodes()),
            Err(code) => {
                let error = Node::new("error").attr("code", *code);
                user.with_child(error.attr("text", "not-acceptable"))
            }
        }
    });
    Node::new("iq")
        .attr("type", "result")
        .attr("from", Jid::SERVER)
        .with_child(Node::new("list").with_children(users))
}

/// What the server holds of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDigest {
    /// The installation.
    pub registration_id: RegistrationId,
    /// The identity.
    pub identity: PublicKey,
    /// The signed prekey.
    pub signed: PublicSignedPreKey,
    /// The one-time prekeys, in the order of the hash.
    pub prekeys: Vec<PreKeyId>,
    /// SHA-1 over the keys; see [`digest_hash`].
    pub hash: [u8; 20],
}

impl KeyDigest {
    /// Reads the answer to [`digest_request`].
    ///
    /// # Errors
    /// If a part is missing; servers may answer with an empty `<digest/>`.
    pub fn parse(iq: &Node) -> Result<Self, StanzaError> {
        let digest = iq.require_child("digest")?;
        let id = |node: &Node| PreKeyId::from_be_bytes3(&node.data()?);
        Ok(Self {
            registration_id: registration(digest)?,
            identity: identity(digest)?,
            signed: PublicSignedPreKey::parse(digest.require_child("skey")?)?,
            prekeys: digest
                .require_child("list")?
                .nodes_named("id")
                .filter_map(id)
                .collect(),
            hash: digest.require_child("hash")?.require_array()?,
        })
    }

    /// `<digest>` (the server's side).
    #[must_use]
    pub fn to_node(&self) -> Node {
        let ids = self.prekeys.iter().map(|id| leaf("id", &id.to_be_bytes3()));
        Node::new("digest")
            .with_child(leaf("registration", &self.registration_id.to_be_bytes()))
            .with_child(leaf("type", &[KEY_TYPE]))
            .with_child(leaf("identity", self.identity.as_bytes()))
            .with_child(self.signed.to_node())
            .with_child(Node::new("list").with_children(ids))
            .with_child(leaf("hash", &self.hash))
    }
}

/// The hash of a [`KeyDigest`].
#[must_use]
pub fn digest_hash<'a>(
    identity: &PublicKey,
    signed: &PublicSignedPreKey,
    prekeys: impl Iterator<Item = &'a PublicKey>,
) -> [u8; 20] {
    let mut hash = Sha1::new_with_prefix(identity.as_bytes());
    hash.update(signed.key.as_bytes());
    hash.update(signed.signature);
    for key in prekeys {
        hash.update(key.as_bytes());
    }
    hash.finalize().into()
}

pub(super) fn leaf(tag: &'static str, bytes: &[u8]) -> Node {
    Node::new(tag).with_bytes(Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::PreKey;
    use crate::signal::curve::KeyPair;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn upload() -> Upload {
        let mut rng = StdRng::seed_from_u64(4);
        let identity = KeyPair::generate(&mut rng);
        let signed = SignedPreKey::generate(SignedPreKeyId::FIRST, &identity, &mut rng);
        let prekeys = [7, 0x00ff_ffff].map(|id| PreKey::generate(PreKeyId::new(id).unwrap(), &mut rng));
        Upload {
            registration_id: RegistrationId::new(0x2341),
            identity: *identity.public(),
            prekeys: prekeys
                .iter()
                .map(|prekey| (prekey.id, *prekey.pair.public()))
                .collect(),
            signed: PublicSignedPreKey::from(&signed),
        }
    }

    fn bundle() -> Bundle {
        let upload = upload();
        Bundle {
            keys: PreKeyBundle {
                registration_id: upload.registration_id,
                identity: upload.identity,
                signed_prekey_id: upload.signed.id,
                signed_prekey: upload.signed.key,
                signature: upload.signed.signature,
                prekey: Some(upload.prekeys[0]),
            },
            device_identity: Some(Bytes::from_static(b"adv")),
        }
    }

    #[test]
    fn an_upload_comes_back_from_its_node() {
        assert_eq!(Upload::parse(&upload().to_node()), Ok(upload()));
        assert_eq!(
            count(&request("get").with_child(Node::new("count").attr("value", 5u32))),
            Some(5)
        );
        assert_eq!(count(&count_request()), None);
    }

    #[test]
    fn bundles_come_back_one_by_one() {
        let jid = |device| Jid::phone("15550002").unwrap().with_device(device);
        let without_prekey = Bundle {
            keys: PreKeyBundle {
                prekey: None,
                ..bundle().keys
            },
            device_identity: None,
        };
        let sent = [
            (jid(0), Ok(bundle())),
            (jid(5), Err(ERROR_UNREGISTERED)),
            (jid(6), Ok(without_prekey.clone())),
        ];
        let read = bundles(&bundles_response(&sent)).unwrap();
        assert_eq!(read[0], (jid(0), Ok(bundle())));
        assert_eq!(read[1], (jid(5), Err(NoBundle::Refused(406))));
        assert_eq!(read[2], (jid(6), Ok(without_prekey)));
        let asked = [jid(0), jid(5)];
        assert_eq!(
            bundles_asked(&bundles_request(asked.iter())),
            Some(asked.to_vec())
        );
    }

    #[test]
    fn a_bundle_may_be_wrapped_in_keys() {
        let nodes = bundle().to_nodes();
        let (outer, inner) = nodes.split_at(1);
        let user = Node::new("user")
            .with_children(outer.to_vec())
            .with_child(Node::new("keys").with_children(inner.to_vec()));
        assert_eq!(Bundle::parse(&user), Ok(bundle()));
    }

    #[test]
    fn a_short_key_is_refused() {
        let user = Node::new("user")
            .with_child(leaf("registration", &[0; 4]))
            .with_child(leaf("identity", &[1; 31]));
        assert!(Bundle::parse(&user).is_err());
    }

    #[test]
    fn a_digest_comes_back_from_its_node() {
        let upload = upload();
        let digest = KeyDigest {
            registration_id: upload.registration_id,
            identity: upload.identity,
            hash: digest_hash(
                &upload.identity,
                &upload.signed,
                upload.prekeys.iter().map(|(_, key)| key),
            ),
            prekeys: upload.prekeys.iter().map(|(id, _)| *id).collect(),
            signed: upload.signed,
        };
        let iq = request("result").with_child(digest.to_node());
        assert_eq!(KeyDigest::parse(&iq), Ok(digest));
    }
}
