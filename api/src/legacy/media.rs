//! `send-media` of the older API: a file that is fetched from a URL, to one or many.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};
use shared::id::JobId;
use shared::job::SendJob;

use super::bodies::{Answer, MediaBody};
use super::dialect::ErrorBody;
use super::files::{self, Sending};
use super::request::{self, Asks, Request};
use super::sending::{begin, send_many};
use crate::app::App;
use crate::extract::JsonBytes;
use crate::idempotency::{self, Key, Meaning};
use crate::problem::Problem;
use crate::tokens::Addressee;

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
    let (mut answer, sent) = begin(app, to, key, job).await?;
    let sending = Sending {
        to,
        sent: &sent,
        field: "url",
    };
    files::tell(app, sending, &mut answer["message"]).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
