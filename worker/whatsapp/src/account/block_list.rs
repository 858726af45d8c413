//! Whom the account blocks.
//!
//! The list is asked for after login and whenever it changed elsewhere; a change of ours is applied when the server has
//! taken it. Entries are by hidden id, or by number where the server still has them so.
//!
//! Facts: docs/PROTOCOL.md, "Block list".

use std::sync::Arc;

use crate::binary::Node;
use crate::command::{BlockChange, Contact};
use crate::event::{Event, QueryError};
use crate::jid::Jid;
use crate::part::{Answer, Context, PartId, Ticket, Tickets};

/// Most entries that are kept; the server allows far fewer.
const MAX_BLOCKED: usize = 10_000;

/// The block list of one connection's account.
pub(crate) struct BlockList {
    /// Sorted. None where nobody is blocked, as with most accounts.
    blocked: Option<Arc<[Jid]>>,
    questions: Tickets<Question>,
    is_asked: bool,
}

enum Question {
    List,
    /// A change, under the owner's ticket.
    Change(u64, Box<(Jid, BlockChange)>),
}

impl BlockList {
    /// Nobody is known to be blocked; nothing is asked yet.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            blocked: None,
            questions: Tickets::new(part),
            is_asked: false,
        }
    }

    /// Who is blocked, sorted; none where that is nobody.
    pub(crate) fn blocked(&self) -> Option<Arc<[Jid]>> {
        self.blocked.clone()
    }

    /// What the server says of the session: all that waited has come.
    pub(crate) fn on_ib(&mut self, cx: &mut Context<'_>, ib: &Node) {
        if ib.child("offline").is_some() && !self.is_asked {
            self.ask(cx);
        }
    }

    /// The list changed on another device: by these entries, or in a way that only the whole list tells.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, stanza: &Node) {
        let Some(change) = stanza.child("blocklist") else {
            return;
        };
        let mut items = change.nodes_named("item").peekable();
        if items.peek().is_none() {
            return self.ask(cx);
        }
        for item in items {
            let action = item.attr_str("action");
            let change = action.as_deref().and_then(BlockChange::parse);
            if let (Some(jid), Some(change)) = (item.attr_jid("jid"), change) {
                self.apply(&jid, change);
            }
        }
    }

    /// Blocks or unblocks. Answered by `BlockListChanged`.
    pub(crate) fn change(
        &mut self,
        cx: &mut Context<'_>,
        ticket: u64,
        contact: Contact,
        change: BlockChange,
    ) {
        let Contact { lid, phone } = contact;
        let named = phone.filter(|_| change == BlockChange::Block);
        let item = Node::new("item")
            .attr("action", change.as_str())
            .attr("jid", &lid)
            .attr_opt("pn_jid", named);
        let question = Question::Change(ticket, Box::new((lid, change)));
        cx.ask(iq("set").with_child(item), self.questions.open(question));
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        match self.questions.close(ticket) {
            Some(Question::List) => match answer.ok().as_ref().and_then(|reply| reply.child("list")) {
                Some(list) => self.take(list),
                None => tracing::debug!("no block list came; what is known of it stays"),
            },
            Some(Question::Change(ticket, changed)) => {
                let (lid, change) = *changed;
                let result = answer.map(drop);
                if result.is_ok() {
                    self.apply(&lid, change);
                }
                cx.emit(Event::BlockListChanged { ticket, result });
            }
            None => {}
        }
    }

    /// The connection is over: what the owner waits for is answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for question in self.questions.close_all() {
            if let Question::Change(ticket, _) = question {
                let result = Err(QueryError::NotConnected);
                cx.emit(Event::BlockListChanged { ticket, result });
            }
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        self.is_asked = true;
        cx.ask(iq("get"), self.questions.open(Question::List));
    }

    fn take(&mut self, list: &Node) {
        let users = list.nodes_named("item").filter_map(|item| item.attr_jid("jid"));
        let mut users: Vec<Jid> = users.take(MAX_BLOCKED).map(|user| user.to_bare()).collect();
        users.sort_unstable();
        users.dedup();
        self.blocked = (!users.is_empty()).then(|| users.into());
    }

    fn apply(&mut self, user: &Jid, change: BlockChange) {
        let user = user.to_bare();
        let mut users = self.blocked.as_deref().unwrap_or_default().to_vec();
        match (users.binary_search(&user), change) {
            (Err(at), BlockChange::Block) if users.len() < MAX_BLOCKED => users.insert(at, user),
            (Ok(at), BlockChange::Unblock) => drop(users.remove(at)),
            (Ok(_), BlockChange::Block) | (Err(_), _) => return,
        }
        self.blocked = (!users.is_empty()).then(|| users.into());
    }
}

fn iq(kind: &'static str) -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", kind)
        .attr("xmlns", "blocklist")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    fn list(of: &[&str]) -> Node {
        let mut list = Node::new("list").attr("dhash", "1");
        for user in of {
            list.push_child(Node::new("item").attr("jid", jid(user)));
        }
        list
    }

    #[test]
    fn the_list_is_as_the_server_says_and_follows_changes() {
        let mut blocked = BlockList::new(PartId::new(8));
        assert!(blocked.blocked().is_none());
        blocked.take(&list(&["20@lid", "10@lid", "15550001@s.whatsapp.net", "10@lid"]));
        assert_eq!(blocked.blocked().unwrap().len(), 3);
        blocked.apply(&jid("30@lid"), BlockChange::Block);
        blocked.apply(&jid("30@lid"), BlockChange::Block);
        blocked.apply(&jid("10@lid"), BlockChange::Unblock);
        blocked.apply(&jid("11@lid"), BlockChange::Unblock);
        let now = blocked.blocked().unwrap();
        assert!(now.binary_search(&jid("30@lid")).is_ok() && now.binary_search(&jid("10@lid")).is_err());
        blocked.take(&list(&[]));
        assert!(blocked.blocked().is_none());
    }
}
