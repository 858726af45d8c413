//! What the connection says, to the parts that it means something to.

use shared::event::NewMessage;
use shared::job::Answer;
use shared::store::chats::labels::LabelChange;
use shared::store::chats::state::StateChange;
use shared::store::chats::{self, change::ChatChange};
use whatsapp::client::Ended;
use whatsapp::event::{Event, Incoming, PasskeyError, Receipt, ReceiptKind};
use whatsapp::reason::CloseReason;
use whatsapp::store::StoreError as LinkError;
use whatsapp::sync_action::SyncActions;

use super::Parts;
use crate::session::adapter::about;
use crate::session::adapter::app_state;
use crate::session::adapter::contacts;
use crate::session::adapter::events::{Member, Peer, status};
use crate::session::adapter::groups;
use crate::session::adapter::keys::Step;
use crate::session::adapter::messages::{is_status, new_message, poll_secret};
use crate::session::adapter::names::wall;
use crate::session::adapter::passkey;
use crate::session::adapter::polls::received_poll;
use crate::session::adapter::profiles;
use crate::session::adapter::received::received;
use crate::session::context::Exit;
use crate::session::history::Histories;
use crate::session::link::Stop;
use crate::session::meter;
use crate::session::recipient::settle_repeat;
use crate::session::recorder::After;
use crate::session::status::Account;

impl Parts {
    /// A step of the connection: its keys and what its events mean become durable together.
    pub(in crate::session) fn on_step(&mut self, step: Step) {
        let Step {
            mut keys,
            events,
            votes,
            done,
        } = step;
        if !done.is_closed() && self.sends.has_given_up(&events) {
            // It must not leave: its queue may be paused by now, and no row would know of it. The connection ends
            // without this step, and begins again from what is stored.
            let why = "a send was given up before it was ready to leave";
            return drop(done.send(Err(LinkError::Unavailable(why.into()))));
        }
        self.cx.recorder.write.keys.append(&mut keys);
        let mut votes = votes.into_iter().peekable();
        for (at, event) in events.into_iter().enumerate() {
            self.on_event(event);
            if let Some((_, vote)) = votes.next_if(|(of, _)| *of == at) {
                self.cx.recorder.event(vote.into_event());
            }
        }
        if let Some(event) = self.written.take() {
            self.cx.recorder.event(event);
        }
        self.cx.recorder.after(After::Step(done));
    }

    fn on_event(&mut self, event: Event) {
        let cx = &mut self.cx;
        match event {
            Event::Connecting => self.status.on_connecting(cx),
            Event::QrCode { text, expires_at } => self.status.on_qr(cx, text, wall(expires_at)),
            Event::PairingCode { code } => {
                self.status.on_code(cx, code.clone());
                self.linking.on_pairing_code(Answer::PairingCode { code });
            }
            Event::PairingCodeRefused { code } => self.linking.on_pairing_code_refused(code),
            Event::PasskeyRequested { .. } | Event::PasskeyCode { .. } | Event::PasskeyStep { .. } => {
                self.on_passkey(event);
            }
            Event::Paired {
                jid,
                lid,
                platform,
                name,
            } => {
                let platform = Some(platform);
                let account = Account {
                    jid,
                    lid,
                    name,
                    platform,
                };
                self.status.on_paired(cx, account);
                for queue in cx.leave_other_accounts() {
                    self.reader.on_stopped(queue);
                }
            }
            Event::Open { jid, lid, push_name } => self.on_open(Account {
                jid,
                lid,
                name: push_name,
                platform: None,
            }),
            Event::Renamed { name } => self.status.on_renamed(cx, name),
            Event::MessagePrepared { id, .. } => self.sends.on_prepared(cx, id),
            Event::MessageAcked { id, to, .. } => {
                self.sends.on_acked(cx, &self.link, &id, &to);
            }
            Event::Restricted { kind, reason, until } => {
                self.restrictions.on_restricted(cx, kind, reason, until.map(wall));
            }
            Event::Unrestricted { kind } => self.restrictions.on_unrestricted(cx, kind),
            Event::RestrictionUnknown { kind } => self.restrictions.on_unknown(cx, kind),
            Event::MessageFailed { id, reason } => {
                self.restrictions.on_send_failed(cx, &reason);
                self.sends.on_failed(cx, &id, &reason);
            }
            Event::Receipt(receipt) => self.on_receipt(&receipt),
            Event::Message(incoming) => self.on_message(*incoming),
            Event::Recalled { .. } | Event::IsOnWhatsApp { .. } | Event::BlockListChanged { .. } => {
                self.numbers.on_event(&self.cx, &self.link, event);
            }
            Event::History(news) => Histories::on_news(cx, *news),
            Event::HistoryAsked { ticket, result } => self.histories.on_asked(ticket, result),
            Event::MediaHosts { ticket, result } => self.uploads.on_hosts(cx, ticket, result),
            Event::SyncActions(actions) => self.on_sync_actions(*actions),
            Event::SyncAnswered { ticket, result } => self.chat_actions.on_answer(cx, ticket, result),
            Event::Call(news) => self.calls.on_news(cx, &self.link, *news),
            Event::CallRejected { ticket, result } => self.calls.on_answer(ticket, result),
            Event::GroupAnswered { ticket, result } => self.groups.on_answer(&self.link, ticket, result),
            Event::ProfileAnswered { ticket, result } => self.profiles.on_answer(ticket, result),
            Event::MediaRetried { ticket, result } => self.media_retries.on_answer(cx, ticket, result),
            Event::VersionExpires { version, at } => cx.around.versions.expires(version, at),
            Event::Closed { reason } => self.on_closed(&reason),
            event => self.tell(event),
        }
    }

    fn on_open(&mut self, account: Account) {
        self.link.on_open();
        self.sends.forget_retry();
        self.status.on_open(&mut self.cx, account);
    }

    /// What is told as it comes.
    fn tell(&mut self, event: Event) {
        let cx = &mut self.cx;
        match event {
            Event::Presence(news) => cx.recorder.event(profiles::presence(&news)),
            Event::ContactChanged(news) => {
                let (event, kept) = contacts::changed(*news, cx.record.token.clone());
                cx.recorder.write.people.extend(kept);
                cx.recorder.event(event);
            }
            Event::GroupChanged(news) => {
                let owner = cx.record.owner.as_ref();
                let gone = owner.and_then(|owner| groups::gone(&news, owner));
                for event in [Some(groups::event(*news)), gone].into_iter().flatten() {
                    cx.recorder.event(event);
                }
            }
            event => self.note(&event),
        }
    }

    fn on_message(&mut self, incoming: Incoming) {
        let Some(mut message) = new_message(&incoming) else {
            return;
        };
        let (cx, is_status) = (&mut self.cx, is_status(&incoming));
        meter::received();
        let files = cx.around.files.kept_for();
        let file = files.and_then(|keep| received(&incoming, cx.wall(), keep));
        let poll = files.and_then(|keep| received_poll(&incoming, cx.wall(), keep));
        cx.recorder.write.received.extend(file);
        cx.recorder.write.polls.extend(poll);
        let owner = cx.record.owner.as_ref();
        let others = about::events(&incoming, &message, owner);
        about::turn_key(&mut message, &incoming, owner);
        if let Some(author) = ChatChange::author(&message).filter(|_| !is_status) {
            let name = message.header.push_name.as_deref();
            self.contacts.on_message(cx, author, name);
        }
        match (is_status, incoming.message.protocol_message.is_some()) {
            (false, _) => {
                self.keep(&incoming, &message);
                self.written.note(&message);
                let told = shared::event::Event::NewMessage(Box::new(message));
                self.cx.recorder.event(told);
            }
            // That one was deleted is told by that alone.
            (true, true) => {}
            (true, false) => {
                let told = shared::event::Event::StatusBroadcast(Box::new(message));
                self.cx.recorder.event(told);
            }
        }
        for event in others {
            self.cx.recorder.event(event);
        }
    }

    /// Keeps a message with its chat, if messages are kept.
    fn keep(&mut self, incoming: &Incoming, message: &NewMessage) {
        let now = self.cx.wall();
        let Some(most) = self.cx.around.keep_bytes else {
            return;
        };
        let mut kept = ChatChange::of(message, now, most);
        if let Some(ChatChange::Arrived(arrival)) = &mut kept {
            arrival.secret = poll_secret(incoming);
        }
        self.cx.recorder.write.chats.extend(kept);
    }

    /// What devices of the account did to chats, contacts and labels is kept with what is told of it.
    fn on_sync_actions(&mut self, actions: SyncActions) {
        let cx = &mut self.cx;
        let token = cx.record.token.clone();
        let told = app_state::told(actions, &token, cx.wall());
        if cx.around.keep_bytes.is_some() {
            let changes = told.changes.into_iter().filter(StateChange::is_storable);
            cx.recorder.write.states.extend(changes);
            let labels = told.labels.into_iter().filter_map(LabelChange::storable);
            cx.recorder.write.labels.extend(labels);
        }
        for event in told.events {
            cx.recorder.event(event);
        }
    }

    fn on_closed(&mut self, reason: &CloseReason) {
        let cx = &mut self.cx;
        self.link.on_closed();
        self.sends.on_disconnected(cx);
        self.restrictions.on_disconnected();
        self.uploads.on_disconnected();
        self.status.on_closed(cx, reason);
        if cx.record.paired_at.is_none() {
            // It was the account's.
            self.restrictions.lift(cx);
        }
    }

    /// The account that links must prove itself with a passkey.
    fn on_passkey(&mut self, event: Event) {
        let cx = &mut self.cx;
        match event {
            Event::PasskeyRequested { options, deadline } => {
                self.status.on_passkey(cx, passkey::requested(&options, deadline));
            }
            Event::PasskeyCode {
                code,
                comparison,
                deadline,
            } => self
                .status
                .on_passkey(cx, passkey::code(code, comparison, deadline)),
            Event::PasskeyStep { ticket, step, result } => {
                match (&result, passkey::taken(step)) {
                    (Ok(()), Some(stage)) => self.status.on_passkey(cx, stage),
                    (Err(PasskeyError::BadAssertion { .. }), _) => meter::passkey_refused(),
                    _ => {}
                }
                self.linking.on_passkey_step(ticket, result);
            }
            _ => {}
        }
    }

    /// What is counted, and changes nothing here.
    fn note(&mut self, event: &Event) {
        let session = self.cx.record.id;
        match event {
            Event::DeviceRefused { reason, .. } => {
                meter::device_refused(reason.as_str());
                tracing::debug!(session.id = %session, %reason, "a device is left out");
            }
            Event::IdentityChanged {
                device,
                other,
                source,
            } => {
                let told = contacts::identity(device, other.as_ref(), *source);
                self.cx.recorder.event(told);
                meter::identity_changed();
                tracing::debug!(session.id = %session, "a contact's device has another identity");
            }
            // The library's line says why.
            Event::SyncRefused { collection } => meter::app_state_refused(collection),
            Event::ResendFailed { reason, .. } => {
                meter::resend_failed();
                tracing::debug!(session.id = %session, %reason, "a message could not be sent again to a device");
            }
            _ => {}
        }
    }

    fn on_receipt(&mut self, receipt: &Receipt) {
        let chat = Peer::called(&receipt.chat, receipt.other.as_ref());
        let Some(status) = status(receipt.kind) else {
            return self.on_own_receipt(receipt, chat);
        };
        let of_group = receipt.chat.is_group();
        let member = of_group.then(|| Member::new(&receipt.from, receipt.from_other.as_ref()));
        for id in &receipt.ids {
            // A receipt says as much as the server's answer, which may come behind it.
            if self.sends.awaits_answer(id) {
                self.sends.on_acked(&mut self.cx, &self.link, id, &receipt.chat);
            } else {
                settle_repeat(&mut self.cx, id);
            }
            self.receipts
                .on_status(&mut self.cx, id, &chat, member.as_ref(), status);
        }
    }

    /// Another device of the account has read what others wrote.
    fn on_own_receipt(&mut self, receipt: &Receipt, chat: Peer) {
        if receipt.kind != ReceiptKind::ReadSelf {
            return;
        }
        for id in &receipt.ids {
            self.receipts.on_read_here(&mut self.cx, id, &chat);
        }
        if self.cx.around.keep_bytes.is_some() {
            let lid = chat.lid.filter(|lid| *lid != chat.wuid);
            let peer = chats::change::Peer { jid: chat.wuid, lid };
            self.cx.recorder.write.chats.push(ChatChange::Read(peer));
        }
    }

    /// The client came to its end, by itself or because it was told to.
    pub(in crate::session) fn on_ended(&mut self, ended: Result<Ended, LinkError>) {
        let stop = self.link.on_ended();
        self.sends.on_disconnected(&mut self.cx);
        self.linking.on_disconnected();
        self.numbers.on_disconnected();
        self.groups.on_disconnected();
        self.profiles.on_disconnected();
        self.chat_actions.on_disconnected();
        self.media_retries.on_disconnected();
        self.calls.on_disconnected();
        self.histories.on_disconnected();
        self.logout
            .on_ended(&mut self.cx, &mut self.link, ended.as_ref().ok());
        match ended {
            Ok(_) if self.deletion.is_under_way() => self.deletion.erase(&mut self.cx),
            Ok(Ended::LoggedOut(_)) => {}
            // It was stopped and meanwhile wanted again.
            Ok(Ended::Stopped(_)) if stop != Stop::No && self.cx.record.wanted => {
                self.link.connect(&mut self.cx);
            }
            Ok(Ended::Stopped(reason)) => {
                tracing::info!(session.id = %self.cx.record.id, %reason, "session stopped");
            }
            Err(LinkError::Fenced) => self.cx.end(Exit::Fenced),
            Err(error) => self.cx.end(Exit::Lost(error.to_string())),
        }
        self.chats.go_on(&mut self.cx);
        self.linking.go_on(&mut self.cx, &mut self.link);
    }
}
