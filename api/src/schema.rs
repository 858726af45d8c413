//! Schemas of types that travel over AMQP too: made by the types themselves, under the names that routes refer to.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use utoipa::openapi::schema::{OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema};

/// What makes the schemas: the document's own dialect, and its place for them.
pub fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// A reference to the schema of `T`, for a field of an answer.
pub fn reference<T: JsonSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::schema_name()).into()
}

/// The same, for a list.
pub fn list<T: JsonSchema>() -> Schema {
    ArrayBuilder::new().items(reference::<T>()).into()
}

/// The same, for a field that may be null.
pub fn nullable<T: JsonSchema>() -> Schema {
    let null = ObjectBuilder::new().schema_type(SchemaType::new(Type::Null));
    OneOfBuilder::new().item(reference::<T>()).item(null).into()
}

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
fn words(all: &[Value]) -> Option<Vec<(String, String)>> {
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
