//! The way of a collection from the server into the store.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::action::Acted;
use super::collection::Kept;
use super::keys::KeptKey;
use super::work::{File, Work};
use super::{AppState, KEY_GRACE, Question, request};
use crate::e2e::ToPhone;
use crate::event::{Event, QueryError};
use crate::part::{Answer, Context, Downloaded};
use crate::stanza::app_state;
use crate::store::RecordKey;
use crate::syncd::{BadState, KeyId, Macs, State};

/// How often in a row the server may have more of one collection.
const MAX_ROUNDS: u32 = 64;
/// How often in a row a collection that does not check out is read from its beginning.
const MAX_BEGINNINGS: u32 = 2;
/// Most keys that are known to be lacking.
const MAX_LACKING: usize = 32;

impl AppState {
    /// Begins with the next collection, if none is under way: those that have changed, then those that are to be.
    pub(super) fn next(&mut self, cx: &mut Context<'_>) {
        while self.work.is_none() {
            let work = match self.wanted.take_first() {
                Some(collection) if self.given_up.contains(collection) => continue,
                Some(collection) => Work::new(collection),
                None => match self.next_upload() {
                    Some(upload) => Work::adding(upload),
                    None => return,
                },
            };
            let key = work.collection.key();
            self.work = Some(Box::new(work));
            cx.load(vec![key], self.questions.open(Question::Kept));
        }
    }

    /// It is known how far the collection is. What is to be added to one that is known is added: if others were first, the
    /// server says so.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) {
        match &self.work {
            Some(work) if work.upload.is_some() && work.held().is_some() => self.seal(cx),
            _ => self.ask(cx),
        }
    }

    pub(super) fn ask(&mut self, cx: &mut Context<'_>) {
        let Some(work) = &mut self.work else { return };
        work.rounds += 1;
        let request = app_state::fetch(work.collection.as_str(), work.held());
        cx.ask(request, self.questions.open(Question::Update));
    }

    pub(super) fn on_update(&mut self, cx: &mut Context<'_>, answer: Answer) {
        let Some(work) = &mut self.work else { return };
        let name = work.collection.as_str();
        match answer.map(|reply| app_state::parse(&reply, name)) {
            Ok(Ok(update)) => {
                work.take(update);
                self.gather(cx);
            }
            Ok(Err(error)) => self.leave(cx, QueryError::Malformed, &error),
            Err(error) => self.leave(cx, error.clone(), &error),
        }
    }

    pub(super) fn on_file(&mut self, cx: &mut Context<'_>, file: File, content: Downloaded) {
        let Some(work) = &mut self.work else { return };
        match content.map(|content| work.take_file(file, &content)) {
            Ok(Ok(())) => self.gather(cx),
            Ok(Err(bad)) => self.break_off(cx, &bad),
            Err(error) => self.leave(cx, QueryError::Malformed, &error),
        }
    }

    /// Wants what an update still lacks: files, then keys and records.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        let Some(work) = &self.work else { return };
        if work.is_empty() && work.next_file().is_ok_and(|file| file.is_none()) {
            return self.go_on(cx);
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

    pub(super) fn on_records(
        &mut self,
        cx: &mut Context<'_>,
        ids: Vec<KeyId>,
        shares: u32,
        values: &[Option<Bytes>],
    ) -> Option<Acted> {
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
            return None;
        }
        let work = self.work.as_ref()?;
        let mut macs = Macs::default();
        if !of_buckets.iter().flatten().all(|bucket| macs.read(bucket)) {
            self.break_off(cx, &BadState::Malformed("bucket"));
            return None;
        }
        let acted = |actions| Acted {
            collection: work.collection.as_str(),
            source: work.source(),
            actions,
        };
        match work.apply(&keys, macs) {
            Ok(made) => {
                let acted = acted(made.actions);
                self.keep(cx, made.state, &made.macs);
                Some(acted)
            }
            Err(bad) => {
                self.break_off(cx, &bad);
                None
            }
        }
    }

    /// Writes what an update made, and asks on.
    fn keep(&mut self, cx: &mut Context<'_>, state: State, macs: &Macs) {
        let Some(work) = &mut self.work else { return };
        let moved_on = work
            .kept
            .as_ref()
            .is_none_or(|kept| kept.is_broken || state.version > kept.state.version);
        work.write(cx, state, macs);
        if work.has_more() && moved_on && work.rounds < MAX_ROUNDS {
            self.ask(cx);
        } else {
            self.go_on(cx);
        }
    }

    /// The collection is up to date: what is to be added to it comes next.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        match &self.work {
            Some(work) if work.upload.is_some() => self.seal(cx),
            _ => self.finish(cx),
        }
    }

    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        self.work = None;
        self.next(cx);
    }

    /// A key is not here: the collection waits until our phone shares it.
    fn park(&mut self, cx: &mut Context<'_>, lacking: Vec<KeyId>, shares: u32) {
        let Some(work) = self.work.take() else { return };
        if let Some(upload) = work.upload {
            self.uploads.push_front(upload);
            self.is_keyless = self.shares == shares;
        }
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
    pub(super) fn on_lacking(&mut self, cx: &mut Context<'_>, ids: Vec<KeyId>, values: &[Option<Bytes>]) {
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
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, why: QueryError, error: &dyn std::error::Error) {
        if let Some(work) = &mut self.work {
            let collection = work.collection.as_str();
            tracing::warn!(collection, %error, "a collection of the app state could not be fetched; it is asked for with the next change or login");
            if let Some(upload) = work.upload.take() {
                upload.answer(cx, Err(why));
            }
        }
        self.finish(cx);
    }

    /// Something does not check out: what was good stays, and the collection is read from its beginning. If that does not
    /// help either, the next login does so again.
    pub(super) fn break_off(&mut self, cx: &mut Context<'_>, bad: &BadState) {
        let Some(mut work) = self.work.take() else { return };
        let (one, collection) = (work.collection, work.collection.as_str());
        tracing::warn!(collection, error = %bad, "a collection of the app state does not check out; it is read from its beginning");
        cx.emit(Event::SyncRefused { collection });
        let state = work.kept.take().map_or(State::NEW, |kept| kept.state);
        let kept = Kept {
            state,
            is_broken: true,
        };
        cx.changes().put(one.key(), kept.encode());
        if work.beginnings < MAX_BEGINNINGS {
            self.work = Some(Box::new(work.anew(kept)));
            return self.ask(cx);
        }
        self.given_up.insert(one);
        if let Some(upload) = work.upload {
            upload.answer(cx, Err(QueryError::Malformed));
        }
        self.next(cx);
    }
}
