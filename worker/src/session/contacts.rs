//! People who write: who of them is new, goes by another name, or turned out to be somebody who was known by another jid.
//!
//! What was told of them is read from the store once, beside the loop, for some people together; then it is remembered while
//! there is room. What is told is written down with its event. What is forgotten here is read once more, and costs nothing
//! else.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use shared::event::{Contact, Event};
use shared::store::StoreError;
use shared::store::chats::change::{NAME_MAX, Peer};
use shared::store::chats::people::{self, PersonChange, ToldPerson};

use super::adapter::contacts;
use super::context::{Context, Fetched};

/// Most people of each generation that are remembered; the older one goes when the younger is full.
const GENERATION_MAX: usize = 128;
/// Most people who wait to be read; of more, what is new is told when they write again.
const WAITING_MAX: usize = 256;

/// The people who wrote to one session.
#[derive(Default)]
pub(super) struct Contacts {
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
    waiting: Vec<Wrote>,
    /// Those of whom the store is being asked.
    asked: Vec<Wrote>,
}

/// Somebody wrote, under this name.
struct Wrote {
    person: Peer,
    name: Option<String>,
}

impl Contacts {
    /// Somebody wrote.
    pub(super) fn on_message(&mut self, cx: &mut Context, person: Peer, name: Option<&str>) {
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        let (key, value) = (hash(&person.jid), hash(&(&person.lid, name)));
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        if known == Some(&value) || self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.remember(key, value);
        // As it is kept, so that the same long name is no other one next time.
        let name = name.map(|name| name.replace('\0', "").chars().take(NAME_MAX).collect());
        self.waiting.push(Wrote { person, name });
        self.read(cx);
    }

    /// The store says what was told of them.
    pub(super) fn on_told(&mut self, cx: &mut Context, told: Result<Vec<ToldPerson>, StoreError>) {
        let asked = std::mem::take(&mut self.asked);
        match told {
            Ok(told) => tell(cx, asked, &told),
            Err(error) => {
                tracing::warn!(session.id = %cx.record.id, %error, "what is known of people is not read; it is when they write again");
                // When they write again.
                self.young.clear();
                self.old.clear();
            }
        }
        self.read(cx);
    }

    fn read(&mut self, cx: &mut Context) {
        if !self.asked.is_empty() || self.waiting.is_empty() {
            return;
        }
        self.asked = std::mem::take(&mut self.waiting);
        let names = |wrote: &Wrote| [Some(wrote.person.jid.clone()), wrote.person.lid.clone()];
        let jids: Vec<String> = self.asked.iter().flat_map(names).flatten().collect();
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        cx.fetch(async move { Fetched::Told(people::told(&store, session, &jids).await) });
    }

    fn remember(&mut self, key: u64, value: u64) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Tells what is new of those who wrote.
fn tell(cx: &mut Context, asked: Vec<Wrote>, told: &[ToldPerson]) {
    let (mut upserts, mut updates) = (Vec::new(), Vec::new());
    for wrote in asked {
        let named = |jid: &str| told.iter().find(|row| row.jid == jid);
        let by_lid = wrote.person.lid.as_deref().and_then(named);
        let row = named(&wrote.person.jid)
            .filter(|row| row.told_as.is_some())
            .or(by_lid);
        let Some(contact) = news(cx, &wrote, row) else {
            continue;
        };
        let is_known = row.is_some_and(|row| row.told_as.is_some());
        match is_known {
            true => updates.push(contact),
            false => upserts.push(contact),
        }
        let change = PersonChange {
            jid: wrote.person.jid,
            lid: wrote.person.lid,
            told: Some(wrote.name.unwrap_or_default()),
            ..PersonChange::default()
        };
        cx.recorder.write.people.extend(change.storable());
    }
    if !upserts.is_empty() {
        cx.recorder.event(Event::ContactsUpsert(upserts));
    }
    if !updates.is_empty() {
        cx.recorder.event(Event::ContactsUpdate(updates));
    }
}

/// What there is to tell of somebody of whom this was told before; nothing if it is the same.
fn news(cx: &Context, wrote: &Wrote, row: Option<&ToldPerson>) -> Option<Contact> {
    let told_as = row.and_then(|row| row.told_as.as_deref());
    let told_name = row.and_then(|row| row.told_name.as_deref()).unwrap_or_default();
    let is_renamed = wrote.name.as_deref().is_some_and(|name| name != told_name);
    let former = told_as.filter(|former| *former != wrote.person.jid);
    if told_as.is_some() && !is_renamed && former.is_none() {
        return None;
    }
    let mut contact = contacts::contact(contacts::stored(&wrote.person), cx.record.token.clone());
    contact.contact_name = wrote.name.clone().map(Some);
    contact.push_name.clone_from(&wrote.name);
    contact.former = former.map(contacts::former);
    Some(contact)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
