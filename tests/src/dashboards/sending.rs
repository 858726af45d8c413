//! *Sending*: how fast, what holds it up, what WhatsApp refuses.

use super::dashboard::Dashboard;
use super::panel::{Panel, Unit};
use super::query::{
    Role, in_an_hour_by, mean_by, or_none, quantile, quantile_by, rate, rate_by, recipients_waiting,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "sending",
        "sending",
        "From the job to WhatsApp's acknowledgement, and what keeps messages from it.",
    )
    .row("Pace", pace())
    .row("What WhatsApp refuses", refusals())
    .row("Where the time goes", times())
}

fn pace() -> [Panel; 6] {
    [
        Panel::lines("Messages", Unit::PerSecond("messages"))
            .ask(rate("fanfare_messages_sent_total{D}"), "sent")
            .ask(rate("fanfare_messages_failed_total{D}"), "failed")
            .ask(rate("fanfare_messages_unknown_total{D}"), "unknown")
            .about("`sent` is acknowledged by WhatsApp.")
            .alert("FanfareNothingSends")
            .paint(&[("sent", "green"), ("failed", "red"), ("unknown", "orange")]),
        Panel::areas("Sent by each worker", Unit::PerSecond("messages"))
            .ask("sum by (instance) (rate(fanfare_messages_sent_total{D}[$__rate_interval]))", "{{instance}}")
            .about("A worker that ends hands its sessions to the others: their areas grow by what its own was.")
            .alert("FanfareShardsUnowned"),
        Panel::areas("Recipients that wait, by reason", Unit::Count("recipients"))
            .ask(recipients_waiting(), "{{why}}")
            .about("Each reason stands in docs/VOCABULARY.md, with what ends it.")
            .alert("FanfareNothingSends"),
        Panel::areas("Queues that stand still, by reason", Unit::Count("queues"))
            .ask(or_none("sum by (reason) (fanfare_queues_waiting{D})", "reason", Role::Session), "{{reason}}")
            .about("Queues that have not moved for about a second.")
            .alert("FanfareNothingSends"),
        Panel::areas("What sessions wait for", Unit::Count("sessions"))
            .ask(or_none("sum by (reason) (fanfare_sessions_waiting{D})", "reason", Role::Session), "{{reason}}")
            .about("`idle`: there is nothing to send. `pace`: the gap between two sends. `ack`: WhatsApp's answer to the last one.")
            .alert("FanfareNothingSends"),
        Panel::lines("Gap before a send", Unit::Seconds)
            .ask(mean_by("reason", "fanfare_pacer_wait_seconds{D}"), "{{reason}}")
            .about("How long a send that was ready was held back, on average. `pace` is the gap that was asked for.")
            .alert("FanfareNothingSends"),
    ]
}

fn refusals() -> [Panel; 10] {
    [
        Panel::lines("Messages that failed, by status", Unit::PerSecond("messages"))
            .ask(rate_by("status", "fanfare_messages_failed_total{D}", Role::Session), "{{status}}")
            .about("404: not on WhatsApp. 502: WhatsApp refused it. 504: no answer. The others stand in docs/VOCABULARY.md.")
            .alert("FanfareRestrictionsRising"),
        Panel::lines("Accounts that were restricted, in the last hour", Unit::Count("times"))
            .ask(in_an_hour_by("kind", "fanfare_sessions_restricted_total{D}", Role::Session), "{{kind}}")
            .about("WhatsApp keeps the account from writing to new contacts for a while; known ones go on.")
            .alert("FanfareRestrictionsRising"),
        Panel::lines("Pauses of sessions that went too fast (429)", Unit::PerSecond("pauses"))
            .ask(rate("fanfare_sessions_rate_limited_total{D}"), "pauses")
            .about("The session sends nothing until the pause is over. Many: raise MIN and MAX.")
            .alert("FanfareRestrictionsRising"),
        Panel::lines("Look-ups of numbers", Unit::PerSecond("look-ups"))
            .ask("sum by (outcome) (rate(fanfare_look_up_seconds_count{D}[$__rate_interval]))", "{{outcome}}")
            .about("Whether a number is on WhatsApp is asked once, at a pace of its own. `failed`: WhatsApp did not answer, or refused.")
            .alert("FanfareNothingSends"),
        Panel::lines("Messages that came back and failed again", Unit::PerSecond("messages"))
            .ask(rate("fanfare_resends_failed_total{D}"), "resends refused")
            .ask(rate("fanfare_devices_refused_total{D}"), "devices left out")
            .ask(rate("fanfare_identities_changed_total{D}"), "identities changed")
            .about("A device could not read its message and asked again. Devices are left out that did not prove whose they are.")
            .alert("FanfareRestrictionsRising"),
        Panel::lines("Sends that were begun again", Unit::PerSecond("messages"))
            .ask(rate("fanfare_messages_repeated_total{D}"), "repeated under their id")
            .ask(rate_by("reason", r#"fanfare_sends_put_back_total{D,reason!="look-up"}"#, Role::Session), "put back: {{reason}}")
            .about("Nobody answered, the connection broke, or WhatsApp refused for now. A repeated one is shown once: its id is the same. Those that only wait for their look-up are left out.")
            .alert("FanfareNothingSends"),
        Panel::lines("Jobs and questions that came to nothing, by code", Unit::PerSecond("jobs"))
            .ask(rate_by("code", "fanfare_jobs_failed_total{D}", Role::Session), "{{code}}")
            .about("`look_up_limit`: no number may be looked up just now. `busy`: a session has as many questions open as it may. The others stand in docs/VOCABULARY.md, with what to do.")
            .alert("FanfareNothingSends"),
        Panel::lines("Files that are tried again", Unit::PerSecond("tries"))
            .ask(rate_by("reason", "fanfare_files_delayed_total{D}", Role::Session), "{{reason}}")
            .about("`fetch`: the file's URL does not give it. `hosts`: WhatsApp names no media host. `upload`: a media host does not take it. Their recipients wait for `upload`.")
            .alert("FanfareNothingSends"),
        Panel::lines("Schedules", Unit::PerSecond("schedules"))
            .ask(rate("fanfare_schedules_fired_total{D}"), "fired")
            .ask(rate("fanfare_schedules_put_off_total{D}"), "put off")
            .about("Each that fires makes a queue. Put off: its queue could not be made, and it is tried again.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Jobs, by kind", Unit::PerSecond("jobs"))
            .ask(rate_by("kind", "fanfare_jobs_total{D}", Role::Session), "{{kind}}")
            .about("What was asked for. `none` is no job at all, or `nothing`: there were none.")
            .alert("FanfareDeadLetters"),
    ]
}

fn times() -> [Panel; 4] {
    [
        Panel::lines("From the broker to the database", Unit::Seconds)
            .ask(quantile_by("kind", 95, "fanfare_job_wait_seconds{D}"), "{{kind}}")
            .about("How long a job waited until it was stored, 95 of 100. Long: too few workers, or the database is slow.")
            .alert("FanfareShardsUnowned"),
        Panel::lines("From the first byte to WhatsApp's acknowledgement", Unit::Seconds)
            .ask(quantile(50, "fanfare_send_ack_seconds{D}"), "half of them")
            .ask(quantile(95, "fanfare_send_ack_seconds{D}"), "95 of 100")
            .ask(quantile(99, "fanfare_send_ack_seconds{D}"), "99 of 100")
            .about("The network and WhatsApp. A gap: nothing was sent.")
            .alert("FanfareNothingSends"),
        Panel::lines("How long a look-up takes", Unit::Seconds)
            .ask(quantile_by("outcome", 95, "fanfare_look_up_seconds{D}"), "{{outcome}}")
            .about("95 of 100, from the question to WhatsApp's answer.")
            .alert("FanfareNothingSends"),
        Panel::lines("How long a message is encrypted", Unit::Seconds)
            .ask(quantile(50, "fanfare_encryption_seconds{D}"), "half of them")
            .ask(quantile(99, "fanfare_encryption_seconds{D}"), "99 of 100")
            .about("All copies of one message. It grows with the devices of the recipient, most of all in groups.")
            .alert("FanfareNothingSends"),
    ]
}
