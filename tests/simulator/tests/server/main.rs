//! The simulator from outside: a raw client on a real socket, phones and contacts on the other side.

#![allow(missing_docs, clippy::unwrap_used)]

mod addressing;
mod client;
mod contacts;
mod control;
mod faults;
mod labels;
mod limits;
mod linking;
mod offline;
mod queries;
mod resumption;
mod special;
mod tokens;
mod version;
mod wire;

use simulator::population::Manners;
use simulator::{Handle, Options, Simulator};
use whatsapp::binary::{Content, Node};
use whatsapp::jid::Jid;

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

/// A fanned out stanza with its chat and its devices named otherwise.
fn renamed(stanza: &Node, name: impl Fn(&Jid) -> Jid) -> Node {
    let mut stanza = stanza.clone();
    let chat = stanza.attr_jid("to").unwrap();
    stanza.set_attr("to", name(&chat));
    let Content::Nodes(children) = &mut stanza.content else {
        panic!("no participants")
    };
    let participants = children
        .iter_mut()
        .find(|child| child.is("participants"))
        .unwrap();
    let Content::Nodes(devices) = &mut participants.content else {
        panic!("no devices")
    };
    for device in devices {
        let jid = device.attr_jid("jid").unwrap();
        device.set_attr("jid", name(&jid));
    }
    stanza
}
