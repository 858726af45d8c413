//! What waits for a device that is away.

use crate::client::{Companion, number};
use crate::{contact, simulator_with_contacts};
use simulator::population::Manners;
use simulator::world::Speaker;

const PHONE: &str = "15551230001";

#[tokio::test]
async fn messages_wait_until_they_are_acknowledged() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.wire = None;
    for text in ["first", "second"] {
        handle
            .say(Speaker::Contact(number(&contact(1))), number(PHONE), text)
            .await
            .unwrap();
    }
    // Not acknowledged: they come with each login.
    let mut stanzas = Vec::new();
    for _ in 0..2 {
        companion.log_in(&handle).await;
        let wire = companion.wire();
        let preview = wire
            .expect("preview", |node| node.child("offline_preview").is_some())
            .await;
        assert_eq!(
            preview.child("offline_preview").unwrap().attr_u64("message"),
            Some(2)
        );
        stanzas.clear();
        for _ in 0..2 {
            let stanza = wire.expect("message", |node| node.is("message")).await;
            assert!(stanza.value("offline").is_some());
            stanzas.push(stanza);
        }
    }
    for (stanza, text) in stanzas.iter().zip(["first", "second"]) {
        assert_eq!(companion.decrypt(stanza).conversation.as_deref(), Some(text));
        companion.thank(stanza).await;
    }
    companion.settle().await;
    companion.log_in(&handle).await;
    let preview = companion
        .wire()
        .expect("preview", |node| node.child("offline_preview").is_some())
        .await;
    assert_eq!(
        preview.child("offline_preview").unwrap().attr_u64("message"),
        Some(0)
    );
}

#[tokio::test]
async fn receipts_wait_too() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "hello").await;
    companion.wire = None;
    companion.log_in(&handle).await;
    companion.receipt("3EB0AA").await;
    companion.settle().await;
    let sessions = handle.sessions().await.unwrap();
    assert_eq!(sessions[0].pending, 0);
}

#[tokio::test]
async fn a_large_backlog_is_written_as_fast_as_it_is_read() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.wire = None;
    const COUNT: usize = 6000;
    // Receipts for one message after another, which nobody takes.
    let mut sender = Companion::online(&handle, "15551230002").await;
    let recipient = companion.jid();
    let mut sent = 0;
    while sent < COUNT {
        let stanza = whatsapp::binary::Node::new("receipt")
            .attr("id", format!("R{sent}"))
            .attr("to", &recipient);
        sender.wire().send(&stanza).await;
        sent += 1;
        if sent % 500 == 0 {
            sender.settle().await;
        }
    }
    companion.log_in(&handle).await;
    let backlog = &companion.wire().backlog;
    assert_eq!(backlog.iter().filter(|node| node.is("receipt")).count(), COUNT);
}
