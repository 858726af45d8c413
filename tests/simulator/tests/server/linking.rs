//! Being linked and logging in.

use crate::client::{Companion, number, quiet};
use crate::wire::Wire;
use crate::{simulator, simulator_with_contacts};
use simulator::connection::FIRST_STANZA_AFTER;
use simulator::population::Manners;
use simulator::seed::Seed;
use simulator::{Options, Simulator};
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::pairing::code::{self, PairingCode};
use whatsapp::signal::curve::{KeyPair, PublicKey};

const PHONE: &str = "15551230001";

#[tokio::test]
async fn a_scanned_companion_can_log_in() {
    let handle = simulator().await;
    let companion = Companion::online(&handle, PHONE).await;
    let sessions = handle.sessions().await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].online && sessions[0].active);
    assert_eq!(sessions[0].jid, companion.jid().to_string());
    assert_eq!(sessions[0].one_time_prekeys, 20);
}

#[tokio::test]
async fn a_login_with_another_noise_key_is_refused() {
    let handle = simulator().await;
    let mut companion = Companion::linked(&handle, PHONE).await;
    companion.device.noise = KeyPair::generate(&mut companion.rng);
    let payload = companion.login_payload();
    let mut wire = Wire::open(&handle, &companion.device, &payload, &mut companion.rng).await;
    let failure = wire.expect("failure", |node| node.is("failure")).await;
    assert!(failure.attr_is("reason", "401"));
    assert!(wire.next().await.is_none());
}

#[tokio::test]
async fn a_qr_code_with_other_keys_than_its_connection_is_refused() {
    let handle = simulator().await;
    handle.create_phone(number(PHONE), "Test").await.unwrap();
    handle.share(number(PHONE), quiet()).await.unwrap();
    let mut companion = Companion::new(1);
    let qr = companion.begin_pairing(&handle).await;
    let other = Companion::new(2);
    companion.device.identity = other.device.identity.clone();
    let parts: Vec<&str> = qr.split(',').collect();
    let forged = [parts[0], parts[1], parts[1], parts[3], parts[4]].join(",");
    assert_eq!(handle.scan(number(PHONE), forged).await.unwrap_err().field, "qr");
    assert_eq!(
        handle.scan(number(PHONE), "nonsense").await.unwrap_err().field,
        "qr"
    );
    assert_eq!(
        handle.scan(number("15559999999"), qr).await.unwrap_err().field,
        "number"
    );
    assert!(handle.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_companion_that_signs_wrongly_is_not_linked() {
    let handle = simulator().await;
    handle.create_phone(number(PHONE), "Test").await.unwrap();
    handle.share(number(PHONE), quiet()).await.unwrap();
    let mut companion = Companion::new(1);
    let qr = companion.begin_pairing(&handle).await;
    handle.scan(number(PHONE), qr).await.unwrap();
    let wire = companion.wire();
    let iq = wire
        .expect("pair-success", |node| node.child("pair-success").is_some())
        .await;
    let blob = iq
        .child_at(&["pair-success", "device-identity"])
        .unwrap()
        .bytes()
        .unwrap();
    let answer = Node::new("pair-device-sign").with_child(Node::new("device-identity").with_bytes(blob));
    let reply = Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "result")
        .attr("id", iq.value("id").unwrap())
        .with_child(answer);
    wire.send(&reply).await;
    assert!(wire.next().await.is_none());
    assert!(handle.sessions().await.unwrap().is_empty());
    assert_eq!(handle.audit().await.unwrap().server.violations, 1);
}

fn companion_hello(companion: &Companion, pending: &code::Companion) -> Node {
    Node::new("link_code_companion_reg")
        .attr("jid", Jid::phone(PHONE).unwrap())
        .attr("stage", "companion_hello")
        .with_child(
            Node::new("link_code_pairing_wrapped_companion_ephemeral_pub").with_slice(&pending.hello()),
        )
        .with_child(
            Node::new("companion_server_auth_key_pub").with_slice(companion.device.noise.public().as_bytes()),
        )
        .with_child(Node::new("companion_platform_id").with_slice(b"1"))
        .with_child(Node::new("companion_platform_display").with_slice(b"Chrome (Mac OS)"))
        .with_child(Node::new("link_code_pairing_nonce").with_slice(&[0]))
}

#[tokio::test]
async fn a_typed_code_links_and_a_wrong_one_does_not() {
    let handle = simulator().await;
    handle.create_phone(number(PHONE), "Test").await.unwrap();
    handle.share(number(PHONE), quiet()).await.unwrap();
    let nobody = handle.link_code(number(PHONE), "ABCDEFGH").await.unwrap_err();
    assert_eq!(nobody.field, "code");

    let mut companion = Companion::new(1);
    companion.begin_pairing(&handle).await;
    let code: PairingCode = "ABCD1234".parse().unwrap();
    let pending = code::Companion::start(code, &mut companion.rng);
    let hello = companion_hello(&companion, &pending);
    let reply = companion.iq("md", "set", hello).await;
    let reference = reply
        .child_at(&["link_code_companion_reg", "link_code_pairing_ref"])
        .unwrap()
        .bytes()
        .unwrap();

    for (typed, is_right) in [("ABCD-1235", false), ("ABCD-1234", true)] {
        let phone = handle.clone();
        let linking = tokio::spawn(async move { phone.link_code(number(PHONE), typed).await });
        let hello = companion
            .wire()
            .expect("primary_hello", |node| node.is("notification"))
            .await;
        let hello = hello.child("link_code_companion_reg").unwrap();
        assert_eq!(
            hello.child("link_code_pairing_ref").unwrap().bytes().unwrap(),
            reference
        );
        let wrapped = hello
            .child("link_code_pairing_wrapped_primary_ephemeral_pub")
            .unwrap()
            .bytes()
            .unwrap();
        let phone_identity = PublicKey::new(
            hello
                .child("primary_identity_pub")
                .unwrap()
                .require_array()
                .unwrap(),
        );
        let finish = pending
            .finish(
                &wrapped,
                &companion.device.identity,
                &phone_identity,
                &mut companion.rng,
            )
            .unwrap();
        companion.device.adv_secret = finish.adv_secret;
        let node = Node::new("link_code_companion_reg")
            .attr("jid", Jid::phone(PHONE).unwrap())
            .attr("stage", "companion_finish")
            .with_child(Node::new("link_code_pairing_wrapped_key_bundle").with_slice(&finish.bundle))
            .with_child(
                Node::new("companion_identity_public")
                    .with_slice(companion.device.identity.public().as_bytes()),
            )
            .with_child(Node::new("link_code_pairing_ref").with_bytes(reference.clone()));
        companion.iq("md", "set", node).await;
        let linked = linking.await.unwrap();
        assert_eq!(linked.is_ok(), is_right, "{linked:?}");
    }
    companion.finish_pairing().await;
    companion.log_in(&handle).await;
}

#[tokio::test]
async fn a_code_may_be_typed_a_little_before_the_companion_asks() {
    let handle = simulator().await;
    handle.create_phone(number(PHONE), "Test").await.unwrap();
    handle.share(number(PHONE), quiet()).await.unwrap();
    let mut companion = Companion::new(1);
    companion.begin_pairing(&handle).await;
    let pending = code::Companion::start("ABCD1234".parse().unwrap(), &mut companion.rng);
    // The typed code is with the server before the companion says anything: the first branch is polled first.
    let asked = async {
        let hello = companion_hello(&companion, &pending);
        companion.iq("md", "set", hello).await;
        companion
            .wire()
            .expect("primary_hello", |node| node.is("notification"))
            .await
    };
    tokio::select! {
        biased;
        early = handle.link_code(number(PHONE), "ABCD1234") => panic!("{early:?}"),
        hello = asked => assert!(hello.child("link_code_companion_reg").is_some()),
    }
}

#[tokio::test]
async fn a_client_has_a_moment_to_end_its_handshake() {
    let handle = simulator().await;
    let mut companion = Companion::new(1);
    companion.begin_pairing(&handle).await;
    assert!(companion.wire().finished.elapsed() >= FIRST_STANZA_AFTER);
}

#[tokio::test]
async fn resumption_is_taken_or_turned_into_a_full_handshake() {
    for refuse_resumption in [false, true] {
        let options = Options {
            refuse_resumption,
            ..Options::default()
        };
        let handle = Simulator::start(options).await.unwrap();
        let mut companion = Companion::online(&handle, PHONE).await;
        let server = Seed::new(Options::default().seed).server_key("static");
        companion.wire = None;
        let payload = companion.login_payload();
        let wire = Wire::resume(
            &handle,
            &companion.device,
            server.public(),
            &payload,
            &mut companion.rng,
        )
        .await;
        assert_eq!(wire.was_resumed, !refuse_resumption);
        companion.wire = Some(wire);
        companion.become_active().await;
    }
}

#[tokio::test]
async fn a_second_connection_of_a_device_replaces_the_first() {
    let handle = simulator().await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let mut first = companion.wire.take().unwrap();
    companion.log_in(&handle).await;
    let error = first.expect("conflict", |node| node.is("stream:error")).await;
    assert!(error.child("conflict").unwrap().attr_is("type", "replaced"));
    first.ended().await;
    companion.settle().await;
}

#[tokio::test]
async fn devices_are_unlinked_by_the_phone_and_by_themselves() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut companion = Companion::online(&handle, PHONE).await;
    assert_eq!(handle.unlink(number(PHONE), None).await.unwrap(), 1);
    let error = companion
        .wire()
        .expect("end", |node| node.is("stream:error"))
        .await;
    assert!(error.attr_is("code", "401"));
    assert!(error.child("conflict").unwrap().attr_is("type", "device_removed"));
    companion.wire().ended().await;

    let mut second = Companion::online(&handle, "15551230002").await;
    let removal = Node::new("remove-companion-device")
        .attr("jid", second.jid())
        .attr("reason", "user_initiated");
    let reply = second.iq("md", "set", removal).await;
    assert!(reply.attr_is("type", "result"));
    second.wire().expect("end", |node| node.is("stream:error")).await;
    assert!(handle.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn rubbish_ends_only_its_own_connection() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut good = Companion::online(&handle, PHONE).await;
    let rubbish: [&[u8]; 4] = [
        b"GET / HTTP/1.1",
        &[0xff; 64],
        &[b'W', b'A', 6, 3, 0xff, 0xff, 0xff],
        &[b'W', b'A', 6, 3, 0, 0, 2, 1, 2],
    ];
    for bytes in rubbish {
        let (mut socket, _) = tokio_tungstenite::connect_async(&handle.ws_url).await.unwrap();
        socket
            .send(Message::Binary(bytes::Bytes::copy_from_slice(bytes)))
            .await
            .unwrap();
        assert!(!matches!(socket.next().await, Some(Ok(Message::Binary(_)))));
    }
    let mut bad = Companion::online(&handle, "15551230002").await;
    bad.wire()
        .send_raw(&[
            0, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
        ])
        .await;
    assert!(bad.wire().next().await.is_none());
    let wrong_path = handle.ws_url.replace("/ws/chat", "/else");
    assert!(tokio_tungstenite::connect_async(&wrong_path).await.is_err());
    good.settle().await;
}
