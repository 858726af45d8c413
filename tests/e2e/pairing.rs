//! Pairing by code and by picture, logging out from the phone, and pairing the same token again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000040";
const SESSION: &str = "/v1/sessions/pair";

const CONTACTS: Contacts<'static> = Contacts::quiet("1555410", 2);

async fn is_in_state(cluster: &Cluster, state: &str) -> Result<()> {
    eventually(PATIENCE, &format!("the session is {state}"), async || {
        Ok(cluster.operator.get(SESSION).await?.1["state"] == state)
    })
    .await
}

/// The QR code in each of its clothes, which must all show the same.
async fn shows_one_qr_code_in_three_ways(cluster: &Cluster) -> Result<()> {
    // The first code may come a moment later than the session.
    let mut code = Value::Null;
    eventually(PATIENCE, "a QR code is shown", async || {
        let (status, body) = cluster.operator.get(&format!("{SESSION}/qr")).await?;
        code = body;
        Ok(status == StatusCode::OK)
    })
    .await?;
    let text = cluster.operator.qr_text("pair").await?;
    ensure!(
        code["code"] == text.as_str() && text.split(',').count() >= 4,
        "{code}"
    );
    let request = cluster
        .operator
        .request(Method::GET, &format!("{SESSION}/qr?format=png"));
    let answer = request.send().await?.error_for_status()?;
    ensure!(answer.headers()["content-type"] == "image/png");
    ensure!(answer.headers()["cache-control"] == "no-store");
    let png = answer.bytes().await?;
    let picture = image::load_from_memory_with_format(&png, image::ImageFormat::Png)?;
    ensure!(picture.width() == picture.height() && picture.width() > 100);
    let base64 = code["base64"].as_str().context("the picture in JSON")?;
    ensure!(
        base64.strip_prefix("data:image/png;base64,") == Some(&*STANDARD.encode(&png)),
        "two pictures of one code"
    );
    Ok(())
}

async fn pairs_by_code(cluster: &Cluster) -> Result<()> {
    let path = format!("{SESSION}/pairing-code");
    for (phone, why) in [
        ("12", "too short"),
        ("120363000000000000@g.us", "a group"),
        ("", "empty"),
    ] {
        let (status, answer) = cluster.operator.post(&path, json!({ "phone": phone })).await?;
        ensure!(
            status == StatusCode::BAD_REQUEST && answer["errors"][0]["field"] == "phone",
            "{why}: {status}: {answer}"
        );
    }
    let (status, answer) = cluster.operator.post(&path, json!({ "phone": PHONE })).await?;
    ensure!(status == StatusCode::OK, "{status}: {answer}");
    let code = answer["code"].as_str().context("a code")?;
    ensure!(
        code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{code}"
    );
    cluster.control.link_code(PHONE, code).await?;
    is_in_state(cluster, "open").await?;
    let (status, answer) = cluster.operator.post(&path, json!({ "phone": PHONE })).await?;
    ensure!(
        status == StatusCode::CONFLICT && answer["code"] == "already_connected",
        "{status}: {answer}"
    );
    Ok(())
}

async fn texts(cluster: &Cluster, contact: &str, text: &str) -> Result<()> {
    let body = json!({ "number": contact, "message": { "type": "text", "text": text } });
    let (status, answer) = cluster
        .operator
        .post(&format!("{SESSION}/messages"), body)
        .await?;
    ensure!(status == StatusCode::ACCEPTED, "{status}: {answer}");
    eventually(PATIENCE, &format!("{text:?} is shown"), async || {
        let got = cluster.control.contact_messages(contact).await?;
        Ok(got
            .iter()
            .any(|got| got.text.as_deref() == Some(text) && got.id == answer["messageId"]))
    })
    .await
}

fn logouts(record: &Record) -> usize {
    let events = record.events();
    let closes = events.iter().filter(|event| {
        event["event"] == "connection.update"
            && event["data"]["state"] == "close"
            && event["data"]["statusReason"] == 401
    });
    closes.count()
}

/// What must be so after the phone said that the session is not its any more.
async fn is_logged_out(cluster: &Cluster, record: &Record, times: usize) -> Result<()> {
    is_in_state(cluster, "logged-out").await?;
    let (_, session) = cluster.operator.get(SESSION).await?;
    ensure!(
        session["jid"].is_null()
            && session["pairedAt"].is_null()
            && session["wanted"] == false
            && session["closeReason"] == 401,
        "{session}"
    );
    ensure!(cluster.stored_keys().await == 0, "credentials are left");
    ensure!(cluster.control.devices(PHONE).await?.is_empty());
    eventually(PATIENCE, "the logout is told", async || {
        Ok(logouts(record) == times)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_pairs_by_code_logs_out_and_pairs_again() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.control.phone(PHONE, "pair").await?;
    let record = Record::start(cluster.events("pair").await?);
    let (status, session) = cluster
        .operator
        .post("/v1/sessions", json!({ "token": "pair" }))
        .await?;
    ensure!(status == StatusCode::CREATED, "{status}: {session}");
    shows_one_qr_code_in_three_ways(&cluster).await?;
    pairs_by_code(&cluster).await?;
    let contacts = CONTACTS.numbers();
    texts(&cluster, &contacts[0], "paired by code").await?;

    ensure!(cluster.control.unlink(PHONE).await? == 1);
    is_logged_out(&cluster, &record, 1).await?;

    cluster.operator.pair(&cluster.control, "pair", PHONE).await?;
    texts(&cluster, &contacts[0], "paired again").await?;
    texts(&cluster, &contacts[1], "and somebody else").await?;

    // Logged out while nobody was there to hear it: the next login is refused, which says the same.
    cluster.stop_worker(0).await?;
    ensure!(cluster.control.unlink(PHONE).await? == 1);
    ensure!(cluster.stored_keys().await > 0);
    cluster.restart_worker(0).await?;
    is_logged_out(&cluster, &record, 2).await?;
    cluster.control.audit().await?.clean(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_typed_wrong_links_nothing_and_the_next_one_does() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.phone(PHONE, "pair").await?;
    let (status, session) = cluster
        .operator
        .post("/v1/sessions", json!({ "token": "pair" }))
        .await?;
    ensure!(status == StatusCode::CREATED, "{status}: {session}");
    let ask = async || -> Result<String> {
        let path = format!("{SESSION}/pairing-code");
        let (status, answer) = cluster.operator.post(&path, json!({ "phone": PHONE })).await?;
        ensure!(status == StatusCode::OK, "{status}: {answer}");
        Ok(answer["code"].as_str().context("a code")?.to_owned())
    };
    let code = ask().await?;
    let wrong = if code.starts_with('1') { '2' } else { '1' };
    let wrong = format!("{wrong}{}", &code[1..]);
    ensure!(cluster.control.link_code(PHONE, &wrong).await.is_err());
    ensure!(cluster.control.devices(PHONE).await?.is_empty());
    cluster.control.link_code(PHONE, &ask().await?).await?;
    is_in_state(&cluster, "open").await
}
