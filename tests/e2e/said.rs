//! What people do with messages, each from the wire to a webhook: statuses, channels, edits, deletions, reactions, votes,
//! clicks, and what becomes of what was sent.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::receiver::Receiver;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

/// A session, whose events go to a webhook.
struct Stage {
    cluster: Cluster,
    receiver: Receiver,
    phone: String,
    contacts: Vec<String>,
}

impl Stage {
    async fn new(contacts: Contacts<'_>) -> Result<Self> {
        let cluster = Cluster::start(1).await?;
        let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
        let hook = json!({ "url": receiver.url() });
        let (status, answer) = cluster.operator.post("/v1/webhooks", hook).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        cluster.control.contacts(&contacts).await?;
        let phone = "5511900000071".to_owned();
        cluster.control.phone(&phone, "ours").await?;
        cluster.operator.pair(&cluster.control, "said", &phone).await?;
        Ok(Self {
            cluster,
            receiver,
            phone,
            contacts: contacts.numbers(),
        })
    }

    /// A contact says something to the session; its id.
    async fn says(&self, contact: usize, what: Value) -> Result<String> {
        self.says_to(contact, &self.phone, what).await
    }

    async fn says_to(&self, contact: usize, to: &str, mut what: Value) -> Result<String> {
        what["to"] = to.into();
        let path = format!("/contacts/{}/messages", self.contacts[contact]);
        id(&self.cluster.control.post(&path, what).await?)
    }

    /// Waits until the webhook has got an event like this; its data.
    async fn hears(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = || {
            let told = self.receiver.delivered().into_iter();
            let mut events = told.map(|attempt| attempt.json());
            events.find(|event| event["event"] == name && fits(&event["data"]))
        };
        let is_there = eventually(PATIENCE, name, async || Ok(found().is_some())).await;
        if is_there.is_err() {
            let told = self.receiver.delivered().into_iter();
            let told: Vec<_> = told.map(|attempt| attempt.json()).collect();
            let told: Vec<_> = told
                .iter()
                .map(|event| json!([event["event"], event["data"]]))
                .collect();
            anyhow::bail!("no {name} like this among {}", Value::from(told));
        }
        Ok(found().context("just seen")?["data"].take())
    }

    /// The session sends something, on its own; the id of the message.
    async fn sends(&self, to: &str, message: Value) -> Result<String> {
        let body = json!({ "token": "said", "numbers": [to], "message": message });
        let (status, answer) = self.cluster.operator.post("/v1/messages", body).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer["messageId"].as_str().context("an id")?.to_owned())
    }

    /// A group of the session and its contacts, of whom the first made it.
    async fn group(&self) -> Result<String> {
        let members: Vec<_> = self.contacts.iter().chain([&self.phone]).collect();
        let group = json!({ "subject": "Friends", "members": members });
        let made = self.cluster.control.post("/groups", group).await?;
        Ok(made["jid"].as_str().context("a group")?.to_owned())
    }

    fn jid(&self, contact: usize) -> String {
        format!("{}@s.whatsapp.net", self.contacts[contact])
    }
}

fn id(answer: &Value) -> Result<String> {
    Ok(answer["id"].as_str().context("an id")?.to_owned())
}

fn contacts(prefix: &str) -> Contacts<'_> {
    Contacts {
        prefix,
        count: 3,
        deliver_ms: 0,
        read_ms: None,
        reply: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_messages_reaches_a_webhook() -> Result<()> {
    let stage = Stage::new(contacts("155571")).await?;
    changes_of_a_chat(&stage).await?;
    changes_of_a_group(&stage).await?;
    statuses_and_channels(&stage).await?;
    what_led_to_the_chat_and_what_the_phone_wrote(&stage).await
}

async fn changes_of_a_chat(stage: &Stage) -> Result<()> {
    let of = |id: &str| {
        let id = id.to_owned();
        move |data: &Value| data["header"]["messageId"] == id.as_str()
    };
    let first = stage.says(0, json!({ "text": "good morning" })).await?;
    let told = stage.hears("new.message", of(&first)).await?;
    ensure!(
        told["header"]["wuid"] == stage.jid(0) && told["body"]["message"] == "good morning",
        "{told}"
    );

    let edit = json!({ "edit": { "id": first.as_str(), "text": "good evening" } });
    let edit = stage.says(0, edit).await?;
    let edited = |data: &Value| data["update"]["header"]["messageId"] == first.as_str();
    let told = stage.hears("messages.update", edited).await?;
    ensure!(
        told["update"]["edited"] == json!({ "messageType": "conversation", "message": "good evening" }),
        "{told}"
    );
    ensure!(told["update"]["header"]["fromMe"] == false, "{told}");
    stage.hears("new.message", of(&edit)).await?;

    let reaction = json!({ "reaction": { "id": first.as_str(), "text": "🦖", "own": true } });
    let reaction = stage.says(0, reaction).await?;
    let told = stage.hears("message.reaction", of(&reaction)).await?;
    let key = json!({ "messageId": first.as_str(), "fromMe": false, "wuid": stage.jid(0) });
    ensure!(told["reaction"] == json!({ "key": key, "text": "🦖" }), "{told}");

    stage
        .says(0, json!({ "deletion": { "id": first.as_str() } }))
        .await?;
    let deleted = |data: &Value| data[0]["messageId"] == first.as_str();
    let told = stage.hears("messages.delete", deleted).await?;
    ensure!(
        told[0]["wuid"] == stage.jid(0) && told[0]["fromMe"] == false,
        "{told}"
    );
    let path = format!("/v1/sessions/said/chats/{}/messages", stage.jid(0));
    let (_, page) = stage.cluster.operator.get(&path).await?;
    ensure!(!page["items"][0]["deletedAt"].is_null(), "{page}");
    Ok(())
}

async fn changes_of_a_group(stage: &Stage) -> Result<()> {
    let group = stage.group().await?;
    let said = stage.says_to(1, &group, json!({ "text": "to all" })).await?;
    let told = stage
        .hears("new.message", |data| data["header"]["messageId"] == said.as_str())
        .await?;
    let author = told["header"]["participant"].clone();
    ensure!(
        told["header"]["phoneNumber"] == stage.contacts[1].as_str(),
        "{told}"
    );
    // Its admin, who made it, deletes what another wrote.
    let path = format!("/groups/{group}/deletions");
    let by = json!({ "by": stage.contacts[0], "author": stage.contacts[1], "id": said });
    stage.cluster.control.post(&path, by).await?;
    let told = stage
        .hears("messages.delete", |data| data[0]["messageId"] == said.as_str())
        .await?;
    ensure!(
        told[0]["participant"] == author && told[0]["deletedBy"].is_string(),
        "{told}"
    );
    ensure!(told[0]["wuid"] == group.as_str(), "{told}");
    Ok(())
}

async fn statuses_and_channels(stage: &Stage) -> Result<()> {
    let status = json!({ "text": "on holiday", "viewers": [stage.phone] });
    let status = stage.says_to(2, "status@broadcast", status).await?;
    let of_status = |data: &Value| data["header"]["messageId"] == status.as_str();
    let told = stage.hears("status.broadcast", of_status).await?;
    ensure!(
        told["header"]["wuid"] == stage.jid(2) && told["body"]["message"] == "on holiday",
        "{told}"
    );
    let gone = json!({ "deletion": { "id": status.as_str() }, "viewers": [stage.phone] });
    stage.says_to(2, "status@broadcast", gone).await?;
    let told = stage
        .hears("messages.delete", |data| data[0]["messageId"] == status.as_str())
        .await?;
    ensure!(told[0]["wuid"] == stage.jid(2), "{told}");

    let path = format!("/phones/{}/stanzas", stage.phone);
    let post = json!({ "kind": "newsletter", "text": "new today" });
    let post = id(&stage.cluster.control.post(&path, post).await?)?;
    let told = stage
        .hears("new.message", |data| data["header"]["messageId"] == post.as_str())
        .await?;
    let wuid = told["header"]["wuid"].as_str().unwrap_or_default();
    ensure!(
        wuid.ends_with("@newsletter") && told["body"]["message"] == "new today",
        "{told}"
    );
    // Neither is a chat of somebody who wrote.
    let is_told = |attempt: tests::receiver::Attempt| {
        let event = attempt.json();
        event["event"] == "new.message" && event["data"]["header"]["messageId"] == status.as_str()
    };
    ensure!(
        !stage.receiver.delivered().into_iter().any(is_told),
        "a status is no message of a chat"
    );
    let audit = stage.cluster.control.get("/audit").await?;
    ensure!(
        audit["violations"] == 0 && audit["statuses_refused"] == 0,
        "{audit}"
    );
    Ok(())
}

async fn what_led_to_the_chat_and_what_the_phone_wrote(stage: &Stage) -> Result<()> {
    let ad = json!({ "title": "Flowers", "url": "https://fb.me/abc", "id": "120210", "click": "ARAk" });
    let lead = stage
        .says(1, json!({ "text": "Is it still there?", "ad": ad }))
        .await?;
    let told = stage
        .hears("message.link_click", |data| {
            data["header"]["messageId"] == lead.as_str()
        })
        .await?;
    ensure!(
        told["link"]["ctwaClid"] == "ARAk" && told["link"]["entryPoint"] == "ctwa_ad",
        "{told}"
    );

    // What the phone writes itself comes as ours, and what becomes of it is told as well.
    let path = format!("/phones/{}/messages", stage.phone);
    let body = json!({ "to": stage.contacts[0], "text": "from the phone" });
    let own = id(&stage.cluster.control.post(&path, body).await?)?;
    let told = stage
        .hears("new.message", |data| data["header"]["messageId"] == own.as_str())
        .await?;
    ensure!(
        told["header"]["fromMe"] == true && told["header"]["wuid"] == stage.jid(0),
        "{told}"
    );
    let delivered = |data: &Value| {
        let update = &data["update"];
        update["header"]["messageId"] == own.as_str() && update["status"] == "DELIVERY_ACK"
    };
    let told = stage.hears("messages.update", delivered).await?;
    ensure!(told["update"]["header"]["fromMe"] == true, "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_are_counted_by_the_last_of_each_voter_whoever_made_the_poll() -> Result<()> {
    let stage = Stage::new(contacts("155572")).await?;
    let group = stage.group().await?;
    let poll = json!({ "type": "poll", "name": "When?", "options": ["today", "tomorrow"] });
    let ours = stage.sends(&group, poll).await?;
    let poll = json!({ "poll": { "name": "Where?", "options": ["here", "there"] } });
    let theirs = stage.says_to(0, &group, poll).await?;
    stage
        .hears("new.message", |data| {
            data["header"]["messageId"] == theirs.as_str()
        })
        .await?;

    for (poll, options, is_ours) in [
        (&ours, ["today", "tomorrow"], true),
        (&theirs, ["here", "there"], false),
    ] {
        // Who votes has the poll before.
        for contact in 1..3 {
            let path = format!("/contacts/{}/messages", stage.contacts[contact]);
            let has_it = async || {
                let got = stage.cluster.control.get(&path).await?;
                let got = got.as_array().context("a list")?;
                Ok(got.iter().any(|message| message["id"] == poll.as_str()))
            };
            eventually(PATIENCE, "the poll came", has_it).await?;
        }
        let vote = |chosen: Value| json!({ "vote": { "poll": poll, "options": chosen } });
        for (contact, chosen, totals, voters) in [
            (1, json!([options[0]]), [1, 0], 1),
            (2, json!([options[0]]), [2, 0], 2),
            // Another choice takes the place of the first, and none takes it back.
            (1, json!([options[1]]), [1, 1], 2),
            (2, json!([]), [0, 1], 1),
        ] {
            let cast = stage.says_to(contact, &group, vote(chosen.clone())).await?;
            let told = stage
                .hears("poll.vote", |data| data["header"]["messageId"] == cast.as_str())
                .await?;
            ensure!(told["vote"]["selectedOptions"] == chosen, "{told}");
            ensure!(
                told["poll"]["key"]["fromMe"] == is_ours && told["poll"]["key"]["messageId"] == poll.as_str(),
                "{told}"
            );
            let counted = [&told["totals"]["options"][0], &told["totals"]["options"][1]];
            ensure!(
                counted.map(|option| &option["votes"]) == totals.map(Value::from).each_ref(),
                "{told}"
            );
            ensure!(told["totals"]["voters"] == voters, "{told}");
        }
    }
    let stored = "/v1/sessions/said/chats/".to_owned() + &group + "/messages";
    let (_, page) = stage.cluster.operator.get(&stored).await?;
    let votes = page["items"].as_array().context("a page")?;
    ensure!(
        !votes.iter().any(|message| message["type"] == "pollUpdateMessage"),
        "votes are of their poll: {page}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_message_is_told_through_every_status() -> Result<()> {
    let reading = Contacts {
        read_ms: Some(50),
        ..contacts("155573")
    };
    let stage = Stage::new(reading).await?;
    let text = json!({ "type": "text", "text": "hello" });
    let sent = stage.sends(&stage.contacts[0], text.clone()).await?;
    let is = |id: &str, status: &'static str| {
        let id = id.to_owned();
        move |data: &Value| {
            let update = &data["update"];
            update["header"]["messageId"] == id.as_str() && update["status"] == status
        }
    };
    for status in ["SERVER_ACK", "DELIVERY_ACK", "READ"] {
        stage.hears("messages.update", is(&sent, status)).await?;
    }
    let path = format!("/contacts/{}/receipts", stage.contacts[0]);
    let played = json!({ "to": stage.phone, "id": sent, "type": "played" });
    stage.cluster.control.post(&path, played).await?;
    stage.hears("messages.update", is(&sent, "PLAYED")).await?;

    // In a group each member has a status of their own.
    let group = stage.group().await?;
    let sent = stage.sends(&group, text.clone()).await?;
    for number in &stage.contacts {
        for status in ["DELIVERY_ACK", "READ"] {
            let of_member = is(&sent, status);
            let of_member =
                |data: &Value| of_member(data) && data["update"]["header"]["phoneNumber"] == number.as_str();
            let told = stage.hears("messages.update", of_member).await?;
            ensure!(told["update"]["header"]["participant"].is_string(), "{told}");
            ensure!(told["update"]["header"]["wuid"] == group.as_str(), "{told}");
        }
    }

    // One that nobody answers goes again, and one that is refused for good has failed.
    let cut = json!({ "kind": "drop_before", "match": { "to": stage.contacts[1] } });
    stage.cluster.control.fault(cut).await?;
    let sent = stage.sends(&stage.contacts[1], text.clone()).await?;
    stage.hears("messages.update", is(&sent, "PENDING")).await?;
    let refused = json!({ "kind": "nack", "code": 403, "match": { "to": stage.contacts[2] } });
    stage.cluster.control.fault(refused).await?;
    let refused = stage.sends(&stage.contacts[2], text).await?;
    let told = stage.hears("messages.update", is(&refused, "ERROR")).await?;
    ensure!(told["update"]["header"]["fromMe"] == true, "{told}");
    Ok(())
}
