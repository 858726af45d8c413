//! The session as a handle: calls are answered, and whoever does not read the events holds the connection up.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::timeout;

use super::{FixedClock, paired_device, result_of, server::Server, within};
use crate::{
    binary::Node,
    client::{EVENTS, Ended, Events, PairingRefused, Session},
    command::Recipient,
    connection::{CloseReason, Config},
    event::{Event, QueryError, SendError},
    proto::Message,
    store::{MemoryStore, StoreError},
};

async fn start(store: MemoryStore, config: Config) -> (Session, Events) {
    let rng = StdRng::seed_from_u64(5);
    let started = Session::start(Arc::new(config), store, FixedClock::new(), rng).await;
    started.unwrap_or_else(|error: StoreError| panic!("{error}"))
}

async fn until(events: &mut Events, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = within(events.next(), what).await;
        let event = event.unwrap_or_else(|| panic!("ended before {what}"));
        if fits(&event) {
            return event;
        }
    }
}

fn recipient() -> Recipient {
    Recipient::Phone("15551230002".to_owned())
}

#[tokio::test]
async fn a_device_that_the_store_has_logs_in_and_another_one_shows_a_code() {
    let (server, config) = Server::new().await;
    let (session, mut events) = start(MemoryStore::with_device(paired_device()), config.clone()).await;
    let line = server.accept_login().await;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await;
    within(session.stop(), "stop").await;
    line.expect_closed().await;
    until(&mut events, "closed", |event| {
        matches!(event, Event::Closed { .. })
    })
    .await;
    assert!(events.next().await.is_none());
    assert_eq!(
        events.ended().await.unwrap(),
        Ended::Stopped(CloseReason::Stopped)
    );

    let (_session, mut events) = start(MemoryStore::new(), config).await;
    let mut line = server.accept().await;
    line.handshake().await;
    line.send(&super::pair_device(&["ref-1"])).await;
    until(&mut events, "QR code", |event| {
        matches!(event, Event::QrCode { .. })
    })
    .await;
}

#[tokio::test]
async fn calls_are_answered_without_a_connection_and_after_the_end() {
    let (server, config) = Server::new().await;
    drop(server.listener);
    let (session, events) = start(MemoryStore::with_device(paired_device()), config).await;
    drop(events);
    let send = || session.send(recipient(), Message::default());
    let ask = || session.is_on_whatsapp(vec!["15551230002".to_owned()]);
    assert_eq!(within(send(), "answer").await, Err(SendError::NotConnected));
    assert_eq!(
        within(ask(), "answer").await.err(),
        Some(QueryError::NotConnected)
    );
    within(session.stop(), "stop").await;
    assert_eq!(within(send(), "answer").await, Err(SendError::NotConnected));
    assert_eq!(
        within(ask(), "answer").await.err(),
        Some(QueryError::NotConnected)
    );
    assert_eq!(
        within(session.request_pairing_code("15551230001"), "answer").await,
        Err(PairingRefused { code: 428 })
    );
}

#[tokio::test]
async fn a_call_under_way_is_answered_when_the_session_ends() {
    let (server, config) = Server::new().await;
    let (session, mut events) = start(MemoryStore::with_device(paired_device()), config).await;
    let line = server.accept_login().await;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await;
    // The server never says which devices the recipient has.
    let (sent, ()) = tokio::join!(
        within(session.send(recipient(), Message::default()), "answer"),
        session.stop()
    );
    assert_eq!(sent, Err(SendError::NotConnected));
    drop(line);
}

#[tokio::test]
async fn logging_out_waits_for_the_end() {
    let (server, config) = Server::new().await;
    let (session, mut events) = start(MemoryStore::with_device(paired_device()), config).await;
    let mut line = server.accept_login().await;
    until(&mut events, "open", |event| matches!(event, Event::Open { .. })).await;
    let answer = async {
        let is_logout = |node: &Node| node.child("remove-companion-device").is_some();
        let iq = line.expect("logout", is_logout).await;
        line.send(&result_of(&iq)).await;
    };
    tokio::join!(within(session.logout(), "logout"), answer);
    assert_eq!(
        events.ended().await.unwrap(),
        Ended::LoggedOut(CloseReason::LogoutRequested)
    );
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_the_connection_up_until_it_is() {
    let (server, config) = Server::new().await;
    let (session, mut events) = start(MemoryStore::with_device(paired_device()), config).await;
    // Each connection that fails makes an event at its begin and one at its end.
    let mut connections = 0;
    while let Ok(accepted) = timeout(Duration::from_millis(300), server.listener.accept()).await {
        drop(accepted);
        connections += 1;
        assert!(connections <= EVENTS, "nobody waits for the stream to be read");
    }
    assert_eq!(connections, EVENTS / 2);
    // A call waits as well; its answer comes with the events.
    let call = session.send(recipient(), Message::default());
    tokio::pin!(call);
    assert!(timeout(Duration::from_millis(50), &mut call).await.is_err());
    let reading = async { while events.next().await.is_some() {} };
    tokio::select! {
        sent = within(call, "answer") => assert_eq!(sent, Err(SendError::NotConnected)),
        () = reading => panic!("the session ended"),
        () = async { loop { drop(server.listener.accept().await); } } => {}
    }
    drop(events);
    within(session.stop(), "stop").await;
}
