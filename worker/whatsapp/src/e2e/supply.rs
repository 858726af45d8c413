//! The prekeys that others start sessions with: how many the server has left, and giving it more.
//!
//! Facts: docs/PROTOCOL.md, "Prekeys".

use std::time::Duration;

use super::outcome::{Question, Questions};
use crate::binary::Node;
use crate::event::QueryError;
use crate::part::{Answer, Context, Ticket};
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
/// How often an upload that failed is repeated.
const MAX_REPEATS: u32 = 3;
/// How long the first repeat waits; each later one twice as long as the one before.
const FIRST_REPEAT: Duration = Duration::from_secs(1);

/// The code for a digest of keys that the server has lost.
const LOST: u16 = 404;

#[derive(Default)]
pub(super) struct Supply {
    upload: Option<Box<Pending>>,
}

/// An upload that is not confirmed.
struct Pending {
    /// What to send again. Boxed with the rest: there is one for some seconds in a device's life.
    node: Node,
    /// How many prekeys are to follow in stanzas of their own.
    rest: u32,
    repeats: u32,
    repeat_at: Option<Timestamp>,
}

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
        let limits = &cx.config.limits;
        match left {
            0 => self.upload(cx, questions, limits.first_prekeys),
            1..FEW => self.upload(cx, questions, limits.later_prekeys),
            _ => self.check_digest(cx, questions),
        }
    }

    /// The server says that few are left.
    pub(super) fn on_few(&mut self, cx: &mut Context<'_>, questions: &mut Questions, left: u32) {
        if left < FEW {
            self.upload(cx, questions, cx.config.limits.later_prekeys);
        }
    }

    /// Asks what the server holds.
    pub(super) fn check_digest(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        cx.ask(keys::digest_request(), questions.open(Question::KeyDigest));
    }

    /// The server has told what it holds: what differs is uploaded again.
    pub(super) fn on_digest(&mut self, cx: &mut Context<'_>, questions: &mut Questions, reply: Answer) {
        match reply {
            Err(QueryError::Refused { code: LOST }) => {
                self.upload(cx, questions, cx.config.limits.first_prekeys)
            }
            // Not all servers say what they hold; without that there is nothing to compare.
            Err(_) => {}
            Ok(node) => {
                if KeyDigest::parse(&node).is_ok_and(|digest| !is_current(cx, &digest)) {
                    self.upload(cx, questions, cx.config.limits.later_prekeys);
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

    /// The upload was confirmed or refused.
    pub(super) fn on_uploaded(&mut self, cx: &mut Context<'_>, questions: &mut Questions, reply: &Answer) {
        let Some(pending) = &mut self.upload else { return };
        if reply.is_ok() {
            let rest = pending.rest;
            self.upload = None;
            if rest > 0 {
                self.upload(cx, questions, rest);
            }
        } else if pending.repeats >= MAX_REPEATS {
            // Given up, the keys stay unpublished; the next login counts again.
            self.upload = None;
        } else {
            pending.repeat_at = Some(cx.now + FIRST_REPEAT * 2u32.pow(pending.repeats));
            pending.repeats += 1;
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.upload.as_ref()?.repeat_at
    }

    /// Repeats an upload that is due.
    pub(super) fn tick(&mut self, cx: &mut Context<'_>, questions: &mut Questions) {
        if let Some(pending) = &mut self.upload
            && pending.repeat_at.is_some_and(|at| at <= cx.now)
        {
            pending.repeat_at = None;
            cx.ask(pending.node.clone(), questions.open(Question::PreKeyUpload));
        }
    }

    /// Makes prekeys and publishes them: they are durable before the frame leaves.
    fn upload(&mut self, cx: &mut Context<'_>, questions: &mut Questions, count: u32) {
        if self.upload.is_some() {
            return;
        }
        if cx.device.signed_prekey_made == Timestamp::EPOCH {
            let now = cx.now;
            cx.device_mut().signed_prekey_made = now;
        }
        let now = count.min(cx.config.limits.prekeys_per_upload.max(1));
        let prekeys = (0..now)
            .map(|_| {
                let prekey = fresh(cx);
                (prekey.id, *prekey.pair.public())
            })
            .collect();
        forget_old(cx);
        let node = Upload {
            registration_id: cx.device.registration_id,
            identity: *cx.device.identity.public(),
            prekeys,
            signed: PublicSignedPreKey::from(&cx.device.signed_prekey),
        }
        .to_node();
        cx.ask(node.clone(), questions.open(Question::PreKeyUpload));
        self.upload = Some(Box::new(Pending {
            node,
            rest: count - now,
            repeats: 0,
            repeat_at: None,
        }));
    }
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
