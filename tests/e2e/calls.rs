//! Calls and changes of contacts, as a webhook gets them and as Baileys tells them: both are companions of one account.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::folder::Folder;
use tests::receiver::Receiver;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000080";

/// The first event of this name that fits, once the webhook has it.
async fn told(receiver: &Receiver, name: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut found = Value::Null;
    eventually(PATIENCE, &format!("{name} is told"), async || {
        let events = receiver.delivered().into_iter().map(|attempt| attempt.json());
        let mut events = events.filter(|event| event["event"] == name && fits(&event["data"]));
        found = events.next().unwrap_or_default();
        Ok(!found.is_null())
    })
    .await?;
    Ok(found["data"].take())
}

async fn call_told(receiver: &Receiver, id: &str, status: &str) -> Result<Value> {
    told(receiver, "call", |call| {
        call["callId"] == id && call["status"] == status
    })
    .await
}

async fn ring(cluster: &Cluster, contact: &str, video: bool) -> Result<String> {
    let call = json!({ "to": PHONE, "video": video });
    let rings = cluster
        .control
        .post(&format!("/contacts/{contact}/calls"), call)
        .await?;
    Ok(rings["id"].as_str().context("a call")?.to_owned())
}

async fn turn(cluster: &Cluster, id: &str, turn: &str) -> Result<()> {
    let body = json!({ "turn": turn });
    cluster
        .control
        .post(&format!("/calls/{id}"), body)
        .await
        .map(drop)
}

/// What both say of the beginning of a call.
async fn agree(baileys: &mut Baileys, receiver: &Receiver, id: &str, contact: &str) -> Result<Value> {
    let theirs = baileys.hears_call(id, "offer").await?;
    let ours = call_told(receiver, id, "offer").await?;
    let jid = format!("{contact}@s.whatsapp.net");
    ensure!(
        ours["wuid"] == jid.as_str() && theirs["callerPn"] == jid.as_str(),
        "{ours} {theirs}"
    );
    let lid = theirs["from"].as_str().context("who calls")?;
    let lid = lid.split(['@', ':']).next().unwrap_or_default();
    ensure!(ours["lid"] == format!("{lid}@lid"), "{ours} {theirs}");
    ensure!(
        ours["isVideo"] == theirs["isVideo"] && ours["isGroup"] == theirs["isGroup"],
        "{ours} {theirs}"
    );
    Ok(theirs)
}

async fn set_up() -> Result<(Cluster, Receiver, String)> {
    let cluster = Cluster::start(1).await?;
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    let events = ["call", "contacts.upsert", "contacts.update", "contact.identity"];
    let wanted = json!({ "url": receiver.url(), "events": events });
    let (status, hook) = cluster.operator.post("/v1/webhooks", wanted).await?;
    ensure!(status.is_success(), "{status}: {hook}");
    let contacts = Contacts {
        prefix: "155548",
        count: 2,
        deliver_ms: 0,
        read_ms: None,
        reply: None,
    };
    cluster.control.contacts(&contacts).await?;
    cluster.control.phone(PHONE, "called").await?;
    cluster.operator.pair(&cluster.control, "called", PHONE).await?;
    let contact = contacts.numbers().swap_remove(0);
    Ok((cluster, receiver, contact))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_told_and_rejected_as_by_baileys() -> Result<()> {
    let (cluster, receiver, contact) = set_up().await?;
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, PHONE).await?;

    let missed = ring(&cluster, &contact, true).await?;
    agree(&mut baileys, &receiver, &missed, &contact).await?;
    turn(&cluster, &missed, "timeout").await?;
    let theirs = baileys.hears_call(&missed, "timeout").await?;
    let ours = call_told(&receiver, &missed, "missed").await?;
    ensure!(
        ours["isVideo"] == true && theirs["isVideo"] == true,
        "{ours} {theirs}"
    );

    // Baileys rejects: the server tells us.
    let first = ring(&cluster, &contact, false).await?;
    let theirs = agree(&mut baileys, &receiver, &first, &contact).await?;
    baileys
        .reject(&first, theirs["from"].as_str().unwrap_or_default())
        .await?;
    call_told(&receiver, &first, "reject").await?;

    // We reject: the server tells Baileys, which calls that an end.
    let second = ring(&cluster, &contact, false).await?;
    agree(&mut baileys, &receiver, &second, &contact).await?;
    let path = format!("/v1/sessions/called/calls/{second}/reject");
    let (status, answer) = cluster.operator.post(&path, json!({})).await?;
    ensure!(
        status == 200 && answer["callId"] == second.as_str(),
        "{status}: {answer}"
    );
    call_told(&receiver, &second, "reject").await?;
    baileys.hears_call(&second, "terminate").await?;
    let shown = cluster.control.get(&format!("/calls/{second}")).await?;
    ensure!(shown["over"] == true && shown["rejected_by"].is_u64(), "{shown}");
    let (status, answer) = cluster.operator.post(&path, json!({})).await?;
    ensure!(
        status == 404 && answer["code"] == "call_not_found",
        "{status}: {answer}"
    );
    let audit = cluster.control.audit().await?;
    ensure!(audit.violations == 0, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_set_to_rejects_calls_by_itself() -> Result<()> {
    let (cluster, receiver, contact) = set_up().await?;
    let set = async |calls: &str| {
        let settings = json!({ "calls": calls });
        let request = cluster.operator.request(Method::PATCH, "/v1/sessions/called");
        let answer = request.json(&settings).send().await?;
        let (status, session): (_, Value) = (answer.status(), answer.json().await?);
        ensure!(status == 200 && session["calls"] == calls, "{status}: {session}");
        Ok(())
    };
    set("reject").await?;
    let unwanted = ring(&cluster, &contact, true).await?;
    let offer = call_told(&receiver, &unwanted, "offer").await?;
    ensure!(offer["automatic"] == false, "{offer}");
    let rejected = call_told(&receiver, &unwanted, "reject").await?;
    ensure!(
        rejected["automatic"] == true && rejected["isVideo"] == true,
        "{rejected}"
    );
    eventually(PATIENCE, "the caller is told", async || {
        let shown = cluster.control.get(&format!("/calls/{unwanted}")).await?;
        Ok(shown["over"] == true && shown["rejected_by"].is_u64())
    })
    .await?;
    set("ring").await?;
    let missed = ring(&cluster, &contact, false).await?;
    call_told(&receiver, &missed, "offer").await?;
    turn(&cluster, &missed, "timeout").await?;
    let missed = call_told(&receiver, &missed, "missed").await?;
    ensure!(missed["automatic"] == false, "{missed}");
    let audit = cluster.control.audit().await?;
    ensure!(audit.violations == 0, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_pictures_of_contacts_are_told_as_by_baileys() -> Result<()> {
    let (cluster, receiver, contact) = set_up().await?;
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, PHONE).await?;
    let jid = format!("{contact}@s.whatsapp.net");
    let first =
        |data: &Value, field: &str, value: &str| data[0]["wuid"] == jid.as_str() && data[0][field] == value;
    cluster.control.contact_writes(&contact, PHONE, "hello").await?;
    told(&receiver, "contacts.upsert", |data| {
        data[0]["wuid"] == jid.as_str()
    })
    .await?;
    // Those who were written to tell.
    let body = json!({ "number": contact, "message": { "type": "text", "text": "hello" } });
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions/called/messages", body)
        .await?;
    ensure!(status.is_success(), "{status}: {answer}");
    eventually(PATIENCE, "it is shown", async || {
        Ok(!cluster.control.contact_messages(&contact).await?.is_empty())
    })
    .await?;
    let news = async |news: Value| {
        cluster
            .control
            .post(&format!("/contacts/{contact}/news"), news)
            .await
            .map(drop)
    };
    news(json!({ "picture": "changed" })).await?;
    told(&receiver, "contacts.update", |data| {
        first(data, "picture", "changed")
    })
    .await?;
    baileys.hears_contact(|said| said["imgUrl"] == "changed").await?;
    news(json!({ "picture": "removed" })).await?;
    told(&receiver, "contacts.update", |data| {
        first(data, "picture", "removed")
    })
    .await?;
    baileys.hears_contact(|said| said["imgUrl"] == "removed").await?;
    news(json!({ "name": "Ana Maria" })).await?;
    cluster
        .control
        .contact_writes(&contact, PHONE, "by another name")
        .await?;
    told(&receiver, "contacts.update", |data| {
        first(data, "contactName", "Ana Maria")
    })
    .await?;
    baileys
        .hears_contact(|said| said["notify"] == "Ana Maria")
        .await?;
    cluster
        .control
        .post(&format!("/contacts/{contact}/identity"), json!({}))
        .await?;
    let changed = told(&receiver, "contact.identity", |data| data["wuid"] == jid.as_str()).await?;
    ensure!(changed["learntFrom"] == "notification", "{changed}");
    Ok(())
}
