//! Whether the server lets the account write to new contacts.
//!
//! It is asked after login, when it refuses a message for it, and when the owner wants to know; and it tells by itself.
//! What makes no sense is counted, and the owner goes on with what is known.
//!
//! Facts: docs/PROTOCOL.md, "Restrictions".

use crate::binary::Node;
use crate::event::{Event, NewChatCap, Refusal, Restriction};
use crate::part::{Answer, Context, PartId, Ticket, Tickets};
use crate::stanza::mex::{NEW_CHAT_CAPS, News, TIME_LOCK, TimeLock, read_cap};
use crate::time::Timestamp;

/// The restrictions of one connection's account.
pub(crate) struct Restrictions {
    questions: Tickets<Question>,
    /// When it was asked last.
    asked_at: Option<Timestamp>,
    /// When to ask, if somebody wants to know.
    ask_at: Option<Timestamp>,
    /// What made no sense so far.
    odd: u32,
}

enum Question {
    TimeLock,
    /// By this one of the documents.
    NewChatCap(usize),
}

impl Restrictions {
    /// Nothing is asked yet.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            asked_at: None,
            ask_at: None,
            odd: 0,
        }
    }

    /// What the server says of the session: all that waited has come.
    pub(crate) fn on_ib(&mut self, cx: &mut Context<'_>, ib: &Node) {
        if ib.child("offline").is_some() && self.asked_at.is_none() {
            self.ask(cx);
        }
    }

    /// The server refused a message, for this reason.
    pub(crate) fn on_refused(&mut self, cx: &mut Context<'_>, refusal: Refusal) {
        if let Refusal::NewContact | Refusal::NewChatCap = refusal {
            self.ask(cx);
        }
    }

    /// Asks for all restrictions: now, or when the last time is long enough ago.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>) {
        self.ask_at = Some(
            self.asked_at
                .map_or(cx.now, |asked| asked + cx.config.timing.restrictions),
        );
        self.tick(cx);
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        let reply = answer.ok();
        match self.questions.close(ticket) {
            Some(Question::TimeLock) => {
                let lock = reply.and_then(|reply| TIME_LOCK.read(&reply));
                match lock.as_ref().and_then(TimeLock::read) {
                    Some(lock) => tell_lock(cx, lock),
                    None => self.unknown(cx, Restriction::TimeLock),
                }
            }
            Some(Question::NewChatCap(at)) => {
                let cap = reply.and_then(|reply| NEW_CHAT_CAPS[at].read(&reply));
                match cap.as_ref().and_then(read_cap) {
                    Some(cap) => tell_cap(cx, cap),
                    None if at + 1 < NEW_CHAT_CAPS.len() => self.ask_cap(cx, at + 1),
                    None => self.unknown(cx, Restriction::NewChatCap),
                }
            }
            None => {}
        }
    }

    /// A `<notification type="mex">` came in.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) {
        match News::parse(stanza) {
            Some(News::TimeLock(lock)) => tell_lock(cx, lock),
            Some(News::NewChatCap(cap)) => tell_cap(cx, cap),
            Some(News::Other) => {}
            None => self.count_odd(),
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Timestamp> {
        self.ask_at
    }

    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.ask_at.is_none_or(|at| at > cx.now) {
            return;
        }
        self.ask_at = None;
        self.asked_at = Some(cx.now);
        cx.ask(TIME_LOCK.to_node(), self.questions.open(Question::TimeLock));
        self.ask_cap(cx, 0);
    }

    fn ask_cap(&mut self, cx: &mut Context<'_>, at: usize) {
        let ticket = self.questions.open(Question::NewChatCap(at));
        cx.ask(NEW_CHAT_CAPS[at].to_node(), ticket);
    }

    fn unknown(&mut self, cx: &mut Context<'_>, kind: Restriction) {
        self.count_odd();
        cx.emit(Event::RestrictionUnknown { kind });
    }

    fn count_odd(&mut self) {
        self.odd = self.odd.saturating_add(1);
        tracing::debug!(
            in_all = self.odd,
            "what the server says of restrictions can't be read"
        );
    }
}

fn tell_lock(cx: &mut Context<'_>, lock: TimeLock) {
    let kind = Restriction::TimeLock;
    cx.emit(match lock.is_active {
        true => Event::Restricted {
            kind,
            reason: lock.reason,
            until: lock.ends,
        },
        false => Event::Unrestricted { kind },
    });
}

fn tell_cap(cx: &mut Context<'_>, cap: NewChatCap) {
    let kind = Restriction::NewChatCap;
    cx.emit(match cap.is_reached() {
        true => Event::Restricted {
            kind,
            reason: cap.status.clone(),
            until: cap.cycle_ends,
        },
        false => Event::Unrestricted { kind },
    });
    cx.emit(Event::NewChatCap(Box::new(cap)));
}
