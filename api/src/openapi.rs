//! The OpenAPI document, made from the handlers and from the types of what they read.

pub mod examples;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Value, json};
use shared::event::{Labeled, RestrictionKind};
use shared::id::{DeliveryId, QueueId, ScheduleName, StanzaId, Token, WebhookId};
use shared::job::{
    Calls, ChatActionJob, ChatId, DryRunAnswer, Duplicates, Forgotten, GroupAnswer, GroupJob, HistoryAsked,
    HistoryBody, LogoutJob, Misfire, NumberAnswer, NumbersJob, PasskeyAnswerJob, ProfileAnswer, ProfileJob,
    QueuePatch, Reading, ScheduleBody, SendBody, SessionUpdateJob,
};
use shared::schema::plain_choices;
use shared::store::deliveries::DeliveryState;
use shared::store::queues::QueueState;
use shared::store::recipients::RecipientState;
use shared::waiting::Reason;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::legacy::bodies::{
    ButtonBody, DeleteBody, ListBody, MediaBody, NumberBody, ReactionBody, TemplateBody, TextBody, TokenBody,
};
use crate::legacy::groups::GroupBody;
use crate::legacy::profile::PictureBody;
use crate::legacy::scheduler::{SchedulerBody, StopBody};
use crate::legacy::store::StoreBody;
use crate::v1::messages::Addressed;
use crate::v1::pairing::PairingCodeRequest;
use crate::v1::retry::RetryBody;
use crate::v1::sessions::NewSession;
use crate::v1::{
    adopt, calls, chats, commands, control, deliveries, dry_run, export, groups, kept, labels, listing,
    look_up, media, messages, numbers, pairing, passkey, people, profile, queues, retry, schedules, sessions,
    uploads, webhooks,
};
use crate::{legacy, schema};

#[derive(OpenApi)]
#[openapi(
    info(title = "Fanfare", description = "A self-hosted WhatsApp client API. Jobs and events go over AMQP too: see docs/AMQP.md."),
    paths(
        sessions::create, sessions::list, sessions::show, sessions::update, sessions::delete,
        pairing::qr, pairing::pairing_code,
        control::start, control::stop, control::restart, control::logout,
        groups::act, profile::act, calls::reject,
        numbers::show, numbers::look_up, numbers::block, numbers::unblock,
        passkey::answer, passkey::confirm, passkey::cancel,
        messages::create, messages::create_anywhere, look_up::show, dry_run::dry_run, media::download,
        uploads::create, uploads::show, uploads::delete,
        queues::create, listing::list, queues::show, queues::recipients, commands::pause, commands::resume, commands::delete,
        commands::change, listing::list_all, export::csv, retry::retry, adopt::adopt,
        webhooks::create, webhooks::list, webhooks::show, webhooks::update, webhooks::delete,
        deliveries::list, deliveries::show, deliveries::replay, deliveries::replay_all, deliveries::test,
        chats::list, chats::act, chats::show, chats::forget, chats::history, kept::of_chat, kept::search, people::contacts, people::forget_person,
        labels::labels, labels::labeled,
        schedules::create, schedules::list, schedules::show, schedules::delete,
        legacy::create_instance, legacy::delete_credential, legacy::send_text, legacy::media::send_media,
        legacy::sends::buttons, legacy::sends::template, legacy::sends::list, legacy::sends::reaction, legacy::sends::delete,
        legacy::is_exists, legacy::groups::group_metadata,
        legacy::store::chats, legacy::profile::picture,
        legacy::scheduler::list, legacy::scheduler::add_scheduler, legacy::scheduler::stop,
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
pub fn document() -> Value {
    // A document of our own types always serialises.
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let mut generator = schema::generator();
    generator.subschema_for::<WebhookId>();
    generator.subschema_for::<DeliveryId>();
    generator.subschema_for::<StanzaId>();
    generator.subschema_for::<QueueState>();
    generator.subschema_for::<RecipientState>();
    generator.subschema_for::<DeliveryState>();
    generator.subschema_for::<RestrictionKind>();
    generator.subschema_for::<Labeled>();
    generator.subschema_for::<SendBody>();
    generator.subschema_for::<Addressed<SendBody>>();
    generator.subschema_for::<QueuePatch>();
    generator.subschema_for::<RetryBody>();
    generator.subschema_for::<NewSession>();
    generator.subschema_for::<Calls>();
    generator.subschema_for::<Reason>();
    generator.subschema_for::<PairingCodeRequest>();
    generator.subschema_for::<PasskeyAnswerJob>();
    generator.subschema_for::<LogoutJob>();
    generator.subschema_for::<NumbersJob>();
    generator.subschema_for::<NumberAnswer>();
    generator.subschema_for::<GroupJob>();
    generator.subschema_for::<GroupAnswer>();
    generator.subschema_for::<GroupBody>();
    generator.subschema_for::<ChatId>();
    generator.subschema_for::<ChatActionJob>();
    generator.subschema_for::<Forgotten>();
    generator.subschema_for::<HistoryBody>();
    generator.subschema_for::<HistoryAsked>();
    generator.subschema_for::<StoreBody>();
    generator.subschema_for::<ProfileJob>();
    generator.subschema_for::<ProfileAnswer>();
    generator.subschema_for::<PictureBody>();
    generator.subschema_for::<SessionUpdateJob>();
    generator.subschema_for::<TokenBody>();
    generator.subschema_for::<TextBody>();
    generator.subschema_for::<MediaBody>();
    generator.subschema_for::<NumberBody>();
    generator.subschema_for::<ButtonBody>();
    generator.subschema_for::<TemplateBody>();
    generator.subschema_for::<ListBody>();
    generator.subschema_for::<ReactionBody>();
    generator.subschema_for::<DeleteBody>();
    generator.subschema_for::<Reading>();
    generator.subschema_for::<Duplicates>();
    generator.subschema_for::<DryRunAnswer>();
    generator.subschema_for::<ScheduleBody>();
    generator.subschema_for::<ScheduleName>();
    generator.subschema_for::<Misfire>();
    generator.subschema_for::<SchedulerBody>();
    generator.subschema_for::<StopBody>();
    for (name, mut schema) in generator.take_definitions(true) {
        plain_choices(&mut schema);
        document["components"]["schemas"][name] = schema;
    }
    let operations = document["paths"].as_object_mut().into_iter().flatten();
    let operations = operations.flat_map(|(_, path)| path.as_object_mut().into_iter().flatten());
    for (_, operation) in operations {
        if let Some(body) = operation.get_mut("requestBody") {
            body["required"] = true.into();
        }
        complete(operation);
    }
    examples::attach(&mut document);
    document
}

/// Says of an operation what its handler's annotation leaves open: a name that no other has, the form of the ids in its
/// path, and the meaning of a status that has no words of its own.
fn complete(operation: &mut Value) {
    if let (Some(family), Some(handler)) = (operation["tags"][0].as_str(), operation["operationId"].as_str())
    {
        operation["operationId"] = format!("{family}_{handler}").into();
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if parameter["in"] == "path" {
            let name = match parameter["name"].as_str() {
                Some("token") => Token::schema_name(),
                Some("chat") => ChatId::schema_name(),
                Some("queue") => QueueId::schema_name(),
                Some("message") => StanzaId::schema_name(),
                Some("schedule") => ScheduleName::schema_name(),
                Some("webhook") => WebhookId::schema_name(),
                Some("delivery") => DeliveryId::schema_name(),
                _ => continue,
            };
            parameter["schema"] = json!({ "$ref": format!("#/components/schemas/{name}") });
        }
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            let status: Option<StatusCode> = status.parse().ok();
            let words = status.and_then(|status| status.canonical_reason());
            response["description"] = words.unwrap_or(REFUSED).into();
        }
    }
}

/// What is said of all that is no success.
const REFUSED: &str = "It is refused or failed; `code` says why, for programs.";
