//! Linking a device to an account that must prove itself with a passkey: the server between companion and phone, and the
//! phone.
//!
//! Facts: docs/PROTOCOL.md, "With a passkey".

use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use whatsapp::binary::Node;
use whatsapp::device::AdvSecret;
use whatsapp::jid::Jid;
use whatsapp::proto::PrimaryEphemeralIdentity;
use whatsapp::server::passkey::{Primary, Prologue};

use super::guarded::{Exchange, Guarded};
use super::pairing::Pairing;
use super::port::ConnId;
use super::stanza::{error, iq_from_server, notification};
use super::{Conn, World};
use crate::number::Number;
use crate::passkey::authenticator::{Ask, Authenticator};
use crate::passkey::{OptionsAre, ProofIs, Report, Rules, Step};
use crate::refusal::Refusal;

/// Why the server refuses a step.
type Refused = &'static str;

impl World {
    /// From now on linking with the phone needs a passkey, or needs none any more.
    pub(super) fn guard(&mut self, number: Number, rules: Option<Rules>) -> Result<(), Refusal> {
        let part = |half| self.seed.number_of("passkey id", (number.get() << 1) + half);
        let credential_id = [part(0), part(1)].map(u64::to_be_bytes).concat();
        let account = self
            .accounts
            .get_mut(&number)
            .ok_or_else(|| Refusal::unknown("number"))?;
        let Some(rules) = rules else {
            account.guarded = None;
            return Ok(());
        };
        rules.check()?;
        match &mut account.guarded {
            Some(guarded) => (guarded.rules, guarded.report) = (rules, Report::default()),
            none => {
                *none = Some(Box::new(Guarded {
                    rules,
                    authenticator: Authenticator::new(credential_id)?,
                    report: Report::default(),
                }));
            }
        }
        Ok(())
    }

    /// Signs with the phone's passkey, as a browser next to it would.
    pub(super) fn sign(&mut self, number: Number, ask: &Ask) -> Result<Value, Refusal> {
        self.guarded(number)?.authenticator.sign(ask)
    }

    /// What server and phone saw of the last exchange.
    pub(super) fn passkey_report(&mut self, number: Number) -> Result<Report, Refusal> {
        self.guarded(number).map(|guarded| guarded.report.clone())
    }

    fn guarded(&mut self, number: Number) -> Result<&mut Guarded, Refusal> {
        let account = self.accounts.get_mut(&number);
        let guarded = account.and_then(|account| account.guarded.as_deref_mut());
        guarded.ok_or_else(|| Refusal::unknown("number"))
    }

    /// The rules of a phone whose account must prove itself.
    pub(super) fn rules_of(&self, number: Number) -> Option<&Rules> {
        let guarded = self.accounts.get(&number)?.guarded.as_ref()?;
        Some(&guarded.rules)
    }

    /// Asks the companion on this connection for a passkey, if the phone's account must prove itself.
    pub(super) fn ask_for_passkey(
        &mut self,
        conn: ConnId,
        number: Number,
        scanned: Option<&[u8; 32]>,
    ) -> bool {
        let Some(rules) = self.rules_of(number).cloned() else {
            return false;
        };
        self.last_id += 1;
        let mut rng = StdRng::seed_from_u64(self.seed.number_of("passkey exchange", self.last_id));
        let mut challenge = [0; 32];
        rng.fill_bytes(&mut challenge);
        let exchange = Exchange {
            number,
            scanned: scanned.map(|secret| AdvSecret::new(*secret)),
            challenge,
            primary: Primary::start(&mut rng),
            reference: format!("3@{:016x}", rng.next_u64()),
            payload: None,
            met: None,
            rules,
        };
        if let Ok(guarded) = self.guarded(number) {
            guarded.report = Report::default();
        }
        if exchange.rules.stray_continuation {
            self.continue_passkey(conn, &exchange);
        }
        let request = self.passkey_notification(&exchange.rules, "passkey_prologue_request");
        let request = match exchange.rules.options {
            OptionsAre::Inline => request.with_child(exchange.options()),
            OptionsAre::Fetched | OptionsAre::Missing => request,
        };
        if let Some(pairing) = self.conns.get_mut(&conn).and_then(Conn::pairing_mut) {
            pairing.passkey = Some(Box::new(exchange));
        }
        self.write(conn, &request);
        true
    }

    fn passkey_notification(&mut self, rules: &Rules, kind: &'static str) -> Node {
        let from = rules.from.as_deref().and_then(|from| from.parse().ok());
        notification(&from.unwrap_or(Jid::SERVER), kind)
            .attr("id", self.next_id())
            .attr("t", self.clock.unix_seconds())
    }

    /// The phone's half, as it is relayed.
    fn continue_passkey(&mut self, conn: ConnId, exchange: &Exchange) {
        let mut identity =
            PrimaryEphemeralIdentity::decode(&exchange.primary.identity()[..]).unwrap_or_default();
        let mut nonce = identity.nonce.unwrap_or_default().to_vec();
        nonce.resize(exchange.rules.nonce_bytes, 0);
        if let (true, Some(first)) = (exchange.rules.wrong_code, nonce.first_mut()) {
            *first ^= 0xff;
        }
        identity.nonce = Some(nonce.into());
        let half = Node::new("primary_ephemeral_identity").with_bytes(identity.encode_to_vec());
        let continuation = self
            .passkey_notification(&exchange.rules, "crsc_continuation")
            .with_child(half);
        self.write(conn, &continuation);
    }

    /// A question of the companion that belongs to an exchange; false if it is another.
    pub(super) fn on_passkey_iq(&mut self, conn: ConnId, iq: &Node) -> bool {
        let Some((step, child)) = step_of(iq) else {
            return false;
        };
        let Some(id) = iq.attr_str("id") else { return true };
        let pairing = self.conns.get_mut(&conn).and_then(Conn::pairing_mut);
        let Some(mut exchange) = pairing.and_then(|pairing| pairing.passkey.take()) else {
            self.write(conn, &error(&id, 404, "item-not-found"));
            return true;
        };
        let done = match exchange.rules.refuse {
            Some(refused) if refused == step => Err("the rules say so"),
            _ => self.take_step(conn, &mut exchange, step, child),
        };
        let number = exchange.number;
        let is_refused_by_rule = exchange.rules.refuse == Some(step);
        if let Ok(guarded) = self.guarded(number) {
            match &done {
                Ok(_) => guarded.report.step = Some(step),
                Err(problem) => guarded.report.problem = Some((*problem).to_owned()),
            }
        }
        match done {
            Ok(answer) => {
                let result = iq_from_server("result", &id);
                self.write(conn, &answer.into_iter().fold(result, Node::with_child));
                self.follow_up(conn, exchange, step, child);
            }
            Err(_) => {
                self.audit.count.violations += u64::from(!is_refused_by_rule);
                self.write(conn, &error(&id, 400, "bad-request"));
            }
        }
        true
    }

    fn take_step(
        &mut self,
        conn: ConnId,
        exchange: &mut Exchange,
        step: Step,
        child: &Node,
    ) -> Result<Option<Node>, Refused> {
        match step {
            Step::Options => Ok((exchange.rules.options == OptionsAre::Fetched).then(|| exchange.options())),
            Step::Reference => Ok(Some(Node::new("ref").with_slice(exchange.reference.as_bytes()))),
            Step::Prologue => self.take_prologue(conn, exchange, child).map(|()| None),
            Step::Nonce => self.take_nonce(exchange, child).map(|()| None),
            Step::Request => Ok(None),
        }
    }

    fn take_prologue(
        &mut self,
        conn: ConnId,
        exchange: &mut Exchange,
        prologue: &Node,
    ) -> Result<(), Refused> {
        let part = |name| prologue.child(name).and_then(Node::bytes);
        let (Some(credential), Some(assertion), Some(payload)) = (
            part("credential_id"),
            part("webauthn_assertion"),
            part("prologue_payload"),
        ) else {
            return Err("a part of the prologue is missing");
        };
        let platform = self.conns.get(&conn).and_then(Conn::pairing);
        let platform = platform.map(|pairing| pairing.platform);
        let said = Prologue::parse(&payload).map_err(|_| "the payload can't be read")?;
        if said.reference != exchange.reference {
            return Err("another reference");
        }
        if Some(said.platform as i32) != platform {
            return Err("another platform than was registered");
        }
        let proof = part("pairing_handoff_proof").map(|proof| exchange.is_proof(&payload, &proof));
        let guarded = self.guarded(exchange.number).map_err(|_| "the phone is gone")?;
        guarded.report.proof = proof;
        match (exchange.rules.proof, proof) {
            (ProofIs::Required, None) if exchange.scanned.is_some() => return Err("there is no proof"),
            (ProofIs::Required | ProofIs::Verified, Some(false)) => return Err("the proof is wrong"),
            _ => {}
        }
        guarded
            .authenticator
            .judge(&credential, &assertion, &exchange.challenge)?;
        exchange.payload = Some(payload);
        Ok(())
    }

    fn take_nonce(&mut self, exchange: &mut Exchange, nonce: &Node) -> Result<(), Refused> {
        let payload = exchange.payload.as_ref().ok_or("there was no prologue")?;
        let nonce = nonce.bytes().unwrap_or_default();
        let met = exchange
            .primary
            .meet(payload, &nonce)
            .map_err(|_| "the nonce is not the committed one")?;
        let code = met.code().as_str();
        let (left, right) = code.split_at(code.len() / 2);
        let shown = format!("{left}-{right}");
        if let Ok(guarded) = self.guarded(exchange.number) {
            guarded.report.code = Some(shown);
        }
        exchange.met = Some(met);
        Ok(())
    }

    /// What comes behind the answer to a step.
    fn follow_up(&mut self, conn: ConnId, exchange: Box<Exchange>, step: Step, child: &Node) {
        match step {
            Step::Prologue => self.continue_passkey(conn, &exchange),
            Step::Request => return self.link_by_passkey(conn, &exchange, child),
            Step::Options | Step::Reference | Step::Nonce => {}
        }
        if let Some(pairing) = self.conns.get_mut(&conn).and_then(Conn::pairing_mut) {
            pairing.passkey = Some(exchange);
        }
    }

    /// The phone opens the companion's request, and links it under the new secret.
    fn link_by_passkey(&mut self, conn: ConnId, exchange: &Exchange, request: &Node) {
        let request = request.bytes().unwrap_or_default();
        let opened = exchange
            .met
            .as_ref()
            .and_then(|met| met.open_request(&request).ok());
        let pairing = self.conns.get(&conn).and_then(Conn::pairing);
        let is_same = |pairing: &Pairing, keys: [_; 2]| keys == [pairing.noise_key, pairing.identity];
        let good = opened
            .filter(|keys| pairing.is_some_and(|pairing| is_same(pairing, [keys.noise, keys.identity])));
        let linked = match good {
            Some(keys) => self.offer(conn, exchange.number, keys.secret.as_bytes()).is_ok(),
            None => {
                self.audit.count.violations += 1;
                false
            }
        };
        if let Ok(guarded) = self.guarded(exchange.number) {
            guarded.report.linked = linked;
            if !linked {
                guarded.report.problem = Some("the request is not the companion's".to_owned());
            }
        }
    }
}

fn step_of(iq: &Node) -> Option<(Step, &Node)> {
    let steps = [
        ("get", "passkey_request_options", Step::Options),
        ("get", "ref", Step::Reference),
        ("set", "passkey_prologue", Step::Prologue),
        ("set", "companion_nonce", Step::Nonce),
        ("set", "encrypted_pairing_request", Step::Request),
    ];
    steps
        .into_iter()
        .filter(|(kind, ..)| iq.attr_is("type", kind))
        .find_map(|(_, child, step)| Some((step, iq.child(child)?)))
}
