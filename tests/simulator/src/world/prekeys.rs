//! The `encrypt` queries: what linked devices publish, and bundles of anybody for who wants to write.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use std::collections::VecDeque;

use sha1::{Digest as _, Sha1};
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::{PreKeyBundle, PreKeyId, RegistrationId, SignedPreKeyId};

use super::World;
use super::account::{MAX_ONE_TIME_PREKEYS, SignedKey};
use super::bundle::{BundleOf, BundleReply};
use super::port::{ConnId, Outbound};
use super::stanza::{iq_from_server, notification};
use crate::crowd::Job;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::persona::Persona;
use crate::refusal::Refusal;

/// A device that has fewer one-time prekeys left is told so.
const FEW_PREKEYS: usize = 5;
/// Most devices of one request for bundles.
const MAX_BUNDLES: usize = 10_000;
/// One-time prekeys of simulated devices wrap around below those of [`crate::crowd`]'s retries.
const LAST_SIMULATED_PREKEY: u32 = 0x007f_ffff;

impl World {
    pub(super) fn on_encrypt_get(&mut self, conn: ConnId, from: DeviceAddr, id: &str, iq: &Node) {
        if let Some(wanted) = iq.child("key") {
            return self.answer_bundles(conn, id, wanted);
        }
        let Some(device) = self.device_mut(from) else {
            return;
        };
        let answer = if iq.child("count").is_some() {
            Node::new("count").attr("value", device.one_time.len())
        } else if iq.child("digest").is_some() {
            digest(device)
        } else {
            return self.write(conn, &iq_from_server("result", id));
        };
        self.write(conn, &iq_from_server("result", id).with_child(answer));
    }

    pub(super) fn on_encrypt_set(&mut self, conn: ConnId, from: DeviceAddr, id: &str, iq: &Node) {
        let rotated = iq.child("rotate").and_then(|rotate| rotate.child("skey"));
        let done = match rotated {
            Some(skey) => self.rotate(from, skey),
            None => self.store_prekeys(from, iq),
        };
        let loses_upload = |device: &mut super::account::Device| std::mem::take(&mut device.loses_upload);
        if rotated.is_none() && self.device_mut(from).is_some_and(loses_upload) {
            return;
        }
        let reply = match done {
            Some(()) => iq_from_server("result", id),
            None => {
                self.audit.count.violations += 1;
                let error = Node::new("error")
                    .attr("code", 406u32)
                    .attr("text", "not-acceptable");
                iq_from_server("error", id).with_child(error)
            }
        };
        self.write(conn, &reply);
    }

    /// `None` if something is malformed or the signature is wrong; nothing is stored then.
    fn store_prekeys(&mut self, from: DeviceAddr, iq: &Node) -> Option<()> {
        let registration_id = RegistrationId::from_be_slice(&iq.child("registration")?.data()?)?;
        let identity = public_key(iq.child("identity")?)?;
        let signed = signed_key(iq.child("skey")?, &identity)?;
        let uploaded: Option<Vec<_>> = iq
            .child("list")?
            .nodes_named("key")
            .map(|key| {
                Some((
                    PreKeyId::from_be_bytes3(&key.child("id")?.data()?)?,
                    public_key(key.child("value")?)?,
                ))
            })
            .collect();
        let device = self.device_mut(from)?;
        // A linked device cannot change its identity: the account has signed it.
        if device.identity != identity {
            return None;
        }
        device.registration_id = registration_id;
        device.signed_prekey = signed;
        let (mut is_reused, mut again) = (false, 0);
        for (id, key) in uploaded? {
            if let Some(slot) = device.one_time.iter_mut().find(|(old, _)| *old == id) {
                // Offered again it must be the same key: somebody may have got it.
                is_reused |= slot.1 != key;
                again += 1;
                slot.1 = key;
            } else if device.one_time.len() < MAX_ONE_TIME_PREKEYS {
                device.one_time.push_back((id, key));
            }
        }
        device.told_low = false;
        self.audit.count.violations += u64::from(is_reused);
        self.audit.count.prekeys_offered_again += again;
        Some(())
    }

    fn rotate(&mut self, from: DeviceAddr, skey: &Node) -> Option<()> {
        let device = self.device_mut(from)?;
        device.signed_prekey = signed_key(skey, &device.identity)?;
        Some(())
    }

    fn answer_bundles(&mut self, conn: ConnId, id: &str, wanted: &Node) {
        let mut users = Vec::new();
        for user in wanted.nodes_named("user").take(MAX_BUNDLES) {
            let Some(jid) = user.attr_jid("jid") else { continue };
            let Some((who, _)) = self.seed.resolve(&jid) else {
                continue;
            };
            // Devices that do not exist are left out: some clients give up the whole send at an error.
            if let Some(bundle) = self.bundle_of(who) {
                users.push((jid, bundle));
            }
        }
        self.put(
            conn,
            Outbound::Bundles(Box::new(BundleReply { id: id.into(), users })),
        );
    }

    /// Takes one one-time prekey of a device.
    fn bundle_of(&mut self, who: DeviceAddr) -> Option<BundleOf> {
        if self.device_mut(who).is_some() {
            let (bundle, device_identity) = self.linked_bundle(who)?;
            return Some(BundleOf::Linked(Box::new(bundle), Some(device_identity)));
        }
        if !self.devices_of(who.number)?.contains(&who.device) {
            return None;
        }
        let companions = self
            .contacts
            .get(&who.number)
            .map(|contact| contact.companions.as_slice());
        let companion = companions
            .unwrap_or_default()
            .iter()
            .find(|(device, _)| *device == who.device);
        let key_index = companion.map(|(_, index)| *index);
        Some(BundleOf::Simulated(
            who,
            self.next_simulated_prekey(who),
            key_index,
        ))
    }

    fn next_simulated_prekey(&mut self, who: DeviceAddr) -> PreKeyId {
        let last = self.handed_out.entry(who).or_default();
        *last = *last % LAST_SIMULATED_PREKEY + 1;
        PreKeyId::new(*last).unwrap_or(PreKeyId::FIRST)
    }

    fn linked_bundle(&mut self, who: DeviceAddr) -> Option<(PreKeyBundle, bytes::Bytes)> {
        let device = self.device_mut(who)?;
        let bundle = PreKeyBundle {
            registration_id: device.registration_id,
            identity: device.identity,
            signed_prekey_id: device.signed_prekey.id,
            signed_prekey: device.signed_prekey.public,
            signature: device.signed_prekey.signature,
            prekey: device.one_time.pop_front(),
        };
        let device_identity = device.device_identity.clone();
        let left = device.one_time.len();
        if left < FEW_PREKEYS && !device.told_low {
            device.told_low = true;
            let count = Node::new("count").attr("value", left);
            self.notify(who, notification(&Jid::SERVER, "encrypt"), count);
        }
        Some((bundle, device_identity))
    }

    /// A contact registers anew: all who know it are told that its identity is another.
    pub(super) fn register_anew(&mut self, number: Number) -> Result<(), Refusal> {
        if !self.population.contains(number) {
            return Err(Refusal::unknown("number"));
        }
        self.seed.register_anew(number);
        if let Some(contact) = self.contacts.get_mut(&number) {
            contact.companions.clear();
        }
        self.crowd.give(number, Job::Renew(number));
        let from = self.seed.jid(DeviceAddr::phone(number), Addressing::Pn);
        let lid = self.seed.jid(DeviceAddr::phone(number), Addressing::Lid);
        for peer in self.peers_of(number) {
            for who in self.linked_devices(peer).collect::<Vec<_>>() {
                let head = notification(&from, "encrypt").attr("lid", &lid);
                self.notify(who, head, Node::new("identity"));
            }
        }
        Ok(())
    }

    /// A simulated device wants to write to devices that it has no session with.
    pub(super) fn crowd_wants_bundles(&mut self, who: DeviceAddr, send: u64, of: &[DeviceAddr]) {
        let bundles = of
            .iter()
            .map(|target| {
                let bundle = match self.bundle_of(*target) {
                    Some(BundleOf::Linked(bundle, _)) => Some(*bundle),
                    Some(BundleOf::Simulated(who, one_time, _)) => {
                        Some(Persona::new(&self.seed, who).bundle(one_time))
                    }
                    None => None,
                };
                (*target, bundle)
            })
            .collect();
        self.crowd.give(who.number, Job::Bundles { who, send, bundles });
    }
}

fn digest(device: &super::account::Device) -> Node {
    let keys: &VecDeque<_> = &device.one_time;
    let mut hash = Sha1::new();
    hash.update(device.identity.as_bytes());
    hash.update(device.signed_prekey.public.as_bytes());
    hash.update(device.signed_prekey.signature);
    for (_, key) in keys {
        hash.update(key.as_bytes());
    }
    let signed = Node::new("skey")
        .with_child(Node::new("id").with_slice(&device.signed_prekey.id.to_be_bytes3()))
        .with_child(Node::new("value").with_slice(device.signed_prekey.public.as_bytes()))
        .with_child(Node::new("signature").with_slice(&device.signed_prekey.signature));
    let ids = keys
        .iter()
        .map(|(id, _)| Node::new("id").with_slice(&id.to_be_bytes3()));
    Node::new("digest")
        .with_child(Node::new("registration").with_slice(&device.registration_id.to_be_bytes()))
        .with_child(Node::new("type").with_slice(&[5]))
        .with_child(Node::new("identity").with_slice(device.identity.as_bytes()))
        .with_child(signed)
        .with_child(Node::new("list").with_children(ids))
        .with_child(Node::new("hash").with_slice(&hash.finalize()))
}

fn public_key(node: &Node) -> Option<PublicKey> {
    Some(PublicKey::new(node.require_array::<32>().ok()?))
}

/// A signed prekey whose signature is right.
fn signed_key(node: &Node, identity: &PublicKey) -> Option<SignedKey> {
    let public = public_key(node.child("value")?)?;
    let signature = node.child("signature")?.require_array::<64>().ok()?;
    identity.verify(&public.serialize33(), &signature).ok()?;
    Some(SignedKey {
        id: SignedPreKeyId::from_be_bytes3(&node.child("id")?.data()?)?,
        public,
        signature,
    })
}
