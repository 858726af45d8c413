//! The OpenAPI document, made from the handlers.

use serde::Deserialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::v1::{messages, queues, sessions, webhooks};

/// The body of a `send` job. `number` and `numbers` are two names of one field; give one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
pub struct SendBody {
    /// One recipient or an array: phone numbers or full jids.
    #[schema(value_type = Option<Object>)]
    number: Option<serde_json::Value>,
    /// The same as `number`.
    numbers: Option<Vec<String>>,
    /// What to send.
    message: TextMessage,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    delay: Option<DelayBody>,
    /// `resend` (under the same id) or `hold`: what to do with a send that a crash cut off.
    on_unknown: Option<String>,
    /// The queue's id.
    #[schema(format = Uuid)]
    queue_id: Option<String>,
    /// The message's id at WhatsApp; only with one number.
    message_id: Option<String>,
}

/// The body of a `send` job and the session it is for.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
pub struct SendAnywhereBody {
    /// The session that sends.
    token: String,
    /// The rest.
    #[serde(flatten)]
    body: SendBody,
}

/// A text message.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
pub struct TextMessage {
    /// `text`.
    #[serde(rename = "type")]
    kind: String,
    /// 1 to 65,536 bytes.
    text: String,
}

/// A random gap in seconds, both ends included.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
pub struct DelayBody {
    /// Shortest.
    min: f64,
    /// Longest.
    max: f64,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Fanfare", description = "A self-hosted WhatsApp client API. Jobs and events go over AMQP too: see docs/AMQP.md."),
    paths(
        sessions::create, sessions::list, sessions::show, sessions::delete, sessions::qr, sessions::pairing_code,
        messages::create, messages::create_anywhere,
        queues::create, queues::list, queues::show, queues::recipients, queues::pause, queues::resume, queues::delete,
        webhooks::create, webhooks::list, webhooks::show, webhooks::delete, webhooks::deliveries, webhooks::replay,
    ),
    modifiers(&Keys),
    security(("basic" = []), ("bearer" = []))
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
