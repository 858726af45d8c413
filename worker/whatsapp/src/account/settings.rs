//! The server's settings of this account: asked for after each login, and again from time to time.

use std::time::Duration;

use super::properties::{self, Properties};
use crate::binary::Node;
use crate::device::Account;
use crate::jid::Jid;
use crate::part::{Answer, Context, PartId, Ticket, Tickets};
use crate::time::Timestamp;

/// The properties of one connection's account.
pub(crate) struct Settings {
    properties: Properties,
    questions: Tickets<()>,
    /// When to ask next; none while a question is open.
    ask_at: Option<Timestamp>,
    is_asked: bool,
    /// Values that made no sense so far.
    odd: u32,
}

impl Settings {
    /// The defaults, until the server has answered.
    pub(crate) fn new(part: PartId, cx: &Context<'_>) -> Self {
        Self {
            properties: Properties::default(),
            questions: Tickets::new(part),
            ask_at: Some(cx.now + PATIENCE),
            is_asked: false,
            odd: 0,
        }
    }

    /// What is known.
    pub(crate) const fn properties(&self) -> &Properties {
        &self.properties
    }

    /// What the server says of the session: all that waited has come.
    pub(crate) fn on_ib(&mut self, cx: &mut Context<'_>, ib: &Node) {
        if ib.child("offline").is_some() && !self.is_asked {
            self.ask(cx);
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        self.ask_at = None;
        self.is_asked = true;
        let question = Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("type", "get")
            .attr("xmlns", "abt")
            .with_child(Node::new("props").attr("protocol", "1"));
        cx.ask(question, self.questions.open(()));
    }

    /// The server has answered, or has not: then what is known stays.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        if self.questions.close(ticket).is_none() {
            return;
        }
        let read = answer
            .ok()
            .and_then(|answer| properties::read(&answer, self.properties));
        let Some(read) = read else {
            tracing::debug!("no properties came; what is known of them stays");
            self.ask_at = Some(cx.now + RETRY);
            return;
        };
        if read.odd > 0 {
            self.odd = self.odd.saturating_add(read.odd);
            tracing::debug!(
                odd = read.odd,
                in_all = self.odd,
                "properties that make no sense are left out"
            );
        }
        self.properties = read.properties;
        self.ask_at = Some(cx.now + read.refresh);
        let is_news = |account: &Account| !account.is_migrated;
        if read.properties.is_migrated && cx.device.account.as_ref().is_some_and(is_news) {
            // It is never taken back.
            if let Some(account) = &mut cx.device_mut().account {
                account.is_migrated = true;
            }
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Timestamp> {
        self.ask_at
    }

    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.ask_at.is_some_and(|at| at <= cx.now) {
            self.ask(cx);
        }
    }
}

/// How long after the login to ask if the server does not say that all that waited has come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after a failure to ask again.
const RETRY: Duration = Duration::from_secs(60 * 60);
