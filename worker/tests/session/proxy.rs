//! Sessions that leave by a proxy: SOCKS 5 with user and password, written here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::stage::{Stage, text};

/// A proxy that runs until it is dropped, with all that goes through it.
struct Socks {
    port: u16,
    /// Connections that were opened through it.
    opened: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Socks {
    async fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let opened = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&opened);
        let task = tokio::spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                all.spawn(async move {
                    if let Ok((mut ours, mut theirs)) = open(socket).await {
                        count.fetch_add(1, Ordering::SeqCst);
                        drop(copy_bidirectional(&mut ours, &mut theirs).await);
                    }
                });
            }
        });
        Self { port, opened, task }
    }
}

impl Drop for Socks {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_leaves_by_its_proxy_and_says_so_when_that_is_away() {
    let stage = Stage::new().await;
    let socks = Socks::on(0).await;
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

    let socks = Socks::on(port).await;
    stage.send(&token, text(&contacts[1..], None)).await;
    stage.audit(|report| report.contacts.shown_once == 2).await;
    assert!(socks.opened.load(Ordering::SeqCst) >= 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_take_us_is_not_passed_by() {
    let stage = Stage::new().await;
    let socks = Socks::on(0).await;
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
    let socks = Socks::on(0).await;
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
