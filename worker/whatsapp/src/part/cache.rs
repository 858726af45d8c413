//! Records in memory: read from the store on need, written with the step that changes them.
//!
//! Two rules keep message keys from being used twice: a record is read from the store once and never while it is in
//! memory, and one whose last change is not durable is not forgotten.

use std::hash::Hash;
use std::mem;
use std::time::Duration;

use crate::hashing::HashMap;
use crate::time::Timestamp;

/// Most records kept, unless somebody says otherwise, beyond those whose changes are not durable yet.
const MAX_RECORDS: usize = 128;
/// Records that nobody used for this long are forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// The records of one kind.
pub(crate) struct Cache<K, R> {
    entries: HashMap<K, Entry<R>>,
    /// Those that were changed for the step that gathers; some may be changed no more, and some be here twice.
    gathering: Vec<K>,
    /// Those of the step that is being committed.
    committing: Vec<K>,
    /// Most that are kept beyond those whose changes are not durable yet.
    most: usize,
}

struct Entry<R> {
    /// `None` while it is being read.
    record: Option<R>,
    used: Timestamp,
    durability: Durability,
    /// Requests under way whose outcome is a change of this record.
    pins: u16,
}

/// Where the last change of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    /// In the store: the record may be forgotten and read again.
    Durable,
    /// In the step that is being committed.
    Committing,
    /// In the step that gathers.
    Gathering,
}

impl<R> Entry<R> {
    fn can_go(&self) -> bool {
        self.pins == 0 && self.durability == Durability::Durable && self.record.is_some()
    }

    /// Notes a change; true if it is the first for the step that gathers.
    fn is_news(&mut self, now: Timestamp) -> bool {
        self.used = now;
        mem::replace(&mut self.durability, Durability::Gathering) != Durability::Gathering
    }
}

impl<K: Clone + Eq + Hash + Ord, R> Cache<K, R> {
    /// Notes that somebody wants this record: true if it is in memory, false while it is being read, `None` if it is to be
    /// read now (see [`Self::begin`]).
    pub(crate) fn touch(&mut self, name: &K, now: Timestamp) -> Option<bool> {
        let entry = self.entries.get_mut(name)?;
        entry.used = now;
        Some(entry.record.is_some())
    }

    /// The record is being read.
    pub(crate) fn begin(&mut self, name: K, now: Timestamp) {
        self.insert(name, None, now, Durability::Durable);
    }

    /// The store has answered. A record that is there already was made or deleted meanwhile: what the store had counts no
    /// more.
    pub(crate) fn fill(&mut self, name: &K, record: R) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.record.get_or_insert(record);
        }
    }

    /// Takes a record whether it is in memory or not. It is written in the step that gathers.
    pub(crate) fn put(&mut self, name: K, record: R, now: Timestamp) {
        self.gathering.push(name.clone());
        self.insert(name, Some(record), now, Durability::Gathering);
    }

    fn insert(&mut self, name: K, record: Option<R>, used: Timestamp, durability: Durability) {
        let pins = self.entries.get(&name).map_or(0, |entry| entry.pins);
        let entry = Entry {
            record,
            used,
            durability,
            pins,
        };
        self.entries.insert(name, entry);
    }

    /// Whether the record is in memory or being read.
    pub(crate) fn contains(&self, name: &K) -> bool {
        self.entries.contains_key(name)
    }

    /// The records in memory and those that are being read.
    pub(crate) fn names(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// The record, if it is in memory.
    pub(crate) fn get(&self, name: &K) -> Option<&R> {
        self.entries.get(name)?.record.as_ref()
    }

    /// The record, if it is in memory. Whoever changes it says so by [`Self::changed`].
    pub(crate) fn get_mut(&mut self, name: &K) -> Option<&mut R> {
        self.entries.get_mut(name)?.record.as_mut()
    }

    /// Changes a record that is in memory, which is written in the step that gathers unless `change` failed; `None` if it
    /// is not in memory.
    pub(crate) fn change<T, E>(
        &mut self,
        name: &K,
        now: Timestamp,
        change: impl FnOnce(&mut R) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let entry = self.entries.get_mut(name)?;
        let done = change(entry.record.as_mut()?);
        if done.is_ok() && entry.is_news(now) {
            self.gathering.push(name.clone());
        }
        Some(done)
    }

    /// The record was changed, and is written in the step that gathers.
    pub(crate) fn changed(&mut self, name: &K, now: Timestamp) {
        if self.entries.get_mut(name).is_some_and(|entry| entry.is_news(now)) {
            self.gathering.push(name.clone());
        }
    }

    /// The records that are written in the step that gathers.
    pub(crate) fn gathered(&self) -> impl Iterator<Item = (&K, &R)> {
        self.gathering.iter().filter_map(|name| {
            let entry = self.entries.get(name)?;
            Some((name, entry.record.as_ref()?))
        })
    }

    /// How many records the step that gathers writes, or a few more.
    pub(crate) fn gathered_len(&self) -> usize {
        self.gathering.len()
    }

    /// Keeps a record in memory until [`Self::unpin`].
    pub(crate) fn pin(&mut self, name: &K) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.pins = entry.pins.saturating_add(1);
        }
    }

    /// Ends one [`Self::pin`].
    pub(crate) fn unpin(&mut self, name: &K) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }

    pub(crate) fn on_step_taken(&mut self) {
        let mut taken = mem::take(&mut self.gathering);
        for name in &taken {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.durability = Durability::Committing;
            }
        }
        if self.committing.is_empty() {
            self.committing = taken;
        } else {
            self.committing.append(&mut taken);
        }
    }

    pub(crate) fn on_committed(&mut self) {
        for name in mem::take(&mut self.committing) {
            let entry = self.entries.get_mut(&name);
            // What was changed since then is in a later step.
            if let Some(entry) = entry.filter(|entry| entry.durability == Durability::Committing) {
                entry.durability = Durability::Durable;
            }
        }
    }

    /// Whether there are more than should be.
    pub(crate) fn is_crowded(&self) -> bool {
        self.entries.len() > self.most
    }

    /// Forgets the records used longest ago, if there are too many. Those that somebody waits with are kept: reading them
    /// again and again would never end.
    pub(crate) fn shrink(&mut self, is_in_use: impl Fn(&K) -> bool) {
        if !self.is_crowded() {
            return;
        }
        let mut idle: Vec<(Timestamp, K)> = self
            .entries
            .iter()
            .filter(|(name, entry)| entry.can_go() && !is_in_use(name))
            .map(|(name, entry)| (entry.used, name.clone()))
            .collect();
        idle.sort_unstable();
        let surplus = self.entries.len() - self.kept();
        for (_, name) in idle.into_iter().take(surplus) {
            self.entries.remove(&name);
        }
    }

    /// How many stay when there were too many: forgetting in bulk, so that it is not done at every message.
    const fn kept(&self) -> usize {
        self.most - self.most / 4
    }

    /// Forgets idle records that nobody waits with, and gives their memory back.
    pub(crate) fn sweep(&mut self, now: Timestamp, is_in_use: impl Fn(&K) -> bool) {
        self.entries
            .retain(|name, entry| !entry.can_go() || now.since(entry.used) < IDLE || is_in_use(name));
        self.entries.shrink_to_fit();
    }

    /// Whether there is anything to sweep one day.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K, R> Cache<K, R> {
    /// Empty, for at most so many records; allocates nothing.
    pub(crate) fn with_most(most: usize) -> Self {
        Self {
            entries: HashMap::default(),
            gathering: Vec::new(),
            committing: Vec::new(),
            most,
        }
    }
}

impl<K, R> Default for Cache<K, R> {
    fn default() -> Self {
        Self::with_most(MAX_RECORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Timestamp = Timestamp::from_secs(100_000);

    /// Three times as many as should be, none of them durable.
    fn crowd() -> Cache<usize, ()> {
        let mut cache = Cache::default();
        for n in 0..3 * MAX_RECORDS {
            cache.put(n, (), Timestamp::from_secs(n as u64));
        }
        cache
    }

    fn make_durable(cache: &mut Cache<usize, ()>) {
        cache.on_step_taken();
        cache.on_committed();
    }

    #[test]
    fn the_longest_unused_are_forgotten_but_not_those_in_use() {
        let mut cache = crowd();
        make_durable(&mut cache);
        cache.shrink(|n| *n == 0);
        assert_eq!(cache.entries.len(), MAX_RECORDS * 3 / 4);
        assert!(cache.contains(&0) && cache.contains(&(3 * MAX_RECORDS - 1)));
        cache.sweep(LATER, |n| *n == 0);
        assert!(cache.contains(&0));
        cache.pin(&0);
        cache.sweep(LATER, |_| false);
        assert!(cache.contains(&0), "pinned");
        cache.unpin(&0);
        cache.sweep(LATER, |_| false);
        assert!(cache.is_empty());
    }

    #[test]
    fn what_is_not_durable_is_never_forgotten() {
        let mut cache = crowd();
        let all = cache.entries.len();
        cache.shrink(|_| false);
        cache.sweep(LATER, |_| false);
        assert_eq!(cache.entries.len(), all);
        cache.on_step_taken();
        // A change after the step was taken is not in it.
        cache.changed(&0, Timestamp::EPOCH);
        cache.shrink(|_| false);
        assert_eq!(cache.entries.len(), all);
        cache.on_committed();
        cache.sweep(LATER, |_| false);
        assert_eq!(cache.names().collect::<Vec<_>>(), [&0]);
    }

    #[test]
    fn what_is_changed_is_written_once_a_step_and_what_failed_is_not() {
        let (mut cache, now) = (Cache::default(), Timestamp::EPOCH);
        let add = |cache: &mut Cache<u32, u32>| {
            cache.change(&1, now, |number| {
                *number += 1;
                Ok::<_, ()>(*number)
            })
        };
        assert_eq!(add(&mut cache), None);
        cache.begin(1, now);
        cache.fill(&1, 0);
        assert_eq!(cache.change(&1, now, |_| Err::<(), _>("no")), Some(Err("no")));
        assert_eq!(cache.gathered().count(), 0);
        assert_eq!((add(&mut cache), add(&mut cache)), (Some(Ok(1)), Some(Ok(2))));
        cache.changed(&1, now);
        assert_eq!(cache.gathered().collect::<Vec<_>>(), [(&1, &2)]);
        cache.on_step_taken();
        assert_eq!(cache.gathered().count(), 0);
        add(&mut cache);
        cache.on_committed();
        assert_eq!(cache.gathered().collect::<Vec<_>>(), [(&1, &3)]);
        cache.sweep(LATER, |_| false);
        assert!(cache.contains(&1), "its last change is not durable");
    }

    #[test]
    fn what_was_made_meanwhile_counts_more_than_the_store_s_answer() {
        let mut cache = Cache::default();
        let now = Timestamp::EPOCH;
        assert_eq!(cache.touch(&1, now), None);
        cache.begin(1, now);
        assert_eq!((cache.touch(&1, now), cache.get(&1)), (Some(false), None));
        cache.put(1, "made", now);
        cache.fill(&1, "read");
        assert_eq!((cache.touch(&1, now), cache.get(&1)), (Some(true), Some(&"made")));
        cache.fill(&2, "nobody asked");
        assert!(!cache.contains(&2));
    }
}
