//! `send-media` of the older API: a file that is fetched from a URL, to one or many.
//!
//! Its clients are shown the message as it goes to WhatsApp, with the place and the key of the file: so the answer waits a
//! while for the upload.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::id::{JobId, QueueId, StanzaId};
use shared::job::SendJob;
use shared::store::recipients::{self, RecipientState};
use shared::store::uploads::{self, Upload};

use super::bodies::{Answer, MediaBody};
use super::dialect::ErrorBody;
use super::request::{self, Asks, Request};
use super::sending::{send_many, sent};
use crate::app::App;
use crate::extract::JsonBytes;
use crate::idempotency::{self, Key, Meaning};
use crate::problem::{Code, Problem};
use crate::tokens::Addressee;

/// How long an answer waits for the file to be uploaded. Later it is told without what is not known by then.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(15);

/// Send a file to one number, or to many as a queue.
#[utoipa::path(post, path = "/api/whatsapp/send-media", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/MediaBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn send_media(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let request = request::read::<MediaBody>(&body)?;
    let (many, job) = (request.is_to_many(), request.job()?);
    let meaning = Meaning::of_job(key.as_ref(), &job);
    let to = app.tokens.session(&app.store, request.token).await?;
    let scope = format!("send-media {}", to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let answer = if many {
                send_many(&app, to, key, job).await?
            } else {
                Answer::with_data(send_one(&app, &to, key, job).await?)
            };
            Ok(Json(answer).into_response())
        })
    };
    idempotency::once(&app, scope, key, meaning, work).await
}

impl Asks for MediaBody {
    fn request(self) -> Result<Request, Problem> {
        let message = message(&self)
            .ok_or_else(|| Problem::field("type", format!("must be {KINDS}, or a type such as text/csv")))?;
        Ok(Request {
            token: self.token,
            number: self.number,
            message,
            delay: self.delay,
            names: &[("media.url", "url"), ("media.mimetype", "type")],
        })
    }
}

/// What `type` takes.
const KINDS: &str = "image, video, gif, audio, ptt, sticker, document, pdf, xls, xlsx, doc, docx, zip or mp3";

/// The message that a request asks for; `None` where its type is none.
fn message(media: &MediaBody) -> Option<Value> {
    let (kind, mimetype, flag) = match media.kind.as_str() {
        kind @ ("image" | "video" | "audio" | "sticker" | "document") => (kind, None, None),
        "gif" => ("video", None, Some("gif")),
        "ptt" => ("audio", None, Some("voiceNote")),
        other => ("document", Some(document_type(other)?), None),
    };
    let mut message = Map::new();
    message.insert("type".to_owned(), kind.into());
    let mut file = Map::new();
    file.insert("url".to_owned(), media.url.as_str().into());
    file.extend(mimetype.map(|mimetype| ("mimetype".to_owned(), mimetype.into())));
    message.insert("media".to_owned(), file.into());
    message.extend(flag.map(|flag| (flag.to_owned(), true.into())));
    // Its clients send empty ones where there is none.
    let caption = media.caption.as_deref().filter(|caption| !caption.is_empty());
    if !matches!(kind, "audio" | "sticker") {
        message.extend(caption.map(|caption| ("caption".to_owned(), caption.into())));
    }
    let name = media.file_name.as_deref().filter(|name| !name.is_empty());
    if kind == "document" {
        message.extend(name.map(|name| ("fileName".to_owned(), name.into())));
    }
    Some(message.into())
}

/// The type of a document by what the older API calls it.
fn document_type(kind: &str) -> Option<&str> {
    Some(match kind {
        "pdf" => "application/pdf",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "zip" => "application/zip",
        "mp3" => "audio/mpeg",
        other if other.contains('/') => other,
        _ => return None,
    })
}

async fn send_one(app: &App, to: &Addressee, key: Option<JobId>, job: SendJob) -> Result<Value, Problem> {
    let mut answer = sent(&job, app.clock.wall());
    let kind = job.message.message_type();
    let sent = app.send(to, key, job).await?;
    answer["key"]["id"] = json!(sent.message);
    if let Some(upload) = uploaded(app, to, (sent.queue, sent.message.as_ref())).await? {
        show(&mut answer["message"], kind, &upload);
    }
    Ok(answer)
}

/// Waits for the upload; `None` if it takes longer than an answer may.
async fn uploaded(
    app: &App,
    to: &Addressee,
    (queue, message): (QueueId, Option<&StanzaId>),
) -> Result<Option<Upload>, Problem> {
    let mut looks = app.looks(UPLOAD_PATIENCE);
    // It is published: what the database can't say now is no reason to call it refused.
    while looks.again().await {
        match uploads::find(&app.store, queue).await {
            Ok(Some(upload)) => return Ok(Some(upload)),
            Ok(None) => refuse_failed(app, to, message).await?,
            Err(_) => {}
        }
    }
    Ok(None)
}

/// What failed before it was sent is not answered as if it were on its way.
async fn refuse_failed(app: &App, to: &Addressee, message: Option<&StanzaId>) -> Result<(), Problem> {
    let Some(message) = message else { return Ok(()) };
    let Ok(Some((_, recipient))) = recipients::of_message(&app.store, to.session, message).await else {
        return Ok(());
    };
    if recipient.state != RecipientState::Failed {
        return Ok(());
    }
    let words = recipient
        .error
        .unwrap_or_else(|| "its file could not be sent".to_owned());
    Err(Problem::new(Code::InvalidField, "").with_field("url", words))
}

/// Shows the file as the document does.
fn show(shown: &mut Value, kind: &'static str, upload: &Upload) {
    let mut told = shown[kind].take();
    let kind = if upload.as_document {
        "documentMessage"
    } else {
        kind
    };
    let url = upload.url.clone();
    let fields = [
        (
            "url",
            url.unwrap_or_else(|| format!("https://mmg.whatsapp.net{}", upload.direct_path))
                .into(),
        ),
        ("mimetype", upload.mimetype.clone().into()),
        ("fileSha256", STANDARD.encode(upload.sha256).into()),
        ("fileLength", upload.length.to_string().into()),
        ("mediaKey", STANDARD.encode(upload.key).into()),
        ("fileEncSha256", STANDARD.encode(upload.enc_sha256).into()),
        ("directPath", upload.direct_path.clone().into()),
        (
            "mediaKeyTimestamp",
            upload.uploaded_at.unix_timestamp().to_string().into(),
        ),
    ];
    if let Some(told) = told.as_object_mut() {
        told.extend(fields.map(|(name, value): (&str, Value)| (name.to_owned(), value)));
    }
    *shown = json!({ kind: told });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str) -> Option<Value> {
        let body = json!({
            "token": "shop", "number": "5531900000001", "type": kind, "url": "https://example.com/a",
            "caption": "Hi", "fileName": null,
        });
        message(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn every_type_of_the_older_api_is_a_kind() {
        let url = json!({ "url": "https://example.com/a" });
        for (kind, message) in [
            ("image", json!({ "type": "image", "media": url, "caption": "Hi" })),
            ("video", json!({ "type": "video", "media": url, "caption": "Hi" })),
            (
                "gif",
                json!({ "type": "video", "media": url, "caption": "Hi", "gif": true }),
            ),
            ("audio", json!({ "type": "audio", "media": url })),
            ("ptt", json!({ "type": "audio", "media": url, "voiceNote": true })),
            ("sticker", json!({ "type": "sticker", "media": url })),
            (
                "document",
                json!({ "type": "document", "media": url, "caption": "Hi" }),
            ),
        ] {
            assert_eq!(asked(kind), Some(message), "{kind}");
        }
        for kind in ["pdf", "xls", "xlsx", "doc", "docx", "zip", "mp3", "text/csv"] {
            let message = asked(kind).unwrap();
            assert_eq!(message["type"], "document", "{kind}");
            assert!(
                message["media"]["mimetype"].as_str().unwrap().contains('/'),
                "{kind}"
            );
        }
        assert_eq!(asked("poem"), None);
    }
}
