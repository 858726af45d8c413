use std::sync::Mutex;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::trace::TraceContext;

/// Where the logs of a test go.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        text.lines().map(line).collect()
    }

    /// Has this thread log to it.
    fn json(&self, filter: &str) -> (Arc<Limit>, DefaultGuard) {
        let limit = Arc::new(Limit::new(Clock::system()));
        let lines = json::Lines {
            clock: Clock::system(),
        };
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(self.clone())
            .fmt_fields(JsonFields::new())
            .event_format(lines);
        let logs = filtered(filter).unwrap().with(limit.layer()).with(layer);
        (limit, logs.set_default())
    }
}

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn context() -> TraceContext {
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap()
}

#[test]
fn a_line_is_one_object_with_all_its_fields_at_the_top() {
    let captured = Captured::default();
    let (_, guard) = captured.json("info");
    tracing::error_span!("session", session.id = 7, shard.id = 1).in_scope(|| {
        trace::within(Some(context()), || {
            let error = std::io::Error::other("a \"quoted\"\nreason");
            tracing::warn!(%error, shard.id = 2, is.so = true, wait = 0.5, "it waits");
        });
        tracing::debug!("not asked for");
    });
    drop(guard);
    let lines = captured.lines();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "it waits");
    assert_eq!(line["error"], "a \"quoted\"\nreason");
    assert_eq!((&line["session.id"], &line["shard.id"]), (&7.into(), &2.into()));
    assert_eq!((&line["is.so"], &line["wait"]), (&true.into(), &0.5.into()));
    assert_eq!(line["trace.id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["target"], module_path!());
    let at = line["timestamp"].as_str().unwrap();
    assert!(at.len() == 27 && at.ends_with('Z'), "{at}");
}

#[test]
fn a_line_for_people_names_its_trace() {
    let captured = Captured::default();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(captured.clone())
        .with_ansi(false)
        .fmt_fields(TextFields);
    let guard = filtered("info").unwrap().with(layer).set_default();
    trace::within(Some(context()), || tracing::info!(queue.id = 3, "within"));
    tracing::info!("without");
    drop(guard);
    let text = captured.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with("within queue.id=3 trace.id=4bf92f3577b34da6a3ce929d0e0e4736"),
        "{text}"
    );
    assert!(lines[1].ends_with("without"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_off_and_told_of() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counted = metrics::set_default_local_recorder(&recorder);
    let captured = Captured::default();
    let (limit, _guard) = captured.json("debug");
    let flood = |lines: u32| {
        for _ in 0..lines {
            tracing::warn!("again");
        }
    };
    flood(LINES_MAX + 30);
    tracing::warn!("something else");
    for _ in 0..2 * LINES_MAX {
        tracing::debug!("wanted");
    }
    let count = |message: &str| {
        let lines = captured.lines();
        lines.iter().filter(|line| line["message"] == message).count()
    };
    assert_eq!(count("again"), LINES_MAX as usize);
    let told = recorder.handle().render();
    assert!(told.contains("fanfare_log_lines_left_out_total 30\n"), "{told}");
    assert_eq!(count("something else"), 1, "another place");
    assert_eq!(count("wanted"), 2 * LINES_MAX as usize);

    tokio::time::advance(WINDOW).await;
    flood(1);
    let last = captured.lines().pop().unwrap();
    assert_eq!(
        (&last["message"], &last["log.left_out"]),
        (&"again".into(), &30.into())
    );
    flood(1);
    assert_eq!(captured.lines().pop().unwrap().get("log.left_out"), None, "once");

    flood(LINES_MAX);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = limit.clone().run(stop.clone());
    let watched = async {
        tokio::time::sleep(WINDOW + Duration::from_secs(1)).await;
        stop.cancel();
    };
    tokio::join!(running, watched);
    let last = captured.lines().pop().unwrap();
    assert_eq!(last["message"], "lines were left out");
    assert_eq!(
        (&last["log.left_out"], &last["log.of"]),
        (&2.into(), &module_path!().into())
    );
}

#[tokio::test]
async fn what_is_written_to_the_database_is_never_logged() {
    use crate::store::idempotency;
    let database = crate::testing::TestDatabase::new().await;
    let telltale = format!("info,{}=trace", crate::store::TELLTALE_LOGS[0].0);
    // What each of these asks for passes them, as far as it gives nothing away.
    for asked in ["trace", &telltale, "[any]=trace"] {
        let captured = Captured::default();
        let (_, logs) = captured.json(asked);
        let in_a_span = tracing::info_span!("any").entered();
        let key = format!("+15550001111 {asked}");
        let second = Duration::from_secs(1);
        let request = idempotency::RequestKey {
            scope: "scope",
            key: &key,
        };
        idempotency::reserve(database.store(), request, &[7; 32], second, second)
            .await
            .unwrap();
        tracing::debug!("a line of our own");
        drop((in_a_span, logs));
        let text = captured.text();
        assert!(!text.contains("15550001111"), "{asked}: {text}");
        if asked == "trace" {
            assert!(text.contains("a line of our own"), "{text}");
            assert!(
                text.contains("preparing query"),
                "the database's own logs come through: {text}"
            );
        }
    }
}
