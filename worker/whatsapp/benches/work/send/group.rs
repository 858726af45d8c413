//! A whole send to a group of 200: warm, where all members have our key, and cold, where nobody has it yet and it goes to
//! each over the session with them. Who is in a group is known to the server alone before the first message to it, so that
//! a cold send reads its answer too.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::*;
use whatsapp::group::{AddressingMode, GroupInfo, Member, Role};
use whatsapp::proto::message::SenderKeyDistributionMessage;
use whatsapp::signal::sender_key::SenderKeyRecord;

/// How many times the floor a send to a group may take.
pub const GROUP_TARGET: f64 = 1.3;
/// How many are in the group besides us.
pub const MEMBERS: usize = 200;
/// The length of a text in a group, padding included.
const TEXT_BYTES: usize = 80;
/// Sends of one round.
const WARM_RUNS: u32 = 50;
/// A signed message of a sender key, about.
const SIGNED_BYTES: usize = 112;

/// A warm send beside its primitives, in nanoseconds: a step of the chain, a signature, the hash of the devices, and
/// AES-GCM over the stanza.
pub fn warm() -> (Figure, Figure) {
    let mut sender = Sender::in_group(MEMBERS);
    let group = group(1);
    sender.send_to(&group);
    let frame_bytes = sender.send_to(&group).1;
    let mut floor = Floor::new(frame_bytes);
    side_by_side(
        || {
            let total: Duration = (0..WARM_RUNS).map(|_| sender.send_to(&group).0).sum();
            total.as_nanos() as f64 / f64::from(WARM_RUNS)
        },
        || timed(WARM_RUNS, || floor.warm()),
    )
}

/// A cold send beside its primitives, in nanoseconds: those of a warm one, an encryption for each member, the pair that a new
/// sender key is signed with, and AES-GCM over the answer that says who is in the group.
pub fn cold() -> (Figure, Figure) {
    let mut sender = Sender::in_group(MEMBERS);
    // The sessions begin with the first group, and the members answer.
    sender.send_to(&group(1));
    let mut next = 2;
    let frame_bytes = sender.send_to(&group(next)).1;
    let mut floor = Floor::new(frame_bytes);
    floor.answer = vec![0; sender.server.described_bytes];
    side_by_side(
        || {
            next += 1;
            sender.send_to(&group(next)).0.as_nanos() as f64
        },
        || timed(1, || floor.cold()),
    )
}

fn group(number: u64) -> Jid {
    Jid::new(format!("120363{number:012}"), Space::Group)
}

/// The hidden id of a member.
fn member(index: usize) -> Jid {
    Jid::new(format!("2000000{index:08}"), Space::Lid)
}

impl Sender {
    /// As [`Sender::new`], with so many members in each group.
    fn in_group(members: usize) -> Self {
        let mut sender = Self::new();
        sender.server.members = members;
        for index in 0..members {
            let party = Party::new(&mut sender.rng);
            sender.server.devices.insert(member(index), party);
        }
        sender
    }

    /// Sends one message to a group: how long the connection was busy until the step with it was there, and how many bytes
    /// its frame has. What the server and the store do is not counted.
    fn send_to(&mut self, group: &Jid) -> (Duration, usize) {
        let command = Command::Send(Box::new(Outgoing {
            id: MessageId::generate(NOW.as_secs(), OWN, &mut self.rng),
            to: Recipient::Jid(group.clone()),
            message: text_message(TEXT),
        }));
        let mut took = Duration::ZERO;
        let mut input = Some(Input::Command(command));
        loop {
            if let Some(input) = input.take() {
                let start = Instant::now();
                self.connection.handle(input, NOW);
                took += start.elapsed();
            }
            let start = Instant::now();
            let (keys, step) = (self.connection.take_load(), self.connection.take_step());
            took += start.elapsed();
            let is_sent = |event: &Event| matches!(event, Event::MessagePrepared { .. });
            if let Some(step) = step {
                let sent = step.events.iter().any(is_sent);
                let bytes = step.frames.last().map_or(0, Bytes::len);
                self.carry_out(step);
                if sent {
                    self.settle();
                    self.events.clear();
                    return (took, bytes);
                }
            }
            input = if keys.is_empty() {
                self.server.outbox.pop_front().map(Input::Bytes)
            } else {
                let values = self.store.load(keys).now_or_never().unwrap().unwrap();
                Some(Input::Loaded(values))
            };
        }
    }
}

impl Server {
    /// The group that is asked for.
    pub(super) fn describe(&self, iq: &Node) -> Node {
        let jid = iq.attr_jid("to").unwrap();
        let own = Jid::new(OWN_LID, Space::Lid);
        let members = (0..self.members).map(member).chain([own]);
        let empty = Node::new("group").attr("id", jid.user());
        let info = GroupInfo {
            addressing: AddressingMode::Lid,
            members: members
                .map(|jid| Member {
                    jid,
                    other: None,
                    role: Role::Member,
                })
                .collect(),
            ..GroupInfo::parse(&empty).unwrap()
        };
        Node::new("iq").attr("type", "result").with_child(info.to_node())
    }

    /// Each member who was handed the key for the first time says something, so that its session is settled.
    pub(super) fn group_message(&mut self, message: &Node, group: &Jid) {
        let ack = MessageAck {
            id: message.attr_str("id").unwrap().parse().unwrap(),
            from: group.clone(),
            timestamp: Some(NOW),
            error: None,
            phash: None,
        };
        self.send(&ack.to_node());
        let named = message.child("participants").map(Node::nodes).unwrap_or_default();
        for to in named {
            let (jid, enc) = (to.attr_jid("jid").unwrap(), to.child("enc").unwrap());
            if !enc.attr_is("type", "pkmsg") || jid.user() == OWN_LID {
                continue;
            }
            let text = padded(text_message("Here").encode_to_vec());
            let (_, answer) = self.devices[&jid].answer(&enc.bytes().unwrap(), &text, &mut self.rng);
            let enc = Node::new("enc").attr("v", "2").attr("type", answer.kind.as_str());
            let id = MessageId::generate(NOW.as_secs(), jid.user(), &mut self.rng);
            let incoming = Node::new("message")
                .attr("id", id.as_str())
                .attr("from", &jid)
                .attr("type", "text")
                .attr("t", NOW.as_secs())
                .with_child(enc.with_bytes(answer.bytes));
            self.send(&incoming);
        }
    }
}

/// The primitives of a send to a group.
struct Floor {
    chain: [u8; 32],
    members: Vec<[u8; 32]>,
    private: [u8; 32],
    cipher: Aes256Gcm,
    stanza: Vec<u8>,
    /// Who is in the group.
    answer: Vec<u8>,
    names: Vec<u8>,
    /// What hands the key to one member.
    handed: Vec<u8>,
}

impl Floor {
    fn new(frame_bytes: usize) -> Self {
        let names = (0..=MEMBERS).map(|index| format!("{}.0:0@lid", member(index).user()));
        Self {
            chain: [1; 32],
            members: vec![[2; 32]; MEMBERS],
            private: [3; 32],
            cipher: Aes256Gcm::new(&[7; 32].into()),
            stanza: vec![0; frame_bytes],
            answer: Vec::new(),
            names: names.collect::<String>().into_bytes(),
            handed: padded(handed_message().encode_to_vec()),
        }
    }

    fn warm(&mut self) {
        let chain = Hmac::<Sha256>::new_from_slice(&self.chain).unwrap();
        let seed = chain.clone().chain_update([1]).finalize().into_bytes();
        self.chain = chain.chain_update([2]).finalize().into_bytes().into();
        let mut keys = [0u8; 48];
        let derived = hkdf::Hkdf::<Sha256>::new(None, &seed);
        derived.expand(b"WhisperGroup", &mut keys).unwrap();
        let iv: &[u8; 16] = keys[..16].try_into().unwrap();
        let key: &[u8; 32] = keys[16..].try_into().unwrap();
        let mut sealed = [0u8; SIGNED_BYTES];
        let cipher = cbc::Encryptor::<aes::Aes256Enc>::new(key.into(), iv.into());
        cipher.encrypt_padded::<Pkcs7>(&mut sealed, TEXT_BYTES).unwrap();
        black_box(sign(&self.private, &sealed));
        black_box(Sha256::digest(&self.names));
        let text = InOutBuf::from(&mut self.stanza[..]);
        let tag = self.cipher.encrypt_inout_detached(&[0; 12].into(), &[], text);
        black_box(tag.unwrap());
    }

    fn cold(&mut self) {
        let answer = InOutBuf::from(&mut self.answer[..]);
        let tag = self.cipher.encrypt_inout_detached(&[0; 12].into(), &[], answer);
        black_box(tag.unwrap());
        black_box(EdwardsPoint::mul_base_clamped(black_box(self.private)).to_montgomery());
        for chain in &mut self.members {
            black_box(encrypt_floor(chain, black_box(&self.handed)));
        }
        self.warm();
    }
}

/// A sender key as it is handed to a member.
fn handed_message() -> proto::Message {
    let mut key = SenderKeyRecord::default();
    key.rotate(&mut StdRng::seed_from_u64(9));
    let handed = SenderKeyDistributionMessage {
        group_id: Some(group(1).to_string()),
        axolotl_sender_key_distribution_message: Some(key.distribution().unwrap()),
    };
    proto::Message {
        sender_key_distribution_message: Some(Box::new(handed)),
        ..proto::Message::default()
    }
}

/// A signature as XEdDSA has it: two products of the base point, two hashes.
fn sign(private: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let a = Scalar::from_bytes_mod_order(clamp_integer(*private));
    let public = EdwardsPoint::mul_base(&a).compress();
    let nonce = Sha512::new()
        .chain_update([0xff; 32])
        .chain_update(private)
        .chain_update(message)
        .chain_update([5; 64])
        .finalize();
    let r = Scalar::from_bytes_mod_order_wide(&nonce.into());
    let point = EdwardsPoint::mul_base(&r).compress();
    let hash = Sha512::new()
        .chain_update(point.as_bytes())
        .chain_update(public.as_bytes())
        .chain_update(message)
        .finalize();
    let s = r + Scalar::from_bytes_mod_order_wide(&hash.into()) * a;
    let mut out = [0; 64];
    out[..32].copy_from_slice(point.as_bytes());
    out[32..].copy_from_slice(s.as_bytes());
    out
}
