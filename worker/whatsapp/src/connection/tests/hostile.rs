//! Peers that lie: each costs its own connection and nothing else.

use super::{
    peer::{ServerKeys, pair_device, success},
    world::{World, new_device, paired_device},
};
use crate::{
    binary::Node,
    connection::{CloseReason, Config, Input, Limits, Next},
    jid::Jid,
};

fn expect_bad_frame(world: &World) {
    assert!(
        matches!(world.closed, Some(CloseReason::BadFrame(_))),
        "{:?}",
        world.closed
    );
    assert_eq!(world.closed.as_ref().unwrap().action(), Next::Reconnect);
}

#[test]
fn rubbish_for_a_server_hello_ends_the_handshake() {
    let keys = ServerKeys::new(1);
    let mut world = World::silent(paired_device(), keys.config(), &keys);
    while world.connection.take_step().is_some() {}
    world.server_sends_bytes(b"\0\0\x07rubbish");
    assert!(
        matches!(world.closed, Some(CloseReason::BadHandshake(_))),
        "{:?}",
        world.closed
    );
}

#[test]
fn a_frame_that_does_not_authenticate_ends_the_connection() {
    let mut world = World::online();
    world.peer.send(&Node::new("presence"));
    let mut bytes = world.peer.outbox.pop_front().unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    world.server_sends_bytes(&bytes);
    expect_bad_frame(&world);
}

#[test]
fn a_frame_that_is_replayed_ends_the_connection() {
    let mut world = World::online();
    world.peer.send(&Node::new("presence"));
    let bytes = world.peer.outbox.pop_front().unwrap();
    world.server_sends_bytes(&bytes);
    assert!(world.closed.is_none());
    world.server_sends_bytes(&bytes);
    expect_bad_frame(&world);
}

#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_held() {
    let keys = ServerKeys::new(1);
    let limits = Limits {
        frame_bytes: 10_000,
        ..Limits::default()
    };
    let mut world = World::with(
        paired_device(),
        Config {
            limits,
            ..keys.config()
        },
        &keys,
    );
    world.server_sends(&success());
    world.server_sends_bytes(&[0xff, 0xff, 0xff, 0]);
    expect_bad_frame(&world);
}

/// Stanzas of one tag that lack what the tag promises.
fn nonsense(tag: &'static str) -> [Node; 4] {
    let node = || Node::new(tag);
    [
        node(),
        node().attr("type", "result").attr("id", "1"),
        node()
            .attr("type", "set")
            .attr("id", "")
            .with_child(Node::new("novelty")),
        node().attr("from", "no address").with_slice(&[0; 40]),
    ]
}

#[test]
fn stanzas_that_make_no_sense_are_survived() {
    let tags = [
        "iq",
        "message",
        "receipt",
        "ack",
        "notification",
        "ib",
        "call",
        "presence",
        "chatstate",
        "zzz",
    ];
    for tag in tags {
        for mut world in [World::online(), World::new(new_device())] {
            for node in nonsense(tag) {
                world.server_sends(&node);
                assert_eq!(world.closed, None, "{tag}");
            }
            assert!(!world.connection.is_closed(), "{tag}");
        }
    }
}

#[test]
fn a_pairing_that_makes_no_sense_is_refused() {
    let mut world = World::new(new_device());
    let success = Node::new("iq").attr("type", "set").attr("id", "");
    world.server_sends(&success.with_child(Node::new("pair-success")));
    assert!(matches!(world.closed, Some(CloseReason::PairingRefused(_))));
}

#[test]
fn a_frame_that_authenticates_and_makes_no_sense_costs_itself_alone() {
    let mut world = World::online();
    for plaintext in [
        &b""[..],
        b"\0",
        b"\0\xf8\0",
        b"\x02rubbish",
        b"\0\xf8\x01\x10trailing",
    ] {
        world.peer.send_plaintext(plaintext);
        world.pump();
        assert_eq!(world.closed, None, "{plaintext:?}");
    }
    let ping = Node::new("iq")
        .attr("from", Jid::SERVER)
        .attr("id", "s-1")
        .attr("type", "get")
        .attr("xmlns", "urn:xmpp:ping");
    world.server_sends(&ping);
    world.expect("pong", |node| node.attr_is("id", "s-1"));
}

#[test]
fn a_flood_of_references_is_cut_off() {
    let mut world = World::new(new_device());
    let refs = vec!["ref"; 5_000];
    world.server_sends(&pair_device(&refs));
    world.pass(std::time::Duration::from_secs(3_600));
    assert_eq!(world.qr_codes().len(), Limits::default().qr_refs);
}

#[test]
fn a_flood_of_stanzas_is_read_step_by_step() {
    let mut world = World::online();
    let (flood, limit) = (10_000, Limits::default().step_items);
    let mut bytes = Vec::new();
    for _ in 0..flood {
        let node = Node::new("notification")
            .attr("from", Jid::SERVER)
            .attr("id", "1")
            .attr("type", "psa");
        world.peer.send(&node);
        bytes.extend_from_slice(&world.peer.outbox.pop_front().unwrap());
    }
    world.handle(Input::Bytes(bytes.into()));
    assert!(world.connection.is_backlogged());
    let mut answered = 0;
    while let Some(step) = world.connection.take_step() {
        assert!(step.frames.len() <= limit);
        answered += step.frames.len();
        if let Some(deadline) = world
            .connection
            .deadline()
            .filter(|deadline| *deadline <= world.now)
        {
            assert!(deadline <= world.now && world.connection.is_backlogged());
            world.handle(Input::Tick);
        }
    }
    assert_eq!(answered, flood);
    assert!(!world.connection.is_backlogged());
}
