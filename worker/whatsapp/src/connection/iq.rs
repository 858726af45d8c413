//! The questions we have open with the server: ids, deadlines, and the bound on them.

use std::collections::BTreeMap;

use rand::{Rng, rngs::StdRng};

use crate::{binary::Node, event::QueryError, messaging, time::Timestamp};

/// What an IQ was for; comes back with its outcome.
#[derive(Debug)]
pub enum Op {
    /// Keep-alive.
    Ping,
    /// Ask for the stanzas that waited; the session is open when it is answered.
    Active,
    /// Say that dirty bits were seen; the answer changes nothing.
    Clean,
    /// Unlink this device.
    Logout,
    /// Ask for a pairing by code.
    CompanionHello {
        /// The how manieth code of this connection.
        round: u32,
    },
    /// Hand the key bundle to the phone.
    CompanionFinish,
    /// One of messaging's.
    Messaging(messaging::Op),
}

impl From<messaging::Op> for Op {
    fn from(op: messaging::Op) -> Self {
        Self::Messaging(op)
    }
}

/// The open questions of one connection.
#[derive(Debug)]
pub(super) struct IqTable {
    prefix: String,
    next: u64,
    limit: usize,
    open: BTreeMap<u64, (Op, Timestamp)>,
    refused: Vec<Op>,
}

impl IqTable {
    /// An empty table whose ids no other connection uses.
    pub(super) fn new(limit: usize, rng: &mut StdRng) -> Self {
        // Digits, dots and hyphens only: such ids take half a byte per character on the wire.
        let random = rng.next_u32();
        let prefix = format!("{}.{}-", random >> 16, random & 0xffff);
        Self {
            prefix,
            next: 1,
            limit,
            open: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    /// Enters a question and returns its id; `None` when the table is full, in which case `op` waits in
    /// [`Self::take_refused`].
    pub(super) fn open(&mut self, op: Op, deadline: Timestamp) -> Option<String> {
        if self.open.len() >= self.limit {
            self.refused.push(op);
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, (op, deadline));
        Some(format!("{}{number}", self.prefix))
    }

    /// Takes out the question that a reply with this id answers.
    pub(super) fn close(&mut self, id: &str) -> Option<Op> {
        let number = id.strip_prefix(&self.prefix)?.parse().ok()?;
        self.open.remove(&number).map(|(op, _)| op)
    }

    /// Takes out a question whose time is up.
    pub(super) fn take_expired(&mut self, now: Timestamp) -> Option<Op> {
        let number = *self.open.iter().find(|(_, (_, deadline))| *deadline <= now)?.0;
        self.open.remove(&number).map(|(op, _)| op)
    }

    /// Takes out a question that never left because the table was full.
    pub(super) fn take_refused(&mut self) -> Option<Op> {
        self.refused.pop()
    }

    /// When the next question expires.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.open.values().map(|(_, deadline)| *deadline).min()
    }
}

/// Sorts a reply into answer and refusal (protocol part 3, section 1.2): an `error` child is a refusal whatever `type`
/// says.
pub(super) fn outcome(reply: Node) -> Result<Node, QueryError> {
    match reply.child("error") {
        Some(error) => Err(QueryError::Refused {
            code: error
                .attr_u64("code")
                .and_then(|c| u16::try_from(c).ok())
                .unwrap_or(500),
        }),
        None if reply.attr_str("type").as_deref() == Some("error") => Err(QueryError::Refused { code: 500 }),
        None => Ok(reply),
    }
}
