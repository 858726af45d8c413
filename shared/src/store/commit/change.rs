//! What one write can change, and how two changes of the same row in one batch become one.

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;

use crate::event::Passkey;
use crate::id::{JobId, QueueId, SessionId, StanzaId};
use crate::job::{Calls, Delay, Presence};
use crate::recipient::Number;
use crate::store::chats::change::ChatChange;
use crate::store::chats::labels::LabelChange;
use crate::store::chats::people::PersonChange;
use crate::store::chats::state::StateChange;
use crate::store::keys::KeyKind;
use crate::store::leases::Fence;
use crate::store::outbox::OutboxEvent;
use crate::store::polls::ReceivedPoll;
use crate::store::proxies::SealedProxy;
use crate::store::queues::QueueState;
use crate::store::received::ReceivedMedia;
use crate::store::recipients::RecipientState;
use crate::store::requests::Rejection;
use crate::store::sessions::{Expiring, LookUps, Owner, Restriction, SessionState};
use crate::waiting::Standstill;

/// One atomic change of what belongs to a session.
#[derive(Clone, Debug)]
pub struct Write {
    /// The shard of the session and the epoch under which the writer holds it.
    pub fence: Fence,
    /// The session.
    pub session: SessionId,
    /// Credentials and ratchets; sealed on their way.
    pub keys: Vec<KeyChange>,
    /// Recipients. A change that does not move forward does nothing.
    pub recipients: Vec<RecipientChange>,
    /// Queues. A change that the queue's state does not allow does nothing.
    pub queues: Vec<QueueChange>,
    /// Sends that were rejected.
    pub rejections: Vec<SendRejection>,
    /// Chats and messages that came in.
    pub chats: Vec<ChatChange>,
    /// What became known of people; behind `chats`.
    pub people: Vec<PersonChange>,
    /// What devices of the account did to chats and people.
    pub states: Vec<StateChange>,
    /// What they did to labels, in its order.
    pub labels: Vec<LabelChange>,
    /// Files of messages that came in. One that is known stays as it is.
    pub received: Vec<ReceivedMedia>,
    /// Polls that came in. One that is known stays as it is.
    pub polls: Vec<ReceivedPoll>,
    /// The session's own row.
    pub session_row: Option<Box<SessionChange>>,
    /// Before this nothing is sent.
    pub next_send_at: Option<OffsetDateTime>,
    /// The queue that this gap was drawn for, where it is another one than before.
    pub paced_by: Option<QueueId>,
    /// Sequence of the last of `events`.
    pub last_sequence: Option<i64>,
    /// Events that tell of all this, in order.
    pub events: Vec<OutboxEvent>,
}

impl Write {
    /// A write that changes nothing yet.
    pub fn new(fence: Fence, session: SessionId) -> Self {
        Self {
            fence,
            session,
            keys: Vec::new(),
            recipients: Vec::new(),
            queues: Vec::new(),
            rejections: Vec::new(),
            chats: Vec::new(),
            people: Vec::new(),
            states: Vec::new(),
            labels: Vec::new(),
            received: Vec::new(),
            polls: Vec::new(),
            session_row: None,
            next_send_at: None,
            paced_by: None,
            last_sequence: None,
            events: Vec::new(),
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.recipients.is_empty()
            && self.queues.is_empty()
            && self.rejections.is_empty()
            && self.chats.is_empty()
            && self.people.is_empty()
            && self.states.is_empty()
            && self.labels.is_empty()
            && self.received.is_empty()
            && self.polls.is_empty()
            && self.session_row.is_none()
            && self.next_send_at.is_none()
            && self.last_sequence.is_none()
            && self.events.is_empty()
    }

    /// The change of the session's row, made if there was none.
    pub fn session_row(&mut self) -> &mut SessionChange {
        self.session_row.get_or_insert_default()
    }
}

/// A credential or ratchet, set or (without value) deleted.
#[derive(Clone)]
pub struct KeyChange {
    /// Its kind.
    pub kind: KeyKind,
    /// Its name within the kind.
    pub name: Vec<u8>,
    /// The plain value; `None` deletes.
    pub value: Option<Bytes>,
}

impl std::fmt::Debug for KeyChange {
    /// Keys are never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let action = if self.value.is_some() { "set" } else { "delete" };
        write!(f, "KeyChange({:?}, {action})", self.kind)
    }
}

/// Which recipient a change speaks of.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum RecipientKey {
    /// By its place in a queue.
    Seq(QueueId, u32),
    /// By the id of its message: for receipts. Moves only what was sent already: a receipt that overtakes its
    /// ack must not settle a recipient that its queue still waits for, or no event would tell of it. Nothing
    /// happens if the session sent no such message from a queue.
    Stanza(StanzaId),
}

/// A recipient's step forward.
#[derive(Clone, Debug)]
pub struct RecipientChange {
    /// Which recipient.
    pub key: RecipientKey,
    /// Its new state.
    pub state: RecipientState,
    /// The id of its message, when it gets one (with `Sending`).
    pub stanza: Option<StanzaId>,
    /// How often its message may have left without an answer, this time included (with `Sending`).
    pub attempts: u16,
    /// The number that its account goes by, where that is another than its own (with `Sending`).
    pub addressee: Option<Number>,
    /// The restriction whose end it waits for (with `Queued`).
    pub held_for: Option<u32>,
    /// Why, in the manner of HTTP, and in words without personal data (with `Failed` and `Unknown`).
    pub error: Option<(u16, String)>,
    /// When it happened.
    pub at: OffsetDateTime,
}

impl RecipientChange {
    /// The recipient gets its message id and is about to be sent to, for the first time.
    pub fn sending(queue: QueueId, seq: u32, stanza: StanzaId, at: OffsetDateTime) -> Self {
        Self {
            stanza: Some(stanza),
            attempts: 1,
            ..Self::state(RecipientKey::Seq(queue, seq), RecipientState::Sending, at)
        }
    }

    /// The same for the how-manieth time.
    #[must_use]
    pub fn attempt(self, attempts: u16) -> Self {
        Self { attempts, ..self }
    }

    /// The same, to the account of this number.
    #[must_use]
    pub fn to(self, addressee: Option<Number>) -> Self {
        Self { addressee, ..self }
    }

    /// The recipient was refused, or would be, and waits for the end of this restriction: it is queued again.
    pub fn held(queue: QueueId, seq: u32, restriction: u32, at: OffsetDateTime) -> Self {
        Self {
            held_for: Some(restriction),
            ..Self::state(RecipientKey::Seq(queue, seq), RecipientState::Queued, at)
        }
    }

    /// A step without more to say: sent, delivered, read, skipped, unknown.
    pub fn state(key: RecipientKey, state: RecipientState, at: OffsetDateTime) -> Self {
        Self {
            key,
            state,
            stanza: None,
            attempts: 0,
            addressee: None,
            held_for: None,
            error: None,
            at,
        }
    }

    /// The recipient failed.
    pub fn failed(key: RecipientKey, status: u16, words: impl Into<String>, at: OffsetDateTime) -> Self {
        Self {
            error: Some((status, words.into())),
            ..Self::state(key, RecipientState::Failed, at)
        }
    }

    /// Nobody knows whether the recipient got its message, and it is not sent again.
    pub fn unknown(key: RecipientKey, status: u16, words: impl Into<String>, at: OffsetDateTime) -> Self {
        Self {
            error: Some((status, words.into())),
            ..Self::state(key, RecipientState::Unknown, at)
        }
    }

    /// Joins a later change of the same recipient: the furthest state counts, and nothing known is lost.
    pub(super) fn join(&mut self, later: &Self) {
        let goes_back = later.held_for.is_some() && !self.state.is_settled();
        if goes_back || self.state.may_become(later.state) {
            self.state = later.state;
            self.held_for = later.held_for.or(self.held_for);
            self.at = later.at;
            self.error.clone_from(&later.error);
        }
        if later.stanza.is_some() {
            self.stanza.clone_from(&later.stanza);
        }
        if later.attempts > 0 {
            self.attempts = later.attempts;
        }
        if later.addressee.is_some() {
            self.addressee.clone_from(&later.addressee);
        }
    }
}

/// A queue's step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueueChange {
    /// send.message:START is put out: it runs. (A paused queue stays paused but counts as started.)
    Start(QueueId),
    /// It is paused.
    Pause(QueueId),
    /// It goes on.
    Resume(QueueId),
    /// All are settled.
    Complete(QueueId),
    /// It is deleted.
    Delete(QueueId),
    /// All that is left of it waits for the end of this restriction.
    Hold(QueueId, u32),
    /// It stands still for this reason, or does not any more.
    StandStill(QueueId, Option<Standstill>),
    /// Its gap is this from now on.
    Pace(QueueId, Delay),
}

impl QueueChange {
    /// The queue.
    pub fn queue(self) -> QueueId {
        match self {
            Self::Start(id)
            | Self::Pause(id)
            | Self::Resume(id)
            | Self::Complete(id)
            | Self::Delete(id)
            | Self::Hold(id, _)
            | Self::Pace(id, _)
            | Self::StandStill(id, _) => id,
        }
    }

    /// The state it leads to; none if it stays where it is.
    pub fn target(self) -> Option<QueueState> {
        match self {
            Self::Start(_) | Self::Resume(_) => Some(QueueState::Running),
            Self::Pause(_) => Some(QueueState::Paused),
            Self::Complete(_) => Some(QueueState::Completed),
            Self::Delete(_) => Some(QueueState::Deleted),
            Self::Hold(..) | Self::Pace(..) | Self::StandStill(..) => None,
        }
    }

    /// Its new gap, if it gets one.
    pub(super) fn delay(self) -> Option<Delay> {
        match self {
            Self::Pace(_, delay) => Some(delay),
            _ => None,
        }
    }

    /// What it says of the queue's standstill, if anything.
    pub(super) fn stands(self) -> Option<Option<Standstill>> {
        match self {
            Self::StandStill(_, why) => Some(why),
            _ => None,
        }
    }

    /// The restriction it waits for.
    pub(super) fn held_for(self) -> Option<u32> {
        match self {
            Self::Hold(_, restriction) => Some(restriction),
            _ => None,
        }
    }
}

/// A send that was rejected: it is found under the ids that it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SendRejection {
    /// The queue that it asked for.
    pub queue: QueueId,
    /// The job that asked.
    pub job: JobId,
    /// The id of its message, where it named one.
    pub message: Option<StanzaId>,
    /// Why.
    pub why: Rejection,
}

/// Changes of a session's row; what is `None` stays. A state other than pairing clears both codes.
#[derive(Clone, Debug, Default)]
pub struct SessionChange {
    /// How it stands now.
    pub state: Option<SessionState>,
    /// Whether it is to be connected.
    pub wanted: Option<bool>,
    /// The account. `Some(None)` forgets it and that the session was paired (its keys are deleted apart).
    pub owner: Option<Option<Owner>>,
    /// That it was paired now.
    pub paired: bool,
    /// The QR code to scan.
    pub qr: Option<Expiring>,
    /// The pairing code to type.
    pub pairing_code: Option<Expiring>,
    /// How far linking with a passkey is. `Some(None)` forgets it.
    pub passkey: Option<Option<Box<Passkey>>>,
    /// Why it closed.
    pub close_reason: Option<u16>,
    /// That WhatsApp refused it, and nobody tries again; with the state closed, and until the next state.
    pub refused: bool,
    /// That it is being deleted now.
    pub deleting: bool,
    /// What it says of itself. `Some(None)` leaves it to the deployment.
    pub presence: Option<Option<Presence>>,
    /// The proxy that it leaves by. `Some(None)` leaves it to the deployment.
    pub proxy: Option<Option<Box<SealedProxy>>>,
    /// What it does with calls that come in.
    pub calls: Option<Calls>,
    /// What keeps it from writing to new contacts. `Some(None)` ends it.
    pub restriction: Option<Option<Restriction>>,
    /// How many restrictions it has had.
    pub restrictions: Option<u32>,
    /// Before this nothing is sent, because it went too fast.
    pub rate_limited_until: Option<OffsetDateTime>,
    /// Its look-ups of the day.
    pub look_ups: Option<LookUps>,
    /// When the next unknown number may be looked up, where all else is sent.
    pub look_up_at: Option<OffsetDateTime>,
    /// Deletes all of the session's keys, before `keys` of the same write are set.
    pub forget_keys: bool,
}

impl SessionChange {
    /// Joins a later change of the same session.
    pub(super) fn join(&mut self, later: &Self) {
        if let Some(state) = later.state {
            self.state = Some(state);
            self.refused = later.refused;
            // What an earlier state carried goes with it.
            if state != SessionState::Pairing {
                (self.qr, self.pairing_code) = (None, None);
            }
            if state == SessionState::Open {
                self.close_reason = None;
            }
        }
        self.wanted = later.wanted.or(self.wanted);
        if later.owner.is_some() {
            self.owner.clone_from(&later.owner);
            self.paired = false;
        }
        self.paired |= later.paired;
        if later.qr.is_some() {
            self.qr.clone_from(&later.qr);
        }
        if later.pairing_code.is_some() {
            self.pairing_code.clone_from(&later.pairing_code);
        }
        if later.passkey.is_some() {
            self.passkey.clone_from(&later.passkey);
        }
        self.close_reason = later.close_reason.or(self.close_reason);
        self.deleting |= later.deleting;
        self.presence = later.presence.or(self.presence);
        if later.proxy.is_some() {
            self.proxy.clone_from(&later.proxy);
        }
        self.calls = later.calls.or(self.calls);
        if later.restriction.is_some() {
            self.restriction.clone_from(&later.restriction);
        }
        self.restrictions = later.restrictions.or(self.restrictions);
        self.rate_limited_until = later.rate_limited_until.or(self.rate_limited_until);
        self.look_ups = later.look_ups.or(self.look_ups);
        self.look_up_at = later.look_up_at.or(self.look_up_at);
        self.forget_keys |= later.forget_keys;
    }
}

/// A session's change as the SQL reads it: a JSON object whose absent members stay.
#[derive(Debug, Serialize)]
pub(super) struct SessionPatch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerPatch<'a>>,
    forget_owner: bool,
    paired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_expires_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_expires_at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<&'a Passkey>,
    forget_passkey: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_reason: Option<u16>,
    refused: bool,
    deleting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<i16>,
    forget_presence: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyPatch<'a>>,
    forget_proxy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restriction: Option<RestrictionPatch<'a>>,
    lifted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limited_until: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_ups: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_ups_since: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_up_at: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RestrictionPatch<'a> {
    kind: i16,
    since: f64,
    until: f64,
    why: Option<&'a str>,
}

/// A proxy: its bytes, which are sealed, as hexadecimal digits.
#[derive(Debug, Serialize)]
struct ProxyPatch<'a> {
    sealed: String,
    address: &'a str,
}

#[derive(Debug, Serialize)]
struct OwnerPatch<'a> {
    jid: &'a str,
    lid: Option<&'a str>,
    push_name: Option<&'a str>,
    platform: Option<&'a str>,
}

impl<'a> From<&'a SessionChange> for SessionPatch<'a> {
    fn from(change: &'a SessionChange) -> Self {
        let owner = change
            .owner
            .as_ref()
            .and_then(Option::as_ref)
            .map(|owner| OwnerPatch {
                jid: &owner.jid,
                lid: owner.lid.as_deref(),
                push_name: owner.push_name.as_deref(),
                platform: owner.platform.as_deref(),
            });
        Self {
            state: change.state.map(SessionState::code),
            wanted: change.wanted,
            owner,
            forget_owner: matches!(change.owner, Some(None)),
            paired: change.paired,
            qr: change.qr.as_ref().map(|qr| qr.text.as_str()),
            qr_expires_at: change.qr.as_ref().map(|qr| seconds(qr.expires_at)),
            code: change.pairing_code.as_ref().map(|code| code.text.as_str()),
            code_expires_at: change.pairing_code.as_ref().map(|code| seconds(code.expires_at)),
            passkey: change.passkey.as_ref().and_then(Option::as_deref),
            forget_passkey: matches!(change.passkey, Some(None)),
            close_reason: change.close_reason,
            // What is said of one state does not hold for another.
            refused: change.refused && change.state == Some(SessionState::Closed),
            deleting: change.deleting,
            presence: change.presence.flatten().map(Presence::code),
            forget_presence: change.presence == Some(None),
            proxy: change
                .proxy
                .as_ref()
                .and_then(Option::as_ref)
                .map(|proxy| ProxyPatch {
                    sealed: hex::encode(proxy.sealed_bytes()),
                    address: &proxy.address,
                }),
            forget_proxy: matches!(change.proxy, Some(None)),
            calls: change.calls.map(Calls::code),
            restriction: change
                .restriction
                .as_ref()
                .and_then(Option::as_ref)
                .map(|restriction| RestrictionPatch {
                    kind: restriction.kind.code(),
                    since: seconds(restriction.since),
                    until: seconds(restriction.until),
                    why: restriction.why.as_deref(),
                }),
            lifted: matches!(change.restriction, Some(None)),
            restrictions: change.restrictions,
            rate_limited_until: change.rate_limited_until.map(seconds),
            look_ups: change.look_ups.map(|look_ups| look_ups.count),
            look_ups_since: change.look_ups.map(|look_ups| seconds(look_ups.since)),
            look_up_at: change.look_up_at.map(seconds),
        }
    }
}

/// Seconds since 1970, as PostgreSQL's `to_timestamp` takes them.
fn seconds(time: OffsetDateTime) -> f64 {
    time.unix_timestamp() as f64 + f64::from(time.nanosecond()) / 1e9
}
