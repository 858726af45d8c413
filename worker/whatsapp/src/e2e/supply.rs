//! The prekeys that others start sessions with: how many the server has left, and giving it more.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use std::time::Duration;

use bytes::Bytes;

use super::outcome::{Question, Questions};
use crate::device::PreKeyRange;
use crate::event::QueryError;
use crate::part::{Answer, Context, Ticket};
use crate::signal::curve::PublicKey;
use crate::signal::{PreKey, PreKeyId, SignedPreKey};
use crate::stanza::keys::{self, KeyDigest, PublicSignedPreKey, Upload};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// With fewer than this left at the server, more are uploaded.
pub(super) const FEW: u32 = 5;
/// How old the signed prekey grows before a login replaces it.
pub(super) const SIGNED_PREKEY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many one-time prekeys that were handed to one device each, in requests for messages, are kept until they are used.
/// The oldest goes first: a device that asks again gets another.
pub const MAX_HANDED_PREKEYS: usize = 256;
/// How many ids the one-time prekeys that are kept may span. Those before were published long ago: the server had given
/// away almost all of them before it got any of the later ones.
pub const MAX_PREKEY_SPAN: u32 = 4096;
/// How many ids at most one upload goes on with the deletion of old prekeys; it makes fewer new ones itself.
const MAX_FORGOTTEN: u32 = 1024;
/// Longest wait before an upload that failed is repeated. The waits grow like Fibonacci's numbers, from a second on.
pub(super) const MAX_REPEAT_PAUSE: Duration = Duration::from_secs(610);

/// The code for a digest of keys that the server has lost.
const LOST: u16 = 404;

/// The supply. An idle one takes no room beyond itself: the keys under way are in the store.
#[derive(Default)]
pub(super) struct Supply {
    upload: Option<Box<Pending>>,
    /// What waited for us has come: there is time for keys.
    is_caught_up: bool,
}

/// An upload that is not confirmed. Its keys are those that [`Device::unconfirmed_prekeys`] names, also after a restart.
///
/// [`Device::unconfirmed_prekeys`]: crate::device::Device::unconfirmed_prekeys
struct Pending {
    progress: Progress,
    /// The last two waits, in seconds.
    pauses: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// For what waits for us to come first.
    Held,
    /// For the store, which has the keys.
    Reading,
    /// For the server.
    Asked,
    /// To be repeated then.
    Paused(Timestamp),
}

/// Asking and being asked.
impl Supply {
    /// Asks how many are left, after a login.
    pub(super) fn check(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        cx.ask(keys::count_request(), questions.open(Question::PreKeyCount));
    }

    /// The server has told how many are left.
    pub(super) fn on_count(&mut self, cx: &mut Context<'_>, questions: &mut Questions, reply: Answer) {
        let Some(left) = reply.ok().and_then(|node| keys::count(&node)) else {
            return;
        };
        // Before the digest: what the server holds is compared with the new one.
        let made = cx.device.signed_prekey_made;
        if made != Timestamp::EPOCH && cx.now.since(made) > SIGNED_PREKEY_AGE {
            self.rotate(cx);
        }
        if left < FEW || cx.device.unconfirmed_prekeys.is_some() {
            self.upload(cx, questions);
        } else {
            self.check_digest(cx, questions);
        }
    }

    /// The server says that few are left: what is few, it knows. The keys are made in the step that acknowledges this, and
    /// leave when nothing waits for us any more; being told again meanwhile changes nothing.
    pub(super) fn on_few(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        if self.is_caught_up {
            return self.upload(cx, questions);
        }
        if self.upload.is_none() {
            if cx.device.unconfirmed_prekeys.is_none() {
                generate(cx);
            }
            self.upload = Some(Box::new(Pending::new(Progress::Held)));
        }
    }

    /// What waited for us has come.
    pub(super) fn on_caught_up(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        self.is_caught_up = true;
        self.read_if(cx, questions, |progress| progress == Progress::Held);
    }

    /// Asks what the server holds.
    pub(super) fn check_digest(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        cx.ask(keys::digest_request(), questions.open(Question::KeyDigest));
    }

    /// The server has told what it holds: what differs is uploaded again.
    pub(super) fn on_digest(&mut self, cx: &mut Context<'_>, questions: &mut Questions, reply: Answer) {
        match reply {
            Err(QueryError::Refused { code: LOST }) => self.upload(cx, questions),
            // Not all servers say what they hold; without that there is nothing to compare.
            Err(_) => {}
            Ok(node) => {
                if KeyDigest::parse(&node).is_ok_and(|digest| !is_current(cx, &digest)) {
                    self.upload(cx, questions);
                }
            }
        }
    }

    /// Makes a new signed prekey; the one in use is kept for those who have its bundle.
    fn rotate(&mut self, cx: &mut Context<'_>) {
        let next = SignedPreKey::generate(cx.device.signed_prekey.id.next(), &cx.device.identity, cx.rng);
        // Refused or lost, the old one still stands at the server, and is kept here.
        cx.ask(keys::rotate_request(&next), Ticket::IGNORED);
        let now = cx.now;
        let device = cx.device_mut();
        device.signed_prekey_made = now;
        // Each is stored when it is made, so that it can be read as soon as it is no longer the one in use. The first one
        // of a device may be older than its store.
        let previous = std::mem::replace(&mut device.signed_prekey, next.clone());
        cx.changes().put_signed_prekey(&previous);
        cx.changes().put_signed_prekey(&next);
    }
}

/// Uploading.
impl Supply {
    /// Publishes keys: those that an earlier upload did not confirm, else new ones, which are durable before they leave.
    fn upload(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        if self.upload.is_some() {
            return;
        }
        let mut pending = Box::new(Pending::new(Progress::Asked));
        if cx.device.unconfirmed_prekeys.is_none() {
            let prekeys = generate(cx);
            ask(cx, questions, prekeys);
        } else {
            pending.read(cx, questions);
        }
        self.upload = Some(pending);
    }

    /// The store has answered for the keys that are not confirmed. Those that are gone were published after all.
    pub(super) fn on_stored(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        range: PreKeyRange,
        values: Vec<Option<Bytes>>,
    ) {
        let Some(pending) = &mut self.upload else { return };
        let stored = range.ids().zip(values);
        let prekeys: Vec<_> = stored
            .filter_map(|(id, value)| PreKey::decode(id, &value?))
            .map(|prekey| (prekey.id, *prekey.pair.public()))
            .collect();
        pending.progress = Progress::Asked;
        let prekeys = if prekeys.is_empty() { generate(cx) } else { prekeys };
        ask(cx, questions, prekeys);
    }

    /// The upload was confirmed or refused. Refused, its keys are offered again and again: the server may have them.
    pub(super) fn on_uploaded(&mut self, cx: &mut Context<'_>, reply: &Answer) {
        let Some(pending) = &mut self.upload else { return };
        if reply.is_ok() {
            cx.device_mut().unconfirmed_prekeys = None;
            self.upload = None;
        } else {
            pending.progress = Progress::Paused(cx.now + pending.next_pause());
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.upload.as_ref()?.progress {
            Progress::Paused(until) => Some(until),
            _ => None,
        }
    }

    /// Repeats an upload that is due.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        let now = cx.now;
        self.read_if(
            cx,
            questions,
            |progress| matches!(progress, Progress::Paused(until) if until <= now),
        );
    }

    fn read_if(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        is_due: impl Fn(Progress) -> bool,
    ) {
        if let Some(pending) = self.upload.as_mut().filter(|pending| is_due(pending.progress)) {
            pending.read(cx, questions);
        }
    }
}

impl Pending {
    const fn new(progress: Progress) -> Self {
        let pauses = (0, 1);
        Self { progress, pauses }
    }

    /// Reads the keys that are to be offered.
    fn read(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        let Some(range) = cx.device.unconfirmed_prekeys else {
            return;
        };
        self.progress = Progress::Reading;
        let keys = range.ids().map(RecordKey::prekey).collect();
        cx.load(keys, questions.open(Question::UnconfirmedPreKeys(range)));
    }

    fn next_pause(&mut self) -> Duration {
        let (before, last) = self.pauses;
        let pause = Duration::from_secs(last).min(MAX_REPEAT_PAUSE);
        self.pauses = (last, before.saturating_add(last));
        pause
    }
}

/// Asks the server to take these keys.
fn ask(cx: &mut Context<'_>, questions: &mut Questions, prekeys: Vec<(PreKeyId, PublicKey)>) {
    let upload = Upload {
        registration_id: cx.device.registration_id,
        identity: *cx.device.identity.public(),
        prekeys,
        signed: PublicSignedPreKey::from(&cx.device.signed_prekey),
    };
    cx.ask(upload.to_node(), questions.open(Question::PreKeyUpload));
}

/// Makes the keys of one upload, to be kept with this step and offered until the server has confirmed them.
fn generate(cx: &mut Context<'_>) -> Vec<(PreKeyId, PublicKey)> {
    if cx.device.signed_prekey_made == Timestamp::EPOCH {
        let now = cx.now;
        cx.device_mut().signed_prekey_made = now;
    }
    let (first, count) = (
        cx.device.next_prekey_id,
        cx.config.limits.prekeys_per_upload.max(1),
    );
    let prekeys = (0..count).map(|_| {
        let prekey = fresh(cx);
        (prekey.id, *prekey.pair.public())
    });
    let prekeys = prekeys.collect();
    cx.device_mut().unconfirmed_prekeys = Some(PreKeyRange { first, count });
    forget_old(cx);
    prekeys
}

/// Makes one prekey for one device, to be kept with this step until it is used or too many others were made after it.
pub(crate) fn hand_out(cx: &mut Context<'_>) -> PreKey {
    let prekey = fresh(cx);
    let handed = &mut cx.device_mut().handed_prekeys;
    handed.push(prekey.id);
    let surplus = handed.len().saturating_sub(MAX_HANDED_PREKEYS);
    let gone: Vec<PreKeyId> = handed.drain(..surplus).collect();
    for id in gone {
        cx.changes().delete(RecordKey::prekey(id));
    }
    prekey
}

/// Deletes prekeys that nobody will use any more, whether or not they were used.
fn forget_old(cx: &mut Context<'_>) {
    let span = cx.device.next_prekey_id.since(cx.device.oldest_prekey_id);
    for _ in 0..span.saturating_sub(MAX_PREKEY_SPAN).min(MAX_FORGOTTEN) {
        let id = cx.device.oldest_prekey_id;
        cx.device_mut().oldest_prekey_id = id.next();
        cx.changes().delete(RecordKey::prekey(id));
    }
}

/// Makes one prekey, to be kept with this step. Ids of 24 bits wrap around; the oldest keys are long gone by then.
fn fresh(cx: &mut Context<'_>) -> PreKey {
    let id: PreKeyId = cx.device.next_prekey_id;
    cx.device_mut().next_prekey_id = id.next();
    let prekey = PreKey::generate(id, cx.rng);
    cx.changes().put_prekey(&prekey);
    prekey
}

fn is_current(cx: &Context<'_>, digest: &KeyDigest) -> bool {
    let device = &cx.device;
    digest.registration_id == device.registration_id
        && digest.identity == *device.identity.public()
        && digest.signed == PublicSignedPreKey::from(&device.signed_prekey)
}
