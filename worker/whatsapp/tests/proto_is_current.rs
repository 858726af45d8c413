//! `src/proto/wa.rs` is what `proto/whatsapp.proto` says.
//!
//! After a change of the schema run this test with `UPDATE_PROTO=1`; it writes the file instead of comparing.

use std::error::Error;
use std::fs;
use std::path::Path;

use prost_build::{Config, Module};

const PACKAGE: &str = "wa";

#[test]
fn generated_code_is_what_the_schema_says() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/proto/wa.rs");
    let generated = generate(&root.join("proto"))?;
    if std::env::var_os("UPDATE_PROTO").is_some() {
        fs::write(&committed, generated)?;
        return Ok(());
    }
    assert!(
        fs::read_to_string(&committed)? == generated,
        "src/proto/wa.rs is not what proto/whatsapp.proto makes; run this test with UPDATE_PROTO=1"
    );
    Ok(())
}

/// The Rust text for the schema. Bytes fields share the buffer that they were decoded from, and the parts of
/// `Message`, of which a message has one or two, are boxed: the struct would be several kilobytes otherwise.
fn generate(folder: &Path) -> Result<String, Box<dyn Error>> {
    let files = protox::compile(["whatsapp.proto"], [folder])?;
    let mut config = Config::new();
    config.bytes(["."]);
    let file = files
        .file
        .into_iter()
        .find(|file| file.package() == PACKAGE)
        .ok_or("no such package")?;
    let message = file
        .message_type
        .iter()
        .find(|message| message.name() == "Message")
        .ok_or("no message Message")?;
    for field in message.field.iter().filter(|field| !field.type_name().is_empty()) {
        config.boxed(format!(".{PACKAGE}.Message.{}", field.name()));
    }
    let module = Module::from_protobuf_package_name(PACKAGE);
    let mut texts = config.generate(vec![(module.clone(), file)])?;
    texts
        .remove(&module)
        .ok_or_else(|| "nothing was generated".into())
}
