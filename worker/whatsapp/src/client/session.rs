//! A session as a handle: calls that are awaited, beside a stream of what happens.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    answers::{AnsweringStore, Answers, PairingRefused, Sent, Waiting},
    clock::Clock,
    run::{Ended, run},
    settings::Settings,
};
use crate::{
    command::{Command, Outgoing, Presence, Recipient},
    connection::CloseReason,
    device::Device,
    event::{Event, Incoming, PasskeyError, QueryError, Registration, SendError},
    message_id::MessageId,
    pairing::passkey::webauthn::Assertion,
    proto::Message,
    store::{KeyStore, RecordKey, SentMessage, StoreError},
    time::Timestamp,
};

/// A running session. Clones are handles to the same one, which ends when the last is dropped.
///
/// Calls wait until they are answered, [`ANSWER_TIMEOUT`] at the longest. **Whoever reads the [`Events`] must not await a
/// call meanwhile**: once the stream is full, the connection waits for it to be read, and the answer with it. Spawn the
/// call, or read in a task of its own.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    commands: mpsc::Sender<Command>,
    answers: Answers,
    tickets: AtomicU64,
    rng: Mutex<StdRng>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// What happens in a session, in order; answers to calls are not among it.
///
/// An event comes after the commit of the state that belongs to it. At most [`EVENTS`] wait here: when they are not read,
/// the connection waits too, and the server keeps what is still to come. Dropping the stream drops all events.
pub struct Events {
    stream: mpsc::Receiver<Event>,
    run: JoinHandle<Result<Ended, StoreError>>,
}

impl Session {
    /// Starts the session of the device in `store` on a task of its own. Without one there it makes one, which asks to be
    /// paired ([`Event::QrCode`]). The store is told of changes, of no events.
    ///
    /// # Errors
    /// The store's, or that it holds something else as a device.
    pub async fn start<S: KeyStore, C: Clock>(
        settings: impl Into<Settings>,
        mut store: S,
        clock: C,
        mut rng: StdRng,
    ) -> Result<(Self, Events), StoreError> {
        let stored = store.load(vec![RecordKey::device()]).await?.pop().flatten();
        let device = match stored {
            Some(bytes) => Device::decode(&bytes).map_err(|_| StoreError::Corrupt { what: "device" })?,
            None => Device::generate(&mut rng),
        };
        let (commands, received) = mpsc::channel(COMMANDS);
        let (sender, stream) = mpsc::channel(EVENTS);
        let answers = Answers::default();
        let store = AnsweringStore {
            inner: store,
            answers: answers.clone(),
            stream: sender,
            sent: VecDeque::new(),
        };
        let own_rng = StdRng::from_rng(&mut rng);
        let own_clock = clock.clone();
        let run = tokio::spawn(run(settings.into(), device, store, received, clock, rng));
        let shared = Shared {
            commands,
            answers,
            tickets: AtomicU64::new(0),
            rng: Mutex::new(own_rng),
            now: Box::new(move || own_clock.set_anew().now()),
        };
        Ok((Self(Arc::new(shared)), Events { stream, run }))
    }

    /// Sends a message and waits until the server has it.
    ///
    /// # Errors
    /// Why it was not sent. To try again after [`SendError::Unconfirmed`] without showing it twice, take
    /// [`Self::send_as`].
    pub async fn send(&self, to: Recipient, message: Message) -> Result<Sent, SendError> {
        self.send_as(self.new_id(), to, message).await
    }

    /// As [`Self::send`], under an id of [`Self::new_id`]. Recipients show an id once, however often it is sent.
    ///
    /// # Errors
    /// As there.
    pub async fn send_as(&self, id: MessageId, to: Recipient, message: Message) -> Result<Sent, SendError> {
        self.hand_over(Outgoing { id, to, message }, Command::Send).await
    }

    /// As [`Self::send`], but only to somebody who has written to us or whose token we hold: for an account that the
    /// server restricts.
    ///
    /// # Errors
    /// As there; [`SendError::NewContact`] if it is somebody else, of whom nothing was asked then.
    pub async fn send_to_known(&self, to: Recipient, message: Message) -> Result<Sent, SendError> {
        let id = self.new_id();
        self.hand_over(Outgoing { id, to, message }, Command::SendToKnown)
            .await
    }

    async fn hand_over(
        &self,
        outgoing: Outgoing,
        command: impl FnOnce(Box<Outgoing>) -> Command,
    ) -> Result<Sent, SendError> {
        let encoded = Bytes::from(outgoing.message.encode_to_vec());
        let sent = outgoing.to.chat().map(|chat| SentMessage {
            chat,
            message: encoded,
        });
        let (sender, answered) = oneshot::channel();
        let note = {
            let id = outgoing.id.clone();
            move |waiting: &mut Waiting| waiting.expect(id, sent, sender)
        };
        if !self.ask(command(Box::new(outgoing)), note).await {
            return Err(SendError::NotConnected);
        }
        answer(answered).await.unwrap_or(Err(SendError::Unconfirmed))
    }

    /// An id that no other message has.
    #[must_use]
    pub fn new_id(&self) -> MessageId {
        let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
        MessageId::generate((self.0.now)().as_secs(), "", &mut *rng)
    }

    /// Asks for a code to pair with instead of the QR code, for the account with this number (digits, with country
    /// code). A later call takes the place of an earlier one.
    ///
    /// # Errors
    /// If the server gives none, or the session ends.
    pub async fn request_pairing_code(&self, phone: &str) -> Result<String, PairingRefused> {
        let (sender, answered) = oneshot::channel();
        let ended = PairingRefused {
            code: CONNECTION_ENDED,
        };
        let command = Command::RequestPairingCode {
            phone: phone.to_owned(),
            custom: None,
        };
        self.ask(command, |waiting| waiting.code = Some(sender)).await;
        answer(answered).await.unwrap_or(Err(ended))
    }

    /// Hands over what the account's passkey signed for [`Event::PasskeyRequested`], and waits until the server has taken
    /// it.
    ///
    /// # Errors
    /// If it is no answer to what was asked, after which another may follow; or if linking came to nothing.
    pub async fn answer_passkey(&self, assertion: Assertion) -> Result<(), PasskeyError> {
        let assertion = Box::new(assertion);
        self.passkey(|ticket| Command::AnswerPasskey { ticket, assertion })
            .await
    }

    /// Says that the phone shows the code of [`Event::PasskeyCode`], and waits until the server has taken what the phone
    /// needs to link.
    ///
    /// # Errors
    /// If there is no code to confirm, or linking came to nothing.
    pub async fn confirm_passkey(&self) -> Result<(), PasskeyError> {
        self.passkey(|ticket| Command::ConfirmPasskey { ticket }).await
    }

    /// Gives up linking with a passkey; a fresh connection shows QR codes again.
    ///
    /// # Errors
    /// If there is nothing to give up any more.
    pub async fn cancel_passkey(&self) -> Result<(), PasskeyError> {
        self.passkey(|ticket| Command::CancelPasskey { ticket }).await
    }

    async fn passkey(&self, command: impl FnOnce(u64) -> Command) -> Result<(), PasskeyError> {
        let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, answered) = oneshot::channel();
        let note = |waiting: &mut Waiting| drop(waiting.passkey.insert(ticket, sender));
        self.ask(command(ticket), note).await;
        answer(answered).await.unwrap_or(Err(PasskeyError::NotExpected))
    }

    /// Asks which numbers (digits, with country code) have an account; answers come in the same order.
    ///
    /// # Errors
    /// If the server does not say.
    pub async fn is_on_whatsapp(&self, numbers: Vec<String>) -> Result<Vec<Registration>, QueryError> {
        let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, answered) = oneshot::channel();
        let command = Command::IsOnWhatsApp { ticket, numbers };
        let note = |waiting: &mut Waiting| drop(waiting.queries.insert(ticket, sender));
        self.ask(command, note).await;
        answer(answered).await.unwrap_or(Err(QueryError::NotConnected))
    }

    /// Tells the sender, and our other devices, that a message was read. Lost if the session is not open.
    pub async fn mark_read(&self, message: &Incoming) {
        let chat = message.chat.clone();
        let sender = chat.is_group().then(|| message.sender.to_bare());
        let ids = vec![message.id.clone()];
        self.command(Command::MarkRead { chat, sender, ids }).await;
    }

    /// Says whether the account is at the keyboard, now and after each login.
    pub async fn set_presence(&self, presence: Presence) {
        self.command(Command::SetPresence(presence)).await;
    }

    /// Unlinks this device from the account, at the next login if there is no connection, and waits for the end.
    pub async fn logout(&self) {
        self.command(Command::Logout).await;
        self.0.commands.closed().await;
    }

    /// Closes the connection and waits for the end. The credentials stay good.
    pub async fn stop(&self) {
        self.command(Command::Stop).await;
        self.0.commands.closed().await;
    }

    /// Notes who awaits the answer of a command and hands it over, at once when there is room: a call that is dropped
    /// before leaves nothing behind. `false` after the end.
    async fn ask(&self, command: Command, note: impl FnOnce(&mut Waiting)) -> bool {
        let Ok(slot) = self.0.commands.reserve().await else {
            return false;
        };
        let is_noted = self.0.answers.note(note);
        slot.send(command);
        is_noted
    }

    /// Hands over a command that has no answer. After the end nobody takes it.
    async fn command(&self, command: Command) {
        let _ = self.0.commands.send(command).await;
    }
}

impl Events {
    /// The next event; `None` after the session's end. Dropping the wait loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.stream.recv().await
    }

    /// Waits for the session's end; events are dropped.
    ///
    /// # Errors
    /// The store's, after which the session can be started again from what is stored.
    pub async fn ended(mut self) -> Result<Ended, StoreError> {
        self.stream.close();
        match self.run.await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Ok(Ended::Stopped(CloseReason::Stopped)),
            },
        }
    }
}

async fn answer<T>(answered: oneshot::Receiver<T>) -> Option<T> {
    timeout(ANSWER_TIMEOUT, answered).await.ok()?.ok()
}

/// Events that wait to be read before the connection waits too.
pub const EVENTS: usize = 64;
/// The longest that a call waits. The core gives up sooner on whatever the server may leave unanswered; this is for
/// streams that nobody reads.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Commands that wait to be taken before a call waits to hand its own over.
const COMMANDS: usize = 64;
/// As in [`Event::PairingCodeRefused`].
const CONNECTION_ENDED: u16 = 428;
