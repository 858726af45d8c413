//! Tokens of trusted contacts: who gave whom one, and whether a message shows one where it has to.
//!
//! Facts: docs/PROTOCOL.md, "Tokens".

use bytes::Bytes;
use whatsapp::binary::Node;
use whatsapp::stanza::token::ContactProof;

use super::World;
use super::port::ConnId;
use super::properties::{ISSUED_SECS, RECEIVED_COUNT, RECEIVED_SECS};
use super::stanza::{error, iq_from_server};
use super::trust::{MAX_TOKENS, Proofs, SaltChange};
use crate::number::{Addressing, DeviceAddr, Number};

/// Most tokens in one request.
const MAX_TOKENS_PER_REQUEST: usize = 1_024;
/// The bucket of a user without an account of ours, in seconds.
const BUCKET_SECS: u64 = 604_800;

/// Where a message shows what.
struct Shown {
    trusted: Option<Bytes>,
    salted: Option<Bytes>,
}

impl Shown {
    fn of(message: &Node) -> Self {
        let bytes = |tag: &str| message.child(tag).map(|node| node.bytes().unwrap_or_default());
        Self {
            trusted: bytes("tctoken"),
            salted: bytes("cstoken"),
        }
    }

    const fn is_empty(&self) -> bool {
        self.trusted.is_none() && self.salted.is_none()
    }
}

impl World {
    /// A device has tokens of its account issued. The answer holds none of them, as the server's.
    pub(super) fn on_issue(&mut self, conn: ConnId, from: DeviceAddr, id: &str, iq: &Node) {
        let tokens = iq.child("tokens").map(Node::nodes).unwrap_or_default();
        self.audit.count.token_requests += 1;
        let mut issued = Vec::new();
        for token in tokens {
            let to = token.attr_jid("jid").and_then(|jid| self.seed.resolve(&jid));
            let t = token.attr_u64("t").filter(|t| *t > 0);
            let is_ours = token.is("token") && token.attr_is("type", "trusted_contact");
            match (to, t) {
                (Some((to, form)), Some(t)) if is_ours && to.device == 0 && to.number != from.number => {
                    issued.push((to.number, form, t));
                }
                _ => self.audit.count.violations += 1,
            }
        }
        if issued.is_empty() || tokens.len() > MAX_TOKENS_PER_REQUEST {
            return self.write(conn, &error(id, 400, "bad-request"));
        }
        self.write(conn, &iq_from_server("result", id));
        for (to, form, t) in issued {
            self.audit.count.tokens_issued += 1;
            self.note_asked(from, to, t);
            self.give_token(from.number, to, form, t);
        }
    }

    /// Counts what no client should ask for: another token for the same contact in the same bucket. The one of before,
    /// with its own time, may be asked for again.
    fn note_asked(&mut self, from: DeviceAddr, to: Number, t: u64) {
        let bucket = self.bucket_secs(from.number);
        let known = self.tokens.asked.len() < MAX_TOKENS || self.tokens.asked.contains_key(&(from, to));
        if !known {
            return;
        }
        let before = self.tokens.asked.insert((from, to), t);
        if before.is_some_and(|before| before != t && before / bucket == t / bucket) {
            self.audit.count.tokens_issued_again += 1;
        }
    }

    /// A phone or contact that nobody has linked gives whom it writes to its token, once per bucket, as real phones do.
    pub(super) fn give_token_of(&mut self, from: Number, to: Number, form: Addressing) {
        if from == to || !self.accounts.contains_key(&to) && !self.accounts.contains_key(&from) {
            return;
        }
        let (now, bucket) = (self.clock.unix_seconds(), self.bucket_secs(from));
        let before = self.tokens.given.get(&(from, to));
        if before.is_none_or(|before| before / bucket < now / bucket) {
            self.give_token(from, to, form, now);
        }
    }

    /// Makes the token and tells all devices of who gets it.
    fn give_token(&mut self, from: Number, to: Number, form: Addressing, t: u64) {
        if !self.exists(to) || self.tokens.given.len() >= MAX_TOKENS {
            return;
        }
        self.tokens.given.insert((from, to), t);
        let devices: Vec<_> = self.linked_devices(to).collect();
        let giver = DeviceAddr::phone(from);
        for who in devices {
            let token = Node::new("token")
                .attr("jid", self.seed.jid(who, form))
                .attr("type", "trusted_contact")
                .attr("t", t)
                .with_bytes(self.token(from, to, t));
            let lid = (form == Addressing::Pn).then(|| self.seed.jid(giver, Addressing::Lid));
            let head = Node::new("notification")
                .attr("from", self.seed.jid(giver, form))
                .attr("type", "privacy_token")
                .attr_opt("sender_lid", lid);
            self.notify(who, head, Node::new("tokens").with_child(token));
        }
    }

    /// The token that `from` gave to `to` before `to` was linked, as its phone has it, and when that was.
    pub(super) fn token_in_history(&mut self, from: Number, to: Number) -> (Bytes, u64) {
        let now = self.clock.unix_seconds();
        let t = *self.tokens.given.entry((from, to)).or_insert(now);
        (self.token(from, to, t), t)
    }

    /// The token that `from` gave to `to` at this time.
    fn token(&self, from: Number, to: Number, t: u64) -> Bytes {
        let purpose = format!("token {to} {t}");
        let all = self.seed.bytes(&purpose, DeviceAddr::phone(from), 0);
        Bytes::copy_from_slice(&all[..TOKEN_BYTES])
    }

    /// The salt of an account, if it has one.
    pub(super) fn token_salt(&self, number: Number) -> Option<[u8; 32]> {
        let turn = self.accounts.get(&number)?.salt?;
        Some(self.seed.bytes("token salt", DeviceAddr::phone(number), turn))
    }

    /// Another salt for an account, or none.
    pub(super) fn change_salt(&mut self, number: Number, change: SaltChange) {
        if let Some(account) = self.accounts.get_mut(&number) {
            account.salt = match change {
                SaltChange::Rotate => Some(account.salt.map_or(0, |turn| turn + 1)),
                SaltChange::Remove => None,
            };
        }
        self.tell_salt(number);
    }

    /// Looks at what a message shows; the code of the error, if it is refused.
    pub(super) fn refusal_for_proof(
        &mut self,
        from: DeviceAddr,
        to: DeviceAddr,
        message: &Node,
    ) -> Option<u16> {
        let shown = Shown::of(message);
        if message.attr_is("category", "peer") {
            self.audit.count.tokens_misplaced += u64::from(!shown.is_empty());
            return (!shown.is_empty()).then_some(BAD_TOKEN);
        }
        // What is sent again, and what goes to our own devices, shows none.
        if message.child("participants").is_none() || to.number == from.number {
            self.audit.count.tokens_misplaced += u64::from(!shown.is_empty());
            return None;
        }
        let is_proved = self.is_proved(from.number, to.number, &shown);
        let is_wanted = match self.accounts.get(&from.number).map(|account| account.proofs) {
            Some(Proofs::Always) => true,
            Some(Proofs::New) => !self.tokens.given.contains_key(&(to.number, from.number)),
            Some(Proofs::Optional) | None => false,
        };
        if is_wanted && !is_proved {
            self.audit.count.messages_unproved += 1;
            return Some(NO_PROOF);
        }
        None
    }

    fn is_proved(&mut self, from: Number, to: Number, shown: &Shown) -> bool {
        let trusted = shown.trusted.as_ref().map(|bytes| self.is_token(from, to, bytes));
        let salted = shown.salted.as_ref().map(|bytes| self.is_salted(from, to, bytes));
        let count = &mut self.audit.count;
        count.tokens_shown += u64::from(trusted == Some(true));
        count.salted_tokens_shown += u64::from(salted == Some(true));
        count.tokens_wrong += u64::from(trusted == Some(false)) + u64::from(salted == Some(false));
        // One is enough; a client that has one shows no other.
        count.tokens_wrong += u64::from(trusted.is_some() && salted.is_some());
        trusted == Some(true) || salted == Some(true)
    }

    /// Whether a message shows the token that `to` gave to `from`.
    pub(super) fn shows_token(&self, from: Number, to: Number, message: &Node) -> bool {
        let shown = Shown::of(message).trusted;
        shown.is_some_and(|bytes| self.is_token(from, to, &bytes))
    }

    /// Whether `to` gave this token to `from` and it has not run out.
    fn is_token(&self, from: Number, to: Number, bytes: &[u8]) -> bool {
        let Some(&t) = self.tokens.given.get(&(to, from)) else {
            return false;
        };
        let number = |code, default| {
            let account = self.accounts.get(&from);
            let number = account.and_then(|account| account.properties.number(code));
            number.unwrap_or(default).max(1)
        };
        let bucket = number(RECEIVED_SECS, BUCKET_SECS);
        let first = (self.clock.unix_seconds() / bucket).saturating_sub(number(RECEIVED_COUNT, 4) - 1);
        t / bucket >= first && self.token(to, from, t) == bytes
    }

    fn is_salted(&self, from: Number, to: Number, bytes: &[u8]) -> bool {
        let Some(salt) = self.token_salt(from) else {
            return false;
        };
        let right = ContactProof::salted(&salt, &self.seed.lid(to).to_string());
        matches!(right, ContactProof::Salted(right) if right == bytes)
    }

    fn bucket_secs(&self, number: Number) -> u64 {
        let account = self.accounts.get(&number);
        let secs = account.and_then(|account| account.properties.number(ISSUED_SECS));
        secs.unwrap_or(BUCKET_SECS).max(1)
    }
}

/// How long a token is.
const TOKEN_BYTES: usize = 24;
/// The error for a token on a message between own devices.
const BAD_TOKEN: u16 = 479;
/// The error for a message to a new contact that proves nothing.
const NO_PROOF: u16 = 463;
