//! Rows whose tokens have both run out go once a day, though nobody writes to those contacts any more.
//!
//! A page of names at a time, when the store has nothing else to do: then the rows, and in one step the deletion of those
//! that are spent. What is in memory is left to whoever uses it.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::record::TrustedToken;
use super::{Question, Tokens};
use crate::jid::{Jid, Server};
use crate::part::{Context, Listing};
use crate::store::{RecordKey, RecordKind};

/// Rows that are looked at together.
pub(super) const PAGE: usize = 256;
/// From the end of one walk to the next.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// From the login to the first walk: at least this long, when what waited has been read, and at most twice as long, so that
/// the sessions of a worker that was restarted do not all walk at once.
const SETTLING: Duration = Duration::from_secs(30 * 60);

impl Tokens {
    /// The login succeeded.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        self.prune_at = Some(cx.now + SETTLING + cx.rng.random_range(Duration::ZERO..SETTLING));
    }

    /// Begins a walk if it is time.
    pub(super) fn prune(&mut self, cx: &mut Context<'_>) {
        if self.prune_at.take_if(|at| *at <= cx.now).is_some() {
            self.list(cx, None);
        }
    }

    fn list(&mut self, cx: &mut Context<'_>, after: Option<Vec<u8>>) {
        let listing = Listing {
            kind: RecordKind::TrustedToken,
            after,
            most: PAGE,
        };
        cx.list(listing, self.questions.open(Question::Names));
    }

    /// The store has named the next rows.
    pub(super) fn on_names(&mut self, cx: &mut Context<'_>, names: Vec<Vec<u8>>) {
        if names.is_empty() {
            self.prune_at = Some(cx.now + EVERY);
            return;
        }
        let key = |name: &Vec<u8>| RecordKey::new(RecordKind::TrustedToken, name.clone());
        let keys = names.iter().map(key).collect();
        cx.load(keys, self.questions.open(Question::Old(names)));
    }

    /// The store has answered for the rows of these names.
    pub(super) fn on_old(
        &mut self,
        cx: &mut Context<'_>,
        mut names: Vec<Vec<u8>>,
        values: Vec<Option<Bytes>>,
    ) {
        for (name, value) in names.iter().zip(values) {
            let Some(record) = value.map(TrustedToken::decode) else {
                continue;
            };
            let is_used = contact(name).is_some_and(|contact| self.records.contains(&contact));
            if !is_used && record.is_spent(&self.properties, cx.now) {
                let key = RecordKey::new(RecordKind::TrustedToken, name.clone());
                cx.changes().delete(key);
            }
        }
        self.list(cx, names.pop());
    }
}

/// Whose row has this name: see [`RecordKey::trusted_token`].
fn contact(name: &[u8]) -> Option<Jid> {
    let text = std::str::from_utf8(name).ok()?;
    if text.contains('@') {
        text.parse().ok()
    } else {
        Some(Jid::new(text, Server::Lid))
    }
}
