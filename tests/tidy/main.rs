//! Rules of the tree as tests: who may use whom, where things have their place, how long a file may be, which licences
//! come in, how commits are named, what the list of events says.

mod circles;
mod commits;
mod crates;
mod dashboards;
mod events;
mod folders;
mod imports;
mod places;
mod shape;

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the crates, simulator and harness among them.
const CRATES: [&str; 7] = [
    "api",
    "shared/media",
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
