//! Linking an account that must prove itself with a passkey: from the server's request to the secret that the phone
//! vouches with (docs/PROTOCOL.md, "With a passkey").
//!
//! Two things come from the owner: what a browser signed, and that the codes are the same. All else is between server,
//! phone and us. Whatever goes wrong ends the connection with a reason in words; nothing of the exchange is stored before
//! the phone has the new secret.

use bytes::Bytes;

use super::core::iq;
use crate::{
    binary::Node,
    command::Command,
    device::AdvSecret,
    event::{Comparison, Event, PasskeyError, PasskeyStep, QueryError},
    pairing::passkey::{
        Agreement, Companion, HandoffKey,
        webauthn::{Assertion, BadAssertion, Options},
    },
    part::{Answer, Context, PartId, Ticket, Tickets},
    payload,
    reason::CloseReason,
    time::Timestamp,
};

/// How far linking with a passkey is.
pub(super) struct Passkey {
    stage: Stage,
    questions: Tickets<Question>,
    /// The step that the owner took and has no answer for.
    unanswered: Option<(u64, PasskeyStep)>,
}

/// A proof that goes along with the first message, good since a time.
pub(super) struct Handoff {
    key: HandoffKey,
    since: Timestamp,
}

enum Question {
    /// The options, which did not come with the request.
    Options,
    /// A reference for the exchange.
    Reference,
    /// Whether the server takes the assertion.
    Prologue,
    /// Whether it takes our nonce.
    Nonce,
    /// Whether it takes the request for the phone.
    Request,
}

#[derive(Default)]
enum Stage {
    /// Nobody asked.
    #[default]
    Idle,
    /// The options are asked for.
    Fetching(Option<Handoff>),
    /// The owner is to have the options signed.
    Requested {
        options: Options,
        handoff: Option<Handoff>,
        until: Timestamp,
    },
    /// A reference is asked for.
    Referring(Box<Assertion>, Option<Handoff>),
    /// The assertion is on its way. The phone may be faster than the server's answer.
    Opening {
        companion: Companion,
        comparison: Comparison,
        early: Option<Bytes>,
    },
    /// The phone is to say its half.
    AwaitPhone {
        companion: Companion,
        comparison: Comparison,
        until: Timestamp,
    },
    /// Our nonce is on its way.
    Revealing(Agreement, Comparison),
    /// The owner compares the codes.
    Comparing { agreement: Agreement, until: Timestamp },
    /// The request for the phone is on its way, with this secret.
    Requesting(AdvSecret),
    /// The phone has it: `pair-success` must come by then.
    Finishing { until: Timestamp },
}

impl Handoff {
    /// From the secret of the QR code that was scanned just now.
    pub(super) fn of_scan(cx: &Context<'_>) -> Self {
        Self {
            key: HandoffKey::new(&cx.device.adv_secret),
            since: cx.now,
        }
    }
}

impl Passkey {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Idle,
            questions: Tickets::new(PASSKEY),
            unanswered: None,
        }
    }

    /// Whether an exchange is open.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    /// Whether the phone may have the new secret.
    pub(super) fn is_finishing(&self) -> bool {
        matches!(self.stage, Stage::Requesting(_) | Stage::Finishing { .. })
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Requested { until, .. }
            | Stage::AwaitPhone { until, .. }
            | Stage::Comparing { until, .. }
            | Stage::Finishing { until } => Some(*until),
            // Questions have times of their own.
            _ => None,
        }
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|until| until > cx.now) {
            return;
        }
        match self.stage {
            Stage::Requested { .. } => {
                self.stage = Stage::Idle;
                cx.close(CloseReason::PasskeyRequired);
            }
            Stage::AwaitPhone { .. } => self.fail(cx, "the phone did not go on in time"),
            Stage::Comparing { .. } => self.fail(cx, "nobody confirmed the code in time"),
            _ => self.fail(cx, "the phone did not link in time"),
        }
    }

    /// The server asks for a passkey, with or without the options. An earlier request is done with.
    pub(super) fn requested(&mut self, cx: &mut Context<'_>, request: &Node, handoff: Option<Handoff>) {
        self.questions.close_all();
        self.answer(cx, Err(PasskeyError::Failed("WhatsApp asked anew".to_owned())));
        match options(request) {
            Some(options) => self.offer(cx, options, handoff),
            None => {
                let ticket = self.questions.open(Question::Options);
                let fetch = iq("get", "md").with_child(Node::new(OPTIONS));
                cx.ask(fetch, ticket);
                self.stage = Stage::Fetching(handoff);
            }
        }
    }

    /// The phone's half of the exchange came. Without an open exchange, or a second time, it means nothing.
    pub(super) fn continued(&mut self, cx: &mut Context<'_>, notification: &Node) {
        let identity = notification
            .child("primary_ephemeral_identity")
            .and_then(Node::bytes);
        match std::mem::take(&mut self.stage) {
            Stage::Opening {
                companion,
                comparison,
                ..
            } => {
                self.stage = Stage::Opening {
                    companion,
                    comparison,
                    early: Some(identity.unwrap_or_default()),
                };
            }
            Stage::AwaitPhone {
                companion,
                comparison,
                ..
            } => self.meet(cx, &companion, comparison, &identity.unwrap_or_default()),
            other => {
                tracing::debug!("a passkey continuation without an exchange that waits for one is ignored");
                self.stage = other;
            }
        }
    }

    pub(super) fn command(&mut self, cx: &mut Context<'_>, command: Command) {
        match command {
            Command::AnswerPasskey { ticket, assertion } => self.sign(cx, ticket, assertion),
            Command::ConfirmPasskey { ticket } => self.confirm(cx, ticket),
            Command::CancelPasskey { ticket } if self.is_open() && !self.is_finishing() => {
                tell(cx, ticket, PasskeyStep::Cancellation, Ok(()));
                self.fail(cx, "it was cancelled");
            }
            Command::CancelPasskey { ticket } => {
                cx.emit(Event::not_expected(PasskeyStep::Cancellation, ticket))
            }
            _ => {}
        }
    }

    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        let Some(question) = self.questions.close(ticket) else {
            return;
        };
        match (std::mem::take(&mut self.stage), question) {
            (Stage::Fetching(handoff), Question::Options) => self.fetched(cx, answer, handoff),
            (Stage::Referring(assertion, handoff), Question::Reference) => {
                self.referred(cx, answer, &assertion, handoff);
            }
            (
                Stage::Opening {
                    companion,
                    comparison,
                    early,
                },
                Question::Prologue,
            ) => match answer {
                Err(error) => self.refused(cx, "what the passkey signed", &error),
                Ok(_) => self.opened(cx, companion, comparison, early),
            },
            (Stage::Revealing(agreement, comparison), Question::Nonce) => match answer {
                Err(error) => self.refused(cx, "the companion's nonce", &error),
                Ok(_) => self.revealed(cx, agreement, comparison),
            },
            (Stage::Requesting(secret), Question::Request) => match answer {
                Err(error) => self.refused(cx, "the request for the phone", &error),
                Ok(_) => self.commit(cx, secret),
            },
            // Questions of an earlier exchange are closed with it.
            (stage, _) => self.stage = stage,
        }
    }

    /// `pair-success` came. If the phone was faster than the server's answer, the new secret counts already.
    pub(super) fn on_success(&mut self, cx: &mut Context<'_>) {
        match std::mem::take(&mut self.stage) {
            Stage::Requesting(secret) => self.commit(cx, secret),
            other => self.stage = other,
        }
    }

    /// The connection is over, or the device is linked: what the owner asked for has an answer.
    pub(super) fn over(&mut self, cx: &mut Context<'_>) {
        self.stage = Stage::Idle;
        self.answer(cx, Err(PasskeyError::Failed("the connection ended".to_owned())));
    }
}

/// The steps, in their order.
impl Passkey {
    fn fetched(&mut self, cx: &mut Context<'_>, answer: Answer, handoff: Option<Handoff>) {
        match answer.map(|reply| options(&reply)) {
            Ok(Some(options)) => self.offer(cx, options, handoff),
            Ok(None) => self.fail(cx, "WhatsApp asked for a passkey and did not say what to sign"),
            Err(error) => self.refused(cx, "the question what to sign", &error),
        }
    }

    fn offer(&mut self, cx: &mut Context<'_>, options: Options, handoff: Option<Handoff>) {
        let longest = cx.config.timing.passkey;
        let until = cx.now + options.timeout().unwrap_or(longest).min(longest);
        cx.emit(Event::PasskeyRequested {
            options: options.json().to_owned(),
            deadline: until,
        });
        self.stage = Stage::Requested {
            options,
            handoff,
            until,
        };
    }

    /// The owner has had it signed. What answers something else is refused, and nothing has changed.
    fn sign(&mut self, cx: &mut Context<'_>, ticket: u64, assertion: Box<Assertion>) {
        let step = PasskeyStep::Answer;
        let Stage::Requested { options, .. } = &self.stage else {
            return cx.emit(Event::not_expected(step, ticket));
        };
        if let Err(BadAssertion { field, problem }) = options.check(&assertion) {
            tracing::debug!(field, problem, "an answer that is not the passkey's is refused");
            return tell(
                cx,
                ticket,
                step,
                Err(PasskeyError::BadAssertion { field, problem }),
            );
        }
        if let Stage::Requested { handoff, .. } = std::mem::take(&mut self.stage) {
            self.stage = Stage::Referring(assertion, handoff);
        }
        self.unanswered = Some((ticket, step));
        let ticket = self.questions.open(Question::Reference);
        cx.ask(iq("get", "md").with_child(Node::new("ref")), ticket);
    }

    fn referred(
        &mut self,
        cx: &mut Context<'_>,
        answer: Answer,
        assertion: &Assertion,
        handoff: Option<Handoff>,
    ) {
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => return self.refused(cx, "the question for a reference", &error),
        };
        let reference = reply.child("ref").and_then(Node::bytes);
        let reference = reference.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let Some(reference) = reference.filter(|text| (1..=MAX_REFERENCE_BYTES).contains(&text.len())) else {
            return self.fail(cx, "WhatsApp gave no reference that can be used");
        };
        let platform = payload::platform_type(&cx.config.browser);
        let companion = Companion::start(platform, reference, cx.rng);
        let payload = companion.payload();
        // Other clients' proofs are no older.
        let handoff = handoff.filter(|handoff| cx.now < handoff.since + HANDOFF_LIFETIME);
        let proof = handoff.map(|handoff| handoff.key.prove(&payload));
        let ticket = self.questions.open(Question::Prologue);
        cx.ask(prologue(assertion, payload, proof.as_ref()), ticket);
        self.stage = Stage::Opening {
            companion,
            comparison: match proof {
                Some(_) => Comparison::Optional,
                None => Comparison::Needed,
            },
            early: None,
        };
    }

    fn opened(
        &mut self,
        cx: &mut Context<'_>,
        companion: Companion,
        comparison: Comparison,
        early: Option<Bytes>,
    ) {
        self.answer(cx, Ok(()));
        match early {
            Some(identity) => self.meet(cx, &companion, comparison, &identity),
            None => {
                self.stage = Stage::AwaitPhone {
                    companion,
                    comparison,
                    until: cx.now + cx.config.timing.passkey,
                };
            }
        }
    }

    fn meet(&mut self, cx: &mut Context<'_>, companion: &Companion, comparison: Comparison, identity: &[u8]) {
        let agreement = match companion.agree(identity) {
            Ok(agreement) => agreement,
            Err(error) => return self.fail(cx, &format!("the phone's half can't be used: {error}")),
        };
        let nonce = Node::new("companion_nonce").with_slice(companion.nonce());
        let ticket = self.questions.open(Question::Nonce);
        cx.ask(iq("set", "md").with_child(nonce), ticket);
        self.stage = Stage::Revealing(agreement, comparison);
    }

    fn revealed(&mut self, cx: &mut Context<'_>, agreement: Agreement, comparison: Comparison) {
        let until = cx.now + cx.config.timing.passkey;
        let code = agreement.code().as_str();
        let (left, right) = code.split_at(code.len() / 2);
        cx.emit(Event::PasskeyCode {
            code: format!("{left}-{right}"),
            comparison,
            deadline: until,
        });
        self.stage = Stage::Comparing { agreement, until };
    }

    fn confirm(&mut self, cx: &mut Context<'_>, ticket: u64) {
        let step = PasskeyStep::Confirmation;
        let Stage::Comparing { agreement, .. } = &self.stage else {
            return cx.emit(Event::not_expected(step, ticket));
        };
        let secret = AdvSecret::generate(cx.rng);
        let request = agreement.seal_request(cx.device, &secret, cx.rng);
        self.unanswered = Some((ticket, step));
        let ticket = self.questions.open(Question::Request);
        let request = Node::new("encrypted_pairing_request").with_bytes(request);
        cx.ask(iq("set", "md").with_child(request), ticket);
        self.stage = Stage::Requesting(secret);
    }

    /// The phone has the new secret, or will have: `pair-success` is checked with it.
    fn commit(&mut self, cx: &mut Context<'_>, secret: AdvSecret) {
        cx.device_mut().adv_secret = secret;
        self.answer(cx, Ok(()));
        let until = cx.now + cx.config.timing.pairing_finish;
        self.stage = Stage::Finishing { until };
    }

    fn refused(&mut self, cx: &mut Context<'_>, what: &str, error: &QueryError) {
        self.fail(cx, &format!("WhatsApp did not take {what}: {error}"));
    }

    /// It came to nothing: a fresh connection shows QR codes again.
    fn fail(&mut self, cx: &mut Context<'_>, why: &str) {
        self.stage = Stage::Idle;
        self.answer(cx, Err(PasskeyError::Failed(why.to_owned())));
        cx.close(CloseReason::PasskeyFailed(why.to_owned()));
    }

    fn answer(&mut self, cx: &mut Context<'_>, result: Result<(), PasskeyError>) {
        if let Some((ticket, step)) = self.unanswered.take() {
            tell(cx, ticket, step, result);
        }
    }
}

fn tell(cx: &mut Context<'_>, ticket: u64, step: PasskeyStep, result: Result<(), PasskeyError>) {
    cx.emit(Event::PasskeyStep { ticket, step, result });
}

/// The options in a request or in the answer to our question for them.
fn options(stanza: &Node) -> Option<Options> {
    Options::parse(&stanza.child(OPTIONS)?.bytes()?)
}

fn prologue(assertion: &Assertion, payload: Vec<u8>, proof: Option<&[u8; 32]>) -> Node {
    let mut prologue = Node::new("passkey_prologue")
        .with_child(Node::new("credential_id").with_bytes(assertion.credential_id.clone()))
        .with_child(Node::new("webauthn_assertion").with_bytes(assertion.to_json()))
        .with_child(Node::new("prologue_payload").with_bytes(payload));
    if let Some(proof) = proof {
        prologue.push_child(Node::new("pairing_handoff_proof").with_slice(proof));
    }
    iq("set", "md").with_child(prologue)
}

/// While a device is linked there are two parts, this and [`super::link_code`].
pub(super) const PASSKEY: PartId = PartId::new(1);
const OPTIONS: &str = "passkey_request_options";
/// Longest reference that is taken.
const MAX_REFERENCE_BYTES: usize = 1_024;
/// How long a proof is good.
const HANDOFF_LIFETIME: std::time::Duration = std::time::Duration::from_secs(300);
