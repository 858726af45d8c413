//! Which part takes which stanza, which decrypted message, and which answer.
//!
//! A new part is a field here, a line where it takes something, and one in each of the lists at the end.

use bytes::Bytes;

use super::calls::Calls;
use super::contacts;
use super::media_hosts::MediaHosts;
use super::media_retries::MediaRetries;
use super::online::Online;
use super::presences::Presences;
use crate::{
    account::{BlockList, Profiles, Restrictions, Settings},
    app_state::{self, Acted, Action, AppState},
    binary::Node,
    command::Command,
    device::NameSource,
    e2e::{E2e, Outcome, Wake},
    event::{Event, Incoming, Misbehaviour, Refusal},
    groups::Groups,
    history::{History, HistoryRequests},
    messages::{Content, Meaning, Messages},
    part::{AckBy, Answer, Context, Downloaded, PartId, Ticket},
    stanza::ack::ack_for,
    stanza::notification::own_name,
    sync_action::{SyncAction, SyncActionKind, SyncActions},
    time::Timestamp,
    tokens::Tokens,
    unpacking::{Learned, Unpacked},
};

const ONLINE: PartId = PartId::new(1);
const E2E: PartId = PartId::new(2);
const MESSAGES: PartId = PartId::new(3);
const APP_STATE: PartId = PartId::new(6);
const HISTORY: PartId = PartId::new(7);
const ACCOUNT: PartId = PartId::new(4);
const TOKENS: PartId = PartId::new(5);
const BLOCK_LIST: PartId = PartId::new(8);
const RESTRICTIONS: PartId = PartId::new(9);
const MEDIA_HOSTS: PartId = PartId::new(10);
const GROUPS: PartId = PartId::new(11);
const PROFILES: PartId = PartId::new(12);

/// The parts of a connection that is logged in.
pub(super) struct Parts {
    online: Online,
    e2e: E2e,
    messages: Messages,
    groups: Groups,
    app_state: AppState,
    history: History,
    history_requests: HistoryRequests,
    account: Settings,
    tokens: Tokens,
    restrictions: Restrictions,
    block_list: BlockList,
    profiles: Profiles,
    media_hosts: MediaHosts,
    media_retries: MediaRetries,
    presences: Presences,
    calls: Calls,
}

/// Who takes what.
impl Parts {
    pub(super) fn node(&mut self, cx: &mut Context<'_>, node: Node) {
        self.online.count_offline(cx, &node);
        match node.tag() {
            "message" => {
                self.messages.on_message(cx, &mut self.e2e, node);
                self.advance(cx, Wake::All);
            }
            "receipt" if is_asked_in_group(&node) => {
                self.groups.on_retry(cx, &node);
                self.advance(cx, Wake::All);
            }
            "receipt" => {
                let by = self.messages.on_receipt(cx, &mut self.e2e, &node);
                if by == AckBy::Handler {
                    self.advance(cx, Wake::All);
                }
                acknowledge(cx, &node, by);
            }
            "notification" => {
                let by = self.notification(cx, &node);
                acknowledge(cx, &node, by);
            }
            // Statuses that come so are not encrypted; nobody is shown them.
            "status" => acknowledge(cx, &node, AckBy::Connection),
            "call" => {
                self.calls.on_stanza(cx, &mut self.e2e.directory, &node);
                acknowledge(cx, &node, AckBy::Connection);
            }
            "ack" => {
                if let Some(refusal) = message_refusal(&node) {
                    self.restrictions.on_refused(cx, refusal);
                }
                if self.groups.on_ack(cx, &mut self.e2e, &node)
                    || self.messages.on_ack(cx, &mut self.e2e, &node)
                {
                    self.advance(cx, Wake::All);
                }
            }
            "ib" => {
                self.online.on_ib(cx, &node);
                self.account.on_ib(cx, &node);
                self.restrictions.on_ib(cx, &node);
                self.block_list.on_ib(cx, &node);
                if node.child("offline").is_some() {
                    self.e2e.on_caught_up(cx);
                }
            }
            "presence" | "chatstate" => self.presences.on_stanza(cx, &self.e2e.directory, &node),
            // A second success, and requests that no client serves: nothing is expected.
            "success" | "iq" => {}
            _ => refuse(cx, &node),
        }
    }

    fn notification(&mut self, cx: &mut Context<'_>, node: &Node) -> AckBy {
        match node.attr_str("type").as_deref() {
            Some("server_sync") => {
                self.app_state.on_notification(cx, node);
                AckBy::Connection
            }
            Some("encrypt") => {
                self.tokens.on_keys(cx, node);
                self.e2e.on_notification(cx, node)
            }
            Some("account_sync") => {
                if let Some(name) = own_name(node) {
                    self.learn_name(cx, NameSource::AccountSync, &name);
                }
                self.block_list.on_notification(cx, node);
                self.messages.set_blocked(self.block_list.blocked());
                self.messages.on_account_sync(node);
                self.e2e.on_notification(cx, node)
            }
            Some(kind @ ("w:gp2" | "picture" | "status" | "business" | "contacts")) => {
                if matches!(kind, "w:gp2" | "picture") {
                    self.groups.on_notification(cx, &self.e2e, node);
                }
                contacts::on_notification(cx, &mut self.e2e, node);
                AckBy::Connection
            }
            Some("devices") => self.e2e.on_notification(cx, node),
            Some("privacy_token") => self.tokens.on_notification(cx, &mut self.e2e, node),
            Some("mediaretry") => {
                self.media_retries.on_notification(cx, node);
                AckBy::Connection
            }
            Some("mex") => {
                self.restrictions.on_notification(cx, node);
                AckBy::Connection
            }
            _ => AckBy::Connection,
        }
    }

    fn content(&mut self, cx: &mut Context<'_>, content: Box<Content>) {
        if content.is_forged() {
            return cx.emit(Event::Misbehaved {
                how: Misbehaviour::NotOurPhone,
            });
        }
        match content.meaning {
            Meaning::Owner => {
                if let Some(name) = content.own_name() {
                    self.learn_name(cx, NameSource::OwnMessage, name);
                }
                let shown = self.messages.take_up(cx, &mut self.e2e, content);
                self.show(cx, shown);
            }
            Meaning::PhoneAnswer => {
                let shown = self.messages.on_phone_answer(cx, &mut self.e2e, &content);
                self.show(cx, shown);
            }
            // Taken where it was decrypted: it comes before the message that needs it.
            Meaning::SenderKey => {}
            Meaning::LidMappings => self.e2e.on_mappings(cx, &content.sender, &content.message),
            Meaning::AppStateKeys => self.on_keys(cx, &content),
            Meaning::HistoryNotice => {
                self.history.on_notice(cx, &content);
                self.history.next(cx);
            }
            // Acknowledged; no part takes them yet.
            Meaning::Peer => {}
            Meaning::Nothing => {}
        }
    }

    /// Shows the owner a message. What deletes a message of somebody else in a group waits until it is known who may.
    fn show(&mut self, cx: &mut Context<'_>, message: Option<Box<Incoming>>) {
        let Some(message) = message else { return };
        if let Some(how) = message.forgery() {
            cx.emit(Event::Misbehaved { how });
        } else if message.needs_admin() {
            self.groups.on_revoke(cx, *message);
        } else {
            cx.emit(Event::Message(message));
        }
    }

    /// Our phone shares keys; nobody else is believed.
    fn on_keys(&mut self, cx: &mut Context<'_>, content: &Content) {
        let protocol = content.message.protocol_message.as_ref();
        let share = protocol.and_then(|protocol| protocol.app_state_sync_key_share.as_ref());
        if let Some(share) = share.filter(|_| content.is_of_own_phone()) {
            self.app_state.on_keys(cx, share);
        }
    }

    /// Our own name was read somewhere.
    fn learn_name(&mut self, cx: &mut Context<'_>, source: NameSource, name: &str) {
        self.online.learn_name(cx, source, name);
        self.note_presence();
    }

    /// Receipts are ordinary while the server has been told that we are available, and not before.
    fn note_presence(&mut self) {
        self.messages.set_presence(self.online.announced());
    }

    /// Goes on with the history. A piece of it is done with when the last token that it told of is written.
    fn go_on_with_history(&mut self, cx: &mut Context<'_>) {
        if self.tokens.is_settled() {
            self.history.on_settled(cx);
        }
        self.history.next(cx);
    }

    /// Takes what a piece of the history says that we act on.
    fn learn(&mut self, cx: &mut Context<'_>, learned: Learned) {
        for (phone, lid) in &learned.names {
            self.e2e.directory.learn(cx, phone, lid);
        }
        for given in learned.tokens {
            let (token, to_us, by_us) = (given.token, given.issued_to_us, given.issued_by_us);
            self.tokens
                .learn_from_history(cx, &given.owner, token, to_us, by_us);
        }
        if let Some(name) = learned.own_name {
            self.learn_name(cx, NameSource::History, &name);
        }
        if let Some(salt) = learned.salt {
            app_state::fill_in_salt(cx, salt);
        }
    }

    /// Acts on what devices of the account did, and tells the owner.
    fn act(&mut self, cx: &mut Context<'_>, acted: Acted) {
        let mut actions = Vec::with_capacity(acted.actions.len());
        for action in acted.actions {
            match action {
                Action::TokenSalt(salt) => app_state::keep_salt(cx, salt),
                Action::Done(action) => actions.push(self.take_action(cx, action)),
            }
        }
        if !actions.is_empty() {
            cx.emit(Event::SyncActions(Box::new(SyncActions {
                collection: acted.collection,
                source: acted.source,
                actions,
            })));
        }
    }

    /// Takes what we act on ourselves, and adds by which other name its chat is known.
    fn take_action(&mut self, cx: &mut Context<'_>, mut action: SyncAction) -> SyncAction {
        match &action.kind {
            SyncActionKind::PushName(name) => self.learn_name(cx, NameSource::AppState, name),
            SyncActionKind::Number { lid, phone } => self.e2e.directory.learn(cx, phone, lid),
            _ => {}
        }
        if let Some(subject) = action.kind.subject() {
            match &action.other {
                Some(other) => self.e2e.directory.learn(cx, subject, other),
                None => action.other = self.e2e.directory.other_name(subject),
            }
        }
        action
    }

    pub(super) fn command(&mut self, cx: &mut Context<'_>, command: Command) {
        match command {
            Command::Send(outgoing) | Command::SendToKnown(outgoing) if outgoing.to.is_group() => {
                self.groups.send(cx, outgoing);
                self.advance_groups(cx);
            }
            Command::Send(outgoing) => {
                self.messages.send(cx, &mut self.e2e, &mut self.tokens, outgoing);
                self.e2e.settle(cx);
            }
            Command::SendToKnown(outgoing) => {
                self.messages
                    .send_to_known(cx, &mut self.e2e, &mut self.tokens, outgoing);
                self.e2e.settle(cx);
            }
            Command::AskRestrictions => self.restrictions.ask(cx),
            Command::Cancel(id) => {
                self.messages.cancel(cx, &id);
                self.groups.cancel(cx, &id);
            }
            Command::Group { ticket, request } => self.groups.ask(cx, ticket, request),
            Command::Profile { ticket, request } => self.profiles.ask(cx, ticket, request),
            Command::RejectCall { ticket, id } => self.calls.reject(cx, ticket, &id),
            Command::Sync { ticket, request } => self.app_state.upload(cx, ticket, &request),
            Command::FollowPresence(of) => self.presences.follow(cx, &of),
            Command::Type { chat, typing } => cx.send(typing.to_node(&chat)),
            Command::Recall { ticket, number } => self.messages.recall(cx, &mut self.e2e, ticket, number),
            Command::IsOnWhatsApp { ticket, numbers } => self.messages.is_on_whatsapp(cx, ticket, numbers),
            Command::ChangeBlockList {
                ticket,
                contact,
                change,
            } => self.block_list.change(cx, ticket, *contact, change),
            Command::AskMediaHosts { ticket } => self.media_hosts.ask_for(cx, ticket),
            Command::AskHistory { ticket, request } => {
                self.history_requests.ask(cx, ticket, &request);
                self.history_requests.advance(cx, &mut self.e2e);
                self.e2e.settle(cx);
            }
            Command::AskMediaRetry { ticket, retry } => self.media_retries.ask(cx, ticket, *retry),
            Command::MarkRead { chat, sender, ids } => {
                self.messages.mark_read(cx, &chat, sender, ids);
            }
            Command::SetPresence(presence) => {
                self.online.set_presence(cx, presence);
                self.note_presence();
            }
            Command::Logout => self.online.logout(cx),
            // The connection's own, or only for devices that are not paired.
            Command::Stop
            | Command::RequestPairingCode { .. }
            | Command::AnswerPasskey { .. }
            | Command::ConfirmPasskey { .. }
            | Command::CancelPasskey { .. } => {}
        }
    }

    pub(super) fn answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        match ticket.part() {
            ONLINE => self.online_answer(cx, ticket),
            E2E => {
                let outcome = self.e2e.on_answer(cx, ticket, answer);
                self.tell(cx, outcome);
            }
            MESSAGES => self.messages.on_answer(cx, &mut self.e2e, ticket, answer),
            GROUPS => {
                self.groups.on_answer(cx, ticket, answer);
                self.advance(cx, Wake::All);
            }
            APP_STATE => {
                if let Some(acted) = self.app_state.on_answer(cx, ticket, answer) {
                    self.act(cx, acted);
                }
            }
            ACCOUNT => {
                self.account.on_answer(cx, ticket, answer);
                self.tokens.set_properties(self.account.properties());
            }
            TOKENS => self.tokens.on_answer(cx, ticket, &answer),
            RESTRICTIONS => self.restrictions.on_answer(cx, ticket, answer),
            BLOCK_LIST => {
                self.block_list.on_answer(cx, ticket, answer);
                self.messages.set_blocked(self.block_list.blocked());
            }
            PROFILES => self.profiles.on_answer(cx, ticket, answer),
            MEDIA_HOSTS => self.media_hosts.on_answer(cx, ticket, answer),
            _ => {}
        }
    }

    /// What the session has to do once it is open waits for that.
    fn online_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket) {
        let is_open_now = self.online.on_answer(cx, ticket);
        if is_open_now {
            self.note_presence();
            self.app_state.start(cx);
        }
    }

    pub(super) fn loaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, values: Vec<Option<Bytes>>) {
        match ticket.part() {
            E2E => {
                let outcome = self.e2e.on_loaded(cx, ticket, values);
                self.tell(cx, outcome);
            }
            MESSAGES => {
                self.messages.on_loaded(cx, &self.e2e, ticket, values);
                self.advance(cx, Wake::All);
            }
            GROUPS => {
                self.groups.on_loaded(ticket, values);
                self.advance(cx, Wake::All);
            }
            APP_STATE => {
                if let Some(acted) = self.app_state.on_loaded(cx, ticket, values) {
                    self.act(cx, acted);
                }
                self.advance(cx, Wake::All);
            }
            HISTORY => {
                self.history.on_loaded(cx, ticket, values);
                self.history.next(cx);
            }
            TOKENS => {
                let may_go_on = self.tokens.on_loaded(cx, ticket, values);
                if may_go_on {
                    self.advance(cx, Wake::Records);
                }
            }
            _ => {}
        }
    }

    pub(super) fn listed(&mut self, cx: &mut Context<'_>, ticket: &Ticket, names: Vec<Vec<u8>>) {
        match ticket.part() {
            TOKENS => self.tokens.on_listed(cx, ticket, names),
            APP_STATE => self.app_state.on_listed(cx, ticket, names),
            _ => {}
        }
    }

    pub(super) fn downloaded(&mut self, cx: &mut Context<'_>, ticket: &Ticket, file: Downloaded) {
        match ticket.part() {
            APP_STATE => self.app_state.on_downloaded(cx, ticket, file),
            HISTORY => {
                self.history.on_downloaded(cx, ticket, file);
                self.history.next(cx);
            }
            _ => {}
        }
    }

    pub(super) fn unpacked(&mut self, cx: &mut Context<'_>, ticket: &Ticket, unpacked: Unpacked) {
        if let Some(learned) = self.history.on_unpacked(cx, ticket, unpacked) {
            self.learn(cx, *learned);
        }
        self.go_on_with_history(cx);
    }

    /// Whether a piece of the history is in memory, or about to be.
    pub(super) fn is_taking_history(&self) -> bool {
        self.history.is_taking_in()
    }

    /// Tells all parts what has become of something that any of them may have wanted.
    fn tell(&mut self, cx: &mut Context<'_>, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            if let Outcome::Names(users) = &outcome {
                users.iter().for_each(|user| self.tokens.on_name(user));
            }
            self.messages.on_outcome(cx, &self.e2e, &outcome);
            self.groups.on_outcome(cx, &outcome);
            if let Outcome::Bundles(fetched) = &outcome {
                self.app_state.on_bundles(fetched);
                self.history_requests.on_bundles(cx, fetched);
            }
            self.advance(cx, outcome.wake());
        }
    }

    /// Moves everything as far as it goes that `wake` is for.
    fn advance(&mut self, cx: &mut Context<'_>, wake: Wake<'_>) {
        while let Some(content) = self.messages.next_content(cx, &mut self.e2e) {
            self.content(cx, content);
        }
        self.app_state.advance(cx, &mut self.e2e);
        self.history_requests.advance(cx, &mut self.e2e);
        while let Some(asked) = self.groups.next_asked(cx) {
            let by = self.messages.on_receipt(cx, &mut self.e2e, &asked);
            acknowledge(cx, &asked, by);
        }
        self.groups.advance(cx, &mut self.e2e);
        self.messages.advance(cx, &mut self.e2e, &mut self.tokens, wake);
        self.e2e.settle(cx);
        // With many sends in hand more ratchets are in use than should be: not at every load.
        if let Wake::All = wake {
            self.relieve();
        }
    }

    /// Moves messages to groups as far as they go.
    fn advance_groups(&mut self, cx: &mut Context<'_>) {
        self.groups.advance(cx, &mut self.e2e);
        self.e2e.settle(cx);
    }

    fn relieve(&mut self) {
        self.e2e.relieve(|| {
            self.messages
                .in_use()
                .into_iter()
                .chain(self.groups.in_use())
                .chain(self.app_state.in_use())
                .chain(self.history_requests.in_use())
                .collect()
        });
    }
}

/// What all parts are told.
impl Parts {
    /// `success` came: notes what it says, then asks for what waited.
    pub(super) fn start(cx: &mut Context<'_>, success: &Node) -> Self {
        let mut parts = Self {
            online: Online::new(ONLINE, cx, success),
            e2e: E2e::new(E2E, cx.config.limits.ratchets),
            messages: Messages::new(MESSAGES),
            groups: Groups::new(GROUPS),
            app_state: AppState::new(APP_STATE),
            history: History::new(HISTORY),
            history_requests: HistoryRequests::default(),
            account: Settings::new(ACCOUNT, cx),
            tokens: Tokens::new(TOKENS),
            restrictions: Restrictions::new(RESTRICTIONS),
            block_list: BlockList::new(BLOCK_LIST),
            profiles: Profiles::new(PROFILES),
            media_hosts: MediaHosts::new(MEDIA_HOSTS),
            media_retries: MediaRetries::default(),
            presences: Presences::default(),
            calls: Calls::default(),
        };
        parts.history.start(cx);
        parts.groups.start(cx);
        parts.messages.settle_unsettled(cx);
        parts.online.send_unified_session(cx);
        parts.e2e.start_online(cx);
        parts.tokens.start(cx);
        parts.online.go_active(cx);
        parts
    }

    /// How much the parts will write into the step when it is taken, for the bound on it.
    pub(super) fn unwritten(&self) -> usize {
        self.e2e.unwritten()
    }

    /// A step is about to be taken.
    pub(super) fn before_step(&self, cx: &mut Context<'_>) {
        self.e2e.write_changed(cx);
    }

    pub(super) fn on_step_taken(&mut self) {
        self.e2e.on_step_taken();
        self.messages.on_step_taken();
        self.groups.on_step_taken();
        self.tokens.on_step_taken();
        self.history.on_step_taken();
    }

    pub(super) fn on_committed(&mut self) {
        self.e2e.on_committed();
        self.messages.on_committed();
        self.groups.on_committed();
        self.history.on_committed();
        self.tokens
            .on_committed(&self.e2e.directory, || self.messages.chats_in_use());
        self.relieve();
    }

    /// The connection is over; nothing is asked of the parts any more.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.messages.on_closed(cx);
        self.groups.on_closed(cx);
        self.history_requests.on_closed(cx);
        self.block_list.on_closed(cx);
        self.profiles.on_closed(cx);
        self.app_state.on_closed(cx);
        self.media_hosts.on_closed(cx);
        self.media_retries.on_closed(cx);
        self.e2e.write_changed(cx);
    }

    /// Whether so much waits for the store that no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.messages.is_full() || self.tokens.is_full()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        Timestamp::earliest([
            self.messages.deadline(),
            self.groups.deadline(),
            self.e2e.deadline(),
            self.app_state.deadline(),
            self.history.deadline(),
            self.account.deadline(),
            self.tokens.deadline(),
            self.restrictions.deadline(),
            self.media_retries.deadline(),
        ])
    }

    pub(super) fn tick(&mut self, cx: &mut Context<'_>) {
        self.media_hosts.advance(cx);
        if self.deadline().is_none_or(|deadline| deadline > cx.now) {
            return;
        }
        if self.messages.tick(cx) {
            self.advance(cx, Wake::All);
        }
        self.app_state.tick(cx);
        self.groups.tick(cx);
        self.e2e.tick(cx, || {
            let messages = self.messages.in_use().into_iter();
            messages.chain(self.groups.in_use()).collect()
        });
        self.account.tick(cx);
        self.restrictions.tick(cx);
        self.media_retries.tick(cx);
        // Last: the others may have wanted tokens.
        self.tokens.tick(cx, &mut self.e2e);
        self.go_on_with_history(cx);
        self.media_hosts.advance(cx);
    }
}

/// Whether a member of a group asks for a message that they can't read.
fn is_asked_in_group(receipt: &Node) -> bool {
    receipt.attr_is("type", "retry") && receipt.attr_jid("from").is_some_and(|from| from.is_group())
}

/// Why the server refused a message, if it did: the code of its ack.
fn message_refusal(ack: &Node) -> Option<Refusal> {
    let code = ack.attr_number("error")?;
    ack.attr_is("class", "message").then(|| Refusal::of(code))
}

fn acknowledge(cx: &mut Context<'_>, stanza: &Node, by: AckBy) {
    if by == AckBy::Connection {
        cx.send(ack_for(stanza));
    }
}

fn refuse(cx: &mut Context<'_>, stanza: &Node) {
    tracing::debug!(stanza = stanza.tag(), "unknown stanza refused");
    cx.send(ack_for(stanza).map(|ack| ack.attr("error", UNRECOGNISED_STANZA)));
}

/// The nack for a stanza whose tag we do not know.
const UNRECOGNISED_STANZA: u32 = 488;
