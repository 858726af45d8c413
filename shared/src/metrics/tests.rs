use std::collections::BTreeSet;
use std::path::Path;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::label::every;
use super::labels::{AnyJob, JobOutcome, Link};
use super::*;
use crate::job::JobKind;

/// Most series of one metric whose labels are all closed.
const SERIES_MAX: usize = 256;

#[test]
fn each_is_named_by_the_rules_and_once() {
    let mut names = BTreeSet::new();
    for metric in all() {
        let declared = metric.declared();
        let name = declared.name;
        assert!(names.insert(name), "{name} is declared twice");
        assert!(name.starts_with("fanfare_"), "{name}");
        assert_eq!(name.ends_with("_total"), declared.kind == Kind::Counter, "{name}");
        assert_eq!(
            name.ends_with("_seconds"),
            declared.unit == "seconds",
            "{name}: {}",
            declared.unit
        );
        assert_eq!(
            declared.buckets.is_some(),
            declared.kind == Kind::Histogram,
            "{name}"
        );
        let words = declared.words();
        assert!(!words.is_empty() && !words.ends_with('.'), "{name}: {words}");
        assert!(
            declared.shown != Shown::Once || declared.kind == Kind::Gauge,
            "{name}: only a gauge can be of the deployment"
        );
        let labels: BTreeSet<_> = metric.labels().iter().map(|label| label.name).collect();
        assert_eq!(labels.len(), metric.labels().len(), "{name} has a label twice");
        if let Some(rows) = every(&metric.labels()) {
            assert!(rows.len() <= SERIES_MAX, "{name} has {} series", rows.len());
        }
    }
}

#[test]
fn the_place_of_labels_is_that_of_their_row() {
    let rows = every(&<(AnyJob, JobOutcome)>::described()).unwrap();
    assert_eq!(rows.len(), (JobKind::ALL.len() + 1) * JobOutcome::ALL.len());
    let kinds = JobKind::ALL.into_iter().map(Some).chain([None]);
    for kind in kinds {
        for outcome in JobOutcome::ALL {
            let labels = (AnyJob(kind), outcome);
            assert_eq!(rows[Labels::place(&labels).unwrap()], labels.pairs());
        }
    }
}

#[test]
fn the_document_is_made_from_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "docs/METRICS.md is not what the list makes: UPDATE_DOCS=1 cargo test -p shared metrics"
    );
}

#[test]
fn what_a_look_found_is_shown_until_the_next_and_no_longer() {
    let once = Once::default();
    let mut look = Look::default();
    let shard = |number| labels::Shard(crate::id::ShardId::new(number).unwrap());
    look.set(&list::SHARD_QUEUE, shard(0), 3.0);
    look.set(&list::SHARD_QUEUE, shard(1), 0.0);
    look.set(&list::OUTBOX_AGE, (), 1.5);
    once.show(look);
    let text = once.render();
    assert_eq!(
        text.matches("# TYPE fanfare_shard_queue_messages gauge").count(),
        1
    );
    assert!(
        text.contains("\nfanfare_shard_queue_messages{shard=\"0\"} 3\n"),
        "{text}"
    );
    assert!(text.contains("\nfanfare_outbox_age_seconds 1.5\n"), "{text}");
    once.show(Look::default());
    assert_eq!(once.render(), "");
}

#[test]
fn a_series_that_is_not_kept_is_looked_up() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let told = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        list::BROKER_CONNECTED.of(Link::Publish).set(1.0);
        list::SCHEDULES_FIRED.add(2);
    });
    let text = told.render();
    assert!(
        text.contains("fanfare_broker_connected{link=\"publish\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("fanfare_schedules_fired_total 2\n"), "{text}");
}
