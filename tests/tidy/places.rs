//! Things that have one place: SQL, AMQP, clocks and randomness, what only the other side of the wire may use.

use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

use crate::imports::is_test_only;
use crate::{root, sources};

#[test]
fn the_simulator_never_uses_the_client() {
    for path in sources(&root().join("tests/simulator/src")) {
        let text = fs::read_to_string(&path).expect("a source file");
        for client in ["whatsapp::client", "whatsapp::connection", "whatsapp::command"] {
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
fn clocks_and_randomness_are_read_where_they_are_handed_out() {
    let root = root();
    let mut told = Vec::new();
    for folder in ["api", "shared", "shared/media", "worker", "worker/whatsapp"] {
        let src = root.join(folder).join("src");
        for path in sources(&src) {
            let inside = path.strip_prefix(&root).expect("below the root");
            let is_test = path
                .strip_prefix(&src)
                .is_ok_and(|below| below.iter().any(|part| part == "tests" || part == "tests.rs"));
            if is_test || HANDED_OUT.iter().any(|file| inside == Path::new(file)) {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut found = GlobalReads::default();
            found.visit_file(&parsed);
            told.extend(
                found
                    .0
                    .into_iter()
                    .map(|name| format!("{}: {name}", inside.display())),
            );
        }
    }
    assert!(told.is_empty(), "to be passed in:\n{}", told.join("\n"));
}

/// Where clocks and randomness come from. Nonces of sealed values are the machine's alone: one that a seed could repeat
/// would give the values away.
const HANDED_OUT: [&str; 5] = [
    "shared/src/clock.rs",
    "shared/src/random.rs",
    "shared/src/seal.rs",
    "shared/src/testing.rs",
    "worker/whatsapp/src/client/clock.rs",
];

/// What reads a clock or the machine's randomness.
const GLOBAL: [&str; 9] = [
    "OffsetDateTime::now_utc",
    "SystemTime::now",
    "Instant::now",
    "rand::rng",
    "rand::make_rng",
    "rand::random",
    "StdRng::from_os_rng",
    "Uuid::new_v4",
    "Uuid::now_v7",
];

/// Calls of what is [`GLOBAL`], tests left out.
#[derive(Default)]
struct GlobalReads(Vec<String>);

impl<'ast> Visit<'ast> for GlobalReads {
    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let names: Vec<_> = path
            .path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        let last_two = names[names.len().saturating_sub(2)..].join("::");
        if GLOBAL.contains(&last_two.as_str()) {
            self.0.push(last_two);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !module.attrs.iter().any(is_test_only) {
            visit::visit_item_mod(self, module);
        }
    }
}
