//! Linking an account that must prove itself with a passkey, against a phone and a server that play by the book, and
//! others that don't.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    peer::{Phone, own_jid, pair_device, pair_success, result_of, server_iq},
    world::{World, new_device},
};
use crate::{
    binary::Node,
    command::Command,
    connection::{CloseReason, Next},
    device::AdvSecret,
    event::{Comparison, Event, PasskeyError, PasskeyStep},
    jid::Jid,
    pairing::{
        passkey::{HandoffKey, webauthn::Assertion},
        qr::QrCode,
    },
    server::passkey::{Met, Primary, Prologue},
    time::Timestamp,
};

const CHALLENGE: &str = "AAECAwQFBgcICQoLDA0ODw";
const OPTIONS: &str = r#"{"challenge":"AAECAwQFBgcICQoLDA0ODw","timeout":600000,"rpId":"whatsapp.com","allowCredentials":[],"userVerification":"required","extensions":{"uvm":true}}"#;

fn showing() -> World {
    let mut world = World::new(new_device());
    world.server_sends(&pair_device(&["ref-1", "ref-2"]));
    world
}

fn notification(kind: &'static str) -> Node {
    notification_from(Jid::SERVER, kind)
}

fn notification_from(from: Jid, kind: &'static str) -> Node {
    Node::new("notification")
        .attr("from", from)
        .attr("type", kind)
        .attr("id", "n-1")
}

fn request(options: &str) -> Node {
    let options = Node::new("passkey_request_options").with_slice(options.as_bytes());
    notification("passkey_prologue_request").with_child(options)
}

fn requested() -> World {
    let mut world = showing();
    world.server_sends(&request(OPTIONS));
    world
}

fn assertion(challenge: &str) -> Box<Assertion> {
    let client_data = json!({
        "type": "webauthn.get", "challenge": challenge, "origin": "https://web.whatsapp.com"
    });
    let mut authenticator_data = Sha256::digest("whatsapp.com").to_vec();
    authenticator_data.extend([5, 0, 0, 0, 1]);
    Box::new(Assertion {
        credential_id: Bytes::from_static(b"credential"),
        client_data: client_data.to_string().into(),
        authenticator_data: authenticator_data.into(),
        signature: Bytes::from_static(b"signature"),
        user_handle: None,
    })
}

fn answer(world: &mut World, ticket: u64, challenge: &str) {
    let assertion = assertion(challenge);
    world.command(Command::AnswerPasskey { ticket, assertion });
}

fn asks(child: &str) -> impl Fn(&Node) -> bool {
    move |node| node.is("iq") && node.attr_is("xmlns", "md") && node.child(child).is_some()
}

fn refuse(world: &mut World, question: &Node) {
    let error = Node::new("error").attr("code", "400");
    let id = question.attr_str("id").unwrap();
    world.server_sends(&server_iq("error", &id).with_child(error));
}

/// Answers the question for a reference; what follows it.
fn refer(world: &mut World) -> Node {
    let question = world.expect("question for a reference", asks("ref"));
    let reference = Node::new("ref").with_slice(b"ref-passkey");
    world.server_sends(&result_of(&question).with_child(reference));
    world.expect("prologue", asks("passkey_prologue"))
}

fn part(iq: &Node, name: &str) -> Option<Bytes> {
    iq.child_at(&["passkey_prologue", name]).and_then(Node::bytes)
}

fn continuation(identity: Vec<u8>) -> Node {
    let identity = Node::new("primary_ephemeral_identity").with_bytes(identity);
    notification("crsc_continuation").with_child(identity)
}

fn step(world: &World, ticket: u64) -> Option<(PasskeyStep, Result<(), PasskeyError>)> {
    let mut answers = world.events.iter().filter_map(|event| match event {
        Event::PasskeyStep {
            ticket: of,
            step,
            result,
        } if *of == ticket => Some((*step, result.clone())),
        _ => None,
    });
    let answer = answers.next();
    assert!(answers.next().is_none(), "two answers to {ticket}");
    answer
}

fn requests(world: &World) -> Vec<(String, Timestamp)> {
    let request = |event: &Event| match event {
        Event::PasskeyRequested { options, deadline } => Some((options.clone(), *deadline)),
        _ => None,
    };
    world.events.iter().filter_map(request).collect()
}

fn shown_code(world: &World) -> Option<(String, Comparison)> {
    world.events.iter().find_map(|event| match event {
        Event::PasskeyCode { code, comparison, .. } => Some((code.clone(), *comparison)),
        _ => None,
    })
}

fn expect_failure(world: &World, words: &str) {
    let Some(CloseReason::PasskeyFailed(why)) = &world.closed else {
        panic!("closed for {:?}", world.closed)
    };
    assert!(why.contains(words), "{why}");
    let reason = CloseReason::PasskeyFailed(why.clone());
    world.expect_close(&reason, Next::Reconnect);
    assert_eq!(reason.status_code(), 511);
}

/// The phone and what it knows of the exchange.
struct Exchange {
    world: World,
    phone: Phone,
    primary: Primary,
    payload: Bytes,
    prologue: Node,
}

/// Up to the prologue, which the server has not answered.
fn opening(mut world: World) -> Exchange {
    answer(&mut world, 1, CHALLENGE);
    let prologue = refer(&mut world);
    let mut phone = Phone::new();
    Exchange {
        primary: Primary::start(phone.rng()),
        payload: part(&prologue, "prologue_payload").unwrap(),
        world,
        phone,
        prologue,
    }
}

impl Exchange {
    fn take_prologue(&mut self) {
        self.world.server_sends(&result_of(&self.prologue));
    }

    fn go_on(&mut self) {
        self.world.server_sends(&continuation(self.primary.identity()));
    }

    /// The phone learns the nonce; both show the code.
    fn reveal(&mut self) -> Met {
        let iq = self.world.expect("nonce", asks("companion_nonce"));
        let nonce = iq.child("companion_nonce").and_then(Node::bytes).unwrap();
        let met = self.primary.meet(&self.payload, &nonce).unwrap();
        self.world.server_sends(&result_of(&iq));
        met
    }

    fn confirm(&mut self, ticket: u64) -> Node {
        self.world.command(Command::ConfirmPasskey { ticket });
        self.world.expect("request", asks("encrypted_pairing_request"))
    }

    fn secret(&self, met: &Met, iq: &Node) -> AdvSecret {
        let sealed = iq.child("encrypted_pairing_request").and_then(Node::bytes);
        let request = met.open_request(&sealed.unwrap()).unwrap();
        let device = self.world.store.device().unwrap();
        assert_eq!(request.noise, *device.noise.public());
        assert_eq!(request.identity, *device.identity.public());
        request.secret
    }

    fn vouch(&mut self, secret: &AdvSecret) {
        let companion = *self.world.store.device().unwrap().identity.public();
        let container = self.phone.vouch(&companion, secret);
        self.world.server_sends(&pair_success(container));
    }

    fn is_paired(&self) -> bool {
        let paired = |event: &Event| matches!(event, Event::Paired { jid, .. } if *jid == own_jid());
        self.world.events.iter().any(paired) && self.world.store.device().unwrap().is_paired()
    }

    fn stored_secret(&self) -> [u8; 32] {
        *self.world.store.device().unwrap().adv_secret.as_bytes()
    }
}

#[test]
fn a_passkey_links_the_device_under_a_new_secret() {
    let world = requested();
    assert_eq!(
        requests(&world),
        [(OPTIONS.to_owned(), world.now + Duration::from_secs(600))]
    );
    let qr: QrCode = world.qr_codes().last().unwrap().parse().unwrap();
    let mut exchange = opening(world);
    assert_eq!(
        part(&exchange.prologue, "credential_id").unwrap(),
        &b"credential"[..]
    );
    assert_eq!(
        part(&exchange.prologue, "webauthn_assertion").unwrap(),
        assertion(CHALLENGE).to_json().into_bytes()
    );
    let said = Prologue::parse(&exchange.payload).unwrap();
    assert_eq!(
        (said.platform as i32, said.reference.as_str()),
        (1, "ref-passkey")
    );
    // Whoever scanned the QR code can tell that it is this companion.
    let proof = HandoffKey::new(&qr.adv_secret).prove(&exchange.payload);
    assert_eq!(
        part(&exchange.prologue, "pairing_handoff_proof").unwrap(),
        &proof[..]
    );
    assert!(step(&exchange.world, 1).is_none());
    exchange.take_prologue();
    assert_eq!(step(&exchange.world, 1), Some((PasskeyStep::Answer, Ok(()))));

    exchange.go_on();
    assert!(
        shown_code(&exchange.world).is_none(),
        "before the phone can show it"
    );
    let met = exchange.reveal();
    let (code, comparison) = shown_code(&exchange.world).unwrap();
    assert_eq!(code.replace('-', ""), met.code().as_str());
    assert_eq!((code.len(), comparison), (9, Comparison::Optional));

    let iq = exchange.confirm(2);
    let secret = exchange.secret(&met, &iq);
    assert_eq!(
        exchange.stored_secret(),
        *qr.adv_secret.as_bytes(),
        "committed too soon"
    );
    exchange.world.server_sends(&result_of(&iq));
    assert_eq!(
        step(&exchange.world, 2),
        Some((PasskeyStep::Confirmation, Ok(())))
    );
    assert_eq!(exchange.stored_secret(), *secret.as_bytes());
    exchange.vouch(&secret);
    assert!(exchange.is_paired());
}

#[test]
fn the_secret_of_the_qr_code_links_no_more_after_the_exchange() {
    let mut exchange = opening(requested());
    let scanned = AdvSecret::new(exchange.stored_secret());
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    let iq = exchange.confirm(2);
    exchange.world.server_sends(&result_of(&iq));
    exchange.vouch(&scanned);
    assert!(matches!(
        exchange.world.closed,
        Some(CloseReason::PairingRefused(_))
    ));
    assert!(!exchange.is_paired());
}

#[test]
fn options_that_did_not_come_along_are_fetched() {
    for inline in [
        notification("passkey_prologue_request"),
        request("rubbish"),
        request("{}"),
    ] {
        let mut world = showing();
        world.server_sends(&inline);
        assert!(requests(&world).is_empty());
        let question = world.expect("question for options", asks("passkey_request_options"));
        assert!(question.attr_is("type", "get"));
        let options = Node::new("passkey_request_options").with_slice(OPTIONS.as_bytes());
        world.server_sends(&result_of(&question).with_child(options));
        assert_eq!(requests(&world).len(), 1);
    }
}

#[test]
fn options_that_are_nowhere_end_the_attempt() {
    for is_refused in [false, true] {
        let mut world = showing();
        world.server_sends(&notification("passkey_prologue_request"));
        let question = world.expect("question for options", asks("passkey_request_options"));
        match is_refused {
            true => refuse(&mut world, &question),
            false => world.server_sends(&result_of(&question)),
        }
        expect_failure(&world, "what to sign");
    }
}

#[test]
fn both_notifications_count_only_from_the_server() {
    let somebody = || "15550002@s.whatsapp.net".parse::<Jid>().unwrap();
    let mut world = showing();
    let options = Node::new("passkey_request_options").with_slice(OPTIONS.as_bytes());
    world.server_sends(&notification_from(somebody(), "passkey_prologue_request").with_child(options));
    assert!(requests(&world).is_empty());
    world.expect("ack", |node| node.is("ack") && node.attr_is("id", "n-1"));

    let mut exchange = opening(requested());
    exchange.take_prologue();
    let identity = Node::new("primary_ephemeral_identity").with_bytes(exchange.primary.identity());
    let forged = notification_from(somebody(), "crsc_continuation").with_child(identity);
    exchange.world.server_sends(&forged);
    assert!(!exchange.world.nodes.iter().any(asks("companion_nonce")));
}

#[test]
fn an_answer_to_another_challenge_is_refused_and_the_next_one_counts() {
    let mut world = requested();
    answer(&mut world, 1, "AAECAwQFBgcICQoLDA0OEA");
    let Some((PasskeyStep::Answer, Err(PasskeyError::BadAssertion { field, problem }))) = step(&world, 1)
    else {
        panic!("{:?}", world.events)
    };
    assert_eq!(field, "response.clientDataJSON");
    assert!(problem.contains("challenge"), "{problem}");
    assert!(!world.nodes.iter().any(asks("ref")) && world.closed.is_none());
    answer(&mut world, 2, CHALLENGE);
    refer(&mut world);
    // While one is on its way there is nothing to answer.
    answer(&mut world, 3, CHALLENGE);
    assert_eq!(
        step(&world, 3),
        Some((PasskeyStep::Answer, Err(PasskeyError::NotExpected)))
    );
}

#[test]
fn a_refusal_at_each_step_ends_the_attempt_in_words() {
    let mut world = requested();
    answer(&mut world, 1, CHALLENGE);
    let question = world.expect("question for a reference", asks("ref"));
    refuse(&mut world, &question);
    expect_failure(&world, "a reference");
    assert!(matches!(
        step(&world, 1),
        Some((_, Err(PasskeyError::Failed(why)))) if why.contains("400")
    ));

    let mut exchange = opening(requested());
    refuse(&mut exchange.world, &exchange.prologue);
    expect_failure(&exchange.world, "passkey signed");

    let mut exchange = opening(requested());
    exchange.take_prologue();
    exchange.go_on();
    let iq = exchange.world.expect("nonce", asks("companion_nonce"));
    refuse(&mut exchange.world, &iq);
    expect_failure(&exchange.world, "nonce");
    assert!(shown_code(&exchange.world).is_none());

    let mut exchange = opening(requested());
    let scanned = exchange.stored_secret();
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    let iq = exchange.confirm(2);
    refuse(&mut exchange.world, &iq);
    expect_failure(&exchange.world, "request for the phone");
    assert_eq!(exchange.stored_secret(), scanned, "committed though refused");
}

#[test]
fn a_reference_that_is_missing_empty_or_endless_ends_the_attempt() {
    for reference in [None, Some(Vec::new()), Some(vec![b'x'; 2_000]), Some(vec![0xff])] {
        let mut world = requested();
        answer(&mut world, 1, CHALLENGE);
        let question = world.expect("question for a reference", asks("ref"));
        let reply = result_of(&question);
        let reply = match reference {
            Some(bytes) => reply.with_child(Node::new("ref").with_bytes(bytes)),
            None => reply,
        };
        world.server_sends(&reply);
        expect_failure(&world, "no reference");
    }
}

#[test]
fn a_half_of_another_length_ends_the_attempt() {
    let mut short = Primary::start(Phone::new().rng()).identity();
    // The nonce is the last field: 31 bytes of it.
    let at = short.len() - 33;
    short[at] = 31;
    short.pop();
    for identity in [short, Vec::new(), b"rubbish".to_vec()] {
        let mut exchange = opening(requested());
        exchange.take_prologue();
        exchange.world.server_sends(&continuation(identity));
        expect_failure(&exchange.world, "the phone's half");
    }
}

#[test]
fn a_continuation_without_an_exchange_or_a_second_one_is_ignored() {
    let mut world = requested();
    let identity = Primary::start(Phone::new().rng()).identity();
    world.server_sends(&continuation(identity.clone()));
    assert!(world.closed.is_none() && !world.nodes.iter().any(asks("companion_nonce")));
    let mut exchange = opening(world);
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    exchange.world.server_sends(&continuation(identity));
    assert!(exchange.world.closed.is_none());
    exchange.confirm(2);
}

#[test]
fn a_phone_may_be_faster_than_the_servers_answers() {
    let mut exchange = opening(requested());
    exchange.go_on();
    assert!(!exchange.world.nodes.iter().any(asks("companion_nonce")));
    exchange.take_prologue();
    let met = exchange.reveal();
    let iq = exchange.confirm(2);
    let secret = exchange.secret(&met, &iq);
    exchange.vouch(&secret);
    assert!(exchange.is_paired());
    assert_eq!(exchange.stored_secret(), *secret.as_bytes());
    assert_eq!(
        step(&exchange.world, 2),
        Some((PasskeyStep::Confirmation, Ok(())))
    );
}

#[test]
fn a_second_request_replaces_the_first() {
    let mut exchange = opening(requested());
    let other = OPTIONS.replace(CHALLENGE, "Dw4NDAsKCQgHBgUEAwIBAA");
    exchange.world.server_sends(&request(&other));
    assert!(matches!(
        step(&exchange.world, 1),
        Some((_, Err(PasskeyError::Failed(_))))
    ));
    assert_eq!(requests(&exchange.world).last().unwrap().0, other);
    // What the first one asked means nothing any more.
    exchange.take_prologue();
    exchange.go_on();
    assert!(!exchange.world.nodes.iter().any(asks("companion_nonce")));
    answer(&mut exchange.world, 2, CHALLENGE);
    assert!(matches!(
        step(&exchange.world, 2),
        Some((_, Err(PasskeyError::BadAssertion { .. })))
    ));
    answer(&mut exchange.world, 3, "Dw4NDAsKCQgHBgUEAwIBAA");
    let prologue = refer(&mut exchange.world);
    assert!(part(&prologue, "pairing_handoff_proof").is_some());
}

#[test]
fn references_that_run_out_close_no_open_exchange() {
    let mut world = requested();
    let shown = world.qr_codes().len();
    world.pass(Duration::from_secs(599));
    assert!(world.closed.is_none());
    assert_eq!(world.qr_codes().len(), shown, "a code that nobody can use");
    world.pass(Duration::from_secs(1));
    world.expect_close(&CloseReason::PasskeyRequired, Next::Stop);
    assert_eq!(CloseReason::PasskeyRequired.status_code(), 511);
}

#[test]
fn the_server_may_give_less_time_and_not_more() {
    for (timeout, seconds) in [("30000", 30), ("0", 600), ("86400000", 600)] {
        let mut world = showing();
        world.server_sends(&request(&OPTIONS.replace("600000", timeout)));
        assert_eq!(requests(&world)[0].1, world.now + Duration::from_secs(seconds));
    }
}

#[test]
fn a_proof_of_an_old_scan_is_not_sent_and_the_code_must_be_compared() {
    let mut world = requested();
    world.pass(Duration::from_secs(300));
    let mut exchange = opening(world);
    assert!(part(&exchange.prologue, "pairing_handoff_proof").is_none());
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    assert_eq!(shown_code(&exchange.world).unwrap().1, Comparison::Needed);
}

#[test]
fn steps_that_take_too_long_end_the_attempt() {
    let mut exchange = opening(requested());
    exchange.take_prologue();
    exchange.world.pass(Duration::from_secs(600));
    expect_failure(&exchange.world, "the phone did not go on");

    let mut exchange = opening(requested());
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    exchange.world.pass(Duration::from_secs(600));
    expect_failure(&exchange.world, "nobody confirmed");

    let mut exchange = opening(requested());
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    let iq = exchange.confirm(2);
    exchange.world.server_sends(&result_of(&iq));
    exchange.world.pass(Duration::from_secs(60));
    expect_failure(&exchange.world, "did not link");
}

#[test]
fn whoever_sees_another_code_cancels() {
    let mut exchange = opening(requested());
    exchange.take_prologue();
    exchange.go_on();
    exchange.reveal();
    exchange.world.command(Command::CancelPasskey { ticket: 9 });
    assert_eq!(
        step(&exchange.world, 9),
        Some((PasskeyStep::Cancellation, Ok(())))
    );
    expect_failure(&exchange.world, "cancelled");
    assert!(!exchange.world.nodes.iter().any(asks("encrypted_pairing_request")));
}

#[test]
fn what_nothing_waits_for_is_answered_so() {
    for mut world in [showing(), World::online()] {
        answer(&mut world, 1, CHALLENGE);
        world.command(Command::ConfirmPasskey { ticket: 2 });
        world.command(Command::CancelPasskey { ticket: 3 });
        for ticket in 1..=3 {
            assert!(
                matches!(step(&world, ticket), Some((_, Err(PasskeyError::NotExpected)))),
                "{ticket}: {:?}",
                world.events
            );
        }
        assert!(world.closed.is_none());
    }
}

#[test]
fn an_answer_that_is_under_way_is_answered_when_the_connection_ends() {
    let mut exchange = opening(requested());
    exchange.world.server_sends(&Node::new("xmlstreamend"));
    assert!(matches!(
        step(&exchange.world, 1),
        Some((PasskeyStep::Answer, Err(PasskeyError::Failed(_))))
    ));
    assert_eq!(exchange.world.closed, Some(CloseReason::StreamEnd));
}

#[test]
fn a_refresh_draws_a_new_code_before_the_request_and_changes_nothing_after_it() {
    let refresh = notification("companion_reg_refresh").with_child(Node::new("pair-device-rotate-qr"));
    let mut exchange = opening(requested());
    let scanned = exchange.stored_secret();
    exchange.world.server_sends(&refresh);
    assert_ne!(exchange.stored_secret(), scanned);
    exchange.take_prologue();
    exchange.go_on();
    let met = exchange.reveal();
    let iq = exchange.confirm(2);
    let secret = exchange.secret(&met, &iq);
    exchange.world.server_sends(&refresh);
    exchange.world.server_sends(&result_of(&iq));
    exchange.world.server_sends(&refresh);
    assert_eq!(exchange.stored_secret(), *secret.as_bytes());
    exchange.vouch(&secret);
    assert!(exchange.is_paired());
}

#[test]
fn a_pairing_by_code_needs_no_proof_and_a_comparison() {
    let mut world = showing();
    let ask = Command::RequestPairingCode {
        phone: "15551230001".to_owned(),
        custom: None,
    };
    world.command(ask);
    let hello = world.expect("companion_hello", asks("link_code_companion_reg"));
    let reference = || Node::new("link_code_pairing_ref").with_slice(b"the-ref");
    let reply = Node::new("link_code_companion_reg").with_child(reference());
    world.server_sends(&result_of(&hello).with_child(reply));
    // The phone's answer without its key, as it comes before the request.
    for _ in 0..5 {
        let hello = Node::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .with_child(reference());
        world.server_sends(&notification("link_code_companion_reg").with_child(hello));
    }
    assert!(world.closed.is_none() && !world.nodes.iter().any(asks("link_code_companion_reg")));
    world.server_sends(&request(OPTIONS));
    let mut exchange = opening(world);
    assert!(part(&exchange.prologue, "pairing_handoff_proof").is_none());
    exchange.take_prologue();
    exchange.go_on();
    let met = exchange.reveal();
    assert_eq!(shown_code(&exchange.world).unwrap().1, Comparison::Needed);
    let iq = exchange.confirm(2);
    let secret = exchange.secret(&met, &iq);
    exchange.world.server_sends(&result_of(&iq));
    exchange.vouch(&secret);
    assert!(exchange.is_paired());
    let refused = |event: &Event| matches!(event, Event::PairingCodeRefused { .. });
    assert!(!exchange.world.events.iter().any(refused));
}
