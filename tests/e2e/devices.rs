//! Our worker and Baileys, two devices of one account: each sees what the other does to chats, contacts and labels.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000030";
const ANA: &str = "5511900000031";

/// Waits for an event of which a row has these fields.
async fn told(record: &Record, name: &str, fields: Value) -> Result<()> {
    let has = |row: &Value| {
        let mut fields = fields.as_object().into_iter().flatten();
        fields.all(|(field, value)| row.get(field) == Some(value))
    };
    let what = format!("{name} {fields}");
    record
        .until_any(PATIENCE, &what, |event| {
            let data = &event["data"];
            event["event"] == name
                && match data.as_array() {
                    Some(rows) => rows.iter().any(has),
                    None => has(data),
                }
        })
        .await
}

async fn we_do(cluster: &Cluster, body: Value) -> Result<()> {
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions/devices/chats", body.clone())
        .await?;
    ensure!(status == 204, "{body}: {status} {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_of_an_account_see_what_the_other_does() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let folder = Folder::new()?;
    cluster.control.phone(PHONE, "Shop").await?;
    cluster.operator.pair(&cluster.control, "devices", PHONE).await?;
    let record = Record::start(cluster.events("devices").await?);
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, PHONE).await?;
    // The keys and the name of the account have reached it.
    baileys.until_named("Shop").await?;
    let ana = format!("{ANA}@s.whatsapp.net");
    they_act_and_we_tell(&mut baileys, &record, &ana).await?;
    we_act_and_they_tell(&cluster, &mut baileys, &ana).await?;
    let audit = cluster.control.audit().await?;
    ensure!(audit.violations == 0, "{audit:?}");
    Ok(())
}

async fn they_act_and_we_tell(baileys: &mut Baileys, record: &Record, ana: &str) -> Result<()> {
    let now = 1_790_000_000;
    let last =
        json!([{ "key": { "remoteJid": ana, "fromMe": false, "id": "3EB0AA" }, "messageTimestamp": now }]);
    for (change, fields) in [
        (
            json!({ "archive": true, "lastMessages": last }),
            json!({ "id": ana, "archived": true }),
        ),
        (json!({ "pin": true }), json!({ "id": ana })),
        (
            json!({ "mute": 4_000_000_000_000_i64 }),
            json!({ "id": ana, "muteEndTime": 4_000_000_000_000_i64 }),
        ),
        (
            json!({ "markRead": false, "lastMessages": last }),
            json!({ "id": ana, "markedUnread": true }),
        ),
    ] {
        baileys.call("chatModify", json!([change, ana])).await?;
        told(record, "chats.update", fields).await?;
    }
    let contact = json!({ "fullName": "Ana Silva", "firstName": "Ana" });
    baileys.call("addOrEditContact", json!([ana, contact])).await?;
    told(
        record,
        "contacts.upsert",
        json!({ "wuid": ana, "contactName": "Ana Silva" }),
    )
    .await?;
    let label = json!({ "id": "7", "name": "New", "color": 3 });
    baileys.call("addLabel", json!(["", label])).await?;
    told(
        record,
        "labels.edit",
        json!({ "id": "7", "name": "New", "color": 3, "deleted": false }),
    )
    .await?;
    baileys.call("addChatLabel", json!([ana, "7"])).await?;
    told(
        record,
        "labels.association",
        json!({ "labelId": "7", "wuid": ana, "labeled": true }),
    )
    .await?;
    let deletion = json!({ "delete": true, "lastMessages": last });
    baileys.call("chatModify", json!([deletion, ana])).await?;
    record
        .until_any(PATIENCE, "chats.delete", |event| {
            event["event"] == "chats.delete" && event["data"] == json!([ana])
        })
        .await
}

async fn we_act_and_they_tell(cluster: &Cluster, baileys: &mut Baileys, ana: &str) -> Result<()> {
    for (action, fields) in [
        ("unarchive", json!({ "id": ana, "archived": false })),
        ("mute", json!({ "id": ana, "muteEndTime": -1 })),
        ("unmute", json!({ "id": ana, "muteEndTime": null })),
        ("pin", json!({ "id": ana })),
        ("read", json!({ "id": ana, "unreadCount": 0 })),
        ("unread", json!({ "id": ana, "unreadCount": -1 })),
        ("archive", json!({ "id": ana, "archived": true })),
    ] {
        we_do(cluster, json!({ "action": action, "chat": ANA })).await?;
        baileys.tells("chats.update", fields).await?;
    }
    we_do(
        cluster,
        json!({ "action": "save-contact", "chat": ANA, "name": "Ana Souza" }),
    )
    .await?;
    baileys
        .tells("contacts.upsert", json!({ "id": ana, "name": "Ana Souza" }))
        .await?;
    let label = json!({ "action": "edit-label", "label": "8", "name": "Paid", "color": 5 });
    we_do(cluster, label).await?;
    baileys
        .tells("labels.edit", json!({ "id": "8", "name": "Paid", "color": 5 }))
        .await?;
    let given = json!({ "action": "label", "label": "8", "chat": ANA });
    we_do(cluster, given).await?;
    baileys
        .tells("labels.association", json!({ "type": "add" }))
        .await?;
    let name = json!({ "action": "set-name", "text": "The shop" });
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions/devices/profile", name)
        .await?;
    ensure!(status.is_success(), "{status} {answer}");
    baileys.until_named("The shop").await?;
    we_do(cluster, json!({ "action": "delete", "chat": ANA })).await
}
