//! A raw client for the tests: a ratchet per device, and nothing that repairs anything by itself.

use std::collections::HashMap;

use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use simulator::Handle;
use simulator::connection::END_AFTER;
use simulator::number::Number;
use simulator::sharing::{HistorySharing, KeySharing, Sharing};
use whatsapp::binary::Node;
use whatsapp::connection::ClientVersion;
use whatsapp::device::{Account, Device};
use whatsapp::jid::{Jid, Server};
use whatsapp::pairing::adv;
use whatsapp::pairing::qr::{PlatformId, QrCode};
use whatsapp::payload::{self, History, Profile};
use whatsapp::proto::{Message, message::DeviceSentMessage};
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::session::{CiphertextKind, LocalIdentity, PreKeyMessage, PreKeys, SessionRecord};
use whatsapp::signal::{PreKey, PreKeyBundle, PreKeyId, RegistrationId, SignedPreKeyId, padding};

use crate::wire::Wire;

/// A companion and what it must remember.
pub(crate) struct Companion {
    pub(crate) device: Device,
    pub(crate) sessions: HashMap<Jid, SessionRecord>,
    pub(crate) prekeys: Vec<PreKey>,
    pub(crate) rng: StdRng,
    pub(crate) wire: Option<Wire>,
    ids: u64,
}

/// A phone that shares nothing unasked: tests of other things have no use for it.
pub(crate) fn quiet() -> Sharing {
    Sharing {
        keys: KeySharing::WhenAsked,
        history: HistorySharing::Never,
        ..Sharing::default()
    }
}

pub(crate) fn number(text: &str) -> Number {
    text.parse().unwrap()
}

fn profile() -> Profile {
    Profile {
        version: ClientVersion::KNOWN,
        browser: "Chrome".into(),
        os: "Mac OS".into(),
        history: History::Recent.into(),
    }
}

impl Companion {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let device = Device::generate(&mut rng);
        Self {
            device,
            sessions: HashMap::new(),
            prekeys: Vec::new(),
            rng,
            wire: None,
            ids: 0,
        }
    }

    /// A companion of a new phone, linked by QR code and online.
    pub(crate) async fn online(handle: &Handle, phone: &str) -> Self {
        let mut this = Self::linked(handle, phone).await;
        this.log_in(handle).await;
        this
    }

    pub(crate) async fn linked(handle: &Handle, phone: &str) -> Self {
        let mut this = Self::new(number(phone).get());
        handle.create_phone(number(phone), "Test").await.unwrap();
        handle.share(number(phone), quiet()).await.unwrap();
        let qr = this.begin_pairing(handle).await;
        handle.scan(number(phone), qr).await.unwrap();
        this.finish_pairing().await;
        this
    }

    /// Connects to be linked; the text of the QR code.
    pub(crate) async fn begin_pairing(&mut self, handle: &Handle) -> String {
        let payload = payload::registration(&self.device, &profile());
        let mut wire = Wire::open(handle, &self.device, &payload, &mut self.rng).await;
        let offer = wire
            .expect("pair-device", |node| node.child("pair-device").is_some())
            .await;
        assert!(offer.attr_jid("from").unwrap().is_server());
        let refs: Vec<_> = offer.child("pair-device").unwrap().nodes_named("ref").collect();
        assert_eq!(refs.len(), 6);
        let reference = refs[0].text().unwrap().into_owned();
        self.wire = Some(wire);
        QrCode::new(reference, &self.device, PlatformId::of("Chrome", "Mac OS")).to_string()
    }

    pub(crate) async fn finish_pairing(&mut self) {
        let wire = self.wire.as_mut().unwrap();
        let iq = wire
            .expect("pair-success", |node| node.child("pair-success").is_some())
            .await;
        let success = iq.child("pair-success").unwrap();
        let container = success.child("device-identity").unwrap().bytes().unwrap();
        let paired = adv::accept(
            &container,
            &self.device.adv_secret,
            &self.device.identity,
            &mut self.rng,
        )
        .unwrap();
        let device = success.child("device").unwrap();
        self.device.account = Some(Account {
            jid: device.attr_jid("jid").unwrap(),
            lid: device.attr_jid("lid"),
            identity: paired.identity.clone(),
            push_name: None,
            platform: "android".into(),
            is_migrated: false,
            token_salt: None,
        });
        let sign = Node::new("pair-device-sign").with_child(
            Node::new("device-identity")
                .attr("key-index", paired.key_index)
                .with_bytes(paired.reply),
        );
        let reply = Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("type", "result")
            .attr("id", iq.value("id").unwrap())
            .with_child(sign);
        wire.send(&reply).await;
        wire.expect("restart", |node| {
            node.is("stream:error") && node.attr_is("code", "515")
        })
        .await;
        // A little less than the server waits: its clock is read elsewhere.
        assert!(
            wire.ended().await >= END_AFTER / 2,
            "the socket stays open for a moment"
        );
    }

    pub(crate) fn login_payload(&self) -> Vec<u8> {
        payload::login(&self.device, &profile()).unwrap()
    }

    /// Logs in, publishes prekeys if it has none, and takes its backlog up to the end, which stays in the wire's backlog.
    pub(crate) async fn log_in(&mut self, handle: &Handle) {
        let payload = self.login_payload();
        let wire = Wire::open(handle, &self.device, &payload, &mut self.rng).await;
        self.wire = Some(wire);
        self.become_active().await;
    }

    pub(crate) async fn become_active(&mut self) {
        let success = self.wire().expect("success", |node| node.is("success")).await;
        assert_eq!(success.attr_jid("lid").as_ref(), self.device.lid());
        if self.prekeys.is_empty() {
            self.upload_prekeys(20).await;
        }
        self.iq("passive", "set", Node::new("active")).await;
        self.wire()
            .expect("end of the backlog", |node| node.child("offline").is_some())
            .await;
    }

    pub(crate) fn wire(&mut self) -> &mut Wire {
        self.wire.as_mut().unwrap()
    }

    pub(crate) fn jid(&self) -> Jid {
        self.device.jid().unwrap().clone()
    }

    pub(crate) async fn iq(&mut self, xmlns: &str, kind: &str, child: Node) -> Node {
        let id = self.next_id();
        let iq = Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("xmlns", xmlns)
            .attr("type", kind)
            .attr("id", &id)
            .with_child(child);
        self.wire().send(&iq).await;
        self.wire()
            .expect("answer", |node| node.is("iq") && node.attr_is("id", &id))
            .await
    }

    pub(crate) async fn upload_prekeys(&mut self, count: u32) {
        let first = self.prekeys.len() as u32 + 1;
        for id in first..first + count {
            self.prekeys
                .push(PreKey::generate(PreKeyId::new(id).unwrap(), &mut self.rng));
        }
        let key = |key: &PreKey| {
            Node::new("key")
                .with_child(Node::new("id").with_slice(&key.id.to_be_bytes3()))
                .with_child(Node::new("value").with_slice(key.pair.public().as_bytes()))
        };
        let list = Node::new("list").with_children(self.prekeys[first as usize - 1..].iter().map(key));
        let skey = &self.device.signed_prekey;
        let skey = Node::new("skey")
            .with_child(Node::new("id").with_slice(&skey.id.to_be_bytes3()))
            .with_child(Node::new("value").with_slice(skey.pair.public().as_bytes()))
            .with_child(Node::new("signature").with_slice(&skey.signature));
        let id = self.next_id();
        let iq = Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("xmlns", "encrypt")
            .attr("type", "set")
            .attr("id", &id)
            .with_child(Node::new("registration").with_slice(&self.device.registration_id.to_be_bytes()))
            .with_child(Node::new("type").with_slice(&[5]))
            .with_child(Node::new("identity").with_slice(self.device.identity.public().as_bytes()))
            .with_child(list)
            .with_child(skey);
        self.wire().send(&iq).await;
        let reply = self.wire().expect("answer", |node| node.attr_is("id", &id)).await;
        assert!(reply.attr_is("type", "result"));
    }

    /// The devices of users, by usync.
    pub(crate) async fn devices_of(&mut self, users: &[Jid]) -> Vec<Jid> {
        let query = Node::new("query")
            .with_child(Node::new("devices").attr("version", "2"))
            .with_child(Node::new("lid"));
        let list =
            Node::new("list").with_children(users.iter().map(|jid| Node::new("user").attr("jid", jid)));
        let usync = Node::new("usync")
            .attr("sid", "s")
            .attr("mode", "query")
            .attr("context", "message")
            .with_child(query)
            .with_child(list);
        let reply = self.iq("usync", "get", usync).await;
        let users = reply.child_at(&["usync", "list"]).unwrap();
        users
            .nodes()
            .iter()
            .flat_map(|user| {
                let jid = user.attr_jid("jid").unwrap();
                assert!(user.child("lid").unwrap().attr_jid("val").unwrap().is_lid());
                let list = user.child_at(&["devices", "device-list"]).unwrap();
                if list.nodes().len() > 1 {
                    assert!(
                        user.child_at(&["devices", "key-index-list"])
                            .unwrap()
                            .bytes()
                            .is_some()
                    );
                }
                let ids = list
                    .nodes_named("device")
                    .map(|device| device.attr_u64("id").unwrap() as u16);
                ids.map(move |id| jid.clone().with_device(id)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Starts sessions with devices that have none.
    pub(crate) async fn start_sessions(&mut self, with: &[Jid]) {
        let missing: Vec<_> = with
            .iter()
            .filter(|jid| !self.sessions.contains_key(jid))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        let key =
            Node::new("key").with_children(missing.iter().map(|jid| Node::new("user").attr("jid", jid)));
        let reply = self.iq("encrypt", "get", key).await;
        for user in reply.child("list").unwrap().nodes() {
            let jid = user.attr_jid("jid").unwrap();
            if jid.device() != 0 {
                let identity = PublicKey::new(user.child("identity").unwrap().require_array().unwrap());
                let blob = user.child("device-identity").unwrap().bytes().unwrap();
                adv::verify(&blob, &identity, None).unwrap();
            }
            let bundle = bundle_in(user);
            let own = LocalIdentity {
                pair: &self.device.identity,
                registration_id: self.device.registration_id,
            };
            self.sessions
                .entry(jid)
                .or_default()
                .initiate(own, &bundle, &mut self.rng)
                .unwrap();
        }
    }

    pub(crate) fn encrypt(&mut self, to: &Jid, message: &Message) -> Node {
        let mut padded = message.encode_to_vec();
        padding::pad(&mut padded, &mut self.rng);
        let own = LocalIdentity {
            pair: &self.device.identity,
            registration_id: self.device.registration_id,
        };
        let sealed = self
            .sessions
            .get_mut(to)
            .unwrap()
            .encrypt(own, &padded, &mut self.rng)
            .unwrap();
        Node::new("enc")
            .attr("v", "2")
            .attr("type", sealed.kind.as_str())
            .with_bytes(sealed.bytes)
    }

    /// The stanza of a text for all devices of a user and our own others.
    pub(crate) async fn text_stanza(&mut self, to: &str, id: &str, text: &str) -> Node {
        let chat = Jid::new(to, Server::User);
        let devices = self.devices_of(&[self.jid().to_bare(), chat.clone()]).await;
        let own = self.jid();
        let targets: Vec<_> = devices.into_iter().filter(|jid| *jid != own).collect();
        self.start_sessions(&targets).await;
        let plain = Message {
            conversation: Some(text.into()),
            ..Message::default()
        };
        let wrapped = DeviceSentMessage {
            destination_jid: Some(chat.to_string()),
            message: Some(Box::new(plain.clone())),
            phash: None,
        };
        let wrapped = Message {
            device_sent_message: Some(Box::new(wrapped)),
            ..Message::default()
        };
        let mut participants = Node::new("participants");
        let mut needs_identity = false;
        for target in &targets {
            let message = if target.same_user(&own) { &wrapped } else { &plain };
            let enc = self.encrypt(target, message);
            needs_identity |= enc.attr_is("type", CiphertextKind::PreKey.as_str());
            participants.push_child(Node::new("to").attr("jid", target).with_child(enc));
        }
        let stanza = Node::new("message")
            .attr("id", id)
            .attr("to", chat)
            .attr("type", "text")
            .with_child(participants);
        if !needs_identity {
            return stanza;
        }
        let identity = self.device.account.as_ref().unwrap().identity.clone();
        stanza.with_child(Node::new("device-identity").with_bytes(identity))
    }

    /// Sends a text and waits for its ack.
    pub(crate) async fn send_text(&mut self, to: &str, id: &str, text: &str) -> Node {
        let stanza = self.text_stanza(to, id, text).await;
        self.wire().send(&stanza).await;
        self.acked(id).await
    }

    pub(crate) async fn acked(&mut self, id: &str) -> Node {
        let what = format!("ack of {id}");
        self.wire()
            .expect(&what, |node| {
                node.is("ack") && node.attr_is("class", "message") && node.attr_is("id", id)
            })
            .await
    }

    /// The next receipt for a message, acknowledged.
    pub(crate) async fn receipt(&mut self, id: &str) -> Node {
        let what = format!("receipt for {id}");
        let receipt = self
            .wire()
            .expect(&what, |node| node.is("receipt") && node.attr_is("id", id))
            .await;
        let ack = Node::new("ack")
            .attr("class", "receipt")
            .attr("id", id)
            .attr("to", receipt.attr_jid("from").unwrap())
            .attr_opt("type", receipt.value("type"));
        self.wire().send(&ack).await;
        receipt
    }

    /// The next message, decrypted; not acknowledged.
    pub(crate) async fn message(&mut self) -> (Node, Message) {
        let stanza = self.wire().expect("a message", |node| node.is("message")).await;
        let message = self.decrypt(&stanza);
        (stanza, message)
    }

    pub(crate) fn decrypt(&mut self, stanza: &Node) -> Message {
        let from = stanza.attr_jid("from").unwrap();
        let enc = stanza.child("enc").unwrap();
        let bytes = enc.bytes().unwrap();
        let own = LocalIdentity {
            pair: &self.device.identity,
            registration_id: self.device.registration_id,
        };
        let record = self.sessions.entry(from).or_default();
        let padded = if enc.attr_is("type", "pkmsg") {
            let message = PreKeyMessage::parse(&bytes).unwrap();
            let one_time = self
                .prekeys
                .iter()
                .find(|key| Some(key.id) == message.prekey_id());
            let prekeys = PreKeys {
                signed: Some(&self.device.signed_prekey),
                one_time,
            };
            record.decrypt_prekey(own, &message, prekeys).unwrap().plaintext
        } else {
            record.decrypt_message(own, &bytes).unwrap()
        };
        Message::decode(padding::unpad(&padded).unwrap()).unwrap()
    }

    /// Acknowledges a message by a receipt.
    pub(crate) async fn thank(&mut self, stanza: &Node) {
        let receipt = Node::new("receipt")
            .attr("id", stanza.value("id").unwrap())
            .attr("to", stanza.attr_jid("from").unwrap());
        self.wire().send(&receipt).await;
    }

    /// A query whose answer shows that the server has handled all that was sent before.
    pub(crate) async fn settle(&mut self) {
        self.iq("w:p", "get", Node::new("ping")).await;
    }

    fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("t-{}", self.ids)
    }
}

fn bundle_in(user: &Node) -> PreKeyBundle {
    let public = |node: &Node| PublicKey::new(node.require_array::<32>().unwrap());
    let skey = user.child("skey").unwrap();
    PreKeyBundle {
        registration_id: RegistrationId::from_be_slice(&user.child("registration").unwrap().data().unwrap())
            .unwrap(),
        identity: public(user.child("identity").unwrap()),
        signed_prekey_id: SignedPreKeyId::from_be_bytes3(&skey.child("id").unwrap().data().unwrap()).unwrap(),
        signed_prekey: public(skey.child("value").unwrap()),
        signature: skey.child("signature").unwrap().require_array().unwrap(),
        prekey: user.child("key").map(|key| {
            let id = PreKeyId::from_be_bytes3(&key.child("id").unwrap().data().unwrap()).unwrap();
            (id, public(key.child("value").unwrap()))
        }),
    }
}
