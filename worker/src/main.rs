//! Entry point of the background process.
fn main() {}
