//! One piece of the history: inflated, and read without its messages.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use prost::Message as _;

use crate::device::Device;
use crate::e2e::is_own;
use crate::jid::Jid;
use crate::time::Timestamp;

/// Largest piece read, in bytes, inflated.
const MAX_BYTES: u64 = 64 << 20;
/// Most pairs of names taken from one piece: each is two records.
const MAX_NAMES: usize = 2_000;
/// Most conversations whose tokens are taken from one piece.
const MAX_TOKENS: usize = 2_000;

/// What a piece says that we act on.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// Our own name.
    pub(crate) own_name: Option<String>,
    /// What the server lets the account prove itself with.
    pub(crate) salt: Option<Vec<u8>>,
    /// Phone numbers and hidden ids that are one user's each.
    pub(crate) names: Vec<(Jid, Jid)>,
    /// Tokens between us and contacts.
    pub(crate) tokens: Vec<GivenToken>,
}

/// The tokens between us and a contact.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GivenToken {
    /// The contact, by hidden id where that is known.
    pub(crate) owner: Jid,
    /// What it gave us.
    pub(crate) token: Option<Bytes>,
    /// When it did.
    pub(crate) issued_to_us: Timestamp,
    /// When we gave it ours.
    pub(crate) issued_by_us: Option<Timestamp>,
}

/// Why a piece can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPiece {
    #[error("not packed as it should be")]
    Packing,
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("not of the form of a history")]
    Form,
}

/// Reads a packed piece.
///
/// # Errors
/// [`BadPiece`]: nothing is learned of it.
pub(super) fn read(device: &Device, packed: &[u8]) -> Result<Learned, BadPiece> {
    let mut bytes = Vec::new();
    let mut inflating = ZlibDecoder::new(packed).take(MAX_BYTES + 1);
    inflating.read_to_end(&mut bytes).map_err(|_| BadPiece::Packing)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(BadPiece::TooLarge);
    }
    let piece = Piece::decode(bytes.as_slice()).map_err(|_| BadPiece::Form)?;
    Ok(piece.learn(device))
}

impl Piece {
    fn learn(self, device: &Device) -> Learned {
        let own = |name: &PushName| name.id.parse().is_ok_and(|id: Jid| is_own(device, &id));
        let mut names = self.push_names.into_iter().filter(own).map(|name| name.push_name);
        let pairs = self.names.iter().filter_map(Pair::jids);
        Learned {
            own_name: names.next().filter(|name| !name.is_empty()),
            salt: self.salt.filter(|salt| !salt.is_empty()),
            names: pairs.take(MAX_NAMES).collect(),
            tokens: self
                .conversations
                .into_iter()
                .filter_map(Conversation::given)
                .take(MAX_TOKENS)
                .collect(),
        }
    }
}

impl Pair {
    fn jids(&self) -> Option<(Jid, Jid)> {
        let (phone, lid) = (self.phone.parse::<Jid>().ok()?, self.lid.parse::<Jid>().ok()?);
        (phone.is_user() && lid.is_lid()).then(|| (phone.to_bare(), lid.to_bare()))
    }
}

impl Conversation {
    /// The tokens of a chat with one person.
    fn given(self) -> Option<GivenToken> {
        let id: Jid = self.id.parse().ok()?;
        let lid = self.lid.parse().ok().filter(Jid::is_lid);
        let owner = if id.is_lid() { id } else { lid.unwrap_or(id) };
        if !owner.is_user() && !owner.is_lid() {
            return None;
        }
        // Neither counts without the other.
        let token = self.token.zip(self.token_timestamp);
        let token = token.filter(|(token, at)| !token.is_empty() && *at > 0);
        let by_us = self
            .sender_timestamp
            .filter(|at| *at > 0)
            .map(Timestamp::from_secs);
        if token.is_none() && by_us.is_none() {
            return None;
        }
        let (token, at) = token.unzip();
        Some(GivenToken {
            owner: owner.to_bare(),
            token: token.map(Bytes::from),
            issued_to_us: Timestamp::from_secs(at.unwrap_or_default()),
            issued_by_us: by_us,
        })
    }
}

/// The fields of a `HistorySync` that are read; its messages are skipped over.
#[derive(Clone, PartialEq, prost::Message)]
struct Piece {
    #[prost(message, repeated, tag = "2")]
    conversations: Vec<Conversation>,
    #[prost(message, repeated, tag = "7")]
    push_names: Vec<PushName>,
    #[prost(message, repeated, tag = "15")]
    names: Vec<Pair>,
    #[prost(bytes = "vec", optional, tag = "19")]
    salt: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Conversation {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bytes = "vec", optional, tag = "21")]
    token: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "22")]
    token_timestamp: Option<u64>,
    #[prost(uint64, optional, tag = "28")]
    sender_timestamp: Option<u64>,
    #[prost(string, tag = "42")]
    lid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushName {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    push_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    phone: String,
    #[prost(string, tag = "2")]
    lid: String,
}
