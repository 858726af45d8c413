//! The library as strangers use it: its session handle, and its examples as programs, against the simulator.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use simulator::number::Number;
use simulator::population::Manners;
use simulator::world::Speaker;
use simulator::{Handle, Options, Simulator};
use tests::process::binary;
use tests::wait::eventually;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use whatsapp::client::{Events, Session, SystemClock};
use whatsapp::command::Recipient;
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::event::{Event, ReceiptKind};
use whatsapp::proto::Message;
use whatsapp::signal::curve::PublicKey;
use whatsapp::store::MemoryStore;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PHONE: &str = "15551230001";
pub(crate) const CONTACT: &str = "17770001";

pub(crate) fn number(digits: &str) -> Number {
    digits.parse().expect("a number")
}

fn contact() -> Speaker {
    Speaker::Contact(number(CONTACT))
}

pub(crate) async fn simulator() -> Result<Handle> {
    let handle = Simulator::start(Options::default()).await?;
    handle.create_phone(number(PHONE), "Ann").await?;
    handle.create_contacts("1777000", 10, Manners::default()).await?;
    Ok(handle)
}

/// Waits until the contact has been shown these texts, each once.
async fn shown(handle: &Handle, texts: &[&str]) -> Result<()> {
    eventually(PATIENCE, &format!("the contact sees {texts:?}"), async || {
        let seen = handle.messages(contact(), 0).await?;
        let seen: Vec<_> = seen
            .iter()
            .filter(|message| message.times_shown == 1)
            .map(|message| message.text.as_str())
            .collect();
        Ok(seen == texts)
    })
    .await
}

/// A running example and what it prints.
struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    /// Starts it against the simulator, and scans what it shows.
    async fn paired(name: &str, arguments: &[&str], handle: &Handle) -> Result<Self> {
        let mut child = Command::new(binary(&format!("examples/{name}"))?)
            .args(arguments)
            .env("WHATSAPP_URL", &handle.ws_url)
            .env("WHATSAPP_ROOT_KEY", &handle.root_public_key_hex)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut example = Self { child, lines };
        let code = example.prints("scan: ").await?;
        handle.scan(number(PHONE), code).await?;
        let paired = example.prints("paired with ").await?;
        ensure!(paired.starts_with(PHONE), "{paired}");
        Ok(example)
    }

    /// The rest of the next line that begins so.
    async fn prints(&mut self, begin: &str) -> Result<String> {
        let find = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(rest) = line.strip_prefix(begin) {
                    return anyhow::Ok(rest.to_owned());
                }
            }
            anyhow::bail!("it ended")
        };
        let found = timeout(PATIENCE, find).await;
        found
            .unwrap_or_else(|late| Err(late.into()))
            .with_context(|| format!("no line began with {begin:?}"))
    }

    /// Presses Ctrl-C, and waits until it has unlinked its device and ended well.
    async fn interrupt(self, handle: &Handle) -> Result<()> {
        let id = self.child.id().context("it runs")?;
        let kill = Command::new("kill").arg("-INT").arg(id.to_string()).status();
        ensure!(kill.await?.success(), "kill");
        self.ends_unlinked(handle).await
    }

    async fn ends_unlinked(mut self, handle: &Handle) -> Result<()> {
        let status = timeout(PATIENCE, self.child.wait()).await??;
        ensure!(status.success(), "{status}");
        ensure!(handle.sessions().await?.is_empty(), "the device stayed linked");
        Ok(())
    }
}

#[tokio::test]
async fn example_pairs_and_prints_what_comes() -> Result<()> {
    let handle = simulator().await?;
    let mut example = Example::paired("pair_and_print", &[], &handle).await?;
    example.prints("open").await?;
    handle.say(contact(), number(PHONE), "good morning").await?;
    let from = example.prints(CONTACT).await?;
    ensure!(from.ends_with(": good morning"), "{from}");
    example.interrupt(&handle).await
}

#[tokio::test]
async fn example_sends_one_and_leaves() -> Result<()> {
    let handle = simulator().await?;
    let mut example = Example::paired("send_one", &[CONTACT, "one"], &handle).await?;
    example.prints("the server has 3EB0").await?;
    shown(&handle, &["one"]).await?;
    example.ends_unlinked(&handle).await?;

    let mut example = Example::paired("send_one", &["18880001", "none"], &handle).await?;
    example.prints("18880001 is not on WhatsApp").await?;
    example.ends_unlinked(&handle).await
}

#[tokio::test]
async fn example_echoes_and_marks_as_read() -> Result<()> {
    let handle = simulator().await?;
    let mut example = Example::paired("echo_bot", &[], &handle).await?;
    example.prints("open").await?;
    for text in ["marco", "polo"] {
        handle.say(contact(), number(PHONE), text).await?;
        example.prints("echoed ").await?;
    }
    shown(&handle, &["marco", "polo"]).await?;
    eventually(PATIENCE, "both are read", async || {
        let sent = handle.sent(contact()).await?;
        let is_read =
            |one: &simulator::crowd::Sent| one.receipts.iter().any(|receipt| receipt.kind == "read");
        Ok(sent.iter().filter(|one| is_read(one)).count() == 2)
    })
    .await?;
    example.interrupt(&handle).await
}

pub(crate) async fn session(handle: &Handle, store: MemoryStore) -> Result<(Session, Events)> {
    let config = Config {
        url: handle.ws_url.clone(),
        root_key: PublicKey::new(handle.root_public_key),
        ..Config::whatsapp(ClientVersion::KNOWN)
    };
    let rng = StdRng::seed_from_u64(1);
    Ok(Session::start(Arc::new(config), store, SystemClock::new(), rng).await?)
}

pub(crate) async fn until(events: &mut Events, what: &str, fits: impl Fn(&Event) -> bool) -> Result<Event> {
    let find = async {
        loop {
            let event = events.next().await.context("the session ended")?;
            if fits(&event) {
                return anyhow::Ok(event);
            }
        }
    };
    let found = timeout(PATIENCE, find).await;
    found
        .unwrap_or_else(|late| Err(late.into()))
        .with_context(|| format!("no {what}"))
}

fn text(text: &str) -> Message {
    Message {
        conversation: Some(text.to_owned()),
        ..Message::default()
    }
}

#[tokio::test]
async fn a_session_pairs_by_code_sends_again_what_could_not_be_read_and_comes_back() -> Result<()> {
    let handle = simulator().await?;
    let store = MemoryStore::new();
    let (session, mut events) = self::session(&handle, store.clone()).await?;
    until(&mut events, "QR code", |event| {
        matches!(event, Event::QrCode { .. })
    })
    .await?;
    let code = session.request_pairing_code(PHONE).await?;
    handle.link_code(number(PHONE), &code).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;

    // The copy is spoiled on its way; the contact asks for the message again, and the session still has it.
    handle
        .add_fault(serde_json::from_value(json!({ "kind": "corrupt_mac" }))?)
        .await?;
    let to = || Recipient::Phone(CONTACT.to_owned());
    let sent = session.send(to(), text("spoiled")).await?;
    ensure!(sent.to.is_lid(), "the account is migrated: {}", sent.to);
    shown(&handle, &["spoiled"]).await?;
    until(&mut events, "receipt", |event| {
        matches!(event, Event::Receipt(receipt)
            if receipt.kind == ReceiptKind::Delivered && receipt.ids == [sent.id.clone()])
    })
    .await?;
    // The same id is shown once.
    session.send_as(sent.id.clone(), to(), text("spoiled")).await?;
    session.stop().await;

    let (session, mut events) = self::session(&handle, store).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;
    session.send(to(), text("back")).await?;
    shown(&handle, &["spoiled", "back"]).await?;
    let audit = handle.audit().await?;
    let contacts = &audit.contacts;
    let counts = [contacts.undecryptable_by_fault, contacts.retries_requested];
    ensure!(counts == [1, 1] && contacts.shown_twice == 0, "{audit:?}");
    Ok(())
}

/// Sends a text to each of these contacts, all at once.
async fn send_to_all(session: &Session, numbers: impl Iterator<Item = Recipient>) -> Result<()> {
    let calls = numbers.map(|to| {
        let session = session.clone();
        tokio::spawn(async move { session.send(to, text("hello")).await })
    });
    for call in calls.collect::<Vec<_>>() {
        timeout(PATIENCE, call).await???;
    }
    Ok(())
}

#[tokio::test]
async fn a_number_is_looked_up_once_and_never_after_a_restart() -> Result<()> {
    const NEW: u32 = 120;
    let handle = simulator().await?;
    handle.create_contacts("1999", 1000, Manners::default()).await?;
    let contact = |at: u32| format!("1999{at:03}");
    let store = MemoryStore::new();
    let (session, mut events) = self::session(&handle, store.clone()).await?;
    let code = until(&mut events, "QR code", |event| {
        matches!(event, Event::QrCode { .. })
    });
    let Event::QrCode { text: code, .. } = code.await? else {
        unreachable!("it was waited for")
    };
    handle.scan(number(PHONE), code).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;
    // Who has them and does not read them holds the session up.
    drop(events);
    send_to_all(&session, (0..NEW).map(|at| Recipient::Phone(contact(at)))).await?;
    session.stop().await;

    let (session, mut events) = self::session(&handle, store).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;
    drop(events);
    let known = (0..NEW).map(|at| Recipient::KnownPhone(contact(at)));
    let new = (NEW..2 * NEW).map(|at| Recipient::Phone(contact(at)));
    send_to_all(&session, known.chain(new)).await?;
    let audit = handle.audit().await?;
    let server = &audit.server;
    let look_ups = [server.contact_lookups, server.numbers_looked_up];
    ensure!(look_ups == [u64::from(2 * NEW); 2], "{audit:?}");
    let wrong = [server.numbers_on_migrated, server.misaddressed, server.violations];
    ensure!(
        wrong == [0; 3] && audit.contacts.wrong_destinations == 0,
        "{audit:?}"
    );
    session.stop().await;
    Ok(())
}

#[tokio::test]
async fn many_calls_at_once_are_each_answered() -> Result<()> {
    let handle = simulator().await?;
    let (session, mut events) = self::session(&handle, MemoryStore::new()).await?;
    let code = until(&mut events, "QR code", |event| {
        matches!(event, Event::QrCode { .. })
    })
    .await?;
    let Event::QrCode { text: code, .. } = code else {
        unreachable!("it was waited for")
    };
    handle.scan(number(PHONE), code).await?;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await?;
    drop(events);
    let calls = (0..200).map(|at| {
        let (session, to) = (session.clone(), Recipient::Phone(format!("1777000{}", at % 10)));
        tokio::spawn(async move { session.send(to, text(&at.to_string())).await })
    });
    for call in calls.collect::<Vec<_>>() {
        timeout(PATIENCE, call).await???;
    }
    let known = session
        .is_on_whatsapp(vec![CONTACT.to_owned(), "18880001".to_owned()])
        .await?;
    let known: Vec<bool> = known.iter().map(|one| one.jid.is_some()).collect();
    ensure!(known == [true, false], "{known:?}");
    session.logout().await;
    ensure!(handle.sessions().await?.is_empty(), "the device stayed linked");
    Ok(())
}
