//! Every way to lose a connection, from the simulator that causes it to the webhook that tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::receiver::Receiver;
use tests::wait::eventually;
use tokio::sync::Semaphore;

/// The client notices silence by itself, after a ping and its time.
const PATIENCE: Duration = Duration::from_secs(150);
const EVENTS: &str = include_str!("../../docs/EVENTS.md");

/// Sessions that pair at a time: each makes hundreds of keys.
const PAIRING: usize = 4;

struct Stage {
    cluster: Cluster,
    receiver: Receiver,
    pairing: Semaphore,
}

/// A way to lose the connection, by its name in the documents.
struct Way {
    name: &'static str,
    cause: Cause,
    /// The states behind it and their reasons, as events tell them.
    told: &'static [(&'static str, u16)],
    /// The state that the session comes to.
    then: &'static str,
}

enum Cause {
    /// While the session is open.
    Fault(Value),
    /// Logins are refused with this from now on, and the session has to log in.
    Refused(u16),
    /// The phone unlinks it.
    Unlinked,
    /// A user stops it.
    Stopped,
    /// A user logs it out.
    LoggedOut,
}

const BACK: &[(&str, u16)] = &[("connecting", 200), ("open", 200)];
const CLOSED: &[(&str, u16)] = &[("close", 428), ("connecting", 200), ("open", 200)];

fn stream_error(code: Option<u16>, says: &str) -> Cause {
    Cause::Fault(json!({ "kind": "stream_error", "code": code, "says": says }))
}

fn fault(kind: &str) -> Cause {
    Cause::Fault(json!({ "kind": kind }))
}

fn way(name: &'static str, cause: Cause, told: &'static [(&'static str, u16)], then: &'static str) -> Way {
    Way {
        name,
        cause,
        told,
        then,
    }
}

fn ended() -> Vec<Way> {
    vec![
        way("restart", stream_error(Some(515), "nothing"), BACK, "open"),
        way(
            "device-removed",
            stream_error(Some(401), "device_removed"),
            &[("close", 401)],
            "logged-out",
        ),
        way("unlinked", Cause::Unlinked, &[("close", 401)], "logged-out"),
        way(
            "logged-out",
            stream_error(Some(516), "nothing"),
            &[("close", 516)],
            "logged-out",
        ),
        way(
            "replaced",
            stream_error(None, "replaced"),
            &[("close", 440)],
            "closed",
        ),
        way(
            "conflict",
            stream_error(Some(409), "nothing"),
            &[("close", 440)],
            "closed",
        ),
        way(
            "throttled",
            stream_error(Some(429), "nothing"),
            &[("close", 429), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "server-error",
            stream_error(Some(500), "nothing"),
            &[("close", 500), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "unavailable",
            stream_error(Some(503), "nothing"),
            &[("close", 503), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "other-error",
            stream_error(Some(499), "nothing"),
            &[("close", 499), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "ack-missing",
            stream_error(None, "ack"),
            &[("close", 500), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "not-well-formed",
            stream_error(None, "not_well_formed"),
            &[("close", 500), ("connecting", 200), ("open", 200)],
            "open",
        ),
    ]
}

/// Connections that end without a stream error.
fn ended_otherwise() -> Vec<Way> {
    vec![
        way("stream-end", fault("stream_end"), CLOSED, "open"),
        way("socket-closed", fault("cut"), CLOSED, "open"),
        way(
            "silence",
            fault("silence"),
            &[("close", 408), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way(
            "unreadable",
            fault("rubbish"),
            &[("close", 500), ("connecting", 200), ("open", 200)],
            "open",
        ),
        way("downgrade", fault("downgrade"), &[("close", 411)], "closed"),
        way("stopped", Cause::Stopped, &[("close", 428)], "closed"),
        way("logout", Cause::LoggedOut, &[("close", 401)], "logged-out"),
    ]
}

/// Logins that are refused: the stream that was open ends first, without a reason.
fn refused() -> Vec<Way> {
    macro_rules! refused {
        ($($name:literal $reason:literal $then:literal,)+) => {
            vec![$(way(
                $name,
                Cause::Refused($reason),
                &[("close", 428), ("connecting", 200), ("close", $reason)],
                $then,
            ),)+]
        };
    }
    refused! {
        "refused-400" 400 "closed",
        "refused-401" 401 "logged-out",
        "banned" 402 "closed",
        "refused-403" 403 "logged-out",
        "outdated" 405 "closed",
        "refused-406" 406 "logged-out",
        "bad-user-agent" 409 "closed",
        "refused-413" 413 "closed",
        "refused-414" 414 "closed",
        "refused-415" 415 "closed",
        "refused-418" 418 "closed",
        "refused-500" 500 "closed",
        "refused-501" 501 "closed",
        "refused-503" 503 "closed",
    }
}

/// The `connection.update`s and codes of each session, as the webhook got them.
fn told(receiver: &Receiver) -> BTreeMap<String, Vec<Value>> {
    let mut events = BTreeMap::new();
    for attempt in receiver.delivered() {
        let event = attempt.json();
        let sequence = event["sequence"].as_i64().unwrap_or_default();
        events.insert((event["instance"]["name"].to_string(), sequence), event);
    }
    let mut sessions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events.into_values() {
        let name = event["instance"]["name"].as_str().unwrap_or_default().to_owned();
        sessions.entry(name).or_default().push(event);
    }
    sessions
}

fn states(events: &[Value]) -> Vec<(String, u64)> {
    let updates = events
        .iter()
        .filter(|event| event["event"] == "connection.update");
    updates
        .map(|event| {
            let data = &event["data"];
            let state = data["state"].as_str().unwrap_or_default().to_owned();
            (state, data["statusReason"].as_u64().unwrap_or_default())
        })
        .collect()
}

/// Behind the first time that the session was open.
fn behind_open(events: &[Value]) -> Vec<(String, u64)> {
    let states = states(events);
    let open = states.iter().position(|(state, _)| state == "open");
    open.map_or(Vec::new(), |open| states[open + 1..].to_vec())
}

async fn cause(cluster: &Cluster, token: &str, phone: &str, cause: &Cause) -> Result<()> {
    let session = format!("/v1/sessions/{token}");
    let strike = async |mut fault: Value| -> Result<()> {
        fault["match"] = json!({ "from": phone });
        fault["on"] = "now".into();
        cluster.control.fault(fault).await
    };
    match cause {
        Cause::Fault(fault) => strike(fault.clone()).await?,
        Cause::Refused(reason) => {
            let refuses = json!({ "kind": "failure", "reason": reason, "probability": 1.0,
                "match": { "from": phone } });
            cluster.control.fault(refuses).await?;
            strike(json!({ "kind": "cut" })).await?;
        }
        Cause::Unlinked => ensure!(cluster.control.unlink(phone).await? == 1),
        Cause::Stopped => {
            let (status, answer) = cluster
                .operator
                .post(&format!("{session}/stop"), json!({}))
                .await?;
            ensure!(status.is_success(), "{status}: {answer}");
        }
        Cause::LoggedOut => {
            let (status, answer) = cluster
                .operator
                .post(&format!("{session}/logout"), json!({}))
                .await?;
            ensure!(status.is_success(), "{status}: {answer}");
        }
    }
    Ok(())
}

/// One way from its cause to what the webhook was told, and the state of the session behind it.
async fn goes(stage: &Stage, phone: u64, way: &Way) -> Result<()> {
    let Stage {
        cluster,
        receiver,
        pairing,
    } = stage;
    let (token, phone) = (way.name, phone.to_string());
    cluster.control.phone(&phone, token).await?;
    let turn = pairing.acquire().await?;
    cluster.operator.pair(&cluster.control, token, &phone).await?;
    drop(turn);
    cause(cluster, token, &phone, &way.cause).await?;
    let wanted: Vec<(String, u64)> = way
        .told
        .iter()
        .map(|(state, reason)| ((*state).to_owned(), u64::from(*reason)))
        .collect();
    eventually(PATIENCE, &format!("{token} is told"), async || {
        let events = told(receiver).remove(token).unwrap_or_default();
        Ok(behind_open(&events).starts_with(&wanted))
    })
    .await
    .with_context(|| {
        let events = told(receiver).remove(token).unwrap_or_default();
        format!("{token}: {:?}", states(&events))
    })?;
    eventually(PATIENCE, &format!("{token} is {}", way.then), async || {
        let (_, session) = cluster.operator.get(&format!("/v1/sessions/{token}")).await?;
        Ok(session["state"] == way.then)
    })
    .await
}

/// Nobody scans: two codes, each told, and the end.
async fn codes_run_out(cluster: &Cluster, receiver: &Receiver) -> Result<()> {
    let token = "nobody-paired";
    cluster
        .control
        .post("/companions/codes", json!({ "count": 2 }))
        .await?;
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions", json!({ "token": token }))
        .await?;
    ensure!(status == StatusCode::CREATED, "{status}: {answer}");
    eventually(PATIENCE, "nobody paired in time", async || {
        let events = told(receiver).remove(token).unwrap_or_default();
        Ok(states(&events).last() == Some(&("refused".to_owned(), 408)))
    })
    .await?;
    let events = told(receiver).remove(token).unwrap_or_default();
    let codes: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "qrcode.updated")
        .map(|event| &event["data"]["qrcode"])
        .collect();
    ensure!(
        codes.len() == 2 && codes[0]["code"] != codes[1]["code"],
        "{} codes were told",
        codes.len()
    );
    let is_picture = |code: &&Value| {
        let picture = code["base64"].as_str().unwrap_or_default();
        picture.starts_with("data:image/png;base64,")
    };
    ensure!(codes.iter().all(is_picture));
    ensure!(states(&events) == [("connecting".to_owned(), 200), ("refused".to_owned(), 408)]);
    let (_, session) = cluster.operator.get(&format!("/v1/sessions/{token}")).await?;
    ensure!(
        session["wanted"] == false && session["closeReason"] == 408,
        "{session}"
    );
    Ok(())
}

/// A phone with a passkey scans, and the server has no options for it.
async fn passkey_fails(cluster: &Cluster, receiver: &Receiver) -> Result<()> {
    let (token, phone) = ("passkey-failed", "5511900000699");
    cluster.control.phone(phone, token).await?;
    let rules = json!({ "options": "missing" });
    cluster
        .control
        .post(&format!("/phones/{phone}/passkey"), rules)
        .await?;
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions", json!({ "token": token }))
        .await?;
    ensure!(status == StatusCode::CREATED, "{status}: {answer}");
    eventually(PATIENCE, "a code is scanned", async || {
        let Ok(qr) = cluster.operator.qr_text(token).await else {
            return Ok(false);
        };
        cluster.control.scan(phone, &qr).await?;
        Ok(true)
    })
    .await?;
    reason_is(receiver, token, 511).await
}

/// The session leaves by a proxy that is not there.
async fn proxy_fails(cluster: &Cluster, receiver: &Receiver) -> Result<()> {
    let token = "no-way-out";
    let session = json!({ "token": token, "proxy": "http://127.0.0.1:1" });
    let (status, answer) = cluster.operator.post("/v1/sessions", session).await?;
    ensure!(status == StatusCode::CREATED, "{status}: {answer}");
    reason_is(receiver, token, 407).await
}

async fn reason_is(receiver: &Receiver, token: &str, reason: u64) -> Result<()> {
    eventually(PATIENCE, &format!("{token} is closed"), async || {
        let events = told(receiver).remove(token).unwrap_or_default();
        Ok(states(&events).contains(&("close".to_owned(), reason)))
    })
    .await
}

/// The document has a row for each way, with the reason that was seen.
fn is_documented(name: &str, reason: u16) -> Result<()> {
    let row = EVENTS
        .lines()
        .find(|line| line.starts_with(&format!("| `{name}` |")))
        .with_context(|| format!("docs/EVENTS.md has no row for {name}"))?;
    ensure!(row.contains(&format!("`{reason}`")), "{row}: not {reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_lose_a_connection_reaches_a_webhook_with_its_reason() -> Result<()> {
    let stage = Stage {
        cluster: Cluster::start(1).await?,
        receiver: Receiver::start("127.0.0.1:0".parse()?).await?,
        pairing: Semaphore::new(PAIRING),
    };
    let (cluster, receiver) = (&stage.cluster, &stage.receiver);
    let wanted = json!({ "url": receiver.url(), "events": ["connection.update", "qrcode.updated"] });
    let (status, hook) = cluster.operator.post("/v1/webhooks", wanted).await?;
    ensure!(status.is_success(), "{status}: {hook}");
    let ways: Vec<Way> = ended()
        .into_iter()
        .chain(ended_otherwise())
        .chain(refused())
        .collect();
    let all = ways
        .iter()
        .zip(5_511_900_000_600..)
        .map(|(way, phone)| goes(&stage, phone, way));
    let (all, codes, passkey, proxy) = tokio::join!(
        try_join_all(all),
        codes_run_out(cluster, receiver),
        passkey_fails(cluster, receiver),
        proxy_fails(cluster, receiver),
    );
    all?;
    codes?;
    passkey?;
    proxy?;
    for way in &ways {
        let lost = way.told.iter().rev().find(|(state, _)| *state == "close");
        is_documented(way.name, lost.map_or(515, |(_, reason)| *reason))?;
    }
    is_documented("nobody-paired", 408)?;
    is_documented("passkey-failed", 511)?;
    is_documented("no-way-out", 407)
}
