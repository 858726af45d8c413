//! What a `HistorySync` is made of, one entry at a time: conversations are entered, so that their messages come one by one.

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::fields::{BadPiece, Field, Fields, Wire};
use crate::proto::WebMessageInfo;

/// Largest message that is read, in bytes, unpacked; a larger one is left out.
pub(super) const MAX_MESSAGE_BYTES: u64 = 1 << 20;
/// Most bytes of what a conversation says of itself, beside its messages; what is beyond is left out.
const MAX_CHAT_BYTES: u64 = 256 << 10;
/// Most bytes of a name, or a pair of names.
const MAX_NAME_BYTES: u64 = 16 << 10;

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// What the connection acts on: conversations without messages, names, the salt.
    Names,
    /// Conversations with their newest message, and what people call themselves.
    People,
    /// Messages.
    Messages,
}

/// A part of a piece.
pub(super) enum Entry {
    /// A conversation, behind its messages.
    Chat(Box<Chat>),
    /// A message of a conversation, and whose.
    Message {
        chat: String,
        message: Box<WebMessageInfo>,
    },
    PushName(PushName),
    Pair(Pair),
    Salt(Bytes),
    /// What is too large, or can't be read.
    Skipped,
}

/// A conversation.
#[derive(Default)]
pub(super) struct Chat {
    pub(super) told: ChatFields,
    /// The first of its messages that says something: its newest, as phones put them.
    pub(super) newest: Option<Box<WebMessageInfo>>,
}

/// The fields of a conversation that are read.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChatFields {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(uint32, tag = "6")]
    pub(super) unread: u32,
    #[prost(uint64, optional, tag = "12")]
    pub(super) timestamp: Option<u64>,
    #[prost(string, tag = "13")]
    pub(super) name: String,
    #[prost(bool, tag = "16")]
    pub(super) archived: bool,
    #[prost(message, repeated, tag = "20")]
    pub(super) participants: Vec<Participant>,
    #[prost(bytes = "bytes", optional, tag = "21")]
    pub(super) token: Option<Bytes>,
    #[prost(uint64, optional, tag = "22")]
    pub(super) token_timestamp: Option<u64>,
    #[prost(uint32, tag = "24")]
    pub(super) pinned: u32,
    #[prost(uint64, optional, tag = "28")]
    pub(super) sender_timestamp: Option<u64>,
    #[prost(string, tag = "38")]
    pub(super) display_name: String,
    #[prost(string, tag = "39")]
    pub(super) phone: String,
    #[prost(string, tag = "42")]
    pub(super) lid: String,
    #[prost(string, tag = "43")]
    pub(super) username: String,
}

/// Somebody in a group.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Participant {
    #[prost(string, tag = "1")]
    pub(super) user: String,
    #[prost(int32, tag = "2")]
    pub(super) rank: i32,
}

/// What somebody calls themselves.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PushName {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) push_name: String,
}

/// A message as a conversation has it. It is large, so it is decoded where it stays.
#[derive(Clone, PartialEq, prost::Message)]
struct HeldMessage {
    #[prost(message, optional, boxed, tag = "1")]
    message: Option<Box<WebMessageInfo>>,
}

/// Two names of one user.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pair {
    #[prost(string, tag = "1")]
    pub(super) phone: String,
    #[prost(string, tag = "2")]
    pub(super) lid: String,
}

/// The entries of a piece that a pass wants.
pub(super) struct Entries {
    fields: Fields,
    inside: Option<Inside>,
    /// Room for what is decoded next, at most [`MAX_MESSAGE_BYTES`].
    encoded: Vec<u8>,
}

/// The conversation that is being read.
struct Inside {
    end: u64,
    /// What it says of itself, as it is encoded.
    told: Vec<u8>,
    id: String,
    newest: Option<Box<WebMessageInfo>>,
    /// How many bytes that message has.
    newest_bytes: usize,
}

impl Entries {
    /// All of a piece.
    pub(super) fn new(packed: &Bytes) -> Self {
        Self {
            fields: Fields::new(packed.clone()),
            inside: None,
            encoded: Vec::new(),
        }
    }

    /// Those behind the first so many of a pass.
    pub(super) fn behind(packed: &Bytes, wants: Wants, passed: u64) -> Result<Self, BadPiece> {
        let mut entries = Self::new(packed);
        for _ in 0..passed {
            if entries.next(wants)?.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    /// The next entry that is wanted, and how many bytes it has; `None` at the end.
    pub(super) fn next(&mut self, wants: Wants) -> Result<Option<(Entry, usize)>, BadPiece> {
        loop {
            if let Some(inside) = &self.inside {
                if self.fields.at() >= inside.end {
                    if let Some(entry) = self.leave(wants)? {
                        return Ok(Some(entry));
                    }
                } else if let Some(entry) = self.of_chat(wants)? {
                    return Ok(Some(entry));
                }
                continue;
            }
            let Some(field) = self.fields.next()? else {
                return Ok(None);
            };
            match (field.tag, field.wire) {
                (CONVERSATION, Wire::Bytes(bytes)) => self.enter(bytes)?,
                _ => {
                    if let Some(entry) = self.of_piece(field, wants)? {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }

    fn enter(&mut self, bytes: u64) -> Result<(), BadPiece> {
        let end = self.fields.at().checked_add(bytes).ok_or(BadPiece::Form)?;
        self.inside = Some(Inside {
            end,
            told: Vec::new(),
            id: String::new(),
            newest: None,
            newest_bytes: 0,
        });
        Ok(())
    }

    /// The conversation ends here.
    fn leave(&mut self, wants: Wants) -> Result<Option<(Entry, usize)>, BadPiece> {
        let Some(inside) = self.inside.take() else {
            return Ok(None);
        };
        if self.fields.at() > inside.end {
            return Err(BadPiece::Form);
        }
        if wants == Wants::Messages {
            return Ok(None);
        }
        let size = inside.told.len() + inside.newest_bytes;
        let newest = inside.newest;
        let entry = match ChatFields::decode(inside.told.as_slice()) {
            Ok(told) => Entry::Chat(Chat { told, newest }.into()),
            // One that can't be read costs itself alone.
            Err(_) => Entry::Skipped,
        };
        Ok(Some((entry, size)))
    }

    /// The next field of the conversation: an entry, if it is a message that is wanted.
    fn of_chat(&mut self, wants: Wants) -> Result<Option<(Entry, usize)>, BadPiece> {
        let field = self.fields.next()?.ok_or(BadPiece::Form)?;
        if let (MESSAGE, Wire::Bytes(bytes)) = (field.tag, field.wire) {
            return self.message(bytes, wants);
        }
        let Some(inside) = &mut self.inside else {
            return Ok(None);
        };
        let is_id = field.tag == CHAT_ID;
        let is_wanted = is_id || wants != Wants::Messages && CHAT_FIELDS.contains(&field.tag);
        let room = MAX_CHAT_BYTES.saturating_sub(inside.told.len() as u64);
        match field.wire {
            Wire::Number(number) if is_wanted && room > 0 => {
                encode_key(field.tag, WireType::Varint, &mut inside.told);
                encode_varint(number, &mut inside.told);
            }
            Wire::Bytes(bytes) if is_wanted && bytes <= room => {
                encode_key(field.tag, WireType::LengthDelimited, &mut inside.told);
                encode_varint(bytes, &mut inside.told);
                let from = inside.told.len();
                self.fields.read(bytes, &mut inside.told)?;
                if is_id {
                    inside.id = String::from_utf8_lossy(&inside.told[from..]).into_owned();
                }
            }
            wire => self.fields.skip(wire)?,
        }
        Ok(None)
    }

    fn message(&mut self, bytes: u64, wants: Wants) -> Result<Option<(Entry, usize)>, BadPiece> {
        let Some(inside) = &mut self.inside else {
            return Ok(None);
        };
        let is_wanted = match wants {
            Wants::Names => false,
            Wants::People => inside.newest.is_none(),
            Wants::Messages => true,
        };
        if !is_wanted || bytes > MAX_MESSAGE_BYTES {
            self.fields.skip(Wire::Bytes(bytes))?;
            return Ok((wants == Wants::Messages).then_some((Entry::Skipped, 0)));
        }
        self.encoded.clear();
        self.fields.read(bytes, &mut self.encoded)?;
        let size = self.encoded.len();
        // One that can't be read costs itself alone.
        let decoded = HeldMessage::decode(self.encoded.as_slice()).ok();
        let message = decoded.and_then(|entry| entry.message);
        if wants == Wants::People {
            inside.newest = message.filter(|info| info.message.is_some());
            inside.newest_bytes = size;
            return Ok(None);
        }
        let entry = message.map_or(Entry::Skipped, |message| Entry::Message {
            chat: inside.id.clone(),
            message,
        });
        Ok(Some((entry, size)))
    }

    /// A field of the piece itself.
    fn of_piece(&mut self, field: Field, wants: Wants) -> Result<Option<(Entry, usize)>, BadPiece> {
        let is_wanted = match field.tag {
            PUSH_NAME => wants != Wants::Messages,
            PAIR | SALT => wants == Wants::Names,
            _ => false,
        };
        let Wire::Bytes(bytes) = field.wire else {
            self.fields.skip(field.wire)?;
            return Ok(None);
        };
        if !is_wanted || bytes > MAX_NAME_BYTES {
            self.fields.skip(field.wire)?;
            return Ok(None);
        }
        let mut encoded = Vec::new();
        self.fields.read(bytes, &mut encoded)?;
        let size = encoded.len();
        let entry = match field.tag {
            PUSH_NAME => PushName::decode(encoded.as_slice()).map(Entry::PushName),
            PAIR => Pair::decode(encoded.as_slice()).map(Entry::Pair),
            _ => Ok(Entry::Salt(encoded.into())),
        };
        Ok(Some((entry.unwrap_or(Entry::Skipped), size)))
    }
}

const CONVERSATION: u32 = 2;
const PUSH_NAME: u32 = 7;
const PAIR: u32 = 15;
const SALT: u32 = 19;
const CHAT_ID: u32 = 1;
const MESSAGE: u32 = 2;
/// Those of [`ChatFields`].
const CHAT_FIELDS: [u32; 14] = [1, 6, 12, 13, 16, 20, 21, 22, 24, 28, 38, 39, 42, 43];
