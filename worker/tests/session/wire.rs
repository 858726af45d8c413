//! The way from a worker to the simulator, which can stall and be down.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Both directions go.
    Open,
    /// What the server says does not arrive. It is heard when the way is open again.
    Stalled,
    /// Connections break off, and new ones are refused.
    Down,
}

/// A listener before the simulator. It ends with the value.
pub(crate) struct Wire {
    pub(crate) url: String,
    way: watch::Sender<Way>,
}

impl Wire {
    /// A way to the server of this `ws://` address.
    pub(crate) async fn to(url: &str) -> Self {
        let (address, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .expect("a URL");
        let server: SocketAddr = address.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}/{path}", listener.local_addr().expect("an address"));
        let (way, seen) = watch::channel(Way::Open);
        let mut closed = seen.clone();
        tokio::spawn(async move {
            let accept = async {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, server, seen.clone()));
                }
            };
            tokio::select! {
                () = accept => {}
                _ = closed.wait_for(|_| false) => {}
            }
        });
        Self { url, way }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut way: watch::Receiver<Way>) {
    let mut down = way.clone();
    let both = async {
        let server = TcpStream::connect(server).await?;
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let there = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
        let back = async {
            let mut bytes = [0; 4096];
            loop {
                let read = from_server.read(&mut bytes).await?;
                if read == 0 || way.wait_for(|way| *way == Way::Open).await.is_err() {
                    return Ok(());
                }
                to_client.write_all(&bytes[..read]).await?;
            }
        };
        // Either end closes both.
        tokio::select! {
            there = there => there,
            back = back => back,
        }
    };
    tokio::select! {
        _ = both => {}
        _ = down.wait_for(|way| *way == Way::Down) => {}
    }
}
