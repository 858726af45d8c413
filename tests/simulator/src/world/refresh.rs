//! QR codes that the server retires: it asks for a new secret, and the phone that saw the old one links nothing.
//!
//! Facts: docs/PROTOCOL.md, "By QR code".

use whatsapp::binary::Node;
use whatsapp::jid::Jid;

use super::port::ConnId;
use super::stanza::notification;
use super::{Conn, World};
use crate::refusal::Refusal;

/// Most secrets of one connection that are remembered as retired; beyond, the oldest go.
const MAX_RETIRED: usize = 64;

impl World {
    /// Retires the code that a companion shows, and asks it for a new one, with a notification that has this child.
    pub(super) fn refresh(&mut self, qr: &str, child: &str) -> Result<(), Refusal> {
        let (conn, secret) = self.showing(qr)?;
        self.retire(conn, secret, child);
        Ok(())
    }

    pub(super) fn retire(&mut self, conn: ConnId, secret: [u8; 32], child: &str) {
        let id = self.next_id();
        let Some(pairing) = self.conns.get_mut(&conn).and_then(Conn::pairing_mut) else {
            return;
        };
        // A client that does not know the child goes on with the code that it shows.
        if REFRESH_CHILDREN.contains(&child) {
            if pairing.retired.len() == MAX_RETIRED {
                pairing.retired.remove(0);
            }
            pairing.retired.push(secret);
        }
        let refresh = notification(&Jid::SERVER, "companion_reg_refresh")
            .attr("id", id)
            .attr("t", self.clock.unix_seconds())
            .with_child(Node::new(child));
        self.write(conn, &refresh);
    }
}

/// Either of these children says to show a code with a new secret.
const REFRESH_CHILDREN: [&str; 2] = ["companion_reg_refresh", "pair-device-rotate-qr"];
