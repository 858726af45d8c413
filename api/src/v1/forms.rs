//! A message with its file in one request: a form (`multipart/form-data`) with the part `body`, the JSON that the request would
//! be without a form, and the part `file`. The file is stored as one that is uploaded by itself and sent by its id; where the
//! message is refused, it is removed again.

use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::header;
use futures_util::TryStreamExt as _;
use rand::RngExt as _;
use serde_json::{Map, Value, json};
use shared::id::{JobId, MediaId};
use shared::job::SendJob;
use shared::store::media::MediaRecord;
use tokio::time::timeout;

use super::uploads;
use crate::app::App;
use crate::extract::{self, BODY_TIMEOUT, JsonBytes, MAX_BODY_BYTES};
use crate::idempotency::Meaning;
use crate::problem::{Code, Problem};
use crate::uploads::NewFile;

/// What a request asks to be sent.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its body, as JSON.
    pub(super) body: Bytes,
    stored: Option<Stored>,
}

/// The file of a form.
#[derive(Debug)]
struct Stored {
    id: MediaId,
    /// The body with the file's hash in the place of its id: a form that comes again has another id.
    meaning: Bytes,
}

impl Asked {
    /// Reads a request: JSON, or a form.
    ///
    /// # Errors
    /// 400 that names the field, 408, 413, 415, 503; nothing of the file is kept.
    pub(super) async fn read(app: &App, mut request: Request) -> Result<Self, Problem> {
        if !is_form(&request) {
            let JsonBytes(body) = JsonBytes::from_request(request, &()).await?;
            return Ok(Self { body, stored: None });
        }
        // The file has a limit of its own, and the JSON that of a body.
        DefaultBodyLimit::disable().apply(&mut request);
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|error| Problem::new(Code::MalformedBody, error.body_text()))?;
        let mut parts = Parts::default();
        let read = parts.read(app, &mut form).await;
        let file = parts.file.as_ref().map(|file| file.id);
        match read.and_then(|()| parts.together()) {
            Ok(asked) => Ok(asked),
            Err(problem) => {
                forget(app, file).await;
                Err(problem)
            }
        }
    }

    /// What it means, if it has a key.
    pub(super) fn meaning(&self, key: Option<&JobId>, job: &SendJob) -> Meaning {
        match self.stored.as_ref().filter(|_| key.is_some()) {
            Some(stored) => Meaning::from(stored.meaning.clone()),
            None => Meaning::of_job(key, job),
        }
    }

    /// The file that was stored for it.
    pub(super) fn file(&self) -> Option<MediaId> {
        self.stored.as_ref().map(|stored| stored.id)
    }
}

/// Removes a file that is not sent; if that fails it goes when its time is over.
pub(super) async fn forget(app: &App, file: Option<MediaId>) {
    let Some(id) = file else { return };
    if let Err(error) = app.uploads.delete(&app.store, id).await {
        tracing::warn!(%error, "the file of a message that was refused stays until its time is over");
    }
}

/// The parts of a form, as they come.
#[derive(Default)]
struct Parts {
    body: Option<Map<String, Value>>,
    file: Option<MediaRecord>,
    name: Option<String>,
}

impl Parts {
    async fn read(&mut self, app: &App, form: &mut Multipart) -> Result<(), Problem> {
        while let Some(part) = form.next_field().await.map_err(|error| broken(&error))? {
            match part.name() {
                Some("body") if self.body.is_none() => self.body = Some(object(part).await?),
                Some("file") if self.file.is_none() => {
                    self.name = part.file_name().map(str::to_owned);
                    self.file = Some(store(app, part).await?);
                }
                Some("body") => return Err(Problem::field("body", "must be given once")),
                Some("file") => return Err(Problem::field("file", "must be given once")),
                _ => {
                    return Err(Problem::field(
                        "body",
                        "and `file` are the parts of a form, and no others",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The body that names the file by its id.
    fn together(self) -> Result<Asked, Problem> {
        let mut body = self.body.ok_or_else(|| Problem::field("body", "is required"))?;
        let file = self.file.ok_or_else(|| Problem::field("file", "is required"))?;
        let carrier = carrier(&mut body).ok_or_else(|| Problem::field("message", "must be a JSON object"))?;
        if carrier.contains_key("media") {
            return Err(Problem::field("message.media", "must not be given beside `file`"));
        }
        if carrier.get("type").is_some_and(|kind| kind == "document") {
            let named = self
                .name
                .filter(|name| !name.is_empty() && name.len() <= NAME_MAX_BYTES);
            if let Some(name) = named {
                carrier.entry("fileName").or_insert_with(|| name.into());
            }
        }
        carrier.insert("media".to_owned(), json!({ "sha256": hex::encode(file.sha256) }));
        let meaning = Value::Object(body.clone()).to_string();
        if let Some(carrier) = self::carrier(&mut body) {
            carrier.insert("media".to_owned(), json!({ "id": file.id }));
        }
        let stored = Stored {
            id: file.id,
            meaning: meaning.into(),
        };
        Ok(Asked {
            body: Value::Object(body).to_string().into(),
            stored: Some(stored),
        })
    }
}

/// What carries the file: the message, or what stands above its buttons.
fn carrier(body: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let message = body.get_mut("message")?.as_object_mut()?;
    match message.contains_key("header") {
        true => message.get_mut("header")?.as_object_mut(),
        false => Some(message),
    }
}

async fn object(mut part: Field<'_>) -> Result<Map<String, Value>, Problem> {
    let mut text = Vec::new();
    let read = async {
        while let Some(piece) = part.chunk().await.map_err(|error| broken(&error))? {
            if text.len() + piece.len() > MAX_BODY_BYTES {
                return Err(extract::too_large());
            }
            text.extend_from_slice(&piece);
        }
        Ok(())
    };
    let words = || format!("it did not come within {} seconds", BODY_TIMEOUT.as_secs());
    let read = timeout(BODY_TIMEOUT, read).await;
    read.map_err(|_| Problem::new(Code::BodyTimeout, words()))??;
    extract::object(&text)
}

async fn store(app: &App, part: Field<'_>) -> Result<MediaRecord, Problem> {
    let id = MediaId::new(uuid::Builder::from_random_bytes(app.random.fork().random()).into_uuid());
    let mimetype = part.content_type().map(str::to_owned);
    let mimetype = mimetype.filter(|mimetype| mimetype.len() <= NAME_MAX_BYTES);
    let new = NewFile {
        id,
        mimetype,
        length: None,
    };
    let pieces = part.map_err(|error| error.body_text());
    let taken = uploads::take(app, new, Box::pin(pieces)).await;
    taken.map_err(|problem| match problem.fields() {
        [only] => Problem::new(problem.code(), "").with_field("file", &*only.problem),
        _ => problem,
    })
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(Code::MalformedBody, error.body_text())
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("multipart/form-data")
}

/// Most bytes of a file's name, and of its type.
const NAME_MAX_BYTES: usize = 255;
