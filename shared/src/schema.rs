//! Schemas in the form in which generators of clients take them best. Knows nothing of what they are of.

use serde_json::{Value, json};

/// Writes each choice between words as an `enum`: generators of clients make an enum of that, and stumble over a `oneOf` of
/// single words. What the words mean goes into the description.
pub fn plain_choices(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(plain_choices),
        Value::Object(fields) => {
            fields.values_mut().for_each(plain_choices);
            let Some(choice) = fields
                .get("oneOf")
                .and_then(Value::as_array)
                .and_then(|all| words(all))
            else {
                return;
            };
            let description = fields.get("description").and_then(Value::as_str);
            let mut description = description.unwrap_or_default().to_owned();
            for (word, meaning) in &choice {
                description.push_str(&format!("\n* `{word}`: {meaning}"));
            }
            let words: Vec<&String> = choice.iter().map(|(word, _)| word).collect();
            *schema = json!({ "description": description, "type": "string", "enum": words });
        }
        _ => {}
    }
}

/// The words of a choice with their meanings, if it is one of words that are all explained.
pub fn words(all: &[Value]) -> Option<Vec<(String, String)>> {
    let word = |one: &Value| {
        let (word, meaning) = (one["const"].as_str()?, one["description"].as_str()?);
        Some((word.to_owned(), meaning.to_owned()))
    };
    all.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_between_words_is_an_enum_and_one_between_objects_stays() {
        let choice = json!({ "description": "How.", "oneOf": [
            { "const": "one", "description": "First." }, { "const": "two", "description": "Second." },
        ] });
        let objects = json!({ "oneOf": [{ "type": "object" }, { "type": "null" }] });
        let mut schema = json!({ "properties": { "choice": choice, "objects": objects.clone() } });
        plain_choices(&mut schema);
        let properties = &schema["properties"];
        assert_eq!(properties["choice"]["enum"], json!(["one", "two"]));
        assert_eq!(
            properties["choice"]["description"],
            "How.\n* `one`: First.\n* `two`: Second."
        );
        assert_eq!(properties["objects"], objects);
    }
}
