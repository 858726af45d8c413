//! What is done on the phone of a session, from its patches of the app state to a webhook and to the routes that list it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::receiver::Receiver;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: &str = "5511900000086";

struct Stage {
    cluster: Cluster,
    receiver: Receiver,
    contacts: Vec<String>,
}

impl Stage {
    async fn new() -> Result<Self> {
        let cluster = Cluster::start(1).await?;
        let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
        let hook = json!({ "url": receiver.url() });
        let (status, answer) = cluster.operator.post("/v1/webhooks", hook).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        let contacts = Contacts {
            prefix: "155549",
            count: 2,
            deliver_ms: 0,
            read_ms: None,
            reply: None,
        };
        cluster.control.contacts(&contacts).await?;
        cluster.control.phone(PHONE, "Shop").await?;
        cluster.operator.pair(&cluster.control, "phone", PHONE).await?;
        Ok(Self {
            cluster,
            receiver,
            contacts: contacts.numbers(),
        })
    }

    fn jid(&self, contact: usize) -> String {
        format!("{}@s.whatsapp.net", self.contacts[contact])
    }

    async fn phone_does(&self, change: Value) -> Result<()> {
        let path = format!("/phones/{PHONE}/app-state");
        let body = json!({ "change": change });
        self.cluster.control.post(&path, body).await.map(drop)
    }

    /// The data of the events of this name that the webhook has, in their order.
    fn heard(&self, name: &str) -> Vec<Value> {
        let told = self.receiver.delivered().into_iter();
        let events = told.map(|attempt| attempt.json());
        let mut events: Vec<Value> = events.filter(|event| event["event"] == name).collect();
        events.sort_by_key(|event| event["sequence"].as_i64());
        events.iter_mut().map(|event| event["data"].take()).collect()
    }

    async fn hears(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
        eventually(PATIENCE, name, async || Ok(self.heard(name).iter().any(&fits))).await
    }

    /// The phone does this; the webhook hears what came of it.
    async fn told(&self, change: Value, name: &str, data: &Value) -> Result<()> {
        self.phone_does(change).await?;
        self.hears(name, |heard| heard == data).await
    }

    async fn shown(&self, path: &str) -> Result<Value> {
        let path = format!("/v1/sessions/phone/{path}");
        let (status, answer) = self.cluster.operator.get(&path).await?;
        ensure!(status.is_success(), "{path}: {status} {answer}");
        Ok(answer)
    }

    async fn says(&self, contact: usize, words: &str) -> Result<String> {
        let body = json!({ "to": PHONE, "text": words });
        let path = format!("/contacts/{}/messages", self.contacts[contact]);
        let id = self.cluster.control.post(&path, body).await?["id"].clone();
        self.hears("new.message", |told| told["header"]["messageId"] == id)
            .await?;
        Ok(id.as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_the_phone_are_told_and_listed() -> Result<()> {
    let stage = Stage::new().await?;
    let (ana, bea) = (stage.jid(0), stage.jid(1));
    stage.says(0, "hello").await?;
    stage.says(1, "good morning").await?;
    for (id, name) in [("7", "New customer"), ("8", "Paid")] {
        let change = json!({ "action": "label", "label": id, "name": name, "color": 3 });
        let data = json!({ "id": id, "name": name, "color": 3, "deleted": false });
        stage.told(change, "labels.edit", &data).await?;
    }
    for (label, chat) in [("7", &ana), ("8", &ana), ("7", &bea)] {
        let change = json!({ "action": "label_chat", "label": label, "chat": chat });
        stage.phone_does(change).await?;
        stage
            .hears("labels.association", |told| {
                told["labelId"] == label && told["wuid"] == chat.as_str() && told["labeled"] == true
            })
            .await?;
    }
    let label = |id: &str, name: &str, chats: u32| json!({ "id": id, "name": name, "color": 3, "predefinedId": null, "chats": chats, "messages": 0 });
    let listed = stage.shown("labels").await?;
    ensure!(
        listed["items"] == json!([label("7", "New customer", 2), label("8", "Paid", 1)]),
        "{listed}"
    );
    let chat = stage.shown(&format!("chats/{ana}")).await?;
    ensure!(chat["labels"] == json!(["7", "8"]), "{chat}");
    let with = stage.shown("labels/7").await?;
    let chats: Vec<_> = with["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| &row["chat"])
        .collect();
    ensure!(chats == [&json!(ana), &json!(bea)], "{with}");

    // One is taken from a chat, and the other goes with all that had it.
    let taken = json!({ "action": "label_chat", "label": "8", "chat": ana, "on": false });
    stage.phone_does(taken).await?;
    stage
        .hears("labels.association", |told| told["labeled"] == false)
        .await?;
    let deletion = json!({ "action": "label", "label": "7" });
    let data = json!({ "id": "7", "name": "", "color": 0, "deleted": true });
    stage.told(deletion, "labels.edit", &data).await?;
    let listed = stage.shown("labels").await?;
    ensure!(listed["items"] == json!([label("8", "Paid", 0)]), "{listed}");
    let chats = stage.shown("chats").await?;
    ensure!(
        chats["items"]
            .as_array()
            .is_some_and(|rows| rows.len() == 2 && rows.iter().all(|row| row["labels"] == json!([]))),
        "{chats}"
    );
    let gone = stage.cluster.operator.get("/v1/sessions/phone/labels/7").await?;
    ensure!(gone.0 == 404 && gone.1["code"] == "label_not_found", "{gone:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_that_the_phone_deletes_at_once_are_one_event() -> Result<()> {
    let stage = Stage::new().await?;
    let ana = stage.jid(0);
    let mut ids = Vec::new();
    for words in ["one", "two", "three", "four"] {
        ids.push(stage.says(0, words).await?);
    }
    let kept = ids.pop().unwrap_or_default();
    stage
        .phone_does(json!({ "action": "delete_messages", "chat": ana, "ids": ids }))
        .await?;
    stage.hears("messages.delete", Value::is_array).await?;
    let heard = stage.heard("messages.delete");
    let [rows] = &heard[..] else {
        anyhow::bail!("they are told by {} events: {heard:?}", heard.len());
    };
    let rows = rows.as_array().into_iter().flatten();
    let mut told: Vec<&str> = rows
        .filter(|row| row["wuid"] == ana.as_str() && row["fromMe"] == false)
        .filter_map(|row| row["messageId"].as_str())
        .collect();
    told.sort_unstable();
    ids.sort_unstable();
    ensure!(told == ids, "{heard:?}");
    let left = stage.shown(&format!("chats/{ana}/messages")).await?;
    let left: Vec<_> = left["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["id"].clone())
        .collect();
    ensure!(left == [kept], "{left:?}");
    Ok(())
}
