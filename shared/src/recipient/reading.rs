//! Phone numbers as people write them: which digits are meant.
//!
//! Country codes, trunk prefixes and lengths are those of libphonenumber, by the crate `phonenumber` (see `build.rs`). Only
//! what is no part of the number is dropped: separators, `tel:`, the `+` or `00` before it, and the trunk prefix of its country, as in `+49 (0) 162 …`.
//! Everything else stays as it is written, and has only to be possible: WhatsApp knows by which spelling an account goes
//! (Mexico with or without the 1, Brazil with or without the ninth digit), and its look-up answers with that one.

use super::error::{NumberError, PHONE_DIGITS_MAX, PHONE_DIGITS_MIN};

/// The digits that a text means, country code first.
pub(super) fn digits(text: &str) -> Result<String, NumberError> {
    let text = without_scheme(text.trim());
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    let written = Written::read(text)?;
    if written.digits.len() < PHONE_DIGITS_MIN {
        return Err(NumberError::Length);
    }
    let digits = meant(&written)?;
    if !(PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&digits.len()) {
        return Err(NumberError::Length);
    }
    Ok(digits)
}

fn without_scheme(text: &str) -> &str {
    match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => text[4..].trim_start(),
        _ => text,
    }
}

/// The digits of a text as they stand there.
struct Written {
    digits: String,
    /// Where among them a `(0)` stands.
    bracketed_zero: Option<usize>,
}

impl Written {
    fn read(text: &str) -> Result<Self, NumberError> {
        let mut digits = String::with_capacity(PHONE_DIGITS_MAX);
        let (mut bracketed_zero, mut open) = (None, None);
        for c in text.chars() {
            match c {
                '0'..='9' => digits.push(c),
                '+' | '\u{ff0b}' if digits.is_empty() => {}
                '(' => open = Some(digits.len()),
                ')' => {
                    let zero = open.take().filter(|at| digits.get(*at..) == Some("0"));
                    bracketed_zero = zero.or(bracketed_zero);
                }
                _ if is_separator(c) => {}
                _ => return Err(NumberError::Character),
            }
            if digits.len() > WRITTEN_MAX {
                return Err(NumberError::Length);
            }
        }
        Ok(Self {
            digits,
            bracketed_zero,
        })
    }
}

/// What people, and the programs that they copy from, put between and around digits.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        || c.is_whitespace()
        // Invisible: joiners and marks of direction.
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Drops what is no part of the number, and judges what is left.
fn meant(written: &Written) -> Result<String, NumberError> {
    let digits = written.digits.strip_prefix("00").unwrap_or(&written.digits);
    let dropped = written.digits.len() - digits.len();
    let (code, country) = Country::of(digits).ok_or(NumberError::Country)?;
    let national = &digits[code..];
    let zero = written
        .bracketed_zero
        .and_then(|at| at.checked_sub(dropped + code));
    let national = country.without_trunk(national, zero == Some(0));
    country.judge(national)?;
    Ok(format!("{}{national}", &digits[..code]))
}

/// What is known of the numbers behind a country code.
#[derive(Clone, Copy, Debug)]
struct Country {
    /// Bit n: n digits behind the code are possible.
    lengths: u32,
    /// What is dialled before a number within the country, and is no part of it.
    trunk: Option<&'static str>,
}

impl Country {
    /// The country that digits begin with the code of, and how many digits that code has.
    fn of(digits: &str) -> Option<(usize, Self)> {
        if digits.starts_with('0') {
            return None;
        }
        // No code begins with another.
        (1..=CODE_MAX).find_map(|length| {
            let code: u16 = digits.get(..length)?.parse().ok()?;
            let at = COUNTRIES.binary_search_by_key(&code, |(code, _)| *code).ok()?;
            let (_, mut country) = COUNTRIES[at];
            if code == MEXICO {
                country.lengths |= country.lengths << 1;
            }
            Some((length, country))
        })
    }

    /// The national part without the trunk prefix. `is_bracketed`: it begins with `(0)`, which people write for one that is
    /// left out from abroad.
    fn without_trunk(self, national: &str, is_bracketed: bool) -> &str {
        match self.trunk {
            // Where it is 0, no number begins with it.
            Some("0") => national.trim_start_matches('0'),
            _ if self.is_possible(national) => national,
            Some(trunk) => {
                let rest = national.strip_prefix(trunk).filter(|rest| self.is_possible(rest));
                rest.unwrap_or(national)
            }
            None if is_bracketed => national.trim_start_matches('0'),
            None => national,
        }
    }

    fn is_possible(self, national: &str) -> bool {
        let length = national.len();
        length < 32 && self.lengths & 1 << length != 0
    }

    fn judge(self, national: &str) -> Result<(), NumberError> {
        if self.is_possible(national) {
            return Ok(());
        }
        let length = u32::try_from(national.len()).unwrap_or(u32::MAX);
        let (shortest, longest) = (self.lengths.trailing_zeros(), self.lengths.checked_ilog2());
        Err(if length < shortest {
            NumberError::TooShort
        } else if longest.is_none_or(|longest| length > longest) {
            NumberError::TooLong
        } else {
            NumberError::Impossible
        })
    }
}

/// By country code, in their order.
static COUNTRIES: &[(u16, Country)] = include!(concat!(env!("OUT_DIR"), "/countries.rs"));
/// Accounts from before Mexico dropped the 1 of its mobile numbers still go by it.
const MEXICO: u16 = 52;
/// Most digits of a country code.
const CODE_MAX: usize = 3;
/// Most digits that a text may have, those that are no part of the number among them.
const WRITTEN_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_means_one_number() {
        for text in [
            "4916200400",
            "+49 162 00400",
            "0049 162 00400",
            "+49 (0) 162 00400",
            "+49 (0)162/00400",
            "0049 (0) 162-004.00",
            "+490162 00400",
            "tel:+49-162-00400",
            "TEL: +49 162 00400",
            "\u{202a}+49\u{a0}162\u{2011}00400\u{202c}",
            " \u{ff0b}49 162 00400 ",
        ] {
            assert_eq!(digits(text).as_deref(), Ok("4916200400"), "{text:?}");
        }
    }

    #[test]
    fn a_trunk_prefix_goes_only_where_it_is_one() {
        for (text, meant) in [
            // Numbers of Italy keep their 0, those of Spain have none, those of Ivory Coast begin with one.
            ("+39 06 1234 5678", "390612345678"),
            ("+39 (0)6 1234 5678", "390612345678"),
            ("+34 (0) 612 345 678", "34612345678"),
            ("+225 07 12 34 56 78", "2250712345678"),
            ("+7 8 (912) 345-67-89", "79123456789"),
            ("+7 800 345-67-89", "78003456789"),
            ("+44 (0)7911 123456", "447911123456"),
            ("+1 (555) 123-0001", "15551230001"),
        ] {
            assert_eq!(digits(text).as_deref(), Ok(meant), "{text:?}");
        }
    }

    #[test]
    fn how_an_account_spells_its_number_is_left_to_whatsapp() {
        for number in [
            "5215512345678",
            "525512345678",
            "5491123456789",
            "541123456789",
            "5531912345678",
            "553112345678",
        ] {
            assert_eq!(digits(number).as_deref(), Ok(number));
        }
    }

    #[test]
    fn what_can_t_be_a_number_says_why() {
        for (text, error) in [
            ("", NumberError::Empty),
            ("tel:", NumberError::Empty),
            ("123456", NumberError::Length),
            ("0162 0040000", NumberError::Country),
            ("+210 1234567", NumberError::Country),
            ("00 0 49 162 00400", NumberError::Country),
            ("1555123001", NumberError::Impossible),
            ("155512300012", NumberError::TooLong),
            ("52551234567890", NumberError::TooLong),
            ("551112345", NumberError::TooShort),
            ("+49 162 00400 x12", NumberError::Character),
            ("call me", NumberError::Character),
            ("49+16200400", NumberError::Character),
            (&"1".repeat(1_000), NumberError::Length),
        ] {
            assert_eq!(digits(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn reading_a_reading_changes_nothing() {
        for text in [
            "+49 (0) 0162 00400",
            "+7 8 912 345 67 89",
            "0052 1 55 1234 5678",
            "+1 1 555 123 0001",
        ] {
            let once = digits(text).unwrap();
            assert_eq!(digits(&once).as_ref(), Ok(&once));
        }
    }
}
