//! Which part of a session takes what: jobs, steps and events of the connection, what is durable, what was read.
//!
//! Owns the parts and lends them their context. A part knows at most those that it is lent; what one input means for
//! several of them is said here.

mod events;

use shared::job::{DryRun, FailureCode, Job, ProfileAction, SessionUpdateJob};
use shared::store::StoreError;
use shared::store::commit::{CommitError, QueueChange};
use shared::store::queues::QueueState;
use tokio::time::Instant;
use whatsapp::command::Command;

use super::adapter::passkey::assertion;
use super::calls::Calls;
use super::chat_actions::ChatActions;
use super::chats::Chats;
use super::commands::{Commands, read_lists};
use super::contacts::Contacts;
use super::context::{Context, Exit, Fetched};
use super::deletion::{Deletion, delete_rows};
use super::dry_run;
use super::groups::Groups;
use super::history::Histories;
use super::link::Link;
use super::linking::Linking;
use super::logout::Logout;
use super::media_retries::MediaRetries;
use super::numbers::Numbers;
use super::pacer::Waiting;
use super::profiles::Profiles;
use super::queues::Change;
use super::reader::Reader;
use super::receipts::Receipts;
use super::recipient::on_accounts;
use super::recorder::After;
use super::restriction::Restrictions;
use super::retry::Retries;
use super::schedules::Schedules;
use super::sends::Sends;
use super::standstill::Standstills;
use super::status::Status;
use super::target::Target;
use super::uploads::Uploads;
use super::written::Written;
use crate::job::pending::{PendingJob, Stage};

/// A session's parts.
pub(super) struct Parts {
    pub(super) cx: Context,
    pub(super) link: Link,
    pub(super) sends: Sends,
    linking: Linking,
    numbers: Numbers,
    groups: Groups,
    profiles: Profiles,
    chats: Chats,
    contacts: Contacts,
    calls: Calls,
    chat_actions: ChatActions,
    media_retries: MediaRetries,
    histories: Histories,
    logout: Logout,
    deletion: Deletion,
    status: Status,
    reader: Reader,
    receipts: Receipts,
    commands: Commands,
    restrictions: Restrictions,
    retries: Retries,
    schedules: Schedules,
    standstills: Standstills,
    uploads: Uploads,
    written: Written,
}

impl Parts {
    /// A session as stored: its queues are read, and it connects if it is to.
    pub(super) fn new(cx: Context, link: Link) -> Self {
        let mut parts = Self {
            sends: Sends::new(&cx),
            restrictions: Restrictions::new(&cx),
            cx,
            link,
            linking: Linking::default(),
            numbers: Numbers::default(),
            groups: Groups::default(),
            profiles: Profiles::default(),
            chats: Chats::default(),
            contacts: Contacts::default(),
            calls: Calls::default(),
            chat_actions: ChatActions::default(),
            media_retries: MediaRetries::default(),
            histories: Histories::default(),
            logout: Logout::default(),
            deletion: Deletion::default(),
            status: Status::default(),
            reader: Reader::default(),
            receipts: Receipts::default(),
            commands: Commands::default(),
            retries: Retries::default(),
            schedules: Schedules::default(),
            standstills: Standstills::default(),
            uploads: Uploads::default(),
            written: Written::default(),
        };
        parts.reader.read_queues(&mut parts.cx);
        if parts.cx.record.wanted {
            parts.link.connect(&mut parts.cx);
        }
        parts
    }

    /// Does all that can be done now; answers why nothing more is sent, and when to look again.
    pub(super) fn work(&mut self) -> (Waiting, Option<Instant>) {
        self.link.tell_what_waits();
        self.commands.advance(&mut self.cx, &self.reader);
        let drain = self.drain();
        let restriction = self.restrictions.advance(&mut self.cx, &self.link);
        self.read_ahead();
        let start = self.start_due();
        let numbers = self.numbers.advance(&mut self.cx, &self.link);
        let transfers = self.uploads.advance(&mut self.cx, &self.link);
        let chat_actions = self.chat_actions.advance(&mut self.cx, &self.link);
        let waiting = self.sends.pump(&mut self.cx, &self.link);
        self.let_go();
        self.status.wait(&self.cx, waiting);
        let look = self.standstills.look(&mut self.cx, &self.sends, waiting);
        self.cx.recorder.launch();
        let wakes = [
            waiting.until(),
            drain,
            restriction,
            start,
            numbers,
            transfers,
            chat_actions,
            self.hand_over(),
            self.sends.held_until(),
            self.deletion.deadline(),
            self.logout.deadline(),
            self.commands.deadline(),
            look,
        ];
        (waiting, wakes.into_iter().flatten().min())
    }

    /// Time has passed.
    pub(super) fn on_tick(&mut self) {
        let released = self.sends.release(self.cx.now());
        released.into_iter().for_each(|after| self.on_durable(after));
        self.deletion.give_up_logout(&mut self.cx, &mut self.link);
        self.logout.give_up(&mut self.cx, &mut self.link);
    }

    pub(super) fn on_job(&mut self, mut job: Box<PendingJob>) {
        if let Stage::Read(_) = job.stage {
            job.count_wait(self.cx.wall());
            return self.on_request(job);
        }
        match job.begin_answer() {
            Stage::Accepted { .. } | Stage::AcceptedBefore(_) if self.deletion.is_under_way() => {
                self.cx.refuse_deleting(job);
            }
            Stage::Accepted { queue, single } => {
                self.cx.tell_accepted(&queue, job);
                let id = queue.id;
                // While the store's queues are being read this one may or may not be among them: it is put in once.
                self.cx.take_in(*queue);
                if let Some((recipient, stanza)) = single {
                    let target = Target {
                        reference: recipient.reference,
                        variables: recipient.variables,
                        ..Target::new(0, recipient.number, Some(stanza))
                    };
                    self.cx.queues.page_at_hand(id, vec![target]);
                }
            }
            Stage::AcceptedBefore(queue) => {
                self.cx.tell_accepted(&queue, job);
                let goes_on = matches!(queue.state, QueueState::Queued | QueueState::Running);
                // The session may never have been given it: if it is not here, the store is asked for it.
                if goes_on && self.cx.queues.get(queue.id).is_none() {
                    self.cx.queues.more_in_store(queue.total);
                }
            }
            Stage::Refused(refusal) => self.cx.tell_refused(job, *refusal),
            Stage::Read(_) | Stage::Answering => {}
        }
    }

    /// A command or a question.
    fn on_request(&mut self, job: Box<PendingJob>) {
        let Some(job) = self.refuse_while_ending(job) else {
            return;
        };
        let Stage::Read(request) = &job.stage else {
            return;
        };
        let cx = &mut self.cx;
        match request {
            Job::Pause(command) | Job::Resume(command) | Job::Delete(command) | Job::Adopt(command) => {
                let queue = command.queue_id;
                self.commands.take(cx, queue, job);
            }
            Job::Pace(command) => {
                let queue = command.queue_id;
                self.commands.take(cx, queue, job);
            }
            Job::SessionStart => {
                cx.want();
                self.link.connect(cx);
                cx.answer_when_durable(job, None);
            }
            Job::SessionStop => {
                cx.stop_wanting();
                self.link.close();
                cx.answer_when_durable(job, None);
            }
            Job::SessionRestart => {
                cx.want();
                self.link.restart(cx);
                cx.answer_when_durable(job, None);
            }
            Job::SessionLogout(_) => self.logout.begin(cx, &mut self.link, job),
            Job::SessionUpdate(settings) => {
                let settings = settings.clone();
                self.update(&settings, job);
            }
            Job::SessionDelete => self.deletion.begin(cx, &mut self.link, job),
            Job::PairingCode(question) => {
                let question = question.clone();
                self.linking.ask_pairing_code(cx, &mut self.link, &question, job);
            }
            Job::PasskeyAnswer(answer) => {
                let assertion = Box::new(assertion(answer));
                self.ask_passkey(|ticket| Command::AnswerPasskey { ticket, assertion }, job);
            }
            Job::PasskeyConfirm => self.ask_passkey(|ticket| Command::ConfirmPasskey { ticket }, job),
            Job::PasskeyCancel => self.ask_passkey(|ticket| Command::CancelPasskey { ticket }, job),
            Job::Retry(_) => self.retries.take(cx, job),
            Job::Schedule(_) | Job::Unschedule(_) => self.schedules.take(cx, job),
            Job::IsExists(_) | Job::LookUp(_) | Job::Block(_) | Job::Unblock(_) => {
                self.numbers.ask(cx, &self.link, job);
            }
            Job::Group(_) => self.groups.ask(cx, &self.link, job),
            Job::Profile(asked) if asked.action == ProfileAction::SetName => self.chat_actions.take(cx, job),
            Job::Profile(_) => self.profiles.ask(&self.link, job),
            Job::RejectCall(_) => self.calls.reject(&self.link, job),
            Job::Chat(_) => self.chat_actions.take(cx, job),
            Job::ForgetChat(_) | Job::ForgetPerson(_) => self.chats.take(cx, job),
            Job::DryRun(run) => dry_run::answer(cx, DryRun::clone(run), job),
            Job::MediaRefresh(_) => self.media_retries.ask(cx, &self.link, job),
            Job::History(_) => self.histories.ask(cx, &self.link, job),
            // Sends are accepted before they come here.
            Job::Send(_) => drop(job),
        }
    }

    fn update(&mut self, settings: &SessionUpdateJob, job: Box<PendingJob>) {
        let cx = &mut self.cx;
        if let Some(presence) = settings.presence {
            cx.set_presence(presence);
            self.link.announce(cx.presence());
        }
        if let Some(proxy) = &settings.proxy
            && let Err(error) = self.link.leave_by(cx, proxy.as_ref())
        {
            return cx.lose(&error);
        }
        if let Some(calls) = settings.calls {
            cx.set_calls(calls);
        }
        cx.answer_when_durable(job, None);
    }

    fn ask_passkey(&mut self, command: impl FnOnce(u64) -> Command, job: Box<PendingJob>) {
        self.linking.ask_passkey(&self.link, command, job);
    }

    /// Refuses what a session that is being deleted or logged out needs for that.
    fn refuse_while_ending(&mut self, job: Box<PendingJob>) -> Option<Box<PendingJob>> {
        let Stage::Read(
            Job::SessionStart
            | Job::SessionStop
            | Job::SessionRestart
            | Job::SessionUpdate(_)
            | Job::SessionLogout(_)
            | Job::PairingCode(_),
        ) = &job.stage
        else {
            return Some(job);
        };
        if self.deletion.is_under_way() {
            self.cx.refuse_deleting(job);
        } else if self.logout.is_under_way() {
            let words = "the session is being logged out";
            self.cx.refuse(job, FailureCode::Conflict, words);
        } else {
            return Some(job);
        }
        None
    }

    /// Walks draining queues on; answers when to look again.
    fn drain(&mut self) -> Option<Instant> {
        if !self.cx.queues.is_any_draining() {
            // Nearly always, and what is in hand is much to look through at each turn.
            return None;
        }
        let again = self.sends.drain(&mut self.cx, &self.link);
        for (queue, change) in self.cx.queues.take_drained() {
            let drained = After::Drained(queue, change);
            if self.cx.recorder.after_all(drained).is_some() {
                read_lists(&mut self.cx, queue, change);
            }
        }
        again
    }

    /// Queues of which all that is left waits in the store leave the memory: there is room for others.
    fn let_go(&mut self) {
        for id in self.cx.queues.take_exhausted() {
            let restriction = self.cx.held();
            if let Some(number) = restriction {
                self.cx.recorder.write.queues.push(QueueChange::Hold(id, number));
            }
            let held = After::Held {
                queue: id,
                total: self.cx.queues.get(id).map_or(0, |queue| queue.total),
                restriction,
            };
            if let Some(held) = self.cx.recorder.after_all(held) {
                self.on_durable(held);
            }
        }
    }

    fn read_ahead(&mut self) {
        if self.link.is_open() {
            self.reader.read_pages(&mut self.cx);
            if !self.commands.is_busy() {
                self.reader.read_more_queues(&mut self.cx);
            }
        }
    }

    /// Takes in queues whose time has come, unless commands are being carried out on what is not in memory.
    fn start_due(&mut self) -> Option<Instant> {
        if self.commands.is_busy() {
            return None;
        }
        self.reader.start_due(&mut self.cx)
    }

    /// Walks a hand-over through its stages; answers when to look again.
    fn hand_over(&mut self) -> Option<Instant> {
        let deadline = self.cx.leaves_by?;
        let is_overdue = self.cx.now() >= deadline;
        let is_busy = !self.sends.is_empty() || self.link.close() || !self.cx.recorder.is_idle();
        if is_busy && !is_overdue {
            return Some(deadline);
        }
        self.cx.end(Exit::HandedOver);
        None
    }

    /// A write is durable, or is not known to be.
    pub(super) fn on_landed(&mut self, landed: Result<Vec<After>, CommitError>) {
        match landed {
            Ok(after) => {
                let now = self.sends.on_landed(&self.cx, after);
                now.into_iter().for_each(|after| self.on_durable(after));
            }
            Err(CommitError::Fenced) => self.cx.end(Exit::Fenced),
            Err(CommitError::Unavailable(why)) => self.cx.end(Exit::Lost(why)),
            Err(CommitError::Refused(why)) => {
                let session = self.cx.record.id;
                tracing::error!(session.id = %session, error = why, "the database refused a session's write; the session is started again");
                self.cx.end(Exit::Lost(why));
            }
        }
    }

    fn on_durable(&mut self, after: After) {
        let cx = &mut self.cx;
        match after {
            // The library that does not wait any more has been dropped on purpose.
            After::Step(done) => drop(done.send(Ok(()))),
            After::Leaves(id) => self.sends.left(&id, cx.now()),
            After::Answer(job, answer) => job.finish(answer),
            After::Drained(queue, change) => read_lists(cx, queue, change),
            After::Stopped(queue) => {
                self.commands.on_stopped(cx, &mut self.reader, queue);
            }
            After::Held {
                queue,
                total,
                restriction,
            } => {
                self.commands.on_stopped(cx, &mut self.reader, queue);
                if restriction.is_none() || restriction != cx.held() {
                    cx.queues.more_in_store(total);
                }
            }
            After::Resumed(queue) => self.commands.on_resumed(cx, queue),
            After::Erase => delete_rows(cx),
        }
    }

    /// The database answered.
    pub(super) fn on_fetched(&mut self, fetched: Fetched) {
        if let Err(error) = self.take_fetched(fetched) {
            self.cx.lose(&error);
        }
    }

    fn take_fetched(&mut self, fetched: Fetched) -> Result<(), StoreError> {
        let cx = &mut self.cx;
        match fetched {
            Fetched::Active(records) => self.reader.on_queues(cx, records?),
            Fetched::Page(queue, held, page) => {
                let targets = page?.into_iter().map(Target::from).collect();
                self.cx.queues.page(queue, targets, held);
            }
            Fetched::Accounts(queue, known) => on_accounts(cx, queue, known?),
            Fetched::Device(Ok(device)) => self.link.on_device(cx, device),
            Fetched::Device(Err(error)) => cx.end(Exit::Lost(error.to_string())),
            Fetched::OfCommand(queue, record) => self.commands.on_queue(cx, queue, record?),
            Fetched::Dropped(dropped) => self.logout.on_dropped(cx, dropped),
            Fetched::Lists(queue, change, lists) => {
                self.commands.on_lists(cx, queue, change, lists?);
                if change == Change::Delete {
                    self.sends.on_deleting(cx, queue);
                }
            }
            Fetched::Retried(retried) => self.retries.on_retried(cx, retried),
            Fetched::Transfer(queue, transferred) => {
                cx.transfers -= 1;
                self.uploads.on_transferred(cx, queue, transferred);
            }
            Fetched::Chat(ticket, found) => self.chat_actions.on_found(cx, &self.link, ticket, found)?,
            Fetched::Forgetting(outcome) => self.chats.on_fetched(cx, &mut self.link, outcome),
            Fetched::Received(ticket, found) => self.media_retries.on_found(&self.link, ticket, found),
            Fetched::Oldest(ticket, found) => self.histories.on_oldest(&self.link, ticket, found),
            Fetched::Moved(ticket, moved) => self.media_retries.on_moved(ticket, moved)?,
            Fetched::Scheduled(outcome) => self.schedules.on_done(cx, outcome),
            Fetched::Told(told) => self.contacts.on_told(cx, told),
            Fetched::Answered => {}
            Fetched::Adopted(queue, adopted) => {
                adopted?;
                self.commands.on_adopted(cx, queue);
            }
            Fetched::Erased(erased) => {
                erased?;
                self.deletion.on_erased(cx);
            }
        }
        Ok(())
    }
}
