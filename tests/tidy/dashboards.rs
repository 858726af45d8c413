//! deploy/grafana against its generator, and each panel against what a reader at night needs of it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
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
