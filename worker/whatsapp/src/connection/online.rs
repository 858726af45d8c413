//! Logged in: hands stanzas to whom they concern, and does what keeps a session in good standing.
//!
//! Facts: docs/PROTOCOL.md, "Login", "Acks" and "Keep-alive".

use std::time::Duration;

use super::{AckBy, CloseReason, Context, Op};
use crate::{
    binary::Node,
    command::{Command, Presence},
    event::{Event, QueryError},
    frame::MAX_ROUTING_BYTES,
    jid::Jid,
    messaging::Messaging,
    stanza::ack::ack_for,
    time::Timestamp,
};

#[derive(Debug)]
pub(super) struct Online {
    pub(super) messaging: Messaging,
    /// What the owner wants to be seen as.
    presence: Option<Presence>,
    /// `Open` was told, so presence may be announced.
    is_open: bool,
    /// The server's clock less ours, in milliseconds.
    clock_offset_ms: i64,
    /// Waiting stanzas that came since the last batch was asked for.
    offline_seen: u32,
}

impl Online {
    /// `success` came: notes what it says, then asks for what waited.
    pub(super) fn start(cx: &mut Context<'_>, success: &Node) -> Self {
        let server_ms = success
            .attr_u64("t")
            .map(|secs| Timestamp::from_secs(secs).as_millis());
        let mut online = Self {
            messaging: Messaging::new(),
            presence: cx.config.presence,
            is_open: false,
            clock_offset_ms: server_ms
                .map_or(0, |server| server.wrapping_sub(cx.now.as_millis()).cast_signed()),
            offline_seen: 0,
        };
        let device = cx.device_mut();
        device.login_counter = device.login_counter.saturating_add(1);
        if let (Some(account), Some(lid)) = (&mut device.account, success.attr_jid("lid")) {
            account.lid = Some(lid);
        }
        online
            .messaging
            .set_available(online.presence == Some(Presence::Available));
        online.send_unified_session(cx);
        online.messaging.start_online(cx);
        let active = Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("type", "set")
            .attr("xmlns", "passive")
            .with_child(Node::new("active"));
        cx.iq(active, Op::Active);
        online
    }

    pub(super) fn node(&mut self, cx: &mut Context<'_>, node: Node) {
        self.count_offline(cx, &node);
        match node.tag() {
            "message" => self.messaging.on_message(cx, node),
            "receipt" => {
                let by = self.messaging.on_receipt(cx, &node);
                acknowledge(cx, &node, by);
            }
            "notification" => {
                let by = self.messaging.on_notification(cx, &node);
                acknowledge(cx, &node, by);
            }
            "call" => acknowledge(cx, &node, AckBy::Connection),
            "ack" => self.messaging.on_ack(cx, &node),
            "ib" => ib(cx, self, &node),
            // A second success, others' presence and typing, and requests that no client serves: nothing is expected.
            "success" | "presence" | "chatstate" | "iq" => {}
            _ => {
                tracing::debug!(stanza = node.tag(), "unknown stanza refused");
                if let Some(ack) = ack_for(&node) {
                    cx.send(ack.attr("error", UNRECOGNISED_STANZA));
                }
            }
        }
    }

    pub(super) fn outcome(&mut self, cx: &mut Context<'_>, op: Op, outcome: Result<Node, QueryError>) {
        match op {
            Op::Messaging(op) => self.messaging.on_iq(cx, op, outcome),
            // The session is usable even if the server refused to make it active: it may have been so already.
            Op::Active => self.open(cx),
            // Unanswered or refused, the owner wants no part of this device any more.
            Op::Logout => cx.close(CloseReason::LogoutRequested),
            // Silence after a ping is the keep-alive's business.
            Op::Ping | Op::Clean | Op::CompanionHello { .. } | Op::CompanionFinish => {}
        }
    }

    pub(super) fn command(&mut self, cx: &mut Context<'_>, command: Command) {
        match command {
            Command::Send(outgoing) => self.messaging.send(cx, outgoing),
            Command::Cancel(id) => self.messaging.cancel(cx, &id),
            Command::IsOnWhatsApp { ticket, numbers } => self.messaging.is_on_whatsapp(cx, ticket, numbers),
            Command::MarkRead { chat, sender, ids } => {
                self.messaging.mark_read(cx, &chat, sender.as_ref(), &ids)
            }
            Command::SetPresence(presence) => {
                self.presence = Some(presence);
                self.messaging.set_available(presence == Presence::Available);
                self.announce_presence(cx);
            }
            Command::Logout => logout(cx),
            Command::Stop => cx.close(CloseReason::Stopped),
            other @ Command::RequestPairingCode { .. } => super::refuse(cx, other),
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.messaging.deadline()
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        if self
            .messaging
            .deadline()
            .is_some_and(|deadline| deadline <= cx.now)
        {
            self.messaging.tick(cx);
        }
    }

    fn open(&mut self, cx: &mut Context<'_>) {
        let Some(account) = &cx.device.account else { return };
        let (jid, lid, push_name) = (
            account.jid.clone(),
            account.lid.clone(),
            account.push_name.clone(),
        );
        self.is_open = true;
        cx.emit(Event::Open { jid, lid, push_name });
        self.announce_presence(cx);
    }

    /// Without a name the server has nothing to show, so nothing is announced.
    fn announce_presence(&self, cx: &mut Context<'_>) {
        let (true, Some(presence)) = (self.is_open, self.presence) else {
            return;
        };
        let Some(name) = cx.device.push_name().map(|name| name.replace('@', "")) else {
            return;
        };
        cx.send(
            Node::new("presence")
                .attr("name", name)
                .attr("type", presence.as_str()),
        );
    }

    /// Says when the app was opened, the way the field does: milliseconds into a week that is three days off.
    fn send_unified_session(&self, cx: &mut Context<'_>) {
        let server_now = cx.now.as_millis().saturating_add_signed(self.clock_offset_ms);
        let id = (server_now + millis(3 * DAY)) % millis(7 * DAY);
        cx.send(Node::new("ib").with_child(Node::new("unified_session").attr("id", id.to_string())));
    }

    /// Asks for the next batch of waiting stanzas when one batch has come.
    fn count_offline(&mut self, cx: &mut Context<'_>, node: &Node) {
        if node.value("offline").is_some() && !node.is("ib") {
            self.offline_seen += 1;
            if self.offline_seen >= cx.config.limits.offline_batch {
                self.ask_offline_batch(cx);
            }
        }
    }

    fn ask_offline_batch(&mut self, cx: &mut Context<'_>) {
        self.offline_seen = 0;
        let batch = Node::new("offline_batch").attr("count", cx.config.limits.offline_batch.to_string());
        cx.send(Node::new("ib").with_child(batch));
    }
}

/// News about the session itself (docs/PROTOCOL.md, "Login"). Never acked.
fn ib(cx: &mut Context<'_>, online: &mut Online, node: &Node) {
    for child in node.nodes() {
        match child.tag() {
            "edge_routing" => store_routing(cx, child),
            "offline_preview" => online.ask_offline_batch(cx),
            "offline" => {
                let count = child
                    .attr_u64("count")
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or(0);
                cx.emit(Event::CaughtUp { count });
            }
            "dirty" => clean(cx, child),
            "downgrade_webclient" => cx.close(CloseReason::MultideviceMismatch),
            _ => {}
        }
    }
}

fn store_routing(cx: &mut Context<'_>, edge_routing: &Node) {
    let info = edge_routing.child("routing_info").and_then(Node::bytes);
    // It comes with every login; only news costs a write.
    if let Some(info) = info
        && info.len() <= MAX_ROUTING_BYTES
        && cx.device.routing_info.as_ref() != Some(&info)
    {
        cx.device_mut().routing_info = Some(bytes::Bytes::copy_from_slice(&info));
    }
}

fn clean(cx: &mut Context<'_>, dirty: &Node) {
    let Some(kind) = dirty.value("type") else { return };
    let clean = Node::new("clean")
        .attr("type", kind.clone())
        .attr_opt("timestamp", dirty.value("timestamp").cloned());
    let iq = Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "urn:xmpp:whatsapp:dirty")
        .with_child(clean);
    cx.iq(iq, Op::Clean);
}

fn logout(cx: &mut Context<'_>) {
    let Some(jid) = cx.device.jid().cloned() else {
        return cx.close(CloseReason::LogoutRequested);
    };
    let remove = Node::new("remove-companion-device")
        .attr("jid", jid)
        .attr("reason", "user_initiated");
    let iq = Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "md")
        .with_child(remove);
    cx.iq_within(iq, Op::Logout, cx.config.timing.logout);
}

fn acknowledge(cx: &mut Context<'_>, stanza: &Node, by: AckBy) {
    if by == AckBy::Connection
        && let Some(ack) = ack_for(stanza)
    {
        cx.send(ack);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_secs() * 1_000
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The nack for a stanza whose tag we do not know.
const UNRECOGNISED_STANZA: u32 = 488;
