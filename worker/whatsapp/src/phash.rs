//! The hash of a list of devices, with which server and clients notice that theirs differ.
//!
//! Facts: docs/PROTOCOL.md, "Device hash".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::jid::Jid;

/// Bytes of the digest that are told.
const HASH_BYTES: usize = 6;

/// The hash (`2:` and 8 characters) of a set of devices in any order.
#[must_use]
pub fn devices_hash<'a>(devices: impl IntoIterator<Item = &'a Jid>) -> String {
    let mut names: Vec<String> = devices
        .into_iter()
        .map(|jid| format!("{}.0:{}@{}", jid.user(), jid.device(), jid.server()))
        .collect();
    names.sort_unstable();
    let mut digest = Sha256::new();
    for name in &names {
        digest.update(name);
    }
    format!("2:{}", STANDARD_NO_PAD.encode(&digest.finalize()[..HASH_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vector;

    #[test]
    fn hashes_are_those_of_the_vector_in_any_order() {
        for case in vector("phash.v2.server")["cases"].as_array().unwrap() {
            let mut jids: Vec<Jid> = case["jids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|jid| jid.as_str().unwrap().parse().unwrap())
                .collect();
            assert_eq!(devices_hash(&jids), case["phash"].as_str().unwrap());
            jids.reverse();
            assert_eq!(devices_hash(&jids), case["phash"].as_str().unwrap());
        }
    }

    #[test]
    fn hashes_are_those_of_the_messages_vector() {
        for row in crate::signal::testing::vector("phash")["rows"]
            .as_array()
            .unwrap()
        {
            let devices: Vec<Jid> = row["devices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|jid| jid.as_str().unwrap().parse().unwrap())
                .collect();
            assert_eq!(devices_hash(&devices), row["phash"].as_str().unwrap());
        }
        assert_eq!(devices_hash([]), "2:47DEQpj8");
    }
}
