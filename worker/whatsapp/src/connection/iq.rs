//! The questions we have open with the server: ids, deadlines, and the bound on them.

use std::collections::BTreeMap;

use rand::{Rng, rngs::StdRng};

use crate::{binary::Node, event::QueryError, messaging, time::Timestamp};

/// What an IQ was for; comes back with its outcome.
#[derive(Debug)]
pub(crate) enum Op {
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

    /// Takes out every question that has no outcome yet, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<Op> {
        let open = std::mem::take(&mut self.open).into_values().map(|(op, _)| op);
        open.chain(std::mem::take(&mut self.refused)).collect()
    }

    /// When the next question expires.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.open.values().map(|(_, deadline)| *deadline).min()
    }
}

/// Sorts a reply into answer and refusal (docs/PROTOCOL.md, "Queries"): an `error` child is a refusal whatever `type`
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;

    use super::*;

    fn table(limit: usize) -> IqTable {
        IqTable::new(limit, &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn each_question_is_answered_once() {
        let (mut table, soon) = (table(10), Timestamp::from_secs(1));
        let (first, second) = (
            table.open(Op::Ping, soon).unwrap(),
            table.open(Op::Active, soon).unwrap(),
        );
        assert_ne!(first, second);
        assert!(matches!(table.close(&second), Some(Op::Active)));
        assert!(table.close(&second).is_none());
        assert!(table.close("1").is_none() && table.close("x-1").is_none());
        assert!(matches!(table.close(&first), Some(Op::Ping)));
        assert_eq!(table.deadline(), None);
    }

    #[test]
    fn questions_over_the_limit_are_handed_back() {
        let (mut table, soon) = (table(1), Timestamp::from_secs(1));
        assert!(table.open(Op::Ping, soon).is_some());
        assert!(table.open(Op::Active, soon).is_none());
        assert!(matches!(table.take_refused(), Some(Op::Active)));
        assert!(table.take_refused().is_none());
    }

    #[test]
    fn questions_expire_at_their_own_times() {
        let (mut table, now) = (table(10), Timestamp::from_secs(100));
        table.open(Op::Active, now + Duration::from_secs(75));
        table.open(Op::Logout, now + Duration::from_secs(3));
        assert_eq!(table.deadline(), Some(now + Duration::from_secs(3)));
        assert!(table.take_expired(now + Duration::from_millis(2_999)).is_none());
        assert!(matches!(
            table.take_expired(now + Duration::from_secs(3)),
            Some(Op::Logout)
        ));
        assert_eq!(table.deadline(), Some(now + Duration::from_secs(75)));
    }

    #[test]
    fn an_error_child_is_a_refusal_whatever_the_type_says() {
        let error = |code: &str| Node::new("error").attr("code", code);
        let refused = |node| outcome(node).unwrap_err();
        let iq = |kind: &str| Node::new("iq").attr("type", kind);
        assert_eq!(
            refused(iq("result").with_child(error("406"))),
            QueryError::Refused { code: 406 }
        );
        assert_eq!(
            refused(iq("error").with_child(error("rubbish"))),
            QueryError::Refused { code: 500 }
        );
        assert_eq!(refused(iq("error")), QueryError::Refused { code: 500 });
        assert!(outcome(iq("result")).is_ok());
    }
}
