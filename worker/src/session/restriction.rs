//! Whether the session may write to new contacts, and from when on it may again.
//!
//! Owns how a restriction begins, is prolonged and ends; it is stored with the session, and everybody reads it there.
//! While one lasts, sends ask the connection to write to known contacts alone: to people who have written to the account.
//! The others wait in the store, marked with the restriction's number, and go on when it is over.
//!
//! At its end WhatsApp is asked again: it may be prolonged. Without an answer it counts as over.

use std::time::Duration;

use shared::clock::unix_millis;
use shared::event::{Event, RestrictionKind, SessionRestricted, SessionUnrestricted};
use shared::store::sessions::Restriction;
use time::OffsetDateTime;
use tokio::time::Instant;
use whatsapp::command::Command;
use whatsapp::event::{Refusal, Restriction as Told, SendError};

use super::context::Context;
use super::link::Link;
use super::meter;

#[derive(Debug, Default)]
pub(super) struct Restrictions {
    /// WhatsApp itself has told of the present one, and may take it back.
    is_told: bool,
    /// New contacts that were refused since WhatsApp last told of a lock.
    unexplained: u32,
    /// WhatsApp was asked whether the present one, whose end has come, is over; until then it may answer.
    asked_until: Option<Instant>,
}

impl Restrictions {
    /// As the last owner of the session left it.
    pub(super) fn new(cx: &Context) -> Self {
        let present = cx.record.restriction.as_ref();
        Self {
            is_told: present.is_some_and(|present| present.kind != RestrictionKind::Refused),
            ..Self::default()
        }
    }

    /// WhatsApp says that it restricts the account.
    pub(super) fn on_restricted(
        &mut self,
        cx: &mut Context,
        told: Told,
        why: Option<String>,
        until: Option<OffsetDateTime>,
    ) {
        let wall = cx.wall();
        let kind = kind_of(told);
        // One whose end was not told, or is over by our clock, is asked about again soon.
        let until = until
            .filter(|until| *until > wall)
            .unwrap_or(wall + cx.around.whatsapp.timing.restrictions)
            .min(wall + LASTS_MAX);
        let present = cx.record.restriction.as_ref();
        let is_other = |present: &Restriction| present.kind != kind && self.is_told;
        if present.is_some_and(|present| is_other(present) && present.until >= until) {
            // Of two at a time the one that lasts longer counts.
            return;
        }
        (self.is_told, self.unexplained) = (true, 0);
        self.begin(cx, kind, until, why);
    }

    /// WhatsApp says that a restriction is not in force.
    pub(super) fn on_unrestricted(&mut self, cx: &mut Context, told: Told) {
        // That there is no lock does not explain a refusal: it stays until its time is over.
        if is_about(cx, told) && (self.is_told || self.asked_until.is_some()) {
            self.lift(cx);
        }
    }

    /// WhatsApp was asked and its answer says nothing. One whose end has come is over.
    pub(super) fn on_unknown(&mut self, cx: &mut Context, told: Told) {
        if is_about(cx, told) && self.asked_until.is_some() {
            self.lift(cx);
        }
    }

    /// A send came to nothing; that may say more of the account than of the recipient.
    pub(super) fn on_send_failed(&mut self, cx: &mut Context, reason: &SendError) {
        let kind = match reason.refusal() {
            Some(Refusal::NewContact) => RestrictionKind::Refused,
            Some(Refusal::NewChatCap) => RestrictionKind::Cap,
            _ => return,
        };
        if cx.record.restriction.is_some() {
            return;
        }
        // The connection asks WhatsApp by itself; until it answers, or if it knows of nothing, this holds.
        let pause = REFUSED_PAUSE.saturating_mul(2_u32.saturating_pow(self.unexplained));
        self.unexplained = self.unexplained.saturating_add(1);
        self.is_told = false;
        let until = cx.wall() + pause.min(REFUSED_PAUSE_MAX);
        self.begin(cx, kind, until, None);
    }

    /// Asks WhatsApp when the end has come; answers when to look again.
    pub(super) fn advance(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        let until = cx.record.restriction.as_ref()?.until;
        let (now, left) = (
            cx.now(),
            Duration::try_from(until - cx.wall()).unwrap_or_default(),
        );
        if !left.is_zero() {
            return Some(now + left.min(LOOK_AGAIN));
        }
        match self.asked_until {
            None if link.is_open() && link.tell(Command::AskRestrictions) => {
                let patience = cx.around.whatsapp.timing.restrictions + cx.around.whatsapp.timing.iq;
                self.asked_until = Some(now + patience + ANSWER_WAIT);
            }
            Some(until) if until <= now => self.lift(cx),
            _ => {}
        }
        self.asked_until
    }

    /// The connection is gone, and an answer with it.
    pub(super) fn on_disconnected(&mut self) {
        self.asked_until = None;
    }

    /// New contacts go on.
    pub(super) fn lift(&mut self, cx: &mut Context) {
        self.asked_until = None;
        self.is_told = false;
        let Some(present) = cx.record.restriction.take() else {
            return;
        };
        cx.recorder.write.session_row().restriction = Some(None);
        cx.recorder.event(Event::SessionUnrestricted(SessionUnrestricted {
            kind: present.kind,
            since: unix_millis(present.since),
        }));
        // Those that waited are read again.
        cx.queues.all_in_store();
    }

    /// From now on, or still, until then.
    fn begin(&mut self, cx: &mut Context, kind: RestrictionKind, until: OffsetDateTime, why: Option<String>) {
        self.asked_until = None;
        let present = cx.record.restriction.take();
        let is_new = present.is_none();
        let restriction = Restriction {
            kind,
            until,
            since: present
                .as_ref()
                .map_or_else(|| cx.wall(), |present| present.since),
            number: present
                .as_ref()
                .map_or(cx.record.restrictions + 1, |present| present.number),
            why,
        };
        if present.as_ref() == Some(&restriction) {
            cx.record.restriction = present;
            return;
        }
        if is_new {
            meter::restricted(kind);
            tracing::warn!(session.id = %cx.record.id, kind = kind.as_str(), "new contacts can't be written to");
        }
        cx.record.restrictions = restriction.number;
        cx.recorder.event(Event::SessionRestricted(SessionRestricted {
            kind,
            since: unix_millis(restriction.since),
            until: unix_millis(restriction.until),
            reason: restriction.why.clone(),
        }));
        let row = cx.recorder.write.session_row();
        row.restrictions = Some(restriction.number);
        row.restriction = Some(Some(restriction.clone()));
        cx.record.restriction = Some(restriction);
    }
}

fn kind_of(told: Told) -> RestrictionKind {
    match told {
        Told::TimeLock => RestrictionKind::TimeLock,
        Told::NewChatCap => RestrictionKind::Cap,
    }
}

/// Whether what is told of one restriction speaks of the present one. The lock is what explains a refusal.
fn is_about(cx: &Context, told: Told) -> bool {
    let present = cx.record.restriction.as_ref().map(|present| present.kind);
    present == Some(kind_of(told)) || (told == Told::TimeLock && present == Some(RestrictionKind::Refused))
}

/// The longest that a restriction is believed without asking again.
const LASTS_MAX: Duration = Duration::from_secs(31 * 86_400);
/// How long no new contact is written to after one was refused and WhatsApp tells of no lock; doubled with each in a row.
const REFUSED_PAUSE: Duration = Duration::from_secs(3_600);
/// The longest of those.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(86_400);
/// How long the end may be off when the wall clock is set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How much longer than it may take an answer is waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
