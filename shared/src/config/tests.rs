use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::*;

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut env = env(&[
        ("SHARDS", "0"),
        ("METRICS_ADDR", "nowhere"),
        ("METRICS_TOKEN", "short"),
        ("SURVEY_SECONDS", "0.5"),
        ("MIN", "5"),
        ("MAX", "1"),
    ]);
    let _ = Common::read(&mut env);
    let _ = read_delay(&mut env);
    let _ = read_sealer(&mut env);
    let ConfigError(problems) = env.finish().unwrap_err();
    for name in [
        "SHARDS",
        "METRICS_ADDR",
        "METRICS_TOKEN",
        "SURVEY_SECONDS",
        "MIN",
        "DATABASE_URL",
        "AMQP_URL",
        "KEY_ENCRYPTION_KEY",
    ] {
        assert!(
            problems.iter().any(|p| p.starts_with(name)),
            "{name} in {problems:?}"
        );
    }
}

#[test]
fn a_gap_that_is_no_number_is_named_alone() {
    let mut env = env(&[("MIN", "40"), ("MAX", "x")]);
    let _ = read_delay(&mut env);
    let ConfigError(problems) = env.finish().unwrap_err();
    // Nothing false of MIN, which is above the default of MAX only if that counted.
    assert_eq!(problems, ["MAX: must be a number of seconds, such as 2.5"]);
}

#[test]
fn defaults_hold_and_secrets_stay_hidden() {
    let mut env = env(&[
        ("DATABASE_URL", "postgres://u:hush@h/d"),
        ("AMQP_URL", "amqp://u:hush@h"),
        ("LOG", " "),
    ]);
    let common = Common::read(&mut env);
    assert_eq!(
        (
            common.amqp.shards,
            common.amqp.prefix.as_str(),
            common.log.as_str()
        ),
        (16, "fanfare", "info")
    );
    assert!(!format!("{common:?}").contains("hush"));
    env.finish().unwrap();
}

#[test]
fn a_variable_that_is_no_text_is_a_mistake_only_where_it_is_ours() {
    use std::os::unix::ffi::OsStringExt as _;
    let no_text = || OsString::from_vec(vec![b'a', 0xff]);
    let mut env = Env::of_system([
        (OsString::from("SOMEBODYS"), no_text()),
        (no_text(), OsString::from("x")),
        (OsString::from("LOG"), OsString::from("debug")),
        (OsString::from("AMQP_URL"), no_text()),
        (OsString::from("SHARDS"), no_text()),
    ]);
    assert_eq!(env.or("LOG", "info".to_owned()), "debug");
    assert_eq!(env.required::<String>("AMQP_URL", "such as x"), None);
    assert_eq!(env.or("SHARDS", 7), 7);
    let ConfigError(problems) = env.finish().unwrap_err();
    assert_eq!(problems, ["AMQP_URL: is not UTF-8", "SHARDS: is not UTF-8"]);
}

/// The names that the products read from the environment, found in their sources.
fn names_in_sources(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["shared/src", "api/src", "worker/src"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]").next().unwrap_or_default();
                names.extend(names_read(product));
            }
        }
    }
    names
}

/// What stands first in each call that reads a setting.
fn names_read(text: &str) -> impl Iterator<Item = String> {
    let readers = [
        "env.or(",
        "env.optional",
        "env.read(",
        "env.required(",
        "read_seconds(env",
        "within(env,",
        "read_keep_days(env,",
    ];
    readers
        .into_iter()
        .flat_map(|reader| text.split(reader).skip(1))
        .filter_map(|rest| {
            let name = rest.split('"').nth(1)?;
            let upper = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            (!name.is_empty() && name.bytes().all(upper)).then(|| name.to_owned())
        })
}

#[test]
fn every_setting_is_explained_and_offered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
    let (page, example, compose) = (
        read("docs/SETTINGS.md"),
        read(".env.example"),
        read("docker-compose.yml"),
    );
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let names = names_in_sources(root);
    assert!(names.len() > 20, "{names:?}");
    assert_eq!(explained, names, "docs/SETTINGS.md against the sources");
    for name in names {
        let line = format!("{name}=");
        assert!(
            example.lines().any(|l| l.starts_with(&line)),
            "{name} is not in .env.example"
        );
        let line = format!("    {name}: ");
        assert!(
            compose.lines().any(|l| l.starts_with(&line)),
            "{name} is not in docker-compose.yml"
        );
    }
}
