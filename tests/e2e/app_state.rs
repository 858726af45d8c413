//! The account's name, salt and tokens on their way from the phone into a session, each way that they may take.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use simulator::number::Number;
use simulator::population::Manners;
use simulator::world::{MediaChange, NewsBy, Proofs, SaltChange, SessionInfo, Speaker, TokenChange};
use simulator::{Handle, Options, Simulator};
use tests::wait::eventually;
use tokio::time::timeout;
use whatsapp::client::{Events, Session, SystemClock};
use whatsapp::command::{Presence, Recipient};
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::event::{Event, SendError};
use whatsapp::proto::Message;
use whatsapp::signal::curve::PublicKey;
use whatsapp::store::{KeyStore as _, MemoryStore, RecordKey};

const PATIENCE: Duration = Duration::from_secs(30);
const PHONE: &str = "15551230001";
const CONTACT: &str = "17770001";
/// Where no host is.
const NOBODY: &str = "http://127.0.0.1:1";

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
        Self::refusing_files(sharing, 0).await
    }

    /// The media host refuses so many requests.
    async fn refusing_files(sharing: Value, count: u32) -> Result<Self> {
        let handle = Simulator::start(Options::default()).await?;
        refuse_files(&handle, count).await?;
        let media_url = handle.control_url.clone();
        Self::of(handle, sharing, &media_url).await
    }

    /// A session that fetches from here what it finds nowhere else.
    async fn of(handle: Handle, sharing: Value, media_url: &str) -> Result<Self> {
        handle.create_phone(number(PHONE), "Ann").await?;
        handle.create_contacts("1777000", 10, Manners::default()).await?;
        handle
            .share(number(PHONE), serde_json::from_value(sharing)?)
            .await?;
        let store = MemoryStore::new();
        let (session, mut events) = start(&handle, &store, media_url).await?;
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

    /// Waits until the store has something of the history that is not taken in yet, or nothing any more.
    async fn keeps_history(&self, expected: bool) -> Result<()> {
        eventually(PATIENCE, "pieces of the history are kept", async || {
            let mut store = self.store.clone();
            let kept = store.load(vec![RecordKey::history_pieces()]).await?;
            Ok(kept.into_iter().flatten().next().is_some() == expected)
        })
        .await
    }

    /// Waits until the history was read, and writes to the contact whose token is in it.
    async fn shows_the_token(&mut self) -> Result<()> {
        let change = TokenChange {
            proofs: Some(Proofs::Always),
            ..TokenChange::default()
        };
        self.handle.change_tokens(number(PHONE), change).await?;
        next(&mut self.events, |event| {
            matches!(event, Event::LidMapping { .. })
        })
        .await?;
        self.keeps_history(false).await?;
        let hello = Message {
            conversation: Some("hello".to_owned()),
            ..Message::default()
        };
        let to = Recipient::Phone(CONTACT.to_owned());
        self.session.send(to, hello).await?;
        let audit = self.handle.audit().await?;
        ensure!(
            audit.server.tokens_shown == 1 && audit.server.messages_unproved == 0,
            "{audit:?}"
        );
        Ok(())
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

async fn refuse_files(handle: &Handle, count: u32) -> Result<()> {
    let change = MediaChange {
        refuse: Some(count),
        hosts: None,
        ..MediaChange::default()
    };
    Ok(handle.change_media(change).await?)
}

async fn start(handle: &Handle, store: &MemoryStore, media_url: &str) -> Result<(Session, Events)> {
    let config = Config {
        url: handle.ws_url.clone(),
        media_url: media_url.to_owned(),
        root_key: PublicKey::new(handle.root_public_key),
        ..Config::whatsapp(ClientVersion::KNOWN)
    };
    let rng = StdRng::seed_from_u64(1);
    Ok(Session::start(Arc::new(config), store.clone(), SystemClock::new(), rng).await?)
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
        let mut stage = Stage::new(sharing).await?;
        stage.shows_the_token().await?;
    }
    Ok(())
}

#[tokio::test]
async fn history_that_the_media_host_refuses_is_fetched_again() -> Result<()> {
    let sharing = json!({ "history": "file", "salt": "never", "chats": [{ "number": CONTACT }] });
    let mut stage = Stage::refusing_files(sharing, 2).await?;
    stage.shows_the_token().await
}

#[tokio::test]
async fn history_that_was_named_before_a_restart_is_fetched_after_it() -> Result<()> {
    let sharing = json!({ "history": "file", "salt": "never", "chats": [{ "number": CONTACT }] });
    let mut stage = Stage::refusing_files(sharing, u32::MAX).await?;
    stage.keeps_history(true).await?;
    stage.session.stop().await;
    while stage.events.next().await.is_some() {}
    refuse_files(&stage.handle, 0).await?;
    let media_url = stage.handle.control_url.clone();
    (stage.session, stage.events) = start(&stage.handle, &stage.store, &media_url).await?;
    stage.shows_the_token().await
}

#[tokio::test]
async fn files_are_fetched_from_the_hosts_that_the_server_names() -> Result<()> {
    let sharing = json!({
        "snapshots": true, "history": "file", "salt": "never", "chats": [{ "number": CONTACT }],
    });
    let handle = Simulator::start(Options::default()).await?;
    let mut stage = Stage::of(handle, sharing, NOBODY).await?;
    stage.shows_the_token().await?;
    let asked = stage.handle.audit().await?.server.media_conns;
    ensure!(asked == 1, "the hosts are kept: asked {asked} times");
    Ok(())
}

#[tokio::test]
async fn files_are_fetched_from_the_host_of_the_settings_where_no_other_has_them() -> Result<()> {
    let sharing = json!({ "history": "file", "salt": "never", "chats": [{ "number": CONTACT }] });
    let dead = NOBODY.trim_start_matches("http://").to_owned();
    for hosts in [vec![dead], vec![]] {
        let handle = Simulator::start(Options::default()).await?;
        let change = MediaChange {
            hosts: Some(hosts),
            ..MediaChange::default()
        };
        handle.change_media(change).await?;
        let media_url = handle.control_url.clone();
        let mut stage = Stage::of(handle, sharing.clone(), &media_url).await?;
        stage.shows_the_token().await?;
    }
    Ok(())
}

/// Writes to the contact of this index; the code of the refusal, if it is one.
async fn write_to(stage: &Stage, index: u32) -> Result<Option<u16>> {
    let text = Message {
        conversation: Some(format!("hello {index}")),
        ..Message::default()
    };
    let to = Recipient::Phone(format!("1777000{index}"));
    match stage.session.send(to, text).await {
        Ok(_) => Ok(None),
        Err(SendError::Nack { code }) => Ok(Some(code)),
        Err(other) => Err(other.into()),
    }
}

async fn nothing_waits(stage: &Stage) -> Result<()> {
    eventually(PATIENCE, "all is answered", async || {
        Ok(stage.info().await?.pending == 0)
    })
    .await
}

#[tokio::test]
async fn who_gave_no_token_is_shown_one_made_from_the_salt() -> Result<()> {
    let stage = Stage::new(json!({})).await?;
    stage.has_salt(stage.salt(None).await?).await?;
    let change = TokenChange {
        proofs: Some(Proofs::Always),
        ..TokenChange::default()
    };
    stage.handle.change_tokens(number(PHONE), change).await?;
    // What is sent again, and what our own phone is asked, shows none.
    let again = json!({ "kind": "force_retry", "match": { "to": "17770001" } });
    stage.handle.add_fault(serde_json::from_value(again)?).await?;
    ensure!(write_to(&stage, 1).await?.is_none());
    let lead = json!({ "kind": "unavailable", "from": "17770009", "answer": "nothing" });
    stage
        .handle
        .special(number(PHONE), serde_json::from_value(lead)?)
        .await?;
    eventually(PATIENCE, "the message was sent again", async || {
        let seen = stage
            .handle
            .messages(Speaker::Contact(number(CONTACT)), 0)
            .await?;
        Ok(seen.iter().any(|message| message.times_shown == 1))
    })
    .await?;
    // Another salt makes other tokens.
    let rotated = stage.salt(Some(SaltChange::Rotate)).await?;
    stage.has_salt(rotated).await?;
    ensure!(write_to(&stage, 2).await?.is_none());
    // Who writes to us gives us a token, and is shown that one.
    let third = Speaker::Contact(number("17770003"));
    stage.handle.say(third, number(PHONE), "hello").await?;
    nothing_waits(&stage).await?;
    ensure!(write_to(&stage, 3).await?.is_none());
    // Without a salt there is nothing to show.
    stage.salt(Some(SaltChange::Remove)).await?;
    stage.has_salt(None).await?;
    ensure!(write_to(&stage, 4).await? == Some(463));
    let server = stage.handle.audit().await?.server;
    ensure!(
        (server.salted_tokens_shown, server.tokens_shown) == (2, 1)
            && (server.tokens_wrong, server.tokens_misplaced) == (0, 0)
            && server.messages_unproved == 1,
        "{server:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_contact_that_registers_anew_gets_our_token_again() -> Result<()> {
    let stage = Stage::new(json!({})).await?;
    stage.is_named("Ann").await?;
    let issued = async |expected: u64| {
        eventually(
            PATIENCE,
            &format!("tokens are issued {expected} times"),
            async || Ok(stage.handle.audit().await?.server.tokens_issued == expected),
        )
        .await
    };
    ensure!(write_to(&stage, 1).await?.is_none());
    issued(1).await?;
    // In the same bucket there is no second one, but for who has lost the first.
    ensure!(write_to(&stage, 1).await?.is_none());
    nothing_waits(&stage).await?;
    issued(1).await?;
    stage.handle.register_anew(number(CONTACT)).await?;
    issued(2).await?;
    ensure!(write_to(&stage, 1).await?.is_none());
    eventually(PATIENCE, "it can read what we write", async || {
        let seen = stage
            .handle
            .messages(Speaker::Contact(number(CONTACT)), 0)
            .await?;
        Ok(seen.iter().filter(|message| message.times_shown == 1).count() == 3)
    })
    .await?;
    let audit = stage.handle.audit().await?;
    ensure!(
        audit.server.tokens_issued_again == 0 && audit.server.violations == 0,
        "{audit:?}"
    );
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
