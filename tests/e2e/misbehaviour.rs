//! Peers that misbehave harm only their own message: each is counted by its reason and said in a line, nothing of it is told
//! or kept, and what others write goes on coming.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;
use whatsapp::proto::message::protocol_message::Type;
use whatsapp::proto::message::{AppStateSyncKeyShare, HistorySyncNotification, ProtocolMessage};
use whatsapp::proto::{Message, MessageKey};

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000072";
const TOKEN: &str = "hostile";
/// What a frame of rubbish holds at most.
const LARGEST_FRAME: u64 = 0x00ff_ffff - 16;

struct Stage {
    cluster: Cluster,
    record: Record,
    /// The first misbehaves, the second does not.
    contacts: Vec<String>,
}

impl Stage {
    async fn new() -> Result<Self> {
        let cluster = Cluster::start_with(1, &[("LOG", "info")]).await?;
        let contacts = Contacts {
            prefix: "155574",
            count: 3,
            deliver_ms: 0,
            read_ms: None,
            reply: None,
        };
        cluster.control.contacts(&contacts).await?;
        cluster.control.phone(PHONE, "ours").await?;
        let record = Record::start(cluster.events(TOKEN).await?);
        cluster.operator.pair(&cluster.control, TOKEN, PHONE).await?;
        Ok(Self {
            cluster,
            record,
            contacts: contacts.numbers(),
        })
    }

    async fn says(&self, contact: usize, mut what: Value) -> Result<String> {
        what["to"] = PHONE.into();
        let path = format!("/contacts/{}/messages", self.contacts[contact]);
        let said = self.cluster.control.post(&path, what).await?;
        Ok(said["id"].as_str().context("an id")?.to_owned())
    }

    fn is_told(&self, id: &str) -> bool {
        let told = self.record.events();
        told.iter().any(|event| event["data"].to_string().contains(id))
    }

    async fn hears(&self, id: &str) -> Result<()> {
        eventually(PATIENCE, "the message is told", async || Ok(self.is_told(id))).await
    }

    /// How often this was counted.
    async fn counted(&mut self, reason: &str) -> Result<u64> {
        let series = format!("fanfare_peers_misbehaved_total{{reason=\"{reason}\"}} ");
        let metrics = self.cluster.worker(0)?.metrics().await?;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&series).map(str::to_owned));
        Ok(line.map_or(Ok(0), |line| line.trim().parse())?)
    }

    /// Waits until it was counted, and said; then somebody else's message comes through.
    async fn goes_on(&mut self, reason: &str, times: u64) -> Result<()> {
        for _ in 0..600 {
            if self.counted(reason).await? >= times {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(self.counted(reason).await? >= times, "{reason} is not counted");
        let logs = self.cluster.logs()?;
        let of_reason = |line: &&str| {
            line.contains(&format!("\"{reason}\"")) || line.contains(&format!("reason={reason}"))
        };
        let said = logs.lines().filter(of_reason).count();
        ensure!(said == 1, "{reason} is said {said} times:\n{logs}");
        for number in self.contacts.iter().map(String::as_str).chain([PHONE]) {
            ensure!(!logs.contains(number), "a number is in the logs");
        }
        let next = self.says(1, json!({ "text": format!("after {reason}") })).await?;
        self.hears(&next).await
    }
}

/// What only our own phone may say.
fn self_only() -> [ProtocolMessage; 2] {
    let history = ProtocolMessage {
        r#type: Some(Type::HistorySyncNotification.into()),
        history_sync_notification: Some(HistorySyncNotification::default()),
        ..ProtocolMessage::default()
    };
    let keys = ProtocolMessage {
        r#type: Some(Type::AppStateSyncKeyShare.into()),
        app_state_sync_key_share: Some(AppStateSyncKeyShare::default()),
        ..ProtocolMessage::default()
    };
    [history, keys]
}

fn protobuf(protocol: ProtocolMessage) -> Value {
    let message = Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    };
    json!({ "protobuf": hex::encode(message.encode_to_vec()) })
}

/// A change of a message of the other side.
fn forged(kind: Type, id: &str) -> Value {
    let edited = Message {
        conversation: Some("I owe you money".to_owned()),
        ..Message::default()
    };
    protobuf(ProtocolMessage {
        r#type: Some(kind.into()),
        key: Some(MessageKey {
            id: Some(id.to_owned()),
            from_me: Some(false),
            ..MessageKey::default()
        }),
        edited_message: (kind == Type::MessageEdit).then(|| Box::new(edited)),
        ..ProtocolMessage::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_misbehave_harm_only_their_own_message() -> Result<()> {
    let mut stage = Stage::new().await?;
    let before = stage.says(0, json!({ "text": "good morning" })).await?;
    stage.hears(&before).await?;

    // A wrong MAC: asked for again, and then it is read.
    let from = json!({ "from": stage.contacts[0], "to": PHONE });
    stage
        .cluster
        .control
        .fault(json!({ "kind": "corrupt_mac", "match": from }))
        .await?;
    let spoiled = stage.says(0, json!({ "text": "spoiled on its way" })).await?;
    stage.goes_on("wrong_mac", 1).await?;
    stage.hears(&spoiled).await?;

    // The same ciphertext again, and one that comes behind those after it.
    stage
        .cluster
        .control
        .fault(json!({ "kind": "duplicate", "copies": 3, "match": from }))
        .await?;
    let repeated = stage.says(0, json!({ "text": "three times" })).await?;
    stage.goes_on("repeated", 2).await?;
    stage.hears(&repeated).await?;
    stage
        .cluster
        .control
        .fault(json!({ "kind": "delay", "delay_ms": 500, "match": from }))
        .await?;
    let late = stage.says(0, json!({ "text": "late" })).await?;
    let early = stage.says(0, json!({ "text": "early" })).await?;
    stage.hears(&early).await?;
    stage.hears(&late).await?;
    let shown = |id: &str| {
        let is_it =
            |event: &Value| event["event"] == "new.message" && event["data"]["header"]["messageId"] == id;
        stage.record.count(is_it)
    };
    for id in [&repeated, &late, &early, &spoiled] {
        ensure!(shown(id) == 1, "{id} is told {} times", shown(id));
    }

    // What changes what another wrote.
    for (kind, reason) in [
        (Type::Revoke, "forged_deletion"),
        (Type::MessageEdit, "forged_edit"),
    ] {
        let id = stage.says(0, forged(kind, &before)).await?;
        stage.goes_on(reason, 1).await?;
        ensure!(!stage.is_told(&id), "{reason} is told");
    }
    // What only our own phone says.
    for protocol in self_only() {
        let id = stage.says(0, protobuf(protocol)).await?;
        stage.goes_on("not_our_phone", 1).await?;
        ensure!(!stage.is_told(&id), "it is told");
    }
    let changed =
        |event: &Value| event["event"] == "messages.delete" || event["data"]["update"]["edited"].is_object();
    ensure!(stage.record.count(changed) == 0, "a forgery is told");
    a_frame_of_rubbish(&mut stage).await
}

/// As large as frames can be, and no stanza: it is skipped, and nothing of it stays in memory.
async fn a_frame_of_rubbish(stage: &mut Stage) -> Result<()> {
    let path = format!("/phones/{PHONE}/stanzas");
    let mut settled = 0;
    for round in 1..=2 {
        let rubbish = json!({ "kind": "rubbish", "bytes": LARGEST_FRAME });
        stage.cluster.control.post(&path, rubbish).await?;
        stage.goes_on("no_stanza", round).await?;
        let resident = stage.cluster.worker(0)?.resident_bytes()?;
        if round == 1 {
            settled = resident;
        } else {
            ensure!(
                resident < settled + 2 * LARGEST_FRAME,
                "{resident} bytes after {settled}"
            );
        }
    }
    Ok(())
}
