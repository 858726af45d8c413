use serde_json::json;

use super::*;
use crate::job::SendJob;

/// One of each kind: its `type` and its fields.
fn samples() -> Vec<Value> {
    vec![json!({ "type": "text", "text": "We open at nine." })]
}

fn parse(message: &Value) -> Result<SendJob, JobError> {
    SendJob::parse(
        json!({ "number": "5531900000001", "message": message })
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn every_kind_has_a_stable_shape_in_the_database_and_in_events() {
    let mut shown = Vec::new();
    let mut names = Vec::new();
    for sample in samples() {
        let job = parse(&sample).unwrap();
        let stored = serde_json::to_string(&job.message).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&stored).unwrap(), job.message);
        names.push(sample["type"].as_str().unwrap().to_owned());
        shown.push(json!({
            "stored": stored,
            "messageType": job.message.message_type(),
            "message": job.message.message(),
            "fingerprint": hex::encode(job.fingerprint()),
        }));
    }
    assert_eq!(names, NAMES, "one sample of each");
    insta::assert_json_snapshot!("kinds", shown);
}

#[test]
fn debug_shows_no_field_of_any_kind() {
    for sample in samples() {
        let told = format!("{:?}", parse(&sample).unwrap().message);
        for (name, value) in sample.as_object().unwrap() {
            let value = value.to_string();
            assert!(
                name == "type" || !told.contains(value.trim_matches('"')),
                "{told}"
            );
        }
    }
}

#[test]
fn errors_name_the_field_of_the_message() {
    let told: Vec<_> = [
        json!({ "text": "hi" }),
        json!({ "type": 7, "text": "hi" }),
        json!({ "type": "poem", "text": "hi" }),
        json!({ "type": "text" }),
        json!({ "type": "text", "text": 7 }),
        json!({ "type": "text", "text": "" }),
        json!({ "type": "text", "text": "a\0b" }),
        json!({ "type": "text", "text": "hi", "typo": 1 }),
    ]
    .iter()
    .map(|message| parse(message).unwrap_err().to_string())
    .collect();
    insta::assert_json_snapshot!("errors", told);
}
