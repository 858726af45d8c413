//! Restricted accounts: who is refused, what is told, what is answered.

use serde_json::Value;
use simulator::Handle;
use simulator::population::Manners;
use simulator::world::{Cap, Ends, Restrict, Speaker};
use whatsapp::binary::Node;

use crate::client::{Companion, number};
use crate::{contact, simulator_with_contacts};

const PHONE: &str = "15551230001";
const TIME_LOCK: &str = "23983697327930364";

async fn online() -> (Handle, Companion) {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Companion::online(&handle, PHONE).await;
    (handle, companion)
}

fn lock(ends: Ends) -> Restrict {
    Restrict {
        kind: "BIZ_QUALITY".into(),
        seconds: 600,
        ends,
        tell: true,
        answer: true,
    }
}

async fn ask(companion: &mut Companion, document: &'static str) -> Value {
    let query = Node::new("query")
        .attr("query_id", document)
        .with_slice(br#"{"variables":{}}"#);
    let reply = companion.iq("w:mex", "get", query).await;
    serde_json::from_slice(&reply.child("result").unwrap().bytes().unwrap()).unwrap()
}

async fn told(companion: &mut Companion) -> Value {
    let is_mex = |node: &Node| node.is("notification") && node.attr_is("type", "mex");
    let notification = companion.wire().expect("news", is_mex).await;
    serde_json::from_slice(&notification.child("update").unwrap().bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn a_lock_refuses_new_contacts_alone_and_is_told_in_every_form() {
    let (handle, mut companion) = online().await;
    let said = handle.say(Speaker::Contact(number(&contact(2))), number(PHONE), "hello");
    said.await.unwrap();
    companion.message().await;
    for (form, ends) in [
        (Ends::Text, "string"),
        (Ends::Number, "number"),
        (Ends::Absent, "null"),
    ] {
        handle.restrict(number(PHONE), Some(lock(form))).await.unwrap();
        let news = told(&mut companion).await;
        let news = &news["data"]["xwa2_notify_account_reachout_timelock"];
        assert_eq!(
            (&news["is_active"], &news["enforcement_type"]),
            (&true.into(), &"BIZ_QUALITY".into())
        );
        let answer = ask(&mut companion, TIME_LOCK).await;
        let answer = &answer["data"]["xwa2_fetch_account_reachout_timelock"];
        let kind = match &answer["time_enforcement_ends"] {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            _ => "null",
        };
        assert_eq!(kind, ends);
    }
    for _ in 0..2 {
        let ack = companion.send_text(&contact(1), "3EB0AA", "refused").await;
        assert!(ack.attr_is("error", "463"));
    }
    let ack = companion.send_text(&contact(2), "3EB0AB", "taken").await;
    assert!(ack.value("error").is_none());
    let audit = handle.audit().await.unwrap().server;
    assert_eq!((audit.refused_new, audit.refused_again), (2, 1));
    handle.restrict(number(PHONE), None).await.unwrap();
    let news = told(&mut companion).await;
    assert_eq!(
        news["data"]["xwa2_notify_account_reachout_timelock"]["is_active"],
        false
    );
    let ack = companion.send_text(&contact(1), "3EB0AC", "taken").await;
    assert!(ack.value("error").is_none());
}

#[tokio::test]
async fn a_document_that_is_gone_is_an_error_in_the_answer() {
    let (handle, mut companion) = online().await;
    assert!(ask(&mut companion, "1").await["errors"].is_array());
    assert!(ask(&mut companion, TIME_LOCK).await["data"].is_object());
    let silent = Restrict {
        answer: false,
        tell: false,
        ..lock(Ends::Text)
    };
    handle.restrict(number(PHONE), Some(silent)).await.unwrap();
    assert!(ask(&mut companion, TIME_LOCK).await["errors"].is_array());
}

#[tokio::test]
async fn a_cap_counts_new_chats_and_tells_of_the_half_and_the_whole() {
    let (handle, mut companion) = online().await;
    let cap = Cap {
        total: 2,
        used: 0,
        seconds: 600,
    };
    handle.cap(number(PHONE), Some(cap)).await.unwrap();
    for (index, status) in [(1, "FIRST_WARNING"), (2, "CAPPED")] {
        companion.send_text(&contact(index), "3EB0AA", "hi").await;
        let news = told(&mut companion).await;
        let news = &news["data"]["xwa2_notify_new_chat_messages_capping_info_update"];
        assert_eq!(news["capping_status"], status);
    }
    // One that was begun goes on.
    let ack = companion.send_text(&contact(1), "3EB0AB", "again").await;
    assert!(ack.value("error").is_none());
    let ack = companion.send_text(&contact(3), "3EB0AC", "refused").await;
    assert!(ack.attr_is("error", "475"));
    handle.rate_limit(number(PHONE), 600).await.unwrap();
    let ack = companion.send_text(&contact(1), "3EB0AD", "too fast").await;
    assert!(ack.attr_is("error", "429"));
}
