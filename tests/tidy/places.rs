//! Things that have one place: SQL, AMQP, clocks and randomness, what only the other side of the wire may use.

use std::fs;
use std::path::Path;

use crate::{root, sources};

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
