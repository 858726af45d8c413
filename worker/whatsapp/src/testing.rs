//! The vectors of the wire, by name (`tests/vectors`).

use serde_json::Value;

/// The vector of this name in `tests/vectors/connection.json`.
pub(crate) fn vector(name: &str) -> Value {
    all()
        .into_iter()
        .find(|vector| vector["name"] == name)
        .unwrap_or_else(|| panic!("no vector {name}"))
}

/// All vectors of that file.
pub(crate) fn all() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../tests/vectors/connection.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

/// A hex field.
pub(crate) fn bytes(field: &Value) -> Vec<u8> {
    hex::decode(field.as_str().expect("hex text")).unwrap()
}

/// A hex field of 32 bytes.
pub(crate) fn bytes32(field: &Value) -> [u8; 32] {
    bytes(field).try_into().unwrap()
}

/// The vector of this name in `tests/vectors/state.json`.
pub(crate) fn state_vector(name: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../tests/vectors/state.json")).unwrap();
    file["vectors"][name].clone()
}

/// The vector of this id in `tests/vectors/messages.json`.
pub(crate) fn message_vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../tests/vectors/messages.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let found = vectors.iter().find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("no vector {id}")).clone()
}
