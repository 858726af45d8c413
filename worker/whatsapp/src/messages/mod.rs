//! The messages of chats: those of the owner on their way out, those of others on their way in.
//!
//! Owns the sends under way, the incoming pipeline, receipts, and retries both ways. Encrypts and decrypts by
//! [`E2e`]; does not know sockets, Noise or login.

mod channels;
mod delivery;
mod inbox;
mod known_contacts;
mod lookup;
mod placeholders;
mod question;
mod read_marks;
mod recalls;
mod receipts;
mod resends;
mod retries;
mod secret;
mod sends;
mod source;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::delivery::{Content, Meaning};
pub use self::inbox::MAX_WAITING as MAX_WAITING_MESSAGES;
pub use self::placeholders::MAX_PLACEHOLDERS;
pub use self::receipts::MAX_WAITING_RECEIPTS;
pub use self::resends::MAX_RESENDS;
pub use self::retries::MAX_ATTEMPTS;
pub(crate) use self::secret::attach as attach_secret;
pub use self::secret::derive as message_secret;
pub use self::sends::{MAX_MESSAGE_BYTES, MAX_SENDS};
use self::{
    inbox::Inbox,
    known_contacts::KnownContacts,
    lookup::Lookup,
    placeholders::Placeholders,
    question::{Question, Questions},
    read_marks::{Mark, ReadMarks},
    recalls::Recalls,
    receipts::{Receipts, Status},
    resends::Resends,
    sends::Sends,
};
use crate::binary::Node;
use crate::command::{Outgoing, Presence};
use crate::e2e::{E2e, Outcome, Wake};
use crate::event::{Incoming, QueryError};
use crate::hashing::HashSet;
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::{AckBy, Answer, Context, PartId, Ticket};
use crate::signal::Address;
use crate::stanza::ack::{self, MessageAck};
use crate::stanza::receipt::{self, Arrival};
use crate::store::{RecordKey, SentMessage};
use crate::time::Timestamp;
use crate::tokens::Tokens;

pub(crate) struct Messages {
    known_contacts: KnownContacts,
    sends: Sends,
    resends: Resends,
    inbox: Inbox,
    placeholders: Placeholders,
    read_marks: ReadMarks,
    recalls: Recalls,
    receipts: Receipts,
    questions: Questions,
}

/// What the owner asks for.
impl Messages {
    /// Nothing under way; allocates nothing.
    pub(crate) fn new(part: PartId) -> Self {
        Self {
            known_contacts: KnownContacts::default(),
            sends: Sends::default(),
            resends: Resends::default(),
            inbox: Inbox::default(),
            placeholders: Placeholders::default(),
            read_marks: ReadMarks::default(),
            recalls: Recalls::default(),
            receipts: Receipts::default(),
            questions: Questions::new(part),
        }
    }

    /// From now on nobody of these is sent to; sorted.
    pub(crate) fn set_blocked(&mut self, blocked: Option<Arc<[Jid]>>) {
        self.sends.set_blocked(blocked);
    }

    /// Sends a message. Answered by events.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        tokens: &mut Tokens,
        outgoing: Box<Outgoing>,
    ) {
        self.sends.push(cx, outgoing);
        self.sends.advance_last(cx, e2e, tokens);
    }

    /// Sends a message to somebody whom we know. Answered by events.
    pub(crate) fn send_to_known(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        tokens: &mut Tokens,
        outgoing: Box<Outgoing>,
    ) {
        if let Some(outgoing) = self.known_contacts.push(cx, e2e, outgoing) {
            return self.send(cx, e2e, tokens, outgoing);
        }
        self.send_known(cx, e2e, tokens);
    }

    /// Sends those that turned out to go to somebody known.
    fn send_known(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, tokens: &mut Tokens) {
        while let Some(outgoing) = self.known_contacts.next_known(cx, e2e, tokens) {
            self.send(cx, e2e, tokens, outgoing);
        }
    }

    /// Forgets a send whose frame is not in a step yet.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>, id: &MessageId) {
        if !self.known_contacts.cancel(cx, id) {
            self.sends.cancel(cx, id);
        }
    }

    /// Says what is kept of a number. Answered by an event.
    pub(crate) fn recall(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, ticket: u64, number: String) {
        self.recalls.push(cx, ticket, number);
        self.recalls.advance(cx, e2e);
    }

    /// Asks which numbers have an account. Answered by an event.
    pub(crate) fn is_on_whatsapp(&mut self, cx: &mut Context<'_>, ticket: u64, numbers: Vec<String>) {
        self.look_up(cx, Lookup::new(ticket, numbers));
    }

    /// Goes on with a lookup: asks for its next numbers, or answers the owner.
    fn look_up(&mut self, cx: &mut Context<'_>, mut lookup: Lookup) {
        match lookup.next_query() {
            Some(query) => cx.ask(query, self.questions.open(Question::IsOnWhatsApp(lookup))),
            None => lookup.finish(cx, Ok(())),
        }
    }

    /// Tells the sender that messages were read, if the account lets senders know.
    pub(crate) fn mark_read(
        &mut self,
        cx: &mut Context<'_>,
        chat: &Jid,
        sender: Option<Jid>,
        ids: Vec<MessageId>,
    ) {
        let chat = chat.to_bare();
        let mark = Mark { chat, sender, ids };
        self.read_marks.push(cx, &mut self.questions, mark);
    }

    /// The account's settings may have changed.
    pub(crate) fn on_account_sync(&mut self, stanza: &Node) {
        self.read_marks.on_notification(stanza);
    }

    /// What the owner is seen as; decides the kind of delivery receipts.
    pub(crate) fn set_presence(&mut self, presence: Option<Presence>) {
        self.inbox.set_presence(presence);
    }
}

/// What the server and the store say. [`Self::advance`] follows where something may go on.
impl Messages {
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, ticket: &Ticket, answer: Answer) {
        match self.questions.close(ticket) {
            Some(Question::IsOnWhatsApp(mut lookup)) => {
                match lookup.on_reply(cx, &mut e2e.directory, answer) {
                    Ok(()) => self.look_up(cx, lookup),
                    Err(error) => lookup.finish(cx, Err(error)),
                }
            }
            Some(Question::Privacy) => self.read_marks.on_answer(cx, answer),
            // To the store.
            _ => {}
        }
    }

    pub(crate) fn on_loaded(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &E2e,
        ticket: &Ticket,
        mut values: Vec<Option<Bytes>>,
    ) {
        let value = values.pop().flatten();
        match self.questions.close(ticket) {
            Some(Question::Placeholders) => self.placeholders.on_loaded(value.as_deref()),
            Some(Question::PreKey(id)) => self.inbox.on_prekey(id, value.as_deref()),
            Some(Question::SignedPreKey(id)) => self.inbox.on_signed_prekey(id, value.as_deref()),
            Some(Question::Sent(id, from)) => {
                let sent = value.and_then(SentMessage::decode);
                self.on_sent(cx, id, from, sent);
            }
            Some(Question::Refused(id)) => {
                let sent = value.and_then(SentMessage::decode);
                let sent = sent.map(|sent| secret::attach_to_sent(cx.device, &id, sent));
                self.sends.on_content(cx, &id, sent);
            }
            Some(Question::Renumbered(id, from, sent)) => {
                let sent = sent.renumbered(value.as_deref());
                self.resends.on_content(cx, &e2e.directory, &id, &from, sent);
            }
            Some(Question::IsOnWhatsApp(_) | Question::Privacy) | None => {}
        }
    }

    /// The owner has answered what the message was, if it still has it. The account that it was addressed to may have
    /// another number now; that is asked for every chat, so that it is known after the other name of who asks.
    fn on_sent(&mut self, cx: &mut Context<'_>, id: MessageId, from: Jid, sent: Option<SentMessage>) {
        let Some(sent) = sent else {
            return self.resends.on_nothing(cx, &id, &from);
        };
        let sent = secret::attach_to_sent(cx.device, &id, sent);
        let key = RecordKey::renumbered(sent.chat.user());
        cx.load(
            vec![key],
            self.questions.open(Question::Renumbered(id, from, sent)),
        );
    }

    /// Something became of what may have been wanted here.
    pub(crate) fn on_outcome(&mut self, cx: &mut Context<'_>, e2e: &E2e, outcome: &Outcome) {
        match outcome {
            Outcome::Names(users) => {
                self.sends.on_names(users);
                self.recalls.on_names(users);
                for user in users {
                    self.inbox.on_name(user);
                    self.receipts.on_name(cx, e2e, user);
                    self.known_contacts.on_name(cx, e2e, user);
                }
            }
            Outcome::Bundles(fetched) => {
                self.sends.on_bundles(cx, fetched);
                self.resends.on_bundles(cx, fetched);
                self.placeholders.on_bundles(cx, fetched);
            }
            Outcome::Devices(failed) => self.sends.on_devices(cx, &e2e.directory, failed),
            Outcome::Sessions(_) | Outcome::SenderKey => {}
        }
    }

    /// A `<message>` came in. Acknowledged here.
    pub(crate) fn on_message(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, stanza: Node) {
        self.inbox.push(cx, &mut e2e.directory, stanza);
    }

    /// A `<receipt>` came in.
    pub(crate) fn on_receipt(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) -> AckBy {
        let Ok(received) = receipt::Received::parse(stanza) else {
            return AckBy::Connection;
        };
        match received.meaning {
            receipt::Meaning::Retry => {
                self.resends.push(cx, e2e, &mut self.questions, stanza);
                AckBy::Handler
            }
            receipt::Meaning::Status(kind) => {
                let status = Status::new(cx, received, kind);
                self.receipts.push(cx, e2e, stanza, status)
            }
            receipt::Meaning::Other => AckBy::Connection,
        }
    }

    /// An `<ack>` came in; true if something may go on.
    pub(crate) fn on_ack(&mut self, cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) -> bool {
        let Ok(Some(ack)) = MessageAck::parse(stanza) else {
            return false;
        };
        if ack::wants_fresh_lid(stanza) {
            e2e.refresh_lid(cx, &ack.from);
        }
        // A message that is asked for again keeps its id, and only a companion's address tells the answer from the first.
        let names_companion = ack.from.device() != 0;
        (names_companion && self.resends.on_ack(cx, &ack))
            || !self.sends.on_ack(cx, e2e, &mut self.questions, &ack) && self.resends.on_ack(cx, &ack)
    }

    /// The next message that is decrypted, for whoever takes its kind. Call until there is none, before [`Self::advance`].
    pub(crate) fn next_content(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) -> Option<Box<Content>> {
        let content = self
            .inbox
            .next_content(cx, e2e, &mut self.questions, &mut self.placeholders);
        self.placeholders.want(cx, self.inbox.take_lacking());
        content
    }

    /// Our phone has answered: what was asked for, unless it was shown meanwhile.
    pub(crate) fn on_phone_answer(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        content: &Content,
    ) -> Option<Box<Incoming>> {
        let content = self.placeholders.on_answer(cx, &e2e.directory, content)?;
        self.take_up(cx, e2e, content)
    }

    /// Tells the server of the copy that it ended the last stream for.
    pub(crate) fn settle_unsettled(&mut self, cx: &mut Context<'_>) {
        if cx.device.unsettled_copy.is_none() {
            return;
        }
        let own = cx.device.lid().or(cx.device.jid()).map(Jid::to_bare);
        let id = cx.device_mut().unsettled_copy.take();
        if let (Some(id), Some(own)) = (id, own) {
            cx.send(receipt::arrival(Arrival::OwnDevice, &id, &own, None, None));
        }
    }

    /// What the owner is shown of a message in this step, unless that was done before.
    pub(crate) fn take_up(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        content: Box<Content>,
    ) -> Option<Box<Incoming>> {
        let mark = delivery::mark(&content.stanza);
        if !content.from_me && (content.chat.is_user() || content.chat.is_lid()) {
            e2e.ratchets.note_wrote(&content.sender);
        }
        let is_new = e2e.ratchets.note_shown(cx, &content.sender, mark);
        is_new.then(|| Box::new(content.into_incoming(&e2e.directory)))
    }

    /// Moves requests for messages and sends as far as they go, and asks for what they lack.
    pub(crate) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        e2e: &mut E2e,
        tokens: &mut Tokens,
        wake: Wake<'_>,
    ) {
        self.resends.advance(cx, e2e, &mut self.questions);
        self.placeholders.advance(cx, e2e, &mut self.questions);
        self.send_known(cx, e2e, tokens);
        self.recalls.advance(cx, e2e);
        self.sends.advance(cx, e2e, tokens, wake);
    }
}

/// Time and durability.
impl Messages {
    pub(crate) fn on_step_taken(&mut self) {
        self.inbox.on_step_taken();
    }

    pub(crate) fn on_committed(&mut self) {
        self.inbox.on_committed();
    }

    /// The connection is over: what the owner waits for is answered.
    pub(crate) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.known_contacts.on_closed(cx);
        self.recalls.on_closed(cx);
        self.sends.on_closed(cx);
        for question in self.questions.close_all() {
            if let Question::IsOnWhatsApp(lookup) = question {
                lookup.finish(cx, Err(QueryError::NotConnected));
            }
        }
    }

    /// Whether so many messages wait for the store that no more should be handed in.
    pub(crate) fn is_full(&self) -> bool {
        self.inbox.is_full()
    }

    /// The ratchets that something here waits with.
    pub(crate) fn in_use(&self) -> HashSet<&Address> {
        let sending = self.sends.in_use().chain(self.resends.in_use());
        let sending = sending.chain(self.known_contacts.in_use());
        let waiting = self.inbox.in_use().chain(self.placeholders.in_use());
        sending.chain(waiting).collect()
    }

    /// The chats that something here is about to be sent to.
    pub(crate) fn chats_in_use(&self) -> impl Iterator<Item = &Jid> {
        self.sends
            .chats_in_use()
            .chain(self.known_contacts.users_in_use())
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest([self.sends.deadline(), self.resends.deadline()])
    }

    /// Time passed; true if something may go on.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        self.sends.tick(cx);
        self.resends.tick(cx)
    }
}
