//! Reading and writing the bytes that Signal messages and our stored records are made of.
//!
//! Owns variable-length integers, fixed arrays and the few protobuf shapes that Signal needs. Messages are read in place
//! and written into one buffer of the right size, which generated protobuf code can't do.

/// The bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Message version 3, highest version 3: the only one WhatsApp speaks.
pub(super) const VERSION: u8 = 0x33;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Takes bytes from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed)
    }

    /// A list of at most `max` things that take at least `min_size_bytes` each. A count of more than that, or of more than
    /// can be left, is refused before anything is allocated for them.
    pub(super) fn list<T, L: FromIterator<T>>(
        &mut self,
        max: usize,
        min_size_bytes: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<L, Malformed> {
        let count = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        if count > max.min(self.0.len() / min_size_bytes) {
            return Err(Malformed);
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// Refuses what follows the end.
    pub(super) const fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// A protobuf field's value.
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn u32(&self) -> Result<u32, Malformed> {
        match self {
            // Protobuf says to keep the low bits of an integer that is too wide.
            Self::Number(value) => Ok(*value as u32),
            Self::Bytes(_) => Err(Malformed),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Malformed),
        }
    }
}

/// Calls `each` for every field of a protobuf message; what it does not know it ignores. Later values of one field
/// replace earlier ones.
pub(super) fn read_fields<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let key = reader.varint()?;
        match (key & 7) as u32 {
            VARINT => each(key >> 3, Value::Number(reader.varint()?))?,
            LENGTH => {
                let len = usize::try_from(reader.varint()?).map_err(|_| Malformed)?;
                each(key >> 3, Value::Bytes(reader.bytes(len)?))?;
            }
            FIXED64 => drop(reader.bytes(8)?),
            FIXED32 => drop(reader.bytes(4)?),
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

/// Splits the version byte off and checks it: message version at least 3, highest version at most 3.
pub(super) fn split_version(bytes: &[u8]) -> Result<&[u8], VersionError> {
    let (version, rest) = bytes.split_first().ok_or(VersionError::Empty)?;
    if version >> 4 >= 3 && version & 15 <= 3 {
        Ok(rest)
    } else {
        Err(VersionError::Unsupported(*version))
    }
}

/// Why [`split_version`] refused.
pub(super) enum VersionError {
    Empty,
    Unsupported(u8),
}

/// Appends a variable-length integer.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, value: impl Into<u64>) {
    let mut value = value.into();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] appends.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends an integer field. Zero is written too: the vectors say so.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, field: u8, value: u32) {
    out.push(field << 3);
    put_varint(out, value);
}

/// How many bytes [`put_number`] appends for a field below 16.
#[inline]
pub(super) const fn number_len(value: u32) -> usize {
    1 + varint_len(value as u64)
}

/// Appends a bytes field.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_bytes_header(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends what comes before the content of a bytes field.
#[inline]
pub(super) fn put_bytes_header(out: &mut Vec<u8>, field: u8, len: usize) {
    out.push(field << 3 | LENGTH as u8);
    put_varint(out, len as u64);
}

/// How many bytes [`put_bytes`] appends for a field below 16.
#[inline]
pub(super) const fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_their_length_is_known() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
    }

    #[test]
    fn cut_and_overlong_input_is_malformed() {
        assert_eq!(Reader::new(&[0x80]).varint(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(Malformed));
        assert_eq!(read_fields(&[0x0a, 5, 1], |_, _| Ok(())), Err(Malformed));
        assert_eq!(read_fields(&[0x0b], |_, _| Ok(())), Err(Malformed));
        let listed = Reader::new(&[0xff, 0xff, 3]).list::<_, Vec<_>>(usize::MAX, 32, Reader::byte);
        assert_eq!(listed, Err(Malformed));
        assert_eq!(Reader::new(&[2, 7, 7]).list(2, 1, Reader::byte), Ok(vec![7, 7]));
        assert_eq!(
            Reader::new(&[2, 7, 7]).list::<_, Vec<_>>(1, 1, Reader::byte),
            Err(Malformed)
        );
        // Unknown fields of every kind are skipped.
        let skipped = [
            0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4, 0x7a, 1, 9, 0x78, 1,
        ];
        assert_eq!(read_fields(&skipped, |_, _| Ok(())), Ok(()));
    }
}
