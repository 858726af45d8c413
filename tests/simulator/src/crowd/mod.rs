//! The simulated devices: contacts, and the phones of accounts. They decrypt and encrypt for real.
//!
//! Each device belongs to one shard, a task that owns its ratchets and its inbox; the world talks to shards by jobs and
//! hears from them by [`Output`]s, both over bounded channels. The crowd knows nothing of connections or stanzas.

mod device;
mod inbox;
mod receive;
mod send;
mod shard;

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use serde::Serialize;
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};
use whatsapp::signal::{PreKeyBundle, RegistrationId};

use crate::number::{Addressing, DeviceAddr, Number};
use crate::population::Manners;
use crate::seed::Seed;

pub use inbox::{MAX_INBOX, MAX_OUTBOX, ReceiptSeen, Received, Sent};

/// Jobs that wait for one shard.
pub const JOB_QUEUE: usize = 4096;
/// Outputs of all shards that wait for the world.
pub const OUTPUT_QUEUE: usize = 4096;
/// Most often a device asks for one message again.
pub const MAX_RETRIES: u32 = 5;

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
    /// Whether it starts a session.
    pub starts_session: bool,
    /// The encrypted message.
    pub ciphertext: Bytes,
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
}

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
    /// Told the id of the message.
    pub answer: Option<oneshot::Sender<CompactString>>,
}

/// A receipt that a simulated device gets.
pub struct ReceiptIn {
    /// The device.
    pub to: DeviceAddr,
    /// Whose receipt it is.
    pub from: DeviceAddr,
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
    /// The bundles that [`Output::WantBundles`] asked for; a device without one is gone.
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
    /// What did the device get?
    Inbox(DeviceAddr, oneshot::Sender<Vec<Received>>),
    /// What did the device send?
    Outbox(DeviceAddr, oneshot::Sender<Vec<Sent>>),
    /// What did all devices of the shard see?
    Tally(oneshot::Sender<Tally>),
}

/// What a shard tells the world.
pub enum Output {
    /// A device sends a receipt.
    Receipt(Box<ReceiptOut>),
    /// A device sends a message.
    Message(Box<MessageOut>),
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
}

/// One device's copy of a message.
pub struct Copy {
    /// For whom.
    pub to: DeviceAddr,
    /// Whether it starts a session.
    pub starts_session: bool,
    /// The encrypted message.
    pub ciphertext: Bytes,
}

/// What contacts and phones made of the messages that they got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages (by id) that a contact was shown exactly once.
    pub shown_once: u64,
    /// Messages that a contact was shown more than once.
    pub shown_twice: u64,
    /// Those among both that did not come from a session but from a phone.
    pub shown_from_phones: u64,
    /// Texts that a contact was shown again by the same account under another id.
    pub repeated_texts: u64,
    /// Copies that came again after their message had been shown.
    pub duplicates_received: u64,
    /// Messages that a contact or phone could not read at first, for no fault of the simulator.
    pub undecryptable: u64,
    /// Those among `undecryptable` that it could read after asking again.
    pub recovered: u64,
    /// Messages that could not be read because a fault had corrupted them.
    pub undecryptable_by_fault: u64,
    /// Requests to send again.
    pub retries_requested: u64,
    /// Copies that were readable but not as they should be: padding, device identity, wrapping of own copies.
    pub malformed: u64,
    /// Copies that companions of contacts and phones could read.
    pub shown_elsewhere: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.shown_once += other.shown_once;
        self.shown_twice += other.shown_twice;
        self.shown_from_phones += other.shown_from_phones;
        self.repeated_texts += other.repeated_texts;
        self.duplicates_received += other.duplicates_received;
        self.undecryptable += other.undecryptable;
        self.recovered += other.recovered;
        self.undecryptable_by_fault += other.undecryptable_by_fault;
        self.retries_requested += other.retries_requested;
        self.malformed += other.malformed;
        self.shown_elsewhere += other.shown_elsewhere;
    }
}

/// The world's end of all shards. Never waits: what a full shard can't take is kept here, in order, and the world takes
/// nothing more from connections until it is gone.
pub struct Crowd {
    shards: Vec<Lane>,
}

struct Lane {
    jobs: mpsc::Sender<Job>,
    waiting: std::collections::VecDeque<Job>,
}

impl Crowd {
    /// Starts `shards` tasks on `tasks`; they end when the crowd is dropped.
    #[must_use]
    pub fn start(
        seed: &Seed,
        shards: usize,
        tasks: &tokio_util::task::TaskTracker,
    ) -> (Self, mpsc::Receiver<Output>) {
        let (outputs, heard) = mpsc::channel(OUTPUT_QUEUE);
        let shards = (0..shards.max(1))
            .map(|index| {
                let (jobs, inbox) = mpsc::channel(JOB_QUEUE);
                tasks.spawn(shard::Shard::new(seed.clone(), index, outputs.clone()).run(inbox));
                Lane {
                    jobs,
                    waiting: std::collections::VecDeque::new(),
                }
            })
            .collect();
        (Self { shards }, heard)
    }

    /// Gives `who`'s shard a job.
    pub fn give(&mut self, who: Number, job: Job) {
        let lane = (who.get() % self.shards.len() as u64) as usize;
        self.shards[lane].give(job);
    }

    /// Asks all shards for their counts. Each answers after what it was given before.
    pub fn tally(&mut self) -> Vec<oneshot::Receiver<Tally>> {
        self.shards
            .iter_mut()
            .map(|lane| {
                let (answer, tally) = oneshot::channel();
                lane.give(Job::Tally(answer));
                tally
            })
            .collect()
    }

    /// Whether nothing waits for a full shard.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.shards.iter().all(|lane| lane.waiting.is_empty())
    }

    /// Waits until a full shard has room and gives it what waits. Cancel safe. Never returns if nothing waits.
    pub async fn clear(&mut self) {
        let Some(lane) = self.shards.iter_mut().find(|lane| !lane.waiting.is_empty()) else {
            return std::future::pending().await;
        };
        let Ok(first) = lane.jobs.reserve().await else {
            return lane.waiting.clear();
        };
        if let Some(job) = lane.waiting.pop_front() {
            first.send(job);
        }
        while let Some(job) = lane.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(job)) = lane.jobs.try_send(job) {
                return lane.waiting.push_front(job);
            }
        }
    }
}

impl Lane {
    fn give(&mut self, job: Job) {
        if !self.waiting.is_empty() {
            return self.waiting.push_back(job);
        }
        if let Err(mpsc::error::TrySendError::Full(job)) = self.jobs.try_send(job) {
            self.waiting.push_back(job);
        }
    }
}

/// Adds up what the shards answered.
pub async fn sum(tallies: Vec<oneshot::Receiver<Tally>>) -> Tally {
    let mut total = Tally::default();
    for tally in tallies {
        if let Ok(tally) = tally.await {
            total.add(&tally);
        }
    }
    total
}
