//! The vectors of the wire that speak of files.

use serde_json::Value;

/// A hex field.
pub(crate) fn bytes(field: &Value) -> Vec<u8> {
    hex::decode(field.as_str().expect("hex text")).unwrap()
}

/// A hex field of 32 bytes.
pub(crate) fn bytes32(field: &Value) -> [u8; 32] {
    bytes(field).try_into().unwrap()
}

/// The vector of this name in `state.json`.
pub(crate) fn state_vector(name: &str) -> Value {
    let file: Value =
        serde_json::from_str(include_str!("../../../worker/whatsapp/tests/vectors/state.json")).unwrap();
    file["vectors"][name].clone()
}

/// The vector of this id in `messages.json`.
pub(crate) fn message_vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!(
        "../../../worker/whatsapp/tests/vectors/messages.json"
    ))
    .unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let found = vectors.iter().find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("no vector {id}")).clone()
}
