//! The names and shapes that clients of the older API listen for, made from events.
//!
//! Pure: an envelope in, packets out. A session's new state comes as `message` too, as text for people.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use shared::event::legacy;

use super::client::Packet;

#[derive(Deserialize)]
struct Envelope {
    instance: Instance,
    data: Value,
}

#[derive(Deserialize)]
struct Instance {
    owner: Option<String>,
    name: String,
}

/// What the older dialect says of an event, in its order.
pub(super) fn packets(event: &str, envelope: &str) -> Vec<Packet> {
    let said = match event {
        "connection.update" => connection(envelope),
        "qrcode.updated" => qr_code(envelope),
        "new.message" => {
            let body = legacy::body(envelope.as_bytes());
            let text = body.and_then(|body| String::from_utf8(body.into()).ok());
            let data = text.and_then(|text| RawValue::from_string(text).ok());
            return data
                .map(|data| Packet {
                    name: "message-upsert".into(),
                    data,
                })
                .into_iter()
                .collect();
        }
        _ => return Vec::new(),
    };
    let said = said.unwrap_or_default().into_iter();
    let packets = said.filter_map(|(name, data)| {
        let data = to_raw_value(&data).ok()?;
        Some(Packet {
            name: name.into(),
            data,
        })
    });
    packets.collect()
}

fn connection(envelope: &str) -> Option<Vec<(&'static str, Value)>> {
    let Envelope { instance, data } = serde_json::from_str(envelope).ok()?;
    let token = instance.name;
    let reason = data["statusReason"].as_u64().unwrap_or_default();
    let (text, main) = match data["state"].as_str()? {
        "open" => {
            let user = instance.owner.map(|owner| json!({ "id": owner }));
            let open = json!({ "token": token, "user": user, "ppUrl": null });
            ("Connected".to_owned(), Some(("connection-open", open)))
        }
        "connecting" => ("Connecting".to_owned(), None),
        state => {
            let text = match (state, reason) {
                ("close", 401) => "Logged out".to_owned(),
                ("close", reason) => format!("Connection closed ({reason})"),
                (_, reason) => format!("Connection refused ({reason})"),
            };
            let close = json!({ "token": token, "message": text });
            (text, Some(("connection-close", close)))
        }
    };
    let mut said: Vec<_> = main.into_iter().collect();
    said.push(("message", json!({ "token": token, "message": text })));
    Some(said)
}

fn qr_code(envelope: &str) -> Option<Vec<(&'static str, Value)>> {
    let Envelope { instance, data } = serde_json::from_str(envelope).ok()?;
    let picture = data["qrcode"]["base64"].as_str()?;
    let code = json!({ "token": instance.name, "data": picture, "message": "Please scan qrcode" });
    Some(vec![("qrcode", code)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(event: &str, owner: Value, data: Value) -> Vec<(String, Value)> {
        let envelope =
            json!({ "event": event, "instance": { "owner": owner, "name": "shop" }, "data": data });
        let packets = packets(event, &envelope.to_string()).into_iter();
        packets
            .map(|packet| {
                (
                    packet.name.into_owned(),
                    serde_json::from_str(packet.data.get()).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_connection_that_opens_and_closes_is_told_in_the_older_names() {
        let owner = json!("15550001@s.whatsapp.net");
        let open = said(
            "connection.update",
            owner,
            json!({"state": "open", "statusReason": 200}),
        );
        assert_eq!(open[0].0, "connection-open");
        let user = json!({"id": "15550001@s.whatsapp.net"});
        assert_eq!(open[0].1, json!({"token": "shop", "user": user, "ppUrl": null}));
        assert_eq!(
            open[1],
            ("message".into(), json!({"token": "shop", "message": "Connected"}))
        );
        let close = said(
            "connection.update",
            json!(null),
            json!({"state": "close", "statusReason": 401}),
        );
        let told = json!({"token": "shop", "message": "Logged out"});
        assert_eq!(
            close,
            [
                ("connection-close".into(), told.clone()),
                ("message".into(), told)
            ]
        );
        let refused = said(
            "connection.update",
            json!(null),
            json!({"state": "refused", "statusReason": 405}),
        );
        assert_eq!(refused[0].1["message"], "Connection refused (405)");
        let connecting = said(
            "connection.update",
            json!(null),
            json!({"state": "connecting", "statusReason": 200}),
        );
        assert_eq!(connecting[0].0, "message");
        assert_eq!(connecting.len(), 1);
    }

    #[test]
    fn a_qr_code_comes_as_a_picture() {
        let data = json!({"name": "shop", "qrcode": {"code": "2@x", "base64": "data:image/png;base64,AA"}});
        let told =
            json!({"token": "shop", "data": "data:image/png;base64,AA", "message": "Please scan qrcode"});
        assert_eq!(
            said("qrcode.updated", json!(null), data),
            [("qrcode".into(), told)]
        );
    }

    #[test]
    fn a_message_comes_with_its_key_and_other_events_have_no_older_name() {
        let data = json!({
            "header": {"messageId": "AB12", "fromMe": false, "wuid": "1@s.whatsapp.net"},
            "body": {"messageType": "conversation", "message": "Hi"},
        });
        let told = said("new.message", json!(null), data);
        assert_eq!(told[0].0, "message-upsert");
        assert_eq!(
            told[0].1["key"],
            json!({"remoteJid": "1@s.whatsapp.net", "fromMe": false, "id": "AB12"})
        );
        assert_eq!(told[0].1["message"], json!({"conversation": "Hi"}));
        assert!(said("paused.queue", json!(null), json!({"action": "pause"})).is_empty());
    }
}
