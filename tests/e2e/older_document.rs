//! The document of the older API as a script: its requests one after the other, and what it says that they answer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tests::cluster::{AUTH, Cluster};
use tests::events::Record;
use tests::simulated::Contacts;
use tokio::net::TcpListener;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(120);
const OURS: &str = "5511900000060";
const TOKEN: &str = "sometoken";
const CONTACTS: Contacts<'static> = Contacts::quiet("1555410", 4);

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_the_document_are_answered_as_it_says() -> Result<()> {
    let cluster = Cluster::start_with(1, &[("MEDIA_ALLOW_PRIVATE", "true")]).await?;
    cluster.control.phone(OURS, "ours").await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.operator.pair(&cluster.control, TOKEN, OURS).await?;
    // Contacts with an even number have a picture.
    let number = format!("{}@s.whatsapp.net", CONTACTS.numbers()[2]);
    hears(&cluster, &CONTACTS.numbers()[2]).await?;
    let group = group(&cluster).await?;
    let told = run(&cluster, &number, &group).await?;
    Answers { told, number, group }.check()
}

/// Somebody writes, so that the store has something to show.
async fn hears(cluster: &Cluster, contact: &str) -> Result<()> {
    let record = Record::start(cluster.events(TOKEN).await?);
    let said = json!({ "to": OURS, "text": "Anybody there?" });
    cluster
        .control
        .post(&format!("/contacts/{contact}/messages"), said)
        .await?;
    record
        .until_any(PATIENCE, "what the contact says", |event| {
            event["event"] == "new.message"
        })
        .await
}

async fn group(cluster: &Cluster) -> Result<String> {
    let body =
        json!({ "action": "create", "subject": "Wabot test", "participants": &CONTACTS.numbers()[..2] });
    let path = format!("/v1/sessions/{TOKEN}/groups");
    let (status, made) = cluster.operator.post(&path, body).await?;
    ensure!(status.is_success(), "{status}: {made}");
    made["group"]["id"]
        .as_str()
        .map(str::to_owned)
        .context("a group's id")
}

/// Runs the script; the answers with their paths.
async fn run(cluster: &Cluster, number: &str, group: &str) -> Result<VecDeque<(String, Value)>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("publishers/older-api.sh");
    let running = Command::new("bash")
        .arg(script)
        .env("API", format!("http://{}", cluster.api_address()))
        .env("AUTH", AUTH)
        .env("TOKEN", TOKEN)
        .env("NUMBER", number)
        .env("GROUP", group)
        .env("PICTURE", format!("http://{}/flowers.png", pictures().await?))
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, running).await??;
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    ensure!(ended.status.success(), "the script failed: {out}\n{err}");
    out.lines()
        .map(|line| {
            let (path, body) = line.split_once('\t').context("a path and a body")?;
            let body = serde_json::from_str(body).with_context(|| line.to_owned())?;
            Ok((path.to_owned(), body))
        })
        .collect()
}

/// Where a picture is.
async fn pictures() -> Result<SocketAddr> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 36).write_to(&mut png, image::ImageFormat::Png)?;
    let png = png.into_inner();
    let routes = Router::new().route("/flowers.png", get(async move || png.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// What was answered, in the script's order.
struct Answers {
    told: VecDeque<(String, Value)>,
    number: String,
    group: String,
}

impl Answers {
    fn check(mut self) -> Result<()> {
        self.is(
            "create-instance",
            &json!({ "status": true, "message": "Already connected" }),
        )?;
        self.sends()?;
        self.asks()?;
        self.store()?;
        self.schedules()?;
        self.is(
            "delete-credential",
            &json!({ "status": true, "data": { "status": true, "message": "Deleting session and credential" } }),
        )?;
        ensure!(self.told.is_empty(), "more than was asked for: {:?}", self.told);
        Ok(())
    }

    fn sends(&mut self) -> Result<()> {
        let message = self.sent("send-text")?;
        let wanted = json!({ "extendedTextMessage": { "text": "Some text" } });
        ensure!(message == wanted, "{message}");
        let message = self.sent("send-media")?;
        let picture = &message["imageMessage"];
        shows_a_picture(picture)?;
        ensure!(picture["caption"] == "Sample post image", "{message}");
        let message = self.sent("send-button-message")?;
        let buttons = &message["buttonsMessage"];
        ensure!(buttons["contentText"] == "Message using buttons", "{message}");
        let picture = &buttons["imageMessage"];
        shows_a_picture(picture)?;
        ensure!(
            picture["caption"] == "Message using buttons" && buttons["headerType"] == "IMAGE",
            "{message}"
        );
        let third =
            json!({ "buttonId": "2", "buttonText": { "displayText": "Third Button" }, "type": "RESPONSE" });
        ensure!(buttons["buttons"][2] == third, "{message}");
        let message = self.sent("send-template-message")?;
        let template = &message["templateMessage"]["hydratedTemplate"];
        shows_a_picture(&template["imageMessage"])?;
        let reply = json!({ "displayText": "Push to reply", "id": "id-like-buttons-message" });
        let buttons = &template["hydratedButtons"];
        ensure!(
            buttons[2] == json!({ "quickReplyButton": reply, "index": 3 }),
            "{message}"
        );
        ensure!(template["hydratedFooterText"] == "Footer message", "{message}");
        let message = self.sent("send-list-message")?;
        let list = &message["listMessage"];
        ensure!(
            list["title"] == "And this is TITLE" && list["listType"] == "SINGLE_SELECT",
            "{message}"
        );
        ensure!(list["sections"][1]["rows"][0]["title"] == "Option 3", "{message}");
        Ok(())
    }

    fn asks(&mut self) -> Result<()> {
        let message = self.sent("send-reaction")?;
        ensure!(message["reactionMessage"]["text"] == "🦖", "{message}");
        let (number, group) = (self.number.clone(), self.group.clone());
        self.is(
            "is-exists",
            &json!({ "status": true, "data": { "exists": true, "jid": number } }),
        )?;
        let picture = self.next("get-profile-picture")?;
        let url = picture["data"].as_str().unwrap_or_default();
        ensure!(picture["status"] == true && url.starts_with("http"), "{picture}");
        let message = self.sent("delete-for-every-one")?;
        ensure!(message["protocolMessage"]["type"] == "REVOKE", "{message}");
        let shown = self.next("group-metadata")?;
        let data = &shown["data"];
        ensure!(data["id"] == group && data["subject"] == "Wabot test", "{shown}");
        ensure!(
            data["owner"] == format!("{OURS}@s.whatsapp.net") && data["creation"].is_u64(),
            "{shown}"
        );
        ensure!(data["restrict"] == false && data["announce"] == false, "{shown}");
        ensure!(
            data["participants"].as_array().map(Vec::len) == Some(3),
            "{shown}"
        );
        Ok(())
    }

    fn store(&mut self) -> Result<()> {
        let chats = self.next("store/chats")?;
        let chat = chats
            .as_array()
            .and_then(|chats| chats.iter().find(|chat| chat["id"] == self.number.as_str()))
            .with_context(|| chats.to_string())?;
        // What was said is read as soon as the account writes there.
        ensure!(
            chat["conversationTimestamp"].is_u64() && chat["unreadCount"] == 0,
            "{chats}"
        );
        let contacts = self.next("store/chats")?;
        ensure!(contacts[&self.number]["id"] == self.number.as_str(), "{contacts}");
        let all = self.next("store/chats")?;
        ensure!(all[&self.number].is_array(), "{all}");
        let one = self.next("store/chats")?;
        let messages = one.as_array().with_context(|| one.to_string())?;
        let heard = |message: &&Value| message["message"].to_string().contains("Anybody there?");
        let heard = messages.iter().find(heard).with_context(|| one.to_string())?;
        ensure!(
            heard["key"]["remoteJid"] == self.number.as_str() && heard["key"]["fromMe"] == false,
            "{heard}"
        );
        let ours = |message: &&Value| message["message"]["extendedTextMessage"]["text"] == "Some text";
        ensure!(messages.iter().any(|message| ours(&message)), "{one}");
        Ok(())
    }

    fn schedules(&mut self) -> Result<()> {
        for path in ["scheduler/add-scheduler", "scheduler"] {
            let shown = self.next(path)?;
            let first = &shown["data"][0];
            ensure!(
                first["type"] == "sendText" && first["time"] == "05 12 * * *",
                "{shown}"
            );
            ensure!(
                first["data"] == json!({ "number": self.number, "text": "Pesan otomatis" }),
                "{shown}"
            );
        }
        self.is(
            "scheduler/stop-scheduler",
            &json!({ "status": true, "message": "Scheduler ID: 1 has been stopped" }),
        )
    }

    /// The next answer, which is to this path.
    fn next(&mut self, path: &str) -> Result<Value> {
        let (asked, answer) = self.told.pop_front().context("an answer")?;
        ensure!(asked == path, "{asked}, not {path}: {answer}");
        Ok(answer)
    }

    /// The next answer is exactly this.
    fn is(&mut self, path: &str, wanted: &Value) -> Result<()> {
        let answer = self.next(path)?;
        ensure!(answer == *wanted, "{path}: {answer}");
        Ok(())
    }

    /// What was sent, as the next answer says.
    fn sent(&mut self, path: &str) -> Result<Value> {
        let answer = self.next(path)?;
        let sent = &answer["data"];
        ensure!(
            answer["status"] == true && sent["status"] == "PENDING",
            "{path}: {answer}"
        );
        let key = &sent["key"];
        ensure!(
            key["remoteJid"] == self.number.as_str() && key["fromMe"] == true && key["id"].is_string(),
            "{path}: {answer}"
        );
        let seconds = sent["messageTimestamp"].as_str().map(str::parse::<u64>);
        ensure!(matches!(seconds, Some(Ok(_))), "{path}: {answer}");
        Ok(sent["message"].clone())
    }
}

/// Whether a picture is shown with what the document shows of one.
fn shows_a_picture(picture: &Value) -> Result<()> {
    for field in [
        "url",
        "mimetype",
        "fileSha256",
        "fileLength",
        "mediaKey",
        "fileEncSha256",
        "directPath",
        "mediaKeyTimestamp",
        "jpegThumbnail",
    ] {
        ensure!(picture[field].is_string(), "{field} lacks: {picture}");
    }
    Ok(())
}
