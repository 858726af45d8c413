//! The hash over the keys that a server holds is that of the vector (`tests/vectors/connection.json`).

use serde_json::Value;
use whatsapp::signal::SignedPreKeyId;
use whatsapp::signal::curve::PublicKey;
use whatsapp::stanza::keys::{PublicSignedPreKey, digest_hash};

#[test]
fn digest_of_the_keys_is_that_of_the_vector() {
    let file: Value = serde_json::from_str(include_str!("vectors/connection.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors
        .iter()
        .find(|vector| vector["name"] == "prekey.digest")
        .unwrap();
    let bytes = |field: &Value| hex::decode(field.as_str().unwrap()).unwrap();
    let key = |field: &Value| PublicKey::parse(&bytes(field)).unwrap();
    let signed = PublicSignedPreKey {
        id: SignedPreKeyId::FIRST,
        key: key(&vector["skey_pub"]),
        signature: bytes(&vector["skey_sig"]).try_into().unwrap(),
    };
    let prekeys: Vec<PublicKey> = vector["prekey_pubs"]
        .as_array()
        .unwrap()
        .iter()
        .map(key)
        .collect();
    let hash = digest_hash(&key(&vector["identity_pub"]), &signed, prekeys.iter());
    assert_eq!(hex::encode(hash), vector["sha1"].as_str().unwrap());
}
