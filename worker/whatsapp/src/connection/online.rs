//! Logged in: what keeps a session in good standing.
//!
//! Facts: docs/PROTOCOL.md, "Login", "Acks" and "Keep-alive".

use super::core::iq;
use crate::{
    binary::Node,
    command::Presence,
    device::NameSource,
    event::Event,
    frame::MAX_ROUTING_BYTES,
    part::{Context, PartId, Ticket, Tickets},
    reason::CloseReason,
    time::Timestamp,
};

pub(super) struct Online {
    /// What the owner wants to be seen as.
    presence: Option<Presence>,
    /// What was announced last.
    announced: Option<Presence>,
    /// `Open` was told, so presence may be announced.
    is_open: bool,
    /// The server's clock less ours, in milliseconds.
    clock_offset_ms: i64,
    /// Waiting stanzas that came since the last batch was asked for.
    offline_seen: u32,
    questions: Tickets<Question>,
}

enum Question {
    /// Ask for the stanzas that waited; the session is open when it is answered.
    Active,
    /// Unlink this device.
    Logout,
}

impl Online {
    /// Notes what `success` says.
    pub(super) fn new(part: PartId, cx: &mut Context<'_>, success: &Node) -> Self {
        let server = success.attr_u64("t").map(Timestamp::from_secs);
        let device = cx.device_mut();
        device.login_counter = device.login_counter.saturating_add(1);
        if let (Some(account), Some(lid)) = (&mut device.account, success.attr_jid("lid")) {
            account.lid = Some(lid);
        }
        Self {
            presence: cx.config.presence,
            announced: None,
            is_open: false,
            clock_offset_ms: server.map_or(0, |server| {
                server.as_millis().wrapping_sub(cx.now.as_millis()).cast_signed()
            }),
            offline_seen: 0,
            questions: Tickets::new(part),
        }
    }

    /// Asks for the stanzas that waited.
    pub(super) fn go_active(&mut self, cx: &mut Context<'_>) {
        let active = iq("set", "passive").with_child(Node::new("active"));
        cx.ask(active, self.questions.open(Question::Active));
    }

    /// True when the session is open now.
    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket) -> bool {
        match self.questions.close(ticket) {
            // The session is usable even if the server refused to make it active: it may have been so already.
            Some(Question::Active) => {
                self.open(cx);
                return true;
            }
            // Unanswered or refused, the owner wants no part of this device any more.
            Some(Question::Logout) => cx.close(CloseReason::LogoutRequested),
            None => {}
        }
        false
    }

    /// What the server was told last, if anything.
    pub(super) fn announced(&self) -> Option<Presence> {
        self.announced
    }

    /// What the owner wants to be seen as from now on.
    pub(super) fn set_presence(&mut self, cx: &mut Context<'_>, presence: Presence) {
        self.presence = Some(presence);
        self.announce_presence(cx);
    }

    /// Unlinks this device.
    pub(super) fn logout(&mut self, cx: &mut Context<'_>) {
        let Some(jid) = cx.device.jid().cloned() else {
            return cx.close(CloseReason::LogoutRequested);
        };
        let remove = Node::new("remove-companion-device")
            .attr("jid", jid)
            .attr("reason", "user_initiated");
        let ticket = self.questions.open(Question::Logout);
        cx.ask_within(
            iq("set", "md").with_child(remove),
            ticket,
            cx.config.timing.logout,
        );
    }

    /// What the server says of the session itself (docs/PROTOCOL.md, "Login"). Never acked.
    pub(super) fn on_ib(&mut self, cx: &mut Context<'_>, node: &Node) {
        for child in node.nodes() {
            match child.tag() {
                "edge_routing" => store_routing(cx, child),
                "offline_preview" => self.ask_offline_batch(cx),
                "offline" => {
                    let count = child.attr_number("count").unwrap_or(0);
                    cx.emit(Event::CaughtUp { count });
                }
                "dirty" => clean(cx, child),
                "client_expiration" => note_expiration(cx, child),
                "downgrade_webclient" => cx.close(CloseReason::MultideviceMismatch),
                _ => {}
            }
        }
    }

    /// The account has this name, as far as where it was learned is to be trusted.
    pub(super) fn learn_name(&mut self, cx: &mut Context<'_>, source: NameSource, name: &str) {
        let is_news = cx.device.push_name() != Some(name);
        let is_trusted = source >= cx.device.name_source || cx.device.push_name().is_none();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_trusted {
            return;
        }
        if is_news || source > cx.device.name_source {
            let device = cx.device_mut();
            device.name_source = source;
            if let Some(account) = &mut device.account {
                account.push_name = Some(name.to_owned());
            }
        }
        if is_news {
            cx.emit(Event::Renamed {
                name: name.to_owned(),
            });
            self.announce_presence(cx);
        }
    }

    fn open(&mut self, cx: &mut Context<'_>) {
        let Some(account) = &cx.device.account else { return };
        let open = Event::Open {
            jid: account.jid.clone(),
            lid: account.lid.clone(),
            push_name: account.push_name.clone(),
        };
        self.is_open = true;
        cx.emit(open);
        self.announce_presence(cx);
    }

    /// Without a name the server has nothing to show, so nothing is announced.
    fn announce_presence(&mut self, cx: &mut Context<'_>) {
        let (true, Some(presence)) = (self.is_open, self.presence) else {
            return;
        };
        let name = cx.device.push_name().map(|name| name.replace('@', ""));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return;
        };
        self.announced = Some(presence);
        cx.send(
            Node::new("presence")
                .attr("name", name)
                .attr("type", presence.as_str()),
        );
    }

    /// Says when the app was opened, the way the field does: milliseconds into a week that is three days off.
    pub(super) fn send_unified_session(&self, cx: &mut Context<'_>) {
        let server_now = cx.now.as_millis().saturating_add_signed(self.clock_offset_ms);
        let id = (server_now + 3 * DAY_MS) % (7 * DAY_MS);
        cx.send(Node::new("ib").with_child(Node::new("unified_session").attr("id", id.to_string())));
    }

    /// Asks for the next batch of waiting stanzas when one batch has come.
    pub(super) fn count_offline(&mut self, cx: &mut Context<'_>, node: &Node) {
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

/// Without a time the announcement is taken back. One that can't be read must not pass for that.
fn note_expiration(cx: &mut Context<'_>, expiration: &Node) {
    let at = expiration.attr_u64("t").map(Timestamp::from_secs);
    if at.is_none() && expiration.value("t").is_some() {
        return tracing::debug!("an end of our version that can't be read is ignored");
    }
    let version = cx.config.version;
    cx.emit(Event::VersionExpires { version, at });
}

fn clean(cx: &mut Context<'_>, dirty: &Node) {
    let Some(kind) = dirty.value("type") else { return };
    let clean = Node::new("clean")
        .attr("type", kind.clone())
        .attr_opt("timestamp", dirty.value("timestamp").cloned());
    // Whatever the answer is, it changes nothing.
    cx.ask(
        iq("set", "urn:xmpp:whatsapp:dirty").with_child(clean),
        Ticket::IGNORED,
    );
}

/// Longest name taken; phones allow 25 characters.
const MAX_NAME_BYTES: usize = 512;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
