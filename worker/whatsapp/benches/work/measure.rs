//! Timing of two sides in turns, so that a busy machine disturbs both alike.

use std::time::Instant;

/// How often each side has its turn.
pub const ROUNDS: usize = 201;

/// What one side needed, over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Figure {
    /// The figure of some samples, of which there is at least one.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            median: samples[samples.len() / 2],
            min: samples[0],
            max: samples[samples.len() - 1],
        }
    }

    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            min: self.min * factor,
            max: self.max * factor,
        }
    }
}

/// Measures two sides; each call is one round and returns nanoseconds per run (see [`timed`]).
pub fn side_by_side(mut ours: impl FnMut() -> f64, mut floor: impl FnMut() -> f64) -> (Figure, Figure) {
    let (mut left, mut right) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    // One round each warms caches and allocator.
    ours();
    floor();
    for _ in 0..ROUNDS {
        left.push(ours());
        right.push(floor());
    }
    (Figure::of(left), Figure::of(right))
}

/// Measures one side.
pub fn alone(mut run: impl FnMut() -> f64) -> Figure {
    run();
    Figure::of((0..ROUNDS).map(|_| run()).collect())
}

/// Nanoseconds per run.
pub fn timed(runs: u32, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

/// Prints a comparison as one JSON object.
#[allow(clippy::print_stdout)]
pub fn print_comparison(name: &str, (ours, floor): (Figure, Figure), target: f64) {
    let ratio = ours.median / floor.median;
    println!(
        r#"{{"bench":"{name}","ns":{:.0},"floor_ns":{:.0},"ratio":{ratio:.2},"target":{target},"met":{}}}"#,
        ours.median,
        floor.median,
        ratio <= target
    );
}
