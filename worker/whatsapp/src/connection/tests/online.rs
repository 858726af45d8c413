//! The life of an open session: keep-alive, server requests, acks, news, and its ends.

use std::time::Duration;

use bytes::Bytes;

use super::{
    peer::{ServerKeys, own_jid, own_lid, result_of, server_iq, success},
    world::{World, is_ping, paired_device},
};
use crate::{
    binary::Node,
    command::{Command, Outgoing, Recipient},
    connection::{ClientVersion, CloseReason, Input, Next},
    event::{Event, QueryError, SendError},
    jid::Jid,
    proto,
    store::RecordKey,
    time::Timestamp,
};

fn from_server(tag: &'static str) -> Node {
    Node::new(tag).attr("from", Jid::SERVER)
}

fn news(child: Node) -> Node {
    from_server("ib").with_child(child)
}

#[test]
fn pings_come_at_random_times_between_20_and_30_seconds() {
    let mut world = World::online();
    world.answers_pings = false;
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let before = world.now;
        while !world.nodes.iter().any(is_ping) {
            let deadline = world.connection.deadline().unwrap();
            world.pass(deadline.since(world.now));
        }
        gaps.push(world.now.since(before));
        let ping = world.expect("ping", is_ping);
        world.server_sends(&result_of(&ping));
    }
    assert!(
        gaps.iter().all(|gap| (20..=30).contains(&gap.as_secs())),
        "{gaps:?}"
    );
    assert!(gaps.iter().max() > gaps.iter().min());
    assert!(world.closed.is_none());
}

#[test]
fn silence_after_a_ping_is_a_dead_socket() {
    let mut world = World::online();
    world.answers_pings = false;
    world.pass(Duration::from_secs(30));
    world.expect("ping", is_ping);
    assert!(world.closed.is_none());
    world.pass(Duration::from_secs(20));
    world.expect_close(&CloseReason::KeepAliveTimeout, Next::Reconnect);
}

#[test]
fn anything_from_the_server_is_a_sign_of_life() {
    let mut world = World::online();
    world.answers_pings = false;
    for _ in 0..30 {
        world.pass(Duration::from_secs(10));
        world.server_sends(&from_server("presence"));
    }
    assert!(world.closed.is_none());
}

#[test]
fn the_servers_ping_is_answered() {
    let mut world = World::online();
    world.server_sends(
        &server_iq("get", "s-1")
            .attr("xmlns", "urn:xmpp:ping")
            .with_child(Node::new("ping")),
    );
    let pong = world.expect("pong", |node| node.attr_is("id", "s-1"));
    assert!(pong.attr_is("type", "result") && pong.attr_jid("to") == Some(Jid::SERVER));
}

#[test]
fn notifications_calls_and_unknown_stanzas_are_acked() {
    let mut world = World::online();
    let participant: Jid = "100000000000009:2@lid".parse().unwrap();
    world.server_sends(
        &from_server("notification")
            .attr("id", "n-1")
            .attr("type", "psa")
            .attr("participant", &participant),
    );
    let ack = world.expect("ack", |node| node.is("ack") && node.attr_is("id", "n-1"));
    assert!(
        ack.attr_is("class", "notification") && ack.attr_is("type", "psa") && ack.value("error").is_none()
    );
    assert_eq!(ack.attr_jid("participant"), Some(participant));

    let caller = Jid::phone("15551230009").unwrap();
    world.server_sends(
        &Node::new("call")
            .attr("from", &caller)
            .attr("id", "c-1")
            .with_child(Node::new("offer")),
    );
    let ack = world.expect("ack", |node| node.is("ack") && node.attr_is("id", "c-1"));
    assert!(ack.attr_is("class", "call") && ack.attr_jid("to") == Some(caller));

    world.server_sends(&from_server("novelty").attr("id", "x-1"));
    let nack = world.expect("nack", |node| node.is("ack") && node.attr_is("id", "x-1"));
    assert!(nack.attr_is("class", "novelty") && nack.attr_is("error", "488"));
    assert!(world.closed.is_none());
}

#[test]
fn routing_is_stored_once() {
    let mut world = World::online();
    let routing = news(
        Node::new("edge_routing")
            .with_child(Node::new("routing_info").with_bytes(Bytes::from_static(&[8, 2]))),
    );
    world.server_sends(&routing);
    assert_eq!(
        world.store.device().unwrap().routing_info.as_deref(),
        Some(&[8, 2][..])
    );
    let commits = world.store.commits();
    world.server_sends(&routing);
    assert_eq!(world.store.commits(), commits);
}

#[test]
fn the_backlog_is_asked_for_in_batches_and_its_end_is_told() {
    let mut world = World::online();
    let is_batch = |node: &Node| node.child("offline_batch").is_some();
    world.server_sends(&news(Node::new("offline_preview").attr("count", "150")));
    let batch = world.expect("offline_batch", is_batch);
    assert!(batch.child("offline_batch").unwrap().attr_is("count", "100"));
    for number in 0..150 {
        let node = from_server("notification")
            .attr("id", number.to_string())
            .attr("type", "psa");
        world.peer.send(&node.attr("offline", "1"));
    }
    world.pump();
    world.expect("second offline_batch", is_batch);
    assert!(!world.nodes.iter().any(is_batch));
    world.server_sends(&news(Node::new("offline").attr("count", "150")));
    assert!(matches!(
        world.events.last(),
        Some(Event::CaughtUp { count: 150 })
    ));
}

#[test]
fn the_announced_end_of_our_version_is_told() {
    let mut world = World::online();
    let mut told = |expiration: Node| {
        let before = world.events.len();
        world.server_sends(&news(expiration));
        let mut told = world.events.drain(before..).collect::<Vec<_>>();
        assert!(told.len() <= 1 && world.closed.is_none());
        told.pop().map(|event| match event {
            Event::VersionExpires { version, at } => (version, at),
            other => panic!("{other:?}"),
        })
    };
    let expiration = |t: &str| Node::new("client_expiration").attr("t", t);
    let (version, at) = (ClientVersion::KNOWN, Timestamp::from_secs(1_785_000_000));
    assert_eq!(told(expiration("1785000000")), Some((version, Some(at))));
    // Taken back.
    assert_eq!(told(Node::new("client_expiration")), Some((version, None)));
    // Rubbish is neither.
    for rubbish in ["", "soon", "-1", "99999999999999999999999"] {
        assert_eq!(told(expiration(rubbish)), None, "{rubbish}");
    }
}

#[test]
fn dirty_bits_are_cleaned() {
    let mut world = World::online();
    world.server_sends(&news(
        Node::new("dirty")
            .attr("type", "account_sync")
            .attr("timestamp", "1700000001"),
    ));
    let iq = world.expect("clean", |node| node.child("clean").is_some());
    assert!(iq.attr_is("xmlns", "urn:xmpp:whatsapp:dirty") && iq.attr_is("type", "set"));
    let clean = iq.child("clean").unwrap();
    assert!(clean.attr_is("type", "account_sync") && clean.attr_is("timestamp", "1700000001"));
}

fn removed() -> Node {
    let conflict = Node::new("conflict").attr("type", "device_removed");
    Node::new("stream:error").attr("code", "401").with_child(conflict)
}

#[test]
fn the_reason_that_was_given_holds_whatever_follows() {
    let mut world = World::online();
    world.peer.send(&removed());
    world.peer.send(&Node::new("xmlstreamend"));
    world.pump();
    world.handle(Input::SocketClosed);
    world.pump();
    world.expect_close(&CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
}

#[test]
fn the_reason_counts_though_the_socket_closed_before_it_was_read() {
    let keys = ServerKeys::new(1);
    let mut config = keys.config();
    config.limits.step_items = 1;
    let mut world = World::with(paired_device(), config, &keys);
    world.server_sends(&success());
    let notification = from_server("notification")
        .attr("id", "n")
        .attr("type", "unknown");
    world.peer.send(&notification);
    world.peer.send(&removed());
    // The first fills the step: what is behind it is not read.
    while let Some(bytes) = world.peer.outbox.pop_front() {
        world.handle(Input::Bytes(bytes));
    }
    assert!(world.connection.is_backlogged() && !world.connection.is_closed());
    world.handle(Input::SocketClosed);
    world.pump();
    world.expect_close(&CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
}

#[test]
fn each_end_of_the_stream_closes_with_its_own_reason() {
    let check = |node: Node, expected: CloseReason, next| {
        let mut world = World::online();
        world.server_sends(&node);
        world.expect_close(&expected, next);
    };
    let error = || Node::new("stream:error");
    let conflict = |kind: &str| Node::new("conflict").attr("type", kind);
    check(
        error().attr("code", "515"),
        CloseReason::RestartRequired,
        Next::ReconnectNow,
    );
    check(
        error().attr("code", "503"),
        CloseReason::ServerError { code: 503 },
        Next::Reconnect,
    );
    check(
        error().attr("code", "429"),
        CloseReason::Throttled,
        Next::ReconnectSlowly,
    );
    let removed = error().attr("code", "401").with_child(conflict("device_removed"));
    check(removed, CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
    check(
        error().with_child(conflict("replaced")),
        CloseReason::Replaced,
        Next::Stop,
    );
    check(
        error().with_child(Node::new("ack")),
        CloseReason::AckMissing,
        Next::Reconnect,
    );
    check(Node::new("xmlstreamend"), CloseReason::StreamEnd, Next::Reconnect);
    check(
        news(Node::new("downgrade_webclient")),
        CloseReason::MultideviceMismatch,
        Next::Stop,
    );
}

#[test]
fn a_lost_socket_closes_the_connection() {
    let mut world = World::online();
    world.handle(Input::SocketClosed);
    world.pump();
    world.expect_close(&CloseReason::SocketClosed, Next::Reconnect);
    assert_eq!(world.connection.deadline(), None);
}

#[test]
fn logout_unlinks_the_device_and_closes_on_the_answer() {
    let mut world = World::online();
    world.command(Command::Logout);
    let iq = world.expect("logout", |node| node.child("remove-companion-device").is_some());
    let remove = iq.child("remove-companion-device").unwrap();
    assert!(iq.attr_is("xmlns", "md") && remove.attr_is("reason", "user_initiated"));
    assert_eq!(remove.attr_jid("jid"), Some(own_jid()));
    assert!(world.closed.is_none());
    world.server_sends(&result_of(&iq));
    world.expect_close(&CloseReason::LogoutRequested, Next::LoggedOut);
}

#[test]
fn logout_waits_for_its_answer_no_longer_than_three_seconds() {
    let mut world = World::online();
    world.command(Command::Logout);
    world.pass(Duration::from_millis(2_999));
    assert!(world.closed.is_none());
    world.pass(Duration::from_millis(1));
    world.expect_close(&CloseReason::LogoutRequested, Next::LoggedOut);
}

#[test]
fn stop_closes_at_once_and_keeps_the_credentials() {
    let mut world = World::online();
    world.command(Command::Stop);
    world.expect_close(&CloseReason::Stopped, Next::Stop);
    assert_eq!(world.store.device().unwrap().lid(), Some(&own_lid()));
}

#[test]
fn a_send_that_comes_too_late_is_answered() {
    let mut world = World::online();
    world.command(Command::Stop);
    let outgoing = Outgoing {
        id: "3EB0AA".parse().unwrap(),
        to: Recipient::Phone("15551230002".to_owned()),
        message: proto::Message::default(),
    };
    world.command(Command::Send(Box::new(outgoing)));
    let failed = |event: &Event| {
        matches!(
            event,
            Event::MessageFailed {
                reason: SendError::NotConnected,
                ..
            }
        )
    };
    assert!(world.events.iter().any(failed));
}

/// The tickets of the lookups that were answered with the end of the connection.
fn abandoned_lookups(world: &World) -> Vec<u64> {
    let ticket = |event: &Event| match event {
        Event::IsOnWhatsApp {
            ticket,
            result: Err(QueryError::NotConnected),
        } => Some(*ticket),
        _ => None,
    };
    world.events.iter().filter_map(ticket).collect()
}

fn lookup(ticket: u64, number: impl Into<String>) -> Command {
    Command::IsOnWhatsApp {
        ticket,
        numbers: vec![number.into()],
    }
}

#[test]
fn the_end_of_the_connection_answers_open_lookups() {
    let mut world = World::online();
    for ticket in [7, 8] {
        world.command(lookup(ticket, "15551230002"));
    }
    world.handle(Input::SocketClosed);
    world.pump();
    assert_eq!(abandoned_lookups(&world), [7, 8]);
    world.expect_close(&CloseReason::SocketClosed, Next::Reconnect);
}

#[test]
fn the_media_hosts_are_asked_for_once_for_all_who_want_them() {
    let mut world = World::online();
    let hosts_of = |world: &mut World| -> Vec<(u64, Result<usize, QueryError>)> {
        let told = |event: Event| match event {
            Event::MediaHosts { ticket, result } => Some((ticket, result.map(|conn| conn.hosts.len()))),
            _ => None,
        };
        std::mem::take(&mut world.events)
            .into_iter()
            .filter_map(told)
            .collect()
    };
    let is_question = |node: &Node| node.child("media_conn").is_some();
    world.command(Command::AskMediaHosts { ticket: 1 });
    let question = world.expect("question", is_question);
    world.command(Command::AskMediaHosts { ticket: 2 });
    assert!(!world.nodes.iter().any(is_question), "one is under way");
    let host = Node::new("host").attr("hostname", "a.whatsapp.net");
    let conn = Node::new("media_conn").attr("auth", "x").with_child(host);
    world.server_sends(&result_of(&question).with_child(conn));
    assert_eq!(hosts_of(&mut world), [(1, Ok(1)), (2, Ok(1))]);

    world.command(Command::AskMediaHosts { ticket: 3 });
    let question = world.expect("question", is_question);
    world.server_sends(&result_of(&question));
    assert_eq!(hosts_of(&mut world), [(3, Err(QueryError::Malformed))]);

    world.command(Command::AskMediaHosts { ticket: 4 });
    world.handle(Input::SocketClosed);
    world.pump();
    assert_eq!(hosts_of(&mut world), [(4, Err(QueryError::NotConnected))]);
}

#[test]
fn a_stanza_that_fits_no_frame_ends_the_connection_and_answers_what_is_open() {
    let mut world = World::online();
    world.command(lookup(7, "15551230002"));
    world.command(lookup(8, "x".repeat(1 << 24)));
    assert_eq!(abandoned_lookups(&world), [7, 8]);
    assert!(world.connection.is_closed());
    let last = world.events.last();
    assert!(matches!(last, Some(Event::Closed { .. })), "{last:?}");
    assert!(world.connection.take_step().is_none());
}

#[test]
fn a_frame_never_leaves_in_a_step_before_its_change() {
    let mut world = World::online();
    // The stanza changes the credentials and is followed by one that is answered.
    let routing =
        Node::new("edge_routing").with_child(Node::new("routing_info").with_bytes(Bytes::from_static(b"r")));
    world.peer.send(&news(routing));
    world
        .peer
        .send(&from_server("notification").attr("id", "n-9").attr("type", "psa"));
    while let Some(bytes) = world.peer.outbox.pop_front() {
        world.handle(Input::Bytes(bytes));
    }
    let step = world.connection.take_step().unwrap();
    assert!(step.changes.get(&RecordKey::device()).is_some() && step.needs_commit());
    assert_eq!(step.frames.len(), 1);
    assert!(
        world.connection.take_step().is_none(),
        "nothing was left for a step without the change"
    );
    // What comes while that step is being committed gathers in the next one.
    world
        .peer
        .send(&from_server("notification").attr("id", "n-10").attr("type", "psa"));
    let bytes = world.peer.outbox.pop_front().unwrap();
    world.handle(Input::Bytes(bytes));
    let next = world.connection.take_step().unwrap();
    assert!(!next.needs_commit() && next.frames.len() == 1);
    // In this order the server can open them: their places in the cipher's sequence are those of the steps.
    for frame in step.frames.into_iter().chain(next.frames) {
        world.peer.receive(frame);
    }
}

#[test]
fn questions_time_out_and_late_answers_mean_nothing() {
    let mut world = World::online();
    world.server_sends(&news(Node::new("dirty").attr("type", "groups")));
    let iq = world.expect("clean", |node| node.child("clean").is_some());
    world.pass(Duration::from_secs(80));
    world.server_sends(&result_of(&iq));
    world.server_sends(&server_iq("result", "never-asked"));
    assert!(world.closed.is_none());
}
