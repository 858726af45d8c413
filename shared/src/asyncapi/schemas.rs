//! Schemas of many types under one roof. Knows nothing of what they are for.

use std::collections::BTreeMap;

use schemars::Schema;
use serde_json::{Map, Value};

use crate::schema::plain_choices;

/// Where schemas stand in the document.
const ROOF: &str = "#/components/schemas/";

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    serde_json::json!({ "$ref": format!("{ROOF}{name}") })
}

/// Schemas by their names.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Takes a schema with all that it defines, and answers the name that it has here. Under a name that is taken by
    /// something else it gets the next number.
    pub(super) fn take(&mut self, schema: &Schema) -> String {
        let mut schema = schema.as_value().clone();
        plain_choices(&mut schema);
        let fields = schema.as_object_mut().unwrap();
        fields.remove("$schema");
        let Some(Value::String(title)) = fields.remove("title") else {
            panic!("a schema without a title: {schema}")
        };
        let mut all = match fields.remove("$defs") {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        };
        all.insert(title.clone(), schema);
        let names = self.names(&all);
        for (name, mut schema) in all {
            refer(&mut schema, &names);
            name_choices(&mut schema, &names[&name]);
            self.0.insert(names[&name].clone(), schema);
        }
        names[&title].clone()
    }

    /// A schema of our own making.
    pub(super) fn add(&mut self, name: &str, schema: Value) {
        assert!(
            self.0.insert(name.to_owned(), schema).is_none(),
            "{name} is taken"
        );
    }

    /// Takes one out again.
    pub(super) fn remove(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap()
    }

    pub(super) fn into_value(self) -> Value {
        self.0.into_iter().collect()
    }

    /// The names that these get here. What refers to something with another name is something else itself.
    fn names(&self, all: &Map<String, Value>) -> BTreeMap<String, String> {
        let mut names: BTreeMap<String, String> =
            all.keys().map(|name| (name.clone(), name.clone())).collect();
        loop {
            let is_free = |name: &str, schema: &Value| {
                let mut schema = schema.clone();
                refer(&mut schema, &names);
                name_choices(&mut schema, name);
                self.0.get(name).is_none_or(|taken| *taken == schema)
            };
            let taken = all.iter().find(|(name, schema)| !is_free(&names[*name], schema));
            let Some((name, schema)) = taken else {
                return names;
            };
            let mut others = (2..).map(|number| format!("{name}{number}"));
            let other = others.find(|other| !all.contains_key(other) && is_free(other, schema));
            names.insert(name.clone(), other.unwrap());
        }
    }
}

/// Leads references to definitions to where they are now.
fn refer(schema: &mut Value, names: &BTreeMap<String, String>) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(|one| refer(one, names)),
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                let name = target.strip_prefix("#/$defs/").unwrap();
                *target = format!("{ROOF}{}", names[name]);
            }
            fields.values_mut().for_each(|field| refer(field, names));
        }
        _ => {}
    }
}

/// Gives each of several forms of an object a name, by the word that tells it from the others: generators number what has
/// none.
fn name_choices(schema: &mut Value, name: &str) {
    let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        let fields = choice.get("properties").and_then(Value::as_object);
        let word = fields.and_then(|fields| fields.values().find_map(|field| field["const"].as_str()));
        if let Some(word) = word {
            choice["title"] = format!("{}{name}", pascal(word)).into();
        }
    }
}

/// `send.message:START` as `SendMessageStart`.
pub(super) fn pascal(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let word = |word: &str| {
        let is_loud = word.chars().all(|c| c.is_ascii_uppercase());
        let (first, rest) = word.split_at(word.len().min(1));
        let rest = match is_loud {
            true => rest.to_ascii_lowercase(),
            false => rest.to_owned(),
        };
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    words.map(word).collect()
}
