//! The rooms of each crate, and which way they may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::imports;
use crate::root;

#[test]
fn print() {
    for folder in crate::CRATES {
        let mut edges: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (file, uses) in imports::of_crate(&root().join(folder).join("src")) {
            for (other, names) in uses {
                let (a, b) = (room(&file), room(&other));
                if a != b {
                    edges.entry(a).or_default().entry(b).or_default().insert(format!(
                        "{}->{}:{}",
                        file.display(),
                        other.display(),
                        names.into_iter().collect::<Vec<_>>().join(",")
                    ));
                }
            }
        }
        for (a, to) in &edges {
            println!(
                "{folder}: {a} -> {}",
                to.keys().cloned().collect::<Vec<_>>().join(" ")
            );
        }
        for (a, to) in &edges {
            for (b, why) in to {
                if edges.get(b).is_some_and(|back| back.contains_key(a)) {
                    println!("  BOTH {a} {b}: {why:?}");
                }
            }
        }
    }
}

fn room(file: &Path) -> String {
    file.components()
        .next()
        .map(|part| {
            part.as_os_str()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned()
        })
        .unwrap_or_default()
}
