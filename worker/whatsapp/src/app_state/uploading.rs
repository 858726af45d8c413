//! Our own changes on their way to the server.
//!
//! A patch goes on top of what is kept. If the server says that others were first, what they did is applied, and ours goes on
//! top of that: a few times. What the server has taken is written and told in one step. If that step is lost, the patch comes
//! back as one of anybody's: nothing is sealed twice on the same version.

use bytes::Bytes;
use rand::Rng as _;

use super::action::{Acted, Action};
use super::collection::Collection;
use super::keys::{self, KeptKey};
use super::upload::{Sealed, Upload, change, index, mutation};
use super::{AppState, Question};
use crate::event::{Event, QueryError};
use crate::part::{Answer, Context, Listing};
use crate::stanza::app_state::{self, Uploaded};
use crate::store::{RecordKey, RecordKind};
use crate::sync_action::SyncSource;
use crate::sync_action::request::SyncRequest;
use crate::syncd::{BLOCK_BYTES, BadState, Change, KeyId, Macs, Mutation, Sealer, State};

/// Most changes of ours that wait.
const MAX_UPLOADS: usize = 64;
/// How often others may be first.
const MAX_CONFLICTS: u32 = 5;
/// Most keys that one is looked for among.
const MAX_SEALING_KEYS: usize = 256;

impl AppState {
    /// The owner wants this changed. Answered by `SyncAnswered`.
    pub(crate) fn upload(&mut self, cx: &mut Context<'_>, ticket: u64, request: &SyncRequest) {
        let collection = Collection::from_name(request.collection());
        let (Some(collection), true) = (collection, self.uploads.len() < MAX_UPLOADS) else {
            let result = Err(QueryError::Busy);
            return cx.emit(Event::SyncAnswered { ticket, result });
        };
        self.uploads.push_back(Upload {
            ticket,
            collection,
            records: request.records(cx.now),
            conflicts: 0,
        });
        self.next(cx);
    }

    /// What is to be added next, if it can be.
    pub(super) fn next_upload(&mut self) -> Option<Upload> {
        if self.is_keyless {
            None
        } else {
            self.uploads.pop_front()
        }
    }

    /// Looks for the key that seals.
    pub(super) fn seal(&mut self, cx: &mut Context<'_>) {
        let listing = Listing {
            kind: RecordKind::AppStateKey,
            after: None,
            most: MAX_SEALING_KEYS,
        };
        cx.list(listing, self.questions.open(Question::Names));
    }

    pub(super) fn on_names(&mut self, cx: &mut Context<'_>, names: Vec<Vec<u8>>) {
        let ids: Vec<KeyId> = names.iter().filter_map(|name| KeyId::new(name)).collect();
        if ids.is_empty() {
            return self.wait_for_keys(cx);
        }
        let records = ids.iter().map(RecordKey::app_state_key).collect();
        cx.load(records, self.questions.open(Question::Keys(ids)));
    }

    pub(super) fn on_sealing_keys(
        &mut self,
        cx: &mut Context<'_>,
        ids: Vec<KeyId>,
        values: &[Option<Bytes>],
    ) {
        let kept = values.iter().map(|value| KeptKey::decode(value.as_deref()));
        let Some((id, key)) = keys::newest(ids.into_iter().zip(kept)) else {
            return self.wait_for_keys(cx);
        };
        let Some(work) = &self.work else { return };
        let sealer = Sealer::new(id, key);
        let records = work.upload.iter().flat_map(|upload| &upload.records);
        let mut buckets: Vec<u8> = records.map(|record| sealer.bucket(&index(record))).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let keys: Vec<_> = buckets
            .into_iter()
            .map(|bucket| work.collection.bucket_key(bucket))
            .collect();
        if keys.is_empty() {
            return self.finish(cx);
        }
        cx.load(keys, self.questions.open(Question::Buckets(Box::new(sealer))));
    }

    /// Everything is here: seals, and sends.
    pub(super) fn on_buckets(&mut self, cx: &mut Context<'_>, sealer: Sealer, values: &[Option<Bytes>]) {
        let mut macs = Macs::default();
        if !values.iter().flatten().all(|bucket| macs.read(bucket)) {
            return self.break_off(cx, &BadState::Malformed("bucket"));
        }
        let Some(work) = &self.work else { return };
        let Some(upload) = &work.upload else {
            return self.finish(cx);
        };
        let mut state = work.kept.as_ref().map_or(State::NEW, |kept| kept.state.clone());
        let (held, name) = (state.version, work.collection.as_str());
        let indexes: Vec<Vec<&str>> = upload.records.iter().map(index).collect();
        let sealed = upload.records.iter().zip(&indexes);
        let changes: Vec<Change<'_>> = sealed
            .map(|(record, index)| {
                let mut iv = [0; BLOCK_BYTES];
                cx.rng.fill_bytes(&mut iv);
                change(record, index, iv)
            })
            .collect();
        let known: Vec<bool> = indexes
            .iter()
            .map(|index| sealer.is_known(index, &macs))
            .collect();
        let patch = sealer.patch(name, &mut state, &mut macs, &changes);
        let mutations = upload.records.iter().zip(known);
        let mutations = mutations
            .map(|(record, known)| Mutation {
                replaces: known,
                ..mutation(record)
            })
            .collect();
        let sealed = Sealed {
            state,
            macs,
            mutations,
        };
        let question = Question::Upload(Box::new(sealed));
        cx.ask(
            app_state::upload(name, held, patch),
            self.questions.open(question),
        );
    }

    /// The server has taken it, or not.
    pub(super) fn on_uploaded(
        &mut self,
        cx: &mut Context<'_>,
        sealed: Sealed,
        answer: Answer,
    ) -> Option<Acted> {
        let work = self.work.as_mut()?;
        let name = work.collection.as_str();
        let uploaded =
            answer.and_then(|reply| app_state::parse_upload(&reply, name).map_err(|_| QueryError::Malformed));
        let result = match uploaded {
            Ok(Uploaded::Conflict(update)) => {
                let upload = work.upload.as_mut()?;
                upload.conflicts += 1;
                if upload.conflicts <= MAX_CONFLICTS {
                    let tells = !update.patches.is_empty() || update.snapshot.is_some();
                    work.take(update);
                    if tells {
                        self.gather(cx)
                    } else {
                        self.ask(cx)
                    }
                    return None;
                }
                Err(QueryError::Refused { code: 409 })
            }
            Ok(Uploaded::Taken) => Ok(()),
            Ok(Uploaded::Refused(code)) => Err(QueryError::Refused { code }),
            Err(error) => Err(error),
        };
        let acted = result.is_ok().then(|| Acted {
            collection: name,
            source: SyncSource::Own,
            actions: sealed.mutations.iter().map(Action::of).collect(),
        });
        if result.is_ok() {
            work.write(cx, sealed.state, &sealed.macs);
        } else {
            // Perhaps it has it all the same, and the answer was lost.
            self.wanted.insert(work.collection);
        }
        if let Some(upload) = work.upload.take() {
            upload.answer(cx, result);
        }
        self.finish(cx);
        acted
    }

    /// No key is here yet: our phone shares them soon after it is linked.
    fn wait_for_keys(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = self.work.take().and_then(|work| work.upload) {
            self.uploads.push_front(upload);
        }
        self.is_keyless = true;
        self.next(cx);
    }

    /// The connection is over: what the owner waits for is answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        let under_way = self.work.take().and_then(|work| work.upload);
        for upload in under_way.into_iter().chain(std::mem::take(&mut self.uploads)) {
            upload.answer(cx, Err(QueryError::NotConnected));
        }
    }
}
