//! What the world tells a shard.

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use whatsapp::signal::session::Ciphertext;
use whatsapp::signal::{PreKeyBundle, RegistrationId};

use super::inbox::{Received, Sent};
use super::placeholder::Placeholder;
use super::tally::Tally;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::population::Manners;

/// A copy of a message for a simulated device.
pub struct Delivery {
    /// Whose copy it is.
    pub to: DeviceAddr,
    /// Who encrypted it.
    pub from: DeviceAddr,
    /// The chat, if it is a copy for another device of the sender's own account.
    pub own_chat: Option<Number>,
    /// The message's id.
    pub id: CompactString,
    /// The stanza's type.
    pub kind: CompactString,
    /// Unix seconds.
    pub t: u64,
    /// The encrypted message.
    pub ciphertext: Ciphertext,
    /// What the server found about the sender's device identity.
    pub proof: Proof,
    /// Whether the message was sent by a real client.
    pub from_session: bool,
    /// Which form of its address the recipient was called by.
    pub addressing: Addressing,
    /// What the simulator did to this copy.
    pub tampering: Tampering,
    /// How the contact behaves; `None` for a phone.
    pub manners: Option<Arc<Manners>>,
    /// The sender's devices, for a reply; none if there is to be no reply.
    pub sender_devices: Devices,
    /// What of it came in a group, if it did; then `ciphertext` is the key's.
    pub group: Option<GroupCopy>,
}

/// A message of a group as one device gets it.
pub struct GroupCopy {
    /// The user part of the group's address.
    pub group: CompactString,
    /// The sender's key, or the whole message where it was asked for.
    pub key: Option<Ciphertext>,
    /// The message, encrypted for all.
    pub message: Option<Bytes>,
}

/// A text that a simulated device sends to a group.
pub struct SendInGroup {
    /// The device.
    pub from: DeviceAddr,
    /// The user part of the group's address.
    pub group: CompactString,
    /// All other devices in it.
    pub to: Vec<DeviceAddr>,
    /// How the group names people.
    pub addressing: Addressing,
    /// What is said.
    pub text: String,
    /// A message in place of the text, encoded.
    pub message: Option<Bytes>,
    /// A vote in place of both.
    pub vote: Ballots,
    /// Told the id of the message; dropped where there is no such poll.
    pub answer: oneshot::Sender<CompactString>,
}

/// A vote in a poll that the device got.
pub struct Vote {
    /// The id of the poll's message.
    pub poll: CompactString,
    /// The texts of the options; none takes an earlier vote back.
    pub options: Vec<String>,
}

/// A vote in place of a message.
pub type Ballots = Option<Box<Vote>>;

/// Devices of one user.
pub type Devices = SmallVec<[u16; 4]>;

/// What the server found about the device identity that a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is there and right, or not needed.
    Fine,
    /// It is missing, or not what was signed when the device was linked.
    Bad,
}

/// What the simulator did to a copy on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tampering {
    /// Its MAC was made wrong.
    pub corrupted: bool,
    /// The recipient is to ask for it again, with new keys if `Some(true)`.
    pub force_retry: Option<bool>,
}

/// A text that a simulated device sends.
pub struct SendText {
    /// The device.
    pub from: DeviceAddr,
    /// The chat.
    pub to: Number,
    /// The recipient's devices.
    pub to_devices: Devices,
    /// The sender's other devices.
    pub own_devices: Devices,
    /// Which form of the sender's address is used.
    pub addressing: Addressing,
    /// What is said.
    pub text: String,
    /// A message in place of the text, encoded.
    pub message: Option<Bytes>,
    /// A vote in place of both.
    pub vote: Ballots,
    /// Told the id of the message; dropped where there is no such poll.
    pub answer: Option<oneshot::Sender<CompactString>>,
}

/// What a phone says to a companion that no chat shows.
pub struct ToCompanion {
    /// The phone.
    pub from: DeviceAddr,
    /// The companion.
    pub to: DeviceAddr,
    /// Which form of the account's address is used.
    pub addressing: Addressing,
    /// The encoded message.
    pub message: Vec<u8>,
}

/// A receipt that a simulated device gets.
pub struct ReceiptIn {
    /// The device.
    pub to: DeviceAddr,
    /// Whose receipt it is.
    pub from: DeviceAddr,
    /// Which form of its address it was called by.
    pub addressing: Addressing,
    /// Its type; empty for a delivery.
    pub kind: CompactString,
    /// The messages.
    pub ids: Vec<CompactString>,
    /// Unix seconds.
    pub t: u64,
    /// What a request to send again holds.
    pub retry: Option<RetryIn>,
}

/// A request to send a message again.
pub struct RetryIn {
    /// The how-manieth for this message.
    pub count: u32,
    /// The installation of who asks.
    pub registration_id: Option<RegistrationId>,
    /// Keys for a new session.
    pub bundle: Option<Box<PreKeyBundle>>,
}

/// What a shard is told.
pub enum Job {
    /// A message came.
    Deliver(Box<Delivery>),
    /// Send a text.
    Send(Box<SendText>),
    /// Send a text to a group.
    SendInGroup(Box<SendInGroup>),
    /// Tell a companion something.
    Tell(Box<ToCompanion>),
    /// The bundles that `WantBundles` asked for; a device without one is gone.
    Bundles {
        /// Whose.
        who: DeviceAddr,
        /// The number of the send.
        send: u64,
        /// By device.
        bundles: Vec<(DeviceAddr, Option<PreKeyBundle>)>,
    },
    /// A receipt came.
    Receipt(Box<ReceiptIn>),
    /// A contact registered anew.
    Renew(Number),
    /// A phone has a message that its companions have not.
    Keep(Box<Placeholder>),
    /// What did the device get?
    Inbox(DeviceAddr, oneshot::Sender<Vec<Received>>),
    /// What did the device send?
    Outbox(DeviceAddr, oneshot::Sender<Vec<Sent>>),
    /// What did all devices of the shard see?
    Tally(oneshot::Sender<Tally>),
}
