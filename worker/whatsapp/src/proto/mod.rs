//! The protobuf messages of the wire: prost's output for `proto/whatsapp.proto`, which is the source to
//! change.
//!
//! `tests/proto_is_current.rs` makes `wa.rs` again and compares. Bytes fields are [`bytes::Bytes`]; message
//! fields of [`Message`] are boxed.

#[allow(missing_docs, unreachable_pub, rustdoc::all, clippy::all)]
#[rustfmt::skip]
mod wa;

pub use wa::*;
