//! Recipients that were sent to in vain and wait for another attempt, behind all others of their queue.

use shared::id::{QueueId, StanzaId};
use tokio::time::Instant;

use super::{Queue, Queues};
use crate::session::target::Target;

impl Queue {
    /// One that was sent to in vain waits until then.
    pub(super) fn put_late(&mut self, at: Option<Instant>, target: Target) {
        let place = self.late.partition_point(|(other, _)| *other <= at);
        self.late.insert(place, (at, target));
    }
}

impl Queues {
    /// A recipient in hand was sent to in vain: it stands behind all others, until then at least.
    pub(crate) fn give_back_late(&mut self, id: QueueId, target: Target, at: Instant) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.in_hand = queue.in_hand.saturating_sub(1);
            queue.put_late(Some(at), target);
        }
    }

    /// When the first of those that were sent to in vain may be again, and how often it was.
    pub(crate) fn next_late(&self) -> Option<(Instant, u16)> {
        let running = self.all.values().filter(|queue| queue.is_running());
        let first = running.filter_map(|queue| queue.late.front());
        let first = first.filter_map(|(at, target)| Some(((*at)?, target.attempts)));
        first.min()
    }

    /// Takes the recipient that was sent this message in vain, if it waits to be sent to again.
    pub(crate) fn take_repeat(&mut self, stanza: &StanzaId) -> Option<(QueueId, Target)> {
        let is_it = |target: &Target| target.again && target.stanza.as_ref() == Some(stanza);
        let mut running = self.all.values_mut().filter(|queue| queue.is_running());
        running.find_map(|queue| {
            let target = if let Some(at) = queue.late.iter().position(|(_, target)| is_it(target)) {
                queue.late.remove(at)?.1
            } else {
                // Those that were cut off stand before all others.
                let mut cut_off = queue.page.iter().take_while(|target| target.again);
                let at = cut_off.position(is_it)?;
                queue.page.remove(at)?
            };
            queue.in_hand += 1;
            Some((queue.id, target))
        })
    }
}
