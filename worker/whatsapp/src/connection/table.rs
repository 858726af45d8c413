//! Which part takes which stanza, which decrypted message, and which answer.
//!
//! A new part is a field here, a line where it takes something, and one in each of the lists at the end.

use bytes::Bytes;

use super::online::Online;
use crate::{
    account::Settings,
    binary::Node,
    command::Command,
    e2e::{E2e, Outcome, Wake},
    messages::{Content, Meaning, Messages},
    part::{AckBy, Answer, Context, PartId, Ticket},
    stanza::ack::ack_for,
    time::Timestamp,
    tokens::Tokens,
};

const ONLINE: PartId = PartId::new(1);
const E2E: PartId = PartId::new(2);
const MESSAGES: PartId = PartId::new(3);
const ACCOUNT: PartId = PartId::new(4);
const TOKENS: PartId = PartId::new(5);

/// The parts of a connection that is logged in.
pub(super) struct Parts {
    online: Online,
    e2e: E2e,
    messages: Messages,
    account: Settings,
    tokens: Tokens,
}

/// Who takes what.
impl Parts {
    pub(super) fn node(&mut self, cx: &mut Context<'_>, node: Node) {
        self.online.count_offline(cx, &node);
        match node.tag() {
            "message" => {
                self.messages.on_message(cx, &mut self.e2e, node);
                self.advance(cx, Wake::All);
            }
            "receipt" => {
                let by = self.messages.on_receipt(cx, &mut self.e2e, &node);
                if by == AckBy::Handler {
                    self.advance(cx, Wake::All);
                }
                acknowledge(cx, &node, by);
            }
            "notification" => {
                let by = match node.attr_str("type").as_deref() {
                    Some("encrypt") => {
                        self.tokens.on_keys(cx, &node);
                        self.e2e.on_notification(cx, &node)
                    }
                    Some("devices" | "account_sync") => self.e2e.on_notification(cx, &node),
                    Some("privacy_token") => self.tokens.on_notification(cx, &mut self.e2e, &node),
                    _ => AckBy::Connection,
                };
                acknowledge(cx, &node, by);
            }
            "call" => acknowledge(cx, &node, AckBy::Connection),
            "ack" => {
                if self.messages.on_ack(cx, &mut self.e2e, &node) {
                    self.advance(cx, Wake::All);
                }
            }
            "ib" => {
                self.online.on_ib(cx, &node);
                self.account.on_ib(cx, &node);
            }
            // A second success, others' presence and typing, and requests that no client serves: nothing is expected.
            "success" | "presence" | "chatstate" | "iq" => {}
            _ => refuse(cx, &node),
        }
    }

    fn content(&mut self, cx: &mut Context<'_>, content: Content) {
        match content.meaning {
            Meaning::Owner => self.messages.show(cx, &mut self.e2e, content),
            // Taken where it was decrypted: it comes before the message that needs it.
            Meaning::SenderKey => {}
            // Acknowledged; no part takes them yet.
            Meaning::AppStateKeys | Meaning::HistoryNotice | Meaning::Peer => {}
            Meaning::Nothing => {}
        }
    }

    pub(super) fn command(&mut self, cx: &mut Context<'_>, command: Command) {
        match command {
            Command::Send(outgoing) => {
                self.messages.send(cx, &mut self.e2e, &mut self.tokens, outgoing);
                self.e2e.settle(cx);
            }
            Command::Cancel(id) => self.messages.cancel(cx, &id),
            Command::IsOnWhatsApp { ticket, numbers } => self.messages.is_on_whatsapp(cx, ticket, numbers),
            Command::MarkRead { chat, sender, ids } => {
                self.messages.mark_read(cx, &chat, sender.as_ref(), &ids);
            }
            Command::SetPresence(presence) => {
                self.messages.set_presence(Some(presence));
                self.online.set_presence(cx, presence);
            }
            Command::Logout => self.online.logout(cx),
            // The connection's own, or only for devices that are not paired.
            Command::Stop | Command::RequestPairingCode { .. } => {}
        }
    }

    pub(super) fn answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        match ticket.part() {
            ONLINE => self.online.on_answer(cx, ticket),
            E2E => {
                let outcome = self.e2e.on_answer(cx, ticket, answer);
                self.tell(cx, outcome);
            }
            MESSAGES => self.messages.on_answer(cx, &mut self.e2e, ticket, answer),
            ACCOUNT => {
                self.account.on_answer(cx, ticket, answer);
                self.tokens.set_properties(self.account.properties());
            }
            TOKENS => self.tokens.on_answer(cx, ticket, &answer),
            _ => {}
        }
    }

    pub(super) fn loaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, values: Vec<Option<Bytes>>) {
        match ticket.part() {
            E2E => {
                let outcome = self.e2e.on_loaded(cx, ticket, values);
                self.tell(cx, outcome);
            }
            MESSAGES => {
                self.messages.on_loaded(cx, &self.e2e, ticket, values);
                self.advance(cx, Wake::All);
            }
            TOKENS => {
                let may_go_on = self.tokens.on_loaded(cx, ticket, values);
                if may_go_on {
                    self.advance(cx, Wake::Records);
                }
            }
            _ => {}
        }
    }

    /// Tells all parts what has become of something that any of them may have wanted.
    fn tell(&mut self, cx: &mut Context<'_>, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            if let Outcome::Name(user) = &outcome {
                self.tokens.on_name(user);
            }
            self.messages.on_outcome(cx, &self.e2e, &outcome);
            self.advance(cx, outcome.wake());
        }
    }

    /// Moves everything as far as it goes that `wake` is for.
    fn advance(&mut self, cx: &mut Context<'_>, wake: Wake<'_>) {
        while let Some(content) = self.messages.next_content(cx, &mut self.e2e) {
            self.content(cx, content);
        }
        self.messages.advance(cx, &mut self.e2e, &mut self.tokens, wake);
        self.e2e.settle(cx);
        // With many sends in hand more ratchets are in use than should be: not at every load.
        if let Wake::All = wake {
            self.relieve();
        }
    }

    fn relieve(&mut self) {
        self.e2e.relieve(|| self.messages.in_use());
    }
}

/// What all parts are told.
impl Parts {
    /// `success` came: notes what it says, then asks for what waited.
    pub(super) fn start(cx: &mut Context<'_>, success: &Node) -> Self {
        let mut parts = Self {
            online: Online::new(ONLINE, cx, success),
            e2e: E2e::new(E2E),
            messages: Messages::new(MESSAGES),
            account: Settings::new(ACCOUNT, cx),
            tokens: Tokens::new(TOKENS),
        };
        parts.messages.set_presence(cx.config.presence);
        parts.online.send_unified_session(cx);
        parts.e2e.start_online(cx);
        parts.online.go_active(cx);
        parts
    }

    pub(super) fn on_step_taken(&mut self) {
        self.e2e.on_step_taken();
        self.messages.on_step_taken();
        self.tokens.on_step_taken();
    }

    pub(super) fn on_committed(&mut self) {
        self.e2e.on_committed();
        self.messages.on_committed();
        self.tokens.on_committed();
        self.relieve();
    }

    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.messages.on_closed(cx);
    }

    /// Whether so much waits for the store that no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.messages.is_full() || self.tokens.is_full()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest([
            self.messages.deadline(),
            self.e2e.deadline(),
            self.account.deadline(),
            self.tokens.deadline(),
        ])
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|deadline| deadline > cx.now) {
            return;
        }
        if self.messages.tick(cx) {
            self.advance(cx, Wake::All);
        }
        self.e2e.tick(cx, || self.messages.in_use());
        self.account.tick(cx);
        // Last: the others may have wanted tokens.
        self.tokens.tick(cx, &mut self.e2e);
    }
}

fn acknowledge(cx: &mut Context<'_>, stanza: &Node, by: AckBy) {
    if by == AckBy::Connection {
        cx.send(ack_for(stanza));
    }
}

fn refuse(cx: &mut Context<'_>, stanza: &Node) {
    tracing::debug!(stanza = stanza.tag(), "unknown stanza refused");
    cx.send(ack_for(stanza).map(|ack| ack.attr("error", UNRECOGNISED_STANZA)));
}

/// The nack for a stanza whose tag we do not know.
const UNRECOGNISED_STANZA: u32 = 488;
