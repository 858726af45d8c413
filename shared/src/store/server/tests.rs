use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Database, Secret};
use crate::store::Store;
use crate::store::commit::{GroupCommit, Write, WriteSealer};
use crate::testing::{TestDatabase, sealer, service_url};

/// What a PostgreSQL client sends first to ask for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A door before the real server that speaks TLS, with a certificate of its own for `localhost`.
struct Door {
    port: u16,
    roots: PathBuf,
}

impl Door {
    async fn open() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let name = format!("fanfare-door-{}.pem", uuid::Uuid::new_v4().simple());
        let roots = std::env::temp_dir().join(name);
        std::fs::write(&roots, made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = url::Url::parse(&service_url("DATABASE_URL")).unwrap();
        let behind = format!("{}:{}", behind.host_str().unwrap(), behind.port().unwrap());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, acceptor.clone(), behind.clone()));
            }
        });
        Self { port, roots }
    }

    /// The URL of a test's database through this door.
    fn url(&self, db: &TestDatabase, host: &str, query: &str) -> Database {
        let mut url = url::Url::parse(db.config().url.expose()).unwrap();
        url.set_host(Some(host)).unwrap();
        url.set_port(Some(self.port)).unwrap();
        Database {
            url: Secret::new(format!("{url}?{query}")),
            pool_size: 1,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // What stays behind is one small file among temporary ones.
        let _ = std::fs::remove_file(&self.roots);
    }
}

/// Takes only clients that ask for TLS.
async fn serve(mut client: TcpStream, acceptor: TlsAcceptor, behind: String) {
    let mut first = [0; SSL_REQUEST.len()];
    if client.read_exact(&mut first).await.is_err() || first != SSL_REQUEST {
        return;
    }
    client.write_all(b"S").await.unwrap();
    // A client that does not trust us ends here.
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    let mut server = TcpStream::connect(behind).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn tls_is_what_sslmode_says() {
    let (db, door) = (TestDatabase::new().await, Door::open().await);
    let ping = async |host: &str, query: &str| {
        let store = Store::new(&door.url(&db, host, query), None, crate::clock::Clock::system()).unwrap();
        store.ping().await.map_err(|error| error.to_string())
    };
    let roots = format!("sslrootcert={}", door.roots.display());
    for mode in ["require", "verify-ca", "verify-full"] {
        ping("localhost", &format!("sslmode={mode}&{roots}"))
            .await
            .unwrap();
        let unknown = ping("localhost", &format!("sslmode={mode}")).await;
        assert!(unknown.is_err(), "{mode}: a stranger's certificate");
        let other_name = ping("127.0.0.1", &format!("sslmode={mode}&{roots}")).await;
        assert!(other_name.is_err(), "{mode}: a certificate for another name");
    }
    ping("localhost", "sslmode=prefer").await.unwrap();
    ping("localhost", "sslmode=allow").await.unwrap();
    assert!(ping("localhost", "sslmode=disable").await.is_err());
}

#[tokio::test]
async fn a_server_without_tls_serves_those_who_do_not_require_it() {
    let db = TestDatabase::new().await;
    let ping = async |mode: &str| {
        let url = format!("{}?sslmode={mode}", db.config().url.expose());
        let database = Database {
            url: Secret::new(url),
            pool_size: 1,
        };
        Store::new(&database, None, crate::clock::Clock::system())
            .unwrap()
            .ping()
            .await
    };
    ping("prefer").await.unwrap();
    ping("disable").await.unwrap();
    assert!(ping("require").await.is_err());
}

#[tokio::test]
async fn group_commit_goes_the_same_way() {
    let (db, door) = (TestDatabase::new().await, Door::open().await);
    let query = format!("sslmode=require&sslrootcert={}", door.roots.display());
    let store = Store::new(
        &door.url(&db, "localhost", &query),
        Some(sealer()),
        crate::clock::Clock::system(),
    )
    .unwrap();
    let fence = db.lease(0, "w").await;
    let session = crate::store::sessions::create(&store, &crate::testing::token(), 1).await;
    let mut write = Write::new(fence, session.unwrap().into_record().id);
    write.last_sequence = Some(1);
    let sealed = WriteSealer::new(&store).unwrap().seal(write);
    assert_eq!(GroupCommit::new(&store).commit(&[sealed]).await, [Ok(())]);
}

#[test]
fn options_of_the_url_are_kept_and_the_roots_are_read_first() {
    let server = Server::read("postgres://u@h/d?options=-c%20search_path%3Dmine").unwrap();
    assert_eq!(
        server.configured("-c statement_timeout=1").get_options(),
        Some("-c search_path=mine -c statement_timeout=1")
    );
    let missing = Server::read("postgres://u:hush@h/d?sslmode=verify-full&sslrootcert=%2Fnot%2Fthere");
    let Err(StoreError::Url(why)) = missing else {
        panic!("roots that are not there were taken")
    };
    assert!(why.contains("sslrootcert") && !why.contains("hush"), "{why}");
    assert!(Server::read("postgres://u@h/d?sslmode=perhaps").is_err());
}
