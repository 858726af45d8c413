//! docs/VOCABULARY.md against the program: each table has the words of its type, all of them and no others.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::event::RestrictionKind;
use shared::job::FailureCode;
use shared::store::deliveries::DeliveryState;
use shared::store::queues::QueueState;
use shared::store::recipients::RecipientState;
use shared::store::sessions::SessionState;

use crate::openapi;
use crate::problem::Code;

const PAGE: &str = include_str!("../../../docs/VOCABULARY.md");

/// The first cells, in backticks, of the table of the page whose head line begins so.
fn table(head: &str) -> BTreeSet<String> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let words = rows.map(|row| row.split('`').nth(1).unwrap_or_default().to_owned());
    words.collect()
}

fn words<const N: usize>(all: [&'static str; N]) -> BTreeSet<String> {
    all.map(str::to_owned).into()
}

/// The words of a type, by its schema in the document.
fn documented(name: &str) -> BTreeSet<String> {
    let document = openapi::document();
    let schema = &document["components"]["schemas"][name];
    let list = schema["enum"].as_array().into_iter().flatten();
    let each = schema["oneOf"].as_array().into_iter().flatten();
    let each = each.flat_map(|one| {
        let several = one["enum"].as_array().into_iter().flatten();
        several.chain(one.get("const"))
    });
    let words: BTreeSet<String> = list
        .chain(each)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    assert!(!words.is_empty(), "{name} has no words");
    words
}

#[test]
fn states_reasons_and_codes_are_those_of_the_program() {
    let mut sessions = words(SessionState::ALL.map(SessionState::as_str));
    sessions.insert("passkey".to_owned());
    for (head, all) in [
        ("| state | database | `connection.update`", sessions),
        (
            "| state | database | event",
            words(QueueState::ALL.map(QueueState::as_str)),
        ),
        (
            "| state | database | `messages.update`",
            words(RecipientState::ALL.map(RecipientState::as_str)),
        ),
        (
            "| state | database | metrics",
            words(DeliveryState::ALL.map(DeliveryState::as_str)),
        ),
        (
            "| kind | database",
            words(RestrictionKind::ALL.map(RestrictionKind::as_str)),
        ),
        (
            "| code | what to do",
            words(FailureCode::ALL.map(FailureCode::as_str)),
        ),
        ("| reason | ends with", documented("Reason")),
    ] {
        assert_eq!(
            table(head),
            all,
            "docs/VOCABULARY.md (left) and the program (right): {head}"
        );
    }
}

/// The table of problems says the status of each, too.
#[test]
fn problems_have_their_codes_and_statuses() {
    let source = include_str!("../problem.rs").replace("(\n", "(");
    let mut all = BTreeSet::new();
    for row in source.split("=> (").skip(1) {
        let mut parts = row.split(',');
        let (Some(code), Some(status)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (code, status) = (code.trim().trim_matches('"'), status.trim());
        assert!(
            PAGE.contains(&format!("\n| `{code}` | {status} |")),
            "docs/VOCABULARY.md lacks `{code}` with {status}"
        );
        all.insert(code.to_owned());
    }
    assert!(all.len() > 30, "{all:?}");
    assert_eq!(table("| code | status | over AMQP"), all);
    assert_eq!(
        words(Code::ALL.map(Code::as_str)),
        all,
        "all are counted from the start"
    );
}
