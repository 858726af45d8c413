//! docs/EVENTS.md against the program: each event has a row, which says what causes it and names a test that is there.

use std::collections::BTreeSet;
use std::fs;

use shared::event::EventName;

use crate::root;

const PAGE: &str = include_str!("../../docs/EVENTS.md");

/// The cells of the row of an event.
fn row(event: &str) -> Vec<&'static str> {
    let start = format!("| `{event}` |");
    let row = PAGE.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("docs/EVENTS.md has no row of `{event}`"));
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The text of a file of the tree.
fn text(path: &str, event: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("docs/EVENTS.md, {event}: {path}: {error}"))
}

#[test]
fn each_event_has_its_row_with_a_cause_an_example_and_a_test() {
    for event in EventName::ALL.map(EventName::as_str) {
        let [_, cause, example, test] = row(event)[..] else {
            panic!("docs/EVENTS.md, {event}: event | what causes it | example | test");
        };
        assert!(cause.len() > 10, "docs/EVENTS.md, {event}: what causes it?");
        let link = example.split(['(', ')']).nth(1).unwrap_or_default();
        let json: serde_json::Value =
            serde_json::from_str(&text(&format!("docs/{link}"), event)).expect("an example is JSON");
        assert_eq!(json["event"], event, "docs/EVENTS.md: the example of {event}");
        let [path, name] = [1, 3].map(|at| test.split('`').nth(at).unwrap_or_default());
        assert!(
            text(path, event).contains(&format!("fn {name}(")),
            "docs/EVENTS.md, {event}: there is no test {name} in {path}"
        );
    }
}

#[test]
fn each_row_is_of_an_event_that_there_is() {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| event |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let told: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let names: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(names.len(), told.len(), "an event has one row");
    assert_eq!(names, EventName::ALL.map(EventName::as_str).into());
}
