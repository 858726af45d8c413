//! The connection of a session: when it is there, what it is asked, how it ends.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::shard::lease::Lease;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::event::{ConnectionState, Event};
use shared::job::{Answer, FailureCode, Job};
use shared::recipient::NumberKind;
use shared::store::sessions::SessionState;
use tokio::sync::mpsc;
use tokio::time::Instant;
use whatsapp::client::{self, Ended, SystemClock};
use whatsapp::command::Command;
use whatsapp::device::Device;
use whatsapp::event::{QueryError, Registration};
use whatsapp::store::StoreError;

use super::super::errand::{Errand, Reply};
use super::super::gather::After;
use super::super::keys::{self, Keys};
use super::super::meter::{self, JobOutcome};
use super::{Actor, Exit, Fetched};

/// The running client of a session, and who waits for what of it.
#[derive(Default)]
pub(super) struct Link {
    client: Option<Client>,
    /// The credentials are being read, to connect.
    starting: bool,
    open: bool,
    stop: Stop,
    tickets: u64,
    asks: HashMap<u64, Reply>,
    pairing: Option<Reply>,
    /// The session is to be deleted: who asked, and when waiting for the logout ends.
    deleting: Option<(Vec<Errand>, Instant)>,
    erasing: bool,
}

/// Whether the connection is to end, so that nothing more is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stop {
    #[default]
    No,
    /// It has too much to do to be told.
    Wanted,
    Told,
}

type Run = Pin<Box<dyn Future<Output = Result<Ended, StoreError>> + Send>>;

struct Client {
    commands: mpsc::Sender<Command>,
    run: Run,
}

impl Link {
    /// Whether messages can be sent. A session that is being deleted sends none while its logout waits for an answer.
    pub(super) fn is_open(&self) -> bool {
        self.open && self.stop == Stop::No && self.deleting.is_none()
    }

    /// Asks something of the connection; false if there is none, or it has too much to do.
    pub(super) fn tell(&self, command: Command) -> bool {
        self.client
            .as_ref()
            .is_some_and(|client| client.commands.try_send(command).is_ok())
    }

    /// Runs the client to its end; for ever if there is none. Dropping the wait loses nothing.
    ///
    /// The lease is looked at right before each turn of the client: a worker that was stopped in the middle of
    /// something and wakes up when its shard is another's sends nothing of what it was about to send.
    pub(super) async fn ended(&mut self, lease: &Lease) -> Result<Ended, StoreError> {
        let Some(client) = &mut self.client else {
            return std::future::pending().await;
        };
        poll_fn(|cx| match lease.is_live(Instant::now()) {
            true => client.run.as_mut().poll(cx),
            false => Poll::Ready(Err(StoreError::Fenced)),
        })
        .await
    }

    /// Disconnects; answers whether there is still something to wait for.
    pub(super) fn close(&mut self) -> bool {
        self.starting = false;
        if self.client.is_some() && self.stop != Stop::Told {
            self.stop = match self.tell(Command::Stop) {
                true => Stop::Told,
                false => Stop::Wanted,
            };
        }
        self.client.is_some()
    }

    /// Disconnects, if that was wanted and could not be told yet.
    pub(super) fn close_if_wanted(&mut self) {
        if self.stop == Stop::Wanted {
            self.close();
        }
    }

    /// Whether the session is to be deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.deleting.is_some()
    }

    /// When waiting for a logout ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deleting
            .as_ref()
            .filter(|_| !self.erasing)
            .map(|(_, until)| *until)
    }
}

impl Actor {
    /// A command or a question.
    pub(super) fn on_errand(&mut self, errand: Box<Errand>) {
        if self.link.deleting.is_some() && needs_a_session(&errand.job) {
            return self.refuse_deleting(errand);
        }
        match &errand.job {
            Job::Pause(_) | Job::Resume(_) | Job::Delete(_) => self.order(errand),
            Job::SessionStart => {
                self.want(true);
                self.connect();
                self.answer_when_durable(errand);
            }
            Job::SessionStop => {
                self.want(false);
                self.link.close();
                self.answer_when_durable(errand);
            }
            Job::SessionDelete => self.delete(errand),
            Job::PairingCode(job) => {
                let phone = job.phone.user().to_owned();
                self.pair_by_code(errand, phone);
            }
            Job::IsExists(job) => {
                let number = (job.number.kind() == NumberKind::Phone).then(|| job.number.user().to_owned());
                self.ask_exists(errand, number);
            }
            // Sends are accepted before they come here.
            Job::Send(_) => drop(errand),
        }
    }

    fn want(&mut self, wanted: bool) {
        if self.record.wanted != wanted {
            self.record.wanted = wanted;
            self.gather.write().session_row().wanted = Some(wanted);
        }
    }

    fn answer_when_durable(&mut self, errand: Box<Errand>) {
        meter::job(errand.job.kind(), JobOutcome::Done);
        self.gather
            .after(After::Answer(errand, Answer::Done { queue_id: None }));
    }

    /// Connects, unless that is done or under way.
    pub(super) fn connect(&mut self) {
        if self.link.client.is_some() || self.link.starting || self.is_leaving() {
            return;
        }
        self.link.starting = true;
        let (store, session) = (self.around.store.clone(), self.record.id);
        self.fetch(async move { Fetched::Device(keys::device(&store, session).await) });
    }

    /// The credentials are read: run the client with them, or pair a new device.
    pub(super) fn open_link(&mut self, device: Option<Box<Device>>) {
        if !std::mem::take(&mut self.link.starting) || self.link.client.is_some() {
            return;
        }
        let device = device.map_or_else(|| Device::generate(&mut self.rng), |device| *device);
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let keys = Keys {
            store: self.around.store.clone(),
            session: self.record.id,
            steps: self.steps.0.clone(),
        };
        let config = Arc::clone(&self.around.whatsapp);
        let rng = StdRng::from_rng(&mut self.rng);
        let run = Box::pin(client::run(
            config,
            device,
            keys,
            receiver,
            SystemClock::new(),
            rng,
        ));
        self.link.client = Some(Client { commands, run });
        self.link.stop = Stop::No;
        if self.link.deleting.is_some() {
            self.link.tell(Command::Logout);
        }
    }

    /// The client came to its end, by itself or because it was told to.
    pub(super) fn on_ended(&mut self, ended: Result<Ended, StoreError>) {
        let was_closing = std::mem::take(&mut self.link.stop) != Stop::No;
        self.link.client = None;
        self.link.open = false;
        self.on_disconnected();
        self.fail_questions();
        match ended {
            Ok(_) if self.link.deleting.is_some() => self.erase(),
            Ok(Ended::LoggedOut(_)) => {}
            // It was stopped and meanwhile wanted again.
            Ok(Ended::Stopped(_)) if was_closing && self.record.wanted => self.connect(),
            Ok(Ended::Stopped(reason)) => {
                tracing::info!(session.id = %self.record.id, %reason, "session stopped");
            }
            Err(StoreError::Fenced) => self.exit = Some(Exit::Fenced),
            Err(error) => self.exit = Some(Exit::Lost(error.to_string())),
        }
    }

    fn fail_questions(&mut self) {
        let asks = std::mem::take(&mut self.link.asks).into_values();
        for reply in asks.chain(self.link.pairing.take()) {
            reply.send(not_connected());
        }
    }

    fn ask_exists(&mut self, errand: Box<Errand>, number: Option<String>) {
        // A question is worth nothing after a restart: its delivery is settled at once.
        let reply = errand.reply_later();
        let failure = |code, message: &str| Answer::Failed {
            code,
            message: message.to_owned(),
        };
        let Some(number) = number else {
            let answer = failure(FailureCode::InvalidJob, "only phone numbers can be asked for");
            return reply.send(answer);
        };
        if !self.link.is_open() {
            return reply.send(not_connected());
        }
        let ticket = self.link.tickets;
        let ask = Command::IsOnWhatsApp {
            ticket,
            numbers: vec![number],
        };
        if self.link.asks.len() >= ASKS_MAX || !self.link.tell(ask) {
            let answer = failure(FailureCode::Internal, "too many questions are open");
            return reply.send(answer);
        }
        self.link.tickets += 1;
        self.link.asks.insert(ticket, reply);
    }

    pub(super) fn on_exists(&mut self, ticket: u64, result: Result<Vec<Registration>, QueryError>) {
        let Some(reply) = self.link.asks.remove(&ticket) else {
            return;
        };
        let answer = match result.map(|mut found| found.pop()) {
            Ok(found) => {
                let (jid, lid) = found.map_or((None, None), |found| (found.jid, found.lid));
                Answer::IsExists {
                    exists: jid.is_some(),
                    jid: jid.map(|jid| jid.to_bare().to_string()),
                    lid: lid.map(|lid| lid.to_bare().to_string()),
                }
            }
            Err(error) => Answer::Failed {
                code: match error {
                    QueryError::TimedOut => FailureCode::Timeout,
                    QueryError::Refused { .. } => FailureCode::Refused,
                    QueryError::NotConnected => FailureCode::NotConnected,
                    QueryError::Malformed | QueryError::Busy => FailureCode::Internal,
                },
                message: error.to_string(),
            },
        };
        reply.send(answer);
    }

    fn pair_by_code(&mut self, errand: Box<Errand>, phone: String) {
        let reply = errand.reply_later();
        if self.record.paired_at.is_some() {
            let message = "the session is paired already".to_owned();
            return reply.send(Answer::Failed {
                code: FailureCode::Conflict,
                message,
            });
        }
        if self.is_leaving() {
            return reply.send(not_connected());
        }
        if self.link.client.is_none() {
            self.want(true);
            // There are no credentials: a new device is paired at once.
            self.link.starting = true;
            self.open_link(None);
        }
        let told = self
            .link
            .tell(Command::RequestPairingCode { phone, custom: None });
        let failed = |message: &str| Answer::Failed {
            code: FailureCode::Internal,
            message: message.to_owned(),
        };
        if !told {
            return reply.send(failed("the connection is busy"));
        }
        if let Some(earlier) = self.link.pairing.replace(reply) {
            earlier.send(failed("another code was asked for"));
        }
    }

    pub(super) fn on_pairing_code(&mut self, answer: Answer) {
        if let Some(reply) = self.link.pairing.take() {
            reply.send(answer);
        }
    }

    fn delete(&mut self, errand: Box<Errand>) {
        if let Some((errands, _)) = &mut self.link.deleting {
            // It waits for the same end.
            if errands.len() < DELETES_MAX {
                return errands.push(*errand);
            }
            return self.refuse_deleting(errand);
        }
        self.link.deleting = Some((vec![*errand], Instant::now() + LOGOUT_WAIT));
        self.gather.write().session_row().deleting = true;
        if self.link.client.is_some() {
            self.link.tell(Command::Logout);
        } else if self.record.paired_at.is_some() {
            self.connect();
        } else {
            self.erase();
        }
    }

    /// Nobody answers the logout: the session goes all the same.
    pub(super) fn give_up_logout(&mut self, now: Instant) {
        if self.link.deadline().is_some_and(|until| until <= now) {
            self.link.client = None;
            self.link.starting = false;
            self.erase();
        }
    }

    fn erase(&mut self) {
        self.link.erasing = true;
        let wall = self.wall();
        let (token, id) = (self.record.token.clone(), self.record.id);
        if self.record.state != SessionState::LoggedOut {
            self.gather
                .event(Event::connection(token, id, ConnectionState::Close, 401), wall);
        }
        if let Some(after) = self.gather.after_all(After::Erase) {
            self.on_durable(after);
        }
    }

    pub(super) fn delete_rows(&mut self) {
        let (store, fence, session) = (self.around.store.clone(), self.lease.fence(), self.record.id);
        self.fetch(
            async move { Fetched::Erased(shared::store::sessions::delete(&store, fence, session).await) },
        );
    }

    pub(super) fn on_erased(&mut self) {
        let errands = self
            .link
            .deleting
            .take()
            .map_or_else(Vec::new, |(errands, _)| errands);
        for errand in errands {
            meter::job(errand.job.kind(), JobOutcome::Done);
            errand.finish(Answer::Done { queue_id: None });
        }
        self.exit = Some(Exit::Deleted);
    }

    pub(super) fn set_open(&mut self, open: bool) {
        self.link.open = open;
    }
}

/// Whether a job asks something of a connection that a session which is being deleted needs for its logout.
fn needs_a_session(job: &Job) -> bool {
    matches!(job, Job::SessionStart | Job::SessionStop | Job::PairingCode(_))
}

fn not_connected() -> Answer {
    Answer::Failed {
        code: FailureCode::NotConnected,
        message: "the session is not connected".to_owned(),
    }
}

/// Commands that wait for the client; more than the sends in hand and the questions can be.
const COMMANDS_MAX: usize = 320;
/// Questions of one session without an answer.
const ASKS_MAX: usize = 32;
/// Requests to delete a session that wait for the same end.
const DELETES_MAX: usize = 8;
/// How long deleting a session waits for WhatsApp to take the logout.
const LOGOUT_WAIT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    /// Also one that connects only to log out: its queues must not go on meanwhile.
    #[tokio::test]
    async fn a_session_that_is_being_deleted_or_stopped_takes_no_messages() {
        let open = || Link {
            open: true,
            ..Link::default()
        };
        assert!(open().is_open());
        let deleting = Link {
            deleting: Some((Vec::new(), Instant::now())),
            ..open()
        };
        assert!(!deleting.is_open());
        for stop in [Stop::Wanted, Stop::Told] {
            assert!(!Link { stop, ..open() }.is_open(), "{stop:?}");
        }
    }
}
