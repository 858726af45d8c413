//! The app state: what the account's devices agree on.
//!
//! Owns the keys that our phone shares, a collection's way from the server into the store ([`way`]), and that of our own
//! changes to the server ([`uploading`]). One collection is under way at a time, and nothing is held in memory between. What
//! does not check out leaves the last good state as it is, and the collection is asked for from its beginning: a few times,
//! then again at the next login. Knows no message but those of our phone.
//!
//! Facts: docs/PROTOCOL.md, "App state".

mod action;
mod collection;
mod keys;
mod request;
#[cfg(test)]
mod tests;
mod upload;
mod uploading;
mod way;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::action::{Acted, Action, fill_in_salt, keep_salt};
use self::{
    collection::{Collection, Collections, Kept},
    upload::{Sealed, Upload},
    work::{File, Work},
};
use crate::binary::Node;
use crate::e2e::{E2e, Fetched, ToPhone};
use crate::part::{Answer, Context, Downloaded, PartId, Ticket, Tickets};
use crate::proto::message::AppStateSyncKeyShare;
use crate::signal::Address;
use crate::stanza::app_state;
use crate::store::RecordKey;
use crate::syncd::{KeyId, Sealer};
use crate::time::Timestamp;

/// How long our phone may take to share a key by itself before it is asked.
pub(crate) const KEY_GRACE: Duration = Duration::from_secs(10);

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
    /// What is to be added to collections.
    uploads: VecDeque<Upload>,
    /// No key is here to seal with: what is to be added waits for one.
    is_keyless: bool,
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
    /// To the store: which keys there are.
    Names,
    /// To the store: these keys, of which the newest seals.
    Keys(Vec<KeyId>),
    /// To the store: the buckets of the records that are to be written, and what seals them.
    Buckets(Box<Sealer>),
    /// To the server: what it makes of a patch, and what we have if it takes it.
    Upload(Box<Sealed>),
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
            uploads: VecDeque::new(),
            is_keyless: false,
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
        self.is_keyless = false;
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

/// What it is told.
impl AppState {
    /// The server has answered. What is done by those who act on it.
    #[must_use]
    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        answer: Answer,
    ) -> Option<Acted> {
        match self.questions.close(ticket)? {
            Question::Update => self.on_update(cx, answer),
            Question::Upload(sealed) => return self.on_uploaded(cx, *sealed, answer),
            _ => {}
        }
        None
    }

    pub(crate) fn on_downloaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, content: Downloaded) {
        if let Some(Question::File(file)) = self.questions.close(ticket) {
            self.on_file(cx, file, content);
        }
    }

    /// The store has answered. What is done by those who act on it.
    #[must_use]
    pub(crate) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        mut values: Vec<Option<Bytes>>,
    ) -> Option<Acted> {
        match self.questions.close(ticket)? {
            Question::Kept => {
                if let Some(work) = &mut self.work {
                    work.kept = values.pop().flatten().as_deref().and_then(Kept::decode);
                }
                self.begin(cx);
            }
            Question::Records(keys, shares) => return self.on_records(cx, keys, shares, &values),
            Question::Lacking(keys) => self.on_lacking(cx, keys, &values),
            Question::Keys(keys) => self.on_sealing_keys(cx, keys, &values),
            Question::Buckets(sealer) => self.on_buckets(cx, *sealer, &values),
            Question::Update | Question::File(_) | Question::Names | Question::Upload(_) => {}
        }
        None
    }

    /// The store says which keys there are.
    pub(crate) fn on_listed(&mut self, cx: &mut Context<'_>, ticket: &Ticket, names: Vec<Vec<u8>>) {
        if let Some(Question::Names) = self.questions.close(ticket) {
            self.on_names(cx, names);
        }
    }
}
