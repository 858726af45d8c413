//! What somebody reports, in a form that is neither Baileys' nor ours: a thing of a kind, by its key, with fields.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// A thing that was reported.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// What it is.
    pub(super) kind: &'static str,
    /// Which one: both sides call it the same.
    pub(super) key: String,
    /// What is said of it.
    pub(super) fields: BTreeMap<String, Value>,
}

impl Fact {
    pub(super) fn new(kind: &'static str, key: impl Into<String>) -> Self {
        let (key, fields) = (key.into(), BTreeMap::new());
        Self { kind, key, fields }
    }

    /// The same with a field, if there is such a thing.
    pub(super) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.fields.insert(field.to_owned(), value);
        }
        self
    }

    /// The same with what a message says: each text, number and list element by its path.
    pub(super) fn saying(mut self, content: &Value) -> Self {
        flatten(&mut self.fields, "content".to_owned(), content);
        self
    }
}

fn flatten(fields: &mut BTreeMap<String, Value>, path: String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(object) => {
            for (name, value) in object {
                flatten(fields, format!("{path}.{name}"), value);
            }
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                flatten(fields, format!("{path}.{place}"), value);
            }
        }
        value => drop(fields.insert(path, value.clone())),
    }
}

/// A field's name without the places in lists.
pub(super) fn unnumbered(field: &str) -> String {
    let parts = field.split('.').filter(|part| part.parse::<usize>().is_err());
    parts.collect::<Vec<_>>().join(".")
}

/// Which number a hidden id belongs to, as a side has said.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// Takes all pairs that are somewhere in what Baileys says: it names the other address beside each.
    pub(super) fn learn(&mut self, said: &Value) {
        match said {
            Value::Array(list) => list.iter().for_each(|said| self.learn(said)),
            Value::Object(object) => {
                for (one, other) in PAIRS {
                    if let (Some(one), Some(other)) = (said[one].as_str(), said[other].as_str()) {
                        self.pair(one, other);
                    }
                }
                object.values().for_each(|said| self.learn(said));
            }
            _ => {}
        }
    }

    /// That two addresses are one person's, in either order.
    pub(super) fn pair(&mut self, one: &str, other: &str) {
        let (lid, number) = match one.contains("@lid") {
            true => (one, other),
            false => (other, one),
        };
        if lid.contains("@lid") && number.ends_with("@s.whatsapp.net") {
            self.0.insert(user(lid), user(number));
        }
    }

    /// The one name of a person, or of a group: by number where that is known, without a device.
    pub(super) fn person(&self, jid: &str) -> String {
        let (user, Some((_, server))) = (user(jid), jid.split_once('@')) else {
            return jid.to_owned();
        };
        match server {
            "s.whatsapp.net" => user,
            "lid" => self.0.get(&user).cloned().unwrap_or_else(|| jid.to_owned()),
            _ => jid.to_owned(),
        }
    }

    /// The same of a field, if it is there.
    pub(super) fn of(&self, jid: &Value) -> Value {
        jid.as_str()
            .filter(|jid| !jid.is_empty())
            .map(|jid| self.person(jid))
            .into()
    }

    /// The same of many, in one order and as one text.
    pub(super) fn all(&self, jids: &[&str]) -> String {
        let mut people: Vec<_> = jids.iter().map(|jid| self.person(jid)).collect();
        people.sort();
        people.join(" ")
    }
}

fn user(jid: &str) -> String {
    let user = jid.split(['@', ':']).next().unwrap_or_default();
    user.to_owned()
}

/// Fields in which Baileys tells an address and the other one of the same person.
const PAIRS: [(&str, &str); 8] = [
    ("remoteJid", "remoteJidAlt"),
    ("participant", "participantAlt"),
    ("id", "phoneNumber"),
    ("lid", "pn"),
    ("lidJid", "pnJid"),
    ("from", "callerPn"),
    ("author", "authorPn"),
    ("participant", "participantPn"),
];
