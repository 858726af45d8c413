//! A line of the log as one JSON object: its time, its level, its message, its fields and those of the spans around it, the
//! trace that it belongs to, and who wrote it. All of it at the top, so that one name finds it wherever it comes from.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::limit;
use crate::clock::Clock;
use crate::trace;

/// UTC, as wide for each line.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Writes lines as JSON.
pub(super) struct Lines {
    pub(super) clock: Clock,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in cx.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let formatted = extensions.get::<FormattedFields<N>>();
            let around = formatted.and_then(|formatted| serde_json::from_str(formatted).ok());
            fields.add_missing(around.unwrap_or_default());
        }
        if let Some(trace) = trace::current() {
            let id = Value::String(trace.trace().to_string());
            fields.add_missing(Map::from_iter([("trace.id".to_owned(), id)]));
        }
        let left_out = limit::take_left_out();
        if left_out > 0 {
            fields.insert("log.left_out", left_out.into());
        }
        let now = self.clock.wall().to_offset(time::UtcOffset::UTC);
        let now = now.format(TIME).map_err(|_| fmt::Error)?;
        let (level, meta) = (event.metadata().level(), event.metadata());
        write!(out, r#"{{"timestamp":"{now}","level":"{level}""#)?;
        let target = fields.target.take();
        for (name, value) in fields.all {
            write!(out, ",{}:{value}", Value::String(name))?;
        }
        let target = target.unwrap_or_else(|| meta.target().to_owned());
        writeln!(out, r#","target":{}}}"#, Value::String(target))
    }
}

/// The fields of a line, in their order.
#[derive(Default)]
struct Fields {
    all: Vec<(String, Value)>,
    /// Who wrote it, where it comes from a library that logs by other means.
    target: Option<String>,
}

impl Fields {
    fn insert(&mut self, name: &str, value: Value) {
        match name {
            "log.target" => self.target = value.as_str().map(str::to_owned),
            // Where in its source a line of such a library stands.
            "log.module_path" | "log.file" | "log.line" => {}
            name => self.all.push((name.to_owned(), value)),
        }
    }

    /// What stands nearer says more.
    fn add_missing(&mut self, others: Map<String, Value>) {
        for (name, value) in others {
            if self.all.iter().all(|(known, _)| *known != name) {
                self.all.push((name, value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Into memory, which takes it.
        let _ = write!(text, "{value:?}");
        self.insert(field.name(), text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field.name(), value.into());
    }
}
