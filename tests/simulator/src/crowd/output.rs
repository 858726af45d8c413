//! What a shard tells the world.

use bytes::Bytes;
use compact_str::CompactString;
use whatsapp::proto::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use whatsapp::signal::session::Ciphertext;
use whatsapp::signal::{PreKeyBundle, RegistrationId};

use crate::number::{Addressing, DeviceAddr, Number};

/// What a shard tells the world.
pub enum Output {
    /// A device sends a receipt.
    Receipt(Box<ReceiptOut>),
    /// A device sends a message.
    Message(Box<MessageOut>),
    /// A device sends a message to a group.
    GroupMessage(Box<GroupMessageOut>),
    /// A companion asks its phone for keys of the app state.
    WantKeys(DeviceAddr),
    /// A companion asks its phone for older messages of a chat.
    WantPast(Box<PastWanted>),
    /// A device needs bundles before it can send.
    WantBundles {
        /// Which device.
        who: DeviceAddr,
        /// The number of its send.
        send: u64,
        /// Of whom.
        of: Vec<DeviceAddr>,
    },
}

/// Which older messages a companion asks its phone for.
pub struct PastWanted {
    /// The companion.
    pub companion: DeviceAddr,
    /// The id of its request.
    pub request: CompactString,
    /// What it asks for.
    pub asked: HistorySyncOnDemandRequest,
}

/// A receipt of a simulated device.
pub struct ReceiptOut {
    /// The device.
    pub from: DeviceAddr,
    /// To whom: the device that sent the message.
    pub to: DeviceAddr,
    /// The chat, if the message was a copy of an own one.
    pub own_chat: Option<Number>,
    /// Which form of its own address the device uses.
    pub addressing: Addressing,
    /// The group that the message was in, if it was.
    pub group: Option<CompactString>,
    /// The message.
    pub id: CompactString,
    /// `None` for a delivery.
    pub kind: Option<&'static str>,
    /// The request, if it is one to send again.
    pub retry: Option<RetryOut>,
}

/// A request of a simulated device to send a message again.
pub struct RetryOut {
    /// The how-manieth for this message.
    pub count: u32,
    /// Why, by the numbers of the wire.
    pub error: u8,
    /// When the message was sent, unix seconds.
    pub t: u64,
    /// The installation of the device.
    pub registration_id: RegistrationId,
    /// Keys for a new session.
    pub bundle: Option<Box<PreKeyBundle>>,
}

/// A message of a simulated device.
pub struct MessageOut {
    /// The device.
    pub from: DeviceAddr,
    /// The chat.
    pub to: Number,
    /// Which form of its own address the device uses.
    pub addressing: Addressing,
    /// The message's id.
    pub id: CompactString,
    /// The copies.
    pub copies: Vec<Copy>,
    /// The how-manieth resend it is; 0 for none.
    pub retry_count: u32,
    /// Whether it is between devices of one account, and no chat shows it.
    pub is_peer: bool,
}

/// A message of a simulated device to a group.
pub struct GroupMessageOut {
    /// The device.
    pub from: DeviceAddr,
    /// The user part of the group's address.
    pub group: CompactString,
    /// How the group names people.
    pub addressing: Addressing,
    /// The message's id.
    pub id: CompactString,
    /// The device's key, for each other device.
    pub copies: Vec<Copy>,
    /// The message, encrypted for all.
    pub message: Bytes,
}

/// One device's copy of a message.
pub struct Copy {
    /// For whom.
    pub to: DeviceAddr,
    /// The encrypted message.
    pub ciphertext: Ciphertext,
}
