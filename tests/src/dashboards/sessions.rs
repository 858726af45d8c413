//! *Sessions*: how they stand, how they log in, why they close, who holds them.

use super::dashboard::Dashboard;
use super::panel::{Paint, Panel, Unit};
use super::query::{Role, once, or_none, rate, rate_by};

/// The states of a session.
pub(super) const STATES: Paint = &[
    ("open", "green"),
    ("connecting", "yellow"),
    ("pairing", "blue"),
    ("closed", "orange"),
    ("logged-out", "red"),
    ("new", "purple"),
    ("nothing", "text"),
];

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "sessions",
        "sessions",
        "Numbers that are linked: how they stand, why they close, which worker holds them.",
    )
    .row("How they stand", stand())
    .row("Logins and closes", logins())
    .row("Who holds them", held())
    .row("What comes in", incoming())
}

fn stand() -> [Panel; 6] {
    let count = |state: &str| format!(r#"sum(fanfare_sessions{{D,state="{state}"}})"#);
    [
        Panel::tile("Open", Unit::Count(""))
            .wide(6)
            .ask(count("open"), "")
            .about("Connected and logged in: these send.")
            .alert("FanfareSessionsClosing"),
        Panel::tile("Closed", Unit::Count(""))
            .wide(6)
            .ask(count("closed"), "")
            .about("Not connected just now, and tried again by themselves, unless somebody stopped them.")
            .alert("FanfareSessionsClosing")
            .odd_from(1.0),
        Panel::tile("Logged out", Unit::Count(""))
            .wide(6)
            .ask(count("logged-out"), "")
            .about("Their owner or WhatsApp unlinked them: each wants a phone again.")
            .alert("FanfareSessionsClosing")
            .bad_from(1.0),
        Panel::tile("WhatsApp Web too old", Unit::IsSo)
            .wide(6)
            .ask("max(fanfare_client_version_refused{D})", "")
            .about("1: WhatsApp refuses sessions for the version that they say they are.")
            .alert("FanfareVersionTooOld")
            .bad_from(1.0),
        Panel::areas("Sessions by state", Unit::Count("sessions"))
            .ask(or_none("sum by (state) (fanfare_sessions{D})", "state", Role::Session), "{{state}}")
            .about("Only open ones send.")
            .alert("FanfareSessionsClosing")
            .paint(STATES),
        Panel::areas("What sessions wait for", Unit::Count("sessions"))
            .ask(or_none("sum by (reason) (fanfare_sessions_waiting{D})", "reason", Role::Session), "{{reason}}")
            .about("`idle`: there is nothing to send. `not-paired`: a phone that scans. Each stands in docs/VOCABULARY.md.")
            .alert("FanfareNothingSends"),
    ]
}

fn logins() -> [Panel; 4] {
    [
        Panel::lines("Logins", Unit::PerSecond("sessions"))
            .ask(rate("fanfare_sessions_opened_total{D}"), "opened")
            .ask(rate("fanfare_sessions_closed_total{D}"), "closed")
            .about("Both at once, again and again: something lets them in and throws them out.")
            .alert("FanfareSessionsClosing")
            .paint(&[("opened", "green"), ("closed", "red")]),
        Panel::areas("Closes, by reason", Unit::PerSecond("closes"))
            .ask(rate_by("reason", "fanfare_sessions_closed_total{D}", Role::Session), "{{reason}}")
            .about("Reasons as in `connection.update`: docs/EVENTS.md says what each means.")
            .alert("FanfareSessionsClosing"),
        Panel::lines("Age of the version of WhatsApp Web", Unit::Seconds)
            .ask("max(fanfare_client_version_age_seconds{D})", "age")
            .about("Sessions say that they are this version. WhatsApp refuses it after some months; it is renewed by itself.")
            .alert("FanfareVersionTooOld"),
        Panel::lines("Refused for the version", Unit::PerSecond("connections"))
            .ask(rate("fanfare_client_version_refusals_total{D}"), "refused (405)")
            .ask(rate_by("outcome", "fanfare_client_version_fetches_total{D}", Role::Session), "page read: {{outcome}}")
            .about("Refused connections, and readings of the page that names the current version.")
            .alert("FanfareVersionTooOld"),
    ]
}

fn held() -> [Panel; 6] {
    [
        Panel::areas("Shards of each worker", Unit::Count("shards"))
            .ask("sum by (instance) (fanfare_shards_owned{D})", "{{instance}}")
            .about("The whole stays the same. A dent: a worker ended without handing over, and its shards wait for ten seconds.")
            .alert("FanfareShardsUnowned"),
        Panel::lines("Leases lost and taken", Unit::PerSecond("leases"))
            .ask(rate_by("reason", "fanfare_leases_lost_total{D}", Role::Session), "lost: {{reason}}")
            .ask(rate("fanfare_leases_taken_total{D}"), "taken")
            .about("Lost: a worker could not renew in time, or was thought dead. Taken again and again: the database is slow, or a machine stands still now and then.")
            .alert("FanfareLeaseFlaps"),
        Panel::areas("Sessions of each worker", Unit::Count("sessions"))
            .ask("sum by (instance) (fanfare_sessions{D})", "{{instance}}")
            .about("Sessions are divided by shard, so workers have about as many each.")
            .alert("FanfareShardsUnowned"),
        Panel::lines("Workers and shards", Unit::Count("workers, shards"))
            .ask(once("fanfare_session_workers{D}"), "live session workers")
            .ask(once("fanfare_shards{D}"), "shards")
            .ask(once("fanfare_shards_unowned{D}"), "shards that nobody holds")
            .about("As the database has it, whatever Prometheus can reach.")
            .alert("FanfareShardsUnowned"),
        Panel::lines("Sessions that failed and began again", Unit::PerSecond("sessions"))
            .ask(rate_by("reason", "fanfare_sessions_started_again_total{D}", Role::Session), "{{reason}}")
            .ask(rate_by("outcome", "fanfare_jobs_lost_total{D}", Role::Session), "jobs in their hands: {{outcome}}")
            .about("Inside their worker, which starts them again and hands them their jobs again. `returned`: a job came back a hundred times, so a session may die of it; the log names it, at ERROR.")
            .alert("FanfareSessionsClosing"),
        Panel::lines("Memory of a session worker, for each session", Unit::Bytes)
            .ask(r#"process_resident_memory_bytes{D,job="fanfare-session"} / on (instance) sum by (instance) (fanfare_sessions{D})"#, "{{instance}}")
            .about("The worker's own share falls on few sessions at first. Rising with the same sessions: something leaks.")
            .alert("FanfareMetricsGone"),
    ]
}

fn incoming() -> [Panel; 3] {
    [
        Panel::lines("Messages that came in", Unit::PerSecond("messages"))
            .wide(8)
            .ask(rate("fanfare_messages_received_total{D}"), "received")
            .ask(rate("fanfare_history_messages_total{D}"), "of the past")
            .about("The past comes once, after a phone was linked.")
            .alert("FanfareEventsLag"),
        Panel::lines("Not read, or dropped", Unit::PerSecond("times"))
            .wide(8)
            .ask(rate("fanfare_messages_unreadable_total{D}"), "messages that nobody could read")
            .ask(rate_by("what", "fanfare_dropped_total{D}", Role::Session), "dropped: {{what}}")
            .about("A message whose sender and whose phone gave no copy that could be read is lost to us. `record`: a row of device_key can't be read, which is never right; the log says so, at ERROR.")
            .alert("FanfareSessionsClosing"),
        Panel::lines("Refused", Unit::PerSecond("times"))
            .wide(8)
            .ask(
                rate_by("reason", "fanfare_peers_misbehaved_total{D}", Role::Session),
                "peer: {{reason}}",
            )
            .ask(rate("fanfare_history_refused_total{D}"), "past")
            .ask(rate("fanfare_app_state_refused_total{D}"), "state of the account")
            .ask(rate("fanfare_passkey_answers_refused_total{D}"), "passkey")
            .about("What others sent and nobody could use. It harms its own message alone.")
            .alert("FanfareSessionsClosing"),
    ]
}
