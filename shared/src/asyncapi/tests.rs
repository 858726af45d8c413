//! The document against the types and the samples.

use std::collections::BTreeSet;

use super::*;
use crate::event::{EventName, routing_key, tests as events_of};
use crate::id::Token;
use crate::job::{JobKind, tests as jobs_of};
use crate::testing::in_the_docs;

/// What judges a value by a schema of the document.
fn validator(document: &Value, name: &str) -> jsonschema::Validator {
    let mut whole = reference(name);
    whole["components"] = document["components"].clone();
    jsonschema::validator_for(&whole).unwrap()
}

fn holds(document: &Value, name: &str, value: &Value) {
    let problems: Vec<_> = validator(document, name)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{name}: {problems:#?}\n{value:#}");
}

/// The name of the schema of a message.
fn payload(document: &Value, message: &str) -> String {
    let target = document["components"]["messages"][message]["payload"]["$ref"].as_str();
    target.unwrap().rsplit('/').next().unwrap().to_owned()
}

/// Forbids every field that a schema does not name.
fn strict(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(strict),
        Value::Object(fields) => {
            fields.values_mut().for_each(strict);
            let is_whole = ["oneOf", "anyOf", "allOf", "additionalProperties"]
                .iter()
                .all(|key| !fields.contains_key(*key));
            if fields.get("type") == Some(&json!("object")) && fields.contains_key("properties") && is_whole {
                fields.insert("additionalProperties".into(), false.into());
            }
        }
        _ => {}
    }
}

#[test]
fn the_document_in_the_docs_is_that_of_the_types() {
    in_the_docs("asyncapi.json", &document());
}

#[test]
fn each_event_is_as_its_schema_says_with_no_field_that_is_not_there() {
    let mut document = document();
    strict(&mut document["components"]["schemas"]);
    for envelope in events_of::envelopes() {
        let key = envelope.event.as_str().replace(':', ".");
        let shown = serde_json::to_value(&envelope).unwrap();
        holds(&document, &payload(&document, &key), &shown);
        holds(&document, "AnyEvent", &shown);
        let mut nameless = shown.clone();
        nameless["event"] = json!("something.else");
        assert!(!validator(&document, "AnyEvent").is_valid(&nameless), "{key}");
        let mut empty = shown;
        empty.as_object_mut().unwrap().remove("id");
        assert!(!validator(&document, "AnyEvent").is_valid(&empty), "{key}");
    }
}

#[test]
fn each_job_and_answer_is_as_its_schema_says() {
    let document = document();
    let jobs = jobs_of::samples();
    for kind in JobKind::ALL {
        let of_kind: Vec<_> = jobs.iter().filter(|job| job.kind() == kind).collect();
        assert!(!of_kind.is_empty(), "no sample of {}", kind.as_str());
        for job in of_kind {
            let body = serde_json::from_slice(&job.to_body()).unwrap();
            let schema = payload(&document, &format!("job.{}", kind.as_str()));
            holds(&document, &schema, &body);
        }
    }
    for answer in jobs_of::answers() {
        holds(&document, "Answer", &serde_json::to_value(answer).unwrap());
    }
}

#[test]
fn all_jobs_and_events_are_in_it_under_their_keys() {
    let document = document();
    let token = Token::new("shop").unwrap();
    for name in EventName::ALL.map(EventName::as_str) {
        let key = name.replace(':', ".");
        let channel = &document["channels"][&key];
        let address = channel["address"].as_str().unwrap();
        assert_eq!(address.replace("{token}", "shop"), routing_key(&token, name));
        assert_eq!(channel["bindings"]["amqp"]["exchange"]["name"], "fanfare.events");
        assert_eq!(document["operations"][&key]["action"], "send");
    }
    for kind in JobKind::ALL.map(JobKind::as_str) {
        let key = format!("job.{kind}");
        let message = &document["components"]["messages"][&key];
        assert_eq!(message["bindings"]["amqp"]["messageType"], kind);
        assert_eq!(document["operations"][&key]["action"], "receive");
        assert!(document["channels"]["jobs"]["messages"][&key].is_object());
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix("#/").unwrap();
        let target = document.pointer(&format!("/{pointer}"));
        assert!(target.is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let is_used = found.contains(&format!("#/components/schemas/{name}"));
        assert!(is_used, "nothing refers to {name}");
    }
}

#[test]
fn what_goes_by_socket_io_is_as_its_schema_says() {
    let document = document();
    let channel = &document["channels"]["socket"];
    assert_eq!(channel["servers"][0]["$ref"], "#/servers/socket");
    let told = channel["messages"].as_object().unwrap();
    for key in told.keys() {
        let message = &document["components"]["messages"][key];
        let samples = message["examples"].as_array().unwrap();
        assert!(!samples.is_empty(), "{key}");
        for sample in samples {
            holds(&document, &payload(&document, key), &sample["payload"]);
        }
        assert!(message.get("bindings").is_none(), "{key} is none of AMQP");
        let is_answer = key == "socket.answer";
        assert_eq!(document["operations"].get(key).is_some(), !is_answer, "{key}");
    }
    let wish = &document["operations"]["socket.join"];
    assert_eq!(
        (&wish["action"], &wish["reply"]["messages"][0]["$ref"]),
        (
            &json!("receive"),
            &json!("#/channels/socket/messages/socket.answer")
        )
    );
}

#[test]
fn what_the_older_names_say_is_as_its_schema_says() {
    let document = document();
    let message = events_of::envelopes().into_iter();
    let mut message = message.filter(|envelope| envelope.event == EventName::NewMessage);
    let envelope = serde_json::to_vec(&message.next().unwrap()).unwrap();
    let body = crate::event::legacy::body(&envelope).unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    holds(&document, &payload(&document, "socket.message-upsert"), &body);
}
