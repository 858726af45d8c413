//! A message in the older shape: `{token, key, message}`, as the global `WEBHOOK` and socket.io's `message-upsert` have it.
//!
//! Pure: envelope in, body out. Must not know who gets it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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

/// The body made from an envelope's JSON, or `None` where that is not the envelope of a message.
pub fn body(envelope: &[u8]) -> Option<Bytes> {
    let Envelope { instance, data } = serde_json::from_slice(envelope).ok()?;
    let mut key = json!({
        "remoteJid": data.header.wuid,
        "fromMe": data.header.from_me,
        "id": data.header.message_id,
    });
    if let Some(participant) = data.header.participant {
        key["participant"] = participant.into();
    }
    let mut message = Map::new();
    message.insert(data.body.message_type, data.body.message);
    let mut out = json!({ "token": instance.name, "key": key, "message": message });
    // Beyond the three fields of the original, which a receiver of it ignores.
    if let Some(name) = data.header.push_name {
        out["pushName"] = name.into();
    }
    if let Some(secs) = data.context.message_timestamp {
        out["messageTimestamp"] = secs.into();
    }
    Some(out.to_string().into())
}

#[cfg(test)]
mod tests {
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
