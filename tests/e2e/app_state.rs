//! The account's name, salt and tokens on their way from the phone into a session, each way that they may take.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use simulator::number::Number;
use simulator::population::Manners;
use simulator::world::{NewsBy, Proofs, SaltChange, SessionInfo, Speaker, TokenChange};
use simulator::{Handle, Options, Simulator};
use tests::wait::eventually;
use tokio::time::timeout;
use whatsapp::client::{Events, Session, SystemClock};
use whatsapp::command::{Presence, Recipient};
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::event::{Event, SendError};
use whatsapp::proto::Message;
use whatsapp::signal::curve::PublicKey;
use whatsapp::store::MemoryStore;

const PATIENCE: Duration = Duration::from_secs(30);
const PHONE: &str = "15551230001";
const CONTACT: &str = "17770001";

fn number(digits: &str) -> Number {
    digits.parse().expect("a number")
}

/// A session on its own, of a phone that shares as it is told.
struct Stage {
    handle: Handle,
    session: Session,
    events: Events,
    store: MemoryStore,
}

impl Stage {
    async fn new(sharing: Value) -> Result<Self> {
        let handle = Simulator::start(Options::default()).await?;
        handle.create_phone(number(PHONE), "Ann").await?;
        handle.create_contacts("1777000", 10, Manners::default()).await?;
        handle
            .share(number(PHONE), serde_json::from_value(sharing)?)
            .await?;
        let config = Config {
            url: handle.ws_url.clone(),
            media_url: handle.control_url.clone(),
            root_key: PublicKey::new(handle.root_public_key),
            ..Config::whatsapp(ClientVersion::KNOWN)
        };
        let (store, rng) = (MemoryStore::new(), StdRng::seed_from_u64(1));
        let started = Session::start(Arc::new(config), store.clone(), SystemClock::new(), rng);
        let (session, mut events) = started.await?;
        let Event::QrCode { text, .. } =
            next(&mut events, |event| matches!(event, Event::QrCode { .. })).await?
        else {
            unreachable!("it was waited for")
        };
        handle.scan(number(PHONE), text).await?;
        next(&mut events, |event| matches!(event, Event::Open { .. })).await?;
        Ok(Self {
            handle,
            session,
            events,
            store,
        })
    }

    async fn info(&self) -> Result<SessionInfo> {
        let mut all = self.handle.sessions().await?;
        all.pop().context("a session")
    }

    /// Waits until the server was told this name.
    async fn is_named(&self, name: &str) -> Result<()> {
        eventually(PATIENCE, &format!("the presence says {name}"), async || {
            Ok(self.info().await?.presence_name.as_deref() == Some(name))
        })
        .await
    }

    async fn has_salt(&self, salt: Option<[u8; 32]>) -> Result<()> {
        eventually(PATIENCE, "the salt is kept", async || {
            let account = self.store.device().and_then(|device| device.account);
            let held = account.and_then(|account| account.token_salt);
            Ok(held.as_deref() == salt.as_ref().map(|salt| &salt[..]))
        })
        .await
    }

    async fn salt(&self, change: Option<SaltChange>) -> Result<Option<[u8; 32]>> {
        let change = TokenChange {
            salt: change,
            ..TokenChange::default()
        };
        Ok(self.handle.change_tokens(number(PHONE), change).await?)
    }
}

async fn next(events: &mut Events, fits: impl Fn(&Event) -> bool) -> Result<Event> {
    let find = async {
        loop {
            let event = events.next().await.context("the session ended")?;
            if fits(&event) {
                return anyhow::Ok(event);
            }
        }
    };
    timeout(PATIENCE, find).await?
}

#[tokio::test]
async fn name_and_salt_come_with_the_app_state_and_are_followed() -> Result<()> {
    let mut stage = Stage::new(json!({})).await?;
    stage.is_named("Ann").await?;
    stage.has_salt(stage.salt(None).await?).await?;
    stage
        .handle
        .rename(number(PHONE), "Bea", NewsBy::AppState)
        .await?;
    let told = next(&mut stage.events, |event| matches!(event, Event::Renamed { .. })).await?;
    ensure!(matches!(told, Event::Renamed { name } if name == "Bea"));
    stage.is_named("Bea").await?;
    let rotated = stage.salt(Some(SaltChange::Rotate)).await?;
    ensure!(rotated.is_some());
    stage.has_salt(rotated).await?;
    stage.salt(Some(SaltChange::Remove)).await?;
    stage.has_salt(None).await?;
    let audit = stage.handle.audit().await?;
    ensure!(
        audit.server.unnamed_presences == 0 && audit.server.violations == 0,
        "{audit:?}"
    );
    Ok(())
}

#[tokio::test]
async fn receipts_are_inactive_until_available_was_announced() -> Result<()> {
    let stage = Stage::new(json!({})).await?;
    stage.is_named("Ann").await?;
    ensure!(!stage.info().await?.available, "the phone would be silent");
    let contact = Speaker::Contact(number(CONTACT));
    for (presence, kind) in [
        (None, "inactive"),
        (Some(Presence::Available), "delivery"),
        (Some(Presence::Unavailable), "inactive"),
    ] {
        if let Some(presence) = presence {
            stage.session.set_presence(presence).await;
            eventually(PATIENCE, "the presence is announced", async || {
                Ok(stage.info().await?.available == (presence == Presence::Available))
            })
            .await?;
        }
        let id = stage.handle.say(contact, number(PHONE), "hello").await?;
        eventually(PATIENCE, &format!("the receipt is {kind}"), async || {
            let sent = stage.handle.sent(contact).await?;
            let receipts = sent
                .iter()
                .filter(|one| one.id == id)
                .flat_map(|one| &one.receipts);
            Ok(receipts
                .filter(|receipt| receipt.device != 0)
                .any(|receipt| receipt.kind == kind))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn keys_that_are_not_shared_are_asked_for() -> Result<()> {
    let stage = Stage::new(json!({ "keys": "when_asked", "history": "never" })).await?;
    // Meanwhile a notification is believed.
    stage
        .handle
        .rename(number(PHONE), "Bea", NewsBy::AccountSync)
        .await?;
    stage.is_named("Bea").await?;
    stage.has_salt(stage.salt(None).await?).await
}

#[tokio::test]
async fn keys_may_come_late_and_in_halves() -> Result<()> {
    let sharing = json!({ "keys": "in_halves", "keys_after_ms": 1_500, "history": "never" });
    let stage = Stage::new(sharing).await?;
    stage.is_named("Ann").await?;
    stage.has_salt(stage.salt(None).await?).await
}

#[tokio::test]
async fn snapshots_and_history_come_as_files() -> Result<()> {
    let sharing = json!({
        "snapshots": true, "history": "file", "salt": "history", "chats": [{ "number": CONTACT }],
    });
    let stage = Stage::new(sharing).await?;
    stage.has_salt(stage.salt(None).await?).await?;
    stage
        .handle
        .rename(number(PHONE), "Bea", NewsBy::AppState)
        .await?;
    stage.is_named("Bea").await
}

#[tokio::test]
async fn a_token_in_the_history_is_shown_to_its_contact() -> Result<()> {
    for history in ["inline", "file"] {
        let sharing = json!({ "history": history, "salt": "never", "chats": [{ "number": CONTACT }] });
        let stage = Stage::new(sharing).await?;
        let change = TokenChange {
            proofs: Some(Proofs::Always),
            ..TokenChange::default()
        };
        stage.handle.change_tokens(number(PHONE), change).await?;
        stage.is_named("Ann").await?;
        let lid = |event: &Event| matches!(event, Event::LidMapping { .. });
        let mut events = stage.events;
        next(&mut events, lid).await?;
        let hello = Message {
            conversation: Some("hello".to_owned()),
            ..Message::default()
        };
        let to = Recipient::Phone(CONTACT.to_owned());
        stage.session.send(to, hello).await?;
        let audit = stage.handle.audit().await?;
        ensure!(
            audit.server.tokens_shown == 1 && audit.server.messages_unproved == 0,
            "{audit:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn whose_token_is_in_the_history_is_written_to_in_a_lock_and_nobody_new_is() -> Result<()> {
    let sharing = json!({ "salt": "never", "chats": [{ "number": CONTACT }] });
    let mut stage = Stage::new(sharing).await?;
    let lid = |event: &Event| matches!(event, Event::LidMapping { .. });
    next(&mut stage.events, lid).await?;
    let lock = serde_json::from_value(json!({ "seconds": 600 }))?;
    stage.handle.restrict(number(PHONE), Some(lock)).await?;
    let told = |event: &Event| matches!(event, Event::Restricted { .. });
    next(&mut stage.events, told).await?;
    let hello = || Message {
        conversation: Some("hello".to_owned()),
        ..Message::default()
    };
    let to = |digits: &str| Recipient::Phone(digits.to_owned());
    stage.session.send_to_known(to(CONTACT), hello()).await?;
    let new = "17770002";
    let untried = stage.session.send_to_known(to(new), hello()).await;
    ensure!(untried == Err(SendError::NewContact), "{untried:?}");
    let audit = stage.handle.audit().await?.server;
    ensure!(
        (audit.tokens_shown, audit.refused_new, audit.contact_lookups) == (1, 0, 0),
        "{audit:?}"
    );
    let refused = stage.session.send(to(new), hello()).await;
    ensure!(refused == Err(SendError::Nack { code: 463 }), "{refused:?}");
    Ok(())
}
