//! What comes from the other side of the wire, read from any bytes at all: each target takes some, and panics where a
//! promise of the library does not hold.
//!
//! The corpus in `tests/corpus` goes through them with every run of the tests; `deploy/fuzz.sh` looks for more of it.

mod app_state;
mod history;
mod media;
mod node;
mod protobuf;
mod signal;

/// A target takes any bytes.
type Target = fn(&[u8]);

/// The targets by their names, which are those of their corpora.
pub(crate) const TARGETS: [(&str, Target); 6] = [
    ("node", node::run),
    ("protobuf", protobuf::run),
    ("signal", signal::run),
    ("media", media::run),
    ("app_state", app_state::run),
    ("history", history::run),
];

/// The first byte, which chooses what is done with the others.
fn chosen(data: &[u8], of: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((first % of, rest))
}

/// These bytes with one of them changed: which, and how, the first three of `how` say. `None` where nothing would be.
fn spoiled(bytes: &[u8], how: &[u8]) -> Option<Vec<u8>> {
    let [high, low, change] = *how.first_chunk()?;
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
    let mut spoiled = bytes.to_vec();
    *spoiled.get_mut(at)? ^= change;
    (change != 0).then_some(spoiled)
}
