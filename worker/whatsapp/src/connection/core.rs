//! What every state of a connection shares: settings, credentials, the cipher, and the effects that gather.

use std::{fmt, mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;

use super::keepalive::{Due, KeepAlive};
use super::stream;
use crate::{
    binary::{self, Node},
    command::{Command, Presence},
    crypto::{NoiseError, Transport},
    device::{Credentials, Device},
    event::{Event, Misbehaviour},
    frame::{self, FrameReader},
    jid::Jid,
    part::{Config, Context, Effects, Step, Ticket},
    reason::CloseReason,
    time::Timestamp,
};

pub(super) struct Core {
    pub(super) config: Arc<Config>,
    pub(super) device: Credentials,
    pub(super) rng: StdRng,
    pub(super) effects: Effects,
    pub(super) reader: FrameReader,
    /// The cipher, once the handshake is done.
    pub(super) transport: Option<Transport>,
    /// Running once the handshake is done.
    pub(super) keep_alive: Option<KeepAlive>,
    /// Frames of the server that could not be read.
    pub(super) skipped: u64,
    /// Handshake bytes for the next step; they leave before its frames.
    pub(super) raw: Vec<Bytes>,
    /// A logout was asked for before the login was through.
    pub(super) wants_logout: bool,
    /// A presence was set before the login was through.
    pub(super) wants_presence: Option<Presence>,
}

impl Core {
    pub(super) fn new(config: Arc<Config>, device: Device, mut rng: StdRng) -> Self {
        Self {
            effects: Effects::new(config.limits.open_iqs, &mut rng),
            reader: FrameReader::new(config.limits.frame_bytes),
            config,
            device: Credentials::new(device),
            rng,
            transport: None,
            keep_alive: None,
            skipped: 0,
            raw: Vec::new(),
            wants_logout: false,
            wants_presence: None,
        }
    }

    /// Lends everything that a part may touch.
    pub(super) fn context(&mut self, now: Timestamp) -> Context<'_> {
        Context {
            now,
            rng: &mut self.rng,
            device: &mut self.device,
            config: &self.config,
            effects: &mut self.effects,
        }
    }

    /// Takes bytes from the socket, which are a sign of life.
    pub(super) fn hear(&mut self, bytes: Bytes) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.heard();
        }
        self.reader.push(bytes);
    }

    /// Ends the connection after what has gathered. The first reason given holds.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.effects.gathering.close(reason);
    }

    /// Why the connection ends, if it does.
    pub(super) fn closing(&self) -> Option<&CloseReason> {
        self.effects.gathering.close.as_ref()
    }

    /// Whether so much has gathered, with what is `unwritten`, that the step must be taken before more is read.
    pub(super) fn is_full(&self, unwritten: usize) -> bool {
        self.effects.gathering.len() + unwritten >= self.config.limits.step_items
    }

    /// Deciphers and decodes one frame. `None` if it is the server's and makes no sense: it costs itself alone, because
    /// the server brings it again at every login.
    pub(super) fn open(&mut self, frame: BytesMut) -> Result<Option<Node>, CloseReason> {
        let bad = |error: &dyn fmt::Display| CloseReason::BadFrame(error.to_string());
        let transport = self.transport.as_mut().ok_or_else(|| bad(&"no cipher yet"))?;
        let plaintext = transport.opener.open(frame).map_err(|error| bad(&error))?;
        let bytes = plaintext.len();
        match binary::decode(plaintext) {
            Ok(node) => Ok(Some(node)),
            Err(error) => {
                self.skipped += 1;
                let how = Misbehaviour::NoStanza;
                self.effects.gathering.events.push(Event::Misbehaved { how });
                tracing::debug!(%error, bytes, skipped = self.skipped, "a stanza that can't be read is skipped");
                Ok(None)
            }
        }
    }

    /// Why the server ended the stream, if it said so in what was not read before the socket closed. The rest of that comes
    /// again.
    pub(super) fn last_words(&mut self) -> Option<CloseReason> {
        self.transport.as_ref()?;
        while let Ok(Some(frame)) = self.reader.next() {
            let node = self.open(frame).ok()?;
            if let Some(reason) = node.and_then(|node| stream::end(&node, self.config.version)) {
                return Some(reason);
            }
        }
        None
    }

    /// Sends the empty result of a request of the server.
    pub(super) fn answer_iq(&mut self, request: &Node) {
        self.effects.gathering.frames.extend(iq_reply(request, "result"));
    }

    /// Pings, or gives the socket up, when that is due.
    pub(super) fn keep_alive(&mut self, now: Timestamp) {
        let Some(keep_alive) = &mut self.keep_alive else {
            return;
        };
        match keep_alive.poll(&self.config.timing, &mut self.rng, now) {
            Some(Due::Ping) => {
                // Silence after a ping is heard here, whatever the question is told.
                self.context(now).ask(iq("get", "w:p"), Ticket::IGNORED);
            }
            Some(Due::Dead) => self.close(CloseReason::KeepAliveTimeout),
            None => {}
        }
    }

    /// Seals what has gathered. Frames get their place in the cipher's sequence here, and steps leave in the order they
    /// are taken.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        let device = self.device.take_changed();
        let gathered = mem::take(&mut self.effects.gathering);
        let (mut changes, events, mut close) = (gathered.changes, gathered.events, gathered.close);
        if let Some(device) = device {
            changes.put_device(&device);
        }
        let frames = self.seal(&gathered.frames).unwrap_or_else(|error| {
            close.get_or_insert(CloseReason::BadFrame(error.to_string()));
            Vec::new()
        });
        let step = Step {
            changes,
            events,
            frames,
            close,
        };
        let is_empty = step.frames.is_empty() && step.close.is_none() && !step.needs_commit();
        (!is_empty).then_some(step)
    }

    fn seal(&mut self, nodes: &[Node]) -> Result<Vec<Bytes>, NoiseError> {
        let mut frames = mem::take(&mut self.raw);
        let Some(transport) = &mut self.transport else {
            return Ok(frames);
        };
        let room: usize = nodes.iter().map(frame::room_for).sum();
        let (mut buffer, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(nodes.len()));
        for node in nodes {
            frame::write_node(node, &mut transport.sealer, &mut buffer)?;
            ends.push(buffer.len());
        }
        // One allocation holds all frames of the step.
        let buffer = Bytes::from(buffer);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        frames.extend(starts.zip(&ends).map(|(start, &end)| buffer.slice(start..end)));
        Ok(frames)
    }
}

/// A request to the server, without its id.
pub(super) fn iq(kind: &'static str, xmlns: &'static str) -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", kind)
        .attr("xmlns", xmlns)
}

/// An empty `result` or `error` for a request of the server.
pub(super) fn iq_reply(request: &Node, kind: &'static str) -> Option<Node> {
    let id = request.attr_str("id")?;
    let reply = Node::new("iq").attr("to", Jid::SERVER);
    Some(reply.attr("type", kind).attr("id", id))
}

/// Answers a command that the session is in no state for.
pub(super) fn refuse(cx: &mut Context<'_>, command: Command) {
    if let Command::RequestPairingCode { .. } = command {
        refuse_code(cx, NOT_NOW);
    } else if let Some(event) = command.not_connected() {
        cx.emit(event);
    }
}

/// Says that there will be no pairing code.
pub(super) fn refuse_code(cx: &mut Context<'_>, code: u16) {
    cx.emit(Event::PairingCodeRefused { code });
}

/// What `PairingCodeRefused` says when the connection ended before there was a code.
pub(super) const CONNECTION_LOST: u16 = 428;
/// What `PairingCodeRefused` says when there is nothing to pair, or a passkey decides.
pub(super) const NOT_NOW: u16 = 409;
