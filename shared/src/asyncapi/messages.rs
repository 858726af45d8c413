//! What is sent: each kind of job, each event, the answers, and what a webhook gets, with a schema and samples.

use schemars::schema_for;
use serde_json::{Value, json};

use super::BINDING;
use super::schemas::{Schemas, pascal, reference};
use crate::broker::topology::EVENT_ID_HEADER;
use crate::event::{Envelope, EventName, tests as events_of};
use crate::job::{Answer, Job, JobKind, tests as jobs_of};
use crate::schema::words;
use crate::trace::TRACEPARENT;

/// Most samples of a message.
const SAMPLES: usize = 3;

/// A kind of message.
pub(super) struct Message {
    /// Its name in the document.
    pub(super) key: String,
    /// Its name on the way: the property `type`.
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) payload: String,
    /// The schema of what goes beside it: its headers, or the properties of AMQP.
    pub(super) beside: Beside,
    pub(super) samples: Vec<Value>,
}

pub(super) enum Beside {
    Headers(Value),
    Properties(Value),
    /// What goes another way than AMQP and HTTP.
    Nothing,
}

impl Message {
    pub(super) fn to_value(&self) -> Value {
        let samples = self
            .samples
            .iter()
            .take(SAMPLES)
            .map(|one| json!({ "payload": one }));
        let mut value = json!({
            "name": self.name,
            "title": self.name,
            "summary": self.summary,
            "contentType": "application/json",
            "payload": reference(&self.payload),
            "examples": samples.collect::<Value>(),
        });
        match &self.beside {
            Beside::Headers(headers) => value["headers"] = headers.clone(),
            Beside::Properties(properties) => value["x-amqp-properties"] = properties.clone(),
            Beside::Nothing => return value,
        }
        if self.name != "webhook" {
            value["bindings"] = json!({ "amqp": { "messageType": self.name, "bindingVersion": BINDING } });
        }
        value
    }
}

/// All events. The schema of each is the envelope with its name and with the data of the variant whose description names it.
pub(super) fn events(schemas: &mut Schemas) -> Vec<Message> {
    let meanings = meanings(schema_for!(EventName).as_value());
    let envelope = schemas.take(&schema_for!(Envelope));
    let (envelope, data) = (schemas.remove(&envelope), schemas.remove("Event"));
    // Each envelope names its event by itself.
    schemas.remove("EventName");
    let variants = data["anyOf"].as_array().unwrap();
    let mut messages = Vec::new();
    for (name, sample) in EventName::ALL.into_iter().zip(events_of::envelopes()) {
        let named = format!("`{name}`", name = name.as_str());
        let is_it = |variant: &&Value| variant["description"].as_str().unwrap().contains(&named);
        let found: Vec<_> = variants.iter().filter(is_it).collect();
        let [variant] = found[..] else {
            panic!("{named} has to stand in the description of one variant of Event")
        };
        let summary = meaning(&meanings, name.as_str());
        let mut schema = envelope.clone();
        schema["description"] = json!(summary);
        schema["properties"]["event"] = json!({ "type": "string", "const": name.as_str() });
        let mut data = (*variant).clone();
        data.as_object_mut().unwrap().remove("description");
        schema["properties"]["data"] = data;
        let payload = format!("{}Event", pascal(name.as_str()));
        schemas.add(&payload, schema);
        messages.push(Message {
            key: name.as_str().replace(':', "."),
            name: name.as_str().to_owned(),
            summary,
            payload,
            beside: Beside::Headers(json!({
                "type": "object",
                "properties": { EVENT_ID_HEADER: reference("EventId"), TRACEPARENT: reference("Traceparent") },
                "required": [EVENT_ID_HEADER],
            })),
            samples: vec![serde_json::to_value(sample).unwrap()],
        });
    }
    messages
}

/// All jobs.
pub(super) fn jobs(schemas: &mut Schemas) -> Vec<Message> {
    let meanings = meanings(schema_for!(JobKind).as_value());
    let samples = jobs_of::samples();
    let message = |kind: JobKind| {
        let of_kind = samples.iter().filter(|job| job.kind() == kind);
        let bodies = of_kind.map(|job| serde_json::from_slice(&job.to_body()).unwrap());
        Message {
            key: format!("job.{}", kind.as_str()),
            name: kind.as_str().to_owned(),
            summary: meaning(&meanings, kind.as_str()),
            payload: schemas.take(&Job::schema(kind)),
            beside: Beside::Properties(reference("JobProperties")),
            samples: bodies.collect(),
        }
    };
    let messages = JobKind::ALL.into_iter().map(message).collect();
    schemas.add("JobProperties", job_properties());
    schemas.add("Traceparent", traceparent());
    messages
}

/// The answer to a job.
pub(super) fn answer(schemas: &mut Schemas) -> Message {
    let samples = jobs_of::answers().into_iter();
    Message {
        key: "answer".to_owned(),
        name: "answer".to_owned(),
        summary: "The answer to a job that names a queue for it in `reply_to`.".to_owned(),
        payload: schemas.take(&schema_for!(Answer)),
        beside: Beside::Properties(json!({
            "type": "object",
            "properties": { "correlation_id": { "type": "string", "description": "That of the job." } },
        })),
        samples: samples
            .map(|answer| serde_json::to_value(answer).unwrap())
            .collect(),
    }
}

/// Any event, as a webhook gets it.
pub(super) fn webhook(schemas: &mut Schemas, events: &[Message]) -> Message {
    let any: Vec<_> = events.iter().map(|event| reference(&event.payload)).collect();
    let description = "Any event; `event` says which.";
    schemas.add("AnyEvent", json!({ "description": description, "oneOf": any }));
    schemas.add("WebhookHeaders", json!({
        "type": "object",
        "properties": {
            "webhook-id": reference("EventId"),
            TRACEPARENT: reference("Traceparent"),
            "webhook-timestamp": { "type": "string", "pattern": "^[0-9]+$", "description": "When it is posted, in seconds since 1970." },
            "webhook-signature": { "type": "string", "description": "`v1,` and a signature in base64; several with a blank between." },
        },
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    }));
    let samples = events.iter().filter_map(|event| event.samples.first());
    Message {
        key: "webhook".to_owned(),
        name: "webhook".to_owned(),
        summary: "An event, posted to a webhook.".to_owned(),
        payload: "AnyEvent".to_owned(),
        beside: Beside::Headers(reference("WebhookHeaders")),
        samples: samples.cloned().collect(),
    }
}

/// The properties of a job.
fn job_properties() -> Value {
    json!({
        "description": "The properties of AMQP that a job has.",
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": JobKind::ALL.map(JobKind::as_str), "description": "The kind of the job." },
            "message_id": { "$ref": reference("JobId")["$ref"], "description": "The identity of the job: the same twice is one job of its session. A UUID is best." },
            "content_type": { "type": "string", "const": "application/json" },
            "delivery_mode": { "type": "integer", "const": 2, "description": "Persistent." },
            "reply_to": { "type": "string", "description": "The queue that the answer is to go to." },
            "correlation_id": { "type": "string", "description": "What the answer is to have as its own." },
            "expiration": { "type": "string", "pattern": "^[0-9]+$", "description": "Milliseconds after which nobody waits for an answer any more." },
        },
        "required": ["type", "message_id"],
    })
}

fn traceparent() -> Value {
    json!({
        "description": "The trace that it belongs to, as W3C Trace Context has it. Absent where there is none. A job may bring one too, as a header.",
        "type": "string",
        "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$",
    })
}

/// The words of a list with what they mean.
fn meanings(list: &Value) -> Vec<(String, String)> {
    words(list["oneOf"].as_array().unwrap()).unwrap()
}

fn meaning(meanings: &[(String, String)], word: &str) -> String {
    let found = meanings.iter().find(|(one, _)| one == word);
    found.unwrap().1.clone()
}
