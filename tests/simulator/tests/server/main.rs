//! The simulator from outside: a raw client on a real socket, phones and contacts on the other side.

#![allow(missing_docs, clippy::unwrap_used)]

mod client;
mod contacts;
mod control;
mod faults;
mod linking;
mod offline;
mod queries;
mod resumption;
mod tokens;

use simulator::population::Manners;
use simulator::{Handle, Options, Simulator};

/// Contacts of the tests: `17770000` to `17770099`.
const PREFIX: &str = "177700";

async fn simulator() -> Handle {
    Simulator::start(Options {
        shards: 2,
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn simulator_with_contacts(manners: Manners) -> Handle {
    let handle = simulator().await;
    handle.create_contacts(PREFIX, 100, manners).await.unwrap();
    handle
}

/// A contact.
fn contact(index: u32) -> String {
    format!("{PREFIX}{index:02}")
}
