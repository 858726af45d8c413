//! Files through all processes: the older API's `send-media` as its document shows it, and a client that is not ours at the
//! other end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::baileys::Baileys;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::folder::Folder;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);
const OURS: &str = "5511900000040";
const THEIRS: &str = "5511900000041";

/// A PDF as far as it is looked at, of several pieces.
fn document() -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    file.resize(500_000, b'x');
    file
}

/// A JPEG as far as it is looked at.
fn picture() -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F'];
    file.resize(50_273, 1);
    file
}

/// Where both are; its address.
async fn host() -> Result<String> {
    let routes = Router::new()
        .route("/report.pdf", get(async || document()))
        .route("/flowers.jpg", get(async || picture()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn send_media_answers_as_the_document_shows_and_a_client_that_is_not_ours_opens_the_files() -> Result<()>
{
    let url = host().await?;
    let cluster = Cluster::start_with(1, &[("MEDIA_ALLOW_PRIVATE", "true")]).await?;
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "media", OURS).await?;
    let record = Record::start(cluster.events("media").await?);
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;

    // The request of the document, and its answer but for ids, keys and times.
    let body = json!({
        "token": "media", "number": format!("{THEIRS}@s.whatsapp.net"), "type": "image",
        "url": format!("{url}/flowers.jpg"), "fileName": null, "caption": "Sample post image",
    });
    let (status, answer) = cluster.operator.post("/api/whatsapp/send-media", body).await?;
    ensure!(
        status.is_success() && answer["status"] == true,
        "{status}: {answer}"
    );
    let sent = &answer["data"];
    shows_the_picture(sent)?;
    opens(
        &mut baileys,
        sent["key"]["id"].as_str().context("an id")?,
        &picture(),
    )
    .await?;

    let file = json!({ "type": "document", "media": { "url": format!("{url}/report.pdf") }, "caption": "The report" });
    let body = json!({ "token": "media", "number": THEIRS, "message": file });
    let (status, answer) = cluster.operator.post("/v1/messages", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let read = opens(
        &mut baileys,
        answer["messageId"].as_str().context("an id")?,
        &document(),
    )
    .await?;
    let told = &read["message"]["documentWithCaptionMessage"]["message"]["documentMessage"];
    ensure!(
        told["fileName"] == "report.pdf" && told["mimetype"] == "application/pdf",
        "{read}"
    );
    ensure!(told["caption"] == "The report", "{read}");

    let theirs = baileys.send_file(OURS, "as discussed").await?;
    record
        .until_any(PATIENCE, "its file", |event| {
            let data = &event["data"];
            event["event"] == "new.message"
                && data["header"]["messageId"] == theirs
                && data["body"]["messageType"] == "documentMessage"
        })
        .await
}

/// Whether this is the answer of the document.
fn shows_the_picture(sent: &Value) -> Result<()> {
    ensure!(
        sent["key"]["remoteJid"] == format!("{THEIRS}@s.whatsapp.net"),
        "{sent}"
    );
    ensure!(
        sent["key"]["fromMe"] == true && sent["status"] == "PENDING",
        "{sent}"
    );
    ensure!(sent["messageTimestamp"].is_string(), "{sent}");
    let image = &sent["message"]["imageMessage"];
    ensure!(
        image["caption"] == "Sample post image" && image["mimetype"] == "image/jpeg",
        "{image}"
    );
    ensure!(image["fileLength"] == "50273", "{image}");
    for field in [
        "url",
        "fileSha256",
        "mediaKey",
        "fileEncSha256",
        "directPath",
        "mediaKeyTimestamp",
    ] {
        ensure!(image[field].is_string(), "{field} in {image}");
    }
    Ok(())
}

/// Waits until Baileys has a message and its file, which says this; what it read.
async fn opens(baileys: &mut Baileys, id: &str, file: &[u8]) -> Result<Value> {
    let read = baileys.receives(id).await?;
    let opened = baileys.downloads(id).await?;
    ensure!(opened["length"] == file.len(), "{opened}");
    ensure!(opened["sha256"] == hex::encode(Sha256::digest(file)), "{opened}");
    Ok(read)
}

#[tokio::test(flavor = "multi_thread")]
async fn send_media_of_a_file_that_is_not_there_is_refused_by_its_field() -> Result<()> {
    let url = host().await?;
    let cluster = Cluster::start_with(1, &[("MEDIA_ALLOW_PRIVATE", "true")]).await?;
    cluster.control.phone(OURS, "ours").await?;
    cluster.control.phone(THEIRS, "theirs").await?;
    cluster.operator.pair(&cluster.control, "media", OURS).await?;
    let body = json!({
        "token": "media", "number": THEIRS, "type": "image", "url": format!("{url}/none.jpg"), "caption": "Hi",
    });
    let (status, answer) = cluster.operator.post("/api/whatsapp/send-media", body).await?;
    ensure!(
        status == 400 && answer["error"]["field"] == "url",
        "{status}: {answer}"
    );
    Ok(())
}
