//! The other names of users, asked of the store.
//!
//! Both directions are records. A pair holds only if they agree: a newer pair overwrites one record of an older one and
//! may leave the other. Beside them are the numbers that were resolved once ([`RecordKey::renumbered`]).
//!
//! Users that are sent to are asked for together: one question is open at a time; whoever is missing meanwhile goes into
//! the next. Others are asked for at once.

use bytes::Bytes;
use smallvec::SmallVec;

use super::directory::Directory;
use super::outcome::{Question, Questions, Unnamed};
use crate::jid::{Jid, Server};
use crate::part::Context;
use crate::store::{RecordKey, RecordKind};

/// Most users that are asked for together: as many as sends wait at once, so that none waits for a second round.
const MAX_TOGETHER: usize = 256;

/// The questions for names.
#[derive(Default)]
pub(super) struct Naming {
    /// One for users that are sent to is open.
    is_open: bool,
}

impl Naming {
    /// Asks for what the store knows of these users that are sent to, if no question is open.
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
        let unnamed = Unnamed {
            users: asked,
            is_of_sends: true,
        };
        unnamed.load(cx, questions);
    }

    /// Asks for what the store knows of one user, whatever else is asked; false if they can't have another name.
    pub(super) fn ask_now(&self, cx: &mut Context<'_>, questions: &mut Questions, user: &Jid) -> bool {
        let may_have_another = RecordKey::other_name(user).is_some();
        if may_have_another {
            let unnamed = Unnamed {
                users: vec![user.clone()],
                is_of_sends: false,
            };
            unnamed.load(cx, questions);
        }
        may_have_another
    }

    /// The store has answered; the users, sorted, if that was all. Else the way back is asked for.
    pub(super) fn on_names(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        directory: &mut Directory,
        asked: Unnamed,
        values: Vec<Option<Bytes>>,
    ) -> Option<Vec<Jid>> {
        let mut values = values.into_iter();
        let (mut pairs, mut backs) = (Vec::new(), Vec::new());
        for user in &asked.users {
            let mut has_other = false;
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
                    has_other = true;
                    pairs.push((user.clone(), other));
                    backs.push(back);
                }
            }
            if !has_other {
                directory.note_nameless(user);
            }
        }
        if backs.is_empty() {
            return Some(self.close(asked));
        }
        cx.load(backs, questions.open(Question::NamesBack(asked, pairs)));
        None
    }

    /// The store has answered for the way back; the users, sorted.
    pub(super) fn on_backs(
        &mut self,
        directory: &mut Directory,
        asked: Unnamed,
        pairs: &[(Jid, Jid)],
        values: Vec<Option<Bytes>>,
    ) -> Vec<Jid> {
        for ((user, other), value) in pairs.iter().zip(values) {
            let agrees = value.is_some_and(|back| back == user.user());
            // What was learned meanwhile is newer.
            if !agrees {
                directory.note_nameless(user);
            } else if directory.other_name(user).is_none() {
                directory.recall(user, other);
            }
        }
        self.close(asked)
    }

    fn close(&mut self, asked: Unnamed) -> Vec<Jid> {
        if asked.is_of_sends {
            self.is_open = false;
        }
        asked.users
    }
}

impl Unnamed {
    fn load(self, cx: &mut Context<'_>, questions: &mut Questions) {
        let keys = self.users.iter().flat_map(keys_of).collect();
        cx.load(keys, questions.open(Question::Names(self)));
    }
}

/// What tells of a user: the other name; and of a number whether it was resolved.
fn keys_of(user: &Jid) -> SmallVec<[RecordKey; 2]> {
    let resolved = user.is_user().then(|| RecordKey::renumbered(user.user()));
    RecordKey::other_name(user).into_iter().chain(resolved).collect()
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
        let (mut questions, mut naming) = (Tickets::new(PartId::new(0)), Naming::default());
        assert!(naming.ask_now(&mut lender.context(), &mut questions, &user));
        loop {
            let loaded = store.load(lender.take_load()).now_or_never();
            let values = loaded.unwrap().unwrap();
            let named = match questions.close_all().pop() {
                Some(Question::Names(asked)) => {
                    let cx = &mut lender.context();
                    naming.on_names(cx, &mut questions, &mut directory, asked, values)
                }
                Some(Question::NamesBack(asked, pairs)) => {
                    Some(naming.on_backs(&mut directory, asked, &pairs, values))
                }
                _ => panic!("names are asked for"),
            };
            if let Some(named) = named {
                assert_eq!(named, std::slice::from_ref(&user));
                break;
            }
        }
        let other = directory.other_name(&user).map(|other| other.to_string());
        assert_eq!(directory.is_nameless(&user), other.is_none());
        other
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
