//! Phone numbers and the devices behind them: the names under which the simulator keeps everybody.
//!
//! A user has one number; its hidden id (LID) is derived from it ([`crate::seed::Seed::lid`]), so that one name is enough
//! inside. Knows nothing of stanzas.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Fewest digits of a phone number.
pub const MIN_DIGITS: usize = 5;
/// Most digits of a phone number (E.164).
pub const MAX_DIGITS: usize = 15;

/// A phone number with country code. Display is the digits, Debug hides most of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u64);

impl Number {
    /// The lowest that there can be.
    pub(crate) const LOWEST: Self = Self(10_000);

    /// The number as an integer.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// From an integer; `None` if it has too few or too many digits.
    #[must_use]
    pub const fn new(digits: u64) -> Option<Self> {
        if digits >= 10_000 && digits < 1_000_000_000_000_000 {
            Some(Self(digits))
        } else {
            None
        }
    }
}

/// A text is no phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be {MIN_DIGITS} to {MAX_DIGITS} digits that do not start with 0")]
pub struct BadNumber;

impl FromStr for Number {
    type Err = BadNumber;

    fn from_str(text: &str) -> Result<Self, BadNumber> {
        let fits = (MIN_DIGITS..=MAX_DIGITS).contains(&text.len());
        if !fits || text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadNumber);
        }
        text.parse().ok().and_then(Self::new).ok_or(BadNumber)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{:04}", self.0 % 10_000)
    }
}

/// One device of a user. Device 0 is the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddr {
    /// The user.
    pub number: Number,
    /// Which of the user's devices.
    pub device: u16,
}

impl DeviceAddr {
    /// The device of this number.
    #[must_use]
    pub const fn new(number: Number, device: u16) -> Self {
        Self { number, device }
    }

    /// The user's phone.
    #[must_use]
    pub const fn phone(number: Number) -> Self {
        Self { number, device: 0 }
    }
}

/// Which of the two names of a user a stanza uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Addressing {
    /// The phone number.
    #[default]
    Pn,
    /// The hidden id.
    Lid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_numbers_are_taken() {
        assert_eq!(
            "15551230001".parse::<Number>().unwrap().to_string(),
            "15551230001"
        );
        for bad in [
            "",
            "1234",
            "1234567890123456",
            "+15551230001",
            "015551230001",
            "1555123000a",
        ] {
            assert_eq!(bad.parse::<Number>(), Err(BadNumber), "{bad}");
        }
    }

    #[test]
    fn debug_hides_the_number() {
        let number: Number = "15551230001".parse().unwrap();
        assert_eq!(format!("{number:?}"), "…0001");
    }
}
