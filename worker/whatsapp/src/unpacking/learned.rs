//! What a piece says that the connection itself acts on.

use bytes::Bytes;

use super::entries::{ChatFields, Entries, Entry, Pair, Wants};
use super::fields::BadPiece;
use super::names::{Names, Own};
use crate::jid::Jid;
use crate::time::Timestamp;

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

/// Reads all of a packed piece for it, and for the names by which the rest is told.
///
/// # Errors
/// [`BadPiece`]: nothing is learned of it.
pub(super) fn learn(packed: &Bytes, own: &Own) -> Result<(Learned, Names), BadPiece> {
    let (mut learned, mut names) = (Learned::default(), Names::default());
    let mut entries = Entries::new(packed);
    while let Some((entry, _)) = entries.next(Wants::Names)? {
        match entry {
            Entry::Pair(pair) => {
                if let Some((phone, lid)) = pair.jids() {
                    names.add(&phone, &lid);
                    if learned.names.len() < MAX_NAMES {
                        learned.names.push((phone, lid));
                    }
                }
            }
            Entry::Chat(chat) => {
                let both = pair(&chat.told.phone, &chat.told.lid);
                let both = both.or_else(|| pair(&chat.told.phone, &chat.told.id));
                if let Some((phone, lid)) = both.or_else(|| pair(&chat.told.id, &chat.told.lid)) {
                    names.add(&phone, &lid);
                }
                if learned.tokens.len() < MAX_TOKENS {
                    learned.tokens.extend(given(chat.told));
                }
            }
            Entry::PushName(name) => {
                let is_own = name.id.parse().is_ok_and(|id: Jid| own.is(&id));
                if is_own && learned.own_name.is_none() && !name.push_name.is_empty() {
                    learned.own_name = Some(name.push_name);
                }
            }
            Entry::Salt(salt) if !salt.is_empty() => learned.salt = Some(salt.to_vec()),
            Entry::Salt(_) | Entry::Message { .. } | Entry::Skipped => {}
        }
    }
    Ok((learned, names))
}

impl Pair {
    fn jids(&self) -> Option<(Jid, Jid)> {
        pair(&self.phone, &self.lid)
    }
}

/// A number and a hidden id, if these are that.
fn pair(phone: &str, lid: &str) -> Option<(Jid, Jid)> {
    let (phone, lid) = (phone.parse::<Jid>().ok()?, lid.parse::<Jid>().ok()?);
    (phone.is_user() && lid.is_lid()).then(|| (phone.to_bare(), lid.to_bare()))
}

/// The tokens of a chat with one person.
fn given(chat: ChatFields) -> Option<GivenToken> {
    let id: Jid = chat.id.parse().ok()?;
    let lid = chat.lid.parse().ok().filter(Jid::is_lid);
    let owner = if id.is_lid() { id } else { lid.unwrap_or(id) };
    if !owner.is_user() && !owner.is_lid() {
        return None;
    }
    // Neither counts without the other.
    let token = chat.token.zip(chat.token_timestamp);
    let token = token.filter(|(token, at)| !token.is_empty() && *at > 0);
    let by_us = chat
        .sender_timestamp
        .filter(|at| *at > 0)
        .map(Timestamp::from_secs);
    if token.is_none() && by_us.is_none() {
        return None;
    }
    let (token, at) = token.unzip();
    Some(GivenToken {
        owner: owner.to_bare(),
        token,
        issued_to_us: Timestamp::from_secs(at.unwrap_or_default()),
        issued_by_us: by_us,
    })
}
