//! What callers call their queues and recipients by.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most characters of a [`Reference`].
pub const REFERENCE_MAX: usize = 128;
/// Most characters of a [`Label`].
pub const LABEL_MAX: usize = 64;

/// A text is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be 1 to {max} characters, none of them a control character")]
pub struct NameError {
    max: usize,
}

/// Declares a name that callers choose.
macro_rules! name {
    ($(#[$doc:meta])* $Name:ident, $max:ident, $words:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, PartialEq)]
        pub struct $Name(Box<str>);

        impl $Name {
            /// Checks a name.
            ///
            /// # Errors
            /// [`NameError`] if it is empty, too long, or has a control character.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let fits = (1..=$max).contains(&text.chars().count());
                match fits && !text.contains(char::is_control) {
                    true => Ok(Self(text.into())),
                    false => Err(NameError { max: $max }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $Name {
            /// It may be personal, as a customer's number is.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($Name), "(…)"))
            }
        }

        impl FromStr for $Name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $Name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $Name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $Name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($Name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1, "maxLength": $max, "description": $words })
            }
        }
    };
}

name! {
    /// The caller's own name for a queue or a recipient: told again wherever that is told of, and not looked into.
    Reference, REFERENCE_MAX, "a name of the caller's own, told again in events and lists"
}
name! {
    /// What a queue is for; queues are listed by it.
    Label, LABEL_MAX, "what a queue is for; queues can be listed by it"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_on_one_line() {
        for good in ["a", "order 17/ü", &"ü".repeat(LABEL_MAX)] {
            assert_eq!(Label::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", &"x".repeat(LABEL_MAX + 1)] {
            assert!(Label::new(bad).is_err(), "{bad:?}");
        }
        let told = Reference::new(&"x".repeat(REFERENCE_MAX + 1))
            .unwrap_err()
            .to_string();
        assert_eq!(
            told,
            "must be 1 to 128 characters, none of them a control character"
        );
    }
}
