//! *Webhooks*: what endpoints take, what waits for them, what was given up.

use super::dashboard::Dashboard;
use super::panel::{Paint, Panel, Unit};
use super::query::{Role, in_an_hour, in_an_hour_by, once, quantile, quantile_by, rate, rate_by, share};

/// What becomes of an attempt.
pub(super) const OUTCOMES: Paint = &[
    ("delivered", "green"),
    ("failed", "red"),
    ("gone", "purple"),
    ("nothing", "text"),
];

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "webhooks",
        "webhooks",
        "Deliveries of events to endpoints, their attempts and what was given up.",
    )
    .row("How they stand", stand())
    .row("Attempts", attempts())
    .row("What is left alone", left())
}

fn stand() -> [Panel; 4] {
    [
        Panel::tile("Wait for another attempt", Unit::Count(""))
            .wide(6)
            .ask(once("fanfare_webhook_pending{D}"), "")
            .about("They are tried again for three days, less and less often.")
            .alert("FanfareWebhooksDying")
            .odd_from(100.0),
        Panel::tile("Given up", Unit::Count(""))
            .wide(6)
            .ask(once("fanfare_webhook_dead{D}"), "")
            .about("They can be replayed: POST /v1/webhooks/{id}/replay.")
            .alert("FanfareWebhooksDying")
            .bad_from(1.0),
        Panel::tile("Fail now", Unit::Share)
            .wide(6)
            .ask(
                share(
                    r#"fanfare_webhook_attempts_total{D,outcome!="delivered"}"#,
                    "fanfare_webhook_attempts_total{D}",
                    Role::Webhook,
                ),
                "",
            )
            .about("Of the attempts of the last five minutes.")
            .alert("FanfareWebhooksDying")
            .odd_from(0.05),
        Panel::tile("Webhooks that can't be used", Unit::Count(""))
            .wide(6)
            .ask("max(fanfare_webhooks_unusable{D})", "")
            .about("They get nothing: their row can't be used, or there are more than the limit.")
            .alert("FanfareWebhooksDying")
            .bad_from(1.0),
    ]
}

fn attempts() -> [Panel; 6] {
    [
        Panel::areas("Attempts, by outcome", Unit::PerSecond("attempts"))
            .ask(rate_by("outcome", "fanfare_webhook_attempts_total{D}", Role::Webhook), "{{outcome}}")
            .about("Which endpoint fails, and with what: GET /v1/webhooks, and the page.")
            .alert("FanfareWebhooksDying")
            .paint(OUTCOMES),
        Panel::areas("First attempts and later ones", Unit::PerSecond("attempts"))
            .ask(rate_by("attempt", "fanfare_webhook_attempts_total{D}", Role::Webhook), "{{attempt}}")
            .about("The first is made straight from the event, later ones from the database.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("How long an attempt takes", Unit::Seconds)
            .ask(quantile(50, "fanfare_webhook_attempt_seconds{D}"), "half of them")
            .ask(quantile(95, "fanfare_webhook_attempt_seconds{D}"), "95 of 100")
            .ask(quantile(99, "fanfare_webhook_attempt_seconds{D}"), "99 of 100")
            .about("A slow endpoint holds its own deliveries up, not those of others.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("How long, by outcome", Unit::Seconds)
            .ask(quantile_by("outcome", 95, "fanfare_webhook_attempt_seconds{D}"), "{{outcome}}")
            .about("95 of 100. Failures at the time-out (WEBHOOK_TIMEOUT): the endpoint hangs; at once: nobody listens.")
            .alert("FanfareWebhooksDying")
            .paint(OUTCOMES),
        Panel::lines("Events taken from the broker", Unit::PerSecond("events"))
            .ask(rate("fanfare_webhook_events_total{D}"), "taken")
            .ask(rate("fanfare_webhook_events_dead_total{D}"), "set apart: can't be read")
            .about("Each goes to every endpoint that wants it.")
            .alert("FanfareEventsLag"),
        Panel::lines("Deliveries that wait", Unit::Count("deliveries"))
            .ask(once("fanfare_webhook_pending{D}"), "wait for another attempt")
            .ask(once("fanfare_webhook_dead{D}"), "given up")
            .about("Waiting ones grow while an endpoint is away, and fall when it is back.")
            .alert("FanfareWebhooksDying"),
    ]
}

fn left() -> [Panel; 6] {
    [
        Panel::lines("Deliveries given up", Unit::PerSecond("deliveries"))
            .ask(rate("fanfare_webhook_dead_total{D}"), "given up")
            .about("After their last attempt, or because their webhook was disabled.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("Endpoints left alone for a while", Unit::PerSecond("endpoints"))
            .ask(rate("fanfare_webhook_circuit_opened_total{D}"), "left alone")
            .about("After a run of failures, so that one that is away is not called for each event.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("Webhooks disabled, in the last hour", Unit::Count("webhooks"))
            .ask(in_an_hour_by("reason", "fanfare_webhooks_disabled_total{D}", Role::Webhook), "{{reason}}")
            .about("By themselves: the endpoint answered 410, or too many deliveries wait for it. Its owner enables it again.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("Events that wait for the webhook workers", Unit::Count("events"))
            .ask(once("fanfare_webhook_queue_messages{D}"), "in the queue")
            .about("In the broker. Growing: no webhook worker runs, or the database takes none of theirs.")
            .alert("FanfareEventsLag"),
        Panel::lines("Deliveries taken and not listed", Unit::PerSecond("deliveries"))
            .ask(rate("fanfare_webhook_unlisted_total{D}"), "not listed")
            .about("They were delivered; the list of deliveries alone lacks them.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Clients of socket.io", Unit::Count("clients"))
            .ask("sum(fanfare_socket_clients{D})", "connected")
            .ask(in_an_hour_by("reason", "fanfare_socket_dropped_total{D}", Role::Api), "let go in the last hour: {{reason}}")
            .ask(in_an_hour("fanfare_socket_missed_events_total{D}"), "events missed in the last hour")
            .about("The other way that events go out: to browsers, by the API.")
            .alert("FanfareEventsLag"),
    ]
}
