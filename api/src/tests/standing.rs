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
fn rows() -> Vec<(String, Told, Told)> {
    let paired = "jid = '5531900000000@s.whatsapp.net', paired_at = now()";
    let unpaired = Some("not-paired");
    let given = ["", "Processing"];
    let both = |code| [code, "Processing"];
    vec![
        (
            "state = 0".to_owned(),
            told("new", unpaired, ("qr_not_ready", "is connecting"), given),
            nobody("new"),
        ),
        (
            "state = 1".to_owned(),
            told("connecting", unpaired, ("qr_not_ready", "is connecting"), given),
            nobody("closed"),
        ),
        (
            "state = 1, close_reason = 428".to_owned(),
            told("connecting", unpaired, ("qr_not_ready", "tries again"), given),
            nobody("closed"),
        ),
        (
            "state = 4, close_reason = 503".to_owned(),
            told("closed", unpaired, ("qr_not_ready", "every five minutes"), given),
            nobody("closed"),
        ),
        (
            "state = 4, close_reason = 407".to_owned(),
            told("closed", Some("proxy"), ("qr_not_ready", "proxy"), given),
            nobody("closed"),
        ),
        (
            "state = 4, close_reason = 405".to_owned(),
            told(
                "closed",
                Some("client-outdated"),
                ("qr_not_ready", "newer one"),
                both("session_not_connected"),
            ),
            told(
                "closed",
                Some("no-worker"),
                ("no_worker", "start one"),
                both("session_not_connected"),
            ),
        ),
        (
            "state = 2, qr = '2@a', qr_expires_at = now() + interval '1 hour'".to_owned(),
            told("pairing", unpaired, ("2@a", ""), ["", "Please scan qrcode"]),
            nobody("closed"),
        ),
        (
            "state = 2, qr = '2@a', qr_expires_at = now() - interval '1 second'".to_owned(),
            told("pairing", unpaired, ("qr_not_ready", "run out"), given),
            nobody("closed"),
        ),
        (
            "state = 4, wanted = false, close_reason = 408".to_owned(),
            told("closed", unpaired, ("session_stopped", "/start"), given),
            told(
                "closed",
                unpaired,
                ("session_stopped", "/start"),
                both("no_worker"),
            ),
        ),
        (
            "state = 5, wanted = false, close_reason = 401".to_owned(),
            told("logged-out", unpaired, ("session_logged_out", "/start"), given),
            told(
                "logged-out",
                unpaired,
                ("session_logged_out", "/start"),
                both("no_worker"),
            ),
        ),
        (
            "state = 4, refused = true, close_reason = 402".to_owned(),
            told("closed", unpaired, ("session_stopped", "banned"), given),
            told(
                "closed",
                Some("no-worker"),
                ("session_stopped", "banned"),
                both("no_worker"),
            ),
        ),
        (
            format!("state = 3, {paired}"),
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
                both("already_paired"),
            ),
        ),
        (
            format!("state = 4, close_reason = 428, {paired}"),
            told(
                "closed",
                Some("not-connected"),
                ("already_paired", "keeps trying"),
                both("already_paired"),
            ),
            told(
                "closed",
                Some("no-worker"),
                ("already_paired", "no session worker"),
                both("already_paired"),
            ),
        ),
        (
            format!("state = 4, wanted = false, {paired}"),
            told(
                "closed",
                Some("stopped"),
                ("already_paired", "was stopped"),
                both("already_paired"),
            ),
            told(
                "closed",
                Some("stopped"),
                ("already_paired", "was stopped"),
                both("already_paired"),
            ),
        ),
        (
            format!("state = 4, refused = true, close_reason = 440, {paired}"),
            told(
                "closed",
                Some("refused"),
                ("already_paired", "another connection"),
                both("already_paired"),
            ),
            told(
                "closed",
                Some("no-worker"),
                ("already_paired", "no session worker"),
                both("already_paired"),
            ),
        ),
    ]
}

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
    let rows = rows();
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
