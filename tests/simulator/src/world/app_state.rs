//! The app state of accounts: what phones have sealed, and what the server hands out of it.
//!
//! Facts: docs/PROTOCOL.md, "App state".

use bytes::Bytes;
use prost::Message as _;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::media::{self, MediaKey, MediaKind};
use whatsapp::proto::sync_action_value::{NctSaltSyncAction, PushNameSetting};
use whatsapp::proto::{ExternalBlobReference, SyncActionValue};
use whatsapp::syncd::{Change, KeyId, Macs, MutationKeys, Operation, Sealer, State};

use super::World;
use super::sealed::Collection;
use super::stanza::{error, iq_from_server, notification};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::sharing::SaltSharing;

/// Most patches that one answer holds.
const PATCHES_AT_A_TIME: usize = 16;

const NAME: &str = "critical_block";
const SALT: &str = "regular_high";

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
                self.notify_collection(number, NAME);
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
            self.notify_collection(number, SALT);
        }
    }

    fn seal_name(&mut self, number: Number, name: String) {
        let value = SyncActionValue {
            push_name_setting: Some(PushNameSetting { name: Some(name) }),
            ..SyncActionValue::default()
        };
        self.seal(number, NAME, Operation::Set, &["setting_pushName"], value);
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
        self.seal(number, SALT, operation, &["nct_salt_sync"], value);
    }

    fn seal(
        &mut self,
        number: Number,
        name: &'static str,
        operation: Operation,
        index: &[&str],
        value: SyncActionValue,
    ) {
        let (id, key) = self.app_state_key(number, u32::from(name != NAME));
        let iv = self
            .seed
            .bytes("app state iv", DeviceAddr::phone(number), self.last_id as u32);
        let sealer = Sealer::new(id, MutationKeys::expand(&key));
        let now = i64::try_from(self.clock.unix_seconds() * 1_000).unwrap_or_default();
        let account = self.accounts.get_mut(&number);
        let Some(app_state) = account.and_then(|account| account.app_state.as_mut()) else {
            return;
        };
        let collection = app_state.collections.entry(name).or_insert_with(|| Collection {
            state: State::NEW,
            macs: Macs::default(),
            patches: Vec::new(),
        });
        let change = Change {
            operation,
            index,
            value: SyncActionValue {
                timestamp: Some(now),
                ..value
            },
            version: 1,
            iv: *iv.first_chunk().unwrap_or(&[0; 16]),
        };
        let patch = sealer.patch(name, &mut collection.state, &mut collection.macs, &[change]);
        collection.patches.push(patch);
        self.last_id += 1;
    }

    fn notify_collection(&mut self, number: Number, name: &'static str) {
        let version = self.version_of(number, name);
        for to in self.linked_devices(number).collect::<Vec<_>>() {
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
    /// at an empty result. Nothing can be added by companions.
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
        if asked.child("patch").is_some() {
            let missing = Node::new("error")
                .attr("code", 404u32)
                .attr("text", "item-not-found");
            return answer.attr("type", "error").with_child(missing);
        }
        let name = asked.attr_str("name").unwrap_or_default().into_owned();
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
        let collection = self.collection(from.number, &name);
        let patches = collection
            .map(|collection| collection.patches.as_slice())
            .unwrap_or_default();
        let later = patches.iter().skip(usize::try_from(held).unwrap_or(usize::MAX));
        let has_more = later.len() > PATCHES_AT_A_TIME;
        let told = later.take(PATCHES_AT_A_TIME);
        let told: Vec<_> = told
            .map(|patch| Node::new("patch").with_bytes(patch.encode_to_vec()))
            .collect();
        if told.is_empty() {
            return answer;
        }
        let answer = answer.attr_opt("has_more_patches", has_more.then_some("true"));
        answer.with_child(Node::new("patches").with_children(told))
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
