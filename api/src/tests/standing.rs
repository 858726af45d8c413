//! How a session truly stands, wherever it is asked: what is stored of it, by whether a worker makes it so.

use futures_util::future::join_all;
use serde_json::json;

use super::*;

/// What is told of a session: its state, why it waits, and what comes of asking for a QR code (with a word of the reason),
/// for a pairing code, and for its creation in the older dialect.
struct Told {
    state: &'static str,
    waits: Option<&'static str>,
    qr: (&'static str, &'static str),
    code: &'static str,
    create: &'static str,
}

const fn told(
    state: &'static str,
    waits: Option<&'static str>,
    qr: (&'static str, &'static str),
    [code, create]: [&'static str; 2],
) -> Told {
    Told {
        state,
        waits,
        qr,
        code,
        create,
    }
}

/// Without a worker nobody connects what has no account.
const fn nobody(state: &'static str) -> Told {
    let qr = ("no_worker", "start one");
    told(state, Some("no-worker"), qr, ["no_worker", "Processing"])
}

/// Columns that are stored, what is told while a worker holds the session, and what without one.
type Row = (&'static str, Told, Told);

const UNPAIRED: Option<&str> = Some("not-paired");
/// A pairing code is given, and there is nothing to scan yet.
const GIVEN: [&str; 2] = ["", "Processing"];

const WITHOUT_ACCOUNT: &[Row] = &[
    (
        "state = 0",
        told("new", UNPAIRED, ("qr_not_ready", "is connecting"), GIVEN),
        nobody("new"),
    ),
    (
        "state = 1",
        told("connecting", UNPAIRED, ("qr_not_ready", "is connecting"), GIVEN),
        nobody("closed"),
    ),
    (
        "state = 1, close_reason = 428",
        told("connecting", UNPAIRED, ("qr_not_ready", "tries again"), GIVEN),
        nobody("closed"),
    ),
    (
        "state = 4, close_reason = 503",
        told("closed", UNPAIRED, ("qr_not_ready", "every five minutes"), GIVEN),
        nobody("closed"),
    ),
    (
        "state = 4, close_reason = 407",
        told("closed", Some("proxy"), ("qr_not_ready", "proxy"), GIVEN),
        nobody("closed"),
    ),
    (
        "state = 4, close_reason = 405",
        told(
            "closed",
            Some("client-outdated"),
            ("qr_not_ready", "newer one"),
            ["session_not_connected", "Processing"],
        ),
        told(
            "closed",
            Some("no-worker"),
            ("no_worker", "start one"),
            ["session_not_connected", "Processing"],
        ),
    ),
    (
        "state = 2, qr = '2@a', qr_expires_at = now() + interval '1 hour'",
        told("pairing", UNPAIRED, ("2@a", ""), ["", "Please scan qrcode"]),
        nobody("closed"),
    ),
    (
        "state = 2, qr = '2@a', qr_expires_at = now() - interval '1 second'",
        told("pairing", UNPAIRED, ("qr_not_ready", "run out"), GIVEN),
        nobody("closed"),
    ),
    (
        "state = 4, wanted = false, close_reason = 408",
        told("closed", UNPAIRED, ("session_stopped", "/start"), GIVEN),
        told(
            "closed",
            UNPAIRED,
            ("session_stopped", "/start"),
            ["no_worker", "Processing"],
        ),
    ),
    (
        "state = 5, wanted = false, close_reason = 401",
        told("logged-out", UNPAIRED, ("session_logged_out", "/start"), GIVEN),
        told(
            "logged-out",
            UNPAIRED,
            ("session_logged_out", "/start"),
            ["no_worker", "Processing"],
        ),
    ),
    (
        "state = 4, refused = true, close_reason = 402",
        told("closed", UNPAIRED, ("session_stopped", "banned"), GIVEN),
        told(
            "closed",
            Some("no-worker"),
            ("session_stopped", "banned"),
            ["no_worker", "Processing"],
        ),
    ),
];

const WITH_ACCOUNT: &[Row] = &[
    (
        "state = 3",
        told(
            "open",
            None,
            ("already_connected", "nothing to scan"),
            ["already_connected", "Already connected"],
        ),
        told(
            "closed",
            Some("no-worker"),
            ("already_paired", "no session worker"),
            ["already_paired", "Processing"],
        ),
    ),
    (
        "state = 4, close_reason = 428",
        told(
            "closed",
            Some("not-connected"),
            ("already_paired", "keeps trying"),
            ["already_paired", "Processing"],
        ),
        told(
            "closed",
            Some("no-worker"),
            ("already_paired", "no session worker"),
            ["already_paired", "Processing"],
        ),
    ),
    (
        "state = 4, wanted = false",
        told(
            "closed",
            Some("stopped"),
            ("already_paired", "was stopped"),
            ["already_paired", "Processing"],
        ),
        told(
            "closed",
            Some("stopped"),
            ("already_paired", "was stopped"),
            ["already_paired", "Processing"],
        ),
    ),
    (
        "state = 4, refused = true, close_reason = 440",
        told(
            "closed",
            Some("refused"),
            ("already_paired", "another connection"),
            ["already_paired", "Processing"],
        ),
        told(
            "closed",
            Some("no-worker"),
            ("already_paired", "no session worker"),
            ["already_paired", "Processing"],
        ),
    ),
];
/// What is stored of a session that has one.
const PAIRED: &str = "jid = '5531900000000@s.whatsapp.net', paired_at = now()";

/// Asks a session everything at once, and compares.
async fn asks(api: &TestApi, columns: &str, expected: &Told) {
    let token = api.session().await;
    api.set_session(&token, columns).await;
    let path = format!("/v1/sessions/{token}");
    let (qr, code) = (format!("{path}/qr"), format!("{path}/pairing-code"));
    let phone = json!({ "phone": "5531900000001" });
    let create = json!({ "token": token });
    let (shown, qr, code, create) = tokio::join!(
        api.get(&path),
        api.get(&qr),
        api.post(&code, &phone),
        api.post("/api/whatsapp/create-instance", &create),
    );
    let shown = shown.json();
    let waits = shown["waiting"]["reason"].as_str();
    assert_eq!(
        (shown["state"].as_str().unwrap(), waits),
        (expected.state, expected.waits),
        "{columns}: {shown}"
    );
    let qr = qr.json();
    assert_eq!(qr["code"], expected.qr.0, "{columns}: {qr}");
    let detail = qr["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(expected.qr.1), "{columns}: {qr}");
    assert!(!detail.contains("create the session again"), "{columns}: {qr}");
    let code = code.json();
    let told = match expected.code {
        "" => "ABCD1234",
        refused => refused,
    };
    assert_eq!(code["code"], told, "{columns}: {code}");
    let create = create.json();
    assert_eq!(create["message"], expected.create, "{columns}: {create}");
}

/// Answers requests for pairing codes, and takes all else.
async fn play(worker: &mut Worker<'_>) {
    let publisher = worker.api.broker.broker().publisher();
    loop {
        let Some(delivery) = worker.consumer.next().await else {
            return;
        };
        if let Some(to) = delivery.reply_address() {
            let code = Answer::PairingCode {
                code: "ABCD1234".to_owned(),
            };
            publisher.reply(&to, &code).await.unwrap();
        }
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_stored_of_a_session_is_told_as_far_as_a_worker_makes_it_so() {
    let (with, without) = tokio::join!(TestApi::new(), TestApi::new());
    let paired = WITH_ACCOUNT
        .iter()
        .map(|(columns, with, without)| (format!("{columns}, {PAIRED}"), with, without));
    let unpaired = WITHOUT_ACCOUNT
        .iter()
        .map(|(columns, with, without)| ((*columns).to_owned(), with, without));
    let rows: Vec<_> = paired.chain(unpaired).collect();
    let mut worker = with.worker().await;
    let running = join_all(rows.iter().map(|(columns, told, _)| asks(&with, columns, told)));
    let absent = join_all(
        rows.iter()
            .map(|(columns, _, told)| asks(&without, columns, told)),
    );
    tokio::select! {
        () = play(&mut worker) => panic!("the broker is gone"),
        _ = async { tokio::join!(running, absent) } => {}
    }
}

#[tokio::test]
async fn a_pairing_code_that_does_not_come_says_that_whatsapp_is_away() {
    let api = TestApi::new().await;
    let _worker = api.worker().await;
    let token = api.session().await;
    api.set_session(&token, "state = 4, close_reason = 503").await;
    let path = format!("/v1/sessions/{token}/pairing-code");
    let refused = api.post(&path, &json!({ "phone": "5531900000001" })).await;
    let told = refused.json();
    assert_eq!(
        (refused.status, &told["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("session_not_connected"))
    );
    assert!(
        told["detail"].as_str().unwrap().contains("tries again by itself"),
        "{told}"
    );
    assert_eq!(refused.headers["retry-after"], "30");
}
