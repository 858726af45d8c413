//! The app state of accounts: what phones have sealed, what the server hands out of it, and what companions add.
//!
//! Facts: docs/PROTOCOL.md, "App state".

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::media::{self, MediaKey, MediaKind};
use whatsapp::proto::sync_action_value::{NctSaltSyncAction, PushNameSetting};
use whatsapp::proto::{ExternalBlobReference, SyncActionValue, SyncdPatch, SyncdVersion};
use whatsapp::syncd::{Change, KeyId, MutationKeys, Operation, Sealer};

use super::World;
use super::phone_state::{CollectionShown, PhoneChange, Sealing, Spoil};
use super::sealed::{AppState, Collection};
use super::stanza::{error, iq_from_server, notification};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::sharing::SaltSharing;

/// Most patches that one answer holds.
const PATCHES_AT_A_TIME: usize = 16;

const NAME: &str = "critical_block";
const SALT: &str = "regular_high";
const COLLECTIONS: [&str; 5] = [NAME, "critical_unblock_low", SALT, "regular_low", "regular"];

/// The place of a key that is shared only when it is asked for.
const UNSHARED_KEY: u32 = 2;

/// A record of the account itself.
fn of_account(
    collection: &'static str,
    operation: Operation,
    index: &str,
    value: SyncActionValue,
) -> Sealing {
    Sealing {
        collection,
        operation,
        index: vec![index.to_owned()],
        value,
        version: 1,
    }
}

impl World {
    /// A key of an account's app state: the first seals the name, the second the rest.
    pub(super) fn app_state_key(&self, number: Number, index: u32) -> (KeyId, [u8; 32]) {
        let key = self.seed.bytes("app state key", DeviceAddr::phone(number), index);
        let epoch = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let id = KeyId::new(&[0, 0, 0, 0, 0, epoch]).unwrap_or_else(|| unreachable!("six bytes make an id"));
        (id, key)
    }

    /// The phone seals what the account has from its beginning.
    pub(super) fn seal_first_state(&mut self, number: Number) {
        let Some(account) = self
            .accounts
            .get(&number)
            .filter(|account| account.app_state.is_none())
        else {
            return;
        };
        let (name, sharing) = (account.name.clone(), account.sharing.clone());
        if let Some(account) = self.accounts.get_mut(&number) {
            account.app_state = Some(Box::default());
        }
        self.seal_name(number, name);
        if sharing.salt == SaltSharing::AppState {
            self.seal_salt(number);
        }
    }

    /// The phone gives its account another name.
    pub(super) fn rename(&mut self, number: Number, name: String) {
        if let Some(account) = self.accounts.get_mut(&number) {
            account.name.clone_from(&name);
            if account.app_state.is_some() {
                self.seal_name(number, name);
                self.notify_collection(number, NAME, None);
            }
        }
    }

    /// The server tells the companions of another name.
    pub(super) fn tell_name(&mut self, number: Number, name: String) {
        let own = self.seed.jid(DeviceAddr::phone(number), Addressing::Pn);
        for to in self.linked_devices(number).collect::<Vec<_>>() {
            let head = notification(&own, "account_sync").attr("pushname", &name);
            self.notify(to, head, Node::new("pushname"));
        }
        if let Some(account) = self.accounts.get_mut(&number) {
            account.name = name;
        }
    }

    /// The account has another salt, or none: companions that know the app state hear of it.
    pub(super) fn tell_salt(&mut self, number: Number) {
        let is_sealed = self.accounts.get(&number).is_some_and(|account| {
            account.app_state.is_some() && account.sharing.salt == SaltSharing::AppState
        });
        if is_sealed {
            self.seal_salt(number);
            self.notify_collection(number, SALT, None);
        }
    }

    fn seal_name(&mut self, number: Number, name: String) {
        let value = SyncActionValue {
            push_name_setting: Some(PushNameSetting { name: Some(name) }),
            ..SyncActionValue::default()
        };
        let name = of_account(NAME, Operation::Set, "setting_pushName", value);
        self.seal(number, vec![name], None);
    }

    fn seal_salt(&mut self, number: Number) {
        let salt = self.token_salt(number);
        let operation = match salt {
            Some(_) => Operation::Set,
            None => Operation::Remove,
        };
        let value = SyncActionValue {
            nct_salt_sync_action: Some(NctSaltSyncAction {
                salt: salt.map(|salt| Bytes::copy_from_slice(&salt)),
            }),
            ..SyncActionValue::default()
        };
        let salt = of_account(SALT, operation, "nct_salt_sync", value);
        self.seal(number, vec![salt], None);
    }

    /// The phone does something to a chat, a contact or a label: companions hear of it, unless it waits for an upload.
    pub(super) fn change_state(&mut self, number: Number, change: PhoneChange, spoil: Option<Spoil>) {
        self.seal_first_state(number);
        let sealings = change.clone().sealings(self.clock.unix_seconds());
        let Some(name) = sealings.first().map(|first| first.collection) else {
            return;
        };
        let Some(app_state) = self.app_state_of(number) else {
            return;
        };
        let collection = app_state.collections.entry(name).or_default();
        match spoil {
            Some(Spoil::Conflict) => return collection.before_upload.push(change),
            Some(Spoil::Gap) => {
                collection.withheld.insert(collection.patches.len());
                let again = change.sealings(self.clock.unix_seconds());
                self.seal(number, again, None);
            }
            _ => {}
        }
        self.seal(number, sealings, spoil);
        self.notify_collection(number, name, None);
    }

    /// What is in the collections of an account: their versions, and the indexes of their records.
    pub(super) fn show_state(&mut self, number: Number) -> BTreeMap<String, CollectionShown> {
        self.seal_first_state(number);
        let collections = self.app_state_of(number).map(|state| &state.collections);
        let shown = collections.into_iter().flatten().map(|(name, collection)| {
            let shown = CollectionShown {
                version: collection.state.version,
                records: collection.records.keys().cloned().collect(),
            };
            ((*name).to_owned(), shown)
        });
        shown.collect()
    }

    fn app_state_of(&mut self, number: Number) -> Option<&mut AppState> {
        self.accounts.get_mut(&number)?.app_state.as_deref_mut()
    }

    /// Seals records of one collection as one patch.
    fn seal(&mut self, number: Number, sealings: Vec<Sealing>, spoil: Option<Spoil>) {
        let Some(name) = sealings.first().map(|first| first.collection) else {
            return;
        };
        let which = match (spoil, name) {
            (Some(Spoil::Key), _) => UNSHARED_KEY,
            (_, NAME) => 0,
            _ => 1,
        };
        let (id, key) = self.app_state_key(number, which);
        let sealer = Sealer::new(id, MutationKeys::expand(&key));
        let now = i64::try_from(self.clock.unix_seconds() * 1_000).unwrap_or_default();
        let ivs: Vec<_> = sealings.iter().map(|_| self.fresh_iv(number)).collect();
        let account = self.accounts.get_mut(&number);
        let Some(app_state) = account.and_then(|account| account.app_state.as_mut()) else {
            return;
        };
        let collection = app_state.collections.entry(name).or_default();
        let indexes: Vec<_> = sealings.iter().map(|sealing| sealing.index.clone()).collect();
        let indexes: Vec<Vec<&str>> = indexes
            .iter()
            .map(|index| index.iter().map(String::as_str).collect())
            .collect();
        let changes = sealings.into_iter().zip(&indexes).zip(ivs);
        let changes = changes.map(|((sealing, index), iv)| {
            let value = SyncActionValue {
                timestamp: Some(now),
                ..sealing.value
            };
            match sealing.operation {
                Operation::Set => drop(collection.records.insert(sealing.index, value.clone())),
                Operation::Remove => drop(collection.records.remove(&sealing.index)),
            }
            Change {
                operation: sealing.operation,
                index,
                value,
                version: sealing.version,
                iv,
            }
        });
        let changes: Vec<_> = changes.collect();
        let mut patch = sealer.patch(name, &mut collection.state, &mut collection.macs, &changes);
        if spoil == Some(Spoil::Mac) {
            patch.patch_mac = Some(Bytes::from_static(&[0; 32]));
        }
        collection.patches.push(patch);
    }

    fn fresh_iv(&mut self, number: Number) -> [u8; 16] {
        let device = DeviceAddr::phone(number);
        let iv = self.seed.bytes("app state iv", device, self.last_id as u32);
        self.last_id += 1;
        *iv.first_chunk().unwrap_or(&[0; 16])
    }

    /// Tells the companions but this one that a collection has changed.
    fn notify_collection(&mut self, number: Number, name: &'static str, but: Option<DeviceAddr>) {
        let version = self.version_of(number, name);
        let others = self.linked_devices(number).filter(|to| Some(*to) != but);
        for to in others.collect::<Vec<_>>() {
            let collection = Node::new("collection")
                .attr("name", name)
                .attr("version", version);
            self.notify(to, notification(&Jid::SERVER, "server_sync"), collection);
        }
    }

    fn collection(&self, number: Number, name: &str) -> Option<&Collection> {
        let account = self.accounts.get(&number)?;
        account.app_state.as_ref()?.collections.get(name)
    }

    fn version_of(&self, number: Number, name: &str) -> u64 {
        self.collection(number, name)
            .map_or(0, |collection| collection.state.version)
    }

    /// Answers what a companion asks for. A request that can't be read must be refused: some clients repeat it without end
    /// at an empty result.
    pub(super) fn app_state_answer(&mut self, from: DeviceAddr, id: &str, iq: &Node) -> Node {
        let Some(sync) = iq.child("sync").filter(|sync| sync.child("collection").is_some()) else {
            return error(id, 400, "bad-request");
        };
        self.seal_first_state(from.number);
        let asked: Vec<_> = sync.nodes_named("collection").cloned().collect();
        let collections: Vec<_> = asked
            .iter()
            .map(|asked| self.collection_answer(from, asked))
            .collect();
        iq_from_server("result", id).with_child(Node::new("sync").with_children(collections))
    }

    fn collection_answer(&mut self, from: DeviceAddr, asked: &Node) -> Node {
        let answer = Node::new("collection").attr_opt("name", asked.value("name"));
        let name = asked.attr_str("name").unwrap_or_default().into_owned();
        if let Some(patch) = asked.child("patch") {
            return self.take_patch(from, (asked, answer), (&name, patch));
        }
        let answer = answer.attr("version", self.version_of(from.number, &name));
        let held = asked.attr_u64("version").unwrap_or(0);
        let as_file = self
            .accounts
            .get(&from.number)
            .is_some_and(|account| account.sharing.snapshots);
        if held == 0
            && as_file
            && asked.attr_is("return_snapshot", "true")
            && let Some(file) = self.snapshot(from.number, &name)
        {
            return answer.with_child(Node::new("snapshot").with_bytes(file.encode_to_vec()));
        }
        self.later_patches(from.number, &name, held, answer)
    }

    /// Adds to a collection's answer what follows a version.
    fn later_patches(&self, number: Number, name: &str, held: u64, answer: Node) -> Node {
        let Some(collection) = self.collection(number, name) else {
            return answer;
        };
        let held = usize::try_from(held).unwrap_or(usize::MAX);
        let later = collection.patches.iter().enumerate().skip(held);
        let has_more = later.len() > PATCHES_AT_A_TIME;
        let told = later.take(PATCHES_AT_A_TIME);
        let told = told.filter(|(at, _)| !collection.withheld.contains(at));
        let told: Vec<_> = told
            .map(|(_, patch)| Node::new("patch").with_bytes(patch.encode_to_vec()))
            .collect();
        if told.is_empty() {
            return answer;
        }
        let answer = answer.attr_opt("has_more_patches", has_more.then_some("true"));
        answer.with_child(Node::new("patches").with_children(told))
    }

    /// A companion adds to a collection. What does not follow the last version is told what does; what no device of the
    /// account could believe is refused.
    fn take_patch(
        &mut self,
        from: DeviceAddr,
        (asked, answer): (&Node, Node),
        (name, patch): (&str, &Node),
    ) -> Node {
        let refuse = |answer: Node, code: u32, text: &'static str| {
            let error = Node::new("error").attr("code", code).attr("text", text);
            answer.attr("type", "error").with_child(error)
        };
        let Some(name) = COLLECTIONS.iter().find(|one| **one == name).copied() else {
            return refuse(answer, 404, "item-not-found");
        };
        self.act_before_upload(from.number, name);
        let held = asked.attr_u64("version").unwrap_or(0);
        if held != self.version_of(from.number, name) {
            self.audit.count.app_state_conflicts += 1;
            let answer = refuse(answer, 409, "conflict");
            return self.later_patches(from.number, name, held, answer);
        }
        match self.apply_patch(from, name, patch) {
            Some(version) => {
                self.audit.count.app_state_patches += 1;
                self.notify_collection(from.number, name, Some(from));
                answer.attr("version", version)
            }
            None => {
                self.audit.count.violations += 1;
                refuse(answer, 400, "bad-request")
            }
        }
    }

    /// The phone was first, if it is to be.
    fn act_before_upload(&mut self, number: Number, name: &'static str) {
        let collection = self
            .app_state_of(number)
            .and_then(|state| state.collections.get_mut(name));
        let waiting = collection.map(|collection| &mut collection.before_upload);
        let first = waiting
            .filter(|waiting| !waiting.is_empty())
            .map(|waiting| waiting.remove(0));
        if let Some(change) = first {
            self.change_state(number, change, None);
        }
    }

    /// Checks a patch as every device of the account will, and keeps it; its version.
    fn apply_patch(&mut self, from: DeviceAddr, name: &'static str, patch: &Node) -> Option<u64> {
        let mut patch = SyncdPatch::decode(patch.bytes()?).ok()?;
        if patch.version.is_some() || patch.external_mutations.is_some() {
            return None;
        }
        let keys: BTreeMap<KeyId, MutationKeys> = (0..=UNSHARED_KEY)
            .map(|which| self.app_state_key(from.number, which))
            .map(|(id, key)| (id, MutationKeys::expand(&key)))
            .collect();
        let collection = self
            .app_state_of(from.number)?
            .collections
            .entry(name)
            .or_default();
        let version = collection.state.version + 1;
        patch.version = Some(SyncdVersion {
            version: Some(version),
        });
        let macs = collection.macs.clone();
        let applied = collection
            .state
            .apply(name, &patch, &patch.mutations, &keys, macs);
        let applied = applied
            .inspect_err(|error| tracing::warn!(collection = name, %error, "an upload is refused"))
            .ok()?;
        (collection.state, collection.macs) = (applied.state, applied.macs);
        collection.patches.push(patch);
        let mut name_now = None;
        for mutation in applied.mutations {
            let own_name = mutation.value.push_name_setting.as_ref();
            name_now = own_name.and_then(|setting| setting.name.clone()).or(name_now);
            match mutation.operation {
                Operation::Set => drop(collection.records.insert(mutation.index, mutation.value)),
                Operation::Remove => drop(collection.records.remove(&mutation.index)),
            }
        }
        if let (Some(name), Some(account)) = (name_now, self.accounts.get_mut(&from.number)) {
            account.name = name;
        }
        Some(version)
    }

    /// Everything in a collection as a file.
    fn snapshot(&mut self, number: Number, name: &str) -> Option<ExternalBlobReference> {
        let (id, key) = self.app_state_key(number, u32::from(name != NAME));
        let collection = self.collection(number, name)?;
        let mut records = Vec::new();
        for mutation in collection.patches.iter().flat_map(|patch| &patch.mutations) {
            let record = mutation.record.clone()?;
            records.retain(|other: &whatsapp::proto::SyncdRecord| other.index != record.index);
            if mutation.operation.unwrap_or_default() == 0 {
                records.push(record);
            }
        }
        let sealer = Sealer::new(id, MutationKeys::expand(&key));
        let snapshot = sealer.snapshot(name, &collection.state, records);
        let version = u32::try_from(collection.state.version).unwrap_or(u32::MAX);
        let key = self
            .seed
            .bytes("app state file", DeviceAddr::phone(number), version);
        let sealed = media::seal(
            MediaKind::AppState,
            &MediaKey::new(key),
            &snapshot.encode_to_vec(),
        );
        Some(ExternalBlobReference {
            media_key: Some(Bytes::copy_from_slice(&key)),
            file_size_bytes: Some(sealed.file.len() as u64),
            file_sha256: Some(Bytes::copy_from_slice(&sealed.sha256)),
            file_enc_sha256: Some(Bytes::copy_from_slice(&sealed.enc_sha256)),
            direct_path: Some(self.files.put(sealed.file)),
            ..ExternalBlobReference::default()
        })
    }
}
