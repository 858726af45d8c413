//! Randomness, as a process hands it to its parts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Hands out generators of random numbers, good enough for keys. Cheap to clone.
#[derive(Clone)]
pub struct Randomness(Arc<Mutex<StdRng>>);

impl Randomness {
    /// From the operating system's.
    pub fn system() -> Self {
        Self::from(StdRng::from_rng(&mut rand::rng()))
    }

    /// The same at every run: for tests and simulations alone.
    pub fn seeded(seed: u64) -> Self {
        Self::from(StdRng::seed_from_u64(seed))
    }

    /// A generator of one's own.
    pub fn fork(&self) -> StdRng {
        StdRng::from_rng(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<StdRng> for Randomness {
    fn from(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }
}

impl fmt::Debug for Randomness {
    /// Its state would tell keys to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_generators_each_different() {
        let draws = |randomness: Randomness| [(); 2].map(|()| randomness.fork().random::<u64>());
        let [a, b] = draws(Randomness::seeded(1));
        assert_ne!(a, b);
        assert_eq!([a, b], draws(Randomness::seeded(1)));
        assert_ne!(draws(Randomness::system()), draws(Randomness::system()));
    }
}
