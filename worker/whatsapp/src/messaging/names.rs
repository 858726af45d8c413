//! The other names of users, asked of the store.
//!
//! Both directions are records. A pair holds only if they agree: a newer pair overwrites one record of an older one and
//! may leave the other.

use bytes::Bytes;

use super::LoadTag;
use super::directory::Directory;
use crate::connection::Context;
use crate::jid::{Jid, Server};
use crate::store::RecordKey;

/// Asks for the other name of a user; false if they can't have one.
pub(super) fn ask(cx: &mut Context<'_>, user: &Jid) -> bool {
    let Some(key) = RecordKey::other_name(user) else {
        return false;
    };
    cx.load(vec![key], LoadTag::Name(user.clone()));
    true
}

/// The store has answered; true if that was all, false if the way back is asked for.
pub(super) fn on_other(cx: &mut Context<'_>, user: &Jid, value: Option<Bytes>) -> bool {
    let other = value.and_then(|value| named(&value, user));
    let Some((other, key)) = other.and_then(|other| RecordKey::other_name(&other).map(|key| (other, key)))
    else {
        return true;
    };
    cx.load(vec![key], LoadTag::NameBack(user.clone(), other));
    false
}

/// The store has answered for the way back. What was learned meanwhile is newer.
pub(super) fn on_back(directory: &mut Directory, user: &Jid, other: &Jid, value: Option<Bytes>) {
    let agrees = value.is_some_and(|back| back == user.user());
    if agrees && directory.other_name(user).is_none() {
        directory.recall(user, other);
    }
}

/// The user that a record says is the other name of this one.
fn named(value: &[u8], user: &Jid) -> Option<Jid> {
    let server = if user.is_lid() { Server::User } else { Server::Lid };
    let text = std::str::from_utf8(value).ok()?;
    Some(Jid::new(text, server))
}
