//! What the connection tells, as rows and events in one write with the keys of the same step.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::event::{ConnectionState, Event, MessageStatus};
use shared::id::StanzaId;
use shared::job::{Answer, FailureCode};
use shared::store::commit::{RecipientChange, RecipientKey};
use shared::store::recipients::RecipientState;
use shared::store::sessions::{Expiring, Owner, SessionState};
use time::OffsetDateTime;
use whatsapp::connection::{CloseReason, Next};
use whatsapp::jid::Jid;
use whatsapp::store::StoreError;

use super::super::gather::{After, millis};
use super::super::inbound::{Happened, Peer, rank};
use super::super::keys::Step;
use super::super::{meter, qr};
use super::Actor;

/// The newest statuses that were told, so that the same receipt of a second device tells nothing.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(u64, u8)>);

impl Recent {
    /// Whether this status of a message is news. Forgets the oldest of [`RECENT_MAX`].
    fn is_news(&mut self, id: &StanzaId, status: MessageStatus) -> bool {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let (hash, rank) = (hasher.finish(), rank(status));
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == hash) {
            let news = rank > *known;
            *known = rank.max(*known);
            return news;
        }
        if self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((hash, rank));
        true
    }
}

impl Actor {
    /// A step of the connection: its keys and what its events mean become durable together.
    pub(super) fn on_step(&mut self, step: Step) {
        let Step {
            mut keys,
            events,
            done,
        } = step;
        if !done.is_closed() && self.has_given_up(&events) {
            // It must not leave: its queue may rest by now, and no row would know of it. The connection ends without
            // this step, and begins again from what is stored.
            let why = "a send was given up before it was ready to leave";
            return drop(done.send(Err(StoreError::Unavailable(why.into()))));
        }
        self.gather.write().keys.append(&mut keys);
        for happened in events {
            self.on_happened(happened);
        }
        self.gather.after(After::Step(done));
    }

    /// Whether a send that is about to leave is not in hand any more.
    fn has_given_up(&self, events: &[Happened]) -> bool {
        events
            .iter()
            .any(|happened| matches!(happened, Happened::Prepared(id) if !self.in_hand.contains_key(id)))
    }

    fn on_happened(&mut self, happened: Happened) {
        match happened {
            Happened::Connecting => {
                self.connection(SessionState::Connecting, ConnectionState::Connecting, 200)
            }
            Happened::Qr { text, expires_at } => self.on_qr(text, expires_at),
            Happened::PairingCode(code) => self.on_code(code),
            Happened::PairingCodeRefused(code) => self.on_pairing_code(Answer::Failed {
                code: if code == 408 {
                    FailureCode::Timeout
                } else {
                    FailureCode::Refused
                },
                message: format!("WhatsApp refused to pair by code ({code})"),
            }),
            Happened::Paired {
                jid,
                lid,
                platform,
                name,
            } => self.on_paired(&jid, lid, Some(platform), name),
            Happened::Open { jid, lid, name } => self.on_open(&jid, lid, name),
            Happened::Prepared(id) => self.on_prepared(id),
            Happened::Acked { id, chat } => self.on_acked(&id, &chat),
            Happened::Failed { id, reason } => self.on_failed(&id, &reason),
            Happened::Receipt { ids, chat, status } => self.on_receipt(ids, &chat, status),
            Happened::Message(message) => {
                meter::received();
                let wall = self.wall();
                self.gather.event(Event::NewMessage(message), wall);
            }
            Happened::DeviceRefused(reason) => {
                meter::device_refused(reason.as_str());
                tracing::info!(session.id = %self.record.id, %reason, "a device is left out");
            }
            Happened::IdentityChanged => {
                meter::identity_changed();
                tracing::info!(session.id = %self.record.id, "a contact's device has another identity");
            }
            Happened::ResendFailed(reason) => {
                meter::resend_failed();
                tracing::info!(session.id = %self.record.id, %reason, "a message could not be sent again to a device");
            }
            Happened::Exists { ticket, result } => self.on_exists(ticket, result),
            Happened::Closed(reason) => self.on_closed(&reason),
        }
    }

    /// The state of the connection, stored and told. The same state twice is told once.
    fn connection(&mut self, state: SessionState, told: ConnectionState, status: u16) {
        if self.record.state == state && state != SessionState::Closed {
            return;
        }
        self.record.state = state;
        self.standing.state(label(state));
        let row = self.gather.write().session_row();
        row.state = Some(state);
        row.refused = false;
        if matches!(state, SessionState::Closed | SessionState::LoggedOut) {
            row.close_reason = Some(status);
        }
        let (token, id, wall) = (self.record.token.clone(), self.record.id, self.wall());
        self.gather
            .event(Event::connection(token, id, told, status), wall);
    }

    fn on_qr(&mut self, text: String, expires_at: OffsetDateTime) {
        self.pairing();
        let token = self.record.token.clone();
        let picture = qr::data_url(&text).unwrap_or_default();
        let wall = self.wall();
        self.gather.write().session_row().qr = Some(Expiring {
            text: text.clone(),
            expires_at,
        });
        self.gather.event(Event::qr_code(token, text, picture), wall);
    }

    fn on_code(&mut self, code: String) {
        self.pairing();
        let expires_at = self.wall() + self.around.whatsapp.timing.pairing_code;
        let row = self.gather.write().session_row();
        row.pairing_code = Some(Expiring {
            text: code.clone(),
            expires_at,
        });
        self.on_pairing_code(Answer::PairingCode { code });
    }

    fn pairing(&mut self) {
        self.record.state = SessionState::Pairing;
        self.standing.state(label(SessionState::Pairing));
        self.gather.write().session_row().state = Some(SessionState::Pairing);
    }

    fn on_paired(&mut self, jid: &Jid, lid: Option<Jid>, platform: Option<String>, name: Option<String>) {
        self.own(jid, lid, platform, name);
        self.record.paired_at = Some(self.wall());
        // The codes go with the state.
        self.record.state = SessionState::Connecting;
        let row = self.gather.write().session_row();
        row.state = Some(SessionState::Connecting);
        row.paired = true;
    }

    fn own(&mut self, jid: &Jid, lid: Option<Jid>, platform: Option<String>, name: Option<String>) {
        let known = self.record.owner.take();
        let owner = Owner {
            jid: jid.to_bare().to_string(),
            lid: lid.map(|lid| lid.to_bare().to_string()),
            push_name: name.or_else(|| known.as_ref().and_then(|known| known.push_name.clone())),
            platform: platform.or_else(|| known.as_ref().and_then(|known| known.platform.clone())),
        };
        self.gather.set_owner(Some(owner.jid.clone()));
        if known.as_ref() != Some(&owner) {
            self.gather.write().session_row().owner = Some(Some(owner.clone()));
        }
        self.record.owner = Some(owner);
    }

    fn on_open(&mut self, jid: &Jid, lid: Option<Jid>, name: Option<String>) {
        self.own(jid, lid, None, name);
        self.set_open(true);
        self.retry_at = None;
        self.connection(SessionState::Open, ConnectionState::Open, 200);
    }

    fn on_closed(&mut self, reason: &CloseReason) {
        self.set_open(false);
        self.on_disconnected();
        let status = reason.status_code();
        match (reason, reason.action()) {
            (CloseReason::PairingTimedOut, _) => {
                self.unwanted();
                self.connection(SessionState::Closed, ConnectionState::Refused, status);
            }
            (_, Next::LoggedOut) => {
                self.unwanted();
                self.connection(SessionState::LoggedOut, ConnectionState::Close, status);
                self.forget();
            }
            // A new connection follows at once: the state has not changed for anybody.
            (_, Next::ReconnectNow) => {}
            (CloseReason::Stopped, _) => {
                self.connection(SessionState::Closed, ConnectionState::Close, status);
            }
            (_, Next::Stop) => {
                self.connection(SessionState::Closed, ConnectionState::Close, status);
                self.gather.write().session_row().refused = true;
            }
            _ => self.connection(SessionState::Closed, ConnectionState::Close, status),
        }
    }

    fn unwanted(&mut self) {
        self.record.wanted = false;
        self.gather.write().session_row().wanted = Some(false);
    }

    /// Credentials go, and only here: WhatsApp said that they are worthless, or a user logged out.
    fn forget(&mut self) {
        self.record.owner = None;
        self.record.paired_at = None;
        let row = self.gather.write().session_row();
        row.forget_keys = true;
        row.owner = Some(None);
        // What the same step still had to say about them goes with them.
        self.gather.write().keys.clear();
        self.gather.set_owner(None);
    }

    fn on_receipt(&mut self, ids: Vec<StanzaId>, chat: &Peer, status: MessageStatus) {
        let wall = self.wall();
        for id in ids {
            self.on_proof_of_arrival(&id, chat);
            if !self.recent.is_news(&id, status) {
                continue;
            }
            let state = match status {
                MessageStatus::Read | MessageStatus::Played => RecipientState::Read,
                _ => RecipientState::Delivered,
            };
            let key = RecipientKey::Stanza(id.clone());
            self.gather
                .write()
                .recipients
                .push(RecipientChange::state(key, state, wall));
            self.gather
                .event(Event::message_status(status, chat.header(id), millis(wall)), wall);
        }
    }
}

/// The label of a state in the gauge of sessions.
fn label(state: SessionState) -> &'static str {
    match state {
        SessionState::New => "new",
        SessionState::Connecting => "connecting",
        SessionState::Pairing => "pairing",
        SessionState::Open => "open",
        SessionState::Closed => "closed",
        SessionState::LoggedOut => "logged-out",
    }
}

/// Statuses that one session remembers having told.
const RECENT_MAX: usize = 128;
