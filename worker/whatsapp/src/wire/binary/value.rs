//! Words of a stanza: names of nodes and attributes, and values, which may be addresses.

use std::borrow::Cow;
use std::fmt;

use compact_str::{CompactString, ToCompactString as _};

use super::token::Token;
use crate::jid::Jid;

/// The name of a node or an attribute. Words of the dictionary are a number; others are on the heap.
#[derive(Clone)]
pub struct Name(NameForm);

#[derive(Clone)]
enum NameForm {
    Token(Token),
    Text(Box<str>),
}

impl Name {
    pub(super) const EMPTY: Self = Self(NameForm::Token(Token::EMPTY));

    /// The name as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            NameForm::Token(token) => token.as_str(),
            NameForm::Text(text) => text,
        }
    }

    #[inline]
    pub(super) const fn from_token(token: Token) -> Self {
        Self(NameForm::Token(token))
    }

    #[inline]
    pub(super) const fn token(&self) -> Option<Token> {
        match self.0 {
            NameForm::Token(token) => Some(token),
            NameForm::Text(_) => None,
        }
    }
}

impl From<&str> for Name {
    #[inline]
    fn from(text: &str) -> Self {
        Self(Token::of(text).map_or_else(|| NameForm::Text(text.into()), NameForm::Token))
    }
}

impl From<&Self> for Name {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl PartialEq for Name {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An attribute's value or a content in string form: a word of the dictionary, a text, or an address.
///
/// Only a [`Jid`] is written as an address; a text that looks like one stays a text, so that free text with
/// an `@` survives.
#[derive(Clone)]
pub struct Value(pub(super) ValueForm);

#[derive(Clone)]
pub(super) enum ValueForm {
    Token(Token),
    Text(CompactString),
    Jid(Jid),
}

impl Value {
    /// To be filled in.
    pub(super) const BLANK: Self = Self(ValueForm::Token(Token::EMPTY));

    /// The text form; of an address its text form.
    #[inline]
    pub fn as_str(&self) -> Cow<'_, str> {
        match &self.0 {
            ValueForm::Token(token) => Cow::Borrowed(token.as_str()),
            ValueForm::Text(text) => Cow::Borrowed(text),
            ValueForm::Jid(jid) => Cow::Owned(jid.to_string()),
        }
    }

    /// The address, also of a text that is one (`s.whatsapp.net` is the server).
    pub fn to_jid(&self) -> Option<Jid> {
        match &self.0 {
            ValueForm::Token(token) => token.as_str().parse().ok(),
            ValueForm::Text(text) => text.parse().ok(),
            ValueForm::Jid(jid) => Some(jid.clone()),
        }
    }

    /// The address, if it came as one.
    #[inline]
    pub const fn as_jid(&self) -> Option<&Jid> {
        match &self.0 {
            ValueForm::Jid(jid) => Some(jid),
            ValueForm::Token(_) | ValueForm::Text(_) => None,
        }
    }

    /// Whether the text form is this text. An address is compared as text too, without making one where it
    /// can't match.
    #[inline]
    pub fn is(&self, text: &str) -> bool {
        match &self.0 {
            ValueForm::Token(token) => token.as_str() == text,
            ValueForm::Text(own) => own == text,
            ValueForm::Jid(jid) => text.ends_with(jid.server().as_str()) && jid.to_string() == text,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (ValueForm::Jid(a), ValueForm::Jid(b)) => a == b,
            (ValueForm::Jid(_), _) | (_, ValueForm::Jid(_)) => false,
            _ => self.as_str() == other.as_str(),
        }
    }
}

impl Eq for Value {}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.is(other)
    }
}

impl From<&str> for Value {
    #[inline]
    fn from(text: &str) -> Self {
        Self(Token::of(text).map_or_else(|| ValueForm::Text(text.into()), ValueForm::Token))
    }
}

impl From<CompactString> for Value {
    #[inline]
    fn from(text: CompactString) -> Self {
        Self(Token::of(&text).map_or(ValueForm::Text(text), ValueForm::Token))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        CompactString::from(text).into()
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&CompactString> for Value {
    fn from(text: &CompactString) -> Self {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        text.as_ref().into()
    }
}

impl From<Jid> for Value {
    #[inline]
    fn from(jid: Jid) -> Self {
        Self(ValueForm::Jid(jid))
    }
}

impl From<&Jid> for Value {
    #[inline]
    fn from(jid: &Jid) -> Self {
        Self(ValueForm::Jid(jid.clone()))
    }
}

impl From<&Self> for Value {
    fn from(value: &Self) -> Self {
        value.clone()
    }
}

macro_rules! value_from_number {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                number.to_compact_string().into()
            }
        }
    )*};
}

value_from_number!(u8, u16, u32, u64, usize, i32, i64);

/// Hides what may be personal: most of an address, and every text that is no word of the dictionary.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ValueForm::Token(token) => write!(f, "{:?}", token.as_str()),
            ValueForm::Text(text) => write!(f, "[{} characters]", text.chars().count()),
            ValueForm::Jid(jid) => jid.fmt(f),
        }
    }
}
