//! The connection of a session: when it is there, what it is told, how it ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::clock::Clock;
use shared::proxy::ProxyUrl;
use tokio::sync::mpsc;
use tracing::Span;
use whatsapp::client::{self, Ended};
use whatsapp::command::{Command, Presence};
use whatsapp::device::Device;
use whatsapp::store::StoreError;

use super::adapter::clock::ConnectionClock;
use super::adapter::keys::{self, Keys, Step};
use super::adapter::misbehaviour::Noted;
use super::context::{Context, Exit, Fetched};
use super::way;
use crate::lease::Lease;

/// The running client of a session.
pub(super) struct Link {
    steps: mpsc::Sender<Box<Step>>,
    client: Option<Client>,
    /// The credentials are being read, to connect.
    is_starting: bool,
    /// Nothing is to connect for now.
    is_held: bool,
    is_open: bool,
    /// It is to log out: it connects for that alone, if need be.
    logs_out: bool,
    /// What it is to say of itself and was not told yet.
    presence: Option<Presence>,
    stop: Stop,
}

/// Whether the connection is to end, so that nothing more is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
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
    /// Which session it is: what the library logs does not say so by itself.
    span: Span,
}

impl Link {
    /// Not connected; what a connection commits comes out of the channel, a step at a time.
    pub(super) fn new() -> (Self, mpsc::Receiver<Box<Step>>) {
        let (steps, committed) = mpsc::channel(1);
        let link = Self {
            steps,
            client: None,
            is_starting: false,
            is_held: false,
            is_open: false,
            logs_out: false,
            presence: None,
            stop: Stop::No,
        };
        (link, committed)
    }

    /// Whether messages can be sent. A session that is being deleted sends none while its logout waits for an answer.
    pub(super) fn is_open(&self) -> bool {
        self.is_open && self.stop == Stop::No && !self.logs_out
    }

    /// Whether there is a client, connected or not.
    pub(super) fn is_running(&self) -> bool {
        self.client.is_some()
    }

    /// It is logged in.
    pub(super) fn on_open(&mut self) {
        self.is_open = true;
    }

    /// It is not connected any more.
    pub(super) fn on_closed(&mut self) {
        self.is_open = false;
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
    pub(super) async fn ended(&mut self, lease: &Lease, clock: Clock) -> Result<Ended, StoreError> {
        let Some(client) = &mut self.client else {
            return std::future::pending().await;
        };
        poll_fn(|cx| match lease.is_live(clock.now()) {
            true => client.span.in_scope(|| client.run.as_mut().poll(cx)),
            false => Poll::Ready(Err(StoreError::Fenced)),
        })
        .await
    }

    /// Connects, unless that is done or under way.
    pub(super) fn connect(&mut self, cx: &mut Context) {
        if self.client.is_some() || self.is_starting || self.is_held || cx.is_leaving() {
            return;
        }
        self.is_starting = true;
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        cx.fetch(async move { Fetched::Device(keys::device(&store, session).await) });
    }

    /// Nothing connects until [`Self::release`]: what a connection would read is about to change.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// It may connect again, and does if it is to.
    pub(super) fn release(&mut self, cx: &mut Context) {
        if std::mem::take(&mut self.is_held) && cx.record.wanted {
            self.connect(cx);
        }
    }

    /// The credentials are read: runs the client with them, or pairs a new device.
    pub(super) fn on_device(&mut self, cx: &mut Context, device: Option<Box<Device>>) {
        if !std::mem::take(&mut self.is_starting) || self.client.is_some() {
            return;
        }
        let device = device.map(|device| *device);
        self.start(cx, device);
    }

    /// There are no credentials: pairs a new device at once.
    pub(super) fn pair(&mut self, cx: &mut Context) {
        if self.client.is_none() && !self.is_held {
            self.is_starting = false;
            self.start(cx, None);
        }
    }

    fn start(&mut self, cx: &mut Context, device: Option<Device>) {
        let own_way = match way::own(cx) {
            Ok(own_way) => own_way,
            Err(error) => return cx.end(Exit::Lost(error.to_string())),
        };
        let device = device.unwrap_or_else(|| Device::generate(&mut cx.rng));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let keys = Keys {
            store: cx.around.store.clone(),
            session: cx.record.id,
            keeps_messages: cx.around.keep_bytes.is_some(),
            noted: Noted::default(),
            clock: cx.around.clock,
            steps: self.steps.clone(),
        };
        let settings = cx.around.versions.settings().through(own_way);
        let clock = ConnectionClock::new(cx.around.clock);
        let rng = StdRng::from_rng(&mut cx.rng);
        let run = Box::pin(client::run(settings, device, keys, receiver, clock, rng));
        // Of the highest level, so that no filter leaves it out.
        let span = tracing::error_span!("session", session.id = %cx.record.id);
        self.client = Some(Client { commands, run, span });
        self.stop = Stop::No;
        if cx.record.presence.is_some() {
            self.announce(cx.presence());
        }
        if self.logs_out {
            self.tell(Command::Logout);
        }
    }

    /// Says this of itself from now on. One that is not there begins with what is set then.
    pub(super) fn announce(&mut self, presence: Presence) {
        let is_told = self.client.is_none() || self.tell(Command::SetPresence(presence));
        self.presence = (!is_told).then_some(presence);
    }

    /// Logs out, connecting for it if need be; false if there is nobody to log out.
    pub(super) fn log_out(&mut self, cx: &mut Context) -> bool {
        self.logs_out = true;
        if self.client.is_some() {
            self.tell(Command::Logout);
        } else if cx.record.paired_at.is_some() {
            self.connect(cx);
        } else {
            return false;
        }
        true
    }

    /// It is not to log out any more: it has, or nobody answered.
    pub(super) fn forget_logout(&mut self) {
        self.logs_out = false;
    }

    /// Ends the connection, if there is one, and connects anew.
    pub(super) fn restart(&mut self, cx: &mut Context) {
        if !self.close() {
            self.connect(cx);
        }
    }

    /// Leaves by this proxy of its own from now on, or as the deployment does: connects anew if that is another way.
    ///
    /// # Errors
    /// [`shared::store::StoreError`] where the proxy can't be sealed.
    pub(super) fn leave_by(
        &mut self,
        cx: &mut Context,
        proxy: Option<&ProxyUrl>,
    ) -> Result<(), shared::store::StoreError> {
        if way::set(cx, proxy)? && self.client.is_some() {
            self.close();
        }
        Ok(())
    }

    /// Whether the connection is about to end.
    pub(super) fn is_closing(&self) -> bool {
        self.client.is_some() && self.stop != Stop::No
    }

    /// Disconnects; answers whether there is still something to wait for.
    pub(super) fn close(&mut self) -> bool {
        self.is_starting = false;
        if self.client.is_some() && self.stop != Stop::Told {
            self.stop = match self.tell(Command::Stop) {
                true => Stop::Told,
                false => Stop::Wanted,
            };
        }
        self.client.is_some()
    }

    /// Tells the client what it had too much to do to be told.
    pub(super) fn tell_what_waits(&mut self) {
        if let Some(presence) = self.presence.take() {
            self.announce(presence);
        }
        if self.stop == Stop::Wanted {
            self.close();
        }
    }

    /// Drops the client, whatever it is at.
    pub(super) fn cut(&mut self) {
        self.client = None;
        self.is_starting = false;
    }

    /// The client came to its end; answers whether that was wanted.
    pub(super) fn on_ended(&mut self) -> Stop {
        self.client = None;
        self.is_open = false;
        std::mem::take(&mut self.stop)
    }
}

/// Commands that wait for the client; more than the sends in hand and the questions can be.
const COMMANDS_MAX: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    /// Also one that connects only to log out: its queues must not go on meanwhile.
    #[tokio::test]
    async fn a_session_that_is_being_deleted_or_stopped_takes_no_messages() {
        let open = || Link {
            is_open: true,
            ..Link::new().0
        };
        assert!(open().is_open());
        let deleting = Link {
            logs_out: true,
            ..open()
        };
        assert!(!deleting.is_open());
        for stop in [Stop::Wanted, Stop::Told] {
            assert!(!Link { stop, ..open() }.is_open(), "{stop:?}");
        }
    }
}
