//! Pairing by a code that the phone's user types (docs/PROTOCOL.md, "Pairing").

use bytes::Bytes;

use super::core::{iq, refuse_code as refuse};
use crate::{
    binary::Node,
    event::{Event, QueryError},
    jid::Jid,
    pairing::{
        code::{Companion, PairingCode},
        qr::PlatformId,
    },
    part::{Answer, Context, PartId, Ticket, Tickets},
    reason::CloseReason,
    signal::curve::PublicKey,
    time::Timestamp,
};

/// How far a pairing by code is.
pub(super) struct LinkCode {
    stage: Stage,
    questions: Tickets<Question>,
}

enum Question {
    /// Ask for a pairing by code.
    CompanionHello,
    /// Hand the key bundle to the phone.
    CompanionFinish,
}

#[derive(Default)]
enum Stage {
    /// Nobody asked.
    #[default]
    Idle,
    /// Asked for before the server was ready: number and custom code.
    Wanted(String, Option<String>),
    /// `companion_hello` is out.
    Asked(Offer),
    /// The code is good until `expires`.
    Shown {
        offer: Offer,
        reference: Bytes,
        expires: Timestamp,
        tries: u32,
        /// The phone has answered: `pair-success` comes by then, unless a wrong code was typed. That shows only at the
        /// phone, which lets its user type again.
        finishing: Option<Timestamp>,
    },
}

struct Offer {
    phone: Jid,
    companion: Companion,
}

impl LinkCode {
    /// With a number and a custom code, asks when the server is ready.
    pub(super) fn new(wanted: Option<(String, Option<String>)>) -> Self {
        Self {
            stage: wanted.map_or(Stage::Idle, |(phone, custom)| Stage::Wanted(phone, custom)),
            questions: Tickets::new(PAIRING),
        }
    }

    /// The server is ready.
    pub(super) fn request_wanted(&mut self, cx: &mut Context<'_>) {
        if let Stage::Wanted(phone, custom) = std::mem::take(&mut self.stage) {
            self.request(cx, &phone, custom.as_deref());
        }
    }

    /// Offers a new code; an earlier one is worthless from now on.
    pub(super) fn request(&mut self, cx: &mut Context<'_>, phone: &str, custom: Option<&str>) {
        let Ok(phone) = Jid::phone(phone) else {
            return refuse(cx, BAD_NUMBER);
        };
        let code = match custom.map(str::parse).transpose() {
            Ok(code) => code.unwrap_or_else(|| PairingCode::generate(cx.rng)),
            Err(_) => return refuse(cx, BAD_CODE),
        };
        let offer = Offer {
            phone,
            companion: Companion::start(code, cx.rng),
        };
        // Answers to earlier ones don't count any more.
        self.questions.close_all();
        let ticket = self.questions.open(Question::CompanionHello);
        cx.ask(companion_hello(cx, &offer), ticket);
        self.stage = Stage::Asked(offer);
    }

    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        match self.questions.close(ticket) {
            Some(Question::CompanionHello) => self.hello_answered(cx, answer),
            Some(Question::CompanionFinish) => self.finish_answered(cx, answer.map(drop)),
            None => {}
        }
    }

    /// The server's answer to `companion_hello`: the code can be shown now.
    fn hello_answered(&mut self, cx: &mut Context<'_>, outcome: Answer) {
        let Stage::Asked(offer) = std::mem::take(&mut self.stage) else {
            return;
        };
        let reference = outcome.and_then(|reply| {
            let reference = reply.child_at(&["link_code_companion_reg", "link_code_pairing_ref"]);
            reference.and_then(Node::bytes).ok_or(QueryError::Malformed)
        });
        match reference {
            Ok(reference) => {
                cx.emit(Event::PairingCode {
                    code: offer.companion.code().to_string(),
                });
                let expires = cx.now + cx.config.timing.pairing_code;
                self.stage = Stage::Shown {
                    offer,
                    reference,
                    expires,
                    tries: 0,
                    finishing: None,
                };
            }
            Err(error) => refuse(cx, refusal_code(&error)),
        }
    }

    /// The phone's answer, or the server's wish for a new code. True if the secret is another one from now on.
    pub(super) fn notified(&mut self, cx: &mut Context<'_>, message: &Node) -> bool {
        let Stage::Shown {
            offer,
            reference,
            tries,
            finishing,
            ..
        } = &mut self.stage
        else {
            return false;
        };
        let named = message.child("link_code_pairing_ref").and_then(Node::bytes);
        if named.as_ref() != Some(reference) {
            return false;
        }
        match message.attr_str("stage").as_deref() {
            // Accounts that must prove themselves with a passkey get one without the phone's key: the passkey's request
            // follows it.
            Some("primary_hello") if message.child(WRAPPED_PRIMARY).is_none() => {}
            Some("primary_hello") if *tries < cx.config.limits.pairing_code_tries => {
                let Some(finish) = answer_phone(cx, offer, reference, message) else {
                    return false;
                };
                *tries += 1;
                let patience = cx.config.timing.pairing_finish;
                let ticket = self.questions.open(Question::CompanionFinish);
                cx.ask_within(finish, ticket, patience);
                *finishing = Some(cx.now + patience);
                return true;
            }
            Some("refresh_code") => {
                let phone = offer.phone.user().to_owned();
                self.request(cx, &phone, None);
            }
            _ => {}
        }
        false
    }

    /// The server's answer to `companion_finish`.
    fn finish_answered(&mut self, cx: &mut Context<'_>, outcome: Result<(), QueryError>) {
        if let Err(error) = outcome
            && self.is_finishing()
        {
            self.stage = Stage::Idle;
            refuse(cx, refusal_code(&error));
        }
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        let Stage::Shown {
            expires, finishing, ..
        } = &mut self.stage
        else {
            return;
        };
        let is_spent = *expires <= cx.now;
        match *finishing {
            Some(until) if until > cx.now => {}
            Some(_) if is_spent => cx.close(CloseReason::PairingTimedOut),
            // A wrong code was typed, and nobody has tried again yet.
            Some(_) => *finishing = None,
            None if is_spent => {
                self.stage = Stage::Idle;
                refuse(cx, TIMED_OUT);
            }
            None => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Shown {
                expires, finishing, ..
            } => Some(finishing.unwrap_or(expires)),
            Stage::Idle | Stage::Wanted(..) | Stage::Asked(_) => None,
        }
    }

    /// Whether the owner still waits for a code or a refusal.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.stage, Stage::Wanted(..) | Stage::Asked(_))
    }

    /// Whether a phone has the secret that it was handed for its code.
    pub(super) fn is_finishing(&self) -> bool {
        matches!(
            self.stage,
            Stage::Shown {
                finishing: Some(_),
                ..
            }
        )
    }

    /// Whether a phone may still link us by code.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }
}

/// Agrees on the secret with the phone; gives what hands it the key bundle. `None` if its message is broken.
fn answer_phone(cx: &mut Context<'_>, offer: &Offer, reference: &Bytes, message: &Node) -> Option<Node> {
    let wrapped = message.child(WRAPPED_PRIMARY).and_then(Node::bytes)?;
    let phone_identity = message.child("primary_identity_pub").and_then(Node::bytes)?;
    let phone_identity = PublicKey::parse(&phone_identity).ok()?;
    let finish = offer
        .companion
        .finish(&wrapped, &cx.device.identity, &phone_identity, cx.rng)
        .inspect_err(|error| tracing::debug!(%error, "phone's answer to the pairing code ignored"))
        .ok()?;
    // Durable before the bundle leaves: `pair-success` is checked with this secret.
    cx.device_mut().adv_secret = finish.adv_secret;
    let identity = cx.device.identity.public().as_bytes().to_vec();
    let registration = stage(&offer.phone, "companion_finish")
        .with_child(Node::new("link_code_pairing_wrapped_key_bundle").with_slice(&finish.bundle))
        .with_child(Node::new("companion_identity_public").with_bytes(identity))
        .with_child(Node::new("link_code_pairing_ref").with_bytes(reference.clone()));
    Some(iq("set", "md").with_child(registration))
}

fn companion_hello(cx: &Context<'_>, offer: &Offer) -> Node {
    let (browser, os) = (&cx.config.browser, &cx.config.os);
    let noise = cx.device.noise.public().as_bytes().to_vec();
    let registration = stage(&offer.phone, "companion_hello")
        .attr("should_show_push_notification", "true")
        .with_child(
            Node::new("link_code_pairing_wrapped_companion_ephemeral_pub")
                .with_slice(&offer.companion.hello()),
        )
        .with_child(Node::new("companion_server_auth_key_pub").with_bytes(noise))
        .with_child(Node::new("companion_platform_id").with_bytes(PlatformId::of(browser, os).to_string()))
        .with_child(Node::new("companion_platform_display").with_bytes(format!("{browser} ({os})")))
        .with_child(Node::new("link_code_pairing_nonce").with_slice(&[0]));
    iq("set", "md").with_child(registration)
}

fn stage(phone: &Jid, stage: &'static str) -> Node {
    Node::new("link_code_companion_reg")
        .attr("jid", phone)
        .attr("stage", stage)
}

fn refusal_code(error: &QueryError) -> u16 {
    match error {
        QueryError::Refused { code } => *code,
        QueryError::TimedOut => TIMED_OUT,
        QueryError::Malformed | QueryError::NotConnected | QueryError::Busy => SERVER_BROKEN,
    }
}

/// While a device is linked there are two parts, this and [`super::passkey`].
const PAIRING: PartId = PartId::new(0);
/// The phone's key, under the code.
const WRAPPED_PRIMARY: &str = "link_code_pairing_wrapped_primary_ephemeral_pub";
/// The number is none.
const BAD_NUMBER: u16 = 400;
/// Not answered, or not used, in time.
const TIMED_OUT: u16 = 408;
/// The custom code has other characters or another length.
const BAD_CODE: u16 = 422;
/// The server's answer made no sense.
const SERVER_BROKEN: u16 = 500;
