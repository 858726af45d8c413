//! What the older API sends besides files: the routes of buttons, templates, lists, reactions and the deletion of a
//! message; and what these, and texts, are as messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::content::{Body, Content, Form};
use shared::id::JobId;

use crate::app::App;
use crate::extract::JsonBytes;
use crate::idempotency::{self, Key, Meaning};
use crate::legacy::bodies::{
    Answer, ButtonBody, DeleteBody, KeyBody, ListBody, ReactionBody, TemplateBody, TextBody,
};
use crate::legacy::dialect::ErrorBody;
use crate::legacy::files::{self, Sending};
use crate::legacy::request::{self, Asks, Request};
use crate::legacy::sending::{begin, send_many};
use crate::problem::Problem;

/// Send a text with buttons that answer it, to one number or to many as a queue.
#[utoipa::path(post, path = "/api/whatsapp/send-button-message", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/ButtonBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn buttons(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    send(
        app,
        key,
        "send-button-message",
        request::read::<ButtonBody>(&body)?,
    )
    .await
}

/// Send a text with buttons that lead somewhere, to one number or to many as a queue.
#[utoipa::path(post, path = "/api/whatsapp/send-template-message", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/TemplateBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn template(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    send(
        app,
        key,
        "send-template-message",
        request::read::<TemplateBody>(&body)?,
    )
    .await
}

/// Send a text with a list to choose from, to one number or to many as a queue.
#[utoipa::path(post, path = "/api/whatsapp/send-list-message", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/ListBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    send(app, key, "send-list-message", request::read::<ListBody>(&body)?).await
}

/// React to a message. An empty text takes the reaction back.
#[utoipa::path(post, path = "/api/whatsapp/send-reaction", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/ReactionBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn reaction(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    send(app, key, "send-reaction", request::read::<ReactionBody>(&body)?).await
}

/// Delete a message for everyone.
#[utoipa::path(post, path = "/api/whatsapp/delete-for-every-one", tag = "legacy", security(("basic" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/DeleteBody"), responses((status = 200, body = Answer),
    (status = "default", body = ErrorBody)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    send(
        app,
        key,
        "delete-for-every-one",
        request::read::<DeleteBody>(&body)?,
    )
    .await
}

/// Sends what a route, named by the last part of its path, is asked to.
async fn send(
    app: Arc<App>,
    key: Option<JobId>,
    route: &'static str,
    request: Request,
) -> Result<Response, Problem> {
    let (many, job) = (request.is_to_many(), request.job()?);
    let meaning = Meaning::of_job(key.as_ref(), &job);
    let to = app.tokens.session(&app.store, request.token).await?;
    let scope = format!("{route} {}", to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let form = job.message.form();
            let answer = match many {
                true => send_many(&app, to, key, job).await?,
                false => {
                    let shown = documented(job.first_message().into_owned());
                    let (mut answer, sent) = begin(&app, &to, key, job).await?;
                    answer["message"] = json!({ shown.message_type(): shown.message() });
                    if shown.media().is_some() {
                        let sending = Sending {
                            to: &to,
                            sent: &sent,
                            field: "image",
                        };
                        files::tell(&app, sending, &mut answer["message"]).await?;
                    }
                    Answer::with_data(answer)
                }
            };
            Ok(Json(Answer { form, ..answer }).into_response())
        })
    };
    idempotency::once(&app, scope, key, meaning, work).await
}

impl Asks for TextBody {
    fn request(self) -> Result<Request, Problem> {
        Ok(Request {
            token: self.token,
            number: self.number,
            message: json!({ "type": "text", "text": self.text }),
            delay: self.delay,
            names: &[],
        })
    }
}

impl Asks for ButtonBody {
    fn request(self) -> Result<Request, Problem> {
        let header = header(self.image.as_deref(), self.r#type.as_deref())?;
        let message = json!({
            "type": "buttons", "header": header, "text": self.message, "footer": self.footer, "buttons": self.button,
            "form": self.form, "fallback": self.fallback,
        });
        Ok(Request {
            token: self.token,
            number: self.number,
            message,
            delay: self.delay,
            names: &[
                ("text", "message"),
                ("buttons", "button"),
                ("header.media.url", "image"),
                ("header", "image"),
            ],
        })
    }
}

impl Asks for TemplateBody {
    fn request(self) -> Result<Request, Problem> {
        let message = json!({
            "type": "template", "header": header(self.image.as_deref(), None)?, "text": self.text, "footer": self.footer, "buttons": self.button,
            "form": self.form, "fallback": self.fallback,
        });
        Ok(Request {
            token: self.token,
            number: self.number,
            message,
            delay: self.delay,
            names: &[
                ("buttons", "button"),
                ("header.media.url", "image"),
                ("header", "image"),
            ],
        })
    }
}

impl Asks for ListBody {
    fn request(self) -> Result<Request, Problem> {
        let message = json!({
            "type": "list", "title": self.title, "text": self.text, "footer": self.footer, "buttonText": self.button_text,
            "sections": self.list, "link": self.link, "form": self.form, "fallback": self.fallback,
        });
        Ok(Request {
            token: self.token,
            number: self.number,
            message,
            delay: self.delay,
            names: &[("sections", "list")],
        })
    }
}

impl Asks for ReactionBody {
    fn request(self) -> Result<Request, Problem> {
        Ok(Request {
            token: self.token,
            number: self.number,
            message: json!({ "type": "reaction", "key": key_of(&self.key), "text": self.text }),
            delay: None,
            names: &[],
        })
    }
}

impl Asks for DeleteBody {
    fn request(self) -> Result<Request, Problem> {
        Ok(Request {
            token: self.token,
            number: self.number,
            message: json!({ "type": "delete", "key": key_of(&self.key) }),
            delay: None,
            names: &[],
        })
    }
}

/// How this API has always shown a message: buttons and lists as the message of their own, however they go out.
fn documented(mut shown: Content) -> Content {
    let (form, fallback) = match &mut shown.body {
        Body::Buttons(buttons) => (&mut buttons.form, &mut buttons.fallback),
        Body::Template(template) => (&mut template.form, &mut template.fallback),
        Body::List(list) => (&mut list.form, &mut list.fallback),
        _ => return shown,
    };
    *form = Some(Form::Legacy);
    *fallback = None;
    shown
}

/// The key of a message as a `send` job has it: what else the caller has of it is left out.
fn key_of(key: &KeyBody) -> Value {
    let mut told = json!({ "id": key.id, "fromMe": key.from_me });
    let others = [("remoteJid", &key.remote_jid), ("participant", &key.participant)];
    for (name, value) in others {
        if let Some(text) = value.as_deref().filter(|text| !text.is_empty()) {
            told[name] = text.into();
        }
    }
    told
}

/// A picture above buttons, as a `send` job has it; none where it is empty, as its clients send it. `given` says how it is
/// given, which is by its address.
fn header(image: Option<&str>, given: Option<&str>) -> Result<Option<Value>, Problem> {
    let Some(image) = image.filter(|image| !image.is_empty()) else {
        return Ok(None);
    };
    match given {
        None | Some("" | "url") => Ok(Some(json!({ "type": "image", "media": { "url": image } }))),
        Some(_) => Err(Problem::field("type", "must be `url`: `image` is an address")),
    }
}
