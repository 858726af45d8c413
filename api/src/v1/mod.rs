//! The product's own dialect: resources under `/v1`, errors as RFC 9457 problems.

pub mod adopt;
pub mod asked;
pub mod calls;
pub mod chats;
pub mod closing;
pub mod commands;
pub mod control;
pub mod counts;
pub mod deliveries;
pub mod dry_run;
pub mod export;
mod forms;
pub mod groups;
pub mod kept;
pub mod labels;
pub mod linking;
pub mod listing;
pub mod look_up;
pub mod media;
pub mod messages;
pub mod numbers;
pub mod pairing;
pub mod passkey;
pub mod people;
pub mod profile;
pub mod queues;
pub mod retry;
pub mod schedules;
pub mod sessions;
pub mod standing;
pub mod uploads;
pub mod waiting;
pub mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, patch, post};

use crate::app::App;

/// All routes under `/v1` but the document.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/messages", post(messages::create_anywhere))
        .route("/media", post(uploads::create).layer(DefaultBodyLimit::disable()))
        .route("/media/{media}", get(uploads::show).delete(uploads::delete))
        .route("/queues", get(listing::list_all))
        .route("/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/sessions/{token}",
            get(sessions::show)
                .patch(sessions::update)
                .delete(sessions::delete),
        )
        .route("/sessions/{token}/start", post(control::start))
        .route("/sessions/{token}/stop", post(control::stop))
        .route("/sessions/{token}/restart", post(control::restart))
        .route("/sessions/{token}/logout", post(control::logout))
        .route("/sessions/{token}/numbers/{number}", get(numbers::show))
        .route("/sessions/{token}/groups", post(groups::act))
        .route("/sessions/{token}/profile", post(profile::act))
        .route("/sessions/{token}/calls/{call}/reject", post(calls::reject))
        .route("/sessions/{token}/numbers/look-up", post(numbers::look_up))
        .route("/sessions/{token}/numbers/block", post(numbers::block))
        .route("/sessions/{token}/numbers/unblock", post(numbers::unblock))
        .route("/sessions/{token}/qr", get(pairing::qr))
        .route("/sessions/{token}/pairing-code", post(pairing::pairing_code))
        .route("/sessions/{token}/passkey", post(passkey::answer))
        .route("/sessions/{token}/passkey/confirm", post(passkey::confirm))
        .route("/sessions/{token}/passkey/cancel", post(passkey::cancel))
        .route(
            "/sessions/{token}/messages",
            get(kept::search).post(messages::create),
        )
        .route("/sessions/{token}/messages/dry-run", post(dry_run::dry_run))
        .route("/sessions/{token}/messages/{message}", get(look_up::show))
        .route("/sessions/{token}/messages/{message}/media", get(media::download))
        .route(
            "/sessions/{token}/queues",
            get(listing::list).post(queues::create),
        )
        .route(
            "/sessions/{token}/queues/{queue}",
            get(queues::show).patch(commands::change).delete(commands::delete),
        )
        .route(
            "/sessions/{token}/queues/{queue}/recipients",
            get(queues::recipients),
        )
        .route(
            "/sessions/{token}/queues/{queue}/recipients.csv",
            get(export::csv),
        )
        .route("/sessions/{token}/queues/{queue}/retry", post(retry::retry))
        .route("/sessions/{token}/queues/{queue}/pause", post(commands::pause))
        .route("/sessions/{token}/queues/{queue}/resume", post(commands::resume))
        .route("/sessions/{token}/queues/{queue}/adopt", post(adopt::adopt))
        .route(
            "/sessions/{token}/schedules",
            get(schedules::list).post(schedules::create),
        )
        .route(
            "/sessions/{token}/schedules/{schedule}",
            get(schedules::show).delete(schedules::delete),
        )
        .merge(of_chats())
        .merge(of_webhooks())
}

fn of_chats() -> Router<Arc<App>> {
    Router::new()
        .route("/sessions/{token}/chats", get(chats::list).post(chats::act))
        .route(
            "/sessions/{token}/chats/{chat}",
            get(chats::show).delete(chats::forget),
        )
        .route("/sessions/{token}/chats/{chat}/messages", get(kept::of_chat))
        .route("/sessions/{token}/chats/{chat}/history", post(chats::history))
        .route("/sessions/{token}/contacts", get(people::contacts))
        .route("/sessions/{token}/labels", get(labels::labels))
        .route("/sessions/{token}/labels/{label}", get(labels::labeled))
        .route("/sessions/{token}/people/{person}", delete(people::forget_person))
}

fn of_webhooks() -> Router<Arc<App>> {
    Router::new()
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/webhooks/{webhook}",
            get(webhooks::show)
                .merge(patch(webhooks::update))
                .merge(delete(webhooks::delete)),
        )
        .route("/webhooks/{webhook}/deliveries", get(deliveries::list))
        .route("/webhooks/{webhook}/test", post(deliveries::test))
        .route(
            "/webhooks/{webhook}/deliveries/replay",
            post(deliveries::replay_all),
        )
        .route("/webhooks/{webhook}/deliveries/{delivery}", get(deliveries::show))
        .route(
            "/webhooks/{webhook}/deliveries/{delivery}/replay",
            post(deliveries::replay),
        )
}
