//! A message of each kind, as the JSON of its protobuf.

use serde_json::{Value, json};

type Named = (&'static str, Value);

/// All kinds.
pub(super) fn messages() -> Vec<Named> {
    [texts(), files(), things(), choices()].concat()
}

fn texts() -> Vec<Named> {
    let context = json!({ "stanzaId": "3EB0AA", "participant": "15555100001@s.whatsapp.net",
        "quotedMessage": { "conversation": "Open?" }, "mentionedJid": ["15555100001@s.whatsapp.net"] });
    vec![
        ("a text", json!({ "conversation": "hello" })),
        (
            "an answer",
            json!({ "extendedTextMessage": { "text": "yes", "contextInfo": context } }),
        ),
        (
            "a forwarded text",
            json!({ "extendedTextMessage": { "text": "news",
            "contextInfo": { "isForwarded": true, "forwardingScore": 2 } } }),
        ),
        (
            "a link",
            json!({ "extendedTextMessage": { "text": "https://example.com", "matchedText": "https://example.com",
            "title": "Example", "description": "An example" } }),
        ),
    ]
}

fn files() -> Vec<Named> {
    let with = |kind: &str, fields: Value| {
        let mut whole = file(kind);
        for (name, value) in fields.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        whole
    };
    vec![
        (
            "a picture",
            json!({ "imageMessage": with("image/jpeg", json!({ "caption": "Look", "width": 4, "height": 3 })) }),
        ),
        (
            "a film",
            json!({ "videoMessage": with("video/mp4", json!({ "caption": "Look", "seconds": 5 })) }),
        ),
        (
            "a moving picture",
            json!({ "videoMessage": with("video/mp4", json!({ "gifPlayback": true })) }),
        ),
        (
            "a round film",
            json!({ "ptvMessage": with("video/mp4", json!({ "seconds": 5 })) }),
        ),
        (
            "a sound",
            json!({ "audioMessage": with("audio/mp4", json!({ "seconds": 7 })) }),
        ),
        (
            "a voice note",
            json!({ "audioMessage": with("audio/ogg; codecs=opus", json!({ "seconds": 7, "ptt": true })) }),
        ),
        (
            "a document",
            json!({ "documentMessage": with("application/pdf", json!({ "fileName": "a.pdf", "title": "a" })) }),
        ),
        (
            "a document with a caption",
            json!({ "documentWithCaptionMessage": { "message": {
            "documentMessage": with("application/pdf", json!({ "fileName": "b.pdf", "caption": "Read" })) } } }),
        ),
        (
            "a sticker",
            json!({ "stickerMessage": with("image/webp", json!({ "isAnimated": true })) }),
        ),
        (
            "a picture to be seen once",
            json!({ "viewOnceMessageV2": { "message": {
            "imageMessage": with("image/jpeg", json!({ "viewOnce": true })) } } }),
        ),
        (
            "a text that disappears",
            json!({ "ephemeralMessage": { "message": {
            "extendedTextMessage": { "text": "soon gone", "contextInfo": { "expiration": 86_400 } } } } }),
        ),
    ]
}

fn things() -> Vec<Named> {
    let place = json!({ "degreesLatitude": 1.5, "degreesLongitude": 2.5 });
    let poll = json!({ "name": "When?", "options": [{ "optionName": "a" }, { "optionName": "b" }],
        "selectableOptionsCount": 1 });
    let card = json!({ "displayName": "Ana", "vcard": "BEGIN:VCARD\nEND:VCARD" });
    vec![
        (
            "a place",
            json!({ "locationMessage": { "degreesLatitude": 1.5, "degreesLongitude": 2.5,
            "name": "Here", "address": "1 Road" } }),
        ),
        ("a place that moves", json!({ "liveLocationMessage": place })),
        ("a contact", json!({ "contactMessage": card })),
        (
            "two contacts",
            json!({ "contactsArrayMessage": { "displayName": "two", "contacts": [card, card] } }),
        ),
        ("a poll of the first form", json!({ "pollCreationMessage": poll })),
        (
            "a poll of the third form",
            json!({ "pollCreationMessageV3": poll }),
        ),
        (
            "an event",
            json!({ "eventMessage": { "name": "Opening", "startTime": 1_798_099_200, "location": place } }),
        ),
        (
            "an invitation",
            json!({ "groupInviteMessage": { "groupJid": "120363000000000001@g.us", "inviteCode": "abc",
            "groupName": "Friends", "inviteExpiration": 1_798_099_200 } }),
        ),
    ]
}

fn choices() -> Vec<Named> {
    let buttons = json!([{ "buttonId": "y", "buttonText": { "displayText": "Yes" }, "type": 1 }]);
    let flow = json!({ "name": "quick_reply", "paramsJson": r#"{"id":"no"}"#, "version": 3 });
    vec![
        (
            "buttons",
            json!({ "buttonsMessage": { "contentText": "Well?", "footerText": "f", "buttons": buttons,
            "headerType": 1 } }),
        ),
        (
            "a list",
            json!({ "listMessage": { "title": "t", "description": "d", "buttonText": "b", "listType": 1,
            "sections": [{ "title": "s", "rows": [{ "rowId": "r", "title": "Row" }] }] } }),
        ),
        (
            "a pressed button",
            json!({ "buttonsResponseMessage": { "selectedButtonId": "no", "selectedDisplayText": "No",
            "type": 1 } }),
        ),
        (
            "a pressed button of a template",
            json!({ "templateButtonReplyMessage": { "selectedId": "r",
            "selectedDisplayText": "Reply", "selectedIndex": 2 } }),
        ),
        (
            "a row of a list",
            json!({ "listResponseMessage": { "title": "Soup", "listType": 1,
            "singleSelectReply": { "selectedRowId": "soup" } } }),
        ),
        (
            "a pressed button of a flow",
            json!({ "interactiveResponseMessage": { "body": { "text": "No" },
            "nativeFlowResponseMessage": flow } }),
        ),
    ]
}

/// A file as messages name it; nobody fetches it.
pub(super) fn file(mimetype: &str) -> Value {
    let bytes = |byte: char| format!("{}=", byte.to_string().repeat(43));
    json!({
        "url": "https://mmg.whatsapp.net/v/a", "directPath": "/v/a", "mimetype": mimetype, "fileLength": 1024,
        "mediaKey": bytes('A'), "fileSha256": bytes('A'), "fileEncSha256": bytes('A'), "mediaKeyTimestamp": 1_790_000_000,
    })
}
