//! One account's app state against a phone that seals it, a server that hands it out, and a store.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::device::Device;
use crate::event::{Event, QueryError};
use crate::media::{self, MediaKey, MediaKind};
use crate::part::testing::Lender;
use crate::proto::message::{AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyId};
use crate::proto::sync_action_value::{NctSaltSyncAction, PushNameSetting};
use crate::proto::{ExternalBlobReference, SyncActionValue, SyncdMutations, SyncdPatch};
use crate::sync_action::request::SyncRequest;
use crate::sync_action::{Switch, SyncActionKind, SyncSource};
use crate::syncd::{Change, Macs, MutationKeys, Operation, Sealer, State};

const PART: PartId = PartId::new(6);

/// What the phone has sealed, as the server hands it out.
struct Phone {
    sealer: Sealer,
    key: (KeyId, [u8; 32]),
    made: HashMap<&'static str, (State, Macs, Vec<SyncdPatch>)>,
    /// Collections that are handed out as a snapshot.
    snapshots: HashMap<&'static str, ExternalBlobReference>,
    files: HashMap<String, Vec<u8>>,
    /// Patches in one answer.
    at_a_time: usize,
    /// So many uploads find that another device was first.
    is_first: u32,
    /// Uploads get no answer.
    is_silent: bool,
}

impl Phone {
    fn new(number: u8) -> Self {
        let key = (KeyId::new(&[0, 0, 0, 1, 0, number]).unwrap(), [number; 32]);
        Self {
            sealer: Sealer::new(key.0.clone(), MutationKeys::expand(&key.1)),
            key,
            made: HashMap::new(),
            snapshots: HashMap::new(),
            files: HashMap::new(),
            at_a_time: 10,
            is_first: 0,
            is_silent: false,
        }
    }

    fn share(&self) -> AppStateSyncKeyShare {
        share(&self.key)
    }

    fn change(
        &mut self,
        collection: &'static str,
        operation: Operation,
        index: &[&str],
        value: SyncActionValue,
    ) {
        let made = self.made.entry(collection);
        let (state, macs, patches) = made.or_insert_with(|| (State::NEW, Macs::default(), Vec::new()));
        let change = Change {
            operation,
            index,
            value,
            version: 1,
            iv: [5; 16],
        };
        patches.push(self.sealer.patch(collection, state, macs, &[change]));
    }

    fn name(&mut self, name: &str) {
        let value = SyncActionValue {
            push_name_setting: Some(PushNameSetting {
                name: Some(name.to_owned()),
            }),
            ..SyncActionValue::default()
        };
        self.change("critical_block", Operation::Set, &["setting_pushName"], value);
    }

    fn salt(&mut self, operation: Operation, salt: &'static [u8]) {
        let value = SyncActionValue {
            nct_salt_sync_action: Some(NctSaltSyncAction {
                salt: Some(Bytes::from_static(salt)),
            }),
            ..SyncActionValue::default()
        };
        self.change("regular_high", operation, &["nct_salt_sync"], value);
    }

    fn file(&mut self, path: &str, content: &[u8]) -> ExternalBlobReference {
        let sealed = media::seal(MediaKind::AppState, &MediaKey::new([4; 32]), content);
        self.files.insert(path.to_owned(), sealed.file);
        ExternalBlobReference {
            media_key: Some(vec![4; 32].into()),
            direct_path: Some(path.to_owned()),
            file_sha256: Some(sealed.sha256.to_vec().into()),
            file_enc_sha256: Some(sealed.enc_sha256.to_vec().into()),
            ..ExternalBlobReference::default()
        }
    }

    /// Hands the collection out as a snapshot with its patches so far, each record once.
    fn take_snapshot(&mut self, collection: &'static str) {
        let (state, _, patches) = &self.made[collection];
        let mut records = Vec::new();
        for record in patches.iter().flat_map(|patch| &patch.mutations) {
            let record = record.record.clone().unwrap();
            records.retain(|other: &crate::proto::SyncdRecord| other.index != record.index);
            records.push(record);
        }
        let snapshot = self.sealer.snapshot(collection, state, records);
        let file = self.file("/snapshot", &snapshot.encode_to_vec());
        self.snapshots.insert(collection, file);
    }

    fn answer(&mut self, request: &Node) -> Node {
        let asked = request.child_at(&["sync", "collection"]).unwrap();
        if let Some(patch) = asked.child("patch") {
            return self.take(asked, patch);
        }
        let name = asked.attr_str("name").unwrap();
        let mut held = asked.attr_u64("version").unwrap_or(0);
        let mut answer = Node::new("collection").attr("name", name.as_ref().to_owned());
        let none = Vec::new();
        let patches = self.made.get(name.as_ref()).map_or(&none, |made| &made.2);
        let snapshot = self.snapshots.get(name.as_ref());
        if let Some(file) = snapshot.filter(|_| asked.attr_is("return_snapshot", "true")) {
            answer.push_child(Node::new("snapshot").with_bytes(file.encode_to_vec()));
            held = u64::MAX;
        }
        let number = |patch: &SyncdPatch| patch.version.as_ref().unwrap().version();
        let news: Vec<_> = patches.iter().filter(|patch| number(patch) > held).collect();
        let told = news.iter().take(self.at_a_time);
        let told = told.map(|patch| Node::new("patch").with_bytes(patch.encode_to_vec()));
        answer.push_child(Node::new("patches").with_children(told));
        if news.len() > self.at_a_time {
            answer.set_attr("has_more_patches", "true");
        }
        Node::new("iq").with_child(Node::new("sync").with_child(answer))
    }
}

impl Phone {
    /// Takes a patch as the server does, and checks it as other devices do.
    fn take(&mut self, asked: &Node, patch: &Node) -> Node {
        let name = asked.attr_str("name").unwrap().into_owned();
        let one = Collection::from_name(&name).unwrap().as_str();
        let held = asked.attr_u64("version").unwrap();
        if self.is_first > 0 {
            self.is_first -= 1;
            let value = SyncActionValue::default();
            self.change(one, Operation::Set, &["nux", "hint"], value);
        }
        let made = self.made.entry(one);
        let (state, macs, patches) = made.or_insert_with(|| (State::NEW, Macs::default(), Vec::new()));
        let mut answer = Node::new("collection").attr("name", name.clone());
        if held == state.version {
            let mut patch = SyncdPatch::decode(patch.bytes().unwrap()).unwrap();
            assert_eq!(patch.version, None, "the server numbers patches");
            patch.version = Some(crate::proto::SyncdVersion {
                version: Some(held + 1),
            });
            let keys = [(self.key.0.clone(), MutationKeys::expand(&self.key.1))].into();
            let known = std::mem::take(macs);
            let applied = state
                .apply(&name, &patch, &patch.mutations, &keys, known)
                .unwrap();
            (*state, *macs) = (applied.state, applied.macs);
            patches.push(patch);
            answer.set_attr("version", held + 1);
        } else {
            let error = Node::new("error").attr("code", 409u32).attr("text", "conflict");
            let later = patches.iter().skip(usize::try_from(held).unwrap());
            let later = later.map(|patch| Node::new("patch").with_bytes(patch.encode_to_vec()));
            answer.set_attr("type", "error");
            answer.push_child(error);
            answer.push_child(Node::new("patches").with_children(later));
        }
        Node::new("iq").with_child(Node::new("sync").with_child(answer))
    }
}

fn share((id, key): &(KeyId, [u8; 32])) -> AppStateSyncKeyShare {
    AppStateSyncKeyShare {
        keys: vec![AppStateSyncKey {
            key_id: Some(AppStateSyncKeyId {
                key_id: Some(Bytes::copy_from_slice(id.as_bytes())),
            }),
            key_data: Some(AppStateSyncKeyData {
                key_data: Some(Bytes::copy_from_slice(key)),
                ..AppStateSyncKeyData::default()
            }),
        }],
    }
}

/// A device whose connection is open.
struct Rig {
    lender: Lender,
    part: AppState,
    store: HashMap<RecordKey, Bytes>,
    acted: Vec<Acted>,
    /// What was asked of the server: collection, and the version that was named.
    asked: Vec<(String, Option<u64>)>,
}

impl Rig {
    fn new() -> Self {
        let mut lender = Lender::new();
        lender.pair();
        Self {
            lender,
            part: AppState::new(PART),
            store: HashMap::new(),
            acted: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The next connection of the same device.
    fn login(&mut self, phone: &mut Phone) {
        self.part = AppState::new(PART);
        self.part.start(&mut self.lender.context());
        self.pump(phone);
    }

    fn share(&mut self, phone: &mut Phone) {
        self.part.on_keys(&mut self.lender.context(), &phone.share());
        self.pump(phone);
    }

    fn notify(&mut self, phone: &mut Phone, collection: &'static str) {
        let news = Node::new("notification").with_child(Node::new("collection").attr("name", collection));
        self.part.on_notification(&mut self.lender.context(), &news);
        self.pump(phone);
    }

    fn upload(&mut self, phone: &mut Phone, request: &SyncRequest) {
        self.part.upload(&mut self.lender.context(), 7, request);
        self.pump(phone);
    }

    fn pump(&mut self, phone: &mut Phone) {
        loop {
            for (key, value) in self.lender.take_changes() {
                match value {
                    Some(value) => self.store.insert(key, value),
                    None => self.store.remove(&key),
                };
            }
            let keys = self.lender.take_load();
            let values = keys.iter().map(|key| self.store.get(key).cloned()).collect();
            for (ticket, values) in self.lender.answers(values) {
                let acted = self.part.on_loaded(&mut self.lender.context(), &ticket, values);
                self.acted.extend(acted);
            }
            let listing = self.lender.take_listing();
            if let Some((ticket, listing)) = &listing {
                let named = self.store.keys().filter(|key| key.kind == listing.kind);
                let names = named.map(|key| key.name.clone()).collect();
                self.part.on_listed(&mut self.lender.context(), ticket, names);
            }
            let asked = self.lender.take_questions();
            for (ticket, request) in &asked {
                let named = request.child_at(&["sync", "collection"]).unwrap();
                let name = named.attr_str("name").unwrap().into_owned();
                self.asked.push((name, named.attr_u64("version")));
                let answer = match phone.is_silent && named.child("patch").is_some() {
                    true => {
                        phone.answer(request);
                        Err(QueryError::TimedOut)
                    }
                    false => Ok(phone.answer(request)),
                };
                let acted = self.part.on_answer(&mut self.lender.context(), ticket, answer);
                self.acted.extend(acted);
            }
            let file = self.lender.take_download();
            if let Some((ticket, download)) = &file {
                let file = phone.files[&download.blob.path].clone();
                let content = media::open(&download.blob, file).map(Bytes::from);
                let content = content.map_err(Into::into);
                self.part
                    .on_downloaded(&mut self.lender.context(), ticket, content);
            }
            let is_still = keys.is_empty() && asked.is_empty() && file.is_none() && listing.is_none();
            if is_still && !self.lender.has_changes() {
                return;
            }
        }
    }

    fn done(&self) -> Vec<(SyncSource, &SyncActionKind)> {
        let each = self.acted.iter().flat_map(|acted| {
            let actions = acted.actions.iter();
            actions.map(|action| (acted.source, action))
        });
        let done = each.filter_map(|(source, action)| match action {
            Action::Done(action) => Some((source, &action.kind)),
            Action::TokenSalt(_) => None,
        });
        done.collect()
    }

    fn names(&self) -> Vec<&str> {
        let names = self.done().into_iter().filter_map(|(_, kind)| match kind {
            SyncActionKind::PushName(name) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    fn salts(&self) -> Vec<Option<&[u8]>> {
        let actions = self.acted.iter().flat_map(|acted| &acted.actions);
        let salts = actions.filter_map(|action| match action {
            Action::TokenSalt(salt) => Some(salt.as_deref()),
            Action::Done(_) => None,
        });
        salts.collect()
    }

    /// What was told of uploads, and of collections that are not believed.
    fn told(&mut self) -> Vec<String> {
        let events = self.lender.take_events();
        let told = events.iter().filter_map(|event| match event {
            Event::SyncAnswered { result, .. } => Some(format!("{result:?}")),
            Event::SyncRefused { collection } => Some((*collection).to_owned()),
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn name_and_salt_are_learned_whichever_comes_first_the_keys_or_the_login() {
    for keys_first in [true, false] {
        let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
        phone.name("Ann");
        phone.take_snapshot("critical_block");
        phone.salt(Operation::Set, b"salt");
        if keys_first {
            rig.share(&mut phone);
            rig.login(&mut phone);
        } else {
            rig.login(&mut phone);
            assert!(rig.acted.is_empty());
            rig.share(&mut phone);
        }
        assert_eq!(
            (rig.names(), rig.salts()),
            (vec!["Ann"], vec![Some(&b"salt"[..])])
        );
        assert!(rig.part.deadline().is_none());
    }
}

#[test]
fn changes_are_followed_and_nothing_is_asked_for_twice() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    phone.at_a_time = 2;
    phone.name("Ann");
    rig.share(&mut phone);
    rig.login(&mut phone);
    rig.asked.clear();
    for name in ["Bea", "Cleo", "Dora"] {
        phone.name(name);
    }
    rig.notify(&mut phone, "critical_block");
    rig.notify(&mut phone, "regular");
    let of = |version| ("critical_block".to_owned(), Some(version));
    assert_eq!(rig.asked, [of(1), of(3), ("regular".to_owned(), None)]);
    assert_eq!(rig.names(), ["Ann", "Bea", "Cleo", "Dora"]);
    phone.salt(Operation::Set, b"salt");
    phone.salt(Operation::Remove, b"");
    rig.login(&mut phone);
    assert_eq!(rig.salts(), [Some(&b"salt"[..]), None]);
    assert_eq!(rig.names().len(), 4);
}

#[test]
fn what_is_altered_keeps_the_last_good_state_until_the_next_login() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    phone.name("Ann");
    rig.share(&mut phone);
    rig.login(&mut phone);
    let kept = |rig: &Rig| Kept::decode(&rig.store[&Collection::CriticalBlock.key()]).unwrap();
    let before = kept(&rig).state;
    phone.name("Bea");
    let good = phone.made["critical_block"].2[1].clone();
    phone.made.get_mut("critical_block").unwrap().2[1].patch_mac = Some(vec![0; 32].into());
    rig.notify(&mut phone, "critical_block");
    assert_eq!(kept(&rig).state, before);
    // It is read from its beginning, twice, and looks the same there.
    assert_eq!(rig.told(), ["critical_block"; 3]);
    assert_eq!((rig.names(), kept(&rig).is_broken), (vec!["Ann"], true));
    let asked = rig.asked.len();
    rig.notify(&mut phone, "critical_block");
    assert_eq!(rig.asked.len(), asked, "it is left alone");
    phone.made.get_mut("critical_block").unwrap().2[1] = good;
    phone.take_snapshot("critical_block");
    rig.login(&mut phone);
    assert_eq!(rig.names(), ["Ann", "Bea"]);
    assert!(!kept(&rig).is_broken);
    phone.name("Cleo");
    rig.notify(&mut phone, "critical_block");
    assert_eq!(rig.names(), ["Ann", "Bea", "Cleo"]);
}

#[test]
fn a_gap_and_a_wrong_mac_are_mended_by_a_snapshot_at_once() {
    for is_gap in [true, false] {
        let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
        phone.name("Ann");
        rig.share(&mut phone);
        rig.login(&mut phone);
        phone.name("Bea");
        phone.name("Cleo");
        phone.take_snapshot("critical_block");
        let patches = &mut phone.made.get_mut("critical_block").unwrap().2;
        match is_gap {
            true => drop(patches.remove(1)),
            false => patches[1].snapshot_mac = Some(vec![0; 32].into()),
        }
        rig.notify(&mut phone, "critical_block");
        assert_eq!(rig.told(), ["critical_block"]);
        assert_eq!(rig.names(), ["Ann", "Cleo"]);
        phone.name("Dora");
        phone.snapshots.clear();
        rig.notify(&mut phone, "critical_block");
        assert_eq!(rig.names(), ["Ann", "Cleo", "Dora"]);
    }
}

fn pinned(on: Switch) -> SyncRequest {
    SyncRequest::Pin("15550002@s.whatsapp.net".parse().unwrap(), on)
}

#[test]
fn what_is_changed_here_is_taken_told_and_in_step_with_what_others_do() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    rig.share(&mut phone);
    rig.login(&mut phone);
    for on in [Switch::On, Switch::Off] {
        rig.upload(&mut phone, &pinned(on));
        let (source, kind) = *rig.done().last().unwrap();
        assert!(matches!(kind, SyncActionKind::Pin(_, found) if *found == on));
        assert_eq!((source, rig.told()), (SyncSource::Own, vec!["Ok(())".to_owned()]));
    }
    let count = rig.done().len();
    phone.change(
        "regular_low",
        Operation::Set,
        &["archive", "x"],
        SyncActionValue::default(),
    );
    rig.notify(&mut phone, "regular_low");
    // Ours is not told again.
    assert_eq!(rig.done().len(), count + 1);
    let replaces = rig.acted.iter().flat_map(|acted| &acted.actions);
    let replaces = replaces.map(|action| matches!(action, Action::Done(done) if done.replaces));
    assert_eq!(replaces.collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn others_may_be_first_a_few_times() {
    for (times, answer) in [(0, "Ok(())"), (5, "Ok(())"), (6, "Err(Refused { code: 409 })")] {
        let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
        rig.share(&mut phone);
        phone.change(
            "regular_low",
            Operation::Set,
            &["nux"],
            SyncActionValue::default(),
        );
        rig.login(&mut phone);
        phone.is_first = times;
        rig.upload(&mut phone, &pinned(Switch::On));
        assert_eq!(rig.told(), [answer], "{times}");
        let of_others = rig
            .done()
            .into_iter()
            .filter(|(source, _)| *source == SyncSource::Other);
        assert_eq!(of_others.count(), usize::try_from(times).unwrap());
    }
}

#[test]
fn what_was_taken_without_an_answer_is_seen_as_any_other() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    phone.change(
        "regular_low",
        Operation::Set,
        &["nux"],
        SyncActionValue::default(),
    );
    rig.share(&mut phone);
    rig.login(&mut phone);
    phone.is_silent = true;
    rig.upload(&mut phone, &pinned(Switch::On));
    assert_eq!(rig.told(), ["Err(TimedOut)"]);
    let (source, kind) = *rig.done().last().unwrap();
    assert!(matches!(kind, SyncActionKind::Pin(_, Switch::On)));
    assert_eq!(source, SyncSource::Other);
    phone.is_silent = false;
    rig.upload(&mut phone, &pinned(Switch::On));
    assert_eq!(rig.told(), ["Ok(())"]);
}

#[test]
fn a_change_waits_for_the_keys_and_is_answered_when_the_connection_ends() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    rig.login(&mut phone);
    rig.upload(&mut phone, &pinned(Switch::On));
    assert!(rig.told().is_empty());
    rig.share(&mut phone);
    assert_eq!(rig.told(), ["Ok(())"]);
    let mut without = Rig::new();
    without.login(&mut phone);
    without.upload(&mut phone, &pinned(Switch::On));
    without.part.on_closed(&mut without.lender.context());
    assert_eq!(without.told(), ["Err(NotConnected)"]);
}

#[test]
fn a_key_that_does_not_come_is_asked_for_once() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    phone.name("Ann");
    rig.login(&mut phone);
    let due = rig.part.deadline().unwrap();
    assert_eq!(due, rig.lender.now + KEY_GRACE);
    rig.lender.now = due;
    rig.part.tick(&mut rig.lender.context());
    rig.pump(&mut phone);
    let request = rig.part.request.take().unwrap();
    let protocol = request.message().protocol_message.clone().unwrap();
    let ids = protocol.app_state_sync_key_request.unwrap().key_ids;
    assert_eq!(ids[0].key_id.as_deref(), Some(phone.key.0.as_bytes()));
    for (wait, is_asked) in [
        (Duration::from_secs(60), false),
        (Duration::from_secs(24 * 3600), true),
    ] {
        rig.lender.now = rig.lender.now + wait;
        rig.login(&mut phone);
        rig.lender.now = rig.lender.now + KEY_GRACE;
        rig.part.tick(&mut rig.lender.context());
        rig.pump(&mut phone);
        assert_eq!(rig.part.request.is_some(), is_asked);
    }
    rig.share(&mut phone);
    assert_eq!(rig.names(), ["Ann"]);
}

#[test]
fn a_request_that_waits_for_the_phone_is_not_lost_to_the_next() {
    let (mut rig, first, mut second) = (Rig::new(), Phone::new(1), Phone::new(2));
    let mut phone = first;
    phone.name("Ann");
    rig.login(&mut phone);
    let grace = |rig: &mut Rig, phone: &mut Phone| {
        rig.lender.now = rig.part.deadline().unwrap();
        rig.part.tick(&mut rig.lender.context());
        rig.pump(phone);
    };
    grace(&mut rig, &mut phone);
    let waiting = rig.part.request.as_ref().unwrap().message().clone();
    second.salt(Operation::Set, b"salt");
    phone.made.extend(second.made.drain());
    rig.notify(&mut phone, "regular_high");
    grace(&mut rig, &mut phone);
    assert_eq!(rig.part.request.as_ref().unwrap().message(), &waiting);
    rig.part.request = None;
    grace(&mut rig, &mut phone);
    assert_ne!(rig.part.request.as_ref().unwrap().message(), &waiting);
}

#[test]
fn keys_may_come_in_halves() {
    let (mut rig, mut first, mut second) = (Rig::new(), Phone::new(1), Phone::new(2));
    first.name("Ann");
    second.made = first.made.clone();
    second.name("Bea");
    rig.login(&mut second);
    rig.part.on_keys(&mut rig.lender.context(), &first.share());
    rig.pump(&mut second);
    assert!(rig.names().is_empty());
    rig.part.on_keys(&mut rig.lender.context(), &second.share());
    rig.pump(&mut second);
    assert_eq!(rig.names(), ["Ann", "Bea"]);
}

#[test]
fn mutations_may_be_in_a_file_and_a_wrong_file_is_not_believed() {
    for is_right in [true, false] {
        let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
        phone.name("Ann");
        let patch = &mut phone.made.get_mut("critical_block").unwrap().2[0];
        let mutations = std::mem::take(&mut patch.mutations);
        let mut file = phone.file("/mutations", &SyncdMutations { mutations }.encode_to_vec());
        if !is_right {
            file.file_enc_sha256 = Some(vec![0; 32].into());
        }
        phone.made.get_mut("critical_block").unwrap().2[0].external_mutations = Some(file);
        rig.share(&mut phone);
        rig.login(&mut phone);
        assert_eq!(rig.names().len(), usize::from(is_right));
    }
}

#[test]
fn rubbish_in_an_answer_harms_nothing() {
    let (mut rig, mut phone) = (Rig::new(), Phone::new(1));
    let collection = || Node::new("collection").attr("name", "critical_block");
    let refused = Node::new("error").attr("code", 404u32);
    for content in [
        None,
        Some(Node::new("collection").attr("name", "regular")),
        Some(collection().attr("type", "error").with_child(refused)),
        Some(collection().with_child(Node::new("snapshot").with_slice(b"\xff"))),
        Some(collection().with_child(Node::new("patches").with_child(Node::new("patch")))),
        Some(collection().with_child(Node::new("snapshot").with_slice(b""))),
    ] {
        rig.part = AppState::new(PART);
        rig.part.start(&mut rig.lender.context());
        let keys = rig.lender.take_load();
        for (ticket, values) in rig.lender.answers(vec![None; keys.len()]) {
            let acted = rig.part.on_loaded(&mut rig.lender.context(), &ticket, values);
            assert!(acted.is_none());
        }
        let (ticket, _) = rig.lender.take_questions().remove(0);
        let answer = content.into_iter().fold(Node::new("sync"), Node::with_child);
        let answer = Ok(Node::new("iq").with_child(answer));
        let acted = rig.part.on_answer(&mut rig.lender.context(), &ticket, answer);
        assert!(acted.is_none());
        rig.pump(&mut phone);
        assert!(rig.part.work.is_none() && rig.acted.is_empty());
    }
}

#[test]
fn the_salt_is_kept_with_the_account() {
    let mut lender = Lender::new();
    lender.pair();
    let held = |device: &Device| {
        device
            .account
            .as_ref()
            .and_then(|account| account.token_salt.clone())
    };
    keep_salt(&mut lender.context(), Some(Bytes::from_static(b"salt")));
    assert_eq!(held(lender.context().device).as_deref(), Some(&b"salt"[..]));
    keep_salt(&mut lender.context(), None);
    assert_eq!(held(lender.context().device), None);
    assert!(lender.context().device.is_salt_synced);
}
