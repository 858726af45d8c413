//! The older API end to end: its bodies, and that what they say is so at the phones.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::{AUTH, Cluster};
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000030";
const CREATE: &str = "/api/whatsapp/create-instance";
const DELETE: &str = "/api/whatsapp/delete-credential";
const SEND: &str = "/api/whatsapp/send-text";
const EXISTS: &str = "/api/whatsapp/is-exists";

const CONTACTS: Contacts<'static> = Contacts {
    prefix: "1555400",
    count: 5,
    deliver_ms: 0,
    read_ms: Some(10),
    reply: None,
};

/// A `POST` that must be answered with success.
async fn done(cluster: &Cluster, path: &str, body: Value) -> Result<Value> {
    let (status, answer) = cluster.operator.post(path, body).await?;
    ensure!(status == StatusCode::OK, "{path}: {status}: {answer}");
    Ok(answer)
}

async fn create(cluster: &Cluster) -> Result<Value> {
    done(cluster, CREATE, json!({ "token": "shop" })).await
}

/// From nothing to an open session, as its clients see it.
async fn connect(cluster: &Cluster) -> Result<()> {
    let first = create(cluster).await?;
    ensure!(
        first == json!({ "status": true, "message": "Processing" }),
        "{first}"
    );
    let mut shown = Value::Null;
    eventually(PATIENCE, "a QR code is shown", async || {
        shown = create(cluster).await?;
        Ok(shown["message"] == "Please scan qrcode")
    })
    .await?;
    ensure!(shown["status"] == false, "{shown}");
    let picture = shown["qrcode"].as_str().unwrap_or_default();
    let data = picture
        .strip_prefix("data:image/png;base64,")
        .with_context(|| shown.to_string())?;
    image::load_from_memory_with_format(&STANDARD.decode(data)?, image::ImageFormat::Png)?;
    // A picture is for eyes; its text is the same code.
    let text = cluster.operator.qr_text("shop").await?;
    cluster.control.scan(PHONE, &text).await?;
    eventually(PATIENCE, "the instance is connected", async || {
        Ok(create(cluster).await? == json!({ "status": true, "message": "Already connected" }))
    })
    .await
}

async fn sends_to_one(cluster: &Cluster, record: &Record) -> Result<()> {
    let number = &CONTACTS.numbers()[0];
    let jid = format!("{number}@s.whatsapp.net");
    let answer = done(
        cluster,
        SEND,
        json!({ "token": "shop", "number": jid, "text": "to one" }),
    )
    .await?;
    ensure!(
        answer["status"] == true && answer["data"] == answer["message"],
        "{answer}"
    );
    let info = &answer["message"];
    let id = info["key"]["id"].as_str().context("the message's id")?;
    ensure!(
        info["key"] == json!({ "remoteJid": jid, "fromMe": true, "id": id })
            && info["message"] == json!({ "extendedTextMessage": { "text": "to one" } })
            && info["status"] == "PENDING"
            && info["messageTimestamp"].is_string(),
        "{answer}"
    );
    for status in ["SERVER_ACK", "DELIVERY_ACK", "READ"] {
        record
            .until_any(PATIENCE, &format!("{status} of {id}"), |event| {
                event["event"] == "messages.update"
                    && event["data"]["update"]["status"] == status
                    && event["data"]["update"]["header"]["messageId"] == id
            })
            .await?;
    }
    let got = cluster.control.contact_messages(number).await?;
    ensure!(
        got.len() == 1
            && got[0].id == id
            && got[0].from == PHONE
            && got[0].text.as_deref() == Some("to one")
            && got[0].times_shown == 1,
        "{got:?}"
    );
    Ok(())
}

async fn sends_to_many(cluster: &Cluster, record: &Record) -> Result<()> {
    let numbers = &CONTACTS.numbers()[1..4];
    let body = json!({ "token": "shop", "number": numbers, "text": "to many" });
    let answer = done(cluster, SEND, body).await?;
    let queue = answer["queue"]["queueId"]
        .as_str()
        .context("the queue's id")?
        .to_owned();
    let wanted = json!({
        "status": true,
        "data": "Sending 3 message start",
        "queue": { "queueId": queue, "status": "STARTED", "progress": 0 },
    });
    ensure!(answer == wanted, "{answer}");
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    for number in numbers {
        let got = cluster.control.contact_messages(number).await?;
        ensure!(
            got.len() == 1 && got[0].text.as_deref() == Some("to many") && got[0].times_shown == 1,
            "{got:?}"
        );
    }
    let path = format!("/v1/sessions/shop/queues/{queue}/recipients?state=read");
    eventually(PATIENCE, "all three are listed as read", async || {
        let (_, page) = cluster.operator.get(&path).await?;
        Ok(page["items"].as_array().map(Vec::len) == Some(3))
    })
    .await
}

/// The same one over `/v1`, twice under one key.
async fn sends_once_for_one_key(cluster: &Cluster, record: &Record) -> Result<()> {
    let number = &CONTACTS.numbers()[4];
    let body = json!({ "token": "shop", "number": number, "message": { "type": "text", "text": "by key" } });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = cluster.operator.request(Method::POST, "/v1/messages");
        let answer = request
            .header("Idempotency-Key", "one-key")
            .json(&body)
            .send()
            .await?;
        ensure!(answer.status() == StatusCode::ACCEPTED, "{}", answer.status());
        let answer: Value = answer.json().await?;
        ids.push((answer["messageId"].clone(), answer["queueId"].clone()));
    }
    ensure!(ids[0] == ids[1], "{ids:?}");
    let queue = ids[0].1.as_str().context("the queue's id")?;
    record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    let got = cluster.control.contact_messages(number).await?;
    ensure!(got.len() == 1 && got[0].id == ids[0].0, "{got:?}, not {ids:?}");
    Ok(())
}

async fn knows_who_exists(cluster: &Cluster) -> Result<()> {
    let known = CONTACTS.numbers().remove(0);
    for (number, exists) in [(known.as_str(), true), ("15559999999", false)] {
        let answer = done(cluster, EXISTS, json!({ "token": "shop", "number": number })).await?;
        let jid = format!("{number}@s.whatsapp.net");
        ensure!(
            answer == json!({ "status": true, "data": { "exists": exists, "jid": jid } }),
            "{answer}"
        );
    }
    Ok(())
}

async fn forgets(cluster: &Cluster, record: &Record) -> Result<()> {
    ensure!(
        cluster.stored_keys().await > 0,
        "an open session has keys in the database"
    );
    let answer = done(cluster, DELETE, json!({ "token": "shop" })).await?;
    let wanted =
        json!({ "status": true, "data": { "status": true, "message": "Deleting session and credential" } });
    ensure!(answer == wanted, "{answer}");
    record
        .until_any(PATIENCE, "the end of the connection is told", |event| {
            event["event"] == "connection.update"
                && event["data"]["state"] == "close"
                && event["data"]["statusReason"] == 401
        })
        .await?;
    eventually(PATIENCE, "the session is gone", async || {
        let (status, _) = cluster.operator.get("/v1/sessions/shop").await?;
        Ok(status == StatusCode::NOT_FOUND)
    })
    .await?;
    let devices = cluster.control.devices(PHONE).await?;
    ensure!(devices.is_empty(), "still linked at the server: {devices:?}");
    ensure!(cluster.stored_keys().await == 0, "keys are left in the database");
    for (path, body) in [
        (
            SEND,
            json!({ "token": "shop", "number": CONTACTS.numbers()[0], "text": "too late" }),
        ),
        (
            EXISTS,
            json!({ "token": "shop", "number": CONTACTS.numbers()[0] }),
        ),
        (DELETE, json!({ "token": "shop" })),
    ] {
        let (status, answer) = cluster.operator.post(path, body).await?;
        ensure!(status == StatusCode::NOT_FOUND, "{path}: {status}: {answer}");
    }
    // The token is free again, and whoever takes it is a stranger to the account.
    create(cluster).await?;
    cluster.operator.qr_text("shop").await.map(drop)
}

/// What is created right behind a deletion is another session, and does not go with the old one.
async fn starts_anew_at_once(cluster: &Cluster) -> Result<()> {
    cluster.operator.pair(&cluster.control, "shop", PHONE).await?;
    let (status, deleted) = cluster.operator.post(DELETE, json!({ "token": "shop" })).await?;
    ensure!(status == StatusCode::OK, "{status}: {deleted}");
    let created = create(cluster).await?;
    ensure!(
        created == json!({ "status": true, "message": "Processing" }),
        "{created}"
    );
    cluster.operator.pair(&cluster.control, "shop", PHONE).await?;
    let (_, session) = cluster.operator.get("/v1/sessions/shop").await?;
    ensure!(
        session["state"] == "open" && session["deleting"] == false,
        "{session}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_created_used_and_deleted() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.control.phone(PHONE, "shop").await?;
    let record = Record::start(cluster.events("shop").await?);
    connect(&cluster).await?;
    knows_who_exists(&cluster).await?;
    sends_to_one(&cluster, &record).await?;
    sends_to_many(&cluster, &record).await?;
    sends_once_for_one_key(&cluster, &record).await?;
    cluster.control.audit().await?.clean(5)?;
    forgets(&cluster, &record).await?;
    starts_anew_at_once(&cluster).await?;
    cluster.control.audit().await?.clean(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nothing_is_done() -> Result<()> {
    let cluster = Cluster::start(0).await?;
    let base = format!("http://{}", cluster.api_address());
    let body = json!({ "token": "shop", "number": "15550001111", "text": "x" });
    for path in [CREATE, DELETE, SEND, EXISTS, "/v1/sessions", "/v1/messages"] {
        for key in [None, Some(""), Some("wrong"), Some(&AUTH[1..])] {
            let mut request = tests::http::client().post(format!("{base}{path}")).json(&body);
            if let Some(key) = key {
                request = request.basic_auth(key, Some(""));
            }
            let answer = request.send().await?;
            ensure!(
                answer.status() == StatusCode::UNAUTHORIZED
                    && answer.headers().contains_key("www-authenticate"),
                "{path} with {key:?}: {}",
                answer.status()
            );
        }
    }
    let (_, sessions) = cluster.operator.get("/v1/sessions").await?;
    ensure!(sessions["items"] == json!([]), "{sessions}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_its_field_and_nothing_is_half_done() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.session("shop", PHONE).await?;
    let record = Record::start(cluster.events("shop").await?);
    let good = CONTACTS.numbers().remove(0);
    let one = |field: &str, value: Value| {
        let mut body = json!({ "token": "shop", "number": good, "text": "never" });
        body[field] = value;
        body
    };
    for (path, body, field) in [
        (CREATE, json!({}), "token"),
        (CREATE, json!({ "token": "no blanks" }), "token"),
        (CREATE, json!({ "token": "x".repeat(65) }), "token"),
        (CREATE, json!({ "token": 7 }), "token"),
        (DELETE, json!({ "token": "../shop" }), "token"),
        (SEND, one("token", json!("")), "token"),
        (SEND, one("number", json!("12")), "number"),
        (SEND, one("number", json!("nobody@example.com")), "number"),
        (SEND, one("number", json!([good, "x"])), "number[1]"),
        (SEND, one("number", json!([])), "number"),
        (SEND, one("number", Value::Null), "number"),
        (SEND, one("text", json!("")), "text"),
        (SEND, one("text", json!(["a"])), "text"),
        (SEND, one("delay", json!({ "min": 2, "max": 1 })), "delay.min"),
        (SEND, one("delay", json!({ "min": -1, "max": 1 })), "delay.min"),
        (SEND, one("delay", json!({ "min": 0, "max": 1e12 })), "delay.max"),
        (SEND, one("delay", json!({ "min": "0", "max": 1 })), "delay.min"),
        (EXISTS, json!({ "token": "shop", "number": "x" }), "number"),
        (EXISTS, json!({ "token": "shop" }), "number"),
    ] {
        let (status, answer) = cluster.operator.post(path, body.clone()).await?;
        ensure!(
            status == StatusCode::BAD_REQUEST
                && answer["status"] == false
                && answer["error"]["field"] == field
                && answer["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(field)),
            "{path} {body}: {status}: {answer}"
        );
    }

    // A good one behind them is the only one that leaves a trace.
    let body = json!({ "token": "shop", "number": [good], "text": "the only one" });
    let answer = done(&cluster, SEND, body).await?;
    let queue = answer["queue"]["queueId"].as_str().unwrap_or_default();
    record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    let (_, queues) = cluster.operator.get("/v1/sessions/shop/queues").await?;
    ensure!(queues["items"].as_array().map(Vec::len) == Some(1), "{queues}");
    let (_, sessions) = cluster.operator.get("/v1/sessions").await?;
    ensure!(
        sessions["items"].as_array().map(Vec::len) == Some(1),
        "{sessions}"
    );
    let rejected = record
        .events()
        .into_iter()
        .find(|event| event["event"] == "job.rejected");
    ensure!(rejected.is_none(), "{rejected:?}");
    cluster.control.audit().await?.clean(1)
}
