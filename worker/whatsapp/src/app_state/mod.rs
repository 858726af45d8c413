//! The app state: what the account's devices agree on, as far as we act on it (our name, and the salt that the server
//! lets the account prove itself with).
//!
//! Owns which collections are followed, the keys that our phone shares, and a collection's way from the server into the
//! store. One collection is brought up to date at a time, and nothing is held in memory between. What does not check out
//! leaves the last good state as it is, and is asked for anew at the next login. Knows no message but those of our phone.
//!
//! Facts: docs/PROTOCOL.md, "App state".

mod action;
mod collection;
mod keys;
mod request;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::action::{Action, fill_in_salt, keep_salt};
use self::{
    collection::{Collection, Collections, Kept},
    keys::KeptKey,
    work::{File, Work},
};
use crate::binary::Node;
use crate::e2e::{E2e, Fetched, ToPhone};
use crate::part::{Answer, Context, Downloaded, PartId, Ticket, Tickets};
use crate::proto::message::AppStateSyncKeyShare;
use crate::signal::Address;
use crate::stanza::app_state;
use crate::store::RecordKey;
use crate::syncd::{BadState, KeyId, Macs, State};
use crate::time::Timestamp;

/// How long our phone may take to share a key by itself before it is asked.
pub(crate) const KEY_GRACE: Duration = Duration::from_secs(10);
/// How often in a row the server may have more of one collection.
const MAX_ROUNDS: u32 = 64;
/// Most keys that are known to be lacking.
const MAX_LACKING: usize = 32;

/// The app state of one connection.
pub(crate) struct AppState {
    questions: Tickets<Question>,
    /// The collection under way.
    work: Option<Box<Work>>,
    /// Collections to bring up to date after that.
    wanted: Collections,
    /// Collections that wait for a key.
    parked: Collections,
    /// Collections that are left alone until the next login.
    given_up: Collections,
    /// Keys that a collection waits for.
    lacking: Vec<KeyId>,
    /// When to ask our phone for them.
    ask_at: Option<Timestamp>,
    /// What asks our phone.
    request: Option<Box<ToPhone>>,
    /// How often keys were shared.
    shares: u32,
}

enum Question {
    /// To the store: how far the collection is.
    Kept,
    /// To the server: what it has of the collection.
    Update,
    /// To the media host: a file that the update names.
    File(File),
    /// To the store: these keys, then these buckets. With it how often keys were shared before.
    Records(Vec<KeyId>, u32),
    /// To the store: what is known of the keys that are lacking.
    Lacking(Vec<KeyId>),
}

/// What makes it work.
impl AppState {
    /// Nothing under way; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            work: None,
            wanted: Collections::default(),
            parked: Collections::default(),
            given_up: Collections::default(),
            lacking: Vec::new(),
            ask_at: None,
            request: None,
            shares: 0,
        }
    }

    /// The session is open: asks what changed meanwhile. A notification of it may have been acknowledged by a process
    /// that then died.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        self.wanted.add(Collections::ALL);
        self.next(cx);
    }

    /// The server says that collections have changed.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) {
        for name in app_state::changed(stanza) {
            if let Some(one) = Collection::from_name(&name) {
                self.wanted.insert(one);
            }
        }
        self.next(cx);
    }

    /// Our phone shares keys. Only what our phone itself has sent may come here.
    pub(crate) fn on_keys(&mut self, cx: &mut Context<'_>, share: &AppStateSyncKeyShare) {
        for (id, key) in keys::shared(share) {
            cx.changes().put(RecordKey::app_state_key(&id), key.encode());
            self.lacking.retain(|lacking| *lacking != id);
        }
        self.shares = self.shares.wrapping_add(1);
        if self.lacking.is_empty() {
            self.ask_at = None;
            self.lacking = Vec::new();
        }
        self.wanted.add(std::mem::take(&mut self.parked));
        self.next(cx);
    }

    /// Moves a request for keys as far as it goes.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) {
        if self
            .request
            .as_mut()
            .is_some_and(|request| request.advance(cx, e2e))
        {
            self.request = None;
        }
    }

    /// The ratchets that something here waits with.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &Address> {
        self.request.iter().map(|request| request.address())
    }

    /// Bundles were fetched.
    pub(crate) fn on_bundles(&mut self, fetched: &BTreeMap<Address, Fetched>) {
        if self
            .request
            .as_mut()
            .is_some_and(|request| request.has_failed(fetched))
        {
            // Asked for again a day later, or when the phone shares it by itself.
            self.request = None;
        }
    }

    /// When to call [`Self::tick`].
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.ask_at
    }

    /// Time passed: asks our phone for what is lacking.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.ask_at.is_some_and(|at| at <= cx.now) {
            if self.request.is_some() {
                // An earlier request still waits for keys of the phone: another one would take its place.
                self.ask_at = Some(cx.now + KEY_GRACE);
                return;
            }
            self.ask_at = None;
            let lacking = std::mem::take(&mut self.lacking);
            let records = lacking.iter().map(RecordKey::app_state_key).collect();
            cx.load(records, self.questions.open(Question::Lacking(lacking)));
        }
    }
}

/// The way of one collection.
impl AppState {
    /// Begins with the next collection, if none is under way.
    fn next(&mut self, cx: &mut Context<'_>) {
        while self.work.is_none()
            && let Some(collection) = self.wanted.take_first()
        {
            if self.given_up.contains(collection) {
                continue;
            }
            self.work = Some(Box::new(Work::new(collection)));
            cx.load(vec![collection.key()], self.questions.open(Question::Kept));
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        let Some(work) = &mut self.work else { return };
        work.rounds += 1;
        let request = app_state::fetch(work.collection.as_str(), work.held());
        cx.ask(request, self.questions.open(Question::Update));
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        let (Some(Question::Update), Some(work)) = (self.questions.close(ticket), &mut self.work) else {
            return;
        };
        let name = work.collection.as_str();
        match answer.map(|reply| app_state::parse(&reply, name)) {
            Ok(Ok(update)) => {
                work.take(update);
                self.gather(cx);
            }
            Ok(Err(error)) => self.leave(cx, &error),
            Err(error) => self.leave(cx, &error),
        }
    }

    pub(crate) fn on_downloaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, content: Downloaded) {
        let (Some(Question::File(file)), Some(work)) = (self.questions.close(ticket), &mut self.work) else {
            return;
        };
        match content.map(|content| work.take_file(file, &content)) {
            Ok(Ok(())) => self.gather(cx),
            Ok(Err(bad)) => self.break_off(cx, &bad),
            Err(error) => self.leave(cx, &error),
        }
    }

    /// Wants what an update still lacks: files, then keys and records.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let Some(work) = &self.work else { return };
        if work.is_empty() && work.next_file().is_ok_and(|file| file.is_none()) {
            return self.finish(cx);
        }
        let keys = match (work.next_file(), work.key_ids()) {
            (Ok(Some((file, download))), _) => {
                return cx.download(download, self.questions.open(Question::File(file)));
            }
            (Ok(None), Ok(keys)) => keys,
            (Err(bad), _) | (_, Err(bad)) => return self.break_off(cx, &bad),
        };
        let buckets = work
            .buckets()
            .into_iter()
            .map(|bucket| work.collection.bucket_key(bucket));
        let records: Vec<_> = keys.iter().map(RecordKey::app_state_key).chain(buckets).collect();
        if records.is_empty() {
            return self.break_off(cx, &BadState::Malformed("no key"));
        }
        let question = Question::Records(keys.into_iter().collect(), self.shares);
        cx.load(records, self.questions.open(question));
    }

    /// What is done by those who act on it.
    #[must_use]
    pub(crate) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        mut values: Vec<Option<Bytes>>,
    ) -> Vec<Action> {
        match self.questions.close(ticket) {
            Some(Question::Kept) => {
                if let Some(work) = &mut self.work {
                    work.kept = values.pop().flatten().as_deref().and_then(Kept::decode);
                }
                self.ask(cx);
            }
            Some(Question::Records(keys, shares)) => return self.on_records(cx, keys, shares, &values),
            Some(Question::Lacking(keys)) => self.on_lacking(cx, keys, &values),
            _ => {}
        }
        Vec::new()
    }

    fn on_records(
        &mut self,
        cx: &mut Context<'_>,
        ids: Vec<KeyId>,
        shares: u32,
        values: &[Option<Bytes>],
    ) -> Vec<Action> {
        let (of_keys, of_buckets) = values.split_at(ids.len().min(values.len()));
        let (mut keys, mut lacking) = (BTreeMap::new(), Vec::new());
        for (id, value) in ids.into_iter().zip(of_keys) {
            match KeptKey::decode(value.as_deref()).expand() {
                Some(key) => drop(keys.insert(id, key)),
                None => lacking.push(id),
            }
        }
        if !lacking.is_empty() {
            self.park(cx, lacking, shares);
            return Vec::new();
        }
        let Some(work) = &self.work else { return Vec::new() };
        let mut macs = Macs::default();
        if !of_buckets.iter().flatten().all(|bucket| macs.read(bucket)) {
            self.break_off(cx, &BadState::Malformed("bucket"));
            return Vec::new();
        }
        match work.apply(&keys, macs) {
            Ok(made) => {
                self.keep(cx, made.state, &made.macs);
                made.actions
            }
            Err(bad) => {
                self.break_off(cx, &bad);
                Vec::new()
            }
        }
    }

    /// Writes what an update made, and asks on.
    fn keep(&mut self, cx: &mut Context<'_>, state: State, macs: &Macs) {
        let Some(work) = &mut self.work else { return };
        for (bucket, value) in macs.altered() {
            let key = work.collection.bucket_key(bucket);
            match value {
                Some(value) => cx.changes().put(key, value),
                None => cx.changes().delete(key),
            }
        }
        let moved_on = work
            .kept
            .as_ref()
            .is_none_or(|kept| kept.is_broken || state.version > kept.state.version);
        let kept = Kept {
            state,
            is_broken: false,
        };
        cx.changes().put(work.collection.key(), kept.encode());
        work.kept = Some(kept);
        if work.has_more() && moved_on && work.rounds < MAX_ROUNDS {
            self.ask(cx);
        } else {
            self.finish(cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.work = None;
        self.next(cx);
    }

    /// A key is not here: the collection waits until our phone shares it.
    fn park(&mut self, cx: &mut Context<'_>, lacking: Vec<KeyId>, shares: u32) {
        let Some(work) = self.work.take() else { return };
        if self.shares == shares {
            self.parked.insert(work.collection);
            for id in lacking {
                if !self.lacking.contains(&id) && self.lacking.len() < MAX_LACKING {
                    self.lacking.push(id);
                }
            }
            self.ask_at.get_or_insert(cx.now + KEY_GRACE);
        } else {
            // Keys came while the store was asked for them.
            self.wanted.insert(work.collection);
        }
        self.next(cx);
    }

    /// The store says what is known of the keys that are lacking: asks our phone for those that it was not asked for.
    fn on_lacking(&mut self, cx: &mut Context<'_>, ids: Vec<KeyId>, values: &[Option<Bytes>]) {
        let mut wanted = Vec::new();
        for (id, value) in ids.into_iter().zip(values) {
            let kept = KeptKey::decode(value.as_deref());
            if kept.has_key() {
                self.wanted.add(std::mem::take(&mut self.parked));
            } else if kept.may_ask(cx.now) {
                let asked = KeptKey::asked(cx.now).encode();
                cx.changes().put(RecordKey::app_state_key(&id), asked);
                wanted.push(id);
            }
        }
        if !wanted.is_empty() {
            tracing::debug!(
                keys = wanted.len(),
                "the phone is asked for keys of the app state"
            );
            self.request = ToPhone::new(cx, request::keys(&wanted)).map(Box::new);
        }
        self.next(cx);
    }

    /// The server or the media host did not answer as they should: what is kept is good, and what followed is asked for
    /// with the next change or login.
    fn leave(&mut self, cx: &mut Context<'_>, error: &dyn std::error::Error) {
        if let Some(work) = &self.work {
            let collection = work.collection.as_str();
            tracing::warn!(collection, %error, "a collection of the app state could not be fetched");
        }
        self.finish(cx);
    }

    /// Something does not check out: what was good stays, and the next login begins anew.
    fn break_off(&mut self, cx: &mut Context<'_>, bad: &BadState) {
        if let Some(work) = &mut self.work {
            let collection = work.collection.as_str();
            tracing::warn!(collection, error = %bad, "a collection of the app state is not believed");
            self.given_up.insert(work.collection);
            let state = work.kept.take().map_or(State::NEW, |kept| kept.state);
            let kept = Kept {
                state,
                is_broken: true,
            };
            cx.changes().put(work.collection.key(), kept.encode());
        }
        self.finish(cx);
    }
}
