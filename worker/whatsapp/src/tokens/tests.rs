//! The tokens of a connection, alone.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::*;
use crate::e2e::{E2e, Outcome};
use crate::part::Listing;
use crate::part::testing::Lender;
use crate::store::{KeyStore as _, MemoryStore};

/// Tokens with what they are lent, over a store.
struct Alone {
    lender: Lender,
    e2e: E2e,
    tokens: Tokens,
    store: MemoryStore,
}

impl Alone {
    fn new(store: MemoryStore) -> Self {
        Self {
            lender: Lender::new(),
            e2e: E2e::new(PartId::new(2), 512),
            tokens: Tokens::new(PART),
            store,
        }
    }

    /// Goes on until nothing is asked of the store any more; gives how often it was.
    fn settle(&mut self) -> usize {
        let mut loads = 0;
        loop {
            self.tokens.tick(&mut self.lender.context(), &mut self.e2e);
            let changes = self.lender.take_changes();
            self.store
                .commit(changes, Vec::new())
                .now_or_never()
                .unwrap()
                .unwrap();
            if let Some((ticket, listing)) = self.lender.take_listing() {
                let Listing { kind, after, most } = listing;
                let names = self.store.names(kind, after, most).now_or_never().unwrap();
                let cx = &mut self.lender.context();
                self.tokens.on_listed(cx, &ticket, names.unwrap());
            }
            let keys = self.lender.take_load();
            if keys.is_empty() {
                return loads;
            }
            loads += 1;
            let values = self.store.load(keys).now_or_never().unwrap().unwrap();
            for (ticket, values) in self.lender.answers(values) {
                let cx = &mut self.lender.context();
                if let Some(Outcome::Names(users)) = self.e2e.on_loaded(cx, &ticket, values.clone()) {
                    users.iter().for_each(|user| self.tokens.on_name(user));
                }
                self.tokens.on_loaded(cx, &ticket, values);
            }
        }
    }

    fn learn(
        &mut self,
        owner: &str,
        token: Option<&'static [u8]>,
        given: Timestamp,
        issued: Option<Timestamp>,
    ) {
        let token = token.map(Bytes::from_static);
        let cx = &mut self.lender.context();
        let owner = owner.parse().unwrap();
        self.tokens.learn_from_history(cx, &owner, token, given, issued);
    }

    fn record(&mut self, contact: &str) -> Option<TrustedToken> {
        let keys = vec![RecordKey::trusted_token(&contact.parse().unwrap())];
        let mut values = self.store.load(keys).now_or_never().unwrap().unwrap();
        values.remove(0).map(TrustedToken::decode)
    }
}

const PART: PartId = PartId::new(5);
/// The time of [`Lender`].
const NOW: Timestamp = Timestamp::from_secs(1_000_000);

#[test]
fn a_history_of_many_chats_is_read_and_kept_together() {
    let mut alone = Alone::new(MemoryStore::new());
    for n in 0..2_000 {
        let owner = format!("{}@lid", 100 + n);
        alone.learn(&owner, Some(b"token"), NOW, Some(NOW));
    }
    assert!(alone.tokens.is_full());
    assert_eq!(alone.settle(), 1, "one question to the store");
    assert!(!alone.tokens.is_full());
    let properties = Properties::default();
    for n in [100, 2_099] {
        let record = alone.record(&format!("{n}@lid")).unwrap();
        assert_eq!(record.valid(&properties, NOW).unwrap(), "token");
        assert!(!record.is_due(&properties, NOW));
    }
    alone.tokens.on_step_taken();
    let waits: Jid = "2099@lid".parse().unwrap();
    alone
        .tokens
        .on_committed(&alone.e2e.directory, || std::iter::once(&waits));
    assert!(alone.tokens.records.get(&waits).is_some(), "a send waits with it");
    let left = alone.tokens.records.names().count();
    assert!(left <= MAX_RECORDS, "the rest is forgotten");
}

#[test]
fn what_the_history_says_is_merged_with_what_is_known() {
    let mut alone = Alone::new(MemoryStore::new());
    let (earlier, properties) = (NOW - Duration::from_secs(60), Properties::default());
    alone.learn("100@lid", Some(b"new"), NOW, None);
    alone.settle();
    let mut alone = Alone::new(alone.store);
    alone.learn("100@lid", Some(b"old"), earlier, Some(earlier));
    alone.learn("1-2@g.us", Some(b"of a group"), NOW, None);
    alone.learn("15550002@s.whatsapp.net", None, Timestamp::EPOCH, Some(NOW));
    alone.settle();
    let record = alone.record("100@lid").unwrap();
    assert_eq!(record.valid(&properties, NOW).unwrap(), "new");
    assert_eq!(record.issued(&properties, NOW), Some(earlier));
    assert!(alone.record("1-2@g.us").is_none());
    assert!(alone.record("15550002@s.whatsapp.net").is_some());
}

#[test]
fn too_much_history_at_a_time_is_left_out() {
    let mut alone = Alone::new(MemoryStore::new());
    for n in 0..MAX_NEWS + 5 {
        alone.learn(&format!("{}@lid", 100 + n), Some(b"token"), NOW, None);
    }
    assert_eq!((alone.tokens.news.len(), alone.tokens.ignored), (MAX_NEWS, 5));
}

#[test]
fn what_has_run_out_is_deleted_when_it_is_read() {
    let mut alone = Alone::new(MemoryStore::new());
    let long_ago = Timestamp::from_secs(1);
    let mut record = TrustedToken::default();
    record.issue(long_ago);
    let mut changes = crate::store::Changes::default();
    let contact: Jid = "100@lid".parse().unwrap();
    changes.put(RecordKey::trusted_token(&contact), record.encode());
    alone
        .store
        .commit(changes, Vec::new())
        .now_or_never()
        .unwrap()
        .unwrap();
    alone.tokens.properties = Properties::brief();
    let cx = &mut alone.lender.context();
    assert!(!alone.tokens.ensure(cx, &alone.e2e.directory, &contact));
    assert_eq!(alone.settle(), 1);
    assert!(alone.record("100@lid").is_none());
    let cx = &mut alone.lender.context();
    assert!(alone.tokens.ensure(cx, &alone.e2e.directory, &contact));
}

#[test]
fn what_has_run_out_is_deleted_once_a_day_though_nobody_reads_it() {
    let mut alone = Alone::new(MemoryStore::new());
    alone.tokens.properties = Properties::brief();
    let mut changes = crate::store::Changes::default();
    let contact = |n: usize| -> Jid {
        let server = if n.is_multiple_of(2) {
            "lid"
        } else {
            "s.whatsapp.net"
        };
        format!("{}@{server}", 15_550_000 + n).parse().unwrap()
    };
    let many = 2 * pruning::PAGE + 5;
    for n in 0..many {
        let mut record = TrustedToken::default();
        record.issue(if n % 3 == 0 { NOW } else { Timestamp::from_secs(1) });
        changes.put(RecordKey::trusted_token(&contact(n)), record.encode());
    }
    let _ = alone.store.commit(changes, Vec::new()).now_or_never().unwrap();
    alone.tokens.start(&mut alone.lender.context());
    let first = alone.tokens.deadline().unwrap();
    assert!(first >= NOW + Duration::from_secs(30 * 60) && first < NOW + Duration::from_secs(60 * 60));
    alone.tokens.prune_at = Some(NOW);
    let in_use = contact(1);
    alone
        .tokens
        .records
        .put(in_use.clone(), TrustedToken::default(), NOW);
    assert_eq!(alone.settle(), 3, "a page at a time");
    let kept = (0..many).filter(|n| alone.record(&contact(*n).to_string()).is_some());
    let expected = (0..many).filter(|n| n % 3 == 0 || *n == 1);
    assert!(kept.eq(expected), "those that count stay, and what is in use");
    assert_eq!(
        alone.tokens.prune_at,
        Some(NOW + Duration::from_secs(24 * 60 * 60))
    );
}

#[test]
fn idle_records_are_forgotten() {
    let mut alone = Alone::new(MemoryStore::new());
    alone.learn("100@lid", Some(b"token"), NOW, None);
    alone.settle();
    alone.tokens.on_step_taken();
    alone.tokens.on_committed(&alone.e2e.directory, std::iter::empty);
    assert_eq!(alone.tokens.deadline(), Some(NOW + SWEEP_INTERVAL));
    let mut cx = alone.lender.context();
    cx.now = NOW + SWEEP_INTERVAL;
    alone.tokens.tick(&mut cx, &mut alone.e2e);
    assert!(alone.tokens.records.is_empty() && alone.tokens.deadline().is_none());
}
