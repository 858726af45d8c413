//! More of a chat's past, asked of our own phone: older messages than those that are known.
//!
//! Owns the requests that have not left. What the phone answers comes as a piece of the history, with the id of the request.
//! Allocates nothing until it is needed.

use std::collections::BTreeMap;

use crate::command::HistoryRequest;
use crate::e2e::{E2e, Fetched, ToPhone};
use crate::event::{Event, QueryError};
use crate::part::Context;
use crate::proto::Message;
use crate::proto::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use crate::proto::message::{
    PeerDataOperationRequestMessage, PeerDataOperationRequestType, ProtocolMessage, protocol_message,
};
use crate::signal::Address;
use crate::stanza::message::Push;

/// Most requests that wait for a session with our phone.
pub const MAX_REQUESTS: usize = 16;

/// The requests that have not left, oldest first.
#[derive(Default)]
pub(crate) struct Requests(Vec<(u64, Box<ToPhone>)>);

impl Requests {
    /// Takes a request. [`Self::advance`] follows.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>, ticket: u64, request: &HistoryRequest) {
        let message = ToPhone::new(cx, request_for(request));
        match message.filter(|_| self.0.len() < MAX_REQUESTS) {
            Some(message) => self.0.push((ticket, message.pushed(Push::HighForce).into())),
            None => answer(cx, ticket, Err(QueryError::Busy)),
        }
    }

    /// Sends what waits, if there is a session with our phone; else wants one.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) {
        while let Some((ticket, first)) = self.0.first_mut() {
            if !first.advance(cx, e2e) {
                return;
            }
            // A chain that is used up sends nothing.
            let sent = first.sent().cloned().ok_or(QueryError::NotConnected);
            answer(cx, *ticket, sent);
            self.0.remove(0);
        }
        self.0 = Vec::new();
    }

    /// Bundles were fetched, or could not be.
    pub(crate) fn on_bundles(&mut self, cx: &mut Context<'_>, fetched: &BTreeMap<Address, Fetched>) {
        self.0.retain_mut(|(ticket, message)| {
            let has_failed = message.has_failed(fetched);
            if has_failed {
                answer(cx, *ticket, Err(QueryError::TimedOut));
            }
            !has_failed
        });
    }

    /// The connection is gone: what has not left never does.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for (ticket, _) in std::mem::take(&mut self.0) {
            answer(cx, ticket, Err(QueryError::NotConnected));
        }
    }

    /// The ratchets that requests wait with.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().map(|(_, message)| message.address())
    }
}

fn answer(cx: &mut Context<'_>, ticket: u64, result: Result<crate::message_id::MessageId, QueryError>) {
    cx.emit(Event::HistoryAsked { ticket, result });
}

fn request_for(request: &HistoryRequest) -> Message {
    let oldest = request.oldest.as_ref();
    let on_demand = HistorySyncOnDemandRequest {
        chat_jid: Some(request.chat.to_string()),
        oldest_msg_id: oldest.map(|oldest| oldest.id.to_string()),
        oldest_msg_from_me: oldest.map(|oldest| oldest.from_me),
        on_demand_msg_count: i32::try_from(request.count).ok(),
        // Seconds, whatever the name of the field says.
        oldest_msg_timestamp_ms: oldest.and_then(|oldest| i64::try_from(oldest.timestamp.as_secs()).ok()),
        ..HistorySyncOnDemandRequest::default()
    };
    let asked = PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::HistorySyncOnDemand.into()),
        history_sync_on_demand_request: Some(on_demand),
        ..PeerDataOperationRequestMessage::default()
    };
    let protocol = ProtocolMessage {
        r#type: Some(protocol_message::Type::PeerDataOperationRequestMessage.into()),
        peer_data_operation_request_message: Some(asked),
        ..ProtocolMessage::default()
    };
    Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    }
}
