//! Pieces of the history: whatever a phone shares is read to its end or refused, and tells no more than it has bytes for.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use whatsapp::event::HistoryCounts;
use whatsapp::read_history;

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = super::chosen(data, 3) else {
        return;
    };
    match kind {
        0 => drop(read_history(data.to_vec().into())),
        1 => unpacked(data, Compression::none()),
        _ => broken_off(data),
    }
}

/// A piece that says this.
fn unpacked(said: &[u8], level: Compression) {
    let packed = packed(said, level);
    let read = read_history(packed.clone().into());
    is_bounded(read, said);
    assert_eq!(read, read_history(packed.into()), "the same says the same");
}

/// The same, of which the end is missing.
fn broken_off(data: &[u8]) {
    let Some((at, said)) = data.split_first_chunk::<2>() else {
        return;
    };
    let whole = packed(said, Compression::fast());
    let at = usize::from(u16::from_be_bytes(*at)) % whole.len();
    is_bounded(read_history(whole[..at].to_vec().into()), said);
    unpacked(said, Compression::fast());
}

/// Each pass tells an entry once at most, and no entry has no bytes.
fn is_bounded(read: Option<HistoryCounts>, said: &[u8]) {
    let Some(counts) = read else {
        return;
    };
    let most = 2 * said.len() as u64;
    assert!(counts.chats <= most && counts.contacts <= most, "{counts:?}");
    assert!(counts.messages + counts.skipped <= most, "{counts:?}");
}

fn packed(said: &[u8], level: Compression) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), level);
    packed.write_all(said).expect("memory takes it");
    packed.finish().expect("memory takes it")
}
