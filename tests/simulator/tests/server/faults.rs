//! Faults: each does what it says, to whom it says.

use crate::client::Companion;
use crate::client::number;
use crate::{contact, simulator_with_contacts};
use serde_json::{Value, json};
use simulator::Handle;
use simulator::population::Manners;
use simulator::world::Speaker;
use whatsapp::signal::session::{DecryptError, LocalIdentity, PreKeyMessage, PreKeys, SessionRecord};

const PHONE: &str = "15551230001";

async fn fault(handle: &Handle, json: Value) -> usize {
    handle
        .add_fault(serde_json::from_value(json).unwrap())
        .await
        .unwrap()
        .1
}

async fn online() -> (Handle, Companion) {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Companion::online(&handle, PHONE).await;
    (handle, companion)
}

async fn times_received(handle: &Handle, index: u32) -> u32 {
    let got = handle
        .messages(Speaker::Contact(number(&contact(index))), 0)
        .await
        .unwrap();
    got.first().map_or(0, |message| message.times_received)
}

#[tokio::test]
async fn dropped_before_it_is_handled() {
    let (handle, mut companion) = online().await;
    fault(
        &handle,
        json!({ "kind": "drop_before", "match": { "from": PHONE } }),
    )
    .await;
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "gone").await;
    companion.wire().send(&stanza).await;
    assert!(companion.wire().next().await.is_none());
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.server.messages_dropped, audit.server.messages_accepted),
        (1, 0)
    );
    assert_eq!(times_received(&handle, 1).await, 0);
}

#[tokio::test]
async fn dropped_after_it_was_handled() {
    let (handle, mut companion) = online().await;
    fault(&handle, json!({ "kind": "drop_after" })).await;
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "handled").await;
    companion.wire().send(&stanza).await;
    assert!(companion.wire().next().await.is_none());
    assert_eq!(times_received(&handle, 1).await, 1);
    companion.log_in(&handle).await;
    companion.send_text(&contact(1), "3EB0AA", "handled").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.contacts.shown_once, audit.contacts.shown_twice, audit.lost),
        (1, 0, 0)
    );
    assert_eq!(
        (
            audit.contacts.duplicates_received,
            audit.server.message_keys_reused
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn a_withheld_ack_leaves_the_connection() {
    let (handle, mut companion) = online().await;
    fault(
        &handle,
        json!({ "kind": "withhold_ack", "match": { "to": contact(1) } }),
    )
    .await;
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "no ack").await;
    companion.wire().send(&stanza).await;
    companion.receipt("3EB0AA").await;
    companion.settle().await;
    assert!(
        !companion
            .wire()
            .backlog
            .iter()
            .any(|node| node.is("ack") && node.attr_is("class", "message"))
    );
}

#[tokio::test]
async fn a_nack_names_its_code_and_delivers_nothing() {
    let (handle, mut companion) = online().await;
    fault(&handle, json!({ "kind": "nack", "code": 463, "count": 1 })).await;
    let ack = companion.send_text(&contact(1), "3EB0AA", "refused").await;
    assert!(ack.attr_is("error", "463"));
    assert_eq!(times_received(&handle, 1).await, 0);
    assert!(
        companion
            .send_text(&contact(1), "3EB0AA", "taken")
            .await
            .value("error")
            .is_none()
    );
    assert_eq!(handle.audit().await.unwrap().server.messages_nacked, 1);
}

#[tokio::test]
async fn a_recipient_that_nobody_has_is_a_nack() {
    let (_handle, mut companion) = online().await;
    companion.start_sessions(&[]).await;
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "lost").await;
    let mut stanza = stanza;
    stanza.set_attr("to", whatsapp::jid::Jid::phone("19998887777").unwrap());
    companion.wire().send(&stanza).await;
    assert!(companion.acked("3EB0AA").await.attr_is("error", "404"));
}

#[tokio::test]
async fn a_duplicate_is_shown_once() {
    let (handle, mut companion) = online().await;
    fault(&handle, json!({ "kind": "duplicate", "copies": 3 })).await;
    companion.send_text(&contact(1), "3EB0AA", "again").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!((audit.contacts.shown_once, audit.contacts.shown_twice), (1, 0));
    assert_eq!(times_received(&handle, 1).await, 3);
}

#[tokio::test]
async fn a_delayed_message_comes_late() {
    let (handle, mut companion) = online().await;
    fault(&handle, json!({ "kind": "delay", "delay_ms": 200, "ack": true })).await;
    let start = tokio::time::Instant::now();
    companion.send_text(&contact(1), "3EB0AA", "late").await;
    companion.receipt("3EB0AA").await;
    assert!(start.elapsed() >= std::time::Duration::from_millis(200));
}

#[tokio::test]
async fn a_corrupted_copy_is_asked_for_again() {
    let (handle, mut companion) = online().await;
    fault(
        &handle,
        json!({ "kind": "corrupt_mac", "match": { "to": format!("{}*", &contact(1)[..6]) } }),
    )
    .await;
    companion.send_text(&contact(1), "3EB0AA", "broken").await;
    let retry = companion.receipt("3EB0AA").await;
    assert!(retry.attr_is("type", "retry"));
    assert!(retry.child("registration").is_some() && retry.child("keys").is_none());
    companion.send_text(&contact(1), "3EB0AA", "whole").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (
            audit.contacts.shown_once,
            audit.contacts.undecryptable,
            audit.lost
        ),
        (1, 0, 0)
    );
    assert!(audit.contacts.undecryptable_by_fault >= 1);
}

#[tokio::test]
async fn a_forced_retry_may_bring_keys() {
    let (handle, mut companion) = online().await;
    fault(&handle, json!({ "kind": "force_retry", "keys": true })).await;
    companion.send_text(&contact(1), "3EB0AA", "again please").await;
    let retry = companion.receipt("3EB0AA").await;
    let keys = retry.child("keys").unwrap();
    for part in ["type", "identity", "key", "skey"] {
        assert!(keys.child(part).is_some(), "{part}");
    }
    assert_eq!(handle.audit().await.unwrap().contacts.shown_once, 0);
}

#[tokio::test]
async fn streams_end_and_logins_fail_as_told() {
    let (handle, mut companion) = online().await;
    let now = json!({ "kind": "stream_error", "code": 503, "on": "now", "match": { "from": PHONE } });
    assert_eq!(fault(&handle, now).await, 1);
    let error = companion
        .wire()
        .expect("error", |node| node.is("stream:error"))
        .await;
    assert!(error.attr_is("code", "503"));
    companion.wire().ended().await;

    fault(
        &handle,
        json!({ "kind": "failure", "reason": 402, "match": { "from": PHONE } }),
    )
    .await;
    let payload = companion.login_payload();
    let mut wire = crate::wire::Wire::open(&handle, &companion.device, &payload, &mut companion.rng).await;
    let failure = wire.expect("failure", |node| node.is("failure")).await;
    assert!(failure.attr_is("reason", "402"));
    assert!(failure.value("code").is_some() && failure.value("expire").is_some());
    companion.log_in(&handle).await;

    assert_eq!(fault(&handle, json!({ "kind": "cut", "on": "now" })).await, 1);
    assert!(companion.wire().next().await.is_none());
    assert!(
        handle
            .faults()
            .await
            .unwrap()
            .iter()
            .all(|active| active.struck == 1)
    );
    handle.end_faults(None).await.unwrap();
    assert!(handle.faults().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_corrupted_in_a_first_message_is_its_mac() {
    let (handle, mut companion) = online().await;
    let from = number(&contact(1));
    fault(
        &handle,
        json!({ "kind": "corrupt_mac", "match": { "from": contact(1) } }),
    )
    .await;
    handle
        .say(Speaker::Contact(from), number(PHONE), "spoiled")
        .await
        .unwrap();
    let stanza = companion
        .wire()
        .expect("a message", |node| node.is("message"))
        .await;
    let bytes = stanza.child("enc").unwrap().bytes().unwrap();
    let message = PreKeyMessage::parse(&bytes).unwrap();
    let prekeys = PreKeys {
        signed: Some(&companion.device.signed_prekey),
        one_time: companion
            .prekeys
            .iter()
            .find(|key| Some(key.id) == message.prekey_id()),
    };
    let own = LocalIdentity {
        pair: &companion.device.identity,
        registration_id: companion.device.registration_id,
    };
    let read = SessionRecord::default().decrypt_prekey(own, &message, prekeys);
    assert!(matches!(read, Err(DecryptError::BadMac)));
}
