//! Linking by a code that is typed into the phone: the server between companion and phone.
//!
//! The phone's half of the cryptography is in [`crate::handle::Handle::link_code`], off the world's task.
//!
//! Facts: docs/PROTOCOL.md, "Pairing".

use tokio::sync::oneshot;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;

use super::command::{Answer, LinkHello, LinkOutcome, Scanned};
use super::pairing::Link;
use super::port::ConnId;
use super::stanza::iq_from_server;
use super::{Conn, World};
use crate::number::{DeviceAddr, Number};
use crate::passkey::Typed;
use crate::persona::Persona;
use crate::refusal::Refusal;

impl World {
    pub(super) fn on_link_code(&mut self, conn: ConnId, iq: &Node, link: &Node) {
        let Some(id) = iq.attr_str("id") else { return };
        let done = match link.attr_str("stage").as_deref() {
            Some("companion_hello") => self.companion_hello(conn, link),
            Some("companion_finish") => self.companion_finish(conn, link),
            _ => Err(400),
        };
        let reply = match done {
            Ok(Some(reply)) => iq_from_server("result", &id).with_child(reply),
            Ok(None) => iq_from_server("result", &id),
            Err(code) => iq_from_server("error", &id)
                .with_child(Node::new("error").attr("code", code).attr("text", "bad-request")),
        };
        self.write(conn, &reply);
        self.answer_hello();
        self.answer_finish(conn, link);
    }

    fn companion_hello(&mut self, conn: ConnId, link: &Node) -> Result<Option<Node>, u16> {
        let number = link
            .attr_jid("jid")
            .and_then(|jid| self.seed.resolve(&jid))
            .ok_or(400u16)?
            .0
            .number;
        let wrapped = link
            .child("link_code_pairing_wrapped_companion_ephemeral_pub")
            .and_then(Node::bytes);
        let wrapped = wrapped.filter(|wrapped| wrapped.len() == 80).ok_or(400u16)?;
        let noise = link
            .child("companion_server_auth_key_pub")
            .and_then(|node| node.require_array::<32>().ok());
        let display = link
            .child("companion_platform_display")
            .and_then(Node::text)
            .unwrap_or_default()
            .into_owned();
        if !display.ends_with(')') || !display.contains(" (") {
            return Err(400);
        }
        let reference = format!("1@{:016x}", self.seed.number_of("link ref", conn));
        let pairing = self
            .conns
            .get_mut(&conn)
            .and_then(Conn::pairing_mut)
            .ok_or(400u16)?;
        if noise != Some(*pairing.noise_key.as_bytes()) {
            return Err(400);
        }
        pairing.link = Some(Link {
            number,
            reference: reference.clone(),
            wrapped,
            waiting: None,
        });
        let reference = Node::new("link_code_pairing_ref").with_slice(reference.as_bytes());
        Ok(Some(
            Node::new("link_code_companion_reg")
                .attr("stage", "companion_hello")
                .with_child(reference),
        ))
    }

    /// A code is typed into a phone: answers what the companion said that asked for one, as soon as there is one. Some
    /// clients show their code before the server knows of it.
    pub(super) fn await_hello(&mut self, number: Number, answer: Answer<LinkHello>) {
        self.awaiting_hello.retain(|(_, waiting)| !waiting.is_closed());
        self.awaiting_hello.push((number, answer));
        self.answer_hello();
    }

    fn answer_hello(&mut self) {
        for (number, answer) in std::mem::take(&mut self.awaiting_hello) {
            match self.link_hello(number) {
                Some(hello) => drop(answer.send(Ok(hello))),
                None => self.awaiting_hello.push((number, answer)),
            }
        }
    }

    /// What the newest companion said that asked for a code for this phone.
    fn link_hello(&self, number: Number) -> Option<LinkHello> {
        let newest = self
            .conns
            .iter()
            .filter_map(|(conn, open)| Some((*conn, open.pairing()?.link.as_ref()?)))
            .filter(|(_, link)| link.number == number)
            .max_by_key(|(conn, _)| *conn);
        let (conn, link) = newest?;
        Some(LinkHello {
            conn,
            wrapped: link.wrapped.clone(),
        })
    }

    /// Sends the phone's half of a link code.
    pub(super) fn primary_hello(
        &mut self,
        conn: ConnId,
        wrapped: &[u8],
        answer: oneshot::Sender<LinkOutcome>,
    ) -> Option<()> {
        let id = self.next_id();
        let number = self.conns.get(&conn)?.pairing()?.link.as_ref()?.number;
        let is_keyless = self
            .rules_of(number)
            .is_some_and(|rules| rules.typed == Typed::Keyless);
        let pairing = self.conns.get_mut(&conn).and_then(Conn::pairing_mut)?;
        let link = pairing.link.as_mut()?;
        let mut answer = Some(answer);
        if !is_keyless {
            link.waiting = answer.take();
        }
        let identity = Persona::new(&self.seed, DeviceAddr::phone(link.number)).identity();
        let hello = Node::new("link_code_companion_reg").attr("stage", "primary_hello");
        let hello = if is_keyless {
            hello
        } else {
            hello.with_child(Node::new("link_code_pairing_wrapped_primary_ephemeral_pub").with_slice(wrapped))
        };
        let hello = hello
            .with_child(Node::new("primary_identity_pub").with_slice(identity.public().as_bytes()))
            .with_child(Node::new("link_code_pairing_ref").with_slice(link.reference.as_bytes()));
        let stanza = Node::new("notification")
            .attr("from", Jid::SERVER)
            .attr("type", "link_code_companion_reg")
            .attr("id", id)
            .attr("t", self.clock.unix_seconds())
            .with_child(hello);
        self.write(conn, &stanza);
        if let Some(answer) = answer {
            self.ask_for_passkey(conn, number, None);
            // Whoever asked may have gone.
            drop(answer.send(LinkOutcome::Passkey));
        }
        Some(())
    }

    fn companion_finish(&mut self, conn: ConnId, link: &Node) -> Result<Option<Node>, u16> {
        let pairing = self.conns.get(&conn).and_then(Conn::pairing).ok_or(400u16)?;
        let own = pairing
            .link
            .as_ref()
            .filter(|link| link.waiting.is_some())
            .ok_or(400u16)?;
        let reference = link.child("link_code_pairing_ref").and_then(Node::text);
        let identity = link
            .child("companion_identity_public")
            .and_then(|node| node.require_array::<32>().ok());
        let matches = reference.as_deref() == Some(own.reference.as_str())
            && identity == Some(*pairing.identity.as_bytes())
            && link.child("link_code_pairing_wrapped_key_bundle").is_some();
        if matches { Ok(None) } else { Err(400) }
    }

    /// Tells whoever typed the code what the companion answered.
    fn answer_finish(&mut self, conn: ConnId, link: &Node) {
        if !link.attr_is("stage", "companion_finish") {
            return;
        }
        let Some(pairing) = self.conns.get_mut(&conn).and_then(Conn::pairing_mut) else {
            return;
        };
        let Some(waiting) = pairing.link.as_mut().and_then(|link| link.waiting.take()) else {
            return;
        };
        let bundle = link
            .child("link_code_pairing_wrapped_key_bundle")
            .and_then(Node::bytes)
            .unwrap_or_default();
        // Whoever asked may have gone.
        drop(waiting.send(LinkOutcome::Finished {
            bundle,
            companion: pairing.identity,
        }));
    }

    /// The phone has the secret: goes on as after a scan.
    pub(super) fn link_with(&mut self, conn: ConnId, secret: &[u8; 32]) -> Result<Scanned, Refusal> {
        let pairing = self.conns.get(&conn).and_then(Conn::pairing);
        let link = pairing.and_then(|pairing| pairing.link.as_ref());
        let number = link
            .ok_or_else(|| Refusal::conflict("code", "the companion is gone"))?
            .number;
        if self.ask_for_passkey(conn, number, None) {
            return Ok(Scanned::Asked { asked: "passkey" });
        }
        self.offer(conn, number, secret).map(Scanned::Linked)
    }
}
