//! Who a message goes to, as callers write it: parsed once, kept in one canonical form.
//!
//! A number is personal data: `Debug` never prints it whole.

mod error;
mod reading;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use error::{NumberError, PHONE_DIGITS_MAX, PHONE_DIGITS_MIN};

/// Most characters of the user part of a group's or a hidden id.
pub const USER_MAX: usize = 40;

/// The address family of a [`Number`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NumberKind {
    /// A person by phone number (`…@s.whatsapp.net`).
    Phone,
    /// A group (`…@g.us`).
    Group,
    /// A person by hidden id (`…@lid`).
    Lid,
}

/// One recipient: a phone number, a group or a hidden id.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Number {
    kind: NumberKind,
    user: Box<str>,
}

impl Number {
    /// Parses a phone number as people write it, or a full jid. A phone number has to be possible: its country has numbers
    /// of so many digits.
    ///
    /// # Errors
    /// [`NumberError`], which says what a recipient must look like.
    pub fn new(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        match text.split_once('@') {
            None => Ok(Self {
                kind: NumberKind::Phone,
                user: reading::digits(text)?.into(),
            }),
            Some((user, server)) => Self::from_jid(user, server),
        }
    }

    /// Parses what [`Self::as_text`] gave: a number that was taken once stays one, whatever is thought possible later.
    ///
    /// # Errors
    /// [`NumberError`], if it is no such text.
    pub fn stored(text: &str) -> Result<Self, NumberError> {
        match text.split_once('@') {
            None => Self::from_jid(text, "s.whatsapp.net"),
            Some((user, server)) => Self::from_jid(user, server),
        }
    }

    /// Parses a phone number, or the jid of one.
    ///
    /// # Errors
    /// [`NumberError`]; [`NumberError::NotAPhone`] for a group or a hidden id.
    pub fn phone(text: &str) -> Result<Self, NumberError> {
        match Self::new(text)? {
            phone if phone.kind == NumberKind::Phone => Ok(phone),
            _ => Err(NumberError::NotAPhone),
        }
    }

    /// The address family.
    pub fn kind(&self) -> NumberKind {
        self.kind
    }

    /// The user part: a phone number's digits, or what stands before the `@`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The full jid.
    pub fn jid(&self) -> String {
        format!("{}@{}", self.user, self.server())
    }

    /// The canonical text: digits for a phone, the jid for the rest. Stored, shown, and parsed back by `new`.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self.kind {
            NumberKind::Phone => Cow::Borrowed(&self.user),
            NumberKind::Group | NumberKind::Lid => Cow::Owned(self.jid()),
        }
    }

    fn server(&self) -> &'static str {
        match self.kind {
            NumberKind::Phone => "s.whatsapp.net",
            NumberKind::Group => "g.us",
            NumberKind::Lid => "lid",
        }
    }

    fn from_jid(user: &str, server: &str) -> Result<Self, NumberError> {
        if user.is_empty() {
            return Err(NumberError::Empty);
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let kind = match server {
            // `c.us` is the older spelling of the same server; other products still hand it out.
            "s.whatsapp.net" | "c.us" => NumberKind::Phone,
            "g.us" => NumberKind::Group,
            "lid" => NumberKind::Lid,
            _ => return Err(NumberError::Server),
        };
        if user.contains([':', '_']) {
            return Err(NumberError::Device);
        }
        let valid = match kind {
            NumberKind::Phone | NumberKind::Lid => digits(user),
            NumberKind::Group => user.split('-').count() <= 2 && user.split('-').all(digits),
        };
        if !valid || user.len() > USER_MAX {
            return Err(NumberError::User);
        }
        if kind == NumberKind::Phone && !(PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&user.len()) {
            return Err(NumberError::Length);
        }
        Ok(Self {
            kind,
            user: user.into(),
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_text())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last two digits tell two recipients apart in a test's output and identify nobody.
        let tail = &self.user[self.user.len().saturating_sub(2)..];
        write!(f, "Number({:?} …{tail})", self.kind)
    }
}

impl FromStr for Number {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.as_text())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Reads a phone number, or the jid of one, for fields that take nothing else.
///
/// # Errors
/// As [`Number::phone`].
pub fn deserialize_phone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    Number::phone(&text).map_err(serde::de::Error::custom)
}

/// The same for fields that are stored: a number that was taken once is read back, whatever is thought possible later. Who
/// takes one from a caller checks it.
///
/// # Errors
/// As [`Number::phone`].
pub fn deserialize_kept_phone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    let kept = Number::stored(&text)
        .ok()
        .filter(|number| number.kind == NumberKind::Phone);
    Number::phone(&text)
        .or_else(|error| kept.ok_or(error))
        .map_err(serde::de::Error::custom)
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a phone number with its country code, as people write it, or its full jid (@s.whatsapp.net)",
            "examples": ["5531900000000", "5531900000000@s.whatsapp.net"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Result<(&str, &str), NumberError>) {
        let parsed = Number::new(input);
        let seen = parsed.as_ref().map(|n| (n.to_string(), n.jid())).map_err(|e| *e);
        let expected = expected.map(|(text, jid)| (text.to_owned(), jid.to_owned()));
        assert_eq!(seen, expected, "{input:?}");
        if let Ok(number) = parsed {
            assert_eq!(
                Number::new(&number.as_text()),
                Ok(number),
                "canonical form parses back"
            );
        }
    }

    #[test]
    fn phones_and_jids_have_one_canonical_form() {
        check(
            "5531900000000",
            Ok(("5531900000000", "5531900000000@s.whatsapp.net")),
        );
        check(
            "+55 (31) 9000-00000",
            Ok(("5531900000000", "5531900000000@s.whatsapp.net")),
        );
        check(
            "5531900000000@s.whatsapp.net",
            Ok(("5531900000000", "5531900000000@s.whatsapp.net")),
        );
        check(
            "5531900000000@c.us",
            Ok(("5531900000000", "5531900000000@s.whatsapp.net")),
        );
        check("120363-1600@g.us", Ok(("120363-1600@g.us", "120363-1600@g.us")));
        check("98765@lid", Ok(("98765@lid", "98765@lid")));
    }

    #[test]
    fn bad_numbers_say_why() {
        check("", Err(NumberError::Empty));
        check("  ", Err(NumberError::Empty));
        check("123456", Err(NumberError::Length));
        check("1234567890123456", Err(NumberError::TooLong));
        check("491234567890123456789", Err(NumberError::TooLong));
        check("55a1900000000", Err(NumberError::Character));
        check("5531+900000000", Err(NumberError::Character));
        check("0531900000000", Err(NumberError::Country));
        check("1555123000", Err(NumberError::Impossible));
        check("551112345", Err(NumberError::TooShort));
        check("5531900000000:3@s.whatsapp.net", Err(NumberError::Device));
        check("5531900000000@example.com", Err(NumberError::Server));
        check("@s.whatsapp.net", Err(NumberError::Empty));
        check("12x@g.us", Err(NumberError::User));
        check("1-2-3@g.us", Err(NumberError::User));
        check("1234@s.whatsapp.net", Err(NumberError::Length));
    }

    #[test]
    fn what_is_stored_is_read_back_though_it_would_not_be_taken() {
        for text in ["1555123000", "5531900000000", "98765@lid", "120363-1600@g.us"] {
            assert_eq!(Number::stored(text).unwrap().as_text(), text);
        }
        assert_eq!(Number::new("1555123000"), Err(NumberError::Impossible));
        assert!(Number::stored("+49 162").is_err());
    }

    #[test]
    fn debug_hides_the_number() {
        let text = format!("{:?}", Number::new("5531900000042").unwrap());
        assert_eq!(text, "Number(Phone …42)");
    }
}
