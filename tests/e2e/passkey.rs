//! Linking an account that must prove itself with a passkey, over HTTP; and QR codes that WhatsApp retires.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000050";
const SESSION: &str = "/v1/sessions/pass";

async fn begin(cluster: &Cluster) -> Result<()> {
    cluster.control.phone(PHONE, "pass").await?;
    let token = json!({ "token": "pass" });
    let (status, session) = cluster.operator.post("/v1/sessions", token).await?;
    ensure!(status == StatusCode::CREATED, "{status}: {session}");
    Ok(())
}

/// The QR code that is shown, once it is another one than `before`.
async fn qr_after(cluster: &Cluster, before: &str) -> Result<String> {
    let mut shown = String::new();
    eventually(PATIENCE, "another QR code is shown", async || {
        shown = cluster.operator.qr_text("pass").await.unwrap_or_default();
        Ok(!shown.is_empty() && shown != before)
    })
    .await?;
    Ok(shown)
}

/// The session, once it is in this state.
async fn in_state(cluster: &Cluster, state: &str) -> Result<Value> {
    let mut session = Value::Null;
    eventually(PATIENCE, &format!("the session is {state}"), async || {
        session = cluster.operator.get(SESSION).await?.1;
        Ok(session["state"] == state)
    })
    .await?;
    Ok(session)
}

async fn at_stage(cluster: &Cluster, stage: &str) -> Result<Value> {
    let mut passkey = Value::Null;
    eventually(PATIENCE, &format!("the passkey is {stage}"), async || {
        passkey = cluster.operator.get(SESSION).await?.1["passkey"].take();
        Ok(passkey["stage"] == stage)
    })
    .await?;
    Ok(passkey)
}

async fn scanned(cluster: &Cluster, rules: Value) -> Result<()> {
    cluster
        .control
        .post(&format!("/phones/{PHONE}/passkey"), rules)
        .await?;
    let qr = qr_after(cluster, "").await?;
    let path = format!("/phones/{PHONE}/scan");
    let asked = cluster.control.post(&path, json!({ "qr": qr })).await?;
    ensure!(asked["asked"] == "passkey", "{asked}");
    Ok(())
}

async fn signed(cluster: &Cluster, options: &Value) -> Result<Value> {
    let path = format!("/phones/{PHONE}/passkey/sign");
    cluster.control.post(&path, json!({ "options": options })).await
}

async fn post(cluster: &Cluster, path: &str, body: Value) -> Result<(StatusCode, Value)> {
    cluster.operator.post(&format!("{SESSION}/{path}"), body).await
}

/// What is no answer to what was asked is refused by its field, and the session goes on waiting.
async fn refuses_other_answers(cluster: &Cluster, options: &Value) -> Result<()> {
    let right = signed(cluster, options).await?;
    let stale = signed(cluster, &json!({ "challenge": "AAECAwQFBgcICQoLDA0ODw" })).await?;
    let mut broken = right.clone();
    broken["response"]["signature"] = "not base64url!".into();
    let mut other = right.clone();
    other["rawId"] = "AAEC".into();
    for (answer, field) in [
        (json!({}), "id"),
        (broken, "response.signature"),
        (other, "rawId"),
        (stale, "response.clientDataJSON"),
    ] {
        let (status, body) = post(cluster, "passkey", answer).await?;
        ensure!(
            status == StatusCode::BAD_REQUEST && body["errors"][0]["field"] == field,
            "{field}: {status}: {body}"
        );
    }
    let (status, body) = post(cluster, "passkey/confirm", json!({})).await?;
    ensure!(
        status == StatusCode::CONFLICT && body["code"] == "conflict",
        "{status}: {body}"
    );
    at_stage(cluster, "requested").await.map(drop)
}

fn stages(record: &Record) -> Vec<Value> {
    let events = record.events();
    let passkey = events.iter().filter(|event| event["event"] == "session.passkey");
    passkey
        .map(|event| event["data"]["passkey"]["stage"].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_asked_for_a_passkey_is_paired_by_posting_the_answer() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let record = Record::start(cluster.events("pass").await?);
    begin(&cluster).await?;
    scanned(&cluster, json!({ "proof": "required" })).await?;
    let session = in_state(&cluster, "passkey").await?;
    let asked = &session["passkey"];
    ensure!(
        asked["stage"] == "requested"
            && asked["options"]["rpId"] == "whatsapp.com"
            && asked["expiresAt"].is_string(),
        "{session}"
    );
    refuses_other_answers(&cluster, &asked["options"]).await?;

    let answer = signed(&cluster, &asked["options"]).await?;
    let (status, body) = post(&cluster, "passkey", answer).await?;
    ensure!(status == StatusCode::NO_CONTENT, "{status}: {body}");
    let shown = at_stage(&cluster, "code").await?;
    let seen = cluster.control.get(&format!("/phones/{PHONE}/passkey")).await?;
    ensure!(
        shown["code"].is_string() && shown["code"] == seen["code"],
        "{shown} {seen}"
    );
    ensure!(
        shown["comparisonNeeded"] == false && seen["proof"] == true,
        "{shown} {seen}"
    );
    let (status, body) = post(&cluster, "passkey/confirm", json!({})).await?;
    ensure!(status == StatusCode::NO_CONTENT, "{status}: {body}");
    let session = in_state(&cluster, "open").await?;
    ensure!(session["passkey"].is_null(), "{session}");
    ensure!(stages(&record) == ["requested", "answered", "code", "confirmed"]);
    let (status, body) = post(&cluster, "passkey/cancel", json!({})).await?;
    ensure!(
        status == StatusCode::CONFLICT && body["code"] == "already_connected",
        "{status}: {body}"
    );
    let audit = cluster.control.audit().await?;
    ensure!(audit.violations == 0, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_nobody_brings_or_that_is_given_up_is_told_as_such() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let record = Record::start(cluster.events("pass").await?);
    begin(&cluster).await?;
    scanned(&cluster, json!({})).await?;
    in_state(&cluster, "passkey").await?;
    let (status, body) = post(&cluster, "passkey/cancel", json!({})).await?;
    ensure!(status == StatusCode::NO_CONTENT, "{status}: {body}");
    let failed = at_stage(&cluster, "failed").await?;
    let reason = failed["reason"].as_str().context("a reason")?;
    ensure!(reason.contains("cancelled"), "{reason}");

    // The next code begins anew.
    in_state(&cluster, "pairing").await?;
    scanned(&cluster, json!({ "timeout_ms": 1_500 })).await?;
    let session = in_state(&cluster, "closed").await?;
    ensure!(
        session["closeReason"] == 511 && session["passkey"]["stage"] == "failed",
        "{session}"
    );
    record
        .until_any(PATIENCE, "the refusal", |event| {
            event["event"] == "connection.update"
                && event["data"]["state"] == "refused"
                && event["data"]["statusReason"] == 511
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qr_code_that_is_retired_is_replaced_everywhere() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let record = Record::start(cluster.events("pass").await?);
    begin(&cluster).await?;
    let old = qr_after(&cluster, "").await?;
    let refresh = json!({ "qr": old });
    cluster.control.post("/companions/refresh", refresh).await?;
    let new = qr_after(&cluster, &old).await?;
    let parts = |qr: &str| qr.split(',').map(str::to_owned).collect::<Vec<_>>();
    ensure!(
        parts(&old)[..3] == parts(&new)[..3] && parts(&old)[3] != parts(&new)[3],
        "more than the secret has changed"
    );
    record
        .until_any(PATIENCE, "the new code", |event| {
            event["event"] == "qrcode.updated" && event["data"]["qrcode"]["code"] == new.as_str()
        })
        .await?;
    ensure!(
        cluster.control.scan(PHONE, &old).await.is_err(),
        "the old code links"
    );
    // Right after a scan, as it happens to many.
    let path = format!("/phones/{PHONE}/scan");
    let body = json!({ "qr": new, "refresh": "pair-device-rotate-qr" });
    cluster.control.post(&path, body).await?;
    let newest = qr_after(&cluster, &new).await?;
    cluster.control.scan(PHONE, &newest).await?;
    in_state(&cluster, "open").await.map(drop)
}
