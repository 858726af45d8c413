//! Contacts: what they show, answer, and say of what they got.

use std::time::Duration;

use crate::client::{Companion, number};
use crate::{contact, renamed, simulator_with_contacts};
use simulator::number::Addressing;
use simulator::population::{Manners, Reply};
use simulator::world::Speaker;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::phash::devices_hash;
use whatsapp::proto::{Message, message::DeviceSentMessage};
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::{PreKey, PreKeyId};

const PHONE: &str = "15551230001";

fn quick(reply: Option<Reply>) -> Manners {
    let wait = |ms| Some(Duration::from_millis(ms));
    Manners {
        deliver_after: wait(10),
        read_after: wait(30),
        reply,
        ..Manners::default()
    }
}

#[tokio::test]
async fn a_text_is_shown_once_delivered_and_read() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let ack = companion.send_text(&contact(1), "3EB0AA", "hello").await;
    assert!(ack.value("error").is_none() && ack.value("phash").is_none());
    assert!(companion.receipt("3EB0AA").await.value("type").is_none());
    assert!(companion.receipt("3EB0AA").await.attr_is("type", "read"));

    let got = handle
        .messages(Speaker::Contact(number(&contact(1))), 0)
        .await
        .unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(
        (got[0].id.as_str(), got[0].from.as_str(), got[0].text.as_str()),
        ("3EB0AA", PHONE, "hello")
    );
    assert_eq!(
        (got[0].kind.as_str(), got[0].times_shown, got[0].times_received),
        ("text", 1, 1)
    );
    let own = handle.messages(Speaker::Phone(number(PHONE)), 0).await.unwrap();
    assert_eq!(
        (own[0].text.as_str(), own[0].to.as_deref()),
        ("hello", Some(contact(1).as_str()))
    );

    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (
            audit.server.messages_accepted,
            audit.contacts.shown_once,
            audit.lost
        ),
        (1, 1, 0)
    );
    assert_eq!(
        (
            audit.server.message_keys_reused,
            audit.contacts.undecryptable,
            audit.contacts.malformed
        ),
        (0, 0, 0)
    );
    assert_eq!((audit.sessions[0].sends, audit.sessions[0].gap_ms.min), (1, None));
}

#[tokio::test]
async fn an_id_that_comes_again_is_not_shown_again() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    for text in ["once", "once"] {
        companion.send_text(&contact(1), "3EB0AA", text).await;
    }
    let got = handle
        .messages(Speaker::Contact(number(&contact(1))), 0)
        .await
        .unwrap();
    assert_eq!((got.len(), got[0].times_shown, got[0].times_received), (1, 1, 2));
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.server.messages_accepted, audit.server.accepted_again),
        (1, 1)
    );
    assert_eq!(
        (audit.contacts.shown_once, audit.contacts.duplicates_received),
        (1, 1)
    );
    assert_eq!(audit.contacts.repeated_texts, 0);
    companion.send_text(&contact(1), "3EB0BB", "once").await;
    assert_eq!(handle.audit().await.unwrap().contacts.repeated_texts, 1);
}

#[tokio::test]
async fn a_contact_that_does_not_dedupe_is_shown_it_twice() {
    let handle = simulator_with_contacts(Manners {
        dedupe: false,
        ..quick(None)
    })
    .await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "twice").await;
    companion.send_text(&contact(1), "3EB0AA", "twice").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!((audit.contacts.shown_once, audit.contacts.shown_twice), (0, 1));
}

#[tokio::test]
async fn a_message_key_that_is_used_twice_is_noticed() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "first").await;
    let before = companion.sessions.clone();
    let stanza = companion.text_stanza(&contact(1), "3EB0BB", "second").await;
    companion.wire().send(&stanza).await;
    companion.acked("3EB0BB").await;
    assert_eq!(handle.audit().await.unwrap().server.message_keys_reused, 0);
    // The same bytes again, then other bytes from a ratchet that was set back.
    companion.wire().send(&stanza).await;
    companion.acked("3EB0BB").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (
            audit.server.message_keys_reused,
            audit.server.message_keys_reused_identical
        ),
        (2, 2)
    );
    companion.sessions = before;
    companion.send_text(&contact(1), "3EB0CC", "third").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (
            audit.server.message_keys_reused,
            audit.server.message_keys_reused_identical
        ),
        (4, 2)
    );
}

#[tokio::test]
async fn a_reply_reaches_companion_and_phone() {
    let handle = simulator_with_contacts(quick(Some(Reply::Text("thanks".into())))).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "hello").await;
    let (stanza, message) = companion.message().await;
    assert_eq!(message.conversation.as_deref(), Some("thanks"));
    assert_eq!(stanza.attr_jid("from").unwrap().user(), contact(1));
    assert!(stanza.attr_jid("sender_lid").unwrap().is_lid());
    assert!(stanza.value("notify").is_some() && stanza.value("offline").is_none());
    companion.thank(&stanza).await;
    companion.settle().await;
    let phone = handle.messages(Speaker::Phone(number(PHONE)), 0).await.unwrap();
    assert_eq!(phone.last().unwrap().text, "thanks");
    let sent = handle.sent(Speaker::Contact(number(&contact(1)))).await.unwrap();
    assert!(
        sent[0]
            .receipts
            .iter()
            .any(|receipt| receipt.device != 0 && receipt.kind == "delivery")
    );
}

#[tokio::test]
async fn a_contact_may_write_first_and_by_hidden_id() {
    let handle = simulator_with_contacts(Manners {
        addressing: Addressing::Lid,
        ..quick(None)
    })
    .await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let contact = number(&contact(1));
    let id = handle
        .say(Speaker::Contact(contact), number(PHONE), "hi")
        .await
        .unwrap();
    let (stanza, message) = companion.message().await;
    assert_eq!(message.conversation.as_deref(), Some("hi"));
    assert!(stanza.attr_is("id", &id));
    assert!(stanza.attr_jid("from").unwrap().is_lid());
    assert_eq!(stanza.attr_jid("sender_pn").unwrap().user(), contact.to_string());
    assert!(stanza.child("enc").unwrap().attr_is("type", "pkmsg"));
    let count = companion.iq("encrypt", "get", Node::new("count")).await;
    assert_eq!(count.child("count").unwrap().attr_u64("value"), Some(19));
}

#[tokio::test]
async fn a_contact_with_two_devices_gets_two_copies() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "one device").await;
    let device = handle.add_contact_device(number(&contact(1))).await.unwrap();
    let told = companion
        .wire()
        .expect("devices", |node| node.attr_is("type", "devices"))
        .await;
    let added = told.child("add").unwrap();
    assert_eq!(
        added.child("device").unwrap().attr_jid("jid").unwrap().device(),
        device
    );
    assert!(added.child("key-index-list").unwrap().bytes().is_some());
    companion.send_text(&contact(1), "3EB0BB", "two devices").await;
    for (of, texts) in [(0, 2), (device, 1)] {
        let got = handle
            .messages(Speaker::Contact(number(&contact(1))), of)
            .await
            .unwrap();
        assert_eq!(got.len(), texts);
        assert_eq!(got.last().unwrap().text, "two devices");
    }
}

#[tokio::test]
async fn a_missed_device_shows_in_the_ack() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0A0", "fine").await;
    let stanza = companion.text_stanza(&contact(1), "3EB0AA", "stale").await;
    handle.add_contact_device(number(&contact(1))).await.unwrap();
    let told = companion
        .wire()
        .expect("devices", |node| node.attr_is("type", "devices"))
        .await;
    let contact_lid = told.attr_jid("lid").unwrap();
    let (pn, lid) = (companion.jid(), companion.device.lid().unwrap().clone());
    for (id, chat, own) in [
        ("3EB0AA", Jid::phone(&contact(1)).unwrap(), pn.clone()),
        ("3EB0AB", contact_lid, lid),
    ] {
        let devices = [0u16, 1].map(|device| chat.clone().with_device(device));
        let owns = [0u16, own.device()].map(|device| own.clone().with_device(device));
        let all: Vec<_> = devices.into_iter().chain(owns).collect();
        let hidden = |jid: &Jid| match jid.same_user(&pn) {
            true => own.to_bare().with_device(jid.device()),
            false => chat.clone().with_device(jid.device()),
        };
        let mut stanza = renamed(&stanza, hidden);
        stanza.set_attr("id", id);
        companion.wire().send(&stanza).await;
        assert!(companion.acked(id).await.attr_is("phash", &devices_hash(&all)));
    }
}

#[tokio::test]
async fn what_goes_to_the_own_phone_again_belongs_to_its_chat() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "hello").await;
    let phone = companion.jid().to_bare();
    let chat = Jid::phone(&contact(1)).unwrap();
    let wrapped = DeviceSentMessage {
        destination_jid: Some(chat.to_string()),
        message: Some(Box::new(Message {
            conversation: Some("hello".into()),
            ..Message::default()
        })),
        phash: None,
    };
    let wrapped = Message {
        device_sent_message: Some(Box::new(wrapped)),
        ..Message::default()
    };
    let enc = companion.encrypt(&phone, &wrapped);
    let identity = companion.device.account.as_ref().unwrap().identity.clone();
    let again = Node::new("message")
        .attr("id", "3EB0AA")
        .attr("to", &phone)
        .attr("recipient", chat)
        .attr("type", "text")
        .with_child(enc)
        .with_child(Node::new("device-identity").with_bytes(identity));
    companion.wire().send(&again).await;
    companion.acked("3EB0AA").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.server.messages_accepted, audit.server.accepted_again),
        (1, 1)
    );
    assert_eq!(audit.sessions[0].sends, 1);
    let own = handle.messages(Speaker::Phone(number(PHONE)), 0).await.unwrap();
    assert_eq!(
        (own.len(), own[0].to.as_deref(), own[0].times_received),
        (1, Some(contact(1).as_str()), 2)
    );
}

#[tokio::test]
async fn a_reply_to_a_device_that_was_unlinked_is_nobodys_mistake() {
    let handle = simulator_with_contacts(Manners {
        read_after: Some(Duration::from_millis(200)),
        ..quick(Some(Reply::Echo))
    })
    .await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "hello").await;
    handle.audit().await.unwrap();
    handle.unlink(number(PHONE), None).await.unwrap();
    while handle
        .sent(Speaker::Contact(number(&contact(1))))
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.audit().await.unwrap().server.unknown_devices, 0);
}

#[tokio::test]
async fn a_session_that_is_started_without_device_identity_is_not_believed() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let mut stanza = companion.text_stanza(&contact(1), "3EB0AA", "who am I").await;
    let children = stanza
        .nodes()
        .iter()
        .filter(|child| !child.is("device-identity"))
        .cloned()
        .collect();
    stanza.content = whatsapp::binary::Content::Nodes(children);
    companion.wire().send(&stanza).await;
    let retry = companion.receipt("3EB0AA").await;
    assert_eq!(retry.child("retry").unwrap().attr_u64("error"), Some(12));
    let audit = handle.audit().await.unwrap();
    assert_eq!((audit.contacts.shown_once, audit.server.violations), (0, 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_asked_for_with_keys_the_second_time() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    companion.send_text(&contact(1), "3EB0AA", "fine").await;
    // A ratchet from another world: the contact knows nothing of it.
    let contact_jid = companion
        .sessions
        .keys()
        .find(|jid| jid.user() == contact(1))
        .unwrap()
        .clone();
    let mut stranger = Companion::online(&handle, "15551230002").await;
    stranger.send_text(&contact(1), "3EB0AB", "fine").await;
    stranger.receipt("3EB0AB").await;
    let foreign = stranger.sessions[&contact_jid].clone();
    let good = companion.sessions.insert(contact_jid.clone(), foreign).unwrap();
    for (id, count) in [("3EB0BB", 1), ("3EB0BB", 2)] {
        let stanza = companion.text_stanza(&contact(1), id, "unreadable").await;
        companion.wire().send(&stanza).await;
        companion.acked(id).await;
        let what =
            |node: &Node| node.is("receipt") && node.attr_is("id", id) && node.attr_is("type", "retry");
        let retry = companion.wire().expect("retry", what).await;
        assert_eq!(retry.child("retry").unwrap().attr_u64("count"), Some(count));
        assert_eq!(retry.child("keys").is_some(), count == 2);
    }
    companion.sessions.insert(contact_jid, good);
    companion.send_text(&contact(1), "3EB0BB", "readable").await;
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.contacts.undecryptable, audit.contacts.recovered, audit.lost),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn contacts_do_not_answer_each_other() {
    let handle = simulator_with_contacts(quick(Some(Reply::Echo))).await;
    let (one, other) = (number(&contact(1)), number(&contact(2)));
    handle.say(Speaker::Contact(one), other, "hello").await.unwrap();
    let read =
        |sent: &[simulator::crowd::Sent]| sent[0].receipts.iter().any(|receipt| receipt.kind == "read");
    // The reply would leave with the receipt.
    while !read(&handle.sent(Speaker::Contact(one)).await.unwrap()) {
        tokio::task::yield_now().await;
    }
    assert!(handle.sent(Speaker::Contact(other)).await.unwrap().is_empty());
}

/// The request of a client to send a message again, with keys; `typed` with the type of each key before it.
fn retry_with_keys(companion: &Companion, stanza: &Node, prekey: &PreKey, typed: bool) -> Node {
    let key = |key: &PublicKey| match typed {
        true => Node::new("value").with_slice(&key.serialize33()),
        false => Node::new("value").with_slice(key.as_bytes()),
    };
    let signed = &companion.device.signed_prekey;
    let keys = Node::new("keys")
        .with_child(Node::new("type").with_slice(&[5]))
        .with_child(Node::new("identity").with_slice(companion.device.identity.public().as_bytes()))
        .with_child(
            Node::new("key")
                .with_child(Node::new("id").with_slice(&prekey.id.to_be_bytes3()))
                .with_child(key(prekey.pair.public())),
        )
        .with_child(
            Node::new("skey")
                .with_child(Node::new("id").with_slice(&signed.id.to_be_bytes3()))
                .with_child(key(signed.pair.public()))
                .with_child(Node::new("signature").with_slice(&signed.signature)),
        );
    let id = stanza.value("id").unwrap();
    let retry = Node::new("retry")
        .attr("count", 2u32)
        .attr("id", id)
        .attr("t", stanza.value("t").unwrap())
        .attr("v", 1u32);
    Node::new("receipt")
        .attr("id", id)
        .attr("to", stanza.attr_jid("from").unwrap())
        .attr("type", "retry")
        .with_child(retry)
        .with_child(Node::new("registration").with_slice(&companion.device.registration_id.to_be_bytes()))
        .with_child(keys)
}

#[tokio::test]
async fn a_client_may_ask_again_with_keys_of_either_form() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    for (typed, text) in [(false, "one"), (true, "two")] {
        handle
            .say(Speaker::Contact(number(&contact(1))), number(PHONE), text)
            .await
            .unwrap();
        let (stanza, _) = companion.message().await;
        let prekey = PreKey::generate(PreKeyId::new(900 + u32::from(typed)).unwrap(), &mut companion.rng);
        companion.prekeys.push(prekey.clone());
        // The session is lost.
        companion.sessions.clear();
        let request = retry_with_keys(&companion, &stanza, &prekey, typed);
        companion.wire().send(&request).await;
        let (again, message) = companion.message().await;
        assert_eq!(again.value("id"), stanza.value("id"));
        assert!(again.child("enc").unwrap().attr_is("type", "pkmsg"));
        assert_eq!(message.conversation.as_deref(), Some(text));
    }
    assert_eq!(handle.audit().await.unwrap().server.violations, 0);
}

#[tokio::test]
async fn the_own_phone_needs_no_proof_of_a_device_that_it_signed() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let phone = companion.jid().to_bare();
    companion.start_sessions(std::slice::from_ref(&phone)).await;
    let enc = companion.encrypt(&phone, &Message::default());
    let stanza = Node::new("message")
        .attr("id", "3EB0AA")
        .attr("to", &phone)
        .attr("type", "text")
        .attr("category", "peer")
        .with_child(enc);
    companion.wire().send(&stanza).await;
    assert!(companion.acked("3EB0AA").await.value("error").is_none());
    let audit = handle.audit().await.unwrap();
    assert_eq!(
        (audit.server.violations, audit.contacts.retries_requested),
        (0, 0)
    );
}

#[tokio::test]
async fn a_phone_writes_under_the_address_that_its_companions_call_it_by() {
    let handle = simulator_with_contacts(quick(None)).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let (pn, lid) = (
        companion.jid().to_bare(),
        companion.device.lid().unwrap().to_bare(),
    );
    for (id, phone) in [("3EB0AA", lid), ("3EB0AB", pn)] {
        companion.start_sessions(std::slice::from_ref(&phone)).await;
        let enc = companion.encrypt(&phone, &Message::default());
        let identity = companion.device.account.as_ref().unwrap().identity.clone();
        let note = Node::new("message")
            .attr("id", id)
            .attr("to", &phone)
            .attr("type", "text")
            .with_child(enc)
            .with_child(Node::new("device-identity").with_bytes(identity));
        companion.wire().send(&note).await;
        companion.acked(id).await;
        let to = number(&contact(1));
        handle
            .say(Speaker::Phone(number(PHONE)), to, "mine")
            .await
            .unwrap();
        // Readable in the session with the phone under that address, and in no other.
        let (stanza, message) = companion.message().await;
        assert_eq!(stanza.attr_jid("from").unwrap(), phone);
        let inner = message.device_sent_message.unwrap().message.unwrap();
        assert_eq!(inner.conversation.as_deref(), Some("mine"));
        companion.thank(&stanza).await;
    }
}
