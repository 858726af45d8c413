//! *Overview*: is it well; what waits, and why; what leaves and what is told.

use super::dashboard::Dashboard;
use super::panel::{Panel, Unit};
use super::query::{
    Role, in_an_hour, in_an_hour_by, once, or_none, quantile, rate, rate_by, recipients_waiting,
};
use super::sessions::STATES;
use super::webhooks::OUTCOMES;

/// An alert that watches no deployment has no such label.
const FIRING: &str = r#"ALERTS{alertname=~"Fanfare.*",alertstate="firing",deployment=~"$deployment|"}"#;

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "overview",
        "overview",
        "Read from the top: what is wrong, what waits and why, what leaves, what it stands on.",
    )
    .row("Is it well?", well())
    .row("What waits, and why", waits())
    .row("What is done", done())
    .row("What it stands on", stands_on())
}

fn well() -> [Panel; 9] {
    let firing = format!("count by (alertname) ({FIRING})");
    [
        Panel::names("Alerts that fire")
            .ask(or_none(&firing, "alertname", Role::Session), "{{alertname}}")
            .about("The name of an alert is the heading of its section in the runbook. Grey: Prometheus asks no session worker.")
            .alert("FanfareMetricsGone")
            .bad_from(1.0),
        Panel::tile("Processes that answer", Unit::Count(""))
            .wide(8)
            .ask(r#"sum by (job) (up{D,job=~"fanfare-.+"})"#, "{{job}}")
            .about("Processes that Prometheus can read, by role. Without session workers nothing is sent, and jobs wait in the broker.")
            .alert("FanfareMetricsGone")
            .bad_below(1.0),
        Panel::tile("Processes that don't", Unit::Count(""))
            .ask(r#"sum(1 - up{D,job=~"fanfare-.+"})"#, "")
            .about("Processes that Prometheus is told of and can't read: killed, hung, or behind a closed port.")
            .alert("FanfareMetricsGone")
            .bad_from(1.0),
        Panel::tile("Shards that nobody holds", Unit::Count(""))
            .ask(once("fanfare_shards_unowned{D}"), "")
            .about("Sessions of such a shard do nothing. For some seconds after a worker was killed this is as it should be.")
            .alert("FanfareShardsUnowned")
            .bad_from(1.0),
        Panel::tile("Sent in the last minute", Unit::Count(""))
            .ask("round(sum(increase(fanfare_messages_sent_total{D}[1m])))", "")
            .about("Messages that WhatsApp acknowledged. None while recipients wait is what the first alert watches.")
            .alert("FanfareNothingSends"),
        Panel::tile("Recipients that wait", Unit::Count(""))
            .ask("sum(max by (deployment, reason) (fanfare_recipients_waiting{D})) or on() max(fanfare_shards{D}) * 0", "")
            .about("Why they do stands below.")
            .alert("FanfareNothingSends"),
        Panel::tile("Oldest event not told", Unit::Seconds)
            .ask(once("fanfare_outbox_age_seconds{D}"), "")
            .about("Events are committed first and told then. More than a minute: the broker takes none.")
            .alert("FanfareEventsLag")
            .bad_from(60.0),
        Panel::tile("Webhook deliveries that wait", Unit::Count(""))
            .ask(once("fanfare_webhook_pending{D}"), "")
            .about("For another attempt: their endpoint failed, or is slower than its events come.")
            .alert("FanfareWebhooksDying")
            .odd_from(100.0),
        Panel::tile("Set apart", Unit::Count(""))
            .wide(8)
            .ask("sum(max by (deployment, queue) (fanfare_dead_letters{D}))", "jobs and events")
            .ask(once("fanfare_webhook_dead{D}"), "webhook deliveries")
            .about("What nobody tries again by itself: messages in the queues of dead letters, and deliveries that were given up.")
            .alert("FanfareDeadLetters")
            .odd_from(1.0),
    ]
}

fn waits() -> [Panel; 6] {
    [
        Panel::areas("Recipients that wait, by reason", Unit::Count("recipients"))
            .ask(recipients_waiting(), "{{why}}")
            .about("`their turn`: nothing holds them up but the gap between sends. Each other reason stands in docs/VOCABULARY.md, with what ends it.")
            .alert("FanfareNothingSends"),
        Panel::areas("Sessions by state", Unit::Count("sessions"))
            .ask(or_none("sum by (state) (fanfare_sessions{D})", "state", Role::Session), "{{state}}")
            .about("Only open ones send. `closed` in numbers: WhatsApp or the way to it; `logged-out`: their owners or WhatsApp.")
            .alert("FanfareSessionsClosing")
            .paint(STATES),
        Panel::lines("Restrictions and pauses, in the last hour", Unit::Count("times"))
            .ask(in_an_hour_by("kind", "fanfare_sessions_restricted_total{D}", Role::Session), "restricted: {{kind}}")
            .ask(in_an_hour("fanfare_sessions_rate_limited_total{D}"), "too fast (429)")
            .about("WhatsApp keeps accounts from writing to new contacts, or slows them. Rising: send less, and to people who know you.")
            .alert("FanfareRestrictionsRising"),
        Panel::lines("Webhook deliveries that wait", Unit::Count("deliveries"))
            .ask(once("fanfare_webhook_pending{D}"), "wait for another attempt")
            .ask(once("fanfare_webhook_dead{D}"), "given up")
            .ask("sum(increase(fanfare_webhook_circuit_opened_total{D}[1h]))", "endpoints left alone, in the last hour")
            .about("Rising steadily: an endpoint is away, is left alone between tries, and its deliveries gather. Others get theirs.")
            .alert("FanfareWebhooksDying"),
        Panel::lines("Processes that answer", Unit::Count("processes"))
            .ask(r#"sum by (job) (up{D,job=~"fanfare-.+"})"#, "{{job}}")
            .about("A step down: one ended, or can't be reached. A step up: one began.")
            .alert("FanfareMetricsGone"),
        Panel::areas("Alerts over time", Unit::Count("alerts"))
            .ask(or_none(&format!("count by (alertname) ({FIRING})"), "alertname", Role::Session), "{{alertname}}")
            .about("When each began and ended.")
            .alert("FanfareMetricsGone"),
    ]
}

fn done() -> [Panel; 4] {
    [
        Panel::lines("Messages", Unit::PerSecond("messages"))
            .ask(rate("fanfare_messages_sent_total{D}"), "sent")
            .ask(rate("fanfare_messages_failed_total{D}"), "failed")
            .ask(rate("fanfare_messages_unknown_total{D}"), "unknown")
            .ask(rate("fanfare_messages_received_total{D}"), "received")
            .about("`unknown`: it may have been sent, nobody knows, and it is not sent again.")
            .alert("FanfareNothingSends")
            .paint(&[("sent", "green"), ("failed", "red"), ("unknown", "orange"), ("received", "blue")]),
        Panel::lines("Jobs taken from the broker", Unit::PerSecond("jobs"))
            .ask(rate_by("outcome", "fanfare_jobs_total{D}", Role::Session), "{{outcome}}")
            .about("`put_back`: their session has enough to do just now. `dead`: no job at all, kept as a dead letter.")
            .alert("FanfareDeadLetters"),
        Panel::lines("Events", Unit::PerSecond("events"))
            .ask(rate("fanfare_events_published_total{D}"), "told")
            .ask(rate("fanfare_webhook_events_total{D}"), "taken for webhooks")
            .about("What the broker confirmed, and what webhook workers took of it. Events that no webhook wants are not taken.")
            .alert("FanfareEventsLag"),
        Panel::areas("Webhook attempts", Unit::PerSecond("attempts"))
            .ask(rate_by("outcome", "fanfare_webhook_attempts_total{D}", Role::Webhook), "{{outcome}}")
            .about("`failed`: the endpoint was away, slow, or answered something else than success. Which one: GET /v1/webhooks.")
            .alert("FanfareWebhooksDying")
            .paint(OUTCOMES),
    ]
}

fn stands_on() -> [Panel; 5] {
    [
        Panel::lines("Broker connected", Unit::IsSo)
            .ask("min by (job, link) (fanfare_broker_connected{D})", "{{job}} {{link}}")
            .about("0: at least one process of this role is cut off. It takes no jobs and tells no events until it is back.")
            .alert("FanfareBrokerAway"),
        Panel::lines("Database: how long a transaction takes", Unit::Seconds)
            .ask(quantile(50, "fanfare_transaction_seconds{D}"), "half of them")
            .ask(quantile(99, "fanfare_transaction_seconds{D}"), "99 of 100")
            .about("Everything is written before it is done, so this is what all else waits for. A gap: there were none.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Memory of each process", Unit::Bytes).wide(8)
            .ask(r#"process_resident_memory_bytes{D,job=~"fanfare-.+"}"#, "{{job}} {{instance}}")
            .about("A line that ends is a process that ended; one that begins has been started.")
            .alert("FanfareMetricsGone"),
        Panel::lines("What runs", Unit::Count("processes")).wide(8)
            .ask("count by (role, version) (fanfare_build_info{D})", "{{role}} {{version}}")
            .about("Two versions at once: an upgrade that is on its way, or was left half done.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Processor of each process", Unit::Count("cores")).wide(8)
            .ask(r#"rate(process_cpu_seconds_total{D,job=~"fanfare-.+"}[$__rate_interval])"#, "{{job}} {{instance}}")
            .about("A process uses several cores; one that stays at what the machine has is what the others wait for.")
            .alert("FanfareMetricsGone"),
    ]
}
