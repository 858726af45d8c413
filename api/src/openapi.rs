//! The OpenAPI document, made from the handlers.

use serde::Deserialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::legacy;
use crate::v1::{messages, queues, sessions, webhooks};

/// The body of a `send` job. `number` and `numbers` are two names of one field; give one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
pub struct SendBody {
    /// One recipient or an array: phone numbers or full jids. No groups yet.
    number: Option<OneOrMany>,
    /// The same as `number`.
    numbers: Option<OneOrMany>,
    /// What to send.
    message: TextMessage,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    delay: Option<DelayBody>,
    /// `resend` (under the same id) or `hold`: what to do with a send that a crash cut off.
    on_unknown: Option<String>,
    /// The queue's id, of no other queue of any session.
    #[schema(format = Uuid)]
    queue_id: Option<String>,
    /// The message's id at WhatsApp; only with one number.
    message_id: Option<String>,
}

/// One text or an array of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the body is parsed by `shared::job`; this is its schema")]
enum OneOrMany {
    /// One.
    One(String),
    /// 1 to 100,000.
    Many(Vec<String>),
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

/// The seed dialect: a session.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(
    dead_code,
    reason = "the body is taken apart field by field; this is its schema"
)]
pub struct SeedToken {
    /// The session.
    token: String,
}

/// The seed dialect: a text.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(
    dead_code,
    reason = "the body is taken apart field by field; this is its schema"
)]
pub struct SeedText {
    /// The session that sends.
    token: String,
    /// A phone number or a full jid, as text or number, or an array of them. No groups yet.
    #[schema(value_type = Object)]
    number: serde_json::Value,
    /// 1 to 65,536 bytes.
    text: String,
    /// The gap between two sends; the deployment's MIN and MAX when absent.
    delay: Option<DelayBody>,
}

/// The seed dialect: a number.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(
    dead_code,
    reason = "the body is taken apart field by field; this is its schema"
)]
pub struct SeedNumber {
    /// The session that asks.
    token: String,
    /// A phone number, as text or number.
    #[schema(value_type = String)]
    number: serde_json::Value,
}

/// The seed dialect's answer.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(
    dead_code,
    reason = "handlers answer in the seed's own shapes; this is what they have in common"
)]
pub struct SeedAnswer {
    /// Whether it was done; false with a QR code that is to be scanned.
    status: bool,
    /// What came of it.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// In words, or what was sent.
    #[schema(value_type = Option<Object>)]
    message: Option<serde_json::Value>,
    /// The QR code to scan, as a data URL.
    qrcode: Option<String>,
    /// The queue of a text to many.
    #[schema(value_type = Option<Object>)]
    queue: Option<serde_json::Value>,
}

/// The seed dialect's error.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "made in `seed::dialect`; this is its schema")]
pub struct SeedError {
    /// Always false.
    status: bool,
    /// What was wrong and where.
    message: String,
    /// What was wrong, for programs.
    error: SeedErrorCode,
}

/// The program's part of a seed dialect's error.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "made in `seed::dialect`; this is its schema")]
pub struct SeedErrorCode {
    /// A stable code.
    code: String,
    /// The field at fault, if it is one.
    field: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Fanfare", description = "A self-hosted WhatsApp client API. Jobs and events go over AMQP too: see docs/AMQP.md."),
    paths(
        sessions::create, sessions::list, sessions::show, sessions::delete, sessions::qr, sessions::pairing_code,
        messages::create, messages::create_anywhere,
        queues::create, queues::list, queues::show, queues::recipients, queues::pause, queues::resume, queues::delete,
        webhooks::create, webhooks::list, webhooks::show, webhooks::delete, webhooks::deliveries, webhooks::replay,
        legacy::create_instance, legacy::delete_credential, legacy::send_text, legacy::is_exists,
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
