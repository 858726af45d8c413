use serde_json::json;

use super::*;
use crate::job::SendJob;

fn parse(message: &str) -> Result<SendJob, JobError> {
    SendJob::parse(format!(r#"{{"number":"5531900000001","message":{message}}}"#).as_bytes())
}

#[test]
fn every_kind_has_a_stable_shape_in_the_database_and_in_events() {
    for (name, sample) in NAMES.iter().zip(SAMPLES) {
        let job = parse(sample.stored).unwrap();
        assert_eq!(serde_json::to_string(&job.message).unwrap(), sample.stored);
        assert_eq!(
            serde_json::from_str::<Content>(sample.stored).unwrap(),
            job.message
        );
        assert_eq!(hex::encode(job.fingerprint()), sample.fingerprint, "{name}");
        let shown: Value = serde_json::from_str(sample.shown).unwrap();
        assert_eq!(
            json!({ job.message.message_type(): job.message.message() }),
            shown
        );
    }
}

#[test]
fn refusals_name_the_field_of_the_message() {
    let refused = |message: &str| parse(message).unwrap_err().to_string();
    assert_eq!(refused(r#"{"text":"hi"}"#), "message.type: is required");
    assert_eq!(refused(r#"{"type":7}"#), "message.type: must be a string");
    let known = format!("message.type: must be {}", one_of(NAMES));
    assert_eq!(refused(r#"{"type":"poem","text":"hi"}"#), known);
    for (message, problem) in SAMPLES.iter().flat_map(|sample| sample.refused) {
        assert_eq!(refused(message), *problem, "{message}");
    }
}

#[test]
fn debug_shows_no_field_of_any_kind() {
    for sample in SAMPLES {
        let told = format!("{:?}", parse(sample.stored).unwrap().message);
        let fields: Map<String, Value> = serde_json::from_str(sample.stored).unwrap();
        for (_, value) in fields.iter().filter(|(name, _)| *name != "type") {
            assert!(!told.contains(value.to_string().trim_matches('"')), "{told}");
        }
    }
}

#[test]
fn known_kinds_are_listed() {
    assert_eq!(one_of(&["a"]), "`a`");
    assert_eq!(one_of(&["a", "b"]), "one of `a`, `b`");
}

/// What is rendered from the job and from the database must be the same to the last bit.
#[test]
fn numbers_survive_the_database() {
    let mut number = 1.0_f64;
    for _ in 0..10_000 {
        number = (number * 1.000_123 + 0.1).rem_euclid(90.0);
        let stored = serde_json::to_string(&number).unwrap();
        let read: f64 = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.to_bits(), number.to_bits(), "{stored}");
    }
}

#[test]
fn what_is_stored_is_read_though_it_would_not_be_taken_any_more() {
    let contact = r#"{"type":"contact","name":"Ana","phone":"1555123000"}"#;
    let words = "message.phone: has a number of digits that no number of its country has";
    assert_eq!(parse(contact).unwrap_err().to_string(), words);
    let stored: Content = serde_json::from_str(contact).unwrap();
    assert_eq!(serde_json::to_string(&stored).unwrap(), contact);
}
