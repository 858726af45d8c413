//! Every kind of message end to end: what a client that is not ours decrypts, what events show, and that a retry receipt
//! is answered with the very same bytes after a restart of the worker.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use whatsapp::poll::option_hash;

const PATIENCE: Duration = Duration::from_secs(60);
const OURS: &str = "5511900000030";
const THEIRS: &str = "5511900000031";

/// The smallest thing that begins as a JPEG does, which nobody looks into.
const THUMBNAIL: &str = "/9j/4AAQ";

/// A kind on its way to a client that is not ours.
struct Row {
    /// The `message` of a job.
    message: Value,
    /// What its recipient must have decrypted, among what it did.
    read: Value,
    /// Its kind, as events name it.
    shown: &'static str,
}

fn row(message: Value, read: Value) -> Row {
    let kind = read.as_object().and_then(|kinds| kinds.keys().next());
    let shown = match kind.map(String::as_str) {
        Some("extendedTextMessage") => "extendedTextMessage",
        Some("locationMessage") => "locationMessage",
        Some("contactMessage") => "contactMessage",
        Some("contactsArrayMessage") => "contactsArrayMessage",
        Some("liveLocationMessage") => "liveLocationMessage",
        Some("eventMessage") => "eventMessage",
        Some("pollCreationMessage" | "pollCreationMessageV3") => "pollCreationMessage",
        Some("interactiveMessage") => "interactiveMessage",
        Some("buttonsMessage") => "buttonsMessage",
        Some("templateMessage") => "templateMessage",
        Some("listMessage") => "listMessage",
        Some("reactionMessage") => "reactionMessage",
        _ => "protocolMessage",
    };
    Row { message, read, shown }
}

/// What is shown in a chat of its own, and can be asked for again.
fn kinds() -> Vec<Row> {
    let vcard = |name: &str, phone: &str| {
        format!(
            "BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\nTEL;type=CELL;type=VOICE;waid={phone}:+{phone}\nEND:VCARD"
        )
    };
    let options = json!([{ "optionName": "today" }, { "optionName": "tomorrow" }]);
    vec![
        row(
            json!({ "type": "text", "text": "We open at nine." }),
            json!({ "extendedTextMessage": { "text": "We open at nine." } }),
        ),
        row(
            json!({ "type": "text", "text": format!("@{THEIRS} yes"), "mentions": [THEIRS], "forwarded": true,
                "quote": { "key": { "id": "3EB0", "fromMe": true }, "text": "Open?" } }),
            json!({ "extendedTextMessage": { "text": format!("@{THEIRS} yes"), "contextInfo": {
                "stanzaId": "3EB0", "participant": format!("{OURS}@s.whatsapp.net"), "isForwarded": true,
                "quotedMessage": { "conversation": "Open?" }, "mentionedJid": [format!("{THEIRS}@s.whatsapp.net")],
            } } }),
        ),
        row(
            json!({ "type": "location", "latitude": -23.550519123456789, "longitude": 46.6, "name": "Sé" }),
            json!({ "locationMessage": {
                "degreesLatitude": -23.550519123456789, "degreesLongitude": 46.6, "name": "Sé",
            } }),
        ),
        row(
            json!({ "type": "contact", "name": "Ana; Zoë", "phone": "+55 31 90000-0042" }),
            json!({ "contactMessage": { "displayName": "Ana; Zoë", "vcard": vcard("Ana\\; Zoë", "5531900000042") } }),
        ),
        row(
            json!({ "type": "contacts", "contacts": [
                { "name": "Ana", "phone": "5531900000042" }, { "name": "Bea", "phone": "5531900000043" },
            ] }),
            json!({ "contactsArrayMessage": { "displayName": "2 contacts", "contacts": [
                { "displayName": "Ana", "vcard": vcard("Ana", "5531900000042") },
                { "displayName": "Bea", "vcard": vcard("Bea", "5531900000043") },
            ] } }),
        ),
        row(
            json!({ "type": "liveLocation", "latitude": 1.5, "longitude": 2.5, "speed": 1.5, "caption": "Soon" }),
            json!({ "liveLocationMessage": {
                "degreesLatitude": 1.5, "degreesLongitude": 2.5, "speedInMps": 1.5, "caption": "Soon",
            } }),
        ),
        row(
            json!({ "type": "event", "name": "Opening", "startsAt": "2026-12-24T09:00:00+01:00" }),
            json!({ "eventMessage": { "name": "Opening", "startTime": "1798099200", "isCanceled": false } }),
        ),
        row(
            json!({ "type": "text", "text": "New: https://example.com/flowers", "linkPreview": {
                "title": "Flowers", "description": "Red and blue", "thumbnail": THUMBNAIL,
            } }),
            json!({ "extendedTextMessage": {
                "text": "New: https://example.com/flowers", "matchedText": "https://example.com/flowers",
                "title": "Flowers", "description": "Red and blue", "jpegThumbnail": THUMBNAIL,
            } }),
        ),
        row(
            json!({ "type": "poll", "name": "When?", "options": ["today", "tomorrow"] }),
            json!({ "pollCreationMessageV3": { "name": "When?", "options": options, "selectableOptionsCount": 1 } }),
        ),
        row(
            json!({ "type": "poll", "name": "When?", "options": ["today", "tomorrow"], "selectableCount": 0 }),
            json!({ "pollCreationMessage": { "name": "When?", "options": options, "selectableOptionsCount": 0 } }),
        ),
    ]
}

/// Buttons and lists in their forms.
fn choices() -> Vec<Row> {
    let buttons = json!([{ "displayText": "Yes" }, { "displayText": "No", "id": "no" }]);
    let leads = json!([{ "displayText": "Call", "phoneNumber": "+1 234" }, { "displayText": "See", "url": "https://example.com" }]);
    let sections = json!([{ "title": "Warm", "rows": [{ "title": "Soup", "rowId": "soup" }] }]);
    let flow = |buttons: Value| {
        json!({ "interactiveMessage": {
            "body": { "text": "?" }, "nativeFlowMessage": { "buttons": buttons, "messageVersion": 1 },
        } })
    };
    let select = r#"{"title":"Choose","sections":[{"title":"Warm","rows":[{"title":"Soup","description":"","id":"soup"}]}]}"#;
    vec![
        row(
            json!({ "type": "buttons", "text": "?", "buttons": buttons }),
            flow(json!([
                { "name": "quick_reply", "buttonParamsJson": r#"{"display_text":"Yes","id":"0"}"# },
                { "name": "quick_reply", "buttonParamsJson": r#"{"display_text":"No","id":"no"}"# },
            ])),
        ),
        row(
            json!({ "type": "buttons", "text": "?", "buttons": buttons, "form": "legacy" }),
            json!({ "buttonsMessage": { "contentText": "?", "buttons": [
                { "buttonId": "0", "buttonText": { "displayText": "Yes" }, "type": "RESPONSE" },
                { "buttonId": "no", "buttonText": { "displayText": "No" }, "type": "RESPONSE" },
            ] } }),
        ),
        row(
            json!({ "type": "buttons", "text": "?", "buttons": buttons, "fallback": "text" }),
            json!({ "extendedTextMessage": { "text": "?\n\n1. Yes\n2. No" } }),
        ),
        row(
            json!({ "type": "template", "text": "?", "buttons": leads }),
            flow(json!([
                { "name": "cta_call", "buttonParamsJson": r#"{"display_text":"Call","phone_number":"+1 234"}"# },
                { "name": "cta_url", "buttonParamsJson":
                    r#"{"display_text":"See","url":"https://example.com","merchant_url":"https://example.com"}"# },
            ])),
        ),
        row(
            json!({ "type": "template", "text": "?", "buttons": leads, "form": "legacy" }),
            json!({ "templateMessage": { "hydratedTemplate": { "hydratedContentText": "?", "hydratedButtons": [
                { "callButton": { "displayText": "Call", "phoneNumber": "+1 234" }, "index": 1 },
                { "urlButton": { "displayText": "See", "url": "https://example.com" }, "index": 2 },
            ] } } }),
        ),
        row(
            json!({ "type": "list", "text": "?", "buttonText": "Choose", "sections": sections }),
            flow(json!([{ "name": "single_select", "buttonParamsJson": select }])),
        ),
        row(
            json!({ "type": "list", "text": "?", "buttonText": "Choose", "sections": sections, "form": "legacy" }),
            json!({ "listMessage": { "description": "?", "buttonText": "Choose", "listType": "SINGLE_SELECT",
                "sections": sections } }),
        ),
    ]
}

/// Buttons and templates with something above their text, in both forms.
fn headers() -> Result<Vec<Row>> {
    let buttons = json!([{ "displayText": "Yes" }]);
    let leads = json!([{ "displayText": "See", "url": "https://example.com" }]);
    let mut png = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 32).write_to(&mut png, image::ImageFormat::Png)?;
    let picture = json!({ "type": "image", "media": { "base64": STANDARD.encode(png.into_inner()) } });
    let film = json!({ "type": "video", "media": { "base64": STANDARD.encode(include_bytes!("../files/film.mp4")) } });
    let list = json!({ "type": "document", "media": { "base64": STANDARD.encode("a,b") }, "fileName": "prices.csv" });
    let flow = |title: Value, above: Value| {
        let mut header = above;
        header["hasMediaAttachment"] = true.into();
        if title.is_string() {
            header["title"] = title;
        }
        json!({ "interactiveMessage": { "header": header, "body": { "text": "?" } } })
    };
    let shown = json!({ "mimetype": "image/png", "width": 64, "height": 32 });
    let played = json!({ "mimetype": "video/mp4", "width": 64, "height": 36, "seconds": 3 });
    let legacy = |kind: &str, mut told: Value| {
        told["caption"] = "?".into();
        json!({ kind: told })
    };
    let with = |mut whole: Value, part: Value| {
        for (name, value) in part.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        whole
    };
    Ok(vec![
        row(
            json!({ "type": "buttons", "title": "Now", "text": "?", "buttons": buttons, "header": picture }),
            flow("Now".into(), json!({ "imageMessage": shown })),
        ),
        row(
            json!({ "type": "template", "text": "?", "buttons": leads, "header": film }),
            flow(Value::Null, json!({ "videoMessage": played })),
        ),
        row(
            json!({ "type": "template", "text": "?", "buttons": leads, "header": list }),
            flow(
                Value::Null,
                json!({ "documentMessage": { "fileName": "prices.csv" } }),
            ),
        ),
        row(
            json!({ "type": "buttons", "text": "?", "buttons": buttons, "header": picture, "form": "legacy" }),
            json!({ "buttonsMessage": with(json!({ "contentText": "?", "headerType": "IMAGE" }), legacy("imageMessage", shown)) }),
        ),
        row(
            json!({ "type": "template", "text": "?", "buttons": leads, "header": film, "form": "legacy" }),
            json!({ "templateMessage": { "hydratedTemplate": with(
                json!({ "hydratedContentText": "?" }), legacy("videoMessage", played),
            ) } }),
        ),
    ])
}

/// What is about the message of this id, which we sent.
fn about(id: &str) -> Vec<Row> {
    let key = json!({ "id": id, "fromMe": true });
    let mut rows: Vec<_> = ["🦖", ""]
        .map(|text| {
            row(
                json!({ "type": "reaction", "key": key, "text": text }),
                json!({ "reactionMessage": { "key": { "id": id }, "text": text } }),
            )
        })
        .into();
    rows.push(row(
        json!({ "type": "edit", "key": key, "text": "We open at ten." }),
        json!({ "protocolMessage": { "type": "MESSAGE_EDIT", "key": { "id": id },
            "editedMessage": { "extendedTextMessage": { "text": "We open at ten." } } } }),
    ));
    rows.push(row(
        json!({ "type": "delete", "key": key }),
        json!({ "protocolMessage": { "type": "REVOKE", "key": { "id": id } } }),
    ));
    rows
}

/// Whether all of `part` is in `whole`; lists are of one length.
fn includes(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| includes(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| includes(whole, part))
        }
        _ => whole == part,
    }
}

/// What was read is what was sent, and has the secret that comes with each.
fn said(read: &Value, row: &Row) -> Result<()> {
    let message = &read["message"];
    ensure!(
        message["messageContextInfo"]["messageSecret"].is_string(),
        "{read}"
    );
    ensure!(includes(message, &row.read), "{read}, not {}", row.read);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_read_and_sent_again_byte_for_byte_after_a_restart() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "kinds", OURS).await?;
    let record = Record::start(cluster.events("kinds").await?);
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;

    for row in kinds() {
        let id = send(&cluster, &record, &row.message).await?;
        said(&baileys.receives(&id).await?, &row)?;
        shown(&record, &id, &row)?;
    }

    drop(baileys);
    let spoiled = json!({ "kind": "corrupt_mac", "match": { "to": THEIRS }, "count": kinds().len() });
    cluster.control.fault(spoiled).await?;
    let mut sent = Vec::new();
    for row in kinds() {
        sent.push((send(&cluster, &record, &row.message).await?, row));
    }
    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    let own_copies = cluster.control.phone_messages(OURS).await?;
    for (id, row) in sent {
        let read = baileys.receives(&id).await?;
        said(&read, &row)?;
        let first = own_copies
            .iter()
            .find(|copy| copy.id == id)
            .context("an own copy")?;
        ensure!(
            read["bytes"] == first.message,
            "{read}, but first {}",
            first.message
        );
    }
    let faults = cluster.control.get("/faults").await?;
    ensure!(
        faults[0]["struck"] == kinds().len(),
        "each copy was spoiled once: {faults}"
    );
    let audit = cluster.control.audit().await?;
    ensure!(
        audit.message_keys_reused == 0 && audit.violations == 0,
        "{audit:?}"
    );
    Ok(())
}

/// Sends a message and waits until the server has it; its id.
async fn send(cluster: &Cluster, record: &Record, message: &Value) -> Result<String> {
    let body = json!({ "token": "kinds", "number": THEIRS, "message": message });
    let (status, answer) = cluster.operator.post("/v1/messages", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let id = answer["messageId"].as_str().context("a message id")?.to_owned();
    record
        .until_any(PATIENCE, &format!("the end of {message}"), |event| {
            event["event"] == "send.message:COMPLETED"
                && event["data"]["queue"]["data"]["messageIds"][0] == id
        })
        .await?;
    Ok(id)
}

/// The events of the queue name the kind, and the form of what has several.
fn shown(record: &Record, id: &str, row: &Row) -> Result<()> {
    let events = record.events();
    let data = events
        .iter()
        .map(|event| &event["data"]["queue"]["data"])
        .find(|data| data["messageIds"][0] == id)
        .context("the queue's data")?;
    ensure!(data["messageType"] == row.shown, "{data}");
    ensure!(data["message"]["messageType"] == row.shown, "{data}");
    let form = match (row.message["form"].as_str(), row.message["fallback"].as_str()) {
        (Some(form), _) | (None, Some(form)) => json!(form),
        (None, None) if row.shown == "interactiveMessage" => json!("nativeFlow"),
        (None, None) => Value::Null,
    };
    ensure!(data["message"]["form"] == form, "{data}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_and_what_is_about_a_message_are_read_by_a_client_that_is_not_ours() -> Result<()> {
    let (cluster, record, mut baileys, _folder) = start().await?;
    for row in choices().into_iter().chain(headers()?) {
        let id = send(&cluster, &record, &row.message).await?;
        said(&baileys.receives(&id).await?, &row)?;
        shown(&record, &id, &row)?;
    }
    let text = json!({ "type": "text", "text": "We open at nine." });
    let first = send(&cluster, &record, &text).await?;
    baileys.receives(&first).await?;
    for row in about(&first) {
        let id = send(&cluster, &record, &row.message).await?;
        let read = baileys.receives(&id).await?;
        ensure!(includes(&read["message"], &row.read), "{read}, not {}", row.read);
        shown(&record, &id, &row)?;
    }
    let audit = cluster.control.audit().await?;
    ensure!(
        audit.message_keys_reused == 0 && audit.violations == 0,
        "{audit:?}"
    );
    Ok(())
}

/// What a client that is not ours sends, as the JSON of a protobuf, and what of it is told under its kind.
fn incoming() -> Vec<(Value, &'static str, Value)> {
    let key = json!({ "remoteJid": format!("{OURS}@s.whatsapp.net"), "fromMe": true, "id": "3EB0" });
    let poll = json!({ "name": "When?", "options": [{ "optionName": "a" }, { "optionName": "b" }], "selectableOptionsCount": 1 });
    let place = json!({ "degreesLatitude": 1.5, "degreesLongitude": 2.5 });
    let same = |kind: &'static str, body: Value| (json!({ kind: body }), kind, body);
    let flow = json!({ "name": "quick_reply", "paramsJson": r#"{"id":"no"}"#, "version": 3 });
    vec![
        // Its own message, as it names it; the account sees it the other way round.
        (
            json!({ "reactionMessage": { "key": key, "text": "🦖" } }),
            "reactionMessage",
            json!({ "key": { "remoteJid": format!("{THEIRS}@s.whatsapp.net"), "fromMe": false, "id": "3EB0" }, "text": "🦖" }),
        ),
        (
            json!({ "protocolMessage": { "type": 0, "key": key } }),
            "protocolMessage",
            json!({ "type": "REVOKE", "key": key }),
        ),
        (
            json!({ "protocolMessage": { "type": 14, "key": key, "editedMessage": { "conversation": "ten" } } }),
            "protocolMessage",
            json!({ "type": "MESSAGE_EDIT", "key": key, "editedMessage": { "conversation": "ten" } }),
        ),
        same(
            "contactsArrayMessage",
            json!({ "displayName": "two", "contacts": [
            { "displayName": "Ana", "vcard": "v" }, { "displayName": "Bea", "vcard": "w" },
        ] }),
        ),
        same("liveLocationMessage", place.clone()),
        same(
            "eventMessage",
            json!({ "name": "Opening", "startTime": 1_798_099_200, "location": place }),
        ),
        same("pollCreationMessage", poll.clone()),
        (
            json!({ "pollCreationMessageV3": poll }),
            "pollCreationMessage",
            poll,
        ),
        same(
            "buttonsResponseMessage",
            json!({ "selectedButtonId": "no", "selectedDisplayText": "No" }),
        ),
        same(
            "templateButtonReplyMessage",
            json!({ "selectedId": "r", "selectedDisplayText": "Reply", "selectedIndex": 2 }),
        ),
        same(
            "listResponseMessage",
            json!({ "title": "Soup", "singleSelectReply": { "selectedRowId": "soup" } }),
        ),
        (
            json!({ "interactiveResponseMessage": { "body": { "text": "No" }, "nativeFlowResponseMessage": flow } }),
            "interactiveResponseMessage",
            json!({ "body": { "text": "No" }, "nativeFlowResponseMessage": { "name": "quick_reply", "params": { "id": "no" } } }),
        ),
        same(
            "extendedTextMessage",
            json!({ "text": "hi", "contextInfo": {
            "stanzaId": "3EB0", "participant": format!("{OURS}@s.whatsapp.net"), "isForwarded": true,
            "quotedMessage": { "conversation": "Open?" }, "mentionedJid": [format!("{OURS}@s.whatsapp.net")],
        } }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_that_comes_from_a_client_that_is_not_ours_is_told_with_what_it_says() -> Result<()> {
    let (_cluster, record, mut baileys, _folder) = start().await?;
    for (message, kind, told) in incoming() {
        let id = baileys.write_message(OURS, &message).await?;
        let is_it =
            |event: &Value| event["event"] == "new.message" && event["data"]["header"]["messageId"] == id;
        record.until_any(PATIENCE, &format!("{message}"), is_it).await?;
        let events = record.events();
        let event = events.iter().find(|event| is_it(event)).context("its event")?;
        let body = &event["data"]["body"];
        ensure!(body["messageType"] == kind, "{event}");
        ensure!(includes(&body["message"], &told), "{event}, not {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_of_a_client_that_is_not_ours_are_told_with_what_was_chosen() -> Result<()> {
    let (cluster, record, mut baileys, _folder) = start().await?;
    let poll =
        json!({ "type": "poll", "name": "When?", "options": ["today", "tomorrow"], "selectableCount": 0 });
    let id = send(&cluster, &record, &poll).await?;
    baileys.receives(&id).await?;
    for chosen in [&["tomorrow"][..], &["today", "tomorrow"], &[]] {
        let vote = baileys.vote(OURS, &id, chosen).await?;
        let is_it =
            |event: &Value| event["event"] == "new.message" && event["data"]["header"]["messageId"] == vote;
        record.until_any(PATIENCE, &format!("{chosen:?}"), is_it).await?;
        let events = record.events();
        let event = events.iter().find(|event| is_it(event)).context("its event")?;
        let body = &event["data"]["body"];
        let told = json!({ "pollCreationMessageKey": { "id": id }, "vote": { "selectedOptions": chosen } });
        ensure!(body["messageType"] == "pollUpdateMessage", "{event}");
        ensure!(includes(&body["message"], &told), "{event}, not {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_votes_are_opened_by_a_client_that_is_not_ours_and_wrong_ones_are_not_sent() -> Result<()> {
    let (cluster, record, mut baileys, _folder) = start().await?;
    let secret = STANDARD.encode([7; 32]);
    let options = json!([{ "optionName": "today" }, { "optionName": "tomorrow" }]);
    let poll = json!({
        "pollCreationMessageV3": { "name": "When?", "options": options, "selectableOptionsCount": 1 },
        "messageContextInfo": { "messageSecret": secret },
    });
    let poll = baileys.write_message(OURS, &poll).await?;
    record
        .until_any(PATIENCE, "the poll", |event| {
            event["event"] == "new.message" && event["data"]["header"]["messageId"] == poll
        })
        .await?;
    let key = json!({ "id": poll, "fromMe": false });
    // It asks for the first one again, and gets what was stored.
    let spoiled = json!({ "kind": "corrupt_mac", "match": { "to": THEIRS }, "count": 1 });
    cluster.control.fault(spoiled).await?;
    for chosen in [&["tomorrow"][..], &["today"], &[]] {
        let vote = json!({ "type": "vote", "key": key, "options": chosen });
        let id = send(&cluster, &record, &vote).await?;
        let read = baileys.receives(&id).await?;
        let named = json!({ "pollUpdateMessage": { "pollCreationMessageKey": { "id": poll } } });
        ensure!(includes(&read["message"], &named), "{read}");
        let hashes: Vec<String> = chosen.iter().map(|name| hex::encode(option_hash(name))).collect();
        ensure!(baileys.opens(&id, &poll).await? == json!(hashes), "{chosen:?}");
    }
    let faults = cluster.control.get("/faults").await?;
    ensure!(faults[0]["struck"] == 1, "one copy was spoiled: {faults}");
    for (id, chosen, status, field) in [
        (poll.as_str(), &["never"][..], 400, "message.options[0]"),
        (&poll, &["today", "tomorrow"], 400, "message.options"),
        ("3EB0", &["today"], 404, "message.key"),
    ] {
        let vote = json!({ "type": "vote", "key": { "id": id, "fromMe": false }, "options": chosen });
        let body = json!({ "token": "kinds", "number": THEIRS, "message": vote });
        let (taken, answer) = cluster.operator.post("/v1/messages", body).await?;
        ensure!(taken.is_success(), "{answer}");
        let is_it = |event: &Value| {
            event["event"] == "send.message:ERROR" && event["data"]["queueId"] == answer["queueId"]
        };
        record
            .until_any(PATIENCE, &format!("the end of {vote}"), is_it)
            .await?;
        let events = record.events();
        let refused = events.iter().find(|event| is_it(event)).context("its event")?;
        ensure!(refused["data"]["status"] == status, "{refused}");
        let words = refused["data"]["message"].as_str().unwrap_or_default();
        ensure!(words.starts_with(&format!("{field}: ")), "{refused}");
    }
    let audit = cluster.control.audit().await?;
    ensure!(audit.violations == 0, "{audit:?}");
    Ok(())
}

/// A session of ours, what it tells, and a client that is not ours.
async fn start() -> Result<(Cluster, Record, Baileys, Folder)> {
    let cluster = Cluster::start(1).await?;
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "kinds", OURS).await?;
    let record = Record::start(cluster.events("kinds").await?);
    let folder = Folder::new()?;
    let baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    Ok((cluster, record, baileys, folder))
}
