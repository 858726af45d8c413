//! Recipients with variables.

use super::*;

const HI: &str = r#"{"type":"text","text":"Hi {{name|there}}, {{code}}!"}"#;

fn body(numbers: &str, message: &str, more: &str) -> String {
    format!(r#"{{"numbers":{numbers},"message":{message}{more}}}"#)
}

fn refused(numbers: &str, message: &str) -> JobError {
    SendJob::parse(body(numbers, message, "").as_bytes()).unwrap_err()
}

/// What the first recipients get.
fn texts(job: &SendJob) -> Vec<String> {
    let told = job.numbers.iter().map(|one| {
        let variables = one.variables.as_ref().unwrap();
        job.message.filled(variables).message()["text"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    told.collect()
}

#[test]
fn each_recipient_gets_a_text_of_its_own() {
    let numbers = r#"[{"number":"5531900000001","variables":{"name":"Ana","code":7}},
        {"number":"5531900000002","reference":"17","variables":{"name":"","code":"x"}}]"#;
    let job = send(&body(numbers, HI, ""));
    assert_eq!(texts(&job), ["Hi Ana, 7!", "Hi there, x!"]);
    // What goes over AMQP, and into a schedule, is read as it was.
    let written = Job::Send(Box::new(job.clone())).to_body();
    assert_eq!(Job::parse("send", &written).unwrap(), Job::Send(Box::new(job)));
}

#[test]
fn without_variables_a_text_is_what_it_says() {
    let job = send(&body(
        r#"["5531900000001"]"#,
        r#"{"type":"text","text":"{{name}} {{"}"#,
        "",
    ));
    assert_eq!(job.numbers[0].variables, None);
    assert_eq!(job.message.message()["text"], "{{name}} {{");
    // Nobody has one, and they are asked for all the same.
    let numbers = r#"[{"number":"5531900000001","variables":{}},"5531900000002"]"#;
    let job = send(&body(
        numbers,
        r#"{"type":"text","text":"{{name|you}} {{{{"}"#,
        "",
    ));
    assert_eq!(texts(&job), ["you {{", "you {{"]);
}

#[test]
fn a_variable_that_is_missing_is_named_with_its_recipient() {
    let numbers = r#"[{"number":"5531900000001","variables":{"code":"x"}},"5531900000002",
        {"number":"5531900000003","variables":{"code":null}}]"#;
    let error = refused(numbers, HI);
    let problem = "is required: message.text says {{code}} and has no default for it";
    assert_eq!(
        (error.field.as_str(), error.problem.as_str()),
        ("numbers[1].variables.code", problem)
    );
    assert_eq!(error.others[0].field, "numbers[2].variables.code");
    let job = send(&body(numbers, HI, r#","invalid":"skip""#));
    assert_eq!(texts(&job), ["Hi there, x!"]);
    let invalid = job.reading.invalid.unwrap();
    assert_eq!((invalid.count, invalid.first[0].place), (2, 1));
    assert_eq!(invalid.first[0].problem, format!("variables.code {problem}"));
    // One recipient that is no list has no place.
    let one = r#"{"number":"5531900000001","variables":{}}"#;
    assert_eq!(refused(one, HI).field, "numbers.variables.code");
}

#[test]
fn a_place_is_that_of_the_list_whoever_is_left_out() {
    let numbers = r#"["5531900000001","5531900000001",{"number":"5531900000002","variables":{}}]"#;
    let error = refused(numbers, HI);
    assert_eq!(error.field, "numbers[0].variables.code");
    assert_eq!(error.others[0].field, "numbers[2].variables.code");
}

#[test]
fn a_broken_placeholder_is_named_by_its_text_and_its_place() {
    let numbers = r#"[{"number":"5531900000001","variables":{"name":"Ana"}}]"#;
    for (message, told) in [
        (
            r#"{"type":"text","text":"Hi {{name"}"#,
            "message.text: has a placeholder at character 4 that is not closed by }}; a literal {{ is written {{{{",
        ),
        (
            r#"{"type":"poll","name":"{{name}}?","options":["a","{{}}"]}"#,
            "message.options[1]: has a placeholder at character 1 that names no variable; a literal {{ is written {{{{",
        ),
    ] {
        assert_eq!(refused(numbers, message).to_string(), told);
    }
}

#[test]
fn limits_hold_for_what_each_recipient_gets() {
    let numbers = r#"["5531900000003",{"number":"5531900000001","variables":{"name":"xxxxxxxxxx"}},{"number":"5531900000002","variables":{"name":"x"}}]"#;
    let long = "y".repeat(TEXT_MAX_BYTES - 5);
    let message = format!(r#"{{"type":"text","text":"{long}{{{{name|}}}}"}}"#);
    let error = refused(numbers, &message);
    assert_eq!(
        error.to_string(),
        "numbers[1].variables: make of message.text what must be at most 65536 bytes"
    );
    assert!(error.others.is_empty(), "the others fit");
    // What is wrong for all is told of the text.
    let message = r#"{"type":"image","media":{"base64":"AA=="},"caption":""}"#;
    assert_eq!(
        refused(numbers, message).to_string(),
        "message.caption: must not be empty"
    );
    let message = r#"{"type":"image","media":{"base64":"A"},"caption":"{{name|}}"}"#;
    assert_eq!(
        refused(numbers, message).to_string(),
        "message.media.base64: must be base64"
    );
    let options = r#"{"type":"poll","name":"?","options":["x","{{name|y}}"]}"#;
    assert_eq!(
        refused(numbers, options).to_string(),
        "numbers[2].variables: make of message.options[1] what is the same as that of an entry before it"
    );
}

#[test]
fn a_text_that_nothing_is_left_of_is_left_out_where_it_may_be() {
    let numbers = r#"[{"number":"5531900000001","variables":{}}]"#;
    let job = send(&body(
        numbers,
        r#"{"type":"image","media":{"base64":"AA=="},"caption":"{{name|}}"}"#,
        "",
    ));
    let told = job.message.filled(job.numbers[0].variables.as_ref().unwrap());
    assert_eq!(told.message(), serde_json::json!({}));
    let text = r#"{"type":"text","text":"{{name|}}"}"#;
    assert_eq!(
        refused(numbers, text).to_string(),
        "numbers[0].variables: make of message.text what must not be empty"
    );
}

#[test]
fn variables_are_refused_by_their_field() {
    let with = |variables: &str| {
        refused(
            &format!(r#"[{{"number":"5531900000001","variables":{variables}}}]"#),
            HI,
        )
        .to_string()
    };
    assert_eq!(
        with(r#"{"name":["Ana"]}"#),
        "numbers[0].variables.name: must be a text, a number, true or false"
    );
    assert_eq!(with("7"), "numbers[0].variables: must be a JSON object");
    assert!(
        with(r#"{"a|b":"x"}"#).starts_with("numbers[0].variables"),
        "{}",
        with(r#"{"a|b":"x"}"#)
    );
}

#[test]
fn the_same_number_is_kept_twice_with_other_variables() {
    let numbers = r#"[{"number":"5531900000001","variables":{"code":"a"}},{"number":"+5531900000001","variables":{"code":"b"}}]"#;
    assert_eq!(texts(&send(&body(numbers, HI, ""))), ["Hi there, a!"]);
    let kept = send(&body(numbers, HI, r#","duplicates":"keep""#));
    assert_eq!(texts(&kept), ["Hi there, a!", "Hi there, b!"]);
    let allowed = send(&body(numbers, HI, r#","duplicates":"allow""#));
    assert_eq!(
        (kept.fingerprint(), kept.duplicates),
        (allowed.fingerprint(), Duplicates::Allow)
    );
}

#[test]
fn other_variables_make_another_job() {
    let of = |entry: &str| send(&body(&format!("[{entry}]"), HI, r#","invalid":"skip""#)).fingerprint();
    let with = |variables: &str| {
        of(&format!(
            r#"{{"number":"5531900000001","variables":{variables}}}"#
        ))
    };
    assert_eq!(
        with(r#"{"code":"1","name":"a"}"#),
        with(r#"{"name":"a","code":1}"#)
    );
    assert_ne!(with(r#"{"code":"1"}"#), with(r#"{"code":"2"}"#));
    assert_ne!(with(r#"{"code":"1"}"#), of(r#""5531900000001""#));
}
