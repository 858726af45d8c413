//! *HTTP*: what the API is asked, how long it takes, what it answers.

use super::dashboard::Dashboard;
use super::panel::{Paint, Panel, Unit};
use super::query::{Role, quantile, quantile_by, rate_by, share};

/// Classes of answers.
const CLASSES: Paint = &[
    ("2xx", "green"),
    ("3xx", "blue"),
    ("4xx", "yellow"),
    ("5xx", "red"),
    ("nothing", "text"),
];
const SERIES: &str = "fanfare_http_request_seconds{D}";

pub(super) fn dashboard() -> Dashboard {
    Dashboard::new(
        "http",
        "HTTP",
        "The API: requests by route, their answers and how long they take.",
    )
    .row("Is it well?", well())
    .row("Requests", requests())
    .row("Processes of the API", processes())
}

fn requests_by(label: &str, filter: &str) -> String {
    rate_by(
        label,
        &format!("fanfare_http_request_seconds_count{{D{filter}}}"),
        Role::Api,
    )
}

fn well() -> [Panel; 3] {
    [
        Panel::tile("Processes that answer", Unit::Count(""))
            .wide(8)
            .ask(r#"sum(up{D,job="fanfare-api"})"#, "")
            .about("Without one no request is answered; what was taken goes on.")
            .alert("FanfareMetricsGone")
            .bad_below(1.0),
        Panel::tile("Answered with 5xx", Unit::Share)
            .wide(8)
            .ask(
                share(
                    r#"fanfare_http_request_seconds_count{D,status="5xx"}"#,
                    "fanfare_http_request_seconds_count{D}",
                    Role::Api,
                ),
                "",
            )
            .about("Of the requests of the last five minutes. 503: broker, database or workers are away; the body says which.")
            .alert("FanfareBrokerAway")
            .bad_from(0.01),
        Panel::tile("95 of 100 take at the most", Unit::Seconds)
            .wide(8)
            .ask("histogram_quantile(0.95, sum by (le) (rate(fanfare_http_request_seconds_bucket{D}[5m])))", "")
            .about("Of the last five minutes. Long polls and files take as long as they take.")
            .alert("FanfareDatabaseAway")
            .odd_from(1.0),
    ]
}

fn requests() -> [Panel; 8] {
    [
        Panel::areas("By status", Unit::PerSecond("requests"))
            .ask(requests_by("status", ""), "{{status}}")
            .about("4xx is the caller's, 5xx ours.")
            .alert("FanfareBrokerAway")
            .paint(CLASSES),
        Panel::lines("How long they take", Unit::Seconds)
            .ask(quantile(50, SERIES), "half of them")
            .ask(quantile(95, SERIES), "95 of 100")
            .ask(quantile(99, SERIES), "99 of 100")
            .about("From the head of the request to that of the answer. A gap: there were none.")
            .alert("FanfareDatabaseAway"),
        Panel::areas("By route", Unit::PerSecond("requests"))
            .ask(requests_by("route", ""), "{{route}}")
            .about("Routes as in the OpenAPI document.")
            .alert("FanfareBrokerAway"),
        Panel::lines("How long, by route", Unit::Seconds)
            .ask(quantile_by("route", 95, SERIES), "{{route}}")
            .about("95 of 100.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("4xx, by route", Unit::PerSecond("requests"))
            .ask(requests_by("route", r#",status="4xx""#), "{{route}}")
            .about("Somebody's client is wrong; the answer's `code` says in what.")
            .alert("FanfareBrokerAway"),
        Panel::lines("5xx, by route", Unit::PerSecond("requests"))
            .ask(requests_by("route", r#",status="5xx""#), "{{route}}")
            .about("The API's log has the reason of each.")
            .alert("FanfareBrokerAway"),
        Panel::lines("Refused, by code", Unit::PerSecond("requests"))
            .ask(rate_by("code", "fanfare_http_problems_total{D}", Role::Api), "{{code}}")
            .about("`code` of the answer; docs/VOCABULARY.md has all. `unauthorized` in numbers: somebody tries keys. `uploads_busy`, `downloads_busy`, `media_store_full`: there is too little room.")
            .alert("FanfareBrokerAway"),
        Panel::lines("Jobs that wait for an answer", Unit::PerSecond("jobs"))
            .ask(rate_by("outcome", "fanfare_calls_total{D}", Role::Api), "{{outcome}}")
            .about("Questions and commands whose answer the caller waits for. `timed_out`: no worker, or WhatsApp, answered. `busy`: the process waits for as many as it may; start another.")
            .alert("FanfareShardsUnowned"),
    ]
}

fn processes() -> [Panel; 6] {
    let of_api = |series: &str| format!(r#"{series}{{D,job="fanfare-api"}}"#);
    [
        Panel::lines("Processor", Unit::Count("cores"))
            .ask(
                r#"rate(process_cpu_seconds_total{D,job="fanfare-api"}[$__rate_interval])"#,
                "{{instance}}",
            )
            .about("Of each API process.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Memory", Unit::Bytes)
            .ask(of_api("process_resident_memory_bytes"), "{{instance}}")
            .about("Resident, of each API process.")
            .alert("FanfareMetricsGone"),
        Panel::lines("Jobs handed to the broker", Unit::PerSecond("jobs"))
            .ask(
                rate_by("outcome", "fanfare_jobs_published_total{D}", Role::Api),
                "{{outcome}}",
            )
            .about("`confirmed` alone is answered with success. `unroutable`: the session is being deleted.")
            .alert("FanfareBrokerAway"),
        Panel::lines("The database answers", Unit::IsSo)
            .ask(r#"min(fanfare_database_up{D,job="fanfare-api"})"#, "answers")
            .about("0: at least one API process gets no answer, and says 503.")
            .alert("FanfareDatabaseAway"),
        Panel::lines("Broker connected", Unit::IsSo)
            .ask(
                r#"min by (link) (fanfare_broker_connected{D,job="fanfare-api"})"#,
                "{{link}}",
            )
            .about("0: what is posted is answered with 503 until it is back.")
            .alert("FanfareBrokerAway"),
        Panel::areas("Database connections", Unit::Count("connections"))
            .ask(
                r#"sum by (state) (fanfare_database_connections{D,job="fanfare-api"})"#,
                "{{state}}",
            )
            .about("None: questions are answered with 503.")
            .alert("FanfareDatabaseAway"),
    ]
}
