//! One shard: the task that owns some of the simulated devices, their timers and their sends in progress.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use compact_str::CompactString;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::device::Device;
use super::job::{Job, SendText};
use super::output::{Output, ReceiptOut};
use super::placeholder::{MAX_PLACEHOLDERS, Placeholder};
use super::tally::Tally;
use super::texts::Texts;
use crate::clock::Clock;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::seed::Seed;
use crate::timers::{self, Timers};

/// Most often a device asks for one message again.
pub(super) const MAX_RETRIES: u32 = 5;

pub(super) struct Shard {
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) rng: StdRng,
    pub(super) devices: HashMap<DeviceAddr, Device>,
    pub(super) pending_sends: HashMap<u64, PendingSend>,
    pub(super) last_send: u64,
    pub(super) tally: Tally,
    pub(super) texts: Texts,
    /// What phones have and their companions have not.
    pub(super) placeholders: HashMap<(Number, CompactString), Placeholder>,
    pub(super) out: Vec<Output>,
    timers: Timers<Later>,
    outputs: mpsc::Sender<Output>,
}

/// What happens later.
pub(super) enum Later {
    Receipt(Box<ReceiptOut>),
    Send(Box<SendText>),
}

/// A send that waits for bundles.
pub(super) struct PendingSend {
    pub(super) from: DeviceAddr,
    pub(super) to: Number,
    pub(super) addressing: Addressing,
    pub(super) id: CompactString,
    pub(super) text: String,
    /// A message in place of the text, encoded.
    pub(super) message: Option<Bytes>,
    pub(super) targets: Vec<DeviceAddr>,
    pub(super) retry_count: u32,
    /// A message that is between the account's own devices, in place of the text.
    pub(super) peer: Option<Vec<u8>>,
    /// The group that it goes to, if it does.
    pub(super) group: Option<CompactString>,
}

impl Shard {
    pub(super) fn new(seed: Seed, index: usize, outputs: mpsc::Sender<Output>, clock: Clock) -> Self {
        let rng = StdRng::seed_from_u64(seed.number_of("shard", index as u64));
        Self {
            clock,
            seed,
            rng,
            devices: HashMap::new(),
            pending_sends: HashMap::new(),
            last_send: 0,
            tally: Tally::default(),
            texts: Texts::default(),
            placeholders: HashMap::new(),
            out: Vec::new(),
            timers: Timers::default(),
            outputs,
        }
    }

    /// Ends when the world is gone. Cancellation point: between jobs.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let next = self.timers.next();
            let job = tokio::select! {
                job = jobs.recv() => job,
                () = timers::until(next) => {
                    self.fire(self.clock.now());
                    if !self.flush().await {
                        return;
                    }
                    continue;
                }
            };
            let Some(job) = job else { return };
            self.take(job);
            if !self.flush().await {
                return;
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Deliver(delivery) => self.deliver(*delivery),
            Job::Send(send) => self.send(*send),
            Job::SendInGroup(send) => self.send_in_group(*send),
            Job::Tell(tell) => self.tell(*tell),
            Job::Bundles { who, send, bundles } => self.bundles_came(who, send, bundles),
            Job::Receipt(receipt) => self.receipt_came(*receipt),
            Job::Renew(number) => {
                self.devices
                    .retain(|who, _| who.number != number || who.device == 0);
                if let Some(phone) = self.devices.get_mut(&DeviceAddr::phone(number)) {
                    phone.register_anew(&self.seed);
                }
            }
            Job::Keep(kept) if self.placeholders.len() < MAX_PLACEHOLDERS => {
                self.placeholders.insert((kept.phone, kept.id.clone()), *kept);
            }
            Job::Keep(_) => {}
            // Whoever asked may have gone; nothing to tell then.
            Job::Inbox(of, answer) => {
                let device = self.devices.get(&of);
                drop(answer.send(device.map(|device| device.inbox.list()).unwrap_or_default()));
            }
            Job::Outbox(of, answer) => {
                let device = self.devices.get(&of);
                drop(answer.send(device.map(|device| device.outbox.list()).unwrap_or_default()));
            }
            Job::Tally(answer) => drop(answer.send(self.tally.clone())),
        }
    }

    /// Makes the device, if nothing was asked of it yet.
    pub(super) fn wake(&mut self, who: DeviceAddr) -> &mut Device {
        let seed = &self.seed;
        self.devices.entry(who).or_insert_with(|| Device::new(seed, who))
    }

    /// Does `action` after `wait`.
    pub(super) fn later(&mut self, wait: Duration, action: Later) {
        if wait.is_zero() {
            return self.act(action);
        }
        if let Some(action) = self.timers.push(self.clock.now() + wait, action) {
            self.act(action);
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(action) = self.timers.pop(now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Later) {
        match action {
            Later::Receipt(receipt) => self.out.push(Output::Receipt(receipt)),
            Later::Send(send) => self.send(*send),
        }
    }

    /// `false` if the world is gone.
    async fn flush(&mut self) -> bool {
        for output in self.out.drain(..) {
            if self.outputs.send(output).await.is_err() {
                return false;
            }
        }
        true
    }
}
