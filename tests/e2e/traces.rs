//! One trace from whoever asked, through every process, to the webhook: by a receiver that speaks OpenTelemetry's own
//! protocol, and by the headers that callers, consumers and endpoints see.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::{ForeignJob, JobPublisher, Record};
use tests::receiver::{Attempt, Receiver};
use tests::simulated::Contacts;
use tests::spans::{Span, SpanReceiver};
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "traced";
const RECIPIENTS: u32 = 40;

/// Who asks over HTTP, and who publishes: the trace, and the span that asks.
const CALLER: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
const PUBLISHER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

fn header((trace, span): (&str, &str)) -> String {
    format!("00-{trace}-{span}-01")
}

struct Stage {
    spans: SpanReceiver,
    cluster: Cluster,
    hook: Receiver,
    record: Record,
    numbers: Vec<String>,
}

impl Stage {
    async fn start(count: u32) -> Result<Self> {
        let spans = SpanReceiver::start().await?;
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", spans.url()),
            ("LOG", "info,worker=debug,api=debug"),
        ];
        let cluster = Cluster::start_with(1, &settings).await?;
        let hook = Receiver::start("127.0.0.1:0".parse()?).await?;
        let wanted = json!({ "url": hook.url(), "events": ["send.message*", "job.*"] });
        let (status, answer) = cluster.operator.post("/v1/webhooks", wanted).await?;
        ensure!(status.is_success(), "{answer}");
        let contacts = Contacts::quiet("1555810", count);
        cluster.control.contacts(&contacts).await?;
        cluster.session(TOKEN, "5511900001235").await?;
        let record = Record::start(cluster.events(TOKEN).await?);
        Ok(Self {
            spans,
            cluster,
            hook,
            record,
            numbers: contacts.numbers(),
        })
    }

    /// The spans of a trace once there are so many of this name.
    async fn spans(&self, trace: &str, name: &str, count: usize) -> Result<Vec<Span>> {
        let mut found = Vec::new();
        eventually(PATIENCE, &format!("{count} spans {name}"), async || {
            found = self.spans.of(trace);
            Ok(named(&found, name).count() >= count)
        })
        .await
        .with_context(|| format!("{:?}", found.iter().map(|span| &span.name).collect::<Vec<_>>()))?;
        Ok(found)
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(move |span| span.name == name)
}

fn only<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    let found: Vec<_> = named(spans, name).collect();
    ensure!(found.len() == 1, "{} spans {name}: {found:?}", found.len());
    Ok(found[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_one_trace_from_its_caller_to_the_webhook_whoever_is_killed() -> Result<()> {
    let mut stage = Stage::start(RECIPIENTS).await?;
    let body = json!({
        "numbers": stage.numbers, "message": { "type": "text", "text": "hello" },
        "delay": { "min": 0.1, "max": 0.1 },
    });
    let path = format!("/v1/sessions/{TOKEN}/queues");
    let request = stage.cluster.operator.request(Method::POST, &path);
    let request = request.header("traceparent", header(CALLER)).json(&body);
    let answer: Value = request.send().await?.error_for_status()?.json().await?;
    let queue = answer["queueId"].as_str().context("a queueId")?;
    // Told once a second: what ends in the last one before the kill has no span.
    stage.spans(CALLER.0, "send message", 1).await?;
    stage.cluster.kill_worker(0)?;
    stage.cluster.restart_worker(0).await?;
    stage
        .record
        .until(PATIENCE, "send.message:COMPLETED", queue)
        .await?;

    let spans = stage.spans(CALLER.0, "queue", 1).await?;
    let request = only(&spans, "POST /v1/sessions/{token}/queues")?;
    ensure!(request.parent == CALLER.1, "{request:?}");
    ensure!(request.says("service.name") == "fanfare-api", "{request:?}");
    // A job that was not settled when its worker was killed is taken twice; the broadcast had begun, so this one was.
    let job = only(&spans, "process job")?;
    ensure!(job.parent == request.id, "{job:?}");
    ensure!(job.says("service.name") == "fanfare-session", "{job:?}");
    let whole = only(&spans, "queue")?;
    ensure!(
        whole.parent == job.id && whole.says("queue.id") == queue,
        "{whole:?}"
    );
    sends(&stage, &spans, whole)?;
    attempts(&stage, CALLER.0).await?;
    stage
        .cluster
        .control
        .audit()
        .await?
        .clean(u64::from(RECIPIENTS))?;
    logs(&stage, queue)
}

/// Messages have spans below their queue's, from the process before the kill and from the one after it.
fn sends(stage: &Stage, spans: &[Span], queue: &Span) -> Result<()> {
    let sends: Vec<_> = named(spans, "send message").collect();
    let places: BTreeSet<_> = sends.iter().map(|span| span.says("recipient.seq")).collect();
    ensure!(places.len() > stage.numbers.len() / 2, "{places:?}");
    for send in &sends {
        ensure!(send.parent == queue.id, "{send:?} below {queue:?}");
        ensure!(send.says("service.name") == "fanfare-session", "{send:?}");
        ensure!(
            send.times.start >= queue.times.start && send.times.end <= queue.times.end,
            "{send:?}"
        );
        let said = format!("{send:?}");
        ensure!(
            stage.numbers.iter().all(|number| !said.contains(number)),
            "{said}"
        );
    }
    let processes: BTreeSet<_> = sends
        .iter()
        .map(|span| span.says("service.instance.id"))
        .collect();
    ensure!(processes.len() == 2, "sent by {processes:?}");
    Ok(())
}

/// What the endpoint was told is an attempt's span, which follows from the event's: a message's, the queue's or the job's.
/// The header of the event at the exchange says the same.
async fn attempts(stage: &Stage, trace: &str) -> Result<()> {
    let told = |attempt: &Attempt| {
        let header = attempt.headers.get("traceparent")?.to_str().ok()?;
        Some((header.get(3..35)?.to_owned(), header.get(36..52)?.to_owned()))
    };
    // START, PROCESSING of each, COMPLETED, job.accepted.
    let expected = stage.numbers.len() + 3;
    let of_trace = || {
        let delivered = stage.hook.delivered().into_iter();
        let told = delivered.filter_map(|attempt| Some((attempt.json(), told(&attempt)?)));
        told.filter(|(_, (of, _))| of == trace).collect::<Vec<_>>()
    };
    eventually(PATIENCE, "every event is delivered in its trace", async || {
        let events: BTreeSet<_> = of_trace()
            .iter()
            .map(|(event, _)| event["id"].to_string())
            .collect();
        Ok(events.len() >= expected)
    })
    .await?;
    let attempts = of_trace();
    let spans = stage.spans(trace, "webhook attempt", attempts.len()).await?;
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for (event, (_, span)) in attempts {
        let published = stage.record.traces(|other| other["id"] == event["id"]);
        let published = published
            .into_iter()
            .flatten()
            .next()
            .context("the event's header")?;
        let attempt = by_id
            .get(span.as_str())
            .with_context(|| format!("the span of {event}"))?;
        ensure!(attempt.says("service.name") == "fanfare-webhook", "{attempt:?}");
        ensure!(
            published.get(36..52) == Some(&attempt.parent),
            "{published}: {attempt:?}"
        );
        let Some(parent) = by_id.get(attempt.parent.as_str()).map(|span| span.name.as_str()) else {
            // A message that was sent in the last second before the kill.
            ensure!(event["event"] == "send.message:PROCESSING", "{event}");
            continue;
        };
        let expected = match event["event"].as_str() {
            Some("send.message:PROCESSING") => "send message",
            Some("job.accepted") => "process job",
            _ => "queue",
        };
        ensure!(
            parent == expected,
            "{event} follows from {parent}, not from {expected}"
        );
    }
    Ok(())
}

/// The logs of the API and of the session worker name the trace, and the message without its number.
fn logs(stage: &Stage, queue: &str) -> Result<()> {
    let logs = stage.cluster.logs()?;
    let lines: Vec<Value> = logs
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["trace.id"] == CALLER.0)
        .collect();
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).count();
    ensure!(said("request") == 1, "{lines:?}");
    let sent = lines
        .iter()
        .filter(|line| line["message"] == "message sent" && line["queue.id"] == queue);
    let places: BTreeSet<_> = sent.map(|line| line["recipient.seq"].to_string()).collect();
    ensure!(places.len() == stage.numbers.len(), "{places:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishers_own_trace_goes_on_and_a_bad_one_harms_nothing() -> Result<()> {
    let stage = Stage::start(3).await?;
    let (url, prefix) = stage.cluster.broker();
    let publisher = JobPublisher::connect(url, prefix).await?;
    let own = header(PUBLISHER);
    let cases = [
        ("good", own.as_str(), &stage.numbers[0]),
        // The same job, from another part of the world: it is the same all the same.
        (
            "good",
            "00-11111111111111111111111111111111-2222222222222222-01",
            &stage.numbers[0],
        ),
        ("bad", "00-zzz", &stage.numbers[1]),
        ("last", "", &stage.numbers[2]),
    ];
    for (id, traceparent, number) in cases {
        let body = json!({ "number": number, "message": { "type": "text", "text": "hello" } }).to_string();
        let job = ForeignJob {
            kind: "send",
            id,
            body: body.as_bytes(),
            traceparent: Some(traceparent).filter(|text| !text.is_empty()),
        };
        publisher.publish_job(TOKEN, &job).await?;
    }
    let done = |event: &Value| event["event"] == "send.message:COMPLETED";
    eventually(PATIENCE, "all are sent", async || {
        Ok(stage.record.count(done) == 3)
    })
    .await?;
    ensure!(
        stage.record.count(|event| event["event"] == "job.rejected") == 0,
        "none is refused"
    );

    let spans = stage.spans(PUBLISHER.0, "queue", 1).await?;
    let job = only(&spans, "process job")?;
    ensure!(
        job.parent == PUBLISHER.1 && job.says("job.id") == "good",
        "{job:?}"
    );
    let queue = only(&spans, "queue")?;
    ensure!(only(&spans, "send message")?.parent == queue.id, "{spans:?}");
    let traces = stage
        .record
        .traces(|event| event["data"]["queue"]["queueId"] == queue.says("queue.id"));
    ensure!(traces.len() == 3, "START, PROCESSING and COMPLETED: {traces:?}");
    for trace in traces {
        let trace = trace.context("an event without a trace")?;
        ensure!(trace.get(3..35) == Some(PUBLISHER.0), "{trace}");
    }
    // Those without a trace that can be read begin one each.
    let begun = stage.record.traces(|event| event["event"] == "job.accepted");
    let begun: BTreeSet<_> = begun
        .into_iter()
        .flatten()
        .filter_map(|trace| Some(trace.get(3..35)?.to_owned()))
        .collect();
    ensure!(begun.len() == 3 && begun.contains(PUBLISHER.0), "{begun:?}");
    stage.cluster.control.audit().await?.clean(3)
}
