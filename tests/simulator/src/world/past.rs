//! The past of an account, made up as a script says: chats with messages, shared in pieces after a companion was linked, and
//! more of them when it asks.
//!
//! A pure function of the script, so that what was told can be counted and found again.
//!
//! Facts: docs/PROTOCOL.md, "History".

use std::ops::Range;
use std::time::Duration;

use whatsapp::poll::option_hash;
use whatsapp::proto::history_sync::HistorySyncType;
use whatsapp::proto::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use whatsapp::proto::message::poll_creation_message::Option as PollOption;
use whatsapp::proto::message::{PollCreationMessage, PollVoteMessage};
use whatsapp::proto::{
    Conversation, HistorySync, HistorySyncMsg, Message, MessageKey, PollUpdate, Pushname, Reaction,
    WebMessageInfo,
};

use super::World;
use super::sharing::Piece;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::sharing::{HistorySharing, Past};

/// How long lies between two messages of a chat, and between two chats' newest ones, in seconds.
const GAP: u64 = 60;
/// How long after one piece the next one leaves: the server has others to serve.
const PIECE_GAP: Duration = Duration::from_millis(5);

/// Some messages of one chat: those of these places, of which 0 is the newest.
type Part = (u32, Range<u32>);

impl World {
    /// A phone shares a made up past: chats with their newest message, what people call themselves, then the messages.
    pub(super) fn share_past(&mut self, with: DeviceAddr, past: Past, how: HistorySharing) {
        let account = self.accounts.get(&with.number);
        let Some(device) = account.and_then(|account| account.devices.get(&with.device)) else {
            return;
        };
        let (wants_full, days) = (device.wants_full_history, device.history_days);
        let newest = past.newest.unwrap_or_default();
        let since = days.map(|days| newest.saturating_sub(u64::from(days) * 24 * 3600));
        let mut pieces = vec![
            self.newest_of_all(with.number, &past),
            self.names_of_all(with.number, &past),
        ];
        let deepest = match wants_full {
            true => past.messages + past.older,
            false => past.messages,
        };
        let kind = match wants_full {
            true => HistorySyncType::Full,
            false => HistorySyncType::Recent,
        };
        let parts = parts(&past, deepest, |chat, place| {
            since.is_none_or(|since| past.sent_at(chat, place) >= since)
        });
        let chunks = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (order, parts) in (1..).zip(parts) {
            let conversations = parts
                .into_iter()
                .map(|part| self.part_of_chat(with.number, &past, part));
            pieces.push(HistorySync {
                sync_type: Some(kind.into()),
                conversations: conversations.collect(),
                chunk_order: Some(order),
                progress: Some(order * 100 / chunks),
                ..HistorySync::default()
            });
        }
        for (at, history) in (0..).zip(pieces) {
            let piece = Piece {
                order: history.chunk_order.unwrap_or(1),
                progress: history.progress.unwrap_or(100),
                request: None,
                serial: at,
            };
            self.at(self.clock.now() + PIECE_GAP * at, move |world| {
                world.share_piece(with, &history, (how, piece));
            });
        }
    }

    /// A companion asks its phone for older messages of a chat: it gets them, as far as the phone has any.
    pub(super) fn more_past(&mut self, with: DeviceAddr, request: &str, asked: &HistorySyncOnDemandRequest) {
        let Some(account) = self.accounts.get(&with.number) else {
            return;
        };
        let (past, how) = (account.sharing.past.clone(), account.sharing.history);
        let chat = asked.chat_jid.as_deref().and_then(|jid| jid.parse().ok());
        let contact = chat
            .and_then(|jid| self.seed.resolve(&jid))
            .map(|(who, _)| who.number);
        let part = past.as_ref().zip(contact).and_then(|(past, contact)| {
            let chat = past.place_of(contact)?;
            let known = asked.oldest_msg_id.as_deref().unwrap_or_default();
            let all = past.messages + past.older;
            let next = (0..all).find(|place| message_id(chat, *place) == known)? + 1;
            let count = u32::try_from(asked.on_demand_msg_count.unwrap_or(50)).unwrap_or(0);
            Some((chat, next..all.min(next.saturating_add(count))))
        });
        let conversation = past
            .zip(part)
            .map(|(past, part)| self.part_of_chat(with.number, &past, part));
        let history = HistorySync {
            sync_type: Some(HistorySyncType::OnDemand.into()),
            conversations: conversation.into_iter().collect(),
            ..HistorySync::default()
        };
        let piece = Piece {
            order: 1,
            progress: 100,
            request: Some(request.to_owned()),
            serial: 0,
        };
        let how = match how {
            HistorySharing::File => HistorySharing::File,
            _ => HistorySharing::Inline,
        };
        self.share_piece(with, &history, (how, piece));
    }

    fn newest_of_all(&mut self, of: Number, past: &Past) -> HistorySync {
        let newest = 0..past.messages.min(1);
        let chats = (0..past.chats).map(|chat| self.part_of_chat(of, past, (chat, newest.clone())));
        HistorySync {
            conversations: chats.collect(),
            phone_number_to_lid_mappings: Vec::new(),
            ..self.first_piece(of)
        }
    }

    fn names_of_all(&self, of: Number, past: &Past) -> HistorySync {
        let own = self.accounts.get(&of).map(|account| (of, account.name.clone()));
        let contacts = (0..past.chats).filter_map(|chat| Some((past.contact(chat)?, format!("Push {chat}"))));
        let name = |(number, name): (Number, String)| Pushname {
            id: Some(
                self.seed
                    .jid(DeviceAddr::phone(number), Addressing::Pn)
                    .to_string(),
            ),
            pushname: Some(name),
        };
        HistorySync {
            sync_type: Some(HistorySyncType::PushName.into()),
            pushnames: own.into_iter().chain(contacts).map(name).collect(),
            ..HistorySync::default()
        }
    }

    /// Some messages of a chat, the newest first, with all that is said of it.
    fn part_of_chat(&self, of: Number, past: &Past, (chat, places): Part) -> Conversation {
        let contact = past.contact(chat).unwrap_or(of);
        let named = |addressing| {
            let jid = self.seed.jid(DeviceAddr::phone(contact), addressing);
            Some(jid.to_string())
        };
        let message = |place| HistorySyncMsg {
            message: Some(past.message(chat, place, named(Addressing::Lid))),
            msg_order_id: None,
        };
        Conversation {
            id: named(Addressing::Lid),
            messages: places.map(message).collect(),
            pn_jid: named(Addressing::Pn),
            lid_jid: named(Addressing::Lid),
            display_name: Some(format!("Contact {chat}")),
            unread_count: Some(chat % 3),
            conversation_timestamp: Some(past.sent_at(chat, 0)),
            ..Conversation::default()
        }
    }
}

impl Past {
    /// With whom a chat is.
    fn contact(&self, chat: u32) -> Option<Number> {
        let first: u64 = self.first.parse().ok()?;
        Number::new(first + u64::from(chat))
    }

    /// Which chat is with a contact.
    fn place_of(&self, contact: Number) -> Option<u32> {
        (0..self.chats).find(|chat| self.contact(*chat) == Some(contact))
    }

    /// When a message was sent, in unix seconds.
    fn sent_at(&self, chat: u32, place: u32) -> u64 {
        let newest = self.newest.unwrap_or_default();
        newest.saturating_sub((u64::from(chat) + u64::from(place)) * GAP)
    }

    /// Every third message is the account's own.
    fn message(&self, chat: u32, place: u32, jid: Option<String>) -> WebMessageInfo {
        let info = WebMessageInfo {
            key: Some(MessageKey {
                remote_jid: jid,
                from_me: Some(place % 3 == 2),
                id: Some(message_id(chat, place)),
                participant: None,
            }),
            message: Some(Message {
                conversation: Some(format!("message {place} of chat {chat}")),
                ..Message::default()
            }),
            message_timestamp: Some(self.sent_at(chat, place)),
            ..WebMessageInfo::default()
        };
        match place {
            0 if self.about => self.reacted_to(info, chat),
            1 if self.about => self.voted_in(info, chat),
            _ => info,
        }
    }

    fn reacted_to(&self, info: WebMessageInfo, chat: u32) -> WebMessageInfo {
        let reaction = Reaction {
            key: Some(self.about(&info, "A0")),
            text: Some("👍".to_owned()),
            sender_timestamp_ms: millis(self.sent_at(chat, 0)),
            ..Reaction::default()
        };
        WebMessageInfo {
            reactions: vec![reaction],
            ..info
        }
    }

    /// The message is a poll, and the vote of the contact is for its first option.
    fn voted_in(&self, info: WebMessageInfo, chat: u32) -> WebMessageInfo {
        let option = |name: &str| PollOption {
            option_name: Some(name.to_owned()),
            ..PollOption::default()
        };
        let poll = PollCreationMessage {
            name: Some(format!("poll of chat {chat}")),
            options: vec![option("yes"), option("no")],
            selectable_options_count: Some(1),
            ..PollCreationMessage::default()
        };
        let vote = PollUpdate {
            poll_update_message_key: Some(self.about(&info, "A1")),
            vote: Some(PollVoteMessage {
                selected_options: vec![option_hash("yes").to_vec().into()],
            }),
            sender_timestamp_ms: millis(self.sent_at(chat, 0)),
            ..PollUpdate::default()
        };
        WebMessageInfo {
            message: Some(Message {
                poll_creation_message_v3: Some(Box::new(poll)),
                ..Message::default()
            }),
            message_secret: Some(vec![7; 32].into()),
            poll_updates: vec![vote],
            ..info
        }
    }

    /// The key of what the contact said about a message.
    fn about(&self, info: &WebMessageInfo, prefix: &str) -> MessageKey {
        let key = info.key.clone().unwrap_or_default();
        let id = key.id.as_deref().unwrap_or_default();
        MessageKey {
            id: Some(format!("{prefix}{id}")),
            from_me: Some(false),
            ..key
        }
    }
}

fn millis(seconds: u64) -> Option<i64> {
    i64::try_from(seconds).ok()?.checked_mul(1_000)
}

/// The messages of all chats that are wanted, in pieces of so many as the script says. Of a long chat a part is in one piece, and
/// the next part in the next.
fn parts(past: &Past, deepest: u32, is_wanted: impl Fn(u32, u32) -> bool) -> Vec<Vec<Part>> {
    let (mut pieces, mut room) = (vec![Vec::new()], past.chunk.max(1));
    for chat in 0..past.chats {
        let end = (0..deepest)
            .find(|place| !is_wanted(chat, *place))
            .unwrap_or(deepest);
        // The newest came with the chats.
        let mut next = 1;
        while next < end {
            let until = end.min(next + room);
            if let Some(piece) = pieces.last_mut() {
                piece.push((chat, next..until));
            }
            room -= until - next;
            next = until;
            if room == 0 {
                pieces.push(Vec::new());
                room = past.chunk.max(1);
            }
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn message_id(chat: u32, place: u32) -> String {
    format!("3EB0{chat:09X}{place:09X}")
}
