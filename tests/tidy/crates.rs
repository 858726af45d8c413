//! Who may depend on whom, and which crates of others come in.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::root;

#[test]
fn crates_depend_on_each_other_only_as_drawn() {
    let drawn: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([
        ("media", BTreeSet::new()),
        ("shared", BTreeSet::new()),
        ("whatsapp", BTreeSet::from(["media"])),
        ("api", BTreeSet::from(["media", "shared"])),
        ("worker", BTreeSet::from(["shared", "whatsapp"])),
        ("simulator", BTreeSet::from(["whatsapp"])),
        ("tests", BTreeSet::from(["shared", "simulator", "whatsapp"])),
    ]);
    let metadata = metadata();
    let members: BTreeSet<&str> = drawn.keys().copied().collect();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        if !package["source"].is_null() {
            continue;
        }
        let own: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| members.contains(dependency))
            .collect();
        let allowed = drawn
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not on the map in docs/ARCHITECTURE.md"));
        assert!(
            own.is_subset(allowed),
            "{name} uses {own:?}, drawn is {allowed:?}"
        );
    }
}

#[test]
fn licences_are_permissive_and_one_tls_provider_is_in_the_tree() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        assert!(
            !name.starts_with("aws-lc"),
            "{name} came in; ring is the one TLS provider"
        );
        let licence = package["license"].as_str().unwrap_or_default();
        let copyleft_only = licence.split(" OR ").all(|choice| choice.contains("GPL"));
        assert!(!copyleft_only || licence.is_empty(), "{name} is under {licence}");
        assert!(
            !licence.is_empty() || package["license_file"].is_string(),
            "{name} names no licence"
        );
    }
}

/// The crates of this machine's build; those of other platforms need not have been fetched.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &host()])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata answers JSON")
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}
