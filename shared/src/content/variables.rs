//! The variables of a recipient, and what becomes of a text with them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::placeholders::{NAME_MAX, Piece, is_name, pieces};

/// Most variables of one recipient.
pub const VARIABLES_MAX: usize = 64;
/// Most bytes of the names and values of one recipient together.
pub const VARIABLES_MAX_BYTES: usize = 8_192;

/// What stands in the place of `{{name}}` for one recipient: texts by names. An empty text is none.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Variables(Box<[(Box<str>, Box<str>)]>);

impl Variables {
    /// The text of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(one, _)| (**one).cmp(name));
        at.ok().map(|at| &*self.0[at].1)
    }

    /// A text with what these make of its placeholders; `Err` with the name of one that there is neither a variable nor a
    /// default for. What is no placeholder stays as it is.
    pub(super) fn fill<'a>(&self, text: &'a str) -> Result<String, &'a str> {
        let mut filled = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Ok(Piece::Text(text)) => filled.push_str(text),
                Ok(Piece::Place { name, default }) => {
                    filled.push_str(self.get(name).or(default).ok_or(name)?);
                }
                // Refused at the door.
                Err(_) => return Ok(text.to_owned()),
            }
        }
        Ok(filled)
    }
}

impl fmt::Debug for Variables {
    /// What is said to people is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variables({})", self.0.len())
    }
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Variables;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
        let (mut all, mut bytes) = (Vec::new(), 0);
        while let Some((name, Text(text))) = map.next_entry::<String, Text>()? {
            let name = name.trim();
            if !is_name(name) {
                return Err(A::Error::custom(format!(
                    "must have names of 1 to {NAME_MAX} characters, none of them {{, }}, | or a control character"
                )));
            }
            let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
                continue;
            };
            bytes += name.len() + text.len();
            all.push((name.into(), text.into_boxed_str()));
        }
        all.sort();
        if all.len() > VARIABLES_MAX || bytes > VARIABLES_MAX_BYTES {
            return Err(A::Error::custom(format!(
                "must be at most {VARIABLES_MAX} with at most {VARIABLES_MAX_BYTES} bytes together, names included"
            )));
        }
        if all.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom("must not name one twice"));
        }
        Ok(Variables(all.into_boxed_slice()))
    }
}

/// A value: a text, or what has one. `None` for null.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextReader)
    }
}

struct TextReader;

impl Visitor<'_> for TextReader {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        match text.contains('\0') {
            // A database text can't hold it, and no client shows it.
            true => Err(E::custom("must not contain the character U+0000")),
            false => Ok(Text(Some(text.to_owned()))),
        }
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        match value.abs() < EXACT_BELOW {
            true => Ok(Text(Some(value.to_string()))),
            false => Err(E::custom(
                "must be given as a text: a number so large loses digits",
            )),
        }
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }
}

/// From here on not every number with a decimal point is what was written.
const EXACT_BELOW: f64 = 1e15;

impl JsonSchema for Variables {
    fn schema_name() -> Cow<'static, str> {
        "Variables".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What stands in the place of {{name}} in the texts of the message: texts by names of 1 to 64 \
                 characters without {, } and |. Numbers and booleans are taken as their text; an empty text, and null, is none. \
                 At most 64, with at most 8,192 bytes together.",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            "maxProperties": VARIABLES_MAX,
            "examples": [{ "name": "Ana", "points": 12 }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Variables, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_texts_and_empty_ones_are_none() {
        let all = read(r#"{"b":"Ana","a":5,"c":true,"d":"","e":"  ","f":null," Nome próprio ":1.5,"g":-3}"#)
            .unwrap();
        assert_eq!(
            serde_json::to_string(&all).unwrap(),
            r#"{"Nome próprio":"1.5","a":"5","b":"Ana","c":"true","g":"-3"}"#
        );
        assert_eq!(
            (all.get("b"), all.get("d"), all.get("x")),
            (Some("Ana"), None, None)
        );
        assert_eq!(read(&serde_json::to_string(&all).unwrap()).unwrap(), all);
        assert!(!format!("{all:?}").contains("Ana"));
    }

    #[test]
    fn what_can_be_no_variables_is_refused() {
        for (text, why) in [
            (r#"{"a":[]}"#, "a text, a number, true or false"),
            (r#"{"a":1e20}"#, "loses digits"),
            (r#"{"a":"\u0000"}"#, "U+0000"),
            (r#"{"":"x"}"#, "names of 1 to 64 characters"),
            (r#"{"a|b":"x"}"#, "names of 1 to 64 characters"),
            (r#"{"a":"x"," a":"y"}"#, "must not name one twice"),
            (r#"["a"]"#, "a map"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(VARIABLES_MAX_BYTES));
        assert!(read(&long).unwrap_err().contains("8192 bytes"));
        let many: Vec<_> = (0..=VARIABLES_MAX).map(|n| format!(r#""v{n}":"x""#)).collect();
        assert!(
            read(&format!("{{{}}}", many.join(",")))
                .unwrap_err()
                .contains("at most 64")
        );
    }

    #[test]
    fn a_text_is_filled_with_variables_and_defaults() {
        let ana = read(r#"{"name":"Ana {{x}}"}"#).unwrap();
        // What a variable says is text, whatever it says.
        assert_eq!(
            ana.fill("Hi {{name}}, {{{{{{x|y}}").as_deref(),
            Ok("Hi Ana {{x}}, {{y")
        );
        assert_eq!(ana.fill("Hi {{other}}"), Err("other"));
        assert_eq!(ana.fill("Hi {{broken").as_deref(), Ok("Hi {{broken"));
    }
}
