//! A piece of the history, read to its end in portions, beside inflating and decoding it as a whole.

use std::hint::black_box;
use std::io::{Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use prost::Message as _;
use whatsapp::proto::{Conversation, HistorySync, HistorySyncMsg, Message, MessageKey, WebMessageInfo};
use whatsapp::read_history;

use super::measure::{Figure, side_by_side, timed};

/// How many times the floor it may take: three passes, of which one decodes.
pub const TARGET: f64 = 2.5;
/// Chats of the piece, and messages of each, as `bench.mjs` has them.
const CHATS: usize = 50;
const MESSAGES: usize = 20;

/// Reading a piece of a thousand messages beside the floor, in nanoseconds.
pub fn reading() -> (Figure, Figure) {
    let packed = packed();
    side_by_side(
        || {
            timed(1, || {
                let counts = read_history(black_box(packed.clone()).into()).unwrap();
                assert_eq!(counts.messages, (CHATS * MESSAGES) as u64);
            })
        },
        || {
            timed(1, || {
                let mut whole = Vec::new();
                ZlibDecoder::new(black_box(packed.as_slice()))
                    .read_to_end(&mut whole)
                    .unwrap();
                black_box(HistorySync::decode(whole.as_slice()).unwrap());
            })
        },
    )
}

fn packed() -> Vec<u8> {
    let history = HistorySync {
        sync_type: Some(3),
        conversations: (0..CHATS).map(chat).collect(),
        ..HistorySync::default()
    };
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&history.encode_to_vec()).unwrap();
    packed.finish().unwrap()
}

fn chat(chat: usize) -> Conversation {
    let id = format!("1555{chat:07}@s.whatsapp.net");
    let message = |place: usize| HistorySyncMsg {
        message: Some(WebMessageInfo {
            key: Some(MessageKey {
                remote_jid: Some(id.clone()),
                from_me: Some(place % 3 == 2),
                id: Some(format!("3EB0{chat:09X}{place:09X}")),
                participant: None,
            }),
            message: Some(Message {
                conversation: Some(format!("message {place} of chat {chat}")),
                ..Message::default()
            }),
            message_timestamp: Some(1_790_000_000 - place as u64),
            ..WebMessageInfo::default()
        }),
        msg_order_id: None,
    };
    Conversation {
        messages: (0..MESSAGES).map(message).collect(),
        id: Some(id.clone()),
        display_name: Some(format!("Contact {chat}")),
        ..Conversation::default()
    }
}
