//! Rules of the tree as tests: who may use whom, where SQL and AMQP live, how long a file may be, which licences come in.

mod circles;
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The longest a hand-written source file may be, in lines.
const FILE_LINES_MAX: usize = 700;

/// The folders of the crates, simulator and harness among them.
const CRATES: [&str; 6] = [
    "api",
    "shared",
    "worker",
    "worker/whatsapp",
    "tests/simulator",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["api", "shared", "worker", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .collect()
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
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

#[test]
fn crates_depend_on_each_other_only_as_drawn() {
    let drawn: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([
        ("shared", BTreeSet::new()),
        ("whatsapp", BTreeSet::new()),
        ("api", BTreeSet::from(["shared"])),
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
fn the_simulator_never_uses_the_client() {
    for path in sources(&root().join("tests/simulator/src")) {
        let text = fs::read_to_string(&path).expect("a source file");
        for client in ["whatsapp::client", "whatsapp::connection", "whatsapp::messaging"] {
            assert!(!text.contains(client), "{} uses {client}", path.display());
        }
    }
}

#[test]
fn sql_is_in_the_store_and_amqp_in_the_broker() {
    let root = root();
    for path in ["api", "shared", "worker"]
        .iter()
        .flat_map(|folder| sources(&root.join(folder)))
    {
        let inside = path.strip_prefix(&root).expect("below the root");
        let text = fs::read_to_string(&path).expect("a source file");
        let tests_only = inside == Path::new("shared/src/testing.rs");
        let in_store = inside.starts_with("shared/src/store");
        let in_broker =
            inside.starts_with("shared/src/broker") || inside == Path::new("shared/src/broker.rs");
        assert!(
            in_store || tests_only || !text.contains("tokio_postgres::"),
            "{} reaches past shared::store",
            inside.display()
        );
        assert!(
            in_broker || tests_only || !text.contains("lapin::"),
            "{} reaches past shared::broker",
            inside.display()
        );
    }
}

#[test]
fn files_are_short_enough_to_hold() {
    for path in all_sources() {
        if path.ends_with("proto/wa.rs") {
            continue;
        }
        let lines = fs::read_to_string(&path).expect("a source file").lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{}: {lines} lines; what are its two halves?",
            path.display()
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
