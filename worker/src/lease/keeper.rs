//! What a worker holds and should hold: one tick at a time, the clock read once per step.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};
use shared::clock::Clock;
use shared::id::{ShardId, WorkerId};
use shared::metrics::labels::LeaseEnd;
use shared::metrics::list;
use shared::store::leases::{self, LeaseRecord, Presence};
use shared::store::{Fence, Store, StoreError};
use tokio::time::Instant;

use super::{Lease, LeaseEvent, Timing};

/// This worker's leases.
pub(super) struct Keeper {
    store: Store,
    worker: WorkerId,
    timing: Timing,
    clock: Clock,
    held: BTreeMap<ShardId, Held>,
    events: Vec<LeaseEvent>,
    leaving: bool,
}

struct Held {
    lease: Lease,
    releasing: bool,
}

impl Keeper {
    pub(super) fn new(store: Store, worker: WorkerId, timing: Timing, clock: Clock) -> Self {
        Self {
            store,
            worker,
            timing,
            clock,
            held: BTreeMap::new(),
            events: Vec::new(),
            leaving: false,
        }
    }

    /// Renews, takes what this worker should have, and begins to hand over what it should not.
    pub(super) async fn tick(&mut self) -> Result<(), StoreError> {
        // The clock is read before the renewal is sent: whatever time that takes, the lease in the database
        // lasts longer than we believe.
        let before = self.clock.now();
        self.expire_at(before);
        let presence = if self.leaving {
            Presence::Leaving
        } else {
            Presence::Live
        };
        let view = leases::tick(&self.store, &self.worker, presence, self.timing.ttl).await?;
        self.reconcile(before, &view.leases).await?;
        let plan = assign(&view.workers, view.leases.iter().map(|lease| lease.shard));
        self.take(&plan, &view.leases).await?;
        self.hand_over(&plan);
        list::SHARDS_OWNED.set(self.held.len() as f64);
        Ok(())
    }

    /// Extends what the database confirms, drops what it does not, and gives back what we dropped before.
    async fn reconcile(&mut self, before: Instant, leases: &[LeaseRecord]) -> Result<(), StoreError> {
        let deadline = before + self.timing.ttl - self.timing.margin;
        let now = self.clock.now();
        for record in leases {
            let mine = record.owner.as_deref() == Some(self.worker.as_str()) && !record.expired;
            let fence = Fence {
                shard: record.shard,
                epoch: record.epoch,
            };
            match self.held.get(&record.shard) {
                Some(held) if mine && held.lease.fence() == fence && held.lease.is_live(now) => {
                    held.lease.extend(deadline);
                }
                // A lease that ended while the renewal was under way stays ended: its shard was told Lost.
                Some(held) if mine && held.lease.fence() == fence => {}
                Some(_) => self.lose(record.shard, LeaseEnd::Taken),
                None if mine => leases::release(&self.store, fence).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn take(
        &mut self,
        plan: &HashMap<ShardId, String>,
        leases: &[LeaseRecord],
    ) -> Result<(), StoreError> {
        let mine = |shard: &ShardId| plan.get(shard).is_some_and(|owner| owner == self.worker.as_str());
        let wanted: Vec<ShardId> = leases
            .iter()
            .filter(|lease| lease.owner.is_none() || lease.expired)
            .map(|lease| lease.shard)
            .filter(|shard| mine(shard) && !self.held.contains_key(shard))
            .collect();
        if wanted.is_empty() || self.leaving {
            return Ok(());
        }
        let before = self.clock.now();
        for fence in leases::take(&self.store, &self.worker, &wanted, self.timing.ttl).await? {
            let lease = Lease::new(fence, before, before + self.timing.ttl - self.timing.margin);
            list::LEASES_TAKEN.increment();
            self.events.push(LeaseEvent::Gained(lease.clone()));
            self.held.insert(
                fence.shard,
                Held {
                    lease,
                    releasing: false,
                },
            );
        }
        Ok(())
    }

    /// Asks for one shard that another worker should have, idle ones first; when leaving, for all at once.
    fn hand_over(&mut self, plan: &HashMap<ShardId, String>) {
        if self.leaving {
            return self.release_all();
        }
        if self.held.values().any(|held| held.releasing) {
            return;
        }
        let surplus = self
            .held
            .iter_mut()
            .filter(|(shard, _)| plan.get(shard).is_some_and(|owner| owner != self.worker.as_str()))
            .min_by_key(|(shard, held)| (!held.lease.is_idle(), **shard));
        if let Some((shard, held)) = surplus {
            held.releasing = true;
            self.events.push(LeaseEvent::Release(*shard));
        }
    }

    fn release_all(&mut self) {
        for (shard, held) in self.held.iter_mut().filter(|(_, held)| !held.releasing) {
            held.releasing = true;
            self.events.push(LeaseEvent::Release(*shard));
        }
    }

    /// Ends what has run out by our own clock.
    pub(super) fn expire(&mut self) {
        self.expire_at(self.clock.now());
    }

    fn expire_at(&mut self, now: Instant) {
        let over = |held: &Held| !held.lease.is_live(now);
        let ended: Vec<ShardId> = self
            .held
            .iter()
            .filter(|(_, held)| over(held))
            .map(|(shard, _)| *shard)
            .collect();
        for shard in ended {
            self.lose(shard, LeaseEnd::Expired);
        }
    }

    fn lose(&mut self, shard: ShardId, how: LeaseEnd) {
        if let Some(held) = self.held.remove(&shard) {
            list::LEASES_LOST.of(how).increment(1);
            held.lease.end();
            self.events.push(LeaseEvent::Lost(shard));
        }
    }

    /// Gives a shard back. If the database can't be reached its lease runs out instead.
    pub(super) async fn release(&mut self, shard: ShardId) {
        let Some(held) = self.held.remove(&shard) else {
            return;
        };
        held.lease.end();
        if let Err(error) = leases::release(&self.store, held.lease.fence()).await {
            tracing::warn!(shard.id = shard.get(), error = %error, "can't give the shard back; its lease runs out");
        }
    }

    /// Takes this worker off the list.
    pub(super) async fn leave(&mut self) {
        self.leaving = true;
        self.release_all();
        if let Err(error) = leases::leave(&self.store, &self.worker).await {
            tracing::warn!(error = %error, "can't leave the list of workers; the entry runs out");
        }
    }

    pub(super) fn has_left(&self) -> bool {
        self.leaving && self.held.is_empty()
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// When the first lease ends unless it is renewed; a lease's time from now if there is none.
    pub(super) fn next_deadline(&self) -> Instant {
        let first = self.held.values().map(|held| held.lease.deadline()).min();
        first.unwrap_or_else(|| self.clock.now() + self.timing.ttl)
    }

    pub(super) fn take_events(&mut self) -> Vec<LeaseEvent> {
        std::mem::take(&mut self.events)
    }
}

/// Divides shards among workers, the same on every worker that sees the same list: each shard goes to the
/// worker that ranks highest for it and has room. No two workers' shares differ by more than one.
fn assign(workers: &[String], shards: impl Iterator<Item = ShardId>) -> HashMap<ShardId, String> {
    let shards: Vec<ShardId> = shards.collect();
    if workers.is_empty() {
        return HashMap::new();
    }
    let share = shards.len() / workers.len();
    let mut larger_shares = shards.len() % workers.len();
    let mut loads = vec![0; workers.len()];
    let mut plan = HashMap::with_capacity(shards.len());
    for shard in shards {
        let mut ranked: Vec<usize> = (0..workers.len()).collect();
        ranked.sort_by_cached_key(|at| std::cmp::Reverse(score(&workers[*at], shard)));
        let has_room = |at: &usize| loads[*at] < share || (loads[*at] == share && larger_shares > 0);
        let Some(chosen) = ranked.into_iter().find(has_room) else {
            continue;
        };
        if loads[chosen] == share {
            larger_shares -= 1;
        }
        loads[chosen] += 1;
        plan.insert(shard, workers[chosen].clone());
    }
    plan
}

fn score(worker: &str, shard: ShardId) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(shard.get().to_be_bytes())
        .chain_update(worker)
        .finalize();
    let mut score = [0; 8];
    score.copy_from_slice(&digest[..8]);
    score
}

#[cfg(test)]
mod tests;
