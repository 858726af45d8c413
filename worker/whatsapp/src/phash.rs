//! The hash of a list of devices, with which server and clients notice that theirs differ.
//!
//! Facts: docs/PROTOCOL.md, "Device hash".

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use compact_str::ToCompactString as _;
use sha2::{Digest as _, Sha256};

use crate::jid::Jid;

/// Bytes of the digest that are told.
const HASH_BYTES: usize = 6;

/// The hash (`2:` and 8 characters) of a set of devices in any order.
#[must_use]
pub fn devices_hash<'a>(devices: impl IntoIterator<Item = &'a Jid>) -> String {
    let mut text = String::new();
    let mut names: Vec<Range<usize>> = Vec::new();
    for jid in devices {
        let start = text.len();
        text.push_str(jid.user());
        text.push_str(".0:");
        text.push_str(&jid.device().to_compact_string());
        text.push('@');
        text.push_str(jid.server().as_str());
        names.push(start..text.len());
    }
    names.sort_unstable_by(|one, other| text[one.clone()].cmp(&text[other.clone()]));
    let mut digest = Sha256::new();
    for name in names {
        digest.update(&text[name]);
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
