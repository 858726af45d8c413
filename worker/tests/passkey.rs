//! The library against the simulator, which judges each step as a server and a phone do: accounts that must prove
//! themselves with a passkey, and QR codes that are retired.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use simulator::number::Number;
use simulator::passkey::authenticator::Ask;
use simulator::passkey::{OptionsAre, ProofIs, Report, Rules, Step, Typed};
use simulator::world::Scanned;
use simulator::{Handle, Options, Simulator};
use tokio::time::timeout;
use whatsapp::client::{Events, Session, SystemClock};
use whatsapp::connection::{ClientVersion, CloseReason, Config};
use whatsapp::event::{Comparison, Event, PasskeyError};
use whatsapp::pairing::passkey::webauthn::Assertion;
use whatsapp::signal::curve::PublicKey;
use whatsapp::store::MemoryStore;

const PATIENCE: Duration = Duration::from_secs(30);
const PHONE: &str = "15551230001";

fn phone() -> Number {
    PHONE.parse().unwrap()
}

/// A companion that is to be linked, and the phone next to it.
struct Scene {
    simulator: Handle,
    session: Session,
    events: Events,
}

impl Scene {
    async fn new(rules: Option<Rules>) -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        simulator.create_phone(phone(), "Ann").await.unwrap();
        simulator.guard(phone(), rules).await.unwrap();
        let mut config = Config::whatsapp(ClientVersion::KNOWN);
        config.url.clone_from(&simulator.ws_url);
        config.root_key = PublicKey::new(simulator.root_public_key);
        config.timing.backoff_base = Duration::from_millis(20);
        config.timing.backoff_cap = Duration::from_millis(200);
        let (store, rng) = (MemoryStore::default(), StdRng::seed_from_u64(1));
        let clock = SystemClock::default();
        let (session, events) = Session::start(Arc::new(config), store, clock, rng).await.unwrap();
        Self {
            simulator,
            session,
            events,
        }
    }

    /// The next event that `take` takes.
    async fn next<T>(&mut self, what: &str, mut take: impl FnMut(Event) -> Option<T>) -> T {
        let find = async {
            loop {
                let event = self.events.next().await.expect("the session goes on");
                if let Some(found) = take(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, find)
            .await
            .unwrap_or_else(|_| panic!("no {what}"))
    }

    async fn qr(&mut self) -> String {
        self.next("QR code", |event| match event {
            Event::QrCode { text, .. } => Some(text),
            _ => None,
        })
        .await
    }

    async fn scan(&mut self) {
        let qr = self.qr().await;
        let scanned = self.simulator.scan(phone(), qr).await.unwrap();
        assert!(matches!(scanned, Scanned::Asked { asked: "passkey" }));
    }

    async fn options(&mut self) -> Value {
        let options = self
            .next("request for a passkey", |event| match event {
                Event::PasskeyRequested { options, .. } => Some(options),
                _ => None,
            })
            .await;
        serde_json::from_str(&options).unwrap()
    }

    async fn sign(&self, options: Value) -> Assertion {
        let ask = Ask {
            options,
            origin: None,
            rp_id: None,
            user_verified: None,
        };
        let signed = self.simulator.sign(phone(), ask).await.unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap().into();
        let response = &signed["response"];
        Assertion {
            credential_id: part(&signed["rawId"]),
            client_data: part(&response["clientDataJSON"]),
            authenticator_data: part(&response["authenticatorData"]),
            signature: part(&response["signature"]),
            user_handle: Some(part(&response["userHandle"])),
        }
    }

    async fn answer(&mut self) -> Result<(), PasskeyError> {
        let options = self.options().await;
        let assertion = self.sign(options).await;
        self.session.answer_passkey(assertion).await
    }

    async fn code(&mut self) -> (String, Comparison) {
        self.next("code", |event| match event {
            Event::PasskeyCode { code, comparison, .. } => Some((code, comparison)),
            _ => None,
        })
        .await
    }

    async fn report(&self) -> Report {
        self.simulator.passkey(phone()).await.unwrap()
    }

    /// From the answer to the open session.
    async fn link(&mut self) -> Comparison {
        self.answer().await.unwrap();
        let (code, comparison) = self.code().await;
        assert_eq!(self.report().await.code, Some(code));
        self.session.confirm_passkey().await.unwrap();
        self.opens().await;
        assert!(self.report().await.linked);
        comparison
    }

    async fn opens(&mut self) {
        self.next("open session", |event| {
            matches!(event, Event::Open { .. }).then_some(())
        })
        .await;
        assert_eq!(self.violations().await, 0);
        assert_eq!(self.simulator.sessions().await.unwrap().len(), 1);
    }

    async fn violations(&self) -> u64 {
        self.simulator.audit().await.unwrap().server.violations
    }

    async fn fails(&mut self, words: &str) {
        let why = self
            .next("end of the connection", |event| match event {
                Event::Closed {
                    reason: CloseReason::PasskeyFailed(why),
                } => Some(why),
                _ => None,
            })
            .await;
        assert!(why.contains(words), "{why}");
        // A fresh connection shows codes again.
        self.qr().await;
        assert!(self.simulator.sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_device_is_linked_with_options_that_come_along_or_are_fetched() {
    for options in [OptionsAre::Inline, OptionsAre::Fetched] {
        let rules = Rules {
            options,
            proof: ProofIs::Required,
            ..Rules::default()
        };
        let mut scene = Scene::new(Some(rules)).await;
        scene.scan().await;
        assert_eq!(scene.link().await, Comparison::Optional, "{options:?}");
        assert_eq!(scene.report().await.proof, Some(true));
    }
}

#[tokio::test]
async fn options_that_are_nowhere_end_the_attempt() {
    let rules = Rules {
        options: OptionsAre::Missing,
        ..Rules::default()
    };
    let mut scene = Scene::new(Some(rules)).await;
    scene.scan().await;
    scene.fails("what to sign").await;
}

#[tokio::test]
async fn a_refusal_at_any_step_ends_the_attempt_and_codes_are_shown_again() {
    for (refuse, words) in [
        (Step::Options, "what to sign"),
        (Step::Reference, "a reference"),
        (Step::Prologue, "the passkey signed"),
        (Step::Nonce, "nonce"),
        (Step::Request, "request for the phone"),
    ] {
        let rules = Rules {
            options: OptionsAre::Fetched,
            refuse: Some(refuse),
            ..Rules::default()
        };
        let mut scene = Scene::new(Some(rules)).await;
        scene.scan().await;
        match refuse {
            Step::Options => {}
            Step::Reference | Step::Prologue => {
                let refused = scene.answer().await.unwrap_err();
                assert!(refused.to_string().contains("400"), "{refused}");
            }
            Step::Nonce => scene.answer().await.unwrap(),
            Step::Request => {
                scene.answer().await.unwrap();
                scene.code().await;
                assert!(scene.session.confirm_passkey().await.is_err());
            }
        }
        scene.fails(words).await;
    }
}

#[tokio::test]
async fn an_answer_for_another_challenge_is_refused_here_and_the_right_one_links() {
    let mut scene = Scene::new(Some(Rules::default())).await;
    scene.scan().await;
    let options = scene.options().await;
    let stale = scene.sign(json!({ "challenge": "AAECAwQF" })).await;
    let refused = scene.session.answer_passkey(stale).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            PasskeyError::BadAssertion {
                field: "response.clientDataJSON",
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(scene.report().await.step, None, "the server heard of it");
    let assertion = scene.sign(options).await;
    scene.session.answer_passkey(assertion).await.unwrap();
    scene.code().await;
    scene.session.confirm_passkey().await.unwrap();
    scene.opens().await;
}

#[tokio::test]
async fn what_only_the_key_can_tell_is_judged_by_the_server() {
    let mut scene = Scene::new(Some(Rules::default())).await;
    scene.scan().await;
    let options = scene.options().await;
    let mut assertion = scene.sign(options).await;
    assertion.signature = assertion.signature.slice(1..);
    assert!(scene.session.answer_passkey(assertion).await.is_err());
    assert_eq!(
        scene.report().await.problem.as_deref(),
        Some("the signature is wrong")
    );
    scene.fails("the passkey signed").await;
}

#[tokio::test]
async fn a_half_with_a_short_nonce_ends_the_attempt() {
    let rules = Rules {
        nonce_bytes: 31,
        ..Rules::default()
    };
    let mut scene = Scene::new(Some(rules)).await;
    scene.scan().await;
    scene.answer().await.unwrap();
    scene.fails("the phone's half").await;
}

#[tokio::test]
async fn whoever_sees_two_codes_cancels_and_the_phone_gets_nothing() {
    let rules = Rules {
        wrong_code: true,
        ..Rules::default()
    };
    let mut scene = Scene::new(Some(rules)).await;
    scene.scan().await;
    scene.answer().await.unwrap();
    let (code, _) = scene.code().await;
    let report = scene.report().await;
    assert_ne!(report.code, Some(code));
    scene.session.cancel_passkey().await.unwrap();
    scene.fails("cancelled").await;
    assert_eq!(scene.report().await.step, Some(Step::Nonce));
}

#[tokio::test]
async fn a_stray_continuation_changes_nothing() {
    let rules = Rules {
        stray_continuation: true,
        ..Rules::default()
    };
    let mut scene = Scene::new(Some(rules)).await;
    scene.scan().await;
    scene.link().await;
}

#[tokio::test]
async fn what_another_than_the_server_says_is_ignored() {
    let rules = Rules {
        from: Some("15550009999@s.whatsapp.net".to_owned()),
        ..Rules::default()
    };
    let mut scene = Scene::new(Some(rules)).await;
    let qr = scene.qr().await;
    scene.simulator.scan(phone(), &qr).await.unwrap();
    // A refresh comes behind it, and is heard.
    scene
        .simulator
        .refresh(&qr, "companion_reg_refresh")
        .await
        .unwrap();
    scene
        .next("new QR code", |event| match event {
            Event::PasskeyRequested { .. } => panic!("a stranger was believed"),
            Event::QrCode { text, .. } => (text != qr).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn a_typed_code_leads_to_a_passkey_in_both_ways_that_were_seen() {
    for typed in [Typed::Finish, Typed::Keyless] {
        let rules = Rules {
            typed,
            proof: ProofIs::Required,
            ..Rules::default()
        };
        let mut scene = Scene::new(Some(rules)).await;
        scene.qr().await;
        let code = scene.session.request_pairing_code(PHONE).await.unwrap();
        let typed_in = scene.simulator.link_code(phone(), &code).await.unwrap();
        assert!(matches!(typed_in, Scanned::Asked { asked: "passkey" }));
        assert_eq!(scene.link().await, Comparison::Needed, "{typed:?}");
        assert_eq!(scene.report().await.proof, None);
    }
}

#[tokio::test]
async fn a_retired_qr_code_links_nothing_and_the_new_one_does() {
    for child in ["companion_reg_refresh", "pair-device-rotate-qr"] {
        let mut scene = Scene::new(None).await;
        let first = scene.qr().await;
        // Before a scan, right after one, and twice in a row.
        scene.simulator.refresh(&first, child).await.unwrap();
        let second = scene.qr().await;
        let asked = scene.simulator.scan_and_refresh(phone(), &second, child);
        assert!(matches!(
            asked.await.unwrap(),
            Scanned::Asked { asked: "refresh" }
        ));
        let third = scene.qr().await;
        for old in [&first, &second] {
            let refused = scene.simulator.scan(phone(), old).await.unwrap_err();
            assert_eq!((refused.status, refused.field.as_str()), (409, "qr"));
        }
        let fields = |qr: &str| qr.split(',').map(str::to_owned).collect::<Vec<_>>();
        let [first, second, third] = [first, second, third].map(|qr| fields(&qr));
        for (before, after) in [(&first, &second), (&second, &third)] {
            let differ: Vec<_> = (0..5).filter(|at| before[*at] != after[*at]).collect();
            assert_eq!(differ, [3], "the secret alone");
        }
        scene.simulator.scan(phone(), third.join(",")).await.unwrap();
        scene.opens().await;
    }
}

#[tokio::test]
async fn a_refresh_without_a_known_child_leaves_the_code_as_it_is() {
    let mut scene = Scene::new(None).await;
    let qr = scene.qr().await;
    scene.simulator.refresh(&qr, "something-new").await.unwrap();
    scene.simulator.scan(phone(), qr).await.unwrap();
    scene.opens().await;
}
