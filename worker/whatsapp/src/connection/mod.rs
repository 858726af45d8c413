//! One socket's life without the socket: bytes, commands and the time in; [`Step`]s out.
//!
//! Owns the handshake, pairing, login, keep-alive and the end of a connection: `AwaitServerHello` → `AwaitPairing` or
//! `AwaitSuccess` → `Online` → closed; and, once online, the table of which part takes what. What parts do is theirs;
//! sockets, tasks and time-outs of the operating system are [`crate::client`]'s.
//!
//! A [`Connection`] never fails: whatever a peer sends ends in a typed [`CloseReason`] of this one connection.

mod await_pairing;
mod calls;
mod contacts;
mod core;
mod handshake;
mod keepalive;
mod link_code;
mod media_hosts;
mod media_retries;
mod online;
mod passkey;
mod presences;
mod stream;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;

use self::{
    await_pairing::AwaitPairing,
    core::{CONNECTION_LOST, Core, refuse, refuse_code},
    handshake::AwaitServerHello,
    keepalive::KeepAlive,
    table::Parts,
};
pub use crate::part::{
    Config, Download, DownloadError, Fetch, Limits, Listing, Step, Timing, WHATSAPP_MEDIA_URL,
    WHATSAPP_ORIGIN, WHATSAPP_ROOT_KEY, WHATSAPP_URL,
};
use crate::{
    binary::Node,
    command::Command,
    device::Device,
    event::{Event, QueryError},
    part::{self, Answer, Downloaded, Ticket},
    store::RecordKey,
    time::Timestamp,
};
pub use crate::{
    reason::{CloseReason, Next},
    unpacking::{Unpacked, Unpacking},
    version::ClientVersion,
};

/// One connection, from the ClientHello to its end.
pub struct Connection {
    core: Core,
    state: State,
    /// `Closed` was told.
    is_over: bool,
    /// Frames were left unread because too much had gathered.
    is_stalled: bool,
    /// When the last input came.
    now: Timestamp,
}

/// What may happen to a connection.
#[derive(Debug)]
pub enum Input {
    /// Bytes came from the socket, cut anywhere.
    Bytes(Bytes),
    /// The owner asks for something.
    Command(Command),
    /// The store's answer to the oldest unanswered [`Connection::take_load`].
    Loaded(Vec<Option<Bytes>>),
    /// The store's answer to [`Connection::take_listing`], in the order of the names.
    Listed(Vec<Vec<u8>>),
    /// What became of the oldest unanswered [`Connection::take_download`]: what the file says, checked.
    Downloaded(Result<Bytes, DownloadError>),
    /// What became of the last [`Connection::take_unpacking`].
    Unpacked(Unpacked),
    /// The step taken last is durable.
    Committed,
    /// Time passed; due when [`Connection::deadline`] is reached, harmless otherwise.
    Tick,
    /// The socket is gone.
    SocketClosed,
}

impl Connection {
    /// Begins the handshake: the first step holds the ClientHello. `device` decides between pairing and login.
    pub fn new(config: Arc<Config>, device: Device, rng: StdRng, now: Timestamp) -> Self {
        let mut core = Core::new(config, device, rng);
        let state = State::AwaitServerHello(AwaitServerHello::start(&mut core, now));
        Self {
            core,
            state,
            is_over: false,
            is_stalled: false,
            now,
        }
    }

    /// Takes in one input. Never fails: what goes wrong becomes events and the end of the connection.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        self.now = now;
        if self.is_closed() {
            if let Input::Command(command) = input {
                refuse(&mut self.core.context(now), command);
            }
            return;
        }
        match input {
            Input::Bytes(bytes) => {
                self.core.hear(bytes);
                self.read(now);
            }
            Input::Command(command) => self.command(command, now),
            Input::Loaded(values) => self.loaded(values, now),
            Input::Listed(names) => self.listed(names, now),
            Input::Downloaded(file) => self.downloaded(file, now),
            Input::Unpacked(unpacked) => self.unpacked(unpacked, now),
            Input::Committed => {
                if let State::Online(parts) = &mut self.state {
                    parts.on_committed();
                }
            }
            Input::Tick => self.read(now),
            Input::SocketClosed => {
                let said = self.core.last_words();
                self.core.close(said.unwrap_or(CloseReason::SocketClosed));
            }
        }
        self.tick(now);
        self.close_if_over(now);
    }

    /// What has gathered since the last call, if anything. See [`Step`] for what to do with it.
    pub fn take_step(&mut self) -> Option<Step> {
        if let State::Online(parts) = &self.state {
            parts.before_step(&mut self.core.context(self.now));
        }
        let mut step = self.core.take_step()?;
        if let Some(reason) = step.close.clone().filter(|_| !self.is_over) {
            // Sealing failed: a stanza of ours fits no frame, or the cipher is used up.
            self.core.close(reason);
            self.close_if_over(self.now);
            step.events
                .extend(mem::take(&mut self.core.effects.gathering).events);
        }
        if let State::Online(parts) = &mut self.state
            && step.needs_commit()
        {
            parts.on_step_taken();
        }
        Some(step)
    }

    /// The records to load next, of as many questions as go together; none if there are no new questions. Answer each
    /// such list by one [`Input::Loaded`], its values in this order and as of the last step taken before, and the lists in
    /// the order they were taken.
    pub fn take_load(&mut self) -> Vec<RecordKey> {
        self.core.effects.loads.take()
    }

    /// The names of records to find next, when there is nothing else to do for the store; none while one is under way.
    /// Answer by [`Input::Listed`].
    pub fn take_listing(&mut self) -> Option<Listing> {
        self.core.effects.listings.take()
    }

    /// The next file to fetch from a media host, check and decrypt; none while one is under way, or before the server has
    /// named the hosts. Answer by [`Input::Downloaded`].
    pub fn take_download(&mut self) -> Option<Fetch> {
        self.core.effects.downloads.take(self.now)
    }

    /// The piece of the history to read on next (`Unpacking::next`), on a thread that may be busy for a while; none while one
    /// is being read. Answer by [`Input::Unpacked`].
    pub fn take_unpacking(&mut self) -> Option<Box<Unpacking>> {
        self.core.effects.unpackings.take()
    }

    /// Whether a piece of the history is in memory, or about to be.
    pub fn is_taking_history(&self) -> bool {
        matches!(&self.state, State::Online(parts) if parts.is_taking_history())
    }

    /// When to call with [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.is_stalled && !self.is_full() {
            return Some(Timestamp::EPOCH);
        }
        let state = match &self.state {
            State::AwaitServerHello(state) => Some(state.deadline),
            State::AwaitPairing(state) => state.deadline(),
            State::AwaitSuccess { until } => Some(*until),
            State::Online(parts) => parts.deadline(),
            State::Closed => return None,
        };
        let keep_alive = self.core.keep_alive.as_ref().map(KeepAlive::deadline);
        Timestamp::earliest([state, keep_alive, self.core.effects.iqs.deadline()])
    }

    /// Whether so much has gathered that no more should be read from the socket until a step was taken or the store has
    /// answered.
    pub fn is_backlogged(&self) -> bool {
        self.is_stalled || self.is_full()
    }

    /// Whether the login is done.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online(_))
    }

    /// Whether nothing more will happen.
    pub fn is_closed(&self) -> bool {
        self.is_over
    }

    /// Takes the connection apart for the next one. The device is as of the last step taken.
    pub fn into_parts(self) -> (Device, StdRng) {
        (self.core.device.into_device(), self.core.rng)
    }

    fn is_full(&self) -> bool {
        match &self.state {
            State::Online(parts) => parts.is_full() || self.core.is_full(parts.unwritten()),
            _ => self.core.is_full(0),
        }
    }

    fn read(&mut self, now: Timestamp) {
        self.is_stalled = false;
        while self.core.closing().is_none() {
            if self.is_full() {
                self.is_stalled = true;
                return;
            }
            match self.core.reader.next() {
                Ok(Some(frame)) => self.frame(frame, now),
                Ok(None) => return,
                Err(error) => {
                    return self.core.close(CloseReason::BadFrame(error.to_string()));
                }
            }
        }
    }

    fn frame(&mut self, frame: BytesMut, now: Timestamp) {
        if let State::AwaitServerHello(_) = self.state {
            return self.server_hello(&frame, now);
        }
        match self.core.open(frame) {
            Ok(Some(node)) => self.node(node, now),
            Ok(None) => {}
            Err(reason) => self.core.close(reason),
        }
    }

    fn server_hello(&mut self, frame: &BytesMut, now: Timestamp) {
        let State::AwaitServerHello(mut state) = mem::replace(&mut self.state, State::Closed) else {
            return;
        };
        let wanted_code = state.wanted_code.take();
        if state.server_hello(&mut self.core, frame, now) {
            let cx = &self.core.context(now);
            self.state = if cx.device.is_paired() {
                let until = now + cx.config.timing.login;
                State::AwaitSuccess { until }
            } else {
                State::AwaitPairing(Box::new(AwaitPairing::new(cx, wanted_code)))
            };
        }
    }

    fn node(&mut self, node: Node, now: Timestamp) {
        if let Some(reason) = stream::end(&node, self.core.config.version) {
            if let Some(id) = stream::missed_message(&node) {
                self.core.context(now).device_mut().unsettled_copy = Some(id);
            }
            return self.core.close(reason);
        }
        match node.tag() {
            "iq" if is_reply(&node) => self.reply(node, now),
            "iq" if node.attr_is("xmlns", "urn:xmpp:ping") => self.core.answer_iq(&node),
            _ => match &mut self.state {
                State::AwaitPairing(pairing) => pairing.node(&mut self.core.context(now), &node),
                State::AwaitSuccess { .. } if node.is("success") => self.log_in(&node, now),
                State::Online(parts) => parts.node(&mut self.core.context(now), node),
                _ => tracing::debug!(stanza = node.tag(), "stanza before success ignored"),
            },
        }
    }

    fn log_in(&mut self, success: &Node, now: Timestamp) {
        let mut parts = Parts::start(&mut self.core.context(now), success);
        if let Some(presence) = self.core.wants_presence {
            parts.command(&mut self.core.context(now), Command::SetPresence(presence));
        }
        if self.core.wants_logout {
            parts.command(&mut self.core.context(now), Command::Logout);
        }
        self.state = State::Online(Box::new(parts));
    }

    fn reply(&mut self, node: Node, now: Timestamp) {
        // A reply nobody waits for (its time was up, or a foreign id) means nothing.
        let id = node.attr_str("id");
        if let Some(ticket) = id.and_then(|id| self.core.effects.iqs.close(&id)) {
            self.answer(&ticket, part::outcome(node), now);
        }
    }

    fn answer(&mut self, ticket: &Ticket, answer: Answer, now: Timestamp) {
        let cx = &mut self.core.context(now);
        match &mut self.state {
            State::Online(parts) => parts.answer(cx, ticket, answer),
            State::AwaitPairing(pairing) => pairing.answer(cx, ticket, answer),
            // Questions are only asked in the two states above.
            State::AwaitServerHello(_) | State::AwaitSuccess { .. } | State::Closed => {}
        }
    }

    fn command(&mut self, command: Command, now: Timestamp) {
        let mut cx = self.core.context(now);
        match (&mut self.state, command) {
            (_, Command::Stop) => cx.close(CloseReason::Stopped),
            (State::Online(_), command) if command.is_of_pairing() => refuse(&mut cx, command),
            (State::Online(parts), command) => parts.command(&mut cx, command),
            (State::AwaitPairing(pairing), Command::RequestPairingCode { phone, custom }) => {
                pairing.request_code(&mut cx, phone, custom);
            }
            (State::AwaitPairing(pairing), command) if command.is_of_pairing() => {
                pairing.passkey_command(&mut cx, command);
            }
            (State::AwaitServerHello(state), Command::RequestPairingCode { phone, custom })
                if !cx.device.is_paired() =>
            {
                state.wanted_code = Some((phone, custom));
            }
            (_, Command::Logout) if !cx.device.is_paired() => cx.close(CloseReason::LogoutRequested),
            (_, Command::Logout) => self.core.wants_logout = true,
            (_, Command::SetPresence(presence)) => self.core.wants_presence = Some(presence),
            (_, command) => refuse(&mut cx, command),
        }
    }

    fn loaded(&mut self, values: Vec<Option<Bytes>>, now: Timestamp) {
        for (ticket, values) in self.core.effects.loads.answers(values) {
            if let State::Online(parts) = &mut self.state
                && self.core.closing().is_none()
            {
                parts.loaded(&mut self.core.context(now), &ticket, values);
            }
        }
    }

    fn listed(&mut self, names: Vec<Vec<u8>>, now: Timestamp) {
        if let Some(ticket) = self.core.effects.listings.answered()
            && let State::Online(parts) = &mut self.state
            && self.core.closing().is_none()
        {
            parts.listed(&mut self.core.context(now), &ticket, names);
        }
    }

    fn downloaded(&mut self, file: Downloaded, now: Timestamp) {
        if let Err(DownloadError::Refused(401 | 403)) = &file {
            self.core.effects.downloads.forget_hosts();
        }
        if let Some(ticket) = self.core.effects.downloads.answered() {
            self.file(&ticket, file, now);
        }
    }

    fn file(&mut self, ticket: &Ticket, file: Downloaded, now: Timestamp) {
        if let State::Online(parts) = &mut self.state
            && self.core.closing().is_none()
        {
            parts.downloaded(&mut self.core.context(now), ticket, file);
        }
    }

    fn unpacked(&mut self, unpacked: Unpacked, now: Timestamp) {
        if let Some(ticket) = self.core.effects.unpackings.answered()
            && let State::Online(parts) = &mut self.state
            && self.core.closing().is_none()
        {
            parts.unpacked(&mut self.core.context(now), &ticket, unpacked);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        while let Some(ticket) = self.core.effects.downloads.take_refused() {
            self.file(&ticket, Err(DownloadError::Busy), now);
        }
        while let Some(ticket) = self.core.effects.iqs.take_refused() {
            self.answer(&ticket, Err(QueryError::Busy), now);
        }
        while let Some(ticket) = self.core.effects.iqs.take_expired(now) {
            self.answer(&ticket, Err(QueryError::TimedOut), now);
        }
        self.core.keep_alive(now);
        match &mut self.state {
            State::AwaitServerHello(state) if state.deadline <= now => {
                self.core.close(CloseReason::HandshakeTimeout);
            }
            State::AwaitPairing(state) => state.tick(&mut self.core.context(now)),
            State::AwaitSuccess { until } if *until <= now => self.core.close(CloseReason::LoginTimeout),
            State::Online(parts) => parts.tick(&mut self.core.context(now)),
            State::AwaitServerHello(_) | State::AwaitSuccess { .. } | State::Closed => {}
        }
    }

    fn close_if_over(&mut self, now: Timestamp) {
        let Some(reason) = self.core.closing().cloned() else {
            return;
        };
        let cx = &mut self.core.context(now);
        match mem::replace(&mut self.state, State::Closed) {
            State::Online(mut parts) => parts.on_closed(cx),
            State::AwaitPairing(pairing) => pairing.closed(cx),
            State::AwaitServerHello(AwaitServerHello {
                wanted_code: Some(_), ..
            }) => refuse_code(cx, CONNECTION_LOST),
            State::AwaitServerHello(_) | State::AwaitSuccess { .. } | State::Closed => {}
        }
        self.is_over = true;
        self.core.keep_alive = None;
        self.core.effects.gathering.events.push(Event::Closed { reason });
    }
}

/// Prints no state: it holds codes, numbers and keys.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Connection");
        printed.field("device", &self.core.device).finish_non_exhaustive()
    }
}

/// What the connection waits for.
enum State {
    /// The server's half of the handshake.
    AwaitServerHello(AwaitServerHello),
    /// A phone that scans or types a code.
    AwaitPairing(Box<AwaitPairing>),
    /// The answer to the login.
    AwaitSuccess { until: Timestamp },
    /// Anything.
    Online(Box<Parts>),
    /// Nothing.
    Closed,
}

fn is_reply(iq: &Node) -> bool {
    iq.attr_is("type", "result") || iq.attr_is("type", "error")
}
