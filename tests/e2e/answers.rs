//! The library against a server that brings a message again until it is answered as it must be.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use simulator::Handle;
use simulator::world::{Speaker, Special};
use tests::wait::eventually;
use whatsapp::client::{Events, Session};
use whatsapp::event::{Event, Incoming};
use whatsapp::store::MemoryStore;

use crate::library::{CONTACT, PATIENCE, PHONE, number, session, simulator, until};

async fn online(store: MemoryStore) -> Result<(Handle, Session, Events)> {
    let handle = simulator().await?;
    let (session, mut events) = session(&handle, store).await?;
    let code = until(&mut events, "QR code", |event| {
        matches!(event, Event::QrCode { .. })
    });
    let Event::QrCode { text, .. } = code.await? else {
        unreachable!("it was waited for")
    };
    handle.scan(number(PHONE), text).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;
    Ok((handle, session, events))
}

async fn special(handle: &Handle, body: Value) -> Result<()> {
    let special: Special = serde_json::from_value(body)?;
    handle.special(number(PHONE), special).await?;
    Ok(())
}

async fn nothing_waits(handle: &Handle) -> Result<()> {
    eventually(PATIENCE, "all is answered", async || {
        Ok(handle
            .sessions()
            .await?
            .iter()
            .all(|session| session.pending == 0))
    })
    .await
}

async fn message(events: &mut Events) -> Result<Box<Incoming>> {
    match until(events, "message", |event| matches!(event, Event::Message(_))).await? {
        Event::Message(incoming) => Ok(incoming),
        _ => unreachable!("it was waited for"),
    }
}

#[tokio::test]
async fn each_kind_of_message_is_answered_so_that_it_does_not_come_again() -> Result<()> {
    let store = MemoryStore::new();
    let (handle, first, _events) = online(store.clone()).await?;
    let kinds = || {
        [
            json!({ "kind": "newsletter" }),
            json!({ "kind": "status", "from": CONTACT }),
            json!({ "kind": "status_tag", "from": CONTACT }),
            json!({ "kind": "own_copy", "to": CONTACT }),
            json!({ "kind": "unavailable", "from": CONTACT, "form": "view_once" }),
            json!({ "kind": "unavailable", "from": CONTACT, "form": "hosted" }),
            json!({ "kind": "unavailable", "from": CONTACT, "form": "bot" }),
            json!({ "kind": "unavailable", "from": CONTACT, "answer": "nothing" }),
        ]
    };
    for kind in kinds() {
        special(&handle, kind).await?;
    }
    nothing_waits(&handle).await?;
    first.stop().await;
    // What waits while nobody is there is answered in the same way.
    for kind in kinds() {
        special(&handle, kind).await?;
    }
    let (_second, _events) = session(&handle, store).await?;
    nothing_waits(&handle).await?;
    let server = handle.audit().await?.server;
    let bad = [
        server.statuses_refused,
        server.copies_unsettled,
        server.violations,
    ];
    ensure!(bad == [0; 3], "{server:?}");
    Ok(())
}

#[tokio::test]
async fn the_first_message_of_a_lead_arrives() -> Result<()> {
    let (handle, _session, mut events) = online(MemoryStore::new()).await?;
    let lead = |answer: &str, text: &str| json!({ "kind": "unavailable", "from": CONTACT, "text": text, "answer": answer });
    special(&handle, lead("to_another", "an answer to nobody")).await?;
    special(&handle, lead("companion", "an answer of somebody else")).await?;
    special(&handle, lead("silence", "never")).await?;
    special(&handle, lead("message", "I saw your advertisement")).await?;
    let lead = message(&mut events).await?;
    ensure!(lead.message.conversation.as_deref() == Some("I saw your advertisement"));
    ensure!(lead.chat.user() == CONTACT && !lead.from_me, "{lead:?}");
    nothing_waits(&handle).await
}

#[tokio::test]
async fn keys_are_uploaded_whenever_the_server_says_that_few_are_left() -> Result<()> {
    let store = MemoryStore::new();
    let (handle, first, _events) = online(store.clone()).await?;
    let keys = async || -> Result<usize> {
        let sessions = handle.sessions().await?;
        Ok(sessions.first().context("a session")?.one_time_prekeys)
    };
    eventually(PATIENCE, "the first keys", async || Ok(keys().await? == 812)).await?;
    special(&handle, json!({ "kind": "count", "value": 80 })).await?;
    eventually(PATIENCE, "more keys", async || Ok(keys().await? == 2 * 812)).await?;
    // The answer is lost, and the process dies: the next one offers the same keys.
    special(&handle, json!({ "kind": "lose_upload" })).await?;
    special(&handle, json!({ "kind": "count", "value": 4 })).await?;
    eventually(PATIENCE, "keys that are not confirmed", async || {
        Ok(keys().await? == 3 * 812)
    })
    .await?;
    first.stop().await;
    let (_second, _events) = session(&handle, store).await?;
    eventually(PATIENCE, "the same keys", async || {
        Ok(handle.audit().await?.server.prekeys_offered_again == 812)
    })
    .await?;
    ensure!(keys().await? == 3 * 812 && handle.audit().await?.server.violations == 0);
    Ok(())
}

#[tokio::test]
async fn an_account_that_keeps_its_reading_to_itself_tells_no_sender() -> Result<()> {
    let (handle, session, mut events) = online(MemoryStore::new()).await?;
    let contact = Speaker::Contact(number(CONTACT));
    for setting in ["all", "none", "all"] {
        handle.set_privacy(number(PHONE), "readreceipts", setting).await?;
        // The session has heard of it.
        nothing_waits(&handle).await?;
        let id = handle.say(contact, number(PHONE), "hello").await?;
        let incoming = message(&mut events).await?;
        session.mark_read(&incoming).await;
        // The server has taken what was said before it was asked.
        session.is_on_whatsapp(vec![CONTACT.to_owned()]).await?;
        let is_told = async || {
            let sent = handle.sent(contact).await?;
            let receipts = sent.iter().filter(|one| one.id == id);
            anyhow::Ok(
                receipts
                    .flat_map(|one| &one.receipts)
                    .any(|receipt| receipt.kind == "read"),
            )
        };
        if setting == "all" {
            eventually(PATIENCE, "the sender is told", is_told).await?;
        } else {
            ensure!(!is_told().await?, "{setting}");
        }
    }
    let audit = handle.audit().await?;
    ensure!(
        audit.server.reads_told == 0 && audit.server.violations == 0,
        "{audit:?}"
    );
    Ok(())
}
