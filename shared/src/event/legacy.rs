//! A message in the older shape: `{token, key, message}`, as the global `WEBHOOK` and socket.io's `message-upsert` have it.
//!
//! Pure: envelope in, body out. Must not know who gets it.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::name::EventName;

/// The only event that has this shape.
pub const EVENT: EventName = EventName::NewMessage;

#[derive(Deserialize)]
struct Envelope {
    instance: Instance,
    data: Data,
}

#[derive(Deserialize)]
struct Instance {
    name: String,
}

#[derive(Deserialize)]
struct Data {
    header: Header,
    body: Body,
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    message_id: String,
    from_me: bool,
    wuid: String,
    participant: Option<String>,
    push_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    message_type: String,
    message: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    message_timestamp: Option<i64>,
}

/// A message as it is told in this shape.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageUpsert")]
pub struct Message {
    /// The session's token.
    pub token: String,
    /// Which message it is.
    pub key: Key,
    /// What it says, under the name of its kind, as in `new.message`.
    pub message: Map<String, Value>,
    /// The name that its sender goes by.
    #[serde(rename = "pushName", skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// When it was sent, in seconds since 1970.
    #[serde(rename = "messageTimestamp", skip_serializing_if = "Option::is_none")]
    pub message_timestamp: Option<i64>,
}

/// Which message it is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageUpsertKey")]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its chat.
    pub remote_jid: String,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Its id.
    pub id: String,
    /// Who wrote it, in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
}

/// The body made from an envelope's JSON, or `None` where that is not the envelope of a message.
pub fn body(envelope: &[u8]) -> Option<Bytes> {
    let Envelope { instance, data } = serde_json::from_slice(envelope).ok()?;
    let told = Message {
        token: instance.name,
        key: Key {
            remote_jid: data.header.wuid,
            from_me: data.header.from_me,
            id: data.header.message_id,
            participant: data.header.participant,
        },
        message: Map::from_iter([(data.body.message_type, data.body.message)]),
        // Beyond the three fields of the original, which a receiver of it ignores.
        push_name: data.header.push_name,
        message_timestamp: data.context.message_timestamp,
    };
    serde_json::to_vec(&told).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_becomes_token_key_and_message() {
        let envelope = json!({
            "event": "new.message",
            "instance": { "owner": "5531911111111@s.whatsapp.net", "name": "codechat" },
            "data": {
                "header": { "messageId": "0542F8EF37C4", "fromMe": false, "wuid": "123@s.whatsapp.net", "pushName": "P" },
                "body": { "messageType": "conversation", "message": "Test" },
                "context": { "sourceDevice": "android", "messageTimestamp": 1_666_479_478, "fromGroup": false }
            }
        });
        let body: Value = serde_json::from_slice(&body(envelope.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(
            body,
            json!({
                "token": "codechat",
                "key": { "remoteJid": "123@s.whatsapp.net", "fromMe": false, "id": "0542F8EF37C4" },
                "message": { "conversation": "Test" },
                "pushName": "P",
                "messageTimestamp": 1_666_479_478
            })
        );
    }

    #[test]
    fn other_events_have_no_such_body() {
        assert_eq!(
            body(br#"{"event":"paused.queue","instance":{"name":"a"},"data":{"action":"pause"}}"#),
            None
        );
        assert_eq!(body(b"x"), None);
    }
}
