//! One account, linked to a session of ours and to Baileys; and what both report while something is done.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use tests::wait::eventually;
use tests::witness::Witness;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "agree";
const PHONE: &str = "5511900000090";
/// Chats of its past, and messages of each.
const CHATS: usize = 500;
const MESSAGES: usize = 3;
/// The history, as an action.
pub(super) const PAST: &str = "a history of 500 chats";

/// The account and all who have to do with it.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) phone: String,
    pub(super) contacts: Vec<String>,
    /// The group that the script has made.
    pub(super) group: String,
    /// Who says after each action that it is over.
    pub(super) herald: String,
    record: Record,
    witness: Witness,
    _folder: Folder,
    /// How many reports of each side there were at the end of each action.
    ends: Vec<(&'static str, usize, usize)>,
}

/// Something that is done, and which reports of it are waited for.
pub(super) struct Act {
    name: &'static str,
    path: String,
    body: Value,
    ours: &'static str,
    theirs: &'static str,
    of: Option<String>,
}

impl Act {
    /// A request to the simulator. Unless something else is said, a message that comes of it is waited for.
    pub(super) fn new(name: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self {
            name,
            path: path.into(),
            body,
            ours: "new.message",
            theirs: "messages.upsert",
            of: None,
        }
    }

    /// Which events tell of it; of a side that has none, an empty name.
    pub(super) fn told(self, ours: &'static str, theirs: &'static str) -> Self {
        Self { ours, theirs, ..self }
    }

    /// What stands in these events. Otherwise it is the id that the simulator answers with, or the name of the event alone.
    pub(super) fn of(self, of: &str) -> Self {
        Self {
            of: Some(of.to_owned()),
            ..self
        }
    }
}

/// The reports of one action, those of both sides.
pub(super) struct Reports {
    pub(super) during: &'static str,
    pub(super) ours: Vec<Value>,
    pub(super) theirs: Vec<Value>,
}

impl Stage {
    /// Links both and waits until they have the past.
    pub(super) async fn new() -> Result<Self> {
        let cluster = Cluster::start(1).await?;
        let mut contacts = Vec::new();
        for (prefix, count, addressing) in [("1555510000", 5, "pn"), ("1555520000", 2, "lid")] {
            let wish =
                json!({ "prefix": prefix, "count": count, "deliver_ms": null, "addressing": addressing });
            cluster.control.post("/contacts", wish).await?;
            contacts.extend((0..count).map(|index| format!("{prefix}{index}")));
        }
        cluster.control.phone(PHONE, "Shop").await?;
        let past = json!({ "first": "15556000000", "chats": CHATS, "messages": MESSAGES, "chunk": 700, "about": true });
        let sharing = json!({ "history": "inline", "past": past });
        let path = format!("/phones/{PHONE}/sharing");
        cluster.control.post(&path, sharing).await?;
        let record = Record::start(cluster.events(TOKEN).await?);
        let folder = Folder::new()?;
        let linked = Witness::start(folder.path(), cluster.simulator().0, &cluster.control, PHONE);
        let paired = cluster.operator.pair(&cluster.control, TOKEN, PHONE);
        let (witness, paired) = tokio::join!(linked, paired);
        paired?;
        let mut stage = Self {
            phone: PHONE.to_owned(),
            group: String::new(),
            herald: contacts[4].clone(),
            cluster,
            contacts,
            record,
            witness: witness?,
            _folder: folder,
            ends: Vec::new(),
        };
        stage.have_the_past().await?;
        stage.end(PAST).await?;
        Ok(stage)
    }

    async fn have_the_past(&self) -> Result<()> {
        eventually(PATIENCE, "both have the past", async || {
            let ours = self.record.count(|event| {
                event["event"] == "history.progress"
                    && event["data"]["kind"] == "recent"
                    && event["data"]["progress"] == 100
            });
            let is_last = |told: &Value| {
                told["name"] == "messaging-history.set"
                    && told["data"]["progress"] == 100
                    && told["data"]["syncType"] == 3
            };
            Ok(ours > 0 && self.witness.has_told(0, is_last))
        })
        .await
    }

    /// Does something, waits until both sides have reported it and nothing of it is on its way any more; the id that it has.
    pub(super) async fn act(&mut self, act: Act) -> Result<String> {
        let (ours, theirs) = self.so_far();
        let answer = self.cluster.control.post(&act.path, act.body.clone()).await;
        let answer = answer.with_context(|| act.name)?;
        let id = answer["id"].as_str().or_else(|| answer["jid"].as_str());
        let id = id.unwrap_or_default().to_owned();
        let of = act.of.as_deref().unwrap_or(&id);
        let we = |event: &Value| event["event"] == act.ours && event.to_string().contains(of);
        let they = |told: &Value| told["name"] == act.theirs && told.to_string().contains(of);
        eventually(PATIENCE, act.name, async || {
            let we_do = act.ours.is_empty() || self.record.has(ours, we);
            let they_do = act.theirs.is_empty() || self.witness.has_told(theirs, they);
            ensure!(we_do, "we do not tell it");
            ensure!(they_do, "Baileys does not tell it");
            Ok(true)
        })
        .await?;
        self.end(act.name).await?;
        Ok(id)
    }

    /// Both report in order: when they have what the herald says, they have reported what was before.
    async fn end(&mut self, name: &'static str) -> Result<()> {
        let (ours, theirs) = self.so_far();
        let path = format!("/contacts/{}/messages", self.herald);
        let said = json!({ "to": self.phone, "text": "that was it" });
        let said = self.cluster.control.post(&path, said).await?;
        let id = said["id"].as_str().context("an id")?;
        eventually(PATIENCE, &format!("the end of {name}"), async || {
            let mark = |report: &Value| report.to_string().contains(id);
            let we_do = self.record.has(ours, mark);
            Ok(we_do && self.witness.has_told(theirs, mark))
        })
        .await?;
        let (ours, theirs) = self.so_far();
        self.ends.push((name, ours, theirs));
        Ok(())
    }

    fn so_far(&self) -> (usize, usize) {
        (self.record.count(|_| true), self.witness.count())
    }

    /// All that was reported, action by action.
    pub(super) fn reports(&self) -> Vec<Reports> {
        let (ours, theirs) = (self.record.events(), self.witness.told());
        let (mut reports, mut since) = (Vec::new(), (0, 0));
        for &(during, until_ours, until_theirs) in &self.ends {
            reports.push(Reports {
                during,
                ours: ours[since.0..until_ours].to_vec(),
                theirs: theirs[since.1..until_theirs].to_vec(),
            });
            since = (until_ours, until_theirs);
        }
        reports
    }

    /// A contact says something to the phone.
    pub(super) fn says(&self, name: &'static str, contact: usize, what: Value) -> Act {
        self.says_in(name, contact, &self.phone, what)
    }

    /// The same in a group, or as a status.
    pub(super) fn says_in(&self, name: &'static str, contact: usize, to: &str, mut what: Value) -> Act {
        what["to"] = to.into();
        Act::new(
            name,
            format!("/contacts/{}/messages", self.contacts[contact]),
            what,
        )
    }

    /// The phone says something to a contact, or where `what` says.
    pub(super) fn writes(&self, name: &'static str, contact: usize, mut what: Value) -> Act {
        if what.get("to").is_none() {
            what["to"] = self.contacts[contact].as_str().into();
        }
        Act::new(name, format!("/phones/{}/messages", self.phone), what)
    }

    /// The phone does something to a chat, a contact or a label.
    pub(super) fn changes(&self, name: &'static str, change: Value) -> Act {
        let path = format!("/phones/{}/app-state", self.phone);
        Act::new(name, path, json!({ "change": change }))
    }

    /// Something becomes of the group.
    pub(super) fn changes_group(&self, name: &'static str, change: Value) -> Act {
        Act::new(name, format!("/groups/{}", self.group), change)
    }

    /// A message as its bytes, in hexadecimal digits.
    pub(super) async fn encode(&mut self, message: &Value) -> Result<String> {
        self.witness.encode(message).await
    }

    /// Our session writes to a contact, which Baileys is told of as of anything else that the account wrote.
    pub(super) async fn sends(&mut self, name: &'static str, contact: usize, text: &str) -> Result<()> {
        let (ours, theirs) = self.so_far();
        let body = json!({ "number": self.contacts[contact], "message": { "type": "text", "text": text } });
        let path = format!("/v1/sessions/{TOKEN}/messages");
        let (status, answer) = self.cluster.operator.post(&path, body).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        let id = answer["messageId"].as_str().context("an id")?;
        let we = |event: &Value| event["event"] == "send.message:COMPLETED" && event.to_string().contains(id);
        let they = |told: &Value| told["name"] == "messages.upsert" && told.to_string().contains(id);
        eventually(PATIENCE, name, async || {
            Ok(self.record.has(ours, we) && self.witness.has_told(theirs, they))
        })
        .await?;
        self.end(name).await
    }

    /// Both want to know whether a contact is there.
    pub(super) async fn follow(&mut self, contact: usize) -> Result<()> {
        let number = self.contacts[contact].clone();
        let jid = format!("{number}@s.whatsapp.net");
        self.witness.call("presenceSubscribe", json!([jid])).await?;
        let of = json!({ "action": "presence", "of": number });
        let path = format!("/v1/sessions/{TOKEN}/profile");
        let (status, answer) = self.cluster.operator.post(&path, of).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(())
    }

    /// A contact goes by another name, from its next message on.
    pub(super) async fn rename(&self, contact: usize, name: &str) -> Result<()> {
        let path = format!("/contacts/{}/news", self.contacts[contact]);
        let news = json!({ "name": name });
        self.cluster.control.post(&path, news).await.map(drop)
    }

    /// Waits until a contact has a message, so that it can do something with it.
    pub(super) async fn until_contact_has(&self, contact: usize, id: &str) -> Result<()> {
        let path = format!("/contacts/{}/messages", self.contacts[contact]);
        eventually(PATIENCE, "the contact has it", async || {
            let got = self.cluster.control.get(&path).await?;
            let mut got = got.as_array().into_iter().flatten();
            Ok(got.any(|message| message["id"] == id))
        })
        .await
    }
}
