//! The part of a file that a client asks for (RFC 9110, section 14): one range of bytes.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: there is no such header, or none that is understood.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Nothing,
}

/// Reads a `Range` header for a file of this length. More than one range counts as none: the whole file answers that too.
pub fn read(header: Option<&str>, length: u64) -> Asked {
    let asked = header.and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((from, to)) = asked
        .filter(|asked| !asked.contains(','))
        .and_then(|asked| asked.split_once('-'))
    else {
        return Asked::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    let part = match (from.trim(), to.trim()) {
        ("", last) => match number(last) {
            Ok(last) => length.saturating_sub(last)..length,
            Err(_) => return Asked::Whole,
        },
        (from, "") => match number(from) {
            Ok(from) => from..length,
            Err(_) => return Asked::Whole,
        },
        (from, to) => match (number(from), number(to)) {
            (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(length),
            _ => return Asked::Whole,
        },
    };
    match part.start < part.end {
        true => Asked::Part(part),
        false => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_as_the_standard_says() {
        for (header, asked) in [
            (None, Asked::Whole),
            (Some("bytes=0-0"), Asked::Part(0..1)),
            (Some("bytes=2-5"), Asked::Part(2..6)),
            (Some("bytes=2-"), Asked::Part(2..10)),
            (Some("bytes=-3"), Asked::Part(7..10)),
            (Some("bytes=-30"), Asked::Part(0..10)),
            (Some("bytes=5-99"), Asked::Part(5..10)),
            (Some("bytes=9-18446744073709551615"), Asked::Part(9..10)),
            (Some("bytes=10-"), Asked::Nothing),
            (Some("bytes=10-12"), Asked::Nothing),
            (Some("bytes=-0"), Asked::Nothing),
            (Some("bytes=5-2"), Asked::Whole),
            (Some("bytes=0-1,4-5"), Asked::Whole),
            (Some("bytes=x-1"), Asked::Whole),
            (Some("lines=0-1"), Asked::Whole),
        ] {
            assert_eq!(read(header, 10), asked, "{header:?}");
        }
        assert_eq!(read(Some("bytes=0-"), 0), Asked::Nothing);
    }
}
