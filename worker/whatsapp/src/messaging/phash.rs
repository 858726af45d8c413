//! The hash by which the server tells that its list of a message's devices differs from ours.
//!
//! Facts: docs/PROTOCOL.md, "Device hash".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use crate::jid::Jid;

/// The hash over all devices of a message, the sending one too.
pub(super) fn of<'a>(devices: impl Iterator<Item = &'a Jid>) -> String {
    let name = |jid: &Jid| format!("{}.0:{}@{}", jid.user(), jid.device(), jid.server());
    let mut names: Vec<String> = devices.map(name).collect();
    names.sort_unstable();
    let digest = Sha256::digest(names.concat());
    format!("2:{}", STANDARD_NO_PAD.encode(&digest[..HASHED_BYTES]))
}

/// How many bytes of the digest count.
const HASHED_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::test_vectors::vector;

    #[test]
    fn hashes_are_those_of_the_vector() {
        for row in vector("phash")["rows"].as_array().unwrap() {
            let devices: Vec<Jid> = row["devices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|jid| jid.as_str().unwrap().parse().unwrap())
                .collect();
            assert_eq!(of(devices.iter()), row["phash"]);
        }
        assert_eq!(of(std::iter::empty()), "2:47DEQpj8");
    }
}
