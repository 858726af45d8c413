//! Linking: by QR code, by pairing code, and what must not link.

use std::time::Duration;

use bytes::Bytes;

use super::{
    peer::{Phone, own_jid, own_lid, pair_device, pair_success, result_of, server_iq},
    world::{World, new_device, paired_device},
};
use crate::{
    binary::{Content, Node},
    command::Command,
    connection::{CloseReason, Next},
    device::AdvSecret,
    event::Event,
    jid::{Jid, Server},
    pairing::{adv, qr::QrCode},
    signal::curve::PublicKey,
};

const PHONE: &str = "15551230001";

fn showing() -> World {
    let mut world = World::new(new_device());
    world.server_sends(&pair_device(&["ref-1", "ref-2", "ref-3"]));
    world
}

fn scanned(world: &World) -> QrCode {
    world.qr_codes().last().unwrap().parse().unwrap()
}

/// The phone's user types the code that the companion shows.
fn type_code(
    world: &mut World,
    phone: &mut Phone,
    hello: &Node,
    reference: &Bytes,
) -> crate::server::code::Primary {
    let Some(Event::PairingCode { code }) = world
        .events
        .iter()
        .rev()
        .find(|e| matches!(e, Event::PairingCode { .. }))
    else {
        panic!("no pairing code among {:?}", world.events)
    };
    let wrapped = hello
        .child_at(&[
            "link_code_companion_reg",
            "link_code_pairing_wrapped_companion_ephemeral_pub",
        ])
        .and_then(Node::bytes)
        .unwrap();
    let (primary, answer) =
        crate::server::code::Primary::start(&code.parse().unwrap(), &wrapped, phone.rng()).unwrap();
    world.server_sends(&primary_hello(phone, &answer, reference));
    primary
}

fn primary_hello(phone: &Phone, wrapped: &[u8], reference: &Bytes) -> Node {
    let message = Node::new("link_code_companion_reg")
        .attr("stage", "primary_hello")
        .with_child(Node::new("link_code_pairing_wrapped_primary_ephemeral_pub").with_slice(wrapped))
        .with_child(Node::new("primary_identity_pub").with_slice(phone.identity.public().as_bytes()))
        .with_child(Node::new("link_code_pairing_ref").with_bytes(reference.clone()));
    Node::new("notification")
        .attr("from", Jid::SERVER)
        .attr("type", "link_code_companion_reg")
        .attr("id", "n-1")
        .with_child(message)
}

fn answer_hello(world: &mut World, hello: &Node, reference: &Bytes) {
    let reference = Node::new("link_code_pairing_ref").with_bytes(reference.clone());
    let message = Node::new("link_code_companion_reg")
        .attr("stage", "companion_hello")
        .with_child(reference);
    world.server_sends(&result_of(hello).with_child(message));
}

fn request_code(world: &mut World, custom: Option<&str>) {
    world.command(Command::RequestPairingCode {
        phone: PHONE.to_owned(),
        custom: custom.map(str::to_owned),
    });
}

fn stage<'a>(name: &'a str) -> impl Fn(&Node) -> bool + 'a {
    move |node| {
        node.child("link_code_companion_reg")
            .is_some_and(|child| child.attr_is("stage", name))
    }
}

fn expect_paired(world: &mut World, phone: &Phone, companion: &PublicKey) {
    let reply = world.expect("pair-device-sign", |node| {
        node.child("pair-device-sign").is_some()
    });
    assert!(reply.attr_is("type", "result") && reply.attr_is("id", "pair-2"));
    let identity = reply.child_at(&["pair-device-sign", "device-identity"]).unwrap();
    assert!(identity.attr_is("key-index", "1"));
    crate::server::adv::complete(&identity.bytes().unwrap(), companion, phone.identity.public()).unwrap();

    let stored = world.store.device().unwrap();
    assert_eq!(stored.jid(), Some(&own_jid()));
    assert_eq!(stored.lid(), Some(&own_lid()));
    assert_eq!(stored.push_name(), Some("Ann"));
    adv::verify(&stored.account.unwrap().identity, companion, None).unwrap();
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::Paired { jid, .. } if *jid == own_jid()))
    );

    world.server_sends(&Node::new("stream:error").attr("code", "515"));
    world.expect_close(&CloseReason::RestartRequired, Next::ReconnectNow);
}

#[test]
fn a_new_device_registers_and_acks_the_offer() {
    let mut world = showing();
    let payload = world.peer.payload.clone().unwrap();
    assert!(payload.device_pairing_data.is_some() && payload.username.is_none());
    world.expect("ack of pair-device", |node| {
        node.attr_is("type", "result") && node.attr_is("id", "pair-1")
    });
}

#[test]
fn the_phone_says_whether_its_account_is_migrated() {
    let props = |bytes: &'static [u8]| Some(Node::new("client-props").with_slice(bytes));
    for (props, is_migrated) in [
        (props(&[0x08, 1]), true),
        (props(&[0x08, 0, 0x10, 1]), false),
        (props(&[0x10, 1]), false),
        (props(&[0xff; 7]), false),
        (None, false),
    ] {
        let mut world = showing();
        let mut phone = Phone::new();
        let code = scanned(&world);
        let mut offer = pair_success(phone.vouch(&code.identity, &code.adv_secret));
        let Content::Nodes(children) = &mut offer.content else {
            panic!("no pair-success")
        };
        props.into_iter().for_each(|props| children[0].push_child(props));
        world.server_sends(&offer);
        let account = world.store.device().unwrap().account.unwrap();
        assert_eq!(account.is_migrated, is_migrated);
    }
}

#[test]
fn qr_codes_rotate_and_run_out() {
    let mut world = showing();
    assert!(world.qr_codes()[0].contains("#ref-1,"));
    world.pass(Duration::from_secs(59));
    assert_eq!(world.qr_codes().len(), 1);
    world.pass(Duration::from_secs(1));
    assert!(world.qr_codes()[1].contains("#ref-2,"));
    world.pass(Duration::from_secs(20));
    assert!(world.qr_codes()[2].contains("#ref-3,"));
    world.pass(Duration::from_secs(20));
    world.expect_close(&CloseReason::PairingTimedOut, Next::Stop);
}

#[test]
fn a_scanned_qr_code_links_the_device() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let qr = scanned(&world);
    assert_eq!(Some(qr.noise), world.peer.client_noise);
    let container = phone.vouch(&qr.identity, &qr.adv_secret);
    world.server_sends(&pair_success(container));
    expect_paired(&mut world, &phone, &qr.identity);
}

#[test]
fn a_phone_that_did_not_see_the_secret_is_refused() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let container = phone.vouch(&scanned(&world).identity, &AdvSecret::new([1; 32]));
    world.server_sends(&pair_success(container));
    let refusal = world.expect("refusal", |node| {
        node.attr_is("type", "error") && node.attr_is("id", "pair-2")
    });
    let error = refusal.child("error").unwrap();
    assert!(error.attr_is("code", "401") && error.attr_is("text", "hmac-mismatch"));
    assert!(matches!(world.closed, Some(CloseReason::PairingRefused(_))));
    assert!(!world.store.device().unwrap().is_paired());
}

#[test]
fn a_phone_that_vouches_for_another_identity_is_refused() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let other = *phone.identity.public();
    let container = phone.vouch(&other, &scanned(&world).adv_secret);
    world.server_sends(&pair_success(container));
    let refusal = world.expect("refusal", |node| node.attr_is("type", "error"));
    assert!(
        refusal
            .child("error")
            .unwrap()
            .attr_is("text", "signature-mismatch")
    );
    assert!(!world.store.device().unwrap().is_paired());
}

#[test]
fn rubbish_for_a_container_is_refused_as_our_failure() {
    let mut world = showing();
    world.server_sends(&pair_success(Bytes::from_static(b"rubbish")));
    let refusal = world.expect("refusal", |node| node.attr_is("type", "error"));
    assert!(refusal.child("error").unwrap().attr_is("code", "500"));
    assert!(!world.store.device().unwrap().is_paired());
}

#[test]
fn a_typed_code_links_the_device() {
    let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, Some("1234-abcd"));
    let hello = world.expect("companion_hello", stage("companion_hello"));
    let registration = hello.child("link_code_companion_reg").unwrap();
    assert_eq!(registration.attr_jid("jid").unwrap(), Jid::phone(PHONE).unwrap());
    assert_eq!(
        registration
            .child("companion_platform_display")
            .unwrap()
            .text()
            .unwrap(),
        "Chrome (Mac OS)"
    );
    answer_hello(&mut world, &hello, &reference);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::PairingCode { code } if code == "1234ABCD"))
    );

    let primary = type_code(&mut world, &mut phone, &hello, &reference);
    world.expect("ack of the notification", |node| {
        node.is("ack") && node.attr_is("id", "n-1")
    });
    let finish = world.expect("companion_finish", stage("companion_finish"));
    let finish_reg = finish.child("link_code_companion_reg").unwrap();
    let bundle = finish_reg
        .child("link_code_pairing_wrapped_key_bundle")
        .and_then(Node::bytes)
        .unwrap();
    let companion = finish_reg
        .child("companion_identity_public")
        .and_then(Node::bytes)
        .unwrap();
    let companion = PublicKey::parse(&companion).unwrap();
    let secret = primary.open(&bundle, &phone.identity, &companion).unwrap();
    // The new secret was durable before the bundle left.
    assert_eq!(
        world.store.device().unwrap().adv_secret.as_bytes(),
        secret.as_bytes()
    );
    world.server_sends(&result_of(&finish));

    let container = phone.vouch(&companion, &secret);
    world.server_sends(&pair_success(container));
    expect_paired(&mut world, &phone, &companion);
}

/// What the companion answered a typed code with last, and its identity.
fn bundle(world: &mut World) -> (Node, Bytes, PublicKey) {
    let finish = world.expect("companion_finish", stage("companion_finish"));
    let registration = finish.child("link_code_companion_reg").unwrap();
    let bytes = |tag| registration.child(tag).and_then(Node::bytes).unwrap();
    let bundle = bytes("link_code_pairing_wrapped_key_bundle");
    let companion = PublicKey::parse(&bytes("companion_identity_public")).unwrap();
    (finish, bundle, companion)
}

#[test]
fn a_mistyped_code_costs_a_try_and_the_right_one_still_links() {
    for wait in [Duration::ZERO, Duration::from_secs(90)] {
        let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
        request_code(&mut world, Some("1234-ABCD"));
        let hello = world.expect("companion_hello", stage("companion_hello"));
        answer_hello(&mut world, &hello, &reference);
        let wrapped = hello
            .child_at(&[
                "link_code_companion_reg",
                "link_code_pairing_wrapped_companion_ephemeral_pub",
            ])
            .and_then(Node::bytes)
            .unwrap();
        let wrong = "1234-ABCE".parse().unwrap();
        let (primary, answer) = crate::server::code::Primary::start(&wrong, &wrapped, phone.rng()).unwrap();
        world.server_sends(&primary_hello(&phone, &answer, &reference));
        let (finish, sealed, companion) = bundle(&mut world);
        world.server_sends(&result_of(&finish));
        assert!(primary.open(&sealed, &phone.identity, &companion).is_err());

        // Its user looks at the code again, which may take a while.
        world.pass(wait);
        assert!(world.closed.is_none());
        let primary = type_code(&mut world, &mut phone, &hello, &reference);
        let (finish, sealed, companion) = bundle(&mut world);
        let secret = primary.open(&sealed, &phone.identity, &companion).unwrap();
        world.server_sends(&result_of(&finish));
        let container = phone.vouch(&companion, &secret);
        world.server_sends(&pair_success(container));
        expect_paired(&mut world, &phone, &companion);
    }
}

#[test]
fn a_code_that_was_mistyped_too_often_is_answered_no_more() {
    let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &reference);
    for _ in 0..3 {
        type_code(&mut world, &mut phone, &hello, &reference);
        world.expect("companion_finish", stage("companion_finish"));
    }
    type_code(&mut world, &mut phone, &hello, &reference);
    let answers_more = world.nodes.iter().any(|node| stage("companion_finish")(node));
    assert!(!answers_more);
}

#[test]
fn a_code_asked_for_during_the_handshake_is_offered_when_the_server_is_ready() {
    let keys = super::peer::ServerKeys::new(1);
    let mut world = World::silent(new_device(), keys.config(), &keys);
    request_code(&mut world, None);
    assert!(world.nodes.is_empty());
    world.server_sends(&pair_device(&["ref-1"]));
    world.expect("companion_hello", stage("companion_hello"));
}

#[test]
fn a_code_of_other_characters_is_refused_without_asking_the_server() {
    let mut world = showing();
    request_code(&mut world, Some("OOOOOOOO"));
    assert!(matches!(
        world.events.last(),
        Some(Event::PairingCodeRefused { code: 422 })
    ));
    assert!(!world.nodes.iter().any(stage("companion_hello")));
}

#[test]
fn the_servers_refusal_of_a_code_is_told_and_qr_goes_on() {
    let mut world = showing();
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    let error = Node::new("error")
        .attr("code", "429")
        .attr("text", "rate-overlimit");
    world.server_sends(&server_iq("error", &hello.attr_str("id").unwrap()).with_child(error));
    assert!(matches!(
        world.events.last(),
        Some(Event::PairingCodeRefused { code: 429 })
    ));
    assert!(world.closed.is_none());
}

#[test]
fn an_answer_with_another_reference_is_ignored() {
    let (mut world, mut phone) = (showing(), Phone::new());
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &Bytes::from_static(b"the-ref"));
    type_code(&mut world, &mut phone, &hello, &Bytes::from_static(b"another"));
    assert!(!world.nodes.iter().any(stage("companion_finish")));
}

#[test]
fn the_server_may_ask_for_a_new_code() {
    let (mut world, reference) = (showing(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &reference);
    let refresh = Node::new("link_code_companion_reg")
        .attr("stage", "refresh_code")
        .with_child(Node::new("link_code_pairing_ref").with_bytes(reference));
    let notification = Node::new("notification")
        .attr("from", Jid::SERVER)
        .attr("id", "n-2")
        .with_child(refresh);
    world.server_sends(&notification.attr("type", "link_code_companion_reg"));
    let second = world.expect("second companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &second, &Bytes::from_static(b"next-ref"));
    let codes = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::PairingCode { .. }))
        .count();
    assert_eq!(codes, 2);
}

#[test]
fn a_code_keeps_the_connection_after_the_last_qr_code_until_it_expires() {
    let mut world = showing();
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &Bytes::from_static(b"the-ref"));
    world.pass(Duration::from_secs(179));
    assert!(world.closed.is_none());
    world.pass(Duration::from_secs(1));
    world.expect_close(&CloseReason::PairingTimedOut, Next::Stop);
}

#[test]
fn answers_that_are_none_cost_no_try() {
    let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &reference);
    for _ in 0..10 {
        world.server_sends(&primary_hello(&phone, b"too short", &reference));
    }
    type_code(&mut world, &mut phone, &hello, &reference);
    world.expect("companion_finish", stage("companion_finish"));
}

#[test]
fn a_paired_device_gets_no_code() {
    let mut world = World::new(paired_device());
    request_code(&mut world, None);
    assert!(matches!(
        world.events.last(),
        Some(Event::PairingCodeRefused { code: 409 })
    ));
}

#[test]
fn a_secret_that_may_have_been_seen_is_replaced() {
    for child in ["companion_reg_refresh", "pair-device-rotate-qr"] {
        let mut world = showing();
        let mut before = scanned(&world);
        let ends = world.connection.deadline();
        // Twice in a row.
        for _ in 0..2 {
            world.server_sends(&refresh(child));
            let after = scanned(&world);
            assert_eq!(after.reference, before.reference);
            assert_eq!((after.noise, after.identity), (before.noise, before.identity));
            assert_ne!(after.adv_secret.as_bytes(), before.adv_secret.as_bytes());
            let stored = world.store.device().unwrap().adv_secret;
            assert_eq!(stored.as_bytes(), after.adv_secret.as_bytes());
            before = after;
        }
        assert_eq!(world.connection.deadline(), ends, "the reference lasts as long");
    }
}

#[test]
fn a_phone_that_scanned_before_the_refresh_is_refused_and_the_next_scan_links() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let old = scanned(&world);
    world.server_sends(&refresh("companion_reg_refresh"));
    let new = scanned(&world);
    let container = phone.vouch(&new.identity, &new.adv_secret);
    world.server_sends(&pair_success(container));
    expect_paired(&mut world, &phone, &new.identity);

    let mut world = showing();
    world.server_sends(&refresh("companion_reg_refresh"));
    let container = phone.vouch(&old.identity, &old.adv_secret);
    world.server_sends(&pair_success(container));
    assert!(matches!(world.closed, Some(CloseReason::PairingRefused(_))));
}

#[test]
fn a_refresh_that_does_not_say_what_to_do_changes_nothing() {
    let mut world = showing();
    let before = world.qr_codes().len();
    world.server_sends(&refresh("something-new"));
    assert_eq!(world.qr_codes().len(), before);
    world.expect("ack", |node| node.is("ack") && node.attr_is("id", "n-3"));
}

#[test]
fn an_answer_of_the_phone_without_its_key_costs_no_try() {
    let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &reference);
    for _ in 0..5 {
        let keyless = Node::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .with_child(Node::new("link_code_pairing_ref").with_bytes(reference.clone()));
        let notification = Node::new("notification")
            .attr("from", Jid::SERVER)
            .attr("type", "link_code_companion_reg")
            .attr("id", "n-2");
        world.server_sends(&notification.with_child(keyless));
    }
    type_code(&mut world, &mut phone, &hello, &reference);
    world.expect("companion_finish", stage("companion_finish"));
}

fn refresh(child: &'static str) -> Node {
    Node::new("notification")
        .attr("from", Jid::SERVER)
        .attr("id", "n-3")
        .attr("type", "companion_reg_refresh")
        .with_child(Node::new(child))
}

#[test]
fn a_secret_that_a_phone_is_about_to_use_is_kept_and_shown() {
    let (mut world, mut phone, reference) = (showing(), Phone::new(), Bytes::from_static(b"the-ref"));
    request_code(&mut world, None);
    let hello = world.expect("companion_hello", stage("companion_hello"));
    answer_hello(&mut world, &hello, &reference);
    type_code(&mut world, &mut phone, &hello, &reference);
    let secret = world.store.device().unwrap().adv_secret;
    assert_eq!(scanned(&world).adv_secret.as_bytes(), secret.as_bytes());
    let shown = world.qr_codes().len();
    world.server_sends(&refresh("companion_reg_refresh"));
    assert_eq!(
        world.store.device().unwrap().adv_secret.as_bytes(),
        secret.as_bytes()
    );
    assert_eq!(world.qr_codes().len(), shown);
}

#[test]
fn a_refresh_after_the_pairing_shows_nothing() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let qr = scanned(&world);
    let container = phone.vouch(&qr.identity, &qr.adv_secret);
    world.server_sends(&pair_success(container));
    let shown = world.qr_codes().len();
    world.server_sends(&refresh("companion_reg_refresh"));
    assert_eq!(world.qr_codes().len(), shown);
}

#[test]
fn an_account_that_the_login_could_not_name_is_refused() {
    let (mut world, mut phone) = (showing(), Phone::new());
    let qr = scanned(&world);
    let mut success = pair_success(phone.vouch(&qr.identity, &qr.adv_secret));
    let strange = Node::new("device").attr("jid", Jid::new("ann", Server::User).with_device(11));
    let Content::Nodes(children) = &mut success.content else {
        panic!("no children")
    };
    let Content::Nodes(parts) = &mut children[0].content else {
        panic!("no parts")
    };
    *parts.last_mut().unwrap() = strange;
    world.server_sends(&success);
    assert!(matches!(world.closed, Some(CloseReason::PairingRefused(_))));
    assert!(!world.store.device().unwrap().is_paired());
}

#[test]
fn a_code_that_was_asked_for_is_answered_even_if_the_connection_ends_first() {
    let mut world = showing();
    request_code(&mut world, None);
    world.server_sends(&Node::new("xmlstreamend"));
    let refused = |event: &Event| matches!(event, Event::PairingCodeRefused { code: 428 });
    assert!(world.events.iter().any(refused));
    assert_eq!(world.closed, Some(CloseReason::StreamEnd));
}
