//! Reads `tests/vectors/messages.json` for the tests beside the code.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

/// The vector with this id.
pub(crate) fn vector(id: &str) -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/messages.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let found = all["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("no vector {id}")).clone()
}

/// The bytes of a hexadecimal field.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

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
