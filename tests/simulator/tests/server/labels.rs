//! How a message is labelled decides what becomes of it, unless that is switched off.

use simulator::Handle;
use simulator::population::Manners;
use simulator::world::{Labels, Speaker};
use whatsapp::binary::Node;

use crate::client::{Companion, number};
use crate::{contact, simulator_with_contacts};

const PHONE: &str = "15551230001";

async fn got(handle: &Handle) -> usize {
    let contact = Speaker::Contact(number(&contact(1)));
    handle.messages(contact, 0).await.unwrap().len()
}

/// Sends a text that says of itself that it is media, without a type of it.
async fn send_unnamed(companion: &mut Companion, id: &str) -> Node {
    let mut stanza = companion.text_stanza(&contact(1), id, "picture").await;
    stanza.set_attr("type", "media");
    companion.wire().send(&stanza).await;
    companion.acked(id).await
}

#[tokio::test]
async fn media_without_its_type_is_acknowledged_and_gets_nowhere() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let ack = send_unnamed(&mut companion, "3EB0AA").await;
    assert!(ack.value("error").is_none());
    assert_eq!(handle.audit().await.unwrap().server.messages_dropped, 1);
    assert_eq!(got(&handle).await, 0);
    handle.set_labels(Labels::Ignored).await.unwrap();
    send_unnamed(&mut companion, "3EB0AB").await;
    companion.receipt("3EB0AB").await;
    assert_eq!(got(&handle).await, 1);
}

#[tokio::test]
async fn buttons_with_another_node_than_theirs_are_refused() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let biz = Node::new("biz").with_child(Node::new("buttons"));
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "choose").await;
    companion.wire().send(&stanza.with_child(biz)).await;
    assert!(companion.acked("3EB0AA").await.attr_is("error", "405"));
    assert_eq!(got(&handle).await, 0);
}
