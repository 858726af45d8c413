//! Logs: one line per thing that somebody can act on, as JSON or for people, without what must not be told, and without a
//! flood.
//!
//! Rules: a message that can be read alone, dotted fields with the names of docs/OPERATING.md, never a body, a number or
//! a key. What happens per job, message or request is DEBUG.

mod json;
mod limit;

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, JsonFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use limit::{LINES_MAX, Limit, WINDOW};

use crate::clock::Clock;
use crate::config::LogFormat;
use crate::trace;

/// Begins to log to standard error; `filter` is a tracing filter such as `info` or `info,shared=debug`. The answer keeps
/// lines from flooding, and is to be [run](Limit::run).
///
/// # Errors
/// What is wrong with the filter.
pub fn init_logs(filter: &str, format: LogFormat, clock: Clock) -> Result<Arc<Limit>, String> {
    let limit = Arc::new(Limit::new(clock));
    let filtered = filtered(filter)?.with(limit.layer());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    let is_json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        // In a container each line is one JSON object; at a terminal people read it.
        LogFormat::Auto => !is_terminal,
    };
    let done = if is_json {
        let layer = layer.fmt_fields(JsonFields::new());
        filtered
            .with(layer.event_format(json::Lines { clock }))
            .try_init()
    } else {
        filtered
            .with(layer.with_ansi(is_terminal).fmt_fields(TextFields))
            .try_init()
    };
    // A second call in one process (tests) keeps the first one's settings.
    done.or(Ok(())).map(|()| limit)
}

/// Logs of those who read sounds and films, and how much of them passes: they show what is in them, and take a file that
/// somebody sends and that can't be read for an error of ours.
const FILE_LOGS: (&str, LevelFilter) = ("symphonia", LevelFilter::OFF);

/// What passes the filter and gives nothing away. Whatever the filter says: logs of others that show bodies, numbers
/// or keys have a level of their own, and the stricter of the two counts.
fn filtered(
    filter: &str,
) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static, String> {
    let asked = EnvFilter::try_new(filter).map_err(|error| format!("LOG: {error}"))?;
    let telltales = crate::broker::TELLTALE_LOGS
        .into_iter()
        .chain(crate::store::TELLTALE_LOGS)
        .chain([FILE_LOGS]);
    let discreet = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(telltales);
    Ok(tracing_subscriber::registry().with(asked).with(discreet))
}

/// The fields of a line for people, with its trace behind them.
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        DefaultFields::new().format_fields(writer.by_ref(), fields)?;
        if let Some(trace) = trace::current() {
            write!(writer, " trace.id={}", trace.trace())?;
        }
        match limit::take_left_out() {
            0 => Ok(()),
            left_out => write!(writer, " log.left_out={left_out}"),
        }
    }
}

#[cfg(test)]
mod tests;
