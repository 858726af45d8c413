//! Reads `tests/vectors/messages.json` for the tests beside the code.

use serde_json::Value;

/// The vector with this id.
pub(crate) fn vector(id: &str) -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/messages.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let found = all["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("no vector {id}")).clone()
}

/// The bytes of a hexadecimal field.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}
