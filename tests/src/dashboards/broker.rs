//! *Broker and database*: what all state goes through.

use super::dashboard::Dashboard;
use super::panel::{Panel, Unit};
use super::query::{Role, once, once_by, quantile, quantile_by, rate, rate_by};

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "broker-database",
        "broker and database",
        "RabbitMQ holds jobs and events for a moment, PostgreSQL all state.",
    )
    .by_shard()
    .row("Broker", broker())
    .row("Events on their way out", outbox())
    .row("Database", database())
    .row("Processes", processes())
}

fn broker() -> [Panel; 4] {
    [
        Panel::lines("Connected", Unit::IsSo)
            .ask("min by (job, link) (fanfare_broker_connected{D})", "{{job}} {{link}}")
            .about("0: at least one process of this role is cut off. Each comes back by itself.")
            .alert("FanfareBrokerAway"),
        Panel::lines("Connections that ended or failed", Unit::PerSecond("connections"))
            .ask(rate_by("link", "fanfare_broker_reconnects_total{D}", Role::Session), "{{link}}")
            .about("Tries to come back count, too.")
            .alert("FanfareBrokerAway"),
        Panel::areas("Jobs that wait in the queue of each shard", Unit::Count("jobs"))
            .ask(once_by("shard", r#"fanfare_shard_queue_messages{D,shard=~"$shard"}"#), "shard {{shard}}")
            .about("Stored in milliseconds while a worker holds the shard. Growing: nobody does, or the database takes none.")
            .alert("FanfareShardsUnowned"),
        Panel::lines("Dead letters", Unit::Count("messages"))
            .ask(once_by("queue", "fanfare_dead_letters{D}"), "{{queue}}")
            .about("What is no job, and what a webhook worker could not take. Nobody tries them again by itself.")
            .alert("FanfareDeadLetters"),
    ]
}

fn outbox() -> [Panel; 4] {
    [
        Panel::lines("Events that wait to be told", Unit::Count("events"))
            .ask(once("fanfare_outbox_events{D}"), "committed, not confirmed")
            .about("The broker confirms each. A hill that falls is a broadcast; one that stays is a broker that takes none.")
            .alert("FanfareEventsLag"),
        Panel::lines("Age of the oldest", Unit::Seconds)
            .ask(once("fanfare_outbox_age_seconds{D}"), "oldest")
            .about("More than a minute: the broker is away or full, or a queue that somebody bound is.")
            .alert("FanfareEventsLag"),
        Panel::lines("From committed to confirmed", Unit::Seconds)
            .ask(quantile(50, "fanfare_outbox_lag_seconds{D}"), "half of them")
            .ask(quantile(99, "fanfare_outbox_lag_seconds{D}"), "99 of 100")
            .about("How late events are told. A gap: there were none.")
            .alert("FanfareEventsLag"),
        Panel::lines("Events told", Unit::PerSecond("events"))
            .ask(rate("fanfare_events_published_total{D}"), "confirmed")
            .ask(rate_by("reason", "fanfare_event_publish_failures_total{D}", Role::Session), "tries in vain: {{reason}}")
            .about("What the broker confirmed, and tries that came to nothing: the events wait in the database and go again.")
            .alert("FanfareEventsLag"),
    ]
}

fn database() -> [Panel; 8] {
    [
        Panel::areas("Connections", Unit::Count("connections"))
            .ask("sum by (state) (fanfare_database_connections{D})", "{{state}}")
            .about("Of all processes together. `awaited`: tasks that wait for one, which they should not for long.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("How long transactions take", Unit::Seconds)
            .ask(quantile_by("name", 99, "fanfare_transaction_seconds{D}"), "{{name}}")
            .about("99 of 100, by name. All rise together: the disk, or the machine.")
            .alert("FanfareDatabaseAway"),
        Panel::areas("Transactions", Unit::PerSecond("transactions"))
            .ask("sum by (name) (rate(fanfare_transaction_seconds_count{D}[$__rate_interval]))", "{{name}}")
            .about("What the database is asked for.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Transactions undone", Unit::PerSecond("transactions"))
            .ask(
                rate_by("name", r#"fanfare_transaction_seconds_count{D,outcome!="committed"}"#, Role::Session),
                "{{name}}",
            )
            .about("Undone by ourselves: another worker has the shard, or the job was there before.")
            .alert("FanfareLeaseFlaps"),
        Panel::lines("How long a group commit takes", Unit::Seconds)
            .ask(quantile(50, "fanfare_commit_seconds{D}"), "half of them")
            .ask(quantile(99, "fanfare_commit_seconds{D}"), "99 of 100")
            .about("Sessions write together. Nothing leaves before its write is durable, so each send waits for one of these.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("The database answers", Unit::IsSo)
            .ask("min by (job) (fanfare_database_up{D})", "{{job}}")
            .about("0: at least one process of this role gets no answer. Nothing is sent, and nothing lost, until it is back.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Writes that were not committed", Unit::PerSecond("writes"))
            .ask(rate_by("reason", "fanfare_commit_failures_total{D}", Role::Session), "{{reason}}")
            .about("`fenced`: another worker has the shard, so this one may not write any more. `unavailable`: the database is away, or its disk is full.")
            .alert("FanfareDiskFilling"),
        Panel::lines("Writes in one group commit", Unit::Count("writes"))
            .ask(quantile(50, "fanfare_commit_batch_writes{D}"), "half of them")
            .ask(quantile(95, "fanfare_commit_batch_writes{D}"), "95 of 100")
            .about("More when there is much to do: that is how it gets through.")
            .alert("FanfareDatabaseAway"),
    ]
}

fn processes() -> [Panel; 5] {
    [
        Panel::lines("Processor", Unit::Count("cores"))
            .ask(
                r#"rate(process_cpu_seconds_total{D,job=~"fanfare-.+"}[$__rate_interval])"#,
                "{{job}} {{instance}}",
            )
            .about("Of each process.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Memory", Unit::Bytes)
            .ask(
                r#"process_resident_memory_bytes{D,job=~"fanfare-.+"}"#,
                "{{job}} {{instance}}",
            )
            .about("Resident, of each process.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Open files and sockets", Unit::Share)
            .ask(
                r#"process_open_fds{D,job=~"fanfare-.+"} / process_max_fds{D,job=~"fanfare-.+"}"#,
                "{{job}} {{instance}}",
            )
            .about("Of what the process may have open (ulimit -n). A session is one socket.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Running for", Unit::Seconds)
            .ask(
                r#"time() - process_start_time_seconds{D,job=~"fanfare-.+"}"#,
                "{{job}} {{instance}}",
            )
            .about("A line that falls to zero is a process that began again.")
            .alert("FanfareMetricsGone"),
        Panel::lines("What you are not told", Unit::PerSecond("lines, spans"))
            .wide(24)
            .ask(rate("fanfare_log_lines_left_out_total{D}"), "lines of logs left out")
            .ask(rate_by("reason", "fanfare_spans_dropped_total{D}", Role::Session), "spans dropped: {{reason}}")
            .about("The same place wrote more than fifty lines in ten seconds; the next line says how many are missing. Spans: their receiver is away, refuses them, or is too slow. No work waits for either.")
            .alert("FanfareMetricsGone"),
    ]
}
