//! Whether a film lies on its side. Phones record upright ones so, and say in the container that they are to be turned when
//! they are shown; who reads the container for its sounds and sizes leaves that out.
//!
//! ISO/IEC 14496-12: boxes of a size, a kind and what lies in them; `moov` holds a `trak` for each track, which holds its
//! `tkhd` with the matrix.

use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::source::Source;

/// Where the matrices are.
const PATH: [[u8; 4]; 3] = [*b"moov", *b"trak", *b"tkhd"];
/// Most bytes of a `tkhd`.
const HEADER_BYTES: u64 = 96;
/// Boxes that are looked at in one place, at most.
const BOXES_MAX: usize = 10_000;

/// Whether it is a film of this container, and lies on its side.
pub(super) fn lies(mut source: Source) -> bool {
    let until = source.length();
    lies_within(&mut source, &PATH, (0, until)).unwrap_or(false)
}

/// Whether a matrix at this path says so.
fn lies_within(source: &mut Source, path: &[[u8; 4]], (mut at, until): (u64, u64)) -> io::Result<bool> {
    let Some((kind, deeper)) = path.split_first() else {
        return is_turned(source, (at, until));
    };
    for _ in 0..BOXES_MAX {
        let Some(found) = next(source, (at, until))? else {
            break;
        };
        if found.kind == *kind && lies_within(source, deeper, (found.begin, found.end))? {
            return Ok(true);
        }
        at = found.end;
    }
    Ok(false)
}

/// A box.
struct Found {
    kind: [u8; 4],
    begin: u64,
    end: u64,
}

/// The box at a place, which ends before another.
fn next(source: &mut Source, (at, until): (u64, u64)) -> io::Result<Option<Found>> {
    if until.saturating_sub(at) < 8 {
        return Ok(None);
    }
    source.seek(SeekFrom::Start(at))?;
    let [mut size, mut kind] = [[0; 4]; 2];
    source.read_exact(&mut size)?;
    source.read_exact(&mut kind)?;
    let (head, size) = match u32::from_be_bytes(size) {
        0 => (8, until - at),
        1 => {
            let mut size = [0; 8];
            source.read_exact(&mut size)?;
            (16, u64::from_be_bytes(size))
        }
        size => (8, u64::from(size)),
    };
    let end = at.checked_add(size).filter(|end| size >= head && *end <= until);
    let begin = at + head;
    Ok(end.map(|end| Found { kind, begin, end }))
}

/// Whether the matrix of a `tkhd` turns by a quarter: it takes across what was up, and up what was across.
fn is_turned(source: &mut Source, (begin, end): (u64, u64)) -> io::Result<bool> {
    let mut header = Vec::new();
    source.seek(SeekFrom::Start(begin))?;
    source
        .take((end - begin).min(HEADER_BYTES))
        .read_to_end(&mut header)?;
    let matrix = match header.first() {
        Some(0) => 40,
        Some(1) => 52,
        _ => return Ok(false),
    };
    let is_some = |place: usize| {
        let at = matrix + place * 4;
        header.get(at..at + 4).is_some_and(|number| number != [0; 4])
    };
    // a b u, c d v, x y w.
    Ok(!is_some(0) && is_some(1) && is_some(3) && !is_some(4))
}
