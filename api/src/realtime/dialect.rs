//! The names and shapes that clients of the older API listen for, made from events.
//!
//! Pure: an envelope in, packets out. A session's new state comes as `message` too, as text for people.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use shared::event::legacy;
use shared::event::socket::{ConnectionOpen, ConnectionUser, ConnectionWords, QrCodeShown};
use shared::id::Token;

use super::client::Packet;

#[derive(Deserialize)]
struct Envelope {
    instance: Instance,
    data: Value,
}

#[derive(Deserialize)]
struct Instance {
    owner: Option<String>,
    name: Token,
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
    said.unwrap_or_default()
}

fn packet(name: &'static str, data: &impl Serialize) -> Option<Packet> {
    Some(Packet {
        name: name.into(),
        data: to_raw_value(data).ok()?,
    })
}

fn connection(envelope: &str) -> Option<Vec<Packet>> {
    let Envelope { instance, data } = serde_json::from_str(envelope).ok()?;
    let token = instance.name;
    let reason = data["statusReason"].as_u64().unwrap_or_default();
    let words = |message: String| ConnectionWords {
        token: token.clone(),
        message,
    };
    let (text, main) = match data["state"].as_str()? {
        "open" => {
            let open = ConnectionOpen {
                token: token.clone(),
                user: instance.owner.map(|id| ConnectionUser { id }),
                pp_url: None,
            };
            (words("Connected".to_owned()), packet("connection-open", &open))
        }
        "connecting" => (words("Connecting".to_owned()), None),
        state => {
            let text = words(match (state, reason) {
                ("close", 401) => "Logged out".to_owned(),
                ("close", reason) => format!("Connection closed ({reason})"),
                (_, reason) => format!("Connection refused ({reason})"),
            });
            let close = packet("connection-close", &text);
            (text, close)
        }
    };
    Some(main.into_iter().chain(packet("message", &text)).collect())
}

fn qr_code(envelope: &str) -> Option<Vec<Packet>> {
    let Envelope { instance, data } = serde_json::from_str(envelope).ok()?;
    let code = QrCodeShown {
        token: instance.name,
        data: data["qrcode"]["base64"].as_str()?.to_owned(),
        message: "Please scan qrcode",
    };
    Some(packet("qrcode", &code).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
