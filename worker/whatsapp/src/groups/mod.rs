//! Groups: who is in them, messages to them, and what the owner does with them.
//!
//! A message is encrypted once, with a sender key of ours, for all; a device that lacks the key is handed it over its own
//! session, beside the message. Who has it is kept, and a new key is made when somebody may have it who is not in the
//! group any more. The members of a group are asked for once, kept, and asked for anew when the server says that they
//! have changed. Messages that members can't read are answered by [`Messages`](crate::messages::Messages), once it is
//! known here that who asks is a member. Who deletes what another wrote has to be an admin.
//!
//! Facts: docs/PROTOCOL.md, "Groups" and "Sender keys".

mod audience;
mod known;
mod outgoing;
mod question;
mod record;
mod revokes;
mod sends;

use std::collections::VecDeque;

use bytes::Bytes;

pub use self::known::MAX_KNOWN_GROUPS;
use self::known::{KnownGroups, changes_members};
use self::question::{Question, Questions};
pub use self::revokes::MAX_REVOKES;
use self::revokes::Revokes;
pub use self::sends::MAX_GROUP_SENDS;
use self::sends::Sends;
use crate::binary::Node;
use crate::command::Outgoing;
use crate::e2e::{E2e, Outcome};
use crate::event::{Dropped, Event, Incoming, QueryError};
use crate::group::news::GroupNews;
use crate::group::request::GroupRequest;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::{Answer, Context, PartId, Ticket};
use crate::signal::Address;
use crate::stanza::ack::{MessageAck, ack_for};
use crate::time::Timestamp;

/// Most requests for messages of groups that wait until it is known who is in the group. More are left to the next login.
const MAX_ASKING: usize = 256;

/// The groups of one connection.
pub(crate) struct Groups {
    known: KnownGroups,
    sends: Sends,
    revokes: Revokes,
    /// Members' requests for messages that they can't read.
    asking: VecDeque<Node>,
    questions: Questions,
    sweep_at: Option<Timestamp>,
}

/// What the owner asks for.
impl Groups {
    /// Nothing under way; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            known: KnownGroups::default(),
            sends: Sends::default(),
            revokes: Revokes::default(),
            asking: VecDeque::new(),
            questions: Questions::new(part),
            sweep_at: None,
        }
    }

    /// Asks for what earlier connections left.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        Revokes::start(cx, &mut self.questions);
    }

    /// Sends a message to a group. Answered by events. [`Self::advance`] follows.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, outgoing: Box<Outgoing>) {
        self.sends.push(cx, outgoing);
    }

    /// Forgets a send whose frame is not in a step yet.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) {
        self.sends.cancel(cx, id);
    }

    /// Asks the server something about groups, or to change one. Answered by an event.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>, ticket: u64, request: Box<GroupRequest>) {
        let node = request.to_node();
        cx.ask(node, self.questions.open(Question::Owner(ticket, request)));
    }
}

/// What the server and the store say. [`Self::advance`] follows.
impl Groups {
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        match self.questions.close(ticket) {
            Some(Question::Members(group)) => {
                if let Err(reason) = self.known.on_members(cx, &group, answer) {
                    self.sends.on_unknown(cx, &group, &reason);
                    self.revokes.on_unknown(&group);
                    // What is not acknowledged comes again.
                    self.asking
                        .retain(|asked| asked.attr_jid("from").as_ref() != Some(&group));
                }
            }
            Some(Question::Owner(ticket, request)) => {
                if let Some(group) = changed_by(&request) {
                    self.known.forget_members(cx, group);
                }
                let result = answer.and_then(|reply| {
                    let answer = request.read(&reply);
                    answer.map(Box::new).map_err(|_| QueryError::Malformed)
                });
                cx.emit(Event::GroupAnswered { ticket, result });
            }
            Some(Question::Stored(_) | Question::Revokes) | None => {}
        }
    }

    pub(crate) fn on_loaded(&mut self, ticket: &Ticket, values: Vec<Option<Bytes>>) {
        match self.questions.close(ticket) {
            Some(Question::Stored(group)) => self.known.on_loaded(&group, values),
            Some(Question::Revokes) => self.revokes.recall(values),
            Some(Question::Members(_) | Question::Owner(..)) | None => {}
        }
    }

    /// Somebody deletes what another wrote: shown once it is known that it is an admin.
    pub(crate) fn on_revoke(&mut self, cx: &mut Context<'_>, revoke: Incoming) {
        self.revokes.push(cx, revoke);
    }

    /// Something became of what may have been wanted here.
    pub(crate) fn on_outcome(&mut self, cx: &mut Context<'_>, outcome: &Outcome) {
        match outcome {
            Outcome::Bundles(fetched) => self.sends.on_bundles(cx, fetched),
            Outcome::Devices(failed) => self.sends.on_devices(cx, failed),
            Outcome::Names(_) | Outcome::Sessions(_) | Outcome::SenderKey => {}
        }
    }

    /// A group has changed, or has another picture. The owner is told, in the step that acknowledges it.
    pub(crate) fn on_notification(&mut self, cx: &mut Context<'_>, e2e: &E2e, stanza: &Node) {
        for mut news in GroupNews::parse(stanza) {
            if let Some(author) = &mut news.author {
                let other = author.other.take();
                author.other = other.or_else(|| e2e.directory.other_name(&author.jid));
            }
            cx.emit(Event::GroupChanged(Box::new(news)));
        }
        if let Some(group) = stanza.attr_jid("from").filter(Jid::is_group)
            && changes_members(stanza)
        {
            self.known.forget_members(cx, &group);
        }
    }

    /// The server confirmed or refused a message; false if it is none of these.
    pub(crate) fn on_ack(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) -> bool {
        // Acks of direct messages are many: they are read once, elsewhere.
        if !stanza.attr_jid("from").is_some_and(|from| from.is_group()) {
            return false;
        }
        let Ok(Some(ack)) = MessageAck::parse(stanza) else {
            return false;
        };
        self.sends.on_ack(cx, e2e, &mut self.known, &ack)
    }

    /// A member can't read a message. [`Self::next_asked`] gives it back once it is known that it is one.
    pub(crate) fn on_retry(&mut self, cx: &mut Context<'_>, receipt: &Node) {
        if self.asking.len() < MAX_ASKING {
            self.asking.push_back(receipt.clone());
        } else {
            tracing::debug!(
                "too many members ask for messages again; one request is left for the next login"
            );
            cx.emit(Event::Dropped {
                what: Dropped::RetryRequest,
            });
        }
    }

    /// The next request of a member for a message: the device is handed the key again with the next message, too. Those
    /// of others are acknowledged and dropped.
    pub(crate) fn next_asked(&mut self, cx: &mut Context<'_>) -> Option<Node> {
        let mut at = 0;
        while let Some(asked) = self.asking.get(at) {
            let (group, device) = (asked.attr_jid("from"), asked.attr_jid("participant"));
            let (Some(group), Some(device)) = (group, device) else {
                cx.send(self.asking.remove(at).as_ref().and_then(ack_for));
                continue;
            };
            if !self.known.ensure(cx, &mut self.questions, &group) {
                at += 1;
                continue;
            }
            let known = self.known.get(&group);
            let members = known.and_then(|known| known.members.as_ref());
            let is_member = members.is_some_and(|members| members.contains(&device));
            let asked = self.asking.remove(at);
            if is_member {
                self.known.change_handed(cx, &group, |handed| {
                    handed.as_mut().is_some_and(|handed| handed.doubt(&device))
                });
                return asked;
            }
            cx.send(asked.as_ref().and_then(ack_for));
        }
        None
    }

    /// Moves sends as far as they go now, and asks for what they lack.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) {
        self.sends.advance(cx, e2e, &mut self.known, &mut self.questions);
        self.revokes.advance(cx, &mut self.known, &mut self.questions);
        if self.sweep_at.is_none() && !self.known.is_empty() {
            self.sweep_at = Some(cx.now + SWEEP_INTERVAL);
        }
    }
}

/// Time and durability.
impl Groups {
    pub(crate) fn on_step_taken(&mut self) {
        self.known.on_step_taken();
    }

    pub(crate) fn on_committed(&mut self) {
        self.known.on_committed();
        self.known
            .relieve(|group| self.sends.wants(group) || self.revokes.wants(group));
    }

    /// The connection is over: what the owner waits for is answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.sends.on_closed(cx);
        for question in self.questions.close_all() {
            if let Question::Owner(ticket, _) = question {
                let result = Err(QueryError::NotConnected);
                cx.emit(Event::GroupAnswered { ticket, result });
            }
        }
    }

    /// The ratchets that something here waits with.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &Address> {
        self.sends.in_use()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest([self.sends.deadline(), self.sweep_at])
    }

    /// Time passed: answers for messages that were not confirmed in time, and forgets groups that nobody used.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) {
        self.sends.tick(cx, &mut self.known);
        if self.sweep_at.is_some_and(|at| at <= cx.now) {
            self.known
                .sweep(cx, |group| self.sends.wants(group) || self.revokes.wants(group));
            self.sweep_at = (!self.known.is_empty()).then(|| cx.now + SWEEP_INTERVAL);
        }
    }
}

/// Whose members this changes.
fn changed_by(request: &GroupRequest) -> Option<&Jid> {
    match request {
        GroupRequest::ChangeMembers(group, ..)
        | GroupRequest::Decide(group, ..)
        | GroupRequest::Leave(group) => Some(group),
        _ => None,
    }
}

/// How often groups that nobody used are looked for.
const SWEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);
