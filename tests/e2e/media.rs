//! Files through all processes: the older API's `send-media` as its document shows it, and a client that is not ours at the
//! other end.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A JPEG of 768 by 432 points, as long as that of the document.
fn picture() -> Vec<u8> {
    let mut jpeg = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(768, 432)
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .expect("a picture");
    let mut file = jpeg.into_inner();
    file.resize(50_273, 0);
    file
}

const NOTE: &[u8] = include_bytes!("../files/note.ogg");
const FILM: &[u8] = include_bytes!("../files/upright.mp4");
const STICKER: &[u8] = include_bytes!("../files/moving.webp");

/// Where all are; its address.
async fn host() -> Result<String> {
    let routes = Router::new()
        .route("/report.pdf", get(async || document()))
        .route("/flowers.jpg", get(async || picture()))
        .route("/note.ogg", get(async || NOTE))
        .route("/film.mp4", get(async || FILM))
        .route("/sticker.webp", get(async || STICKER));
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
    let id = sent["key"]["id"].as_str().context("an id")?;
    let read = opens(&mut baileys, id, &picture()).await?;
    let told = &read["message"]["imageMessage"];
    ensure!(told["width"] == 768 && told["height"] == 432, "{told}");
    ensure!(
        told["jpegThumbnail"] == sent["message"]["imageMessage"]["jpegThumbnail"],
        "{told}"
    );

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
        "jpegThumbnail",
    ] {
        ensure!(image[field].is_string(), "{field} in {image}");
    }
    let small = STANDARD.decode(image["jpegThumbnail"].as_str().unwrap_or_default())?;
    let small = image::load_from_memory_with_format(&small, image::ImageFormat::Jpeg)?;
    ensure!((small.width(), small.height()) == (32, 18), "{small:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_sound_a_film_and_a_sticker_is_read_by_a_client_that_is_not_ours() -> Result<()> {
    let url = host().await?;
    let cluster = Cluster::start_with(1, &[("MEDIA_ALLOW_PRIVATE", "true")]).await?;
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "media", OURS).await?;
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    for (message, path, file, told) in [
        (
            json!({ "type": "audio", "voiceNote": true }),
            "note.ogg",
            NOTE,
            json!({ "audioMessage": { "seconds": 3, "ptt": true } }),
        ),
        (
            json!({ "type": "audio" }),
            "note.ogg",
            NOTE,
            json!({ "audioMessage": { "seconds": 3 } }),
        ),
        (
            json!({ "type": "video" }),
            "film.mp4",
            FILM,
            json!({ "videoMessage": { "seconds": 3, "width": 36, "height": 64 } }),
        ),
        (
            json!({ "type": "sticker" }),
            "sticker.webp",
            STICKER,
            json!({ "stickerMessage": { "width": 48, "height": 32, "isAnimated": true } }),
        ),
    ] {
        let mut message = message;
        message["media"] = json!({ "url": format!("{url}/{path}") });
        let body = json!({ "token": "media", "number": THEIRS, "message": message });
        let (status, answer) = cluster.operator.post("/v1/messages", body).await?;
        ensure!(status.is_success(), "{status}: {answer}");
        let id = answer["messageId"].as_str().context("an id")?;
        let read = opens(&mut baileys, id, file).await?;
        for (kind, fields) in told.as_object().context("fields")? {
            for (name, value) in fields.as_object().context("fields")? {
                ensure!(read["message"][kind][name] == *value, "{name}: {read}");
            }
        }
        let waveform = read["message"]["audioMessage"]["waveform"].as_str();
        let parts = waveform.map(|text| STANDARD.decode(text)).transpose()?;
        let is_note = message["voiceNote"] == true;
        ensure!(parts.is_some_and(|parts| parts.len() == 64) == is_note, "{read}");
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
