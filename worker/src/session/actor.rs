//! One session: its connection, its queues, its pace. The sole owner of all of it.
//!
//! One loop takes one closed enum of inputs ([`Input`]) and never blocks: database reads run beside it and
//! come back as inputs, writes gather in the recorder. What an input means is the parts' ([`Parts`]).
//!
//! Cancellation points: every wait of the loop is in [`Actor::next`]; dropping the actor there loses only
//! memory. What was not durable has not left, and a delivery that was not settled comes again. A write that was handed
//! over goes its way without the actor: whoever starts the session again waits for it before reading.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use shared::store::commit::CommitError;
use shared::store::sessions::SessionRecord;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use whatsapp::client::Ended;
use whatsapp::store::StoreError;

use super::adapter::keys::Step;
use super::context::{Context, Exit, Fetched};
use super::dispatch::Parts;
use super::link::Link;
use super::pacer::Waiting;
use super::recorder::After;
use super::surroundings::Surroundings;
use crate::job::pending::PendingJob;
use crate::lease::{Busy, Lease};

/// What a session is told from outside.
#[derive(Debug)]
pub(crate) enum Mail {
    Job(Box<PendingJob>),
    /// Finish what is in hand, disconnect, write everything down and end.
    HandOver,
}

/// What can happen to a session.
enum Input {
    Mail(Option<Mail>),
    Step(Box<Step>),
    Landed(Result<Vec<After>, CommitError>),
    Fetched(Fetched),
    Ended(Result<Ended, StoreError>),
    Granted,
    Tick,
}

pub(crate) struct Actor {
    parts: Parts,
    mailbox: mpsc::Receiver<Mail>,
    steps: mpsc::Receiver<Box<Step>>,
    busy: Option<Busy>,
}

impl Actor {
    /// A session as stored, with what it is told from outside. Boxed, because the future of [`Self::run`] has room for its
    /// argument twice.
    pub(crate) fn new(
        around: Arc<Surroundings>,
        lease: Lease,
        record: SessionRecord,
        mailbox: mpsc::Receiver<Mail>,
    ) -> Box<Self> {
        let (link, steps) = Link::new();
        Box::new(Self {
            parts: Parts::new(Context::new(around, lease, record), link),
            mailbox,
            steps,
            busy: None,
        })
    }

    /// Runs until the session is handed over, deleted or lost.
    pub(crate) async fn run(mut self: Box<Self>) -> Exit {
        loop {
            let (waiting, wake) = self.parts.work();
            self.note_busy(waiting);
            if let Some(exit) = self.parts.cx.exit.take() {
                return exit;
            }
            let input = self.next(wake).await;
            if !self.parts.cx.lease.is_live(self.parts.cx.now()) {
                // Somebody else may own the session by now: nothing of ours may leave any more.
                return Exit::Fenced;
            }
            self.take(input);
        }
    }

    /// A shard whose sessions have nothing to send is handed over before others.
    fn note_busy(&mut self, waiting: Waiting) {
        let is_idle = matches!(waiting, Waiting::Idle | Waiting::Restricted | Waiting::StartsAt);
        if is_idle && self.parts.sends.is_empty() {
            self.busy = None;
        } else if self.busy.is_none() {
            self.busy = Some(self.parts.cx.lease.busy());
        }
    }

    /// Waits for the next input. Dropping the wait loses nothing.
    async fn next(&mut self, wake: Option<Instant>) -> Input {
        let Parts { cx, link, sends, .. } = &mut self.parts;
        let (clock, now) = (cx.around.clock, cx.now());
        tokio::select! {
            landed = cx.recorder.landed() => Input::Landed(landed),
            Some(step) = self.steps.recv() => Input::Step(step),
            Some(fetched) = cx.fetches.next(), if !cx.fetches.is_empty() => Input::Fetched(fetched),
            ended = link.ended(&cx.lease, clock) => Input::Ended(ended),
            mail = self.mailbox.recv() => Input::Mail(mail),
            () = sends.cap.granted() => Input::Granted,
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => Input::Tick,
        }
    }

    fn take(&mut self, input: Input) {
        let parts = &mut self.parts;
        match input {
            Input::Mail(Some(Mail::Job(job))) => parts.on_job(job),
            Input::Mail(Some(Mail::HandOver)) => {
                let deadline = parts.cx.now() + HAND_OVER_WAIT;
                parts.cx.leaves_by.get_or_insert(deadline);
            }
            // The supervisor is gone, and the shard with it.
            Input::Mail(None) => parts.cx.end(Exit::HandedOver),
            Input::Step(step) => parts.on_step(*step),
            Input::Landed(landed) => parts.on_landed(landed),
            Input::Fetched(fetched) => parts.on_fetched(fetched),
            Input::Ended(ended) => parts.on_ended(ended),
            // The next turn uses it.
            Input::Granted => {}
            Input::Tick => parts.on_tick(),
        }
    }
}

/// How long a hand-over waits for answers, the goodbye and the last write.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// Room for what a session is told from outside: more than a shard has jobs on their way, so that none waits for it.
pub(crate) const MAIL_MAX: usize = 256;
