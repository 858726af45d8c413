//! The AsyncAPI document: what goes over the broker, to webhooks and by socket.io, for people's pages and for generators of clients.
//!
//! It is made from the lists of jobs and events, their schemas, and the samples of their tests, so that nothing has to be
//! kept beside them. `docs/asyncapi.json` is what is made here, and the API serves that file.

mod messages;
mod schemas;
mod socket;

use serde_json::{Map, Value, json};

use crate::broker::Topology;
use messages::{Message, answer, events, jobs, webhook};
use schemas::{Schemas, reference};
use socket::Socket;

/// The version of each binding of AMQP and of HTTP.
const BINDING: &str = "0.3.0";

/// The document.
fn document() -> Value {
    let mut schemas = Schemas::default();
    let (events, jobs) = (events(&mut schemas), jobs(&mut schemas));
    let (answer, webhook) = (answer(&mut schemas), webhook(&mut schemas, &events));
    let socket = Socket::new(&mut schemas, &events);
    let all = events
        .iter()
        .chain(&jobs)
        .chain([&answer, &webhook])
        .chain(socket.messages());
    let messages: Map<_, _> = all
        .map(|message| (message.key.clone(), message.to_value()))
        .collect();
    let (mut channels, mut operations) = (
        channels(&events, &jobs, &answer, &webhook),
        operations(&events, &jobs, &answer, &webhook),
    );
    channels.insert("socket".into(), socket.channel());
    operations.extend(socket.operations());
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:fanfare",
        "info": {
            "title": "Fanfare",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas.into_value(),
            "securitySchemes": {
                "broker": { "type": "userPassword" },
                "key": Socket::key(),
                "signature": {
                    "type": "httpApiKey", "in": "header", "name": "webhook-signature",
                    "description": "HMAC-SHA256 of what is posted, as Standard Webhooks says.",
                },
            },
        },
    })
}

fn servers() -> Value {
    json!({
        "broker": {
            "host": "localhost:5672",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": "The RabbitMQ that the deployment uses (`AMQP_URL`).",
            "security": [{ "$ref": "#/components/securitySchemes/broker" }],
        },
        "socket": Socket::server(),
        "receiver": {
            "host": "example.com",
            "protocol": "https",
            "description": "The address that a webhook was registered with (`POST /v1/webhooks`).",
            "security": [{ "$ref": "#/components/securitySchemes/signature" }],
        },
    })
}

fn channels(events: &[Message], jobs: &[Message], answer: &Message, webhook: &Message) -> Map<String, Value> {
    let topology = Topology::new("fanfare", 1);
    let mut channels = Map::new();
    channels.insert(
        "jobs".into(),
        json!({
            "address": "{token}",
            "title": "Jobs",
            "description": "What clients ask of a session. The routing key is its token.",
            "servers": [{ "$ref": "#/servers/broker" }],
            "parameters": token(),
            "messages": contents(jobs),
            "bindings": exchange(&topology.jobs(), "direct"),
        }),
    );
    for event in events {
        channels.insert(
            event.key.clone(),
            json!({
                "address": format!("{{token}}.{}", event.key),
                "title": event.name,
                "summary": event.summary,
                "servers": [{ "$ref": "#/servers/broker" }],
                "parameters": token(),
                "messages": contents([event]),
                "bindings": exchange(&topology.events(), "topic"),
            }),
        );
    }
    channels.insert("answers".into(), json!({
        "address": null,
        "title": "Answers",
        "description": "The queue that a job names in `reply_to`, reached by the default exchange. The `correlation_id` is the job's.",
        "servers": [{ "$ref": "#/servers/broker" }],
        "messages": contents([answer]),
    }));
    channels.insert(
        "webhook".into(),
        json!({
            "address": null,
            "title": "Webhooks",
            "description": "The path of a webhook's address. Any answer of 2xx takes the event.",
            "servers": [{ "$ref": "#/servers/receiver" }],
            "messages": contents([webhook]),
        }),
    );
    channels
}

/// The parameters of an address that names a session.
fn token() -> Value {
    json!({ "token": { "description": "The session's token.", "examples": ["shop"] } })
}

fn exchange(name: &str, kind: &str) -> Value {
    json!({ "amqp": {
        "is": "routingKey",
        "exchange": { "name": name, "type": kind, "durable": true, "autoDelete": false },
        "bindingVersion": BINDING,
    } })
}

fn contents<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Value {
    let place = |message: &Message| {
        let key = message.key.clone();
        let target = json!({ "$ref": format!("#/components/messages/{key}") });
        (key, target)
    };
    messages.into_iter().map(place).collect()
}

/// What Fanfare does: it takes jobs, answers them, and tells events.
fn operations(
    events: &[Message],
    jobs: &[Message],
    answer: &Message,
    webhook: &Message,
) -> Map<String, Value> {
    let mut operations = Map::new();
    for job in jobs {
        operations.insert(job.key.clone(), json!({
            "action": "receive",
            "title": job.name,
            "summary": job.summary,
            "channel": { "$ref": "#/channels/jobs" },
            "messages": message("jobs", job),
            "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true, "bindingVersion": BINDING } },
            "reply": {
                "address": { "location": "$message.header#/reply_to", "description": "Absent: no answer is wanted." },
                "channel": { "$ref": "#/channels/answers" },
                "messages": message("answers", answer),
            },
        }));
    }
    for event in events {
        operations.insert(
            event.key.clone(),
            json!({
                "action": "send",
                "title": event.name,
                "summary": event.summary,
                "channel": { "$ref": format!("#/channels/{}", event.key) },
                "messages": message(&event.key, event),
                "bindings": { "amqp": { "deliveryMode": 2, "bindingVersion": BINDING } },
            }),
        );
    }
    operations.insert(
        "webhook".into(),
        json!({
            "action": "send",
            "title": "webhook",
            "summary": webhook.summary,
            "channel": { "$ref": "#/channels/webhook" },
            "messages": message("webhook", webhook),
            "bindings": { "http": { "method": "POST", "bindingVersion": BINDING } },
        }),
    );
    operations
}

/// The messages of an operation: the one of its channel.
fn message(channel: &str, one: &Message) -> Value {
    json!([{ "$ref": format!("#/channels/{channel}/messages/{}", one.key) }])
}

const ABOUT: &str = "A self-hosted WhatsApp client API. Jobs are published to the exchange `fanfare.jobs` with the session's \
     token as routing key; events are read from the topic exchange `fanfare.events`, or come by webhook or socket.io. `AMQP_PREFIX` \
     replaces `fanfare`. The document speaks from Fanfare's side: what it receives, clients send. What the properties mean, \
     and what is promised, stands in docs/AMQP.md, docs/EVENTS.md, docs/WEBHOOKS.md and docs/SOCKETS.md.";

#[cfg(test)]
mod tests;
