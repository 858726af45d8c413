//! The JSON Schemas in docs/schemas are those of the types. `UPDATE_SCHEMAS=1` writes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shared::event::Envelope;
use shared::job::{Job, JobKind};

#[test]
fn the_schemas_in_the_docs_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let mut wanted = BTreeMap::new();
    for kind in JobKind::ALL {
        wanted.insert(format!("job.{}.json", kind.as_str()), Job::schema(kind));
    }
    wanted.insert("event.json".to_owned(), schemars::schema_for!(Envelope));
    for (name, schema) in wanted {
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        let path = folder.join(&name);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(&folder).expect("docs/schemas");
            fs::write(&path, text).expect("a writable schema");
        } else {
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == text,
                "docs/schemas/{name} is not current; run the test with UPDATE_SCHEMAS=1"
            );
        }
    }
}
