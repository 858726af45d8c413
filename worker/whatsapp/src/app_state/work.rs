//! One collection on its way: what the server has of it, the files and keys that it needs, and what it makes.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::action::Action;
use super::collection::{Collection, Kept};
use super::upload::Upload;
use crate::media::{BlobRef, MediaKind};
use crate::part::{Context, Download};
use crate::proto::{ExternalBlobReference, KeyId as WireKeyId, SyncdMutation, SyncdMutations, SyncdSnapshot};
use crate::stanza::app_state::Update;
use crate::sync_action::SyncSource;
use crate::syncd::{BadState, IndexMac, KeyId, Macs, MutationKeys, State, bucket_of};

/// Largest file taken for a snapshot or a patch.
pub(super) const MAX_FILE_BYTES: usize = 8 << 20;
/// Most keys that one update may name.
const MAX_KEYS: usize = 64;

/// A collection that is being brought up to date, or changed.
#[derive(Default)]
pub(super) struct Work {
    pub(super) collection: Collection,
    /// What is kept of it.
    pub(super) kept: Option<Kept>,
    /// What is to be added to it.
    pub(super) upload: Option<Upload>,
    /// How often the server was asked.
    pub(super) rounds: u32,
    /// How often it was read from its beginning because it did not check out.
    pub(super) beginnings: u32,
    update: Update,
    snapshot: Option<SyncdSnapshot>,
    /// The mutations of those patches that have them in a file.
    external: BTreeMap<usize, Vec<SyncdMutation>>,
}

/// A file that an update names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    /// The snapshot.
    Snapshot,
    /// The mutations of the patch at this place.
    Mutations(usize),
}

/// What an update made of a collection.
pub(super) struct Made {
    pub(super) state: State,
    pub(super) macs: Macs,
    pub(super) actions: Vec<Action>,
}

impl Work {
    pub(super) fn new(collection: Collection) -> Self {
        Self {
            collection,
            ..Self::default()
        }
    }

    /// What is to be added to its collection.
    pub(super) fn adding(upload: Upload) -> Self {
        Self {
            collection: upload.collection,
            upload: Some(upload),
            ..Self::default()
        }
    }

    /// The same from the beginning of the collection, of which this is kept.
    pub(super) fn anew(self, kept: Kept) -> Self {
        Self {
            collection: self.collection,
            kept: Some(kept),
            upload: self.upload,
            beginnings: self.beginnings + 1,
            ..Self::default()
        }
    }

    /// The version to ask from; `None` to ask for everything.
    pub(super) fn held(&self) -> Option<u64> {
        let good = self.kept.as_ref().filter(|kept| !kept.is_broken);
        good.map(|kept| kept.state.version).filter(|version| *version > 0)
    }

    /// The server has told what it has.
    pub(super) fn take(&mut self, update: Update) {
        self.update = update;
        self.snapshot = None;
        self.external.clear();
    }

    /// Whether the server said that it has more.
    pub(super) fn has_more(&self) -> bool {
        self.update.has_more
    }

    /// The next file that is lacking.
    ///
    /// # Errors
    /// One is named in a way that no file can be.
    pub(super) fn next_file(&self) -> Result<Option<(File, Download)>, BadState> {
        if let (Some(named), None) = (&self.update.snapshot, &self.snapshot) {
            return Ok(Some((File::Snapshot, download(named)?)));
        }
        let patches = self.update.patches.iter().enumerate();
        let lacking = patches.filter(|(at, _)| !self.external.contains_key(at));
        let mut named = lacking.filter_map(|(at, patch)| Some((at, patch.external_mutations.as_ref()?)));
        let next = named.next();
        next.map(|(at, named)| Ok((File::Mutations(at), download(named)?)))
            .transpose()
    }

    /// A file has come.
    ///
    /// # Errors
    /// It is not of the form that it should have.
    pub(super) fn take_file(&mut self, file: File, content: &[u8]) -> Result<(), BadState> {
        let malformed = |_| BadState::Malformed("file");
        match file {
            File::Snapshot => self.snapshot = Some(SyncdSnapshot::decode(content).map_err(malformed)?),
            File::Mutations(at) => {
                let all = SyncdMutations::decode(content).map_err(malformed)?;
                self.external.insert(at, all.mutations);
            }
        }
        Ok(())
    }

    /// Whether there is nothing to apply.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.update.patches.is_empty()
    }

    /// The keys that everything here was sealed with.
    ///
    /// # Errors
    /// There are more than an account can have.
    pub(super) fn key_ids(&self) -> Result<BTreeSet<KeyId>, BadState> {
        let of_snapshot = self.snapshot.iter().flat_map(|snapshot| {
            let records = snapshot.records.iter().map(|record| record.key_id.as_ref());
            records.chain([snapshot.key_id.as_ref()])
        });
        let of_patches = self.update.patches.iter().map(|patch| patch.key_id.as_ref());
        let of_mutations = self
            .mutations()
            .map(|mutation| mutation.record.as_ref()?.key_id.as_ref());
        let mut ids = BTreeSet::new();
        let id = |id: Option<&WireKeyId>| KeyId::new(id?.id.as_deref()?);
        for id in of_snapshot.chain(of_patches).chain(of_mutations).filter_map(id) {
            ids.insert(id);
            if ids.len() > MAX_KEYS {
                return Err(BadState::Malformed("too many keys"));
            }
        }
        Ok(ids)
    }

    /// The buckets of the records that patches are about; none if the collection begins anew.
    pub(super) fn buckets(&self) -> BTreeSet<u8> {
        if self.begins_anew() {
            return BTreeSet::new();
        }
        let index = |mutation: &SyncdMutation| {
            let blob = mutation.record.as_ref()?.index.as_ref()?.blob.as_deref()?;
            IndexMac::try_from(blob).ok()
        };
        let touched = self.mutations().filter_map(index).map(|index| bucket_of(&index));
        touched.collect()
    }

    fn begins_anew(&self) -> bool {
        self.snapshot.is_some() || self.held().is_none()
    }

    /// How what an update says is learnt.
    pub(super) fn source(&self) -> SyncSource {
        match self.begins_anew() {
            true => SyncSource::Beginning,
            false => SyncSource::Other,
        }
    }

    /// Keeps where the collection is now.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, state: State, macs: &Macs) {
        for (bucket, value) in macs.altered() {
            let key = self.collection.bucket_key(bucket);
            match value {
                Some(value) => cx.changes().put(key, value),
                None => cx.changes().delete(key),
            }
        }
        let kept = Kept {
            state,
            is_broken: false,
        };
        cx.changes().put(self.collection.key(), kept.encode());
        self.kept = Some(kept);
    }

    fn mutations(&self) -> impl Iterator<Item = &SyncdMutation> {
        let patches = self.update.patches.iter().enumerate();
        patches.flat_map(|(at, patch)| self.mutations_of(at, &patch.mutations))
    }

    fn mutations_of<'a>(&'a self, at: usize, inline: &'a [SyncdMutation]) -> &'a [SyncdMutation] {
        self.external.get(&at).map_or(inline, Vec::as_slice)
    }

    /// Checks and applies everything.
    ///
    /// # Errors
    /// [`BadState`]: what is kept holds as it is.
    pub(super) fn apply(&self, keys: &BTreeMap<KeyId, MutationKeys>, stored: Macs) -> Result<Made, BadState> {
        let name = self.collection.as_str();
        let mut made = Made {
            state: State::NEW,
            macs: stored,
            actions: Vec::new(),
        };
        if self.begins_anew() {
            if self.kept.is_some() {
                made.macs.clear();
            }
        } else if let Some(kept) = &self.kept {
            made.state = kept.state.clone();
        }
        if let Some(snapshot) = &self.snapshot {
            let applied = State::of_snapshot(name, snapshot, keys, made.macs)?;
            made = Made::from(applied, made.actions);
        }
        for (at, patch) in self.update.patches.iter().enumerate() {
            let version = patch.version.as_ref().and_then(|version| version.version);
            if version.is_some_and(|version| version <= made.state.version) {
                continue;
            }
            let mutations = self.mutations_of(at, &patch.mutations);
            let applied = made.state.apply(name, patch, mutations, keys, made.macs)?;
            made = Made::from(applied, made.actions);
        }
        Ok(made)
    }
}

impl Made {
    fn from(applied: crate::syncd::Applied, mut actions: Vec<Action>) -> Self {
        actions.extend(applied.mutations.iter().map(Action::of));
        Self {
            state: applied.state,
            macs: applied.macs,
            actions,
        }
    }
}

fn download(named: &ExternalBlobReference) -> Result<Download, BadState> {
    let fields = [
        named.media_key.as_ref(),
        named.file_sha256.as_ref(),
        named.file_enc_sha256.as_ref(),
    ];
    let blob = BlobRef::from_fields(MediaKind::AppState, named.direct_path.as_deref(), fields)
        .ok_or(BadState::Malformed("file reference"))?;
    Ok(Download {
        blob,
        max_bytes: MAX_FILE_BYTES,
    })
}
