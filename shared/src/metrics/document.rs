//! `docs/METRICS.md`, made from the list.

use super::label::{Described, Values};
use super::list::FAMILIES;
use super::metric::{Declares, Kind, Shown};

/// The document.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for family in FAMILIES {
        text.push_str(&format!("\n## {}\n\n{TABLE}", family.title));
        for metric in family.metrics {
            text.push_str(&row(*metric));
        }
    }
    text.push_str(PROCESS);
    text.push_str(&buckets());
    text.push_str(LABELS);
    for label in labels() {
        let values = match label.values {
            Values::Closed(values) => values
                .iter()
                .map(|value| format!("`{value}`"))
                .collect::<Vec<_>>()
                .join(", "),
            Values::Bounded(by) => by.to_owned(),
        };
        text.push_str(&format!(
            "| `{}` | {} | {values} |\n",
            label.name,
            users(&label).join(", ")
        ));
    }
    text
}

fn row(metric: &dyn Declares) -> String {
    let declared = metric.declared();
    let labels: Vec<String> = metric
        .labels()
        .iter()
        .map(|label| format!("`{}`", label.name))
        .collect();
    let kind = match declared.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let shown = match declared.shown {
        Shown::Once => "one process, of all".to_owned(),
        Shown::By(roles) if roles.len() == 3 => "each process".to_owned(),
        Shown::By(roles) => roles
            .iter()
            .map(|role| role.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    };
    format!(
        "| `{}` | {kind} | {} | {} | {shown} | {} |\n",
        declared.name,
        declared.unit,
        labels.join(", "),
        declared.words()
    )
}

fn buckets() -> String {
    use super::metric::Buckets::{Counted, Took, Waited};
    let mut text = BUCKETS.to_owned();
    for (buckets, words) in [
        (Took, "what takes a moment"),
        (Waited, "what may wait for hours"),
        (Counted, "counts"),
    ] {
        let bounds: Vec<String> = buckets.bounds().iter().map(ToString::to_string).collect();
        let names: Vec<String> = FAMILIES
            .iter()
            .flat_map(|family| family.metrics)
            .map(|metric| metric.declared())
            .filter(|declared| declared.buckets == Some(buckets))
            .map(|declared| format!("`{}`", declared.name))
            .collect();
        text.push_str(&format!(
            "| {words} | {} | {} |\n",
            bounds.join(", "),
            names.join(", ")
        ));
    }
    text
}

/// Each label once, however many metrics have it.
fn labels() -> Vec<Described> {
    let mut labels: Vec<Described> = Vec::new();
    for metric in FAMILIES.iter().flat_map(|family| family.metrics) {
        for label in metric.labels() {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    labels.sort_by_key(|label| label.name);
    labels
}

fn users(label: &Described) -> Vec<String> {
    let metrics = FAMILIES.iter().flat_map(|family| family.metrics);
    metrics
        .filter(|metric| metric.labels().contains(label))
        .map(|metric| format!("`{}`", metric.declared().name))
        .collect()
}

const HEAD: &str = "\
# Metrics

Each process shows its metrics in Prometheus' text format at `/metrics`: the API on its own port and on `METRICS_ADDR`,
the workers on `METRICS_ADDR`. `deploy/prometheus/` scrapes them, and has the alerts; [RUNBOOK.md](RUNBOOK.md#alerts) says
what to do about each.

This page is made from `shared/src/metrics/list.rs` (`UPDATE_DOCS=1 cargo test -p shared metrics`).

* **Shown by** says which process has a metric. What *one process, of all* shows is of the deployment as a whole: it is
  looked for every `SURVEY_SECONDS` by one process, whichever came first, and by another when that one is gone. No other
  process shows it then, so take `max` over all: `max by (deployment) (fanfare_outbox_events)`.
* A counter with a closed set of labels is there from the start, with 0.
* The number of series does not depend on the number of sessions, numbers or messages. Who it was is in the logs.
* Names stay. A metric that changes its meaning gets another name, and CHANGELOG.md says so.
";

const TABLE: &str = "\
| metric | kind | unit | labels | shown by | what it tells |
|---|---|---|---|---|---|
";

const PROCESS: &str = "
Besides, what the system knows of each process, under the names that all programs use: `process_cpu_seconds_total`,
`process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_virtual_memory_max_bytes`, `process_open_fds`,
`process_max_fds`, `process_start_time_seconds`, `process_threads`.
";

const BUCKETS: &str = "
## Buckets of histograms

| of | upper bounds | histograms |
|---|---|---|
";

const LABELS: &str = "
## Values of labels

| label | of | values |
|---|---|---|
";
