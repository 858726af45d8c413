//! Sessions that leave by a proxy: SOCKS 5 and HTTP `CONNECT` with user and password, written here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::id::Token;
use shared::job::{Answer, FailureCode, Job, PairingCodeJob, SessionUpdateJob};
use shared::recipient::Number;
use shared::store::sessions::{self, NewSettings};
use shared::testing::{job_id, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::stage::{Stage, text};

/// A proxy that runs until it is dropped, with all that goes through it.
struct Tunnels {
    port: u16,
    /// Connections that were opened through it.
    opened: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy)]
enum Dialect {
    Socks,
    Connect,
}

impl Tunnels {
    async fn on(port: u16) -> Self {
        Self::speaking(Dialect::Socks, port).await
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    async fn speaking(dialect: Dialect, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let opened = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&opened);
        let task = tokio::spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                all.spawn(async move {
                    let tunnel = match dialect {
                        Dialect::Socks => open(socket).await,
                        Dialect::Connect => connect(socket).await,
                    };
                    if let Ok((mut ours, mut theirs)) = tunnel {
                        count.fetch_add(1, Ordering::SeqCst);
                        drop(copy_bidirectional(&mut ours, &mut theirs).await);
                    }
                });
            }
        });
        Self { port, opened, task }
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn open(mut socket: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).await?;
    let mut methods = vec![0; usize::from(head[1])];
    socket.read_exact(&mut methods).await?;
    socket.write_all(&[5, 2]).await?;
    let mut login = vec![0; 2];
    socket.read_exact(&mut login).await?;
    let mut texts = Vec::new();
    let mut length = login[1];
    for last in [false, true] {
        let mut text = vec![0; usize::from(length)];
        socket.read_exact(&mut text).await?;
        texts.push(String::from_utf8_lossy(&text).into_owned());
        if !last {
            length = socket.read_u8().await?;
        }
    }
    let is_known = texts == ["fan", "secret"];
    socket.write_all(&[1, u8::from(!is_known)]).await?;
    if !is_known {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    let mut request = [0; 4];
    socket.read_exact(&mut request).await?;
    let host = if request[3] == 1 {
        let mut address = [0; 4];
        socket.read_exact(&mut address).await?;
        std::net::Ipv4Addr::from(address).to_string()
    } else {
        let mut name = vec![0; usize::from(socket.read_u8().await?)];
        socket.read_exact(&mut name).await?;
        String::from_utf8_lossy(&name).into_owned()
    };
    let port = socket.read_u16().await?;
    let there = TcpStream::connect((host.as_str(), port)).await?;
    socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok((socket, there))
}

async fn connect(mut socket: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let login = STANDARD.encode("fan:secret").to_lowercase();
    let host = head
        .strip_prefix("connect ")
        .and_then(|rest| rest.split(' ').next());
    let Some(host) = host.filter(|_| head.contains(&format!("proxy-authorization: basic {login}"))) else {
        socket
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            .await?;
        return Err(std::io::ErrorKind::PermissionDenied.into());
    };
    let there = TcpStream::connect(host).await?;
    socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    Ok((socket, there))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_leaves_by_its_proxy_and_says_so_when_that_is_away() {
    let stage = Stage::new().await;
    let socks = Tunnels::on(0).await;
    let port = socks.port;
    let proxy = format!("socks5h://fan:secret@127.0.0.1:{port}").parse().unwrap();
    let worker = stage.worker_with("w1", |whatsapp| whatsapp.proxy = Some(Arc::new(proxy)));
    let token = stage.paired("15550000101").await;
    let contacts = stage.contacts("155501010", 2).await;
    stage.send(&token, text(&contacts[..1], None)).await;
    stage.event(&token, "send.message:COMPLETED", |_| true).await;
    // One to pair, one to log in.
    assert!(socks.opened.load(Ordering::SeqCst) >= 2);

    drop(socks);
    let closed = stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 407
        })
        .await;
    assert_eq!(closed["data"]["state"], "close");
    assert_eq!(stage.record(&token).await.unwrap().close_reason, Some(407));

    let socks = Tunnels::on(port).await;
    stage.send(&token, text(&contacts[1..], None)).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    assert!(socks.opened.load(Ordering::SeqCst) >= 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_take_us_is_not_passed_by() {
    let stage = Stage::new().await;
    let socks = Tunnels::on(0).await;
    let proxy = format!("socks5://fan:guess@127.0.0.1:{}", socks.port)
        .parse()
        .unwrap();
    let worker = stage.worker_with("w1", |whatsapp| whatsapp.proxy = Some(Arc::new(proxy)));
    let token = stage.session().await;
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 407
        })
        .await;
    assert_eq!(socks.opened.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_version_is_read_by_the_proxy_too() {
    let stage = Stage::new().await;
    let socks = Tunnels::on(0).await;
    let proxy = format!("socks5h://fan:secret@127.0.0.1:{}", socks.port)
        .parse()
        .unwrap();
    let page = format!("{}/sw.js", stage.simulator.control_url);
    let settings = worker::version::Settings {
        fixed: None,
        fetching: worker::version::Fetching::From(page.parse().unwrap()),
        ..worker::version::Settings::default()
    };
    let worker = stage.worker_of_version("w1", settings, |whatsapp| {
        whatsapp.proxy = Some(Arc::new(proxy));
    });
    let asked = async || {
        let change = simulator::world::VersionChange::default();
        stage.simulator.versions(change).await.unwrap().asked
    };
    while asked().await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(socks.opened.load(Ordering::SeqCst), 1);
    worker.stop().await;
}

/// A session that is created with a proxy of its own, as the API does it.
async fn created_with(stage: &Stage, proxy: &str) -> Token {
    let (token, proxy) = (token(), proxy.parse().expect("a proxy"));
    let settings = NewSettings {
        proxy: Some(&proxy),
        ..NewSettings::default()
    };
    let store = stage.database.store();
    let session = sessions::create_with(store, &token, 2, settings)
        .await
        .expect("a session");
    let broker = stage.broker.broker();
    broker
        .bind_token(&token, session.into_record().shard)
        .await
        .expect("a binding");
    stage.publish(&token, &job_id(), &Job::SessionStart).await;
    token
}

async fn leaves_by(stage: &Stage, token: &Token, proxy: Option<&str>) {
    let job = Job::SessionUpdate(SessionUpdateJob {
        proxy: Some(proxy.map(|proxy| proxy.parse().expect("a proxy"))),
        ..SessionUpdateJob::default()
    });
    assert!(matches!(stage.call(token, job).await, Answer::Done { .. }));
}

/// All that is logged from now on, as at `LOG=trace`.
fn logged() -> Arc<Mutex<Vec<u8>>> {
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let discreet = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_targets(shared::broker::TELLTALE_LOGS)
        .with_targets(shared::store::TELLTALE_LOGS);
    let kept = Arc::clone(&lines);
    let layer = tracing_subscriber::fmt::layer().with_writer(move || Lines(Arc::clone(&kept)));
    let subscriber = tracing_subscriber::registry().with(discreet).with(layer);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else keeps them");
    lines
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until the session has been open so many times.
async fn is_open(stage: &Stage, token: &Token, times: usize) {
    let opened = || {
        let seen = stage.seen(token);
        let opened = seen
            .iter()
            .filter(|event| event["event"] == "connection.update" && event["data"]["state"] == "open");
        opened.count()
    };
    let patience = async {
        while opened() < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patient = tokio::time::timeout(Duration::from_secs(40), patience).await;
    patient.unwrap_or_else(|_| panic!("open {} times: {:#?}", opened(), stage.seen(token)));
}

/// What the database holds of a session's proxy: whether the password can be read there, and what is shown.
async fn stored(stage: &Stage, token: &Token) -> (bool, Option<String>) {
    let row = format!("SELECT encode(s.proxy, 'escape') || s::text FROM session s WHERE token = '{token}'");
    let row = stage.database.query(&row).await.remove(0).unwrap_or_default();
    let record = stage.record(token).await.expect("a session");
    (row.contains("secret"), record.proxy.map(|proxy| proxy.address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_leaves_by_a_proxy_of_its_own_and_others_do_not() {
    let stage = Stage::new().await;
    let socks = Tunnels::on(0).await;
    let worker = stage.worker("w1");
    let phone: simulator::number::Number = "15550000111".parse().unwrap();
    stage.simulator.create_phone(phone, "Owner").await.unwrap();
    let own = created_with(&stage, &format!("socks5h://fan:secret@127.0.0.1:{}", socks.port)).await;
    let qr = stage.event(&own, "qrcode.updated", |_| true).await;
    let code = qr["data"]["qrcode"]["code"].as_str().unwrap().to_owned();
    stage.simulator.scan(phone, code).await.unwrap();
    is_open(&stage, &own, 1).await;
    let opened = socks.opened();
    assert!(opened >= 2, "one to pair, one to log in: {opened}");
    let shown = Some(format!("socks5h://127.0.0.1:{}", socks.port));
    assert_eq!(stored(&stage, &own).await, (false, shown.clone()));

    let other = stage.paired("15550000112").await;
    assert_eq!(socks.opened(), opened, "the other leaves as the deployment does");
    assert_eq!(stored(&stage, &other).await, (false, None));

    // Another worker reads it from what is stored.
    worker.stop().await;
    let worker = stage.worker("w2");
    is_open(&stage, &own, 2).await;
    is_open(&stage, &other, 2).await;
    assert_eq!(socks.opened(), opened + 1);
    let contacts = stage.contacts("155501011", 1).await;
    stage.send(&own, text(&contacts, None)).await;
    stage.event(&own, "send.message:COMPLETED", |_| true).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_gets_another_proxy_connects_anew_by_it() {
    let lines = logged();
    let stage = Stage::new().await;
    let (socks, http) = (Tunnels::on(0).await, Tunnels::speaking(Dialect::Connect, 0).await);
    let worker = stage.worker("w1");
    let token = stage.paired("15550000113").await;
    let by_socks = format!("socks5://fan:secret@127.0.0.1:{}", socks.port);
    leaves_by(&stage, &token, Some(&by_socks)).await;
    is_open(&stage, &token, 2).await;
    assert_eq!((socks.opened(), http.opened()), (1, 0));
    // The same again is no other way.
    leaves_by(&stage, &token, Some(&by_socks)).await;

    let by_http = format!("http://fan:secret@127.0.0.1:{}", http.port);
    leaves_by(&stage, &token, Some(&by_http)).await;
    is_open(&stage, &token, 3).await;
    assert_eq!((socks.opened(), http.opened()), (1, 1));
    let shown = Some(format!("http://127.0.0.1:{}", http.port));
    assert_eq!(stored(&stage, &token).await, (false, shown));

    // One that does not take us is not passed by, and is said by name.
    leaves_by(
        &stage,
        &token,
        Some(&by_http.replace("fan:secret", "fan:secretly")),
    )
    .await;
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 407
        })
        .await;
    // While it waits for its next try, another way is taken at once.
    leaves_by(&stage, &token, None).await;
    is_open(&stage, &token, 4).await;
    assert_eq!((socks.opened(), http.opened()), (1, 1));
    assert_eq!(stored(&stage, &token).await, (false, None));
    let told = format!("{:?}", stage.seen(&token));
    assert!(!told.contains("secret"), "{told}");
    worker.stop().await;
    let lines = String::from_utf8_lossy(&lines.lock().unwrap()).into_owned();
    assert!(lines.contains("does not connect us"), "the refusal is logged");
    let basic = STANDARD.encode("fan:secret");
    for line in lines.lines() {
        assert!(!line.contains("secret") && !line.contains(&basic), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_pairs_by_a_proxy_that_comes_with_the_request_for_the_code() {
    let stage = Stage::new().await;
    let socks = Tunnels::on(0).await;
    let worker = stage.worker("w1");
    let phone: simulator::number::Number = "15550000114".parse().unwrap();
    stage.simulator.create_phone(phone, "Owner").await.unwrap();
    let token = stage.session().await;
    stage.event(&token, "qrcode.updated", |_| true).await;
    let by = format!("socks5h://fan:secret@127.0.0.1:{}", socks.port);
    let job = Job::PairingCode(PairingCodeJob {
        phone: Number::new("15550000114").unwrap(),
        proxy: Some(Some(by.parse().unwrap())),
    });
    let Answer::PairingCode { code } = stage.call(&token, job.clone()).await else {
        panic!("no code")
    };
    assert_eq!(socks.opened(), 1);
    stage.simulator.link_code(phone, &code).await.unwrap();
    is_open(&stage, &token, 1).await;
    let opened = socks.opened();
    // One that is paired keeps what it has.
    let Job::PairingCode(job) = job else {
        unreachable!()
    };
    let job = PairingCodeJob {
        proxy: Some(None),
        ..job
    };
    let refused = stage.call(&token, Job::PairingCode(job)).await;
    assert!(
        matches!(
            refused,
            Answer::Failed {
                code: FailureCode::Conflict,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(socks.opened(), opened);
    let shown = Some(format!("socks5h://127.0.0.1:{}", socks.port));
    assert_eq!(stored(&stage, &token).await, (false, shown));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_proxy_is_refused_by_name_and_not_repeated() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.session().await;
    let body = r#"{"proxy":"https://fan:secret@proxy.example"}"#;
    stage
        .publish_raw(token.as_str(), "session.update", "wrong", body)
        .await;
    let rejected = stage
        .event(&token, "job.rejected", |event| event["data"]["jobId"] == "wrong")
        .await;
    assert_eq!(rejected["data"]["field"], "proxy");
    assert!(!rejected.to_string().contains("secret"), "{rejected}");
    assert_eq!(stored(&stage, &token).await, (false, None));
    worker.stop().await;
}
