//! Commands on queues, in lines: which may begin, which wait, which are put back.
//!
//! One command of a queue is carried out at a time, those of different queues side by side. A session whose commands
//! take long keeps [`HELD_MAX`] of them and puts the others back, to return in a moment: it must not keep all the
//! jobs that its shard may have on their way. What was put back keeps its order: until the first of a queue has come
//! back, later ones of the same queue are put back too. Knows neither jobs nor the database.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use shared::id::QueueId;
use tokio::time::Instant;

/// The lines of one session: `W` waits, `C` is being carried out.
#[derive(Debug)]
pub(super) struct Lines<W, C> {
    lines: HashMap<QueueId, Line<W, C>>,
    /// Queues whose next command may begin, in the order in which it came.
    ready: VecDeque<QueueId>,
    begun: usize,
    waiting: usize,
    /// The turns that were put back of a queue, the first in front, and when.
    away: HashMap<QueueId, VecDeque<(String, Instant)>>,
}

#[derive(Debug)]
struct Line<W, C> {
    current: Option<(Instant, C)>,
    waiting: VecDeque<W>,
}

impl<W, C> Default for Lines<W, C> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            ready: VecDeque::new(),
            begun: 0,
            waiting: 0,
            away: HashMap::new(),
        }
    }
}

impl<W, C> Lines<W, C> {
    /// Whether no command waits or is being carried out.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A command comes, perhaps back under its turn. Answers it if it is to be put back, and under which turn.
    pub(super) fn arrive(
        &mut self,
        queue: QueueId,
        command: W,
        turn: Option<String>,
        now: Instant,
        new_turn: impl FnOnce() -> String,
    ) -> Option<(W, String)> {
        let full = self.waiting + self.begun >= HELD_MAX && self.is_slow(now);
        let away = self.away.entry(queue).or_default();
        // One that does not come back must not keep the others away.
        while away
            .front()
            .is_some_and(|(_, since)| *since + FORGET_AFTER <= now)
        {
            away.pop_front();
        }
        let place = turn
            .as_ref()
            .and_then(|turn| away.iter().position(|(other, _)| other == turn));
        if !full && (away.is_empty() || place == Some(0)) {
            away.pop_front();
            if away.is_empty() {
                self.away.remove(&queue);
            }
            self.push(queue, command);
            return None;
        }
        let turn = turn.unwrap_or_else(new_turn);
        match place.and_then(|place| away.get_mut(place)) {
            Some((_, since)) => *since = now,
            None => away.push_back((turn.clone(), now)),
        }
        Some((command, turn))
    }

    /// What waits behind slow commands, to be put back.
    pub(super) fn overdue(&mut self, now: Instant, mut new_turn: impl FnMut() -> String) -> Vec<(W, String)> {
        if self.waiting + self.begun <= HELD_MAX || !self.is_slow(now) {
            return Vec::new();
        }
        let mut overdue = Vec::with_capacity(self.waiting);
        for (queue, line) in &mut self.lines {
            let away = self.away.entry(*queue).or_default();
            // The last first: it was the last to come, and those that are away came behind it.
            let first = overdue.len();
            while let Some(command) = line.waiting.pop_back() {
                let turn = new_turn();
                away.push_front((turn.clone(), now));
                overdue.push((command, turn));
            }
            overdue[first..].reverse();
            if away.is_empty() {
                self.away.remove(queue);
            }
        }
        self.waiting = 0;
        self.ready.clear();
        self.lines.retain(|_, line| line.current.is_some());
        overdue
    }

    /// When to ask for what is overdue.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        (self.waiting + self.begun > HELD_MAX)
            .then(|| self.slow_at())
            .flatten()
    }

    /// The next queue whose command may begin, unless it is blocked.
    pub(super) fn next_ready(&mut self, blocked: impl Fn(QueueId) -> bool) -> Option<QueueId> {
        if self.begun >= HELD_MAX {
            return None;
        }
        let at = self.ready.iter().position(|queue| !blocked(*queue))?;
        self.ready.remove(at)
    }

    /// Begins with the next command of a queue.
    pub(super) fn begin(&mut self, queue: QueueId, now: Instant, begin: impl FnOnce(W) -> C) -> bool {
        let Some(line) = self.lines.get_mut(&queue) else {
            return false;
        };
        let Some(command) = line.waiting.pop_front() else {
            return false;
        };
        line.current = Some((now, begin(command)));
        self.waiting -= 1;
        self.begun += 1;
        true
    }

    /// The command of a queue that is being carried out.
    pub(super) fn current(&mut self, queue: QueueId) -> Option<&mut C> {
        let (_, current) = self.lines.get_mut(&queue)?.current.as_mut()?;
        Some(current)
    }

    /// The command of a queue that was being carried out is over: the next one may begin.
    pub(super) fn finish(&mut self, queue: QueueId) -> Option<C> {
        let line = self.lines.get_mut(&queue)?;
        let (_, current) = line.current.take()?;
        self.begun -= 1;
        if line.waiting.is_empty() {
            self.lines.remove(&queue);
        } else {
            self.ready.push_back(queue);
        }
        Some(current)
    }

    fn push(&mut self, queue: QueueId, command: W) {
        let line = self.lines.entry(queue).or_insert_with(|| Line {
            current: None,
            waiting: VecDeque::new(),
        });
        line.waiting.push_back(command);
        self.waiting += 1;
        if line.current.is_none() && line.waiting.len() == 1 {
            self.ready.push_back(queue);
        }
    }

    fn slow_at(&self) -> Option<Instant> {
        let begun = self.lines.values().filter_map(|line| line.current.as_ref());
        begun.map(|(since, _)| *since + SLOW_AFTER).min()
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.slow_at().is_some_and(|at| at <= now)
    }
}

/// Most commands that a session keeps while one of them takes long; a share of what its shard may have on its way.
pub(super) const HELD_MAX: usize = 16;
/// A command that is being carried out for longer is slow.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(1);
/// A command that was put back and is away for longer does not come back: its shard had another owner meanwhile.
const FORGET_AFTER: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    type Numbered = Lines<u32, u32>;

    /// Sends a command through until it is taken or put back; turns are named after commands.
    fn arrive(lines: &mut Numbered, queue: QueueId, (command, back): (u32, bool), now: Instant) -> bool {
        let turn = back.then(|| command.to_string());
        let put_back = lines.arrive(queue, command, turn, now, || command.to_string());
        assert!(
            put_back
                .as_ref()
                .is_none_or(|(same, turn)| *same == command && *turn == command.to_string())
        );
        put_back.is_none()
    }

    fn run(lines: &mut Numbered, now: Instant) -> Vec<(QueueId, u32)> {
        let mut begun = Vec::new();
        while let Some(queue) = lines.next_ready(|_| false) {
            assert!(lines.begin(queue, now, |command| command));
            begun.push((queue, *lines.current(queue).unwrap()));
        }
        begun
    }

    #[test]
    fn commands_of_one_queue_wait_for_each_other_and_not_for_another_queue() {
        let (a, b, now) = (
            shared::testing::queue_id(),
            shared::testing::queue_id(),
            Instant::now(),
        );
        let mut lines = Numbered::default();
        for (queue, command) in [(a, 1), (a, 2), (b, 3)] {
            assert!(arrive(&mut lines, queue, (command, false), now));
        }
        assert_eq!(run(&mut lines, now), [(a, 1), (b, 3)]);
        assert_eq!(lines.finish(a), Some(1));
        assert_eq!(run(&mut lines, now), [(a, 2)]);
        assert_eq!((lines.finish(a), lines.finish(b)), (Some(2), Some(3)));
        assert!(lines.is_empty() && lines.finish(a).is_none());
    }

    #[test]
    fn a_quick_session_keeps_all_that_comes() {
        let now = Instant::now();
        let mut lines = Numbered::default();
        for command in 0..200 {
            assert!(arrive(
                &mut lines,
                shared::testing::queue_id(),
                (command, false),
                now
            ));
        }
        assert!(lines.overdue(now, String::new).is_empty());
        assert_eq!(run(&mut lines, now).len(), HELD_MAX);
    }

    #[test]
    fn a_slow_session_keeps_its_share_and_the_others_come_back_in_their_order() {
        let (queue, mut now) = (shared::testing::queue_id(), Instant::now());
        let mut lines = Numbered::default();
        for command in 0..20 {
            assert!(arrive(&mut lines, queue, (command, false), now));
        }
        assert_eq!(run(&mut lines, now), [(queue, 0)]);
        assert_eq!(lines.overdue_at(), Some(now + SLOW_AFTER));
        now += SLOW_AFTER;
        let mut turns = 1..;
        let overdue = lines.overdue(now, || turns.next().unwrap().to_string());
        let commands: Vec<_> = overdue.iter().map(|(command, _)| *command).collect();
        assert_eq!(commands, (1..20).collect::<Vec<_>>());
        assert_eq!(lines.overdue_at(), None);
        // A fresh one stays behind those that are away, though there is room for it.
        assert!(!arrive(&mut lines, queue, (20, false), now));
        // They come back out of order: only the first of them is taken.
        let mut away: Vec<(u32, String)> = overdue;
        away.push((20, "20".to_owned()));
        away.rotate_left(7);
        assert_eq!(lines.finish(queue), Some(0));
        let (mut done, mut laps) = (vec![], 0);
        while !away.is_empty() {
            laps += 1;
            assert!(laps < 50, "{away:?}");
            for (command, turn) in std::mem::take(&mut away) {
                let back = lines.arrive(queue, command, Some(turn), now, String::new);
                away.extend(back);
            }
            for (queue, command) in run(&mut lines, now) {
                done.push(command);
                lines.finish(queue);
            }
            while lines
                .next_ready(|_| false)
                .is_some_and(|queue| lines.begin(queue, now, |command| command))
            {
                done.extend(lines.finish(queue));
            }
        }
        while let Some(queue) = lines.next_ready(|_| false) {
            lines.begin(queue, now, |command| command);
            done.extend(lines.finish(queue));
        }
        assert_eq!(done, (1..=20).collect::<Vec<_>>());
        assert!(lines.is_empty() && lines.away.is_empty());
    }

    #[test]
    fn one_that_never_comes_back_keeps_nobody_away_for_long() {
        let (queue, now) = (shared::testing::queue_id(), Instant::now());
        let mut lines = Numbered::default();
        for command in 0..20 {
            arrive(&mut lines, queue, (command, false), now);
        }
        run(&mut lines, now);
        lines.overdue(now + SLOW_AFTER, || "gone".to_owned());
        lines.finish(queue);
        assert!(!arrive(&mut lines, queue, (20, false), now + SLOW_AFTER));
        assert!(arrive(
            &mut lines,
            queue,
            (20, true),
            now + SLOW_AFTER + FORGET_AFTER
        ));
    }
}
