use super::*;
use crate::content::TEXT_MAX_BYTES;
use crate::id::StanzaId;
use crate::recipient::Number;
use crate::testing;

mod personal;

fn error(kind: &str, body: &str) -> String {
    Job::parse(kind, body.as_bytes()).unwrap_err().to_string()
}

fn send(body: &str) -> SendJob {
    SendJob::parse(body.as_bytes()).unwrap()
}

#[test]
fn number_and_numbers_take_one_or_many() {
    for body in [
        r#"{"number":"5531900000001","message":{"type":"text","text":"hi"}}"#,
        r#"{"numbers":["+55 31 90000-0001"],"message":{"type":"text","text":"hi"}}"#,
        r#"{"numbers":"5531900000001@s.whatsapp.net","message":{"type":"text","text":"hi"}}"#,
    ] {
        assert_eq!(send(body).numbers, [Number::new("5531900000001").unwrap().into()]);
        assert_eq!(
            send(body).fingerprint(),
            send(r#"{"number":"5531900000001","message":{"type":"text","text":"hi"}}"#).fingerprint()
        );
    }
}

#[test]
fn every_job_has_a_stable_body() {
    let mut shown = Vec::new();
    for job in &samples() {
        let body = job.to_body();
        assert_eq!(Job::parse(job.kind().as_str(), &body).as_ref(), Ok(job));
        shown.push((
            job.kind(),
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        ));
    }
    insta::assert_json_snapshot!("bodies", shown);
}

/// Some of each kind.
pub(crate) fn samples() -> Vec<Job> {
    let queue = QueueCommand {
        queue_id: "78e37ede-32d9-4636-83f0-39469daf89f6".parse().unwrap(),
    };
    let phone = Number::new("5531900000001").unwrap();
    let full = send(
        r#"{"queueId":"78e37ede-32d9-4636-83f0-39469daf89f6","numbers":["5531900000001"],
            "message":{"type":"text","text":"hi"},"delay":{"min":0.5,"max":2},"onUnknown":"hold",
            "messageId":"3EB0C431C26A1916E07A","startAt":"2026-12-24T09:00:00.25+01:00"}"#,
    );
    let jobs = [
        Job::Send(Box::new(full)),
        Job::Send(Box::new(send(
            r#"{"numbers":["5531900000001","98765@lid"],"message":{"type":"text","text":"hi"}}"#,
        ))),
        Job::Send(Box::new(send(
            r#"{"numbers":["5531900000001",{"number":"5531900000001","reference":"Ana"}],"duplicates":"allow",
                "reference":"order 17","label":"spring","message":{"type":"text","text":"hi"}}"#,
        ))),
        Job::Pause(queue),
        Job::Resume(queue),
        Job::Delete(queue),
        Job::Adopt(queue),
        Job::Pace(PaceJob {
            queue_id: queue.queue_id,
            delay: Delay::new(0.5, 2.0).unwrap(),
        }),
        Job::Retry(RetryJob {
            queue_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7".parse().unwrap(),
            codes: Some(vec![404, 503].try_into().unwrap()),
        }),
        Job::SessionStart,
        Job::SessionStop,
        Job::SessionRestart,
        Job::SessionLogout(LogoutJob {
            queues: LogoutQueues::Drop,
        }),
        Job::SessionDelete,
        Job::IsExists(IsExistsJob {
            number: phone.clone(),
        }),
        Job::LookUp(NumbersJob {
            numbers: vec![Phone(phone.clone())],
        }),
        Job::Block(NumbersJob {
            numbers: vec![Phone(phone.clone())],
        }),
        Job::Unblock(NumbersJob {
            numbers: vec![Phone(phone)],
        }),
    ];
    [
        &jobs[..],
        &chats(),
        &schedules(),
        &settings_of_sessions(),
        &passkeys(),
        &dry_runs(),
    ]
    .concat()
}

fn chats() -> Vec<Job> {
    vec![
        Job::Chat(Box::new(ChatActionJob::new(
            ChatAction::Archive,
            Some("5531900000001".parse().unwrap()),
        ))),
        Job::Profile(Box::new(ProfileJob::new(ProfileAction::Privacy, None))),
        Job::History(HistoryJob {
            chat: "5531900000001".parse().unwrap(),
            count: None,
            before: None,
        }),
        Job::History(HistoryJob {
            chat: "1203630001@g.us".parse().unwrap(),
            count: Some(HISTORY_MAX),
            before: Some(BeforeMessage {
                message_id: StanzaId::new("3EB0AA").unwrap(),
                from_me: false,
                message_timestamp: 1_666_479_478,
            }),
        }),
        Job::ForgetChat(ChatJob {
            chat: "status@broadcast".parse().unwrap(),
        }),
        Job::ForgetPerson(PersonJob {
            person: Person("5531900000001".parse().unwrap()),
        }),
        Job::RejectCall(CallJob {
            call_id: StanzaId::new("8F1C2A3B4D5E6F70").unwrap(),
        }),
        Job::MediaRefresh(MediaRefreshJob {
            message_id: StanzaId::new("3EB0AA").unwrap(),
        }),
        Job::Group(Box::new(GroupJob::of(
            GroupAction::Metadata,
            GroupId(Number::new("1203630001@g.us").unwrap()),
        ))),
    ]
}

fn schedules() -> [Job; 3] {
    [
        Job::Schedule(Box::new(
            ScheduleJob::parse(
                br#"{"id":"daily","cron":"0  9 * * 1-5","timezone":"Europe/Berlin","misfire":"all",
                    "send":{"numbers":["5531900000001"],"message":{"type":"text","text":"hi"}}}"#,
            )
            .unwrap(),
        )),
        Job::Schedule(Box::new(
            ScheduleJob::parse(
                br#"{"id":"gift","at":"2026-12-24T09:00:00+01:00",
                    "send":{"numbers":["5531900000001"],"message":{"type":"text","text":"hi"}}}"#,
            )
            .unwrap(),
        )),
        Job::Unschedule(UnscheduleJob {
            id: "daily".parse().unwrap(),
        }),
    ]
}

fn settings_of_sessions() -> [Job; 5] {
    let phone = Number::new("5531900000001").unwrap();
    [
        Job::SessionUpdate(SessionUpdateJob {
            presence: Some(Some(Presence::Available)),
            proxy: Some(Some("socks5h://user:p%40ss@proxy.example:9050".parse().unwrap())),
            calls: Some(Calls::Reject),
        }),
        Job::SessionUpdate(SessionUpdateJob {
            presence: Some(None),
            proxy: Some(None),
            calls: None,
        }),
        Job::SessionUpdate(SessionUpdateJob::default()),
        Job::PairingCode(PairingCodeJob {
            phone: phone.clone(),
            proxy: None,
        }),
        Job::PairingCode(PairingCodeJob {
            phone,
            proxy: Some(Some("http://proxy.example:3128".parse().unwrap())),
        }),
    ]
}

fn passkeys() -> [Job; 3] {
    let answer = PasskeyAnswerJob::parse(assertion("AAEC", "AAEC").as_bytes());
    [
        Job::PasskeyAnswer(Box::new(answer.unwrap())),
        Job::PasskeyConfirm,
        Job::PasskeyCancel,
    ]
}

fn dry_runs() -> [Job; 1] {
    let body = br#"{"numbers":["5531900000001"],"message":{"type":"text","text":"hi"}}"#;
    [Job::parse("dry-run", body).unwrap()]
}

#[test]
fn the_schemas_in_the_docs_are_those_of_the_types() {
    for kind in JobKind::ALL {
        testing::documented(&format!("job.{}", kind.as_str()), &Job::schema(kind));
    }
    testing::documented("answer", &schemars::schema_for!(Answer));
}

#[test]
fn answers_are_stable() {
    insta::assert_json_snapshot!("answers", answers());
}

/// Answers of some kinds.
pub(crate) fn answers() -> Vec<Answer> {
    vec![
        Answer::Done {
            queue_id: None,
            reading: None,
        },
        Answer::IsExists {
            exists: true,
            jid: Some("5531900000001@s.whatsapp.net".into()),
            lid: None,
        },
        Answer::PairingCode {
            code: "ABCD1234".into(),
        },
        Answer::Failed {
            code: FailureCode::NotConnected,
            message: "the session is not connected".into(),
            field: None,
            until: None,
        },
        Answer::Failed {
            code: FailureCode::LookUpLimit,
            message: "this number is not known, and none may be looked up now".into(),
            field: None,
            until: Some(1_795_276_800_000),
        },
        Answer::Numbers {
            numbers: vec![NumberAnswer {
                number: "5531900000001".into(),
                exists: false,
                jid: None,
                lid: None,
                blocked: None,
                error: Some(NumberFailure::NotOnWhatsapp),
            }],
        },
        Answer::Failed {
            code: FailureCode::InvalidJob,
            message: "response.clientDataJSON answers another challenge".into(),
            field: Some("response.clientDataJSON".into()),
            until: None,
        },
    ]
}

#[test]
fn errors_name_the_field_and_not_its_value() {
    let mut shown = vec![
        error("nonsense", "{}"),
        error("send", ""),
        error("send", "[]"),
        error("send", r#"{"number":"5531900000001"}"#),
        error("send", r#"{"message":{"type":"text","text":"hi"}}"#),
        error(
            "send",
            r#"{"number":5531900000001,"message":{"type":"text","text":"hi"}}"#,
        ),
        error(
            "send",
            r#"{"number":["5531900000001","12"],"message":{"type":"text","text":"hi"}}"#,
        ),
        error("send", r#"{"numbers":[],"message":{"type":"text","text":"hi"}}"#),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":""}}"#,
        ),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":7}}"#,
        ),
        error("send", r#"{"number":"5531900000001","message":{"type":"text"}}"#),
        error("send", r#"{"number":"5531900000001","message":"hi"}"#),
        error("pause", "{}"),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":"h"},"delay":{"min":3,"max":1}}"#,
        ),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":"h"},"delay":{"min":-1,"max":1}}"#,
        ),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":"h"},"delay":{"min":1,"max":1e9}}"#,
        ),
        error(
            "send",
            r#"{"number":["5531900000001","5531900000002"],"message":{"type":"text","text":"h"},"messageId":"AA"}"#,
        ),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":"h"},"typo":1}"#,
        ),
        error(
            "send",
            r#"{"number":"5531900000001","message":{"type":"text","text":"h"}} x"#,
        ),
        error("pause", r#"{"queueId":"not-a-uuid"}"#),
        error("session.pairing-code", r#"{"phone":"1203630001@g.us"}"#),
        error("session.start", r#"{"x":1}"#),
        error("session.logout", r#"{"queues":"burn"}"#),
        error("look-up", r#"{"numbers":[]}"#),
        error("block", r#"{"numbers":["5531900000001","98765@lid"]}"#),
        error("unblock", r#"{"number":"5531900000001"}"#),
    ];
    shown.extend(errors_of_settings());
    shown.extend(errors_of_assertions());
    insta::assert_json_snapshot!("errors", shown);
    for text in &shown {
        assert!(!text.contains("5531900000001"), "{text}");
    }
}

fn errors_of_settings() -> [String; 9] {
    [
        error(
            "retry",
            r#"{"queueId":"7c9e6679-7425-40de-944b-e07fc1f90ae7","codes":[]}"#,
        ),
        error(
            "retry",
            r#"{"queueId":"7c9e6679-7425-40de-944b-e07fc1f90ae7","codes":["404"]}"#,
        ),
        error("session.update", r#"{"presence":"loud"}"#),
        error("session.update", r#"{"presence":true}"#),
        error("session.update", r#"{"calls":null}"#),
        error("session.update", r#"{"presense":"available"}"#),
        error(
            "session.update",
            r#"{"proxy":"https://5531900000001@proxy.example"}"#,
        ),
        error("session.update", r#"{"proxy":7}"#),
        error(
            "session.pairing-code",
            r#"{"phone":"5531900000001","proxy":"socks5://5531900000001:%zz@proxy.example"}"#,
        ),
    ]
}

fn errors_of_assertions() -> [String; 5] {
    [
        error("session.passkey-answer", "{}"),
        error(
            "session.passkey-answer",
            &assertion("AAEC", "AAEC").replace("public-key", "password"),
        ),
        error(
            "session.passkey-answer",
            &assertion("AAEC", "AAEC").replace("signature\":\"AAEC", "signature\":\"A*"),
        ),
        error(
            "session.passkey-answer",
            &assertion("AAEC", "AAEC").replace("signature\":\"AAEC", "signature\":\""),
        ),
        error("session.passkey-answer", &assertion("AAEC", "AAED")),
    ]
}

fn assertion(id: &str, raw_id: &str) -> String {
    format!(
        r#"{{"id":"{id}","rawId":"{raw_id}","type":"public-key","authenticatorAttachment":"platform","response":
        {{"clientDataJSON":"AAEC","authenticatorData":"AAEC==","signature":"AAEC","userHandle":null}},
        "clientExtensionResults":{{}}}}"#
    )
}

#[test]
fn an_assertion_is_taken_as_browsers_give_it() {
    let Job::PasskeyAnswer(job) =
        Job::parse("session.passkey-answer", assertion("AAEC", "AAEC").as_bytes()).unwrap()
    else {
        panic!("another job")
    };
    assert_eq!(job.id.to_bytes(), [0, 1, 2][..]);
    assert_eq!(job.response.user_handle, None);
    assert!(!format!("{job:?}").contains("AAEC"));
}

#[test]
fn an_array_is_no_object() {
    let with = |delay: &str, message: &str| {
        let body = format!(r#"{{"number":"5531900000001","message":{message},"delay":{delay}}}"#);
        error("send", &body)
    };
    let text = r#"{"type":"text","text":"hi"}"#;
    assert_eq!(with("[1,2]", text), "delay: must be a JSON object");
    assert_eq!(
        with(r#"{"min":1,"max":2}"#, r#"["text","x"]"#),
        "message: must be a JSON object"
    );
    assert_eq!(
        with(r#"{"min":1}"#, text),
        "delay.max: is required",
        "named as it stands in the body"
    );
    for body in [
        "[]",
        r#" ["7c9e6679-7425-40de-944b-e07fc1f90ae7"]"#,
        &"[".repeat(1_000),
    ] {
        assert_eq!(error("send", body), "body: must be a JSON object");
    }
}

#[test]
fn what_can_t_be_done_is_refused_by_name() {
    for number in ["98765@lid", "1203630001@g.us"] {
        let told = error("is-exists", &format!(r#"{{"number":"{number}"}}"#));
        assert_eq!(told, "number: must be a phone number");
    }
}

#[test]
fn groups_are_recipients_like_others() {
    let job =
        send(r#"{"numbers":["5531900000001","1203630001@g.us"],"message":{"type":"text","text":"hi"}}"#);
    let named: Vec<_> = job.numbers.iter().map(|one| one.number.jid()).collect();
    assert_eq!(named, ["5531900000001@s.whatsapp.net", "1203630001@g.us"]);
}

#[test]
fn who_is_named_twice_gets_one_message_and_the_answer_says_who() {
    let four = r#"["4916200401","+4916200401","+49 (0) 162 00401","4916200401@s.whatsapp.net","4916200402"]"#;
    let body = |more: &str| format!(r#"{{"numbers":{four},"message":{{"type":"text","text":"hi"}}{more}}}"#);
    let job = send(&body(""));
    let named: Vec<_> = job.numbers.iter().map(|one| one.number.to_string()).collect();
    assert_eq!(named, ["4916200401", "4916200402"]);
    let reading = serde_json::to_value(&job.reading).unwrap();
    assert_eq!(
        reading,
        serde_json::json!({
            "duplicates": { "count": 3, "first": [
                { "place": 1, "of": 0 }, { "place": 2, "of": 0 }, { "place": 3, "of": 0 }
            ]},
            "readAs": { "count": 3, "first": [
                { "place": 1, "given": "+4916200401", "number": "4916200401" },
                { "place": 2, "given": "+49 (0) 162 00401", "number": "4916200401" },
                { "place": 3, "given": "4916200401@s.whatsapp.net", "number": "4916200401" },
            ]},
        })
    );
    let all = send(&body(r#","duplicates":"allow""#));
    assert_eq!((all.numbers.len(), &all.reading.duplicates), (5, &None));
    assert!(
        send(r#"{"number":"4916200401","message":{"type":"text","text":"hi"}}"#)
            .reading
            .is_plain()
    );
}

#[test]
fn one_bad_number_refuses_all_or_is_skipped_as_the_job_says() {
    let numbers = r#"["4916200401","12",{"number":"+49 16200402","reference":"Ana"},"5531900000001:2@s.whatsapp.net",{"number":"0162"}]"#;
    let body =
        |more: &str| format!(r#"{{"numbers":{numbers},"message":{{"type":"text","text":"hi"}}{more}}}"#);
    let error = SendJob::parse(body("").as_bytes()).unwrap_err();
    let named: Vec<_> = error.others.iter().map(|other| other.field.as_str()).collect();
    assert_eq!(
        (error.field.as_str(), named.as_slice()),
        ("numbers[1]", ["numbers[3]", "numbers[4].number"].as_slice())
    );
    assert_eq!(
        error.in_words(),
        "numbers[1] must have 7 to 15 digits, country code included; numbers[3] must name a person or a group, not one device; \
         numbers[4].number must have 7 to 15 digits, country code included"
    );
    let job = send(&body(r#","invalid":"skip""#));
    assert_eq!(job.numbers.len(), 2);
    assert_eq!(
        job.numbers[1].reference.as_ref().map(Reference::as_str),
        Some("Ana")
    );
    let invalid = job.reading.invalid.unwrap();
    let places: Vec<_> = invalid.first.iter().map(|one| one.place).collect();
    assert_eq!((invalid.count, places), (3, vec![1, 3, 4]));
    // Nobody is left.
    let none = r#"{"numbers":["12"],"invalid":"skip","message":{"type":"text","text":"hi"}}"#;
    assert_eq!(SendJob::parse(none.as_bytes()).unwrap_err().field, "numbers[0]");
}

#[test]
fn long_lists_of_mistakes_are_counted() {
    let bad = (0..LISTED_MAX + 50).map(|n| n.to_string());
    let numbers: Vec<_> = bad.chain(["4916200401".to_owned()]).collect();
    let body = |invalid: &str| {
        serde_json::json!({
            "numbers": numbers, "invalid": invalid,
            "message": { "type": "text", "text": "hi" }
        })
        .to_string()
    };
    let error = SendJob::parse(body("refuse").as_bytes()).unwrap_err();
    assert_eq!((error.others.len(), error.unnamed), (LISTED_MAX - 1, 50));
    assert!(
        error.in_words().ends_with("; and 140 more"),
        "{}",
        error.in_words()
    );
    let invalid = send(&body("skip")).reading.invalid.unwrap();
    assert_eq!((invalid.count, invalid.first.len()), (150, LISTED_MAX));
}

#[test]
fn fingerprint_tells_bodies_apart_but_not_queue_ids() {
    let base = r#"{"number":"5531900000001","message":{"type":"text","text":"hi"}}"#;
    let other = r#"{"number":"5531900000001","message":{"type":"text","text":"ho"}}"#;
    let with_queue = r#"{"queueId":"78e37ede-32d9-4636-83f0-39469daf89f6","number":"5531900000001",
                         "message":{"type":"text","text":"hi"}}"#;
    assert_ne!(send(base).fingerprint(), send(other).fingerprint());
    assert_eq!(send(base).fingerprint(), send(with_queue).fingerprint());
}

#[test]
fn oversized_jobs_are_refused() {
    let numbers = vec!["5531900000001"; RECIPIENTS_MAX + 1];
    // Before anybody looks who is named twice.
    let body = serde_json::json!({"numbers": numbers, "message": {"type": "text", "text": "hi"}}).to_string();
    assert!(error("send", &body).starts_with("numbers: must name at most 100000"));
    let text = "x".repeat(TEXT_MAX_BYTES + 1);
    let body = serde_json::json!({"number": "5531900000001", "message": {"type": "text", "text": text}});
    assert!(error("send", &body.to_string()).starts_with("message.text: must be at most"));
    let huge = vec![b' '; BODY_MAX_BYTES + 1];
    assert_eq!(Job::parse("send", &huge).unwrap_err().field, "body");
}
