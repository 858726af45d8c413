//! One shard: the task that owns some of the simulated devices, their timers and their sends in progress.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::device::Device;
use super::receive::Texts;
use super::send::PendingSend;
use super::{Job, Output, ReceiptOut, SendText, Tally};
use crate::number::DeviceAddr;
use crate::seed::Seed;

/// Most actions that wait for their time; beyond, they happen at once.
const MAX_TIMERS: usize = 1_000_000;

pub(super) struct Shard {
    pub(super) seed: Seed,
    pub(super) rng: StdRng,
    pub(super) devices: HashMap<DeviceAddr, Device>,
    pub(super) pending_sends: HashMap<u64, PendingSend>,
    pub(super) last_send: u64,
    pub(super) tally: Tally,
    pub(super) texts: Texts,
    pub(super) out: Vec<Output>,
    timers: BinaryHeap<Reverse<Timer>>,
    last_timer: u64,
    outputs: mpsc::Sender<Output>,
}

/// What happens later.
pub(super) enum Later {
    Receipt(Box<ReceiptOut>),
    Send(Box<SendText>),
}

struct Timer {
    at: Instant,
    order: u64,
    action: Later,
}

impl Shard {
    pub(super) fn new(seed: Seed, index: usize, outputs: mpsc::Sender<Output>) -> Self {
        let rng = StdRng::seed_from_u64(seed.number_of("shard", index as u64));
        Self {
            seed,
            rng,
            devices: HashMap::new(),
            pending_sends: HashMap::new(),
            last_send: 0,
            tally: Tally::default(),
            texts: Texts::default(),
            out: Vec::new(),
            timers: BinaryHeap::new(),
            last_timer: 0,
            outputs,
        }
    }

    /// Ends when the world is gone. Cancellation point: between jobs.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let next = self.timers.peek().map(|timer| timer.0.at);
            let job = tokio::select! {
                job = jobs.recv() => job,
                () = sleep_until(next) => {
                    self.fire(Instant::now());
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
            Job::Bundles { who, send, bundles } => self.bundles_came(who, send, bundles),
            Job::Receipt(receipt) => self.receipt_came(*receipt),
            // Whoever asked may have gone; nothing to tell then.
            Job::Inbox(of, answer) => {
                drop(
                    answer.send(
                        self.devices
                            .get(&of)
                            .map(|device| device.inbox.list())
                            .unwrap_or_default(),
                    ),
                );
            }
            Job::Outbox(of, answer) => {
                drop(
                    answer.send(
                        self.devices
                            .get(&of)
                            .map(|device| device.outbox.list())
                            .unwrap_or_default(),
                    ),
                );
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
        if wait.is_zero() || self.timers.len() >= MAX_TIMERS {
            return self.act(action);
        }
        self.last_timer += 1;
        self.timers.push(Reverse(Timer {
            at: Instant::now() + wait,
            order: self.last_timer,
            action,
        }));
    }

    fn fire(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|timer| timer.0.at <= now) {
            if let Some(Reverse(timer)) = self.timers.pop() {
                self.act(timer.action);
            }
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

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
