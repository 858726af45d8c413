//! How the session stands: its connection's state, its codes, its account, as rows and events.

use shared::event::{ConnectionState, Event, Passkey};
use shared::store::sessions::{Expiring, Owner, SessionState};
use time::OffsetDateTime;
use whatsapp::connection::{CloseReason, Next};
use whatsapp::jid::Jid;

use super::context::Context;
use super::meter::{self, Standing};
use super::pacer::Waiting;
use super::qr;

/// Tells how the session stands.
#[derive(Debug, Default)]
pub(super) struct Status(Standing);

/// The account that a connection names.
pub(super) struct Account {
    pub(super) jid: Jid,
    pub(super) lid: Option<Jid>,
    pub(super) name: Option<String>,
    /// What the phone runs on, where it was told.
    pub(super) platform: Option<String>,
}

impl Status {
    /// The session sends nothing just now for this reason.
    pub(super) fn wait(&mut self, cx: &Context, reason: Waiting) {
        self.0.wait(reason, cx.now());
    }

    /// A socket is being opened.
    pub(super) fn on_connecting(&mut self, cx: &mut Context) {
        // Of a connection that a worker left behind.
        self.passkey_over(cx, "the connection ended");
        self.connection(cx, SessionState::Connecting, ConnectionState::Connecting, 200);
    }

    pub(super) fn on_qr(&mut self, cx: &mut Context, text: String, expires_at: OffsetDateTime) {
        self.pairing(cx);
        let picture = qr::data_url(&text).unwrap_or_default();
        cx.recorder.write.session_row().qr = Some(Expiring {
            text: text.clone(),
            expires_at,
        });
        let told = Event::qr_code(cx.record.token.clone(), text, picture);
        cx.recorder.event(told);
    }

    pub(super) fn on_code(&mut self, cx: &mut Context, code: String) {
        self.pairing(cx);
        let expires_at = cx.wall() + cx.around.versions.config().timing.pairing_code;
        cx.recorder.write.session_row().pairing_code = Some(Expiring {
            text: code,
            expires_at,
        });
    }

    /// The account must prove itself with a passkey: how far that is.
    pub(super) fn on_passkey(&mut self, cx: &mut Context, stage: Passkey) {
        if stage.is_open() {
            self.pairing(cx);
        }
        cx.record.passkey = Some(Box::new(stage.clone()));
        cx.recorder.write.session_row().passkey = Some(cx.record.passkey.clone());
        let told = Event::passkey(cx.record.token.clone(), stage);
        cx.recorder.event(told);
    }

    /// A passkey that was still asked for will not do any more.
    fn passkey_over(&mut self, cx: &mut Context, why: &str) {
        if cx.record.passkey.as_ref().is_some_and(|stage| stage.is_open()) {
            let reason = why.to_owned();
            self.on_passkey(cx, Passkey::Failed { reason });
        }
    }

    /// The device is linked; its credentials are in the same step.
    pub(super) fn on_paired(&mut self, cx: &mut Context, account: Account) {
        own(cx, account);
        cx.record.paired_at = Some(cx.wall());
        // The codes go with the state.
        cx.record.state = SessionState::Connecting;
        let row = cx.recorder.write.session_row();
        row.state = Some(SessionState::Connecting);
        row.paired = true;
        if cx.record.passkey.take().is_some() {
            row.passkey = Some(None);
        }
    }

    pub(super) fn on_open(&mut self, cx: &mut Context, account: Account) {
        meter::opened();
        own(cx, account);
        self.connection(cx, SessionState::Open, ConnectionState::Open, 200);
    }

    /// The account's name was learned, or has changed.
    pub(super) fn on_renamed(&self, cx: &mut Context, name: String) {
        if let Some(owner) = &mut cx.record.owner {
            owner.push_name = Some(name);
            cx.recorder.write.session_row().owner = Some(Some(owner.clone()));
        }
    }

    pub(super) fn on_closed(&mut self, cx: &mut Context, reason: &CloseReason) {
        use ConnectionState::{Close, Refused};
        use SessionState::{Closed, LoggedOut};
        let status = reason.status_code();
        meter::closed(reason);
        if let CloseReason::ClientOutdated { version } = reason {
            meter::outdated();
            cx.around.versions.refused(*version);
        }
        self.passkey_over(cx, &reason.to_string());
        match (reason, reason.action()) {
            (CloseReason::PairingTimedOut | CloseReason::PasskeyRequired, _) => {
                cx.stop_wanting();
                self.connection(cx, Closed, Refused, status);
            }
            (_, Next::LoggedOut) => {
                cx.stop_wanting();
                self.connection(cx, LoggedOut, Close, status);
                forget(cx);
            }
            // A new connection follows at once: the state has not changed for anybody.
            (_, Next::ReconnectNow) => {}
            (CloseReason::Stopped, _) => self.connection(cx, Closed, Close, status),
            (_, Next::Stop) => {
                self.connection(cx, Closed, Close, status);
                cx.recorder.write.session_row().refused = true;
            }
            _ => self.connection(cx, Closed, Close, status),
        }
    }

    /// The state of the connection, stored and told. The same state twice is told once.
    fn connection(&mut self, cx: &mut Context, state: SessionState, told: ConnectionState, status: u16) {
        if cx.record.state == state && state != SessionState::Closed {
            return;
        }
        cx.record.state = state;
        self.0.state(state);
        let row = cx.recorder.write.session_row();
        row.state = Some(state);
        row.refused = false;
        if matches!(state, SessionState::Closed | SessionState::LoggedOut) {
            row.close_reason = Some(status);
        }
        let event = Event::connection(cx.record.token.clone(), cx.record.id, told, status);
        cx.recorder.event(event);
    }

    fn pairing(&mut self, cx: &mut Context) {
        cx.record.state = SessionState::Pairing;
        self.0.state(SessionState::Pairing);
        cx.recorder.write.session_row().state = Some(SessionState::Pairing);
    }
}

fn own(cx: &mut Context, account: Account) {
    let known = cx.record.owner.take();
    let owner = Owner {
        jid: account.jid.to_bare().to_string(),
        lid: account.lid.map(|lid| lid.to_bare().to_string()),
        push_name: account
            .name
            .or_else(|| known.as_ref().and_then(|known| known.push_name.clone())),
        platform: account
            .platform
            .or_else(|| known.as_ref().and_then(|known| known.platform.clone())),
    };
    cx.recorder.set_owner(Some(owner.jid.clone()));
    if known.as_ref() != Some(&owner) {
        cx.recorder.write.session_row().owner = Some(Some(owner.clone()));
    }
    cx.record.owner = Some(owner);
}

/// Credentials go, and only here: WhatsApp said that they are worthless, or a user logged out.
fn forget(cx: &mut Context) {
    cx.record.owner = None;
    cx.record.paired_at = None;
    let row = cx.recorder.write.session_row();
    row.forget_keys = true;
    row.owner = Some(None);
    // What the same step still had to say about them goes with them.
    cx.recorder.write.keys.clear();
    cx.recorder.set_owner(None);
}
