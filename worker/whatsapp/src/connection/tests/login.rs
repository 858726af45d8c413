//! From the handshake to `Open`, and every way to be turned away.

use std::time::Duration;

use super::{
    peer::{NOW, ServerKeys, own_jid, own_lid, result_of, success},
    world::{World, new_device, paired_device},
};
use crate::{
    binary::Node,
    command::{Command, Presence},
    connection::{ClientVersion, CloseReason, Input, Next},
    device::NameSource,
    event::Event,
};

fn is_active(node: &Node) -> bool {
    node.is("iq") && node.child("active").is_some()
}

#[test]
fn a_paired_device_logs_in_and_opens_when_it_is_active() {
    let mut world = World::new(paired_device());
    let payload = world.peer.payload.clone().unwrap();
    assert_eq!(
        (payload.username, payload.device),
        (Some(15_551_230_001), Some(11))
    );
    assert!(payload.device_pairing_data.is_none());
    assert_eq!(payload.push_name.as_deref(), Some("Ann"));

    world.server_sends(&success());
    assert!(world.connection.is_online());
    world.expect("unified_session", |node| node.child("unified_session").is_some());
    assert!(
        !world
            .events
            .iter()
            .any(|event| matches!(event, Event::Open { .. }))
    );
    let active = world.expect("passive/active", is_active);
    world.server_sends(&result_of(&active));
    let open = world
        .events
        .iter()
        .find(|event| matches!(event, Event::Open { .. }));
    let Some(Event::Open { jid, lid, push_name }) = open else {
        panic!("not open: {:?}", world.events)
    };
    assert_eq!((jid, lid.as_ref()), (&own_jid(), Some(&own_lid())));
    assert_eq!(push_name.as_deref(), Some("Ann"));
    let presence = world.expect("presence", |node| node.is("presence"));
    assert!(presence.attr_is("type", "unavailable") && presence.attr_is("name", "Ann"));
    assert_eq!(world.store.device().unwrap().login_counter, 1);
}

#[test]
fn success_teaches_a_lid_that_pairing_did_not() {
    let mut device = paired_device();
    device.account.as_mut().unwrap().lid = None;
    let mut world = World::new(device);
    world.server_sends(&success());
    assert_eq!(world.store.device().unwrap().lid(), Some(&own_lid()));
}

#[test]
fn success_without_a_lid_keeps_the_one_we_know() {
    let mut world = World::new(paired_device());
    world.server_sends(&Node::new("success"));
    assert_eq!(world.store.device().unwrap().lid(), Some(&own_lid()));
}

#[test]
fn wishes_made_before_the_login_are_heard_after_it() {
    let mut world = World::new(paired_device());
    world.command(Command::SetPresence(Presence::Available));
    world.server_sends(&success());
    let active = world.expect("passive/active", is_active);
    world.server_sends(&result_of(&active));
    let presence = world.expect("presence", |node| node.is("presence"));
    assert!(presence.attr_is("type", "available"));
}

fn told_name(name: &'static str) -> Node {
    Node::new("notification")
        .attr("from", own_jid().to_bare())
        .attr("id", "n-1")
        .attr("type", "account_sync")
        .attr("pushname", name)
}

#[test]
fn presence_waits_for_a_name_and_follows_it() {
    let mut device = paired_device();
    device.account.as_mut().unwrap().push_name = None;
    let mut world = World::new(device);
    world.server_sends(&success());
    let active = world.expect("passive/active", is_active);
    world.server_sends(&result_of(&active));
    world.nodes.clear();
    for (name, is_told) in [("", false), ("Bea", true), ("Bea", false), ("C@leo", true)] {
        world.server_sends(&told_name(name));
        let presence = world.nodes.iter().find(|node| node.is("presence"));
        let told = presence.map(|node| node.attr_str("name").unwrap().into_owned());
        assert_eq!(told, is_told.then(|| name.replace('@', "")));
        world.nodes.clear();
    }
    let renamed = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Renamed { .. }));
    assert_eq!(renamed.count(), 2);
    assert_eq!(world.store.device().unwrap().push_name(), Some("C@leo"));
}

#[test]
fn a_name_is_not_replaced_by_one_that_is_trusted_less() {
    let mut device = paired_device();
    device.name_source = NameSource::AppState;
    let mut world = World::new(device);
    world.server_sends(&success());
    world.server_sends(&told_name("Bea"));
    world.server_sends(&told_name(""));
    assert_eq!(world.store.device().unwrap().push_name(), Some("Ann"));
}

#[test]
fn each_failure_closes_with_its_own_reason() {
    let check = |reason: u16, expected: CloseReason, next| {
        let mut world = World::new(paired_device());
        world.server_sends(&Node::new("failure").attr("reason", reason.to_string()));
        world.expect_close(&expected, next);
    };
    check(401, CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
    let version = ClientVersion::KNOWN;
    let outdated = CloseReason::ClientOutdated { version };
    check(405, outdated, Next::ReconnectNewer);
    check(418, CloseReason::LoginRefused { reason: 418 }, Next::Stop);
    check(503, CloseReason::ServerError { code: 503 }, Next::Reconnect);
}

/// No QR code is shown to a version that is refused, and nothing is lost.
#[test]
fn a_registration_of_a_refused_version_waits_for_a_newer_one() {
    let mut world = World::new(new_device());
    let refusal = Node::new("failure").attr("reason", "405").attr("location", "odn");
    world.server_sends(&refusal);
    let version = ClientVersion::KNOWN;
    world.expect_close(&CloseReason::ClientOutdated { version }, Next::ReconnectNewer);
    assert!(
        !world
            .events
            .iter()
            .any(|event| matches!(event, Event::QrCode { .. }))
    );
}

#[test]
fn a_server_that_never_answers_the_handshake_is_given_up() {
    let keys = ServerKeys::new(1);
    let mut world = World::silent(paired_device(), keys.config(), &keys);
    while world.connection.take_step().is_some() {}
    world.pass(Duration::from_secs(19));
    assert!(world.closed.is_none());
    world.pass(Duration::from_secs(1));
    world.expect_close(&CloseReason::HandshakeTimeout, Next::Reconnect);
}

#[test]
fn a_server_that_never_answers_the_login_is_given_up() {
    for device in [paired_device(), new_device()] {
        let mut world = World::new(device);
        world.pass(Duration::from_secs(60));
        world.expect_close(&CloseReason::LoginTimeout, Next::Reconnect);
    }
}

#[test]
fn a_server_under_another_root_is_refused_and_learns_nothing() {
    let (keys, others) = (ServerKeys::new(1), ServerKeys::new(2));
    let world = World::with(paired_device(), others.config(), &keys);
    assert!(
        matches!(world.closed, Some(CloseReason::BadCertificate(_))),
        "{:?}",
        world.closed
    );
    assert!(world.peer.payload.is_none() && world.peer.client_noise.is_none());
    assert!(matches!(world.events.last(), Some(Event::Closed { .. })));
}

#[test]
fn an_expired_certificate_is_refused() {
    let keys = ServerKeys::new(1);
    let mut world = World::silent(paired_device(), keys.config(), &keys);
    world.now = NOW + Duration::from_secs(101 * 86_400);
    // The answer comes at once for the client: only the date is wrong.
    let step = world.connection.take_step().unwrap();
    for frame in step.frames {
        world.peer.receive(frame);
    }
    let hello = world.peer.outbox.pop_front().unwrap();
    world.handle(Input::Bytes(hello));
    world.pump();
    assert!(
        matches!(world.closed, Some(CloseReason::BadCertificate(_))),
        "{:?}",
        world.closed
    );
}

#[test]
fn the_routing_of_an_earlier_login_begins_the_next_connection() {
    let mut device = paired_device();
    device.routing_info = Some(bytes::Bytes::from_static(&[8, 2, 8, 5]));
    let keys = ServerKeys::new(1);
    let mut world = World::silent(device, keys.config(), &keys);
    let step = world.connection.take_step().unwrap();
    assert!(step.frames[0].starts_with(b"ED\0\x01\0\0\x04\x08\x02\x08\x05WA"));
}

#[test]
fn a_logout_wished_for_before_the_login_is_carried_out_after_it() {
    let mut world = World::new(paired_device());
    world.command(Command::Logout);
    assert!(world.closed.is_none());
    world.server_sends(&success());
    world.expect("logout", |node| node.child("remove-companion-device").is_some());
}

#[test]
fn a_device_that_was_never_paired_logs_out_at_once() {
    let mut world = World::new(new_device());
    world.command(Command::Logout);
    world.expect_close(&CloseReason::LogoutRequested, Next::LoggedOut);
}
