//! Messages that came without a copy for us, or that their senders could not give us: asked of our own phone.
//!
//! A message is acknowledged when the request for it is in a step. What was asked is kept as a record, because a phone may
//! answer days later; its answer counts from the phone alone, and only for what was asked. Allocates nothing until it is
//! needed.
//!
//! Facts: docs/PROTOCOL.md, "Unavailable messages".

use std::collections::{BTreeMap, VecDeque};
use std::iter::once;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::delivery::{Content, Meaning, chat_of};
use super::question::{Question, Questions};
use crate::binary::{self, Node};
use crate::device::Device;
use crate::e2e::{Directory, E2e, Fetched, Peer, is_own, own_phone, send_to_phone};
use crate::event::{Dropped, Event};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::proto::message::peer_data_operation_request_message::PlaceholderMessageResendRequest;
use crate::proto::message::{
    PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType,
    ProtocolMessage, protocol_message,
};
use crate::proto::{Message, MessageKey, WebMessageInfo};
use crate::signal::Address;
use crate::stanza::ack::message_ack;
use crate::stanza::message::{Push, Received};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// How many messages our phone is asked for at a time; the oldest is forgotten for another.
pub const MAX_PLACEHOLDERS: usize = 64;
/// Most messages that wait to be asked for. More are not acknowledged, so that the server brings them again.
const MAX_WAITING: usize = 256;
/// How old a message may be that is asked for, and how long its answer is waited for.
const LIVES: Duration = Duration::from_secs(14 * 24 * 3600);

/// Whether a message is young enough to be asked for.
pub(super) fn is_recent(stanza: &Received, now: Timestamp) -> bool {
    now.since(stanza.timestamp) < LIVES
}

/// A message that our phone is to be asked for, not acknowledged yet.
pub(super) struct Lacking {
    pub(super) stanza: Received,
    /// Its attributes.
    pub(super) node: Node,
}

#[derive(Default)]
pub(super) struct Placeholders(Option<Box<Open>>);

#[derive(Default)]
struct Open {
    waiting: VecDeque<Lacking>,
    /// What the record says, once it is read.
    asked: Option<VecDeque<Asked>>,
    is_reading: bool,
    /// Our phone, while a bundle of it is on its way.
    fetching: Option<Address>,
    /// The senders whose ratchets are being read.
    senders: Vec<Address>,
}

/// A message that our phone was asked for.
struct Asked {
    request: MessageId,
    at: Timestamp,
    lacking: Lacking,
}

/// Asking.
impl Placeholders {
    /// Takes messages that our phone is to be asked for.
    pub(super) fn want(&mut self, cx: &mut Context<'_>, lacking: Vec<Lacking>) {
        if lacking.is_empty() {
            return;
        }
        let open = self.0.get_or_insert_default();
        for one in lacking {
            if open.waiting.len() < MAX_WAITING {
                open.waiting.push_back(one);
            } else {
                tracing::debug!("too many messages lack a copy; one is left for the next login");
                cx.emit(Event::Dropped {
                    what: Dropped::UnreadMessage,
                });
            }
        }
    }

    /// Asks for what waits, if the record and a session with our phone are there; else asks for those.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, questions: &mut Questions) {
        let Some(open) = &mut self.0 else { return };
        if open.waiting.is_empty() || open.fetching.is_some() || !open.is_read(cx, questions) {
            return;
        }
        let Some(phone) = own_phone(cx.device) else { return };
        let peer = e2e.directory.peer(cx.device, phone);
        if !e2e.ensure(cx, once(&peer)) {
            return;
        }
        if !e2e.ratchets.has_session(cx.device, &peer.address) {
            e2e.want_session(&peer.address);
            open.fetching = Some(peer.address);
            return;
        }
        open.recall(&mut e2e.directory);
        while let Some(lacking) = open.waiting.pop_front() {
            open.ask(cx, e2e, &peer, lacking);
        }
        open.write(cx);
    }

    /// A bundle of our phone came, or did not.
    pub(super) fn on_bundles(&mut self, cx: &mut Context<'_>, outcomes: &BTreeMap<Address, Fetched>) {
        let Some(open) = &mut self.0 else { return };
        let Some(outcome) = open.fetching.as_ref().and_then(|phone| outcomes.get(phone)) else {
            return;
        };
        open.fetching = None;
        match outcome {
            Fetched::Session => {}
            // Nobody can be asked, now or later.
            Fetched::Skip => {
                for lacking in std::mem::take(&mut open.waiting) {
                    cx.send(message_ack(&lacking.node, cx.device.jid(), None));
                }
            }
            // Not acknowledged, they come again at the next login.
            Fetched::Failed(_) => open.waiting.clear(),
        }
    }

    /// The store has answered.
    pub(super) fn on_loaded(&mut self, value: Option<&[u8]>) {
        if let Some(open) = &mut self.0 {
            open.is_reading = false;
            let stored = value.and_then(|value| Stored::decode(value).ok());
            let stored = stored.unwrap_or_default().asked;
            open.asked = Some(stored.into_iter().filter_map(Asked::read).collect());
        }
    }

    /// The ratchets that answers wait with.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Address> {
        self.0
            .iter()
            .flat_map(|open| open.senders.iter().chain(&open.fetching))
    }
}

/// Answers.
impl Placeholders {
    /// Whether an answer of our phone could be shown at once: it is known what was asked, and what its senders showed us.
    pub(super) fn is_ready(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        questions: &mut Questions,
    ) -> bool {
        let open = self.0.get_or_insert_default();
        if !open.is_read(cx, questions) {
            return false;
        }
        open.recall(&mut e2e.directory);
        let asked = open.asked.iter().flatten();
        let peers: Vec<Peer> = asked
            .map(|asked| {
                e2e.directory
                    .peer(cx.device, asked.lacking.stanza.sender().clone())
            })
            .collect();
        open.senders = peers.iter().map(|peer| peer.address.clone()).collect();
        e2e.ensure(cx, peers.iter())
    }

    /// Our phone has answered: what it has of what was asked, to be shown.
    pub(super) fn on_answer(
        &mut self,
        cx: &mut Context<'_>,
        directory: &Directory,
        content: &Content,
    ) -> Option<Box<Content>> {
        let is_phone = content.from_me && content.stanza.peer && content.stanza.sender().device() == 0;
        let protocol = content.message.protocol_message.as_ref();
        let answer =
            protocol.and_then(|protocol| protocol.peer_data_operation_request_response_message.as_ref());
        let (true, Some(answer)) = (is_phone, answer) else {
            tracing::debug!("an answer that is not our phone's is ignored");
            return None;
        };
        let open = self.0.as_mut()?;
        let Some(asked) = open.take_asked(answer) else {
            tracing::debug!("an answer to what was not asked is ignored");
            return None;
        };
        open.write(cx);
        let found = found(answer, &asked.lacking.stanza.id);
        if found.is_none() {
            tracing::debug!("our phone has no copy of a message either");
        }
        asked.into_content(cx.device, directory, found?).map(Box::new)
    }
}

impl Open {
    /// Whether the record is read; asks for it if not.
    fn is_read(&mut self, cx: &mut Context<'_>, questions: &mut Questions) -> bool {
        if self.asked.is_none() && !std::mem::replace(&mut self.is_reading, true) {
            let ticket = questions.open(Question::Placeholders);
            cx.load(vec![RecordKey::placeholders()], ticket);
        }
        self.asked.is_some()
    }

    /// Tells the directory the other names of senders that were asked for by an earlier connection.
    fn recall(&self, directory: &mut Directory) {
        for asked in self.asked.iter().flatten() {
            let stanza = &asked.lacking.stanza;
            if let Some(other) = &stanza.sender_alt {
                directory.recall(&stanza.sender().to_bare(), &other.to_bare());
            }
        }
    }

    /// Asks for one message and acknowledges it; only the latter if it was asked for before.
    fn ask(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, phone: &Peer, lacking: Lacking) {
        let ack = message_ack(&lacking.node, cx.device.jid(), None);
        let asked = self.asked.get_or_insert_default();
        let is_known = asked.iter().any(|asked| asked.is(&lacking.stanza));
        if !is_known && is_recent(&lacking.stanza, cx.now) {
            let message = request_for(cx.device, &e2e.directory, &lacking.stanza);
            let sent = send_to_phone(cx, &mut e2e.ratchets, phone, &message, Push::HighForce);
            let Ok(request) = sent else {
                // The chain is used up. Not acknowledged, the message comes again at the next login.
                return;
            };
            if asked.len() >= MAX_PLACEHOLDERS {
                asked.pop_front();
            }
            let at = cx.now;
            asked.push_back(Asked { request, at, lacking });
        }
        cx.send(ack);
    }

    fn take_asked(&mut self, answer: &PeerDataOperationRequestResponseMessage) -> Option<Asked> {
        let request = answer.stanza_id.as_deref()?;
        let asked = self.asked.as_mut()?;
        let at = asked.iter().position(|asked| asked.request.as_str() == request)?;
        asked.remove(at)
    }

    /// Writes the record, without what is too old.
    fn write(&mut self, cx: &mut Context<'_>) {
        let Some(asked) = &mut self.asked else { return };
        let now = cx.now;
        asked.retain(|asked| now.since(asked.at) < LIVES);
        let key = RecordKey::placeholders();
        if asked.is_empty() {
            return cx.changes().delete(key);
        }
        let asked = asked.iter().map(Asked::stored).collect();
        cx.changes().put(key, Stored { asked }.encode_to_vec().into());
    }
}

impl Asked {
    fn is(&self, stanza: &Received) -> bool {
        let own = &self.lacking.stanza;
        (&own.id, &own.from, &own.participant) == (&stanza.id, &stanza.from, &stanza.participant)
    }

    fn stored(&self) -> StoredAsked {
        let mut stanza = Vec::new();
        binary::encode(&self.lacking.node, &mut stanza);
        StoredAsked {
            request: self.request.to_string(),
            at: self.at.as_millis(),
            stanza: stanza.into(),
        }
    }

    /// `None` if it is not what [`Self::stored`] made.
    fn read(stored: StoredAsked) -> Option<Self> {
        let node = binary::decode(stored.stanza).ok()?;
        Some(Self {
            request: stored.request.parse().ok()?,
            at: Timestamp::from_millis(stored.at),
            lacking: Lacking {
                stanza: Received::parse(&node).ok()?,
                node,
            },
        })
    }

    /// The message as if it had come by itself; `None` if it is nothing for the owner.
    fn into_content(self, device: &Device, directory: &Directory, found: WebMessageInfo) -> Option<Content> {
        let mut stanza = self.lacking.stanza;
        let mut message = found.message?;
        stanza.push_name = stanza.push_name.or(found.push_name);
        let meaning = Meaning::take(&mut message);
        (meaning == Meaning::Owner).then(|| Content {
            meaning,
            sender: directory.peer(device, stanza.sender().clone()).address,
            chat: chat_of(&stanza, None),
            from_me: is_own(device, stanza.sender()),
            stanza,
            message,
        })
    }
}

/// The message of this id in an answer, if our phone has it.
fn found(answer: &PeerDataOperationRequestResponseMessage, id: &MessageId) -> Option<WebMessageInfo> {
    let results = answer.peer_data_operation_result.iter();
    results
        .filter_map(|result| result.placeholder_message_resend_response.as_ref())
        .filter_map(|response| WebMessageInfo::decode(response.web_message_info_bytes.clone()?).ok())
        // By which name its key calls the chat does not matter: whose request it answers is known.
        .find(|info| {
            let key = info.key.as_ref();
            key.and_then(|key| key.id.as_deref()) == Some(id.as_str())
        })
        .filter(|info| info.message.is_some())
}

fn request_for(device: &Device, directory: &Directory, stanza: &Received) -> Message {
    let by_lid = |user: &Jid| {
        let user = user.to_bare();
        let lid = user.is_user().then(|| directory.other_name(&user)).flatten();
        lid.unwrap_or(user).to_string()
    };
    let from_me = is_own(device, stanza.sender());
    let key = MessageKey {
        remote_jid: Some(by_lid(&stanza.from)),
        from_me: Some(from_me),
        id: Some(stanza.id.to_string()),
        participant: stanza.participant.as_ref().filter(|_| !from_me).map(by_lid),
    };
    let request = PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::PlaceholderMessageResend.into()),
        placeholder_message_resend_request: vec![PlaceholderMessageResendRequest {
            message_key: Some(key),
        }],
        ..PeerDataOperationRequestMessage::default()
    };
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::PeerDataOperationRequestMessage.into()),
        peer_data_operation_request_message: Some(request),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    asked: Vec<StoredAsked>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredAsked {
    #[prost(string, tag = "1")]
    request: String,
    #[prost(uint64, tag = "2")]
    at: u64,
    /// The stanza without what was in it.
    #[prost(bytes = "bytes", tag = "3")]
    stanza: Bytes,
}
