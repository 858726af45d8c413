//! deploy/grafana against its generator, and each panel against what a reader at night needs of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use shared::metrics::{Kind, all};
use tests::dashboards;

use crate::root;

fn folder() -> PathBuf {
    root().join("deploy/grafana/dashboards")
}

fn text(dashboard: &Value) -> String {
    format!("{dashboard:#}\n")
}

#[test]
fn the_files_are_what_the_generator_makes() {
    let all = dashboards::all();
    let mut expected: Vec<_> = all.iter().map(|one| format!("{}.json", one.name)).collect();
    if std::env::var_os("UPDATE_DASHBOARDS").is_some() {
        for (dashboard, file) in all.iter().zip(&expected) {
            fs::write(folder().join(file), text(&dashboard.json())).expect("the dashboard is written");
        }
    }
    for (dashboard, file) in all.iter().zip(&expected) {
        let found = fs::read_to_string(folder().join(file)).unwrap_or_default();
        assert!(
            found == text(&dashboard.json()),
            "deploy/grafana/dashboards/{file} is not what tests/src/dashboards makes: \
             UPDATE_DASHBOARDS=1 cargo test -p tests --test tidy dashboards"
        );
    }
    let listed = fs::read_dir(folder()).expect("the folder of the dashboards");
    let mut found: Vec<_> = listed
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "a file that nothing makes");
}

/// All panels but the headings of rows, with the dashboard's name.
fn panels() -> Vec<(&'static str, Value)> {
    let panels = dashboards::all().into_iter().flat_map(|dashboard| {
        let panels = dashboard.json()["panels"].as_array().cloned().unwrap_or_default();
        panels.into_iter().map(move |panel| (dashboard.name, panel))
    });
    panels.filter(|(_, panel)| panel["type"] != "row").collect()
}

#[test]
fn each_panel_has_a_question_a_unit_words_and_a_link_to_the_runbook() {
    let all = panels();
    assert!(all.len() > 60, "{} panels", all.len());
    for (dashboard, panel) in all {
        let name = format!("{dashboard}: {}", panel["title"]);
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(
            panel["targets"].as_array().is_some_and(|asked| !asked.is_empty()),
            "{name}: asks nothing"
        );
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|words| words.ends_with('.')),
            "{name}: no words"
        );
        assert!(defaults["unit"].is_string(), "{name}: no unit");
        assert!(
            panel["type"] == "stat"
                || defaults["custom"]["axisLabel"]
                    .as_str()
                    .is_some_and(|label| !label.is_empty()),
            "{name}: nothing beside the axis"
        );
        let link = panel["links"][0]["url"].as_str().unwrap_or_default();
        assert!(
            link.starts_with(&format!("{}#fanfare", dashboards::RUNBOOK)),
            "{name}: no link"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap_or_default();
            assert!(
                expression.contains("$deployment"),
                "{name}: {expression} is of all deployments"
            );
        }
    }
}

#[test]
fn panels_stand_beside_each_other_and_not_upon() {
    for dashboard in dashboards::all() {
        let json = dashboard.json();
        let mut taken = std::collections::HashSet::new();
        for panel in json["panels"].as_array().into_iter().flatten() {
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
            assert!(
                at("x") + at("w") <= 24,
                "{}: wider than the dashboard",
                panel["title"]
            );
            for (x, y) in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert((x, y)), "{}: upon another", panel["title"]);
            }
        }
    }
}

/// All that the panels ask.
fn expressions() -> Vec<String> {
    let targets = panels()
        .into_iter()
        .flat_map(|(_, panel)| panel["targets"].as_array().cloned().unwrap_or_default());
    targets
        .filter_map(|target| Some(target["expr"].as_str()?.to_owned()))
        .collect()
}

/// The names of our series in them: `fanfare_…`, and not the values of labels (`fanfare-api`).
fn named() -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expressions();
    let words = words
        .iter()
        .flat_map(|expression| expression.split(|letter| !is_part(letter)));
    words
        .filter(|word| word.starts_with("fanfare_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_metric_is_on_a_dashboard_and_no_other_is_asked_for() {
    let mut named = named();
    let mut missing = Vec::new();
    for metric in all().map(|metric| metric.declared()) {
        let suffixes: &[&str] = if metric.kind == Kind::Histogram {
            &["_bucket", "_count", "_sum"]
        } else {
            &[""]
        };
        let shown = suffixes
            .iter()
            .filter(|suffix| named.remove(&format!("{}{suffix}", metric.name)))
            .count();
        if shown == 0 {
            missing.push(metric.name);
        }
    }
    assert!(missing.is_empty(), "on no dashboard: {missing:?}");
    assert!(named.is_empty(), "asked for, and in no list: {named:?}");
}

#[test]
fn links_lead_to_the_section_of_an_alert_and_each_alert_is_linked() {
    let runbook = fs::read_to_string(root().join("docs/RUNBOOK.md")).expect("docs/RUNBOOK.md");
    let sections: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### Fanfare"))
        .map(str::to_lowercase)
        .collect();
    let start = format!("{}#fanfare", dashboards::RUNBOOK);
    let panels = panels();
    let linked: BTreeSet<_> = panels
        .iter()
        .filter_map(|(_, panel)| {
            Some(
                panel["links"][0]["url"]
                    .as_str()?
                    .strip_prefix(&start)?
                    .to_owned(),
            )
        })
        .collect();
    assert_eq!(linked, sections);
}
