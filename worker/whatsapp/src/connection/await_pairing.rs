//! Registered but linked to no account: shows QR codes, offers a pairing code, and takes the phone's word when it comes.
//!
//! Facts: docs/PROTOCOL.md, "Pairing". The way by code is in [`super::link_code`].

use std::collections::VecDeque;

use prost::Message as _;

use super::{
    core::{ALREADY_PAIRED, CONNECTION_LOST, iq_reply, refuse_code},
    link_code::LinkCode,
};
use crate::{
    binary::Node,
    device::{Account, AdvSecret},
    event::Event,
    jid::Jid,
    pairing::{
        adv::{self, Paired},
        qr::{PlatformId, QrCode},
    },
    part::{Answer, Context, Ticket},
    proto::ClientPairingProps,
    reason::CloseReason,
    stanza::ack::ack_for,
    time::Timestamp,
};

pub(super) struct AwaitPairing {
    /// References for the QR codes that follow the one that is shown.
    refs: VecDeque<String>,
    /// The reference that is shown.
    shown: Option<String>,
    /// When the code that is shown is replaced; before the first code, when we give up; after pairing, the same.
    until: Timestamp,
    phase: Phase,
    code: LinkCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No `pair-device` yet.
    Quiet,
    /// QR codes are shown.
    Showing,
    /// They are used up; a pairing code may still be good.
    UsedUp,
    /// The phone has linked us; stream error 515 follows.
    Paired,
}

impl AwaitPairing {
    pub(super) fn new(cx: &Context<'_>, wanted_code: Option<(String, Option<String>)>) -> Self {
        Self {
            refs: VecDeque::new(),
            shown: None,
            until: cx.now + cx.config.timing.login,
            phase: Phase::Quiet,
            code: LinkCode::new(wanted_code),
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let until = (self.phase != Phase::UsedUp).then_some(self.until);
        Timestamp::earliest([until, self.code.deadline()])
    }

    pub(super) fn node(&mut self, cx: &mut Context<'_>, node: &Node) {
        match node.tag() {
            "iq" if node.child("pair-device").is_some() => self.pair_device(cx, node),
            "iq" if node.child("pair-success").is_some() => self.pair_success(cx, node),
            "notification" => self.notification(cx, node),
            "ib" if node.child("downgrade_webclient").is_some() => cx.close(CloseReason::MultideviceMismatch),
            other => tracing::debug!(stanza = other, "stanza while pairing ignored"),
        }
    }

    pub(super) fn answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        self.code.on_answer(cx, ticket, answer);
    }

    pub(super) fn request_code(&mut self, cx: &mut Context<'_>, phone: String, custom: Option<String>) {
        match self.phase {
            Phase::Quiet => self.code = LinkCode::new(Some((phone, custom))),
            Phase::Showing | Phase::UsedUp => self.code.request(cx, &phone, custom.as_deref()),
            Phase::Paired => refuse_code(cx, ALREADY_PAIRED),
        }
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        self.code.tick(cx);
        let is_due = self.until <= cx.now;
        match self.phase {
            Phase::Quiet | Phase::Paired if is_due => cx.close(CloseReason::LoginTimeout),
            Phase::Showing if is_due => self.show_next(cx, cx.config.timing.next_qr),
            Phase::Quiet | Phase::Paired | Phase::Showing | Phase::UsedUp => {}
        }
        if self.phase == Phase::UsedUp && !self.code.is_under_way() {
            cx.close(CloseReason::PairingTimedOut);
        }
    }

    /// The connection is over: a request that has no answer yet gets one.
    pub(super) fn closed(self, cx: &mut Context<'_>) {
        if self.code.is_unanswered() {
            refuse_code(cx, CONNECTION_LOST);
        }
    }

    /// The server offers references for QR codes.
    fn pair_device(&mut self, cx: &mut Context<'_>, iq: &Node) {
        let (Some(result), Some(offer)) = (iq_reply(iq, "result"), iq.child("pair-device")) else {
            return;
        };
        cx.send(result);
        if self.phase == Phase::Paired {
            return;
        }
        let refs = offer.nodes_named("ref").filter_map(Node::text);
        self.refs = refs
            .take(cx.config.limits.qr_refs)
            .map(|text| text.into_owned())
            .collect();
        self.phase = Phase::Showing;
        self.show_next(cx, cx.config.timing.first_qr);
        self.code.request_wanted(cx);
    }

    fn show_next(&mut self, cx: &mut Context<'_>, patience: std::time::Duration) {
        self.shown = self.refs.pop_front();
        if self.shown.is_none() {
            self.phase = Phase::UsedUp;
            return;
        }
        self.until = cx.now + patience;
        self.show(cx);
    }

    fn show(&self, cx: &mut Context<'_>) {
        let Some(reference) = self.shown.clone() else {
            return;
        };
        let code = QrCode::new(
            reference,
            cx.device,
            PlatformId::of(&cx.config.browser, &cx.config.os),
        );
        cx.emit(Event::QrCode {
            text: code.to_string(),
            expires_at: self.until,
        });
    }

    fn notification(&mut self, cx: &mut Context<'_>, node: &Node) {
        cx.send(ack_for(node));
        if let Some(message) = node.child("link_code_companion_reg") {
            if self.code.notified(cx, message) {
                // The code that is shown holds the secret from before.
                self.show(cx);
            }
        } else if node.attr_is("type", "companion_reg_refresh") && self.may_change_secret() {
            // The secret may have been seen: a new one makes every code shown so far worthless.
            let secret = AdvSecret::generate(cx.rng);
            cx.device_mut().adv_secret = secret;
            self.show(cx);
        }
    }

    /// Whether no phone that holds the secret is about to use it, or has used it.
    fn may_change_secret(&self) -> bool {
        self.phase != Phase::Paired && !self.code.is_finishing()
    }

    /// The phone has linked us: checks that it is a phone that saw our secret, and signs back.
    fn pair_success(&mut self, cx: &mut Context<'_>, iq: &Node) {
        let (Some(result), Some(success)) = (iq_reply(iq, "result"), iq.child("pair-success")) else {
            return;
        };
        if self.phase == Phase::Paired {
            return;
        }
        match link(cx, success) {
            Ok((paired, account)) => {
                cx.send(result.with_child(signature(&paired)));
                remember(cx, account);
                self.phase = Phase::Paired;
                self.until = cx.now + cx.config.timing.login;
                self.code = LinkCode::new(None);
            }
            Err(Refusal { code, text, reason }) => {
                let error = Node::new("error")
                    .attr("code", code.to_string())
                    .attr("text", text);
                cx.send(iq_reply(iq, "error").map(|reply| reply.with_child(error)));
                cx.close(CloseReason::PairingRefused(reason));
            }
        }
    }
}

/// Why we do not let ourselves be linked, for the server and for the owner.
struct Refusal {
    code: u16,
    text: &'static str,
    reason: String,
}

impl Refusal {
    fn malformed(part: &str) -> Self {
        Self {
            code: 500,
            text: "internal-error",
            reason: format!("pair-success without {part}"),
        }
    }
}

impl From<adv::AdvError> for Refusal {
    fn from(error: adv::AdvError) -> Self {
        let (code, text) = error.stanza_error();
        Self {
            code,
            text,
            reason: error.to_string(),
        }
    }
}

/// Verifies a `pair-success`. Nothing of it may be believed before.
fn link(cx: &mut Context<'_>, success: &Node) -> Result<(Paired, Account), Refusal> {
    let container = success.child("device-identity").and_then(Node::bytes);
    let container = container.ok_or_else(|| Refusal::malformed("device-identity"))?;
    let paired = adv::accept(&container, &cx.device.adv_secret, &cx.device.identity, cx.rng)?;
    let device = success
        .child("device")
        .ok_or_else(|| Refusal::malformed("device"))?;
    let jid = device
        .attr_jid("jid")
        .filter(can_log_in)
        .ok_or_else(|| Refusal::malformed("jid"))?;
    let text = |child: &str, attr: &str| success.child(child)?.attr_str(attr).map(|text| text.into_owned());
    let account = Account {
        is_migrated: is_migrated(cx.device.account.as_ref(), &jid, success),
        jid,
        lid: device.attr_jid("lid"),
        identity: paired.identity.clone(),
        push_name: text("biz", "name").filter(|name| !name.is_empty()),
        platform: text("platform", "name").unwrap_or_default(),
        token_salt: None,
    };
    Ok((paired, account))
}

/// Whether the account addresses its chats by LID: the phone says so, or has said so when it linked us before.
fn is_migrated(before: Option<&Account>, jid: &Jid, success: &Node) -> bool {
    let was = before.is_some_and(|account| account.is_migrated && account.jid.same_user(jid));
    let Some(props) = success.child("client-props").and_then(Node::bytes) else {
        return was;
    };
    let props = ClientPairingProps::decode(props).unwrap_or_else(|_| {
        tracing::warn!("the phone's properties can't be read and are left aside");
        ClientPairingProps::default()
    });
    was || props.is_chat_db_lid_migrated()
}

/// Whether the login can name this account: it does by number.
fn can_log_in(jid: &Jid) -> bool {
    jid.is_user() && jid.user().parse::<u64>().is_ok()
}

/// Puts everything that the pairing taught us into the step that answers it.
fn remember(cx: &mut Context<'_>, account: Account) {
    if let Some(lid) = &account.lid {
        cx.changes().put_lid(account.jid.user(), lid.user());
    }
    cx.emit(Event::Paired {
        jid: account.jid.clone(),
        lid: account.lid.clone(),
        platform: account.platform.clone(),
        name: account.push_name.clone(),
    });
    let now = cx.now;
    let device = cx.device_mut();
    device.account = Some(account);
    device.signed_prekey_made = now;
    let signed_prekey = device.signed_prekey.clone();
    cx.changes().put_signed_prekey(&signed_prekey);
}

fn signature(paired: &Paired) -> Node {
    let identity = Node::new("device-identity")
        .attr("key-index", paired.key_index.to_string())
        .with_bytes(paired.reply.clone());
    Node::new("pair-device-sign").with_child(identity)
}
