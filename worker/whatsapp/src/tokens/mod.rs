//! The tokens that let people write to each other: those that contacts gave us, and those that we give.
//!
//! Whoever wants to write to somebody shows the token that they gave. Owns what is known of them, in memory and in the
//! store, and the requests to issue ours. Knows no message: whoever sends one asks for its proof.
//!
//! Rows whose tokens have both run out are deleted when somebody touches them, and in a walk once a day.
//!
//! Facts: docs/PROTOCOL.md, "Tokens".

mod contact;
mod issues;
mod news;
mod pruning;
mod record;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use self::contact::{has_tokens, kept_under};
use self::issues::{Due, Issues};
use self::news::{Name, News, What, is_plausible};
use self::record::TrustedToken;
use crate::account::Properties;
use crate::binary::Node;
use crate::e2e::{Directory, E2e};
use crate::jid::Jid;
use crate::part::{AckBy, Answer, Cache, Context, PartId, Ticket, Tickets};
use crate::stanza::ack::ack_for;
use crate::stanza::token::{self, ContactProof, Issue};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// When so many notifications wait for the store, no more should be read.
const MAX_WAITING: usize = 256;
/// Most of what the history says that waits for the store.
const MAX_NEWS: usize = 16_384;
/// Most records in memory: small ones, so many more than ratchets. Whoever writes to some thousand contacts within a minute
/// reads them once.
const MAX_RECORDS: usize = 4_096;
/// How often idle records are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The tokens of one connection.
pub(crate) struct Tokens {
    properties: Properties,
    records: Cache<Jid, TrustedToken>,
    /// Contacts whose records are to be read.
    wanted: Vec<Jid>,
    news: Vec<News>,
    issues: Issues,
    questions: Tickets<Question>,
    /// There is something to do in this input.
    is_stirred: bool,
    sweep_at: Option<Timestamp>,
    /// When old rows are looked for; none while they are.
    prune_at: Option<Timestamp>,
    /// Notifications, and parts of the history, that made no sense or were too many.
    ignored: u64,
}

enum Question {
    /// To the store: what is known of these contacts.
    Records(Vec<Wanted>),
    /// To the store: which rows there are.
    Names,
    /// To the store: whether these rows are old.
    Old(Vec<Vec<u8>>),
    /// To the server: to issue tokens of ours.
    Issue,
}

/// A record that is being read.
struct Wanted {
    contact: Jid,
    /// Where it may still be from before the hidden id was known.
    earlier: Option<Jid>,
}

/// What other parts want of it.
impl Tokens {
    /// Nothing in memory; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            properties: Properties::default(),
            records: Cache::with_most(MAX_RECORDS),
            wanted: Vec::new(),
            news: Vec::new(),
            issues: Issues::default(),
            questions: Tickets::new(part),
            is_stirred: false,
            sweep_at: None,
            prune_at: None,
            ignored: 0,
        }
    }

    /// How long tokens last, and to which name ours are issued.
    pub(crate) const fn set_properties(&mut self, properties: &Properties) {
        self.properties = *properties;
    }

    /// Whether what is known of the tokens with this chat is in memory, or there is nothing to know. If not, the store is
    /// asked, and [`Self::on_loaded`] says when to try again.
    pub(crate) fn ensure(&mut self, cx: &Context<'_>, directory: &Directory, chat: &Jid) -> bool {
        !has_tokens(cx.device, chat) || self.is_loaded(&kept_under(directory, chat), cx.now)
    }

    fn is_loaded(&mut self, contact: &Jid, now: Timestamp) -> bool {
        if let Some(is_loaded) = self.records.touch(contact, now) {
            return is_loaded;
        }
        self.records.begin(contact.clone(), now);
        self.wanted.push(contact.clone());
        self.is_stirred = true;
        false
    }

    /// What a new message to this chat carries. Not for repeats, nor for messages between our own devices.
    pub(crate) fn proof(&self, cx: &Context<'_>, directory: &Directory, chat: &Jid) -> Option<ContactProof> {
        if !has_tokens(cx.device, chat) {
            return None;
        }
        let contact = kept_under(directory, chat);
        if let Some(token) = self.valid(&contact, cx.now) {
            return Some(ContactProof::Given(token));
        }
        let salt = cx.device.account.as_ref()?.token_salt.as_ref()?;
        contact
            .is_lid()
            .then(|| ContactProof::salted(salt, contact.user()))
    }

    /// Whether this user gave us a token that still counts, so that a message to them shows it. Counts once
    /// [`Self::ensure`] says so.
    pub(crate) fn has_valid(&self, cx: &Context<'_>, directory: &Directory, user: &Jid) -> bool {
        has_tokens(cx.device, user) && self.valid(&kept_under(directory, user), cx.now).is_some()
    }

    fn valid(&self, contact: &Jid, now: Timestamp) -> Option<Bytes> {
        let record = self.records.get(contact)?;
        record.valid(&self.properties, now)
    }

    /// A new message to this chat is in the step: the contact gets a token of ours, once per bucket.
    pub(crate) fn on_sent(&mut self, cx: &Context<'_>, directory: &Directory, chat: &Jid) {
        if !has_tokens(cx.device, chat) {
            return;
        }
        let contact = kept_under(directory, chat);
        let record = self.records.get(&contact);
        if record.is_some_and(|record| record.is_due(&self.properties, cx.now)) {
            self.issue(directory, contact, cx.now);
        }
    }

    /// What a conversation of the history says: the token that its `owner`, by either name, gave us and when the server
    /// made it, and when we gave them ours. Kept with this step or one of the next; the newer of each holds. Odd values are
    /// ignored.
    pub(crate) fn learn_from_history(
        &mut self,
        cx: &mut Context<'_>,
        owner: &Jid,
        token: Option<Bytes>,
        issued_to_us: Timestamp,
        issued_by_us: Option<Timestamp>,
    ) {
        if !has_tokens(cx.device, owner) {
            return;
        }
        let news = News::of_history(owner, token, issued_to_us, issued_by_us, cx.now);
        if let Some(news) = news {
            self.learn(news);
        }
    }

    /// Whether all that was learned is in this step or in one before it.
    pub(crate) const fn is_settled(&self) -> bool {
        self.news.is_empty()
    }

    fn learn(&mut self, news: News) {
        if self.news.len() >= MAX_NEWS {
            self.ignore("too much to learn of tokens");
        } else {
            self.news.push(news);
            self.is_stirred = true;
        }
    }

    fn ignore(&mut self, why: &'static str) {
        self.ignored += 1;
        tracing::debug!(why, in_all = self.ignored, "something about tokens is ignored");
    }

    fn issue(&mut self, directory: &Directory, contact: Jid, t: Timestamp) {
        let other = directory.other_name(&contact);
        let to = match other {
            Some(other) if contact.is_lid() != self.properties.issues_to_lid => other,
            _ => contact.clone(),
        };
        let t = Timestamp::from_secs(t.as_secs());
        let issue = Issue { to, t };
        if self.issues.push(Due {
            contact: contact.clone(),
            issue,
        }) {
            // Written when it is done.
            self.records.pin(&contact);
        }
    }
}

/// What the server and the store say.
impl Tokens {
    /// `<notification type="privacy_token">` came in.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) -> AckBy {
        let given = token::given(stanza).filter(|given| is_plausible(given.issued, cx.now));
        let (Some(given), Some(from)) = (given, stanza.attr_jid("from")) else {
            self.ignore("a notification without a token");
            return AckBy::Connection;
        };
        let lid = stanza.attr_jid("sender_lid").filter(Jid::is_lid);
        if let Some(lid) = &lid {
            e2e.directory.learn(cx, &from, lid);
        }
        let user = lid.unwrap_or(from).to_bare();
        if !has_tokens(cx.device, &user) {
            self.ignore("a token of nobody who has one");
            return AckBy::Connection;
        }
        self.learn(News {
            user,
            name: Name::Unasked,
            what: What::Tokens {
                given: Some(given),
                issued: None,
            },
            ack: ack_for(stanza).map(Box::new),
        });
        AckBy::Handler
    }

    /// A notification of keys came in; if it says that a contact registered anew, they get our token again.
    pub(crate) fn on_keys(&mut self, cx: &Context<'_>, stanza: &Node) {
        let phone = stanza.attr_jid("from").filter(|from| from.device() == 0);
        if let Some(user) = phone.filter(|user| has_tokens(cx.device, user))
            && stanza.child("identity").is_some()
        {
            self.learn(News {
                user,
                name: Name::Unasked,
                what: What::NewIdentity,
                ack: None,
            });
        }
    }

    /// The store has answered for the other name of a user.
    pub(crate) fn on_name(&mut self, user: &Jid) {
        for news in self.news.iter_mut().filter(|news| news.user.same_user(user)) {
            news.name = Name::Settled;
            self.is_stirred = true;
        }
    }

    /// The store has answered; true if those may go on who wait for that.
    pub(crate) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        ticket: &Ticket,
        values: Vec<Option<Bytes>>,
    ) -> bool {
        let wanted = match self.questions.close(ticket) {
            Some(Question::Records(wanted)) => wanted,
            Some(Question::Old(names)) => {
                self.on_old(cx, names, values);
                return false;
            }
            _ => return false,
        };
        self.fill(cx, wanted, values);
        self.is_stirred = true;
        true
    }

    /// The store has named rows.
    pub(crate) fn on_listed(&mut self, cx: &mut Context<'_>, ticket: &Ticket, names: Vec<Vec<u8>>) {
        if let Some(Question::Names) = self.questions.close(ticket) {
            self.on_names(cx, names);
        }
    }

    fn fill(&mut self, cx: &mut Context<'_>, wanted: Vec<Wanted>, values: Vec<Option<Bytes>>) {
        let mut values = values.into_iter();
        for Wanted { contact, earlier } in wanted {
            let stored = values.next().flatten();
            let is_stored = stored.is_some();
            let mut record = stored.map_or_else(TrustedToken::default, TrustedToken::decode);
            let other = earlier.and_then(|name| Some((name, values.next().flatten()?)));
            let moved = other.is_some();
            if let Some((name, value)) = other {
                record.absorb(TrustedToken::decode(value));
                cx.changes().delete(RecordKey::trusted_token(&name));
            }
            let is_spent = record.is_spent(&self.properties, cx.now);
            if is_spent {
                record = TrustedToken::default();
            }
            let value = (!is_spent).then(|| record.encode());
            self.records.fill(&contact, record);
            match value {
                Some(value) if moved => self.write(cx, &contact, value),
                None if is_stored => {
                    cx.changes().delete(RecordKey::trusted_token(&contact));
                    self.records.changed(&contact, cx.now);
                }
                _ => {}
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, contact: &Jid, value: Bytes) {
        cx.changes().put(RecordKey::trusted_token(contact), value);
        self.records.changed(contact, cx.now);
    }

    /// The server has issued tokens of ours, or has not: then they are due again at the next message.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: &Answer) {
        let Some(Question::Issue) = self.questions.close(ticket) else {
            return;
        };
        if let Err(error) = answer {
            tracing::debug!(%error, "tokens of ours were not issued");
            self.issues.hold_back(cx.now);
        }
        for Due { contact, issue } in self.issues.take_asked() {
            self.records.unpin(&contact);
            if answer.is_err() {
                continue;
            }
            let record = self.records.get_mut(&contact);
            let value = record.and_then(|record| record.issue(issue.t).then(|| record.encode()));
            if let Some(value) = value {
                self.write(cx, &contact, value);
            }
        }
    }
}

/// Time and durability.
impl Tokens {
    pub(crate) fn on_step_taken(&mut self) {
        self.records.on_step_taken();
    }

    /// The step taken last is durable. `waiting` are the chats of sends that wait: their records stay.
    pub(crate) fn on_committed<'a, I: Iterator<Item = &'a Jid>>(
        &mut self,
        directory: &Directory,
        waiting: impl FnOnce() -> I,
    ) {
        self.records.on_committed();
        if self.records.is_crowded() {
            let waiting: HashSet<Jid> = waiting().map(|chat| kept_under(directory, chat)).collect();
            self.records.shrink(|contact| waiting.contains(contact));
        }
    }

    /// Whether so much waits for the store that no more should be read.
    pub(crate) const fn is_full(&self) -> bool {
        self.news.len() >= MAX_WAITING
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let stirred = self.is_stirred.then_some(Timestamp::EPOCH);
        Timestamp::earliest([stirred, self.issues.deadline(), self.sweep_at, self.prune_at])
    }

    /// Goes on with what was learned, and asks for what is lacking. Call at the end of each input that is after
    /// [`Self::deadline`].
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) {
        for mut news in mem::take(&mut self.news) {
            if !self.take_in(cx, e2e, &mut news) {
                self.news.push(news);
            }
        }
        self.load(cx, &e2e.directory);
        self.is_stirred = false;
        if let Some(batch) = self.issues.next(cx.now) {
            let request = token::issue(batch.iter().map(|due| &due.issue));
            cx.ask(request, self.questions.open(Question::Issue));
        }
        self.prune(cx);
        if self.sweep_at.is_some_and(|at| at <= cx.now) {
            self.records.sweep(cx.now, |_| false);
            self.sweep_at = None;
        }
        if self.sweep_at.is_none() && !self.records.is_empty() {
            self.sweep_at = Some(cx.now + SWEEP_INTERVAL);
        }
    }

    /// Takes in what was learned; false if that has to wait for the store.
    fn take_in(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, news: &mut News) -> bool {
        if news.name == Name::Unasked {
            let is_known = news.user.is_lid() || e2e.directory.other_name(&news.user).is_some();
            news.name = if !is_known && e2e.ask_name(cx, &news.user) {
                Name::Asked
            } else {
                Name::Settled
            };
        }
        if news.name == Name::Asked {
            return false;
        }
        let contact = kept_under(&e2e.directory, &news.user);
        if !self.is_loaded(&contact, cx.now) {
            return false;
        }
        self.keep(cx, &e2e.directory, &contact, &mut news.what);
        cx.send(news.ack.take().map(|ack| *ack));
        true
    }

    fn keep(&mut self, cx: &mut Context<'_>, directory: &Directory, contact: &Jid, what: &mut What) {
        let Some(record) = self.records.get_mut(contact) else {
            return;
        };
        match what {
            What::Tokens { given, issued } => {
                let gave = given.take().is_some_and(|given| record.give(given));
                let issued = issued.is_some_and(|t| record.issue(t));
                let value = (gave || issued).then(|| record.encode());
                if let Some(value) = value {
                    self.write(cx, contact, value);
                }
            }
            What::NewIdentity => {
                // With the time of before: it is the same token, in the same bucket.
                if let Some(t) = record.issued(&self.properties, cx.now) {
                    self.issue(directory, contact.clone(), t);
                }
            }
        }
    }

    fn load(&mut self, cx: &mut Context<'_>, directory: &Directory) {
        if self.wanted.is_empty() {
            return;
        }
        let earlier = |contact: &Jid| directory.other_name(contact).filter(|_| contact.is_lid());
        let wanted: Vec<Wanted> = mem::take(&mut self.wanted)
            .into_iter()
            .map(|contact| Wanted {
                earlier: earlier(&contact),
                contact,
            })
            .collect();
        let names = wanted
            .iter()
            .flat_map(|wanted| std::iter::once(&wanted.contact).chain(&wanted.earlier));
        let keys = names.map(RecordKey::trusted_token).collect();
        cx.load(keys, self.questions.open(Question::Records(wanted)));
    }
}
