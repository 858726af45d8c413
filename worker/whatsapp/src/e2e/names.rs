//! The other names of users, asked of the store.
//!
//! Both directions are records. A pair holds only if they agree: a newer pair overwrites one record of an older one and
//! may leave the other. Beside them are the numbers that were resolved once ([`RecordKey::renumbered`]).
//!
//! Users that are sent to are asked for together: one question is open at a time; whoever is missing meanwhile goes into
//! the next.

use bytes::Bytes;
use smallvec::SmallVec;

use super::directory::Directory;
use super::outcome::{Question, Questions};
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::store::{RecordKey, RecordKind};

/// Most users that are asked for together: as many as sends wait at once, so that none waits for a second round.
const MAX_TOGETHER: usize = 256;

/// The question for users that are sent to.
#[derive(Default)]
pub(super) struct Naming {
    is_open: bool,
}

impl Naming {
    /// Asks for what the store knows of these users, if no question is open.
    pub(super) fn ask<'a>(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        users: impl Iterator<Item = &'a Jid>,
    ) {
        if self.is_open {
            return;
        }
        let mut asked: Vec<Jid> = users.take(MAX_TOGETHER).cloned().collect();
        if asked.is_empty() {
            return;
        }
        asked.sort_unstable();
        asked.dedup();
        self.is_open = true;
        let keys = asked.iter().flat_map(keys_of).collect();
        cx.load(keys, questions.open(Question::Names(asked)));
    }

    /// The store has answered; the users, sorted, if that was all. Else the way back is asked for.
    pub(super) fn on_names(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        directory: &mut Directory,
        asked: Vec<Jid>,
        values: Vec<Option<Bytes>>,
    ) -> Option<Vec<Jid>> {
        let mut values = values.into_iter();
        let (mut pairs, mut backs) = (Vec::new(), Vec::new());
        for user in &asked {
            for key in keys_of(user) {
                let Some(value) = values.next().flatten() else {
                    continue;
                };
                if key.kind == RecordKind::Renumbered {
                    if let Ok(present) = std::str::from_utf8(&value) {
                        directory.recall_present(user.user(), present);
                    }
                } else if let Some(other) = named(&value, user)
                    && let Some(back) = RecordKey::other_name(&other)
                {
                    pairs.push((user.clone(), other));
                    backs.push(back);
                }
            }
        }
        if backs.is_empty() {
            self.is_open = false;
            return Some(asked);
        }
        cx.load(backs, questions.open(Question::NamesBack(asked, pairs)));
        None
    }

    /// The store has answered for the way back.
    pub(super) fn on_backs(
        &mut self,
        directory: &mut Directory,
        pairs: &[(Jid, Jid)],
        values: Vec<Option<Bytes>>,
    ) {
        self.is_open = false;
        for ((user, other), value) in pairs.iter().zip(values) {
            on_back(directory, user, other, value);
        }
    }
}

/// What tells of a user that is sent to: the other name; and of a number whether it was resolved.
fn keys_of(user: &Jid) -> SmallVec<[RecordKey; 2]> {
    let resolved = user.is_user().then(|| RecordKey::renumbered(user.user()));
    RecordKey::other_name(user).into_iter().chain(resolved).collect()
}

/// Asks for the other name of a user; false if they can't have one.
pub(super) fn ask(cx: &mut Context<'_>, questions: &mut Questions, user: &Jid) -> bool {
    let Some(key) = RecordKey::other_name(user) else {
        return false;
    };
    cx.load(vec![key], questions.open(Question::Name(user.clone())));
    true
}

/// The store has answered; true if that was all, false if the way back is asked for.
pub(super) fn on_other(
    cx: &mut Context<'_>,
    questions: &mut Questions,
    user: &Jid,
    value: Option<Bytes>,
) -> bool {
    let other = value.and_then(|value| named(&value, user));
    let Some((other, key)) = other.and_then(|other| RecordKey::other_name(&other).map(|key| (other, key)))
    else {
        return true;
    };
    let ticket = questions.open(Question::NameBack(user.clone(), other));
    cx.load(vec![key], ticket);
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::part::testing::Lender;
    use crate::part::{PartId, Tickets};
    use crate::store::{Changes, KeyStore as _, MemoryStore};

    /// What the directory knows of a user after the store was asked.
    fn other_name(store: &mut MemoryStore, user: &str) -> Option<String> {
        let user: Jid = user.parse().unwrap();
        let (mut lender, mut directory) = (Lender::new(), Directory::default());
        let mut questions = Tickets::new(PartId::new(0));
        let mut load = |lender: &mut Lender| {
            let loaded = store.load(lender.take_load()).now_or_never();
            loaded.unwrap().unwrap().pop().flatten()
        };
        assert!(ask(&mut lender.context(), &mut questions, &user));
        let value = load(&mut lender);
        if !on_other(&mut lender.context(), &mut questions, &user, value) {
            let value = load(&mut lender);
            let Some(Question::NameBack(user, other)) = questions.close_all().pop() else {
                panic!("the way back is asked for");
            };
            on_back(&mut directory, &user, &other, value);
        }
        directory.other_name(&user).map(|other| other.to_string())
    }

    #[test]
    fn each_name_gives_the_other_and_a_new_pair_replaces_earlier_ones() {
        let mut store = MemoryStore::new();
        let learn = |store: &mut MemoryStore, pairs: &[(&str, &str)]| {
            let mut changes = Changes::default();
            for (phone, lid) in pairs {
                changes.put_lid(phone, lid);
            }
            store.commit(changes, Vec::new()).now_or_never().unwrap().unwrap();
        };
        let expect = |store: &mut MemoryStore, names: &[(&str, Option<&str>)]| {
            for (user, other) in names {
                assert_eq!(other_name(store, user).as_deref(), *other, "{user}");
            }
        };
        learn(&mut store, &[("1", "100"), ("2", "200")]);
        let (one, two) = ("1@s.whatsapp.net", "2@s.whatsapp.net");
        expect(&mut store, &[("200@lid", Some(two)), (one, Some("100@lid"))]);
        expect(&mut store, &[("1@lid", None), ("3@s.whatsapp.net", None)]);
        // A number that moved to another account.
        learn(&mut store, &[("1", "300")]);
        expect(
            &mut store,
            &[(one, Some("300@lid")), ("300@lid", Some(one)), ("100@lid", None)],
        );
        // An account that changed its number, in one step with a pair that it had for a moment.
        learn(&mut store, &[("5", "200"), ("4", "200")]);
        let four = "4@s.whatsapp.net";
        expect(&mut store, &[("200@lid", Some(four)), (four, Some("200@lid"))]);
        expect(&mut store, &[(two, None), ("5@s.whatsapp.net", None)]);
    }
}
