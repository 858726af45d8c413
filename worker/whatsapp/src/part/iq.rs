//! The questions we have open with the server: ids, deadlines, and the bound on them.

use std::collections::BTreeMap;

use rand::{Rng, rngs::StdRng};

use super::tickets::{Answer, Ticket};
use crate::{binary::Node, event::QueryError, time::Timestamp};

/// The open questions of one connection.
pub(crate) struct IqTable {
    prefix: String,
    next: u64,
    limit: usize,
    open: BTreeMap<u64, (Ticket, Timestamp)>,
    refused: Vec<Ticket>,
}

impl IqTable {
    /// An empty table whose ids no other connection uses.
    pub(crate) fn new(limit: usize, rng: &mut StdRng) -> Self {
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

    /// Enters a question and returns its id; `None` when the table is full, in which case `ticket` waits in
    /// [`Self::take_refused`].
    pub(crate) fn open(&mut self, ticket: Ticket, deadline: Timestamp) -> Option<String> {
        if self.open.len() >= self.limit {
            self.refused.push(ticket);
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, (ticket, deadline));
        Some(format!("{}{number}", self.prefix))
    }

    /// Takes out the question that a reply with this id answers.
    pub(crate) fn close(&mut self, id: &str) -> Option<Ticket> {
        let number = id.strip_prefix(&self.prefix)?.parse().ok()?;
        self.open.remove(&number).map(|(ticket, _)| ticket)
    }

    /// Takes out a question whose time is up.
    pub(crate) fn take_expired(&mut self, now: Timestamp) -> Option<Ticket> {
        let number = *self.open.iter().find(|(_, (_, deadline))| *deadline <= now)?.0;
        self.open.remove(&number).map(|(ticket, _)| ticket)
    }

    /// Takes out a question that never left because the table was full.
    pub(crate) fn take_refused(&mut self) -> Option<Ticket> {
        self.refused.pop()
    }

    /// When the next question expires.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.open.values().map(|(_, deadline)| *deadline).min()
    }
}

/// Sorts a reply into answer and refusal (docs/PROTOCOL.md, "Queries"): an `error` child is a refusal whatever `type`
/// says.
pub(crate) fn outcome(reply: Node) -> Answer {
    match reply.child("error") {
        Some(error) => Err(QueryError::Refused {
            code: error.attr_number("code").unwrap_or(500),
        }),
        None if reply.attr_is("type", "error") => Err(QueryError::Refused { code: 500 }),
        None => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;

    use super::super::tickets::{PartId, Tickets};
    use super::*;

    fn table(limit: usize) -> IqTable {
        IqTable::new(limit, &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn each_question_is_answered_once() {
        let (mut table, soon) = (table(10), Timestamp::from_secs(1));
        let mut asked = Tickets::new(PartId::new(0));
        let first = table.open(asked.open("first"), soon).unwrap();
        let second = table.open(asked.open("second"), soon).unwrap();
        assert_ne!(first, second);
        let mut close = |id: &str| table.close(id).and_then(|ticket| asked.close(&ticket));
        assert_eq!(close(&second), Some("second"));
        assert_eq!(close(&second), None);
        assert_eq!((close("1"), close("x-1")), (None, None));
        assert_eq!(close(&first), Some("first"));
        assert_eq!(table.deadline(), None);
    }

    #[test]
    fn questions_over_the_limit_are_handed_back() {
        let (mut table, soon) = (table(1), Timestamp::from_secs(1));
        let mut asked = Tickets::new(PartId::new(0));
        assert!(table.open(asked.open("first"), soon).is_some());
        assert!(table.open(asked.open("second"), soon).is_none());
        let refused = table.take_refused().and_then(|ticket| asked.close(&ticket));
        assert_eq!(refused, Some("second"));
        assert!(table.take_refused().is_none());
    }

    #[test]
    fn questions_expire_at_their_own_times() {
        let (mut table, now) = (table(10), Timestamp::from_secs(100));
        let mut asked = Tickets::new(PartId::new(0));
        table.open(asked.open("long"), now + Duration::from_secs(75));
        table.open(asked.open("short"), now + Duration::from_secs(3));
        assert_eq!(table.deadline(), Some(now + Duration::from_secs(3)));
        assert!(table.take_expired(now + Duration::from_millis(2_999)).is_none());
        let expired = table.take_expired(now + Duration::from_secs(3));
        assert_eq!(expired.and_then(|ticket| asked.close(&ticket)), Some("short"));
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
