//! What the tests beside the code need: vectors, and randomness by script.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand::{TryCryptoRng, TryRng};

pub(crate) use crate::testing::{bytes, message_vector as vector};

/// Gives out these bytes, whole keys at a time, and fails the test if asked for more.
pub(crate) struct ScriptedRng(VecDeque<Vec<u8>>);

impl ScriptedRng {
    pub(crate) fn new(script: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(script.into_iter().collect())
    }
}

impl TryRng for ScriptedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the script holds keys only")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("the script holds keys only")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(
            &self
                .0
                .pop_front()
                .expect("more randomness was asked for than the vector holds"),
        );
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}
