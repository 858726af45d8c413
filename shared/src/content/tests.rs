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

#[test]
fn what_goes_with_any_kind_is_stored_behind_its_fields_and_shown_as_its_context() {
    let stored = r#"{"type":"text","text":"@5531900000042 yes","mentions":["5531900000042","98765@lid"],"quote":{"key":{"id":"3EB0","fromMe":false,"participant":"5531900000042"},"text":"Open?"},"forwarded":true}"#;
    let job = parse(stored).unwrap();
    assert_eq!(serde_json::to_string(&job.message).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Content>(stored).unwrap(), job.message);
    let fingerprint = "44df10ab98866c45a9dcedb74f82b900a71c0c98045de437e2c745a2825632be";
    assert_eq!(hex::encode(job.fingerprint()), fingerprint);
    let context = json!({
        "stanzaId": "3EB0",
        "participant": "5531900000042@s.whatsapp.net",
        "quotedMessage": { "conversation": "Open?" },
        "mentionedJid": ["5531900000042@s.whatsapp.net", "98765@lid"],
        "isForwarded": true,
    });
    assert_eq!(job.message.message()["contextInfo"], context);
    let nothing =
        parse(r#"{"type":"text","text":"hi","mentions":[],"quote":null,"forwarded":false}"#).unwrap();
    assert_eq!(nothing.message, Text::new("hi").into());
}

#[test]
fn what_goes_with_a_kind_is_refused_by_its_field() {
    let refused = |common: &str| {
        let message = format!(r#"{{"type":"text","text":"hi",{common}}}"#);
        parse(&message).unwrap_err().to_string()
    };
    for (common, problem) in [
        (r#""mentions":"me""#, "message.mentions: must be a sequence"),
        (
            r#""mentions":["120363-1@g.us"]"#,
            "message.mentions[0]: must be a person, not a group",
        ),
        (r#""quote":{"text":"hi"}"#, "message.quote.key: is required"),
        (
            r#""quote":{"key":{"id":"3EB0"}}"#,
            "message.quote.key.fromMe: is required",
        ),
        (
            r#""quote":{"key":{"id":"3EB0","fromMe":true},"text":""}"#,
            "message.quote.text: must not be empty",
        ),
        (r#""forwarded":"yes""#, "message.forwarded: must be a boolean"),
    ] {
        assert_eq!(refused(common), problem);
    }
}

#[test]
fn what_is_about_a_message_goes_to_one_recipient() {
    let job = br#"{"numbers":["5531900000001","5531900000002"],
        "message":{"type":"reaction","key":{"id":"3EB0","fromMe":false},"text":""}}"#;
    let problem = "numbers: must be one: what is sent is about a message, which is in one chat";
    assert_eq!(SendJob::parse(job).unwrap_err().to_string(), problem);
}

#[test]
fn the_schema_has_what_goes_with_a_kind_where_it_may() {
    let schema = serde_json::to_value(schemars::schema_for!(Content)).unwrap();
    for kind in schema["oneOf"].as_array().unwrap() {
        let name = kind["properties"]["type"]["const"].as_str().unwrap();
        let has = FIELDS.iter().all(|field| kind["properties"].get(field).is_some());
        assert_eq!(has, !BARE.contains(&name), "{name}");
    }
}

const FIELDS: [&str; 3] = ["mentions", "quote", "forwarded"];

#[test]
fn the_examples_of_the_document_are_taken() {
    let document = include_str!("../../../docs/MESSAGES.md");
    let is_example = |line: &&str| line.starts_with(r#"{ "type": "#) && line.ends_with('}');
    let examples: Vec<&str> = document.lines().filter(is_example).collect();
    assert!(examples.len() >= 10);
    for example in examples {
        parse(example).unwrap();
    }
}

/// Fields whose texts are no words to people: which message, person, file, form or kind it is.
const NO_WORDS: [&str; 12] = [
    "type",
    "key",
    "media",
    "mentions",
    "phone",
    "form",
    "fallback",
    "otherwise",
    "latitude",
    "longitude",
    "startsAt",
    "endsAt",
];

/// Writes a placeholder into each text of a value but those of [`NO_WORDS`]; answers how many there are.
fn mark(value: &mut Value) -> usize {
    match value {
        Value::String(text) => {
            *text = format!("https://{{{{mark}}}}{text}");
            1
        }
        Value::Array(all) => all.iter_mut().map(mark).sum(),
        Value::Object(fields) => {
            let words = fields
                .iter_mut()
                .filter(|(name, _)| !NO_WORDS.contains(&name.as_str()));
            words.map(|(_, value)| mark(value)).sum()
        }
        _ => 0,
    }
}

#[test]
fn no_text_of_any_kind_is_forgotten() {
    let variables: Variables = serde_json::from_str(r#"{"mark":"Ana"}"#).unwrap();
    for (name, sample) in NAMES.iter().zip(SAMPLES) {
        let mut stored: Value = serde_json::from_str(sample.stored).unwrap();
        if !BARE.contains(name) {
            stored["quote"] = json!({ "key": { "id": "3EB0", "fromMe": true }, "text": "Open?" });
        }
        if *name == "vote" {
            // Its options are those of a poll that is there.
            stored["options"] = json!([]);
        }
        let texts = mark(&mut stored);
        let content: Content = serde_json::from_value(stored).unwrap();
        let filled = serde_json::to_string(&content.filled(&variables)).unwrap();
        let told = (filled.matches("Ana").count(), filled.contains("{{"));
        let before = serde_json::to_string(&content).unwrap().matches("Ana").count();
        assert_eq!(told, (texts + before, false), "{name}: {filled}");
    }
}
