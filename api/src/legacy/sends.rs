//! What the older API sends besides texts: buttons, templates, lists, reactions, and the deletion of a message.
//!
//! Each body becomes that of a `send` job, so that all doors refuse the same things in the same words.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::content::{Body, Content, Form};
use shared::id::{JobId, Token};
use shared::job::SendJob;

use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::idempotency::{self, Key, Meaning};
use crate::legacy::bodies::{
    Answer, ButtonBody, DeleteBody, KeyBody, ListBody, ReactionBody, Recipients, TemplateBody,
};
use crate::legacy::dialect::ErrorBody;
use crate::legacy::sending::{send_many, send_one};
use crate::problem::Problem;

/// A request to send, as any of these routes reads it.
struct Request {
    /// The last part of its path.
    route: &'static str,
    token: Token,
    number: Recipients,
    /// The `message` of the job.
    message: Value,
    delay: Value,
    /// What this API calls fields of the message, where it has another name for them.
    names: &'static [(&'static str, &'static str)],
}

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
    let body: ButtonBody = extract::fields(&body)?;
    no_image(body.image.as_deref())?;
    let message = json!({
        "type": "buttons", "text": body.message, "footer": body.footer, "buttons": body.button,
        "form": body.form, "fallback": body.fallback,
    });
    let request = Request {
        route: "send-button-message",
        token: body.token,
        number: body.number,
        message,
        delay: json!(body.delay),
        names: &[("text", "message"), ("buttons", "button")],
    };
    send(app, key, request).await
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
    let body: TemplateBody = extract::fields(&body)?;
    no_image(body.image.as_deref())?;
    let message = json!({
        "type": "template", "text": body.text, "footer": body.footer, "buttons": body.button,
        "form": body.form, "fallback": body.fallback,
    });
    let request = Request {
        route: "send-template-message",
        token: body.token,
        number: body.number,
        message,
        delay: json!(body.delay),
        names: &[("buttons", "button")],
    };
    send(app, key, request).await
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
    let body: ListBody = extract::fields(&body)?;
    let message = json!({
        "type": "list", "title": body.title, "text": body.text, "footer": body.footer, "buttonText": body.button_text,
        "sections": body.list, "link": body.link, "form": body.form, "fallback": body.fallback,
    });
    let request = Request {
        route: "send-list-message",
        token: body.token,
        number: body.number,
        message,
        delay: json!(body.delay),
        names: &[("sections", "list")],
    };
    send(app, key, request).await
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
    let body: ReactionBody = extract::fields(&body)?;
    let request = Request {
        route: "send-reaction",
        token: body.token,
        number: body.number,
        message: json!({ "type": "reaction", "key": key_of(&body.key), "text": body.text }),
        delay: Value::Null,
        names: &[],
    };
    send(app, key, request).await
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
    let body: DeleteBody = extract::fields(&body)?;
    let request = Request {
        route: "delete-for-every-one",
        token: body.token,
        number: body.number,
        message: json!({ "type": "delete", "key": key_of(&body.key) }),
        delay: Value::Null,
        names: &[],
    };
    send(app, key, request).await
}

async fn send(app: Arc<App>, key: Option<JobId>, request: Request) -> Result<Response, Problem> {
    let many = matches!(request.number, Recipients::Many(_));
    let job = request.job()?;
    let meaning = Meaning::of_job(key.as_ref(), &job);
    let to = app.tokens.session(&app.store, request.token).await?;
    let scope = format!("{} {}", request.route, to.token);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let form = job.message.form();
            let answer = match many {
                true => send_many(&app, to, key, job).await?,
                false => {
                    let shown = documented(&job.message);
                    let mut sent = send_one(&app, &to, key, job).await?;
                    sent["message"] = json!({ shown.message_type(): shown.message() });
                    Answer::with_data(sent)
                }
            };
            Ok(Json(Answer { form, ..answer }).into_response())
        })
    };
    idempotency::once(&app, scope, key, meaning, work).await
}

impl Request {
    fn job(&self) -> Result<SendJob, Problem> {
        let mut message = self.message.clone();
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let body = json!({ "number": self.number, "message": message, "delay": self.delay });
        SendJob::parse(body.to_string().as_bytes()).map_err(|error| self.own_name(error.into()))
    }

    /// Names the field at fault as this API does.
    fn own_name(&self, problem: Problem) -> Problem {
        let [only] = problem.fields() else {
            return problem;
        };
        let field = only.field.strip_prefix("message.").unwrap_or(&only.field);
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (first, rest) = field.split_at(end);
        let own = self.names.iter().find(|(name, _)| *name == first);
        let own = match (own, first) {
            (Some((_, own)), _) => own,
            (None, "numbers") => "number",
            (None, first) => first,
        };
        Problem::new(problem.code(), "").with_field(format!("{own}{rest}"), &*only.problem)
    }
}

/// How this API has always shown a message: buttons and lists as the message of their own, however they go out.
fn documented(content: &Content) -> Content {
    let mut shown = content.clone();
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

/// Refuses a picture above buttons.
fn no_image(image: Option<&str>) -> Result<(), Problem> {
    match image.filter(|image| !image.is_empty()) {
        Some(_) => Err(Problem::field(
            "image",
            "can't be sent with buttons yet; leave it out, or null",
        )),
        None => Ok(()),
    }
}
