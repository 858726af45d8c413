//! Queues over `/v1`.

use serde_json::json;
use shared::job::{Label, Reference, START_AHEAD_DEFAULT, SendLimits};

use super::*;

pub(super) async fn queue(
    api: &TestApi,
    worker: &mut Worker<'_>,
    token: &Token,
    recipients: usize,
) -> String {
    let numbers: Vec<String> = (0..recipients).map(|n| format!("55319{n:08}")).collect();
    let body = json!({ "numbers": numbers, "message": { "type": "text", "text": "hi" } });
    let path = format!("/v1/sessions/{token}/queues");
    let (answered, _) = tokio::join!(api.post(&path, &body), worker.accept());
    assert_eq!(answered.status, StatusCode::ACCEPTED);
    let accepted = answered.json();
    assert_eq!(
        (&accepted["status"], &accepted["total"]),
        (&json!("STARTED"), &json!(recipients))
    );
    format!("{path}/{}", accepted["queueId"].as_str().unwrap())
}

#[tokio::test]
async fn a_queue_is_shown_listed_and_its_recipients_paged() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let first = queue(&api, &mut worker, &token, 3).await;
    let second = queue(&api, &mut worker, &token, 1).await;

    let shown = api.get(&first).await.json();
    assert_eq!(
        (&shown["state"], &shown["total"], &shown["progress"]),
        (&json!("queued"), &json!(3), &json!(0))
    );
    let page = api
        .get(&format!("/v1/sessions/{token}/queues?limit=1"))
        .await
        .json();
    assert!(second.ends_with(page["items"][0]["queueId"].as_str().unwrap()));
    let next = page["next"].as_str().unwrap();
    let page = api
        .get(&format!("/v1/sessions/{token}/queues?limit=1&cursor={next}"))
        .await
        .json();
    assert!(first.ends_with(page["items"][0]["queueId"].as_str().unwrap()));

    let page = api.get(&format!("{first}/recipients?limit=2")).await.json();
    assert_eq!(page["items"][1]["number"], "5531900000001");
    let next = page["next"].as_str().unwrap();
    let page = api
        .get(&format!("{first}/recipients?limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["items"][0]["seq"]),
        (1, &json!(2))
    );
    let page = api.get(&format!("{first}/recipients?state=sent")).await.json();
    assert_eq!(page["items"], json!([]));
    for path in [format!("{first}/recipients"), format!("{first}/recipients.csv")] {
        let refused = api.get(&format!("{path}?state=Sent")).await.json();
        assert_eq!(refused["errors"][0]["field"], "state");
        let known =
            "must be one of queued, sending, sent, delivered, read, failed, skipped, unknown, duplicate";
        assert_eq!(refused["errors"][0]["problem"], known);
    }
}

/// What became of the recipients of a queue of six, as a worker writes it.
async fn settle(api: &TestApi) {
    for (seq, columns) in [
        (0, "state = 2, stanza_id = 'A', sent_at = now()"),
        (1, "state = 4, stanza_id = 'B', sent_at = now(), read_at = now()"),
        (2, "state = 5, error_status = 404, error = 'not on WhatsApp'"),
        (3, "state = 5, error_status = 404, error = 'not on WhatsApp'"),
        (4, "state = 5, error_status = 503, error = 'tried in vain'"),
    ] {
        let sql = format!("UPDATE recipient SET {columns} WHERE seq = {seq}");
        api.database.query(&sql).await;
    }
}

#[tokio::test]
async fn a_queue_counts_its_recipients_by_state_and_failures_by_status() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let queue = queue(&api, &mut worker, &token, 6).await;
    settle(&api).await;
    let shown = api.get(&queue).await.json();
    assert_eq!(
        shown["counts"],
        json!({
            "byState": { "queued": 1, "sending": 0, "sent": 1, "delivered": 0, "read": 1, "failed": 3, "skipped": 0, "unknown": 0, "duplicate": 0 },
            "failedByStatus": { "404": 2, "503": 1 },
        })
    );
    let (answered, _) = tokio::join!(api.delete(&queue), worker.obey());
    assert_eq!(answered.status, StatusCode::OK);
    let shown = api.get(&queue).await.json();
    let counts = &shown["counts"]["byState"];
    assert_eq!((&counts["queued"], &counts["skipped"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn queues_of_all_sessions_are_listed_in_pages_by_state_and_session() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let (one, two) = (api.open_session().await, api.open_session().await);
    let mut made = Vec::new();
    for token in [&one, &two, &one, &two, &one] {
        made.push(queue(&api, &mut worker, token, 1).await);
    }
    made.reverse();
    let (paused, _) = tokio::join!(
        async { api.post(&format!("{}/pause", made[1]), &json!({})).await },
        worker.obey()
    );
    assert_eq!(paused.status, StatusCode::OK);
    let listed = async |path: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let answered = api.get(&format!("{path}{cursor}")).await;
            let page = answered.json();
            assert_eq!(answered.status, StatusCode::OK, "{page}");
            for item in page["items"].as_array().unwrap() {
                let (token, id) = (item["token"].as_str().unwrap(), item["queueId"].as_str().unwrap());
                ids.push(format!("/v1/sessions/{token}/queues/{id}"));
            }
            let Some(next) = page["next"].as_str() else {
                return ids;
            };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(listed("/v1/queues?limit=2").await, made);
    assert_eq!(listed("/v1/queues?limit=1&state=paused").await, [made[1].clone()]);
    let queued = [&made[0], &made[2], &made[3], &made[4]].map(Clone::clone);
    assert_eq!(listed("/v1/queues?limit=3&state=queued").await, queued);
    let of_two = [made[1].clone(), made[3].clone()];
    assert_eq!(listed(&format!("/v1/queues?limit=1&session={two}")).await, of_two);
    assert_eq!(
        listed(&format!("/v1/sessions/{two}/queues?limit=1&state=queued")).await,
        [made[3].clone()]
    );
    assert_eq!(
        listed("/v1/queues?limit=1&state=completed").await,
        [] as [String; 0]
    );
    for path in [
        "/v1/queues?state=done",
        &format!("/v1/sessions/{one}/queues?state=done"),
    ] {
        let refused = api.get(path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let problem = &refused.json()["errors"][0];
        let known = "must be one of queued, running, paused, completed, deleted";
        assert_eq!(
            (&problem["field"], &problem["problem"]),
            (&json!("state"), &json!(known))
        );
    }
    assert_eq!(
        api.get("/v1/queues?session=nobody").await.json()["code"],
        "session_not_found"
    );
}

#[tokio::test]
async fn recipients_are_downloaded_as_csv_whole_and_by_state() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    // More than is read at a time.
    let path = queue(&api, &mut worker, &token, 2_500).await;
    let download = api.get(&format!("{path}/recipients.csv")).await;
    assert_eq!(download.headers["content-type"], "text/csv; charset=utf-8");
    let disposition = download.headers["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    let text = String::from_utf8(download.bytes).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 2_502, "a head and an end");
    assert_eq!(
        lines[0],
        "seq,number,state,messageId,errorStatus,error,sentAt,deliveredAt,readAt,reference,variables"
    );
    for (line, start) in [
        (1, "0,5531900000000,queued,3EB0"),
        (2_500, "2499,5531900002499,queued,3EB0"),
    ] {
        let rest = lines[line]
            .strip_prefix(start)
            .expect("the recipient, and the id of its message");
        assert_eq!(
            (
                rest.len(),
                rest.trim_start_matches(|c: char| c.is_ascii_hexdigit())
            ),
            (25, ",,,,,,,")
        );
    }
    settle(&api).await;
    let failed = api.get(&format!("{path}/recipients.csv?state=failed")).await;
    let failed = String::from_utf8(failed.bytes).unwrap();
    let first = failed.split("\r\n").nth(1).unwrap();
    assert!(first.starts_with("2,5531900000002,failed,3EB0"), "{first}");
    assert!(first.ends_with(",404,not on WhatsApp,,,,,"), "{first}");
    assert_eq!(failed.lines().count(), 4);
}

#[tokio::test]
async fn those_that_failed_are_sent_to_again_as_a_new_queue_once() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = queue(&api, &mut worker, &token, 6).await;
    let retry = format!("{path}/retry");
    let none = api.post(&retry, &json!({})).await;
    assert_eq!(
        (none.status, &none.json()["code"]),
        (StatusCode::CONFLICT, &json!("nothing_to_retry"))
    );
    settle(&api).await;
    for named in [
        "UPDATE recipient SET reference = 'Ana' WHERE number = '5531900000003'",
        "UPDATE queue SET label = 'spring'",
    ] {
        api.database.query(named).await;
    }
    let body = json!({ "codes": [404] });
    let (answered, (job, _)) = tokio::join!(api.post_once(&retry, "again", &body), worker.accept());
    let accepted = answered.json();
    assert_eq!(
        (answered.status, &accepted["total"]),
        (StatusCode::ACCEPTED, &json!(2))
    );
    let numbers: Vec<_> = job
        .numbers
        .iter()
        .map(|recipient| recipient.number.as_text().into_owned())
        .collect();
    assert_eq!(numbers, ["5531900000002", "5531900000003"]);
    let references: Vec<_> = job.numbers.iter().map(|of| of.reference.clone()).collect();
    assert_eq!(references, [None, Some(Reference::new("Ana").unwrap())]);
    assert_eq!(job.label, Some(Label::new("spring").unwrap()));
    let replayed = api.post_once(&retry, "again", &body).await;
    assert_eq!(replayed.headers["idempotent-replayed"], "true");
    assert_eq!(replayed.json()["queueId"], accepted["queueId"]);
    // Without a key the same recipients are the same queue too.
    let (first, (job, _)) = tokio::join!(api.send(Method::POST, &retry, Body::empty()), worker.accept());
    assert_eq!(job.numbers.len(), 3);
    let all = json!({});
    let (second, _) = tokio::join!(api.post(&retry, &all), worker.accept());
    assert_eq!(first.json()["queueId"], second.json()["queueId"]);
    assert_ne!(first.json()["queueId"], accepted["queueId"]);
    let refused = api.post(&retry, &json!({ "codes": [] })).await.json();
    assert_eq!(refused["errors"][0]["field"], "codes");
    assert_eq!(
        api.database.query("SELECT count(*) FROM queue").await,
        [Some("3".to_owned())]
    );
}

#[tokio::test]
async fn a_queue_that_starts_later_is_accepted_within_the_limit_and_shown() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/queues");
    let body = |at: Value| json!({ "number": "5531900000001", "message": { "type": "text", "text": "hi" }, "startAt": at });
    let at = api.app.clock.wall().replace_nanosecond(0).unwrap() + time::Duration::days(30);
    let offset = time::macros::offset!(+5:30);
    let text = at
        .to_offset(offset)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let both = [json!(text), json!(shared::clock::unix_millis(at))];
    for given in both {
        let body = body(given);
        let (answered, (job, _)) = tokio::join!(api.post(&path, &body), worker.accept());
        assert_eq!((answered.status, job.start_at), (StatusCode::ACCEPTED, Some(at)));
        let queue = api
            .get(&format!(
                "{path}/{}",
                answered.json()["queueId"].as_str().unwrap()
            ))
            .await
            .json();
        let until = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        assert_eq!(
            (&queue["startAt"], &queue["state"]),
            (&json!(until), &json!("queued"))
        );
        assert_eq!(
            (&queue["waiting"]["reason"], &queue["waiting"]["until"]),
            (&json!("starts-at"), &json!(until))
        );
    }
    for wrong in [
        json!("2026-12-24T09:00:00"),
        json!("tomorrow"),
        json!("9999-01-01T00:00:00Z"),
        json!(true),
    ] {
        let refused = api.post(&path, &body(wrong.clone())).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], "startAt", "{wrong}");
    }
}

#[tokio::test]
async fn a_gap_below_the_floor_is_refused_at_every_door() {
    let api = TestApi::with_limits(SendLimits::new(5.0, START_AHEAD_DEFAULT).unwrap()).await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let message = json!({ "type": "text", "text": "hi" });
    let body = |min: f64| json!({ "number": "5531900000001", "message": message, "delay": { "min": min, "max": 9 } });
    let queues = format!("/v1/sessions/{token}/queues");
    let legacy = |min: f64| json!({ "token": token, "number": ["5531900000001"], "text": "hi", "delay": { "min": min, "max": 9 } });
    let refused = [
        api.post(&queues, &body(4.9)).await,
        api.post(&format!("/v1/sessions/{token}/messages"), &body(0.0))
            .await,
    ];
    for refused in refused {
        let problem = &refused.json()["errors"][0];
        assert_eq!(
            (refused.status, &problem["field"]),
            (StatusCode::BAD_REQUEST, &json!("delay.min"))
        );
        assert_eq!(problem["problem"], "must be at least 5 seconds here (MIN_FLOOR)");
    }
    let refused = api.post("/api/whatsapp/send-text", &legacy(0.0)).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("delay.min"))
    );
    let fine = body(5.0);
    let (answered, _) = tokio::join!(api.post(&queues, &fine), worker.accept());
    let queue = format!("{queues}/{}", answered.json()["queueId"].as_str().unwrap());
    let refused = api
        .patch(&queue, &json!({ "delay": { "min": 1, "max": 9 } }))
        .await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("delay.min"))
    );
}

#[tokio::test]
async fn a_reason_of_its_worker_is_shown_with_its_attempt() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    api.set_session(&token, "paired_at = now()").await;
    let path = queue(&api, &mut worker, &token, 2).await;
    let waiting =
        r#"{"reason": "attempt", "until": "2999-01-01T00:00:00Z", "attempt": {"number": 2, "most": 5}}"#;
    api.database
        .query(&format!("UPDATE queue SET waiting = '{waiting}'"))
        .await;
    let told = api.get(&path).await.json()["waiting"].clone();
    assert_eq!(
        (&told["reason"], &told["until"], &told["attempt"]),
        (
            &json!("attempt"),
            &json!("2999-01-01T00:00:00Z"),
            &json!({ "number": 2, "most": 5 })
        )
    );
    // Nothing keeps it, and it has not moved for a while: its worker has not come to it.
    let long_ago = "waiting = NULL, created_at = now() - interval '1 minute'";
    api.database.query(&format!("UPDATE queue SET {long_ago}")).await;
    api.set_session(&token, "updated_at = now() - interval '1 minute'")
        .await;
    assert_eq!(api.get(&path).await.json()["waiting"]["reason"], "taking-up");
    let second = queue(&api, &mut worker, &token, 2).await;
    let earlier = "created_at = created_at - interval '5 seconds'";
    api.database.query(&format!("UPDATE queue SET {earlier}")).await;
    assert_eq!(api.get(&second).await.json()["waiting"]["reason"], "other-queue");
}

/// What it says.
pub(super) const TEXT: &str = "hi";

/// A queue for these.
pub(super) fn to(numbers: Value) -> Value {
    json!({ "numbers": numbers, "message": { "type": "text", "text": TEXT } })
}

#[tokio::test]
async fn the_answer_says_how_the_list_was_read() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/queues");
    let numbers =
        json!(["4916200401", "+49 (0) 162 00401", "12", { "number": "4916200402", "reference": "Ana" }]);
    let refused = api.post(&path, &to(numbers.clone())).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["errors"][0]["field"], "numbers[2]");

    let mut body = to(numbers);
    body["invalid"] = json!("skip");
    body["reference"] = json!("order 17");
    body["label"] = json!("spring");
    let (answered, (job, _)) = tokio::join!(api.post(&path, &body), worker.accept());
    let answer = answered.json();
    assert_eq!(
        (answered.status, &answer["total"]),
        (StatusCode::ACCEPTED, &json!(2))
    );
    assert_eq!(
        answer["reading"],
        json!({
            "duplicates": { "count": 1, "first": [{ "place": 1, "of": 0 }] },
            "invalid": { "count": 1, "first": [
                { "place": 2, "problem": "must have 7 to 15 digits, country code included" }
            ]},
            "readAs": { "count": 1, "first": [
                { "place": 1, "given": "+49 (0) 162 00401", "number": "4916200401" }
            ]},
        })
    );
    assert!(
        job.reading.is_plain(),
        "the worker is told of those who are sent to alone"
    );
    let queue = format!("{path}/{}", answer["queueId"].as_str().unwrap());
    let shown = api.get(&queue).await.json();
    assert_eq!(
        (&shown["reference"], &shown["label"]),
        (&json!("order 17"), &json!("spring"))
    );
    let page = api.get(&format!("{queue}/recipients")).await.json();
    assert_eq!(page["items"][1]["reference"], "Ana");
    for (label, listed) in [("spring", 1), ("autumn", 0)] {
        let page = api.get(&format!("{path}?label={label}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), listed, "{label}");
    }
    assert_eq!(
        api.get(&format!("{path}?label=")).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_single_message_says_whom_it_goes_to() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    let path = format!("/v1/sessions/{token}/messages");
    let answered = api.post(&path, &to(json!("0049 (0) 162/00400"))).await;
    assert_eq!(answered.json()["number"], "4916200400");
    let (job, _) = worker.accept().await;
    assert_eq!(job.numbers[0].number.to_string(), "4916200400");
}
