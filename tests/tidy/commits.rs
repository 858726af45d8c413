//! How commits are named.

use std::process::Command;

use crate::root;

/// The longest subject, in characters.
const SUBJECT_MAX: usize = 72;
/// The last commit from before the rule was tested.
const BEFORE_THE_RULE: &str = "c9ab8d3e511e";

#[test]
fn subjects_are_short_and_name_a_scope() {
    let root = root();
    if !root.join(".git").exists() {
        // A copy of the files alone: there are no commits to look at.
        return;
    }
    let log = |range: &str| {
        let output = Command::new("git")
            .args(["log", "--no-merges", "--format=%h %s", range])
            .current_dir(&root)
            .output()
            .expect("git runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (known, mut commits) = log(&format!("{BEFORE_THE_RULE}..HEAD"));
    if !known {
        // A shallow clone may hold the newest commit alone.
        commits = log("HEAD").1.lines().next().unwrap_or_default().to_owned();
    }
    for commit in commits.lines() {
        let (_, subject) = commit.split_once(' ').expect("a hash and a subject");
        assert!(
            subject.chars().count() <= SUBJECT_MAX,
            "{commit}: longer than {SUBJECT_MAX} characters"
        );
        let scopes = subject.split_once(": ").map(|(scopes, _)| scopes);
        let is_scope = |scope: &str| !scope.is_empty() && !scope.contains(' ');
        assert!(
            scopes.is_some_and(|scopes| scopes.split(", ").all(is_scope)),
            "{commit}: no scope before a colon"
        );
    }
}
