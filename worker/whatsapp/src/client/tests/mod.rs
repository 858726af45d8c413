//! The driver over real WebSockets on this machine, against the server's end of the connection tests.

mod download;
mod route;
mod server;
mod session;
mod transfer;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use self::server::Server;
use super::{Ended, Settings, SystemClock, run};
use crate::{
    binary::Node,
    command::{Command, Outgoing, Recipient},
    connection::{
        ClientVersion, CloseReason, Config,
        tests::peer::{
            NOW, Phone, ServerKeys, own_jid, own_lid, pair_device, pair_success, result_of, server_iq,
            success,
        },
    },
    device::{Account, Device},
    event::Event,
    pairing::qr::QrCode,
    proto,
    store::{Changes, KeyStore, MemoryStore, RecordKey, RecordKind, StoreError},
    time::Timestamp,
};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that tells the test what was committed, may be told to wait, and may break.
struct Owner {
    inner: MemoryStore,
    told: mpsc::Sender<String>,
    /// One permit per commit.
    permits: Arc<Semaphore>,
    /// A commit whose events mention this fails.
    breaks_at: Option<&'static str>,
}

impl KeyStore for Owner {
    async fn load(&mut self, keys: Vec<RecordKey>) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.inner.load(keys).await
    }

    async fn names(
        &mut self,
        kind: RecordKind,
        after: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.names(kind, after, most).await
    }

    async fn commit(&mut self, changes: Changes, events: Vec<Event>) -> Result<(), StoreError> {
        self.permits.acquire().await.unwrap().forget();
        let texts: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
        if self
            .breaks_at
            .is_some_and(|word| texts.iter().any(|text| text.starts_with(word)))
        {
            return Err(StoreError::Fenced);
        }
        self.inner.commit(changes, events).await?;
        for text in texts {
            self.told.send(text).await.unwrap();
        }
        Ok(())
    }
}

/// A session under test with the ends that the test holds.
struct Session {
    task: JoinHandle<Result<Ended, StoreError>>,
    commands: mpsc::Sender<Command>,
    told: mpsc::Receiver<String>,
    store: MemoryStore,
    permits: Arc<Semaphore>,
}

impl Session {
    fn start(device: Device, config: Config) -> Self {
        Self::start_with(device, config, usize::MAX >> 4, None)
    }

    fn start_of(device: Device, settings: Settings) -> Self {
        Self::begin(device, settings, usize::MAX >> 4, None)
    }

    fn start_with(device: Device, config: Config, permits: usize, breaks_at: Option<&'static str>) -> Self {
        Self::begin(device, Arc::new(config).into(), permits, breaks_at)
    }

    fn begin(device: Device, settings: Settings, permits: usize, breaks_at: Option<&'static str>) -> Self {
        let (told_sender, told) = mpsc::channel(1_000);
        let (commands, received) = mpsc::channel(16);
        let permits = Arc::new(Semaphore::new(permits));
        let store = MemoryStore::with_device(device.clone());
        let owner = Owner {
            inner: store.clone(),
            told: told_sender,
            permits: Arc::clone(&permits),
            breaks_at,
        };
        let rng = StdRng::seed_from_u64(5);
        let task = tokio::spawn(run(settings, device, owner, received, FixedClock::new(), rng));
        Self {
            task,
            commands,
            told,
            store,
            permits,
        }
    }

    /// The next event that begins with this word.
    async fn told(&mut self, word: &str) -> String {
        loop {
            let event = within(self.told.recv(), word)
                .await
                .unwrap_or_else(|| panic!("ended before {word}"));
            if event.starts_with(word) {
                return event;
            }
        }
    }

    async fn ended(self) -> Result<Ended, StoreError> {
        within(self.task, "end of the session").await.unwrap()
    }
}

/// The system's clock, begun when the test certificates are valid.
#[derive(Clone)]
struct FixedClock {
    system: SystemClock,
    begun: Timestamp,
}

impl FixedClock {
    fn new() -> Self {
        let system = SystemClock::new();
        Self {
            system,
            begun: super::Clock::now(&system),
        }
    }
}

impl super::Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW + self.system.now().since(self.begun)
    }
}

async fn within<T>(future: impl Future<Output = T>, what: &str) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("no {what} in time"))
}

fn paired_device() -> Device {
    let mut device = Device::generate(&mut StdRng::seed_from_u64(11));
    device.account = Some(Account {
        jid: own_jid(),
        lid: Some(own_lid()),
        identity: Bytes::from_static(b"signed"),
        push_name: Some("Ann".to_owned()),
        platform: "android".to_owned(),
        is_migrated: false,
        token_salt: None,
    });
    device
}

#[tokio::test]
async fn a_device_pairs_reconnects_at_once_and_opens() {
    let (server, config) = Server::new().await;
    let mut session = Session::start(Device::generate(&mut StdRng::seed_from_u64(1)), config);
    let mut line = server.accept().await;
    assert_eq!(line.origin.as_deref(), Some("https://web.whatsapp.com"));
    line.handshake().await;
    line.send(&pair_device(&["ref-1"])).await;
    session.told("QrCode").await;
    // The event's text is for the owner alone; the secrets are in the store of this test anyway.
    let device = session.store.device().unwrap();
    let qr = QrCode::new("ref-1", &device, crate::pairing::qr::PlatformId::OTHER_WEB);
    let container = Phone::new().vouch(&qr.identity, &qr.adv_secret);
    line.send(&pair_success(container)).await;
    line.expect("pair-device-sign", |node| {
        node.child("pair-device-sign").is_some()
    })
    .await;
    session.told("Paired").await;
    line.send(&Node::new("stream:error").attr("code", "515")).await;
    session.told("Closed").await;
    line.expect_closed().await;

    let line = server.accept_login().await;
    assert!(line.peer.payload.as_ref().unwrap().username.is_some());
    session.told("Open").await;
    session.commands.send(Command::Stop).await.unwrap();
    line.expect_closed().await;
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::Stopped(CloseReason::Stopped)
    );
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_and_again() {
    let (server, config) = Server::new().await;
    let mut session = Session::start(paired_device(), config);
    for _ in 0..5 {
        let line = server.accept_login().await;
        session.told("Open").await;
        drop(line);
        session.told("Closed").await;
    }
    drop(server.accept().await);
    session.told("Closed").await;
    server.accept_login().await;
    session.told("Open").await;
    assert_eq!(session.store.device().unwrap().login_counter, 6);
}

#[tokio::test]
async fn a_large_stanza_arrives_whole_and_what_follows_it() {
    let (server, config) = Server::new().await;
    let mut session = Session::start(paired_device(), config);
    let mut line = server.accept_login().await;
    session.told("Open").await;
    let ib = Node::new("ib").with_child(Node::new("offline").attr("count", "0"));
    let few = Node::new("notification")
        .attr("id", "n-1")
        .attr("from", crate::jid::Jid::SERVER)
        .attr("type", "encrypt")
        .with_child(Node::new("count").attr("value", 9u32));
    line.send(&ib).await;
    line.send(&few).await;
    line.send(&server_iq("get", "p-1").attr("xmlns", "urn:xmpp:ping"))
        .await;
    let upload = line.expect("upload", |node| node.child("list").is_some()).await;
    assert_eq!(upload.child("list").unwrap().nodes().len(), 812);
    line.expect("ack", |node| node.is("ack")).await;
    line.expect("pong", |node| node.attr_is("id", "p-1")).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_for_ever_and_commands_are_answered() {
    let (server, config) = Server::new().await;
    let address = server.listener.local_addr().unwrap();
    drop(server.listener);
    let mut session = Session::start(paired_device(), config);
    for _ in 0..10 {
        assert!(session.told("Closed").await.contains("ConnectFailed"));
    }
    let outgoing = Outgoing {
        id: "3EB0AA".parse().unwrap(),
        to: Recipient::Phone("15551230002".to_owned()),
        message: proto::Message::default(),
    };
    session
        .commands
        .send(Command::Send(Box::new(outgoing)))
        .await
        .unwrap();
    assert!(session.told("MessageFailed").await.contains("NotConnected"));
    session
        .commands
        .send(Command::IsOnWhatsApp {
            ticket: 4,
            numbers: Vec::new(),
        })
        .await
        .unwrap();
    assert!(session.told("IsOnWhatsApp").await.contains("NotConnected"));

    let server = Server {
        listener: TcpListener::bind(address).await.unwrap(),
        keys: server.keys,
    };
    server.accept_login().await;
    session.told("Open").await;
}

#[tokio::test]
async fn logging_out_ends_the_session_for_good() {
    let (server, config) = Server::new().await;
    let mut session = Session::start(paired_device(), config);
    let mut line = server.accept_login().await;
    session.told("Open").await;
    session.commands.send(Command::Logout).await.unwrap();
    let iq = line
        .expect("logout", |node| node.child("remove-companion-device").is_some())
        .await;
    line.send(&result_of(&iq)).await;
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::LoggedOut(CloseReason::LogoutRequested)
    );
}

#[tokio::test]
async fn a_server_that_says_stop_is_obeyed() {
    let (server, config) = Server::new().await;
    let session = Session::start(paired_device(), config);
    let mut line = server.accept().await;
    line.handshake().await;
    line.send(&Node::new("failure").attr("reason", "409")).await;
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::Stopped(CloseReason::BadUserAgent)
    );
}

/// Refuses the version of the client that comes next; answers which one it was.
async fn refuse_version(server: &Server) -> u32 {
    let mut line = server.accept().await;
    line.handshake().await;
    line.send(&Node::new("failure").attr("reason", "405")).await;
    let revision = revision_of(&line);
    line.expect_closed().await;
    revision
}

fn revision_of(line: &server::Line) -> u32 {
    let payload = line.peer.payload.as_ref().unwrap();
    let version = payload.user_agent.as_ref().unwrap().app_version.as_ref().unwrap();
    version.tertiary.unwrap()
}

#[tokio::test]
async fn a_session_whose_version_is_refused_comes_back_with_a_newer_one() {
    let (server, mut config) = Server::new().await;
    config.timing.outdated = Duration::from_secs(3_600);
    config.timing.update_spread = Duration::from_millis(1);
    let with = |revision| {
        let version = ClientVersion::web(revision);
        Arc::new(Config {
            version,
            ..config.clone()
        })
    };
    let (current, settings) = watch::channel(with(5));
    let mut session = Session::start_of(paired_device(), settings.into());
    assert_eq!(refuse_version(&server).await, 5);
    assert!(session.told("Closed").await.contains("ClientOutdated"));
    // None of these is newer: nobody connects, or the next line would be of one of them.
    current.send_replace(with(4));
    current.send_replace(with(5));
    current.send_replace(with(6));
    // That one is not good enough either; then there is one that is.
    assert_eq!(refuse_version(&server).await, 6);
    session.told("Closed").await;
    current.send_replace(with(7));
    let line = server.accept_login().await;
    session.told("Open").await;
    assert_eq!(revision_of(&line), 7);
    // A newer one does not disturb a session that is open.
    current.send_replace(with(8));
    session.commands.send(Command::Stop).await.unwrap();
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::Stopped(CloseReason::Stopped)
    );
}

#[tokio::test]
async fn a_session_whose_version_is_refused_tries_again_after_a_while_and_can_be_stopped() {
    let (server, mut config) = Server::new().await;
    config.timing.outdated = Duration::from_millis(20);
    let mut session = Session::start(paired_device(), config);
    for _ in 0..3 {
        refuse_version(&server).await;
        session.told("Closed").await;
    }
    session.commands.send(Command::Stop).await.unwrap();
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::Stopped(CloseReason::Stopped)
    );
}

#[tokio::test]
async fn no_frame_leaves_before_its_step_is_durable_and_inputs_are_handled_meanwhile() {
    let (server, config) = Server::new().await;
    // One commit, of `Connecting`; none for the login yet.
    let session = Session::start_with(paired_device(), config, 1, None);
    let mut line = server.accept().await;
    line.handshake().await;
    // The login changes the credentials: its frames wait for the commit, and so do those of what comes after.
    line.send(&success()).await;
    let ping = Node::new("iq")
        .attr("type", "get")
        .attr("xmlns", "urn:xmpp:ping")
        .attr("id", "s-1");
    line.send(&ping).await;
    let early = timeout(Duration::from_millis(200), line.stream.next()).await;
    assert!(early.is_err(), "a frame left before its commit: {early:?}");
    assert_eq!(session.store.device().unwrap().login_counter, 0);

    session.permits.add_permits(1);
    line.expect("active", |node| node.child("active").is_some()).await;
    assert_eq!(session.store.device().unwrap().login_counter, 1);
    line.expect("pong", |node| node.attr_is("id", "s-1")).await;
}

#[tokio::test]
async fn a_commit_that_fails_ends_the_session_with_nothing_sent() {
    let (server, config) = Server::new().await;
    let session = Session::start_with(
        Device::generate(&mut StdRng::seed_from_u64(1)),
        config,
        usize::MAX >> 4,
        Some("QrCode"),
    );
    let mut line = server.accept().await;
    line.handshake().await;
    line.send(&pair_device(&["ref-1"])).await;
    // The ack of the offer was in the step that failed.
    let mut line_end = line;
    while let Some(Ok(message)) = within(line_end.stream.next(), "close").await {
        assert!(
            !matches!(message, Message::Binary(_)),
            "a frame left although its commit failed"
        );
    }
    assert!(matches!(session.ended().await, Err(StoreError::Fenced)));
}

#[tokio::test]
async fn an_owner_that_goes_away_stops_the_session() {
    let (server, config) = Server::new().await;
    let Session {
        task,
        commands,
        mut told,
        ..
    } = Session::start(paired_device(), config);
    let line = server.accept_login().await;
    drop(commands);
    let mut last = String::new();
    while let Some(event) = within(told.recv(), "events").await {
        last = event;
    }
    assert!(last.starts_with("Closed"), "{last}");
    line.expect_closed().await;
    assert!(matches!(
        task.await.unwrap(),
        Ok(Ended::Stopped(CloseReason::Stopped))
    ));
}

#[tokio::test]
async fn an_address_that_is_none_is_a_typed_reason() {
    let (_, config) = Server::new().await;
    let mut session = Session::start(
        paired_device(),
        Config {
            url: "not an address".to_owned(),
            ..config
        },
    );
    assert!(session.told("Closed").await.contains("ConnectFailed"));
    session.commands.send(Command::Stop).await.unwrap();
    assert_eq!(
        session.ended().await.unwrap(),
        Ended::Stopped(CloseReason::Stopped)
    );
}

#[test]
fn a_session_at_rest_is_small() {
    let (_, commands) = mpsc::channel(1);
    let config = Arc::new(ServerKeys::new(1).config());
    let rng = StdRng::seed_from_u64(1);
    let session = run(
        config,
        paired_device(),
        MemoryStore::new(),
        commands,
        SystemClock::new(),
        rng,
    );
    // Beside it there are the WebSocket's buffers and what the parts hold; both are bounded elsewhere.
    assert!(
        size_of_val(&session) <= 8 * 1_024,
        "{} bytes",
        size_of_val(&session)
    );
}
