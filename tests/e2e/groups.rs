//! Groups end to end: what is sent is read by all members, who comes and goes is noticed, and what is done with a group
//! comes back as WhatsApp says it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const OURS: &str = "5511900000050";
const TOKEN: &str = "groups";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_written_to_and_changed_through_every_door() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.phone(OURS, "ours").await?;
    let contacts = Contacts::quiet("155570", 20);
    cluster.control.contacts(&contacts).await?;
    cluster.operator.pair(&cluster.control, TOKEN, OURS).await?;
    let numbers = contacts.numbers();

    let group = make(&cluster, &numbers).await?;
    change_members(&cluster, &group, &numbers).await?;
    shows_in_the_older_api(&cluster, &group).await?;
    change_settings(&cluster, &group).await?;
    let audit = cluster.control.audit().await?;
    audit.flawless()?;
    ensure!(audit.rest["group_messages"] == 2, "{audit:?}");
    Ok(())
}

/// Makes a group of these; the last lets nobody add them.
async fn make(cluster: &Cluster, numbers: &[String]) -> Result<String> {
    let shy = &numbers[19];
    cluster
        .control
        .post(&format!("/contacts/{shy}/groups"), json!({ "addable": false }))
        .await?;
    let made = act(
        cluster,
        json!({ "action": "create", "subject": "Friends", "participants": &numbers[1..] }),
    )
    .await?;
    let group = made["group"]["id"].as_str().context("a group")?.to_owned();
    ensure!(
        made["group"]["participants"].as_array().map(Vec::len) == Some(19),
        "{made}"
    );
    let refused = &made["participants"][0];
    ensure!(
        refused["status"] == 403 && refused["invite"]["code"].is_string(),
        "{made}"
    );
    Ok(group)
}

async fn change_members(cluster: &Cluster, group: &str, numbers: &[String]) -> Result<()> {
    // All members read it, once; those who were not asked for read nothing.
    send(cluster, group, "one").await?;
    reads(cluster, &numbers[1], group, &["one"]).await?;
    reads(cluster, &numbers[18], group, &["one"]).await?;
    let asked = json!({ "action": "add", "group": group, "participants": [&numbers[0]] });
    let added = act(cluster, asked.clone()).await?;
    ensure!(added["participants"][0]["status"] == 200, "{added}");
    let again = act(cluster, asked).await?;
    ensure!(again["participants"][0]["status"] == 409, "{again}");
    let leave = json!({ "leave": [&numbers[1]] });
    cluster.control.post(&format!("/groups/{group}"), leave).await?;
    send(cluster, group, "two").await?;
    reads(cluster, &numbers[0], group, &["two"]).await?;
    reads(cluster, &numbers[2], group, &["one", "two"]).await?;
    reads(cluster, &numbers[1], group, &["one"]).await?;
    Ok(())
}

async fn shows_in_the_older_api(cluster: &Cluster, group: &str) -> Result<()> {
    let body = json!({ "token": TOKEN, "number": group });
    let (status, shown) = cluster
        .operator
        .post("/api/whatsapp/group-metadata", body)
        .await?;
    ensure!(status == StatusCode::OK, "{shown}");
    let data = &shown["data"];
    ensure!(
        data["id"] == json!(group) && data["subject"] == "Friends",
        "{shown}"
    );
    ensure!(data["owner"] == format!("{OURS}@s.whatsapp.net"), "{shown}");
    ensure!(
        data["participants"].as_array().map(Vec::len) == Some(19),
        "{shown}"
    );
    ensure!(
        data["participants"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["admin"] == "superadmin"),
        "{shown}"
    );
    Ok(())
}

async fn change_settings(cluster: &Cluster, group: &str) -> Result<()> {
    done(
        cluster,
        json!({ "action": "subject", "group": group, "subject": "Best friends" }),
    )
    .await?;
    done(
        cluster,
        json!({ "action": "description", "group": group, "text": "About us" }),
    )
    .await?;
    done(
        cluster,
        json!({ "action": "description", "group": group, "text": "About all of us" }),
    )
    .await?;
    done(
        cluster,
        json!({ "action": "announce", "group": group, "on": true }),
    )
    .await?;
    done(
        cluster,
        json!({ "action": "disappearing", "group": group, "seconds": 86400 }),
    )
    .await?;
    let known = act(cluster, json!({ "action": "metadata", "group": group })).await?;
    let known = &known["group"];
    ensure!(
        known["subject"] == "Best friends" && known["description"] == "About all of us",
        "{known}"
    );
    ensure!(
        known["announce"] == true && known["disappearingSeconds"] == 86400,
        "{known}"
    );
    let first = act(cluster, json!({ "action": "invite", "group": group })).await?;
    let second = act(cluster, json!({ "action": "revoke-invite", "group": group })).await?;
    ensure!(first["code"] != second["code"], "{first} {second}");
    let (status, gone) = ask(cluster, json!({ "action": "invite-info", "code": first["code"] })).await?;
    ensure!(status != StatusCode::OK, "{gone}");
    done(cluster, json!({ "action": "leave", "group": group })).await?;
    let (status, left) = ask(cluster, json!({ "action": "metadata", "group": group })).await?;
    ensure!(status != StatusCode::OK, "{left}");
    Ok(())
}

async fn ask(cluster: &Cluster, body: Value) -> Result<(StatusCode, Value)> {
    cluster
        .operator
        .post(&format!("/v1/sessions/{TOKEN}/groups"), body)
        .await
}

async fn act(cluster: &Cluster, body: Value) -> Result<Value> {
    let (status, answer) = ask(cluster, body.clone()).await?;
    ensure!(status == StatusCode::OK, "{body}: {status} {answer}");
    Ok(answer)
}

/// Asks for something of which there is nothing to tell.
async fn done(cluster: &Cluster, body: Value) -> Result<()> {
    let told = act(cluster, body.clone()).await?;
    ensure!(told == json!({}), "{body}: {told}");
    Ok(())
}

async fn send(cluster: &Cluster, group: &str, text: &str) -> Result<()> {
    let body = json!({ "token": TOKEN, "number": group, "text": text, "delay": { "min": 0, "max": 0 } });
    let (status, sent) = cluster.operator.post("/api/whatsapp/send-text", body).await?;
    ensure!(status == StatusCode::OK, "{sent}");
    ensure!(sent["data"]["key"]["remoteJid"] == json!(group), "{sent}");
    // The recipient goes the ways of others: sent, then delivered by its members.
    let id = sent["data"]["key"]["id"].as_str().context("an id")?;
    let path = format!("/v1/sessions/{TOKEN}/messages/{id}");
    eventually(PATIENCE, "the message is sent", async || {
        let (_, shown) = cluster.operator.get(&path).await?;
        let state = shown["state"].as_str().unwrap_or_default();
        Ok(["sent", "delivered", "read"].contains(&state))
    })
    .await
}

/// A member has been shown these texts in the group, and nothing else there.
async fn reads(cluster: &Cluster, number: &str, group: &str, texts: &[&str]) -> Result<()> {
    let path = format!("/contacts/{number}/messages");
    eventually(PATIENCE, &format!("{number} has read {texts:?}"), async || {
        let got = cluster.control.get(&path).await?;
        let here = got.as_array().into_iter().flatten();
        let here = here.filter(|message| message["group"] == json!(group) && message["times_shown"] == 1);
        let read: Vec<_> = here
            .map(|message| message["text"].as_str().unwrap_or_default())
            .collect();
        Ok(read == texts)
    })
    .await
}
