//! The token dictionaries, and the way from a word to its token.
//!
//! Both tables are made by the compiler from `tokens.json`, which holds version 3 of the dictionaries.

/// Version of the dictionaries, also the last byte of the connection header.
pub const DICTIONARY_VERSION: u8 = 3;

/// A word of the dictionaries: 1 to 235 are single tokens, from 256 on four dictionaries of 256 double
/// tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(u16);

impl Token {
    /// Stands for the empty text; never on the wire.
    pub(super) const EMPTY: Self = Self(0);

    /// The token of a word, if it has one.
    #[inline]
    pub(super) fn of(word: &str) -> Option<Self> {
        if word.is_empty() || word.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut slot = hash(word.as_bytes());
        loop {
            let index = SLOTS[slot];
            if index == 0 {
                return None;
            }
            if WORDS[index as usize & INDEX_MASK] == word {
                return Some(Self(index));
            }
            slot = (slot + 1) % SLOT_COUNT;
        }
    }

    /// A single token, if the byte is one.
    #[inline]
    pub(super) const fn single(byte: u8) -> Option<Self> {
        if byte == 0 || byte as usize >= SINGLE_COUNT {
            None
        } else {
            Some(Self(byte as u16))
        }
    }

    /// A double token of dictionary 0 to 3.
    #[inline]
    pub(super) const fn double(dictionary: u8, index: u8) -> Self {
        Self(DOUBLE_BASE + ((dictionary as u16 & 3) << 8) + index as u16)
    }

    /// The dictionary (`None` for a single token) and the index in it.
    #[inline]
    pub(super) const fn parts(self) -> (Option<u8>, u8) {
        let [high, low] = self.0.to_be_bytes();
        (high.checked_sub(1), low)
    }

    /// The word.
    #[inline]
    pub(super) const fn as_str(self) -> &'static str {
        WORDS[self.0 as usize & INDEX_MASK]
    }
}

const SINGLE_COUNT: usize = 236;
const DOUBLE_BASE: u16 = 256;
/// Word table: 256 single slots (the last 20 unused), 4 x 256 double ones, filled to a power of two so that a
/// masked index needs no bounds check.
const WORD_COUNT: usize = 2048;
const INDEX_MASK: usize = WORD_COUNT - 1;
const MAX_TOKEN_BYTES: usize = 48;
/// Open addressing with linear probing, under a third full.
const SLOT_COUNT: usize = 4096;

static WORDS: [&str; WORD_COUNT] = parse(include_str!("tokens.json"));
static SLOTS: [u16; SLOT_COUNT] = fill(&parse(include_str!("tokens.json")));

/// Reads every quoted string of `{"single":[…],"double":[[…],…]}` in order. The words hold no quotes and no
/// escapes.
#[allow(long_running_const_eval)]
const fn parse(json: &'static str) -> [&'static str; WORD_COUNT] {
    let bytes = json.as_bytes();
    let mut words = [""; WORD_COUNT];
    let mut seen = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let start = at + 1;
        let mut end = start;
        while bytes[end] != b'"' {
            end += 1;
        }
        at = end + 1;
        // The two object keys are the strings that a colon follows.
        if bytes[at] == b':' {
            continue;
        }
        let index = if seen < SINGLE_COUNT {
            seen
        } else {
            seen - SINGLE_COUNT + DOUBLE_BASE as usize
        };
        words[index] = json.split_at(end).0.split_at(start).1;
        seen += 1;
    }
    assert!(seen == SINGLE_COUNT + 4 * 256);
    words
}

#[allow(long_running_const_eval)]
const fn fill(words: &[&'static str; WORD_COUNT]) -> [u16; SLOT_COUNT] {
    let mut slots = [0; SLOT_COUNT];
    let mut index = 1;
    while index < WORD_COUNT {
        let word = words[index].as_bytes();
        if !word.is_empty() {
            assert!(word.len() <= MAX_TOKEN_BYTES);
            let mut slot = hash(word);
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOT_COUNT;
            }
            slots[slot] = index as u16;
        }
        index += 1;
    }
    slots
}

/// Mixes length, head and tail of a word, which may not be empty.
#[inline]
const fn hash(word: &[u8]) -> usize {
    let (head, tail) = if let (Some(head), Some(tail)) = (word.first_chunk::<8>(), word.last_chunk::<8>()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (word.first_chunk::<4>(), word.last_chunk::<4>()) {
        (u32::from_le_bytes(*head) as u64, u32::from_le_bytes(*tail) as u64)
    } else {
        (
            word[0] as u64,
            ((word[word.len() / 2] as u64) << 8) | word[word.len() - 1] as u64,
        )
    };
    let mixed = (head ^ (word.len() as u64)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ tail.rotate_left(23).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOT_COUNT.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    fn words() -> impl Iterator<Item = &'static str> {
        WORDS[..SINGLE_COUNT]
            .iter()
            .chain(&WORDS[256..256 + 1024])
            .copied()
    }

    #[test]
    fn tables_are_version_3() {
        let joined = words().collect::<Vec<_>>().join("\n");
        assert_eq!(
            hex::encode(Sha256::digest(joined)),
            "cfe8fcd3ef24f232ec7df9824e1baa277f6a736543efc0e5f48aa46abb0f8cd0"
        );
    }

    #[test]
    fn every_word_finds_its_token() {
        for word in words().filter(|word| !word.is_empty()) {
            assert_eq!(Token::of(word).map(Token::as_str), Some(word));
        }
        assert!(Token::of("").is_none());
        assert!(Token::of("fanfare").is_none());
        assert!(Token::of(&"x".repeat(49)).is_none());
    }

    #[test]
    fn token_parts_are_the_wire_bytes() {
        assert_eq!(Token::of("s.whatsapp.net").map(Token::parts), Some((None, 3)));
        assert_eq!(
            Token::of("2:47DEQpj8").map(|token| token.parts().0.is_some()),
            Some(true)
        );
        assert!(Token::single(0).is_none() && Token::single(236).is_none());
        let token = Token::double(3, 255);
        assert_eq!(token.parts(), (Some(3), 255));
    }
}
