//! A group of 500, of which Baileys and our worker are members: messages both ways while people come and go; and a worker
//! that is killed in the middle of sends to it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
const OURS: &str = "5511900000060";
const THEIRS: &str = "5511900000061";
const TOKEN: &str = "large-groups";
/// With our account and that of Baileys 500; one more comes later.
const CONTACTS: u32 = 499;

/// A cluster with a group of all but the last of so many contacts, our account and these.
async fn set_up(cluster: &Cluster, contacts: &Contacts<'_>, others: &[&str]) -> Result<String> {
    for number in [&[OURS], others].concat() {
        cluster.control.phone(number, number).await?;
    }
    cluster.control.contacts(contacts).await?;
    cluster.operator.pair(&cluster.control, TOKEN, OURS).await?;
    let mut members = contacts.numbers();
    members.pop();
    members.extend(
        [&[OURS], others]
            .concat()
            .iter()
            .map(|number| (*number).to_owned()),
    );
    let made = json!({ "subject": "Everybody", "members": members });
    let made = cluster.control.post("/groups", made).await?;
    Ok(made["jid"].as_str().context("a group")?.to_owned())
}

const fn contacts(prefix: &str, count: u32) -> Contacts<'_> {
    Contacts::quiet(prefix, count)
}

/// Accepts a text to the group; its queue.
async fn we_write(cluster: &Cluster, group: &str, text: &str) -> Result<String> {
    cluster
        .operator
        .broadcast(TOKEN, &[group.to_owned()], text, 0.0..=0.0)
        .await
}

/// What a contact was shown in the group, each text once.
async fn shown(cluster: &Cluster, number: &str, group: &str) -> Result<Vec<String>> {
    let got = cluster
        .control
        .get(&format!("/contacts/{number}/messages"))
        .await?;
    let here = got.as_array().into_iter().flatten();
    let here = here.filter(|message| message["group"] == group && message["times_shown"] == 1);
    let texts = here.filter_map(|message| message["text"].as_str());
    Ok(texts.map(str::to_owned).collect())
}

async fn reads(cluster: &Cluster, number: &str, group: &str, texts: &[&str]) -> Result<()> {
    eventually(PATIENCE, &format!("{number} has read {texts:?}"), async || {
        Ok(shown(cluster, number, group).await? == texts)
    })
    .await
}

async fn count(cluster: &Cluster, name: &str) -> Result<u64> {
    let audit = cluster.control.get("/audit").await?;
    audit[name].as_u64().with_context(|| format!("{name}: {audit}"))
}

async fn we_read(record: &Record, group: &str, text: &str) -> Result<()> {
    let is_it = |event: &Value| {
        let data = &event["data"];
        let says_it = data["body"]["message"].to_string().contains(text);
        event["event"] == "new.message" && data["header"]["wuid"] == group && says_it
    };
    record
        .until_any(PATIENCE, &format!("new.message {text:?}"), is_it)
        .await
}

async fn nothing_went_wrong(cluster: &Cluster) -> Result<()> {
    let audit = cluster.control.audit().await?;
    audit.flawless()?;
    ensure!(audit.rest["group_hashes_disputed"] == 0, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_and_our_worker_write_in_a_group_of_500_while_people_come_and_go() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let contacts = contacts("155580", CONTACTS);
    let group = set_up(&cluster, &contacts, &[THEIRS]).await?;
    let numbers = contacts.numbers();
    let record = Record::start(cluster.events(TOKEN).await?);
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;

    we_write(&cluster, &group, "one from us").await?;
    baileys.reads("one from us").await?;
    for reader in [&numbers[0], &numbers[250], &numbers[497]] {
        reads(&cluster, reader, &group, &["one from us"]).await?;
    }
    baileys.write(&group, "one from them").await?;
    we_read(&record, &group, "one from them").await?;
    reads(&cluster, &numbers[250], &group, &["one from us", "one from them"]).await?;

    // Who has the key is not handed it again.
    let handed = count(&cluster, "group_keys_handed").await?;
    we_write(&cluster, &group, "two from us").await?;
    baileys.reads("two from us").await?;
    ensure!(count(&cluster, "group_keys_handed").await? == handed);

    // Somebody leaves: a new key goes to all who stay, and who left reads nothing any more.
    let path = format!("/groups/{group}");
    let left = &numbers[250];
    cluster.control.post(&path, json!({ "leave": [left] })).await?;
    record
        .until_any(PATIENCE, "groups.participants", |event| {
            event["event"] == "groups.participants" && event["data"]["action"] == "leave"
        })
        .await?;
    let handed = count(&cluster, "group_keys_handed").await?;
    we_write(&cluster, &group, "three from us").await?;
    baileys.reads("three from us").await?;
    let new = count(&cluster, "group_keys_handed").await? - handed;
    ensure!(
        new >= u64::from(CONTACTS) - 2,
        "only {new} were handed the new key"
    );

    // Somebody comes: one more is handed the key.
    let came = &numbers[498];
    cluster.control.post(&path, json!({ "join": [came] })).await?;
    record
        .until_any(PATIENCE, "groups.participants", |event| {
            event["event"] == "groups.participants" && event["data"]["action"] == "add"
        })
        .await?;
    let handed = count(&cluster, "group_keys_handed").await?;
    we_write(&cluster, &group, "four from us").await?;
    baileys.reads("four from us").await?;
    ensure!(count(&cluster, "group_keys_handed").await? == handed + 1);
    reads(&cluster, came, &group, &["four from us"]).await?;
    let before = ["one from us", "one from them", "two from us"];
    reads(&cluster, left, &group, &before).await?;
    baileys.write(&group, "two from them").await?;
    we_read(&record, &group, "two from them").await?;
    nothing_went_wrong(&cluster).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_sends_to_a_group_loses_and_repeats_nothing() -> Result<()> {
    const MESSAGES: usize = 12;
    let mut cluster = Cluster::start(1).await?;
    let contacts = contacts("155581", 60);
    let group = set_up(&cluster, &contacts, &[]).await?;
    let numbers = contacts.numbers();
    let record = Record::start(cluster.events(TOKEN).await?);
    let texts: Vec<String> = (0..MESSAGES).map(|n| format!("message {n:02}")).collect();
    // The server's word on some comes late: they are under way whenever the worker dies.
    for _ in 0..3 {
        cluster
            .control
            .fault(json!({ "kind": "withhold_ack", "probability": 0.3, "count": 2 }))
            .await?;
    }
    let mut queues = Vec::new();
    for text in &texts {
        queues.push(we_write(&cluster, &group, text).await?);
    }
    // The first time while the key is handed out, then later.
    for taken in [1, 4, 8] {
        eventually(PATIENCE, &format!("{taken} messages are taken"), async || {
            Ok(count(&cluster, "group_messages").await? >= taken)
        })
        .await?;
        cluster.kill_worker(0)?;
        cluster.restart_worker(0).await?;
    }
    for queue in &queues {
        record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    }
    for reader in [&numbers[0], &numbers[30], &numbers[58]] {
        eventually(PATIENCE, &format!("{reader} has read all"), async || {
            let shown = shown(&cluster, reader, &group).await?;
            let distinct: BTreeSet<_> = shown.iter().collect();
            ensure!(distinct.len() == shown.len(), "shown twice: {shown:?}");
            Ok(distinct == texts.iter().collect())
        })
        .await?;
    }
    cluster.control.audit().await?.honest()
}
