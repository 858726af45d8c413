//! Files of a crate may build on each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::imports::{self, Imports};
use crate::{CRATES, root};

#[test]
fn no_two_files_of_a_crate_import_each_other_in_a_circle() {
    let mut told = String::new();
    for folder in CRATES {
        let imports = imports::of_crate(&root().join(folder).join("src"));
        assert!(imports.len() > 3, "{folder}: its files were not found");
        for circle in circles(&imports) {
            writeln!(told, "\n{folder}: {} files in a circle", circle.len()).expect("a text grows");
            for file in &circle {
                for (other, names) in imports[file].iter().filter(|(other, _)| circle.contains(*other)) {
                    let names = names.iter().cloned().collect::<Vec<_>>().join(", ");
                    writeln!(told, "  {} -> {}: {names}", file.display(), other.display())
                        .expect("a text grows");
                }
            }
        }
    }
    assert!(told.is_empty(), "{told}");
}

/// Sets of files of which each can be reached from each.
fn circles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = imports
        .keys()
        .map(|file| (file, reached_from(imports, file)))
        .collect();
    let mut found: Vec<BTreeSet<PathBuf>> = Vec::new();
    for (file, reach) in &reached {
        let circle: BTreeSet<PathBuf> = reach
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(*file)))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

fn reached_from<'a>(imports: &'a Imports, from: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for other in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(other) {
                open.push(other);
            }
        }
    }
    reached
}

#[test]
fn a_circle_is_found_and_a_chain_is_none() {
    let uses = |pairs: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (file, other) in pairs {
            imports.entry(other.into()).or_default();
            imports
                .entry(file.into())
                .or_default()
                .insert(other.into(), BTreeSet::from(["Name".to_owned()]));
        }
        circles(&imports)
    };
    assert!(uses(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
    let expected: BTreeSet<PathBuf> = ["a", "b", "c"].map(PathBuf::from).into();
    assert_eq!(
        uses(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]),
        [expected]
    );
}
