//! The control of sessions, numbers some at a time, and what is said where nobody could do it.

use serde_json::json;
use shared::clock::unix_millis;
use shared::job::{Answer, FailureCode, Job, LogoutJob, LogoutQueues, NumberAnswer};
use time::OffsetDateTime;

use super::*;

#[tokio::test]
async fn a_session_is_started_stopped_restarted_and_logged_out_by_its_worker() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let drop_them = LogoutJob {
        queues: LogoutQueues::Drop,
    };
    for (path, body, expected) in [
        ("start", json!({}), Job::SessionStart),
        ("stop", json!({}), Job::SessionStop),
        ("restart", json!({}), Job::SessionRestart),
        ("logout", json!({}), Job::SessionLogout(LogoutJob::default())),
        (
            "logout",
            json!({ "queues": "drop" }),
            Job::SessionLogout(drop_them),
        ),
    ] {
        let path = format!("/v1/sessions/{token}/{path}");
        let done = Answer::Done {
            queue_id: None,
            reading: None,
        };
        let (answered, job) = tokio::join!(api.post(&path, &body), worker.answer(&done));
        assert_eq!((answered.status, job), (StatusCode::OK, expected), "{path}");
        assert_eq!(answered.json()["token"], token.as_str());
    }
    let logout = format!("/v1/sessions/{token}/logout");
    let refused = api.post(&logout, &json!({ "queues": "burn" })).await.json();
    assert_eq!(refused["errors"][0]["field"], "queues");
    let nobody = api.post("/v1/sessions/nobody/stop", &json!({})).await;
    assert_eq!(nobody.json()["code"], "session_not_found");
    api.set_session(&token, "deleting_at = now()").await;
    let refused = api.post(&logout, &json!({})).await;
    assert_eq!(refused.json()["code"], "session_being_deleted");
}

#[tokio::test]
async fn numbers_are_answered_one_by_one_and_their_pace_is_told() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let body = json!({ "numbers": ["+55 31 90000-0001"] });
    let known = NumberAnswer {
        number: "5531900000001".to_owned(),
        exists: true,
        jid: Some("5531900000001@s.whatsapp.net".to_owned()),
        lid: None,
        blocked: None,
        error: None,
    };
    let answer = Answer::Numbers { numbers: vec![known] };
    for what in ["look-up", "block", "unblock"] {
        let path = format!("/v1/sessions/{token}/numbers/{what}");
        let (answered, job) = tokio::join!(api.post(&path, &body), worker.answer(&answer));
        assert_eq!((answered.status, job.kind().as_str()), (StatusCode::OK, what));
        assert_eq!(answered.json()["numbers"][0]["number"], "5531900000001");
        for (numbers, field) in [
            (json!([]), "numbers"),
            (json!(["1203630001@g.us"]), "numbers[0]"),
            (json!(vec!["5531900000001"; 51]), "numbers"),
        ] {
            let refused = api.post(&path, &json!({ "numbers": numbers })).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
            assert_eq!(refused.json()["errors"][0]["field"], field);
        }
    }
    let later = Answer::Failed {
        code: FailureCode::LookUpLimit,
        message: "too soon".to_owned(),
        field: None,
        until: Some(unix_millis(OffsetDateTime::now_utc() + Duration::from_secs(40))),
    };
    let path = format!("/v1/sessions/{token}/numbers/look-up");
    let (answered, _) = tokio::join!(api.post(&path, &body), worker.answer(&later));
    assert_eq!(
        (answered.status.as_u16(), &answered.json()["code"]),
        (429, &json!("look_up_limit"))
    );
    let wait: u64 = answered.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((30..=41).contains(&wait), "{wait}");
}

#[tokio::test]
async fn without_a_worker_no_session_is_open_and_nothing_is_asked() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.set_session(&token, "paired_at = now()").await;
    let path = format!("/v1/sessions/{token}");
    let listed = api.get("/v1/sessions").await.json()["items"][0].clone();
    for shown in [api.get(&path).await.json(), listed] {
        assert_eq!(shown["state"], "closed");
        assert_eq!(shown["waiting"]["reason"], "no-worker");
    }
    let numbers = json!({ "numbers": ["5531900000001"] });
    for (what, body) in [("restart", &json!({})), ("numbers/block", &numbers)] {
        let refused = api.post(&format!("{path}/{what}"), body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (503, &json!("no_worker"))
        );
        assert!(refused.headers.contains_key("retry-after"));
    }
    let _worker = api.worker().await;
    let shown = api.get(&path).await.json();
    assert_eq!((&shown["state"], shown.get("waiting")), (&json!("open"), None));
}

#[tokio::test]
async fn the_answer_for_a_qr_code_says_what_is_missing() {
    let api = TestApi::new().await;
    let token = api.session().await;
    let path = format!("/v1/sessions/{token}/qr");
    let code = async || api.get(&path).await.json()["code"].clone();
    assert_eq!(code().await, "no_worker");
    let paired = "jid = '5531900000000@s.whatsapp.net', paired_at = now()";
    for (columns, expected) in [
        ("state = 4, wanted = false", "session_stopped"),
        ("state = 5, wanted = false", "session_logged_out"),
        (&*format!("state = 4, wanted = true, {paired}"), "already_paired"),
    ] {
        api.set_session(&token, columns).await;
        assert_eq!(code().await, expected);
    }
    api.set_session(&token, "state = 4, close_reason = 440").await;
    let shown = api.get(&format!("/v1/sessions/{token}")).await.json();
    assert_eq!(shown["closeReason"], 440);
    assert!(
        shown["closeDetail"]
            .as_str()
            .unwrap()
            .contains("another connection"),
        "{shown}"
    );
    let asked = api.session().await;
    let path = format!("/v1/sessions/{asked}/pairing-code");
    let refused = api.post(&path, &json!({ "phone": "5531900000001" })).await;
    assert_eq!(refused.json()["code"], "no_worker");
}
